"""An audit as Markdown, for a comment on a pull request or the summary of a job.

What comes from the dataset stands in code spans, where neither Markdown, HTML, mentions nor links have an effect; a
sentence of a check stands as it is but for words that mean something to Markdown. The text keeps within
`MAX_CHARACTERS` by showing fewer examples, and says what it left out.
"""

from __future__ import annotations

import re
import shlex
from itertools import groupby
from pathlib import Path

import polars as pl

from audit.corpus import Corpus
from audit.findings import Finding, Severity
from audit.summary import AuditSummary
from reports.excerpts import spread_evenly
from reports.knowledge import knowledge_markdown
from reports.overview import CheckCount, Overview, findings_of, not_looked_at, overview
from reports.trainer import trainer_alarms_markdown, trainer_markdown
from reports.visible import one_line, visible
from reports.wording import SUPPRESSED_BY, address, count, share

__all__ = ["MAX_CHARACTERS", "audit_markdown", "code_block", "code_span", "prose"]

MAX_CHARACTERS = 65_536
"""Of a comment on GitHub; a job summary takes more."""

# Examples of each check, and characters of each: the first pair that fits is taken.
_DETAIL = ((3, 160), (2, 120), (1, 80), (0, 0))

_SIGNS = {Severity.ERROR: "🔴", Severity.WARNING: "🟡", Severity.INFO: "🔵"}

# A word of letters, digits and marks that mean nothing to Markdown, and is no link, number of an issue or emoji to GitHub.
_PLAIN_WORD = re.compile(r"""(?!.*(?:://|www\.|GH-\d|!\(|:\w+:))(?:[^\W_]|[,.;:%()'"’“”„«»…–—/+=≥≤×·?!-])*""", re.IGNORECASE)


def audit_markdown(
    summary: AuditSummary, corpus: Corpus, findings: pl.DataFrame, run_path: Path, max_characters: int = MAX_CHARACTERS
) -> str:
    """The report of an audit.

    Args:
        summary: The audit at a glance.
        corpus: The rows.
        findings: A frame of `FINDING_SCHEMA`.
        run_path: The run folder, as the user would type it.
        max_characters: Room for it.
    """
    counts = overview(summary, findings)
    text = ""
    for n_examples, characters in _DETAIL:
        examples = _examples(summary, counts, corpus, findings, n_examples, characters)
        parts = [
            _headline(summary, counts),
            trainer_alarms_markdown(summary, corpus, prose),
            _table(summary, counts),
            examples,
            trainer_markdown(summary, corpus, prose),
            knowledge_markdown(summary, code_span, prose),
            _left_out(summary),
            _next(counts, run_path),
        ]
        text = "\n\n".join(part for part in parts if part) + "\n"
        if len(text) <= max_characters:
            return text
    cut = f"\n\n…\n\nThe rest was left out: a comment takes {max_characters:,} characters.\n"
    return text[: max_characters - len(cut)].rsplit("\n", 1)[0] + cut


def code_span(text: str, characters: int) -> str:
    """The beginning of a text on one line, as code; also within a table."""
    line = one_line(text, characters).replace("|", "¦")  # within a table, a bar ends the cell even in code
    if not line.strip():
        return "(empty)"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    pad = " " if line[0] in "` " or line[-1] in "` " else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def code_block(text: str, language: str = "") -> str:
    """Lines as a block of code that nothing in them can end."""
    shown = visible(text)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence}{language}\n{shown}\n{fence}"


def prose(text: str, characters: int) -> str:
    """A sentence on one line, the words of it that Markdown would act on as code."""
    words = one_line(text, characters).split(" ")
    parts = []
    for plain, group in groupby(words, key=lambda word: bool(_PLAIN_WORD.fullmatch(word))):
        part = " ".join(group)
        code = part.rstrip(".,;:")
        parts.append(part if plain else code_span(code, characters) + part[len(code) :])
    return " ".join(parts)


