"""How rows are laid into sequences of a fixed length, by the three strategies of TRL, from their lengths alone.

TRL packs a thousand rows at a time, in the order of the file. Best fit decreasing: the longest row first, each into the
sequence with the least room that still holds it; the cost is n log(max_length).

Source: Ding et al. (2024), Fewer Truncations Improve Language Modeling (arXiv 2404.10830), section 3; TRL's `pack_dataset`.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from audit.config import Packing

__all__ = ["BATCH_SIZE", "ROWS_PER_PACKING", "expected_padding", "n_split", "packed_sequences"]

BATCH_SIZE = 8
"""Rows that TRL pads to one length, unless it is told otherwise."""

ROWS_PER_PACKING = 1000
"""Rows that TRL packs together: what `datasets` gives a function at once."""


def packed_sequences(lengths: Sequence[int], max_length: int, packing: Packing) -> Iterator[list[int]]:
    """The lengths of the pieces that each sequence is made of, in TRL's order; of `wrapped` only the whole length.

    Args:
        lengths: Tokens of each row, untruncated, in the order of the file.
        max_length: Tokens of a sequence.
        packing: Any but `none`.
    """
    for begin in range(0, len(lengths), ROWS_PER_PACKING):
        part = [length for length in lengths[begin : begin + ROWS_PER_PACKING] if length]
        match packing:
            case Packing.WRAPPED:
                whole = sum(part)
                yield from ([min(max_length, whole - at)] for at in range(0, whole, max_length))
            case Packing.BFD_SPLIT:
                yield from _best_fit([piece for length in part for piece in _pieces(length, max_length)], max_length)
            case Packing.BFD:
                yield from _best_fit([min(length, max_length) for length in part], max_length)
            case Packing.NONE:
                raise AssertionError("nothing is packed")


def n_split(lengths: Sequence[int], max_length: int, packing: Packing) -> int:
    """How many rows are cut in two or more and go on in another sequence."""
    if packing is Packing.BFD_SPLIT:
        return sum(length > max_length for length in lengths)
    if packing is not Packing.WRAPPED:
        return 0
    split = 0
    for begin in range(0, len(lengths), ROWS_PER_PACKING):
        ends = np.cumsum(np.asarray(lengths[begin : begin + ROWS_PER_PACKING], np.int64))
        starts = ends - np.asarray(lengths[begin : begin + ROWS_PER_PACKING], np.int64)
        split += int(((starts // max_length) != (np.maximum(ends - 1, starts) // max_length)).sum())
    return split


def expected_padding(lengths: NDArray[np.int64], batch_size: int) -> float:
    """The share of padding in batches of rows drawn at random, each padded to its longest row.

    The mean over all orders of the rows: the longest of a batch is the i-th shortest row with probability
    C(i−1, b−1) / C(n, b). A last, smaller batch is not told apart.

    Args:
        lengths: Tokens of each row.
        batch_size: Rows of a batch, b.
    """
    n_rows = len(lengths)
    b = min(batch_size, n_rows)
    if not n_rows or not lengths.sum():
        return 0.0
    ascending = np.sort(lengths).astype(np.float64)
    # From the longest down: P(longest is i) = P(none above i) · b / (i), as ratios so that nothing overflows.
    chances = np.zeros(n_rows)
    above = 1.0
    for place in range(n_rows, b - 1, -1):
        chances[place - 1] = above * b / place
        above *= (place - b) / place
    padded = b * float(chances @ ascending)
    return 1 - b * float(ascending.mean()) / padded


def _pieces(length: int, max_length: int) -> Iterator[int]:
    yield from (min(max_length, length - at) for at in range(0, length, max_length))


def _best_fit(lengths: list[int], max_length: int) -> list[list[int]]:
    sequences: list[list[int]] = []
    rooms: list[int] = []  # of the open sequences, distinct, ascending
    of_room: dict[int, deque[int]] = defaultdict(deque)
    for length in sorted(lengths, reverse=True):
        place = bisect_left(rooms, length)
        if place < len(rooms):
            room = rooms[place]
            number = of_room[room].popleft()  # of equal ones, the oldest
            if not of_room[room]:
                del rooms[place]
        else:
            room, number = max_length, len(sequences)
            sequences.append([])
        sequences[number].append(length)
        left = room - length
        if left:
            if not of_room[left]:
                insort(rooms, left)
            of_room[left].append(number)
    return sequences
