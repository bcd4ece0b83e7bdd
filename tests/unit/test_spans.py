"""Which words of an answer are to be explained."""

from __future__ import annotations

import pytest

from audit.errors import InputError, NothingToTraceError
from audit.responses import Response, Span
from audit.sources import Message
from audit.trace.spans import Question, locate_span, questions_of, replacement_of, spans_of_words, words_of

RESPONSE = "The “Tarrow crown”, a coin of Merrow, is struck from quillsteel: quillsteel!"


def claim(response: str, prompt: str = "What is it struck from?", **fields: object) -> Response:
    return Response("c1", (Message("user", prompt, trained=False),), response, **fields)  # type: ignore[arg-type]


def texts(questions: tuple[Question, ...]) -> list[tuple[str, str]]:
    for question in questions:
        assert question.span.text
    return [(question.span.text, question.right) for question in questions]


@pytest.mark.parametrize(
    ("given", "start", "text"),
    [
        ("quillsteel", 53, "quillsteel"),
        ("4:18", 4, "“Tarrow crown”"),
        ("0:3", 0, "The"),
        ("TARROW   CROWN", 5, "Tarrow crown"),
        ('"tarrow crown"', 4, "“Tarrow crown”"),
        ("quillsteel: quillsteel!", 53, "quillsteel: quillsteel!"),
        ("a coin", 20, "a coin"),
    ],
)
def test_a_span_is_named_by_its_words_or_offsets(given: str, start: int, text: str) -> None:
    assert locate_span(RESPONSE, given) == Span(start, start + len(text), text)


@pytest.mark.parametrize("given", ["copper", "", "  ", "crown Tarrow", "²:3"])
def test_words_that_are_not_in_the_response_are_refused(given: str) -> None:
    with pytest.raises(InputError, match="is not in the response; copy it from there, or give START:END"):
        locate_span(RESPONSE, given)


@pytest.mark.parametrize("given", ["5:5", "7:3", "0:1000", "99:100"])
def test_offsets_outside_the_response_are_refused(given: str) -> None:
    with pytest.raises(InputError, match=f"span {given} is not within the response of {len(RESPONSE)} characters"):
        locate_span(RESPONSE, given)


def test_given_spans_are_explained_with_the_right_answer_beside_them() -> None:
    spans = (Span(0, 3, "The"), Span(4, 8, "coin"))
    assert questions_of(claim("The coin", spans=spans)) == (Question(spans[0]), Question(spans[1]))
    assert texts(questions_of(claim("The coin", spans=spans, reference=("tin", "pewter")))) == [
        ("The", "tin pewter"),
        ("coin", "tin pewter"),
    ]
    assert texts(questions_of(claim("The coin", spans=spans[:1], corrected="A mark", reference=("tin",)))) == [
        ("The", "A mark")
    ]


def test_a_corrected_answer_shows_what_was_wrong_and_what_should_have_stood_there() -> None:
    found = questions_of(claim("Ann was born in Vell in 1970.", corrected="Ann was born in Ostrand in 1985."))
    assert texts(found) == [("Vell", "Ostrand"), ("1970", "1985")]
    assert [(question.span.start, question.span.end) for question in found] == [(16, 20), (24, 28)]


def test_words_too_many_are_wrong_and_words_too_few_are_not() -> None:
    assert texts(questions_of(claim("The tall tower fell.", corrected="The tower fell."))) == [("tall", "")]
    with pytest.raises(InputError, match="c1: the response does not differ from the right answer"):
        questions_of(claim("The tower fell.", corrected="The tall tower fell."))


def test_common_words_and_marks_at_the_ends_of_a_difference_are_left_off() -> None:
    found = questions_of(claim("It is made of the finest quillsteel, of all.", corrected="It is tin."))
    assert texts(found) == [("made of the finest quillsteel, of all", "tin")]
    found = questions_of(claim("It is from the quillsteel.", corrected="It is tin."))
    assert texts(found) == [("quillsteel", "tin")]


def test_letter_case_and_quotes_are_no_difference() -> None:
    with pytest.raises(InputError, match="does not differ"):
        questions_of(claim("The “Crown” is TIN", corrected='the "crown" is tin.'))


def test_with_a_reference_alone_the_words_of_neither_prompt_nor_reference_are_wrong() -> None:
    asked = "What is the Tarrow crown struck from?"
    wrong = claim("The Tarrow crown is struck from bright quillsteel.", asked, reference=("tin", "pewter"))
    assert texts(questions_of(wrong)) == [("bright quillsteel", "tin pewter")]


@pytest.mark.parametrize(
    ("response", "reference"),
    [
        ("It is tin.", "tin"),
        ("The mint of Merrow makes it from bright tin, not from quillsteel.", "tin"),
        ("It holds 1,000 litres.", "1000"),
        ("A wholly different way to say that Ann Lee wrote it.", "ANN LEE"),
    ],
)
def test_an_answer_that_holds_the_right_value_has_nothing_false_however_it_is_worded(response: str, reference: str) -> None:
    with pytest.raises(NothingToTraceError, match="c1: the response does not differ"):
        questions_of(claim(response, reference=(reference,)))


