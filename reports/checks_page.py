"""All checks as a page, as lines and as JSON: made from the checks themselves, so never stale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from audit.checks import CHECKS, Check
from audit.checks.costs import read_costs
from reports.json_report import encode_report
from reports.visible import one_line

__all__ = ["check_cells", "checks_json", "checks_lines", "checks_page", "options_line"]


def checks_page(checks: Sequence[Check] = CHECKS) -> str:
    """Markdown with a table of the checks and a section for each."""
    costs = read_costs()
    lines = [
        "# Checks",
        "",
        "Written from the checks themselves. `tunescope explain CODE` shows one of them.",
        "",
        f"The cost is in seconds per 1,000 rows, measured on the {costs.rows:,} rows of {costs.dataset} ({costs.machine},"
        f" {costs.date}), without the indexes that a check needs.",
        "",
        "| code | finding | severity | needs | language | cost |",
        "|---|---|---|---|---|---|",
    ]
    for check in checks:
        lines.append(f"| [{check.code}](#{check.code.lower()}) | {' | '.join(check_cells(check))} |")
    for check in checks:
        lines += ["", f"## {check.code}", "", check.page, "", options_line(check)]
    return "\n".join(lines) + "\n"


def check_cells(check: Check) -> tuple[str, str, str, str, str]:
    """Finding, severity, needs, language and cost, as they stand in a table."""
    return check.name, str(check.severity), _needs(check), _language(check), _cost(check)


def options_line(check: Check) -> str:
    """A check's options and their defaults, as a sentence."""
    options = ", ".join(f"`{field.name}` = {field.default!r}" for field in fields(check.options)) or "none"
    return f"Options: {options}."


def checks_lines(checks: Sequence[Check]) -> str:
    """A line per check, as wide as it is: for eyes and for `grep`."""
    rows: list[tuple[str, ...]] = [("code", "severity", "finding", "needs", "language", "s per 1,000 rows")]
    for check in checks:
        name, *cells = check_cells(check)
        rows.append((check.code, cells[0], one_line(name, 60), *cells[1:]))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "".join(f"{line}\n" for line in lines)


def checks_json(checks: Sequence[Check]) -> bytes:
    """For machines, a line per check."""
    costs = read_costs()
    listed = [
        {
            "code": check.code,
            "name": check.name,
            "severity": check.severity,
            "advice": check.advice,
            "needs": sorted(check.needs),
            "language": "en" if check.english else None,
            "seconds_per_1000_rows": costs.seconds_per_1000_rows(check.code),
            "options": {field.name: field.default for field in fields(check.options)},
        }
        for check in checks
    ]
    return encode_report({"checks": listed})


def _needs(check: Check) -> str:
    return ", ".join(sorted(check.needs)) or "the rows"


def _language(check: Check) -> str:
    return "English" if check.english else "any"


def _cost(check: Check) -> str:
    seconds = read_costs().seconds_per_1000_rows(check.code)
    if seconds is None:
        return "not measured"
    return "under 0.001" if seconds < 0.001 else f"{seconds:.3f}"
