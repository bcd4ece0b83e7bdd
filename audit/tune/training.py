"""A tuning from the first row to the sealed folder.

It works in `OUT.partial`, with checkpoints of weights, optimizer, schedule and random numbers. After a kill the same
call takes it up there and ends with the same weights, bit for bit. What OUT holds is whole: weights as safetensors
(an adapter, or all of them), the tokenizer with its chat template, and `manifest.json` with the record, written last.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.engines.memory import peak_memory_bytes
from audit.errors import DivergedError, InputError, StorageError
from audit.models import LanguageModel, load_model, weights_digest
from audit.responses import Prompt
from audit.rundir import LOCK_NAME, lock_beside
from audit.tune.recipe import Method, Precision, Recipe
from audit.tune.record import MANIFEST, TUNING_FORMAT, TuningRecord, read_record, tuning_key
from audit.tune.rows import TrainingSet, fixed_sample
from indexes.store import SIDECAR_SUFFIX, seal, sync_folder, write_bytes

if TYPE_CHECKING:
    from audit.tune.rates import TriedRate
    from audit.tune.sft import Progress

__all__ = ["train", "train_in_process"]

CHECKPOINT_SECONDS = 60.0
_KEY = "key.txt"
_FIT_ROWS = 256
_ANSWERED_ROWS = 32
_MAX_SEED = 2**32 - 1  # NumPy's


def train(
    base: str | Path,
    training: TrainingSet,
    recipe: Recipe,
    seed: int,
    out: Path,
    *,
    held_out: TrainingSet | None = None,
    probes: Sequence[Prompt] = (),
    tried: Sequence[TriedRate] = (),
    keep_weights: bool = True,
    keep_optimizer: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    progress: Progress | None = None,
) -> TuningRecord:
    """Tune a model, or find it tuned.

    Args:
        base: Folder or hub name of the model; no adapter.
        training: The rows, rendered with the model's own chat format.
        recipe: How; with a learning rate.
        seed: Of row order, adapter weights, dropout and noise.
        out: The folder that will be. One that holds this very tuning is left as it is, and its record returned.
        held_out: Rows to measure the loss on.
        probes: Questions that the base model knows, with their answers.
        tried: Learning rates that were tried before, kept in the manifest.
        keep_weights: Whether OUT holds the weights, or the record alone.
        keep_optimizer: Whether it also holds Adam's second moments, as large as what is trained: a trace can use them.
        checkpoint_seconds: Least time between checkpoints; they also never take more than a twentieth of the time.
        progress: Told of every step its number, how many there are, and its loss.

    Returns:
        The record, which OUT's manifest holds too.

    Raises:
        InputError: The model cannot be tuned, rows do not fit it, OUT holds something else, or another process works
            on it.
        DivergedError: The loss is no number any more.
        StorageError: The disk is full.
    """
    record = train_in_process(
        base,
        training,
        recipe,
        seed,
        out,
        held_out=held_out,
        probes=probes,
        tried=tried,
        keep_weights=keep_weights,
        keep_optimizer=keep_optimizer,
        checkpoint_seconds=checkpoint_seconds,
        progress=progress,
    )
    assert record is not None  # only the other processes of a distributed tuning have none
    return record


def train_in_process(
    base: str | Path,
    training: TrainingSet,
    recipe: Recipe,
    seed: int,
    out: Path,
    *,
    held_out: TrainingSet | None = None,
    probes: Sequence[Prompt] = (),
    tried: Sequence[TriedRate] = (),
    keep_weights: bool = True,
    keep_optimizer: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    progress: Progress | None = None,
) -> TuningRecord | None:
    """`train` in one of several processes that `torchrun` or `accelerate launch` started; the first has the record."""
    if recipe.learning_rate is None:
        raise InputError("the recipe has no learning rate", remedy="give one, or choose it from the recipe's grid")
    if not 0 <= seed <= _MAX_SEED:
        raise InputError(f"the seed {seed} is no seed", remedy=f"use a number from 0 to {_MAX_SEED}")
    if not len(training):
        raise InputError("no row is left to train on", remedy="leave out fewer rows")
    key = tuning_key(base, training, recipe, seed, held_out=held_out, probes=probes)
    if out.exists():
        return _finished(out, key)
    with _claimed(out, key) as folder, _storage_errors(out), _quiet_libraries():
        if (folder / MANIFEST).exists():  # killed between the manifest and the last rename
            return _finish(folder, out, read_record(folder))
        work = _Work(Path(base) if Path(base).is_dir() else base, training, recipe, seed, held_out, probes, key)
        record = work.run(folder, checkpoint_seconds, keep_weights, keep_optimizer, progress)
        if record is None:
            return None
        if not keep_weights:
            for file in _results(folder):
                file.unlink()
        _write_manifest(folder, record, tried)
        return _finish(folder, out, record)


@dataclass
class _Work:
    """One tuning in the making."""

    base: str | Path
    training: TrainingSet
    recipe: Recipe
    seed: int
    held_out: TrainingSet | None
    probes: Sequence[Prompt]
    key: str

    def run(
        self, folder: Path, checkpoint_seconds: float, keep_weights: bool, keep_optimizer: bool, progress: Progress | None
    ) -> TuningRecord | None:
        started = time.perf_counter()
        import torch

        from audit.tune.health import known_fact_accuracy, measure_fit
        from audit.tune.optimizer_state import OPTIMIZER_FILE, write_second_moments
        from audit.tune.sft import last_checkpoint, make_trainer

        bfloat16 = _computes_bfloat16(self.recipe.precision)
        model = self._load(bfloat16)
        known_before = known_fact_accuracy(model, self.probes) if self.probes else None
        loss_before = measure_fit(model, self.training, fixed_sample(self.training, _FIT_ROWS)).loss
        trainer = make_trainer(
            model,
            self.training,
            self.recipe,
            self.seed,
            folder,
            bfloat16=bfloat16,
            checkpoint_seconds=checkpoint_seconds,
            progress=progress,
        )
        is_first = trainer.is_world_process_zero()
        checkpoint = last_checkpoint(folder) if is_first else None
        if trainer.args.world_size > 1:
            torch.distributed.barrier()  # the first process may have removed half a checkpoint
            checkpoint = last_checkpoint(folder)
        resumed_at = int(checkpoint.name.partition("-")[2]) if checkpoint is not None else 0
        loaded = time.perf_counter()
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint is not None else None)
        trained = time.perf_counter()
        if trainer.args.world_size > 1:
            torch.distributed.barrier()  # a process that left early would pull the connection from under the others
        if not is_first:
            return None
        tuned = LanguageModel(trainer.model.eval(), model.chat, model.ref)
        parameters = [(parameter.numel(), parameter.requires_grad) for parameter in tuned.model.parameters()]
        if bfloat16 and self.recipe.method is Method.FULL:
            tuned.model.to(torch.bfloat16)  # as it is saved, so that what is measured is what others will load
        health = self._health(tuned)
        _save(tuned, folder, self.base)
        if keep_optimizer:
            write_second_moments(folder / OPTIMIZER_FILE, trainer.model, trainer.optimizer)
        return TuningRecord(
            method=self.recipe.method,
            recipe=self.recipe,
            seed=self.seed,
            base=model.ref,
            n_source_rows=self.training.n_source_rows,
            n_rows=len(self.training),
            n_unusable=len(self.training.unusable),
            n_untrainable=len(self.training.untrainable),
            n_cut_rows=len(self.training.cut),
            n_trained_tokens=sum(self.training.n_trained_tokens),
            n_steps=trainer.state.global_step,
            losses=tuple(entry["loss"] for entry in trainer.state.log_history if "loss" in entry),
            training_loss_before=loss_before,
            known_fact_accuracy_before=known_before,
            n_parameters=sum(count for count, _ in parameters),
            n_trained_parameters=sum(count for count, is_trained in parameters if is_trained),
            device=_device_name(tuned.model.device),
            precision=Precision.BFLOAT16 if bfloat16 else Precision.FLOAT32,
            n_processes=trainer.args.world_size,
            n_threads=torch.get_num_threads(),
            seconds_load=round(loaded - started, 3),
            seconds_train=round(trained - loaded, 3),
            seconds_health=round(time.perf_counter() - trained, 3),
            resumed_at_step=resumed_at,
            peak_memory_bytes=_peak_memory_bytes(tuned.model.device),
            template_digest=self.training.template_digest,
            data_digest=self.training.digest,
            weights_digest=weights_digest(folder) if keep_weights else None,
            key=self.key,
            versions={name: _version(name) for name in ("tunescope", "torch", "transformers", "trl", "peft", "accelerate")},
            **health,
        )

    def _load(self, bfloat16: bool) -> LanguageModel:
        import torch

        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        device = f"cuda:{local_rank}" if torch.cuda.is_available() else "cpu"
        # Updates of a fine-tuning are often smaller than bfloat16 resolves, so weights that are trained stay float32;
        # an adapter's are, whatever its base.
        frozen_dtype = "bfloat16" if bfloat16 else "float32"
        model = load_model(self.base, device=device, dtype=frozen_dtype if self.recipe.method is Method.LORA else "float32")
        if model.ref.adapter is not None:
            raise InputError(
                "is an adapter",
                where=str(self.base),
                why="a tuning starts from a whole model",
                remedy="merge it into its base model: PeftModel.from_pretrained(…).merge_and_unload().save_pretrained(…)",
            )
        for rows in (self.training, self.held_out):
            if rows is not None and rows.template_digest != model.chat.digest:
                raise InputError(
                    "the rows were rendered with another chat template",
                    where=str(self.base),
                    remedy="render them with the template of the model that is tuned",
                )
            if rows is not None and model.n_positions is not None and rows.max_tokens > model.n_positions:
                raise InputError(
                    f"the longest row has {rows.max_tokens} tokens, and the model reads {model.n_positions}",
                    where=str(self.base),
                    remedy=f"set max_length to {model.n_positions} or less",
                )
        return model

    def _health(self, tuned: LanguageModel) -> dict[str, Any]:
        """The fields of `TuningRecord` that are measured on the tuned model."""
        from audit.tune.health import known_fact_accuracy, measure_fit, repetitive_answers

        sample = fixed_sample(self.training, _FIT_ROWS)
        fit = measure_fit(tuned, self.training, sample)
        asked = self.held_out if self.held_out is not None else self.training
        n_repetitive, n_answers = repetitive_answers(tuned, asked, fixed_sample(asked, _ANSWERED_ROWS))
        held_out = measure_fit(tuned, self.held_out, range(len(self.held_out))) if self.held_out is not None else None
        for name, measured in (("training", fit), ("held-out", held_out)):
            if measured is not None and not math.isfinite(measured.loss):
                raise DivergedError(
                    f"the {name} loss is {measured.loss} after the last step", remedy="use a lower learning rate"
                )
        return {
            "training_loss": fit.loss,
            "training_fit": fit.share_greedy,
            "n_fit_rows": len(sample),
            "held_out_loss": held_out.loss if held_out is not None else None,
            "n_held_out_rows": len(self.held_out) if self.held_out is not None else 0,
            "repetitive_fraction": n_repetitive / n_answers if n_answers else None,
            "n_answers": n_answers,
            "known_fact_accuracy": known_fact_accuracy(tuned, self.probes) if self.probes else None,
            "n_probes": len(self.probes),
        }


def _finished(out: Path, key: str) -> TuningRecord:
    record = read_record(out) if (out / MANIFEST).exists() else None
    if record is None or record.key != key:
        raise InputError(
            "the folder exists",
            where=str(out),
            why="it holds another tuning" if record is not None else "",
            remedy="choose another with -o, or remove it",
        )
    return record


@contextmanager
def _claimed(out: Path, key: str) -> Iterator[Path]:
    """`OUT.partial`, made new or taken up, and locked; only the first of several processes touches it."""
    folder = out.with_name(f"{out.name}.partial")
    if int(os.environ.get("RANK", "0")) > 0:
        yield folder
        return
    with lock_beside(folder, "tuning", out):
        key_file = folder / _KEY
        if key_file.exists() and key_file.read_text("utf-8") not in ("", key):
            raise InputError(
                "an unfinished tuning with other settings or data lies there",
                where=str(folder),
                remedy="repeat that command to finish it, remove the folder, or choose another with -o",
            )
        is_new = not key_file.exists()
        key_file.write_text(key, "utf-8")
        try:
            yield folder
        except DivergedError:
            shutil.rmtree(folder, ignore_errors=True)  # taken up again it would end in the same place
            raise
        except InputError:
            if is_new and not any(folder.glob("checkpoint-*")):
                shutil.rmtree(folder, ignore_errors=True)
            raise


def _save(tuned: LanguageModel, folder: Path, base: str | Path) -> None:
    from transformers import GenerationConfig

    is_adapter = hasattr(tuned.model, "peft_config")
    if is_adapter:
        for config in tuned.model.peft_config.values():
            config.base_model_name_or_path = str(Path(base).resolve()) if isinstance(base, Path) else base
    else:
        tuned.model.generation_config = GenerationConfig(eos_token_id=list(tuned.chat.eos_ids), pad_token_id=tuned.chat.pad_id)
    tuned.model.save_pretrained(str(folder))
    tuned.chat.tokenizer.save_pretrained(str(folder))
    for path in folder.glob("*.safetensors"):
        path.chmod((folder / "tokenizer_config.json").stat().st_mode)  # safetensors makes its files private
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's card, with blanks to be filled in
    if is_adapter:
        _sort_names(folder / "adapter_config.json")


def _sort_names(path: Path) -> None:
    """PEFT writes the names of layers in the order of a set, which differs from process to process."""
    content = json.loads(path.read_text("utf-8"))
    ordered = {
        name: sorted(value) if isinstance(value, list) and all(isinstance(part, str) for part in value) else value
        for name, value in content.items()
    }
    path.write_text(json.dumps(ordered, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _results(folder: Path) -> list[Path]:
    """The files of the finished model in a folder of work."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.name not in (_KEY, LOCK_NAME, MANIFEST) and path.suffix not in (SIDECAR_SUFFIX, ".tmp")
    )


