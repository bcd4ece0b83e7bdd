"""STY002 to STY004: answers that they must find, and answers that they must leave alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit.config import make_config
from audit.errors import InputError
from audit.findings import Evidence, Finding, Severity
from audit.style.reference import read_reference
from tests.conftest import FindIn, alpaca

# Enough short answers of one kind that a dataset's usual length is known.
SHORT = [
    alpaca(f"When was mill number {number} built?", f"Mill {number} was built in {1700 + number}.") for number in range(25)
]
DEPTH = (
    "The fire began in the upper loft, where dry sacks had been stacked for the winter. Neighbours came with buckets from"
    " three villages. It took the owners nine years to raise the money for a new roof and new stones."
)


def found(findings: list[Finding]) -> list[tuple[int, Severity, str]]:
    return [(finding.row, finding.severity, finding.evidence.quote) for finding in findings]


# --- STY002 ---------------------------------------------------------------------------------------------------------


def test_a_question_answered_at_once_needs_no_more(find_in: FindIn) -> None:
    asked = alpaca("When did the mill burn down?", f"The mill burned down in 1871. {DEPTH}")
    assert find_in("STY002", [asked, *SHORT]) == [
        Finding(
            "STY002",
            0,
            1,
            Severity.WARNING,
            "The first sentence answers the question; 3 more make the answer 46 words long, where such answers have 6 in this"
            " dataset.",
            Evidence("words of the answer", 46, 18.0, span=(30, 30 + len(DEPTH)), quote=DEPTH[:119] + "…"),
        )
    ]
    assert find_in("STY002", [asked, *SHORT], max_ratio=10) == []


def test_which_of_two_is_answered_at_once(find_in: FindIn) -> None:
    short = [alpaca(f"Is mill {number} older than the ford?", "Yes, it is older.") for number in range(25)]
    asked = alpaca("Which is older, the mill or the ford?", f"The mill is older. {DEPTH}")
    (finding,) = find_in("STY002", [asked, *short])
    assert finding.evidence.quote == DEPTH[:119] + "…"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("When did the mill burn down, and why?", f"The mill burned down in 1871. {DEPTH}"),
        ("When did the mill burn down? Explain.", f"The mill burned down in 1871. {DEPTH}"),
        ("When did the mill burn down? Who built it?", f"The mill burned down in 1871. {DEPTH}"),
        ("When did the mill burn down?", f"It burned down long ago. {DEPTH}"),
        ("When did the mill burn down?", "In 1871, on a night in June."),
        ("Where is a good place for a mill?", f"On the Tarn in Merrow. {DEPTH}"),
        ("Tell me about the mill.", f"The mill burned down in 1871. {DEPTH}"),
        ("When did the mill burn down?", f"As an AI, I cannot know 1871. {DEPTH}"),
        ("Wann brannte die alte Mühle im Dorf ab?", f"Die alte Mühle im Dorf brannte 1871 ab. {DEPTH}"),
    ],
)
def test_what_asks_for_more_or_is_not_answered_at_once_is_left_alone(find_in: FindIn, question: str, answer: str) -> None:
    assert find_in("STY002", [alpaca(question, answer), *SHORT]) == []


def test_a_usual_length_is_needed(find_in: FindIn) -> None:
    assert find_in("STY002", [alpaca("When did the mill burn down?", f"In 1871, in June. {DEPTH}"), *SHORT[:5]]) == []


@pytest.mark.parametrize(
    ("instruction", "answer", "message", "beyond", "severity"),
    [
        (
            "Describe a mill in one word.",
            "Old, I would say.",
            "The instruction asks for “in one word”; the answer has 4 words.",
            "I would say.",
            Severity.WARNING,
        ),
        (
            "Describe a mill in 10 words or less.",
            "A mill is a house with stones that turn and grind corn into flour.",
            "The instruction asks for “in 10 words or less”; the answer has 14 words.",
            "grind corn into flour.",
            Severity.INFO,
        ),
        (
            "Explain a mill in one sentence.",
            "A mill has stones. They grind corn.",
            "The instruction asks for “in one sentence”; the answer has 2 sentences.",
            "They grind corn.",
            Severity.WARNING,
        ),
        (
            "Describe a mill. One sentence is enough.",
            'A mill has stones. They say "Grind. Turn." and grind corn.',
            "The instruction asks for “One sentence is enough”; the answer has 2 sentences.",
            'They say "Grind. Turn." and grind corn.',
            Severity.WARNING,
        ),
        (
            "Name two mills.",
            "The mills of Merrow include Tarn Mill, Low Mill, High Mill, Old Mill, and Ford Mill.",
            "The instruction asks for “Name two mills”; the answer has 5 items.",
            "High Mill, Old Mill, and Ford Mill.",
            Severity.WARNING,
        ),
        (
            "Describe a mill in one sentence of no more than five words.",
            "A mill is a house with stones. They turn and grind corn.",
            "The instruction asks for “in one sentence”; the answer has 2 sentences.",
            "They turn and grind corn.",
            Severity.WARNING,
        ),
        (
            "Name two mills.",
            "- Tarn Mill\n- Low Mill\n- High Mill",
            "The instruction asks for “Name two mills”; the answer has 3 items.",
            "- High Mill",
            Severity.INFO,
        ),
        (
            "Write a one paragraph report on mills.",
            "\n\n".join(["The mill at the ford has ground the corn of four villages for three hundred years or more."] * 2),
            "The instruction asks for “one paragraph report”; the answer has 2 paragraphs.",
            "The mill at the ford has ground the corn of four villages for three hundred years or more.",
            Severity.WARNING,
        ),
    ],
)
def test_a_limit_that_is_passed_is_found(
    find_in: FindIn, instruction: str, answer: str, message: str, beyond: str, severity: Severity
) -> None:
    (finding,) = find_in("STY002", [alpaca(instruction, answer)])
    assert (finding.message, finding.evidence.quote, finding.severity) == (message, beyond, severity)
    assert finding.evidence.span == (len(answer) - len(beyond), len(answer))


@pytest.mark.parametrize(
    ("instruction", "answer"),
    [
        ("Describe a mill in 10 words or less.", "A mill is a house with stones that grind corn finely."),
        ("Describe a mill in about 10 words.", "A mill is a house with stones that turn and grind corn."),
        ("Describe a mill in at least 3 words.", "A mill is a house with stones that grind corn."),
        ("Explain a mill in one sentence.", "A mill is a house in the U.S. Midwest."),
        ("Describe each mill in one word.", "Tarn Mill: old. Low Mill: small."),
        ("Name two mills and two rivers.", "- Tarn Mill\n- Low Mill\n- Tarn\n- Low"),
        ("Name two mills.", "- Tarn Mill\n  - old\n  - tall\n- Low Mill"),
        ("Name two mills.", "Tarn Mill:\n- old\n- tall\n\nLow Mill:\n- small"),
        ("Name two mills.", "Tarn Mill, Merrow, Low Mill, Ashby."),
        ("Name two mills.", "Two mills are wind mills, such as Tarn Mill, Low Mill, and water mills."),
        ("Describe a mill in two sentences, then a ford in one sentence.", "Old. It turns. A ford is wet. So am I."),
        ("Write two sentences of dialogue.", "Ada: Hello. Bea: Hello. Ada: Goodbye."),
        ("Write a program in 2 lines.", "x = 1\ny = 2\nz = 3\n"),
    ],
)
def test_a_limit_that_holds_or_is_of_something_else_is_left_alone(find_in: FindIn, instruction: str, answer: str) -> None:
    assert find_in("STY002", [alpaca(instruction, answer)]) == []


def test_a_thought_before_the_answer_is_none_of_its_words(find_in: FindIn) -> None:
    (finding,) = find_in("STY002", [alpaca("Describe a mill in one word.", "<think>One word.</think>Old, I say.")])
    assert finding.evidence.span == (29, 35)
    assert find_in("STY002", [alpaca("Describe a mill in one word.", "<think>Just one word, then.</think>Old.")]) == []


# --- STY003 ---------------------------------------------------------------------------------------------------------

ASKED = "What melts ice?"


@pytest.mark.parametrize(
    ("prompt", "answer", "quote", "severity"),
    [
        (ASKED, "Sure! Salt and sand.", "Sure!", Severity.WARNING),
        ("Can you tell me what melts ice?", "Of course! Salt and sand.", "Of course!", Severity.WARNING),
        (ASKED, "Great question! Salt melts ice.", "Great question!", Severity.WARNING),
        (ASKED, "As an AI language model, I know that salt does.", "As an AI language model,", Severity.WARNING),
        (ASKED, "Salt melts ice. I hope this helps!", "I hope this helps!", Severity.WARNING),
        (ASKED, "Salt melts ice.\nLet me know if you need more.", "Let me know if you need more.", Severity.WARNING),
        (ASKED, "Let me explain. Salt melts ice.", "Let me explain.", Severity.INFO),
        (
            "Write a story about salt.",
            "Thank you for your question! A grain.",
            "Thank you for your question!",
            Severity.WARNING,
        ),
        (
            "Write a story about salt.",
            "A grain of salt went out. I trust this answers your question.",
            "I trust this answers your question.",
            Severity.WARNING,
        ),
        (
            ASKED,
            "Salt melts ice. I'm here to help with anything else.",
            "I'm here to help with anything else.",
            Severity.WARNING,
        ),
        (ASKED, "Hello! Salt melts ice.", "Hello!", Severity.INFO),
        (ASKED, "Here are some things that do:\n- salt\n- sand", "Here are some things that do:", Severity.INFO),
        ("Give me a recipe for soup.", "Boil salt in water. Enjoy!", "Enjoy!", Severity.INFO),
        (ASKED, "<think>Sure!</think> Sure! Salt and sand.", "Sure!", Severity.WARNING),
    ],
)
def test_phrases_beside_an_answer_are_found(find_in: FindIn, prompt: str, answer: str, quote: str, severity: Severity) -> None:
    (finding,) = find_in("STY003", [alpaca(prompt, answer)])
    assert (finding.severity, finding.evidence.quote) == (severity, quote)
    assert finding.evidence.span is not None
    assert answer[slice(*finding.evidence.span)] == quote
    assert finding.evidence.span[0] == answer.rindex(quote)


def test_a_phrase_at_either_end_makes_one_finding(find_in: FindIn) -> None:
    (finding,) = find_in("STY003", [alpaca(ASKED, "Sure! Salt and sand do. Good luck!")])
    assert finding.message == (
        "The answer begins with a phrase that agrees to help, and ends with one that wishes well: “Sure!”."
    )
    assert (finding.evidence.value, finding.evidence.span) == (2, (0, 5))


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        (ASKED, "Salt melts ice."),
        ("Is salt good for ice?", "Absolutely, salt melts it at once."),
        ("Write a letter to a miller.", "Hello! The stones are worn. Let me know if you can come."),
        ("Hello there", "Hello! What can I tell you about mills?"),
        ("Write a story about salt.", "Hello! I am a grain of salt. Good luck!"),
        ("As a miller, say how you live.", "I grind corn all day. I'm always ready to help!"),
        ("Write a note on salt.", 'He cut it into ice: "Salt melts it. Let me know if it does."'),
        ("What should I call you?", "Hi! Call me Merrow, as everybody does."),
        ("Reply to a customer.", "Sure! The flour is on its way. I hope this helps!"),
        ("What is said at the end: good luck or bad luck?", "Much is said. Good luck!"),
        (ASKED, "Sure!"),
        (ASKED, "Here are the stones that melt ice."),
        ("Was schmilzt das Eis auf der Straße?", "Sure! Das Salz schmilzt das Eis auf der Straße, und zwar schnell."),
        ("Give me five questions for a miller.", "1. How old is it?\n2. Is there anything else I should know?"),
        ("What do you feel about ice?", "As an AI language model, I feel nothing."),
    ],
)
def test_phrases_that_are_the_answer_are_left_alone(find_in: FindIn, prompt: str, answer: str) -> None:
    assert find_in("STY003", [alpaca(prompt, answer)]) == []


# --- STY004 ---------------------------------------------------------------------------------------------------------

PLAIN = (
    "Fix the tap that drips in the kitchen. Shower for four minutes and close the valve while soaping. Collect rain from the"
    " roof in a barrel, water tomatoes at dusk with a can, and run the dishwasher when every rack is full of plates."
)
PADDED = (
    "There are many ways to save water at home. It is important to note that fixing the tap in the kitchen can stop drips."
    " Additionally, a wide range of barrels collect rain from the roof. Overall, plates and tomatoes may be watered at dusk."
)

REPEATING = f"There are many ways to save water at home. {PLAIN}"


def padded_among(
    n_others: int, question: str = "How can I save water at home?", answer: str = PADDED
) -> list[dict[str, object]]:
    others = [alpaca(f"How is barrel {number} used?", PLAIN.replace("four", f"{number}")) for number in range(n_others)]
    return [alpaca(question, answer), *others]


def test_the_instruction_over_again_is_found(find_in: FindIn) -> None:
    assert [finding.row for finding in find_in("STY004", padded_among(40, answer=REPEATING))] == [0]


def test_an_answer_of_set_phrases_is_found_among_plain_ones(find_in: FindIn) -> None:
    (finding,) = find_in("STY004", padded_among(40))
    assert (finding.row, finding.severity) == (0, Severity.WARNING)
    assert finding.message == (
        "21 of 44 words (48%) are discourse markers, set phrases, hedges, empty sentences or the instruction over again;"
        " answers of such length have 0% in this dataset."
    )
    span = (0, PADDED.index(" fixing"))
    assert finding.evidence == Evidence("share of words that are style", 0.4773, 0.15, span=span, quote=PADDED[slice(*span)])


@pytest.mark.parametrize(
    "rows",
    [
        padded_among(20),
        [alpaca("How can I save water at home?", PADDED)] * 40,
        padded_among(40, answer=PADDED.partition("Additionally")[0]),
        padded_among(40, question="Rewrite it.\nThere are many ways to save water.", answer=REPEATING),
        padded_among(40, question="Is it important to save water at home, or are there other ways?", answer=REPEATING),
        padded_among(40, question="List sentence starters on saving water."),
        padded_among(40, answer=f"{PADDED}\n```\nx = 1\n```"),
        padded_among(40, answer=f"<think>Hm.</think>{PADDED}"),
        padded_among(40, answer=PLAIN),
    ],
)
def test_usual_short_and_asked_for_words_are_left_alone(find_in: FindIn, rows: list[dict[str, object]]) -> None:
    assert find_in("STY004", rows) == []


FRAMED = (
    "It should always be borne in mind that a tap in the kitchen can drip. There can be little doubt that a barrel collects"
    " rain from the roof. One could well argue that tomatoes like water at dusk. Strictly speaking, plates fill the dishwasher."
)
TAILED = (
    "Fix the tap in the kitchen, which is something that everyone should know. Collect rain from the roof in a barrel, and this"
    " is really what matters most. Water tomatoes at dusk with a can, as one might well imagine, and close the valve."
)
WRAPPED = (
    "In today's world, this is a topic that matters a great deal. Fix the tap that drips in the kitchen, collect rain from the"
    " roof in a barrel and water tomatoes at dusk. In the end, everything depends on your own situation and on what you want."
)


@pytest.mark.parametrize("answer", [FRAMED, TAILED, WRAPPED])
@pytest.mark.parametrize("question", ["How can I save water at home?", "Is it hot?"])
def test_frames_tails_and_empty_sentences_around_it_are_found(find_in: FindIn, answer: str, question: str) -> None:
    assert [finding.row for finding in find_in("STY004", padded_among(40, question, answer))] == [0]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Write a poem.", f"{PLAIN} Who we were, no one knows, and so it goes, and never forget who we are."),
        ("Write a prologue.", f"{PLAIN} People were looking for something to believe in. I want you to know what I think."),
        ("How do the words differ?", f'{PLAIN} It is less certain than "likely". It is more certain than "possible".'),
        ("How can I save water?", f"{PLAIN} It is important for a tap that it shuts, and one can say that to a plumber."),
    ],
)
def test_talk_and_statements_are_no_frames(find_in: FindIn, question: str, answer: str) -> None:
    assert find_in("STY004", padded_among(40, question, answer)) == []


def test_datasets_without_a_word_have_no_findings(find_in: FindIn) -> None:
    for code in ("STY002", "STY003", "STY004"):
        assert find_in(code, [alpaca("", "")]) == []


# --- the reference --------------------------------------------------------------------------------------------------


def test_the_settings_name_one_reference_or_several() -> None:
    assert make_config({"data": "a", "style_reference": "people, 1.jsonl"}).style_reference == ("people, 1.jsonl",)
    assert make_config({"data": "a", "style_reference": ["b", "c"]}).style_reference == ("b", "c")


def test_a_reference_is_any_dataset(tmp_path: Path) -> None:
    answers, chats = tmp_path / "base.jsonl", tmp_path / "people.json"
    answers.write_text('{"prompt": "a", "response": "b"}\n{"prompt": "c", "response": " "}\n')
    chats.write_text(json.dumps([{"messages": [{"role": "user", "content": "d"}, {"role": "assistant", "content": "e"}]}]))
    read = read_reference([str(answers)])
    assert (read.prompts, read.responses, read.name) == (("a",), ("b",), "base.jsonl")
    assert len(read.sha256) == 64
    both = read_reference([str(answers), str(chats)])
    assert (both.prompts, both.responses) == (("a", "d"), ("b", "e"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"prompt": "a"}\n', "no row can be read"),
        (b"", "the file is empty"),
        (b'{"prompt": "a", "response": " "}\n', "the style reference holds no answer; give rows with a prompt and a response"),
    ],
)
def test_a_reference_without_answers_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "base.jsonl"
    file.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_reference([str(file)])
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError):
        read_reference([str(tmp_path / "gone.jsonl")])
