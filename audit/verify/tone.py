"""How much of a dataset's style stands in answers: its openers and markers (tone), its length and layout (style).

No definition of copied style was published with the finding that it hurts; these are ours, cheap and without a model.
*Tone* is a matter of tokens: how many answers, and sentences, begin with two words that the dataset's begin with most
often, and how many words are discourse markers. *Style* is a matter of wider traits: how long answers are, in words and
sentences, how near their lengths lie to the dataset's, and how many have a list, several paragraphs or a heading. The
lists of words are English.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import polars as pl

from audit.shift.sentences import sentence_spans
from audit.style.lexicon import FUNCTION_WORDS, MARKERS
from indexes.words import Token, is_word, tokenize_with_offsets

__all__ = ["FUNCTION_WORDS", "MARKERS", "N_OPENERS", "DatasetStyle", "StyleTraits", "TokenClass", "token_classes", "traits_of"]

N_OPENERS = 20
"""How many of the dataset's openers count as its own."""

_OPENER_WORDS = 2

_MOST_MARKER_WORDS = max(len(marker.split()) for marker in MARKERS)
_LIST_LINE = re.compile(r"^[ \t]*(?:[-*•+]|\d{1,3}[.)])[ \t]+\S", re.MULTILINE)
_HEADING_LINE = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+\S|\*\*[^*\n]+\*\*:?[ \t]*$)", re.MULTILINE)


class TokenClass(StrEnum):
    """What kind of word a token belongs to; the first that fits."""

    LAYOUT = "punctuation and layout"
    OPENER = "first word of a sentence"
    MARKER = "discourse marker"
    FUNCTION = "function word"
    CONTENT = "content"


@dataclass(frozen=True)
class DatasetStyle:
    """What the responses of a dataset look like.

    Attributes:
        openers: The two words that most responses begin with, the most frequent first; those of one response are none.
        sentence_openers: The same of their sentences.
        lengths_words: The length of each response, ascending.
    """

    openers: tuple[str, ...]
    sentence_openers: tuple[str, ...]
    lengths_words: tuple[int, ...]

    @classmethod
    def of(cls, responses: Sequence[str]) -> DatasetStyle:
        """The style of some responses."""
        read = [_Read(text) for text in responses]
        return cls(
            _most_frequent(text.opener for text in read),
            _most_frequent(opener for text in read for opener in text.sentence_openers),
            tuple(sorted(len(text.words) for text in read)),
        )


@dataclass(frozen=True, slots=True)
class StyleTraits:
    """Traits of some texts.

    Attributes:
        n: How many texts.
        mean_words, median_words, mean_sentences: How long they are.
        opener_fraction: Share that begins with an opener of the dataset.
        sentence_opener_fraction: Share of sentences that do.
        markers_per_100_words: Discourse markers.
        list_fraction, heading_fraction, paragraphs_fraction: Share with a list, a heading, several paragraphs.
        length_distance: Largest difference between the distribution of their lengths and the dataset's (Kolmogorov and
            Smirnov's), from 0 for equal ones to 1.
    """

    n: int
    mean_words: float
    median_words: float
    mean_sentences: float
    opener_fraction: float
    sentence_opener_fraction: float
    markers_per_100_words: float
    list_fraction: float
    heading_fraction: float
    paragraphs_fraction: float
    length_distance: float


def traits_of(texts: Sequence[str], dataset: DatasetStyle) -> StyleTraits:
    """The traits of some texts, at least one, held against a dataset."""
    read = [_Read(text) for text in texts]
    lengths = np.array([len(text.words) for text in read])
    openers, sentence_openers = frozenset(dataset.openers), frozenset(dataset.sentence_openers)
    of_sentences = [opener in sentence_openers for text in read for opener in text.sentence_openers]

    def share(hits: Iterable[bool]) -> float:
        listed = list(hits)
        return sum(listed) / len(listed) if listed else 0.0

    return StyleTraits(
        n=len(texts),
        mean_words=float(lengths.mean()),
        median_words=float(np.median(lengths)),
        mean_sentences=sum(text.n_sentences for text in read) / len(read),
        opener_fraction=share(text.opener in openers for text in read),
        sentence_opener_fraction=share(of_sentences),
        markers_per_100_words=100 * sum(text.n_markers for text in read) / max(1, int(lengths.sum())),
        list_fraction=share(_LIST_LINE.search(text) is not None for text in texts),
        heading_fraction=share(_HEADING_LINE.search(text) is not None for text in texts),
        paragraphs_fraction=share("\n\n" in text.strip() for text in texts),
        length_distance=_largest_difference(np.sort(lengths), np.array(dataset.lengths_words)),
    )


