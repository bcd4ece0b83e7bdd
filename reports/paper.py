"""The paper's four statements beside one's own figures, for the terminal and as JSON.

`statement_views` lays every statement out once, in words and grids of words; the terminal and the page print the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from audit.shift.classes import Shift
from audit.verify.borrowing import BorrowingReport, Level, Population
from audit.verify.paper import PaperReport
from audit.verify.published import STATEMENTS, Statement
from audit.verify.statements import Contrast, ShiftFigures
from audit.verify.statistics import Interval
from audit.verify.tone import TokenClass
from reports.borrowing import arm_json, with_interval
from reports.json_report import encode_report
from reports.visible import one_line, visible
from reports.wording import count

__all__ = [
    "PAPER_SCHEMA",
    "Grid",
    "StatementView",
    "basis_lines",
    "paper_json",
    "paper_report",
    "published_grid",
    "shift_lines",
    "statement_views",
    "tunings_grid",
]

PAPER_SCHEMA = "tunescope/paper-1"
"""Name and version of the format, the schema's `$id`; a field may be added to a version, none is changed or removed."""

_TOKEN_CHARACTERS = 24


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of words: a title, the headings of its columns, and its lines; the first column names the line."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class StatementView:
    """One statement as it is shown.

    Attributes:
        statement: The paper's claim and figures.
        here: What the figures below say, in a sentence or two.
        grids: One's own figures.
    """

    statement: Statement
    here: str
    grids: tuple[Grid, ...]


def statement_views(report: PaperReport) -> tuple[StatementView, ...]:
    """The four statements, in the paper's order."""
    views = (_shift_view, _style_view, _borrowing_view, _fixes_view)
    return tuple(StatementView(statement, *view(report)) for statement, view in zip(STATEMENTS, views, strict=True))


def paper_report(report: PaperReport) -> RenderableType:
    """The report for a terminal; nothing in it is read as markup, and control characters are shown as symbols."""
    parts: list[RenderableType] = [
        Text("The paper's four statements, on your model and data", style="bold"),
        Text(_basis(report)),
        Text(""),
        _table(tunings_grid(report)),
    ]
    for view in statement_views(report):
        statement = view.statement
        parts += [Text(""), Text(f"{statement.number}. {statement.claim}", style="bold"), Text(visible(view.here))]
        for grid in view.grids:
            parts += [Text(""), _table(grid)]
        parts += [Text(""), _table(published_grid(statement))]
        parts += [Text(f"Differs: {difference}", style="dim") for difference in statement.differences]
    parts += [Text(""), *(Text(visible(f"Note: {note}")) for note in report.notes)]
    return Group(*parts)


def paper_json(report: PaperReport) -> bytes:
    """The report as UTF-8, by the schema `reports/schemas/paper.schema.json`; equal reports give equal bytes."""
    figures: tuple[Mapping[str, Any], ...] = (
        {"shift": [_shift_json(one) for one in report.shift], "matched": [_shift_json(one) for one in report.matched]},
        {"style": [asdict(one) for one in report.style], "concise": _or_none(report.concise)},
        {
            "arms": [arm_json(arm) for arm in report.borrowing.arms],
            "span_tokens": [asdict(one) for one in report.borrowing.span_tokens],
            "words": [asdict(one) for one in report.borrowing.words],
            "pairs": [asdict(one) for one in report.borrowing.pairs],
        },
        {"arms": [asdict(one) for one in report.fixes], "selection": _or_none(report.selection)},
    )
    return encode_report(
        {
            "schema": PAPER_SCHEMA,
            "base_model": report.base_model,
            "recipe": report.recipe,
            "counts": {
                "seeds": report.n_seeds,
                "rows": report.n_rows,
                "rows_of_half": report.n_kept,
                "held_out_prompts": report.n_prompts,
                "independent_units": report.n_units,
                "control_prompts": report.n_control,
            },
            "base_wrong": None if report.base_wrong is None else asdict(report.base_wrong),
            "tunings": [asdict(tuning) for tuning in report.tunings],
            "statements": [
                {
                    "number": view.statement.number,
                    "claim": view.statement.claim,
                    "here": view.here,
                    "figures": of_statement,
                    "published": [asdict(figure) for figure in view.statement.published],
                    "differences": list(view.statement.differences),
                }
                for view, of_statement in zip(statement_views(report), figures, strict=True)
            ],
            "notes": list(report.notes),
        }
    )


