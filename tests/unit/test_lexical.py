"""BM25 scores of small sets of documents."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from indexes.lexical import Bm25Index
from indexes.words import WordStream, terms_of, tokenize

TEXTS = ["The ferry leaves at dawn.", "", "Bread, bread and bread!", "...", "The ferry, the ferry"]


def scores(texts: list[str], *words: str) -> list[float]:
    stream = WordStream.of(texts)
    return Bm25Index.build(stream).scores([stream.number_of[word] for word in words]).tolist()


def test_only_documents_with_the_word_score() -> None:
    found = scores(TEXTS, "ferry")
    assert [value > 0 for value in found] == [True, False, False, False, True]
    assert found[4] > found[0]  # twice, in a shorter text


def test_words_of_a_query_add_up_and_repeat() -> None:
    alone = np.array(scores(TEXTS, "ferry")), np.array(scores(TEXTS, "dawn"))
    np.testing.assert_allclose(scores(TEXTS, "ferry", "dawn"), alone[0] + alone[1], atol=2e-4)
    np.testing.assert_allclose(scores(TEXTS, "ferry", "ferry"), 2 * alone[0], atol=2e-4)


def test_unspaced_text_is_found_by_pairs_of_signs() -> None:
    texts = ["青螺港口储存粗盐", "白沙港口储存灯油", "口、盐", "เก็บน้ำมันไว้", "เก็บเกลือไว้"]
    stream = WordStream.of(texts)
    index = Bm25Index.build(stream)

    def found(query: str) -> list[int]:
        scores = index.scores(index.term_numbers(terms_of(tokenize(query)), stream.number_of))
        return [text for text in np.argsort(-scores, kind="stable").tolist() if scores[text] > 0]

    assert found("灯油") == [1]
    assert found("粗盐和灯油") == [0, 1]
    assert found("储存粗盐") == [0, 1]
    assert found("盐") == [2]  # a sign alone is no pair
    assert found("น้ำมัน") == [3]
    assert found("เก็บเกลือ") == [4, 3]
    assert found("油港") == []


def test_punctuation_is_not_indexed() -> None:
    assert scores(TEXTS, ".") == [0.0] * 5
    assert scores(["a . . .", "b"], "a") == scores(["a", "b"], "a")


def test_an_empty_query_and_unknown_words_score_nothing() -> None:
    index = Bm25Index.build(WordStream.of(TEXTS))
    assert index.scores([]).tolist() == [0.0] * 5
    assert index.scores([10_000]).tolist() == [0.0] * 5


def test_texts_without_a_word_make_an_index_that_finds_nothing() -> None:
    for texts in (["", ""], ["...", "!"]):
        index = Bm25Index.build(WordStream.of(texts))
        assert index.n_documents == 2
        assert index.scores([0]).tolist() == [0.0, 0.0]


def test_an_index_survives_the_disk(tmp_path: Path) -> None:
    stream = WordStream.of(TEXTS)
    index = Bm25Index.build(stream)
    assert index.save(tmp_path) == [f"bm25.{name}.npy" for name in ("data", "indices", "indptr", "pairs")]
    loaded = Bm25Index.load(tmp_path, len(TEXTS))
    for number in range(len(stream.vocabulary)):
        assert loaded.scores([number]).tolist() == index.scores([number]).tolist()
