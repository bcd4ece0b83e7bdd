"""bm25s against the formula."""

from __future__ import annotations

import json
import math
from pathlib import Path

import bm25s
import numpy as np
from bm25s.tokenization import Tokenized
from hypothesis import example, given
from hypothesis import strategies as st

from indexes.lexical import Bm25Index
from indexes.store import read_array
from indexes.words import WordStream, terms_of, tokenize
from tests.texts import UNSPACED_TEXTS

K1, B = 1.5, 0.75


def bm25_plain(texts: list[str], query: list[tuple[str, ...]]) -> list[float]:
    """Lucene's variant: idf = ln(1 + (N - df + 0.5) / (df + 0.5)), no factor k1 + 1."""
    documents = [terms_of(tokenize(text)) for text in texts]
    mean_length = sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        score = 0.0
        for term in query:
            df = sum(term in other for other in documents)
            tf = document.count(term)
            if df and tf:
                idf = math.log(1 + (len(documents) - df + 0.5) / (df + 0.5))
                score += idf * tf / (tf + K1 * (1 - B + B * len(document) / mean_length))
        scores.append(score)
    return scores


TEXTS = st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", ",", "."]), max_size=8).map(" ".join), min_size=1, max_size=8)


@given(TEXTS, st.lists(st.sampled_from("abcd"), max_size=5))
def test_scores_are_those_of_the_formula(texts: list[str], query: list[str]) -> None:
    stream = WordStream.of(texts)
    index = Bm25Index.build(stream)
    terms = [(token,) for token in query]
    np.testing.assert_allclose(index.scores(index.term_numbers(terms, stream.number_of)), bm25_plain(texts, terms), atol=1e-4)


@given(st.lists(st.one_of(UNSPACED_TEXTS, TEXTS.map(" ".join)), min_size=1, max_size=6), UNSPACED_TEXTS)
@example(["東京都", "京都", ""], "京都東")
@example(["東", "東 京"], "東")
def test_scores_of_unspaced_text_are_those_of_the_formula_over_pairs_of_signs(texts: list[str], query: str) -> None:
    stream = WordStream.of(texts)
    index = Bm25Index.build(stream)
    terms = terms_of(tokenize(query))
    found = index.scores(index.term_numbers(terms, stream.number_of))
    expected = bm25_plain(texts, terms) if any(terms_of(tokenize(text)) for text in texts) else np.zeros(len(texts))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def arrays_of_bm25s(stream: WordStream) -> list[np.ndarray]:
    """The index as the library makes it, document by document; terms numbered as in `Bm25Index`."""
    terms = stream.terms()
    both = list(zip(terms.first.tolist(), terms.second.tolist(), strict=True))
    n_vocabulary = len(stream.vocabulary)
    number_of = {pair: n_vocabulary + n for n, pair in enumerate(sorted({pair for pair in both if pair[1] >= 0}))}
    documents: list[list[int]] = [[] for _ in range(stream.n_texts)]
    for pair, text in zip(both, terms.text.tolist(), strict=True):
        documents[text].append(number_of.get(pair, pair[0]))
    model = bm25s.BM25()
    vocabulary = {str(number): number for number in range(n_vocabulary + len(number_of))}
    model.index(Tokenized(ids=documents, vocab=vocabulary), create_empty_token=False, show_progress=False)
    return [model.scores[name] for name in ("data", "indices", "indptr")]


def assert_is_that_of_bm25s(stream: WordStream, folder: Path) -> None:
    Bm25Index.build(stream).save(folder)
    for name, expected in zip(("data", "indices", "indptr"), arrays_of_bm25s(stream), strict=True):
        found = read_array(folder / f"bm25.{name}.npy")
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_the_index_is_that_of_bm25s_to_the_last_bit(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    words = [f"w{n}" for n in range(300)] + ["東", "京", "ที่", "น้ำ", ",", "."]
    texts = [
        "".join(word + " " * int(generator.random() < 0.7) for word in generator.choice(words, size)) for size in range(200)
    ]
    assert_is_that_of_bm25s(WordStream.of(["", *texts, "", "w1"]), tmp_path)


def test_the_index_of_real_rows_is_that_of_bm25s(shared_data: Path, tmp_path: Path) -> None:
    with (shared_data / "alpaca" / "alpaca_21k.jsonl").open(encoding="utf-8") as file:
        answers = [json.loads(line)["output"] for line, _ in zip(file, range(3000), strict=False)]
    assert_is_that_of_bm25s(WordStream.of(answers), tmp_path)
