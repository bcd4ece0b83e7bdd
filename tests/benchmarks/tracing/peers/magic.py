"""bergson: MAGIC, the derivative of a query's surprise with respect to each row's weight, taken through the whole training.

Ilyas and Engstrom (2025), "MAGIC: Near-optimal data attribution for deep learning", and Engstrom et al. (2025),
"Optimizing ML training with metagradient descent". The base model is trained again by bergson's own differentiable
trainer, on the world's batches, and each query's gradient is then carried back through every step: one backward pass
through the training per query and seed.

    python -m tests.benchmarks.tracing.peers.magic WORLD [--seeds 300] [--queries 0 1 2 3 4]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchopt
from bergson.config.config import LRScheduleConfig
from bergson.magic.cli import compute_per_query_magic_scores
from bergson.magic.config import MagicConfig
from bergson.magic.data_stream import DataStream, Padding
from bergson.magic.trainer import Trainer
from bergson.utils.math import weighted_causal_lm_ce
from datasets import Dataset, disable_progress_bars
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from tests.benchmarks.tracing.peers.exchange import (
    IGNORED,
    Clock,
    Peer,
    Tokens,
    World,
    arguments,
    batch,
    leave_scores,
    read_model,
    read_world,
)


class RecipeStream(DataStream):
    """The rows in the batches of the world's own tuning: an epoch's last batch may be smaller, none reaches into the next.

    Args:
        rows: All rows, by place: one weight each, however often they are seen.
        batches: The places of every step.
    """

    def __init__(self, rows: Dataset, batches: list[list[int]]) -> None:
        super().__init__(rows, max(map(len, batches)))
        self.batches = batches
        self.num_batches = len(batches)

    def batch_rows(self, i: int) -> list[int]:
        """The places of a step."""
        return self.batches[i]


class _TiedHead(nn.Module):
    """An output layer that reads the embeddings: bergson's trainer would take tied weights for two separate ones."""

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self._embedding = (embedding,)  # in a tuple, so that it is no module of this one

    def forward(self, states: Tensor) -> Tensor:
        return functional.linear(states, self._embedding[0].weight)


def main() -> None:
    """Score every row for some queries, averaged over the seeds."""
    options = _options()
    disable_progress_bars()
    world = read_world(options.world, options.seeds)
    asked = list(range(len(world.queries))) if options.queries is None else options.queries
    clock, per_seed, gaps = Clock(), {}, {}
    n_steps = bytes_fixed = 0
    for seed in world.seeds:
        with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
            folder = Path(scratch)
            model, trainer, state, stream = _training(world, seed, options)
            n_steps = len(stream)
            checkpoints = str(folder / "checkpoints")
            clip = world.recipe.get("max_grad_norm") or None
            with clock.measure("index"):
                state = trainer.train(state, stream, inplace=True, save_dir=checkpoints, save_mode="sqrt", max_grad_norm=clip)
            bytes_fixed += sum(path.stat().st_size for path in Path(checkpoints).rglob("*") if path.is_file())
            with state.activate(model):
                gaps[seed] = _gap(model, read_model(world.tuned(seed)), world)
            with clock.measure("query"):
                derivatives = compute_per_query_magic_scores(
                    trainer,
                    checkpoints,
                    stream,
                    state,
                    model,
                    _dataset([world.queries[number] for number in asked]),
                    len(asked),
                    MagicConfig(run_path=scratch, save_mode="sqrt", max_grad_norm=clip, resume=False),
                    1,
                    0,
                    Padding(),
                )
            # How fast the surprise rises with the row's weight: a row is responsible where it falls.
            per_seed[seed] = -derivatives.T.numpy().astype(np.float64)
    settings = {
        "steps": n_steps,
        "eps inside the root": options.eps_root,
        "checkpoints": "every √n-th step",
        "largest gap of a query's log p to the world's own tuned model, by seed": gaps,
    }
    notes = (
        "trains the base model again instead of reading the tuned one, in bergson's own functional loop (torchopt), "
        "by the world's batches, rate and schedule; no dropout",
        "all parameters; tied embeddings stay tied; weight decay, where there is any, falls on norms too",
    )
    leave_scores(
        world,
        Peer(options.method, "bergson", settings, notes),
        np.mean(list(per_seed.values()), axis=0),
        clock,
        bytes_per_row=0,
        bytes_fixed=bytes_fixed,
        folder=options.scores,
        queries=asked,
        per_seed=per_seed,
    )


def _training(world: World, seed: int, options: argparse.Namespace) -> tuple[PreTrainedModel, Any, Any, RecipeStream]:
    """bergson's trainer, set to the world's recipe, before its first step."""
    recipe = world.recipe
    size, adam = recipe["batch_size"], recipe.get("adam", {})
    batches = [order[begin : begin + size] for order in world.orders(seed) for begin in range(0, len(order), size)]
    model = read_model(world.folder / "base").requires_grad_(True)
    if model.config.tie_word_embeddings:
        model.lm_head = _TiedHead(model.get_input_embeddings())
    model.loss_function = partial(weighted_causal_lm_ce, reduction="mean")
    kind = recipe.get("scheduler", "constant")
    warmup = math.ceil(recipe.get("warmup_fraction", 0) * len(batches))
    if kind == "constant":
        kind = "constant_with_warmup"
    schedule = LRScheduleConfig(lr=recipe["learning_rate"], lr_scheduler_type=kind, warmup_steps=warmup).get_schedule(
        len(batches)
    )
    optimizer = torchopt.adamw(
        schedule,
        betas=(adam.get("beta1", 0.9), adam.get("beta2", 0.999)),
        eps=adam.get("eps", 1e-8),
        eps_root=options.eps_root,
        weight_decay=recipe.get("weight_decay", 0.0),
    )
    trainer, state = Trainer.initialize(model, optimizer)
    return model, trainer, state, RecipeStream(_dataset(world.rows), batches)


def _gap(model: PreTrainedModel, tuned: PreTrainedModel, world: World) -> float:
    """The largest difference between the two models in a query's mean log p, in nats: whether the training was the same."""
    together = batch(world.queries)
    means = []
    for each in (model, tuned):
        with torch.no_grad():
            logits = each(input_ids=together["input_ids"], use_cache=False).logits[:, :-1]
        losses = functional.cross_entropy(logits.mT, together["labels"][:, 1:], ignore_index=IGNORED, reduction="none")
        means.append(losses.sum(1) / (together["labels"][:, 1:] != IGNORED).sum(1))
    return float((means[0] - means[1]).abs().max())


def _dataset(sequences: tuple[Tokens, ...] | list[Tokens]) -> Dataset:
    return Dataset.from_dict(
        {
            "input_ids": [list(sequence.input_ids) for sequence in sequences],
            "labels": [list(sequence.labels) for sequence in sequences],
            "length": [len(sequence.input_ids) for sequence in sequences],
        }
    )


def _options() -> argparse.Namespace:
    parser = arguments("bergson: MAGIC", "bergson-magic")
    parser.add_argument("--queries", type=int, nargs="+", help="numbers of the queries to score (default: all)")
    parser.add_argument("--eps-root", type=float, default=1e-17, help="Adam's eps inside the root; bergson's own is 1e-17")
    return parser.parse_args()


if __name__ == "__main__":
    main()
