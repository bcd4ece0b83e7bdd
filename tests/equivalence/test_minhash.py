"""Bands of MinHash signatures against counting every shared shingle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.minhash import jaccard_of, jaccard_pairs, jaccard_pairs_plain, shingle_sets
from indexes.words import WordStream, terms_of, tokenize
from tests.texts import UNSPACED_TEXTS, WORDY_TEXTS


def near_duplicates(n_families: int, seed: int) -> list[str]:
    """Families of texts that differ in some of their words, among texts of the same words in other orders."""
    generator = np.random.default_rng(seed)
    texts = []
    for _ in range(n_families):
        base = generator.integers(0, 400, generator.integers(4, 90))
        for _ in range(4):
            variant = base.copy()
            places = generator.random(len(base)) < generator.choice([0.0, 0.01, 0.03, 0.1])
            variant[places] = generator.integers(0, 400, places.sum())
            texts.append(" ".join(f"w{number}" for number in variant))
        texts.append(" ".join(f"w{number}" for number in generator.permutation(base)))
    return texts


@pytest.mark.parametrize("min_jaccard", [0.7, 0.8, 0.9])
@pytest.mark.parametrize("size", [1, 3])
def test_no_near_duplicate_is_missed_or_made_up(min_jaccard: float, size: int) -> None:
    sets = shingle_sets(WordStream.of(near_duplicates(150, seed=size)), size)
    found, plain = jaccard_pairs(sets, min_jaccard), jaccard_pairs_plain(sets, min_jaccard)
    assert len(plain.later) > 200
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_array_equal(one, other)


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=12), max_size=12), st.sampled_from([0.7, 0.8, 0.9, 1.0]))
def test_short_texts_pair_as_they_do_by_counting(texts: list[list[str]], min_jaccard: float) -> None:
    sets = shingle_sets(WordStream.of([" ".join(text) for text in texts]), 1)
    found, plain = jaccard_pairs(sets, min_jaccard), jaccard_pairs_plain(sets, min_jaccard)
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_array_equal(one, other)


@given(st.lists(st.one_of(WORDY_TEXTS, UNSPACED_TEXTS), min_size=1, max_size=6), st.integers(1, 5))
def test_shingles_are_runs_of_terms(texts: list[str], size: int) -> None:
    sets = shingle_sets(WordStream.of(texts), size)
    terms = [terms_of(tokenize(text)) for text in texts]
    runs = [{tuple(text[i : i + size]) for i in range(max(len(text) - size + 1, min(len(text), 1)))} for text in terms]
    assert np.diff(sets.offsets).tolist() == [len(run) for run in runs]
    later, earlier = np.tril_indices(len(texts), -1)
    expected = [len(runs[a] & runs[b]) / max(len(runs[a] | runs[b]), 1) for a, b in zip(later, earlier, strict=True)]
    np.testing.assert_allclose(jaccard_of(sets, later, earlier), expected)
