"""An audit as JSON, for machines: every finding, by the schema `reports/schemas/audit.schema.json`.

The same audit gives the same bytes: there is no time in it. Each finding has a line of its own, so that two reports can
be compared with `diff`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import polars as pl

from audit.corpus import Corpus
from audit.findings import Finding
from audit.summary import NOTHING_ASIDE, Aside, AuditSummary
from reports.knowledge import knowledge_json
from reports.offsets import utf16_span
from reports.overview import findings_of, not_looked_at, overview
from reports.trainer import trainer_json

__all__ = ["AUDIT_SCHEMA", "addresses_of", "audit_json", "encode_report", "span_places"]

AUDIT_SCHEMA = "tunescope/audit-1"
"""Name and version of the format, the schema's `$id`; a field may be added to a version, none is changed or removed."""


def addresses_of(corpus: Corpus, rows: pl.Series) -> Mapping[int, Mapping[str, object]]:
    """Where rows stand in their source, `{file, index, line}`, by the row's number; a row may be named twice."""
    numbers = rows.unique().drop_nulls()
    places = corpus.rows.select("file", "index", "line")[numbers].rows(named=True)
    return dict(zip(numbers, places, strict=True))


def audit_json(
    summary: AuditSummary, corpus: Corpus, findings: pl.DataFrame, signals: pl.DataFrame, aside: Aside = NOTHING_ASIDE
) -> bytes:
    """The report of an audit as UTF-8.

    Args:
        summary: The audit at a glance.
        corpus: The rows.
        findings: A frame of `FINDING_SCHEMA`.
        signals: The signals of every row.
        aside: What was suppressed, and what changed since the previous run.
    """
    counts = overview(summary, findings)
    rows_with = {found.check.code: found.n_rows for found in counts.found}
    return encode_report(
        {
            "schema": AUDIT_SCHEMA,
            "tunescope": summary.tunescope,
            "dataset": {
                "name": summary.name,
                "container": summary.container,
                "format": summary.format,
                "rows": summary.n_rows,
                "unreadable": summary.n_unreadable,
                "malformed": summary.n_malformed,
                "responses": summary.n_responses,
                "limit": summary.limit,
            },
            "encoder": summary.encoder,
            "redacted": summary.redacted,
            "notes": list(summary.notes),
            "changes": _changes(summary, aside),
            "lengths": {
                name: _quartiles(signals[name])
                for name in signals.columns
                if name != "row" and signals[name].dtype.is_integer()
            },
            "trainer": trainer_json(summary, corpus),
            "base_model": knowledge_json(summary, corpus),
            "counts": {
                "findings": counts.n_findings,
                "rows_with_findings": counts.n_rows,
                **{str(severity): number for severity, number in counts.by_severity.items()},
                "suppressed": aside.suppressed.height,
            },
            "not_looked_at": [{"what": skipped.what, "why": skipped.why} for skipped in not_looked_at(summary)],
            "checks": [
                {
                    "code": check.code,
                    "name": check.name,
                    "severity": check.severity,
                    "advice": check.advice,
                    "findings": check.n_findings,
                    "rows": rows_with.get(check.code, 0),
                }
                for check in summary.checks
            ],
            "findings": list(_findings(summary, corpus, findings)),
            "suppressed": list(_suppressed(corpus, aside.suppressed)),
        }
    )


def encode_report(report: Mapping[str, object]) -> bytes:
    """JSON with a line for every key, and for every entry of a list."""
    lines = []
    for key, value in report.items():
        listed = "[\n" + ",\n".join(map(_encode, value)) + "\n]" if value and isinstance(value, list) else _encode(value)
        lines.append(f"{_encode(key)}: {listed}")
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def span_places(summary: AuditSummary, corpus: Corpus, finding: Finding) -> Mapping[str, int] | None:
    """Where a finding's span lies in its turn's content: in code points and, for browsers, in UTF-16 code units.

    Of a redacted run in code points alone: a hash stands in place of the text that they were counted in.
    """
    span = finding.evidence.span
    if span is None:
        return None
    places = {"start": span[0], "end": span[1]}
    if finding.turn is None or summary.redacted:
        return places
    start, end = utf16_span(corpus.row(finding.row).messages[finding.turn].content, span)
    return {**places, "start_utf16": start, "end_utf16": end}


def _encode(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _findings(summary: AuditSummary, corpus: Corpus, findings: pl.DataFrame) -> Iterator[Mapping[str, object]]:
    addresses = addresses_of(corpus, pl.concat([findings["row"], findings["related"].explode()]))
    keys = corpus.keys.gather(findings["row"])
    for finding, key, fingerprint in zip(findings_of(findings), keys, findings["fingerprint"], strict=True):
        evidence = finding.evidence
        yield {
            "code": finding.code,
            "severity": finding.severity,
            "row": addresses[finding.row],
            "row_key": key,
            "turn": finding.turn,
            "message": finding.message,
            "evidence": {
                "measure": evidence.measure,
                "value": evidence.value,
                "limit": evidence.limit,
                "related": [addresses[row] for row in evidence.related],
                "span": span_places(summary, corpus, finding),
                "quote": evidence.quote,
            },
            "fingerprint": fingerprint,
        }


def _suppressed(corpus: Corpus, suppressed: pl.DataFrame) -> Iterator[Mapping[str, object]]:
    addresses = addresses_of(corpus, suppressed["row"])
    keys = corpus.keys.gather(suppressed["row"])
    for finding, key in zip(suppressed.iter_rows(named=True), keys, strict=True):
        named = {name: finding[name] for name in ("turn", "message", "fingerprint", "by", "reason")}
        yield {
            "code": finding["code"],
            "severity": finding["severity"],
            "row": addresses[finding["row"]],
            "row_key": key,
            **named,
        }


def _changes(summary: AuditSummary, aside: Aside) -> Mapping[str, object] | None:
    changes = summary.changes
    if changes is None or aside.changed is None:
        return None
    return {
        "previous": changes.previous,
        "rows": {"new": changes.rows_new, "gone": changes.rows_gone, "same": changes.rows_same},
        "codes": {code.code: {"new": code.n_new, "gone": code.n_gone, "still": code.n_still} for code in changes.codes},
        "decisions": {"carried": changes.decisions_carried, "left": changes.decisions_left},
        "findings": aside.changed.rows(named=True),
    }


def _quartiles(values: pl.Series) -> Mapping[str, int]:
    quantiles = {"min": 0.0, "q1": 0.25, "median": 0.5, "q3": 0.75, "max": 1.0}
    return {name: int(values.quantile(quantile, "nearest") or 0) for name, quantile in quantiles.items()}
