"""Tokens, their places in the text, and streams of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexes.words import (
    Token,
    WordStream,
    is_sign,
    is_word,
    load_vocabulary,
    normalize,
    save_vocabulary,
    terms_of,
    tokenize,
    tokenize_with_offsets,
)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        (" \t\r\n\x0b\x1c\u00a0\u3000", []),
        ("Don't pay $3.50!", ["don", "'", "t", "pay", "$", "3", ".", "50", "!"]),
        ("snake_case v2", ["snake_case", "v2"]),
        ("“Smart” ‘quotes’ — and – dashes", ['"', "smart", '"', "'", "quotes", "'", "-", "and", "-", "dashes"]),
        ("ＦＵＬＬ　ｗｉｄｔｈ １２", ["full", "width", "12"]),
        ("ﬁnal ﬂow", ["final", "flow"]),
        ("STRASSE Straße ΣΊΣΥΦΟΣ", ["strasse", "strasse", "σίσυφοσ"]),
        ("cafe\u0301 café", ["café", "café"]),
        ("q\u0303x", ["q\u0303x"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("שָׁלוֹם", ["שָׁלוֹם"]),
        ("東京 タワー", ["東", "京", "タ", "ワ", "ー"]),
        ("ｶﾞｷﾞ", ["ガ", "ギ"]),
        ("ไทย", ["ไ", "ท", "ย"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("น้ำ นํา", ["น้ํา", "นํา"]),
        ("ปี๒๕๖๗", ["ปี", "๒๕๖๗"]),
        ("ຂ້າ ນ້ຳ", ["ຂ້", "າ", "ນ້ໍາ"]),
        ("ខ្មែរ", ["ខ្មែ", "រ"]),
        ("မြန်မာ", ["မြ", "န်", "မာ"]),
        ("བོད་སྐད", ["བོད", "་", "སྐད"]),
        ("人々は〇", ["人", "々", "は", "〇"]),
        ("葛\U000e0100城", ["葛", "城"]),
        ("か\u309a東\u0301", ["か\u309a", "東\u0301"]),
        ("中a国7", ["中", "a", "国", "7"]),
        ("𠀀𠀁", ["𠀀", "𠀁"]),
        ("𝐀𐐀z", ["a𐐨z"]),
        ("한국어", ["한국어"]),
        ("\u1112\u1161\u11ab", ["한"]),
        ("a👍🏽b", ["a", "👍", "🏽", "b"]),
        ("❤\ufe0f ❤", ["❤", "❤"]),
        ("co\u00adoper tin\u200b \ufeffBOM", ["cooper", "tin", "bom"]),
        ("x²", ["x2"]),
        ("a\x1fb é", ["a", "b", "é"]),
        ("a\x1fb", ["a", "b"]),
    ],
)
def test_a_text_becomes_its_tokens(text: str, tokens: list[str]) -> None:
    assert tokenize(text) == tokens


def test_offsets_count_code_points_of_the_original() -> None:
    assert tokenize_with_offsets("Dr. Smith") == [Token("dr", 0, 2), Token(".", 2, 3), Token("smith", 4, 9)]
    assert tokenize_with_offsets("𝟏𝟐 ﬁve “é”") == [
        Token("12", 0, 2),
        Token("five", 3, 6),
        Token('"', 7, 8),
        Token("é", 8, 9),
        Token('"', 9, 10),
    ]


def test_offsets_of_a_letter_cover_its_marks_and_what_is_invisible_inside_the_word() -> None:
    assert tokenize_with_offsets("e\u0301!") == [Token("é", 0, 2), Token("!", 2, 3)]
    assert tokenize_with_offsets("co\u00adop \u200btin\u200b") == [Token("coop", 0, 5), Token("tin", 7, 10)]


def test_offsets_of_a_sign_cover_its_marks() -> None:
    assert tokenize_with_offsets("ดื่มน้ำ") == [Token("ดื่", 0, 3), Token("ม", 3, 4), Token("น้ํา", 4, 7)]
    assert tokenize_with_offsets("(港口)") == [Token("(", 0, 1), Token("港", 1, 2), Token("口", 2, 3), Token(")", 3, 4)]


def test_a_character_that_becomes_several_tokens_lends_them_its_place() -> None:
    assert tokenize_with_offsets("a½") == [Token("a1", 0, 2), Token("⁄", 1, 2), Token("2", 1, 2)]
    assert tokenize_with_offsets("…") == [Token(".", 0, 1)] * 3


@pytest.mark.parametrize(
    ("token", "expected"),
    [("a", True), ("7", True), ("_", True), ("東", True), ("ที่", True), (",", False), ("👍", False), ("่", False)],
)
def test_words_are_told_from_signs(token: str, expected: bool) -> None:
    assert is_word(token) is expected


@pytest.mark.parametrize("token", ["東", "か", "ー", "々", "𠀀", "ท", "ที่", "ກ", "ခ", "ខ្មែ"])
def test_signs_of_scripts_without_spaces_are_told(token: str) -> None:
    assert is_sign(token)


@pytest.mark.parametrize("token", ["a", "7", "é", "한국어", "हिन्दी", "བོད", "๒", "。", "។", "・", "👍", "่"])
def test_other_tokens_are_no_signs(token: str) -> None:
    assert not is_sign(token)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("The old, old pier!", [("the",), ("old",), ("old",), ("pier",)]),
        ("港口", [("港", "口")]),
        ("老港口。", [("老", "港"), ("港", "口")]),
        ("港。口", [("港",), ("口",)]),
        ("pier 港 7港口", [("pier",), ("港",), ("7",), ("港", "口")]),
        ("ที่นี่ไง", [("ที่", "นี่"), ("นี่", "ไ"), ("ไ", "ง")]),
    ],
)
def test_a_text_becomes_its_terms(text: str, terms: list[tuple[str, ...]]) -> None:
    assert terms_of(tokenize(text)) == terms


def test_terms_of_a_stream_end_with_their_text() -> None:
    stream = WordStream.of(["老港", "", "口。", "a 港口"])
    terms = stream.terms()
    named = [tuple(stream.vocabulary[n] for n in pair if n >= 0) for pair in zip(terms.first, terms.second, strict=True)]
    assert named == [("老", "港"), ("口",), ("a",), ("港", "口")]
    assert terms.text.tolist() == [0, 2, 3, 3]
    assert stream.signs.tolist() == [True, True, True, False, False]
    assert (terms.first.dtype, terms.second.dtype, terms.text.dtype) == (np.int32, np.int32, np.int32)


def test_normalising_is_idempotent_on_plain_and_odd_text() -> None:
    for text in ("Plain TEXT", "ﬁ “x” — Straße", "e\u0301\u0327 \u1112\u1161\u11ab ｶﾞ"):
        assert normalize(normalize(text)) == normalize(text)


def test_a_stream_numbers_tokens_by_first_appearance() -> None:
    stream = WordStream.of(["b a, b", "", "c"])
    assert stream.vocabulary == ["b", "a", ",", "c"]
    assert stream.ids.tolist() == [0, 1, 2, 0, 3]
    assert stream.offsets.tolist() == [0, 4, 4, 5]
    assert stream.n_texts == 3
    assert stream.text_of_position().tolist() == [0, 0, 0, 0, 2]
    assert stream.words.tolist() == [True, True, False, True]
    assert stream.number_of == {"b": 0, "a": 1, ",": 2, "c": 3}
    assert (stream.ids.dtype, stream.offsets.dtype) == (np.int32, np.int64)


def test_a_stream_goes_on_numbering_from_a_given_vocabulary() -> None:
    stream = WordStream.of(["z x"], ["x", "y"])
    assert stream.vocabulary == ["x", "y", "z"]
    assert stream.ids.tolist() == [2, 0]


def test_streams_of_nothing_are_empty() -> None:
    stream = WordStream.of([])
    assert (stream.n_texts, stream.ids.tolist(), stream.offsets.tolist()) == (0, [], [0])
    assert stream.joined(stream, np.empty(0, np.int64), 2).offsets.tolist() == [0, 0, 0]


def texts_of(stream: WordStream) -> list[str]:
    words = [stream.vocabulary[number] for number in stream.ids.tolist()]
    return [" ".join(words[begin:end]) for begin, end in zip(stream.offsets[:-1], stream.offsets[1:], strict=True)]


def test_joined_streams_alternate_within_each_group() -> None:
    prompts = WordStream.of(["p0", "p1 p1", "p2"])
    responses = WordStream.of(["r0 r0", "", "r2"], prompts.vocabulary)
    joined = prompts.joined(responses, np.array([0, 2, 2]), 4)
    assert texts_of(joined) == ["p0 r0 r0", "", "p1 p1 p2 r2", ""]
    assert joined.vocabulary == ["p0", "p1", "p2", "r0", "r2"]


def test_grouped_streams_lay_texts_end_to_end() -> None:
    stream = WordStream.of(["a", "b c", "", "d"])
    assert texts_of(stream.grouped(np.array([1, 1, 2, 4]), 6)) == ["", "a b c", "", "", "d", ""]


def test_some_texts_are_taken_in_the_order_given() -> None:
    stream = WordStream.of(["a b", "", "c", "d d d"])
    assert texts_of(stream.take(np.array([3, 0, 1, 0]))) == ["d d d", "a b", "", "a b"]
    assert texts_of(stream.take(np.empty(0, np.int64))) == []


def test_streams_and_vocabularies_survive_the_disk(tmp_path: Path) -> None:
    stream = WordStream.of(["one two", "東 two"])
    assert stream.save(tmp_path, "texts") == ["texts.ids.npy", "texts.offsets.npy"]
    save_vocabulary(tmp_path / "words.txt", stream.vocabulary)
    vocabulary = load_vocabulary(tmp_path / "words.txt")
    loaded = WordStream.load(tmp_path, "texts", vocabulary)
    assert vocabulary == stream.vocabulary
    assert (loaded.ids.tolist(), loaded.offsets.tolist()) == (stream.ids.tolist(), stream.offsets.tolist())


def test_an_empty_vocabulary_survives_the_disk(tmp_path: Path) -> None:
    save_vocabulary(tmp_path / "words.txt", [])
    assert load_vocabulary(tmp_path / "words.txt") == []
