"""Words and phrases of style, told apart by hand-built texts."""

from __future__ import annotations

import pytest

from audit.style.lexicon import (
    FILLERS,
    FUNCTION_WORDS,
    HEDGES,
    MARKERS,
    PhraseKind,
    StyleKind,
    closing_phrase,
    opening_phrase,
    styled_spans,
)


def kinds_in(text: str) -> list[tuple[str, StyleKind]]:
    return [(text[span.start : span.end], span.kind) for span in styled_spans(text)]


@pytest.mark.parametrize(
    ("text", "phrase", "head", "kind"),
    [
        ("Sure! Salt melts ice.", "Sure!", "Sure!", PhraseKind.AGREEMENT),
        ("Certainly, I'd be happy to help.\nSalt melts ice.", "Certainly, I'd be happy to help.", None, PhraseKind.AGREEMENT),
        ("I’d be happy to help! Salt.", "I’d be happy to help!", None, PhraseKind.AGREEMENT),
        ("  **Great question!** Salt.", "Great question!", None, PhraseKind.PRAISE),
        ("What a good idea! Salt.", "What a good idea!", None, PhraseKind.PRAISE),
        ("Hello there! Salt melts ice.", "Hello there!", None, PhraseKind.GREETING),
        ("As an AI language model, I melt no ice.", "As an AI language model,", None, PhraseKind.SELF),
        ("Here are three salts:\n- halite", "Here are three salts:", "Here are", PhraseKind.ANNOUNCEMENT),
        ("The following is a list of salts: \n- halite", "The following is a list of salts:", "The following is", None),
        ("Let's dive in! Salt.", "Let's dive in!", None, PhraseKind.ANNOUNCEMENT),
        (
            "I'd be more than happy to explain this. Salt.",
            "I'd be more than happy to explain this.",
            None,
            PhraseKind.AGREEMENT,
        ),
        ("I'm glad you asked! Salt.", "I'm glad you asked!", None, PhraseKind.PRAISE),
        ("Sure! Here's a list:\n- halite", "Sure! Here's a list:", "Sure! Here's", PhraseKind.AGREEMENT),
    ],
)
def test_an_opening_phrase_goes_to_the_end_of_its_sentence(
    text: str, phrase: str, head: str | None, kind: PhraseKind | None
) -> None:
    found = opening_phrase(text)
    assert found is not None
    assert text[found.start : found.end] == phrase
    assert text[found.start : found.head_end] == (head or phrase)
    assert found.kind is (kind or PhraseKind.ANNOUNCEMENT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Salt melts ice.",
        "Here are the salts that melt ice.",
        "Surely salt does.",
        "Greatness: a question.",
        "Okapi, a beast.",
        "Let x be the salt.",
        "This is an important topic in many seas.",
    ],
)
def test_answers_that_begin_with_the_answer_have_none(text: str) -> None:
    assert opening_phrase(text) is None


@pytest.mark.parametrize(
    ("text", "phrase", "kind"),
    [
        ("Salt. I hope this helps!", "I hope this helps!", PhraseKind.HOPE),
        ("Salt.\n\nLet me know if you have any questions.", "Let me know if you have any questions.", PhraseKind.OFFER),
        (
            "Salt. I hope this helps! If you need more salts, feel free to ask.\n",
            "I hope this helps! If you need more salts, feel free to ask.",
            PhraseKind.HOPE,
        ),
        ("Salt. Is there anything else you want?", "Is there anything else you want?", PhraseKind.OFFER),
        ("Salt. Any other questions?", "Any other questions?", PhraseKind.OFFER),
        ("Salt. Hopefully that clears things up.", "Hopefully that clears things up.", PhraseKind.HOPE),
        ("Stir the soup. Enjoy!", "Enjoy!", PhraseKind.WISH),
    ],
)
def test_a_closing_phrase_is_the_last_sentences(text: str, phrase: str, kind: PhraseKind) -> None:
    found = closing_phrase(text)
    assert found is not None
    assert (text[found.start : found.end], found.kind) == (phrase, kind)


@pytest.mark.parametrize(
    "text",
    ["", "Salt.", "Let me know if it melts, he said, and left.", "1. Who are you?\n2. Is there anything else I should know?"],
)
def test_answers_that_end_with_the_answer_have_none(text: str) -> None:
    assert closing_phrase(text) is None


def test_every_token_is_told() -> None:
    opener, closer, layout, hedge, marker, function, content = (
        StyleKind.OPENER,
        StyleKind.CLOSER,
        StyleKind.LAYOUT,
        StyleKind.HEDGE,
        StyleKind.MARKER,
        StyleKind.FUNCTION,
        StyleKind.CONTENT,
    )
    text = "Sure! Here are salts:\n1. It’s halite; for example, perhaps `it = 1`.\nGood luck!"
    assert kinds_in(text) == [
        *[("Sure", opener), ("!", opener), ("Here", opener), ("are", opener), ("salts", content), (":", layout)],
        *[("1", layout), (".", layout), ("It", function), ("’", function), ("s", function), ("halite", content)],
        *[(";", layout), ("for", marker), ("example", marker), (",", layout), ("perhaps", hedge), ("`", layout)],
        *[("it", content), ("=", content), ("1", content), ("`", layout), (".", layout)],
        *[("Good", closer), ("luck", closer), ("!", closer)],
    ]


def test_fenced_code_is_content_and_its_fences_are_layout() -> None:
    assert kinds_in("```py\nif it:\n```\nand") == [
        *[("`", StyleKind.LAYOUT)] * 3,
        ("py", StyleKind.LAYOUT),
        *[("if", StyleKind.CONTENT), ("it", StyleKind.CONTENT), (":", StyleKind.CONTENT)],
        *[("`", StyleKind.LAYOUT)] * 3,
        ("and", StyleKind.FUNCTION),
    ]


def test_the_longest_phrase_at_a_place_counts() -> None:
    text = "It is important to note that as well as such as"
    assert {kind for _, kind in kinds_in(text)} == {StyleKind.MARKER}
    assert dict(kinds_in("it is likely"))["likely"] is StyleKind.HEDGE


def test_another_script_has_only_content_and_layout() -> None:
    assert {kind for _, kind in kinds_in("盐融化冰。 Ναι, βέβαια.")} == {StyleKind.CONTENT, StyleKind.LAYOUT}


def test_a_word_stands_in_one_list() -> None:
    assert not HEDGES & MARKERS
    assert not FILLERS & (HEDGES | FUNCTION_WORDS)
