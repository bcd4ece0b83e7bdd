"""Text made harmless, numbers made readable, and the pieces that reports are made of."""

from __future__ import annotations

import polars as pl
import pytest

from audit.checks import CHECKS
from audit.corpus import RowId
from reports.excerpts import Comparison, Excerpt, Piece, Relation, compare, cut_excerpt, spread_evenly
from reports.explanation import Explanation, Paragraph, parse_explanation
from reports.histogram import Bar, make_histogram
from reports.visible import one_line, visible
from reports.wording import address, count, per_cent, share


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31m\x00\r", "⟨ESC⟩[31m⟨NUL⟩⟨CR⟩"),
        ("\x7f\x9b", "⟨U+007F⟩⟨U+009B⟩"),
        ("a\u202eb\u2066c\u200b\ufeff", "a⟨U+202E⟩b⟨U+2066⟩c⟨U+200B⟩⟨U+FEFF⟩"),
        ("\U000e0041\ud800\u2028", "⟨U+E0041⟩⟨U+D800⟩⟨U+2028⟩"),
        ("👩‍👩‍👧 שלום 你好 é", "👩‍👩‍👧 שלום 你好 é"),
    ],
)
def test_what_is_not_seen_is_named(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_one_line_collapses_and_cuts() -> None:
    assert one_line("  a\n\n\tb  ", 10) == "a b"
    assert one_line("abcdefghij", 10) == "abcdefghij"
    assert one_line("abcdefghijk", 10) == "abcdefghi…"
    assert one_line("a" + " " * 1000 + "b", 10) == "a…"
    assert one_line("\x1b" * 10_000_000, 9) == "⟨ESC⟩⟨ES…"


def test_numbers_are_never_rounded_to_nothing_or_all() -> None:
    assert (count(1, "row"), count(21509, "row"), count(2, "it is", "they are")) == ("1 row", "21,509 rows", "2 they are")
    assert [share(*pair) for pair in ((0, 9), (9, 9), (1, 3), (1, 10**6), (10**6 - 1, 10**6), (0, 0))] == [
        "0 %",
        "100 %",
        "33.3 %",
        "under 0.1 %",
        "over 99.9 %",
        "0 %",
    ]
    assert [per_cent(fraction) for fraction in (0.00123, 0.045, 0.1, 0.374, 1)] == ["0.12 %", "4.5 %", "10 %", "37 %", "100 %"]


def test_an_address_keeps_its_row_number() -> None:
    assert address(RowId("data.jsonl", 7)) == "data.jsonl#7"
    assert address(RowId("d\x1b" * 100, 7), 8) == "d⟨ESC⟩d…#7"


def test_an_excerpt_says_what_it_leaves_out() -> None:
    text = "0123456789"
    assert cut_excerpt(text, 20, [(2, 4), (4, 5)]) == Excerpt(
        (Piece("01"), Piece("23", True), Piece("4", True), Piece("56789"))
    )
    assert cut_excerpt(text, 4, [(7, 9)]) == Excerpt((Piece("6"), Piece("78", True), Piece("9")), 6, 0)
    assert cut_excerpt(text, 4) == Excerpt((Piece("0123"),), 0, 6)
    assert cut_excerpt("", 4) == Excerpt(())
    assert cut_excerpt(text, 20, [(2, 6), (4, 8)]).pieces == (Piece("01"), Piece("2345", True), Piece("67", True), Piece("89"))


def test_words_that_differ_are_marked() -> None:
    assert compare("Name three ways, now.", "Name four ways, now!", 100) == Comparison(
        Excerpt((Piece("Name "), Piece("three", True), Piece(" ways, now"), Piece(".", True))),
        Excerpt((Piece("Name "), Piece("four", True), Piece(" ways, now"), Piece("!", True))),
        Relation.ALIKE,
    )
    assert compare("Same.", "Same.", 100).relation is Relation.SAME
    other = compare("The Oder is a river.", "Sing me songs, please!", 100)
    assert other.relation is Relation.DIFFERENT
    assert not any(piece.marked for piece in other.left.pieces + other.right.pieces)


def test_a_difference_deep_in_a_long_text_is_seen() -> None:
    words = "word " * 100_000
    sides = compare(words + "left", words + "right", 400)
    assert sides.left.pieces[-1] == Piece("left", True)
    assert sides.right.pieces[-1] == Piece("right", True)
    assert sides.left.n_before > 400_000


def test_a_choice_is_spread_from_first_to_last() -> None:
    assert spread_evenly(3, 5) == [0, 1, 2]
    assert spread_evenly(100, 4) == [0, 33, 66, 99]
    assert spread_evenly(5, 1) == [0]


def test_a_histogram_keeps_its_tail_in_one_bar() -> None:
    values = pl.Series([*range(100), 10_000])
    histogram = make_histogram(values)
    assert histogram is not None
    assert histogram.bars[0] == Bar(0, 4, 5)
    assert histogram.bars[-1] == Bar(100, None, 1)
    assert sum(bar.n for bar in histogram.bars) == len(values)
    assert (histogram.low_quartile, histogram.median, histogram.high_quartile, histogram.longest) == (25, 50, 75, 10_000)
    assert make_histogram(pl.Series([], dtype=pl.UInt32)) is None
    assert make_histogram(pl.Series([0])).bars == (Bar(0, 0, 1),)


def test_an_explanation_is_parsed() -> None:
    page = "TXT001: it is empty.\n\nWhat: no text,\nof any kind.\n\nFix: run `a b`.\n\nFree text."
    assert parse_explanation(page) == Explanation(
        "it is empty.",
        (Paragraph("What", ("no text, of any kind.",)), Paragraph("Fix", ("run ", "a b", ".")), Paragraph("", ("Free text.",))),
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_the_pages_of_the_checks_follow_the_convention(check) -> None:
    page = parse_explanation(check.page)
    assert [paragraph.label for paragraph in page.paragraphs] == ["What", "Why it matters", "Example", "Fix"]
    assert all(len(paragraph.stretches) % 2 for paragraph in page.paragraphs), "a ` is not closed"
