"""SHT001: a response is written in capital letters throughout.

What: of at least `min_letters` letters of a response, none is lower case.

Why it matters: a model tuned on it shouts.

Example: "THE BRIDGE IS CLOSED UNTIL NOON."

Fix: write the response in lower case, or drop the row: `tunescope export --drop SHT001`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from tunescope import Check, Evidence, Finding, Materials, Need, Severity, bounded, shorten


@dataclass(frozen=True)
class Options:
    """`min_letters`: letters from which on capitals are no abbreviation."""

    min_letters: int = bounded(12, 1, 1000)


def find(materials: Materials, options: Options) -> Iterator[Finding]:
    """One finding per response without a lower-case letter."""
    capitals = pl.col("text").str.count_matches(r"\p{Lu}").alias("capitals")
    loud = materials.responses.with_columns(capitals).filter(
        (pl.col("capitals") >= options.min_letters) & ~pl.col("text").str.contains(r"\p{Ll}")
    )
    for row, turn, text, n in loud.select("row", "turn", "text", "capitals").iter_rows():
        evidence = Evidence("capital letters", float(n), float(options.min_letters), span=(0, len(text)), quote=shorten(text))
        yield Finding("SHT001", row, turn, Severity.WARNING, f"All {n} letters of the response are capitals.", evidence)


CHECK = Check(
    code="SHT001",
    name="shouting response",
    severity=Severity.WARNING,
    advice="Write it in lower case.",
    explanation=__doc__,
    find=find,
    options=Options,
    needs=frozenset({Need.LANGUAGES}),
)
