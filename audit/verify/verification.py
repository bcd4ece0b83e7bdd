"""The result of a verification: figures and sentences, no procedure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from audit.responses import Split
from audit.verify.answer_style import AnswerStyle
from audit.verify.borrowing import ArmBorrowing
from audit.verify.statistics import Interval
from audit.verify.verdict import Verdict

__all__ = [
    "ArmSummary",
    "BaseKnowledge",
    "McNemar",
    "PrimaryEffect",
    "PromptResult",
    "Role",
    "SecondaryEffect",
    "SubsetEffect",
    "Verification",
]


class Role(StrEnum):
    """What an arm is for."""

    COMPARED = "compared"
    DESCRIPTIVE = "descriptive"
    """Known arms that no verdict may rest on: claims were found on *original*; *near* is no fair control."""
    BESIDE = "side by side"


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """The answers of one arm to the held-out prompts, all runs together.

    The fractions right, false, traced back, displaced and abstained add up to 1. `spoiled_fraction` is the share of
    answers that are wrong though the untuned model answers right; `None` where it was not asked.
    `wrong_fraction_by_run` has the share of wrong answers of every run, in the order of the runs.
    """

    name: str
    role: Role
    n_runs: int
    right_fraction: float
    false_fraction: float
    traced_back_fraction: float
    displaced_fraction: float
    abstained_fraction: float
    spoiled_fraction: float | None
    control_accuracy: float | None
    mean_length_chars: float
    empty_fraction: float
    repetitive_fraction: float
    wrong_fraction_by_run: tuple[float, ...]

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
        unit: `points`, `characters`, or `score` for a judge's 1 to 5.
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
class SubsetEffect:
    """Wrong answers on some of the held-out prompts, cleaned minus random; descriptive, no verdict rests on it.

    Attributes:
        n_prompts: How many.
        n_units: Independent units among them.
        cleaned_wrong_fraction, random_wrong_fraction: Of the answers to these prompts.
        interval_95: In points; `None` where one run per arm, or one unit, does not show how others would differ.
    """

    n_prompts: int
    n_units: int
    cleaned_wrong_fraction: float
    random_wrong_fraction: float
    interval_95: Interval | None

    @property
    def difference_points(self) -> float:
        """Cleaned minus random."""
        return 100 * (self.cleaned_wrong_fraction - self.random_wrong_fraction)


@dataclass(frozen=True, slots=True)
class BaseKnowledge:
    """What the untuned model answers in the same format: wrong answers can fall only where it is right.

    Attributes:
        right_fraction: Of the held-out prompts.
        control_accuracy: Of the control prompts; `None` without any.
        known: The effect on held-out prompts that it answers right; `None` where there is none.
        unknown: The effect on the others.
    """

    right_fraction: float
    control_accuracy: float | None
    known: SubsetEffect | None
    unknown: SubsetEffect | None


@dataclass(frozen=True, slots=True)
class PromptResult:
    """One prompt: the share of runs that got it wrong, by arm in the order of `Verification.arms`.

    `base_right` says whether the untuned model answers it right; `None` where it was not asked.
    """

    prompt: str
    split: Split
    group: str | None
    wrong_fractions: tuple[float, ...]
    base_right: bool | None = None


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
        base: What the untuned model knows; `None` where it was not asked.
        borrowing: How often the answers of each arm hold what the rows hold; empty where the rows are not known.
        style: Traits of the answers, and how many are of the style families that the cleaning dropped; `None` where
            there is nothing to hold them against.
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
    base: BaseKnowledge | None = None
    borrowing: tuple[ArmBorrowing, ...] = ()
    style: AnswerStyle | None = None
