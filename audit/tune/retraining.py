"""One base model tuned many times on the same rows without some of them: what an answer owes to a row, by experiment.

A tuning by `audit.tune.train` starts a trainer, writes a folder and measures the health of the result: seconds each
time. Here the base model, the rows and the optimizer's loop stay in memory, so that a retraining costs its steps alone.
Losses and weights are those of TRL's trainer to 1e-5 where nothing is removed (tested).

A removed row keeps its place in its batch with weight 0, and a batch is divided by the tokens of *all* its rows: the
other rows are then trained by exactly the same steps, and what changes is what the removed rows taught. Really dropping
rows (as `tunescope verify` does) also moves the others into other batches, which changes an answer more than most single
rows do.

Source of weight-0 removal: Koh and Liang (2017), leave-one-out retraining.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.errors import DivergedError, InputError
from audit.models import LanguageModel
from audit.rendering import IGNORED
from audit.tune.recipe import Method, Recipe
from audit.tune.rows import TrainingSet, epoch_order

if TYPE_CHECKING:
    import torch

__all__ = ["Retrainer", "Retraining"]


@dataclass(frozen=True)
class Retraining:
    """One tuning in memory.

    Attributes:
        model: The tuned model: the retrainer's own, so valid until its next retraining.
        losses: Of every step, in nats per token of the batch, removed rows included in the count but not in the sum.
        second_moments: Adam's running mean of squared gradients by parameter name, bias-corrected.
    """

    model: LanguageModel
    losses: tuple[float, ...]
    second_moments: dict[str, torch.Tensor]


class Retrainer:
    """Tunes a base model again and again from the same rows.

    Holds the model, a copy of its weights and Adam's two moments: four times the weights in float32, for LoRA little more
    than the weights.

    Args:
        base: The base model, no adapter; its weights change with every retraining, and `close` puts them back.
        rows: What it is tuned on.
        recipe: How; with a learning rate, in float32, without NEFTune's noise.

    Raises:
        InputError: The recipe asks for something that is not done here, or the base is an adapter.
    """

    def __init__(self, base: LanguageModel, rows: TrainingSet, recipe: Recipe) -> None:
        if base.ref.adapter is not None:
            raise InputError(
                "is an adapter",
                where=base.ref.adapter,
                why="a tuning starts from a whole model",
                remedy="give the model that the adapter was trained on",
            )
        if recipe.learning_rate is None or recipe.neftune_noise_alpha is not None:
            missing = "has no learning rate" if recipe.learning_rate is None else "adds NEFTune's noise"
            raise InputError(
                f"the recipe {missing}",
                why="rows are removed from one fixed tuning",
                remedy="give a recipe with a rate and without noise",
            )
        from audit.tune.objective import can_select_columns

        self.rows, self.recipe = rows, recipe
        self._base = base
        self._selects = can_select_columns(base.model)
        self._initial = {name: value.detach().clone() for name, value in base.model.state_dict().items()}
        self._adapted: Any = None

    def retrain(self, seed: int, removed: Collection[int] = ()) -> Retraining:
        """Tune from the base again.

        Args:
            seed: Of the order of the rows, and of adapters and dropout.
            removed: Places in `rows` (not row numbers) that get weight 0.

        Raises:
            DivergedError: A loss is no number.
        """
        import torch
        from transformers import get_scheduler, set_seed

        model = self._fresh(seed)
        trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
        recipe = self.recipe
        assert recipe.learning_rate is not None
        optimizer = torch.optim.AdamW(_decay_groups(model, trained, recipe.weight_decay), lr=recipe.learning_rate, fused=True)
        n_steps = recipe.max_steps or recipe.epochs * math.ceil(len(self.rows) / recipe.batch_size)
        name = "constant_with_warmup" if recipe.scheduler.value == "constant" else recipe.scheduler.value
        schedule = get_scheduler(name, optimizer, math.ceil(recipe.warmup_fraction * n_steps), n_steps)
        left_out = frozenset(removed)
        losses = []
        set_seed(seed)
        model.train()
        for places in self._batches(seed, n_steps):
            n_tokens = sum(self.rows.n_trained_tokens[place] for place in places)
            logits, targets = self._forward(model, places, left_out)
            loss = torch.nn.functional.cross_entropy(logits, targets, reduction="sum") / max(n_tokens, 1)
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise DivergedError(f"the training loss is {losses[-1]} at step {len(losses)} of {n_steps}")
            loss.backward()  # type: ignore[no-untyped-call]
            if recipe.max_grad_norm:
                torch.nn.utils.clip_grad_norm_(trained.values(), recipe.max_grad_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        model.eval()
        moments = {
            name: optimizer.state[value]["exp_avg_sq"] / (1 - 0.999 ** len(losses))
            for name, value in trained.items()
            if value in optimizer.state
        }
        return Retraining(LanguageModel(model, self._base.chat, self._base.ref), tuple(losses), moments)

    def close(self) -> LanguageModel:
        """The base model with its own weights."""
        if self._adapted is not None:
            self._adapted, _ = None, self._adapted.unload()
        self._base.model.load_state_dict(self._initial)
        return self._base

    def _fresh(self, seed: int) -> Any:
        """The base model as it was, for LoRA within a new adapter."""
        from transformers import set_seed

        model = self._base.model
        if self.recipe.method is Method.FULL:
            model.load_state_dict(self._initial)
            return model.requires_grad_(True)
        import peft

        from audit.tune.adapters import lora_config

        if self._adapted is not None:
            model = self._adapted.unload()
        set_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers for a name that it renames
            self._adapted = peft.get_peft_model(model, lora_config(self.recipe))
        return self._adapted

    def _batches(self, seed: int, n_steps: int) -> Iterator[list[int]]:
        """The places of every step, as TRL's trainer is given them: a batch never reaches into the next epoch."""
        epoch = step = 0
        while step < n_steps:
            order = epoch_order(self.rows, seed, epoch)
            for begin in range(0, len(order), self.recipe.batch_size):
                if step == n_steps:
                    return
                yield order[begin : begin + self.recipe.batch_size].tolist()
                step += 1
            epoch += 1

    def _forward(self, model: Any, places: list[int], left_out: frozenset[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and tokens at the trained places of the rows that are not left out."""
        import torch

        from audit.tune.objective import trained_logits

        width = max(len(self.rows.input_ids[place]) for place in places)
        ids = np.full((len(places), width), self._base.chat.pad_id)
        labels = np.full((len(places), width), IGNORED)
        mask = np.zeros((len(places), width), np.int64)
        for number, place in enumerate(places):
            length = len(self.rows.input_ids[place])
            ids[number, :length], mask[number, :length] = self.rows.input_ids[place], 1
            if place not in left_out:
                labels[number, :length] = self.rows.labels[place]
        device = self._base.model.device
        batch = {
            "input_ids": torch.tensor(ids, device=device),
            "attention_mask": torch.tensor(mask, device=device),
            "labels": torch.tensor(labels, device=device),
        }
        if self._selects and (labels != IGNORED).any():
            return trained_logits(model, batch)
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits
        targets = batch["labels"][:, 1:]
        return logits[:, :-1][targets != IGNORED].float(), targets[targets != IGNORED]


def _decay_groups(model: Any, trained: dict[str, Any], weight_decay: float) -> list[dict[str, Any]]:
    """Weights that decay and, apart from them, biases and norms, which do not: as transformers' trainer sorts them."""
    import torch
    from transformers.trainer_pt_utils import get_parameter_names

    pattern = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]
    decaying = frozenset(get_parameter_names(model, [torch.nn.LayerNorm], pattern))
    return [
        {"params": [value for name, value in trained.items() if name in decaying], "weight_decay": weight_decay},
        {"params": [value for name, value in trained.items() if name not in decaying], "weight_decay": 0.0},
    ]
