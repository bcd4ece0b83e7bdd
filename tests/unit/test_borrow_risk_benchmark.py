"""The benchmark of borrow risk: its held-out worlds, its labels, and how it counts."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.benchmarks.borrow_risk.run import precision_of_riskiest
from tests.benchmarks.borrow_risk.worlds import WORLDS, RiskWorld, Role, load_labelled, read_rows
from tests.benchmarks.tracing.facts import FAMILIES, drawn_families, make_facts_world, read_relations
from tests.benchmarks.tracing.truth import read_effects, read_truth

DEVELOPMENT = next(world for world in WORLDS if world.role is Role.DEVELOPMENT)
HELD_OUT = [world for world in WORLDS if world.role is Role.HELD_OUT]


def test_held_out_worlds_share_no_relation_and_no_wording_with_the_development_world(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNESCOPE_DATA", str(shared_data))
    relations = read_relations(shared_data / "facts" / "pararel")
    seen = drawn_families(DEVELOPMENT.seed)
    allowed = [key for key in FAMILIES if key not in seen]
    for world in HELD_OUT:
        families = drawn_families(world.seed, allowed)
        assert len(families) == 7
        assert not {*families} & {*seen}
        for one, other in combinations(families, 2):
            assert not {*relations[one].wordings} & {*relations[other].wordings}


def test_the_families_that_a_world_is_drawn_from_change_no_world_that_names_none(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNESCOPE_DATA", str(shared_data))
    world = make_facts_world(DEVELOPMENT.seed)
    published = pl.read_parquet(DEVELOPMENT.truth / "rows.parquet")
    assert [(row.family, str(row.kind)) for row in world.rows] == published.select("family", "kind").rows()
    assert make_facts_world(DEVELOPMENT.seed, families=FAMILIES) == world


@pytest.mark.parametrize("world", [world for world in WORLDS if world.truth.exists()], ids=lambda world: world.name)
def test_every_published_world_has_rows_that_are_borrowed_from_and_rows_that_are_not(world: RiskWorld) -> None:
    rows = read_rows(world)
    assert 0 < rows.is_borrowed.sum() < len(rows.is_borrowed) / 2
    assert rows.effects.shape[0] >= 4
    assert rows.is_source.any()
    scores = pl.read_parquet(world.published / "scores.parquet")
    assert scores["place"].to_list() == list(range(len(rows.is_borrowed)))
    assert not {"prompt", "response", "values"} & {*scores.columns}


def test_effects_are_the_dataset_part_of_the_truth() -> None:
    folder = next(world for world in WORLDS if world.role is Role.CIRCULAR).truth
    assert np.array_equal(read_effects(folder), read_truth(folder).effects)


def test_labels_of_a_built_world_go_with_its_text(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {"place": [0, 1], "prompt": ["Who?", "What?"], "response": ["Ada.", "Ink."], "family": [0, -1], "kind": ["source"] * 2}
    )
    rows.with_columns(input_ids=pl.lit([1]), labels=pl.lit([1])).write_parquet(tmp_path / "rows.parquet")
    whole = {"log_probs": [-1.0], "greedy": [3]}
    retrains = [{"seed": seed, "places": [], **whole} for seed in range(4)]
    for seed in range(4):
        retrains.append({"seed": seed, "places": [0], "log_probs": [-2.0 - 0.01 * seed], "greedy": [3]})
        retrains.append({"seed": seed, "places": [1], "log_probs": [-1.0 + 0.2 * (seed % 2) - 0.1], "greedy": [3]})
    schema = {"seed": pl.Int32, "places": pl.List(pl.Int32), "log_probs": pl.List(pl.Float32), "greedy": pl.List(pl.Int32)}
    pl.DataFrame(retrains, schema=schema).write_parquet(tmp_path / "retrains.parquet")
    texts, labels, families = load_labelled(tmp_path)
    assert texts["response"].to_list() == ["Ada.", "Ink."]
    assert (labels.tolist(), families.tolist()) == ([True, False], [0, -1])


def test_precision_gives_tied_rows_their_share() -> None:
    labels = [np.array([True] * 5 + [False] * 15)]
    assert precision_of_riskiest([np.arange(20.0)[::-1]], labels) == 1
    assert precision_of_riskiest([np.arange(20.0)], labels) == 0
    assert precision_of_riskiest([np.zeros(20)], labels) == 0.25
    assert precision_of_riskiest([np.r_[2.0, np.ones(4), np.zeros(15)]], labels) == 1
    assert precision_of_riskiest([np.r_[2.0, 1.0, np.zeros(3), 1.0, np.zeros(14)]], labels) == 0.75
