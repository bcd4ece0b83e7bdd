"""FMT001: a record of the file cannot be read.

What: the line is no JSON object, holds invalid UTF-8, a NUL byte or half a surrogate pair, is nested too deep, is over
16 MiB, or a CSV record has another number of fields than the header.

Why it matters: trainers either stop at such a line or skip it without a word; either way it is not the dataset that was
meant.

Example: `{"instruction": "Name a river.", "output": "The Oder` — the closing quote and brace are missing.

Fix: mend the record at its source. `tunescope export --drop FMT001` leaves it out and keeps its bytes in dropped.jsonl.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials
from audit.sources import Status

__all__ = ["CHECK"]


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per unreadable row."""
    for row, reason in materials.corpus.rows.filter(pl.col("status") == Status.UNREADABLE).select("row", "reason").iter_rows():
        yield Finding(CHECK.code, row, None, CHECK.severity, f"Cannot be read: {reason}.", Evidence(measure="reading"))


CHECK = Check(
    code="FMT001",
    name="unreadable row",
    severity=Severity.ERROR,
    advice="Mend the record at its source, or drop it.",
    explanation=__doc__,
    find=find,
)
