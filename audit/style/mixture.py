"""How much of some outputs is as if drawn from a dataset's forms, beyond what models write that never saw it.

Every output has a length and a centre of the style space. Among outputs of its length, null outputs have each centre at
some rate and a dataset's responses at another; the outputs are taken for a mixture of the two, or of several datasets, and
the weights that make them likeliest are found by expectation and maximisation. Likeness to the dataset that comes from
length, or that any model has, is the null's part; so a weight means copying only beside null outputs to the same prompts,
and beside the weights that null models themselves get.

Source: Dempster, Laird and Rubin (1977) for the maximisation; Miller (1974) for the jackknife.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Placed", "Rate", "jackknife", "joined", "mixture_weights"]

_N_BINS = 6
_PRIOR_PER_CENTRE = 0.2  # responses per centre and bin of length that are taken to be spread as all of a part
_FLOOR = 0.1  # of that, evenly over centres
_ITERATIONS = 300
_N_GROUPS = 40
_Z = 1.959964


@dataclass(frozen=True, slots=True)
class Rate:
    """A figure with its 95 % interval over prompts."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Placed:
    """Texts in the style space.

    Attributes:
        centre: int32, shape `(n,)`: the nearest centre.
        n_words: int32, shape `(n,)`.
        unit: int64, shape `(n,)`: the prompt, a number that outputs of several models share; what is resampled.
    """

    centre: NDArray[np.int32]
    n_words: NDArray[np.int32]
    unit: NDArray[np.int64]

    def without(self, units: NDArray[np.int64]) -> Placed:
        """Without some prompts."""
        kept = ~np.isin(self.unit, units)
        return Placed(self.centre[kept], self.n_words[kept], self.unit[kept])


def joined(parts: Sequence[Placed]) -> Placed:
    """Several as one; one at least."""
    return Placed(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("centre", "n_words", "unit")))


def jackknife(
    units: NDArray[np.int64], measure: Callable[[NDArray[np.int64]], NDArray[np.float64]]
) -> tuple[tuple[float, float, float], ...]:
    """Figures with their 95 % intervals: value, low and high of each.

    Args:
        units: The prompts, distinct; groups of them are left out in turn.
        measure: The figures without some prompts, of the same shape `(n_figures,)` for any of them.
    """
    whole = measure(units[:0])
    n_groups = min(_N_GROUPS, len(units) // 2)
    if n_groups < 2:
        return tuple((float(value), -np.inf, np.inf) for value in whole)
    group_of = np.random.default_rng(0).permutation(len(units)) % n_groups
    left_out = np.stack([measure(units[group_of == group]) for group in range(n_groups)])
    error = _Z * np.sqrt((n_groups - 1) * left_out.var(axis=0))
    return tuple(
        (float(value), float(value - spread), float(value + spread)) for value, spread in zip(whole, error, strict=True)
    )


def mixture_weights(outputs: Placed, null: Placed, sources: Sequence[Placed], n_centres: int) -> NDArray[np.float64]:
    """The weights of the null and of each source in some outputs, in this order; together 1, shape `(1 + n_sources,)`.

    Args:
        outputs: What is explained, one at least.
        null: Outputs of other models, one at least.
        sources: Responses of datasets, one at least of each.
        n_centres: How many centres there are.
    """
    edges = np.unique(np.quantile(outputs.n_words, np.linspace(0, 1, _N_BINS + 1)[1:-1]))
    bins = np.digitize(outputs.n_words, edges)
    likelihood = np.stack([_rates(part, edges, n_centres)[bins, outputs.centre] for part in (null, *sources)], axis=1)
    weights = np.full(likelihood.shape[1], 1 / likelihood.shape[1])
    for _ in range(_ITERATIONS):
        shares = likelihood * weights
        weights = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)
    return weights


def _rates(part: Placed, edges: NDArray[np.float64], n_centres: int) -> NDArray[np.float64]:
    """How often a part has each centre at each length; shape `(n_bins, n_centres)`, rows sum to 1."""
    bins = np.digitize(part.n_words, edges)
    counts = np.zeros((len(edges) + 1, n_centres))
    np.add.at(counts, (bins, part.centre), 1)
    overall = (1 - _FLOOR) * counts.sum(axis=0) / counts.sum() + _FLOOR / n_centres
    prior = _PRIOR_PER_CENTRE * n_centres
    return np.asarray((counts + prior * overall) / (counts.sum(axis=1, keepdims=True) + prior))
