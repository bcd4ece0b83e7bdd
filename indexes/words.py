"""Words: one normalisation and one tokenizer for every lexical index.

A token is a run of letters and digits with their marks, one sign of a script written without spaces, or one other
symbol, after Unicode compatibility normalisation (NFKC), case folding and unification of typographic quotes and dashes;
characters that show nothing (soft hyphens, zero-width spaces, byte order marks) count for nothing. Offsets are in Unicode
code points of the *original* text. ASCII text, the common case, takes a path without normalisation; the tests compare
both.

Scripts without spaces between words are those of Unicode's line break class SA (Thai, Lao, Myanmar, Khmer and their
neighbours) and ideographs with kana and bopomofo. A *sign* is one letter of them with its marks, never less than what a
reader sees as one character, so a phrase is found wherever it stands in a run of them. One sign says little, so BM25 and
shingles count two neighbouring signs as one *term*, each sign being half of two terms; a sign without a neighbour is a term
by itself, as is every other word. That is Lucene's rule for Chinese and Japanese (CJKBigramFilter), here for all these
scripts. Splitting into words by dictionary was the alternative: one dictionary per language, words that it does not know,
and other words with the next version of it. Tibetan marks its syllables and Korean its words, which are tokens as they
stand.

Source: Unicode Standard Annexes 14 (line breaking), 15 (normalisation forms) and 29 (text segmentation), section 3.13
(caseless matching); Nie et al. (2000) for pairs of ideographs against words in retrieval.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexes.store import read_array, read_bytes, write_array, write_bytes

__all__ = [
    "Terms",
    "Token",
    "WordStream",
    "is_sign",
    "is_word",
    "load_vocabulary",
    "normalize",
    "save_vocabulary",
    "terms_of",
    "tokenize",
    "tokenize_with_offsets",
]

# Letters and marks of the scripts without spaces, without their digits, which make numbers as others do. Classes of `re`
# that reach beyond the first 65,536 characters take ten times as long; hence two of each.
_UNSPACED = (
    "\u0e00-\u0e4f\u0e5a-\u0ecf\u0eda-\u0eff"  # Thai, Lao
    "\u1000-\u103f\u104a-\u108f\u109a-\u109f\ua9e0-\ua9ef\ua9fa-\ua9ff\uaa60-\uaa7f"  # Myanmar
    "\u1780-\u17df\u17f0-\u17ff"  # Khmer
    "\u1950-\u19cf\u1a20-\u1a7f\u1a9a-\u1aaf\uaa80-\uaadf"  # Tai Le, New Tai Lue, Tai Tham, Tai Viet
    "\u3005-\u3007\u3021-\u3029\u3038-\u303b"  # signs used among ideographs
    "\u3040-\u30ff\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff"  # kana, bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # ideographs
)
_UNSPACED_HIGH = (
    "\U00011700-\U0001172f\U00011740-\U0001174f"  # Ahom
    "\U00016fe3\U00016ff0-\U00016fff\U0001aff0-\U0001b16f\U00020000-\U0003ffff"  # kana and ideographs again
)
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]|[{_UNSPACED_HIGH}]")


def _class_of(chars: Iterable[str]) -> str:
    """Characters, ascending, as the inside of a class of `re`."""
    ranges: list[list[int]] = []
    for code in map(ord, chars):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{re.escape(chr(first))}-{re.escape(chr(last))}" for first, last in ranges)


# Vowel signs of Indic scripts, Hebrew points, accents without a composed form; `\w` knows only letters and digits.
_MARKS, _MARKS_HIGH = (
    _class_of(char for char in map(chr, codes) if unicodedata.category(char)[0] == "M")
    for codes in (range(0x300, 0x10000), range(0x10000, 0x1F000))
)
_LETTERS = _class_of(re.findall(rf"(?![{_UNSPACED}])[\w{_MARKS}]", "".join(map(chr, range(0x10000)))))
_LETTER_HIGH = rf"(?![{_UNSPACED_HIGH}])(?=[\w{_MARKS_HIGH}])[\U00010000-\U0010ffff]"
# After a letter its marks, what a stacker puts below it, and the second half that NFKC makes of the vowel am.
_SIGN = (
    rf"(?:[{_UNSPACED}]|[{_UNSPACED_HIGH}])"
    rf"(?:[{_MARKS}]|[{_MARKS_HIGH}]|(?<=[\u1039\u17d2\u1a60])[{_UNSPACED}]|(?<=\u0e4d)\u0e32|(?<=\u0ecd)\u0eb2)*"
)
_TOKEN = re.compile(rf"{_SIGN}|(?:[{_LETTERS}]+|{_LETTER_HIGH})+|[^\w\s]")
# Outside re.ASCII, the four information separators are white space too.
_ASCII_TOKEN = re.compile(r"\w+|[^\w\s\x1c-\x1f]", re.ASCII)
_INVISIBLE = (0xAD, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF)
_VARIATIONS = (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))  # text or emoji style; forms of ideographs
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


def is_sign(token: str) -> bool:
    """Whether a token is a sign of a script without spaces between words; its punctuation is none."""
    return not token.isascii() and _IS_UNSPACED.match(token) is not None and is_word(token)


def terms_of(tokens: Sequence[str]) -> list[tuple[str, ...]]:
    """What BM25 and shingles count of a text, in order: words, and pairs of neighbouring signs; no punctuation.

    The twin of `WordStream.terms`, for one text.
    """
    signs = [is_sign(token) for token in tokens]
    terms: list[tuple[str, ...]] = []
    for place, token in enumerate(tokens):
        if signs[place] and signs[place + 1 : place + 2] == [True]:
            terms.append((token, tokens[place + 1]))
        elif is_word(token) and not (signs[place] and place and signs[place - 1]):
            terms.append((token,))
    return terms


class Terms(NamedTuple):
    """What BM25 and shingles count of the texts of a stream: words, and pairs of neighbouring signs; no punctuation.

    Attributes:
        first: int32, shape `(n_terms,)`: a word, or the first sign of a pair, as its number in the vocabulary.
        second: int32, same shape: the second sign; -1 for a word, or a sign without a neighbour.
        text: int32, same shape, ascending: the text.
    """

    first: NDArray[np.int32]
    second: NDArray[np.int32]
    text: NDArray[np.int32]


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
        number_of = defaultdict(count(len(vocabulary)).__next__, zip(vocabulary, range(len(vocabulary)), strict=True))
        ids = array("i")
        lengths = [0]
        for text in texts:
            before = len(ids)
            ids.extend(map(number_of.__getitem__, tokenize(text)))
            lengths.append(len(ids) - before)
        return cls(list(number_of), np.array(ids, np.int32), np.cumsum(lengths, dtype=np.int64))

    @cached_property
    def number_of(self) -> dict[str, int]:
        """Token -> its number in the vocabulary."""
        return {token: number for number, token in enumerate(self.vocabulary)}

    @cached_property
    def words(self) -> NDArray[np.bool_]:
        """Which tokens of the vocabulary are words, numbers or ideographs; shape `(n_vocabulary,)`."""
        return np.fromiter((is_word(token) for token in self.vocabulary), np.bool_, len(self.vocabulary))

    @cached_property
    def signs(self) -> NDArray[np.bool_]:
        """Which tokens of the vocabulary are signs of scripts without spaces; shape `(n_vocabulary,)`."""
        return np.fromiter((is_sign(token) for token in self.vocabulary), np.bool_, len(self.vocabulary))

    @property
    def n_texts(self) -> int:
        """How many texts."""
        return len(self.offsets) - 1

    def text_of_position(self) -> NDArray[np.int32]:
        """For every token, the number of its text; shape `(n_tokens,)`."""
        return np.repeat(np.arange(self.n_texts, dtype=np.int32), np.diff(self.offsets))

    def terms(self) -> Terms:
        """What BM25 and shingles count; the twin for one text is `terms_of`."""
        kept, text = self.words[self.ids], self.text_of_position()
        if not self.signs.any():
            first = self.ids[kept]
            return Terms(first, np.full(len(first), -1, np.int32), text[kept])
        sign = self.signs[self.ids]
        begins = np.zeros(len(sign), bool)  # whether a pair begins here
        begins[:-1] = sign[:-1] & sign[1:] & (text[:-1] == text[1:])
        ends = np.zeros(len(sign), bool)
        ends[1:] = begins[:-1]
        kept &= begins | ~ends
        following = np.append(self.ids[1:], np.int32(-1))
        return Terms(self.ids[kept], np.where(begins, following, np.int32(-1))[kept], text[kept])

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
