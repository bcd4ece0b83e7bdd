"""What a response looks like, apart from what it says: traits of its form as numbers, topic words masked.

Three blocks per response. *Traits*: sentence rhythm, length of words, punctuation, layout. *Grammar*: how often each word
of grammar, discourse marker and hedge occurs. *Forms*: runs of up to three words, and how the response begins and ends,
where every word that is not one of style stands as the class of its ending. The word lists are English, so are the
features.

The profile of frequent words is Burrows's (2002), 'Delta': a measure of stylistic difference; rates are taken as square
roots, which evens their variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from audit.style.lexicon import FUNCTION_WORDS, HEDGES, MARKERS
from indexes.words import WordStream

__all__ = ["GRAMMAR", "TRAITS", "StyleFeatures", "style_features"]

# Line and paragraph breaks, which the word stream drops, as characters that it keeps.
_LINE, _PARAGRAPH = "\x02", "\x03"

# Words that stand around an answer and name no topic.
_FRAME = (
    "sure sorry glad happy hope help helps helpful great good question answer answers following below above example "
    "examples list step steps first second third next last finally note important key main include includes "
    "including summary conclusion ai language model assistant yes ok okay please thank thanks like likes used using "
    "use make makes way ways one two three"
).split()
GRAMMAR: tuple[str, ...] = tuple(
    sorted(FUNCTION_WORDS | set(_FRAME) | {word for phrase in MARKERS | HEDGES for word in phrase.split() if word.isalpha()})
)
"""The words that are kept as they are; all others are masked."""

_ENDINGS = (
    "tion", "sion", "ment", "ness", "ance", "ence", "able", "ible", "ship", "ing", "est", "ive", "ous", "ity", "ful", "ism",
    "ist", "ed", "ly", "er", "al", "ic", "es", "s",
)  # fmt: skip
_PUNCTUATION = (*".,;:!?()[]{}\"'-*#`/%$&=+<>|_\\~@^", _LINE, _PARAGRAPH)
_NUMBER, _OTHER_SIGN, _WORD = "#0", "#sign", "#word"
_CLASSES = (*GRAMMAR, *_PUNCTUATION, _NUMBER, _OTHER_SIGN, _WORD, *(f"-{ending}" for ending in _ENDINGS))
_CLASS_NUMBER = {name: number for number, name in enumerate(_CLASSES)}
_N_CLASSES = len(_CLASSES)
_SENTENCE_ENDS = np.array([_CLASS_NUMBER[sign] for sign in (".", "!", "?", _LINE, _PARAGRAPH)])
_BREAKS = np.array([_CLASS_NUMBER[_LINE], _CLASS_NUMBER[_PARAGRAPH]])
_SIGNS = np.array([_CLASS_NUMBER[sign] for sign in (*_PUNCTUATION, _OTHER_SIGN)])

_LAYOUT: tuple[tuple[str, str], ...] = (
    ("numbered lines", r"(?m)^[ \t]*\(?\d{1,3}[.):][ \t]"),
    ("bulleted lines", r"(?m)^[ \t]*[-*•+–][ \t]"),
    ("headings", r"(?m)^[ \t]*(?:#{1,6}[ \t]|\*\*[^*\n]+\*\*:?[ \t]*$)"),
    ("lines that end in a colon", r"(?m):[ \t]*$"),
    ("table rows", r"(?m)^[ \t]*\|.*\|[ \t]*$"),
    ("code fences", r"(?m)^[ \t]*```"),
    ("bold phrases", r"\*\*[^*\n]+\*\*"),
)
_ENDS_TRAITS: tuple[tuple[str, str], ...] = (
    ("begins in lower case", r"^\s*\p{Ll}"),
    ("begins with a quotation mark", r"^\s*[\"'“‘]"),
    ("first line ends in a colon", r"^\s*[^\n]*:[ \t]*(?:\n|$)"),
    ("ends its last sentence", r"[.!?…][\"'”’)\]]*\s*$"),
    ("ends in a question", r"\?[\"'”’)]*\s*$"),
    ("ends in an exclamation", r"![\"'”’)]*\s*$"),
)
_RHYTHM = (
    "words of a sentence", "spread of sentence lengths", "words of the first sentence", "words of the last sentence",
    "words of the longest sentence", "letters of a word", "words of 7 letters or more", "words of 10 letters or more",
    "distinct words", "capital letters", "numbers", "lines", "paragraph breaks per line", "words per line",
)  # fmt: skip
TRAITS: tuple[str, ...] = (
    *_RHYTHM,
    *(f"{name} per line" for name, _ in _LAYOUT),
    *(name for name, _ in _ENDS_TRAITS),
    *(f"{sign} per word" for sign in _PUNCTUATION if sign not in (_LINE, _PARAGRAPH)),
)
"""The names of the traits, in their order."""

_FORM_BUCKETS, _END_BUCKETS = 1 << 14, 1 << 13
_LONGEST_FORM, _LONGEST_END = 3, 3
_CHUNK = 50_000


@dataclass(frozen=True)
class StyleFeatures:
    """The form of some texts.

    Attributes:
        n_words: int32, shape `(n_texts,)`: words, without punctuation.
        traits: float32, shape `(n_texts, len(TRAITS))`; lengths as logarithms, rates as square roots, shares as they are.
        grammar: float32, shape `(n_texts, len(GRAMMAR))`: square roots of rates per word.
        forms: float32, sparse, shape `(n_texts, 16384)`: masked runs of one to three tokens, hashed; logarithms of counts.
        ends: float32, sparse, shape `(n_texts, 8192)`: the first and last one to three tokens, hashed.
    """

    n_words: NDArray[np.int32]
    traits: NDArray[np.float32]
    grammar: NDArray[np.float32]
    forms: sparse.csr_array
    ends: sparse.csr_array


def style_features(texts: Sequence[str] | pl.Series) -> StyleFeatures:
    """The form of every text, in their order."""
    series = texts if isinstance(texts, pl.Series) else pl.Series(list(texts), dtype=pl.String)
    parts = [_features(series.slice(start, _CHUNK)) for start in range(0, max(len(series), 1), _CHUNK)]
    return StyleFeatures(
        np.concatenate([part.n_words for part in parts]),
        np.concatenate([part.traits for part in parts]),
        np.concatenate([part.grammar for part in parts]),
        sparse.vstack([part.forms for part in parts], format="csr"),
        sparse.vstack([part.ends for part in parts], format="csr"),
    )


def _features(texts: pl.Series) -> StyleFeatures:
    stripped = texts.str.strip_chars()
    marked = stripped.str.replace_all(r"\r?\n[ \t]*(?:\r?\n\s*)+", f" {_PARAGRAPH} ").str.replace_all("\n", f" {_LINE} ")
    stream = WordStream.of(marked.to_list())
    classes = _classes_of(stream.vocabulary)[stream.ids]
    of_text = stream.text_of_position()
    n = stream.n_texts
    is_word = stream.words[stream.ids]
    n_words = np.bincount(of_text, weights=is_word, minlength=n)
    counts = np.bincount(of_text.astype(np.int64) * _N_CLASSES + classes, minlength=n * _N_CLASSES).reshape(n, _N_CLASSES)
    rates = np.sqrt(counts / np.maximum(n_words, 1)[:, None], dtype=np.float32, casting="unsafe")
    lines = 1 + counts[:, _BREAKS].sum(axis=1)
    traits = np.concatenate(
        [
            _rhythm(stream, classes, of_text, is_word, n_words, counts, lines, stripped),
            np.stack(
                [np.minimum(stripped.str.count_matches(pattern).to_numpy() / lines, 1.0) for _, pattern in _LAYOUT], axis=1
            ),
            np.stack([stripped.str.contains(pattern).to_numpy().astype(float) for _, pattern in _ENDS_TRAITS], axis=1),
            rates[:, len(GRAMMAR) : len(GRAMMAR) + len(_PUNCTUATION) - 2],
        ],
        axis=1,
        dtype=np.float32,
    )
    return StyleFeatures(
        n_words.astype(np.int32),
        traits,
        rates[:, : len(GRAMMAR)],
        _hashed(_runs(classes, of_text), n, _FORM_BUCKETS),
        _hashed(_ends(classes, stream.offsets), n, _END_BUCKETS),
    )


def _classes_of(vocabulary: Sequence[str]) -> NDArray[np.int64]:
    """The class of every token of a vocabulary."""
    return np.fromiter((_CLASS_NUMBER[_class_of(token)] for token in vocabulary), np.int64, len(vocabulary))


def _class_of(token: str) -> str:
    if token in _CLASS_NUMBER:
        return token
    if token[0].isdigit():
        return _NUMBER
    if not token[0].isalpha():
        return _OTHER_SIGN
    return next((f"-{end}" for end in _ENDINGS if token.endswith(end) and len(token) > len(end) + 2), _WORD)


def _rhythm(
    stream: WordStream,
    classes: NDArray[np.int64],
    of_text: NDArray[np.int32],
    is_word: NDArray[np.bool_],
    n_words: NDArray[np.floating | np.integer],
    counts: NDArray[np.integer],
    lines: NDArray[np.integer],
    stripped: pl.Series,
) -> NDArray[np.float64]:
    """The traits of `_RHYTHM`; shape `(n_texts, len(_RHYTHM))`."""
    n = stream.n_texts
    # A sentence goes to the next stop or break, or to the end of its text; those without a word are none.
    ends_here = np.isin(classes, _SENTENCE_ENDS)
    new_text = np.diff(of_text, prepend=-1) != 0
    begins = new_text | np.concatenate([[False], ends_here[:-1]])
    sentence = np.cumsum(begins) - 1
    lengths = np.bincount(sentence, weights=is_word).astype(float) if len(sentence) else np.zeros(0)
    owner = of_text[np.flatnonzero(begins)]
    lengths, owner = lengths[lengths > 0], owner[lengths > 0]
    n_sentences = np.maximum(np.bincount(owner, minlength=n), 1)
    mean = np.bincount(owner, weights=lengths, minlength=n) / n_sentences
    variance = np.bincount(owner, weights=(lengths - mean[owner]) ** 2, minlength=n) / n_sentences
    longest, first, last = np.zeros(n), np.zeros(n), np.zeros(n)
    np.maximum.at(longest, owner, lengths)
    first[owner[::-1]] = lengths[::-1]
    last[owner] = lengths
    letters = np.fromiter(map(len, stream.vocabulary), float, len(stream.vocabulary))[stream.ids]
    least = np.maximum(n_words, 1)

    def per_word(values: NDArray[np.floating | np.bool_]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(of_text, weights=values * is_word, minlength=n) / least)

    pairs = np.unique(of_text[is_word].astype(np.int64) * max(len(stream.vocabulary), 1) + stream.ids[is_word])
    distinct = np.bincount(pairs // max(len(stream.vocabulary), 1), minlength=n)
    characters = np.maximum(stripped.str.len_chars().to_numpy(), 1)
    return np.stack(
        [
            np.log1p(mean),
            np.sqrt(variance) / (mean + 1),
            np.log1p(first),
            np.log1p(last),
            np.log1p(longest),
            per_word(letters),
            per_word(letters >= 7),
            per_word(letters >= 10),
            distinct / least**0.7,  # the power at which it hardly depends on the length
            np.sqrt(stripped.str.count_matches(r"\p{Lu}").to_numpy() / characters),
            np.sqrt(counts[:, _CLASS_NUMBER[_NUMBER]] / least),
            np.log(lines),
            counts[:, _CLASS_NUMBER[_PARAGRAPH]] / lines,
            np.log1p(n_words / lines),
        ],
        axis=1,
    )


_Hashes = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Numbers of texts, and a hash for each."""


