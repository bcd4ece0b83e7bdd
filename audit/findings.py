"""What a check reports: a measured fact about a row, with the evidence for it.

A finding never says that a row is harmful; that needs a verification behind it. Findings are small objects while a check
runs and a polars frame (`FINDING_SCHEMA`) everywhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import polars as pl

__all__ = ["FINDING_SCHEMA", "SUPPRESSED_SCHEMA", "Evidence", "Finding", "Severity", "findings_frame"]


class Severity(StrEnum):
    """How much a finding asks of the reader; ordered by `rank`."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for info, 1 for warning, 2 for error."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The measurement behind a finding.

    Attributes:
        measure: What was measured, in the field's terms and with its unit, such as `jaccard of 3-word shingles`.
        value: The measured value, rounded to 4 places.
        limit: The value from which on this is a finding.
        related: Numbers of the rows that matched, ascending.
        span: Start and end (code points, end exclusive) inside the turn's content, where one place is meant.
        quote: The text in question, as it stands in the row.
    """

    measure: str = ""
    value: float | None = None
    limit: float | None = None
    related: tuple[int, ...] = ()
    span: tuple[int, int] | None = None
    quote: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect of one row.

    Attributes:
        code: The check's stable code, such as `DUP002`.
        row: The row's number within the run.
        turn: The message concerned, counted from 0; `None` where the row as a whole is meant.
        severity: See `Severity`.
        message: One sentence with the fact and its figures.
        evidence: The measurement.
    """

    code: str
    row: int
    turn: int | None
    severity: Severity
    message: str
    evidence: Evidence = field(default_factory=Evidence)


FINDING_SCHEMA: dict[str, pl.DataType] = {
    "code": pl.String(),
    "row": pl.UInt32(),
    "turn": pl.UInt16(),
    "severity": pl.String(),
    "message": pl.String(),
    "measure": pl.String(),
    "value": pl.Float64(),
    "limit": pl.Float64(),
    "related": pl.List(pl.UInt32()),
    "span_start": pl.UInt32(),
    "span_end": pl.UInt32(),
    "quote": pl.String(),
    "fingerprint": pl.String(),
}

SUPPRESSED_SCHEMA: dict[str, pl.DataType] = {**FINDING_SCHEMA, "by": pl.String(), "reason": pl.String()}
"""Findings that were set aside: by what (`config`, `row`, `baseline`), and the reason given."""


def findings_frame(findings: Iterable[Finding], row_keys: pl.Series) -> pl.DataFrame:
    """Findings as a frame of `FINDING_SCHEMA`, ordered by row, code, turn and span.

    Args:
        findings: In any order.
        row_keys: `KEY:ORDINAL` of every row of the run, shape `(n_rows,)`; the fingerprint is built from it, so that the
            same finding on the same row in an edited file has the same fingerprint.
    """
    ordered = sorted(findings, key=lambda f: (f.row, f.code, -1 if f.turn is None else f.turn, f.evidence.span or (-1, -1)))
    records = [
        {
            "code": f.code,
            "row": f.row,
            "turn": f.turn,
            "severity": str(f.severity),
            "message": f.message,
            "measure": f.evidence.measure,
            "value": f.evidence.value,
            "limit": f.evidence.limit,
            "related": list(f.evidence.related),
            "span_start": f.evidence.span[0] if f.evidence.span else None,
            "span_end": f.evidence.span[1] if f.evidence.span else None,
            "quote": f.evidence.quote,
            "fingerprint": _fingerprint(f, row_keys[f.row]),
        }
        for f in ordered
    ]
    return pl.DataFrame(records, schema=FINDING_SCHEMA)


def _fingerprint(finding: Finding, row_key: str) -> str:
    turn = "" if finding.turn is None else str(finding.turn)
    span = "" if finding.evidence.span is None else "{}:{}".format(*finding.evidence.span)
    return hashlib.sha256("\0".join([finding.code, row_key, turn, span]).encode()).hexdigest()[:16]
