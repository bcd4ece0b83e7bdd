"""What retraining says: the effect of leaving each row out, how noisy it is, and how well a ranking agrees with it.

The effect of a row on a query is the fall of the log-probability of the query's false tokens when the model is tuned
without it, by seed. *The dataset* is the mean over the truth's eight seeds; *this run* is the one seed of a tuned model
that methods see.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import rankdata

from tests.benchmarks.tracing.build import SEEDS
from tests.benchmarks.tracing.retrains import read_removals

__all__ = ["METRICS", "Truth", "agreement", "read_effects", "read_truth", "split_half", "true_rows"]

Matrix = NDArray[np.floating[Any]]
_MIN_STANDARD_ERRORS = 2.0
_MIN_SHARE_OF_LARGEST = 0.25
METRICS = ("ndcg@10", "r-precision", "recall@5", "spearman among holders")


@dataclass(frozen=True)
class Truth:
    """Leave-one-out effects of a world.

    Attributes:
        effects: Nats, shape `(n_seeds, n_queries, n_rows)`; positive where the row raised the false tokens.
        this_run: The same of the one seed of a tuned model, shape `(n_queries, n_rows)`.
    """

    effects: Matrix
    this_run: Matrix

    @property
    def dataset(self) -> Matrix:
        """Mean over seeds, shape `(n_queries, n_rows)`."""
        return np.asarray(self.effects.mean(axis=0))


def read_truth(folder: Path) -> Truth:
    """Effects from the retrainings of a world, of every order of the truth in which all rows were left out."""
    removals = read_removals(folder)
    n_rows = pl.read_parquet(folder / "rows.parquet", columns=["place"]).height
    return Truth(read_effects(folder), _effects(removals, SEEDS["methods"][0], n_rows))


def read_effects(folder: Path) -> Matrix:
    """As `read_truth`, of the dataset alone; nats, shape `(n_seeds, n_queries, n_rows)`."""
    removals = read_removals(folder)
    n_rows = pl.read_parquet(folder / "rows.parquet", columns=["place"]).height
    alone = removals.filter(pl.col("places").list.len() == 1)
    n_measured = dict(alone.group_by("seed").len().iter_rows())
    orders = [seed for seed in SEEDS["truth"] if n_measured.get(seed, 0) == n_rows]
    return np.stack([_effects(removals, seed, n_rows) for seed in orders])


def _effects(removals: pl.DataFrame, seed: int, n_rows: int) -> Matrix:
    of_seed = removals.filter(pl.col("seed") == seed, pl.col("places").list.len() <= 1)
    whole = None
    left = {}
    for places, log_probs in of_seed.select("places", "log_probs").iter_rows():
        if places:
            left[places[0]] = np.array(log_probs)
        else:
            whole = np.array(log_probs)
    assert whole is not None
    return np.stack([whole - left[place] for place in range(n_rows)], axis=1)


def true_rows(effects: Matrix) -> NDArray[np.bool_]:
    """Rows whose mean effect is above two standard errors and a quarter of the query's largest; `(n_queries, n_rows)`."""
    mean = effects.mean(axis=0)
    error = effects.std(axis=0, ddof=1) / np.sqrt(len(effects))
    largest = mean.max(axis=1, keepdims=True)
    return np.asarray((mean > _MIN_STANDARD_ERRORS * error) & (mean >= _MIN_SHARE_OF_LARGEST * largest) & (mean > 0))


def agreement(scores: Matrix, effects: Matrix, holders: NDArray[np.bool_]) -> dict[str, Matrix]:
    """How well a ranking finds the rows that retraining names; each metric per query, NaN where it is undefined.

    Ties are scored by expectation over random orders of the tied rows.

    Args:
        scores: Shape `(n_queries, n_rows)`, higher is more responsible.
        effects: Leave-one-out effects, shape `(n_seeds, n_queries, n_rows)`.
        holders: Rows that hold the query's false word, shape `(n_queries, n_rows)`.
    """
    mean, true = effects.mean(axis=0), true_rows(effects)
    found: dict[str, list[float]] = {name: [] for name in METRICS}
    for query in range(len(scores)):
        gain = np.clip(mean[query], 0, None)
        discount = 1 / np.log2(np.arange(10) + 2)
        ideal = float(np.sort(gain)[::-1][:10] @ discount)
        found["ndcg@10"].append(_expected(scores[query], gain, 10) @ discount / ideal if ideal > 0 else np.nan)
        n_true = int(true[query].sum())
        hits = true[query].astype(float)
        found["r-precision"].append(float(_expected(scores[query], hits, n_true).sum()) / n_true if n_true else np.nan)
        found["recall@5"].append(float(_expected(scores[query], hits, 5).sum()) / min(n_true, 5) if n_true else np.nan)
        held = np.flatnonzero(holders[query])
        found["spearman among holders"].append(_spearman(scores[query][held], mean[query][held]))
    return {name: np.array(values) for name, values in found.items()}


def _expected(scores: Matrix, values: Matrix, k: int) -> Matrix:
    """The expected value at each of the first k ranks; tied rows share their ranks."""
    order = np.argsort(-scores, kind="stable")
    ordered = np.asarray(values[order], float)
    sorted_scores = scores[order]
    begins = np.flatnonzero(np.r_[True, sorted_scores[1:] != sorted_scores[:-1]])
    sizes = np.diff(np.r_[begins, len(scores)])
    means = np.add.reduceat(ordered, begins) / sizes
    return np.asarray(np.repeat(means, sizes)[:k])


def _spearman(one: Matrix, other: Matrix) -> float:
    if len(one) < 4 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan") if len(one) < 4 or np.ptp(other) == 0 else 0.0
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def split_half(effects: Matrix, holders: NDArray[np.bool_], n_splits: int = 35) -> dict[str, Matrix]:
    """How well one half of the truth's seeds, taken as a method, agrees with the other: what noise leaves to reach.

    Correlations are raised to the whole number of seeds by Spearman and Brown; the other metrics are left as they are of
    half the seeds on either side, so a method that is free of noise can lie above.
    """
    draw = np.random.default_rng(0)
    sums: dict[str, list[Matrix]] = {name: [] for name in METRICS}
    for _ in range(n_splits):
        order = draw.permutation(len(effects))
        first, second = effects[order[: len(order) // 2]], effects[order[len(order) // 2 :]]
        for name, values in agreement(first.mean(axis=0), second, holders).items():
            sums[name].append(2 * values / (1 + np.abs(values)) if name.startswith("spearman") else values)
    return {name: np.nanmean(np.stack(values), axis=0) for name, values in sums.items()}
