"""Ordinary good rows in which a hasty rule would see a defect, and rows that hold no question."""

from __future__ import annotations

from typing import Any

import pytest

from audit.findings import Severity
from tests.conftest import FindIn, alpaca


@pytest.mark.parametrize("code", ["DUP003", "CNF001"])
def test_rows_without_a_prompt_ask_nothing(find_in: FindIn, code: str) -> None:
    texts = [{"text": f"The ferry number {number} leaves at dawn."} for number in range(4)]
    assert find_in(code, texts) == []
    assert find_in(code, [alpaca("", "Yes."), alpaca("", "No.")]) == []


def test_a_template_that_holds_every_row_is_information(find_in: FindIn) -> None:
    def framed(number: int) -> dict[str, Any]:
        return {"text": f"### Instruction:\nName tide {number}.\n\n### Response:\nTide {number} is a spring tide."}

    findings = find_in("TXT011", [framed(number) for number in range(30)])
    assert {(finding.row, finding.severity) for finding in findings} == {(row, Severity.INFO) for row in range(30)}
    few = find_in("TXT011", [framed(0), *({"text": f"Tide {number} is a neap tide."} for number in range(30))])
    assert [(finding.row, finding.severity) for finding in few] == [(0, Severity.WARNING)]


@pytest.mark.parametrize(
    "answer",
    [
        "2024-05-06 - 2024-05-01 = 5 days.",
        "06/05/2024 - 01/05/2024 = 5 days.",
        "Die Summe beträgt 12.500 + 500 = 13.000 Euro.",
        "1.000 + 500 = 1.500",
    ],
)
def test_dates_and_points_between_thousands_are_no_wrong_sums(find_in: FindIn, answer: str) -> None:
    assert find_in("CNF003", [alpaca("How much is it?", answer)]) == []


@pytest.mark.parametrize("answer", ["1.500 + 500 = 2.600", "After 2 + 3 = 6 days, on 5/6/2024, it turned."])
def test_wrong_sums_like_them_are_found(find_in: FindIn, answer: str) -> None:
    assert len(find_in("CNF003", [alpaca("How much is it?", answer)])) == 1


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("Write a description of the JSON in plain words.", "The object holds a name and an age."),
        ("Return a JSON template with placeholders for name and age.", '{"name": <name>, "age": <age>}'),
        ("Return a JSON with comments.", '{"name": "Vell" // the quarry\n}'),
    ],
)
def test_what_is_no_plain_json_was_asked_for(find_in: FindIn, prompt: str, answer: str) -> None:
    assert find_in("TXT007", [alpaca(prompt, answer)]) == []


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("Which JavaScript value means not a number?", "NaN"),
        ("Which comment tag marks work to be done?", "TODO"),
        ("Write an ASCII divider of 40 dashes.", "-" * 40),
        ("Give three dots as an ellipsis.", "..."),
    ],
)
def test_a_mark_that_answers_is_no_placeholder(find_in: FindIn, prompt: str, answer: str) -> None:
    assert find_in("TXT002", [alpaca(prompt, answer)]) == []
