"""STY004: much of an answer is style.

What: English. The share of words that are discourse markers ("Additionally", "In conclusion"), set phrases ("It is important
to note that", "it could be argued that", "a wide variety of"), hedges that could go, or stand in sentences and clauses that
say nothing ("…, which is something to keep in mind") or only a short instruction again ("There are many ways to save water.").
A finding is an answer of at least 40 words, where the share is at least 15 % (20 % without an empty sentence) and three times
that of the dataset's answers of such length. From 25 % on and in two places, sentences and clauses count as empty that hold
more such words ("topic", "complex", "depend"), those that only say the instruction again for half. What only says the
instruction again counts where that is an open one of one line; of other instructions such sentences count from 30 % on, in
stories and letters from 40 %. Markers that bring an example, a contrast or a cause, and hedges of fact ("may", "usually"), do
not count; code, answers with a <think> block and instructions that ask for phrases are left out.

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
# With all words that say little, so many times the share.
_IN_WIDE_SENSE = 5 / 3
# And in at least so many places; so many times the share again for what is no open instruction, and for stories and letters.
_MIN_PLACES = 2
_NOT_OPEN, _TOLD = 1.2, 1.6
_TOLD_KINDS = frozenset({Kind.CREATIVE, Kind.LETTER})
_IS_CODE = r"(?m)```|\"\"\"|^\s*(?:import |from \w+ import |def |class |function |#include|<\w+>|[{}])"
# Texts to work on, things to make, and questions that are answered in their own words, which say the instruction again.
_HOLDS_MATTER = re.compile(
    r"(?i)[\n:\"“]|^\W*(?:create|design|build|write|make|develop|compose|draw|retrieve) (?!(?:a |an |"
    r"the )?(?:\w+ )?(?:list|examples|ideas|tips)\b)|[\n:]\s*\S|\bwhich (?:of|one)\b|(?:^|[,.;!?]\s*|\b(?:and|then|but|"
    r"or|so)\s+)(?:is|are|was|were|do|does|did|can (?!you)|"
    r"could (?!you)|should|would (?!you)|will|has|have|am)\b[^?.]{0,300}\?"
)
_WANTS_PHRASES = re.compile(
    r"(?i)\b(?:phrases|(?:sentence )?starters|transitions?|connectives|markers|idioms|clich[ée]s|expressions)\b"
)
# Answers of a length from so many times shorter to so many times longer are of such length; of these at least so many.
_SUCH_LENGTH, _MIN_SUCH = 1.5, 30


def find(materials: Materials, options: Options) -> Iterator[Finding]:
    """One finding per answer with far more style words than others of its length."""
    padding = padding_of(materials.prompt_words, materials.response_words)
    plain = materials.english_responses.filter((pl.col("answer_start") == 0) & ~pl.col("text").str.contains(_IS_CODE))
    plain = plain.filter(pl.Series(padding.n_words[plain["response"].to_numpy()] >= _MIN_WORDS, dtype=pl.Boolean))
    numbers = plain["response"].to_numpy()
    lengths = padding.n_words[numbers]
    counts = padding.n_style, padding.n_set, padding.n_wide, padding.n_alone
    narrow, phrases, wide, alone = (count[numbers] / lengths for count in counts)
    usual, usual_wide = _usual_shares(lengths, narrow), _usual_shares(lengths, wide)
    least = np.where(padding.n_empty[numbers] > 0, options.min_share, options.min_share * _ONLY_PHRASES)
    least = np.maximum(least, options.min_ratio * usual)
    least_wide = np.maximum(options.min_share * _IN_WIDE_SENSE, options.min_ratio * usual_wide)
    least_wide = np.where(padding.n_runs[numbers] >= _MIN_PLACES, least_wide, np.inf)
    places = np.flatnonzero((narrow >= least) | (wide >= least_wide))
    chosen = plain[places.tolist()]
    for place, request, (number, row, turn, prompt, text) in zip(
        places.tolist(),
        read_requests(chosen["prompt"].to_list()),
        chosen.select("response", "row", "turn", "prompt", "text").iter_rows(),
        strict=True,
    ):
        if _WANTS_PHRASES.search(prompt):
            continue
        is_open = request.kind in _OPEN_KINDS and not _HOLDS_MATTER.search(prompt.strip())
        if is_open and narrow[place] >= least[place]:
            count, limit, common = padding.n_style, least, usual
        elif phrases[place] >= max(options.min_share * _ONLY_PHRASES, least[place]):
            count, limit, common = padding.n_set, least, usual
        elif is_open and (wide + alone)[place] / 2 >= least_wide[place]:  # the instruction over again counts half
            count, limit, common = padding.n_wide, least_wide, usual_wide
        elif alone[place] >= least_wide[place] * (_TOLD if request.kind in _TOLD_KINDS else _NOT_OPEN):
            count, limit, common = padding.n_alone, least_wide, usual_wide
        else:
            continue
        n_words, n_style = int(padding.n_words[number]), int(count[number])
        share = n_style / n_words
        start, end = _longest(text, padding.is_style[_positions(materials, number)])
        message = (
            f"{n_style} of {n_words} words ({share:.0%}) are discourse markers, set phrases, hedges, empty sentences or the"
            f" instruction over again; answers of such length have {common[place]:.0%} in this dataset."
        )
        evidence = Evidence(
            "share of words that are style",
            round(share, 4),
            round(float(limit[place]), 4),
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
