"""STY004: much of an answer is style.

What: English. The share of words that are discourse markers ("Additionally", "In conclusion"), set phrases ("It is important
to note that", "a wide variety of"), hedges that could go, or stand in sentences that only say a short instruction again
("There are many ways to save water."). A finding is an answer of at least 40 words to an open instruction of one line, where
the share is at least 15 % (20 % without such a sentence) and three times that of the dataset's answers of such length. Markers
that bring an example, a contrast or a cause, and hedges of fact ("may", "usually"), do not count; code, answers with a <think>
block and instructions to make something are left out.

Why it matters: these words say nothing, are the same whatever is asked, and are what a tuned model takes over first; in
place of matter it learns how an answer sounds (Ghosh et al. 2024 call it tone imitation).

Example: `{"instruction": "How can I save water?", "output": "There are many ways to save water. It is important to …"}`.

Fix: cut the words, or `tunescope export --mend concise`; or `tunescope export --drop STY004`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.checks.base import Check, bounded, shorten
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need
from audit.style.need import Kind, read_requests
from audit.style.padding import padding_of
from indexes.words import tokenize_with_offsets

__all__ = ["CHECK", "Options"]


@dataclass(frozen=True)
class Options:
    """`min_share`: share of style words from which on it is a finding, 0.05 to 1; `min_ratio`: times the usual, 1 to 20."""

    min_share: float = bounded(0.15, 0.05, 1.0)
    min_ratio: float = bounded(3.0, 1.0, 20.0)


_MIN_WORDS = 40
_OPEN_KINDS = frozenset({Kind.EXPLANATION, Kind.LIST, Kind.OTHER})
_SEVERE_SHARE = 0.3
# Without a sentence that only repeats, so many times the share.
_ONLY_PHRASES = 4 / 3
_IS_CODE = r"(?m)```|\"\"\"|^\s*(?:import |from \w+ import |def |class |function |#include|<\w+>|[{}])"
# Texts to work on, things to make, and questions that are answered in their own words.
_HOLDS_MATTER = re.compile(
    r"(?i)[\n:\"“]|^\W*(?:create|design|build|write|make|develop|compose|draw|retrieve) (?!(?:a |an |"
    r"the )?(?:\w+ )?(?:list|examples|ideas|tips)\b)|[\n:]\s*\S|\bwhich (?:of|one)\b|(?:^|[,.;!?]\s*|\b(?:and|then|but|"
    r"or|so)\s+)(?:is|are|was|were|do|does|did|can (?!you)|"
    r"could (?!you)|should|would (?!you)|will|has|have|am)\b[^?.]{0,300}\?"
)
# Answers of a length from so many times shorter to so many times longer are of such length; of these at least so many.
_SUCH_LENGTH, _MIN_SUCH = 1.5, 30


def find(materials: Materials, options: Options) -> Iterator[Finding]:
    """One finding per answer with far more style words than others of its length."""
    padding = padding_of(materials.prompt_words, materials.response_words)
    plain = materials.english_responses.filter((pl.col("answer_start") == 0) & ~pl.col("text").str.contains(_IS_CODE))
    numbers = plain["response"].to_numpy()
    numbers = numbers[padding.n_words[numbers] >= _MIN_WORDS]
    lengths, shares = padding.n_words[numbers], padding.share[numbers]
    usual = _usual_shares(lengths, shares)
    least = np.where(padding.n_empty[numbers] > 0, options.min_share, options.min_share * _ONLY_PHRASES)
    far = (shares >= least) & (shares >= options.min_ratio * usual)
    chosen = plain.filter(pl.col("response").is_in(numbers[far].tolist()))
    least_of = dict(zip(numbers[far].tolist(), least[far].tolist(), strict=True))
    usual_of = dict(zip(numbers[far].tolist(), usual[far].tolist(), strict=True))
    for request, (number, row, turn, prompt, text) in zip(
        read_requests(chosen["prompt"].to_list()),
        chosen.select("response", "row", "turn", "prompt", "text").iter_rows(),
        strict=True,
    ):
        if request.kind not in _OPEN_KINDS or _HOLDS_MATTER.search(prompt.strip()):
            continue
        n_words, n_style, share = int(padding.n_words[number]), int(padding.n_style[number]), float(padding.share[number])
        start, end = _longest(text, padding.is_style[_positions(materials, number)])
        message = (
            f"{n_style} of {n_words} words ({share:.0%}) are discourse markers, set phrases, hedges or the instruction over"
            f" again; answers of such length have {usual_of[number]:.0%} in this dataset."
        )
        evidence = Evidence(
            "share of words that are style",
            round(share, 4),
            round(max(least_of[number], options.min_ratio * usual_of[number]), 4),
            span=(start, end),
            quote=shorten(text[start:end]),
        )
        severity = CHECK.severity if share < _SEVERE_SHARE else Severity.WARNING
        yield Finding(CHECK.code, row, turn, severity, message, evidence)


def _usual_shares(lengths: NDArray[np.int64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean share of the answers of about the same length, for each; infinite where there are too few to tell."""
    order = np.argsort(lengths, kind="stable")
    ascending = lengths[order]
    sums = np.concatenate([[0.0], np.cumsum(shares[order])])
    low = np.searchsorted(ascending, lengths / _SUCH_LENGTH, side="left")
    high = np.searchsorted(ascending, lengths * _SUCH_LENGTH, side="right")
    n_others = high - low - 1
    others = sums[high] - sums[low] - shares
    return np.where(n_others >= _MIN_SUCH, others / np.maximum(n_others, 1), np.inf)


def _positions(materials: Materials, number: int) -> slice:
    offsets = materials.response_words.offsets
    return slice(int(offsets[number]), int(offsets[number + 1]))


def _longest(text: str, is_style: NDArray[np.bool_]) -> tuple[int, int]:
    """Where the longest run of style words stands, the first of equals; punctuation between them does not end it."""
    best, run = (0, 0, 0), (0, 0, 0)  # words, start, end
    for token, style in zip(tokenize_with_offsets(text), is_style.tolist(), strict=True):
        if style:
            run = (run[0] + 1, run[1] if run[0] else token.start, token.end)
            best = max(best, run, key=lambda one: one[0])
        elif token.text[0].isalnum():
            run = (0, 0, 0)
    return best[1], best[2]


CHECK = Check(
    code="STY004",
    name="many style words",
    severity=Severity.INFO,
    advice="Cut the words that say nothing, or have the answer made concise.",
    explanation=__doc__,
    find=find,
    options=Options,
    english=True,
    needs=frozenset({Need.WORDS, Need.LANGUAGES}),
)
