"""The fast paths of the tokenizer against plain ones, over Unicode text of every kind."""

from __future__ import annotations

import re
import unicodedata

import regex
from hypothesis import example, given
from hypothesis import strategies as st

from indexes.words import WordStream, is_sign, normalize, terms_of, tokenize, tokenize_with_offsets
from tests.texts import TEXTS, UNSPACED_TEXTS

PLAIN = str.maketrans(
    {"‘": "'", "’": "'", "ʼ": "'", "“": '"', "”": '"', "‐": "-", "‑": "-", "–": "-", "—": "-", "−": "-"}
    | dict.fromkeys([0xAD, 0x61C, 0x180E, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070)])
    | dict.fromkeys(range(0xFE00, 0xFE10))
)


def normalize_plain(text: str) -> str:
    """The whole text at once."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).translate(PLAIN)


@given(TEXTS)
@example("ｶﾞ")
@example("\u3131\u314f")
@example("\u0e01\u0e33")
def test_clusters_normalise_as_the_whole_text_does(text: str) -> None:
    assert normalize(text) == normalize_plain(text)


@given(TEXTS)
def test_tokens_are_the_same_with_and_without_offsets(text: str) -> None:
    assert [token.text for token in tokenize_with_offsets(text)] == tokenize(text)


@given(st.text(st.characters(max_codepoint=127)))
@example("a\x1cb\x1d\x1e\x1f\x85")
def test_ascii_text_takes_no_other_tokens_than_the_general_path(text: str) -> None:
    longer = tokenize(text + " é")
    assert longer == [*tokenize(text), "é"]


@given(TEXTS)
def test_offsets_lead_back_to_text_that_gives_the_token(text: str) -> None:
    tokens = tokenize_with_offsets(text)
    for token in tokens:
        within = tokenize(text[token.start : token.end])
        assert token.text in within or token.text in "".join(within)
        shares_place = any(
            other is not token and other.start < token.end and token.start < other.end for other in tokens
        )  # as do the parts of "½"
        if not shares_place:
            assert within == [token.text]
    assert [token.start for token in tokens] == sorted(token.start for token in tokens)
    assert all(0 <= token.start < token.end <= len(text) for token in tokens)


# By Unicode's own properties, where the product has ranges of code points.
UNSPACED_LETTER = regex.compile(r"(?=\p{L})[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Line_Break=Complex_Context}]")
OF_UNSPACED_SCRIPT = regex.compile(
    "["
    + "".join(rf"\p{{scx={name}}}" for name in "Han Hira Kana Bopo Thai Laoo Mymr Khmr Tale Talu Lana Tavt Ahom".split())
    + "]"
)
MARKS = "".join(char for char in map(chr, range(0x300, 0x1F000)) if unicodedata.category(char)[0] == "M")
TOKEN = re.compile(rf"[\w{MARKS}]+|[^\w\s]")


def test_signs_are_the_letters_of_the_scripts_that_unicode_breaks_without_spaces() -> None:
    known = (char for char in map(chr, range(0x110000)) if unicodedata.category(char) not in ("Cn", "Cs"))
    for char in known:
        if UNSPACED_LETTER.match(char) and normalize(char) == char:
            assert is_sign(char), f"U+{ord(char):04X}"
        elif not OF_UNSPACED_SCRIPT.match(char):
            assert not is_sign(char), f"U+{ord(char):04X}"


@given(TEXTS)
def test_text_with_spaces_is_split_as_by_one_plain_pattern(text: str) -> None:
    normal = normalize(text)
    if not OF_UNSPACED_SCRIPT.search(normal):
        assert tokenize(text) == TOKEN.findall(normal)


@given(UNSPACED_TEXTS)
@example("กํา")
def test_no_token_of_unspaced_text_ends_within_what_a_reader_sees_as_one_character(text: str) -> None:
    boundaries = {0, *(match.end() for match in regex.finditer(r"\X", text))}
    for token in tokenize_with_offsets(text):
        assert {token.start, token.end} <= boundaries


@given(st.lists(st.one_of(TEXTS, UNSPACED_TEXTS), max_size=5))
@example(["東京", "都。", "", "a東b"])
def test_terms_of_a_stream_are_those_of_each_text(texts: list[str]) -> None:
    stream = WordStream.of(texts)
    terms = stream.terms()
    named: list[list[tuple[str, ...]]] = [[] for _ in texts]
    for first, second, text in zip(terms.first.tolist(), terms.second.tolist(), terms.text.tolist(), strict=True):
        named[text].append(tuple(stream.vocabulary[number] for number in (first, second) if number >= 0))
    assert named == [terms_of(tokenize(text)) for text in texts]


@given(st.lists(st.one_of(TEXTS, UNSPACED_TEXTS), max_size=5), st.lists(st.sampled_from(["a", "東", "ที่"]), unique=True))
def test_streams_number_tokens_as_a_plain_loop_does(texts: list[str], vocabulary: list[str]) -> None:
    number_of = {token: number for number, token in enumerate(vocabulary)}
    ids = [number_of.setdefault(token, len(number_of)) for text in texts for token in tokenize(text)]
    stream = WordStream.of(texts, vocabulary)
    assert (stream.vocabulary, stream.ids.tolist()) == (list(number_of), ids)
