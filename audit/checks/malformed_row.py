"""FMT002: a record lacks the fields of the file's format, or a field has the wrong kind.

What: the record can be read, but is no row of the format that the rest of the file has: a missing `output`, a list
where text is expected, a turn without a role, a conversation among alpaca rows.

Why it matters: a trainer fails on such a row, or fills in an empty text and trains on it.

Example: `{"instruction": "Name a river.", "output": 7}` in a file of alpaca rows.

Fix: mend the record at its source, or name odd columns with `--columns`. `tunescope export --drop FMT002` leaves it
out.
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
    """One finding per malformed row."""
    for row, reason in materials.corpus.rows.filter(pl.col("status") == Status.MALFORMED).select("row", "reason").iter_rows():
        yield Finding(CHECK.code, row, None, CHECK.severity, f"Is no row of its format: {reason}.", Evidence(measure="fields"))


CHECK = Check(
    code="FMT002",
    name="malformed row",
    severity=Severity.ERROR,
    advice="Mend the record's fields at its source, or drop it.",
    explanation=__doc__,
    find=find,
)
