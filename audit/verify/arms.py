"""Which answers are compared: files of answers, paired prompt by prompt, without the prompts that were traced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from audit.errors import InputError
from audit.responses import Response, Split, read_responses
from audit.sources import Message
from audit.verify.outcomes import word_string

__all__ = ["CLEANED", "RANDOM", "AnswerFile", "PairedAnswers", "Question", "pair_answers", "read_arms"]

CLEANED = "cleaned"
RANDOM = "random"

_Prompt: TypeAlias = tuple[Message, ...]

_MANY_FILES = "give --responses cleaned=FILE and --responses random=FILE, once per seed"
_QUOTED_CHARS = 80


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """The answers of one run: one tuning, one seed."""

    name: str
    responses: tuple[Response, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt with what all files say of it.

    Attributes:
        prompt: The text of the user's turns.
        reference: The right answer and its aliases.
        split: `HELD_OUT` or `CONTROL`; the traced are gone.
        group: The unit it belongs to, if it shares one.
        values: Other values that its answer could take.
    """

    prompt: str
    reference: tuple[str, ...]
    split: Split
    group: str | None
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PairedAnswers:
    """Every run's answer to every question.

    Attributes:
        questions: In the order of the first file of `cleaned`.
        answers: By arm: one tuple per run, in the order given, of one answer per question.
        file_names: By arm, one per run.
        n_traced: Prompts left out because claims were traced on them.
        base: The untuned model's answer to every question, where it was asked.
    """

    questions: tuple[Question, ...]
    answers: Mapping[str, tuple[tuple[str, ...], ...]]
    file_names: Mapping[str, tuple[str, ...]]
    n_traced: int
    base: tuple[str, ...] | None = None


def read_arms(files: Iterable[tuple[str, Path]]) -> dict[str, tuple[AnswerFile, ...]]:
    """Read the answer files of each arm; those of one arm are its runs, in the order given.

    Raises:
        InputError: A file cannot be read; see `read_responses`.
    """
    arms: dict[str, tuple[AnswerFile, ...]] = {}
    for arm, path in files:
        arms[arm] = (*arms.get(arm, ()), AnswerFile(str(path), read_responses(path)))
    return arms


def pair_answers(
    arms: Mapping[str, Sequence[AnswerFile]],
    traced_prompts: Iterable[str] = (),
    base_answers: AnswerFile | None = None,
) -> PairedAnswers:
    """Match the answers of all files by prompt, and leave out what was traced.

    A prompt without a split is held out. Reference, split, group and values belong to the prompt: it is enough that one
    file gives them.

    Args:
        arms: Files by arm; `cleaned` and `random` are needed, with equally many files.
        traced_prompts: Prompts that claims were traced on, compared up to white space. Rows were chosen by them, so
            that an effect on them proves nothing.
        base_answers: What the untuned model answers; it may answer other prompts besides.

    Raises:
        InputError: An arm is missing or has another number of files; the files do not hold the same prompts, or
            disagree on one; a prompt has no reference; no held-out prompt is left; the base model was not asked all.
    """
    n_runs = {arm: len(arms.get(arm, ())) for arm in (CLEANED, RANDOM)}
    if not all(n_runs.values()):
        missing = " and ".join(repr(arm) for arm, count in n_runs.items() if not count)
        raise InputError(f"no answers of {missing}", why="the verdict compares cleaned with random", remedy=_MANY_FILES)
    if n_runs[CLEANED] != n_runs[RANDOM]:
        counts = f"{n_runs[CLEANED]} files of 'cleaned' and {n_runs[RANDOM]} of 'random'"
        raise InputError(counts, why="runs are compared seed by seed", remedy=_MANY_FILES)
    sheets = {arm: tuple(map(_Sheet, arms[arm])) for arm in (CLEANED, RANDOM, *arms) if arm in arms}
    first, *others = (sheet for runs in sheets.values() for sheet in runs)
    for other in others:
        _check_same_prompts(first, other)
    base = None if base_answers is None else _Sheet(base_answers)
    if base is not None:
        _check_answers_all(base, first)
        others.append(base)

    traced = {_spaced(prompt) for prompt in traced_prompts}
    questions: dict[_Prompt, Question] = {}
    for prompt in first.answers:
        question = _agreed_question(prompt, (first, *others))
        if question.split is not Split.TRACE and _spaced(question.prompt) not in traced:
            _check_reference(question, first.where(prompt))
            questions[prompt] = question
    n_traced = len(first.answers) - len(questions)
    if all(question.split is not Split.HELD_OUT for question in questions.values()):
        raise InputError(
            "no held-out prompt is left",
            where=first.name,
            why=f"of {len(first.answers)} prompts, {n_traced} were traced and {len(questions)} are control",
            remedy="answer prompts about the same concepts that no claim was traced on",
        )
    return PairedAnswers(
        questions=tuple(questions.values()),
        answers={arm: tuple(sheet.texts(questions) for sheet in sheets[arm]) for arm in sheets},
        file_names={arm: tuple(sheet.name for sheet in sheets[arm]) for arm in sheets},
        n_traced=n_traced,
        base=None if base is None else base.texts(questions),
    )


