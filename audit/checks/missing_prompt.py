"""FMT004: a response answers nothing, because its prompt is empty.

What: the turns before a trained response hold no text but white space. Rows of plain text, which have no prompt by their
nature, are passed over.

Why it matters: the model learns to say this without being asked.

Example: `{"instruction": "", "output": "Paris is the capital of France."}`.

Fix: supply the prompt, or `tunescope export --drop FMT004`.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials
from audit.sources import Format

__all__ = ["CHECK"]


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per response with an empty prompt."""
    texts = materials.corpus.rows.filter(pl.col("format") == Format.TEXT).select("row")
    empty = materials.corpus.responses.filter(pl.col("prompt").str.strip_chars() == "")
    empty = empty.join(texts, on="row", how="anti", maintain_order="left")
    for row, turn, text in empty.select("row", "turn", "text").iter_rows():
        evidence = Evidence(measure="characters of the prompt", value=0, limit=1, quote=shorten(text))
        yield Finding(CHECK.code, row, turn, CHECK.severity, "The prompt is empty.", evidence)


CHECK = Check(
    code="FMT004",
    name="missing prompt",
    severity=Severity.ERROR,
    advice="Supply the prompt, or drop the row.",
    explanation=__doc__,
    find=find,
)
