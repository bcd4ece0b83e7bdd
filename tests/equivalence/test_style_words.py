"""The columnar passes over words of style against plain loops over one text at a time."""

from __future__ import annotations

import numpy as np
import pytest

from audit.style.lexicon import EMPTY_WORDS, FILLERS, HEDGES, MARKERS, StyleKind, styled_spans, word_kinds
from audit.style.padding import padding_of
from indexes.words import WordStream, is_word, tokenize

KINDS = list(StyleKind)
_WORDS = [
    *("the mill stands by a river and it doesn't turn".split()),
    *("many ways to save water saving waters save saved mills".split()),
    *(".", "!", "?", ",", "'s", "it's", "don't", "盐", "1.5", "i'm not", "there are"),
    *sorted(MARKERS | HEDGES | FILLERS),
]


def texts_of(seed: int, n_texts: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(_WORDS, rng.integers(0, 40))) for _ in range(n_texts)]


def plain_kinds(text: str, left_out: frozenset[str] = frozenset()) -> list[StyleKind]:
    """The longest phrase at every place, one place after the other."""
    tokens = tokenize(text)
    lists = ((StyleKind.HEDGE, HEDGES), (StyleKind.MARKER, MARKERS | FILLERS), (StyleKind.FUNCTION, function_words()))
    phrases = [(tuple(tokenize(phrase)), kind) for kind, words in lists for phrase in words - left_out]
    kinds: list[StyleKind] = []
    while len(kinds) < len(tokens):
        rest = tokens[len(kinds) :]
        fits = [(len(phrase), kind) for phrase, kind in phrases if tuple(rest[: len(phrase)]) == phrase]
        length, kind = max(fits, key=lambda fit: fit[0], default=(1, None))
        kinds += [kind or (StyleKind.CONTENT if is_word(rest[0]) else StyleKind.LAYOUT)] * length
    for place in range(1, len(tokens) - 1):
        ending = tokens[place + 1] in ("s", "t", "d", "ll", "ve", "re", "m")
        if tokens[place] == "'" and kinds[place] is StyleKind.LAYOUT and ending and is_word(tokens[place - 1]):
            kinds[place] = StyleKind.FUNCTION
    return kinds


def function_words() -> frozenset[str]:
    from audit.style.lexicon import FUNCTION_WORDS

    return FUNCTION_WORDS


@pytest.mark.parametrize("left_out", [frozenset(), frozenset({"such as", "it is important", "may"})])
def test_kinds_of_many_texts_are_those_of_each(left_out: frozenset[str]) -> None:
    texts = ["", *texts_of(0, 120), "it is important", "that being said"]
    stream = WordStream.of(texts)
    kinds = word_kinds(stream, left_out)
    for number, text in enumerate(texts):
        of_text = kinds[stream.offsets[number] : stream.offsets[number + 1]]
        assert [KINDS[kind] for kind in of_text.tolist()] == plain_kinds(text, left_out), text


def test_spans_have_the_kinds_of_their_words() -> None:
    plain = ["The mill may turn; however, it's a matter of a wide range of sails.", "Perhaps. In fact, don't."]
    stream = WordStream.of(plain)
    kinds = [KINDS[kind] for kind in word_kinds(stream).tolist()]
    assert [span.kind for text in plain for span in styled_spans(text)] == kinds


def plain_padding(prompt: str, response: str) -> tuple[int, int, int]:
    """Words, style words and words in empty sentences of one answer."""
    from audit.style.padding import _MAX_PROMPT_WORDS, _MIN_SENTENCE_WORDS, _OF_MATTER, _stem

    tokens, kinds = tokenize(response), plain_kinds(response, _OF_MATTER)
    asked = [token for token in tokenize(prompt) if is_word(token)]
    stems = {_stem(token) for token in tokenize(prompt)} if len(asked) <= _MAX_PROMPT_WORDS else set()
    sentences: list[list[int]] = []
    since = 0  # words since the last stop, wherever a sentence began
    for place, token in enumerate(tokens):
        is_stop = place and tokens[place - 1] in (".", "!", "?") and token not in (".", "!", "?")
        if not sentences or (is_stop and since > 2):
            sentences.append([])
        if is_stop:
            since = 0
        sentences[-1].append(place)
        since += is_word(token)
    n_style = n_empty = 0
    for sentence in sentences:
        words = [place for place in sentence if is_word(tokens[place])]
        is_set = [kinds[place] in (StyleKind.MARKER, StyleKind.HEDGE) for place in words]
        is_loose = [tokens[place] in EMPTY_WORDS for place in words]
        says = [
            kinds[place] is StyleKind.CONTENT and tokens[place] not in EMPTY_WORDS and _stem(tokens[place]) not in stems
            for place in words
        ]
        is_empty = len(words) >= _MIN_SENTENCE_WORDS and not any(says) and (any(is_set) or any(is_loose))
        n_style += len(words) if is_empty else sum(is_set)
        n_empty += len(words) if is_empty else 0
    return sum(map(is_word, tokens)), n_style, n_empty


def test_padding_of_many_answers_is_that_of_each() -> None:
    prompts = ["How can I save water?", "", "Name mills. " * 20, *texts_of(1, 60)]
    responses = ["There are many ways to save water. Turn it off.", "", "There are many mills.", *texts_of(2, 60)]
    asked = WordStream.of(prompts)
    found = padding_of(asked, WordStream.of(responses, asked.vocabulary))
    pairs = [plain_padding(prompt, response) for prompt, response in zip(prompts, responses, strict=True)]
    assert list(zip(found.n_words.tolist(), found.n_style.tolist(), found.n_empty.tolist(), strict=True)) == pairs
    assert pairs[0] == (10, 7, 7)
    assert found.share[:2].tolist() == [0.7, 0.0]
    assert int(found.is_style.sum()) == sum(n_style for _, n_style, _ in pairs)


def test_no_answer_at_all_has_none() -> None:
    empty = WordStream.of([])
    assert padding_of(empty, empty).n_words.tolist() == []
    assert word_kinds(empty).tolist() == []
