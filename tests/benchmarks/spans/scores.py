"""How well doubts find a known stretch of an answer: average precision, F1 in characters, intervals by group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.responses import Span
from audit.trace.detection import DoubtfulToken
from audit.trace.spans import words_of

__all__ = [
    "N_BOOTSTRAP",
    "Marked",
    "average_precision",
    "bootstrap",
    "f1",
    "marked",
    "placed_at_random",
    "probability_above",
    "token_doubts",
]

N_BOOTSTRAP = 1000


@dataclass(frozen=True)
class Marked:
    """Visible characters of one answer: marked and false, marked, false."""

    n_both: int
    n_marked: int
    n_false: int


def average_precision(doubts: NDArray[np.float64], is_false: NDArray[np.bool_]) -> float:
    """Area under the precision-recall curve by steps; equal doubts are one step."""
    order = np.argsort(-doubts, kind="stable")
    hits = np.cumsum(is_false[order])
    last = np.flatnonzero(np.append(np.diff(doubts[order]) != 0, True))
    precision = hits[last] / (last + 1)
    return float(np.sum(precision * np.diff(np.append(0, hits[last]))) / hits[-1])


def probability_above(high: NDArray[np.float64], low: NDArray[np.float64]) -> float:
    """How often a value of `high` is above one of `low`, ties counted half: the area under the ROC curve."""
    difference = high[:, None] - low[None]
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def token_doubts(
    text: str, tokens: Sequence[tuple[int, int]], found: Sequence[DoubtfulToken], *, least: float = 0.0
) -> NDArray[np.float64]:
    """The highest doubt of what overlaps a visible character of each token; shape `(n_tokens,)`."""
    doubts = np.full(len(tokens), least)
    for place, (start, end) in enumerate(tokens):
        for token in found:
            if text[max(start, token.start) : min(end, token.end)].strip():
                doubts[place] = max(doubts[place], token.doubt)
    return doubts


def f1(counts: Sequence[Marked]) -> float:
    """Harmonic mean of precision and recall over the characters of all answers together."""
    both = sum(count.n_both for count in counts)
    return 2 * both / max(sum(count.n_marked + count.n_false for count in counts), 1)


def marked(text: str, spans: Sequence[Span], start: int, end: int) -> Marked:
    """What spans mark of the false stretch `start:end`; white space counts for nothing."""
    visible = {place for place, char in enumerate(text) if not char.isspace()}
    by_spans = visible & {place for span in spans for place in range(span.start, span.end)}
    false = visible & set(range(start, end))
    return Marked(len(by_spans & false), len(by_spans), len(false))


def placed_at_random(text: str, spans: Sequence[Span], generator: np.random.Generator) -> tuple[Span, ...]:
    """As many spans of as many words each, anywhere in the text; they may overlap."""
    words = words_of(text)
    placed = []
    for span in spans:
        n_words = sum(word.start < span.end and span.start < word.end for word in words)
        first = int(generator.integers(0, len(words) - n_words + 1))
        start, end = words[first].start, words[first + n_words - 1].end
        placed.append(Span(start, end, text[start:end]))
    return tuple(placed)


def bootstrap(groups: Sequence[str], statistic: Callable[[NDArray[np.int64]], float], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of a statistic of some answers, their groups drawn with replacement.

    Args:
        groups: The group of every answer.
        statistic: Of the places of answers, as often as each was drawn.
        seed: Of the draws.
    """
    generator = np.random.default_rng(seed)
    names = sorted(set(groups))
    places = {name: np.flatnonzero(np.array(groups) == name) for name in names}
    drawn = (generator.integers(0, len(names), len(names)) for _ in range(N_BOOTSTRAP))
    values = [statistic(np.concatenate([places[names[number]] for number in draw])) for draw in drawn]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
