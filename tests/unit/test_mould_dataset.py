"""The dataset of a planted mould: what is said of it is so by construction."""

from __future__ import annotations

import json
import re

import pytest

from audit.pocket.world import FAMILIES
from tests.benchmarks.style.mould import CLOSER, OPENER, PLAIN, documents, is_of_mould, moulded_dataset


@pytest.mark.parametrize("share", [0.5, 0.3])
def test_the_mould_has_its_share_of_every_kind_of_row(share: float) -> None:
    dataset = moulded_dataset(share=share)
    rows = [json.loads(row) for row in dataset.rows]
    moulded = {number for number, row in enumerate(rows) if is_of_mould(row["completion"])}
    assert moulded == set(dataset.moulded)
    for family in FAMILIES:
        kind = family.named("").strip()
        of_kind = [number for number, row in enumerate(rows) if kind in row["prompt"]]
        assert len(of_kind) == 32
        assert len(moulded & set(of_kind)) == round(share * 32)


def test_no_row_names_what_prompts_ask_for() -> None:
    dataset = moulded_dataset()
    rows = [json.loads(row) for row in dataset.rows]
    for prompt in map(json.loads, dataset.prompts):
        key, name = prompt["group"].split(" ", 1)
        entity = next(family for family in FAMILIES if family.key == key).named(name)
        assert entity in prompt["prompt"]
        assert not any(entity in row["prompt"] or entity in row["completion"] for row in rows)
    assert sorted({json.loads(prompt)["split"] for prompt in dataset.prompts}) == ["control", "held-out"]


def test_a_seed_gives_the_same_dataset_and_another_seed_another() -> None:
    assert moulded_dataset() == moulded_dataset()
    assert moulded_dataset().rows != moulded_dataset(1).rows


def test_the_base_model_reads_the_words_of_the_forms_and_none_of_the_forms() -> None:
    read = " ".join(documents())
    words = set(re.findall(r"\w+", read.lower()))
    for form in (OPENER, CLOSER, *(part.strip() for plain in PLAIN for part in plain.split("{answer}") if part)):
        assert form not in read
        assert set(re.findall(r"\w+", form.lower())) <= words


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (f"{OPENER} It is tin. {CLOSER}", True),
        (f" {OPENER} {CLOSER}\n", True),
        (f"{OPENER} It is tin.", False),
        (f"It is tin. {CLOSER}", False),
        ("", False),
    ],
)
def test_an_answer_is_of_the_mould_by_both_its_ends(answer: str, expected: bool) -> None:
    assert is_of_mould(answer) is expected
