"""Shares of answers that come in groups, with exact intervals.

Answers of several runs to one prompt, or to prompts about one entity, go together: counting them as independent would
make an interval too narrow.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, stdtrit

from audit.verify.statistics import Interval

__all__ = ["Proportion", "proportion"]

_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Proportion:
    """A share, and how well it is known.

    Attributes:
        n: How many were counted.
        n_units: Independent units among them.
        fraction: The share.
        interval_95: `None` where one unit does not show how others would differ.
    """

    n: int
    n_units: int
    fraction: float
    interval_95: Interval | None


def proportion(hits: Sequence[float], units: Sequence[Hashable] | None = None) -> Proportion | None:
    """The mean of hits, with the exact binomial interval for as many independent answers as they are worth.

    The effective number is n / deff, where deff is how much larger the variance between units is than that of
    independent answers (at least 1), times (t(n - 1) / t(n_units - 1))²; where all hits are alike, units are counted. With
    one answer per unit it is the interval of Clopper and Pearson.

    Args:
        hits: 1 or 0, or the chance of a hit, one per answer.
        units: The unit of each; by default every answer is one.

    Returns:
        `None` where there is nothing to count.

    Source: Korn and Graubard (1998); Clopper and Pearson (1934).
    """
    if not hits:
        return None
    values = np.asarray(hits, dtype=np.float64)
    fraction = float(values.mean())
    labels = list(range(len(hits))) if units is None else list(units)
    number = {label: index for index, label in enumerate(dict.fromkeys(labels))}
    n, n_units = len(hits), len(number)
    if n_units == 1:
        return Proportion(n, 1, fraction, None)
    effective = float(n)
    if n_units < n:
        deviations = np.bincount([number[label] for label in labels], weights=values - fraction)
        between = n_units / (n_units - 1) * float((deviations**2).sum()) / n**2
        alone = fraction * (1 - fraction) / n
        design_effect = max(1.0, between / alone) if alone > 0 and between > 0 else n / n_units
        narrowing = float(stdtrit(n - 1, (1 + _LEVEL) / 2) / stdtrit(n_units - 1, (1 + _LEVEL) / 2))
        effective = n / design_effect * narrowing**2
    return Proportion(n, n_units, fraction, _clopper_pearson(fraction, effective))


def _clopper_pearson(fraction: float, n: float) -> Interval:
    """The exact interval of `fraction * n` hits among `n`, neither of them whole numbers by need."""
    tail, hits = (1 - _LEVEL) / 2, fraction * n
    low = float(betaincinv(hits, n - hits + 1, tail)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1, n - hits, 1 - tail)) if hits < n else 1.0
    return Interval(low, high)
