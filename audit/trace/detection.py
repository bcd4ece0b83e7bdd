"""Which tokens of an answer are false, or are to be explained: one protocol for every way to find them.

A detector gives every token of an answer a doubt from 0 to 1 and knows the least doubt at which it marks one. Words are
marked whole, runs of marked words become spans, and these go to the tracer as if the user had marked them. What the
detectors are worth is measured in `tests/benchmarks/spans`; none replaces marking the false words by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from audit.errors import InputError
from audit.responses import Response, Span
from audit.trace.spans import spans_of_words, words_of

__all__ = [
    "DETECTORS",
    "Detection",
    "Detector",
    "DetectorName",
    "DoubtfulToken",
    "detect_spans",
    "doubts_of_words",
]


class DetectorName(StrEnum):
    """How false words were found."""

    GIVEN = "given"
    """Marked in the claim, by hand or by another tool's file."""
    REFERENCE = "reference"
    """They differ from a right answer."""
    SHIFT = "shift"
    """Tuning put them there."""
    CONSISTENCY = "consistency"
    """The model says something else when it is asked again."""
    FILE = "file"
    """Spans that a detector wrote to the file of answers."""


DETECTORS = tuple(DetectorName)
"""All of them, in the order in which they are listed."""


@dataclass(frozen=True, slots=True)
class DoubtfulToken:
    """A stretch of an answer and how much it is doubted.

    Attributes:
        start: First code point.
        end: Code point after the last.
        doubt: From 0, not at all, to 1. What it is a share of differs by detector, so that doubts of two detectors are
            not to be compared.
    """

    start: int
    end: int
    doubt: float


class Detector(Protocol):
    """Finds the doubtful tokens of answers."""

    @property
    def name(self) -> DetectorName:
        """Which one it is."""

    @property
    def min_doubt(self) -> float:
        """The least doubt at which it marks a token, unless another is asked for."""

    def doubts(self, responses: Sequence[Response]) -> tuple[tuple[DoubtfulToken, ...], ...]:
        """The tokens of each answer by position; tokens that share a character may overlap.

        Raises:
            InputError: What the detector needs is missing in an answer, or a model cannot read one.
        """


@dataclass(frozen=True)
class Detection:
    """What was found in one answer.

    Attributes:
        response: The answer with the spans that were found in place of those that it had; there may be none.
        detector: What found them.
        min_doubt: The least doubt of a marked token.
        tokens: Every token with its doubt.
    """

    response: Response
    detector: DetectorName
    min_doubt: float
    tokens: tuple[DoubtfulToken, ...]

    @property
    def spans(self) -> tuple[Span, ...]:
        """The stretches to be explained; the confidence of each is the highest doubt of its tokens."""
        return self.response.spans


def detect_spans(detector: Detector, responses: Sequence[Response], *, min_doubt: float | None = None) -> tuple[Detection, ...]:
    """Mark the doubtful words of answers, in their order.

    A word is marked where a token that holds a visible character of it is doubted enough. Common words at the ends of a
    span are left off. Given spans stay as they are.

    Args:
        detector: How.
        responses: The answers.
        min_doubt: The least doubt of a marked token, from 0 to 1; the detector's own unless given.

    Raises:
        InputError: As `Detector.doubts`, or `min_doubt` is no such number.
    """
    least = detector.min_doubt if min_doubt is None else min_doubt
    if not 0 <= least <= 1:
        raise InputError(f"a least doubt of {least:g}", remedy="give a number from 0 to 1")
    doubts = detector.doubts(responses)
    is_given = detector.name in (DetectorName.GIVEN, DetectorName.FILE)
    return tuple(
        Detection(
            replace(
                response,
                spans=_given(response, least) if is_given else _marked(response.response, tokens, least),
            ),
            detector.name,
            least,
            tokens,
        )
        for response, tokens in zip(responses, doubts, strict=True)
    )


def doubts_of_words(text: str, tokens: Sequence[DoubtfulToken]) -> tuple[DoubtfulToken, ...]:
    """The words of a text, each with the highest doubt of the tokens that hold a visible character of it."""
    words = words_of(text)
    doubts = [0.0] * len(words)
    first = 0
    for token in sorted(tokens, key=lambda token: token.start):
        while first < len(words) and words[first].end <= token.start:
            first += 1
        for place in range(first, len(words)):
            word = words[place]
            if word.start >= token.end:
                break
            if text[max(word.start, token.start) : min(word.end, token.end)].strip():
                doubts[place] = max(doubts[place], token.doubt)
    return tuple(DoubtfulToken(word.start, word.end, doubt) for word, doubt in zip(words, doubts, strict=True))


def _marked(text: str, tokens: Sequence[DoubtfulToken], least: float) -> tuple[Span, ...]:
    words = words_of(text)
    doubts = [word.doubt for word in doubts_of_words(text, tokens)]
    marked = [place for place, doubt in enumerate(doubts) if doubt >= least]
    return spans_of_words(text, [words[place] for place in marked], [doubts[place] for place in marked])


def _given(response: Response, least: float) -> tuple[Span, ...]:
    return tuple(span for span in response.spans if span.confidence is None or span.confidence >= least)
