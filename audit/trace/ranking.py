"""Rows by nearness to a claim: three cheap channels over all responses, fused by rank.

No channel is cut at an absolute value: true pairs of question and source row have a mean cosine of only 0.42 (Ghosh et
al. 2024). Words of the prompt are no evidence for what the answer borrowed.

Source: Cormack, Clarke and Büttcher (2009), reciprocal rank fusion, with its constant of 60.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.materials import Materials
from audit.trace.model import Channel
from indexes.dense import similarities
from indexes.encoders import Encoder
from indexes.words import is_sign, terms_of, tokenize

__all__ = [
    "FUSION_CONSTANT",
    "LEAST_COVERAGE",
    "PHRASE_WEIGHT",
    "ChannelValues",
    "Surroundings",
    "competition_ranks",
    "phrase_ranks",
    "surroundings",
]

FUSION_CONSTANT = 60
# A row that holds the whole span comes before any that does not: 3 / 61 is more than the other channels' 2 / 61.
PHRASE_WEIGHT = 3.0
# Half of the span's weight: a row that shares only a common word with it is no source.
LEAST_COVERAGE = 0.5


class ChannelValues(NamedTuple):
    """A channel's value for every response, and the competition rank by it, 1 the nearest; both `(n_responses,)`."""

    value: NDArray[np.float32]
    rank: NDArray[np.int64]


@dataclass(frozen=True)
class Surroundings:
    """How near every response is to a prompt, whatever the span.

    Attributes:
        channels: What each channel says of the responses.
        base: The fused score of these channels; float64, shape `(n_responses,)`.
        prompt_words: The prompt's tokens, which are no evidence.
        prompt_terms: The prompt's words and pairs of signs, as `indexes.words.terms_of` makes them.
    """

    channels: Mapping[Channel, ChannelValues]
    base: NDArray[np.float64]
    prompt_words: frozenset[str]
    prompt_terms: frozenset[tuple[str, ...]]

    def asked(self, tokens: Sequence[str]) -> list[bool]:
        """Which tokens of a span the prompt holds already.

        A sign of a script without spaces that stands in the prompt by itself is no word of it: it counts together with a
        neighbour in the span, where it has one.
        """
        signs = [is_sign(token) for token in tokens]
        held = []
        for place, token in enumerate(tokens):
            pairs = [
                tuple(tokens[begin : begin + 2])
                for begin in (place - 1, place)
                if signs[place] and begin >= 0 and signs[begin : begin + 2] == [True, True]
            ]
            held.append(any(pair in self.prompt_terms for pair in pairs) if pairs else token in self.prompt_words)
        return held


def surroundings(materials: Materials, prompt: str, encoder: Encoder | None) -> Surroundings:
    """Rank every response by the nearness of its prompt; without an encoder by BM25 alone."""
    tokens = tokenize(prompt)
    values = {Channel.BM25: materials.bm25_scores(prompt)}
    if encoder is not None:
        values[Channel.CONCEPT] = similarities(encoder.encode([prompt])[0], materials.prompt_vectors)
    channels = {channel: ChannelValues(value, competition_ranks(value)) for channel, value in values.items()}
    base = np.zeros(materials.n_responses)
    for channel in channels.values():
        base += np.where(channel.value > 0, 1 / (FUSION_CONSTANT + channel.rank), 0.0)
    return Surroundings(channels, base, frozenset(tokens), frozenset(terms_of(tokens)))


def phrase_ranks(of_span: NDArray[np.int64], coverage: NDArray[np.float32]) -> NDArray[np.int64]:
    """The rank of every hit among those of its span, by coverage; all arrays are of shape `(n_hits,)`."""
    order = np.lexsort((-coverage, of_span))
    span, coverage = of_span[order], coverage[order]
    place = np.arange(len(order))
    new_span = np.ones(len(order), bool)
    new_span[1:] = span[1:] != span[:-1]
    new_rank = new_span.copy()
    new_rank[1:] |= coverage[1:] != coverage[:-1]
    first_of_span = np.maximum.accumulate(np.where(new_span, place, 0))
    first_of_rank = np.maximum.accumulate(np.where(new_rank, place, 0))
    ranks = np.empty(len(order), np.int64)
    ranks[order] = first_of_rank - first_of_span + 1
    return ranks


def competition_ranks(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """1 + how many are greater."""
    ascending = np.sort(values)
    return len(values) - np.searchsorted(ascending, values, side="right") + 1
