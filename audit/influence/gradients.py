"""How far a gradient step on one row would move the probability of an answer's tokens: dot products of gradients.

To first order, a step on a row raises log p of a token by the step's length times the dot product of two gradients: that
of log p of the token, and that of log p of the row's trained tokens (Pruthi et al. 2020, TracIn, eq. 1). The cosine leaves
out how much the row still has to teach. The preconditioned score divides the answer's gradient by Adam's denominator, as
the optimizer does with the row's (Xia et al. 2024, LESS, section 4.1).

Gradients are of the weights of linear layers: all of a full model, or the LoRA matrices A and B of an adapter. Embedding
tables, biases and norms take no part; where the output layer shares its table with the embedding, only its use as output
layer counts.

Whole gradients of rows are never held. In a linear layer the gradient of a sequence is the sum over its tokens of
(gradient of the output) x (input), so one forward and backward pass over a batch of rows, which keeps both factors, is
enough: dot products and norms follow from products between tokens ("ghost" products; Li et al. 2022, Large Language Models
Can Be Strong Differentially Private Learners, section 4). What a usual pass spends on the weights' own gradients, a third
of it, is saved. Memory: the inputs of all linear layers for one batch of rows and, with their outputs' gradients, for a
chunk of queries; with second moments also a float32 copy of the linear weights per query of the chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from audit.errors import InputError
from audit.influence.queries import TokenQuery
from audit.models import LanguageModel
from audit.rendering import IGNORED
from audit.tune.objective import can_select_columns, trained_logits
from audit.tune.optimizer_state import SecondMoments
from audit.tune.rows import TrainingSet, batches_by_length

__all__ = [
    "BATCH_TOKENS",
    "GradientScores",
    "Labelled",
    "Layer",
    "adam_denominators",
    "frozen",
    "gradient_scores",
    "gradient_scores_plain",
    "labelled_log_probs",
    "labelled_queries",
    "labelled_rows",
    "linear_layers",
    "padded",
    "sequence_gradients",
]

BATCH_TOKENS = 1024
"""Tokens of a batch, padding included. On one core, a model of a million parameters takes three times as long with 4,096,
where logits no longer fit the cache."""
# Float32 numbers at once: 1 GB for the queries' side, 64 MB for row gradients of one layer.
_MAX_QUERY_VALUES = 1 << 28
_MAX_ROW_VALUES = 1 << 24


@dataclass(frozen=True, eq=False)
class GradientScores:
    """Products of gradients between queries and rows; positive where a step on the row raises log p of the query's tokens.

    The query's gradient is that of the *mean* log p of its targets, the row's that of the *sum* of log p over its trained
    tokens: what the row adds to a training loss with a fixed denominator.

    Attributes:
        dot: In squared nats per squared unit of weight, float32 `(n_queries, n_places)`.
        cosine: The same over the product of the norms, -1 to 1; 0 where a gradient is nothing.
        preconditioned: `dot` with the query's gradient divided by sqrt(second moment) + eps; `None` without second moments.
    """

    dot: NDArray[np.float32]
    cosine: NDArray[np.float32]
    preconditioned: NDArray[np.float32] | None


class Layer(NamedTuple):
    """A linear layer: where its weight is found, what the weight is called, and whether it lies as (inputs, outputs)."""

    path: str
    parameter: str
    module: Any
    is_transposed: bool


class Labelled(NamedTuple):
    """A sequence whose labels are its tokens where they count and `IGNORED` elsewhere; both int64, of one length."""

    input_ids: NDArray[np.int64]
    labels: NDArray[np.int64]


def gradient_scores(
    model: LanguageModel,
    queries: Sequence[TokenQuery],
    rows: TrainingSet,
    places: Sequence[int],
    *,
    second_moments: SecondMoments | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> GradientScores:
    """Score rows for queries, all pairs.

    Costs a forward and backward pass over the rows for every chunk of queries, and one over the queries; as many short
    queries make one chunk as `batch_tokens` holds. Batches change nothing but the last bits. Of a model in half precision
    the passes keep it, and the products are taken in float32.

    Args:
        model: The tuned model: a full one, or one with a LoRA adapter.
        queries: The tokens that are asked about.
        rows: The training set, rendered with the model's chat format.
        places: Places in `rows`, in the order of the result's columns.
        second_moments: Adam's state at the end of the tuning.
        batch_tokens: Tokens of a batch, padding included.

    Raises:
        InputError: The model has no linear layers to look at, or uses them in a way that cannot be taken apart by row; a
            row or a query is longer than it reads; the second moments lack a layer; a gradient is no finite number.
    """
    layers = linear_layers(model.model)
    moments = None if second_moments is None else adam_denominators(second_moments, layers, model)
    asked, trained = labelled_queries(model, queries), labelled_rows(model, rows, places)
    shape = (len(asked), len(trained))
    dot, preconditioned = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    row_norms, query_norms = np.zeros(len(trained), np.float32), np.zeros(len(asked), np.float32)
    for chunk in _query_chunks([len(query.input_ids) for query in asked], layers, moments is not None, batch_tokens):
        side = _query_side(model, layers, [asked[number] for number in chunk], moments)
        query_norms[chunk] = side.squared_norms.sqrt().cpu().numpy()
        for batch in batches_by_length([len(row.input_ids) for row in trained], batch_tokens):
            sums = _row_side(model, layers, [trained[number] for number in batch], side)
            row_norms[batch] = sums.squared_norms.sqrt().cpu().numpy()
            dot[np.ix_(chunk, batch)] = sums.dots.cpu().numpy()
            preconditioned[np.ix_(chunk, batch)] = sums.preconditioned.cpu().numpy()
    if not (np.isfinite(dot).all() and np.isfinite(preconditioned).all()):
        raise InputError(
            "its gradients are not finite numbers",
            where=model.ref.adapter or model.ref.base,
            remedy="the tuning may have diverged, or try another --dtype",
        )
    return GradientScores(dot, _cosine(dot, query_norms, row_norms), preconditioned if moments is not None else None)


def gradient_scores_plain(
    model: LanguageModel,
    queries: Sequence[TokenQuery],
    rows: TrainingSet,
    places: Sequence[int],
    *,
    second_moments: SecondMoments | None = None,
) -> GradientScores:
    """The exact twin of `gradient_scores`: whole gradients from autograd, one sequence at a time, and their products.

    Memory: one float32 gradient per query and one of a row.
    """
    layers = linear_layers(model.model)
    asked = [_flat_gradient(model, layers, query, mean=True) for query in labelled_queries(model, queries)]
    below = torch.ones(())
    if second_moments is not None:
        below = torch.cat([part.reshape(-1) for part in adam_denominators(second_moments, layers, model)])
    shape = (len(asked), len(places))
    dot, preconditioned, row_norms = np.zeros(shape), np.zeros(shape), np.zeros(len(places))
    for column, row in enumerate(labelled_rows(model, rows, places)):
        gradient = _flat_gradient(model, layers, row, mean=False)
        row_norms[column] = float(gradient.norm())
        for number, query in enumerate(asked):
            dot[number, column] = float(query @ gradient)
            preconditioned[number, column] = float((query / below) @ gradient)
    query_norms = np.array([float(query.norm()) for query in asked])
    return GradientScores(
        dot.astype(np.float32),
        _cosine(dot, query_norms, row_norms),
        preconditioned.astype(np.float32) if second_moments is not None else None,
    )


def linear_layers(model: Any) -> tuple[Layer, ...]:
    """The linear layers whose weights count: of an adapter its own, else all, the output layer included; in model order.

    Raises:
        InputError: There are none.
    """
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer, whose weight lies the other way round

    is_adapter = hasattr(model, "peft_config")
    active = set(model.active_adapters) if is_adapter else set()
    names = {id(parameter): name for name, parameter in model.named_parameters()}  # a shared table has its first name
    layers = []
    for path, module in model.named_modules():
        parts = path.split(".")
        tuned = not is_adapter or (parts[-1] in active and {"lora_A", "lora_B", "modules_to_save"}.intersection(parts))
        if tuned and isinstance(module, torch.nn.Linear | Conv1D):
            layers.append(Layer(path, names[id(module.weight)], module, isinstance(module, Conv1D)))
    if not layers:
        raise InputError(
            "no linear layer whose gradient could be taken",
            where=model.config.name_or_path,
            why="the adapter has no LoRA matrices" if is_adapter else "",
            remedy="use a full model or a LoRA adapter, or leave the gradient scores out",
        )
    return tuple(layers)


def labelled_queries(model: LanguageModel, queries: Sequence[TokenQuery]) -> list[Labelled]:
    """The queries up to their last target, which is all that its probability depends on.

    Raises:
        InputError: A query is longer than the model reads.
    """
    made = []
    for number, query in enumerate(queries):
        _check_room(model, f"query {number + 1}", len(query.input_ids))
        ids = np.array(query.input_ids[: query.targets[-1] + 1], np.int64)
        labels = np.full_like(ids, IGNORED)
        labels[list(query.targets)] = ids[list(query.targets)]
        made.append(Labelled(ids, labels))
    return made


def labelled_rows(model: LanguageModel, rows: TrainingSet, places: Sequence[int]) -> list[Labelled]:
    """Rows of a training set up to their last trained token.

    Raises:
        InputError: A row is longer than the model reads.
    """
    made = []
    for place in places:
        _check_room(model, f"row {rows.rows[place]}", len(rows.input_ids[place]))
        end = int(np.flatnonzero(rows.labels[place] != IGNORED)[-1]) + 1
        made.append(Labelled(rows.input_ids[place][:end].astype(np.int64), rows.labels[place][:end].astype(np.int64)))
    return made


def padded(model: LanguageModel, sequences: Sequence[Labelled]) -> dict[str, torch.Tensor]:
    """`input_ids`, `attention_mask` and `labels` of shape `(n_sequences, n_columns)`, padded on the right."""
    shape = (len(sequences), max(len(sequence.input_ids) for sequence in sequences))
    ids, labels, mask = np.full(shape, model.chat.pad_id), np.full(shape, IGNORED), np.zeros(shape, np.int64)
    for number, sequence in enumerate(sequences):
        length = len(sequence.input_ids)
        ids[number, :length], labels[number, :length], mask[number, :length] = *sequence, 1
    tensors = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    return {name: torch.from_numpy(array).to(model.model.device) for name, array in tensors.items()}


def labelled_log_probs(
    model: LanguageModel, batch: Mapping[str, torch.Tensor], forward: Callable[..., Any] | None = None
) -> torch.Tensor:
    """Log p of every labelled token of a batch, row by row: float32 `(n_labelled,)`, in nats.

    Args:
        model: The model.
        batch: As `padded` makes it.
        forward: What to call in place of the model, with the same arguments.
    """
    forward = model.model if forward is None else forward
    if can_select_columns(model.model):
        logits, targets = trained_logits(forward, batch)
    else:
        logits = forward(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits
        is_labelled = batch["labels"][:, 1:] != IGNORED
        logits, targets = logits[:, :-1][is_labelled].float(), batch["labels"][:, 1:][is_labelled]
    return -torch.nn.functional.cross_entropy(logits, targets, reduction="none")


@contextmanager
def frozen(model: Any, but: Iterable[torch.Tensor] = ()) -> Iterator[None]:
    """Within, no parameter takes a gradient but those named; afterwards all are as before."""
    before = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        model.requires_grad_(False)
        for parameter in but:
            parameter.requires_grad_()
        with torch.enable_grad():
            yield
    finally:
        for parameter, takes_gradient in before:
            parameter.requires_grad_(takes_gradient)


def sequence_gradients(model: LanguageModel, layers: Sequence[Layer], sequence: Labelled) -> list[torch.Tensor]:
    """Gradient of the sum of log p over a sequence's labelled tokens, of each layer's weight and in its shape and dtype.

    Where the output layer's table is the embedding too, only its use as output layer counts.
    """
    weights = [layer.module.weight for layer in layers]
    batch = padded(model, [sequence])
    with frozen(model.model, weights):
        embedded = model.model.get_input_embeddings()(batch["input_ids"]).detach()
        logits = model.model(inputs_embeds=embedded, use_cache=False).logits[:, :-1].float()
        total = -torch.nn.functional.cross_entropy(logits[0], batch["labels"][0, 1:], ignore_index=IGNORED, reduction="sum")
        return list(torch.autograd.grad(total, weights, materialize_grads=True))


def adam_denominators(moments: SecondMoments, layers: Sequence[Layer], model: LanguageModel) -> list[torch.Tensor]:
    """sqrt(second moment) + eps of each layer's weight, float32 in its shape.

    Raises:
        InputError: A layer has none, or of another shape.
    """
    made = []
    for layer in layers:
        values = moments.values.get(layer.parameter)
        if values is None or values.shape != layer.module.weight.shape:
            raise InputError(
                f"the second moments {'lack' if values is None else 'have another shape for'} {layer.parameter}",
                where=model.ref.adapter or model.ref.base,
                remedy="use the optimizer's state of this very tuning",
            )
        made.append(values.to(model.model.device, torch.float32).sqrt() + moments.eps)
    return made


class _Factors(NamedTuple):
    """One layer's gradients of several queries, as factors: inputs and outputs' gradients of their tokens, whose they are.

    Shapes `(n_tokens, n_in)`, `(n_tokens, n_out)`, `(n_tokens,)`.
    """

    inputs: torch.Tensor
    grads: torch.Tensor
    owner: torch.Tensor


@dataclass(frozen=True, eq=False)
class _QuerySide:
    """What a chunk of queries needs to meet rows, by number of layer.

    Attributes:
        squared_norms: Of the queries' gradients, `(n_queries,)`.
        plain: Factors, or whole gradients `(n_queries, n_out, n_in)` where those are the cheaper ones to meet.
        preconditioned: Whole gradients over Adam's denominators; empty without them.
    """

    squared_norms: torch.Tensor
    plain: dict[int, _Factors | torch.Tensor]
    preconditioned: dict[int, torch.Tensor]


@dataclass(frozen=True, eq=False)
class _RowSums:
    """Sums over layers for a batch of rows: `(n_rows,)`, and twice `(n_queries, n_rows)`."""

    squared_norms: torch.Tensor
    dots: torch.Tensor
    preconditioned: torch.Tensor


_Consume = Callable[[int, torch.Tensor, torch.Tensor], None]
"""Told a layer's number, its inputs `(n_sequences, n_columns, n_in)` and its outputs' gradients `(…, n_out)`, float32."""


def _query_side(
    model: LanguageModel, layers: Sequence[Layer], queries: Sequence[Labelled], moments: list[torch.Tensor] | None
) -> _QuerySide:
    n_queries = len(queries)
    side = _QuerySide(torch.zeros(n_queries, device=model.model.device), {}, {})

    def consume(number: int, inputs: torch.Tensor, grads: torch.Tensor) -> None:
        side.squared_norms.add_(_squared_norms(inputs, grads))
        owner, column = grads.any(dim=2).nonzero(as_tuple=True)  # no padding, and of the last layers the targets alone
        n_in, n_out = inputs.shape[2], grads.shape[2]
        if len(owner) * (n_in + n_out) <= n_queries * n_in * n_out:
            side.plain[number] = _Factors(inputs[owner, column], grads[owner, column], owner)
        else:
            side.plain[number] = grads.mT @ inputs
        if moments is not None:
            below = moments[number].T if layers[number].is_transposed else moments[number]
            side.preconditioned[number] = (grads.mT @ inputs) / below

    n_targets = [int((query.labels != IGNORED).sum()) for query in queries]
    weights = torch.tensor([1 / n for n in n_targets for _ in range(n)], device=model.model.device)
    _backward(model, layers, queries, consume, weights)
    return side


def _row_side(model: LanguageModel, layers: Sequence[Layer], rows: Sequence[Labelled], side: _QuerySide) -> _RowSums:
    shape, device = (len(side.squared_norms), len(rows)), model.model.device
    sums = _RowSums(*(torch.zeros(size, device=device) for size in (shape[1:], shape, shape)))

    def consume(number: int, inputs: torch.Tensor, grads: torch.Tensor) -> None:
        sums.squared_norms.add_(_squared_norms(inputs, grads))
        if number in side.plain:
            kept = side.plain[number]
            sums.dots.add_(_factor_dots(kept, inputs, grads) if isinstance(kept, _Factors) else _dots(kept, inputs, grads))
        if number in side.preconditioned:
            sums.preconditioned.add_(_dots(side.preconditioned[number], inputs, grads))

    _backward(model, layers, rows, consume)
    return sums


def _backward(
    model: LanguageModel,
    layers: Sequence[Layer],
    sequences: Sequence[Labelled],
    consume: _Consume,
    weights: torch.Tensor | None = None,
) -> None:
    """Log p of the labelled tokens of a batch, summed with weights, and back through it, layer by layer.

    The sum over sequences keeps them apart: an output's gradient at a sequence's tokens is of its own log p alone, and
    zero at padding, which no labelled token reads.
    """
    seen: set[int] = set()

    def watch(number: int) -> Callable[..., None]:
        def hook(module: Any, arguments: tuple[Any, ...], output: torch.Tensor) -> None:
            inputs = arguments[0].detach()
            if inputs.dim() != 3 or len(inputs) != len(sequences) or number in seen:
                raise InputError(
                    f"the gradient of {layers[number].parameter} cannot be taken apart by row",
                    where=model.ref.adapter or model.ref.base,
                    why="the layer is used twice in a pass" if number in seen else "it sees tokens without their rows",
                    remedy="leave the gradient scores out for this model",
                )
            seen.add(number)
            if not output.requires_grad:  # the first layers: nothing below them takes a gradient
                output.requires_grad_()
            output.register_hook(  # type: ignore[no-untyped-call]
                lambda grads: consume(number, inputs.float(), grads.float())
            )

        return hook

    hooks = [layer.module.register_forward_hook(watch(number)) for number, layer in enumerate(layers)]
    try:
        with frozen(model.model):
            log_probs = labelled_log_probs(model, padded(model, sequences))
            (log_probs.sum() if weights is None else log_probs @ weights).backward()  # type: ignore[no-untyped-call]
    finally:
        for hook in hooks:
            hook.remove()


def _squared_norms(inputs: torch.Tensor, grads: torch.Tensor) -> torch.Tensor:
    """Squared norm of each sequence's gradient, `(n_sequences,)`.

    ||sum_s g_s a_s'||^2 = sum_st (g_s . g_t)(a_s . a_t): products between tokens, where they are fewer than the weights.
    """
    n_columns, n_in, n_out = inputs.shape[1], inputs.shape[2], grads.shape[2]
    if n_columns * (n_in + n_out) <= n_in * n_out:
        return ((inputs @ inputs.mT) * (grads @ grads.mT)).sum(dim=(1, 2))
    return torch.cat([whole.square().sum(dim=(1, 2)) for whole in _row_gradients(inputs, grads)])


def _factor_dots(queries: _Factors, inputs: torch.Tensor, grads: torch.Tensor) -> torch.Tensor:
    """Dot products of queries and rows, `(n_queries, n_rows)`, from products between their tokens."""
    by_token = ((inputs @ queries.inputs.T) * (grads @ queries.grads.T)).sum(dim=1)
    n_queries = int(queries.owner[-1]) + 1
    return by_token.new_zeros(n_queries, len(inputs)).index_add_(0, queries.owner, by_token.T)


def _dots(queries: torch.Tensor, inputs: torch.Tensor, grads: torch.Tensor) -> torch.Tensor:
    """Dot products of whole gradients of queries with those of rows, `(n_queries, n_rows)`."""
    if len(queries) == 1:
        return ((grads @ queries[0]) * inputs).sum(dim=(1, 2))[None]
    flat = queries.flatten(1)
    return torch.cat([flat @ whole.flatten(1).T for whole in _row_gradients(inputs, grads)], dim=1)


def _row_gradients(inputs: torch.Tensor, grads: torch.Tensor) -> Iterator[torch.Tensor]:
    """Whole gradients of one layer, `(some rows, n_out, n_in)`, a few rows at once."""
    n_rows = max(1, _MAX_ROW_VALUES // (inputs.shape[2] * grads.shape[2]))
    for begin in range(0, len(inputs), n_rows):
        yield grads[begin : begin + n_rows].mT @ inputs[begin : begin + n_rows]


def _query_chunks(
    lengths: Sequence[int], layers: Sequence[Layer], is_preconditioned: bool, batch_tokens: int
) -> Iterator[list[int]]:
    """Numbers of queries that fit memory together, each chunk a batch of its own."""
    n_factors = sum(sum(layer.module.weight.shape) for layer in layers)
    n_weights = sum(layer.module.weight.numel() for layer in layers)
    n_queries = max(1, _MAX_QUERY_VALUES // n_weights) if is_preconditioned else len(lengths)
    for batch in batches_by_length(lengths, min(batch_tokens, _MAX_QUERY_VALUES // n_factors)):
        for begin in range(0, len(batch), n_queries):
            yield batch[begin : begin + n_queries]


def _flat_gradient(model: LanguageModel, layers: Sequence[Layer], sequence: Labelled, *, mean: bool) -> torch.Tensor:
    parts = sequence_gradients(model, layers, sequence)
    whole = torch.cat([part.double().reshape(-1) for part in parts])
    return whole / int((sequence.labels != IGNORED).sum()) if mean else whole


def _cosine(dot: NDArray[Any], query_norms: NDArray[Any], row_norms: NDArray[Any]) -> NDArray[np.float32]:
    norms = query_norms[:, None].astype(np.float64) * row_norms
    cosine = np.zeros(dot.shape)
    np.divide(dot, norms, out=cosine, where=norms > 0)
    return cosine.astype(np.float32)


def _check_room(model: LanguageModel, where: str, length: int) -> None:
    limit = model.n_positions
    if limit is not None and length > limit:
        raise InputError(
            f"{length} tokens, and the model reads {limit}",
            where=where,
            remedy=f"cut the rows at {limit} tokens, as in tuning, or leave this one out",
        )
