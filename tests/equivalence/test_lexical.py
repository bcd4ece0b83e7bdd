"""bm25s against the formula."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from indexes.lexical import Bm25Index
from indexes.words import WordStream, is_word, tokenize

K1, B = 1.5, 0.75


def bm25_plain(texts: list[str], query: list[str]) -> list[float]:
    """Lucene's variant: idf = ln(1 + (N - df + 0.5) / (df + 0.5)), no factor k1 + 1."""
    documents = [[token for token in tokenize(text) if is_word(token)] for text in texts]
    mean_length = sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        score = 0.0
        for token in query:
            df = sum(token in other for other in documents)
            tf = document.count(token)
            if df and tf:
                idf = math.log(1 + (len(documents) - df + 0.5) / (df + 0.5))
                score += idf * tf / (tf + K1 * (1 - B + B * len(document) / mean_length))
        scores.append(score)
    return scores


TEXTS = st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", ",", "."]), max_size=8).map(" ".join), min_size=1, max_size=8)


@given(TEXTS, st.lists(st.sampled_from("abcd"), max_size=5))
def test_scores_are_those_of_the_formula(texts: list[str], query: list[str]) -> None:
    stream = WordStream.of(texts)
    found = Bm25Index.build(stream).scores([stream.number_of[token] for token in query if token in stream.number_of])
    np.testing.assert_allclose(found, bm25_plain(texts, query), atol=1e-4)
