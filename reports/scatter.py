"""Points of several groups in one drawing: few enough to draw, each group a path with a mark of its own.

A group is told by the shape of its mark as well as by its colour. The points drawn are spread evenly over each group, so
that a group's share of the drawing is its share of the data; the number of all is told beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.excerpts import spread_evenly

__all__ = ["N_MARKS", "Group", "Placed", "draw_groups", "mark_path", "place_linear", "place_log", "place_one_log"]

# Around the point, in units of the drawing: circle, square, triangle, diamond, triangle down, plus, cross, bar.
_MARKS = (
    "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "m-3.6-3.6h7.2v7.2h-7.2z",
    "m0-4.8l4.6 8h-9.2z",
    "m0-5.2l5.2 5.2l-5.2 5.2l-5.2-5.2z",
    "m0 4.8l4.6-8h-9.2z",
    "m-1.4-4.6h2.8v3.2h3.2v2.8h-3.2v3.2h-2.8v-3.2h-3.2v-2.8h3.2z",
    "m-4.4-2.4l2-2l2.4 2.4l2.4-2.4l2 2l-2.4 2.4l2.4 2.4l-2 2l-2.4-2.4l-2.4 2.4l-2-2l2.4-2.4z",
    "m-5-1.5h10v3h-10z",
)
_DOT = "m-1.8 0a1.8 1.8 0 1 0 3.6 0a1.8 1.8 0 1 0-3.6 0z"

N_MARKS = len(_MARKS)
"""How many groups can be told apart; further ones share the dot."""

# Of the points, so many lie within the drawing; what lies farther out is set on its edge.
_INNER = (0.5, 99.5)


@dataclass(frozen=True, slots=True)
class Placed:
    """Places in a drawing of `width` times `height` units, y downwards; `NaN` for a point that has none."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Group:
    """The points of one group.

    Attributes:
        number: The group's; -1 for the points of none that is told apart.
        path: The points drawn, as the data of an SVG path; empty where none is.
        n_drawn, n: How many are drawn, of how many.
        x, y: The middle of the group: the median of its points.
    """

    number: int
    path: str
    n_drawn: int
    n: int
    x: float
    y: float


def mark_path(number: int) -> str:
    """The mark of a group by its number, around the origin."""
    return "M0 0" + _mark(number)


def place_linear(points: NDArray[np.float32], width: int, height: int, margin: int = 16) -> Placed:
    """Places of points on a map of two dimensions.

    Args:
        points: Shape `(n, 2)`; rows with `NaN` have no place.
        width: Of the drawing.
        height: Of the drawing.
        margin: Units left free at each edge.
    """
    x, y = (_stretched(points[:, axis].astype(np.float64), length, margin) for axis, length in ((0, width), (1, height)))
    return Placed(x, height - y, width, height)


def place_log(x: NDArray[np.float64], y: NDArray[np.float64], most: float, width: int, height: int, margin: int = 6) -> Placed:
    """Places of points by the logarithms of two quantities, both from 1 to `most`; what is outside is set on the edge.

    Args:
        x: Shape `(n,)`.
        y: Shape `(n,)`.
        most: Where both axes end.
        width: Of the drawing.
        height: Of the drawing.
        margin: Units left free at each edge.
    """
    return Placed(place_one_log(x, most, width, margin), height - place_one_log(y, most, height, margin), width, height)


def place_one_log(values: NDArray[np.float64], most: float, length: int, margin: int = 6) -> NDArray[np.float64]:
    """Places along an axis of `length` units that shows 1 to `most` by its logarithm."""
    share = np.log(np.clip(values, 1, most)) / np.log(max(most, 2.0))
    return np.asarray(margin + share * (length - 2 * margin), dtype=np.float64)


def draw_groups(placed: Placed, groups: NDArray[np.int32], told_apart: Sequence[int], n_points: int) -> list[Group]:
    """The groups of points, those of none first, so that they lie beneath the others.

    Args:
        placed: Where the points lie.
        groups: The group of each, shape `(n,)`; any number that is not in `told_apart` is none.
        told_apart: Groups with a mark of their own, which is `mark_path(i)` of the i-th.
        n_points: How many points are drawn at most.
    """
    has_place = np.isfinite(placed.x) & np.isfinite(placed.y)
    number = np.where(np.isin(groups, told_apart), groups, -1)
    # In the order of the groups, so that points spread evenly over all are spread evenly over each.
    order = np.lexsort((np.arange(len(number)), number))
    order = order[has_place[order]]
    drawn = order[spread_evenly(len(order), n_points)]
    made = []
    for position, group in enumerate((-1, *told_apart)):
        all_of_it, shown = order[number[order] == group], drawn[number[drawn] == group]
        if len(all_of_it):
            mark = _DOT if group == -1 else _mark(position - 1)
            places = zip(placed.x[shown].tolist(), placed.y[shown].tolist(), strict=True)
            path = "".join(f"M{x:.1f} {y:.1f}{mark}" for x, y in places)
            middle = float(np.median(placed.x[all_of_it])), float(np.median(placed.y[all_of_it]))
            made.append(Group(group, path, len(shown), len(all_of_it), *middle))
    return made


def _mark(number: int) -> str:
    return _MARKS[number] if number < N_MARKS else _DOT


def _stretched(values: NDArray[np.float64], length: int, margin: int) -> NDArray[np.float64]:
    if not np.isfinite(values).any():
        return np.full(len(values), np.nan)
    low, high = np.nanpercentile(values, _INNER)
    share = np.clip((values - low) / (high - low), 0, 1) if high > low else np.where(np.isfinite(values), 0.5, np.nan)
    return np.asarray(margin + share * (length - 2 * margin), dtype=np.float64)
