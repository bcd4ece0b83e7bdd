"""TXT001: a response is empty.

What: a trained response without text and without a tool call. Reasoning in a leading <think> block is no answer.

Why it matters: the model learns to answer nothing, and to end at once.

Example: `{"instruction": "Describe a sunrise.", "output": ""}`.

Fix: supply the answer, or `tunescope export --drop TXT001`.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.checks.passages import REASONING
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials

__all__ = ["CHECK"]


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per empty response."""
    calls = materials.corpus.turns.filter(pl.col("tool_calls").is_not_null()).select("row", "turn")
    answer = pl.col("text").str.replace(REASONING, "")
    empty = materials.corpus.responses.filter(answer.str.strip_chars() == "").join(
        calls, on=["row", "turn"], how="anti", maintain_order="left"
    )
    for row, turn, prompt in empty.select("row", "turn", "prompt").iter_rows():
        evidence = Evidence(measure="characters of the response", value=0, limit=1, quote=shorten(prompt))
        yield Finding(CHECK.code, row, turn, CHECK.severity, "The response is empty.", evidence)


CHECK = Check(
    code="TXT001",
    name="empty response",
    severity=Severity.ERROR,
    advice="Supply the answer, or drop the row.",
    explanation=__doc__,
    find=find,
)
