"""How often a random span would have found a row this near: the null of every link.

Random spans have as many tokens as the claim's and are as rare (document frequency in the same power of two), come from
the responses to other prompts, each response being as likely as another, and go through the same channels under the
claim's own prompt; the row that a span comes from does not count for it. A link's chance is p = (1 + b) / (1 + B), where
b of the B random spans reach its fused score with *any* row, so it allows for the many rows that were looked at.

Source: North, Curtis and Sham (2002), for (1 + b) / (1 + B).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.materials import Materials
from audit.trace.ranking import FUSION_CONSTANT, PHRASE_WEIGHT, Surroundings, phrase_ranks
from indexes.words import WordStream

__all__ = ["N_NULL", "NullSpans", "frequency_bin"]

N_NULL = 999
_SEED = 20240205
_LONGEST = 12  # a longer span is compared with random spans of so many tokens: there are too few longer ones


class _Grams(NamedTuple):
    """The runs of n tokens of all responses: where each begins, and in how many other responses it occurs."""

    position: NDArray[np.int64]
    other_texts: NDArray[np.int64]


class _Drawn(NamedTuple):
    """Random spans of one length and rarity, and the texts that hold them, but those of their own rows.

    Attributes:
        n_spans: How many were drawn; those without a hit are not among `begins`.
        begins: int64, where the hits of each span with a hit begin.
        text: int32, shape `(n_hits,)`: the text of each hit.
        gain: float64, same shape: what the hit adds to the text's fused score.
    """

    n_spans: int
    begins: NDArray[np.int64]
    text: NDArray[np.int32]
    gain: NDArray[np.float64]


class NullSpans:
    """Random spans of a dataset, drawn once for each length and rarity and kept: a few MB each.

    The words of the claim's prompt count as evidence in random spans, so that they can be drawn once for all claims.
    """

    def __init__(self, materials: Materials) -> None:
        self._materials = materials
        self._grams: dict[int, _Grams] = {}
        self._drawn: dict[tuple[int, int], _Drawn] = {}

    def fused(self, n_tokens: int, n_holders: int, near: Surroundings) -> NDArray[np.float64]:
        """The best fused score of each random span with any row but its own, ascending; shape `(B,)`, B ≤ 999.

        Args:
            n_tokens: Tokens of the claim's span, without words of the prompt at its ends.
            n_holders: Responses that hold all of them.
            near: The claim's surroundings.
        """
        rarity = int(frequency_bin(np.array([n_holders]))[0])
        drawn = self._drawn_of(min(n_tokens, _LONGEST), rarity)
        best = np.zeros(drawn.n_spans)
        if len(drawn.begins):
            best[: len(drawn.begins)] = np.maximum.reduceat(near.base[drawn.text] + drawn.gain, drawn.begins)
        return np.sort(best)

    def _drawn_of(self, n_tokens: int, rarity: int) -> _Drawn:
        if (n_tokens, rarity) not in self._drawn:
            grams = self._grams_of(n_tokens)
            fitting = grams.position[frequency_bin(grams.other_texts) == rarity]
            phrases, rows = self._materials.phrases, self._materials.row_of_response
            generator = np.random.default_rng([_SEED, n_tokens, rarity])
            position = _draw(fitting, phrases.stream, generator)
            spans = phrases.stream.ids[position[:, None] + np.arange(n_tokens)].astype(np.int64)
            support = phrases.support(spans, phrases.weights[spans])
            own_text = np.searchsorted(phrases.stream.offsets, position, side="right") - 1
            support = support.only(rows[support.text] != rows[own_text[support.span]])
            gain = PHRASE_WEIGHT / (FUSION_CONSTANT + phrase_ranks(support.span, support.coverage))
            begins = np.unique(support.span, return_index=True)[1]
            drawn = _Drawn(len(position), begins, support.text.astype(np.int32), gain)
            self._drawn[n_tokens, rarity] = drawn
        return self._drawn[n_tokens, rarity]

    def _grams_of(self, n_tokens: int) -> _Grams:
        if n_tokens not in self._grams:
            stream = self._materials.phrases.stream
            text = stream.text_of_position()
            begins = np.arange(max(len(stream.ids) - n_tokens + 1, 0))
            last = begins + n_tokens - 1
            # As people mark them, spans begin and end with a word, within one response.
            word = stream.words[stream.ids]
            begins = begins[(text[begins] == text[last]) & word[begins] & word[last]]
            hashes = np.zeros(len(begins), np.uint64)
            for step in range(n_tokens):
                hashes = (hashes ^ stream.ids[begins + step].astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
                hashes ^= hashes >> np.uint64(29)
            self._grams[n_tokens] = _Grams(begins, _other_texts(hashes, text[begins]))
        return self._grams[n_tokens]


def _draw(fitting: NDArray[np.int64], stream: WordStream, generator: np.random.Generator) -> NDArray[np.int64]:
    """Up to `N_NULL` of the positions, ascending; every text has the same chance, as a claim is one span of one answer.

    Efraimidis and Spirakis (2006): the largest of log(u) / weight are a weighted sample without replacement.
    """
    text = np.searchsorted(stream.offsets, fitting, side="right") - 1
    weight = 1.0 / (stream.offsets[text + 1] - stream.offsets[text])
    keys = np.log(generator.random(len(fitting))) / weight
    return np.sort(fitting[np.argsort(-keys, kind="stable")[:N_NULL]])


def _other_texts(hashes: NDArray[np.uint64], text: NDArray[np.int32]) -> NDArray[np.int64]:
    """For every run, in how many texts but its own the same run occurs; `text` ascends. Shape `(n_runs,)`."""
    if not len(hashes):
        return np.empty(0, np.int64)
    order = np.argsort(hashes, kind="stable")
    hashes, text = hashes[order], text[order]
    new_run = np.concatenate([[True], hashes[1:] != hashes[:-1]])
    new_text = new_run | np.concatenate([[True], text[1:] != text[:-1]])
    texts_with = np.add.reduceat(new_text, np.flatnonzero(new_run), dtype=np.int64)
    others = np.empty(len(order), np.int64)
    others[order] = np.repeat(texts_with, np.diff(np.append(np.flatnonzero(new_run), len(order)))) - 1
    return others


def frequency_bin(n_texts: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 for none, then 1 for 1, 2 for 2 to 3, 3 for 4 to 7, and so on."""
    return np.frexp(n_texts.astype(np.float64))[1].astype(np.int64)
