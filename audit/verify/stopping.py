"""When a method ends before its last seed: for ill health, or because nothing would come of it. Never for success.

An effect that looks good after two seeds is let run, because stopping at the first good look is how nulls get confirmed.
What ends early is inconclusive, whatever its figures say, so that looking costs power and no false verdict.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from audit.verify.arms import CLEANED, RANDOM, AnswerFile, pair_answers
from audit.verify.outcomes import ValueSet
from audit.verify.power import LARGEST_POINTS, VarianceComponents, runs_needed, units_needed, verdict_chances
from audit.verify.sheets import ScoreSheet, rubrics_of
from audit.verify.verdict import MIN_RUNS, Verdict
from audit.verify.verification import Verification

__all__ = ["LOOKS", "held_out_differences", "needed_sentence", "reason_to_stop", "stopped"]

Floats = NDArray[np.float64]

LOOKS = (1, 2, 3)
"""After so many seeds a method may be stopped; those that are left then are tuned together."""

_LEAST_CHANCE = 0.05
_OF_INTEREST = (Verdict.CONFIRMED, Verdict.HARMFUL, Verdict.NO_EFFECT)


def held_out_differences(arms: Mapping[str, Sequence[AnswerFile]], traced_prompts: frozenset[str]) -> tuple[Floats, Floats]:
    """Wrong answers of `cleaned` and of `random` on held-out prompts, 1 or 0, each of shape `(n_runs, n_prompts)`."""
    paired = pair_answers({name: arms[name] for name in (CLEANED, RANDOM)}, traced_prompts)
    rubrics = rubrics_of(paired.questions, (), ValueSet.of(()))
    return ScoreSheet.of(paired, CLEANED, rubrics).wrong, ScoreSheet.of(paired, RANDOM, rubrics).wrong


def reason_to_stop(
    verification: Verification,
    wrong: tuple[Floats, Floats],
    units: Sequence[Hashable],
    *,
    n_runs: int,
) -> str:
    """Why no further seed should be tuned; empty where one should.

    Args:
        verification: The judgement of the seeds that are finished.
        wrong: `held_out_differences` of them.
        units: The independent unit of each held-out prompt.
        n_runs: Seeds that there will be.
    """
    if verification.verdict is Verdict.UNHEALTHY:
        return "a run is broken"
    cleaned, random = wrong
    if not (cleaned.any() or random.any()):
        return "every held-out answer of both arms is right, so that there is nothing to find"
    if cleaned.all() and random.all():
        return "every held-out answer of both arms is wrong, so that there is nothing to find"
    if len(cleaned) < 2 or len(set(units)) < 2 or n_runs < MIN_RUNS:  # too few seeds for a verdict, by the user's own wish
        return ""
    differences = LARGEST_POINTS * (cleaned - random)
    chances = verdict_chances(differences, units, n_runs=n_runs, delta_points=verification.delta_points)
    best = max(_OF_INTEREST, key=lambda verdict: chances[verdict])
    if chances[best] < _LEAST_CHANCE:
        return (
            f"the chance that {n_runs} seeds end in any verdict is small: {chances[best]:.1%} for the likeliest, {best}"
            f" (limit {_LEAST_CHANCE:.0%})"
        )
    return ""


def stopped(verification: Verification, reason: str, n_runs: int) -> Verification:
    """The judgement of a method that was stopped: inconclusive, with the reason."""
    after = f"Stopped after {verification.n_runs} of {n_runs} seeds: {reason}."
    if verification.verdict is Verdict.UNHEALTHY:
        return replace(verification, reason=f"{after} {verification.reason}")
    return replace(verification, verdict=Verdict.INCONCLUSIVE, reason=after, smaller_than_delta=False)


def needed_sentence(verification: Verification, wrong: tuple[Floats, Floats], units: Sequence[Hashable]) -> str:
    """What it would take to see an effect that matters, from the variance of these answers; empty where a verdict came."""
    if verification.verdict is not Verdict.INCONCLUSIVE:
        return ""
    measured = VarianceComponents.of(LARGEST_POINTS * (wrong[0] - wrong[1]), units)
    components = measured or VarianceComponents()
    n_runs, n_units, points = max(MIN_RUNS, verification.n_runs), max(2, verification.n_units), verification.delta_points
    enough_units, enough_runs = units_needed(components, n_runs, points), runs_needed(components, n_units, points)
    ways = []
    if enough_units is not None:
        ways.append(f"about {enough_units} independent held-out prompts with {n_runs} runs per arm")
    if enough_runs is not None:
        ways.append(f"about {enough_runs} runs per arm with the {verification.n_units} that there are")
    source = "By the variance of these answers" if measured is not None else "By variances that are assumed"
    if not ways:
        return (
            f"{source}, neither more prompts nor more runs alone would show a difference of {points:g} points: both are needed."
        )
    return f"{source}, a difference of {points:g} points takes {', or '.join(ways)} (5 %, two-sided; power 80 %)."
