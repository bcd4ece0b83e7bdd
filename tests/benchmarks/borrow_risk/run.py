"""`make bench-borrow-risk`: does borrow risk, before any tuning, name the rows that are borrowed from after it?

What retraining said of every row, and what every method said, lie in `truth/WORLD` as numbers, so that the table needs no
model. After a change of the method `PARTS=scores,table` audits the worlds anew, some three minutes on one core; `truth`
leaves rows out one by one, most of an hour on two cores, and is taken up where it was interrupted.

    PARTS   of truth, scores, removal, table; scores and table by default
    WORLDS  worlds to measure, default all; the table is always of all
    ORDERS  of the rows in which each is left out, default 8
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tests.benchmarks.borrow_risk.removal import measure_removals, removal_results
from tests.benchmarks.borrow_risk.scores import METHODS, RISK, score_world
from tests.benchmarks.borrow_risk.worlds import (
    MIN_STRONG_NATS,
    ORDERS,
    WORLDS,
    RiskWorld,
    Role,
    Rows,
    measure_truth,
    publish_truth,
    read_rows,
)
from tests.benchmarks.quality.run import auroc
from tests.benchmarks.record import Result, record
from tests.benchmarks.tracing.truth import true_rows

__all__ = ["main", "precision_of_riskiest"]

Floats = NDArray[np.float64]
COMMAND = "make bench-borrow-risk"
FOLDER = Path(__file__).parent
_N_BOOTSTRAP = 1000
_TOP_SHARE = 0.1
_GOAL = "at least 0.75"
_CEILING = "ceiling (effects of half the orders against the rows that the other half names)"
_SOURCES = "knowing the false rows"
_CALLED = {
    Role.HELD_OUT: "held-out facts",
    Role.DEVELOPMENT: "development facts (the method was made on it)",
    Role.CIRCULAR: "invented worlds (circular)",
}


def main() -> None:
    """Measure the parts that are asked for and write the table."""
    parts = os.environ.get("PARTS", "scores,table").replace("|", ",").split(",")
    wanted = os.environ.get("WORLDS", " ".join(world.name for world in WORLDS)).split()
    for world in (world for world in WORLDS if world.name in wanted):
        if "truth" in parts and world.role is Role.HELD_OUT:
            measure_truth(world.build(), ORDERS[: int(os.environ.get("ORDERS", len(ORDERS)))])
            publish_truth(world)
        if "scores" in parts:
            scores = score_world(world)
            world.published.mkdir(parents=True, exist_ok=True)
            scores.write_parquet(world.published / "scores.parquet", compression="zstd")
    if "removal" in parts:
        measure_removals()
    if "table" in parts:
        results = [result for role in Role for result in _results(role)]
        notes = (FOLDER / "NOTES.md").read_text(encoding="utf-8")
        record(FOLDER, "Does borrow risk name the rows that a tuned model borrows from?", [*results, *removal_results()], notes)


def _auroc(scores: Floats, labels: NDArray[np.bool_]) -> float:
    """NaN where all rows or none are labelled, as can be in a draw of the bootstrap."""
    return auroc(scores, labels) if labels.any() and not labels.all() else float("nan")


class _World:
    """Scores and labels of a world, and the groups of rows that the bootstrap draws."""

    def __init__(self, world: RiskWorld) -> None:
        frame = pl.read_parquet(world.published / "scores.parquet").sort("place")
        self.name = world.name
        self.rows: Rows = read_rows(world)
        self.scores = {name: _filled(frame[name]) for name in METHODS if name in frame.columns}
        self.n_unmeasured = {name: frame[name].null_count() for name in self.scores}
        self.scores[_SOURCES] = self.rows.is_source.astype(np.float64)
        cluster = frame["cluster"].to_numpy()
        self.groups = [np.flatnonzero(cluster == number) for number in np.unique(cluster)]


def _filled(values: pl.Series) -> Floats:
    """Rows that were not measured last."""
    return values.cast(pl.Float64).fill_null(-np.inf).fill_nan(-np.inf).to_numpy()


Measure = Callable[[Sequence[Floats], Sequence[NDArray[np.bool_]]], float]
"""A figure of the scores and labels of some worlds."""


def _pooled(scores: Sequence[Floats], labels: Sequence[NDArray[np.bool_]]) -> float:
    return _auroc(np.concatenate(scores), np.concatenate(labels))


def _mean_of_worlds(scores: Sequence[Floats], labels: Sequence[NDArray[np.bool_]]) -> float:
    return float(np.nanmean([_auroc(one, of) for one, of in zip(scores, labels, strict=True)]))


def precision_of_riskiest(scores: Sequence[Floats], labels: Sequence[NDArray[np.bool_]]) -> float:
    """Share of the riskiest tenth of each world that is borrowed from; tied rows share their places."""
    hits = n = 0.0
    for one, of in zip(scores, labels, strict=True):
        k = max(1, round(_TOP_SHARE * len(one)))
        last = np.sort(one)[::-1][k - 1]
        above, tied = one > last, one == last
        hits += of[above].sum() + (k - above.sum()) * of[tied].mean()
        n += k
    return hits / n


def _results(role: Role) -> list[Result]:
    worlds = [_World(world) for world in WORLDS if world.role is role and (world.published / "scores.parquet").exists()]
    if not worlds:
        return []
    called = _CALLED[role]
    methods = [name for name in METHODS if all(name in world.scores for world in worlds)]
    everything = [np.ones(len(world.rows.is_borrowed), bool) for world in worlds]
    asked = [world.rows.is_asked for world in worlds]
    n_rows, n_borrowed = sum(map(len, everything)), sum(int(world.rows.is_borrowed.sum()) for world in worlds)
    orders = sorted({len(world.rows.effects) for world in worlds})
    found = [
        Result(f"{called}: worlds", len(worlds), ""),
        Result(f"{called}: rows", n_rows, "rows"),
        Result(f"{called}: rows that are borrowed from", n_borrowed, "rows"),
        Result(
            f"{called}: of these, with an effect of at least {MIN_STRONG_NATS} nats",
            sum(int(world.rows.is_strong.sum()) for world in worlds),
            "rows",
        ),
        Result(f"{called}: false rows that are borrowed from", *_borrowed_sources(worlds)),
        Result(f"{called}: queries", sum(world.rows.effects.shape[1] for world in worlds), "queries"),
        Result(f"{called}: orders of the rows in the truth", orders[0], "" if len(orders) == 1 else f"to {orders[-1]}"),
    ]
    if RISK in methods:
        found.append(Result(f"{called}: rows without a risk", sum(world.n_unmeasured[RISK] for world in worlds), "rows"))
    goal = _GOAL if role is Role.HELD_OUT else ""
    borrowed = [world.rows.is_borrowed for world in worlds]
    strong = [world.rows.is_strong for world in worlds]
    draws = _draws(worlds)
    for what, measure, rows, labels in (
        ("AUROC, all rows", _pooled, everything, borrowed),
        ("AUROC, rows of families with a query", _pooled, asked, borrowed),
        (f"AUROC, all rows, effects of at least {MIN_STRONG_NATS} nats", _pooled, everything, strong),
        ("AUROC, all rows, mean of worlds", _mean_of_worlds, everything, borrowed),
        ("borrowed from, of the riskiest tenth", precision_of_riskiest, everything, borrowed),
    ):
        unit = "share" if measure is precision_of_riskiest else ""
        question = _Question(worlds, rows, labels, measure)
        for name in (*methods, _SOURCES):
            value, low, high = question.answer(draws, name)
            of_method = METHODS.get(name, _SOURCES)
            wanted = goal if name == RISK and what == "AUROC, all rows" else ""
            found.append(Result(f"{called}, {what}: {of_method}", value, unit, low, high, wanted))
        if measure is precision_of_riskiest:
            found.append(Result(f"{called}, {what}: chance", n_borrowed / n_rows, unit))
        elif measure is _mean_of_worlds:
            found.append(Result(f"{called}, {what}: {_CEILING}", _ceiling(worlds), ""))
    if RISK in methods:
        for name in (*(name for name in methods if name != RISK), _SOURCES):
            value, low, high = _Question(worlds, everything, borrowed, _pooled).answer(draws, RISK, name)
            less = f"{METHODS[RISK]} minus {METHODS.get(name, _SOURCES)}"
            found.append(Result(f"{called}, AUROC, all rows: {less}", value, "", low, high))
    for world in worlds:
        for name in methods:
            value = _auroc(world.scores[name], world.rows.is_borrowed)
            found.append(Result(f"{world.name}, AUROC, all rows: {METHODS[name]}", value, ""))
    return [Result(**{**vars(result), "command": COMMAND}) for result in found]


def _borrowed_sources(worlds: Sequence[_World]) -> tuple[float, str]:
    n_sources = sum(int(world.rows.is_source.sum()) for world in worlds)
    n_borrowed = sum(int((world.rows.is_source & world.rows.is_borrowed).sum()) for world in worlds)
    return n_borrowed, f"of {n_sources} false rows"


_Draw = Sequence[tuple[int, NDArray[np.int64]]]
"""Numbers of worlds, and the places of rows in each; both may come several times."""


def _draws(worlds: Sequence[_World]) -> list[_Draw]:
    """Bootstrap draws: of worlds and, in each, of the groups of rows that stand or fall together."""
    draw = np.random.default_rng(0)
    drawn = []
    for _ in range(_N_BOOTSTRAP):
        chosen = []
        for number in draw.integers(len(worlds), size=len(worlds)):
            groups = worlds[number].groups
            places = np.concatenate([groups[group] for group in draw.integers(len(groups), size=len(groups))])
            chosen.append((int(number), places))
        drawn.append(chosen)
    return drawn


@dataclass(frozen=True)
class _Question:
    """What is asked of the methods: of which rows of each world, which should be scored high, and the figure."""

    worlds: Sequence[_World]
    rows: Sequence[NDArray[np.bool_]]
    labels: Sequence[NDArray[np.bool_]]
    measure: Measure

    def answer(self, draws: Sequence[_Draw], *names: str) -> tuple[float, float, float]:
        """A figure of a method, or of the first less the second, with the ends of its 95 % interval."""
        found = [self._of(draw, names) for draw in draws]
        low, high = np.nanquantile(found, [0.025, 0.975])
        whole = [(number, np.arange(len(kept))) for number, kept in enumerate(self.rows)]
        return self._of(whole, names), float(low), float(high)

    def _of(self, draw: _Draw, names: Sequence[str]) -> float:
        kept = [(number, places[self.rows[number][places]]) for number, places in draw]
        kept = [(number, places) for number, places in kept if len(places)]
        labels = [self.labels[number][places] for number, places in kept]
        values = [self.measure([self.worlds[number].scores[name][places] for number, places in kept], labels) for name in names]
        return values[0] - sum(values[1:])


def _ceiling(worlds: Sequence[_World]) -> float:
    """What the truth itself reaches: half of its orders as a method, the other half's truth set as labels; mean AUROC."""
    found = []
    for world in worlds:
        effects = world.rows.effects
        for first, second in ((effects[0::2], effects[1::2]), (effects[1::2], effects[0::2])):
            mean = first.mean(axis=0)
            share_of_largest = (mean / mean.max(axis=1, keepdims=True)).max(axis=0)
            found.append(_auroc(share_of_largest, true_rows(second).any(axis=0)))
    return float(np.nanmean(found))


if __name__ == "__main__":
    main()
