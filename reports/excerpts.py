"""Pieces of text with marks: the part of a row that a finding is about, short enough to read, and what was left out.

Offsets are code points of the original text; the pieces become `visible` only where they are shown.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from indexes.words import tokenize_with_offsets

__all__ = ["Comparison", "Excerpt", "Piece", "Relation", "compare", "cut_excerpt", "spread_evenly"]

Span = tuple[int, int]

# Of the words in order, so many agree in rewordings of a prompt; answers that have nothing in common stay below 0.35.
_ALIKE = 0.4


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text, marked or not."""

    text: str
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A stretch of text around its marks; `n_before` and `n_after` characters were left out."""

    pieces: tuple[Piece, ...]
    n_before: int = 0
    n_after: int = 0


class Relation(StrEnum):
    """How two texts compare."""

    SAME = "same text"
    ALIKE = "alike"
    DIFFERENT = "different text"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two texts side by side, the words that differ marked where the texts are alike."""

    left: Excerpt
    right: Excerpt
    relation: Relation


def cut_excerpt(text: str, characters: int, spans: Sequence[Span] = (), around: int | None = None) -> Excerpt:
    """At most so many characters of a text.

    Args:
        text: The text.
        characters: How many.
        spans: What to mark, in order, not overlapping.
        around: The place that must be seen, with a quarter of the characters before it; without it, the first span.
    """
    if around is None:
        around = spans[0][0] if spans else 0
    start = max(0, min(around - characters // 4, len(text) - characters))
    end = min(len(text), start + characters)
    pieces: list[Piece] = []
    at = start
    for span_start, span_end in spans:
        mark_start, mark_end = max(span_start, at), min(span_end, end)
        if mark_start < mark_end:
            pieces += [Piece(text[at:mark_start]), Piece(text[mark_start:mark_end], marked=True)]
            at = mark_end
    pieces.append(Piece(text[at:end]))
    return Excerpt(tuple(piece for piece in pieces if piece.text), start, len(text) - end)


def compare(left: str, right: str, characters: int) -> Comparison:
    """Two texts from shortly before their first difference on, the words that differ marked.

    Texts with too few words in common are shown without marks, since almost every word would have one. `difflib` finds
    blocks that read well, though not always the fewest differences.
    """
    if left == right:
        whole = cut_excerpt(left, characters)
        return Comparison(whole, whole, Relation.SAME)
    place = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    start = max(0, place - characters // 4)
    left_spans, right_spans = (_word_spans(side, start, start + characters) for side in (left, right))
    matcher = difflib.SequenceMatcher(None, [left[a:b] for a, b in left_spans], [right[a:b] for a, b in right_spans])
    if matcher.ratio() < _ALIKE:
        return Comparison(cut_excerpt(left, characters), cut_excerpt(right, characters), Relation.DIFFERENT)
    changes = [change[1:] for change in matcher.get_opcodes() if change[0] != "equal"]
    left_marks = [(left_spans[a][0], left_spans[b - 1][1]) for a, b, _, _ in changes if a < b]
    right_marks = [(right_spans[a][0], right_spans[b - 1][1]) for _, _, a, b in changes if a < b]
    return Comparison(
        cut_excerpt(left, characters, left_marks, around=place),
        cut_excerpt(right, characters, right_marks, around=place),
        Relation.ALIKE,
    )


def spread_evenly(n_items: int, n_chosen: int) -> list[int]:
    """Positions of `n_chosen` of `n_items`, ascending, from the first to the last at even distances."""
    if n_items <= n_chosen:
        return list(range(n_items))
    return [i * (n_items - 1) // max(n_chosen - 1, 1) for i in range(n_chosen)]


def _word_spans(text: str, start: int, end: int) -> list[Span]:
    return [(start + token.start, start + token.end) for token in tokenize_with_offsets(text[start:end])]
