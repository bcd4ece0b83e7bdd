"""The linear datamodelling score: do a method's scores, summed over the rows that are dropped, foretell what dropping does?

Sixty-four random drops of a tenth of the rows, the same for all methods and queries. The score of a method for a query is
the rank correlation, over the drops, between the sum of its scores of the dropped rows and the measured fall of the
log-probability of the false tokens (Park et al. 2023, arXiv 2303.14186).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import rankdata

from tests.benchmarks.tracing.build import SEEDS
from tests.benchmarks.tracing.retrains import Removal, measure_removals, read_removals

__all__ = ["N_DROPS", "linear_scores", "measure_drops"]

Matrix = NDArray[np.floating[Any]]
N_DROPS = 64
_SHARE = 0.1


def _drops(n_rows: int) -> list[tuple[int, ...]]:
    """The places of every drop, ascending; the same at every call."""
    draw = np.random.default_rng([N_DROPS, n_rows])
    size = round(_SHARE * n_rows)
    return [tuple(sorted(draw.choice(n_rows, size, replace=False).tolist())) for _ in range(N_DROPS)]


def _planned(n_rows: int, n_seeds: int) -> Iterator[Removal]:
    for seed in SEEDS["removal"][:n_seeds]:
        yield Removal(seed, ())
        yield from (Removal(seed, places) for places in _drops(n_rows))


def measure_drops(folder: Path, n_seeds: int) -> None:
    """Make the retrainings; resumes."""
    measure_removals(folder, _planned(_n_rows(folder), n_seeds))


def linear_scores(folder: Path, scores: Mapping[str, Matrix], n_seeds: int) -> dict[str, Matrix]:
    """By method, shape `(n_queries,)`; NaN for queries that it did not answer.

    Args:
        folder: A world, or what is published of it.
        scores: By method, shape `(n_queries, n_rows)`, higher is more responsible.
        n_seeds: Orders of the rows whose mean is the effect of a drop.

    Raises:
        KeyError: The drops have not been measured.
    """
    measured = {
        Removal(seed, tuple(places)): np.array(log_probs) for seed, places, log_probs, _ in read_removals(folder).iter_rows()
    }
    drops = _drops(_n_rows(folder))
    seeds = SEEDS["removal"][:n_seeds]
    falls = np.mean(
        [[measured[Removal(seed, ())] - measured[Removal(seed, places)] for places in drops] for seed in seeds], axis=0
    )
    found = {}
    for name, matrix in scores.items():
        foretold = np.stack([matrix[:, list(places)].sum(axis=1) for places in drops])
        found[name] = np.array([_rank_correlation(foretold[:, query], falls[:, query]) for query in range(len(matrix))])
    return found


def _n_rows(folder: Path) -> int:
    return pl.read_parquet(folder / "rows.parquet", columns=["place"]).height


def _rank_correlation(foretold: Matrix, measured: Matrix) -> float:
    if not np.isfinite(foretold).all():
        return float("nan")
    if np.ptp(foretold) == 0 or np.ptp(measured) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(foretold), rankdata(measured))[0, 1])
