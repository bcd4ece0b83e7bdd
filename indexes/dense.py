"""Dense vectors and their neighbours: exact inner-product search with FAISS's flat index.

Similarities are rounded to `SIMILARITY_DECIMALS` places before they meet a cut or a tie, so that the order in which a
processor adds up changes no result. The plain twin, `pairs_above_plain`, is one matrix product.
"""

from __future__ import annotations

from collections.abc import Iterator

import faiss
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SIMILARITY_DECIMALS",
    "nearest_to",
    "nearest_to_plain",
    "pairs_above",
    "pairs_above_plain",
    "pairs_between",
    "pairs_between_plain",
    "similarities",
]

SIMILARITY_DECIMALS = 4
# Queries per search call. It bounds the memory of a block's hits, and is enough to keep the matrix product busy.
_BLOCK = 1024


def similarities(query: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosine of one unit vector, shape `(dim,)`, with each of `(n, dim)`, rounded; shape `(n,)`."""
    return np.round(vectors @ query, SIMILARITY_DECIMALS)


def pairs_above(
    vectors: NDArray[np.float32], min_similarity: float
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]]:
    """All pairs of unit vectors with a rounded cosine of at least `min_similarity`, in blocks.

    Exact. Time grows with the square of `n`; memory with the hits of one block of 1,024 queries.

    Args:
        vectors: float32, shape `(n, dim)`, rows of length 1 (or 0, which match nothing).
        min_similarity: Cosine, above 0.

    Yields:
        `(later, earlier, similarity)`, each of shape `(n_pairs_of_block,)`, with `earlier < later`; ordered by both.
    """
    index = faiss.IndexFlatIP(vectors.shape[1])
    half_step = 0.5 * 10**-SIMILARITY_DECIMALS
    for begin in range(0, len(vectors), _BLOCK):
        block = np.ascontiguousarray(vectors[begin : begin + _BLOCK])
        index.add(block)  # a vector is compared with those before it and with its own block
        limits, similarity, ids = index.range_search(block, min_similarity - 2 * half_step)
        n_hits = (limits[1:] - limits[:-1]).astype(np.int64)
        later = np.repeat(np.arange(begin, begin + len(block)), n_hits)
        similarity = np.round(similarity, SIMILARITY_DECIMALS)
        keep = (ids < later) & (similarity >= np.float32(min_similarity))
        later, earlier, similarity = later[keep], ids[keep], similarity[keep]
        order = np.lexsort((earlier, later))
        yield later[order], earlier[order], similarity[order]


def pairs_between(
    vectors: NDArray[np.float32], others: NDArray[np.float32], min_similarity: float
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]]:
    """All pairs of a unit vector and another with a rounded cosine of at least `min_similarity`, in blocks of vectors.

    Exact. Time grows with the product of the numbers; memory with the hits of one block of 1,024.

    Args:
        vectors: float32, shape `(n, dim)`, rows of length 1 (or 0, which match nothing).
        others: float32, shape `(m, dim)`.
        min_similarity: Cosine, above 0.

    Yields:
        Number of the vector, number of the other, similarity, each of shape `(n_pairs_of_block,)`; ordered by both.
    """
    index = faiss.IndexFlatIP(others.shape[1])
    index.add(np.ascontiguousarray(others))
    half_step = 0.5 * 10**-SIMILARITY_DECIMALS
    for begin in range(0, len(vectors), _BLOCK):
        block = np.ascontiguousarray(vectors[begin : begin + _BLOCK])
        limits, similarity, ids = index.range_search(block, min_similarity - 2 * half_step)
        one = np.repeat(np.arange(begin, begin + len(block)), (limits[1:] - limits[:-1]).astype(np.int64))
        similarity = np.round(similarity, SIMILARITY_DECIMALS)
        keep = similarity >= np.float32(min_similarity)
        one, ids, similarity = one[keep], ids[keep], similarity[keep]
        order = np.lexsort((ids, one))
        yield one[order], ids[order], similarity[order]


def nearest_to(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The `k` nearest unit vectors of every query, nearest first, and their cosines, rounded.

    Exact but for the order of vectors whose cosines are equal when rounded.

    Args:
        queries: float32, shape `(n, dim)`.
        vectors: float32, shape `(m, dim)`.
        k: How many; all, where there are fewer.

    Returns:
        Numbers and cosines, each of shape `(n, min(k, m))`.
    """
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors))
    cosines, numbers = index.search(np.ascontiguousarray(queries), min(k, len(vectors)))
    return numbers, np.round(cosines, SIMILARITY_DECIMALS)


def nearest_to_plain(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The twin of `nearest_to` for tests: the whole matrix of cosines, sorted."""
    matrix = np.round(queries @ vectors.T, SIMILARITY_DECIMALS)
    numbers = np.argsort(-matrix, axis=1, kind="stable")[:, :k]
    return numbers, np.take_along_axis(matrix, numbers, axis=1)


def pairs_between_plain(
    vectors: NDArray[np.float32], others: NDArray[np.float32], min_similarity: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The twin of `pairs_between` for tests: the whole matrix of cosines at once."""
    matrix = np.round(vectors @ others.T, SIMILARITY_DECIMALS)
    one, other = np.nonzero(matrix >= np.float32(min_similarity))
    return one, other, matrix[one, other]


def pairs_above_plain(
    vectors: NDArray[np.float32], min_similarity: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The twin of `pairs_above` for tests: the whole matrix of cosines at once."""
    matrix = np.round(vectors @ vectors.T, SIMILARITY_DECIMALS)
    later, earlier = np.nonzero(np.tril(matrix >= np.float32(min_similarity), k=-1))
    return later, earlier, matrix[later, earlier]