def basis_lines(report: PaperReport) -> tuple[str, ...]:
    """What was tuned and asked, in short lines."""
    wrong = "–" if report.base_wrong is None else with_interval(report.base_wrong)
    return (
        f"{report.base_model}, recipe {report.recipe}, {count(report.n_seeds, 'seed')} per arm",
        f"{count(report.n_rows, 'row')}, {report.n_kept:,} in a half",
        f"{count(report.n_prompts, 'held-out prompt')} in {count(report.n_units, 'independent unit')},"
        f" {count(report.n_control, 'control prompt')}",
        f"Wrong answers of the untuned model: {wrong}",
    )


def _basis(report: PaperReport) -> str:
    return visible("\n".join(basis_lines(report)))


def tunings_grid(report: PaperReport) -> Grid:
    """How every arm was tuned."""
    return Grid(
        "tunings",
        ("rate", "rows", "steps", "training loss", "training fit"),
        tuple(
            (
                tuning.arm,
                f"{tuning.learning_rate:g}",
                f"{tuning.n_rows:.0f}",
                f"{tuning.n_steps:.0f}",
                f"{tuning.training_loss:.3f}",
                _percent(tuning.training_fit),
            )
            for tuning in report.tunings
        ),
    )


def _shift_view(report: PaperReport) -> tuple[str, tuple[Grid, ...]]:
    compared = report.matched or report.shift
    ratios = [one.kl_start / one.kl_rest for one in compared if one.kl_rest]
    at = "at one training loss" if report.matched else "at the recipe as it stands, not at one training loss"
    here = "Sentences of the answers have no rest to compare their start with."
    if len(ratios) == len(compared):
        said = " and ".join(
            f"{one.arm} moves the start of a sentence {ratio:.1f} times as far as the rest"
            f" ({one.kl_start:.2f} / {one.kl_rest or 0:.2f} nats)"
            for one, ratio in zip(compared, ratios, strict=True)
        )
        here = f"Here, {at}, {said}. In the paper it is 2.3 to 3.7 times for LoRA and 1.4 to 1.8 times for full tuning."
    profiles = list(shift_lines(report))
    return here, (
        Grid(
            "mean KL(base‖tuned), nats",
            ("training loss", "first 5 % (tokens)", "rest (tokens)"),
            tuple(
                (
                    name,
                    f"{one.training_loss:.3f}",
                    f"{one.kl_start:.3f} ({one.n_start:,})",
                    "–" if one.kl_rest is None else f"{one.kl_rest:.3f} ({one.n_rest:,})",
                )
                for name, one in profiles
            ),
        ),
        Grid(
            "all tokens",
            tuple(map(str, Shift)),
            tuple((name, _percent(one.unshifted), _percent(one.marginal), _percent(one.shifted)) for name, one in profiles),
        ),
        Grid(
            "of shifted tokens (of all)",
            tuple(name for name, _ in profiles),
            tuple((str(kind), *(_class_cell(one, kind) for _, one in profiles)) for kind in TokenClass),
        ),
        Grid(
            "most often shifted",
            ("tokens",),
            tuple((name, ", ".join(one_line(token, _TOKEN_CHARACTERS) for token in one.top_tokens)) for name, one in profiles),
        ),
    )


def shift_lines(report: PaperReport) -> Iterator[tuple[str, ShiftFigures]]:
    """The profiles of statement 1 with their names: at the recipe, then at one training loss."""
    for one in report.shift:
        yield one.arm, one
    for at_recipe, one in zip(report.shift, report.matched, strict=False):  # in the same order, or none
        yield f"{at_recipe.arm}, matched", one


