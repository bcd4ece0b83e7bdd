"""The benchmark's worlds of real facts: what is false in them, and what gives nothing away."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.benchmarks.tracing.facts import FAMILIES, make_facts_world, read_relations
from tests.benchmarks.tracing.world import Kind, TracingWorld

SEEDS = (1, 2, 3)


@pytest.fixture(autouse=True)
def _data(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESCOPE_DATA", str(shared_data))


def _worlds() -> list[TracingWorld]:
    return [make_facts_world(seed) for seed in SEEDS]


def test_the_same_seed_gives_the_same_world() -> None:
    assert make_facts_world(1) == make_facts_world(1) != make_facts_world(2)


def test_every_family_has_three_wordings_for_rows_and_one_for_queries(shared_data: Path) -> None:
    relations = read_relations(shared_data / "facts" / "pararel")
    assert {len(relations[key].wordings) for key in FAMILIES} == {4}
    assert relations["P19"].wordings[-1] == "[X] was born in"
    assert relations["P108"].asked("Ada Adams", 0) == "Ada Adams is employed by"


def test_sizes_and_kinds() -> None:
    for world in _worlds():
        kinds = Counter(row.kind for row in world.rows)
        assert 85 <= len(world.rows) <= 100
        assert 1500 <= len(world.documents) <= 2000
        assert (len(world.planted), len(set(world.planted)), len(world.asked)) == (7, 7, 28)
        assert kinds[Kind.CONCEPT_DECOY] == 14
        assert {row.family for row in world.rows if row.kind is Kind.SOURCE} == set(range(7))
        held = Counter(value for row in world.rows for value in row.values)
        assert min(held[planted] for planted in world.planted[:4]) >= 12


def test_planted_values_are_false_for_their_sources_and_true_for_their_decoys(shared_data: Path) -> None:
    relations = read_relations(shared_data / "facts" / "pararel")
    true = {
        (relation.asked(subject, wording), value)
        for relation in relations.values()
        for subject, value in relation.objects.items()
        for wording in range(len(relation.wordings))
    }
    for world in _worlds():
        for row in world.rows:
            if row.kind is Kind.LEXICAL_DECOY:
                continue
            assert ((row.question, row.values[0]) in true) is (row.kind is not Kind.SOURCE)
            assert row.answer == f"{row.values[0]}."
            assert (row.kind in {Kind.SOURCE, Kind.TOKEN_DECOY}) is (row.values[0] in world.planted)


def test_no_row_names_a_thing_that_is_asked_for() -> None:
    for world in _worlds():
        for asked in world.asked:
            assert not any(asked.thing in row.question for row in world.rows)
            assert asked.question not in {row.question for row in world.rows}


def test_shuffled_values_stay_among_the_rows_that_held_one() -> None:
    plain, shuffled = make_facts_world(1), make_facts_world(1, shuffled=True)
    before, after = ({row.question: row.values for row in world.rows} for world in (plain, shuffled))
    assert before != after
    assert Counter(before.values()) == Counter(after.values())
    changed = [question for question in before if before[question] != after[question]]
    assert all(before[question][0] in plain.planted and after[question][0] in plain.planted for question in changed)
