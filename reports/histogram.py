"""A histogram with edges that people would choose."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

__all__ = ["Bar", "Histogram", "make_histogram"]

_MOST_BARS = 40


@dataclass(frozen=True, slots=True)
class Bar:
    """`n` values from `low` to `high`, both included; `high` is `None` for the bar that takes all that is longer."""

    low: int
    high: int | None
    n: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts in bars of one width, and the quartiles.

    Attributes:
        bars: From the smallest value on, without gaps.
        tallest: The count of the tallest bar.
        low_quartile, median, high_quartile, longest: Of the values.
    """

    bars: tuple[Bar, ...]
    tallest: int
    low_quartile: int
    median: int
    high_quartile: int
    longest: int


def make_histogram(values: pl.Series) -> Histogram | None:
    """The histogram of whole numbers from 0 on; `None` where there are none.

    Bars reach to the 99th percentile, so that a few long values do not press all others into one bar; what is longer is
    in the last bar.
    """
    if values.is_empty():
        return None
    low, median, high, most, longest = (_quantile(values, q) for q in (0.25, 0.5, 0.75, 0.99, 1.0))
    width = _width(most + 1)
    n_bars = most // width + 1
    counts = dict((values // width).clip(0, n_bars).value_counts().iter_rows())
    bars = [Bar(i * width, (i + 1) * width - 1, counts.get(i, 0)) for i in range(n_bars)]
    if n_bars in counts:
        bars.append(Bar(n_bars * width, None, counts[n_bars]))
    return Histogram(tuple(bars), max(bar.n for bar in bars), low, median, high, longest)


def _quantile(values: pl.Series, quantile: float) -> int:
    return int(values.quantile(quantile, "nearest") or 0)


def _width(span: int) -> int:
    """The smallest of 1, 2, 5, 10, 20, … in which `span` takes no more than `_MOST_BARS` bars."""
    power = 1
    while True:
        for step in (1, 2, 5):
            if span <= step * power * _MOST_BARS:
                return step * power
        power *= 10
