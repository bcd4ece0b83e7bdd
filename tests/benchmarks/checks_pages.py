"""`make docs`: the table of all checks with what the benchmarks measured, and a page per check.

Everything comes from the checks themselves and from the `results.json` of the benchmarks `precision`, `recall` and
`audit`, so that it cannot go stale: a test compares the files with what this writes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from audit.checks import CHECKS, Check
from audit.checks.costs import read_costs
from reports.checks_page import check_cells, options_line

__all__ = ["DOCS", "pages"]

DOCS = Path(__file__).resolve().parents[2] / "docs"
_BENCHMARKS = Path(__file__).parent


@dataclass(frozen=True)
class Measured:
    """A share that a benchmark measured, with its interval and of how many."""

    value: float
    low: float
    high: float
    count: int
    date: str

    def cell(self) -> str:
        """For a table: `0.97 (0.83 to 0.99) of 30`."""
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f}) of {self.count}"


def main() -> None:
    """Write the pages; one of a check that there is no more is removed."""
    for path in (DOCS / "checks").glob("*.md"):
        path.unlink()
    (DOCS / "checks").mkdir(exist_ok=True)
    for name, content in pages().items():
        (DOCS / name).write_text(content, encoding="utf-8")


def pages() -> dict[str, str]:
    """Name within `docs` -> content, of the table and of every check's page."""
    return {"checks.md": _table()} | {f"checks/{check.code}.md": _page(check) for check in CHECKS}


@cache
def _measured(benchmark: str, unit: str) -> dict[str, Measured]:
    """Code -> what a benchmark measured in this unit; its names begin with the code and hold `of COUNT`."""
    path = _BENCHMARKS / benchmark / "results.json"
    found = {}
    for result in json.loads(path.read_text(encoding="utf-8")) if path.exists() else []:
        name = re.match(r"([A-Z]{3}\d{3}) .* of (\d+)", result["name"])
        if name and result["unit"] == unit:
            measured = Measured(result["value"], result["low"], result["high"], int(name[2]), result["date"])
            found.setdefault(name[1], measured)  # what options add is measured after the defaults
    return found


def _cell(benchmark: str, unit: str, code: str) -> str:
    measured = _measured(benchmark, unit).get(code)
    return "–" if measured is None else measured.cell()


def _table() -> str:
    costs = read_costs()
    lines = [
        "# Checks",
        "",
        "Written by `make docs` from the checks themselves and from what the benchmarks measured. Each code leads to its page,",
        "which `tunescope explain CODE` shows as well.",
        "",
        "| code | finding | severity | needs | language | cost | precision | recall |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for check in CHECKS:
        cells = [*check_cells(check), _cell("precision", "precision", check.code), _cell("recall", "recall", check.code)]
        lines.append(f"| [{check.code}](checks/{check.code}.md) | {' | '.join(cells)} |")
    lines += [
        "",
        f"- *Cost*: seconds per 1,000 rows, on the {costs.rows:,} rows of {costs.dataset} ({costs.machine}, {costs.date}),",
        "  without the indexes that a check needs: `make bench-audit`, [results](../tests/benchmarks/audit/RESULTS.md).",
        "- *Precision*: the share of findings on real data that two readers, apart from each other, both called right:",
        "  `make bench-precision`, [by dataset](../tests/benchmarks/precision/RESULTS.md). A check below 0.9 is `info`.",
        "- *Recall*: the share of injected defects that are found, written by somebody who did not know the check's rule:",
        "  `make bench-recall`, [with what is missed](../tests/benchmarks/recall/RESULTS.md), and with what was found before",
        "  checks were mended because of it. It says nothing about kinds of a defect that nobody thought of. CON002 finds most",
        "  of them with its option `transformer`, which is measured there too.",
        "- 95 % intervals (Wilson) in brackets; `–` is not measured, because real data of ours have no such finding, a script",
        "  cannot inject the defect, or duplicates are measured otherwise (see the precision results).",
    ]
    return "\n".join(lines) + "\n"


def _page(check: Check) -> str:
    name, severity, needs, language, cost = check_cells(check)
    summary, _, rest = check.page.partition("\n\n")
    summary = " ".join(summary.removeprefix(f"{check.code}: ").split())
    lines = [
        f"# {check.code}: {name}",
        "",
        summary[:1].upper() + summary[1:],
        "",
        rest.strip(),
        "",
        options_line(check),
        "",
        "| | |",
        "|---|---|",
        f"| severity | {severity} |",
        f"| language | {language} |",
        f"| needs | {needs} |",
        f"| seconds per 1,000 rows | {cost} |",
        f"| precision, read by eye | {_cell('precision', 'precision', check.code)} |",
        f"| recall, injected defects | {_cell('recall', 'recall', check.code)} |",
        f"| findings in untouched rows | {_cell('recall', 'share of rows', check.code)} |",
        "",
        "What the figures mean, and all other checks: [checks](../checks.md).",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
