"""The scores of one arm, as tables of runs by prompts: what the statistics are computed from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.responses import Split
from audit.verify.arms import CLEANED, RANDOM, PairedAnswers, Question
from audit.verify.outcomes import Outcome, Rubric, Score, ValueSet
from audit.verify.verdict import HealthLimits, RunHealth
from audit.verify.verification import ArmSummary, Role

__all__ = ["ScoreSheet", "right_alone", "rubrics_of"]

Floats = NDArray[np.float64]

_ROLES = {CLEANED: Role.COMPARED, RANDOM: Role.COMPARED, "original": Role.DESCRIPTIVE, "near": Role.DESCRIPTIVE}


@dataclass(frozen=True)
class ScoreSheet:
    """Every answer of one arm, scored.

    Attributes:
        arm: The arm's name.
        file_names: One per run.
        questions: What was asked, in the order of the scores.
        scores: One tuple per run, of one score per question.
        base_right: Whether the untuned model answers each question right; `None` where it was not asked.
    """

    arm: str
    file_names: tuple[str, ...]
    questions: tuple[Question, ...]
    scores: tuple[tuple[Score, ...], ...]
    base_right: tuple[bool, ...] | None = None

    @classmethod
    def of(cls, paired: PairedAnswers, arm: str, rubrics: Sequence[Rubric]) -> ScoreSheet:
        """Score the answers of one arm by the rubric of each question."""
        scores = tuple(
            tuple(rubric.score(answer) for rubric, answer in zip(rubrics, run, strict=True)) for run in paired.answers[arm]
        )
        return cls(arm, paired.file_names[arm], paired.questions, scores, right_alone(paired, rubrics))

    @property
    def role(self) -> Role:
        """What the arm is for."""
        return _ROLES.get(self.arm, Role.BESIDE)

    @property
    def n_runs(self) -> int:
        """Runs, that is answer files."""
        return len(self.scores)

    @property
    def wrong(self) -> Floats:
        """1 where the answer to a held-out prompt is wrong, shape `(n_runs, n_prompts)`."""
        return 1 - self.outcomes(Outcome.RIGHT)

    @property
    def lengths_chars(self) -> Floats:
        """The length of every answer to a held-out prompt, shape `(n_runs, n_prompts)`."""
        return self.table(lambda score: score.length_chars)

    def outcomes(self, outcome: Outcome, split: Split = Split.HELD_OUT) -> Floats:
        """1 where an answer has this outcome, shape `(n_runs, n_prompts)`."""
        return self.table(lambda score: score.outcome is outcome, split)

    def table(self, measure: Callable[[Score], float], split: Split = Split.HELD_OUT) -> Floats:
        """A measure of every answer to the prompts of one split, shape `(n_runs, n_prompts)`."""
        chosen = [index for index, question in enumerate(self.questions) if question.split is split]
        return np.array([[measure(run[index]) for index in chosen] for run in self.scores], dtype=np.float64)

    def wrong_fraction(self, index: int) -> float:
        """The share of runs whose answer to one question is wrong."""
        return sum(run[index].outcome is not Outcome.RIGHT for run in self.scores) / self.n_runs

    def health_problems(self, limits: HealthLimits) -> tuple[str, ...]:
        """What is broken about the runs, one clause each.

        Control prompts that the untuned model is known to answer wrong do not count: they are no facts it knows.
        """
        control = [
            index
            for index, question in enumerate(self.questions)
            if question.split is Split.CONTROL and (self.base_right is None or self.base_right[index])
        ]
        runs = (
            RunHealth(
                name=f"{self.arm} run {number} ({file_name})",
                n_answers=len(scores),
                n_empty=sum(score.is_empty for score in scores),
                n_repetitive=sum(score.is_repetitive for score in scores),
                n_control=len(control),
                n_control_right=sum(scores[index].outcome is Outcome.RIGHT for index in control),
            )
            for number, (file_name, scores) in enumerate(zip(self.file_names, self.scores, strict=True), start=1)
        )
        return tuple(problem for run in runs for problem in run.problems(limits))

    def summary(self) -> ArmSummary:
        """The arm in a line of a table."""
        control = self.outcomes(Outcome.RIGHT, Split.CONTROL)
        return ArmSummary(
            name=self.arm,
            role=self.role,
            n_runs=self.n_runs,
            right_fraction=float(self.outcomes(Outcome.RIGHT).mean()),
            false_fraction=float(self.outcomes(Outcome.FALSE).mean()),
            traced_back_fraction=float(self.outcomes(Outcome.TRACED_BACK).mean()),
            displaced_fraction=float(self.outcomes(Outcome.DISPLACED).mean()),
            abstained_fraction=float(self.outcomes(Outcome.ABSTAINED).mean()),
            spoiled_fraction=self._spoiled_fraction(),
            control_accuracy=float(control.mean()) if control.size else None,
            mean_length_chars=float(self.lengths_chars.mean()),
            empty_fraction=float(self.table(lambda score: score.is_empty).mean()),
            repetitive_fraction=float(self.table(lambda score: score.is_repetitive).mean()),
            wrong_fraction_by_run=tuple(self.wrong.mean(axis=1).tolist()),
        )

    def _spoiled_fraction(self) -> float | None:
        if self.base_right is None:
            return None
        held_out = [index for index, question in enumerate(self.questions) if question.split is Split.HELD_OUT]
        return float((self.wrong * np.array([self.base_right[index] for index in held_out])).mean())


def rubrics_of(
    questions: Sequence[Question], traced_words: Sequence[str], values: ValueSet, *, with_own_values: bool = True
) -> list[Rubric]:
    """What the answers to each question are held against.

    Args:
        questions: In the order of the result.
        traced_words: The word strings of the spans that were traced.
        values: The values of the rows.
        with_own_values: Whether a question's own values count on top, as where the rows are not known.
    """
    return [
        Rubric.of(
            question.prompt,
            question.reference,
            traced_words,
            values.joined(ValueSet.of(question.values)) if question.values and with_own_values else values,
        )
        for question in questions
    ]


def right_alone(paired: PairedAnswers, rubrics: Sequence[Rubric]) -> tuple[bool, ...] | None:
    """Whether the untuned model answers each question right; `None` where it was not asked."""
    if paired.base is None:
        return None
    return tuple(rubric.is_right(answer) for rubric, answer in zip(rubrics, paired.base, strict=True))
