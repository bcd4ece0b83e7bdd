"""Near-duplicate texts: candidates by MinHash and banding, then every candidate's Jaccard similarity computed exactly.

128 permutations in 32 bands of 4 miss a pair of similarity 0.8 with probability (1 - 0.8^4)^32 = 5e-8, so the result
is, in practice, that of the exhaustive twin `jaccard_pairs_plain`, and no pair below the cut is ever reported.

Source: Broder (1997), Leskovec, Rajaraman and Ullman, *Mining of Massive Datasets*, chapter 3.
"""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash
from scipy.sparse import csr_array

from indexes.words import WordStream

__all__ = ["JaccardPairs", "ShingleSets", "jaccard_of", "jaccard_pairs", "jaccard_pairs_plain", "shingle_sets"]

_PERMUTATIONS = 128
_BANDS = 32
_SEED = 42
_PAIRS_AT_ONCE = 1 << 14
# A template that fills a dataset puts thousands of texts into one band. Beyond this size its members are compared with the
# first ones only: each still meets those that it repeats, and the pairs grow with the texts and not with their square.
_LARGE_GROUP = 1000
_OF_LARGE_GROUP = 64
_MULTIPLIERS = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F], np.uint64
)


class ShingleSets(NamedTuple):
    """The distinct shingles of many texts: those of text `i` are `hashes[offsets[i]:offsets[i + 1]]`, ascending.

    Attributes:
        hashes: uint64, 64-bit hashes; two shingles of a million-row set share one with probability below 1e-6.
        offsets: int64, shape `(n_texts + 1,)`.
    """

    hashes: NDArray[np.uint64]
    offsets: NDArray[np.int64]


class JaccardPairs(NamedTuple):
    """Pairs of texts, `earlier < later`, ordered by both; `similarity` is their exact Jaccard similarity, float64."""

    later: NDArray[np.int64]
    earlier: NDArray[np.int64]
    similarity: NDArray[np.float64]


def shingle_sets(stream: WordStream, size: int) -> ShingleSets:
    """The sets of runs of `size` terms of every text, punctuation left out; a shorter text is one shingle.

    A term is a word, or in scripts without spaces a pair of neighbouring signs: three of these are four signs, which is
    about what three English words hold, and one changed word costs a Chinese text about as large a share of them.

    Args:
        stream: The texts.
        size: Terms per shingle, 1 to 5.
    """
    terms = stream.terms()
    text = terms.text
    ids = terms.first.astype(np.uint64) + np.uint64(1)
    is_pair = terms.second >= 0
    ids[is_pair] = _mix(ids[is_pair] + (terms.second[is_pair].astype(np.uint64) + np.uint64(1)) * _MULTIPLIERS[0])
    counts = np.bincount(text, minlength=stream.n_texts)
    starts = np.concatenate([[0], np.cumsum(counts)])[:-1]
    # A text of fewer terms than a shingle is hashed as a whole: its missing places count as term -1.
    place = np.arange(len(ids)) - starts[text]
    begins = (place <= counts[text] - size) | ((place == 0) & (counts[text] < size))
    position = np.flatnonzero(begins)
    hashes = np.zeros(len(position), np.uint64)
    for step in range(size):
        within = place[position] + step < counts[text[position]]
        token = np.where(within, ids[np.minimum(position + step, len(ids) - 1)], np.uint64(0))
        hashes = _mix(hashes ^ (token * _MULTIPLIERS[step]))
    owner = text[position].astype(np.int64)
    ends = np.cumsum(np.bincount(owner, minlength=stream.n_texts)).tolist()
    for begin, end in pairwise([0, *ends]):  # owners ascend, so each text is sorted by itself, in half the time
        hashes[begin:end].sort()
    first = np.ones(len(hashes), bool)
    first[1:] = (hashes[1:] != hashes[:-1]) | (owner[1:] != owner[:-1])
    distinct = np.bincount(owner[first], minlength=stream.n_texts)
    return ShingleSets(hashes[first], np.concatenate([[0], np.cumsum(distinct)]).astype(np.int64))


def jaccard_pairs(sets: ShingleSets, min_jaccard: float) -> JaccardPairs:
    """All pairs of sets with a Jaccard similarity of at least `min_jaccard`; empty sets match nothing.

    Of more than 1,000 sets with the same band, each is compared with the first 64; the result then lacks pairs among the
    others.

    Args:
        sets: The texts.
        min_jaccard: At least 0.7: the bands are laid out for that range.
    """
    n_texts = len(sets.offsets) - 1
    if n_texts == 0:
        return _pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    digests = RMinHash.digest_matrix_from_flat_token_hashes(sets.hashes, sets.offsets.astype(np.uint64), _PERMUTATIONS, _SEED)
    signature = np.array(digests.to_rows(), dtype=np.uint32).reshape(n_texts, _BANDS, -1)
    sizes = np.diff(sets.offsets)
    candidates = (_pairs_of_equal(np.ascontiguousarray(signature[:, band]), sizes, min_jaccard) for band in range(_BANDS))
    codes = reduce(_union, candidates)  # one band at a time, because near duplicates fall together in most of them
    later, earlier = codes // n_texts, codes % n_texts
    # The signatures' own estimate rules out what fell together by chance: 128 places that agree in under half have a
    # similarity of 0.7 or more with probability below 1e-6.
    likely = np.concatenate(
        [
            (signature[later[part]] == signature[earlier[part]]).mean(axis=(1, 2)) >= min_jaccard - 0.2
            for part in _parts(len(later))
        ]
        or [np.empty(0, bool)]
    )
    later, earlier = later[likely], earlier[likely]
    similarity = jaccard_of(sets, later, earlier)
    keep = similarity >= min_jaccard
    return _pairs(later[keep], earlier[keep], similarity[keep])


