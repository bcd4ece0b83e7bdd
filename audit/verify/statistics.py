"""Intervals and tests for differences between two arms; arrays in, numbers out.

The design is crossed without replication: every run (a tuning seed with its random draw) answers every prompt, and
both are samples, of the runs and of the prompts that might have been. A difference that holds for these prompts only,
or for these runs only, is none. `tests/benchmarks/verdict` compares the interval below with the two-way bootstrap and
with t on run means, and shows why it was chosen.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, stdtr, stdtrit

__all__ = [
    "CrossedEffect",
    "Interval",
    "MeanSquares",
    "crossed_effect",
    "holm",
    "mcnemar_exact",
    "mean_squares",
    "paired_permutation",
    "prompt_units",
]

Floats = NDArray[np.float64]

_POWER = 0.8
_SIGNIFICANCE = 0.05


@dataclass(frozen=True, slots=True)
class Interval:
    """Two ends, in the unit of what they enclose."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside; an end at zero does not."""
        return self.low > 0 or self.high < 0

    def within(self, limit: float) -> bool:
        """Whether all of it lies within ±`limit`."""
        return -limit <= self.low and self.high <= limit


@dataclass(frozen=True, slots=True)
class CrossedEffect:
    """A mean difference, and how well it is known.

    Attributes:
        mean: The mean difference over all runs and prompts.
        standard_error: Infinite where there is one run or one unit of prompts: nothing then shows how others differ.
        degrees_of_freedom: Of the t distribution that the interval uses.
    """

    mean: float
    standard_error: float
    degrees_of_freedom: float

    def interval(self, level: float) -> Interval:
        """The two-sided confidence interval at `level`, such as 0.95."""
        half_width = float(stdtrit(self.degrees_of_freedom, (1 + level) / 2)) * self.standard_error
        return Interval(self.mean - half_width, self.mean + half_width)

    @property
    def p_value(self) -> float:
        """Two-sided p-value of no difference; agrees with the intervals."""
        if self.standard_error == 0:
            return float(self.mean == 0)
        return 2 * float(stdtr(self.degrees_of_freedom, -abs(self.mean) / self.standard_error))

    @property
    def smallest_detectable(self) -> float:
        """The true difference that this design finds at 5 %, two-sided, in four repetitions of five."""
        needed = stdtrit(self.degrees_of_freedom, 1 - _SIGNIFICANCE / 2) + stdtrit(self.degrees_of_freedom, _POWER)
        return float(needed) * self.standard_error


@dataclass(frozen=True, slots=True)
class MeanSquares:
    """What a crossed table of differences varies by.

    Attributes:
        runs: Mean square between runs.
        units: Between units of prompts.
        rest: Of what neither explains.
        n_runs, n_units: The table's shape, each at least 2.
    """

    runs: float
    units: float
    rest: float
    n_runs: int
    n_units: int

    def effect(self, mean: float, largest_difference: float = 0.0) -> CrossedEffect:
        """How well the mean of such a table is known; see `crossed_effect`."""
        freedom = np.array([self.n_runs - 1, self.n_units - 1, (self.n_runs - 1) * (self.n_units - 1)], dtype=np.float64)
        squares = np.array([self.runs, self.units, self.rest])
        scaled_variance = max(self.runs, self.rest) + max(self.units, self.rest) - self.rest
        fewest = float(freedom.min())
        spread = float((squares**2 / freedom).sum())
        degrees_of_freedom = max(fewest, scaled_variance**2 / spread) if spread > 0 else fewest
        floor = 2 * (largest_difference / (self.n_units + 2)) ** 2
        variance = max(float(scaled_variance) / (self.n_runs * self.n_units), floor)
        return CrossedEffect(mean, float(np.sqrt(variance)), float(degrees_of_freedom))


