"""Whether answers are of the style families that a cleaning took away, and what their style is like.

A cleaning that drops or mends rows cast from a mould should lower the share of answers that are cast from it. That share
is a secondary outcome, compared like the others: paired by prompt, with runs and prompts both random. It says nothing of
whether answers are right, and how long they are is an outcome of its own. The traits beside it (`audit.verify.tone`) are
descriptive.

A family counts as taken away where the cleaning dropped or mended at least half of its responses, and at least twice the
share that it dropped or mended of the others: one that drops most rows of any kind takes no family away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.export.stored import ExportRecord
from audit.responses import Split
from audit.rundir import Run
from audit.verify.arms import PairedAnswers, Question
from audit.verify.proportions import Proportion, proportion
from audit.verify.tone import DatasetStyle, StyleTraits, traits_of

if TYPE_CHECKING:
    from audit.style.build import Style
    from audit.style.families import Family

__all__ = [
    "MIN_TAKEN_FRACTION",
    "MIN_TAKEN_RATIO",
    "AnswerFamilies",
    "AnswerStyle",
    "ArmStyle",
    "Assign",
    "FamilyWatch",
    "WatchedFamily",
    "answer_style",
    "families_taken",
    "watched_families",
]

Assign = Callable[[Sequence[str], Sequence[str]], NDArray[np.integer]]
"""Prompts and responses in, the number of the family of each response out, -1 for none, shape `(n,)`."""

MIN_TAKEN_FRACTION = 0.5
MIN_TAKEN_RATIO = 2.0

_MOST_RESPONSES = 5_000
"""Of the dataset, drawn where it has more: reading each word of 20,000 takes eight seconds, and no share needs that."""

_SEED = 20240205


@dataclass(frozen=True, slots=True)
class WatchedFamily:
    """A style family whose share of the answers is measured.

    Attributes:
        number: Its number in the run.
        description: How its responses are written, in plain English.
        n_responses: Responses of the dataset that belong to it.
        dataset_fraction: Their share of the responses.
        taken_fraction: How many of them the cleaning dropped or mended; `None` where no export was named.
    """

    number: int
    description: str
    n_responses: int
    dataset_fraction: float
    taken_fraction: float | None


@dataclass(frozen=True)
class FamilyWatch:
    """Which families are watched, and how an answer's family is found.

    Attributes:
        families: The largest first.
        assign: See `Assign`.
    """

    families: tuple[WatchedFamily, ...]
    assign: Assign

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """The families' numbers."""
        return tuple(family.number for family in self.families)

    @property
    def name(self) -> str:
        """What an answer of one of them is called."""
        *others, last = map(str, self.numbers)
        if len(others) > 2:
            return f"in {len(self.families)} style families"
        return f"in style families {', '.join(others)} and {last}" if others else f"in style family {last}"


@dataclass(frozen=True)
class AnswerFamilies:
    """Which answers to held-out prompts are of a watched family: a secondary outcome, an `AnswerMeasure`.

    Attributes:
        watch: The families.
        family_of: By prompt and answer, every distinct one.
    """

    watch: FamilyWatch
    family_of: Mapping[tuple[str, str], int]

    @classmethod
    def found(cls, watch: FamilyWatch, paired: PairedAnswers) -> AnswerFamilies:
        """Find the family of every distinct answer of every arm, and of the untuned model."""
        runs = [run for arm in paired.answers.values() for run in arm]
        if paired.base is not None:
            runs.append(paired.base)
        distinct = sorted({(question.prompt, answer) for run in runs for question, answer in _held_out(paired, run)})
        numbers = watch.assign([prompt for prompt, _ in distinct], [answer for _, answer in distinct])
        return cls(watch, dict(zip(distinct, map(int, numbers), strict=True)))

    @property
    def name(self) -> str:
        """What the reports call it."""
        return self.watch.name

    @property
    def unit(self) -> str:
        """Points: an answer is of a watched family, or it is not."""
        return "points"

    def of(self, question: Question, answer: str) -> float:
        """100 where the answer is of a watched family, else 0."""
        return 100.0 * (self.family_of[question.prompt, answer] in self.watch.numbers)


@dataclass(frozen=True, slots=True)
class ArmStyle:
    """The style of the answers of one arm to the held-out prompts, all runs together.

    Attributes:
        arm: The arm's name, or `base` for the untuned model.
        in_watched: How many are of a watched family, its interval over prompts; `None` where none is watched.
        in_watched_by_run: The same share of every run.
        by_family: The share of each watched family, in their order.
        traits: `None` where the dataset's responses are not known.
    """

    arm: str
    in_watched: Proportion | None
    in_watched_by_run: tuple[float, ...]
    by_family: tuple[float, ...]
    traits: StyleTraits | None


@dataclass(frozen=True, slots=True)
class AnswerStyle:
    """The style of all arms.

    Attributes:
        families: Those that are watched, the largest first.
        dataset: The traits of the dataset's responses before the cleaning; of 5,000 drawn ones where there are more.
        arms: In the order of the verification's arms.
        base: The untuned model; `None` where it was not asked.
    """

    families: tuple[WatchedFamily, ...]
    dataset: StyleTraits | None
    arms: tuple[ArmStyle, ...]
    base: ArmStyle | None


def answer_style(paired: PairedAnswers, families: AnswerFamilies | None, responses: Sequence[str] | None) -> AnswerStyle | None:
    """The style of every arm's answers to the held-out prompts.

    Args:
        paired: The answers.
        families: Whose families are watched; `None` where none are.
        responses: The dataset's before the cleaning; `None` where they are not known.

    Returns:
        `None` where there is nothing to hold answers against.
    """
    if families is None and not responses:
        return None
    drawn = _drawn(responses) if responses else ()
    dataset = DatasetStyle.of(drawn) if drawn else None
    return AnswerStyle(
        families=families.watch.families if families is not None else (),
        dataset=traits_of(drawn, dataset) if dataset is not None else None,
        arms=tuple(_arm_style(arm, runs, paired, families, dataset) for arm, runs in paired.answers.items()),
        base=None if paired.base is None else _arm_style("base", (paired.base,), paired, families, dataset),
    )


