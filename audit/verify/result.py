"""What `tunescope verify` ends with: one verification per method of tuning, and what was tuned for it."""

from __future__ import annotations

from dataclasses import dataclass

from audit.tune.rates import RateChoice
from audit.tune.recipe import Method, Recipe
from audit.tune.record import TuningRecord
from audit.verify.design import Design
from audit.verify.verification import Verification

__all__ = ["CampaignResult", "MethodResult", "Tuning"]


@dataclass(frozen=True)
class Tuning:
    """One finished tuning of an arm."""

    arm: str
    seed: int
    record: TuningRecord


@dataclass(frozen=True)
class MethodResult:
    """The judgement of one method of tuning.

    Attributes:
        method: `None` where answers or checkpoints were made elsewhere.
        verification: The judgement; `None` where a tuning failed, so that there is nothing to judge.
        problem: Why it failed.
        recipe: How it was tuned, learning rate included; `None` where it was not tuned here.
        rates: How the learning rate was chosen; `None` where it was given.
        tunings: Those that were finished, seed by seed.
        stopped: Why it ended before the last seed; empty where it did not.
    """

    method: Method | None
    verification: Verification | None
    problem: str = ""
    recipe: Recipe | None = None
    rates: RateChoice | None = None
    tunings: tuple[Tuning, ...] = ()
    stopped: str = ""

    def training_fit(self, *arms: str) -> float | None:
        """The mean share of trained tokens that the tunings of some arms predict; `None` without any."""
        fits = [tuning.record.training_fit for tuning in self.tunings if tuning.arm in arms]
        return sum(fits) / len(fits) if fits else None


@dataclass(frozen=True)
class CampaignResult:
    """All that a report needs.

    Attributes:
        export: The export that was verified, where it was named.
        design: What was fixed before tuning; `None` where nothing was tuned here.
        methods: LoRA first.
        notes: What a reader has to know of all methods.
    """

    export: str | None
    design: Design | None
    methods: tuple[MethodResult, ...]
    notes: tuple[str, ...] = ()
