"""FMT005: no turn of the row is trained on.

What: the row has no assistant turn, or every assistant turn has `weight: 0` or `train: false`.

Why it matters: the row costs compute and teaches nothing; a batch of such rows has no loss at all.

Example: `{"messages": [{"role": "user", "content": "Hello?"}]}`.

Fix: add the answer, or `tunescope export --drop FMT005`.
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
    """One finding per readable row without a trained turn."""
    corpus = materials.corpus
    trained = corpus.responses.select("row").unique()
    rows = corpus.rows.filter(pl.col("status") == Status.OK).join(trained, on="row", how="anti", maintain_order="left")
    for row in rows["row"]:
        evidence = Evidence(measure="trained turns", value=0, limit=1)
        yield Finding(CHECK.code, row, None, CHECK.severity, "No turn is trained on.", evidence)


CHECK = Check(
    code="FMT005",
    name="nothing to train on",
    severity=Severity.WARNING,
    advice="Add the answer, or drop the row.",
    explanation=__doc__,
    find=find,
)
