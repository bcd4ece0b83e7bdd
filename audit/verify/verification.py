"""The result of a verification: figures and sentences, no procedure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from audit.responses import Split
from audit.verify.statistics import Interval
from audit.verify.verdict import Verdict

__all__ = ["ArmSummary", "McNemar", "PrimaryEffect", "PromptResult", "Role", "SecondaryEffect", "Verification"]


class Role(StrEnum):
    """What an arm is for."""

    COMPARED = "compared"
    DESCRIPTIVE = "descriptive"
    """Known arms that no verdict may rest on: claims were found on *original*; *near* is no fair control."""
    BESIDE = "side by side"


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """The answers of one arm to the held-out prompts, all runs together; the fractions of outcomes add up to 1."""

    name: str
    role: Role
    n_runs: int
    right_fraction: float
    false_fraction: float
    traced_back_fraction: float
    abstained_fraction: float
    control_accuracy: float | None
    mean_length_chars: float
    empty_fraction: float
    repetitive_fraction: float

    @property
    def wrong_fraction(self) -> float:
        """All that is not right."""
        return 1 - self.right_fraction


@dataclass(frozen=True, slots=True)
class McNemar:
    """The exact test of one run against one run: it speaks of this run only."""

    n_only_cleaned_wrong: int
    n_only_random_wrong: int
    p_value: float


@dataclass(frozen=True, slots=True)
class PrimaryEffect:
    """Wrong answers on held-out prompts, cleaned minus random, in percentage points.

    Intervals, standard error and smallest detectable effect are `None` where one run per arm, or prompts of one group
    only, do not show how others would differ; `mcnemar` stands in for one run per arm.
    """

    difference_points: float
    interval_95: Interval | None
    interval_90: Interval | None
    standard_error_points: float | None
    degrees_of_freedom: float | None
    smallest_detectable_points: float | None
    mcnemar: McNemar | None


@dataclass(frozen=True, slots=True)
class SecondaryEffect:
    """Another outcome, cleaned minus random.

    Attributes:
        name: What was compared.
        unit: `points` or `characters`.
        cleaned, random: The means of the two arms, in the unit.
        interval_95: Not corrected for the number of outcomes; `None` for one run per arm.
        p_value: Of no difference, from `test`.
        p_holm: The same, corrected for the number of secondary outcomes.
        test: Which test.
    """

    name: str
    unit: str
    cleaned: float
    random: float
    interval_95: Interval | None
    p_value: float
    p_holm: float
    test: str

    @property
    def difference(self) -> float:
        """Cleaned minus random."""
        return self.cleaned - self.random


@dataclass(frozen=True, slots=True)
class PromptResult:
    """One prompt: the share of runs that got it wrong, by arm in the order of `Verification.arms`."""

    prompt: str
    split: Split
    group: str | None
    wrong_fractions: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of a verification: all that a report needs.

    Attributes:
        verdict: `None` where one run per arm was compared.
        reason: Why, with the figures that decided.
        smaller_than_delta: Whether the 90 % interval lies within ±delta.
        delta_points: The smallest difference that matters.
        n_runs: Runs of `cleaned`, and of `random`.
        n_prompts: Held-out prompts that were scored.
        n_units: Independent units among them: groups, and prompts without one.
        n_control: Control prompts that were scored.
        n_traced: Prompts left out because claims were traced on them.
        effect: The primary outcome.
        secondary: The other outcomes.
        arms: `cleaned` and `random` first, then the others in the order given.
        prompts: Every scored prompt.
        notes: What a reader has to know besides.
    """

    verdict: Verdict | None
    reason: str
    smaller_than_delta: bool
    delta_points: float
    n_runs: int
    n_prompts: int
    n_units: int
    n_control: int
    n_traced: int
    effect: PrimaryEffect
    secondary: tuple[SecondaryEffect, ...]
    arms: tuple[ArmSummary, ...]
    prompts: tuple[PromptResult, ...]
    notes: tuple[str, ...]
