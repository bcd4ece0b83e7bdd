"""Words that many responses hold, and where in a response one could stand in place of another.

A wrong value that one row holds is found by looking it up. What is planted is held by 20 or more other rows, so that
"the rows that hold the word" is no answer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from audit.verify.calibration.model import Rarity
from audit.verify.tone import FUNCTION_WORDS
from indexes.phrases import PhraseIndex
from indexes.words import Token, WordStream, is_word, tokenize_with_offsets

__all__ = ["LEAST_HOLDERS", "Kind", "Value", "ValueCell", "exchange", "find_values", "is_content", "make_value"]

LEAST_HOLDERS = 20
# Rows leave the copy and others get their words exchanged, so that a few holders may be lost.
_MARGIN = 1.25
_RANGES = {Rarity.RARE: (LEAST_HOLDERS * _MARGIN, 99), Rarity.COMMON: (100 * _MARGIN, 999)}
_MOST_SHARE = 0.25  # a word of every fourth response is no value
_SHORTEST = 3
_SURFACES_READ = 8
_SENTENCE_ENDS = frozenset(".!?:;\n")

ValueCell = tuple[int, Rarity]
"""Number of words, and how many responses hold them."""


class Kind(StrEnum):
    """What a word looks like: a number is exchanged for a number, a name for a name."""

    NUMBER = "number"
    NAME = "name"
    WORD = "word"


@dataclass(frozen=True)
class Value:
    """Words as they mostly stand in the responses.

    Attributes:
        text: As written.
        tokens: Normalised.
        kind: Of the first word.
        n_holders: Responses that hold them one after the other.
    """

    text: str
    tokens: tuple[str, ...]
    kind: Kind
    n_holders: int


def is_content(token: str) -> bool:
    """Whether a token is a word that says something; of languages without a list of function words, every word is."""
    return is_word(token) and token not in FUNCTION_WORDS


def find_values(phrases: PhraseIndex) -> Mapping[ValueCell, NDArray[np.int64]]:
    """Candidates by number of words and rarity: token numbers, shape `(n_candidates, n_words)`, cells without one absent."""
    stream = phrases.stream
    fits = np.fromiter((_may_be_value(token) for token in stream.vocabulary), np.bool_, len(stream.vocabulary))
    singles = np.arange(len(stream.vocabulary))[:, None]
    counts = np.where(fits, phrases.document_frequency, 0)
    cells = dict(_by_rarity(1, singles, counts, stream.n_texts))
    pairs, pair_counts = _pairs(stream, fits)
    return cells | dict(_by_rarity(2, pairs, pair_counts, stream.n_texts))


def make_value(phrases: PhraseIndex, numbers: Sequence[int], texts: Sequence[str]) -> Value | None:
    """A candidate as it is mostly written within sentences; `None` where it is written nowhere so."""
    tokens = tuple(phrases.stream.vocabulary[number] for number in numbers)
    occurrences = phrases.occurrences(" ".join(tokens))
    surfaces: Counter[str] = Counter()
    for occurrence in occurrences[:_SURFACES_READ]:
        text = texts[occurrence.text]
        found = tokenize_with_offsets(text)
        first, last = found[occurrence.token], found[occurrence.token + occurrence.n_tokens - 1]
        surface = text[first.start : last.end]
        if not _begins_sentence(text, found, occurrence.token) and " ".join(surface.split()) == surface:
            surfaces[surface] += 1
    if not surfaces:
        return None
    text = min(surfaces, key=lambda surface: (-surfaces[surface], surface))
    return Value(text, tokens, _kind(text), len({occurrence.text for occurrence in occurrences}))


def exchange(text: str, value: Value, phrases: PhraseIndex, kept: frozenset[str]) -> tuple[str, int, int] | None:
    """A text with one of its words exchanged for the value.

    The word is of the value's kind, stands once in the text and not at the beginning of a sentence, and is, of those, the
    one that about as many responses hold as hold the value.

    Args:
        text: A response.
        value: The wrong words.
        phrases: Over the responses, for how many hold a word.
        kept: Words that are not exchanged: those of the prompt.

    Returns:
        The new text, and where the value stands in it; `None` where no word fits.
    """
    tokens = tokenize_with_offsets(text)
    times = Counter(token.text for token in tokens)
    best: tuple[float, int] | None = None
    for place, token in enumerate(tokens):
        if times[token.text] > 1 or token.text in kept or not _may_be_value(token.text):
            continue
        if _begins_sentence(text, tokens, place) or _kind(text[token.start : token.end]) is not value.kind:
            continue
        number = phrases.stream.number_of.get(token.text)
        n_holders = 1 if number is None else max(int(phrases.document_frequency[number]), 1)
        distance = round(abs(math.log(n_holders / value.n_holders)), 6)
        if best is None or distance < best[0]:
            best = (distance, place)
    if best is None:
        return None
    start, end = tokens[best[1]].start, tokens[best[1]].end
    return text[:start] + value.text + text[end:], start, start + len(value.text)


def _may_be_value(token: str) -> bool:
    return is_content(token) and (len(token) >= _SHORTEST or not token.isascii())


def _begins_sentence(text: str, tokens: Sequence[Token], place: int) -> bool:
    """Where case says nothing about a word."""
    if place == 0:
        return True
    before = tokens[place - 1]
    return text[before.start : before.end] in _SENTENCE_ENDS or "\n" in text[before.end : tokens[place].start]


def _kind(text: str) -> Kind:
    if any(char.isdigit() for char in text):
        return Kind.NUMBER
    return Kind.NAME if text[:1].isupper() else Kind.WORD


def _pairs(stream: WordStream, fits: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every two fitting words that stand side by side, and how many texts hold them: `(n_pairs, 2)` and `(n_pairs,)`."""
    text = stream.text_of_position()
    first, second = stream.ids[:-1].astype(np.int64), stream.ids[1:].astype(np.int64)
    beside = fits[first] & fits[second] & (text[:-1] == text[1:]) & (first != second)
    key = first[beside] * len(stream.vocabulary) + second[beside]
    order = np.lexsort((text[:-1][beside], key))
    key, of_text = key[order], text[:-1][beside][order]
    if not len(key):
        return np.empty((0, 2), np.int64), np.empty(0, np.int64)
    new_key = np.concatenate([[True], key[1:] != key[:-1]])
    new_text = new_key | np.concatenate([[True], of_text[1:] != of_text[:-1]])
    counts = np.add.reduceat(new_text, np.flatnonzero(new_key), dtype=np.int64)
    distinct = key[new_key]
    return np.stack(np.divmod(distinct, len(stream.vocabulary)), axis=1), counts


def _by_rarity(
    n_words: int, candidates: NDArray[np.int64], counts: NDArray[np.int64], n_texts: int
) -> list[tuple[ValueCell, NDArray[np.int64]]]:
    cells = []
    for rarity, (least, most) in _RANGES.items():
        chosen = candidates[(counts >= least) & (counts <= min(most, _MOST_SHARE * n_texts))]
        if len(chosen):
            cells.append(((n_words, rarity), chosen))
    return cells