def _runs(classes: NDArray[np.int64], of_text: NDArray[np.int32]) -> list[_Hashes]:
    """The runs of one to `_LONGEST_FORM` tokens within texts."""
    runs, hashes = [], classes + 1
    for length in range(1, _LONGEST_FORM + 1):
        within = of_text[: len(of_text) - length + 1] == of_text[length - 1 :]
        runs.append((of_text[: len(within)][within].astype(np.int64), hashes[within]))
        hashes = hashes[:-1] * (_N_CLASSES + 1) + classes[length:] + 1
    return runs


def _ends(classes: NDArray[np.int64], offsets: NDArray[np.int64]) -> list[_Hashes]:
    """The first and the last one to `_LONGEST_END` tokens of every text."""
    ends = []
    starts, stops = offsets[:-1], offsets[1:]
    for side in (0, 1):
        hashes = np.full(len(starts), side, np.int64)
        for length in range(1, _LONGEST_END + 1):
            texts = np.flatnonzero(stops - starts >= length)
            place = starts[texts] + length - 1 if side == 0 else stops[texts] - length
            hashes[texts] = hashes[texts] * (_N_CLASSES + 1) + classes[place] + 1
            ends.append((texts, hashes[texts] * 8 + side * 4 + length))
    return ends


def _hashed(runs: Sequence[_Hashes], n: int, buckets: int) -> sparse.csr_array:
    """How often each hash stands in each text, as 1 + log of the count; shape `(n, buckets)`."""
    texts = np.concatenate([text for text, _ in runs])
    spread = np.concatenate([value for _, value in runs]).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    columns = (spread >> np.uint64(64 - int(np.log2(buckets)))).astype(np.int64)
    counted = sparse.coo_array((np.ones(len(texts), np.float32), (texts, columns)), shape=(n, buckets)).tocsr()
    counted.sum_duplicates()
    counted.data = 1 + np.log(counted.data)
    return counted