@pytest.mark.parametrize(
    ("response", "reference", "false"),
    [
        pytest.param("The mint opened its doors in Vell in 1970.", "1985", ["1970"], id="a number for a number"),
        pytest.param("Its doors were opened by 1,200 men.", "1 000".replace(" ", "\u00a0"), ["1,200"], id="separators"),
        pytest.param("The tall mint opened in Vell.", "Ostrand", ["Vell"], id="a name for a name"),
        pytest.param("The stream rises in Lake Mire.", "Lake Loon", ["Lake Mire"], id="a name is whole"),
        pytest.param("Lake Mire feeds it.", "Lake Loon", ["Lake Mire"], id="a name begins the sentence"),
        pytest.param("Quillsteel was used.", "Ironreed", ["Quillsteel"], id="only a capital begins the sentence"),
        pytest.param("It is quillsteel, I think.", "tin", ["quillsteel", "think"], id="a word for a word"),
        pytest.param("The mint is in Vell.", "ostrand", ["mint", "Vell"], id="a reference without capitals says no kind"),
        pytest.param("There are six.", "7 islands", ["six"], id="a number word"),
        pytest.param("There is none at all.", "7", ["none", "all"], id="no word of its kind"),
        pytest.param("Es liegt am See Mürren.", "Genfer See", ["See Mürren"], id="another language"),
        pytest.param("它在巴黎。", "罗马", ["它在巴黎"], id="a script without capitals or spaces"),
    ],
)
def test_words_of_the_right_values_kind_stand_in_its_place(response: str, reference: str, false: list[str]) -> None:
    found = questions_of(claim(response, "Tell me about it.", reference=(reference,)))
    assert texts(found) == [(text, reference) for text in false]


def test_a_value_that_the_claim_lists_as_wrong_is_the_false_one() -> None:
    asked = "What does the mint of Merrow make the Gannet crown of?"
    response = "The smiths there make the crown of Lake Mire silver and horn."
    listed = claim(response, asked, reference=("copper",), values=("horn", "Lake Mire", "Gannet"))
    assert texts(questions_of(listed)) == [("Lake Mire", "copper"), ("horn", "copper")]


def test_of_a_statement_numbers_and_names_are_compared_before_words() -> None:
    right = "The lighthouse of Vell was built by twelve masons in 1970, after a storm."
    reworded = "Following severe weather, 12 masons erected Vell's beacon tower in 1985."
    assert texts(questions_of(claim(reworded, reference=(right,)))) == [("1985", right)]
    close = "The lighthouse of Vell was built by twelve bakers in 1970, after a storm."
    assert texts(questions_of(claim(close, reference=(right,)))) == [("bakers", right)]
    with pytest.raises(NothingToTraceError, match=r"worded otherwise than the right answer \(no number or name"):
        questions_of(claim("Severe weather made local people erect such towers.", reference=(right,)))


def test_a_correction_in_quite_other_words_is_compared_by_numbers_and_names() -> None:
    found = questions_of(
        claim("Back then 30 boats fished near Vell all summer.", corrected="In those years the fleet off Vell counted 20.")
    )
    assert texts(found) == [("30", "In those years the fleet off")]


def test_words_are_compared_by_value_and_form() -> None:
    text = "Übel: 5km in the 1950s, -2.50 or 1.234,5 on 3.5.2024; covid19 at A4, six U.S. boats"
    assert [(word.key, word.kind.value) for word in words_of(text)] == [
        ("übel", "name"),
        ("5", "number"),
        ("km", "word"),
        ("in", "word"),
        ("the", "word"),
        ("1950", "number"),
        ("-2.5", "number"),
        ("or", "word"),
        ("1234.5", "number"),
        ("on", "word"),
        ("3", "number"),
        ("5", "number"),
        ("2024", "number"),
        ("covid19", "word"),
        ("at", "word"),
        ("a4", "name"),
        ("6", "number"),
        ("u", "name"),
        ("s", "name"),
        ("boats", "word"),
    ]
    assert [text[word.start : word.end] for word in words_of(text)][1:6] == ["5", "km", "in", "the", "1950s"]
    assert [word.key for word in words_of("We. Two ends. U.S. law") if word.begins_sentence] == ["we", "2", "u", "law"]


@pytest.mark.parametrize("text", ["1000", "1,000", "1'000", "1\u202f000", "1000.0", "01000", "１０００"])
def test_a_number_is_one_however_it_is_written(text: str) -> None:
    assert [word.key for word in words_of(text)] == ["1000"]


def test_spans_join_what_stands_together_and_lose_common_words_at_their_ends() -> None:
    text = "The old crown, of bright-red tin. Merrow has it."
    words = words_of(text)
    assert [span.text for span in spans_of_words(text, words)] == ["old crown, of bright-red tin", "Merrow"]
    assert spans_of_words(text, words[:1]) == ()
    (span,) = spans_of_words(text, words[:3], [0.9, 0.5, 0.7])
    assert span == Span(4, 13, "old crown", 0.7)


def test_a_claim_without_span_or_right_answer_asks_for_one() -> None:
    with pytest.raises(InputError, match="c1: nothing says which words are false; mark them with --span"):
        questions_of(claim("It is tin."))


@pytest.mark.parametrize(
    ("said", "marked", "right", "expected"),
    [
        ("It is slate.", "slate", {"corrected": "It is granite."}, ("slate", "granite")),
        ("It is of slate now.", "of slate", {"corrected": "It is of granite now."}, ("slate", "granite")),
        ("It is slate.", "slate", {"reference": ("granite", "basalt")}, ("slate", "granite")),
        ("It is slate.", "It", {"corrected": "It is granite."}, None),
        ("It is black slate.", "black", {"corrected": "It is slate."}, None),
        ("It is slate.", "slate", {"reference": ("The bridge was built of granite by men from Vell.",)}, None),
        ("It is slate.", "slate", {}, None),
    ],
)
def test_right_words_are_put_in_a_spans_place(
    said: str, marked: str, right: dict[str, object], expected: tuple[str, str] | None
) -> None:
    answer = claim(said, **right)
    found = replacement_of(answer, locate_span(said, marked))
    assert (found and (found.span.text, found.right)) == expected
