"""What a design would cost and could see, before anything is tuned: measured on the real model, in a few steps.

Nothing is written but to a temporary folder, which is removed.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from audit.engines import LocalPool
from audit.models import answer, load_model
from audit.responses import Prompt
from audit.tune.recipe import Method, Recipe
from audit.tune.rows import TrainingSet
from audit.tune.training import train
from audit.verify.design import FIRST_SEED, Design
from audit.verify.power import VarianceComponents, runs_needed, smallest_detectable, units_needed

__all__ = ["DryRun", "Pilot", "dry_run"]

PILOT_STEPS = 6
_PILOT_PROMPTS = 32
# How fast a step is does not depend on the rate, and with this one it cannot diverge.
_PILOT_RATE = 1e-6


@dataclass(frozen=True, slots=True)
class Pilot:
    """What one method costs on this machine, measured.

    Attributes:
        method: Which.
        n_steps: Optimizer steps that were measured.
        seconds_once: Of a process, for libraries.
        seconds_per_tuning: Beside the steps: loading, health, saving, loading again to answer.
        seconds_per_step: The median of the steps after the first.
        seconds_per_prompt: Of an answer, in a batch.
        peak_memory_bytes: Of the process, or of the GPU's memory.
    """

    method: Method
    n_steps: int
    seconds_once: float
    seconds_per_tuning: float
    seconds_per_step: float
    seconds_per_prompt: float
    peak_memory_bytes: int


@dataclass(frozen=True)
class DryRun:
    """A design with what it would cost and could see.

    Attributes:
        design: The design.
        components: The variances that the power is computed with.
        smallest_detectable_points: The effect that is found in four repetitions of five; `None` where one seed, or one
            unit of prompts, shows nothing of how others would differ.
        units_needed: Independent prompts that would see the smallest effect that matters; `None` where none are enough.
        runs_needed: Runs per arm that would.
        pilots: One per method.
        n_workers: Tunings at a time.
    """

    design: Design
    components: VarianceComponents
    smallest_detectable_points: float | None
    units_needed: int | None
    runs_needed: int | None
    pilots: tuple[Pilot, ...]
    n_workers: int

    @property
    def seconds(self) -> float:
        """Time of all tunings, if no method is stopped."""
        total = 0.0
        for recipe, pilot in zip(self.design.recipes, self.pilots, strict=True):
            n_prompts = len(self.design.sheet.asked)
            steps = [self.design.n_steps(recipe, n_rows) for arm in self.design.arms for n_rows in arm.n_rows]
            each = pilot.seconds_per_tuning + n_prompts * pilot.seconds_per_prompt
            total += sum(steps) * pilot.seconds_per_step + len(steps) * each
            if recipe.learning_rate is None:
                n_steps = self.design.n_steps(recipe, len(self.design.training))
                total += len(recipe.learning_rate_grid) * (n_steps * pilot.seconds_per_step + pilot.seconds_per_tuning)
        return total / self.n_workers + max(pilot.seconds_once for pilot in self.pilots)

    @property
    def memory_bytes(self) -> int:
        """Of all processes at once."""
        return self.n_workers * max(pilot.peak_memory_bytes for pilot in self.pilots)


def dry_run(design: Design, *, n_workers: int) -> DryRun:
    """Measure a few steps and answers of every method on the real model.

    Raises:
        InputError: The model cannot be tuned on these rows, or asked these prompts.
    """
    components = VarianceComponents()
    n_runs, n_units, points = len(design.seeds), design.sheet.n_units, design.request.delta_points
    with tempfile.TemporaryDirectory(prefix="tunescope-") as folder, LocalPool(n_workers=1, n_threads=design.n_threads) as pool:
        tasks = [
            _PilotTask(
                design.request.base_model,
                design.training,
                recipe,
                max(design.sheet.asked, key=lambda prompt: len(prompt.text)),
                design.request.max_new_tokens,
                Path(folder) / recipe.method,
            )
            for recipe in design.recipes
        ]
        pilots = pool.run(_measure, tasks)
    return DryRun(
        design=design,
        components=components,
        smallest_detectable_points=smallest_detectable(components, n_runs, n_units),
        units_needed=units_needed(components, max(2, n_runs), points),
        runs_needed=runs_needed(components, max(2, n_units), points),
        pilots=pilots,
        n_workers=n_workers,
    )


@dataclass(frozen=True)
class _PilotTask:
    base: str
    training: TrainingSet
    recipe: Recipe
    prompt: Prompt
    max_new_tokens: int
    folder: Path

    def __str__(self) -> str:
        return f"pilot of {self.recipe.method}"


def _measure(task: _PilotTask) -> Pilot:
    began = time.perf_counter()
    from audit.tune import sft  # noqa: F401 - its libraries are loaded once per process, and timed apart

    imported = time.perf_counter()
    steps: list[float] = []
    recipe = task.recipe.model_copy(update={"max_steps": PILOT_STEPS, "learning_rate": _PILOT_RATE, "warmup_fraction": 0.0})
    record = train(
        task.base,
        task.training,
        recipe,
        FIRST_SEED,
        task.folder,
        progress=lambda number, total, loss: steps.append(time.perf_counter()),
    )
    model = load_model(task.folder, base=task.base)
    loaded = time.perf_counter()
    answer(model, [task.prompt.messages] * _PILOT_PROMPTS, max_new_tokens=task.max_new_tokens)
    answered = time.perf_counter()
    per_step = statistics.median(after - before for before, after in itertools.pairwise(steps))
    return Pilot(
        method=task.recipe.method,
        n_steps=record.n_steps,
        seconds_once=imported - began,
        seconds_per_tuning=max(0.0, loaded - imported - record.n_steps * per_step),
        seconds_per_step=per_step,
        seconds_per_prompt=(answered - loaded) / _PILOT_PROMPTS,
        peak_memory_bytes=record.peak_memory_bytes,
    )
