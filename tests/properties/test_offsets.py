"""Places in UTF-16 are those of a plain encoding, for every text, and lead back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.offsets import code_point_offsets, utf16_offsets, utf16_span

FAMILY = "👩‍👩‍👧"  # three emoji and two joiners
FLAG = "🇳🇴"
ACCENTED = "e\u0301a\u0308\u0323"
SKIN = "👍🏽"

PIECES = st.sampled_from(
    [FAMILY, FLAG, ACCENTED, SKIN, "a", "é", "你", "ש", "𝔘", "\u200d", "\ufe0f", "\ud83d", "\ude00", "\n", "\0"]
)
TEXTS = st.lists(PIECES | st.text(st.characters(), max_size=4), max_size=12).map("".join)


def plain(text: str, place: int) -> int:
    return len(text[:place].encode("utf-16-le", "surrogatepass")) // 2


@given(TEXTS)
def test_every_place_is_that_of_a_plain_encoding_and_leads_back(text) -> None:
    places = range(len(text) + 1)
    units = utf16_offsets(text, places)
    assert units == [plain(text, place) for place in places]
    assert code_point_offsets(text, units) == list(places)


@given(TEXTS, st.data())
def test_the_order_and_number_of_places_do_not_matter(text, data) -> None:
    places = data.draw(st.lists(st.integers(0, len(text)), max_size=6))
    assert utf16_offsets(text, places) == [plain(text, place) for place in places]


@given(TEXTS)
def test_every_unit_belongs_to_the_character_that_it_is_part_of(text) -> None:
    owners = [number for number, character in enumerate(text) for _ in range(plain(character, 1))]
    assert code_point_offsets(text, range(len(owners))) == owners


@given(TEXTS, TEXTS, TEXTS)
def test_a_span_cuts_the_same_words_out_of_the_units(before, words, after) -> None:
    text = before + words + after
    start, end = utf16_span(text, (len(before), len(before + words)))
    units = text.encode("utf-16-le", "surrogatepass")
    assert units[2 * start : 2 * end] == words.encode("utf-16-le", "surrogatepass")


def test_places_of_a_text_written_by_hand() -> None:
    text = f"{FAMILY} {ACCENTED} 🇳🇴!"
    assert utf16_offsets(text, [0, 1, 5, 6, 11, 12, 14, 15]) == [0, 2, 8, 9, 14, 15, 19, 20]
    assert code_point_offsets(text, [0, 1, 2, 3, 20]) == [0, 0, 1, 2, 15]
    assert utf16_span("plain", (1, 3)) == (1, 3)


@pytest.mark.parametrize("text", ["plain", FAMILY])
def test_a_place_outside_the_text_is_an_error(text) -> None:
    for place in (-1, len(text.encode("utf-16-le")) // 2 + 1):
        with pytest.raises(IndexError, match="in a text of"):
            code_point_offsets(text, [place])
    with pytest.raises(IndexError):
        utf16_offsets(text, [len(text) + 1])
