"""The counts that every report begins with, and findings as objects again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from audit.findings import Evidence, Finding, Severity
from audit.summary import AuditSummary, CheckResult, Skipped

__all__ = ["CheckCount", "Overview", "findings_of", "not_looked_at", "overview"]


@dataclass(frozen=True)
class CheckCount:
    """What one check found.

    Attributes:
        check: The check.
        n_rows: Distinct rows with a finding of it.
        by_severity: Its findings by severity, the gravest first, those without any left out.
    """

    check: CheckResult
    n_rows: int
    by_severity: dict[Severity, int]


@dataclass(frozen=True)
class Overview:
    """All findings, counted.

    Attributes:
        n_findings: All of them.
        n_rows: Distinct rows with a finding.
        by_severity: Findings by severity, the gravest first, zeros included.
        found: The checks with findings: the gravest first, then the most numerous.
        clean: The checks without.
    """

    n_findings: int
    n_rows: int
    by_severity: dict[Severity, int]
    found: tuple[CheckCount, ...]
    clean: tuple[CheckResult, ...]


_GRAVEST_FIRST = tuple(reversed(Severity))


def overview(summary: AuditSummary, findings: pl.DataFrame) -> Overview:
    """Count the findings (a frame of `FINDING_SCHEMA`) by severity and check."""
    totals = dict(findings.group_by("severity").len().iter_rows())
    rows_of = dict(findings.group_by("code").agg(pl.col("row").n_unique()).iter_rows())
    numbers = {(code, severity): n for code, severity, n in findings.group_by("code", "severity").len().iter_rows()}
    found = [
        CheckCount(
            check,
            rows_of[check.code],
            {severity: n for severity in _GRAVEST_FIRST if (n := numbers.get((check.code, severity), 0))},
        )
        for check in summary.checks
        if check.code in rows_of
    ]
    return Overview(
        n_findings=findings.height,
        n_rows=findings["row"].n_unique(),
        by_severity={severity: totals.get(severity, 0) for severity in _GRAVEST_FIRST},
        found=tuple(sorted(found, key=lambda c: (-c.check.severity.rank, -c.check.n_findings, c.check.code))),
        clean=tuple(check for check in summary.checks if check.code not in rows_of),
    )


def not_looked_at(summary: AuditSummary) -> tuple[Skipped, ...]:
    """What the audit left out, a limit on the rows included."""
    if summary.limit is None:
        return summary.skipped
    return (Skipped(f"rows after the first {summary.limit:,}", "only so many were asked for"), *summary.skipped)


def findings_of(frame: pl.DataFrame) -> Iterator[Finding]:
    """The findings of a frame of `FINDING_SCHEMA`, in its order."""
    for record in frame.iter_rows(named=True):
        start, end = record["span_start"], record["span_end"]
        evidence = Evidence(
            measure=record["measure"],
            value=record["value"],
            limit=record["limit"],
            related=tuple(record["related"]),
            span=None if start is None else (start, end),
            quote=record["quote"],
        )
        severity = Severity(record["severity"])
        yield Finding(record["code"], record["row"], record["turn"], severity, record["message"], evidence)
