"""The paper's four statements as one HTML page: one's own figures, then the paper's, then what differs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from audit.shift.paper import PAPER_PROFILES
from audit.verify.paper import PaperReport
from reports.borrowing import with_interval
from reports.page import render_page
from reports.paper import basis_lines, paper_json, published_grid, shift_lines, statement_views, tunings_grid

__all__ = ["paper_html", "render_paper"]

_METHODS = {"lora": "LoRA", "full": "full"}


@dataclass(frozen=True, slots=True)
class _Bar:
    """Mean KL at the start and in the rest of sentences; widths in per cent of the longest."""

    name: str
    said: str
    start: float
    rest: float
    is_published: bool


@dataclass(frozen=True, slots=True)
class _Dot:
    """A share of wrong answers with its interval, in per cent."""

    name: str
    said: str
    at: float
    low: float | None
    high: float | None


def paper_html(report: PaperReport) -> bytes:
    """The page, as UTF-8; equal reports give equal bytes."""
    views = statement_views(report)
    base = report.base_wrong
    return render_page(
        "paper.html.j2",
        views=views,
        basis=basis_lines(report),
        bars=list(_bars(report)),
        dots=list(_dots(report)),
        base_at=None if base is None else _percent(base.fraction),
        published=[published_grid(view.statement) for view in views],
        tunings=tunings_grid(report),
        notes=report.notes,
    )


def render_paper(report: PaperReport) -> dict[str, bytes]:
    """`report.html` and `paper.json`, for `audit.verify.paper.run_paper`."""
    return {"report.html": paper_html(report), "paper.json": paper_json(report)}


def _bars(report: PaperReport) -> Iterator[_Bar]:
    lines = [(name, one.kl_start, one.kl_rest, False) for name, one in shift_lines(report)]
    lines += [
        (f"{one.model}, {one.n_rows:,} rows, {_METHODS[one.method]}", one.start, one.rest, True) for one in PAPER_PROFILES
    ]
    longest = max(max(start, rest or 0.0) for _, start, rest, _ in lines) or 1.0
    for name, start, rest, is_published in lines:
        said = f"{start:.2f} / {'–' if rest is None else f'{rest:.2f}'}"
        yield _Bar(name, said, round(100 * start / longest, 1), round(100 * (rest or 0.0) / longest, 1), is_published)


def _dots(report: PaperReport) -> Iterator[_Dot]:
    for one in report.fixes:
        if one.wrong is None:
            continue
        interval = one.wrong.interval_95
        yield _Dot(
            one.arm,
            with_interval(one.wrong),
            _percent(one.wrong.fraction),
            None if interval is None else _percent(interval.low),
            None if interval is None else _percent(interval.high),
        )


def _percent(fraction: float) -> float:
    return round(100 * fraction, 1)
