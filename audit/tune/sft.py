"""TRL's SFTTrainer, with the row order, the checkpoints and the silence that a reproducible tuning needs.

What is TRL's (1.16) stays TRL's: the loop, accumulation, the optimizer, the schedule, checkpoints and their resumption.
Three things are ours. The sampler, so that arms see shared rows in the same order. Checkpoints by the clock, marked
once they are whole: the trainer would resume from half a checkpoint, without the optimizer's state and without a word.
And the loss on a processor: there TRL passes every place of a batch through the output layer, three times over and with
an entropy that nobody reads, which makes a step of a million parameters 1.5 times as long; the same sum over the trained
tokens alone is equal to about 1e-6.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import Sampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import SFTConfig, SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from audit.errors import CorruptFileError, DivergedError, InputError
from audit.models import LanguageModel
from audit.rendering import IGNORED
from audit.tune.adapters import lora_config
from audit.tune.objective import can_select_columns, trained_logits
from audit.tune.recipe import Method, Recipe, Scheduler
from audit.tune.rows import TrainingSet, epoch_order
from indexes.store import read_bytes, sync_folder, write_bytes

__all__ = ["Progress", "RowOrder", "last_checkpoint", "make_trainer", "n_optimizer_steps"]

Progress = Callable[[int, int, float], None]
"""Told after every optimizer step its number, the number of steps, and its loss."""

_WHOLE = "whole.json"
_CHECKPOINT = "checkpoint-"
# A save may cost a twentieth of the time between two.
_WORK_PER_SAVE = 20.0


class RowOrder(Sampler[int]):
    """The order of the rows in one epoch after the other, `epoch_order`.

    Args:
        training: The rows.
        seed: Of the order.
        multiple_of: Empty rows, numbered after the last, fill up an epoch to a multiple of this, so that every process
            of a distributed tuning has as many micro-batches; nothing is learned from them.
    """

    def __init__(self, training: TrainingSet, seed: int, multiple_of: int = 1) -> None:
        self._training, self._seed = training, seed
        self._n_empty = -len(training) % multiple_of
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._training) + self._n_empty

    def __iter__(self) -> Iterator[int]:
        yield from epoch_order(self._training, self._seed, self.epoch).tolist()
        yield from [len(self._training)] * self._n_empty

    def set_epoch(self, epoch: int) -> None:
        """Accelerate's name for it; it is told of an epoch only where its wrappers let it through, see `_Watch`."""
        self.epoch = epoch


def make_trainer(
    model: LanguageModel,
    training: TrainingSet,
    recipe: Recipe,
    seed: int,
    folder: Path,
    *,
    bfloat16: bool,
    checkpoint_seconds: float,
    progress: Progress | None = None,
) -> SFTTrainer:
    """A trainer that is ready to run.

    Args:
        model: The base model, in float32 where all of it is trained.
        training: The rows.
        recipe: How; with a learning rate.
        seed: Of order, adapters, dropout and noise.
        folder: Where checkpoints go.
        bfloat16: Whether the passes run in bfloat16.
        checkpoint_seconds: Least time between checkpoints.
        progress: Told of every step.

    Raises:
        InputError: The batch cannot be shared out among the processes, or an adapter fits no layer.
    """
    on_cpu = not torch.cuda.is_available()
    n_processes = int(os.environ.get("WORLD_SIZE", "1"))
    micro, accumulation = _micro_batches(recipe, n_processes)
    n_steps = n_optimizer_steps(len(training), recipe)
    config = SFTConfig(
        output_dir=str(folder),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        num_train_epochs=recipe.epochs,
        max_steps=recipe.max_steps or -1,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=_SCHEDULERS[recipe.scheduler],
        warmup_steps=math.ceil(recipe.warmup_fraction * n_steps),
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        optim="adamw_torch_fused",
        neftune_noise_alpha=recipe.neftune_noise_alpha,
        bf16=bfloat16,
        fp16=False,
        use_cpu=on_cpu,
        gradient_checkpointing=recipe.gradient_checkpointing,
        seed=seed,
        data_seed=seed,
        max_length=None,  # rows are cut, and counted, when they are rendered
        packing=False,
        padding_free=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        average_tokens_across_devices=True,
        ddp_find_unused_parameters=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=not on_cpu,
        dataloader_drop_last=False,
        save_strategy="no",  # `_Watch` says when
        save_only_model=False,
        save_total_limit=2,
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        log_level="error",
        log_level_replica="error",
    )
    if config.n_gpu > 1:
        config._n_gpu = 1  # a single process would take all GPUs in sight, which TRL refuses
    order = RowOrder(training, seed, micro * n_processes)
    watch = _Watch(order, n_steps, checkpoint_seconds, n_processes > 1, progress)
    try:
        trainer = _Trainer(
            order,
            model=model.model,
            args=config,
            train_dataset=_dataset(training, model.chat.pad_id),
            processing_class=model.chat.tokenizer,
            data_collator=DataCollatorForLanguageModeling(pad_token_id=model.chat.pad_id),
            peft_config=lora_config(recipe) if recipe.method is Method.LORA else None,
            callbacks=[watch],
        )
    except ValueError as error:
        if recipe.lora_targets in (None, "all-linear"):
            raise
        raise InputError(
            "lora_targets cannot be used",
            why=" ".join(str(error).split())[:300],
            remedy="name layers of the model, or all-linear",
        ) from error
    trainer.remove_callback(PrinterCallback)
    return trainer


