"""Tone and style of texts, counted by hand."""

from __future__ import annotations

import polars as pl
import pytest

from audit.verify.tone import N_OPENERS, DatasetStyle, StyleTraits, TokenClass, token_classes, traits_of
from indexes.words import tokenize_with_offsets

RESPONSES = [
    "The river is long. It flows north.",
    "The river is short.",
    "A lake. It flows.",
    "Nine words stand alone here, no others begin so.",
]


def test_openers_are_the_first_two_words_that_begin_more_than_one_response() -> None:
    style = DatasetStyle.of(RESPONSES)
    assert style.openers == ("the river",)
    assert style.sentence_openers == ("it flows", "the river")
    assert style.lengths_words == (4, 4, 7, 9)
    many = DatasetStyle.of([f"word{i % 30} same text" for i in range(90)])
    assert len(many.openers) == N_OPENERS


def test_traits_are_held_against_the_dataset() -> None:
    style = DatasetStyle.of(RESPONSES)
    traits = traits_of(["The river: however, it is. It flows!\n\n- one\n- two", "# Heading\nNo."], style)
    assert traits == StyleTraits(
        n=2,
        mean_words=5.5,
        median_words=5.5,
        mean_sentences=3.0,
        opener_fraction=0.5,
        sentence_opener_fraction=2 / 6,
        markers_per_100_words=pytest.approx(100 / 11),
        list_fraction=0.5,
        heading_fraction=0.5,
        paragraphs_fraction=0.5,
        length_distance=0.5,
    )
    assert traits_of(RESPONSES, style).length_distance == 0.0
    assert traits_of([""], style).opener_fraction == 0.0


def frame(texts: list[str], pieces: list[list[str]]) -> pl.DataFrame:
    """Tokens that are some pieces of the texts, in order."""
    rows = []
    for number, (text, of_text) in enumerate(zip(texts, pieces, strict=True)):
        at = 0
        for piece in of_text:
            start = text.index(piece, at)
            at = start + len(piece)
            rows.append({"number": number, "start": start, "end": at})
    return pl.DataFrame(rows)


def test_a_token_has_the_class_of_the_word_that_it_belongs_to() -> None:
    text = "However, the Ostrand light is red. For example, it blinks\n"
    pieces = [
        "How",
        "ever",
        ",",
        " the",
        " Ost",
        "rand",
        " light",
        " is",
        " red",
        ".",
        " For",
        " example",
        ",",
        " it",
        " blinks",
        "\n",
    ]
    opener, layout, function, content, marker = (
        TokenClass.OPENER,
        TokenClass.LAYOUT,
        TokenClass.FUNCTION,
        TokenClass.CONTENT,
        TokenClass.MARKER,
    )
    assert token_classes(frame([text], [pieces]), [text]) == [
        *[opener, opener, layout, function, content, content, content, function, content, layout],
        *[opener, marker, layout, function, content, layout],
    ]


def test_tokens_that_share_a_character_share_its_class() -> None:
    tokens = pl.DataFrame({"number": [0, 0, 0, 1], "start": [0, 2, 2, 0], "end": [2, 3, 3, 1]})
    assert token_classes(tokens, ["a é", "b"]) == [
        TokenClass.OPENER,
        TokenClass.CONTENT,
        TokenClass.CONTENT,
        TokenClass.OPENER,
    ]


@pytest.mark.parametrize(
    ("text", "n_markers"),
    [("on the other hand, no", 1), ("as well as such as this", 2), ("hand on the", 0), ("HOWEVER however", 2)],
)
def test_the_longest_marker_at_a_place_counts_once(text: str, n_markers: int) -> None:
    n_words = len([word for word in tokenize_with_offsets(text) if word.text.isalpha()])
    found = traits_of([text], DatasetStyle.of(["x"])).markers_per_100_words
    assert found == pytest.approx(100 * n_markers / n_words)