def jaccard_pairs_plain(sets: ShingleSets, min_jaccard: float) -> JaccardPairs:
    """The exhaustive twin: every pair that shares a shingle is counted, through an inverted index.

    It has no hashing into bands and no chance of missing a pair; time grows with the squared frequency of shingles.
    """
    n_texts = len(sets.offsets) - 1
    sizes = np.diff(sets.offsets)
    texts_with: dict[int, list[int]] = {}
    found: list[tuple[int, int, float]] = []
    for text in range(n_texts):
        shared: dict[int, int] = {}
        for shingle in sets.hashes[sets.offsets[text] : sets.offsets[text + 1]].tolist():
            holders = texts_with.setdefault(shingle, [])
            for other in holders:
                shared[other] = shared.get(other, 0) + 1
            holders.append(text)
        for other, n_shared in sorted(shared.items()):
            similarity = n_shared / (sizes[text] + sizes[other] - n_shared)
            if similarity >= min_jaccard:
                found.append((text, other, similarity))
    later, earlier, similarity = (np.array(column) for column in zip(*found, strict=True)) if found else ([], [], [])
    return _pairs(np.asarray(later, np.int64), np.asarray(earlier, np.int64), np.asarray(similarity, np.float64))


def _pairs(later: NDArray[np.int64], earlier: NDArray[np.int64], similarity: NDArray[np.float64]) -> JaccardPairs:
    return JaccardPairs(later, earlier, np.round(similarity, 6))


def _union(codes: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    """Distinct numbers, ascending; np.union1d hashes them, which takes 50 times as long where they follow each other."""
    ascending = np.sort(np.concatenate([codes, others]), kind="stable")
    distinct: NDArray[np.int64] = ascending[np.diff(ascending, prepend=-1) != 0]
    return distinct


def _parts(n_pairs: int) -> list[slice]:
    return [slice(begin, begin + _PAIRS_AT_ONCE) for begin in range(0, n_pairs, _PAIRS_AT_ONCE)]


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finalizer, a bijection on 64 bits (Steele et al. 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _pairs_of_equal(band: NDArray[np.uint32], sizes: NDArray[np.int64], min_jaccard: float) -> NDArray[np.int64]:
    """Pairs of texts with the same band, as `later * n + earlier`; sizes that rule the similarity out are skipped."""
    n_texts = len(band)
    # Two bands that share a 64-bit hash by chance make one more candidate, and no wrong pair.
    key = reduce(lambda mixed, column: _mix(mixed ^ (column * _MULTIPLIERS[0])), band.T.astype(np.uint64))
    order = np.argsort(key, kind="stable")
    order = order[sizes[order] > 0]
    begins = np.flatnonzero(np.diff(key[order], prepend=key[order][:1] + np.uint64(1)))
    lengths = np.diff(begins, append=len(order))
    found = [np.empty(0, np.int64)]
    for begin, length in zip(begins[lengths > 1].tolist(), lengths[lengths > 1].tolist(), strict=True):
        group = order[begin : begin + length]
        group = np.sort(group)
        nearest = len(group) if len(group) <= _LARGE_GROUP else _OF_LARGE_GROUP
        for place in range(1, len(group)):
            later, earlier = group[place], group[: min(place, nearest)]
            ratio = sizes[earlier] / sizes[later]
            fits = (ratio >= min_jaccard) & (ratio <= 1 / min_jaccard)
            found.append(later * n_texts + earlier[fits])
    return np.concatenate(found)


def jaccard_of(sets: ShingleSets, later: NDArray[np.int64], earlier: NDArray[np.int64]) -> NDArray[np.float64]:
    """Exact similarities of given pairs, by products of sparse 0/1 rows; 0 where both are empty; shape `(n_pairs,)`."""
    shingle_numbers = np.unique(sets.hashes, return_inverse=True)[1]
    ones = np.ones(len(shingle_numbers), np.int32)
    shape = (len(sets.offsets) - 1, int(shingle_numbers.max(initial=-1)) + 1)
    matrix = csr_array((ones, shingle_numbers, sets.offsets), shape=shape)
    sizes = np.diff(sets.offsets)
    shared = np.zeros(len(later), np.int64)
    for part in _parts(len(later)):
        shared[part] = matrix[later[part]].multiply(matrix[earlier[part]]).sum(axis=1)
    return shared / np.maximum(sizes[later] + sizes[earlier] - shared, 1)