def n_optimizer_steps(n_rows: int, recipe: Recipe) -> int:
    """Optimizer steps of a tuning on so many rows."""
    return recipe.max_steps or recipe.epochs * math.ceil(n_rows / recipe.batch_size)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a folder; those that a kill left half are removed."""
    found: list[tuple[int, Path]] = []
    for checkpoint in folder.glob(f"{_CHECKPOINT}*"):
        if _is_whole(checkpoint):
            found.append((int(checkpoint.name.removeprefix(_CHECKPOINT)), checkpoint))
        else:
            shutil.rmtree(checkpoint, ignore_errors=True)
    return max(found, default=(0, None))[1]


class _Trainer(SFTTrainer):  # type: ignore[misc]  # untyped
    def __init__(self, order: RowOrder, **options: Any) -> None:
        self._order = order
        super().__init__(**options)
        self._selects_columns = self.args.device.type == "cpu" and can_select_columns(self.model) and not self.aux_loss_enabled

    def _send_telemetry(self) -> None:
        """Nothing is sent."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return self._order

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        if not self._selects_columns or return_outputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        logits, targets = trained_logits(model, inputs)
        loss = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
        loss = loss / (len(targets) if num_items_in_batch is None else num_items_in_batch)
        # The count is of all processes, and their gradients are averaged.
        return loss * self.accelerator.num_processes if num_items_in_batch is not None else loss

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        Trainer._save_checkpoint(self, model, trial)  # without TRL's model card


class _Watch(TrainerCallback):  # type: ignore[misc]  # untyped
    """Sets the epoch of the order, ends a tuning that diverged, and says when a checkpoint is due."""

    def __init__(
        self, order: RowOrder, n_steps: int, checkpoint_seconds: float, distributed: bool, progress: Progress | None
    ) -> None:
        self._order, self._n_steps, self._progress = order, n_steps, progress
        self._checkpoint_seconds, self._distributed = checkpoint_seconds, distributed
        self._saved_at = self._began_save_at = time.monotonic()
        self._save_seconds = 0.0

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        # Where a checkpoint is resumed within an epoch, the wrapper that skips its batches hides the sampler.
        n_micro = math.ceil(len(self._order) / (args.per_device_train_batch_size * args.world_size))
        steps_per_epoch = math.ceil(n_micro / args.gradient_accumulation_steps)
        self._order.epoch = state.global_step // steps_per_epoch

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        now = time.monotonic()
        if self._distributed:  # clocks differ, and all must save or none
            control.should_save = state.global_step % max(1, self._n_steps // 20) == 0
        else:
            due = max(self._checkpoint_seconds, _WORK_PER_SAVE * self._save_seconds)
            control.should_save = now - self._saved_at >= due
        if state.global_step >= self._n_steps:
            control.should_save = False  # what follows is the result itself
        self._began_save_at = now

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **rest: Any
    ) -> None:
        if logs is None or "loss" not in logs:
            return
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise DivergedError(
                f"the training loss is {loss} at step {state.global_step} of {self._n_steps}",
                remedy="use a lower learning rate: the weights have left the range of numbers",
            )
        if self._progress is not None:
            self._progress(state.global_step, self._n_steps, loss)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        if self._distributed:
            torch.distributed.barrier()  # every process writes the state of its own random numbers
        if state.is_world_process_zero:
            _mark_whole(Path(args.output_dir) / f"{_CHECKPOINT}{state.global_step}")
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - self._began_save_at


_SCHEDULERS = {Scheduler.CONSTANT: "constant_with_warmup", Scheduler.LINEAR: "linear", Scheduler.COSINE: "cosine"}


def _micro_batches(recipe: Recipe, n_processes: int) -> tuple[int, int]:
    """Rows per forward pass of a process, and forward passes per optimizer step."""
    per_process, rest = divmod(recipe.batch_size, n_processes)
    micro = min(recipe.micro_batch_size or per_process, per_process)
    if rest or per_process % micro:
        raise InputError(
            f"a batch of {recipe.batch_size} rows cannot be shared out",
            why=f"{n_processes} processes"
            + (f", {recipe.micro_batch_size} rows per forward pass" if recipe.micro_batch_size else ""),
            remedy="use a batch_size that the number of processes times micro_batch_size divides",
        )
    return micro, per_process // micro


def _dataset(training: TrainingSet, pad_id: int) -> Dataset:
    """The rows, and an empty one after the last, which distributed tunings fill up with."""
    return Dataset.from_dict(
        {
            "input_ids": [*(ids.tolist() for ids in training.input_ids), [pad_id, pad_id]],
            "labels": [*(labels.tolist() for labels in training.labels), [IGNORED, IGNORED]],
        }
    )


def _mark_whole(checkpoint: Path) -> None:
    """Force the files of a checkpoint to disk, then write down that they are all there."""
    sizes = {}
    for file in sorted(path for path in checkpoint.iterdir() if path.is_file() and path.name != _WHOLE):
        with file.open("rb+") as open_file:  # to write, without which Windows forces nothing to disk
            os.fsync(open_file.fileno())
        sizes[file.name] = file.stat().st_size
    sync_folder(checkpoint)
    write_bytes(checkpoint / _WHOLE, json.dumps(sizes).encode())


def _is_whole(checkpoint: Path) -> bool:
    try:
        sizes = json.loads(read_bytes(checkpoint / _WHOLE))
        return all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, CorruptFileError):
        return False
