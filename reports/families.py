"""The style families of a dataset as pages show them: the table, the map, and length against what was asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audit.corpus import Corpus, Row
from reports.scatter import N_MARKS, Group, draw_groups, mark_path, place_linear, place_log, place_one_log
from reports.visible import one_line
from reports.wording import count, share

if TYPE_CHECKING:
    from audit.style.build import Style
    from audit.style.families import Family

__all__ = [
    "Exemplar",
    "FamiliesSection",
    "FamilyView",
    "Lengths",
    "Map",
    "RatioLine",
    "families_section",
    "families_sentence",
    "family_views",
    "length_view",
    "lift_words",
    "map_view",
    "share_widths",
]

_WIDTH, _HEIGHT = 1000, 620
_SIDE = 620
_ASIDE = 0.1
_MOST_LIFT = 100  # beyond, the reference has too few of a family to say by how much
_RATIO_TICKS = (("⅛", 1 / 8), ("¼", 1 / 4), ("½", 1 / 2), ("1", 1.0), ("2", 2.0), ("4", 4.0), ("8", 8.0))
_TICKS = (1, 10, 100, 1_000, 10_000)
# Words given for each word that the instruction calls for.
_RATIOS = (0.5, 0.8, 1.25, 2.0, 4.0)
_RATIO_NAMES = (
    "less than half of it",
    "half to four fifths",
    "about as long",
    "1.25 to 2 times",
    "2 to 4 times",
    "4 times or more",
)


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A response of a family: its number, its row and its beginning."""

    response: int
    row: Row
    turn: int
    preview: str


@dataclass(frozen=True, slots=True)
class FamilyView:
    """A family with its mark (`None` where it shares the dot with others) and its exemplars."""

    family: Family
    mark: str | None
    place: int
    exemplars: tuple[Exemplar, ...]


@dataclass(frozen=True, slots=True)
class Map:
    """The responses in the plane: groups to draw, and how many responses are drawn of how many with a place."""

    groups: tuple[Group, ...]
    width: int
    height: int
    n_drawn: int
    n: int


@dataclass(frozen=True, slots=True)
class RatioLine:
    """Words given for each word called for, by the responses of a family or, as -1, by all.

    Attributes:
        family, n: Its number, and how many responses.
        low, median, high: Quartiles.
        low_at, median_at, high_at: Where they lie, in per cent of the axis.
    """

    family: int
    n: int
    low: float
    median: float
    high: float
    low_at: float
    median_at: float
    high_at: float


@dataclass(frozen=True, slots=True)
class Lengths:
    """Words given against words called for.

    Attributes:
        groups: Points to draw.
        side: Of the drawing, which is a square.
        most: Where both axes end, in words.
        ticks: Value and place, in per cent of the side, along either axis.
        double: The line of twice the words: places of its ends, in units of the drawing.
        ratios: How often a response is so long for its instruction, by name.
        n_double: Responses of at least twice the words.
        by_family: All responses, then the first families, as they lie on an axis of ratios.
        ratio_ticks: Value and place, in per cent, along that axis.
        n_drawn, n: Responses drawn, of how many.
    """

    groups: tuple[Group, ...]
    side: int
    most: int
    ticks: tuple[tuple[int, float], ...]
    double: tuple[float, float, float, float]
    ratios: tuple[tuple[str, int], ...]
    n_double: int
    by_family: tuple[RatioLine, ...]
    ratio_ticks: tuple[tuple[str, float], ...]
    n_drawn: int
    n: int


@dataclass(frozen=True, slots=True)
class FamiliesSection:
    """What the report of an audit shows of families.

    Attributes:
        sentence: How many there are, or why there are none.
        listed: The first families, each with the width of its bar and the place of the reference's share, in per cent.
        n_families: How many there are.
        reference: What shares are compared with.
        map: The responses in the plane.
        marks: The listed families by number.
    """

    sentence: str
    listed: tuple[tuple[FamilyView, float, float | None, str], ...]
    n_families: int
    reference: str | None
    map: Map | None
    marks: dict[int, FamilyView]


def families_section(style: Style, corpus: Corpus, n_families: int, n_points: int) -> FamiliesSection:
    """The first families and the map, for the report of an audit."""
    views = family_views(style, corpus, n_families, n_exemplars=3)
    return FamiliesSection(
        sentence=families_sentence(style),
        listed=tuple(
            (view, width, reference, lift_words(view.family))
            for view, (width, reference) in zip(views, share_widths(views), strict=True)
        ),
        n_families=len(style.families),
        reference=style.reference,
        map=map_view(style, n_points) if views else None,
        marks={view.family.number: view for view in views},
    )


def families_sentence(style: Style) -> str:
    """How much of the dataset is cast from how many forms."""
    looked_at = f"{count(style.n_looked_at, 'response')} that {'was' if style.n_looked_at == 1 else 'were'} looked at"
    if style.too_few is not None:
        return f"No families: {one_line(style.too_few, 300)}."
    if not style.families:
        return f"No form is shared by enough of the {looked_at} to be a family."
    n_cast = sum(family.n for family in style.families)
    noun = count(len(style.families), "family", "families")
    return f"{noun} {'holds' if len(style.families) == 1 else 'hold'} {share(n_cast, style.n_looked_at)} of the {looked_at}."


