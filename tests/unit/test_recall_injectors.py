"""The defects that the recall benchmark injects are what they are said to be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from random import Random

import jsonschema
import pytest
from stdnum import iban, luhn

from tests.benchmarks.recall.injection import Injected, Injector, Row, chat, is_prose, prompt_of, response_of, sentences
from tests.benchmarks.recall.injectors import INJECTORS

QUESTION = (
    "Please explain to a group of visitors, slowly and without haste, why the old and rather deaf lock keeper of our canal "
    "still rings his bell every evening before he closes the upper gate, and what happens on the water "
    "if somebody forgets to answer it."
)
ANSWER = (
    "It's the custom of the place, because the boats that come late must know that the gate closes soon. The keeper rings "
    "three times, waits for a quarter of an hour, and then turns the wheel that lets the water in. "
    "Nobody in the whole village minds the noise."
)
LONG_ANSWER = (
    "They wrap the hives in straw. Some bring them into a barn. Others only turn the entrance from the wind. "
    "The bees do the rest. They sit close together and shiver."
)
# Enough for every variant: prose, a short answer with a number, an open question, and yes or no.
ROWS = (
    chat(QUESTION, ANSWER),
    chat("How many gates has the canal?", "It has 12 gates."),
    chat("Describe how beekeepers help their bees through the winter.", LONG_ANSWER),
    chat("Is the upper gate older than the lower one?", "Yes, by a year."),
)


def _draws(injector: Injector, count: int = 25) -> Iterator[Injected]:
    for seed in range(count):
        for row in ROWS:
            injected = injector(Random(seed), row)
            if injected is not None:
                yield injected


def _variants(*codes: str) -> list[object]:
    return [
        pytest.param(injector, id=f"{code}-{injector.__name__}")
        for code in codes or tuple(INJECTORS)
        for injector in INJECTORS[code]
    ]


def _answer(injected: Injected) -> str:
    row = injected.rows[0]
    assert isinstance(row, dict)
    return response_of(row)


@pytest.mark.parametrize("injector", _variants())
def test_every_variant_changes_a_row_and_repeats_itself(injector: Injector) -> None:
    draws = list(_draws(injector))
    assert draws == list(_draws(injector))
    assert draws
    assert all(draw.evaluation or draw.rows not in ([row] for row in ROWS) for draw in draws)


def test_every_code_has_six_variants_with_names_of_their_own() -> None:
    names = {code: [injector.__name__ for injector in variants] for code, variants in INJECTORS.items()}
    assert {code for code, of_code in names.items() if len(set(of_code)) < max(6, len(of_code))} == set()
    assert {name for of_code in names.values() for name in of_code if not re.fullmatch(r"[a-z_0-9]+", name)} == set()
    assert "inject" not in {name for of_code in names.values() for name in of_code}


def test_prose_is_told_from_lists_and_code() -> None:
    assert sentences("One. Two! Three") == ["One.", " Two!"]
    assert is_prose(ANSWER)
    assert not is_prose("One sentence only.")
    assert not is_prose("- One.\n- Two.")
    assert not is_prose("x = 1. y = 2.")


@pytest.mark.parametrize("injector", _variants("FMT001"))
def test_unreadable_lines_are_no_objects(injector: Injector) -> None:
    for draw in _draws(injector):
        assert all(isinstance(line, bytes) for line in draw.rows)
        assert not any(_is_record(line) for line in draw.rows if isinstance(line, bytes))


def _is_record(line: bytes) -> bool:
    try:
        row = json.loads(line)
        json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair cannot be written
    except ValueError:
        return False
    return isinstance(row, dict)


@pytest.mark.parametrize("injector", _variants("FMT006"))
def test_tool_calls_break_their_schema(injector: Injector) -> None:
    for draw in _draws(injector):
        row = draw.rows[0]
        assert isinstance(row, dict)
        assert not _call_holds(row)


def _call_holds(row: Row) -> bool:
    tools = {tool["function"]["name"]: tool["function"]["parameters"] for tool in row["tools"]}
    called = next(turn["tool_calls"][0]["function"] for turn in row["messages"] if "tool_calls" in turn)
    try:
        arguments = json.loads(called["arguments"]) if isinstance(called["arguments"], str) else called["arguments"]
        jsonschema.validate(arguments, tools[called["name"]])
    except (ValueError, KeyError, jsonschema.ValidationError):
        return False
    return True


@pytest.mark.parametrize("injector", _variants("TXT007"))
def test_the_json_is_invalid_and_was_asked_for(injector: Injector) -> None:
    for draw in _draws(injector):
        row = draw.rows[0]
        assert isinstance(row, dict)
        assert "json" in prompt_of(row).lower()
        with pytest.raises(ValueError):
            json.loads(re.sub(r"^```json\n|\n```$", "", response_of(row)))


@pytest.mark.parametrize("injector", _variants("TXT006"))
def test_a_fence_stays_open(injector: Injector) -> None:
    for draw in _draws(injector):
        marks = re.findall(r"^\s*(```|~~~)", _answer(draw), re.MULTILINE)
        assert len(marks) % 2 == 1 or len(set(marks)) == 2


_SIMPLE_SUM = re.compile(
    r"\$?([\d.,]+) ?([-+*/×÷−x]|plus|minus|times|divided by) ?\$?([\d.,]+) ?(?:=|equals|is) ?\$?([\d.,]+\d)"
)
_OPERATIONS = {
    "+": float.__add__,
    "plus": float.__add__,
    "-": float.__sub__,
    "−": float.__sub__,
    "minus": float.__sub__,
    "*": float.__mul__,
    "×": float.__mul__,
    "x": float.__mul__,
    "times": float.__mul__,
    "/": float.__truediv__,
    "÷": float.__truediv__,
    "divided by": float.__truediv__,
}


@pytest.mark.parametrize("injector", _variants("CNF003")[:5])
def test_the_arithmetic_is_wrong(injector: Injector) -> None:
    n_parsed = 0
    for draw in _draws(injector):
        match = _SIMPLE_SUM.search(_answer(draw))
        if match is not None:
            a, b, c = (float(match[group].replace(",", "").rstrip(".")) for group in (1, 3, 4))
            assert abs(_OPERATIONS[match[2]](a, b) - c) > 0.005
            n_parsed += 1
    assert n_parsed > 10


@pytest.mark.parametrize("injector", _variants("CNF001"))
def test_the_same_question_has_two_answers(injector: Injector) -> None:
    for draw in _draws(injector):
        one, other = draw.rows
        assert isinstance(one, dict)
        assert isinstance(other, dict)
        assert prompt_of(one).strip(" ?").lower() == prompt_of(other).strip(" ?").lower()
        assert response_of(one) != response_of(other)


def test_numbers_of_accounts_carry_right_check_digits() -> None:
    injectors = {injector.__name__: injector for injector in INJECTORS["PII002"]}
    for draw in _draws(injectors["payment_card"]):
        number = re.search(r"\d[\d -]{12,}\d", json.dumps(draw.rows[0]))
        assert number is not None
        assert luhn.is_valid(re.sub(r"\D", "", number[0]))
    for draw in _draws(injectors["iban"]):
        number = re.search(r"[A-Z]{2}\d\d(?: ?[A-Z\d]{4}){2,}(?: ?[A-Z\d]{1,3}\b)?", json.dumps(draw.rows[0]))
        assert number is not None
        assert iban.is_valid(number[0])
