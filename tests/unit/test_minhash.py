"""Shingles counted by hand, and similarities known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.minhash import JaccardPairs, jaccard_of, jaccard_pairs, jaccard_pairs_plain, shingle_sets
from indexes.words import WordStream


def n_shingles(texts: list[str], size: int) -> list[int]:
    return np.diff(shingle_sets(WordStream.of(texts), size).offsets).tolist()


def listed(pairs: JaccardPairs) -> list[tuple[int, int, float]]:
    return list(zip(pairs.later.tolist(), pairs.earlier.tolist(), pairs.similarity.tolist(), strict=True))


def found(texts: list[str], min_jaccard: float, size: int = 1) -> list[tuple[int, int, float]]:
    sets = shingle_sets(WordStream.of(texts), size)
    pairs = listed(jaccard_pairs(sets, min_jaccard))
    assert pairs == listed(jaccard_pairs_plain(sets, min_jaccard))
    return pairs


@pytest.mark.parametrize(
    ("text", "size", "count"),
    [
        ("", 3, 0),
        ("... !", 3, 0),
        ("one", 3, 1),
        ("one two", 3, 1),
        ("one two three", 3, 1),
        ("one two three four", 3, 2),
        ("one, two; three - four!", 3, 2),
        ("a b a b a b", 2, 2),
        ("a a a a", 1, 1),
        ("a b c d e f", 5, 2),
        ("港", 3, 1),
        ("老港口", 3, 1),
        ("老港口的", 3, 1),
        ("老港口的灯", 3, 2),
        ("老港口 pier 2", 3, 2),
        ("เก็บน้ำมันไว้", 3, 5),
    ],
)
def test_a_text_has_as_many_shingles_as_distinct_runs_of_words(text: str, size: int, count: int) -> None:
    assert n_shingles(["before " * 4, text, "after " * 4], size)[1] == count


def test_shingles_know_the_order_of_words_and_not_their_neighbours_in_other_texts() -> None:
    one, other, third = (set(np.split(s.hashes, s.offsets[1:-1])[i].tolist()) for s in [shingles()] for i in range(3))
    assert one != other
    assert one == third


def shingles() -> object:
    return shingle_sets(WordStream.of(["a b c", "c b a", "A, b: c."]), 3)


def test_a_short_text_is_no_shingle_of_a_longer_one() -> None:
    assert found(["a b", "a b c"], 0.7, size=3) == []
    assert found(["a b", "a b"], 0.7, size=3) == [(1, 0, 1.0)]


def test_similarity_is_shared_over_all() -> None:
    nine, ten = " ".join("abcdefghi"), " ".join("abcdefghij")
    assert found([nine, ten], 0.9) == [(1, 0, 0.9)]
    assert found([nine, ten], 0.91) == []
    assert found([ten, "a b c d e f g h i z"], 0.8) == [(1, 0, 0.818182)]
    assert found([ten, "a b c d e f g h i z"], 0.82) == []


def test_pairs_are_ordered_and_texts_without_words_match_nothing() -> None:
    assert found(["", "x y", "...", "x y", "X, y!", ""], 0.8) == [(3, 1, 1.0), (4, 1, 1.0), (4, 3, 1.0)]


@pytest.mark.parametrize("texts", [[], [""], ["", "!"], ["one text"]])
def test_too_little_text_has_no_pairs(texts: list[str]) -> None:
    assert found(texts, 0.8) == []


def test_similarities_of_given_pairs() -> None:
    sets = shingle_sets(WordStream.of(["a b c d", "a b c e", "", "z", "?"]), 1)
    later, earlier = np.array([1, 2, 3, 4, 0]), np.array([0, 0, 1, 2, 0])
    assert jaccard_of(sets, later, earlier).tolist() == [0.6, 0.0, 0.0, 0.0, 1.0]
    assert jaccard_of(sets, later[:0], earlier[:0]).tolist() == []


CHINESE = "冬天的海面常常结冰，船只无法靠岸，所以镇上的居民把粗盐和灯油存放在山坡上的旧仓库里，到春天再平均分配。"
THAI = "ในฤดูหนาวทะเลมักเป็นน้ำแข็งและเรือเข้าเทียบฝั่งไม่ได้ ชาวเมืองจึงเก็บเกลือกับน้ำมันไว้ในโกดังเก่าบนเนินเขาจนถึงฤดูใบไม้ผลิ"
ENGLISH = (
    "In winter the sea often freezes and no ship can reach the shore, so the people of the town keep salt and oil in an old "
    "storehouse on the hill and share them equally in spring."
)


@pytest.mark.parametrize(
    ("text", "word", "another", "similarity"),
    [(ENGLISH, "hill", "cliff", 0.837838), (CHINESE, "居民", "渔夫", 0.782609), (THAI, "โกดัง", "ถ้ำ", 0.88172)],
)
def test_one_changed_word_costs_about_as_much_in_every_script(text: str, word: str, another: str, similarity: float) -> None:
    assert found([text, text.replace(word, another), "".join(reversed(text))], 0.7, 3) == [(1, 0, similarity)]


def test_a_changed_sign_and_other_text_are_told_apart_in_unspaced_text() -> None:
    assert [pair[:2] for pair in found([CHINESE, THAI, CHINESE.replace("粗", "细"), THAI.replace("เก่า", "ใหม่")], 0.8, 3)] == [
        (2, 0),
        (3, 1),
    ]
    assert found([CHINESE[:30], CHINESE[30:], THAI[:60], THAI[60:]], 0.7, 3) == []


def test_many_copies_of_one_text_all_match() -> None:
    assert len(found(["the same words again"] * 60 + ["others"], 0.8)) == 60 * 59 // 2