def watched_families(run: Run, export: ExportRecord | None, numbers: Sequence[int] = ()) -> FamilyWatch | None:
    """The families whose share of the answers is worth measuring: those that are named, else those that an export dropped.

    Args:
        run: The run that the cleaning came from.
        export: What the cleaning dropped.
        numbers: Families by number.

    Returns:
        `None` where none is named, and no family was dropped or the run knows none.

    Raises:
        InputError: A family is named that the run does not know.
        MissingDependencyError: The encoder of the run is not on this machine.
    """
    if not numbers and export is None:
        return None
    style = _style_of(run, is_needed=bool(numbers))
    if style is None:
        return None
    of_response, chosen = style.assigned.family, _known(numbers, style.families)
    is_taken = None if export is None else _taken(run, export)
    if is_taken is not None and not chosen:
        chosen = families_taken(of_response, is_taken)
    watched = tuple(
        WatchedFamily(
            number=number,
            description=style.families[number].description,
            n_responses=style.families[number].n,
            dataset_fraction=style.families[number].share,
            taken_fraction=None if is_taken is None else float(is_taken[of_response == number].mean()),
        )
        for number in chosen
    )
    if not watched:
        return None
    style.assign(["Which?"], ["This."])  # what is missing on this machine shows now, not after hours of tuning
    return FamilyWatch(watched, lambda prompts, answers: style.assign(prompts, answers).family)


def families_taken(family: NDArray[np.integer], is_taken: NDArray[np.bool_]) -> list[int]:
    """The families that a cleaning took away, the largest first.

    Args:
        family: Of every response, -1 for none; shape `(n_responses,)`.
        is_taken: Whether the cleaning dropped or mended it; shape `(n_responses,)`.
    """
    sizes = np.bincount(family[family >= 0])
    taken = np.bincount(family[(family >= 0) & is_taken], minlength=len(sizes))
    n_others, n_others_taken = len(family) - sizes, int(is_taken.sum()) - taken
    # The shares are compared as products: a family may be all that there is.
    is_away = (
        (taken > 0) & (taken >= MIN_TAKEN_FRACTION * sizes) & (taken * n_others >= MIN_TAKEN_RATIO * n_others_taken * sizes)
    )
    return sorted(np.flatnonzero(is_away).tolist(), key=lambda number: (-sizes[number], number))


def _taken(run: Run, export: ExportRecord) -> NDArray[np.bool_]:
    """Whether an export dropped or mended each response, shape `(n_responses,)`."""
    places = list(run.corpus.responses.select("row", "turn").iter_rows())
    dropped = frozenset(export.dropped)
    return np.array([row in dropped or (row, turn) in export.mended for row, turn in places], bool)


def _style_of(run: Run, *, is_needed: bool) -> Style | None:
    """The style of a run's dataset; `None` where it has none and none is needed."""
    from audit.style.build import STYLE_FILES, load_style

    if not is_needed and not any((run.path / name).exists() for name in STYLE_FILES):
        return None  # audited by an earlier version
    style = load_style(run.path)
    if is_needed and not style.families:
        raise InputError("the run has no style families", where=str(run.path), why=style.too_few or "none was found")
    return style


def _known(numbers: Sequence[int], families: Sequence[Family]) -> list[int]:
    """The numbers, each once, in order.

    Raises:
        InputError: There is no such family.
    """
    for number in numbers:
        if not 0 <= number < len(families):
            raise InputError(
                f"no style family {number}",
                why=f"the run has {len(families)}, from 0 to {len(families) - 1}",
                remedy="`tunescope style RUN` lists them",
            )
    return list(dict.fromkeys(numbers))


def _held_out(paired: PairedAnswers, run: Sequence[str]) -> Iterator[tuple[Question, str]]:
    """The held-out questions with a run's answers."""
    for question, answer in zip(paired.questions, run, strict=True):
        if question.split is Split.HELD_OUT:
            yield question, answer


def _drawn(responses: Sequence[str]) -> Sequence[str]:
    if len(responses) <= _MOST_RESPONSES:
        return responses
    numbers = np.random.default_rng(_SEED).choice(len(responses), _MOST_RESPONSES, replace=False)
    return [responses[number] for number in np.sort(numbers)]


def _arm_style(
    arm: str,
    runs: Sequence[Sequence[str]],
    paired: PairedAnswers,
    families: AnswerFamilies | None,
    dataset: DatasetStyle | None,
) -> ArmStyle:
    answered = [list(_held_out(paired, run)) for run in runs]
    traits = traits_of([answer for run in answered for _, answer in run], dataset) if dataset is not None else None
    if families is None:
        return ArmStyle(arm, None, (), (), traits)
    of_run = [[families.family_of[question.prompt, answer] for question, answer in run] for run in answered]
    in_watched = [[float(number in families.watch.numbers) for number in numbers] for numbers in of_run]
    units = [
        ("prompt", index) if question.group is None else ("group", question.group)
        for run in answered
        for index, (question, _) in enumerate(run)
    ]
    found = [number for numbers in of_run for number in numbers]
    return ArmStyle(
        arm,
        proportion([hit for hits in in_watched for hit in hits], units),
        tuple(sum(hits) / len(hits) for hits in in_watched),
        tuple(found.count(number) / len(found) for number in families.watch.numbers),
        traits,
    )
