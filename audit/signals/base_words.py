"""Words of responses beside what the base model makes of their tokens: arrays over many responses at once.

Characters, tokens and words are numbered through a whole block of responses laid end to end, so that one search finds the
tokens of every word. Words are told apart by a 64-bit hash of their small letters, for which no Python loop is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.materials import Materials

__all__ = ["Block", "Words", "blocks", "characters_of", "hashes_of", "of_characters", "words_of"]

_RESPONSES_PER_BLOCK = 4096
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_MIXER = np.uint64(0xFF51AFD7ED558CCD)
_STOPS = ".!?…。！？:;\n-–—•|#"


@dataclass(frozen=True)
class Block:
    """Some consecutive responses and their tokens.

    Attributes:
        numbers: Number of each response among those of the materials.
        rows, turns: Where each stands.
        prompts, texts: What they say.
        bounds: Where the tokens of each begin, and the end; shape `(n_texts + 1,)`.
        tokens: A frame of `audit.signals.base_model.TOKEN_SCHEMA`.
        base: Character at which each text begins; shape `(n_texts,)`.
    """

    numbers: NDArray[np.int64]
    rows: Sequence[int]
    turns: Sequence[int]
    prompts: Sequence[str]
    texts: Sequence[str]
    bounds: NDArray[np.int64]
    tokens: pl.DataFrame
    base: NDArray[np.int64]

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where each token begins, in characters of the block."""
        return self.tokens["start"].to_numpy().astype(np.int64) + np.repeat(self.base, np.diff(self.bounds))

    @property
    def ends(self) -> NDArray[np.int64]:
        """Where each token ends."""
        return self.tokens["end"].to_numpy().astype(np.int64) + np.repeat(self.base, np.diff(self.bounds))

    @property
    def ranks(self) -> NDArray[np.int64]:
        """The rank of each token, from 1."""
        return self.tokens["rank"].to_numpy().astype(np.int64)


@dataclass(frozen=True)
class Words:
    """The words of a block that lie within measured tokens; all arrays of shape `(n_words,)`.

    Attributes:
        text: Place of the response within the block.
        start, end: Where the word stands in its response, in code points.
        key: Hash of its small letters.
        log_p: Sum over its tokens, in nats.
        rank: The worst of its tokens.
        first, last: Its first and last token within the block.
        has_digit, has_capital: What it is written with.
        begins_sentence: Whether nothing, or a mark that ends or opens something, stands before it.
    """

    text: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    key: NDArray[np.uint64]
    log_p: NDArray[np.float64]
    rank: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    has_digit: NDArray[np.bool_]
    has_capital: NDArray[np.bool_]
    begins_sentence: NDArray[np.bool_]


def blocks(materials: Materials, responses: pl.DataFrame) -> Iterator[Block]:
    """Measured responses, some thousand at a time.

    Args:
        materials: With the base model's tokens.
        responses: Columns `response`, `row`, `turn`, `prompt` and `text`, in order.
    """
    tokens = materials.base_tokens
    n_tokens = np.bincount(tokens["response"].to_numpy(), minlength=materials.n_responses)
    bounds = np.concatenate([[0], np.cumsum(n_tokens)])
    for begin in range(0, responses.height, _RESPONSES_PER_BLOCK):
        part = responses[begin : begin + _RESPONSES_PER_BLOCK]
        numbers = part["response"].to_numpy().astype(np.int64)
        low, high = int(bounds[numbers[0]]), int(bounds[numbers[-1] + 1])
        within = tokens[low:high]
        if high - low != int(n_tokens[numbers].sum()):  # responses between them were left out
            within = within.filter(pl.col("response").is_in(numbers))
        texts = part["text"].to_list()
        lengths = np.array([len(text) + 1 for text in texts], np.int64)  # a line break between two
        yield Block(
            numbers=numbers,
            rows=part["row"].to_list(),
            turns=part["turn"].to_list(),
            prompts=part["prompt"].to_list(),
            texts=texts,
            bounds=np.concatenate([[0], np.cumsum(n_tokens[numbers])]),
            tokens=within,
            base=np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64),
        )


def words_of(block: Block) -> Words:
    """The words of every response of a block: runs of letters and digits, an apostrophe or hyphen ending one."""
    characters = characters_of(block.texts)
    start, end, key = _runs(characters)
    text = np.searchsorted(block.base, start, side="right") - 1
    first = np.searchsorted(block.ends, start, side="right")
    last = np.searchsorted(block.starts, end, side="left") - 1
    is_measured = (last >= first) & (first >= block.bounds[text]) & (last < block.bounds[text + 1])
    if is_measured.any():  # of a word that was cut, some tokens are there
        is_measured &= block.starts[np.minimum(first, len(block.starts) - 1)] <= start
        is_measured &= block.ends[last] >= end
    start, end, text, first, last = (array[is_measured] for array in (start, end, text, first, last))
    key = key[is_measured]
    log_p = np.concatenate([[0.0], np.cumsum(block.tokens["log_p"].to_numpy().astype(np.float64))])
    return Words(
        text=text,
        start=start - block.base[text],
        end=end - block.base[text],
        key=key,
        log_p=log_p[last + 1] - log_p[first],
        rank=_most_within(block.ranks, first, last),
        first=first,
        last=last,
        has_digit=_any_within(of_characters(characters, str.isdigit), start, end),
        has_capital=of_characters(characters, str.isupper)[start],
        begins_sentence=_after_a_stop(characters, start),
    )


