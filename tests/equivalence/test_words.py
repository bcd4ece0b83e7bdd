"""The fast paths of the tokenizer against plain ones, over Unicode text of every kind."""

from __future__ import annotations

import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from indexes.words import normalize, tokenize, tokenize_with_offsets
from tests.texts import TEXTS

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
