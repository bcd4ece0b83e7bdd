"""Rates of borrowing beside their nulls, for the terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from audit.verify.borrowing import ArmBorrowing, BorrowingRate, BorrowingReport, Level, Population
from audit.verify.proportions import Proportion
from reports.visible import visible

__all__ = ["arm_json", "borrowing_table", "with_interval"]

_HEADINGS = {
    Level.FAMILY: "with a value of the rows, of the prompt's own",
    Level.ANY: "with a value of the rows, of any prompt",
    Level.SPANS: "spans that occur in the rows",
}


def borrowing_table(arms: Sequence[ArmBorrowing]) -> Table:
    """One column per arm; the rate first, its nulls beneath, level by level."""
    table = Table(
        Column("borrowing beside its nulls", no_wrap=True),
        *(Column(Text(visible(arm.arm)), justify="right") for arm in arms),
        box=None,
        pad_edge=False,
    )
    for level in Level:
        reports = [next((report for report in arm.reports if report.level is level), None) for arm in arms]
        if all(report is None for report in reports):
            continue
        table.add_row(_HEADINGS[level])
        for population in Population:
            cells = [_cell(report, population) for report in reports]
            if any(cell != "–" for cell in cells):
                table.add_row(f"  {population}", *cells)
        if any(report is not None and report.of(Population.WRONG).borrowed is not None for report in reports):
            cells = ["–" if report is None else with_interval(report.of(Population.WRONG).borrowed) for report in reports]
            table.add_row("  wrong, and put there by tuning", *cells)
    return table


def with_interval(share: Proportion | None) -> str:
    """`43 % (38 to 48, n 120)`; a dash where there is nothing to count."""
    if share is None:
        return "–"
    interval = "" if share.interval_95 is None else f"{100 * share.interval_95.low:.0f} to {100 * share.interval_95.high:.0f}, "
    return f"{100 * share.fraction:.0f} % ({interval}n {share.n})"


def arm_json(arm: ArmBorrowing) -> dict[str, Any]:
    """The borrowing of one arm as JSON values."""
    return {
        "arm": arm.arm,
        "levels": [{"level": report.level, "rates": [asdict(rate) for rate in report.rates]} for report in arm.reports],
    }


def _cell(report: BorrowingReport | None, population: Population) -> str:
    rate: BorrowingRate | None = None if report is None else report.of(population)
    return "–" if rate is None else with_interval(rate.occurs)
