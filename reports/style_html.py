"""Style as one HTML page: families and their exemplars, templates, a map, length against what was asked for, and outputs.

Neither families nor kinds of word are told by colour alone: a family has a mark of its own shape and its number, and words
of style have lines of their own beneath them. Text is cut, and a sample drawn, where a page would grow too large; the page
says so, and `report.json` has all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.corpus import Corpus, Row
from audit.style.lexicon import StyleKind, styled_spans
from reports.excerpts import Excerpt, cut_excerpt
from reports.families import (
    Exemplar,
    FamilyView,
    families_sentence,
    family_views,
    length_view,
    lift_words,
    map_view,
    share_widths,
)
from reports.page import MAX_PAGE_BYTES, render_page
from reports.scatter import N_MARKS, mark_path
from reports.style import (
    change_words,
    copied_first,
    excess_words,
    figure_words,
    left_out_of_style,
    nearness_sentence,
    rate_words,
    sentence_of_copying,
    sentence_of_drawn,
    strength_words,
    templates_sentence,
    trait_name,
)
from reports.visible import one_line

if TYPE_CHECKING:
    from audit.style.build import Style
    from audit.style.copying import Copying, Drawn, FamilyCopied, OutputCopied, Rate, TraitMoved
    from audit.style.measured import MeasuredStyle
    from audit.style.templates import Template, Templated

__all__ = ["style_html"]

# Points of a drawing, families, outputs, characters of each text: the first four whose page fits are taken.
_DETAIL = ((4000, 50, 40, 1000), (3000, 30, 20, 600), (2000, 12, 10, 400), (500, 8, 5, 200))
_PROMPT_CHARACTERS = 500
_N_NEAREST = 3
_N_COPIED = 12
_N_TEMPLATES = 20  # of the prompts, and of the responses

_KINDS = {
    StyleKind.OPENER: "opens the answer",
    StyleKind.CLOSER: "closes it",
    StyleKind.MARKER: "holds it together",
    StyleKind.HEDGE: "holds it back",
    StyleKind.FUNCTION: "grammar",
    StyleKind.LAYOUT: "layout",
    StyleKind.CONTENT: "content",
}


@dataclass(frozen=True, slots=True)
class _Piece:
    """Neighbouring tokens of one kind, in words for a style sheet; `kind` is empty for white space and what was not told."""

    text: str
    kind: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class _Styled:
    """A text with its words of style told apart; `n_after` characters of its end are not shown."""

    pieces: tuple[_Piece, ...]
    n_after: int


@dataclass(frozen=True, slots=True)
class _Shown:
    """An exemplar with what was asked and answered."""

    exemplar: Exemplar
    prompt: Excerpt
    response: _Styled


@dataclass(frozen=True, slots=True)
class _Family:
    """A family, its exemplars, and what the table says of it."""

    view: FamilyView
    lift: str
    width: float
    reference_at: float | None
    shown: tuple[_Shown, ...]


@dataclass(frozen=True, slots=True)
class _Bar:
    """A rate on an axis: its words, and places in per cent of the axis."""

    value: float
    low: float
    high: float
    words: str


@dataclass(frozen=True, slots=True)
class _Copied:
    """A family among the outputs; places in per cent of the axis. `mark` is `None` for all families together."""

    copied: FamilyCopied
    mark: str | None
    place: int
    outputs: _Bar
    base: _Bar | None
    dataset: float
    null: float | None
    strength: str


@dataclass(frozen=True, slots=True)
class _Trait:
    """A trait before and after tuning, each on an axis of its own that begins with zero."""

    name: str
    outputs: _Bar
    base: _Bar | None
    dataset: float
    dataset_words: str
    change: str
    is_clear: bool


@dataclass(frozen=True, slots=True)
class _Near:
    """A row that an output resembles."""

    row: Row
    similarity: float
    prompt: Excerpt
    response: _Styled


@dataclass(frozen=True, slots=True)
class _Output:
    """An output of a family with the rows that it resembles."""

    copied: OutputCopied
    mark: str | None
    place: int
    prompt: Excerpt
    response: _Styled
    nearest: tuple[_Near, ...]


@dataclass(frozen=True, slots=True)
class _Sided:
    """The templates of prompts or of responses, the first ones each with a row that has it."""

    name: str
    templated: Templated
    listed: tuple[tuple[Template, Row], ...]


def style_html(measured: MeasuredStyle, corpus: Corpus, name: str = "") -> bytes:
    """The page, as UTF-8; equal results give equal bytes.

    Args:
        measured: The style of the dataset, and of outputs where any were given.
        corpus: The rows.
        name: Of the dataset.
    """
    style, templates, copying = measured.style, measured.templates, measured.copying
    page = b""
    for n_points, n_families, n_outputs, characters in _DETAIL:
        views = family_views(style, corpus, n_families)
        copied = [] if copying is None else copied_first(copying)
        page = render_page(
            "style.html.j2",
            name=name,
            dataset=style,
            copying=copying,
            families_sentence=families_sentence(style),
            copying_sentence="" if copying is None else sentence_of_copying(copying),
            drawn_sentence="" if copying is None or copying.drawn is None else sentence_of_drawn(copying.drawn),
            families=_families(corpus, views, characters),
            templates_sentence=templates_sentence(templates),
            templates=[
                _Sided("prompts", templates.prompts, _listed(corpus, templates.prompts)),
                _Sided("responses", templates.responses, _listed(corpus, templates.responses)),
            ],
            n_cast=sum(family.n for family in style.families),
            map=map_view(style, n_points),
            lengths=length_view(style, n_points),
            n_marks=N_MARKS,
            marks={view.family.number: view for view in views},
            copied=_copied(style, copying),
            drawn=[] if copying is None or copying.drawn is None else _drawn(copying.drawn),
            excess="" if copying is None or copying.drawn is None else excess_words(copying.drawn),
            shift=[] if copying is None else [_trait(trait) for trait in copying.shift],
            outputs=[_output(output, style, corpus, characters) for output in copied[:n_outputs]],
            nearness_sentence="" if copying is None else nearness_sentence(copying),
            n_copied=len(copied),
            kinds=[(kind.name.lower(), kind.value, words) for kind, words in _KINDS.items()],
            not_looked_at=left_out_of_style(style, copying),
        )
        if len(page) <= MAX_PAGE_BYTES:
            break
    return page


def _listed(corpus: Corpus, templated: Templated) -> tuple[tuple[Template, Row], ...]:
    rows = corpus.responses["row"]
    return tuple((template, corpus.row(rows[template.examples[0]])) for template in templated.templates[:_N_TEMPLATES])


def _families(corpus: Corpus, views: Sequence[FamilyView], characters: int) -> list[_Family]:
    return [
        _Family(
            view=view,
            lift=lift_words(view.family),
            width=width,
            reference_at=reference,
            shown=tuple(_shown(corpus, exemplar, characters) for exemplar in view.exemplars),
        )
        for view, (width, reference) in zip(views, share_widths(views), strict=True)
    ]


def _shown(corpus: Corpus, exemplar: Exemplar, characters: int) -> _Shown:
    prompt, text = corpus.responses.select("prompt", "text").row(exemplar.response)
    return _Shown(exemplar, cut_excerpt(prompt, _PROMPT_CHARACTERS), _styled(text, characters))


def _copied(style: Style, copying: Copying | None) -> list[_Copied]:
    """All families together on an axis of their own, then each on another."""
    if copying is None or copying.any_family is None:
        return []
    listed = copying.families[:_N_COPIED]
    most = max(map(_most, listed), default=0.0) or 1.0
    marks = _marks(style)
    together = copying.any_family
    return [
        _copied_line(together, (None, -1), _most(together) or 1.0),
        *(_copied_line(copied, marks[copied.family], most) for copied in listed),
    ]


def _most(copied: FamilyCopied) -> float:
    """Where an axis for a family ends."""
    base = 0.0 if copied.base is None else copied.base.high
    return max(copied.outputs.high, copied.dataset, copied.null or 0.0, base)


def _copied_line(copied: FamilyCopied, mark: tuple[str | None, int], most: float) -> _Copied:
    return _Copied(
        copied=copied,
        mark=mark[0],
        place=mark[1],
        outputs=_bar(copied.outputs, most, rate_words(copied.outputs)),
        base=None if copied.base is None else _bar(copied.base, most, rate_words(copied.base)),
        dataset=_place(copied.dataset, most),
        null=None if copied.null is None else _place(copied.null, most),
        strength=strength_words(copied.strength),
    )


def _drawn(drawn: Drawn) -> list[tuple[str, str, _Bar]]:
    """A line for each model: what it is called, the class of its bar, and the bar."""
    named = [("the outputs", "ours", drawn.outputs)]
    if drawn.base is not None:
        named.append(("the base model's", "base", drawn.base))
    named += [(f"null outputs, {one_line(name, 40)}", "base", rate) for name, rate in drawn.null.items()]
    most = max(rate.high for _, _, rate in named) or 1.0
    return [(name, style, _bar(rate, most, rate_words(rate))) for name, style, rate in named]


def _trait(trait: TraitMoved) -> _Trait:
    ends = [trait.dataset, trait.outputs.high, *([] if trait.base is None else [trait.base.high])]
    most = max(ends) or 1.0
    change = trait.change
    return _Trait(
        name=trait_name(trait),
        outputs=_bar(trait.outputs, most, figure_words(trait.outputs.value, trait.unit)),
        base=None if trait.base is None else _bar(trait.base, most, figure_words(trait.base.value, trait.unit)),
        dataset=_place(trait.dataset, most),
        dataset_words=figure_words(trait.dataset, trait.unit),
        change=change_words(trait),
        is_clear=change is not None and (change.low > 0 or change.high < 0),
    )


def _output(output: OutputCopied, style: Style, corpus: Corpus, characters: int) -> _Output:
    mark, place = _marks(style).get(output.family, (None, -1))
    return _Output(
        copied=output,
        mark=mark,
        place=place,
        prompt=cut_excerpt(output.output.prompt, _PROMPT_CHARACTERS),
        response=_styled(output.output.response, characters),
        nearest=tuple(_nearest(output, corpus, characters)),
    )


def _nearest(output: OutputCopied, corpus: Corpus, characters: int) -> Iterator[_Near]:
    for near in output.nearest[:_N_NEAREST]:
        row, prompt, text = corpus.responses.select("row", "prompt", "text").row(near.response)
        yield _Near(corpus.row(row), near.similarity, cut_excerpt(prompt, _PROMPT_CHARACTERS), _styled(text, characters))


def _marks(style: Style) -> dict[int, tuple[str | None, int]]:
    return {
        family.number: (mark_path(place) if place < N_MARKS else None, place) for place, family in enumerate(style.families)
    }


def _styled(text: str, characters: int) -> _Styled:
    """The beginning of a text, neighbouring tokens of one kind in one piece; white space between them is in it."""
    shown = text[:characters]
    runs: list[tuple[int, int, StyleKind]] = []
    for span in styled_spans(shown):
        if runs and runs[-1][2] is span.kind and not shown[runs[-1][1] : span.start].strip():
            runs[-1] = (runs[-1][0], span.end, span.kind)
        else:
            runs.append((span.start, span.end, span.kind))
    pieces, at = [], 0
    for start, end, kind in runs:
        if at < start:
            pieces.append(_Piece(shown[at:start]))
        pieces.append(_Piece(shown[start:end], kind.name.lower(), kind.value))
        at = end
    if at < len(shown):
        pieces.append(_Piece(shown[at:]))
    return _Styled(tuple(pieces), len(text) - len(shown))


def _bar(rate: Rate, most: float, words: str) -> _Bar:
    return _Bar(_place(rate.value, most), _place(rate.low, most), _place(rate.high, most), words)


def _place(value: float, most: float) -> float:
    return round(100 * min(max(value / most, 0.0), 1.0), 1)
