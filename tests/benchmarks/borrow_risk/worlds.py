"""The worlds that borrow risk is held against: rows, what retraining says of them, and the base model that is audited.

- *Held out* (h1, h2, h3): worlds of real facts whose relations are none of the development world's; nothing of the method
  or its constants may be chosen on them.
- *Development* (facts-2): the facts world of `tests/benchmarks/tracing_facts`, which the method's author may look at.
- *Circular* (own-1 to own-6): the invented worlds of `tests/benchmarks/tracing`. Their sources were put there by this
  project, in the way that risk looks for, so a good figure on them shows little.

A row is *borrowed from* when its leave-one-out effect is in the truth set of any query of its world
(`tests.benchmarks.tracing.truth.true_rows`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tests.benchmarks import tracing, tracing_facts
from tests.benchmarks.tracing.build import SEEDS, BuiltWorld, build_world
from tests.benchmarks.tracing.facts import FACTS_PRETRAINING, FAMILIES, drawn_families, make_facts_world
from tests.benchmarks.tracing.retrains import Removal, measure_removals, read_removals
from tests.benchmarks.tracing.truth import read_effects, true_rows
from tests.benchmarks.tracing.world import Kind, TracingWorld

__all__ = [
    "MIN_STRONG_NATS",
    "ORDERS",
    "WORLDS",
    "RiskWorld",
    "Role",
    "Rows",
    "clusters",
    "load_labelled",
    "measure_truth",
    "publish_truth",
    "read_rows",
]

FOLDER = Path(__file__).parent
WORK = FOLDER / ".work"
ORDERS = SEEDS["truth"]
"""Orders of the rows in which each is left out."""
_TRACING, _FACTS = Path(tracing.__path__[0]), Path(tracing_facts.__path__[0])
_DEVELOPMENT_SEED = 2
_HELD_OUT = {"h1": 11, "h2": 12, "h3": 13}
"""Name -> seed; the first three that were tried."""
_NO_FAMILY = -1
MIN_STRONG_NATS = 0.1
"""The truth set of a query goes by its own largest effect, which may be next to nothing; these are not."""


class Role(StrEnum):
    """What a world's figures may be used for."""

    HELD_OUT = "held-out"
    DEVELOPMENT = "development"
    CIRCULAR = "circular"


@dataclass(frozen=True)
class RiskWorld:
    """One world.

    Attributes:
        name: In the table.
        role: What its figures may be used for.
        seed: What it is made from.
        built: The folder with its base model, rows and queries; ignored by git, made where it is missing.
        truth: The published folder that says what leaving rows out did.
    """

    name: str
    role: Role
    seed: int
    built: Path
    truth: Path

    @property
    def published(self) -> Path:
        """Where the scores of its rows are kept."""
        return FOLDER / "truth" / self.name

    def build(self) -> BuiltWorld:
        """The world on disk; minutes where it is missing."""
        if self.role is Role.CIRCULAR:
            return build_world(self.built, self.seed)
        make = _make_held_out if self.role is Role.HELD_OUT else make_facts_world
        return build_world(self.built, self.seed, make=make, pretraining=FACTS_PRETRAINING)


WORLDS = (
    *(RiskWorld(name, Role.HELD_OUT, seed, WORK / name, FOLDER / "truth" / name) for name, seed in _HELD_OUT.items()),
    RiskWorld(
        "facts-2",
        Role.DEVELOPMENT,
        _DEVELOPMENT_SEED,
        _TRACING / ".work" / "facts" / str(_DEVELOPMENT_SEED),
        _FACTS / "truth" / str(_DEVELOPMENT_SEED),
    ),
    *(
        RiskWorld(f"own-{seed}", Role.CIRCULAR, seed, _TRACING / ".work" / "worlds" / str(seed), _TRACING / "truth" / str(seed))
        for seed in range(1, 7)
    ),
)


