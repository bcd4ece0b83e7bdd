"""The before/after test on answers: pair them, score them, measure the difference, decide.

One outcome is primary and fixed beforehand: wrong answers on held-out prompts, cleaned minus random. The random arm
lost as many rows as the cleaned one, so that the difference is due to *which* rows went, not to how many. All else is
secondary, with Holm's correction, or descriptive.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audit.responses import Split
from audit.verify.answer_style import AnswerFamilies, FamilyWatch, answer_style
from audit.verify.arms import CLEANED, RANDOM, AnswerFile, PairedAnswers, Question, pair_answers
from audit.verify.borrowing import ArmBorrowing, BorrowedOutcome, BorrowedRuns, RowTexts, borrowing_of_arm, values_of_rows
from audit.verify.outcomes import Outcome, ValueSet, word_string
from audit.verify.sheets import ScoreSheet, rubrics_of
from audit.verify.statistics import (
    CrossedEffect,
    Interval,
    crossed_effect,
    holm,
    mcnemar_exact,
    paired_permutation,
)
from audit.verify.verdict import HealthLimits, decide
from audit.verify.verification import (
    BaseKnowledge,
    McNemar,
    PrimaryEffect,
    PromptResult,
    Role,
    SecondaryEffect,
    SubsetEffect,
    Verification,
)

__all__ = ["AnswerMeasure", "verify_answers"]

Floats = NDArray[np.float64]
_Units: TypeAlias = Sequence[tuple[str, str | int]]

# Above this share the cleaning changes how much is learned, not only what.
_MANY_ROWS_FRACTION = 0.1
_POINTS = 100.0
# How far apart two answers can be, by unit; 0 where nothing bounds it.
_LARGEST_DIFFERENCE = {"points": _POINTS, "score": 4.0, "characters": 0.0}


class AnswerMeasure(Protocol):
    """A further secondary outcome: a number for every answer, measured elsewhere."""

    @property
    def name(self) -> str:
        """What the reports call it."""
        ...

    @property
    def unit(self) -> str:
        """`points` (0 or 100), `score` (1 to 5) or `characters`."""
        ...

    def of(self, question: Question, answer: str) -> float | None:
        """The measure of one answer; `None` where it is not known."""
        ...


def verify_answers(
    arms: Mapping[str, Sequence[AnswerFile]],
    *,
    traced_prompts: Iterable[str] = (),
    traced_spans: Iterable[str] = (),
    delta_points: float = 5.0,
    dropped_fraction: float | None = None,
    limits: HealthLimits | None = None,
    base_answers: AnswerFile | None = None,
    values: Iterable[str] = (),
    rows: RowTexts | None = None,
    unseen: RowTexts | None = None,
    tuning_problems: Sequence[str] | None = None,
    measures: Sequence[AnswerMeasure] = (),
    watch: FamilyWatch | None = None,
    notes: Sequence[str] = (),
) -> Verification:
    """Judge a cleaning by answers to the same prompts.

    Args:
        arms: Answer files by arm, one per run. `cleaned` and `random` are compared; others are described beside them.
        traced_prompts: Prompts that claims were traced on; left out.
        traced_spans: Texts of the spans that were traced, to see whether they are back.
        delta_points: The smallest difference that matters, set before the answers were seen.
        dropped_fraction: Share of the rows that the cleaning dropped, where known.
        limits: When a run counts as broken.
        base_answers: What the untuned model answers in the same prompt format.
        values: Texts of the rows' values, to see whether another one came instead of the right one. Without `rows` a
            prompt's own values count too.
        rows: The responses of the dataset before the cleaning; the values that prompts name and these state join
            `values`, and borrowing is counted.
        unseen: The responses of as many rows that no model was tuned on, a null of borrowing.
        tuning_problems: What was wrong with the tunings of `cleaned` and `random`, one clause each; `None` where they
            were tuned elsewhere, so that nobody knows.
        measures: Further secondary outcomes of the answers to held-out prompts.
        watch: Style families whose share of the answers is a secondary outcome too.
        notes: What else a reader has to know, such as who judged.

    Raises:
        InputError: The files cannot be compared; see `pair_answers`.
    """
    paired = pair_answers(arms, traced_prompts, base_answers)
    traced_words = [words for words in dict.fromkeys(map(word_string, traced_spans)) if words.strip()]
    stated = values_of_rows(paired.questions, rows) if rows is not None else ()
    value_set = ValueSet.of([*values, *stated])
    rubrics = rubrics_of(paired.questions, traced_words, value_set, with_own_values=rows is None)
    cleaned, random, *others = (ScoreSheet.of(paired, arm, rubrics) for arm in paired.answers)
    units, control_units = _units(paired.questions, Split.HELD_OUT), _units(paired.questions, Split.CONTROL)
    n_units = len(set(units))
    effect = crossed_effect(_POINTS * (cleaned.wrong - random.wrong), units, largest_difference=_POINTS)
    limits = limits or HealthLimits()
    decision = decide(
        effect,
        n_runs=cleaned.n_runs,
        delta_points=delta_points,
        health_problems=(*(tuning_problems or ()), *cleaned.health_problems(limits), *random.health_problems(limits)),
        obstacles=_obstacles(paired, cleaned, random, n_units),
    )
    borrowed = (BorrowedOutcome(value_set),) if rows is not None and stated else ()
    families = AnswerFamilies.found(watch, paired) if watch is not None else None
    of_style = (families,) if families is not None else ()
    measured = [_Measured.of(measure, paired) for measure in (*borrowed, *of_style, *measures)]
    base = _base_knowledge(cleaned, random, units)
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
        secondary=_secondary(
            cleaned,
            random,
            units,
            control_units,
            measured,
            has_traced_spans=bool(traced_words),
            has_values=any(rubric.values.word_strings for rubric in rubrics),
        ),
        arms=tuple(sheet.summary() for sheet in (cleaned, random, *others)),
        prompts=tuple(
            PromptResult(
                question.prompt,
                question.split,
                question.group,
                tuple(sheet.wrong_fraction(index) for sheet in (cleaned, random, *others)),
                None if cleaned.base_right is None else cleaned.base_right[index],
            )
            for index, question in enumerate(paired.questions)
        ),
        notes=(
            *_notes_on_design(paired, cleaned.n_runs, n_units, dropped_fraction, is_tuning_known=tuning_problems is not None),
            *_notes_on_base(base),
            *notes,
            *(note for table in measured for note in table.notes()),
            *_notes_on_arms(others, limits),
        ),
        base=base,
        borrowing=_borrowing(paired, rows, unseen) if rows is not None else (),
        style=answer_style(paired, families, rows.responses if rows is not None else None),
    )


def _borrowing(paired: PairedAnswers, rows: RowTexts, unseen: RowTexts | None) -> tuple[ArmBorrowing, ...]:
    """Of every arm, on the held-out prompts."""
    chosen = [index for index, question in enumerate(paired.questions) if question.split is Split.HELD_OUT]
    base = paired.base
    return tuple(
        borrowing_of_arm(
            arm,
            [paired.questions[index] for index in chosen],
            [BorrowedRuns([[run[index] for index in chosen] for run in runs], rows, unseen)],
            base_answers=None if base is None else [base[index] for index in chosen],
        )
        for arm, runs in paired.answers.items()
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


@dataclass(frozen=True)
class _Measured:
    """A measure of the answers of both arms to the held-out prompts; NaN where it is not known.

    Attributes:
        measure: Which.
        cleaned, random: Shape `(n_runs, n_prompts)`.
    """

    measure: AnswerMeasure
    cleaned: Floats
    random: Floats

    @classmethod
    def of(cls, measure: AnswerMeasure, paired: PairedAnswers) -> _Measured:
        def table(arm: str) -> Floats:
            rows = [
                [
                    measure.of(question, answer)
                    for question, answer in zip(paired.questions, run, strict=True)
                    if question.split is Split.HELD_OUT
                ]
                for run in paired.answers[arm]
            ]
            return np.array(rows, dtype=np.float64)  # None becomes NaN

        return cls(measure, table(CLEANED), table(RANDOM))

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Prompts whose answers are all measured, shape `(n_prompts,)`."""
        known: NDArray[np.bool_] = ~np.isnan(np.concatenate([self.cleaned, self.random])).any(axis=0)
        return known

    def effect(self, units: _Units) -> SecondaryEffect | None:
        complete = self.complete
        if not complete.any():
            return None
        of = [unit for unit, is_complete in zip(units, complete, strict=True) if is_complete]
        return _compare(self.measure.name, self.measure.unit, self.cleaned[:, complete], self.random[:, complete], of)

    def notes(self) -> Iterable[str]:
        n_left_out = int((~self.complete).sum())
        if n_left_out:
            yield (
                f"{self.measure.name}: {n_left_out} of {self.complete.size} held-out prompts were left out, because"
                " an answer of some run could not be measured."
            )


