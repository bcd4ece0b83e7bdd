"""Neighbours by cosine, on vectors whose cosines are exact in binary."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.dense import pairs_above, similarities

# Sums of products of halves: every cosine below is exact whatever the order of addition.
VECTORS = np.array(
    [
        [1, 0, 0, 0],
        [0.5, 0.5, 0.5, 0.5],
        [0.5, 0.5, 0.5, -0.5],
        [1, 0, 0, 0],
        [0, 0, 0, 0],
        [-1, 0, 0, 0],
    ],
    np.float32,
)


def pairs(min_similarity: float) -> list[tuple[int, int, float]]:
    blocks = [np.stack(columns, axis=1) for columns in pairs_above(VECTORS, min_similarity)]
    return [(int(later), int(earlier), float(value)) for later, earlier, value in np.concatenate(blocks)]


def test_pairs_come_later_first_in_order_with_their_similarity() -> None:
    assert pairs(0.5) == [(1, 0, 0.5), (2, 0, 0.5), (2, 1, 0.5), (3, 0, 1.0), (3, 1, 0.5), (3, 2, 0.5)]
    assert pairs(0.51) == [(3, 0, 1.0)]


def test_a_cut_holds_for_the_rounded_similarity() -> None:
    angle = np.arccos(0.79996)
    close = np.array([[1, 0], [np.cos(angle), np.sin(angle)]], np.float32)
    ((later, earlier, similarity),) = list(pairs_above(close, 0.8))
    assert (later.tolist(), earlier.tolist()) == ([1], [0])
    assert similarity == pytest.approx([0.8])
    ((later, _, _),) = list(pairs_above(close, 0.8001))
    assert later.tolist() == []


def test_no_vectors_have_no_pairs() -> None:
    assert list(pairs_above(np.zeros((0, 4), np.float32), 0.5)) == []


def test_similarities_of_one_vector() -> None:
    assert similarities(VECTORS[1], VECTORS).tolist() == [0.5, 1.0, 0.5, 0.5, 0.0, -0.5]