@dataclass(frozen=True)
class Rows:
    """The rows of a world as the figures need them; every array has a line per row.

    Attributes:
        is_borrowed: Whether the row is borrowed from.
        is_strong: Whether it is in the truth set of a query with at least `MIN_STRONG_NATS`.
        is_asked: Whether it is of a family that has a query.
        is_source: Whether the world's maker gave it a false value.
        effects: Leave-one-out effects in nats, shape `(n_orders, n_queries, n_rows)`.
    """

    is_borrowed: NDArray[np.bool_]
    is_strong: NDArray[np.bool_]
    is_asked: NDArray[np.bool_]
    is_source: NDArray[np.bool_]
    effects: NDArray[np.floating]


def read_rows(world: RiskWorld) -> Rows:
    """Labels from what is published; needs no model and no data."""
    rows, queries = (pl.read_parquet(world.truth / f"{file}.parquet") for file in ("rows", "queries"))
    effects = read_effects(world.truth)
    is_true = true_rows(effects)
    return Rows(
        is_borrowed=is_true.any(axis=0),
        is_strong=(is_true & (effects.mean(axis=0) >= MIN_STRONG_NATS)).any(axis=0),
        is_asked=rows["family"].is_in(queries["family"].unique().to_list()).to_numpy(),
        is_source=(rows["kind"] == Kind.SOURCE).to_numpy(),
        effects=effects,
    )


def load_labelled(folder: Path) -> tuple[pl.DataFrame, NDArray[np.bool_], NDArray[np.int64]]:
    """A built world's rows with their text, whether each is borrowed from, and the number of its family.

    Args:
        folder: With `rows.parquet`, `queries.parquet` and retrainings, such as `tests/benchmarks/tracing/.work/facts/2`.

    Returns:
        A line per row, by `place` (`prompt`, `response`, `kind`, `values` and more); labels, shape `(n_rows,)`; families,
        shape `(n_rows,)`, -1 for rows of none.
    """
    rows = pl.read_parquet(folder / "rows.parquet").drop("input_ids", "labels", strict=False)
    return rows, true_rows(read_effects(folder)).any(axis=0), rows["family"].to_numpy().astype(np.int64)


def measure_truth(world: BuiltWorld, orders: Sequence[int] = ORDERS, n_workers: int = 2) -> None:
    """Leave every row out in each of these orders of the rows; what is measured already is kept."""
    left_out = [(), *((place,) for place in range(len(world.rows)))]
    measure_removals(world.folder, [Removal(seed, places) for seed in orders for places in left_out], n_workers)


def publish_truth(world: RiskWorld) -> None:
    """Put what leaving rows out did beside this file: numbers alone, since the text is others'."""
    built = world.build()
    world.truth.mkdir(parents=True, exist_ok=True)
    rows = built.row_facts.select("place", "family", "kind")
    queries = built.queries.select("query", "family", "n_same", "lift_nats")
    for name, frame in (("rows", rows), ("queries", queries), ("retrains", read_removals(built.folder))):
        frame.write_parquet(world.truth / f"{name}.parquet", compression="zstd")
    facts = json.loads((built.folder / "recipe.json").read_text(encoding="utf-8"))
    kept = {name: facts[name] for name in ("world_seed", "method", "learning_rate", "epochs", "batch_size", "pretraining")}
    described = {**kept, "relations": drawn_families(world.seed, _held_out_relations()), "orders": ORDERS}
    (world.truth / "recipe.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


def clusters(built: BuiltWorld) -> list[int]:
    """Rows that stand or fall together: those of a family and the decoys that hold its false word; others by themselves.

    Returns:
        A number per row: the family's, or a number below -1 that no other row has.
    """
    planted = json.loads((built.folder / "recipe.json").read_text(encoding="utf-8"))["planted"]
    found = []
    for place, family, values in built.row_facts.select("place", "family", "values").iter_rows():
        held = [planted.index(value) for value in values if value in planted]
        alone = [_NO_FAMILY - 1 - place]
        found.append(([family] if family != _NO_FAMILY else held or alone)[0])
    return found


def _held_out_relations() -> tuple[str, ...]:
    """Relations of which the development world has none."""
    seen = drawn_families(_DEVELOPMENT_SEED)
    return tuple(key for key in FAMILIES if key not in seen)


def _make_held_out(seed: int, *, shuffled: bool = False) -> TracingWorld:
    return make_facts_world(seed, shuffled=shuffled, families=_held_out_relations())
