"""How strongly a training token moves a token of an answer, from forward passes alone.

The gradient of a token's log-probability with respect to the output layer is an outer product, (e_y − p) hᵀ, with `h`
the state that the token is predicted from, `y` the token, `e_y` its unit vector and `p` the model's distribution. The
dot product of two of them needs no backward pass:

    (h·h') × (e_y − p)·(e_y' − p') = (h·h') × ([y = y'] − p(y') − p'(y) + p·p')

It joins the concept (h·h'), the token, and how much either surprised the model. It is exact for the weights of the
output layer; with tied embeddings for their part in it; what a step moves in the layers below is not in it. The
distribution p' is computed again from h', so that nothing of the size of the vocabulary is stored.

Beside it stands the cosine of the two states, which knows nothing of surprise: between positions that predict the same
token, and between any.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audit.influence.states import OutputLayer, QueryStates, RowStates
from audit.models import MAX_VALUES

if TYPE_CHECKING:
    import torch

__all__ = ["StateScores", "closed_form_dots", "state_cosines", "state_scores", "unit"]


# Numbers of distributions that a processor computes at once: 4 MiB stay in its cache through every pass over them.
_CACHED_VALUES = 1 << 20


@dataclass(frozen=True, eq=False)
class StateScores:
    """Scores of rows for the tokens of queries, and for the queries.

    Closed forms are positive where training on the row raises the log-probability of the token, in nats per unit of
    learning rate of plain gradient descent on the summed loss of the row. Arrays of tokens are float32 of shape
    `(n_tokens, n_places)`, the tokens of query `i` in the lines `offsets[i]:offsets[i + 1]`; those of queries are of
    shape `(n_queries, n_places)`.

    Attributes:
        places: int64, shape `(n_places,)`: the rows, as they were given.
        offsets: int64, shape `(n_queries + 1,)`.
        token_closed_form: Summed over all trained tokens of the row.
        token_gated_closed_form: Summed over those that are the query's token; 0 where the row holds none.
        token_state_cosine: The largest cosine among those that are the query's token; NaN where the row holds none.
        token_linked: int32: which of the row's trained tokens, from 0, has that cosine, the first of equals; -1 where
            none.
        token_mean_cosine: Mean over all trained tokens of the row; NaN where none is trained.
        token_max_cosine: The largest of them, likewise.
    """

    places: NDArray[np.int64]
    offsets: NDArray[np.int64]
    token_closed_form: NDArray[np.float32]
    token_gated_closed_form: NDArray[np.float32]
    token_state_cosine: NDArray[np.float32]
    token_linked: NDArray[np.int32]
    token_mean_cosine: NDArray[np.float32]
    token_max_cosine: NDArray[np.float32]

    @cached_property
    def closed_form(self) -> NDArray[np.float32]:
        """Dot product of the gradients of the query's summed log-probability and of the row's, in the output layer."""
        return self._sums(self.token_closed_form)

    @cached_property
    def gated_closed_form(self) -> NDArray[np.float32]:
        """The part of `closed_form` that pairs equal tokens."""
        return self._sums(self.token_gated_closed_form)

    @cached_property
    def n_held(self) -> NDArray[np.int64]:
        """Tokens of the query that are among the row's trained tokens."""
        return np.add.reduceat((self.token_linked >= 0).astype(np.int64), self.offsets[:-1], axis=0)

    @cached_property
    def state_cosine(self) -> NDArray[np.float32]:
        """Mean of `token_state_cosine` over the query's tokens, those that the row lacks as 0; NaN where it lacks all."""
        present = np.nan_to_num(self.token_state_cosine, nan=0.0)
        return np.where(self.n_held > 0, self._means(present), np.float32(np.nan))

    @cached_property
    def mean_cosine(self) -> NDArray[np.float32]:
        """Mean of `token_mean_cosine` over the query's tokens."""
        return self._means(self.token_mean_cosine)

    @cached_property
    def max_cosine(self) -> NDArray[np.float32]:
        """Mean of `token_max_cosine` over the query's tokens."""
        return self._means(self.token_max_cosine)

    def _sums(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.add.reduceat(values, self.offsets[:-1], axis=0)

    def _means(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._sums(values) / np.diff(self.offsets).astype(np.float32)[:, None]


def closed_form_dots(query: QueryStates, row: RowStates, output: OutputLayer) -> NDArray[np.float32]:
    """Dot product of the output layer's gradients of each token of a query and each trained token of a row.

    Positive where training on the one raises the log-probability of the other. Memory is 4 bytes per token and column of
    the vocabulary.

    Returns:
        Float32, shape `(n_targets, n_trained)`.
    """
    import torch

    with torch.inference_mode():
        surprise = _residuals(query.tokens, query.states, output) @ _residuals(row.tokens, row.states, output).T
    dots: NDArray[np.float32] = (query.states @ row.states.T) * surprise.cpu().numpy()
    return dots


def state_cosines(query: QueryStates, row: RowStates) -> NDArray[np.float32]:
    """Cosine of the states of each token of a query and each trained token of a row; float32, `(n_targets, n_trained)`."""
    cosines: NDArray[np.float32] = unit(query.states) @ unit(row.states).T
    return cosines


def state_scores(
    queries: Sequence[QueryStates], rows: Sequence[RowStates], output: OutputLayer, *, max_values: int = MAX_VALUES
) -> StateScores:
    """Every channel of every row for every query.

    Each trained token passes through the output layer once, and its distribution is multiplied with those of all tokens
    of the queries: 2 × vocabulary × (dim + n_tokens) operations. At most about `max_values` numbers are held of each of a
    handful of matrices, though always one token's distribution and one row's pairs.

    Args:
        queries: At least one; the tokens that are asked for.
        rows: The shortlist: from `response_states`, or at 16 bits from the index.
        output: Of the model that the states are of.
        max_values: Bound on memory.
    """
    import torch

    tokens = np.concatenate([query.tokens for query in queries])
    states = np.concatenate([query.states for query in queries])
    units = unit(states)
    lengths = [len(row.tokens) for row in rows]
    shape = (len(tokens), len(rows))
    closed, gated, mean = (np.zeros(shape, np.float32) for _ in range(3))
    held, largest = (np.full(shape, -np.inf, np.float32) for _ in range(2))
    linked = np.full(shape, -1, np.int32)
    n_at_once = max(1, max_values // len(output.weight))
    for begin in range(0, len(tokens), n_at_once):
        lines = slice(begin, begin + n_at_once)
        with torch.inference_mode():
            asked = _residuals(tokens[lines], states[lines], output)
        for columns in _groups(lengths, max_values // max(len(asked), states.shape[1])):
            chosen = [rows[column] for column in columns]
            starts = np.cumsum([0, *(len(row.tokens) for row in chosen)])[:-1]
            there = np.concatenate([row.tokens for row in chosen])
            of_rows = np.concatenate([row.states for row in chosen])
            pairs = (states[lines] @ of_rows.T) * _surprises(asked, there, of_rows, output, max_values)
            cosines = units[lines] @ unit(of_rows).T
            same = tokens[lines, None] == there[None]
            at = np.ix_(np.arange(len(tokens))[lines], np.array(columns))
            closed[at] = np.add.reduceat(pairs, starts, axis=1)
            gated[at] = np.add.reduceat(np.where(same, pairs, 0), starts, axis=1)
            mean[at] = np.add.reduceat(cosines, starts, axis=1) / np.diff([*starts, len(there)])
            largest[at] = np.maximum.reduceat(cosines, starts, axis=1)
            held[at] = np.maximum.reduceat(np.where(same, cosines, -np.inf), starts, axis=1)
            linked[at] = _first_of_largest(np.where(same, cosines, -np.inf), starts)
    nothing_trained = np.array(lengths, np.int64) == 0
    mean[:, nothing_trained] = np.nan
    return StateScores(
        places=np.array([row.place for row in rows], np.int64),
        offsets=np.cumsum([0, *(len(query.tokens) for query in queries)]).astype(np.int64),
        token_closed_form=closed,
        token_gated_closed_form=gated,
        token_state_cosine=np.where(np.isinf(held), np.float32(np.nan), held),
        token_linked=linked,
        token_mean_cosine=mean,
        token_max_cosine=np.where(np.isinf(largest), np.float32(np.nan), largest),
    )


def _surprises(
    asked: torch.Tensor, tokens: NDArray[np.int32], states: NDArray[np.float32], output: OutputLayer, max_values: int
) -> NDArray[np.float32]:
    """(e_y − p)·(e_y' − p') for lines of `asked` and some trained tokens, blocks of these at a time."""
    import torch

    block = max_values if asked.is_cuda else min(max_values, _CACHED_VALUES)
    n_at_once = max(1, block // len(output.weight))
    with torch.inference_mode():
        parts = [
            asked @ _residuals(tokens[begin : begin + n_at_once], states[begin : begin + n_at_once], output).T
            for begin in range(0, len(tokens), n_at_once)
        ]
        surprises: NDArray[np.float32] = torch.cat(parts, dim=1).cpu().numpy()
    return surprises


def _residuals(tokens: NDArray[np.int32], states: NDArray[np.float32], output: OutputLayer) -> torch.Tensor:
    """e_y − p, shape `(n, vocabulary)`, made in place.

    1 − p(y) is summed from what the other tokens have, so that firm tokens keep their digits.
    """
    import torch

    values = output.logits(torch.from_numpy(states))
    ids = torch.from_numpy(tokens).long().to(values.device)[:, None]
    values.sub_(values.amax(-1, keepdim=True)).exp_()
    own = values.gather(1, ids)
    others = values.scatter_(1, ids, 0).sum(-1, keepdim=True)
    return values.scatter_(1, ids, -others).div_(-(own + others))


def _first_of_largest(values: NDArray[np.float32], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """In each group of columns the number, within the group, of the first largest value; -1 where all are −∞."""
    lengths = np.diff([*starts, values.shape[1]])
    largest = np.repeat(np.maximum.reduceat(values, starts, axis=1), lengths, axis=1)
    within = np.arange(values.shape[1]) - np.repeat(starts, lengths)
    none = values.shape[1]
    first = np.minimum.reduceat(np.where((values == largest) & (values > -np.inf), within, none), starts, axis=1)
    return np.where(first == none, -1, first)


def _groups(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Numbers of consecutive rows that hold at most `most` tokens, at least one row; rows without tokens are left out."""
    group: list[int] = []
    total = 0
    for number, length in enumerate(lengths):
        if not length:
            continue
        if group and total + length > most:
            yield group
            group, total = [], 0
        group.append(number)
        total += length
    if group:
        yield group


def unit(states: NDArray[np.float32]) -> NDArray[np.float32]:
    """States of length 1, shape `(n, dim)`; a state of zeros stays one."""
    lengths = np.sqrt(np.einsum("ij,ij->i", states, states))
    units: NDArray[np.float32] = states / np.maximum(lengths, 1e-12)[:, None]
    return units
