"""Postings against reading every text; coverage against a loop over every place."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from indexes.phrases import PhraseIndex, occurrences_plain
from indexes.words import WordStream, tokenize
from tests.texts import TEXTS, UNSPACED_TEXTS, WORDY_TEXTS

FIRST_ANCHORS = 3


@given(st.lists(TEXTS, max_size=4), TEXTS)
@example(["Caf\u0065\u0301 ﬁnal", "cafe"], "CAFÉ")
@example(["ab", "ab"], "b")
def test_every_occurrence_is_found_in_any_text(texts: list[str], span: str) -> None:
    assert PhraseIndex(WordStream.of(texts)).occurrences(span) == occurrences_plain(texts, span)


@given(st.lists(WORDY_TEXTS, max_size=5), WORDY_TEXTS)
def test_every_occurrence_is_found_where_there_are_many(texts: list[str], span: str) -> None:
    assert PhraseIndex(WordStream.of(texts)).occurrences(span) == occurrences_plain(texts, span)


@given(st.lists(UNSPACED_TEXTS, max_size=5), UNSPACED_TEXTS)
@example(["ที่นี่ที่", "ทีนี"], "ที่")
def test_every_occurrence_is_found_in_unspaced_text(texts: list[str], span: str) -> None:
    assert PhraseIndex(WordStream.of(texts)).occurrences(span) == occurrences_plain(texts, span)


@given(st.lists(TEXTS, min_size=1, max_size=4), st.data())
def test_a_run_of_a_texts_own_tokens_is_found_there(texts: list[str], data: st.DataObject) -> None:
    tokens = tokenize(texts[0])
    begin = data.draw(st.integers(0, len(tokens)))
    span = " ".join(tokens[begin : begin + 3])
    if tokenize(span) != tokens[begin : begin + 3] or not tokens[begin:]:
        return  # a lone combining mark joins the blank before it
    found = PhraseIndex(WordStream.of(texts)).occurrences(span)
    assert (0, begin) in [(place.text, place.token) for place in found]


def support_plain(
    texts: list[list[str]], span: list[str], weights: list[float], frequent: set[str]
) -> list[tuple[object, ...]]:
    """For every text, the heaviest run of the span's tokens around an anchor: the heaviest tokens that occur at all."""
    known = {token for text in texts for token in text}
    by_weight = sorted(range(len(span)), key=lambda i: -(weights[i] if span[i] in known else 0.0))[:FIRST_ANCHORS]
    anchors = [
        i for rank, i in enumerate(by_weight) if span[i] in known and weights[i] > 0 and (rank == 0 or span[i] not in frequent)
    ]
    found: list[tuple[object, ...]] = []
    for number, text in enumerate(texts):
        runs = []
        for anchor in anchors:
            for position in range(len(text)):
                if text[position] != span[anchor]:
                    continue
                left = right = 0
                while anchor - left > 0 and position - left > 0 and text[position - left - 1] == span[anchor - left - 1]:
                    left += 1
                while (
                    anchor + right + 1 < len(span)
                    and position + right + 1 < len(text)
                    and text[position + right + 1] == span[anchor + right + 1]
                ):
                    right += 1
                coverage = round(sum(weights[anchor - left : anchor + right + 1]) / sum(weights), 4)
                runs.append((-coverage, -(left + 1 + right), position - left))
        if runs:
            coverage, length, begin = min(runs)
            found.append((number, -coverage, begin, -length))
    return found


WORDS = st.sampled_from(list("abcdef,"))


@given(
    st.lists(st.lists(WORDS, max_size=12), max_size=6),
    st.lists(st.tuples(WORDS, st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0])), min_size=1, max_size=6),
)
@example([["a", "b", "a", "b", "c"]], [("a", 1.0), ("b", 2.0), ("c", 0.0)])
def test_support_is_that_of_a_loop_over_every_place(texts: list[list[str]], span: list[tuple[str, float]]) -> None:
    index = PhraseIndex(WordStream.of([" ".join(text) for text in texts]))
    tokens, weights = [token for token, _ in span], [weight for _, weight in span]
    found = index.support(index.token_numbers(tokens)[None], np.array([weights], np.float32))
    listed = [
        (text, round(coverage, 4), begin, length)
        for text, coverage, begin, length in zip(
            found.text.tolist(), found.coverage.astype(float).tolist(), found.begin.tolist(), found.length.tolist(), strict=True
        )
    ]
    assert listed == support_plain(texts, tokens, weights, frequent=set())
    assert found.span.tolist() == [0] * len(listed)


def test_support_of_many_spans_at_once_is_that_of_each_alone() -> None:
    generator = np.random.default_rng(3)
    # Word 0 stands in most of the 6,000 texts and so is no second anchor.
    texts = [" ".join(f"w{n}" for n in row) for row in np.minimum(generator.geometric(0.3, (6000, 6)) - 1, 30)]
    index = PhraseIndex(WordStream.of(texts))
    spans = generator.integers(0, len(index.stream.vocabulary), (40, 4))
    weights = index.weights[spans]
    together = index.support(spans, weights)
    columns = ("text", "coverage", "begin", "length")
    for number in range(len(spans)):
        alone = index.support(spans[number : number + 1], weights[number : number + 1])
        of_span = together.span == number
        for column in columns:
            np.testing.assert_array_equal(getattr(together, column)[of_span], getattr(alone, column))
    frequent = {w for w, n in zip(index.stream.vocabulary, index.document_frequency, strict=True) if n > 60}
    assert frequent
    split = [text.split() for text in texts]
    for number in range(3):
        tokens = [index.stream.vocabulary[token] for token in spans[number]]
        expected = support_plain(split, tokens, weights[number].astype(float).tolist(), frequent)
        of_span = together.span == number
        assert together.text[of_span].tolist() == [text for text, *_ in expected]
        np.testing.assert_allclose(together.coverage[of_span], [coverage for _, coverage, *_ in expected], atol=1.1e-4)
