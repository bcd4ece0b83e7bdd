"""Facility location: the lazy choice is the plain one, whatever the blocks, and worth what the plain one is worth."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from audit.export import diversity
from audit.export.diversity import represent, row_vectors, whole_vectors


def plain_choice(vectors: NDArray[np.float32], k: int, first: tuple[int, ...] = ()) -> list[int]:
    """Every gain of every row in every round, from the whole matrix, in whole numbers."""
    whole = whole_vectors(vectors).astype(np.int64)
    cosines = np.maximum(whole @ whole.T, 0)
    best = cosines[:, list(first)].max(axis=1) if first else np.zeros(len(whole), np.int64)
    chosen = list(first)
    for _ in range(min(k, len(whole) - len(first))):
        gains = [-1 if row in chosen else int(np.maximum(cosines[:, row] - best, 0).sum()) for row in range(len(whole))]
        row = gains.index(max(gains))
        chosen.append(row)
        best = np.maximum(best, cosines[:, row])
    return chosen


def clustered(seed: int, n_rows: int, dim: int = 24) -> NDArray[np.float32]:
    """Rows around some centres, a fifth of them equal to others, and two of zeros."""
    drawn = np.random.default_rng(seed)
    centres = drawn.standard_normal((7, dim))
    vectors = centres[drawn.integers(0, 7, n_rows)] + 0.6 * drawn.standard_normal((n_rows, dim))
    copies = drawn.permutation(n_rows)[: n_rows // 5]
    vectors[copies] = vectors[drawn.integers(0, n_rows, len(copies))]
    vectors[[3, n_rows - 1]] = 0
    return vectors.astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("block", [64, 1 << 22])
def test_the_lazy_choice_is_the_plain_one(monkeypatch: pytest.MonkeyPatch, seed: int, block: int) -> None:
    monkeypatch.setattr(diversity, "_BLOCK_VALUES", block)
    vectors = clustered(seed, 150)
    found = represent(vectors, 60)
    assert list(found.chosen) == plain_choice(vectors, 60)
    assert list(represent(vectors, 20, first=(5, 9)).chosen) == plain_choice(vectors, 20, (5, 9))


def test_all_rows_are_taken_in_the_end_and_zeros_last() -> None:
    vectors = clustered(0, 40)
    found = represent(vectors, 100)
    assert sorted(found.chosen) == list(range(40))
    assert list(found.chosen) == plain_choice(vectors, 100)
    fresh = {row for row in range(40) if not vectors[row].any()}
    assert not fresh & set(found.chosen[: 40 - 8 - 2]), "of no use to any row but equal ones are the copies and the zeros"


def test_what_stands_for_a_row_is_the_nearest_of_the_chosen() -> None:
    vectors = clustered(1, 80)
    found = represent(vectors, 10)
    whole = whole_vectors(vectors).astype(np.float64)
    cosines = whole @ whole[list(found.chosen)].T / 4000**2
    assert np.allclose(found.cosines, np.maximum(cosines.max(axis=1), 0))
    for row, nearest in enumerate(found.nearest.tolist()):
        if nearest >= 0:
            assert nearest in found.chosen
            assert cosines[row, found.chosen.index(nearest)] == pytest.approx(cosines[row].max())
    assert all(found.nearest[row] == row for row in found.chosen)


def test_products_of_whole_vectors_have_no_rounding() -> None:
    """The largest possible, of many dimensions, in single precision in any order."""
    drawn = np.random.default_rng(0)
    for dim in (3, 384, 4096):
        whole = whole_vectors(drawn.standard_normal((40, dim)).astype(np.float32))
        exact = whole.astype(np.int64) @ whole.astype(np.int64).T
        assert np.array_equal((whole @ whole.T).astype(np.int64), exact)
        assert np.array_equal((whole[:, ::-1] @ whole[:, ::-1].T).astype(np.int64), exact)
        assert exact.max() < 1 << 24
    ones = whole_vectors(np.ones((1, 4096), np.float32))
    assert float((ones @ ones.T)[0, 0]) < 1 << 24


def test_a_greedy_choice_is_worth_most_of_the_best() -> None:
    """Of all pairs the best is known; greedy is within 1 - 1/e of it (Nemhauser et al. 1978)."""
    vectors = clustered(2, 30)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    cosines = np.maximum(unit @ unit.T, 0)
    worth = {(i, j): cosines[:, [i, j]].max(axis=1).sum() for i in range(30) for j in range(i)}
    greedy = represent(vectors, 2)
    assert cosines[:, list(greedy.chosen)].max(axis=1).sum() >= (1 - 1 / np.e) * max(worth.values())
    assert float(greedy.cosines.sum()) == pytest.approx(cosines[:, list(greedy.chosen)].max(axis=1).sum(), abs=0.05)


def test_a_row_of_several_prompts_has_their_sum() -> None:
    of_responses = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    found = row_vectors(of_responses, np.array([0, 0, 2]), 4)
    assert found.tolist() == [[1, 1], [0, 0], [1, 0], [0, 0]]
