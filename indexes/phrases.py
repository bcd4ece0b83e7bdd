"""Where does a span of words occur? Positional postings over a token stream.

A span occurs in a text where its tokens stand there one after the other, letter case, compatibility forms and white
space aside (`indexes.words`). The index answers that exactly, by looking only at the places of the span's rarest token;
the twin `occurrences_plain` reads every text. A text that holds only part of a span is *support* for it, weighed by the
rarity of the words it shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.words import WordStream, tokenize

__all__ = [
    "SUPPORT_DECIMALS",
    "Occurrence",
    "PhraseIndex",
    "Support",
    "heaviest_tokens",
    "inverse_frequency",
    "occurrences_plain",
]

SUPPORT_DECIMALS = 4
# A partial match must contain one of the span's rarest words: they are what could have been borrowed. The rarest always
# serves, so that no whole match is missed; the others only where they are rare, which bounds the places to look at.
_ANCHORS = 3
_RARE_SHARE = 0.01
_RARE_TEXTS = 50


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A place where a span stands: text number, first token within the text, number of tokens."""

    text: int
    token: int
    n_tokens: int


@dataclass(frozen=True)
class Support:
    """For each of many spans, the texts that hold the whole or part of it.

    Attributes:
        span: int64, shape `(n_hits,)`: the span's number, ascending.
        text: int64: the text, ascending within a span.
        coverage: float32 in (0, 1]: the share of the span's weight that the best matching run holds; 1 is the whole.
        begin: int64: where in the text that run begins (tokens); the first such run.
        length: int64: how many tokens it has.
    """

    span: NDArray[np.int64]
    text: NDArray[np.int64]
    coverage: NDArray[np.float32]
    begin: NDArray[np.int64]
    length: NDArray[np.int64]

    def only(self, hits: NDArray[np.bool_]) -> Support:
        """Some of the hits; `hits` has shape `(n_hits,)`."""
        return Support(self.span[hits], self.text[hits], self.coverage[hits], self.begin[hits], self.length[hits])