def lift_words(family: Family) -> str:
    """How much more frequent a family is than in the reference, which can show so much only; a dash without one."""
    if family.lift is None:
        return "–"
    if family.lift > _MOST_LIFT:
        return f"over {_MOST_LIFT}×"
    return f"{family.lift:.2g}×" if family.lift < 10 else f"{family.lift:,.0f}×"


def share_widths(views: Sequence[FamilyView]) -> list[tuple[float, float | None]]:
    """Of each family the width of its bar and the place of the reference's share, in per cent of the largest of either."""
    most = max((max(view.family.share, view.family.reference_share or 0.0) for view in views), default=0.0) or 1.0
    return [
        (
            round(100 * view.family.share / most, 1),
            None if view.family.reference_share is None else round(100 * view.family.reference_share / most, 1),
        )
        for view in views
    ]


def family_views(style: Style, corpus: Corpus, n_families: int, n_exemplars: int = 5) -> tuple[FamilyView, ...]:
    """The first families with their exemplars.

    Args:
        style: The families.
        corpus: The rows.
        n_families: How many, at most.
        n_exemplars: How many of each, at most.
    """
    return tuple(
        FamilyView(
            family,
            mark_path(place) if place < N_MARKS else None,
            place,
            tuple(_exemplar(corpus, number) for number in family.exemplars[:n_exemplars]),
        )
        for place, family in enumerate(style.families[:n_families])
    )


def map_view(style: Style, n_points: int) -> Map | None:
    """The map of the responses; `None` where no response has a place on it."""
    placed = place_linear(style.map, _WIDTH, _HEIGHT)
    groups = draw_groups(placed, style.assigned.family, _told_apart(style), n_points)
    return Map(tuple(groups), _WIDTH, _HEIGHT, _sum(groups, "n_drawn"), _sum(groups, "n")) if groups else None


def length_view(style: Style, n_points: int) -> Lengths | None:
    """Words given against words called for; `None` where no instruction says how many."""
    called, given = style.expected_words.astype(np.float64), style.words.astype(np.float64)
    known = np.isfinite(called) & (called > 0) & (given > 0)
    if not known.any():
        return None
    called = np.where(known, called, np.nan)
    longest = float(np.percentile(np.maximum(called[known], given[known]), 99.5))
    most = max(20.0, longest * 1.1)
    # Many instructions call for the same number of words: points are moved sideways by up to a tenth so as to be seen.
    aside = np.random.default_rng(0).uniform(-_ASIDE, _ASIDE, len(called))
    placed = place_log(called * (1 + aside), given, most, _SIDE, _SIDE)
    groups = draw_groups(placed, style.assigned.family, _told_apart(style), n_points)
    ratio = given[known] / called[known]
    family = style.assigned.family[known]
    lines = [_ratio_line(number, ratio[family == number]) for number in _told_apart(style) if (family == number).any()]
    counts = np.bincount(np.digitize(ratio, _RATIOS), minlength=len(_RATIO_NAMES)).tolist()
    ticks = [tick for tick in _TICKS if tick <= most]
    places = 100 * place_one_log(np.array(ticks, dtype=np.float64), most, _SIDE) / _SIDE
    x, y = (place_one_log(np.array(ends), most, _SIDE).tolist() for ends in ((1.0, most / 2), (2.0, most)))
    return Lengths(
        groups=tuple(groups),
        side=_SIDE,
        most=int(most),
        ticks=tuple(zip(ticks, places.round(2).tolist(), strict=True)),
        double=(round(x[0], 1), round(_SIDE - y[0], 1), round(x[1], 1), round(_SIDE - y[1], 1)),
        ratios=tuple(zip(_RATIO_NAMES, counts, strict=True)),
        n_double=int((ratio >= 2).sum()),
        by_family=(_ratio_line(-1, ratio), *lines),
        ratio_ticks=tuple((name, _ratio_at(value)) for name, value in _RATIO_TICKS),
        n_drawn=_sum(groups, "n_drawn"),
        n=int(known.sum()),
    )


def _ratio_line(family: int, ratios: NDArray[np.float64]) -> RatioLine:
    low, median, high = (float(value) for value in np.percentile(ratios, (25, 50, 75)))
    return RatioLine(family, len(ratios), low, median, high, _ratio_at(low), _ratio_at(median), _ratio_at(high))


def _ratio_at(ratio: float) -> float:
    """Place on an axis from an eighth to eight times, in per cent; what is outside is set on the edge."""
    return round(100 * min(max((math.log2(max(ratio, 1e-9)) + 3) / 6, 0.0), 1.0), 1)


def _exemplar(corpus: Corpus, response: int) -> Exemplar:
    row, turn, prompt = corpus.responses.select("row", "turn", "prompt").row(response)
    return Exemplar(response, corpus.row(row), turn, one_line(prompt, 160))


def _told_apart(style: Style) -> list[int]:
    return [family.number for family in style.families[:N_MARKS]]


def _sum(groups: Sequence[Group], name: str) -> int:
    return sum(getattr(group, name) for group in groups)
