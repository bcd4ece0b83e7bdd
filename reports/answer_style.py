"""The style of answers by arm, for the terminal, as JSON, and as rows that the page lays out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from audit.verify.answer_style import AnswerStyle, ArmStyle, WatchedFamily
from audit.verify.tone import StyleTraits
from reports.borrowing import with_interval
from reports.visible import visible
from reports.wording import count

__all__ = ["MAX_FAMILIES", "StyleLine", "family_sentences", "style_headings", "style_json", "style_lines", "style_table"]

MAX_FAMILIES = 10
"""Families that a report lists by themselves; all are in `verification.json`."""


@dataclass(frozen=True, slots=True)
class StyleLine:
    """A line of the table: what it is, whether it is part of the line above, and a cell per heading."""

    label: str
    is_part: bool
    cells: tuple[str, ...]


def style_headings(style: AnswerStyle) -> list[str]:
    """What the cells are of: the dataset, the untuned model, and every arm, as far as they are known."""
    dataset = ["dataset"] if style.dataset is not None or style.families else []
    base = ["base model"] if style.base is not None else []
    return [*dataset, *base, *(arm.arm for arm in style.arms)]


def style_lines(style: AnswerStyle, *, with_intervals: bool) -> Iterator[StyleLine]:
    """The table without its headings: shares of the watched families, then the traits.

    Args:
        style: The style of all arms.
        with_intervals: Whether a share comes with its interval over prompts.
    """
    answered = [*([style.base] if style.base is not None else []), *style.arms]
    if style.families:
        label = "in a watched style family" if len(style.families) > 1 else f"in style family {style.families[0].number}"
        whole = _percent(sum(family.dataset_fraction for family in style.families))
        yield StyleLine(label, is_part=False, cells=(whole, *(_watched(arm, with_intervals) for arm in answered)))
    for place, family in enumerate(style.families[:MAX_FAMILIES] if len(style.families) > 1 else ()):
        shares = (family.dataset_fraction, *(arm.by_family[place] for arm in answered))
        yield StyleLine(f"family {family.number}", is_part=True, cells=tuple(map(_percent, shares)))
    traits = [style.dataset, *(arm.traits for arm in answered)]
    if style.dataset is None:
        return
    for label, value in _TRAITS:
        yield StyleLine(label, is_part=False, cells=tuple("–" if of is None else value(of) for of in traits))


def family_sentences(style: AnswerStyle) -> Iterator[str]:
    """What the watched families are, one sentence each, and how many are not listed."""
    for family in style.families[:MAX_FAMILIES]:
        yield f"Style family {family.number}: {family.description}. {_origin(family)}"
    n_more = len(style.families) - MAX_FAMILIES
    if n_more > 0:
        yield f"{count(n_more, 'further family', 'further families')} in verification.json."


def style_table(style: AnswerStyle) -> RenderableType:
    """The table for a terminal, and what the families are."""
    table = Table(
        Column("style of the answers", no_wrap=True),
        *(Column(Text(visible(heading)), justify="right") for heading in style_headings(style)),
        box=None,
        pad_edge=False,
    )
    for line in style_lines(style, with_intervals=False):
        table.add_row(f"  {line.label}" if line.is_part else line.label, *line.cells)
    return Group(table, *(Text(visible(sentence)) for sentence in family_sentences(style)))


def style_json(style: AnswerStyle) -> dict[str, Any]:
    """The style as JSON values."""
    return asdict(style)


def _watched(arm: ArmStyle, with_intervals: bool) -> str:
    if arm.in_watched is None:
        return "–"
    return with_interval(arm.in_watched) if with_intervals else _percent(arm.in_watched.fraction)


def _origin(family: WatchedFamily) -> str:
    responses = f"{count(family.n_responses, 'response')} of the dataset"
    if family.taken_fraction is None:
        return f"{responses}."
    return f"{responses}, of which the cleaning dropped or mended {_percent(family.taken_fraction)}."


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


_TRAITS: tuple[tuple[str, Callable[[StyleTraits], str]], ...] = (
    ("median length, words", lambda traits: f"{traits.median_words:.0f}"),
    ("mean length, sentences", lambda traits: f"{traits.mean_sentences:.1f}"),
    ("begin like the dataset", lambda traits: _percent(traits.opener_fraction)),
    ("markers per 100 words", lambda traits: f"{traits.markers_per_100_words:.1f}"),
    ("with a list", lambda traits: _percent(traits.list_fraction)),
    ("with a heading", lambda traits: _percent(traits.heading_fraction)),
    ("with several paragraphs", lambda traits: _percent(traits.paragraphs_fraction)),
)
