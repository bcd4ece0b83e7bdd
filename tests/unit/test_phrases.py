"""Where spans occur, and which texts hold a part of them."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.phrases import Occurrence, PhraseIndex, Support, occurrences_plain
from indexes.words import WordStream, tokenize_with_offsets

TEXTS = ["The old ferry. The ferry!", "", "A ferry sails; the old one sleeps.", "old old ferry"]


@pytest.fixture(scope="module")
def index() -> PhraseIndex:
    return PhraseIndex(WordStream.of(TEXTS))


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ("ferry", [(0, 2, 1), (0, 5, 1), (2, 1, 1), (3, 2, 1)]),
        ("The Ferry", [(0, 4, 2)]),
        ("the   old", [(0, 0, 2), (2, 4, 2)]),
        ("old ferry", [(0, 1, 2), (3, 1, 2)]),
        ("old", [(0, 1, 1), (2, 5, 1), (3, 0, 1), (3, 1, 1)]),
        ("ferry. The", [(0, 2, 3)]),
        ("!", [(0, 6, 1)]),
        ("ferry! A", []),  # runs across texts
        ("sleeps. old", []),
        ("submarine", []),
        ("old submarine", []),
        ("", []),
        ("  ", []),
    ],
)
def test_a_span_is_found_wherever_its_tokens_stand_in_a_row(
    index: PhraseIndex, span: str, expected: list[tuple[int, int, int]]
) -> None:
    places = [Occurrence(*place) for place in expected]
    assert index.occurrences(span) == places
    assert occurrences_plain(TEXTS, span) == places
    assert index.n_texts_with(span) == len({place.text for place in places})


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ("港口", [(0, 2, 2), (1, 2, 2)]),
        ("螺港", [(0, 1, 2)]),
        ("粗 盐", [(0, 6, 2)]),
        ("港", [(0, 2, 1), (1, 2, 1)]),
        ("น้ำมัน", [(2, 3, 3)]),
        ("ที่", [(3, 0, 1)]),
        ("ที", []),  # a part of a character that a reader sees is not found
        ("นำ", []),
        ("油เ", []),
    ],
)
def test_a_span_is_found_within_a_run_of_unspaced_text(span: str, expected: list[tuple[int, int, int]]) -> None:
    texts = ["青螺港口储存粗盐。", "白沙港口储存灯油", "เก็บน้ำมันไว้", "ที่ไหน"]
    places = [Occurrence(*place) for place in expected]
    assert PhraseIndex(WordStream.of(texts)).occurrences(span) == places
    assert occurrences_plain(texts, span) == places
    for place in places:
        tokens = tokenize_with_offsets(texts[place.text])[place.token : place.token + place.n_tokens]
        assert texts[place.text][tokens[0].start : tokens[-1].end] == span.replace(" ", "")


def test_document_frequency_counts_texts_not_occurrences(index: PhraseIndex) -> None:
    frequency = dict(zip(index.stream.vocabulary, index.document_frequency.tolist(), strict=True))
    assert frequency == {
        "the": 2, "old": 3, "ferry": 3, ".": 2, "!": 1, "a": 1, "sails": 1, ";": 1, "one": 1, "sleeps": 1,
    }  # fmt: skip


def test_rare_words_weigh_more_and_punctuation_nothing(index: PhraseIndex) -> None:
    weight = dict(zip(index.stream.vocabulary, index.weights.tolist(), strict=True))
    assert weight["sails"] == pytest.approx(np.log(5 / 1.5))
    assert weight["old"] == pytest.approx(np.log(5 / 3.5))
    assert weight["."] == weight["!"] == weight[";"] == 0


def test_a_word_in_every_text_never_weighs_less_than_nothing() -> None:
    index = PhraseIndex(WordStream.of(["a", "a", "a b"]))
    assert index.weights.min() >= 0


def support(index: PhraseIndex, span: str, weights: list[float]) -> list[tuple[int, int, float, int, int]]:
    numbers = index.token_numbers(span.split())
    found = index.support(numbers[None], np.array([weights], np.float32))
    return list(
        zip(
            found.span.tolist(),
            found.text.tolist(),
            [round(value, 4) for value in found.coverage.astype(float).tolist()],
            found.begin.tolist(),
            found.length.tolist(),
            strict=True,
        )
    )


def test_support_is_the_heaviest_run_around_a_rare_word(index: PhraseIndex) -> None:
    assert support(index, "the old ferry sails", [1, 2, 3, 4]) == [
        (0, 0, 0.6, 0, 3),  # the old ferry
        (0, 2, 0.7, 1, 2),  # ferry sails
        (0, 3, 0.5, 1, 2),  # old ferry
    ]


def test_a_whole_match_has_coverage_one_and_the_first_place_is_named(index: PhraseIndex) -> None:
    assert support(index, "old", [2.5]) == [(0, 0, 1.0, 1, 1), (0, 2, 1.0, 5, 1), (0, 3, 1.0, 0, 1)]


def test_words_without_weight_extend_a_run_but_do_not_begin_one(index: PhraseIndex) -> None:
    assert support(index, "the old", [0, 1]) == [(0, 0, 1.0, 0, 2), (0, 2, 1.0, 4, 2), (0, 3, 1.0, 0, 1)]
    assert support(index, "the old", [0, 0]) == []


def test_an_unknown_word_lowers_coverage(index: PhraseIndex) -> None:
    assert index.token_numbers(["submarine", "sails"]).tolist() == [-1, index.stream.number_of["sails"]]
    assert support(index, "submarine sails", [3, 1]) == [(0, 2, 0.25, 2, 1)]
    assert support(index, "submarine", [3]) == []


def test_a_frequent_word_supports_only_as_the_heaviest() -> None:
    texts = ["common rare"] + ["common word"] * 60 + ["rare"]
    index = PhraseIndex(WordStream.of(texts))
    assert [text for _, text, *_ in support(index, "common rare", [1, 9])] == [0, 61]
    assert len(support(index, "common rare", [9, 1])) == 62


def test_several_spans_are_answered_at_once(index: PhraseIndex) -> None:
    spans = np.stack([index.token_numbers(["old", "ferry"]), index.token_numbers(["ferry", "sails"])])
    found = index.support(spans, np.ones((2, 2), np.float32))
    assert list(zip(found.span.tolist(), found.text.tolist(), found.coverage.tolist(), strict=True)) == [
        (0, 0, 1.0), (0, 2, 0.5), (0, 3, 1.0), (1, 0, 0.5), (1, 2, 1.0), (1, 3, 0.5),
    ]  # fmt: skip


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_an_index_of_no_words_supports_nothing(texts: list[str]) -> None:
    index = PhraseIndex(WordStream.of(texts))
    assert index.occurrences("a") == []
    found = index.support(np.array([[-1, -1]]), np.ones((1, 2), np.float32))
    assert isinstance(found, Support)
    assert found.text.tolist() == []
    assert index.support(np.empty((1, 0), np.int64), np.empty((1, 0), np.float32)).text.tolist() == []


def test_a_word_of_the_vocabulary_that_no_text_holds_is_as_an_unknown_one() -> None:
    index = PhraseIndex(WordStream.of(["old ferry", "ferry"], vocabulary=["submarine", "tide", "pier"]))
    for words in ("submarine tide pier old ferry", "raft tide pier old ferry", "raft buoy gull old ferry"):
        assert support(index, words, [9, 8, 7, 2, 1]) == [(0, 0, 0.1111, 0, 2), (0, 1, 0.037, 0, 1)]
    assert support(index, "submarine tide", [1, 1]) == []