def _headline(summary: AuditSummary, counts: Overview) -> str:
    rows = count(summary.n_rows, "row")
    lines = [f"## tunescope: {code_span(summary.name, 200)}", ""]
    if counts.n_findings:
        severities = ", ".join(
            f"{_SIGNS[severity]} {count(number, severity, 'info' if severity is Severity.INFO else '')}"
            for severity, number in counts.by_severity.items()
            if number
        )
        lines.append(f"**{count(counts.n_findings, 'finding')}** in {counts.n_rows:,} of {rows}: {severities}.")
    else:
        lines.append(f"**Nothing found** in {rows} by {count(len(summary.checks), 'check')}.")
    aside = sum(one.n_findings for one in summary.suppressed)
    if aside:
        reasons = ", ".join(
            f"{one.n_findings:,} by {SUPPRESSED_BY[one.by]}" + (f" ({prose(one.reason, 80)})" if one.reason else "")
            for one in summary.suppressed[:5]
        )
        more = ", …" if len(summary.suppressed) > 5 else ""
        lines += ["", f"{count(aside, 'finding')} set aside: {reasons}{more}."]
    if summary.changes is not None:
        changes = summary.changes
        n_new, n_gone = (sum(getattr(code, name) for code in changes.codes) for name in ("n_new", "n_gone"))
        lines += [
            "",
            f"Since {code_span(changes.previous, 80)}: {count(n_new, 'new finding')}, {n_gone:,} gone; "
            f"{count(changes.rows_new, 'new row')}, {changes.rows_gone:,} gone.",
        ]
    return "\n".join(lines)


def _table(summary: AuditSummary, counts: Overview) -> str:
    if not counts.found:
        return ""
    lines = ["| code | finding | severity | findings | rows | share of rows |", "|---|---|---|---:|---:|---:|"]
    for found in counts.found:
        check = found.check
        cells = (
            prose(check.code, 40),
            prose(check.name, 80),
            f"{_SIGNS[check.severity]} {check.severity}",
            f"{check.n_findings:,}",
            f"{found.n_rows:,}",
            share(found.n_rows, summary.n_rows),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _examples(
    summary: AuditSummary, counts: Overview, corpus: Corpus, findings: pl.DataFrame, n_examples: int, characters: int
) -> str:
    if not counts.found:
        return ""
    if not n_examples:
        return "Examples were left out: they do not fit."
    # An empty line after the summary lets Markdown begin again within HTML.
    lines = ["<details><summary>Examples</summary>"]
    for found in counts.found:
        of_check = findings.filter(pl.col("code") == found.check.code)
        chosen = list(findings_of(of_check[spread_evenly(of_check.height, n_examples)]))
        lines += ["", _title(found, len(chosen)), ""]
        lines += [f"- {_example(finding, corpus, characters, redacted=summary.redacted)}" for finding in chosen]
    return "\n".join([*lines, "", "</details>"])


def _title(found: CheckCount, n_shown: int) -> str:
    check = found.check
    shown = f" ({n_shown} of {check.n_findings:,})" if n_shown < check.n_findings else ""
    return f"**{prose(check.code, 40)}** {prose(check.name, 80)}{shown}: {prose(check.advice, 300)}"


def _example(finding: Finding, corpus: Corpus, characters: int, *, redacted: bool) -> str:
    line = corpus.rows["line"][finding.row]
    place = code_span(address(corpus.id(finding.row)), 200) + ("" if line is None else f", line {line}")
    quoted = "" if redacted else finding.evidence.quote or _beginning(corpus, finding.row)
    told = not quoted.strip() or quoted in finding.message
    return f"{place}: {prose(finding.message, 300)}" + ("" if told else f" {code_span(quoted, characters)}")


def _beginning(corpus: Corpus, row: int) -> str:
    return next((message.content for message in corpus.row(row).messages if message.role == "user"), "")


def _left_out(summary: AuditSummary) -> str:
    lines = [f"- {prose(skipped.what, 200)}: {prose(skipped.why, 200)}" for skipped in not_looked_at(summary)]
    notes = [f"- {prose(note, 300)}" for note in summary.notes]
    parts = [*(("Notes:", "", *notes, "") if notes else ()), *(("Not looked at:", "", *lines) if lines else ())]
    return "\n".join(parts).rstrip()


def _next(counts: Overview, run_path: Path) -> str:
    run = shlex.quote(str(run_path))
    to_drop = ",".join(found.check.code for found in counts.found if found.check.severity is not Severity.INFO)
    steps: dict[str, str] = {}
    if counts.found:
        steps["what a code means, how to mend it"] = f"tunescope explain {shlex.quote(counts.found[0].check.code)}"
    if to_drop:
        steps["what a cleaned copy would lose"] = (
            f"tunescope export {run} -o cleaned.jsonl --drop {shlex.quote(to_drop)} --dry-run"
        )
    lines = [f"All of it: {code_span(str(run_path / 'report.html'), 300)}."]
    if steps:
        lines += ["", code_block("\n".join(f"{command}  # {what}" for what, command in steps.items()), "sh")]
    return "\n".join(lines)
