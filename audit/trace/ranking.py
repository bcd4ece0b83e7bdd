"""Rows by nearness to a claim: three cheap channels over all responses, fused by rank.

No channel is cut at an absolute value: true pairs of question and source row have a mean cosine of only 0.42 (Ghosh et
al. 2024). Words of the prompt are no evidence for what the answer borrowed.

Source: Cormack, Clarke and Büttcher (2009), reciprocal rank fusion, with its constant of 60.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.materials import Materials
from audit.trace.model import Channel
from indexes.dense import similarities
from indexes.encoders import Encoder
from indexes.phrases import Support
from indexes.words import tokenize

__all__ = ["FUSION_CONSTANT", "PHRASE_WEIGHT", "Surroundings", "phrase_ranks", "surroundings"]

FUSION_CONSTANT = 60
# A row that holds the whole span comes before any that does not: 3 / 61 is more than the other channels' 2 / 61.
PHRASE_WEIGHT = 3.0


@dataclass(frozen=True)
class Surroundings:
    """How near every response is to a prompt, whatever the span.

    Attributes:
        values: Channel -> value of every response, shape `(n_responses,)`.
        ranks: Channel -> competition rank of every response, 1 the nearest; int64, same shape.
        base: The fused score of these channels; float64, same shape.
        prompt_words: The prompt's tokens, which are no evidence.
        prompt_tokens: Their vocabulary numbers, where they have one.
    """

    values: Mapping[Channel, NDArray[np.float32]]
    ranks: Mapping[Channel, NDArray[np.int64]]
    base: NDArray[np.float64]
    prompt_words: frozenset[str]
    prompt_tokens: NDArray[np.int64]


def surroundings(materials: Materials, prompt: str, encoder: Encoder | None) -> Surroundings:
    """Rank every response by the nearness of its prompt; without an encoder by BM25 alone."""
    words = frozenset(tokenize(prompt))
    numbers = materials.phrases.token_numbers(sorted(words))
    numbers = numbers[numbers >= 0]
    values = {Channel.BM25: materials.bm25.scores(numbers[materials.prompt_words.words[numbers]].tolist())}
    if encoder is not None:
        values[Channel.CONCEPT] = similarities(encoder.encode([prompt])[0], materials.prompt_vectors)
    ranks = {channel: _competition_ranks(value) for channel, value in values.items()}
    base = np.zeros(materials.n_responses)
    for channel, value in values.items():
        base += np.where(value > 0, 1 / (FUSION_CONSTANT + ranks[channel]), 0.0)
    return Surroundings(values, ranks, base, words, numbers)


def phrase_ranks(support: Support) -> NDArray[np.int64]:
    """The rank of every hit among those of its span, by coverage; shape `(n_hits,)`."""
    order = np.lexsort((-support.coverage, support.span))
    span, coverage = support.span[order], support.coverage[order]
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


def _competition_ranks(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """1 + how many are greater."""
    ascending = np.sort(values)
    return len(values) - np.searchsorted(ascending, values, side="right") + 1
