"""STY001: an answer is cast from a mould that the dataset uses too often.

What: English. The answers of a dataset are grouped by form alone (sentence rhythm, layout, words of grammar, beginnings and
ends), what their instructions and their length explain taken out: a mould is one form on dissimilar instructions. It is used
too often where it stands out (a list, a table, headings, an exclamation and the like; a sentence or a paragraph does not, and
code is left out), has at least `min_share` of the answers and at least `min_lift` times its share in the answers given with
`--style-reference` (of people, or the base model's own), at the same mix of kinds of instruction; the whole of the lift's
95 % interval must lie above 1. A finding is an answer of such a family that has every mark by which the family is described,
where nothing in its instruction may ask for that form. `tunescope style RUN` shows all families. Without a reference this
check is left out.

Why it matters: tuning carries over the form before the matter. A model that has learned a mould fills it, also where it
has nothing to fill it with (Ghosh et al. 2024, style imitation).

Example: of 1,000 answers, 150 are a line that ends in a colon and a numbered list; people give such a one in 3 of 100.

Fix: thin the family out with `tunescope export --sample-family FAMILY:SHARE`, or rewrite some of its answers; or
`tunescope export --drop STY001`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audit.checks.base import Check, bounded
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need
from audit.style.build import Style, load_style
from audit.style.families import Family
from audit.style.features import style_features
from audit.style.marks import ASKED_BY, CODE_MARKS, marks_of

__all__ = ["CHECK", "Options"]

_Z = 1.959964


@dataclass(frozen=True)
class Options:
    """How often is too often.

    `min_lift`: how many times its share in the reference, 1.2 to 100; `min_share`: its share of the answers, 0.001 to 0.5.
    """

    min_lift: float = bounded(2.0, 1.2, 100.0)
    min_share: float = bounded(0.01, 0.001, 0.5)


def find(materials: Materials, options: Options) -> Iterator[Finding]:
    """One finding per answer of an over-represented family that has all of the family's marks."""
    style = load_style(materials.folder)
    chosen = [family for family in style.families if _is_too_frequent(family, style, options)]
    if not chosen:
        return
    responses = materials.corpus.responses
    rows, turns = responses["row"].to_list(), responses["turn"].to_list()
    for family in chosen:
        members = np.flatnonzero(style.assigned.family == family.number)
        texts, prompts = (responses[column].gather(members) for column in ("text", "prompt"))
        marks = marks_of(texts, style_features(texts))
        held = np.logical_and.reduce([marks[name] for name in family.marks])
        unasked = [~prompts.str.contains(f"(?i){ASKED_BY[name]}").to_numpy() for name in family.marks if name in ASKED_BY]
        held &= np.logical_and.reduce(unasked) & ~np.logical_or.reduce([marks[name] for name in CODE_MARKS])
        related = tuple(rows[exemplar] for exemplar in family.exemplars)
        message = (
            f"cast from style family {family.number} ({'; '.join(family.marks)}), which has {family.share:.1%} of the answers, "
            f"{family.lift:.1f} times its share in {style.reference}"
        )
        for member in members[held].tolist():
            evidence = Evidence(
                "share of the family over its share in the reference",
                round(family.lift or 0.0, 2),
                options.min_lift,
                related=tuple(row for row in related if row != rows[member]),
            )
            yield Finding(CHECK.code, rows[member], turns[member], Severity.INFO, message, evidence)


def _is_too_frequent(family: Family, style: Style, options: Options) -> bool:
    if family.lift is None or family.reference_share is None or not any(mark in ASKED_BY for mark in family.marks):
        return False
    # The interval of a ratio of two shares, on the logarithm (Katz et al. 1978).
    n_reference = max(family.reference_share * style.n_reference, 0.5)
    low = family.lift * math.exp(-_Z * math.sqrt(1 / family.n + 1 / n_reference))
    return family.share >= options.min_share and family.lift >= options.min_lift and low > 1


CHECK = Check(
    code="STY001",
    name="answer from an over-represented mould",
    severity=Severity.INFO,
    advice="Thin the family out, or rewrite some of its answers.",
    explanation=__doc__,
    find=find,
    options=Options,
    needs=frozenset({Need.STYLE, Need.STYLE_REFERENCE, Need.LANGUAGES}),
    english=True,
)