def _class_cell(one: ShiftFigures, kind: TokenClass) -> str:
    share = next(share for share in one.classes if share.token_class is kind)
    return f"{100 * share.of_shifted:.0f} % ({100 * share.of_all:.0f} %)"


def _style_view(report: PaperReport) -> tuple[str, tuple[Grid, ...]]:
    here = "The arms with the shortest and a random half were not both tuned."
    if report.concise is not None:
        words = {one.name: one.traits.mean_words for one in report.style}
        here = (
            f"Here {_difference_words(report.concise)}, with answers of {words[report.concise.first]:.1f} words on average"
            f" against {words[report.concise.second]:.1f}."
        )
    return here, (
        Grid(
            "tone: openers and markers",
            ("begin like the dataset", "sentences that do", "markers per 100 words"),
            tuple(
                (
                    one.name,
                    _percent(one.traits.opener_fraction),
                    _percent(one.traits.sentence_opener_fraction),
                    f"{one.traits.markers_per_100_words:.1f}",
                )
                for one in report.style
            ),
        ),
        Grid(
            "style: length, beside wrong answers",
            ("words", "sentences", "length apart", "wrong"),
            tuple(
                (
                    one.name,
                    f"{one.traits.mean_words:.1f}",
                    f"{one.traits.mean_sentences:.1f}",
                    f"{one.traits.length_distance:.2f}",
                    with_interval(one.wrong),
                )
                for one in report.style
            ),
        ),
        Grid(
            "style: layout",
            ("lists", "headings", "paragraphs"),
            tuple(
                (
                    one.name,
                    _percent(one.traits.list_fraction),
                    _percent(one.traits.heading_fraction),
                    _percent(one.traits.paragraphs_fraction),
                )
                for one in report.style
            ),
        ),
    )


def _borrowing_view(report: PaperReport) -> tuple[str, tuple[Grid, ...]]:
    borrowing = report.borrowing
    grids = [
        Grid(
            f"{arm.arm}: share that occurs in its rows",
            tuple(str(level.level) for level in arm.reports),
            tuple(
                (str(population), *(with_interval(level.of(population).occurs) for level in arm.reports))
                for population in Population
            )
            + _put_there_line(arm.reports),
        )
        for arm in borrowing.arms
    ]
    grids.append(
        Grid(
            "tokens that are shifted or marginal",
            ("in wrong spans that occur in the rows", "in all answers"),
            tuple(
                (one.arm, _of(one.borrowed_fraction, one.n_borrowed), _of(one.all_fraction, one.n_all))
                for one in borrowing.span_tokens
            ),
        )
    )
    grids.append(
        Grid(
            "words that occur in the rows, by the token that they begin with",
            tuple(map(str, Shift)),
            tuple(
                (arm, *(_of(one.occurring_fraction, one.n) for one in borrowing.words if one.arm == arm))
                for arm in dict.fromkeys(one.arm for one in borrowing.words)
            ),
        )
    )
    grids.append(
        Grid(
            "question and rows that hold its wrong span (any row)",
            ("spans", "rows per span", "cosine", "cosine of the nearest", "n-gram overlap"),
            tuple(
                (
                    one.arm,
                    f"{one.n_spans:,}",
                    f"{one.n_holders:.1f}",
                    "–" if one.cosine is None or one.cosine_any is None else f"{one.cosine:.3f} ({one.cosine_any:.3f})",
                    "–" if one.cosine_nearest is None else f"{one.cosine_nearest:.3f}",
                    f"{_percent(one.overlap)} ({_percent(one.overlap_any)})",
                )
                for one in borrowing.pairs
            ),
        )
    )
    return " ".join(_borrowing_sentences(report)), tuple(grids)


def _put_there_line(levels: Sequence[BorrowingReport]) -> tuple[tuple[str, ...], ...]:
    found = [level.of(Population.WRONG).borrowed for level in levels]
    return () if all(one is None for one in found) else (("wrong, and put there by tuning", *map(with_interval, found)),)


