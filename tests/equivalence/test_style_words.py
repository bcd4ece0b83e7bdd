"""The columnar passes over words of style against plain loops over one text at a time."""

from __future__ import annotations

import re

import numpy as np
import pytest

from audit.style.lexicon import EMPTY_WORDS, FILLERS, HEDGES, MARKERS, StyleKind, styled_spans, word_kinds
from audit.style.padding import padding_of
from indexes.words import WordStream, is_word, tokenize

KINDS = list(StyleKind)
_WORDS = [
    *("the mill stands by a river and it doesn't turn".split()),
    *("many ways to save water saving waters save saved mills".split()),
    *("it is truly important to note that, and one may well say that; i can be a matter of fact , , .".split()),
    *("topic topics vital world simply speaking , as a matter of fact".split()),
    *("obviously ,", "it could be argued that", "there is no doubt that", "in some ways"),
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


def plain_frames(tokens: list[str]) -> list[bool]:
    """Which tokens stand in frames, by the grammar as a pattern over words."""
    from audit.style.padding import _FRAMES

    classes = {"LY": r"(?:\w{3,}ly )", "BEGIN": r"(?<=[.!?;:,] )"}
    pattern = re.sub(r"[a-z]+|[',]|[A-Z]+", lambda found: classes.get(found[0], f"(?:{found[0]}@)"), _FRAMES)
    pattern = re.sub(r"\s+(?![])])", "", pattern.replace(" )", "@)")).replace("@", " ")
    text = f". {' '.join(tokens)} "
    starts = [2 + sum(len(token) + 1 for token in tokens[:place]) for place in range(len(tokens))]
    spans = [found.span() for found in re.finditer(rf"(?<= )(?:{pattern})", text)]
    return [any(low <= start < high for low, high in spans) for start in starts]


def sentences_of(tokens: list[str]) -> list[list[int]]:
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
    return sentences


def outer_clauses(tokens: list[str], sentence: list[int]) -> list[list[int]]:
    """The first and the last clause of a sentence, which may be the same."""
    clauses: list[list[int]] = [[]]
    for place in sentence:
        clauses[-1].append(place)
        if tokens[place] in (",", ";") and place != sentence[-1]:
            clauses.append([])
    return [clauses[0], clauses[-1]]


def plain_padding(prompt: str, response: str) -> tuple[int, ...]:
    """The counts of `Padding`, in order."""
    from audit.style.padding import (
        _EMPTY,
        _MAX_PROMPT_WORDS,
        _MIN_CLAUSE_LOOSE,
        _MIN_CLAUSE_WORDS,
        _MIN_SENTENCE_WORDS,
        _OF_MATTER,
        _PERSONAL,
        _stem,
    )

    tokens, kinds = tokenize(response), plain_kinds(response, _OF_MATTER)
    asked = [token for token in tokenize(prompt) if is_word(token)]
    stems = {_stem(token) for token in tokenize(prompt)} if len(asked) <= _MAX_PROMPT_WORDS else set()
    styles = (StyleKind.MARKER, StyleKind.HEDGE)
    words = {place for place, token in enumerate(tokens) if is_word(token)}
    of_frame = plain_frames(tokens)
    is_set = {place for place in words if kinds[place] in styles or of_frame[place]}

    def empty(part: list[int], little: frozenset[str], least: tuple[int, int], repeats: bool, personal: bool) -> set[int]:
        within = words & set(part)
        loose = {place for place in within if place in is_set or tokens[place] in little}
        says = {place for place in within - loose if kinds[place] is StyleKind.CONTENT}
        if repeats:
            says -= {place for place in within if _stem(tokens[place]) in stems}
        if personal:
            says |= {place for place in part if tokens[place] in _PERSONAL}
        return within if not says and len(within) >= least[0] and len(loose) >= least[1] else set()

    least, least_clause = (_MIN_SENTENCE_WORDS, 1), (_MIN_CLAUSE_WORDS, _MIN_CLAUSE_LOOSE)
    narrow: set[int] = set()
    alone, wide = set(is_set), set(is_set)
    for sentence in sentences_of(tokens):
        narrow |= empty(sentence, EMPTY_WORDS, least, repeats=True, personal=False)
        alone |= empty(sentence, _EMPTY, least, repeats=False, personal=True)
        wide |= empty(sentence, _EMPTY, least, repeats=True, personal=True)
        for clause in outer_clauses(tokens, sentence):
            alone |= empty(clause, _EMPTY, least_clause, repeats=False, personal=True)
    wide |= alone | narrow
    marks = "".join("x" if place in wide else "-" for place in sorted(words))
    n_runs = len(re.findall("x{4,}", marks))
    return len(words), len(is_set), len(is_set | narrow), len(narrow), len(wide), len(alone), n_runs


def test_padding_of_many_answers_is_that_of_each() -> None:
    prompts = ["How can I save water?", "", "Name mills. " * 20, "How do mills turn?", *texts_of(1, 160)]
    responses = [
        "There are many ways to save water. Turn it off.",
        "",
        "There are many mills.",
        "It could be argued that sails do it, which is something to keep in mind.",
        *texts_of(2, 160),
    ]
    asked = WordStream.of(prompts)
    found = padding_of(asked, WordStream.of(responses, asked.vocabulary))
    counts = (found.n_words, found.n_set, found.n_style, found.n_empty, found.n_wide, found.n_alone, found.n_runs)
    expected = [plain_padding(prompt, response) for prompt, response in zip(prompts, responses, strict=True)]
    assert list(zip(*(count.tolist() for count in counts), strict=True)) == expected
    assert expected[0] == (10, 3, 7, 7, 7, 3, 1)
    assert expected[3] == (15, 8, 8, 0, 12, 12, 2)
    assert found.share[:2].tolist() == [0.7, 0.0]
    assert int(found.is_style.sum()) == sum(counts[4] for counts in expected)


def test_no_answer_at_all_has_none() -> None:
    empty = WordStream.of([])
    assert padding_of(empty, empty).n_words.tolist() == []
    assert word_kinds(empty).tolist() == []
