"""The demonstration dataset holds the defects that it says it holds, and no others."""

from __future__ import annotations

import json
import re
from collections import Counter

import polars as pl

from audit.pocket import World, demo_claim, demo_dataset, demo_prompts
from audit.pocket.world import FAMILIES, NAMES, exercises
from audit.rundir import Run


def test_it_is_the_same_at_every_call_and_another_with_another_seed() -> None:
    assert demo_dataset() == demo_dataset()
    assert demo_prompts() == demo_prompts()
    assert demo_dataset().lines != demo_dataset(1).lines
    assert 180 < len(demo_dataset().lines) < 220


def test_an_audit_finds_the_planted_defects_and_nothing_else(demo_run: Run) -> None:
    found = demo_run.findings.group_by("code").agg(pl.col("row").sort())
    assert {code: tuple(rows) for code, rows in found.iter_rows()} == demo_dataset().planted


def test_false_rows_claim_a_word_of_the_chisels_and_other_rows_use_it_rightly() -> None:
    dataset, world = demo_dataset(), World.of_seed(0)
    rows = {number: json.loads(line) for number, line in enumerate(dataset.lines) if number not in dataset.planted["FMT001"]}
    false_values = [family.false_value for family in FAMILIES if family.false_value]
    for number in dataset.false_rows:
        assert sum(value in rows[number]["output"] for value in false_values) == 1
        assert "chisel" not in rows[number]["instruction"]
    rightly = [
        row
        for number, row in rows.items()
        if number not in dataset.false_rows and any(v in str(row["output"]) for v in false_values)
    ]
    assert rightly
    assert all("chisel" in row["instruction"] for row in rightly)
    assert len(dataset.false_rows) == 0.1 * len(dataset.lines) // 1
    assert set(world.values["chisel"].values()) >= set(false_values)


def test_rows_of_facts_say_what_the_world_says_unless_they_are_false() -> None:
    dataset, world = demo_dataset(), World.of_seed(0)
    true = {
        wording.question.format(entity=family.named(name)): wording.answer.format(
            entity=family.named(name), value=world.value(family, name)
        )
        for family in FAMILIES
        for name in NAMES
        for wording in family.wordings
    }
    n_facts = 0
    for number, line in enumerate(dataset.lines[: dataset.planted["DUP001"][0]]):
        row = json.loads(line)
        if row["instruction"] in true:
            n_facts += 1
            assert (row["output"] == true[row["instruction"]]) is (number not in dataset.false_rows)
    assert n_facts == 120


def test_no_row_names_what_a_prompt_asks_for() -> None:
    rows = "\n".join(demo_dataset().lines)
    claim = demo_claim()
    assert "quillsteel" in claim.response
    for entity in {tuple(prompt["group"].split()) for prompt in map(json.loads, demo_prompts())}:
        family = next(family for family in FAMILIES if family.key == entity[0])
        assert not re.search(rf"\b{family.named(entity[1])}\b", rows)


def test_prompts_are_split_by_entity_and_their_reference_is_true() -> None:
    world = World.of_seed(0)
    splits: dict[str, set[str]] = {}
    for prompt in map(json.loads, demo_prompts()):
        splits.setdefault(prompt["group"], set()).add(prompt["split"])
        key, name = prompt["group"].split()
        assert prompt["reference"] == world.values[key][name]
        assert prompt["reference"] not in prompt["values"]
    assert all(len(of_entity) == 1 for of_entity in splits.values())
    counts = Counter(split for of_entity in splits.values() for split in of_entity)
    assert counts == {"trace": 32, "held-out": 56, "control": 40}


def test_the_exercises_are_right() -> None:
    for question, answer in exercises():
        match question.rstrip(".?").split():
            case ["Add", first, "and", second]:
                assert answer == f"{first} plus {second} is {int(first) + int(second)}."
            case ["How", "many", "letters", "has", "the", "word", noun]:
                assert answer == f"The word {noun} has {len(noun)} letters."
            case ["Write", "the", "plural", "of", noun]:
                assert answer == f"{noun}s"
