"""traker: TRAK, which regresses an output on randomly projected gradients of several tuned models.

Park et al. (2023), "TRAK: Attributing model behavior at scale". Output and weights are those of its section on language
models: the log odds of every token, and one minus the mean probability of the row's tokens.

    python -m tests.benchmarks.tracing.peers.trak WORLD [--dimensions 32] [--ridge-share 0]
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from trak import TRAKer
from trak.modelout_functions import AbstractModelOutput
from trak.projectors import BasicProjector, ProjectionType
from trak.score_computers import BasicScoreComputer

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


class SpanOdds(AbstractModelOutput):
    """Sum over the tokens that count of log p / (1 − p), or of log p.

    Args:
        output: `odds`, as published, or `log-prob`, whose derivative of the loss is one.
    """

    def __init__(self, output: str) -> None:
        self.output = output

    def get_output(
        self,
        model: nn.Module,
        weights: dict[str, Tensor],
        buffers: dict[str, Tensor],
        ids: Tensor,
        labels: Tensor,
        mask: Tensor,
    ) -> Tensor:
        """The output of one sequence; each tensor is of shape (length,), the mask (1, length, length)."""
        log_probs, counted = self._log_probs(model, weights, buffers, ids[None], labels[None], mask[None])
        if self.output == "odds":
            log_probs = log_probs - torch.log1p(-log_probs.exp().clamp(max=1 - 1e-6))
        return (log_probs * counted).sum()

    def get_out_to_loss_grad(
        self, model: nn.Module, weights: dict[str, Tensor], buffers: dict[str, Tensor], batch: tuple[Tensor, ...]
    ) -> Tensor:
        """How much each sequence's loss still falls with its output, of shape (n_sequences, 1)."""
        with torch.no_grad():
            log_probs, counted = self._log_probs(model, weights, buffers, *batch)
        if self.output == "log-prob":
            return torch.ones(len(log_probs), 1)
        return 1 - ((log_probs.exp() * counted).sum(1) / counted.sum(1)).unsqueeze(1)

    def _log_probs(
        self,
        model: nn.Module,
        weights: dict[str, Tensor],
        buffers: dict[str, Tensor],
        ids: Tensor,
        labels: Tensor,
        mask: Tensor,
    ) -> tuple[Tensor, Tensor]:
        inputs = {
            "input_ids": ids,
            "attention_mask": mask,
            "position_ids": torch.arange(ids.shape[1])[None],
            "use_cache": False,
        }
        logits = torch.func.functional_call(model, (weights, buffers), args=(), kwargs=inputs).logits[:, :-1]
        targets = labels[:, 1:]
        log_probs = functional.log_softmax(logits, -1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]
        return log_probs, (targets != IGNORED).to(log_probs.dtype)


class RidgeShare(BasicScoreComputer):
    """Adds a share of their mean to the diagonal of the features' second moments, whatever the size of the gradients.

    Args:
        share: Of the mean of the diagonal.
        **others: The library's.
    """

    def __init__(self, share: float, **others: Any) -> None:
        super().__init__(**others)
        self.share = share

    def get_x_xtx_inv(self, grads: Tensor, xtx: Tensor) -> Tensor:
        """The features times the inverse of their second moments."""
        self.lambda_reg = self.share * xtx.diagonal().mean()
        return super().get_x_xtx_inv(grads, xtx)


def main() -> None:
    """Score every row for every query with all tuned models at once."""
    options = _options()
    world = read_world(options.world, options.seeds)
    if options.dimensions >= len(world.rows):
        raise SystemExit(f"--dimensions {options.dimensions} is not below the number of rows, {len(world.rows)}")
    models = [read_model(world.tuned(seed)) for seed in world.seeds]
    clock = Clock()
    with tempfile.TemporaryDirectory() as scratch:
        together = _scores(world, models, options, Path(scratch), clock)
    notes = ["all parameters; gradients go through a random projection of the models' own"]
    if len(world.seeds) < 5:
        notes.append("fewer than the five models that it is meant for")
    leave_scores(
        world,
        Peer(
            options.method,
            "traker",
            {
                "dimensions": options.dimensions,
                "ridge, share of the mean diagonal": options.ridge_share,
                "output": options.output,
                "projection seed": 0,
            },
            tuple(notes),
        ),
        together,
        clock,
        bytes_per_row=(2 * 4 * options.dimensions + 4) * len(models),
        bytes_fixed=0,
        folder=options.scores,
    )


def _scores(world: World, models: list[Any], options: argparse.Namespace, folder: Path, clock: Clock) -> np.ndarray:
    model = models[0]
    projector = BasicProjector(
        grad_dim=sum(parameter.numel() for parameter in model.parameters()),
        proj_dim=options.dimensions,
        seed=0,
        proj_type=ProjectionType.normal,
        device="cpu",
        block_size=max(1, options.dimensions // 2),  # with one block the matrix is not made again for the queries
    )
    traker = TRAKer(
        model=model,
        task=SpanOdds(options.output),
        train_set_size=len(world.rows),
        save_dir=str(folder),
        device="cpu",
        projector=projector,
        proj_dim=options.dimensions,
        logging_level=logging.ERROR,
        use_half_precision=False,
        score_computer=partial(RidgeShare, options.ridge_share),
    )
    states = [{name: value.clone() for name, value in each.state_dict().items()} for each in models]
    length = max(len(sequence.input_ids) for sequence in (*world.rows, *world.queries))
    with clock.measure("index"):
        for number, state in enumerate(states):
            traker.load_checkpoint(state, model_id=number)
            for begin in range(0, len(world.rows), options.batch_size):
                rows = world.rows[begin : begin + options.batch_size]
                traker.featurize(batch=_batch(rows, length), num_samples=len(rows))
        traker.finalize_features()
    with clock.measure("query"):
        for number, state in enumerate(states):
            traker.start_scoring_checkpoint("queries", state, model_id=number, num_targets=len(world.queries))
            traker.score(batch=_batch(world.queries, length), num_samples=len(world.queries))
        scores = traker.finalize_scores(exp_name="queries")
    return np.array(scores, np.float64).T


def _batch(sequences: tuple[Tokens, ...], length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, labels and an additive causal mask (n_sequences, 1, length, length).

    The whole mask is made here: the model's own way to make one from a padding mask cannot be mapped over sequences.
    """
    together = batch(sequences, length)
    causal = torch.full((length, length), torch.finfo(torch.float32).min).triu(1)
    return together["input_ids"], together["labels"], causal.expand(len(sequences), 1, length, length).clone()


def _options() -> argparse.Namespace:
    parser = arguments("traker: TRAK", "trak")
    parser.add_argument("--dimensions", type=int, default=32, help="of the projection; fewer than the rows")
    parser.add_argument("--ridge-share", type=float, default=0.0, help="of the features' mean second moment, added to each")
    parser.add_argument("--output", choices=("odds", "log-prob"), default="odds", help="what is regressed")
    parser.add_argument("--batch-size", type=int, default=16, help="rows at a time")
    return parser.parse_args()


if __name__ == "__main__":
    main()
