"""Where the sentences of responses begin, told by the tokens of the base model: arrays over many responses at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.shift.profile import start_length
from audit.shift.sentences import sentence_spans
from audit.signals.base_words import Block, characters_of, of_characters

__all__ = ["Initiation", "initiation_of"]


@dataclass(frozen=True)
class Initiation:
    """Where sentences begin; all arrays of shape `(n_tokens,)`.

    Attributes:
        sentence: The sentence of each token, numbered through the block.
        is_start: Whether it is among the first max(1, ⌈0.05 n⌉) of the sentence's n tokens.
        is_rest: Whether it is none of these, and does not only finish a word that one of them begins.
    """

    sentence: NDArray[np.int64]
    is_start: NDArray[np.bool_]
    is_rest: NDArray[np.bool_]


def initiation_of(block: Block) -> Initiation:
    """The tokens with which sentences begin.

    A token belongs to the sentence in which its first visible character stands, or where it shows none its first.
    """
    characters = characters_of(block.texts)
    is_shown = of_characters(characters, str.isspace)
    np.logical_not(is_shown, out=is_shown)
    places = np.where(is_shown, np.arange(len(characters)), len(characters))
    next_shown = np.minimum.accumulate(places[::-1])[::-1] if len(places) else places
    starts, ends = block.starts, block.ends
    anchor = next_shown[np.minimum(starts, len(characters) - 1)] if len(starts) else starts
    anchor = np.where(anchor < ends, anchor, starts)
    sentence_ends = np.array(
        [base + end for base, text in zip(block.base.tolist(), block.texts, strict=True) for _, end in sentence_spans(text)],
        np.int64,
    )
    # Two texts never share a sentence: the ends of one lie before the other's first character.
    sentence = np.searchsorted(sentence_ends, anchor, side="right")
    sentence = np.maximum.accumulate(sentence) if len(sentence) else sentence
    owner = np.repeat(np.arange(len(block.texts)), np.diff(block.bounds))
    begins = np.ones(len(sentence), bool)
    begins[1:] = (sentence[1:] != sentence[:-1]) | (owner[1:] != owner[:-1])
    number = np.cumsum(begins) - 1
    n_tokens = np.bincount(number)
    n_start = np.array([start_length(int(n)) for n in range(n_tokens.max(initial=0) + 1)])[n_tokens]
    place = np.arange(len(number)) - np.flatnonzero(begins)[number]
    is_start = place < n_start[number]
    is_letter = of_characters(characters, str.isalnum)
    goes_on = is_letter[anchor] & is_letter[np.maximum(anchor - 1, 0)] & (anchor > 0) & ~begins
    # A run of pieces of one word, back to the piece that begins it.
    head = np.maximum.accumulate(np.where(goes_on, 0, np.arange(len(number))))
    return Initiation(number, is_start, ~is_start & ~(goes_on & is_start[head]))
