"""How every benchmark leaves its figures: a table to read, and the same as JSON to compute with."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["Result", "machine", "record", "today"]


def machine() -> str:
    """What the figures were measured on, such as `2-core x86-64, Linux`; names no host."""
    return f"{os.cpu_count()}-core {platform.machine().replace('_', '-')}, {platform.system()}"


def today() -> str:
    """The date in UTC, ISO 8601."""
    return datetime.now(UTC).date().isoformat()


@dataclass(frozen=True)
class Result:
    """One measured figure.

    Attributes:
        name: What was measured.
        value: The figure.
        unit: Its unit.
        low: Lower end of its 95 % interval, where it has one.
        high: Upper end.
        goal: What it should be, such as `at most 0.06`; empty where it is only reported.
        command: What reproduces it.
        machine: See `machine`.
        date: See `today`.
    """

    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    goal: str = ""
    command: str = ""
    machine: str = field(default_factory=machine)
    date: str = field(default_factory=today)


def record(folder: Path, title: str, results: Sequence[Result], notes: str) -> None:
    """Write `RESULTS.md` and `results.json`.

    Args:
        folder: Where; the benchmark's own folder.
        title: Heading of the table.
        results: The figures, in the order of the table.
        notes: Markdown below the table: what was simulated or measured, and what the figures do not say.
    """
    content = json.dumps([asdict(result) for result in results], indent=1, ensure_ascii=False)
    (folder / "results.json").write_text(content + "\n", encoding="utf-8")
    runs = sorted({f"`{result.command}`, {result.machine}, {result.date}" for result in results})
    rows = [
        f"| {result.name} | {_number(result.value)} | {_interval(result)} | {result.unit} | {result.goal or '–'} |"
        for result in results
    ]
    table = ["| what | value | 95 % interval | unit | goal |", "|---|---|---|---|---|", *rows]
    text = [f"# {title}", "", *(f"Measured by {run}." for run in runs), "", *table, "", notes.strip(), ""]
    (folder / "RESULTS.md").write_text("\n".join(text), encoding="utf-8")


def _interval(result: Result) -> str:
    return "–" if result.low is None or result.high is None else f"{_number(result.low)} to {_number(result.high)}"


def _number(value: float) -> str:
    return f"{value:.4g}"
