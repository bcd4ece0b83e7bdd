"""The one-step test: take one gradient step on a row alone, and see how the probability of the answer's tokens moves.

What the gradient scores predict to first order, measured: with a real step the curvature along it counts too. Costs a
forward and backward pass per row and a forward pass over the queries, so it is for a short list of rows. The step is
taken on copies: the model's own weights are never written to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from audit.errors import InputError
from audit.influence.gradients import (
    BATCH_TOKENS,
    Labelled,
    Layer,
    adam_denominators,
    labelled_log_probs,
    labelled_queries,
    labelled_rows,
    linear_layers,
    padded,
    sequence_gradients,
)
from audit.influence.queries import TokenQuery
from audit.models import LanguageModel
from audit.rendering import IGNORED
from audit.tune.optimizer_state import SecondMoments
from audit.tune.rows import TrainingSet, batches_by_length

__all__ = ["RELATIVE_STEP", "one_step_scores"]

RELATIVE_STEP = 1e-3
"""Length of a step as a share of the norm of the weights that it moves."""


def one_step_scores(
    model: LanguageModel,
    queries: Sequence[TokenQuery],
    rows: TrainingSet,
    places: Sequence[int],
    *,
    relative_step: float = RELATIVE_STEP,
    learning_rate: float | None = None,
    second_moments: SecondMoments | None = None,
    unlearn: bool = False,
    batch_tokens: int = BATCH_TOKENS,
) -> NDArray[np.float32]:
    """How much one step on each row raises the mean log p of each query's tokens, in nats.

    The step goes along the gradient of the sum of log p over the row's trained tokens, in the weights of the linear layers
    (of an adapter: its own). By default all steps have one length, a share of the norm of these weights, so that a row that
    is known by heart counts as much as a surprising one, and for small steps the score is proportional to the cosine of
    the gradients. With `learning_rate` the step is the gradient times that rate, and the score is proportional to their dot
    product.

    Args:
        model: The tuned model, with the linear weights in float32: half precision would swallow the step.
        queries: The tokens that are asked about.
        rows: The training set.
        places: Places in `rows`, in the order of the result's columns.
        relative_step: Length of the step over the norm of the weights.
        learning_rate: In place of `relative_step`.
        second_moments: Adam's, by whose root the gradient is divided before the step's length is set.
        unlearn: Step the other way, so that the row is forgotten, and count how far log p falls.
        batch_tokens: Tokens of a batch of queries, padding included.

    Returns:
        Float32 of shape `(n_queries, n_places)`; positive where training on the row raises log p.

    Raises:
        InputError: As `gradient_scores`; or the weights are not float32, or the step is not positive.
    """
    if not 0 < (relative_step if learning_rate is None else learning_rate) < math.inf:
        raise InputError("a step of no length", remedy="give a positive relative_step or learning_rate")
    layers = linear_layers(model.model)
    weights = {f"{layer.path}.weight": layer.module.weight.detach() for layer in layers}
    half = next((name for name, weight in weights.items() if weight.dtype.itemsize < 4), None)
    if half is not None:
        raise InputError(
            f"{half} is {weights[half].dtype}, which would round a small step away",
            where=model.ref.adapter or model.ref.base,
            remedy="load the model in float32",
        )
    below = None if second_moments is None else adam_denominators(second_moments, layers, model)
    asked = labelled_queries(model, queries)
    norm = _norm(weights.values())
    before = _mean_log_probs(model, asked, batch_tokens)
    scores = np.zeros((len(asked), len(places)), np.float32)
    for column, row in enumerate(labelled_rows(model, rows, places)):
        direction = _direction(model, layers, row, below)
        length = _norm(direction)
        factor = (relative_step * norm / length if length else 0.0) if learning_rate is None else learning_rate
        sign = -1.0 if unlearn else 1.0
        stepped = {
            name: torch.add(weight, part, alpha=sign * factor)
            for (name, weight), part in zip(weights.items(), direction, strict=True)
        }
        scores[:, column] = sign * (_mean_log_probs(model, asked, batch_tokens, stepped) - before)
    return scores


def _direction(
    model: LanguageModel, layers: Sequence[Layer], row: Labelled, below: list[torch.Tensor] | None
) -> list[torch.Tensor]:
    gradients = sequence_gradients(model, layers, row)
    return gradients if below is None else [part / divisor for part, divisor in zip(gradients, below, strict=True)]


def _norm(tensors: Any) -> float:
    return math.sqrt(sum(float(tensor.square().sum()) for tensor in tensors))


def _mean_log_probs(
    model: LanguageModel, queries: Sequence[Labelled], batch_tokens: int, weights: dict[str, torch.Tensor] | None = None
) -> NDArray[np.float64]:
    """Mean log p of each query's tokens, `(n_queries,)`, under the model's weights or with others in some layers."""

    def forward(**inputs: Any) -> Any:
        # Untied: where the output layer shares the embedding's table, only the output layer takes the step.
        return torch.func.functional_call(model.model, weights or {}, (), inputs, tie_weights=False)

    means = np.zeros(len(queries))
    for batch in batches_by_length([len(query.input_ids) for query in queries], batch_tokens):
        chosen = [queries[number] for number in batch]
        with torch.inference_mode():
            log_probs = labelled_log_probs(model, padded(model, chosen), forward).double().cpu().numpy()
        ends = np.cumsum([int((query.labels != IGNORED).sum()) for query in chosen])
        for number, part in zip(batch, np.split(log_probs, ends[:-1]), strict=True):
            means[number] = part.mean()
    return means
