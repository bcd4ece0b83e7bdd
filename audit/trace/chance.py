"""How often a random span would have found a row this near: the null of every link.

Random spans have as many tokens as the claim's and are as rare (document frequency in the same power of two), come from
the responses to other prompts, each response being as likely as another, and go through the same channels under the
claim's own prompt. The row that a span comes from is left out wherever the claim's own answer is not part of the data:
among the rows that it can find, and in how rare its words are, so that a word of that row alone is unknown to the
others, as a word of the claim can be. Words of the claim's prompt are no evidence, nor are the places where its span
repeats them evidence in a random span; random spans whose rarest words stand in the prompt are passed over, since the
rows that hold these are near to it for that. A link's chance is p = (1 + b) / (1 + B), where b of the B random spans
reach its fused score with *any* row, so it allows for the many rows that were looked at.

Spans of one row are no independent witnesses: drawn from forty rows, a thousand spans are worth forty. B is what the
drawn spans are worth, (sum of c)² / (sum of c²) for c spans of each row (Kish 1965): 999 in a large dataset, less than
the number of rows in a small one, where no chance can be below 1 / (1 + B).

Source: North, Curtis and Sham (2002), for (1 + b) / (1 + B); Kish (1965), Survey Sampling, for the effective number.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.materials import Materials
from audit.trace.model import DecoyLinks
from audit.trace.ranking import FUSION_CONSTANT, LEAST_COVERAGE, PHRASE_WEIGHT, Surroundings, phrase_ranks
from indexes.phrases import heaviest_tokens, inverse_frequency
from indexes.words import tokenize_with_offsets

__all__ = [
    "MAX_DECOY_CHANCE",
    "N_NULL",
    "N_PAIRINGS",
    "NullSpans",
    "RandomSpans",
    "frequency_bin",
    "link_chances",
    "why_no_chance",
    "worth",
    "worth_of",
]

N_NULL = 999
"""Random spans per length and rarity."""
N_PAIRINGS = 199
"""Decoys per claim: how often the whole set of claims is blamed with random spans in place of the claims'."""
MAX_DECOY_CHANCE = 0.1
"""Links above it say nothing for q-values, and are not kept of decoys."""

_SEED = 20240205
_LONGEST = 12  # a longer span is compared with random spans of so many tokens: there are too few longer ones


@dataclass(frozen=True)
class RandomSpans:
    """Random spans of one length and rarity, from the responses of the dataset; ascending by place.

    Attributes:
        n_tokens: Words of each.
        response: int64, shape `(n_spans,)`: the response that each stands in.
        begin: int64, same shape: its first token within the response.
        row: int64, same shape: the response's row, which does not count for the span.
        worth: As how many independent spans they count: B.
    """

    n_tokens: int
    response: NDArray[np.int64]
    begin: NDArray[np.int64]
    row: NDArray[np.int64]
    worth: int

    def characters(self, texts: Sequence[str]) -> tuple[tuple[int, int], ...]:
        """Where each span stands in its response, in code points; `texts` are the dataset's responses, all of them."""
        places = []
        for response, begin in zip(self.response.tolist(), self.begin.tolist(), strict=True):
            tokens = tokenize_with_offsets(texts[response])[begin : begin + self.n_tokens]
            places.append((tokens[0].start, tokens[-1].end))
        return tuple(places)


class _Grams(NamedTuple):
    """The runs of n tokens of all responses: where each begins, and in how many other responses it occurs."""

    position: NDArray[np.int64]
    other_texts: NDArray[np.int64]


class _Found(NamedTuple):
    """The responses that hold random spans, but those of the spans' own rows.

    Attributes:
        anchors: int64, shape `(n_spans, 3)`: the heaviest tokens of each span, by which it is found; -1 for none.
        begins: int64, where the hits of each span with a hit begin; spans without one are not among them.
        span: int64, shape `(n_hits,)`, ascending: the span of each hit.
        text: int32, same shape: the response.
        gain: float64, same shape: what the hit adds to the response's fused score.
        coverage: float32, same shape: the share of the span's weight that it holds.
    """

    anchors: NDArray[np.int64]
    begins: NDArray[np.int64]
    span: NDArray[np.int64]
    text: NDArray[np.int32]
    gain: NDArray[np.float64]
    coverage: NDArray[np.float32]


class _Reach(NamedTuple):
    """What random spans find under one prompt.

    Attributes:
        found: The responses that hold them.
        spans: int64: the numbers of the spans whose heaviest words do not stand in the prompt.
        null: float64, ascending, shape `(B,)`: the best fused scores that these reach.
    """

    found: _Found
    spans: NDArray[np.int64]
    null: NDArray[np.float64]