def _borrowing_sentences(report: PaperReport) -> Iterator[str]:
    """The arm with the most nulls speaks, and of its levels the narrowest."""
    best = max(
        report.borrowing.arms,
        key=lambda arm: sum(rate.occurs is not None for level in arm.reports for rate in level.rates),
        default=None,
    )
    if best is None:
        yield "Nothing was measured."
        return
    level = best.reports[0]
    wrong = level.of(Population.WRONG).occurs
    if wrong is None:
        yield f"No answer of {best.arm} is wrong."
        return
    what = "hold a span" if level.level is Level.SPANS else "name another value"
    yield f"Here {_percent(wrong.fraction)} of the wrong answers of {best.arm} {what} that its rows hold."
    nulls = {
        "of the untuned model's wrong answers it is": level.of(Population.BASE).occurs,
        "of other values as frequent": level.of(Population.MATCHED).occurs,
        "against rows never seen": level.of(Population.UNSEEN).occurs,
    }
    said = [f"{words} {_percent(share.fraction)}" for words, share in nulls.items() if share is not None]
    if said:
        sentence = ", ".join(said)
        yield f"{sentence[0].upper()}{sentence[1:]}."


def _fixes_view(report: PaperReport) -> tuple[str, tuple[Grid, ...]]:
    contrasts = [one.minus_lora for one in report.fixes if one.minus_lora is not None and one.arm.startswith("full")]
    better = [one for one in contrasts if one.interval_95 is not None and one.interval_95.high < 0]
    worse = [one for one in contrasts if one.interval_95 is not None and one.interval_95.low > 0]
    if all(one.interval_95 is None for one in contrasts):
        here = "One seed per arm does not show which differences would come again."
    else:
        named = ", ".join(one.first for one in better) or "none"
        here = (
            f"Here, of {count(len(contrasts), 'way')} of full tuning, these give fewer wrong answers than plain LoRA beyond"
            f" chance: {named}; these give more: {', '.join(one.first for one in worse) or 'none'}."
        )
    if report.selection is not None:
        here += f" As a filter, {_difference_words(report.selection)}."
    return here, (
        Grid(
            "wrong answers to held-out prompts",
            ("rows", "wrong", "minus plain LoRA, points"),
            tuple(
                (
                    one.arm,
                    f"{one.n_rows:.0f}",
                    with_interval(one.wrong),
                    "–" if one.minus_lora is None else _difference(one.minus_lora),
                )
                for one in report.fixes
            ),
        ),
    )


def published_grid(statement: Statement) -> Grid:
    """The paper's figures."""
    rows = tuple((figure.what, figure.figure) for figure in statement.published)
    return Grid("in the paper", ("figure",), rows)


def _difference_words(contrast: Contrast) -> str:
    direction = "more" if contrast.difference_points > 0 else "fewer"
    return (
        f"{contrast.first} gives {abs(contrast.difference_points):.1f} points {direction} wrong answers than"
        f" {contrast.second}{_bracketed(contrast.interval_95)}"
    )


def _difference(contrast: Contrast) -> str:
    return f"{contrast.difference_points:+.1f}{_bracketed(contrast.interval_95)}"


def _bracketed(interval: Interval | None) -> str:
    return "" if interval is None else f" ({interval.low:+.1f} to {interval.high:+.1f})"


def _of(fraction: float | None, n: int) -> str:
    return "–" if fraction is None else f"{_percent(fraction)} of {n:,}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def _table(grid: Grid) -> Table:
    """A grid for the terminal; the first column keeps its line, the others break."""
    first = Column(Text(grid.title), no_wrap=len(grid.columns) > 1)
    table = Table(first, *(Column(Text(visible(name)), justify="right") for name in grid.columns), box=None, pad_edge=False)
    for row in grid.rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    return table


def _shift_json(one: ShiftFigures) -> Mapping[str, Any]:
    return asdict(one)


def _or_none(contrast: Contrast | None) -> Mapping[str, Any] | None:
    return None if contrast is None else asdict(contrast)
