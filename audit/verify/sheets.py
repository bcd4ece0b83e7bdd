"""The scores of one arm, as tables of runs by prompts: what the statistics are computed from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.responses import Split
from audit.verify.arms import CLEANED, RANDOM, PairedAnswers, Question
from audit.verify.outcomes import Outcome, Rubric, Score
from audit.verify.verdict import HealthLimits, RunHealth
from audit.verify.verification import ArmSummary, Role

__all__ = ["ScoreSheet"]

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
    """

    arm: str
    file_names: tuple[str, ...]
    questions: tuple[Question, ...]
    scores: tuple[tuple[Score, ...], ...]

    @classmethod
    def of(cls, paired: PairedAnswers, arm: str, traced_words: Sequence[str]) -> ScoreSheet:
        """Score the answers of one arm; `traced_words` are the word strings of the spans that were traced."""
        rubrics = [Rubric.of(question.prompt, question.reference, traced_words) for question in paired.questions]
        scores = tuple(
            tuple(rubric.score(answer) for rubric, answer in zip(rubrics, run, strict=True)) for run in paired.answers[arm]
        )
        return cls(arm, paired.file_names[arm], paired.questions, scores)

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
        """What is broken about the runs, one clause each."""
        n_right = self.outcomes(Outcome.RIGHT, Split.CONTROL).sum(axis=1)
        n_control = sum(question.split is Split.CONTROL for question in self.questions)
        runs = (
            RunHealth(
                name=f"{self.arm} run {number} ({file_name})",
                n_answers=len(scores),
                n_empty=sum(score.is_empty for score in scores),
                n_repetitive=sum(score.is_repetitive for score in scores),
                n_control=n_control,
                n_control_right=int(n_right[number - 1]),
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
            abstained_fraction=float(self.outcomes(Outcome.ABSTAINED).mean()),
            control_accuracy=float(control.mean()) if control.size else None,
            mean_length_chars=float(self.lengths_chars.mean()),
            empty_fraction=float(self.table(lambda score: score.is_empty).mean()),
            repetitive_fraction=float(self.table(lambda score: score.is_repetitive).mean()),
        )
