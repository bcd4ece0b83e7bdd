"""DUP001: a row is the same as an earlier one.

What: roles, contents, trained flags and tools are equal, character for character; other columns may differ.

Why it matters: the row counts twice in training, and a model memorises what it sees twice more readily.

Example: two lines with the same instruction, input and output.

Fix: `tunescope export --drop DUP001` keeps the first of each group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions
from audit.checks.duplicates import related_to
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials
from audit.sources import Status

__all__ = ["CHECK"]


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per row whose key earlier rows have; the first of the group is the row that is named."""
    copies: dict[str, list[int]] = defaultdict(list)
    readable = materials.corpus.rows.filter(pl.col("status") == Status.OK)
    for row, key in readable.select("row", "key").iter_rows():
        if earlier := copies[key]:
            related, _ = related_to(earlier)
            evidence = Evidence(measure="equal messages", value=1, limit=1, related=related)
            message = f"The same as {materials.corpus.id(earlier[0])}."
            yield Finding(CHECK.code, row, None, CHECK.severity, message, evidence)
        copies[key].append(row)


CHECK = Check(
    code="DUP001",
    name="exact duplicate",
    severity=Severity.WARNING,
    advice="Keep the first of each group.",
    explanation=__doc__,
    find=find,
)