class _Sheet:
    """The answers of one file, by prompt."""

    def __init__(self, file: AnswerFile) -> None:
        self.name = file.name
        self.answers: dict[_Prompt, Response] = {}
        for response in file.responses:
            if response.messages in self.answers:
                raise InputError(
                    f"the prompt {_quoted(response.prompt)} is answered twice",
                    where=f"{file.name}:{response.line}",
                    why=f"first on line {self.answers[response.messages].line}",
                    remedy="keep one answer per prompt; further seeds belong in files of their own",
                )
            self.answers[response.messages] = response

    def where(self, prompt: _Prompt) -> str:
        return f"{self.name}:{self.answers[prompt].line}"

    def texts(self, prompts: Iterable[_Prompt]) -> tuple[str, ...]:
        return tuple(self.answers[prompt].response for prompt in prompts)


def _check_same_prompts(first: _Sheet, other: _Sheet) -> None:
    _check_answers_all(other, first)
    _check_answers_all(first, other)


def _check_answers_all(sheet: _Sheet, other: _Sheet) -> None:
    """Whether one file answers every prompt of another."""
    for prompt, response in other.answers.items():
        if prompt not in sheet.answers:
            raise InputError(
                f"no answer to the prompt {_quoted(response.prompt)}",
                where=sheet.name,
                why=f"{other.where(prompt)} has one",
                remedy="answer the same prompts in every file",
            )


def _agreed_question(prompt: _Prompt, sheets: Sequence[_Sheet]) -> Question:
    text = sheets[0].answers[prompt].prompt
    agreed: dict[str, Any] = {}
    for field in ("reference", "split", "group", "values"):
        given = [(sheet, value) for sheet in sheets if (value := getattr(sheet.answers[prompt], field))]
        for sheet, value in given:
            if value != given[0][1]:
                raise InputError(
                    f"another {field} for the prompt {_quoted(text)}",
                    where=sheet.where(prompt),
                    why=f"{value!r}, but {given[0][1]!r} in {given[0][0].where(prompt)}",
                    remedy=f"give every prompt one {field}",
                )
        agreed[field] = given[0][1] if given else None
    return Question(text, agreed["reference"] or (), agreed["split"] or Split.HELD_OUT, agreed["group"], agreed["values"] or ())


def _check_reference(question: Question, where: str) -> None:
    blank = next((answer for answer in question.reference if not word_string(answer).strip()), None)
    if not question.reference or blank is not None:
        raise InputError(
            f"the reference {blank!r} holds no word" if blank is not None else "no reference",
            where=where,
            why=f"whether an answer to {_quoted(question.prompt)} is right cannot be told",
            remedy="put the right answer, or a list of it and its aliases, in 'reference'",
        )


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _quoted(prompt: str) -> str:
    return repr(prompt if len(prompt) <= _QUOTED_CHARS else prompt[:_QUOTED_CHARS] + "…")
