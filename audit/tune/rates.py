"""The learning rate of a recipe, chosen by the loss on rows held out; each rate of the grid is a tuning of its own.

LoRA and full tuning are given the same grid, and the table says what each rate did to the training loss and the fit:
two methods may only be compared where they fit their rows alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from audit.engines import LocalPool
from audit.errors import DivergedError, InputError
from audit.tune.recipe import Recipe
from audit.tune.record import TuningRecord, tuning_problems
from audit.tune.rows import TrainingSet, split_held_out
from audit.tune.training import train

__all__ = ["RateChoice", "TriedRate", "choose_learning_rate", "pick_learning_rate"]


@dataclass(frozen=True, slots=True)
class TriedRate:
    """What one learning rate did.

    Attributes:
        learning_rate: The rate.
        held_out_loss: Nats per trained token of the rows held out; `None` where the tuning diverged.
        training_loss: The same of the rows trained on, after the last step.
        training_fit: Share of their tokens that are the greedy prediction.
        problems: Why the rate is out of the question.
    """

    learning_rate: float
    held_out_loss: float | None
    training_loss: float | None
    training_fit: float | None
    problems: tuple[str, ...] = ()

    @classmethod
    def of(cls, record: TuningRecord) -> TriedRate:
        """The rate of a tuning that came to its end."""
        problems = tuning_problems(record)
        return cls(record.learning_rate, record.held_out_loss, record.training_loss, record.training_fit, problems)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "problems": list(self.problems)}


@dataclass(frozen=True, slots=True)
class RateChoice:
    """The rate chosen, and every rate that was tried, ascending."""

    learning_rate: float
    tried: tuple[TriedRate, ...]

    @property
    def at_edge(self) -> bool:
        """Whether the best rate is the lowest or highest of several, so that a better one may lie beyond."""
        return len(self.tried) > 1 and self.learning_rate in (self.tried[0].learning_rate, self.tried[-1].learning_rate)


def pick_learning_rate(tried: Sequence[TriedRate]) -> RateChoice:
    """The healthy rate of least held-out loss; of equal ones the lowest.

    Raises:
        InputError: No rate is healthy, or none has a held-out loss.
    """
    ordered = tuple(sorted(tried, key=lambda rate: rate.learning_rate))
    losses = [
        (rate.held_out_loss, rate.learning_rate)
        for rate in ordered
        if not rate.problems and rate.held_out_loss is not None and math.isfinite(rate.held_out_loss)
    ]
    if not losses:
        why = next((f"{rate.learning_rate:g}: {rate.problems[0]}" for rate in ordered if rate.problems), "nothing was held out")
        raise InputError(
            f"none of {len(ordered)} learning rates can be chosen",
            why=why,
            remedy="give a grid of other rates, or more rows",
        )
    return RateChoice(min(losses)[1], ordered)


def choose_learning_rate(
    base: str | Path,
    training: TrainingSet,
    recipe: Recipe,
    seed: int,
    folder: Path,
    *,
    held_out: TrainingSet | None = None,
    n_workers: int = 1,
    n_threads: int = 1,
    progress: Callable[[TriedRate], None] | None = None,
) -> RateChoice:
    """Tune once with every rate of the recipe's grid, and choose.

    Args:
        base: Folder or hub name of the model.
        training: The rows.
        recipe: How; its own learning rate does not count.
        seed: Of the tunings, and of the rows held out.
        folder: Where the records of the tunings go, so that a choice that was interrupted goes on.
        held_out: Rows to measure the loss on; without them a tenth of `training` is held out of these tunings.
        n_workers: Tunings at a time.
        n_threads: Threads of each.
        progress: Told of every rate that was tried.

    Raises:
        InputError: As `train`, or no rate is healthy.
    """
    if held_out is None:
        training, held_out = split_held_out(training, seed=seed)
    tasks = [
        _Task(base, training, recipe.model_copy(update={"learning_rate": rate}), seed, folder / f"{rate:g}", held_out)
        for rate in sorted(set(recipe.learning_rate_grid))
    ]
    with LocalPool(n_workers=n_workers, n_threads=n_threads) as pool:
        tried = pool.run(
            _try, tasks, done=(lambda _, rate: progress(rate)) if progress is not None else None, describe=_Task.describe
        )
    return pick_learning_rate(tried)


@dataclass(frozen=True, slots=True)
class _Task:
    base: str | Path
    training: TrainingSet
    recipe: Recipe
    seed: int
    out: Path
    held_out: TrainingSet

    def describe(self) -> str:
        return f"learning rate {self.recipe.learning_rate:g}"


def _try(task: _Task) -> TriedRate:
    try:
        record = train(task.base, task.training, task.recipe, task.seed, task.out, held_out=task.held_out, keep_weights=False)
    except DivergedError as error:
        assert task.recipe.learning_rate is not None
        return TriedRate(task.recipe.learning_rate, None, None, None, (error.what,))
    return TriedRate.of(record)
