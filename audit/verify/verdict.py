"""From numbers to a verdict, in a fixed order: ill health, then harm or help, then equivalence, then ignorance.

The order and the limits are set before any answer is seen, and a verdict is never softened or sharpened afterwards.
Of 2,000 simulated verifications without an effect at most 6 % may end in *confirmed* or *harmful*;
`tests/benchmarks/verdict` has the measured figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from scipy.special import bdtr

from audit.verify.statistics import CrossedEffect

__all__ = ["MIN_RUNS", "Decision", "HealthLimits", "RunHealth", "Verdict", "decide"]

MIN_RUNS = 5
"""With fewer runs per arm the spread between runs is not known well enough for a verdict about the dataset."""


class Verdict(StrEnum):
    """What a verification says about the dataset."""

    CONFIRMED = "confirmed"
    """The cleaned dataset gives fewer wrong answers than a random removal of the same size."""
    HARMFUL = "harmful"
    """It gives more."""
    NO_EFFECT = "no effect"
    """Any difference is smaller than delta."""
    INCONCLUSIVE = "inconclusive"
    UNHEALTHY = "inconclusive (unhealthy)"
    """A run is broken, so that nothing can be claimed."""


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """When a run counts as broken.

    Attributes:
        max_empty_fraction: Share of answers without a visible character.
        max_repetitive_fraction: Share of answers that mostly repeat themselves.
        min_control_accuracy: Share of right answers on control prompts, which the base model knows; a run is broken
            where it lies below with 95 % confidence.
    """

    max_empty_fraction: float = 0.2
    max_repetitive_fraction: float = 0.2
    min_control_accuracy: float = 0.5


@dataclass(frozen=True, slots=True)
class RunHealth:
    """What the answers of one run show of its health. Its training loss is not among them."""

    name: str
    n_answers: int
    n_empty: int
    n_repetitive: int
    n_control: int
    n_control_right: int

    def problems(self, limits: HealthLimits) -> tuple[str, ...]:
        """Why the run is broken, one clause each; empty for a healthy one."""
        found = []
        for count, limit, what in (
            (self.n_empty, limits.max_empty_fraction, "are empty"),
            (self.n_repetitive, limits.max_repetitive_fraction, "repeat themselves"),
        ):
            if count > limit * self.n_answers:
                found.append(f"{self.name}: {count} of {self.n_answers} answers {what} (limit {limit:.0%})")
        if self.n_control and bdtr(self.n_control_right, self.n_control, limits.min_control_accuracy) < 0.05:
            found.append(
                f"{self.name}: {self.n_control_right} of {self.n_control} control prompts right, though the base model"
                f" knows them (limit {limits.min_control_accuracy:.0%})"
            )
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict and why.

    Attributes:
        verdict: `None` where one run per arm was compared: that says nothing about the dataset.
        reason: One or two sentences with the figures that decided.
        smaller_than_delta: Whether the 90 % interval lies within ±delta; beside *confirmed* or *harmful*, that the
            effect is real and small.
    """

    verdict: Verdict | None
    reason: str
    smaller_than_delta: bool = False


def decide(
    effect_points: CrossedEffect,
    *,
    n_runs: int,
    delta_points: float,
    health_problems: Sequence[str] = (),
    obstacles: Sequence[str] = (),
) -> Decision:
    """The verdict on cleaned minus random wrong answers.

    Args:
        effect_points: The difference in percentage points; negative where cleaned has fewer wrong answers.
        n_runs: Runs per arm.
        delta_points: The smallest difference that matters, set beforehand.
        health_problems: What is broken about the runs.
        obstacles: Why these answers carry no verdict though the runs are healthy; the first is given as the reason.
    """
    if health_problems:
        return Decision(Verdict.UNHEALTHY, "; ".join(health_problems) + ".")
    if n_runs == 1:
        return Decision(None, "One run per arm speaks of this run only: another seed may differ, whatever the dataset does.")
    likely, surely = effect_points.interval(0.90), effect_points.interval(0.95)
    interval = f"95 % interval {surely.low:+.1f} to {surely.high:+.1f} points"
    design = f"The smallest effect that this design could have seen is {_points(effect_points.smallest_detectable)}."
    if n_runs < MIN_RUNS:
        return Decision(
            Verdict.INCONCLUSIVE, f"{n_runs} runs per arm are too few for a verdict; {MIN_RUNS} are needed. {design}"
        )
    if obstacles:
        return Decision(Verdict.INCONCLUSIVE, obstacles[0] + ".")
    is_small = likely.within(delta_points)
    if surely.excludes_zero:
        verdict, word = (Verdict.CONFIRMED, "fewer") if effect_points.mean < 0 else (Verdict.HARMFUL, "more")
        but_small = f", though the effect is smaller than {delta_points:g} points" if is_small else ""
        return Decision(
            verdict,
            f"{abs(effect_points.mean):.1f} points {word} wrong answers than after a random removal of the same size"
            f"{but_small}; the {interval} is clear of zero.",
            is_small,
        )
    if is_small:
        return Decision(
            Verdict.NO_EFFECT,
            f"The 90 % interval {likely.low:+.1f} to {likely.high:+.1f} points lies within ±{delta_points:g} points,"
            f" and the {interval} includes zero.",
            smaller_than_delta=True,
        )
    return Decision(
        Verdict.INCONCLUSIVE,
        f"The {interval} includes zero and is too wide to exclude an effect that matters. {design}",
    )


def _points(value: float) -> str:
    return f"{value:.1f} points" if value <= 100 else "larger than any possible"