def hashes_of(texts: Sequence[str], *, other_number: bool = False) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """The number of its text, and the hash, of every word of some texts.

    Args:
        texts: The texts.
        other_number: Whether an English plural is told as its singular too, and the other way round, as far as an s does it.
    """
    base = np.concatenate([[0], np.cumsum([len(text) + 1 for text in texts])])
    characters = characters_of(texts)
    start, end, key = _runs(characters)
    number = np.searchsorted(base, start, side="right") - 1
    if not other_number or not len(start):
        return number, key
    of_s = _letters(np.array([ord("s")], np.uint32))[0]
    weights = _powers(int((end - start).max()) + 1)
    ends_so = _lowered(characters)[end - 1] == ord("s")
    other = np.where(ends_so, key - of_s * weights[end - start - 1], key + of_s * weights[end - start])
    return np.concatenate([number, number]), np.concatenate([key, other])


def _runs(characters: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64]]:
    """Start, end and hash of every run of letters and digits."""
    is_word = np.concatenate([[False], of_characters(characters, str.isalnum), [False]])
    edges = np.flatnonzero(is_word[1:] != is_word[:-1])
    start, end = edges[::2], edges[1::2]
    if not len(start):
        return start, end, np.zeros(0, np.uint64)
    began = np.zeros(len(characters), np.int64)
    began[start] = start
    place = np.arange(len(characters)) - np.maximum.accumulate(began)
    inside = is_word[1:-1]
    longest = int((end - start).max())
    terms = np.where(inside, _letters(characters) * _powers(longest)[np.minimum(place, longest - 1)], np.uint64(0))
    return start, end, np.add.reduceat(terms, start)


def _letters(characters: NDArray[np.uint32]) -> NDArray[np.uint64]:
    letters = (_lowered(characters).astype(np.uint64) + np.uint64(1)) * _MIXER
    return letters ^ (letters >> np.uint64(29))


def _powers(n: int) -> NDArray[np.uint64]:
    return np.cumprod(np.full(n, _FACTOR), dtype=np.uint64)


def characters_of(texts: Iterable[str]) -> NDArray[np.uint32]:
    """The code points of texts, a line break after each."""
    whole = "\n".join(texts) + "\n"
    return np.frombuffer(whole.encode("utf-32-le", "surrogatepass"), np.uint32)


def of_characters(characters: NDArray[np.uint32], kind: Callable[[str], bool]) -> NDArray[np.bool_]:
    """Whether each character is of a kind, which is asked once for each that occurs."""
    return _mapped(characters, kind).astype(bool)


def _lowered(characters: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Small letters; a letter whose small form is two characters stays as it is."""
    return _mapped(characters, lambda letter: ord(small) if len(small := letter.lower()) == 1 else ord(letter))


def _mapped(characters: NDArray[np.uint32], function: Callable[[str], int]) -> NDArray[np.uint32]:
    occurs = np.zeros(int(characters.max(initial=0)) + 1, bool)
    occurs[characters] = True
    table = np.zeros(len(occurs), np.uint32)
    for number in np.flatnonzero(occurs).tolist():
        table[number] = function(chr(number))
    return table[characters]


def _after_a_stop(characters: NDArray[np.uint32], start: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the last character before each place that is neither a space nor a quotation mark ends or opens something."""
    is_passed = of_characters(characters, lambda character: character in " \t\"'“”‘’«»*_(")
    places = np.where(is_passed, -1, np.arange(len(characters)))
    before = np.concatenate([[-1], np.maximum.accumulate(places)[:-1]])[start]
    is_stop = of_characters(characters, lambda character: character in _STOPS)
    begins: NDArray[np.bool_] = (before < 0) | is_stop[np.maximum(before, 0)]
    return begins


def _any_within(marks: NDArray[np.bool_], start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.bool_]:
    count = np.concatenate([[0], np.cumsum(marks)])
    return count[end] > count[start]


def _most_within(values: NDArray[np.int64], first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.int64]:
    """The largest value of each range, whose last place is part of it."""
    if not len(first):
        return np.zeros(0, np.int64)
    edges = np.stack([first, last + 1], axis=1).ravel()
    return np.maximum.reduceat(np.append(values, 0), edges)[::2]
