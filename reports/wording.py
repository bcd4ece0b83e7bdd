"""Numbers as people read them."""

from __future__ import annotations

__all__ = ["count", "share"]


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
