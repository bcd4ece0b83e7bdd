"""An audit for the terminal: what was found, a few examples of each, what was not looked at, and what to do next.

Everything that comes from a dataset passes `visible` and stands in a `rich.text.Text`, so that neither escape sequences
nor rich's own markup in it have an effect.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from audit.corpus import Corpus
from audit.findings import Finding, Severity
from audit.summary import AuditSummary, Changes, SuppressedCount
from reports.excerpts import spread_evenly
from reports.knowledge import knowledge_table
from reports.overview import CheckCount, Overview, findings_of, not_looked_at, overview
from reports.trainer import trainer_alarms, trainer_tables
from reports.visible import one_line, visible
from reports.wording import SUPPRESSED_BY, address, count, share

__all__ = ["SEVERITY_STYLES", "audit_report"]

SEVERITY_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


def audit_report(
    summary: AuditSummary, corpus: Corpus, findings: pl.DataFrame, run_path: Path, examples_per_check: int = 3
) -> RenderableType:
    """What `rich` prints after an audit.

    Args:
        summary: The audit at a glance.
        corpus: The rows.
        findings: A frame of `FINDING_SCHEMA`.
        run_path: The run folder, as the user would type it.
        examples_per_check: Findings shown of each check, spread evenly over the file.
    """
    counts = overview(summary, findings)
    parts: list[RenderableType] = [_headline(summary, counts)]
    if (alarms := trainer_alarms(summary, corpus)) is not None:
        parts.append(alarms)
    if counts.found:
        parts += [_checks_table(summary, counts), *_examples(summary, counts, corpus, findings, examples_per_check)]
    if (for_trainer := trainer_tables(summary, corpus)) is not None:
        parts.append(for_trainer)
    if (under_base := knowledge_table(summary)) is not None:
        parts.append(under_base)
    if summary.suppressed:
        parts.append(_suppressed(summary))
    if summary.changes is not None:
        parts.append(_changes(summary.changes))
    if summary.notes:
        parts.append(Group(*(Text(f"Note: {one_line(note, 300)}") for note in summary.notes)))
    parts += [_not_looked_at(summary), _next_steps(summary, counts, run_path)]
    return Group(*(line for part in parts for line in (part, Text())))


def _headline(summary: AuditSummary, counts: Overview) -> Text:
    rows = count(summary.n_rows, "row")
    text = Text.assemble((one_line(summary.name, 200), "bold"), (f"  {rows}, {summary.format} in {summary.container}\n", "dim"))
    if not counts.n_findings:
        return text.append(f"Nothing found by {count(len(summary.checks), 'check')}.")
    text.append(f"{count(counts.n_findings, 'finding')} in {counts.n_rows:,} of {rows}", "bold")
    for separator, (severity, number) in zip((": ", ", ", ", "), counts.by_severity.items(), strict=True):
        plural = "info" if severity is Severity.INFO else ""
        text.append(separator).append(count(number, severity, plural), SEVERITY_STYLES[severity])
    return text


def _checks_table(summary: AuditSummary, counts: Overview) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for title in ("Code", "Check", "Severity"):
        table.add_column(title)
    table.add_column("Findings", justify="right")
    table.add_column("Share of rows", justify="right")
    for found in counts.found:
        check = found.check
        table.add_row(
            Text(one_line(check.code, 12), "bold"),
            Text(one_line(check.name, 60)),
            Text(check.severity, SEVERITY_STYLES[check.severity]),
            f"{check.n_findings:,}",
            share(found.n_rows, summary.n_rows),
        )
    return table


def _examples(
    summary: AuditSummary, counts: Overview, corpus: Corpus, findings: pl.DataFrame, n_examples: int
) -> Iterator[RenderableType]:
    for found in counts.found:
        of_check = findings.filter(pl.col("code") == found.check.code)
        chosen = list(findings_of(of_check[spread_evenly(of_check.height, n_examples)]))
        if chosen:
            parts = (part for finding in chosen for part in _example(summary, finding, corpus))
            yield Group(_examples_title(found, len(chosen)), *parts)


def _examples_title(found: CheckCount, n_shown: int) -> Text:
    check = found.check
    shown = f" ({n_shown} of {check.n_findings:,})" if n_shown < check.n_findings else ""
    return Text.assemble((one_line(check.code, 12), "bold"), f" {one_line(check.name, 60)}", (shown, "dim"))


def _example(summary: AuditSummary, finding: Finding, corpus: Corpus) -> Iterator[RenderableType]:
    """Address and message, then the row's beginning and that of the row that matched, a line each."""
    fact = Text.assemble(
        (address(corpus.id(finding.row)), SEVERITY_STYLES[finding.severity]), f"  {one_line(finding.message, 160)}"
    )
    yield Padding.indent(fact, 2)
    matched = finding.evidence.related[:1]
    for row in () if summary.redacted else (finding.row, *matched):
        if beginning := _beginning(corpus, row):
            name = f"{address(corpus.id(row))}: " if matched else ""
            yield Padding.indent(Text(name + beginning, "dim", no_wrap=True, overflow="ellipsis"), 4)


