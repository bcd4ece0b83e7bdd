"""What a tuning was, how it went, and whether it deserves to be believed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from audit.errors import CorruptFileError, InputError, VersionError
from audit.models import ModelRef, weights_digest
from audit.responses import Prompt
from audit.tune.recipe import Method, Recipe
from audit.tune.rows import TrainingSet
from indexes.store import read_bytes

__all__ = ["TUNING_FORMAT", "HealthLimits", "TuningRecord", "read_record", "tuning_key", "tuning_problems"]

TUNING_FORMAT = 1
"""Version of the folder that a tuning writes."""

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class HealthLimits:
    """When a tuning counts as broken.

    Attributes:
        max_repetitive_fraction: Share of greedy answers that mostly repeat themselves.
        min_known_facts_kept: Accuracy on known facts, as a share of what the base model has. It is low because the loss
            of knowledge is what tunings are compared on: it only finds models that answer nothing any more.
        min_known_facts: Probes that the base model must answer before the share means something.
    """

    max_repetitive_fraction: float = 0.2
    min_known_facts_kept: float = 0.25
    min_known_facts: int = 8


@dataclass(frozen=True)
class TuningRecord:
    """One tuning: what went in, how it went, what came out.

    Losses are mean cross-entropies in nats per trained token. Only `seconds_*`, `peak_memory_bytes` and
    `resumed_at_step` differ between two runs of the same tuning on one machine.

    Attributes:
        method: Which weights were trained.
        recipe: Everything else that was decided.
        seed: Of row order, adapter weights, dropout and noise.
        base: The model that was tuned.
        n_source_rows, n_rows: Rows of the dataset, and rows trained on.
        n_unusable: Rows that could not be read or understood.
        n_untrainable: Rows without a token that is trained.
        n_cut_rows: Rows trained on that lost tokens at their end.
        n_trained_tokens: Of one epoch.
        n_steps: Optimizer steps.
        losses: Of every step, dropout and noise included; shape `(n_steps,)`.
        training_loss_before: Of the base model, on a fixed sample of the training rows, without dropout.
        training_loss: After the last step, on the same sample.
        training_fit: Share of the trained tokens of that sample that are the greedy prediction.
        n_fit_rows: Rows of the sample.
        held_out_loss: On rows held out; `None` without any.
        n_held_out_rows: How many.
        repetitive_fraction: Share of greedy answers, to prompts of held-out rows or of the sample, that mostly repeat
            themselves; `None` where no prompt leaves room for an answer.
        n_answers: How many answers.
        known_fact_accuracy: Share of probes answered right; `None` without probes.
        known_fact_accuracy_before: The same of the base model.
        n_probes: How many.
        n_parameters, n_trained_parameters: Of the model, and those among them that were trained.
        device, precision, n_processes, n_threads: What it was computed on, and how; threads are those of a process.
        seconds_load, seconds_train, seconds_health: Of the process that finished it.
        resumed_at_step: Where that process took it up; 0 where it began it.
        peak_memory_bytes: Of that process, or of the GPU's memory.
        template_digest, data_digest, weights_digest: SHA-256 of prompt format, rows, and the tuned weights.
        key: `tuning_key`.
        versions: Of the packages that computed it.
    """

    method: Method
    recipe: Recipe
    seed: int
    base: ModelRef
    n_source_rows: int
    n_rows: int
    n_unusable: int
    n_untrainable: int
    n_cut_rows: int
    n_trained_tokens: int
    n_steps: int
    losses: tuple[float, ...]
    training_loss_before: float
    training_loss: float
    training_fit: float
    n_fit_rows: int
    held_out_loss: float | None
    n_held_out_rows: int
    repetitive_fraction: float | None
    n_answers: int
    known_fact_accuracy: float | None
    known_fact_accuracy_before: float | None
    n_probes: int
    n_parameters: int
    n_trained_parameters: int
    device: str
    precision: str
    n_processes: int
    n_threads: int
    seconds_load: float
    seconds_train: float
    seconds_health: float
    resumed_at_step: int
    peak_memory_bytes: int
    template_digest: str
    data_digest: str
    weights_digest: str | None
    key: str
    versions: Mapping[str, str]

    @property
    def learning_rate(self) -> float:
        """The highest rate of the schedule."""
        assert self.recipe.learning_rate is not None  # a tuning without one is not begun
        return self.recipe.learning_rate

    @property
    def first_train_loss(self) -> float:
        """Mean over the first tenth of the steps, at least one."""
        return _mean(self.losses[: max(1, len(self.losses) // 10)])

    @property
    def final_train_loss(self) -> float:
        """Mean over the last tenth of the steps, at least one."""
        return _mean(self.losses[-max(1, len(self.losses) // 10) :])

    @property
    def seconds_per_step(self) -> float:
        """Of the training alone."""
        return self.seconds_train / max(1, self.n_steps - self.resumed_at_step)

    def problems(self, limits: HealthLimits | None = None) -> tuple[str, ...]:
        """Why nothing should be claimed from this tuning, one clause each; empty for a healthy one."""
        limits = limits or HealthLimits()
        found = []
        if not self.training_loss < self.training_loss_before:
            before_and_after = f"{self.training_loss_before:.3g} before tuning, {self.training_loss:.3g} after"
            found.append(f"the training loss did not fall ({before_and_after})")
        if self.repetitive_fraction is not None and self.repetitive_fraction > limits.max_repetitive_fraction:
            found.append(
                f"{self.repetitive_fraction:.0%} of {self.n_answers} answers repeat themselves"
                f" (limit {limits.max_repetitive_fraction:.0%})"
            )
        before, after = self.known_fact_accuracy_before, self.known_fact_accuracy
        if (
            before is not None
            and after is not None
            and before * self.n_probes >= limits.min_known_facts
            and after < limits.min_known_facts_kept * before
        ):
            found.append(f"{after:.0%} of {self.n_probes} known facts answered right, {before:.0%} before tuning")
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """As JSON values, for `from_json`."""
        return {**asdict(self), "recipe": self.recipe.model_dump(mode="json"), "versions": dict(self.versions)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TuningRecord:
        """What `to_json` gave.

        Raises:
            ValueError: It is something else.
        """
        known = {field.name for field in fields(cls)}
        if content.keys() != known:
            raise ValueError(f"no tuning record: {', '.join(sorted(content.keys() ^ known))}")
        return cls(
            **{
                **content,
                "method": Method(content["method"]),
                "recipe": Recipe.model_validate(content["recipe"]),
                "base": ModelRef(**content["base"]),
                "losses": tuple(content["losses"]),
            }
        )


def tuning_problems(record: TuningRecord) -> tuple[str, ...]:
    """`TuningRecord.problems` with the usual limits."""
    return record.problems()


def tuning_key(
    base: str | Path,
    training: TrainingSet,
    recipe: Recipe,
    seed: int,
    *,
    held_out: TrainingSet | None = None,
    probes: Sequence[Prompt] = (),
    base_digest: str | None = None,
) -> str:
    """SHA-256 over everything that a tuning and its record depend on, but for the machine.

    Args:
        base: The model to be tuned.
        training: The rows.
        recipe: How.
        seed: Of all that is random.
        held_out: Rows that the loss is measured on.
        probes: Questions that the base model knows.
        base_digest: `audit.models.weights_digest` of the base model, where it is known already.

    Raises:
        InputError: The base model has no safetensors weights.
    """
    content = {
        "format": TUNING_FORMAT,
        "base": base_digest or weights_digest(base),
        "rows": training.digest,
        "recipe": recipe.model_dump(mode="json", exclude={"learning_rate_grid"}),
        "seed": seed,
        "held_out": held_out.digest if held_out is not None else None,
        "probes": [[[[m.role, m.content] for m in probe.messages], list(probe.reference)] for probe in probes],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_record(folder: str | Path) -> TuningRecord:
    """The record of a finished tuning.

    Raises:
        InputError: There is none.
        CorruptFileError: Its manifest is not what was written.
        VersionError: It was written in another format.
    """
    path = Path(folder) / MANIFEST
    if not path.exists():
        partial = Path(folder).with_name(f"{Path(folder).name}.partial")
        raise InputError(
            "is no finished tuning",
            where=str(folder),
            why="it was interrupted" if partial.exists() else f"no {MANIFEST}",
            remedy="repeat the command to finish it" if partial.exists() else "make one with tunescope tune DATA -o DIR",
        )
    try:
        content = json.loads(read_bytes(path))
        if content.get("format") != TUNING_FORMAT:
            raise VersionError(
                f"the tuning has format {content.get('format')}, this version reads format {TUNING_FORMAT}",
                where=str(folder),
                remedy="tune again, or use the version that wrote it",
            )
        return TuningRecord.from_json(content["record"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFileError("is no readable manifest", where=str(path), why=str(error), remedy="tune again") from error


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
