"""Random rows in the place of the candidates: what removing any rows of that kind does to a span.

One bank serves all spans of a call. Each of its rows stands for a candidate: of the same stratum (source file, or value
of the group column), with as many trained tokens within a quarter, and no candidate of any span itself. A group of rows
has p = (1 + b) / (1 + B), B being the random groups of its size and b those that make the span fall at least as far. Group
and bank are retrained on the same seeds, so that under the null they are exchangeable and p is exact.

Source of p: Phipson and Smyth (2010), "Permutation p-values should never be zero".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError

__all__ = ["MAX_LENGTH_DIFFERENCE", "Bank", "RowPool", "draw_bank", "empirical_p"]

MAX_LENGTH_DIFFERENCE = 0.25
"""As a share of the candidate's trained tokens."""
_N_NEAREST = 8
_MOST_REPEATS = 200  # one after the other


@dataclass(frozen=True)
class RowPool:
    """The rows of a training set, as far as random ones are drawn from them.

    Attributes:
        n_trained_tokens: By place.
        strata: By place; what a random row has to share with its candidate.
        candidates: Of every span, places.
    """

    n_trained_tokens: Sequence[int]
    strata: Sequence[str]
    candidates: Sequence[tuple[int, ...]]

    def like(self, candidate: int) -> tuple[NDArray[np.int64], bool]:
        """The rows that may stand for a candidate, and whether they are as long and of the same stratum.

        Where there is none, the nearest in length of that stratum; where that has no other row, of all.
        """
        lengths = np.array(self.n_trained_tokens)
        free = np.ones(len(lengths), bool)
        free[sorted({place for places in self.candidates for place in places})] = False
        of_stratum = free & (np.array(self.strata) == self.strata[candidate])
        distance = np.abs(lengths - lengths[candidate])
        fits = np.flatnonzero(of_stratum & (distance <= MAX_LENGTH_DIFFERENCE * lengths[candidate]))
        if len(fits):
            return fits, True
        others = np.flatnonzero(of_stratum if of_stratum.any() else free)
        return others[np.argsort(distance[others], kind="stable")[:_N_NEAREST]], False


@dataclass(frozen=True)
class Bank:
    """Random groups of one size.

    Attributes:
        size: Rows of each.
        groups: Places, ascending; no group stands twice.
        n_loose: Rows among them that do not match their candidate.
    """

    size: int
    groups: tuple[tuple[int, ...], ...]
    n_loose: int


def draw_bank(pool: RowPool, size: int, n_groups: int, seed: int = 0) -> Bank:
    """Draw random groups.

    Fewer come where the rows do not allow so many different ones.

    Args:
        pool: What is drawn from.
        size: Rows of each group.
        n_groups: How many.
        seed: Of the draw.

    Raises:
        InputError: There are not enough rows beside the candidates.
    """
    generator = np.random.default_rng([seed, size])
    likes = {place: pool.like(place) for places in pool.candidates for place in places}
    n_free = len(pool.n_trained_tokens) - len(likes)
    if n_free < size:
        raise InputError(
            f"no {size} random rows are left beside the {len(likes)} candidates",
            why=f"the model is tuned on {len(pool.n_trained_tokens)} rows",
            remedy="confirm fewer rows per span with a smaller -k, or fewer answers",
        )
    drawn: dict[tuple[int, ...], int] = {}
    n_repeats = 0
    while len(drawn) < n_groups and n_repeats < _MOST_REPEATS:
        places, n_loose = _draw_group(pool, likes, size, generator)
        if places in drawn:
            n_repeats += 1
        else:
            drawn[places] = n_loose
            n_repeats = 0
    return Bank(size, tuple(drawn), sum(drawn.values()))


def _draw_group(
    pool: RowPool, likes: dict[int, tuple[NDArray[np.int64], bool]], size: int, generator: np.random.Generator
) -> tuple[tuple[int, ...], int]:
    """One row for each of `size` candidates of a random span; of a span with fewer, some stand for two rows."""
    candidates = pool.candidates[int(generator.integers(len(pool.candidates)))]
    models = [candidates[place % len(candidates)] for place in generator.permutation(max(size, len(candidates)))[:size]]
    taken: list[int] = []
    n_loose = 0
    for candidate in models:
        rows, fits = likes[candidate]
        rows = np.setdiff1d(rows, taken)
        if not len(rows):
            fits = False
            rows = np.setdiff1d(np.arange(len(pool.n_trained_tokens)), [*likes, *taken])
        taken.append(int(rows[generator.integers(len(rows))]))
        n_loose += not fits
    return tuple(sorted(taken)), n_loose


def empirical_p(effect: float, random_effects: NDArray[np.float64]) -> float:
    """(1 + b) / (1 + B): how often random rows reach an effect; ties count as reached."""
    return float((1 + np.sum(random_effects >= effect - 1e-9)) / (1 + len(random_effects)))