def _beginning(corpus: Corpus, row: int) -> str:
    return next((one_line(message.content, 200) for message in corpus.row(row).messages if message.role == "user"), "")


def _suppressed(summary: AuditSummary) -> Group:
    n_suppressed = sum(aside.n_findings for aside in summary.suppressed)
    lines = (
        Text.assemble(f"{aside.n_findings:,} by {SUPPRESSED_BY[aside.by]}", (reason(aside), "dim"))
        for aside in summary.suppressed
    )
    title = Text.assemble((f"{count(n_suppressed, 'finding')} suppressed", "bold"), (", not counted above", "dim"))
    return Group(title, *(Padding.indent(line, 2) for line in lines))


def reason(aside: SuppressedCount) -> str:
    """The reason of a suppression, to follow what it was suppressed by."""
    return f": {one_line(aside.reason, 160)}" if aside.reason else ""


def _changes(changes: Changes) -> Group:
    rows = f"{changes.rows_new:,} new, {changes.rows_gone:,} gone, {changes.rows_same:,} the same"
    parts: list[RenderableType] = [
        Text(f"Since {one_line(changes.previous, 80)}", "bold"),
        Padding.indent(Text(f"rows: {rows}"), 2),
    ]
    if changes.codes:
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
        table.add_column("Findings")
        for title in ("new", "gone", "still there"):
            table.add_column(title, justify="right")
        for code in changes.codes:
            table.add_row(one_line(code.code, 12), f"{code.n_new:,}", f"{code.n_gone:,}", f"{code.n_still:,}")
        parts.append(Padding.indent(table, 2))
    if changes.decisions_carried or changes.decisions_left:
        decided = f"decisions: {changes.decisions_carried:,} taken over"
        decided += f", {changes.decisions_left:,} on rows that are gone" if changes.decisions_left else ""
        parts.append(Padding.indent(Text(decided), 2))
    return Group(*parts)


def _not_looked_at(summary: AuditSummary) -> Group:
    lines = (
        Text.assemble(one_line(skipped.what, 200), (f": {one_line(skipped.why, 200)}", "dim"))
        for skipped in not_looked_at(summary)
    )
    return Group(Text("Not looked at", "bold"), *(Padding.indent(line, 2) for line in lines))


def _next_steps(summary: AuditSummary, counts: Overview, run_path: Path) -> Group:
    run = shlex.quote(str(run_path))
    to_drop = ",".join(found.check.code for found in counts.found if found.by_severity.keys() - {Severity.INFO})
    steps = {"Read it all": str(run_path / "report.html")}
    if counts.found:
        steps["What a code means"] = f"tunescope explain {counts.found[0].check.code}"
    if to_drop:
        steps["What a cleaned copy would lose"] = f"tunescope export {run} \\\n  -o cleaned.jsonl --drop {to_drop} --dry-run"
    if not summary.redacted:
        steps["Which rows a false answer comes from"] = (
            f"tunescope trace {run} \\\n  --prompt PROMPT --response ANSWER --span WORDS"
        )
    # Neither wrapped nor padded, so that a command can be copied as it stands.
    lines = (
        Text.assemble((f"  {what}\n", "dim"), "  ", visible(step), no_wrap=True, overflow="ignore")
        for what, step in steps.items()
    )
    return Group(Text("Next", "bold"), *lines)
