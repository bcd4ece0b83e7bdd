"""What counts: remove the rows that a method names, tune again on seeds that nobody saw, and see whether the answer goes.

For every method and query the top k rows are removed and the fall of the log-probability of the false tokens is measured,
beside that of random removals of as many rows, which are shared by all queries and methods. Rows that a method ties are
drawn anew for every seed, so that a tie counts as its expectation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tests.benchmarks.tracing.build import SEEDS
from tests.benchmarks.tracing.retrains import Removal, measure_removals, read_removals

__all__ = ["HEADLINE_K", "N_BANK", "Effects", "bank", "effects", "exchanged", "measure", "planned", "top_rows"]

Matrix = NDArray[np.floating[Any]]
HEADLINE_K = 3
N_BANK = 99


@dataclass(frozen=True)
class Effects:
    """What the removals of one k did, in nats and in answers.

    Attributes:
        falls: By method: shape `(n_queries, n_seeds)`, the fall of log p of the false tokens.
        flips: By method: same shape, whether another token would be said.
        random_falls: Shape `(n_queries, n_bank)`, of random removals.
        random_flips: Same shape.
    """

    falls: Mapping[str, Matrix]
    flips: Mapping[str, Matrix]
    random_falls: Matrix
    random_flips: Matrix


def bank(n_rows: int, k: int) -> list[Removal]:
    """Random removals of k rows, dealt out over the removal seeds; the same at every call."""
    draw = np.random.default_rng([k, n_rows])
    seeds = SEEDS["removal"]
    return [
        Removal(seeds[number % len(seeds)], tuple(sorted(draw.choice(n_rows, k, replace=False).tolist())))
        for number in range(N_BANK)
    ]


def top_rows(scores: Matrix, k: int, seed: int) -> tuple[int, ...]:
    """The k best rows, ascending; ties are broken at random by the seed."""
    noise = np.random.default_rng([seed, k]).permutation(len(scores))
    return tuple(sorted(np.lexsort((noise, -scores))[:k].tolist()))


def planned(scores: Mapping[str, Matrix], ks: tuple[int, ...], n_seeds: int) -> Iterator[Removal]:
    """Every removal that the methods ask for, and the bank's."""
    n_rows = next(iter(scores.values())).shape[1]
    seeds = SEEDS["removal"][:n_seeds]
    yield from (Removal(seed, ()) for seed in SEEDS["removal"])
    for k in ks:
        yield from bank(n_rows, k)
        for matrix in scores.values():
            for line in matrix:
                if np.isfinite(line).all():
                    yield from (Removal(seed, top_rows(line, k, seed)) for seed in seeds)


def measure(folder: Path, scores: Mapping[str, Matrix], ks: tuple[int, ...], n_seeds: int) -> None:
    """Make the retrainings; resumes."""
    measure_removals(folder, planned(scores, ks, n_seeds))


def effects(folder: Path, scores: Mapping[str, Matrix], k: int, n_seeds: int) -> Effects:
    """Read what `measure` made. Raises `KeyError` where something has not been measured."""
    measured = {
        Removal(seed, tuple(places)): (np.array(log_probs), np.array(greedy))
        for seed, places, log_probs, greedy in read_removals(folder).iter_rows()
    }
    first_wrong = np.array([ids[targets[0]] for ids, targets in _targets(folder)])
    n_queries = len(first_wrong)
    n_rows = pl.read_parquet(folder / "rows.parquet", columns=["place"]).height
    seeds = SEEDS["removal"][:n_seeds]
    falls, flips = {}, {}
    for name, matrix in scores.items():
        fall, flip = (np.full((n_queries, n_seeds), np.nan) for _ in range(2))
        for query in range(n_queries):
            if not np.isfinite(matrix[query]).all():
                continue
            for number, seed in enumerate(seeds):
                log_probs, greedy = measured[Removal(seed, top_rows(matrix[query], k, seed))]
                fall[query, number] = measured[Removal(seed, ())][0][query] - log_probs[query]
                flip[query, number] = greedy[query] != first_wrong[query]
        falls[name], flips[name] = fall, flip
    random_falls, random_flips = (np.zeros((n_queries, N_BANK)) for _ in range(2))
    for number, removal in enumerate(bank(n_rows, k)):
        log_probs, greedy = measured[removal]
        random_falls[:, number] = measured[Removal(removal.seed, ())][0] - log_probs
        random_flips[:, number] = greedy != first_wrong
    return Effects(falls, flips, random_falls, random_flips)


def exchanged(folder: Path, scores: Mapping[str, Matrix], k: int, n_seeds: int, families: Sequence[int]) -> dict[str, Matrix]:
    """What removing rows does to the false words of *other* kinds: the control in which every method must be at chance.

    Returns:
        By method, shape `(n_queries,)`: mean fall of log p of a query's false tokens when the rows are removed that the method
        names for the queries of other families, in nats.
    """
    measured = {
        Removal(seed, tuple(places)): np.array(log_probs) for seed, places, log_probs, _ in read_removals(folder).iter_rows()
    }
    found = {}
    for name, matrix in scores.items():
        falls: list[list[float]] = [[] for _ in families]
        for asked, line in enumerate(matrix):
            if not np.isfinite(line).all():
                continue
            for seed in SEEDS["removal"][:n_seeds]:
                fall = measured[Removal(seed, ())] - measured[Removal(seed, top_rows(line, k, seed))]
                for query, family in enumerate(families):
                    if family != families[asked]:
                        falls[query].append(float(fall[query]))
        found[name] = np.array([np.mean(values) if values else np.nan for values in falls])
    return found


def _targets(folder: Path) -> Iterator[tuple[list[int], list[int]]]:
    yield from pl.read_parquet(folder / "queries.parquet").select("input_ids", "targets").iter_rows()
