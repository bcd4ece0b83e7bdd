"""Retrains as a tracer: half as many tunings as there are rows, for all queries of a world together.

The rows that a ranking puts first, query by query in turn, are left out one at a time on a seed that neither the truth nor
the removals use; a row's score is its measured share of the largest effect plus a little for its rank. Every ranking that
is given retrains is given them in this way; the weight of the rank was chosen on development worlds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from tests.benchmarks.tracing.build import SEEDS
from tests.benchmarks.tracing.retrains import Removal, measure_removals

__all__ = ["candidates", "measured_ranking"]

Matrix = NDArray[np.floating[Any]]
_RANK_WEIGHT = 0.3


def candidates(prior: Matrix, budget: int) -> tuple[int, ...]:
    """The rows to leave out: first of every query, second of every query, and so on, each once."""
    order = np.argsort(-prior, axis=1, kind="stable")
    chosen: dict[int, None] = {}
    for row in order.T.ravel().tolist():
        if len(chosen) == budget:
            break
        chosen.setdefault(row)
    return tuple(chosen)


def measured_ranking(folder: Path, prior: Matrix) -> Matrix:
    """Scores of shape `(n_queries, n_rows)`, after at most `n_rows // 2` tunings, that of all rows included."""
    seed = SEEDS["retrains as a tracer"][0]
    chosen = candidates(prior, prior.shape[1] // 2 - 1)
    wanted = [Removal(seed, ()), *(Removal(seed, (row,)) for row in chosen)]
    measured = {
        tuple(places): np.array(log_probs)
        for of_seed, places, log_probs, _ in measure_removals(folder, wanted).iter_rows()
        if of_seed == seed
    }
    effects = np.zeros_like(prior, dtype=float)
    for row in chosen:
        effects[:, row] = measured[()] - measured[(row,)]
    largest = np.maximum(effects[:, list(chosen)].max(axis=1, keepdims=True), 1e-9)
    ranks = np.stack([rankdata(-line) for line in prior])
    return np.asarray(effects / largest + _RANK_WEIGHT / np.sqrt(ranks))
