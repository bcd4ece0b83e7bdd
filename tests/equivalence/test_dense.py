"""Blocks through FAISS against one matrix product."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from indexes import dense
from indexes.dense import pairs_above, pairs_above_plain


def exact_vectors(n: int) -> NDArray[np.float32]:
    """Unit vectors of four halves among 24 places: every cosine is a multiple of 1/4, exact in any order of addition."""
    generator = np.random.default_rng(n)
    vectors = np.zeros((n, 24), np.float32)
    for vector in vectors:
        vector[generator.choice(24, 4, replace=False)] = generator.choice([-0.5, 0.5], 4)
    vectors[::17] = 0
    vectors[1::19] = vectors[1]
    return vectors


def joined(vectors: NDArray[np.float32], min_similarity: float) -> tuple[NDArray[np.generic], ...]:
    later, earlier, similarity = zip(*pairs_above(vectors, min_similarity), strict=True)
    return np.concatenate(later), np.concatenate(earlier), np.concatenate(similarity)


@pytest.mark.parametrize("block", [1, 7, 64, 1024])
@pytest.mark.parametrize("min_similarity", [0.25, 0.5, 0.75, 1.0])
def test_pairs_are_those_of_the_whole_matrix(block: int, min_similarity: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "_BLOCK", block)
    vectors = exact_vectors(300)
    expected = pairs_above_plain(vectors, min_similarity)
    assert len(expected[0]) > 0
    for found, column in zip(joined(vectors, min_similarity), expected, strict=True):
        np.testing.assert_array_equal(found, column)


def test_pairs_of_encoder_like_vectors_agree_but_for_the_last_place() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((1500, 8)).astype(np.float32)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    found = {(a, b): s for a, b, s in zip(*(c.tolist() for c in joined(vectors, 0.8)), strict=True)}
    plain = {(a, b): s for a, b, s in zip(*(c.tolist() for c in pairs_above_plain(vectors, 0.8)), strict=True)}
    assert len(plain) > 1000
    for pair in found.keys() ^ plain.keys():
        assert abs(float(vectors[pair[0]].astype(np.float64) @ vectors[pair[1]]) - 0.79995) < 1e-6
    for pair in found.keys() & plain.keys():
        assert found[pair] == pytest.approx(plain[pair], abs=1.1e-4)