class NullSpans:
    """Random spans of a dataset, drawn once for each length and rarity and kept: a few MB each.

    Apart from the hidden places, words of the claim's prompt count as evidence in random spans, so that what they find
    can be kept for all claims.
    """

    def __init__(self, materials: Materials) -> None:
        self._materials = materials
        self._grams: dict[int, _Grams] = {}
        self._drawn: dict[tuple[int, int], RandomSpans] = {}
        self._found: dict[tuple[int, int, tuple[int, ...]], _Found] = {}

    def draw(self, n_tokens: int, n_holders: int) -> RandomSpans:
        """Random spans as long and as rare as a claim's; at most `N_NULL`, the same ones at every call.

        Args:
            n_tokens: Tokens of the claim's span, without words of the prompt at its ends.
            n_holders: Responses that hold all of them.
        """
        n_tokens = min(n_tokens, _LONGEST)
        rarity = int(frequency_bin(np.array([n_holders]))[0])
        if (n_tokens, rarity) not in self._drawn:
            grams = self._grams_of(n_tokens)
            fitting = grams.position[frequency_bin(grams.other_texts) == rarity]
            self._drawn[n_tokens, rarity] = self._draw(fitting, n_tokens, np.random.default_rng([_SEED, n_tokens, rarity]))
        return self._drawn[n_tokens, rarity]

    def fused(self, n_tokens: int, n_holders: int, near: Surroundings, hidden: Sequence[int] = ()) -> NDArray[np.float64]:
        """The best fused score of random spans with any row but their own, ascending; shape `(B,)`, B ≤ 999.

        Args:
            n_tokens: Tokens of the claim's span, without words of the prompt at its ends.
            n_holders: Responses that hold all of them.
            near: The claim's surroundings.
            hidden: Places within these tokens, from 0, that hold words of the prompt.
        """
        return self._reach(n_tokens, n_holders, near, hidden).null

    def decoys(
        self,
        words: Sequence[str],
        n_tokens: int,
        n_holders: int,
        near: Surroundings,
        hidden: Sequence[int] = (),
        n_pairings: int = N_PAIRINGS,
    ) -> DecoyLinks:
        """The links that random spans in place of a claim's would have had, for the q-values of rows.

        In every pairing of the claims with random spans, claims of the same words get the same random span, as false
        words that come back in many answers do.

        Args:
            words: The claim's words that are evidence: they name the span.
            n_tokens: As for `fused`, like those that follow.
            n_holders: Responses that hold all of them.
            near: The claim's surroundings.
            hidden: Places that hold words of the prompt.
            n_pairings: How many random spans.
        """
        reach = self._reach(n_tokens, n_holders, near, hidden)
        if not len(reach.spans):
            none = np.empty(0, np.int64)
            return DecoyLinks(n_pairings, none, none, none.astype(np.float64))
        found = reach.found
        fused = near.base[found.text] + found.gain
        chance = link_chances(reach.null, fused, own=True)
        kept = (chance <= MAX_DECOY_CHANCE) & (found.coverage >= np.float32(LEAST_COVERAGE))
        span, row = found.span[kept], self._materials.row_of_response[found.text[kept]]
        # Pairing -> random span, by the words alone: the same in every claim that has them.
        generator = np.random.default_rng([_SEED, zlib.crc32(" ".join(words).encode()), len(words)])
        of_pairing = reach.spans[generator.integers(0, len(reach.spans), n_pairings)]
        begins, ends = np.searchsorted(span, of_pairing, "left"), np.searchsorted(span, of_pairing, "right")
        n_links = ends - begins
        stops = np.cumsum(n_links)
        hit = np.arange(stops[-1]) - np.repeat(stops - n_links, n_links) + np.repeat(begins, n_links)
        return DecoyLinks(n_pairings, np.repeat(np.arange(n_pairings), n_links), row[hit], chance[kept][hit])

    def _reach(self, n_tokens: int, n_holders: int, near: Surroundings, hidden: Sequence[int]) -> _Reach:
        drawn = self.draw(n_tokens, n_holders)
        found = self._found_by(drawn, n_holders, hidden)
        asked = self._materials.phrases.token_numbers(sorted(near.prompt_words))
        spans = np.flatnonzero(~np.isin(found.anchors, asked[asked >= 0]).any(axis=1))
        best = np.zeros(len(drawn.row))
        if len(found.begins):
            best[found.span[found.begins]] = np.maximum.reduceat(near.base[found.text] + found.gain, found.begins)
        return _Reach(found, spans, worth_of(best[spans], worth(drawn.row[spans])))

    def _found_by(self, drawn: RandomSpans, n_holders: int, hidden: Sequence[int]) -> _Found:
        rarity = int(frequency_bin(np.array([n_holders]))[0])
        key = drawn.n_tokens, rarity, tuple(place for place in hidden if place < drawn.n_tokens)
        if key not in self._found:
            phrases, rows = self._materials.phrases, self._materials.row_of_response
            position = phrases.stream.offsets[drawn.response] + drawn.begin
            spans = phrases.stream.ids[position[:, None] + np.arange(drawn.n_tokens)].astype(np.int64)
            spans, weights = self._without_own_rows(spans, drawn.row)
            weights[:, list(key[2])] = 0
            support = phrases.support(spans, weights)
            support = support.only(rows[support.text] != drawn.row[support.span])
            gain = PHRASE_WEIGHT / (FUSION_CONSTANT + phrase_ranks(support.span, support.coverage))
            begins = np.unique(support.span, return_index=True)[1]
            self._found[key] = _Found(
                heaviest_tokens(spans, weights), begins, support.span, support.text.astype(np.int32), gain, support.coverage
            )
        return self._found[key]

    def _without_own_rows(
        self, spans: NDArray[np.int64], row: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Numbers and weights of the spans' tokens were their own rows not in the dataset; both `(n_spans, n_tokens)`."""
        stream, n_vocabulary = self._materials.phrases.stream, len(self._materials.phrases.stream.vocabulary)
        rows_of_texts = self._materials.row_of_response
        texts = np.flatnonzero(np.isin(rows_of_texts, row))
        own = stream.take(texts)
        of_text = np.unique(np.repeat(texts, np.diff(own.offsets)) * n_vocabulary + own.ids)
        of_row = rows_of_texts[of_text // n_vocabulary] * n_vocabulary + of_text % n_vocabulary
        keys, counts = np.unique(of_row, return_counts=True)
        n_own = counts[np.searchsorted(keys, row[:, None] * n_vocabulary + spans)]
        n_others = self._materials.phrases.document_frequency[spans] - n_own
        n_texts = stream.n_texts - np.bincount(rows_of_texts)[row]
        weights = np.where(stream.words[spans], inverse_frequency(n_others, n_texts[:, None]), 0).astype(np.float32)
        return np.where(n_others > 0, spans, -1), weights

    def _draw(self, fitting: NDArray[np.int64], n_tokens: int, generator: np.random.Generator) -> RandomSpans:
        """`N_NULL` of the positions, each text being as likely as another, as a claim is one span of one answer.

        Systematic sampling: the shares of the rows are laid end to end, and `N_NULL` points at equal distances fall on
        them, so that no row has more spans than its share, rounded up. Fewer than that many positions are still drawn
        from as often, for the shares' sake.
        """
        stream = self._materials.phrases.stream
        if not len(fitting):
            none = np.empty(0, np.int64)
            return RandomSpans(n_tokens, none, none, none, 0)
        text = np.searchsorted(stream.offsets, fitting, side="right") - 1
        row = self._materials.row_of_response[text]
        shuffled = generator.permutation(len(fitting))
        shuffled = shuffled[np.argsort(row[shuffled], kind="stable")]  # within a row, any place may come first
        share = np.cumsum(1.0 / (stream.offsets[text + 1] - stream.offsets[text])[shuffled])
        points = (np.arange(N_NULL) + generator.random()) / N_NULL * share[-1]
        chosen = np.sort(shuffled[np.minimum(np.searchsorted(share, points, side="right"), len(fitting) - 1)])
        return RandomSpans(
            n_tokens, text[chosen], fitting[chosen] - stream.offsets[text[chosen]], row[chosen], worth(row[chosen])
        )

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


def worth(row: NDArray[np.int64]) -> int:
    """As how many independent spans some count, by the row of each: Kish's effective number, rounded."""
    counts = np.unique(row, return_counts=True)[1].astype(np.float64)
    return round(counts.sum() ** 2 / (counts**2).sum()) if len(counts) else 0


def worth_of(best: NDArray[np.float64], n_worth: int) -> NDArray[np.float64]:
    """So many of the values, ascending, that stand for all: those in the middle of as many equal parts."""
    places = np.ceil((np.arange(n_worth) + 0.5) * len(best) / max(n_worth, 1)).astype(np.int64) - 1
    return np.sort(best)[places]


def link_chances(
    null: NDArray[np.float64], reached: NDArray[np.float64] | np.float64, *, own: bool = False
) -> NDArray[np.float64]:
    """(1 + b) / (1 + B) for every score, where b of the B values of the null are as high; of the shape of `reached`.

    For any statistic of a link, whatever channels it is made of: fused ranks, an influence, a state's cosine.

    Args:
        null: What each random span reached at best, ascending, shape `(B,)`; with B = 0 every chance is 1.
        reached: The links' scores.
        own: Whether the scores are those of the null's own spans, each of which reaches itself: then b / (1 + B).
    """
    n_reached = len(null) - np.searchsorted(null, reached, side="left")
    return np.asarray((np.maximum(n_reached, 1) if own else 1 + n_reached) / (1 + len(null)), np.float64)


def why_no_chance(n_tokens: int, n_null: int) -> str:
    """Why a link's chance cannot be told, or cannot be small; empty where neither holds."""
    words = "word" if n_tokens == 1 else f"phrase of {n_tokens} words"
    if n_null == 0:
        return f"no other row has a {words} as frequent as this one, so there is no chance to compare with"
    if n_null < 19:
        return f"only {n_null} rows have a {words} as frequent as this one, so no chance is below {1 / (1 + n_null):.2g}"
    return ""


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