def crossed_effect(
    differences: Floats, groups: Sequence[Hashable] | None = None, *, largest_difference: float = 0.0
) -> CrossedEffect:
    """The mean of a table of differences, with runs and prompts both random.

    The variance of the mean is (MS_runs + MS_prompts - MS_rest) / n, a variance component that comes out negative taken
    as zero, with Satterthwaite's degrees of freedom. For one prompt per group it equals the two-way cluster-robust
    variance.

    Args:
        differences: Shape `(n_runs, n_prompts)`.
        groups: One label per prompt. Prompts of one group are one unit; by default every prompt is its own.
        largest_difference: How far apart two answers can be, where that is bounded (1 for wrong against right); 0 where
            it is not. A table without any difference does not show that there is none: the standard error is not let
            below that of two further units that differ by as much, one each way.

    Source: Searle, Casella & McCulloch (1992), *Variance Components*, ch. 4; Satterthwaite (1946); Cameron, Gelbach &
    Miller (2011), eq. 2.11; the floor after Bonett & Price (2012).
    """
    units = prompt_units(differences, groups)
    mean = float(units.mean())
    if min(units.shape) < 2:
        return CrossedEffect(mean, np.inf, 1.0)
    return mean_squares(units).effect(mean, largest_difference)


def mean_squares(units: Floats) -> MeanSquares:
    """The mean squares of a table of shape `(n_runs, n_units)`, at least two of each."""
    n_runs, n_units = units.shape
    mean = float(units.mean())
    runs = units.mean(axis=1, keepdims=True) - mean  # (n_runs, 1)
    prompts = units.mean(axis=0, keepdims=True) - mean  # (1, n_units)
    rest = units - mean - runs - prompts
    return MeanSquares(
        runs=float(n_units * (runs**2).sum() / (n_runs - 1)),
        units=float(n_runs * (prompts**2).sum() / (n_units - 1)),
        rest=float((rest**2).sum() / ((n_runs - 1) * (n_units - 1))),
        n_runs=n_runs,
        n_units=n_units,
    )


def prompt_units(differences: Floats, groups: Sequence[Hashable] | None) -> Floats:
    """One column per independent unit, `(n_runs, n_units)`; column means average to the mean over prompts.

    Of `n_prompts` in `n_units` groups, a group contributes the mean plus `n_units / n_prompts` times the sum of its
    deviations from it, so that a group's size alone is no deviation.
    """
    if groups is None:
        return differences
    labels = list(dict.fromkeys(groups))
    number = {label: index for index, label in enumerate(labels)}
    membership = np.zeros((differences.shape[1], len(labels)))
    membership[np.arange(differences.shape[1]), [number[label] for label in groups]] = 1.0
    mean = differences.mean()
    units: Floats = mean + (differences - mean) @ membership * (len(labels) / differences.shape[1])
    return units


def mcnemar_exact(n_first_only: int, n_second_only: int) -> float:
    """Two-sided exact p-value that discordant pairs fall either way equally often.

    Args:
        n_first_only: Prompts that only the first arm got wrong.
        n_second_only: Prompts that only the second arm got wrong.
    """
    n_discordant = n_first_only + n_second_only
    return min(1.0, 2 * float(bdtr(min(n_first_only, n_second_only), n_discordant, 0.5)))


def paired_permutation(differences: Floats, *, n_draws: int = 9_999, seed: int = 0) -> float:
    """Two-sided p-value of a zero mean, from random exchanges of the arms within pairs.

    The smallest value it can give is `1 / (n_draws + 1)`: the observed table counts as one draw (Phipson & Smyth 2010).

    Args:
        differences: One per pair, shape `(n_pairs,)`.
        n_draws: Random sign patterns.
        seed: Of the random generator.
    """
    generator = np.random.default_rng(seed)
    observed = abs(differences.sum())
    # Sums in another order differ in their last digits; a tie must count as one.
    tolerance = 1e-9 * max(1.0, float(np.abs(differences).sum()))
    n_as_far = 0
    for begin in range(0, n_draws, 1000):
        signs = generator.choice((-1.0, 1.0), size=(min(1000, n_draws - begin), differences.size))
        n_as_far += int((np.abs(signs @ differences) >= observed - tolerance).sum())
    return (1 + n_as_far) / (1 + n_draws)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """The p-values adjusted for being several, in the same order (Holm 1979)."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return tuple(adjusted)
