"""The states from which a model predicts tokens: what its output layer reads, after the last norm.

One forward pass without the output layer, in batches of like length. A state belongs to the token that is predicted
from it, not to the one that it was read at. That the output layer is a linear map of these states is checked on a few
tokens before anything is computed; where a model scales or caps its logits it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.influence.queries import TokenQuery
from audit.models import MAX_VALUES, LanguageModel
from audit.rendering import IGNORED
from audit.tune.rows import TrainingSet, batches_by_length

if TYPE_CHECKING:
    import torch

__all__ = [
    "TOKENS_PER_BATCH",
    "OutputLayer",
    "QueryStates",
    "RowStates",
    "output_layer",
    "query_states",
    "response_states",
    "trained_positions",
]

TOKENS_PER_BATCH = 4096
"""Tokens of a forward pass, padding included: keeps a processor busy and fits a GPU."""

_PROBE_TOKENS = 16


@dataclass(frozen=True, eq=False)
class OutputLayer:
    """The last linear map of a model, from states to logits, as float32 on the model's device.

    Attributes:
        weight: Shape `(vocabulary, dim)`.
        bias: Shape `(vocabulary,)`, where it has one.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Logits, shape `(n, vocabulary)`, from states of shape `(n, dim)`."""
        import torch

        return torch.nn.functional.linear(states.to(self.weight.device, self.weight.dtype), self.weight, self.bias)

    def log_probs(self, states: torch.Tensor) -> torch.Tensor:
        """Log-probabilities in nats, shape `(n, vocabulary)`, from states of shape `(n, dim)`."""
        return self.logits(states).log_softmax(-1)


@dataclass(frozen=True, eq=False)
class RowStates:
    """The trained tokens of a row, and the states from which the model predicts them.

    Attributes:
        place: Of the row in its `TrainingSet`.
        tokens: int32, shape `(n_trained,)`.
        states: float32, shape `(n_trained, dim)`.
    """

    place: int
    tokens: NDArray[np.int32]
    states: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class QueryStates:
    """The tokens of a query, and the states from which the model predicts them.

    Attributes:
        tokens: int32, shape `(n_targets,)`.
        states: float32, shape `(n_targets, dim)`.
        log_probs: float32, shape `(n_targets,)`, in nats.
    """

    tokens: NDArray[np.int32]
    states: NDArray[np.float32]
    log_probs: NDArray[np.float32]


def trained_positions(rows: TrainingSet, place: int) -> NDArray[np.int64]:
    """Where in a row's `input_ids` its trained tokens stand, ascending; the order of `RowStates.tokens`."""
    return np.flatnonzero(rows.labels[place][1:] != IGNORED) + 1


def response_states(
    model: LanguageModel, rows: TrainingSet, places: Sequence[int] | None = None, *, batch_tokens: int = TOKENS_PER_BATCH
) -> Iterator[RowStates]:
    """The states of every trained token of some rows, in one forward pass.

    The batches depend on the lengths of these rows alone, longest first; a row in other company has the same states up to
    the last bits.

    Args:
        model: The model.
        rows: The training rows.
        places: Which of them, each once; all by default.
        batch_tokens: Tokens at once, padding included, though always one row.

    Yields:
        Batch by batch, as soon as it is computed: longest rows first, rows of equal length in the order of `places`.

    Raises:
        InputError: A row is longer than the model reads, the model's logits are no linear map of its states, or its
            states are no finite numbers.
    """
    wanted = range(len(rows)) if places is None else places
    _check_room(model, [(f"row {rows.rows[place]}", len(rows.input_ids[place])) for place in wanted])
    _check_linear(model)
    return _response_states(model, rows, wanted, batch_tokens)


def _response_states(model: LanguageModel, rows: TrainingSet, places: Sequence[int], batch_tokens: int) -> Iterator[RowStates]:
    for batch in batches_by_length([len(rows.input_ids[place]) for place in places], batch_tokens):
        chosen = [places[number] for number in batch]
        positions = [trained_positions(rows, place) for place in chosen]
        states = _states_before(model, [rows.input_ids[place] for place in chosen], positions)
        for place, at, of_row in zip(chosen, positions, states, strict=True):
            yield RowStates(place, rows.labels[place][at], of_row.cpu().numpy())


