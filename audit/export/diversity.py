"""Rows that stand for all rows: facility location over the prompts' vectors, chosen greedily.

A set is worth the sum, over every row, of the cosine between its prompt and the nearest prompt of the set, negative cosines
counting as 0. That is monotone and submodular, so that taking the row that adds most, again and again, is within 1 - 1/e of
the best set of its size (Nemhauser et al. 1978); the gains of earlier rounds are upper bounds of those of later ones, so
that few have to be computed anew (Minoux 1978). The choice is that of the plain loop over all rows, not an estimate of it.

Vectors are rounded to whole numbers so small that single precision multiplies and adds them without error: the choice
depends on no library, thread or block, and of rows that add the same the earlier is taken. It moves a cosine by some 1e-4.

The price is n² products of vectors for the first row and, with what rounds recompute, about 9 n² in all for a tenth of n rows;
memory is a block of `_BLOCK_VALUES` cosines and the vectors. For the 21,509 prompts of Alpaca, on one core of a busy machine:
500 rows in 38 s, 2,150 rows in 98 s (November 2026).

Sources: Wei et al. (2015), Submodularity in Data Subset Selection and Active Learning, for the objective; Bukharin and Zhao
(2023), Data Diversity Matters for Robust Instruction Tuning (QDIT), for its use on instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Representatives", "represent", "row_vectors", "whole_vectors"]

# |q|² < 2^24 even where rounding lengthens a vector of 4,096 dimensions by half a unit in each: every partial sum of a
# product of two is a whole number that float32 holds.
_SCALE = 4000
_BLOCK_VALUES = 1 << 22
_FEWEST_AT_ONCE = 16
_TAKEN = -1.0


@dataclass(frozen=True)
class Representatives:
    """Rows that stand for all.

    Attributes:
        chosen: Their numbers, in the order in which they were taken.
        nearest: For every row the number of the chosen one that stands for it; its own where it is chosen. Shape `(n_rows,)`.
        cosines: For every row the cosine with that one, 0 where no chosen one is near. Shape `(n_rows,)`.
    """

    chosen: tuple[int, ...]
    nearest: NDArray[np.int64]
    cosines: NDArray[np.float64]


def row_vectors(of_responses: NDArray[np.float32], rows: NDArray[np.int64], n_rows: int) -> NDArray[np.float32]:
    """The vector of every row: the sum of its prompts' unit vectors; zeros for a row without one. Shape `(n_rows, dim)`.

    Args:
        of_responses: Unit vectors of the prompts of all responses, shape `(n_responses, dim)`.
        rows: The row of each response, shape `(n_responses,)`.
        n_rows: Rows of the dataset.
    """
    vectors = np.zeros((n_rows, of_responses.shape[1]), np.float32)
    np.add.at(vectors, rows, of_responses)
    return vectors


def whole_vectors(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors in whole numbers, of length about `_SCALE`; vectors of zeros stay so. Shape `(n_rows, dim)`."""
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    unit = np.divide(vectors, norms, out=np.zeros(vectors.shape), where=norms > 0)
    whole: NDArray[np.float32] = np.rint(_SCALE * unit).astype(np.float32)
    return whole


def represent(
    vectors: NDArray[np.float32],
    k: int,
    *,
    first: Sequence[int] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Representatives:
    """Choose the rows that stand for all.

    Args:
        vectors: One for each row, of any length; shape `(n_rows, dim)`. Rows of zeros are near to nothing and taken last.
        k: How many to choose besides `first`; all where there are not so many.
        first: Rows that are chosen already.
        progress: Told how many of how many were chosen.
    """
    whole = whole_vectors(vectors)
    n_rows = len(whole)
    best, nearest = np.zeros(n_rows, np.float32), np.full(n_rows, -1, np.int64)
    chosen: list[int] = []

    def take(row: int) -> None:
        cosines = whole @ whole[row]
        nearer = cosines > best
        best[nearer], nearest[nearer] = cosines[nearer], row
        chosen.append(row)

    for row in first:
        take(row)
    taken = set(first)
    k = min(k, n_rows - len(taken))
    gains = _first_gains(whole, best)  # upper bounds from here on
    gains[list(taken)] = _TAKEN
    computed = np.zeros(n_rows, np.int64)  # in which round
    for number in range(k):
        n_at_once = _FEWEST_AT_ONCE
        row = int(gains.argmax())  # the earliest of those that may add most
        while computed[row] != number:
            stale = _most(gains, min(n_at_once, n_rows))
            stale = stale[(computed[stale] != number) & (gains[stale] != _TAKEN)]
            gains[stale] = _gains(whole, stale, best)
            computed[stale] = number
            n_at_once = min(2 * n_at_once, max(_FEWEST_AT_ONCE, _BLOCK_VALUES // n_rows))
            row = int(gains.argmax())
        take(row)
        gains[row] = _TAKEN
        if progress is not None:
            progress(number + 1, k)
    for row in chosen:  # of equal vectors each stands for itself
        nearest[row] = row
    return Representatives(tuple(chosen), nearest, best.astype(np.float64) / _SCALE**2)


def _first_gains(whole: NDArray[np.float32], best: NDArray[np.float32]) -> NDArray[np.float64]:
    """What every row would add, block by block."""
    n_rows = len(whole)
    n_at_once = max(1, _BLOCK_VALUES // max(n_rows, 1))
    gains = np.zeros(n_rows)
    for start in range(0, n_rows, n_at_once):
        rows = np.arange(start, min(start + n_at_once, n_rows))
        gains[rows] = _gains(whole, rows, best)
    return gains


def _gains(whole: NDArray[np.float32], rows: NDArray[np.int64], best: NDArray[np.float32]) -> NDArray[np.float64]:
    """What rows would add to what is chosen: whole numbers, below 2^53."""
    cosines = whole[rows] @ whole.T
    cosines -= best
    np.maximum(cosines, 0, out=cosines)
    total: NDArray[np.float64] = cosines.sum(axis=1, dtype=np.float64)
    return total


def _most(gains: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """The rows that may add most, ascending; the one that `argmax` names is among them."""
    rows = np.argpartition(-gains, n - 1)[:n]
    return np.union1d(rows, [gains.argmax()]).astype(np.int64)
