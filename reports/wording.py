"""Numbers and addresses as people read them."""

from __future__ import annotations

from audit.corpus import RowId
from reports.visible import one_line

__all__ = ["SUPPRESSED_BY", "address", "count", "per_cent", "share"]

SUPPRESSED_BY = {"config": "the configuration", "row": "the row itself", "baseline": "the baseline"}
"""What set a finding aside, as people read it."""


def address(row: RowId, characters: int = 60) -> str:
    """A row's address, `visible`; of a long file name only the beginning, so that the row's number is always seen."""
    return f"{one_line(row.file, characters)}#{row.index}"


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: `1 row`, `21,509 rows`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def share(part: int, whole: int) -> str:
    """A part in per cent of the whole, never rounded to nothing or to all: `0.3 %`, `under 0.1 %`, `over 99.9 %`."""
    if part in (0, whole):
        return "100 %" if part else "0 %"
    percent = 100 * part / whole
    if percent < 0.1:
        return "under 0.1 %"
    return "over 99.9 %" if percent > 99.9 else f"{percent:.1f} %"


def per_cent(fraction: float) -> str:
    """A fraction in per cent, two digits where it is small: `0.12 %`, `4.5 %`, `37 %`; `0 %` below a millionth."""
    if fraction < 1e-6:
        return "0 %"
    return f"{100 * fraction:.2g} %" if fraction < 0.1 else f"{100 * fraction:.0f} %"