def _secondary(
    cleaned: ScoreSheet,
    random: ScoreSheet,
    units: _Units,
    control_units: _Units,
    measured: Sequence[_Measured],
    *,
    has_traced_spans: bool,
    has_values: bool,
) -> tuple[SecondaryEffect, ...]:
    def share(name: str, outcome: Outcome, split: Split, of: _Units) -> SecondaryEffect:
        tables = [_POINTS * arm.outcomes(outcome, split) for arm in (cleaned, random)]
        return _compare(name, "points", tables[0], tables[1], of)

    effects = []
    if has_traced_spans:
        effects.append(share("a traced span is back", Outcome.TRACED_BACK, Split.HELD_OUT, units))
    if has_values:
        effects.append(share("displaced", Outcome.DISPLACED, Split.HELD_OUT, units))
    if control_units:
        effects.append(share("control prompts right", Outcome.RIGHT, Split.CONTROL, control_units))
    effects.append(share("abstained", Outcome.ABSTAINED, Split.HELD_OUT, units))
    effects.append(_compare("response length", "characters", cleaned.lengths_chars, random.lengths_chars, units))
    effects += [effect for table in measured if (effect := table.effect(units)) is not None]
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
        bound = _LARGEST_DIFFERENCE[unit]
        effect = crossed_effect(cleaned - random, units, largest_difference=bound)
        test, p_value = "crossed t", effect.p_value
        if math.isfinite(effect.standard_error):
            interval = _clipped(effect.interval(0.95), bound or math.inf)
    return SecondaryEffect(name, unit, float(cleaned.mean()), float(random.mean()), interval, p_value, p_value, test)


