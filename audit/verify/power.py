"""What a design can see: the smallest effect, what it would take to see a smaller one, and when to give up.

All of it goes through `MeanSquares.effect`, so that what is promised before tuning and what is said afterwards are the
same formula: before, the mean squares are those that assumed variances lead to; afterwards, those that were measured.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.verify.statistics import MeanSquares, mean_squares, prompt_units
from audit.verify.verdict import Verdict, decide

__all__ = ["LARGEST_POINTS", "VarianceComponents", "runs_needed", "smallest_detectable", "units_needed", "verdict_chances"]

Floats = NDArray[np.float64]

LARGEST_POINTS = 100.0
"""How far apart two answers can be: one wrong, one right."""

_MOST_NEEDED = 100_000
_N_FUTURES = 2_000


@dataclass(frozen=True, slots=True)
class VarianceComponents:
    """How much the difference between two arms varies, as standard deviations in percentage points.

    The defaults are what seven real verifications came to, rounded up from the middle: five worlds of the pocket model and
    real facts by both methods (`tests/benchmarks/verify`), 31 to 63 % wrong answers, a unit of two or three wordings of one
    question. Other models and data will have others; they are what a design is judged by until there are answers.

    Attributes:
        run: Between runs, all prompts alike: the seed of a tuning and its draw of rows.
        prompt: Between prompts, all runs alike: what an arm does to one prompt and not to another.
        rest: Of one answer against one answer.
    """

    run: float = 3.0
    prompt: float = 25.0
    rest: float = 20.0

    @classmethod
    def of(cls, differences: Floats, groups: Sequence[Hashable] | None = None) -> VarianceComponents | None:
        """The components of a measured table in points; one that comes out negative is 0.

        Args:
            differences: Shape `(n_runs, n_prompts)`.
            groups: One label per prompt; see `crossed_effect`.

        Returns:
            `None` where one run or one unit of prompts shows no variance.
        """
        units = prompt_units(differences, groups)
        if min(units.shape) < 2:
            return None
        squares = mean_squares(units)
        run = max(0.0, squares.runs - squares.rest) / squares.n_units
        prompt = max(0.0, squares.units - squares.rest) / squares.n_runs
        return cls(run**0.5, prompt**0.5, squares.rest**0.5)

    def expected_squares(self, n_runs: int, n_units: int) -> MeanSquares:
        """The mean squares of a table of this shape, in expectation."""
        rest = self.rest**2
        return MeanSquares(rest + n_units * self.run**2, rest + n_runs * self.prompt**2, rest, n_runs, n_units)


def smallest_detectable(components: VarianceComponents, n_runs: int, n_units: int) -> float | None:
    """The true difference, in points, that a design finds at 5 %, two-sided, in four repetitions of five.

    `None` where one run or one unit of prompts shows nothing of how others would differ.
    """
    if min(n_runs, n_units) < 2:
        return None
    return components.expected_squares(n_runs, n_units).effect(0.0, LARGEST_POINTS).smallest_detectable


def units_needed(components: VarianceComponents, n_runs: int, points: float) -> int | None:
    """How many independent units of prompts find a difference of so many points; `None` where runs differ too much."""
    return _fewest(lambda n_units: smallest_detectable(components, n_runs, n_units), points)


def runs_needed(components: VarianceComponents, n_units: int, points: float) -> int | None:
    """How many runs per arm find a difference of so many points; `None` where prompts differ too much."""
    return _fewest(lambda n_runs: smallest_detectable(components, n_runs, n_units), points)


def _fewest(detectable: Callable[[int], float | None], points: float) -> int | None:
    """The smallest number from 2 on at which an effect of so many points is found; more never find less."""

    def is_enough(number: int) -> bool:
        found = detectable(number)
        return found is not None and found <= points

    too_few, enough = 1, 2
    while not is_enough(enough):
        too_few, enough = enough, 2 * enough
        if too_few > _MOST_NEEDED:
            return None
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if is_enough(middle) else (middle, enough)
    return enough


def verdict_chances(
    differences: Floats, groups: Sequence[Hashable] | None, *, n_runs: int, delta_points: float, seed: int = 0
) -> Mapping[Verdict, float]:
    """How likely each verdict is once all runs are done, from those that are.

    The prompts stay as they are. Further runs are drawn from the predictive distribution that the finished ones leave:
    variance between runs from its scaled inverse chi-square, mean given the variance from a normal, as for a flat prior
    on the mean and 1/variance on the variance. Two runs that happen to agree do not show that all would: the variance is
    not let below what the answers' own noise, known from all prompts, brings about.

    Args:
        differences: Cleaned minus random in points, shape `(n_finished_runs, n_prompts)`, at least two runs.
        groups: One label per prompt; see `crossed_effect`.
        n_runs: Runs that there will be.
        delta_points: The smallest difference that matters.
        seed: Of the random generator.

    Source: Spiegelhalter, Freedman & Blackburn (1986), predictive power; Gelman et al. (2013), *Bayesian Data
    Analysis*, section 3.2.
    """
    units = prompt_units(differences, groups)
    n_finished, n_units = units.shape
    if n_finished < 2 or n_units < 2:
        raise ValueError("one run, or one unit of prompts, predicts nothing")
    squares = mean_squares(units)
    finished = units.mean(axis=1)  # (n_finished,)
    generator = np.random.default_rng(seed)
    # The mean square between units grows with the runs that it is averaged over.
    units_square = squares.rest + n_runs / n_finished * max(0.0, squares.units - squares.rest)
    counts = dict.fromkeys(Verdict, 0)
    for _ in range(_N_FUTURES):
        drawn = float(((finished - finished.mean()) ** 2).sum()) / generator.chisquare(n_finished - 1)
        variance = max(drawn, squares.rest / n_units)
        mean = generator.normal(finished.mean(), (variance / n_finished) ** 0.5)
        further = generator.normal(mean, variance**0.5, n_runs - n_finished)
        means = np.concatenate([finished, further])
        future = MeanSquares(n_units * float(means.var(ddof=1)), units_square, squares.rest, n_runs, n_units)
        effect = future.effect(float(means.mean()), LARGEST_POINTS)
        verdict = decide(effect, n_runs=n_runs, delta_points=delta_points).verdict
        if verdict is not None:
            counts[verdict] += 1
    return {verdict: count / _N_FUTURES for verdict, count in counts.items()}
