"""What the checks for duplicates share: pairs of rows to one list of matches per later row."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["group_by_later", "related_to"]

# A template that fills a dataset matches thousands of rows; the message counts them all, the evidence names the first.
_NAMED = 20


def group_by_later(
    later: NDArray[np.int64], earlier: NDArray[np.int64], similarity: NDArray[Any]
) -> Iterator[tuple[int, list[tuple[int, float]]]]:
    """Pairs ordered by later row, as `(later, [(earlier, similarity), …])`."""
    triples = zip(later.tolist(), earlier.tolist(), similarity.tolist(), strict=True)
    for row, group in groupby(triples, key=lambda triple: triple[0]):
        yield row, [(other, value) for _, other, value in group]


def related_to(rows: list[int]) -> tuple[tuple[int, ...], str]:
    """The first rows of a list for the evidence, and how many more there are, for the message."""
    rest = len(rows) - 1
    return tuple(rows[:_NAMED]), f" and matches {rest:,} more" if rest else ""
