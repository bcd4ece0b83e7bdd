"""The columnar features of style against a reading of one text at a time."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.style.features import GRAMMAR, TRAITS, style_features
from audit.style.mixture import Placed, mixture_weights
from indexes.words import is_word, tokenize

PIECES = st.sampled_from(
    [
        "The mill", "however", "Walking slowly", "42", "1. one", "- two", "done.", "Why?", "so!", ",", "\n", "\n\n", "é",
        "  \n \n", "naïve",
        "“said”", "(x)", "a", "I", "THE", "## Head", "```", "| a | b |", ":", "3.5%", "日本", "🙂", "\x02", "a_b", "$5",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=12).map(" ".join)


def _pieces(text: str) -> list[str]:
    """Words and signs in order, with "\\n" for a line break and "\\n\\n" for a paragraph's."""
    found: list[str] = []
    for part in re.split(r"(\r?\n[ \t]*(?:\r?\n\s*)+|\n)", text.strip()):
        if part == "\n":
            found.append("\n")
        elif part.strip(" \t\r\n") == "" and "\n" in part:
            found.append("\n\n")
        else:
            found += ["\n" if token == "\x02" else token for token in tokenize(part)]
    return found


def _sentences(pieces: list[str]) -> list[int]:
    lengths, words = [], 0
    for piece in pieces:
        words += piece.strip() != "" and is_word(piece)
        if piece in (".", "!", "?", "\n", "\n\n"):
            lengths.append(words)
            words = 0
    return [length for length in [*lengths, words] if length]


@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_rhythm_and_rates(texts: list[str]) -> None:
    features = style_features(texts)
    for number, text in enumerate(texts):
        pieces = _pieces(text)
        words = [piece for piece in pieces if piece.strip() and is_word(piece)]
        lengths = _sentences(pieces)
        traits = dict(zip(TRAITS, features.traits[number].tolist(), strict=True))
        assert features.n_words[number] == len(words)
        mean = sum(lengths) / len(lengths) if lengths else 0.0
        spread = math.sqrt(sum((length - mean) ** 2 for length in lengths) / len(lengths)) if lengths else 0.0
        expected = {
            "words of a sentence": math.log1p(mean),
            "spread of sentence lengths": spread / (mean + 1),
            "words of the first sentence": math.log1p(lengths[0]) if lengths else 0.0,
            "words of the last sentence": math.log1p(lengths[-1]) if lengths else 0.0,
            "words of the longest sentence": math.log1p(max(lengths, default=0)),
            "letters of a word": sum(map(len, words)) / max(len(words), 1),
            "distinct words": len(set(words)) / max(len(words), 1) ** 0.7,
            "lines": math.log(1 + sum(piece in ("\n", "\n\n") for piece in pieces)),
            ", per word": math.sqrt(pieces.count(",") / max(len(words), 1)),
            "numbers": math.sqrt(sum(piece[0].isdigit() for piece in words) / max(len(words), 1)),
        }
        assert {name: traits[name] for name in expected} == pytest.approx(expected, abs=1e-5)
        of_grammar = {word: math.sqrt(words.count(word) / max(len(words), 1)) for word in ("the", "however", "i", "so")}
        assert {word: features.grammar[number, GRAMMAR.index(word)] for word in of_grammar} == pytest.approx(
            of_grammar, abs=1e-5
        )


@given(st.lists(TEXTS, min_size=2, max_size=5))
def test_a_texts_features_depend_on_it_alone(texts: list[str]) -> None:
    together = style_features(texts)
    for number, text in enumerate(texts):
        alone = style_features([text])
        assert alone.traits[0] == pytest.approx(together.traits[number])
        assert (alone.forms.toarray()[0] == together.forms.toarray()[number]).all()
        assert (alone.ends.toarray()[0] == together.ends.toarray()[number]).all()


def test_topic_words_are_masked() -> None:
    forms = style_features(
        ["The glazing of the pots was long.", "The milling of the oats was long.", "Long was the oats' milling."]
    )
    assert (forms.forms[[0]] != forms.forms[[1]]).nnz == 0
    assert (forms.ends[[0]] != forms.ends[[1]]).nnz == 0
    assert (forms.forms[[0]] != forms.forms[[2]]).nnz > 0


def test_the_mixture_is_the_likeliest_one() -> None:
    generator = np.random.default_rng(0)
    null_rates, source_rates = generator.dirichlet(np.ones(12)), generator.dirichlet(np.ones(12))

    def drawn(rates: np.ndarray, n: int) -> Placed:
        return Placed(generator.choice(12, n, p=rates).astype(np.int32), np.full(n, 30, np.int32), np.arange(n))

    outputs, null, source = (
        drawn(0.7 * null_rates + 0.3 * source_rates, 4_000),
        drawn(null_rates, 20_000),
        drawn(source_rates, 20_000),
    )
    weight = mixture_weights(outputs, null, [source], 12)[1]
    grid = np.linspace(0, 1, 2_001)
    rates = [(np.bincount(part.centre, minlength=12) + 1e-9) / len(part.centre) for part in (null, source)]
    counts = np.bincount(outputs.centre, minlength=12)
    likelihood = [(counts * np.log((1 - share) * rates[0] + share * rates[1])).sum() for share in grid]
    assert weight == pytest.approx(grid[int(np.argmax(likelihood))], abs=0.01)
    assert weight == pytest.approx(0.3, abs=0.06)
