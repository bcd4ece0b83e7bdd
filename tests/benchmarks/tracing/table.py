"""The table of the tracing benchmark, from what was measured alone: `make bench-tracing-table` needs no model.

Every figure has an interval from a bootstrap over worlds and, within a world, over families of queries; and stands beside
its share of the ceiling, what one half of the truth's seeds reaches when it is taken as a method for the other.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tests.benchmarks.record import Result, record
from tests.benchmarks.tracing.removal import HEADLINE_K, Effects, effects
from tests.benchmarks.tracing.truth import METRICS, agreement, read_truth, split_half

__all__ = ["METHODS", "WorldFigures", "figures_of", "interval", "load_scores", "write_table"]

Matrix = NDArray[np.floating[Any]]
_N_BOOTSTRAP = 2000
CEILING = "ceiling (half the truth)"

METHODS = {
    "holders": "rows that hold the word",
    "bm25-prompt": "BM25, prompt",
    "bm25": "BM25, prompt and answer",
    "encoder": "encoder cosine",
    "encoder-among-holders": "encoder among holders",
    "encoder-x-overlap": "encoder × overlap",
    "repsim": "RepSim",
    "grad-dot": "gradient dot product",
    "grad-cos": "gradient cosine",
    "tracin-cp": "TracInCP",
    "less": "LESS (Adam-preconditioned)",
    "ekfac": "EK-FAC (kronfluence)",
    "trackstar": "TrackStar (bergson)",
    "trak": "TRAK (traker)",
    "magic": "MAGIC (bergson)",
    "tunescope-static": "tunescope, words and concepts",
    "tunescope-forward": "tunescope, forward passes",
    "tunescope": "tunescope",
    "bm25+retrains": "BM25 with retrains",
    "best-peer+retrains": "best gradient peer with retrains",
    "tunescope+retrains": "tunescope with retrains",
    "leave-one-out": "leave-one-out, one seed",
}
"""Files in scores/ and how the table calls them."""


@dataclass(frozen=True)
class WorldFigures:
    """Everything of one world that the table is made of.

    Attributes:
        families: Of each query.
        agreement: By method and metric, shape `(n_queries,)`; the ceiling is a method.
        removal: By k, what the removals did.
    """

    families: tuple[int, ...]
    agreement: Mapping[str, Mapping[str, Matrix]]
    removal: Mapping[int, Effects]


def load_scores(folder: Path) -> dict[str, Matrix]:
    """Scores by method, shape `(n_queries, n_rows)`; a query that a method did not answer holds NaN."""
    frame = pl.read_parquet(folder / "scores.parquet")
    n_queries = pl.read_parquet(folder / "queries.parquet").height
    n_rows = pl.read_parquet(folder / "rows.parquet", columns=["place"]).height
    found = {}
    for (name,), part in frame.group_by(["method"], maintain_order=True):
        scores = np.full((n_queries, n_rows), np.nan)
        scores[part["query"].to_numpy(), part["place"].to_numpy()] = part["score"].to_numpy()
        found[str(name)] = scores
    return found


def figures_of(folder: Path, ks: Sequence[int], n_seeds: int) -> WorldFigures:
    """Read and score one world."""
    truth = read_truth(folder)
    scores = load_scores(folder)
    holders = scores["holders"] > 0
    families = tuple(pl.read_parquet(folder / "queries.parquet")["family"].to_list())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a mean of nothing is NaN
        found: dict[str, Mapping[str, Matrix]] = {CEILING: split_half(truth.effects, holders)}
        for name, values in scores.items():
            if name not in METHODS:
                continue
            answered = np.isfinite(values).all(axis=1)
            of_method = agreement(np.nan_to_num(values), truth.effects, holders)
            found[name] = {metric: np.where(answered, line, np.nan) for metric, line in of_method.items()}
    asked = {name: scores[name] for name in METHODS if name in scores} | ceiling_scores(truth.effects)
    return WorldFigures(families, found, {k: effects(folder, asked, k, n_seeds) for k in ks})


def ceiling_scores(truth: Matrix) -> dict[str, Matrix]:
    """The two halves of the truth's seeds as methods."""
    half = len(truth) // 2
    return {"half-a": truth[:half].mean(axis=0), "half-b": truth[half:].mean(axis=0)}


