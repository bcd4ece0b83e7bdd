"""A dataset that attacks the reports of its own audit, for the tests of every report."""

import json
from pathlib import Path

import polars as pl

from audit.config import AuditConfig
from audit.corpus import Corpus
from audit.findings import Evidence, Finding, Severity, findings_frame
from audit.pipeline import run_audit
from audit.summary import AuditSummary

SCRIPT = "<script>document.title='owned'</script>"
HANDLER = "<img src=x onerror=\"document.title='owned'\">"
ATTACKS = (
    SCRIPT,
    HANDLER,
    "</style></title></textarea><!-- " + SCRIPT,
    "{{7*7}} {% raw %} ${7*7}",
    "[red]not red[/red] [link=https://example.org]link[/link] [/]",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b31m \r overwritten \x08\x08\x7f",
    "left \u202egnp.exe\u202c \u2066isolated\u2069 \u200bzero\ufeff width\u2028line",
    "=HYPERLINK(\"https://example.org\";\"click\") @SUM(1) +1 -1",
    "&lt;script&gt; &amp;amp; '\" ` onmouseover=alert(1)",
    "שלום עולם — مرحبا — 你好，世界 — 👩‍👩‍👧 — ﷽",
    "a" * 5000,
    "",
)


def write_hostile(path: Path) -> Path:
    """Every attack as prompt and as response, repeated so that there are findings, and rows of 1 MB."""
    long = ("many words " + SCRIPT + " ") * 20_000
    rows = [{"instruction": attack, "input": "", "output": other} for attack in ATTACKS for other in ATTACKS[:6]]
    rows += [{"instruction": attack, "input": "", "output": "<nooutput>"} for attack in ATTACKS]
    rows += [{"instruction": long, "output": "N/A"}, {"instruction": long, "output": "N/A"}, {"instruction": long + "!", "output": "x"}]
    rows += [{"instruction": 7, SCRIPT: SCRIPT}, rows[0]]
    path.write_text("\n".join([*(json.dumps(row) for row in rows), SCRIPT, ""]), "utf-8")
    return path


class Audited:
    """What a `Render` was given."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.summary: AuditSummary
        self.corpus: Corpus
        self.findings: pl.DataFrame
        self.signals: pl.DataFrame
        run_audit(AuditConfig(data=str(path), ignore=("DUP003",)), folder, render=self._keep)

    def _keep(self, summary, corpus, findings, signals):
        self.summary, self.corpus, self.findings, self.signals = summary, corpus, findings, signals
        return {"report.html": b"", "report.json": b""}

    @property
    def everything(self):
        return self.summary, self.corpus, self.findings, self.signals
