"""TRN004: the chat template refuses the row, or leaves a part of it out.

What: with this chat template TRL stops at the row (an error), because the template raises, or marks no token as the
assistant's; or the rendered text lacks a turn, has it changed or moved, or lacks a call, the reasoning or the tools (a
warning). Of plain prompts and completions, for which no template is used, that is a column `system`. A turn counts as there
where its text stands as it is, trimmed, or as JSON, in the order of the turns. Measured only with a tokenizer.

Why it matters: one row that the template refuses ends the whole training run; what it leaves out is never trained on, and
an answer that follows from it looks like an invention.

Example: a row with a system turn, and a template such as Mistral's first, which knows none.

Fix: a template that prints every role; a system text moved into the first question; or drop the row.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK"]

_MOST_NAMED = 3


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per row; those that TRL stops at are errors."""
    for row in materials.trainer_rows.filter(pl.col("refused") != "").iter_rows(named=True):
        yield Finding(
            CHECK.code,
            row["row"],
            None,
            Severity.ERROR,
            f"TRL stops at this row: {shorten(row['refused'])}.",
            Evidence("rows refused", 1.0, 1.0),
        )
    for row, lost in materials.trainer_rows.filter(pl.col("lost").list.len() > 0).select("row", "lost").iter_rows():
        more = f", and {len(lost) - _MOST_NAMED} more" if len(lost) > _MOST_NAMED else ""
        yield Finding(
            CHECK.code,
            row,
            None,
            CHECK.severity,
            f"What is trained is not the whole row: {shorten(', '.join(lost[:_MOST_NAMED]))}{more}.",
            Evidence("parts left out, changed or moved", float(len(lost)), 1.0),
        )


CHECK = Check(
    code="TRN004",
    name="refused or changed by the template",
    severity=Severity.WARNING,
    advice="Use a template that knows every role, or move what it leaves out into the question.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.TRAINER}),
)