def query_states(
    model: LanguageModel, queries: Sequence[TokenQuery], *, batch_tokens: int = TOKENS_PER_BATCH
) -> tuple[QueryStates, ...]:
    """The states of the tokens that are asked for, in the order of the queries; see `response_states`.

    The output layer is held once more as float32, and log-probabilities are computed for some positions at a time.

    Raises:
        InputError: As `response_states`.
    """
    import torch

    _check_room(model, [(f"query {number + 1}", len(query.input_ids)) for number, query in enumerate(queries)])
    output = output_layer(model)
    n_at_once = max(1, MAX_VALUES // len(output.weight))
    found: dict[int, QueryStates] = {}
    for batch in batches_by_length([len(query.input_ids) for query in queries], batch_tokens):
        chosen = [queries[number] for number in batch]
        targets = [np.array(query.targets) for query in chosen]
        states = _states_before(model, [np.array(query.input_ids, np.int32) for query in chosen], targets)
        for number, query, of_query in zip(batch, chosen, states, strict=True):
            tokens = np.array([query.input_ids[target] for target in query.targets], np.int32)
            ids = torch.from_numpy(tokens).long().to(of_query.device)[:, None]
            with torch.inference_mode():
                log_probs = torch.cat(
                    [
                        output.log_probs(of_query[begin : begin + n_at_once]).gather(1, ids[begin : begin + n_at_once])[:, 0]
                        for begin in range(0, len(tokens), n_at_once)
                    ]
                )
            found[number] = QueryStates(tokens, of_query.cpu().numpy(), log_probs.cpu().numpy())
    return tuple(found[number] for number in range(len(queries)))


def output_layer(model: LanguageModel) -> OutputLayer:
    """The output layer, an adapter's change to it included; where the embeddings are tied, the same numbers as theirs.

    Raises:
        InputError: The model's logits are no linear map of its last states.
    """
    _check_linear(model)
    weight, bias = _output_weights(model)
    return OutputLayer(weight.float(), None if bias is None else bias.float())


def _check_linear(model: LanguageModel) -> None:
    """Whether the logits are what the output layer makes of the states, on a few tokens from all over the vocabulary."""
    import torch

    weight, bias = _output_weights(model)
    n_known = min(len(weight), len(model.model.get_input_embeddings().weight))
    n_tokens = min(_PROBE_TOKENS, n_known, model.n_positions or _PROBE_TOKENS)
    ids = (torch.arange(n_tokens, device=model.model.device) * (n_known // n_tokens))[None]
    mask = torch.ones_like(ids)
    difference = scale = float("nan")
    with torch.inference_mode():
        output = _decoder(model)(input_ids=ids, attention_mask=mask, use_cache=False)
        said = model.model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()
        states = getattr(output, "last_hidden_state", None)
        if states is not None and states.shape[-1] == weight.shape[1]:
            linear = torch.nn.functional.linear(states.to(weight.dtype), weight, bias).float()
            difference, scale = float((linear - said).abs().max()), float(said.abs().max())
    _check_finite(model, said)
    tolerance = 1e-4 if weight.dtype == torch.float32 else 1e-2  # the same sums, in another order at worst
    if not difference <= tolerance * scale:
        raise InputError(
            "its logits are not what its output layer makes of its last states",
            where=_name(model),
            why="it scales or caps them, or has further layers between",
            remedy="influence in closed form is not to be had for this architecture: rank rows without it",
        )


def _states_before(
    model: LanguageModel, sequences: Sequence[NDArray[np.int32]], positions: Sequence[NDArray[np.int64]]
) -> list[torch.Tensor]:
    """For each sequence the float32 states from which the tokens at some positions are predicted, `(n_positions, dim)`."""
    import torch

    longest = max(map(len, sequences))
    ids = np.full((len(sequences), longest), model.chat.pad_id, np.int64)
    mask = np.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
        mask[row, : len(sequence)] = 1
    device = model.model.device
    with torch.inference_mode():
        hidden = _decoder(model)(
            input_ids=torch.from_numpy(ids).to(device), attention_mask=torch.from_numpy(mask).to(device), use_cache=False
        ).last_hidden_state
        states = [hidden[row, torch.from_numpy(at - 1).to(device)].float() for row, at in enumerate(positions)]
    for of_sequence in states:
        _check_finite(model, of_sequence)
    return states


def _decoder(model: LanguageModel) -> Any:
    """The model without its output layer, an adapter's layers included."""
    return _inner(model).base_model


def _inner(model: LanguageModel) -> Any:
    whole = model.model
    return whole.get_base_model() if hasattr(whole, "get_base_model") else whole


def _output_weights(model: LanguageModel) -> tuple[torch.Tensor, torch.Tensor | None]:
    layer = _inner(model).get_output_embeddings()
    weight = layer.weight.detach()
    for adapter in getattr(layer, "active_adapters", ()):
        weight = weight + layer.get_delta_weight(adapter).detach()
    bias = getattr(layer, "bias", None)
    return weight, None if bias is None else bias.detach()


def _check_room(model: LanguageModel, lengths: Sequence[tuple[str, int]]) -> None:
    limit = model.n_positions
    for where, length in lengths:
        if limit is not None and length > limit:
            raise InputError(
                f"{length} tokens, and the model reads {limit}",
                where=where,
                remedy=f"cut the rows at {limit} tokens, as in tuning, or leave this one out",
            )


def _check_finite(model: LanguageModel, values: torch.Tensor) -> None:
    if not bool(values.isfinite().all()):
        raise InputError(
            "a model gives no numbers",
            where=_name(model),
            why="its states or logits are not finite",
            remedy="the tuning may have diverged, or try another --dtype",
        )


def _name(model: LanguageModel) -> str:
    return model.ref.adapter or model.ref.base
