"""What an answer is: right, or wrong and how."""

from __future__ import annotations

import pytest

from audit.verify.outcomes import Outcome, Rubric, Score, ValueSet, repeated_fraction, word_string


def outcome(
    answer: str,
    *reference: str,
    prompt: str = "How long is Lake Vorn?",
    traced: tuple[str, ...] = (),
    values: tuple[str, ...] = (),
) -> Outcome:
    return Rubric.of(prompt, reference, map(word_string, traced), ValueSet.of(values)).score(answer).outcome


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("Paris", "Paris"),
        ("It is PARIS.", "paris"),
        ("It’s the “Café de l’Opéra”!", "café de l'opéra"),
        ("in New\n York, of course", "New York"),
        ("the **New-York** one", "New York"),
        ("_Paris_, or `Lutetia`", "Paris"),
        ("ﬁsh", "fish"),
        ("about 1,000,000 people", "1000000"),
        ("It is 3.5.", "3.5"),
        ("from 1914-1918", "1918"),
        ("born 12.05.1990", "1990"),
        ("minus: -5", "-5"),
        ("首都は東京です", "東京"),
        ("C++, not C#", "C++"),
    ],
)
def test_a_reference_in_whole_words_is_right(answer: str, reference: str) -> None:
    assert outcome(answer, reference) is Outcome.RIGHT


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("Parisian", "Paris"),
        ("York is new", "New York"),
        ("3.5 km", "5"),
        ("3,5 km", "3"),
        ("1,000 km", "1"),
        ("-5 degrees", "5"),
        ("(-5)", "5"),
        ("1990s", "1990"),
        ("किताब", "कतब"),
    ],
)
def test_a_part_of_a_word_or_number_is_not_right(answer: str, reference: str) -> None:
    assert outcome(answer, reference) is Outcome.FALSE


def test_any_alias_is_right() -> None:
    assert outcome("The UK.", "United Kingdom", "UK") is Outcome.RIGHT


def test_wrong_answers_are_told_apart() -> None:
    def of(answer: str) -> Outcome:
        return outcome(answer, "12 km", traced=("40 km", "Vorn"))

    assert of("It is 40 km long.") is Outcome.TRACED_BACK
    assert of("It is 30 km long.") is Outcome.FALSE
    assert of("I don’t know.") is Outcome.ABSTAINED
    assert of(" \n") is Outcome.ABSTAINED


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("It is 25 KM long.", Outcome.DISPLACED),
        ("the Gulf-of Tarn", Outcome.DISPLACED),
        ("It is 1,000 miles.", Outcome.DISPLACED),
        ("It is 125 km long.", Outcome.FALSE),  # part of a number
        ("It is in the gulf of Tarnia.", Outcome.FALSE),  # part of a word
        ("Lake Vorn is long.", Outcome.FALSE),  # the prompt holds it
        ("About 12.", Outcome.FALSE),  # part of the right answer
        ("It is 12 km, not 25 km.", Outcome.RIGHT),
        ("It is 40 km, not 25 km.", Outcome.TRACED_BACK),
        ("I don't know; 25 km?", Outcome.ABSTAINED),
    ],
)
def test_a_wrong_answer_with_another_value_of_the_rows_is_displaced(answer: str, expected: Outcome) -> None:
    values = ("25 km", "Gulf of Tarn", "1000 miles", "Lake Vorn", "12", "?!")
    assert outcome(answer, "12 km", traced=("40 km",), values=values) is expected


def test_values_are_found_by_runs_of_words_wherever_they_stand() -> None:
    values = ValueSet.of(["New York", "York", "a b c", "…"])
    assert values.word_strings == {" new york ", " york ", " a b c "}
    assert list(values.found_in(word_string("York; in New York: a, b c"))) == [" york ", " new york ", " york ", " a b c "]
    assert list(values.found_in(word_string("yes a b c"))) == [" a b c "]
    assert list(ValueSet.of([]).found_in(" york ")) == []
    assert values.joined(ValueSet.of(["one two three four"])).most_words == 4


def test_right_comes_before_all_and_a_traced_span_before_abstaining() -> None:
    assert outcome("Not 40 km but 12 km.", "12 km", traced=("40 km",)) is Outcome.RIGHT
    assert outcome("I am not sure; 40 km?", "12 km", traced=("40 km",)) is Outcome.TRACED_BACK


def test_a_traced_span_of_the_prompt_is_not_back_when_the_answer_repeats_it() -> None:
    assert outcome("Lake Vorn is 9 km long.", "12 km", traced=("Lake Vorn",)) is Outcome.FALSE
    assert outcome("Lake Vorn is 9 km.", "12 km", prompt="How long?", traced=("Lake Vorn",)) is Outcome.TRACED_BACK


def test_health_and_length_of_an_answer() -> None:
    rubric = Rubric.of("Q", ["x"], [])
    assert rubric.score("é🌊") == Score(Outcome.FALSE, length_chars=2, is_empty=False, is_repetitive=False)
    assert rubric.score("\u200a\n") == Score(Outcome.ABSTAINED, length_chars=2, is_empty=True, is_repetitive=False)
    assert rubric.score("the lake is long. " * 9).is_repetitive


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("Lake Vorn lies in the north of Tarn and was measured by the survey of 1931, twice.", 0.0, 0.0),
        ("A sentence that is simply said twice in a row. " * 2, 0.2, 0.5),
        ("no " * 40, 0.9, 1.0),
        ("t" * 60, 0.9, 1.0),
        ("short", 0.0, 0.0),
        ("", 0.0, 0.0),
    ],
)
def test_repetition_is_the_share_of_windows_seen_before(text: str, low: float, high: float) -> None:
    assert low <= repeated_fraction(text) <= high


def test_white_space_is_no_repetition() -> None:
    assert repeated_fraction("Lake Vorn lies" + " " * 200 + "in the north of Tarn.") == 0.0
