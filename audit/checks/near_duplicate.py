"""DUP002: a row is nearly the same text as an earlier one.

What: prompt and response together share at least 80 % of their runs of three words with those of an earlier row
(Jaccard similarity), and so do the responses alone: another question about the same passage is no duplicate. Candidates
come from MinHash, and the similarity of every candidate is then computed exactly. Letter case, punctuation and white
space do not count; in scripts without spaces between words, as Chinese and Thai, two neighbouring signs count as a word.
Exact duplicates are left to DUP001. Where over 1,000 rows look alike, as those of one template, each is compared with the
first 64 of them.

Why it matters: near-duplicates count several times in training and leak between splits.

Example: the same question and answer with one word changed.

Fix: `tunescope export --drop DUP002` drops a row while an earlier one that it matches is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.checks.base import Check, bounded
from audit.checks.duplicates import group_by_later, related_to
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need
from indexes.minhash import jaccard_of, jaccard_pairs, shingle_sets

__all__ = ["CHECK", "Options", "responses_alike"]


@dataclass(frozen=True)
class Options:
    """`min_jaccard`: similarity from which on a pair is reported, 0.7 to 1. `shingle_words`: words per shingle, 1 to 5."""

    min_jaccard: float = bounded(0.8, 0.7, 1.0)
    shingle_words: int = bounded(3, 1, 5)


def responses_alike(
    materials: Materials, later: NDArray[np.int64], earlier: NDArray[np.int64], options: Options
) -> NDArray[np.bool_]:
    """For pairs of rows, whether what the assistant says is nearly the same; shape `(n_pairs,)`."""
    rows, place = np.unique(np.concatenate([later, earlier]), return_inverse=True)
    responses = materials.response_words.grouped(materials.row_of_response, len(materials.corpus)).take(rows)
    sets = shingle_sets(responses, options.shingle_words)
    return jaccard_of(sets, place[: len(later)], place[len(later) :]) >= options.min_jaccard


def find(materials: Materials, options: Options) -> Iterator[Finding]:
    """One finding per row that nearly repeats an earlier row; of equal rows the first alone is compared."""
    corpus = materials.corpus
    first = np.flatnonzero(corpus.rows["ordinal"] == 0)
    rows = materials.prompt_words.joined(materials.response_words, materials.row_of_response, len(corpus)).take(first)
    pairs = jaccard_pairs(shingle_sets(rows, options.shingle_words), options.min_jaccard)
    later, earlier = first[pairs.later], first[pairs.earlier]
    alike = responses_alike(materials, later, earlier, options)
    for row, others in group_by_later(later[alike], earlier[alike], pairs.similarity[alike]):
        nearest, similarity = max(others, key=lambda pair: (pair[1], -pair[0]))
        related, more = related_to([other for other, _ in others])
        message = f"Shares {similarity:.0%} of its {options.shingle_words}-word runs with {corpus.id(nearest)}{more}."
        measure = f"Jaccard similarity of {options.shingle_words}-word shingles"
        evidence = Evidence(measure, round(similarity, 4), options.min_jaccard, related)
        yield Finding(CHECK.code, row, None, CHECK.severity, message, evidence)


CHECK = Check(
    code="DUP002",
    name="near duplicate",
    severity=Severity.WARNING,
    advice="Keep one row of each group.",
    explanation=__doc__,
    find=find,
    options=Options,
    needs=frozenset({Need.WORDS}),
)