class PhraseIndex:
    """Positional postings of a token stream, built in memory: 12 bytes for a token."""

    def __init__(self, stream: WordStream) -> None:
        self.stream = stream
        self._text = stream.text_of_position()
        self._positions = np.argsort(stream.ids, kind="stable").astype(np.int32)
        counts = np.bincount(stream.ids, minlength=len(stream.vocabulary))
        self._begins = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    @cached_property
    def document_frequency(self) -> NDArray[np.int64]:
        """In how many texts each token of the vocabulary occurs; shape `(n_vocabulary,)`."""
        token = self.stream.ids[self._positions]
        text = self._text[self._positions]
        first = np.ones(len(token), bool)
        first[1:] = (token[1:] != token[:-1]) | (text[1:] != text[:-1])
        return np.bincount(token[first], minlength=len(self.stream.vocabulary))

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """The evidence in each token: inverse document frequency; 0 for punctuation; shape `(n_vocabulary,)`."""
        weights = inverse_frequency(self.document_frequency, max(self.stream.n_texts, 1))
        return np.where(self.stream.words, weights, 0).astype(np.float32)

    def token_numbers(self, tokens: Sequence[str]) -> NDArray[np.int64]:
        """Tokens as vocabulary numbers, -1 where a token occurs nowhere; shape `(n_tokens,)`."""
        number_of = self.stream.number_of
        return np.array([number_of.get(token, -1) for token in tokens], dtype=np.int64)

    def occurrences(self, span: str) -> list[Occurrence]:
        """Every place where a span occurs, in order; none for a span without a token."""
        numbers = self.token_numbers(tokenize(span))
        if not len(numbers) or (numbers < 0).any():
            return []
        anchor = int(np.argmin(self._begins[numbers + 1] - self._begins[numbers]))
        begins = self._places(int(numbers[anchor])) - anchor
        begins = begins[(begins >= 0) & (begins + len(numbers) <= len(self.stream.ids))]
        for step, number in enumerate(numbers):
            begins = begins[self.stream.ids[begins + step] == number]
        begins = np.sort(begins[self._text[begins] == self._text[begins + len(numbers) - 1]])
        texts = self._text[begins].tolist()
        within = (begins - self.stream.offsets[self._text[begins]]).tolist()
        return [Occurrence(text, token, len(numbers)) for text, token in zip(texts, within, strict=True)]

    def n_texts_with(self, span: str) -> int:
        """In how many texts a span occurs."""
        return len({occurrence.text for occurrence in self.occurrences(span)})

    def support(self, spans: NDArray[np.int64], weights: NDArray[np.float32]) -> Support:
        """Which texts hold each span, whole or in part.

        A text's coverage of a span is the weight of the heaviest run of the span's tokens that it holds around the
        span's heaviest known token, or around the second or third where they are rare, divided by the weight of the
        whole span.

        Args:
            spans: Token numbers, shape `(n_spans, n_tokens)`; -1 for a token that occurs nowhere.
            weights: Evidence per place of a span, shape `(n_spans, n_tokens)`; at least one above 0 in a span, else it
                has no support.
        """
        n_spans = len(spans)
        total = weights.sum(axis=1)
        # The vocabulary may hold words of other texts, too, which occur here as little as unknown ones.
        spans = np.where(np.append(self.document_frequency, 0)[spans] > 0, spans, -1)
        heaviest = _heaviest_places(spans, weights)
        rare = self.document_frequency <= max(_RARE_TEXTS, _RARE_SHARE * self.stream.n_texts)
        rare = np.append(rare, False)  # for -1
        hits: list[tuple[NDArray[Any], ...]] = []
        for place in range(heaviest.shape[1]):
            anchor = heaviest[:, place]
            number = spans[np.arange(n_spans), anchor]
            usable = (number >= 0) & (weights[np.arange(n_spans), anchor] > 0) & ((place == 0) | rare[number])
            span = np.flatnonzero(usable)
            if not len(span):
                continue
            counts = self._begins[number[span] + 1] - self._begins[number[span]]
            ends = np.cumsum(counts)
            within = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
            position = self._positions[np.repeat(self._begins[number[span]], counts) + within].astype(np.int64)
            of_span = np.repeat(span, counts)
            hits.append(self._extend(spans, weights, of_span, anchor[of_span], position))
        if not hits:
            none = np.empty(0, np.int64)
            return Support(none, none, none.astype(np.float32), none, none)
        of_span, text, weight, begin, length = (np.concatenate(column) for column in zip(*hits, strict=True))
        share = np.rint(weight / total[of_span] * 10**SUPPORT_DECIMALS).astype(np.int64)
        # One number per key sorts in half the time: the heaviest run first, then the longest, then the first in the text.
        stride = np.int64(begin.max() + 1)
        worse = ((10**SUPPORT_DECIMALS - share) * (spans.shape[1] + 1) + spans.shape[1] - length) * stride + begin
        holder = of_span * np.int64(self.stream.n_texts) + text
        order = np.lexsort((worse, holder))
        best = np.ones(len(order), bool)
        best[1:] = holder[order[1:]] != holder[order[:-1]]
        chosen = order[best]
        coverage = (share[chosen] / 10**SUPPORT_DECIMALS).astype(np.float32)
        return Support(of_span[chosen], text[chosen], coverage, begin[chosen], length[chosen])

    def _places(self, number: int) -> NDArray[np.int64]:
        return self._positions[self._begins[number] : self._begins[number + 1]].astype(np.int64)

    def _extend(
        self,
        spans: NDArray[np.int64],
        weights: NDArray[np.float32],
        of_span: NDArray[np.int64],
        anchor: NDArray[np.int64],
        position: NDArray[np.int64],
    ) -> tuple[NDArray[Any], ...]:
        """Grow every anchor's place to both sides while span and text agree; all arrays are of shape `(n_places,)`."""
        n_tokens = spans.shape[1]
        text = self._text[position]
        weight = weights[of_span, anchor].astype(np.float64)
        begin, end = position.copy(), position + 1
        for direction in (-1, 1):
            alive = np.arange(len(position))
            for step in range(1, n_tokens):
                place, other = anchor[alive] + direction * step, position[alive] + direction * step
                inside = (place >= 0) & (place < n_tokens) & (other >= 0) & (other < len(self.stream.ids))
                alive, place, other = alive[inside], place[inside], other[inside]
                same = (spans[of_span[alive], place] == self.stream.ids[other]) & (self._text[other] == text[alive])
                alive, place, other = alive[same], place[same], other[same]
                if not len(alive):
                    break
                weight[alive] += weights[of_span[alive], place]
                if direction < 0:
                    begin[alive] = other
                else:
                    end[alive] = other + 1
        return of_span, text.astype(np.int64), weight, begin - self.stream.offsets[text], end - begin


def heaviest_tokens(spans: NDArray[np.int64], weights: NDArray[np.float32]) -> NDArray[np.int64]:
    """The tokens around which `PhraseIndex.support` looks for each span, heaviest first; -1 for one without weight.

    Shape `(n_spans, min(n_tokens, 3))`; the arguments are those of `support`.
    """
    places = _heaviest_places(spans, weights)
    weighed = np.take_along_axis(weights, places, axis=1) > 0
    return np.where(weighed, np.take_along_axis(spans, places, axis=1), -1)


def _heaviest_places(spans: NDArray[np.int64], weights: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.argsort(-np.where(spans >= 0, weights, 0), axis=1, kind="stable")[:, :_ANCHORS]


def inverse_frequency(n_texts_with: NDArray[np.int64], n_texts: NDArray[np.int64] | int) -> NDArray[np.float32]:
    """The evidence in a token that so many of so many texts hold, log((n + 1) / (df + 1/2)), of the arrays' shape.

    A token that no text holds weighs the most. The two arrays are broadcast against each other.
    """
    return np.maximum(np.log((n_texts + 1) / (n_texts_with + 0.5)), 0.0).astype(np.float32)


def occurrences_plain(texts: Sequence[str], span: str) -> list[Occurrence]:
    """The twin of `PhraseIndex.occurrences`: every text is tokenized and searched from end to end."""
    wanted = tokenize(span)
    found = []
    for number, text in enumerate(texts):
        tokens = tokenize(text)
        for begin in range(len(tokens) - len(wanted) + 1):
            if wanted and tokens[begin : begin + len(wanted)] == wanted:
                found.append(Occurrence(number, begin, len(wanted)))
    return found
