"""What each check costs, as `make bench-audit` measured it, which writes `costs.json` beside this file.

Measured figures rather than a class that each check claims of itself: nobody can see by eye what a regular expression
costs, and a claim would go stale. A check that was not measured, as those of plug-ins, has none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["COSTS_FILE", "Costs", "read_costs"]

COSTS_FILE = Path(__file__).with_name("costs.json")


@dataclass(frozen=True)
class Costs:
    """What was measured.

    Attributes:
        dataset: On which data, such as `alpaca_21k`.
        rows: Its rows.
        machine: The processor, and how many of its cores were used.
        date: When, ISO 8601.
        seconds: Code -> seconds for all rows, the indexes that it needs not counted.
    """

    dataset: str
    rows: int
    machine: str
    date: str
    seconds: Mapping[str, float]

    def seconds_per_1000_rows(self, code: str) -> float | None:
        """Of one check; `None` where it was not measured."""
        seconds = self.seconds.get(code)
        return None if seconds is None else seconds * 1000 / self.rows


@cache
def read_costs() -> Costs:
    """The committed figures."""
    return Costs(**json.loads(COSTS_FILE.read_text(encoding="utf-8")))
