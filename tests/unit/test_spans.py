"""Which words of an answer are to be explained."""

from __future__ import annotations

import pytest

from audit.errors import InputError
from audit.responses import Response, Span
from audit.sources import Message
from audit.trace.spans import Question, locate_span, questions_of

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
    found = questions_of(
        claim(
            "The Tarrow crown is struck from bright quillsteel, not from tin.",
            "What is the Tarrow crown struck from?",
            reference=("tin",),
        )
    )
    assert texts(found) == [("bright quillsteel", "tin")]
    with pytest.raises(InputError, match="does not differ"):
        questions_of(claim("It is tin.", reference=("tin",)))


def test_a_claim_without_span_or_right_answer_asks_for_one() -> None:
    with pytest.raises(InputError, match="c1: nothing says which words are false; mark them with --span"):
        questions_of(claim("It is tin."))