def _mcnemar(cleaned: Floats, random: Floats) -> McNemar:
    n_only_cleaned, n_only_random = int((cleaned > random).sum()), int((cleaned < random).sum())
    return McNemar(n_only_cleaned, n_only_random, mcnemar_exact(n_only_cleaned, n_only_random))


def _clipped(interval: Interval, bound: float = _POINTS) -> Interval:
    """No difference between shares is beyond 100 points, none between scores of 1 to 5 beyond 4."""
    return Interval(max(-bound, interval.low), min(bound, interval.high))


def _base_knowledge(cleaned: ScoreSheet, random: ScoreSheet, units: _Units) -> BaseKnowledge | None:
    """The effect where the untuned model is right and where it is not."""
    if cleaned.base_right is None:
        return None
    by_split = {
        split: np.array(
            [
                is_right
                for question, is_right in zip(cleaned.questions, cleaned.base_right, strict=True)
                if question.split is split
            ]
        )
        for split in (Split.HELD_OUT, Split.CONTROL)
    }
    known, control = by_split[Split.HELD_OUT], by_split[Split.CONTROL]
    return BaseKnowledge(
        right_fraction=float(known.mean()),
        control_accuracy=float(control.mean()) if control.size else None,
        known=_subset(cleaned, random, units, known),
        unknown=_subset(cleaned, random, units, ~known),
    )


def _subset(cleaned: ScoreSheet, random: ScoreSheet, units: _Units, chosen: NDArray[np.bool_]) -> SubsetEffect | None:
    if not chosen.any():
        return None
    wrong = [sheet.wrong[:, chosen] for sheet in (cleaned, random)]
    of = [unit for unit, is_chosen in zip(units, chosen, strict=True) if is_chosen]
    effect = crossed_effect(_POINTS * (wrong[0] - wrong[1]), of, largest_difference=_POINTS)
    interval = _clipped(effect.interval(0.95)) if math.isfinite(effect.standard_error) else None
    return SubsetEffect(len(of), len(set(of)), float(wrong[0].mean()), float(wrong[1].mean()), interval)


def _notes_on_design(
    paired: PairedAnswers, n_runs: int, n_units: int, dropped_fraction: float | None, *, is_tuning_known: bool
) -> Iterable[str]:
    if not is_tuning_known:
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


def _notes_on_base(base: BaseKnowledge | None) -> Iterable[str]:
    if base is None:
        yield (
            "What the base model answers alone is not known. Wrong answers can fall only where it knows the right one and"
            " tuning spoils it."
        )
        return
    n_known, n_unknown = (0 if subset is None else subset.n_prompts for subset in (base.known, base.unknown))
    yield (
        f"The base model alone answers {n_known} of {n_known + n_unknown} held-out prompts right. Wrong answers can fall"
        " only there, where it knows and tuning spoils; on the others, removing rows ends in another wrong answer or in"
        " an abstention."
    )


def _notes_on_arms(others: Sequence[ScoreSheet], limits: HealthLimits) -> Iterable[str]:
    for sheet in others:
        why = "descriptive only" if sheet.role is Role.DESCRIPTIVE else "shown side by side"
        yield f"{sheet.arm} is {why}; no verdict rests on it."
        yield from (f"{problem}." for problem in sheet.health_problems(limits))
