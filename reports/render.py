"""The files that an audit leaves for its readers."""

from __future__ import annotations

import polars as pl

from audit.corpus import Corpus
from audit.summary import AuditSummary
from reports.html import audit_html
from reports.json_report import audit_json

__all__ = ["render_audit"]


def render_audit(
    summary: AuditSummary, corpus: Corpus, findings: pl.DataFrame, signals: pl.DataFrame
) -> dict[str, bytes]:
    """`report.html` for people and `report.json` for machines; an `audit.pipeline.Render`."""
    return {
        "report.html": audit_html(summary, corpus, findings, signals),
        "report.json": audit_json(summary, corpus, findings, signals),
    }
