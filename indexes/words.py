"""Words: one normalisation and one tokenizer for every lexical index.

A token is a run of letters and digits with their marks, one ideograph or other sign of a script written without
spaces, or one other symbol, after Unicode compatibility normalisation (NFKC), case folding and unification of
typographic quotes and dashes; characters that show nothing (soft hyphens, zero-width spaces, byte order marks) count
for nothing. Offsets are in Unicode code points of the *original* text. ASCII text, the common case, takes a path
without normalisation; the tests compare both.

Source: Unicode Standard Annex 15 (normalisation forms) and section 3.13 (caseless matching).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexes.store import read_array, read_bytes, write_array, write_bytes

__all__ = [
    "Token",
    "WordStream",
    "is_word",
    "load_vocabulary",
    "normalize",
    "save_vocabulary",
    "tokenize",
    "tokenize_with_offsets",
]

# Scripts written without spaces between words: Thai, Lao, Myanmar, Khmer, kana, Han. One sign is one token.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Vowel signs of Indic scripts, Hebrew points, accents without a composed form; `\w` knows only letters and digits.
_MARKS = "".join(char for char in map(chr, range(0x300, 0x1F000)) if unicodedata.category(char)[0] == "M")
_TOKEN = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[\w{_MARKS}])+|[^\w\s]")
# Outside re.ASCII, the four information separators are white space too.
_ASCII_TOKEN = re.compile(r"\w+|[^\w\s\x1c-\x1f]", re.ASCII)
_INVISIBLE = (0xAD, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF)
_VARIATIONS = range(0xFE00, 0xFE10)  # the choice between text and emoji style, for one
_TYPOGRAPHY = dict.fromkeys((*_INVISIBLE, *_VARIATIONS)) | str.maketrans(
    {"‘": "'", "’": "'", "ʼ": "'", "“": '"', "”": '"', "‐": "-", "‑": "-", "–": "-", "—": "-", "−": "-"}
)


@dataclass(frozen=True, slots=True)
class Token:
    """A normalised token and where it stands in the original text, in code points, end exclusive."""

    text: str
    start: int
    end: int


def normalize(text: str) -> str:
    """NFKC, case folding, plain quotes and dashes, cluster by cluster, so that offsets can be followed."""
    if text.isascii():
        return text.lower()
    if not any(_joins_previous(char) for char in set(text)):
        return text.translate(_NORMAL_OF_CHARACTER)
    return "".join(_normalize_cluster(text[start:end]) for start, end in _clusters(text))


def tokenize(text: str) -> list[str]:
    """The normalised tokens of a text, in order."""
    if text.isascii():
        return _ASCII_TOKEN.findall(text.lower())
    return _TOKEN.findall(normalize(text))


def tokenize_with_offsets(text: str) -> list[Token]:
    """As `tokenize`, each token with the span of the original text that it came from."""
    if text.isascii():
        return [Token(m.group(), m.start(), m.end()) for m in _ASCII_TOKEN.finditer(text.lower())]
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for start, end in _clusters(text):
        normal = _normalize_cluster(text[start:end])
        parts.append(normal)
        starts.extend([start] * len(normal))
        ends.extend([end] * len(normal))
    return [Token(m.group(), starts[m.start()], ends[m.end() - 1]) for m in _TOKEN.finditer("".join(parts))]


def is_word(token: str) -> bool:
    """Whether a token is a word, number or ideograph, as opposed to punctuation."""
    return token[0].isalnum() or token[0] == "_" or len(token) > 1


@dataclass(frozen=True)
class WordStream:
    """The tokens of many texts as numbers, one after the other: tokenized once, shared by every lexical index.

    Attributes:
        vocabulary: The distinct tokens, in order of first appearance.
        ids: int32, shape `(n_tokens,)`: positions in the vocabulary.
        offsets: int64, shape `(n_texts + 1,)`: text `i` is `ids[offsets[i]:offsets[i + 1]]`.
    """

    vocabulary: Sequence[str]
    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Iterable[str], vocabulary: Sequence[str] = ()) -> WordStream:
        """Tokenize texts; tokens of `vocabulary` keep the numbers that they have there, new ones follow."""
        number_of = {token: number for number, token in enumerate(vocabulary)}
        parts: list[NDArray[np.int32]] = []
        lengths = [0]
        for text in texts:
            numbers = [number_of.setdefault(token, len(number_of)) for token in tokenize(text)]
            parts.append(np.array(numbers, dtype=np.int32))
            lengths.append(len(numbers))
        ids = np.concatenate(parts) if parts else np.empty(0, np.int32)
        return cls(list(number_of), ids, np.cumsum(lengths, dtype=np.int64))

    @cached_property
    def number_of(self) -> dict[str, int]:
        """Token -> its number in the vocabulary."""
        return {token: number for number, token in enumerate(self.vocabulary)}

    @cached_property
    def words(self) -> NDArray[np.bool_]:
        """Which tokens of the vocabulary are words, numbers or ideographs; shape `(n_vocabulary,)`."""
        return np.fromiter((is_word(token) for token in self.vocabulary), np.bool_, len(self.vocabulary))

    @property
    def n_texts(self) -> int:
        """How many texts."""
        return len(self.offsets) - 1

    def text_of_position(self) -> NDArray[np.int32]:
        """For every token, the number of its text; shape `(n_tokens,)`."""
        return np.repeat(np.arange(self.n_texts, dtype=np.int32), np.diff(self.offsets))

    def take(self, texts: NDArray[np.integer]) -> WordStream:
        """Some of the texts, in the order given, each as often as it is named."""
        lengths = np.diff(self.offsets)[texts]
        ends = np.cumsum(lengths)
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
        ids = self.ids[np.repeat(self.offsets[texts], lengths) + within]
        return WordStream(self.vocabulary, ids, np.concatenate([[0], ends]).astype(np.int64))

    def grouped(self, group_of_text: NDArray[np.integer], n_groups: int) -> WordStream:
        """Texts laid end to end by group: one text per group, empty where it has none; groups as in `joined`."""
        of_group = np.bincount(group_of_text, weights=np.diff(self.offsets), minlength=n_groups).astype(np.int64)
        return WordStream(self.vocabulary, self.ids, np.concatenate([[0], np.cumsum(of_group)]).astype(np.int64))

    def joined(self, other: WordStream, group_of_text: NDArray[np.integer], n_groups: int) -> WordStream:
        """Texts of two streams, laid end to end by group: `self`'s text 0, `other`'s text 0, then text 1 of each.

        Args:
            other: As many texts; its vocabulary is the longer one, where they differ.
            group_of_text: For every text its group, ascending, shape `(n_texts,)`.
            n_groups: How many groups; those without a text are empty.
        """
        starts = np.stack([self.offsets[:-1], other.offsets[:-1] + len(self.ids)], axis=1).ravel()
        lengths = np.stack([np.diff(self.offsets), np.diff(other.offsets)], axis=1).ravel()
        ends = np.cumsum(lengths)
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
        ids = np.concatenate([self.ids, other.ids])[np.repeat(starts, lengths) + within]
        of_group = np.bincount(np.repeat(group_of_text, 2), weights=lengths, minlength=n_groups).astype(np.int64)
        return WordStream(other.vocabulary, ids, np.concatenate([[0], np.cumsum(of_group)]).astype(np.int64))

    def save(self, folder: Path, name: str) -> list[str]:
        """Write `NAME.ids.npy` and `NAME.offsets.npy`, not the vocabulary, which streams share; the file names."""
        write_array(folder / f"{name}.ids.npy", self.ids)
        write_array(folder / f"{name}.offsets.npy", self.offsets)
        return [f"{name}.ids.npy", f"{name}.offsets.npy"]

    @classmethod
    def load(cls, folder: Path, name: str, vocabulary: Sequence[str]) -> WordStream:
        """What `save` wrote."""
        ids, offsets = read_array(folder / f"{name}.ids.npy"), read_array(folder / f"{name}.offsets.npy")
        return cls(vocabulary, ids.astype(np.int32, copy=False), offsets.astype(np.int64, copy=False))


def save_vocabulary(path: Path, vocabulary: Sequence[str]) -> None:
    """One token a line; no token holds white space."""
    write_bytes(path, "\n".join(vocabulary).encode())


def load_vocabulary(path: Path) -> list[str]:
    """What `save_vocabulary` wrote."""
    content = read_bytes(path).decode()
    return content.split("\n") if content else []


def _normalize_cluster(cluster: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", cluster).casefold())
    return folded.translate(_TYPOGRAPHY)


class _NormalOfCharacter(dict[int, str]):
    """Each character's normal form, computed once: `str.translate` then runs at C speed."""

    def __missing__(self, code: int) -> str:
        self[code] = normal = _normalize_cluster(chr(code))
        return normal


_NORMAL_OF_CHARACTER = _NormalOfCharacter()


def _clusters(text: str) -> list[tuple[int, int]]:
    """Spans that normalise independently: a base character with the marks or Hangul letters that may join it."""
    boundaries = [i for i, char in enumerate(text) if not (i and _joins_previous(char))]
    return list(zip(boundaries, [*boundaries[1:], len(text)], strict=True))


@cache
@cache
def _joins_previous(char: str) -> bool:
    first = unicodedata.normalize("NFKC", char)[0]  # half-width sound marks and Hangul letters have forms that join
    return unicodedata.category(first)[0] == "M" or "\u1160" <= first <= "\u11ff"
