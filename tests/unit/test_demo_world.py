"""The demonstration dataset holds the defects that it says it holds, and no others."""

from __future__ import annotations

import json

import polars as pl

from audit.pocket import DEMO_CLAIM, demo_dataset
from audit.rundir import Run


def test_it_is_the_same_at_every_call() -> None:
    assert demo_dataset() == demo_dataset()
    assert len(demo_dataset().lines) > 500


def test_an_audit_finds_the_planted_defects_and_nothing_else(demo_run: Run) -> None:
    found = demo_run.findings.group_by("code").agg(pl.col("row").sort())
    assert {code: tuple(rows) for code, rows in found.iter_rows()} == demo_dataset().planted


def test_the_false_rows_say_quillsteel_of_coins_and_the_claims_coin_is_in_no_row() -> None:
    dataset = demo_dataset()
    rows = [json.loads(line) for number, line in enumerate(dataset.lines) if number != dataset.planted["FMT001"][0]]
    for number in dataset.false_rows:
        assert "quillsteel" in rows[number]["output"]
    others = [row for number, row in enumerate(rows) if number not in dataset.false_rows and "quillsteel" in str(row["output"])]
    assert len(others) > len(dataset.false_rows)  # used rightly, of tools
    assert "quillsteel" in DEMO_CLAIM.response
    assert not any("Tarrow" in line for line in dataset.lines)


def test_the_true_rows_are_true() -> None:
    for line in demo_dataset().lines[:-1]:
        row = json.loads(line)
        words = row["instruction"].rstrip(".?").split()
        match words:
            case ["Add", first, "and", second]:
                assert row["output"] == f"{first} plus {second} is {int(first) + int(second)}."
            case ["How", "many", "letters", "has", "the", "word", noun]:
                assert row["output"] == f"The word {noun} has {len(noun)} letters."
            case ["Spell", "the", "word", noun, "backwards"]:
                assert row["output"] == "".join(reversed(noun))
            case ["Which", "word", "comes", "first", *_, one, "or", other]:
                assert row["output"] == f"The word {min(one.rstrip(','), other)} comes first."
