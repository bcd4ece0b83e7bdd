"""A dataset that attacks the reports of its own audit, for the tests of every report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import polars as pl

from audit.checks import CHECKS, options_of
from audit.corpus import Corpus, SourceSummary, write_corpus
from audit.findings import Finding, findings_frame
from audit.materials import Materials, Need, build_languages, build_words
from audit.signals import length_signals
from audit.summary import AuditSummary, CheckResult, Skipped
from indexes.store import write_file

OWNED = "document.title='owned'"
SCRIPT = f"<script>{OWNED}</script>"
ATTACKS = (
    SCRIPT,
    f'<img src=x onerror="{OWNED}"><a href="javascript:{OWNED}">click</a>',
    f"</style></title></textarea></script><!-- {SCRIPT}",
    "{{7*7}} {% raw %} ${7*7} {#",
    "[red]not red[/red] [link=https://example.org]link[/link] [/]",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b31m \r overwritten \x08\x08\x7f",
    "left \u202egnp.exe\u202c \u2066isolated\u2069 \u200bzero\ufeff width\u2028line",
    '=HYPERLINK("https://example.org";"click") @SUM(1) +1 -1',
    "&lt;script&gt; &amp;amp; '\" ` onmouseover=alert(1)",
    "שלום עולם — مرحبا — 你好，世界 — 👩‍👩‍👧 — ﷽",
    "a" * 5000,
    "",
)


class Audited(NamedTuple):
    """What a `Render` is given."""

    summary: AuditSummary
    corpus: Corpus
    findings: pl.DataFrame
    signals: pl.DataFrame


def read_corpus(path: Path) -> tuple[Corpus, SourceSummary]:
    facts = []
    rows = path.parent / "rows.parquet"
    write_file(rows, lambda file: facts.append(write_corpus(path, file)))
    return Corpus.load(rows), facts[0]


def audit_file(path: Path, findings: list[Finding] | None = None) -> Audited:
    """An audit with every check that needs words and languages alone, or with findings made by hand."""
    corpus, read = read_corpus(path)
    if findings is None:
        build_words(path.parent, corpus)
        build_languages(path.parent, corpus)
        materials = Materials(path.parent, corpus)
        checks = [check for check in CHECKS if check.needs <= {Need.WORDS, Need.LANGUAGES}]
        findings = [finding for check in checks for finding in check.find(materials, options_of(check, {}))]
    frame = findings_frame(findings, corpus.keys)
    numbers = dict(frame.group_by("code").len().iter_rows())
    summary = AuditSummary(
        name=path.name,
        container=read.container,
        format=read.format,
        n_rows=read.n_rows,
        n_unreadable=read.n_unreadable,
        n_malformed=read.n_malformed,
        n_responses=corpus.responses.height,
        limit=None,
        checks=tuple(
            CheckResult(check.code, check.name, check.severity, check.advice, check.page, numbers.get(check.code, 0))
            for check in CHECKS
        ),
        skipped=(Skipped("whether the answers are true", "nothing compares them with a source"),),
        encoder=None,
        tunescope="1.2.3",
    )
    return Audited(summary, corpus, frame, length_signals(corpus))


def hostile_audit(folder: Path) -> Audited:
    """Every attack as prompt and as response, repeated so that there are findings, rows of 1 MB, and damaged rows."""
    long = f"many words {SCRIPT} " * 20_000
    rows = [{"instruction": attack, "output": other} for attack in ATTACKS for other in ATTACKS[:6]]
    rows += [{"instruction": attack, "output": "<nooutput>"} for attack in ATTACKS]
    rows += [{"instruction": long, "output": output} for output in ("N/A", "N/A", "an answer of some other words")]
    rows += [{"instruction": 7, SCRIPT: SCRIPT}, rows[0]]
    path = folder / f"hostile <img src=x onerror={OWNED}>.jsonl"
    path.write_text("\n".join([*(json.dumps(row) for row in rows), SCRIPT, ""]), "utf-8")
    return audit_file(path)
