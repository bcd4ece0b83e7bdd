"""The files that an audit, a trace, a measured shift, a look at style and a calibration leave for their readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from audit.corpus import Corpus
from audit.shift import ShiftReport
from audit.summary import NOTHING_ASIDE, Aside, AuditSummary
from audit.trace import BlamedRow, Trace
from reports.html import audit_html
from reports.json_report import audit_json
from reports.shift import shift_json
from reports.shift_html import shift_html
from reports.style import style_json
from reports.trace import trace_json
from reports.trace_html import trace_html

if TYPE_CHECKING:
    from audit.style.build import Style
    from audit.style.measured import MeasuredStyle
    from audit.verify.calibration import Calibration

__all__ = ["render_audit", "render_calibration", "render_shift", "render_style", "render_traces"]


def render_audit(
    summary: AuditSummary,
    corpus: Corpus,
    findings: pl.DataFrame,
    signals: pl.DataFrame,
    aside: Aside = NOTHING_ASIDE,
    style: Style | None = None,
) -> dict[str, bytes]:
    """`report.html` for people and `report.json` for machines; an `audit.pipeline.Render`."""
    return {
        "report.html": audit_html(summary, corpus, findings, signals, style),
        "report.json": audit_json(summary, corpus, findings, signals, aside),
    }


def render_traces(traces: Sequence[Trace], corpus: Corpus, blame: Sequence[BlamedRow]) -> dict[str, bytes]:
    """`report.html` and `report.json` of traces, for `audit.trace.stored.store_traces`."""
    return {"report.html": trace_html(traces, corpus, blame), "report.json": trace_json(traces, corpus, blame)}


def render_shift(report: ShiftReport) -> dict[str, bytes]:
    """`report.html` and `shift.json` of a measured shift, for `audit.shift.store_shift`."""
    return {"report.html": shift_html(report), "shift.json": shift_json(report)}


def render_style(measured: MeasuredStyle, corpus: Corpus, name: str) -> dict[str, bytes]:
    """`report.html` and `report.json` of the style of a dataset and of outputs, added to a run as RUN/style/NAME."""
    from reports.style_html import style_html  # brings the lists of words, which an audit's report does without

    return {"report.html": style_html(measured, corpus, name), "report.json": style_json(measured, corpus)}


def render_calibration(calibration: Calibration, corpus: Corpus) -> dict[str, bytes]:
    """`report.html` and `report.json` of a calibration, for `audit.verify.calibration.store_calibration`."""
    from reports.calibration import calibration_html, calibration_json  # brings scipy, which an audit does without

    return {"report.html": calibration_html(calibration, corpus), "report.json": calibration_json(calibration, corpus)}
