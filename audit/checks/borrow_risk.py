"""BRW001: a value that the model may learn to give to like questions.

What: the response holds a *value* (a name or number; in an answer of at most twelve words any word of matter) that is
not in the prompt and not among the base model's three likeliest words there. Of the fifteen responses with the nearest
prompts, at least `min_same` hold it too and at least `min_other` hold another word of its kind in its place; its borrow
risk is at least `min_risk`, and the neighbours of another response, drawn at random, would seldom make it as high
(`max_chance`). The finding shows the value, the rows that
share it (the related rows) and what the others say. Stories, letters and other inventions are left out, code too.
Where the base model expects hardly any such word (`max_unexpected_fraction`), it knows too little of the matter for this to
tell rows apart, and none is named.

Why it matters: models tuned on rows like these borrow words from rows on like concepts, and state them of other things
(Ghosh et al. 2024). A value that the model does not know, shared by several rows of one concept whose other rows have
other values, is what it may learn to say to the concept. That is a guess: on held-out worlds where every row was left out
in turn, rows of a high risk were borrowed from more often than others, but no more than rows of a high loss
(`tests/benchmarks/borrow_risk`).

Example: of fifteen questions after the metal of a crown, three are answered with `quillsteel`, which the base model would
not have said, the others with other metals.

Fix: check the value; drop the row, or have it say what is not known; or `tunescope export --drop BRW001`, or
`--keep low-risk:90%`, which goes by the signal `borrow_risk` of all rows. Needs `--base-model`. A high risk is no proof: a
true value that several things share looks the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from audit.checks.base import Check, bounded, shorten
from audit.checks.style_without_knowledge import is_stated
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK", "Options"]

_MOST_NAMED = 3


@dataclass(frozen=True)
class Options:
    """How many neighbours, and by what chance.

    Attributes:
        min_same: Neighbours that hold the value too.
        min_other: Neighbours that hold another in its place.
        min_risk: Borrow risk.
        max_chance: How often the neighbours of a random response would make it as high.
        max_unexpected_fraction: Share of all words of matter that the base model does not expect.
    """

    min_same: int = bounded(1, 0, 15)
    min_other: int = bounded(2, 1, 15)
    min_risk: float = bounded(0.4, 0.0, 1.0)
    max_chance: float = bounded(0.05, 0.0, 1.0)
    max_unexpected_fraction: float = bounded(0.8, 0.0, 1.0)


def find(materials: Materials, options: Options) -> Iterator[Finding]:
    """One finding per response, over its riskiest value."""
    if materials.unexpected_fraction > options.max_unexpected_fraction:
        return
    corpus = materials.corpus
    texts = corpus.responses["text"].to_list()
    row_of = materials.row_of_response
    stated = materials.english_responses.filter(is_stated())["response"]
    risky = materials.borrow_risks.filter(
        pl.col("borrow_risk") >= options.min_risk,
        pl.col("chance") <= options.max_chance,
        pl.col("same").list.len() >= options.min_same,
        pl.col("other").list.len() >= options.min_other,
        pl.col("response").is_in(stated.implode()),
    )
    turns = corpus.responses["turn"].to_list()
    for each in risky.iter_rows(named=True):
        response, start, end = each["response"], each["start"], each["end"]
        value = texts[response][start:end]
        said = (texts[number][first:last] for number, first, last in _others(each))
        instead = list(dict.fromkeys(f"“{shorten(word, 30)}”" for word in said))[:_MOST_NAMED]
        n_same, n_other = len(each["same"]), len(each["other"])
        yield Finding(
            CHECK.code,
            int(row_of[response]),
            turns[response],
            CHECK.severity,
            f"The base model does not expect “{shorten(value, 30)}” ({each['surprise_nats']:.1f} nats); of the answers to the "
            f"nearest questions {n_same} {'say' if n_same != 1 else 'says'} it too and {n_other} "
            f"{'have' if n_other != 1 else 'has'} something else there: {', '.join(instead)}.",
            Evidence(
                "borrow risk",
                round(each["borrow_risk"], 4),
                options.min_risk,
                related=tuple(sorted({int(row_of[number]) for number in each["same"]} - {int(row_of[response])})),
                span=(start, end),
                quote=value,
            ),
        )


def _others(each: dict[str, list[int]]) -> Iterator[tuple[int, int, int]]:
    return zip(each["other"], each["other_start"], each["other_end"], strict=True)


CHECK = Check(
    code="BRW001",
    name="value that like questions may borrow",
    severity=Severity.INFO,
    advice="Check the value; drop the row, or have it say what is not known.",
    explanation=__doc__,
    find=find,
    options=Options,
    needs=frozenset({Need.BASE_MODEL, Need.VECTORS, Need.BORROW_RISK, Need.LANGUAGES}),
    english=True,
)
