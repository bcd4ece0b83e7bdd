"""Given tokens under a model, in one teacher-forced pass: rank and log-probability of each, and what it would rather say.

Made for matrix products to be what the time goes into. Sequences of like length share a batch, padded on the right: what
comes after a token is nothing to a causal model, so no mask is needed and attention is the plain causal one. The layers
run once, the output layer only where a token is asked for, some positions at a time: so few on a processor that their
logits stay in its cache, and nowhere the logits of a whole text, so that memory is bounded whatever the vocabulary. The
price is that the model is taken apart, one like Llama down to its weights (`llama_layers`); where that gives other logits
than the model does (they are scaled or capped, or its attention looks ahead), which is tried first, `log_prob_chunks`
measures, several times slower.

A batch that memory has no room for is halved until it has; a sequence that does not fit alone is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.models import MAX_VALUES, LanguageModel, MemoryRanOutError, enough_memory, log_prob_chunks
from audit.signals.llama_layers import llama_layers

if TYPE_CHECKING:
    import torch

__all__ = ["RANKED", "Given", "Ranks", "Room", "rank_given"]

RANKED = np.dtype([("rank", np.uint32), ("log_p", np.float32), ("best", np.uint32), ("best_log_p", np.float32)])
"""What is measured of a token: its rank from 1 (equal probabilities share the best place), its log-probability in nats,
and the likeliest token, with its own."""

Ranks = NDArray[np.void]

# Tokens of a batch with their padding. On a processor more gain nothing: two thousand keep the matrix products busy, and
# what lies between them in its cache.
_MAX_TOKENS_ON_CPU = 1024
_MAX_TOKENS_ON_GPU = 16384
# Logits at once on a processor, 1 MB in float32, though no fewer positions than make a matrix product.
_VALUES_IN_CACHE = 1 << 18
_MIN_POSITIONS = 128
_PROBE_TOKENS = 8


@dataclass(frozen=True)
class Given:
    """Tokens that a model reads.

    Attributes:
        ids: All of them, shape `(n_tokens,)`.
        n_before: How many only stand before those that are asked for; at least 1.
    """

    ids: NDArray[np.int32]
    n_before: int


@dataclass
class Room:
    """How much is passed at once, as memory has shown.

    Attributes:
        max_tokens: Of a batch, padding included; halved with every batch that did not fit. `None`: what suits the device.
        n_halved: Batches that did not fit.
    """

    max_tokens: int | None = None
    n_halved: int = 0


@dataclass(frozen=True)
class _Parts:
    """A model taken apart: its layers, and the output layer that makes logits of their states."""

    layers: Any
    output: Any
    _buffers: list[torch.Tensor] = field(default_factory=list)

    def log_probs(self, states: torch.Tensor, n_vocabulary: int) -> torch.Tensor:
        """Float32 of shape `(n_positions, n_vocabulary)`; on a processor in memory that the next call writes over."""
        import torch

        weight = self.output.weight
        is_plain = type(self.output) is torch.nn.Linear and self.output.bias is None
        if not is_plain or weight.device.type != "cpu" or weight.dtype != torch.float32:
            made: torch.Tensor = self.output(states)[:, :n_vocabulary].float().log_softmax(dim=-1)
            return made
        n = len(states) * n_vocabulary
        if not self._buffers or self._buffers[0].numel() < n:
            self._buffers[:] = torch.empty(n), torch.empty(n)
        logits, log_probs = (each[:n].view(len(states), n_vocabulary) for each in self._buffers)
        torch.mm(states, weight[:n_vocabulary].t(), out=logits)
        return torch.log_softmax(logits, dim=-1, out=log_probs)


def rank_given(model: LanguageModel, sequences: Sequence[Given], *, n_vocabulary: int, room: Room) -> list[Ranks | None]:
    """Measure the tokens that are asked for.

    Batches depend on the lengths of the sequences and on `room` alone.

    Args:
        model: The model.
        sequences: None longer than the model reads.
        n_vocabulary: Only the first so many tokens take part.
        room: How much to pass at once; changed where memory runs out.

    Returns:
        For each sequence an array of `RANKED`, shape `(n_tokens - n_before,)`; `None` for one that does not fit into
        memory even alone.

    Raises:
        InputError: The model gives no numbers.
    """
    parts = _taken_apart(model)
    if room.max_tokens is None:
        room.max_tokens = _MAX_TOKENS_ON_CPU if model.model.device.type == "cpu" else _MAX_TOKENS_ON_GPU
    found: list[Ranks | None] = [None] * len(sequences)
    order = sorted(range(len(sequences)), key=lambda number: (len(sequences[number].ids), number))
    for numbers in _batches(order, sequences, room):
        for number, ranks in zip(
            numbers, _halving(model, parts, [sequences[n] for n in numbers], n_vocabulary, room), strict=True
        ):
            found[number] = ranks
    return found


def _batches(order: Sequence[int], sequences: Sequence[Given], room: Room) -> Iterator[list[int]]:
    """Numbers of sequences, the short ones first, as many as fit with their padding into what there is room for by then."""
    begin = 0
    while begin < len(order):
        end = begin + 1
        while end < len(order) and len(sequences[order[end]].ids) * (end + 1 - begin) <= (room.max_tokens or 0):
            end += 1
        yield list(order[begin:end])
        begin = end


def _halving(
    model: LanguageModel, parts: _Parts | None, batch: Sequence[Given], n_vocabulary: int, room: Room
) -> list[Ranks | None]:
    try:
        return list(_ranks_of_batch(model, parts, batch, n_vocabulary))
    except MemoryRanOutError:
        pass  # here no longer: the error holds what the batch has filled memory with
    if model.model.device.type == "cuda":
        import torch

        torch.cuda.empty_cache()
    if len(batch) == 1:
        return [None]
    room.n_halved += 1
    room.max_tokens = max(1, len(batch) * len(batch[-1].ids) // 2)
    half = len(batch) // 2
    halves = (batch[:half], batch[half:])
    return [ranks for part in halves for ranks in _halving(model, parts, part, n_vocabulary, room)]


def _ranks_of_batch(model: LanguageModel, parts: _Parts | None, batch: Sequence[Given], n_vocabulary: int) -> list[Ranks]:
    import torch

    if parts is None:
        return _ranks_of_chunks(model, batch, n_vocabulary)
    asked = np.concatenate([each.ids[each.n_before :] for each in batch])
    longest = max(len(each.ids) for each in batch)
    places = [np.arange(each.n_before - 1, len(each.ids) - 1) + row * longest for row, each in enumerate(batch)]
    ranks = np.zeros(len(asked), RANKED)
    device = model.model.device
    n_positions = _positions_at_once(n_vocabulary, device)
    with enough_memory(model.ref.base), torch.inference_mode():
        states = _states(parts, torch.from_numpy(_right_padded(batch)).to(device))
        states = states.reshape(-1, states.shape[-1])[torch.from_numpy(np.concatenate(places)).to(device)]
        for begin in range(0, len(asked), n_positions):
            within = slice(begin, begin + n_positions)
            ranks[within] = _ranks(parts.log_probs(states[within], n_vocabulary), asked[within], model)
    return np.split(ranks, np.cumsum([len(each.ids) - each.n_before for each in batch])[:-1])


def _ranks_of_chunks(model: LanguageModel, batch: Sequence[Given], n_vocabulary: int) -> list[Ranks]:
    """The same by the model as a whole."""
    ranks = [np.zeros(len(each.ids) - each.n_before, RANKED) for each in batch]
    chunks = log_prob_chunks(
        model,
        [each.ids[: each.n_before].tolist() for each in batch],
        [each.ids[each.n_before :].tolist() for each in batch],
        batch_size=len(batch),
        n_vocabulary=n_vocabulary,
    )
    for chunk in chunks:
        for row, values in enumerate(chunk.values, chunk.first):
            asked = batch[row].ids[batch[row].n_before + chunk.start :][: len(values)]
            with enough_memory(model.ref.base):
                ranks[row][chunk.start : chunk.start + len(asked)] = _ranks(values[: len(asked)], asked, model)
    return ranks


def _ranks(log_probs: torch.Tensor, asked: NDArray[np.int32], model: LanguageModel) -> Ranks:
    """An array of `RANKED` for log-probabilities of shape `(n_positions, vocabulary)`."""
    import torch

    on_cpu = log_probs.device.type == "cpu"
    chosen = log_probs.gather(1, torch.from_numpy(asked.astype(np.int64)).to(log_probs.device)[:, None])
    # NumPy finds the largest of a row ten times as fast as torch does on a processor; both say NaN where there is one.
    best = torch.from_numpy(log_probs.numpy().argmax(axis=1)) if on_cpu else log_probs.argmax(dim=1)
    ranks = np.empty(len(asked), RANKED)
    ranks["rank"] = 1 + (log_probs > chosen).sum(dim=1).cpu().numpy()
    ranks["log_p"], ranks["best"] = chosen[:, 0].cpu().numpy(), best.cpu().numpy()
    ranks["best_log_p"] = log_probs.gather(1, best[:, None])[:, 0].cpu().numpy()
    if not np.isfinite(ranks["log_p"] + ranks["best_log_p"]).all():
        raise InputError(
            "the base model gives no numbers",
            where=model.ref.base,
            why=f"as {model.ref.dtype}, log-probabilities are not finite",
            remedy="try --dtype float32, which holds larger numbers; if they are not finite there, the checkpoint is damaged"
            if model.ref.dtype != "float32"
            else "its weights hold numbers that are none, or too large: check the checkpoint, or take an earlier one",
        )
    is_first = ranks["rank"] == 1  # of equally likely ones, the one that was said
    ranks["best"][is_first] = asked[is_first]
    return ranks


def _positions_at_once(n_vocabulary: int, device: torch.device) -> int:
    at_most = max(1, MAX_VALUES // n_vocabulary)
    return at_most if device.type != "cpu" else min(at_most, max(_MIN_POSITIONS, _VALUES_IN_CACHE // n_vocabulary))


def _right_padded(batch: Sequence[Given]) -> NDArray[np.int64]:
    """Token ids of shape `(n_sequences, n_columns)`; the last token of each is repeated, which no model takes for padding."""
    ids = np.empty((len(batch), max(len(each.ids) for each in batch)), np.int64)
    for row, each in enumerate(batch):
        ids[row, : len(each.ids)] = each.ids
        ids[row, len(each.ids) :] = each.ids[-1]
    return ids


def _states(parts: _Parts, ids: torch.Tensor) -> torch.Tensor:
    states: torch.Tensor = parts.layers(input_ids=ids, use_cache=False).last_hidden_state
    return states


def _taken_apart(model: LanguageModel) -> _Parts | None:
    """Layers and output layer of a model, if together they say what the model says, whether padded on the right or not."""
    import torch

    whole = model.model.get_base_model() if hasattr(model.model, "get_base_model") else model.model
    output, n_known = whole.get_output_embeddings(), len(whole.get_input_embeddings().weight)
    n_tokens = min(_PROBE_TOKENS, n_known, model.n_positions or _PROBE_TOKENS)
    ids = np.arange(n_tokens, dtype=np.int32) * (n_known // n_tokens)
    n_short = max(1, n_tokens // 2)
    alone, both = (
        torch.from_numpy(_right_padded(batch)).to(model.model.device)
        for batch in ([Given(ids, 1)], [Given(ids, 1), Given(ids[:n_short], 1)])
    )
    tolerance = 1e-4 if output.weight.dtype == torch.float32 else 3e-2  # the same sums, in another order at worst
    with enough_memory(model.ref.base), torch.inference_mode():
        said = model.model(input_ids=alone, use_cache=False).logits[0].float()
        for layers in (llama_layers(whole.base_model), whole.base_model):
            states = None if layers is None else getattr(layers(input_ids=both, use_cache=False), "last_hidden_state", None)
            if states is None or states.shape[-1] != output.weight.shape[1]:
                continue
            made = output(states).float()
            difference = max(float((made[0] - said).abs().max()), float((made[1] - said)[:n_short].abs().max()))
            if difference <= tolerance * float(said.abs().max()):
                return _Parts(layers, output)
    return None
