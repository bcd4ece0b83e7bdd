"""The before/after test on answers made elsewhere: pair them, score them, measure the difference, decide.

One outcome is primary and fixed beforehand: wrong answers on held-out prompts, cleaned minus random. The random arm
lost as many rows as the cleaned one, so that the difference is due to *which* rows went, not to how many. All else is
secondary, with Holm's correction, or descriptive.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from audit.responses import Split
from audit.verify.arms import CLEANED, RANDOM, AnswerFile, PairedAnswers, Question, pair_answers
from audit.verify.outcomes import Outcome, word_string
from audit.verify.sheets import ScoreSheet
from audit.verify.statistics import (
    CrossedEffect,
    Interval,
    crossed_effect,
    holm,
    mcnemar_exact,
    paired_permutation,
)
from audit.verify.verdict import HealthLimits, decide
from audit.verify.verification import McNemar, PrimaryEffect, PromptResult, Role, SecondaryEffect, Verification

__all__ = ["verify_answers"]

Floats = NDArray[np.float64]
_Units: TypeAlias = Sequence[tuple[str, str | int]]

# Above this share the cleaning changes how much is learned, not only what.
_MANY_ROWS_FRACTION = 0.1
_POINTS = 100.0


def verify_answers(
    arms: Mapping[str, Sequence[AnswerFile]],
    *,
    traced_prompts: Iterable[str] = (),
    traced_spans: Iterable[str] = (),
    delta_points: float = 5.0,
    dropped_fraction: float | None = None,
    limits: HealthLimits | None = None,
) -> Verification:
    """Judge a cleaning by answers to the same prompts.

    Args:
        arms: Answer files by arm, one per run. `cleaned` and `random` are compared; others are described beside them.
        traced_prompts: Prompts that claims were traced on; left out.
        traced_spans: Texts of the spans that were traced, to see whether they are back.
        delta_points: The smallest difference that matters, set before the answers were seen.
        dropped_fraction: Share of the rows that the cleaning dropped, where known.
        limits: When a run counts as broken.

    Raises:
        InputError: The files cannot be compared; see `pair_answers`.
    """
    paired = pair_answers(arms, traced_prompts)
    traced_words = [words for words in dict.fromkeys(map(word_string, traced_spans)) if words.strip()]
    cleaned, random, *others = (ScoreSheet.of(paired, arm, traced_words) for arm in paired.answers)
    units, control_units = _units(paired.questions, Split.HELD_OUT), _units(paired.questions, Split.CONTROL)
    n_units = len(set(units))
    effect = crossed_effect(_POINTS * (cleaned.wrong - random.wrong), units, largest_difference=_POINTS)
    limits = limits or HealthLimits()
    decision = decide(
        effect,
        n_runs=cleaned.n_runs,
        delta_points=delta_points,
        health_problems=cleaned.health_problems(limits) + random.health_problems(limits),
        obstacles=_obstacles(paired, cleaned, random, n_units),
    )
    return Verification(
        verdict=decision.verdict,
        reason=decision.reason,
        smaller_than_delta=decision.smaller_than_delta,
        delta_points=delta_points,
        n_runs=cleaned.n_runs,
        n_prompts=len(units),
        n_units=n_units,
        n_control=len(control_units),
        n_traced=paired.n_traced,
        effect=_primary(effect, cleaned, random),
        secondary=_secondary(cleaned, random, units, control_units, has_traced_spans=bool(traced_words)),
        arms=tuple(sheet.summary() for sheet in (cleaned, random, *others)),
        prompts=tuple(
            PromptResult(
                question.prompt,
                question.split,
                question.group,
                tuple(sheet.wrong_fraction(index) for sheet in (cleaned, random, *others)),
            )
            for index, question in enumerate(paired.questions)
        ),
        notes=(
            *_notes_on_design(paired, cleaned.n_runs, n_units, dropped_fraction),
            *_notes_on_arms(others, limits),
        ),
    )


def _units(questions: Sequence[Question], split: Split) -> _Units:
    """The independent unit of each question of a split: its group, or itself."""
    return [
        ("prompt", index) if question.group is None else ("group", question.group)
        for index, question in enumerate(questions)
        if question.split is split
    ]


def _obstacles(paired: PairedAnswers, cleaned: ScoreSheet, random: ScoreSheet, n_units: int) -> list[str]:
    """Why healthy answers may not carry a verdict."""
    found = []
    wrong = np.concatenate([cleaned.wrong, random.wrong])
    if not wrong.any():
        found.append("Every answer of both arms is right: these prompts leave nothing to find")
    if wrong.all():
        found.append("Every answer of both arms is wrong: the prompts are too hard, or the references are not in their form")
    if n_units == 1:
        found.append("All held-out prompts belong to one group: nothing shows how others would differ")
    runs = [run for arm in (CLEANED, RANDOM) for run in zip(paired.file_names[arm], paired.answers[arm], strict=True)]
    found.extend(
        f"{name} and {other} hold the same answers to every prompt: they are not independent runs"
        for (name, answers), (other, same) in itertools.combinations(runs, 2)
        if answers == same
    )
    return found


def _primary(effect: CrossedEffect, cleaned: ScoreSheet, random: ScoreSheet) -> PrimaryEffect:
    known = math.isfinite(effect.standard_error)
    return PrimaryEffect(
        difference_points=effect.mean,
        interval_95=_clipped(effect.interval(0.95)) if known else None,
        interval_90=_clipped(effect.interval(0.90)) if known else None,
        standard_error_points=effect.standard_error if known else None,
        degrees_of_freedom=effect.degrees_of_freedom if known else None,
        smallest_detectable_points=effect.smallest_detectable if known else None,
        mcnemar=_mcnemar(cleaned.wrong[0], random.wrong[0]) if cleaned.n_runs == 1 else None,
    )


def _secondary(
    cleaned: ScoreSheet, random: ScoreSheet, units: _Units, control_units: _Units, *, has_traced_spans: bool
) -> tuple[SecondaryEffect, ...]:
    def share(name: str, outcome: Outcome, split: Split, of: _Units) -> SecondaryEffect:
        tables = [_POINTS * arm.outcomes(outcome, split) for arm in (cleaned, random)]
        return _compare(name, "points", tables[0], tables[1], of)

    effects = []
    if has_traced_spans:
        effects.append(share("a traced span is back", Outcome.TRACED_BACK, Split.HELD_OUT, units))
    if control_units:
        effects.append(share("control prompts right", Outcome.RIGHT, Split.CONTROL, control_units))
    effects.append(share("abstained", Outcome.ABSTAINED, Split.HELD_OUT, units))
    effects.append(_compare("response length", "characters", cleaned.lengths_chars, random.lengths_chars, units))
    corrected = holm([effect.p_value for effect in effects])
    return tuple(replace(effect, p_holm=p_value) for effect, p_value in zip(effects, corrected, strict=True))


def _compare(name: str, unit: str, cleaned: Floats, random: Floats, units: _Units) -> SecondaryEffect:
    """One secondary outcome; its p-value is not corrected yet."""
    is_share = unit == "points"
    interval = None
    if len(cleaned) == 1:
        test = "exact McNemar" if is_share else "paired permutation"
        p_value = _mcnemar(cleaned[0], random[0]).p_value if is_share else paired_permutation(cleaned[0] - random[0])
    else:
        effect = crossed_effect(cleaned - random, units, largest_difference=_POINTS if is_share else 0.0)
        test, p_value = "crossed t", effect.p_value
        if math.isfinite(effect.standard_error):
            interval = _clipped(effect.interval(0.95)) if is_share else effect.interval(0.95)
    return SecondaryEffect(name, unit, float(cleaned.mean()), float(random.mean()), interval, p_value, p_value, test)


def _mcnemar(cleaned: Floats, random: Floats) -> McNemar:
    n_only_cleaned, n_only_random = int((cleaned > random).sum()), int((cleaned < random).sum())
    return McNemar(n_only_cleaned, n_only_random, mcnemar_exact(n_only_cleaned, n_only_random))


def _clipped(interval: Interval) -> Interval:
    """No difference between shares is beyond 100 points."""
    return Interval(max(-_POINTS, interval.low), min(_POINTS, interval.high))


def _notes_on_design(paired: PairedAnswers, n_runs: int, n_units: int, dropped_fraction: float | None) -> Iterable[str]:
    yield "Health was judged by the answers alone: the training loss of runs made elsewhere is not known here."
    n_held_out = sum(question.split is Split.HELD_OUT for question in paired.questions)
    if n_runs == 1:
        yield "This run only: one run per arm was compared, and prompts were counted as independent."
    elif n_units < n_held_out:
        yield f"The {n_held_out} held-out prompts form {n_units} independent units; the interval counts units."
    if paired.n_traced:
        yield f"Prompts left out because claims were traced on them: {paired.n_traced}."
    if n_held_out == len(paired.questions):
        yield "No control prompts were given: damage elsewhere was not looked for."
    if dropped_fraction is not None and dropped_fraction > _MANY_ROWS_FRACTION:
        yield f"The cleaning dropped {dropped_fraction:.0%} of the rows: both arms lost good rows with the bad ones."


def _notes_on_arms(others: Sequence[ScoreSheet], limits: HealthLimits) -> Iterable[str]:
    for sheet in others:
        why = "descriptive only" if sheet.role is Role.DESCRIPTIVE else "shown side by side"
        yield f"{sheet.arm} is {why}; no verdict rests on it."
        yield from (f"{problem}." for problem in sheet.health_problems(limits))