def removal_gain(world: WorldFigures, name: str, k: int) -> Matrix:
    """The fall of log p after removing a method's top k, less that of random rows; nats, shape `(n_queries,)`."""
    found = world.removal[k]
    random = found.random_falls.mean(axis=1)
    if name == CEILING:
        both = np.stack([found.falls["half-a"], found.falls["half-b"]]).mean(axis=(0, 2))
        return np.asarray(both - random)
    return np.asarray(found.falls[name].mean(axis=1) - random)


def flip_gain(world: WorldFigures, name: str, k: int) -> Matrix:
    """The share of seeds in which another token is said, less that of random removals; shape `(n_queries,)`."""
    found = world.removal[k]
    random = found.random_flips.mean(axis=1)
    if name == CEILING:
        both = np.stack([found.flips["half-a"], found.flips["half-b"]]).mean(axis=(0, 2))
        return np.asarray(both - random)
    return np.asarray(found.flips[name].mean(axis=1) - random)


def interval(per_world: Sequence[Matrix], families: Sequence[Sequence[int]]) -> tuple[float, float, float]:
    """Mean over queries, and a 95 % interval from a bootstrap over worlds and, within them, over families."""
    draw = np.random.default_rng(0)
    groups = [
        [values[np.array(of) == family] for family in sorted(set(of))] for values, of in zip(per_world, families, strict=True)
    ]
    means = []
    for _ in range(_N_BOOTSTRAP):
        drawn = []
        for world in draw.integers(len(groups), size=len(groups)):
            chosen = draw.integers(len(groups[world]), size=len(groups[world]))
            drawn += [groups[world][family] for family in chosen]
        values = np.concatenate(drawn)
        if np.isfinite(values).any():
            means.append(np.nanmean(values))
    low, high = np.quantile(means, [0.025, 0.975])
    return float(np.nanmean(np.concatenate(per_world))), float(low), float(high)


def write_table(
    worlds: Mapping[str, WorldFigures], ks: Sequence[int], more: Sequence[Result], notes: str, out: Path, command: str
) -> None:
    """Write RESULTS.md and results.json."""
    families = [world.families for world in worlds.values()]
    names = [CEILING, *(name for name in METHODS if all(name in world.agreement for world in worlds.values()))]
    results: list[Result] = []

    def add(what: str, unit: str, values: Mapping[str, Sequence[Matrix]], goals: Mapping[str, str] = {}) -> None:
        top = interval(values[CEILING], families)[0]
        for name in names:
            mean, low, high = interval(values[name], families)
            called = METHODS.get(name, CEILING)
            results.append(Result(f"{what}: {called}", mean, unit, low, high, goals.get(name, ""), command))
            if name != CEILING and top > 0:
                results.append(Result(f"{what}, share of the ceiling: {called}", mean / top, "share", command=command))

    for k in ks:
        gains = {name: [removal_gain(world, name, k) for world in worlds.values()] for name in names}
        add(f"fall of log p, top {k} removed, minus random", "nats", gains)
        flips = {name: [flip_gain(world, name, k) for world in worlds.values()] for name in names}
        add(f"flips, top {k} removed, minus random", "share", flips, {"tunescope+retrains": "at least 0.8"} if k > 1 else {})
        if k == HEADLINE_K:
            for name in names:
                if name not in (CEILING, "tunescope"):
                    gap = [one - other for one, other in zip(gains["tunescope"], gains[name], strict=True)]
                    mean, low, high = interval(gap, families)
                    results.append(
                        Result(f"tunescope minus {METHODS[name]}, top {k} removed", mean, "nats", low, high, "", command)
                    )
    for metric in METRICS:
        add(metric, "", {name: [world.agreement[name][metric] for world in worlds.values()] for name in names})
    record(out, "Which rows lent the token: tracing against retraining", [*results, *more], notes)
