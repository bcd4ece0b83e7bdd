"""kronfluence: influence functions with an eigenvalue-corrected Kronecker approximation of the Fisher matrix (EK-FAC).

Grosse et al. (2023), "Studying large language model generalization with influence functions". The strategy `identity`
leaves the matrix out, so that the score is a plain dot product of gradients: a check against one's own.

    python -m tests.benchmarks.tracing.peers.ekfac WORLD [--strategy identity] [--damping-share 0.1]
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import kronfluence.factor.config
import numpy as np
import torch
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.task import Task
from kronfluence.utils.dataset import DataLoaderKwargs
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import default_collate

from tests.benchmarks.tracing.peers.exchange import (
    IGNORED,
    Clock,
    Peer,
    Tokens,
    arguments,
    batch,
    leave_scores,
    read_model,
    read_world,
)


class SpanTask(Task):
    """A row's loss is the sum over its trained tokens; of a query, the mean surprise of its span's tokens is asked for.

    The score is then the gradient of that surprise times the inverse Fisher matrix times the gradient of the row's
    loss: positive where training on the row lowers the surprise.

    Args:
        modules: Names of the linear layers that count.
    """

    def __init__(self, modules: list[str]) -> None:
        self.modules = modules

    def compute_train_loss(self, batch: dict[str, Tensor], model: nn.Module, sample: bool = False) -> Tensor:
        """Sum of the losses; with `sample`, of tokens that the model drew at the trained positions (true Fisher)."""
        logits, labels = _predictions(batch, model)
        if sample:
            with torch.no_grad():
                drawn = torch.multinomial(logits.softmax(-1), 1).squeeze(-1)
            labels = torch.where(labels == IGNORED, labels, drawn)
        return functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")

    def compute_measurement(self, batch: dict[str, Tensor], model: nn.Module) -> Tensor:
        """Sum over the queries of the mean surprise of their tokens."""
        logits, labels = _predictions(batch, model)
        losses = functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none")
        per_query = losses.reshape(len(batch["labels"]), -1)
        return (per_query.sum(1) / (batch["labels"][:, 1:] != IGNORED).sum(1)).sum()

    def get_influence_tracked_modules(self) -> list[str]:
        """The layers that count."""
        return self.modules

    def get_attention_mask(self, batch: dict[str, Tensor]) -> Tensor:
        """Which positions are no padding."""
        return batch["attention_mask"]


def main() -> None:
    """Score every row for every query, averaged over the tuned models."""
    options = _options()
    world = read_world(options.world, options.seeds)
    kronfluence.factor.config.HEURISTIC_DAMPING_SCALE = options.damping_share
    warnings.filterwarnings("ignore", category=FutureWarning)
    clock, per_seed = Clock(), {}
    bytes_fixed = 0
    for seed in world.seeds:
        torch.manual_seed(seed)  # the sampled labels
        model = read_model(world.tuned(seed))
        modules = [
            name
            for name, module in model.named_modules()
            if isinstance(module, nn.Linear) and (options.head or name != "lm_head")
        ]
        task = SpanTask(modules)
        with tempfile.TemporaryDirectory() as scratch:
            analyzer = Analyzer(
                "peer",
                prepare_model(model, task),
                task,
                cpu=True,
                disable_tqdm=True,
                output_dir=scratch,
                log_level=logging.ERROR,
            )
            analyzer.set_dataloader_kwargs(DataLoaderKwargs(collate_fn=default_collate))
            rows, queries = _dataset(world.rows), _dataset(world.queries)
            with clock.measure("index"):
                analyzer.fit_all_factors(
                    "factors",
                    rows,
                    per_device_batch_size=options.batch_size,
                    factor_args=FactorArguments(strategy=options.strategy, use_empirical_fisher=options.empirical),
                )
            bytes_fixed += sum(path.stat().st_size for path in Path(scratch).rglob("*.safetensors"))
            with clock.measure("query"):
                analyzer.compute_pairwise_scores(
                    "scores",
                    "factors",
                    queries,
                    rows,
                    per_device_query_batch_size=len(queries),
                    per_device_train_batch_size=options.batch_size,
                    score_args=ScoreArguments(damping_factor=options.damping),
                )
            per_seed[seed] = analyzer.load_pairwise_scores("scores")["all_modules"].numpy().astype(np.float64)
    settings: dict[str, Any] = {"strategy": options.strategy, "output layer": options.head, "batch size": options.batch_size}
    if options.strategy != "identity":
        settings |= {"damping": options.damping, "empirical Fisher": options.empirical}
        settings |= {"damping, share of the mean eigenvalue": options.damping_share if options.damping is None else None}
    notes = ("linear layers only; each query's pass goes over the gradients of all rows, none is kept",)
    leave_scores(
        world,
        Peer(options.method, "kronfluence", settings, notes),
        np.mean(list(per_seed.values()), axis=0),
        clock,
        bytes_per_row=0,
        bytes_fixed=bytes_fixed,
        folder=options.scores,
        per_seed=per_seed,
    )


def _options() -> argparse.Namespace:
    parser = arguments("kronfluence: EK-FAC influence functions", "kronfluence-ekfac")
    parser.add_argument("--strategy", choices=("ekfac", "kfac", "diagonal", "identity"), default="ekfac", help="the matrix")
    parser.add_argument("--damping", type=float, help="added to every eigenvalue (default: a share of their mean)")
    parser.add_argument("--damping-share", type=float, default=0.1, help="that share; the library's own is 0.1")
    parser.add_argument("--empirical", action="store_true", help="Fisher matrix of the rows' own tokens, not of drawn ones")
    parser.add_argument("--no-head", dest="head", action="store_false", help="leave the output layer out")
    parser.add_argument("--batch-size", type=int, default=16, help="rows at a time")
    return parser.parse_args()


def _dataset(sequences: tuple[Tokens, ...]) -> list[dict[str, Tensor]]:
    together = batch(sequences)
    return [{name: values[number] for name, values in together.items()} for number in range(len(sequences))]


def _predictions(batch: dict[str, Tensor], model: nn.Module) -> tuple[Tensor, Tensor]:
    """Logits (n_positions, n_tokens) and the tokens that they predict, over the whole batch."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1].float()
    return logits.flatten(0, 1), batch["labels"][:, 1:].flatten()


if __name__ == "__main__":
    main()