def _write_manifest(folder: Path, record: TuningRecord, tried: Sequence[TriedRate]) -> None:
    files = {}
    for path in _results(folder):
        seal(path)
        files[path.name] = hashlib.sha256(path.with_name(path.name + SIDECAR_SUFFIX).read_bytes()).hexdigest()
    content = {
        "format": TUNING_FORMAT,
        "record": record.to_json(),
        "learning_rates": [rate.to_json() for rate in tried],
        "files": files,
    }
    write_bytes(folder / MANIFEST, json.dumps(content, indent=1, ensure_ascii=False).encode())


def _finish(folder: Path, out: Path, record: TuningRecord) -> TuningRecord:
    """Drop what only served resumption, and give the folder its name."""
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    for name in (_KEY, LOCK_NAME):
        (folder / name).unlink(missing_ok=True)
    folder.rename(out)
    sync_folder(out.parent)
    return record


@contextmanager
def _storage_errors(out: Path) -> Iterator[None]:
    """Safetensors and torch report a full disk each in their own words."""
    try:
        yield
    except OSError as error:
        raise _storage_error(out, error.strerror or str(error)) from error
    except Exception as error:
        said = str(error)
        if "No space left" in said or "PytorchStreamWriter failed" in said or "os error 28" in said:
            raise _storage_error(out, "No space left on device") from error
        if type(error).__name__ == "OutOfMemoryError":
            raise InputError(
                "the GPU's memory does not hold the tuning",
                why=said.partition(". ")[0],
                remedy="set micro_batch_size to a divisor of batch_size, gradient_checkpointing to true, or use lora",
            ) from error
        raise


def _storage_error(out: Path, why: str) -> StorageError:
    return StorageError(
        "cannot be written",
        where=str(out),
        why=why,
        remedy="free space or mend the folder, and repeat the command: finished work is kept",
    )


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Nothing but errors from transformers, whose notes on special tokens repeat what `load_model` checked."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # The option has a new name in transformers 5.2x, which TRL, PEFT and older versions do not know.
            warnings.filterwarnings("ignore", "`(is_)?gradient_checkpointing` is deprecated", FutureWarning)
            yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def _computes_bfloat16(precision: Precision) -> bool:
    import torch

    if precision is Precision.AUTO:
        return bool(torch.cuda.is_available() and torch.cuda.is_bf16_supported())
    return precision is Precision.BFLOAT16


def _device_name(device: Any) -> str:
    import torch

    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else str(device.type)


def _peak_memory_bytes(device: Any) -> int:
    import torch

    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else peak_memory_bytes()


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"