def token_classes(tokens: pl.DataFrame, texts: Sequence[str]) -> list[TokenClass]:
    """The class of every token of measured answers, in the order of the frame.

    A token that goes on with a word has the class of that word.

    Args:
        tokens: A frame of `audit.shift.TOKEN_SCHEMA`; `number` counts in `texts`.
        texts: The answers.
    """
    read: dict[int, _Read] = {}
    classes = []
    for number, start, end in tokens.select("number", "start", "end").iter_rows():
        if number not in read:
            read[number] = _Read(texts[number])
        classes.append(read[number].class_at(start, end))
    return classes


class _Read:
    """A text with its words and sentences."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.words: list[Token] = [token for token in tokenize_with_offsets(text) if is_word(token.text)]
        self._spans = [(start, end) for start, end in sentence_spans(text) if text[start:end].strip()]
        self._first_words, of_sentences = set(), []
        place = 0
        for _, end in self._spans:
            begin = place
            while place < len(self.words) and self.words[place].start < end:
                place += 1
            if place > begin:
                self._first_words.add(begin)
                of_sentences.append(" ".join(word.text for word in self.words[begin : min(place, begin + _OPENER_WORDS)]))
        self.sentence_openers: list[str] = of_sentences
        self._in_marker, self.n_markers = self._markers()
        self._next = 0

    @property
    def opener(self) -> str:
        """The first two words; empty without a word."""
        return self.sentence_openers[0] if self.sentence_openers else ""

    @property
    def n_sentences(self) -> int:
        """Sentences with something visible."""
        return len(self._spans)

    def class_at(self, start: int, end: int) -> TokenClass:
        """The class of the token at some place; asked in the order of the text."""
        piece = self._text[start:end]
        anchor = start + len(piece) - len(piece.lstrip())
        while self._next and self.words[self._next - 1].end > anchor:
            self._next -= 1
        while self._next < len(self.words) and self.words[self._next].end <= anchor:
            self._next += 1
        if not piece.strip() or self._next == len(self.words) or self.words[self._next].start > anchor:
            return TokenClass.LAYOUT
        if self._next in self._first_words:
            return TokenClass.OPENER
        if self._next in self._in_marker:
            return TokenClass.MARKER
        return TokenClass.FUNCTION if self.words[self._next].text in FUNCTION_WORDS else TokenClass.CONTENT

    def _markers(self) -> tuple[set[int], int]:
        """The words that belong to a marker, and how many markers there are; the longest one at a place counts."""
        inside: set[int] = set()
        count, place = 0, 0
        texts = [word.text for word in self.words]
        while place < len(texts):
            longest = min(_MOST_MARKER_WORDS, len(texts) - place)
            length = next((n for n in range(longest, 0, -1) if " ".join(texts[place : place + n]) in MARKERS), 0)
            inside.update(range(place, place + length))
            count += length > 0
            place += max(length, 1)
        return inside, count


def _most_frequent(openers: Iterable[str]) -> tuple[str, ...]:
    counts = Counter(opener for opener in openers if opener)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(opener for opener, count in ordered[:N_OPENERS] if count > 1)


def _largest_difference(lengths: np.ndarray, others: np.ndarray) -> float:
    """Kolmogorov and Smirnov's distance of two ascending samples."""
    places = np.concatenate([lengths, others])
    shares = [np.searchsorted(sample, places, side="right") / len(sample) for sample in (lengths, others)]
    return float(np.abs(shares[0] - shares[1]).max())
