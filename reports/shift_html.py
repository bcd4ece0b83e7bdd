"""A measured shift as one HTML page: the answers with every token in the colour of its class, and the profile.

Class is never told by colour alone: a marginal token has a dotted line beneath it, a shifted one a thick line. The page
shows a sample of the answers where there are many, and says so; every token is in `tokens.parquet`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import polars as pl

from audit.shift import AlignedResponse, Shift, ShiftReport
from audit.shift.classes import DEFINITIONS
from audit.shift.paper import PAPER_DIFFERENCES, PAPER_PROFILES
from reports.excerpts import Excerpt, cut_excerpt, spread_evenly
from reports.page import MAX_PAGE_BYTES, render_page
from reports.shift import PART_NAMES, model_name, parts_of, token_text

__all__ = ["shift_html"]

# Answers shown, tokens of each, tokens listed with their figures: the first triple whose page fits is taken.
_DETAIL = ((100, 1000, 60), (100, 500, 30), (50, 300, 20), (20, 200, 10), (5, 100, 5))
_PROMPT_CHARACTERS = 600
_TOKENS_SHOWN = 40
_ORDER = tuple(Shift)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Neighbouring unshifted tokens, or one that is not; `figures` of the latter, `None` for text without a class."""

    text: str
    shift: Shift | None
    figures: str = ""


@dataclass(frozen=True, slots=True)
class _Token:
    """A marginal or shifted token with its figures."""

    position: int
    text: str
    shift: str
    rank: int
    kl: float
    lift: float
    p_base: float
    p_tuned: float


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer; `number` is its place among all, from 1; `n_hidden` tokens at its end and `n_unlisted` are not shown."""

    number: int
    response: AlignedResponse
    prompt: Excerpt
    pieces: tuple[_Piece, ...]
    n_hidden: int
    counts: tuple[tuple[Shift, int], ...]
    tokens: tuple[_Token, ...]
    n_unlisted: int


@dataclass(frozen=True, slots=True)
class _Bar:
    """A line of the chart: mean KL of start and rest, and their widths in per cent of the longest."""

    name: str
    detail: str
    ours: bool
    start: float
    rest: float | None
    start_width: float
    rest_width: float


def shift_html(report: ShiftReport) -> bytes:
    """The page, as UTF-8; equal measurements give equal bytes."""
    page = b""
    by_response = list(report.by_response())
    for n_answers, n_tokens, n_listed in _DETAIL:
        shown = spread_evenly(len(report.responses), n_answers)
        page = render_page(
            "shift.html.j2",
            report=report,
            title=PurePath(report.tuned.adapter or report.tuned.base).name,
            base=model_name(report.base),
            tuned=model_name(report.tuned),
            shifts=_ORDER,
            parts=list(parts_of(report)),
            part_names=PART_NAMES,
            bars=_bars(report),
            shifted=[(token_text(token.text), token) for token in report.shifted_tokens[:_TOKENS_SHOWN]],
            answers=[_answer(i + 1, report.responses[i], by_response[i], n_tokens, n_listed) for i in shown],
            definitions=DEFINITIONS,
            differences=PAPER_DIFFERENCES,
        )
        if len(page) <= MAX_PAGE_BYTES:
            break
    return page


def _bars(report: ShiftReport) -> list[_Bar]:
    """The profile within each sentence, this one first, then the paper's."""
    ours = report.profiles[0]
    lines = [("This pair", "", True, ours.start.kl_base_tuned, ours.rest.kl_base_tuned if ours.rest else None)]
    for paper in PAPER_PROFILES:
        method = "LoRA" if paper.method == "lora" else "full"
        lines.append((f"{paper.model}, {method}", f"{paper.n_rows // 1000}k rows", False, paper.start, paper.rest))
    most = max(max(start, rest or 0.0) for *_, start, rest in lines) or 1.0
    return [
        _Bar(name, detail, is_ours, start, rest, round(100 * start / most, 1), round(100 * (rest or 0) / most, 1))
        for name, detail, is_ours, start, rest in lines
    ]


def _answer(number: int, response: AlignedResponse, rows: pl.DataFrame, n_tokens: int, n_listed: int) -> _Answer:
    shown = rows[:n_tokens]
    moved = rows.filter(pl.col("shift") != Shift.UNSHIFTED.value)
    # The most shifted tell most; in the order of the answer they are found again.
    listed = moved.sort(["kl_base_tuned", "position"], descending=[True, False])[:n_listed].sort("position")
    asked = next((message.content for message in reversed(response.messages) if message.role == "user"), "")
    return _Answer(
        number=number,
        response=response,
        prompt=cut_excerpt(asked, _PROMPT_CHARACTERS),
        pieces=tuple(_pieces(response.text, shown, rows.height)),
        n_hidden=rows.height - shown.height,
        counts=tuple((shift, int((rows["shift"] == shift.value).sum())) for shift in _ORDER),
        tokens=tuple(_token(row) for row in listed.iter_rows(named=True)),
        n_unlisted=moved.height - listed.height,
    )


def _pieces(text: str, rows: pl.DataFrame, n_tokens: int) -> list[_Piece]:
    """The text of some of `n_tokens` tokens, cut where the class changes; those that share a character are one piece."""
    pieces: list[_Piece] = []
    at = 0
    for row in rows.iter_rows(named=True):
        start, end, shift = max(row["start"], at), row["end"], Shift(row["shift"])
        if at < start:
            pieces.append(_Piece(text[at:start], None))
        if start < end:
            figures = "" if shift is Shift.UNSHIFTED else _figures(row)
            last = pieces[-1] if pieces else None
            if last is not None and last.shift is shift is Shift.UNSHIFTED:
                pieces[-1] = _Piece(last.text + text[start:end], shift)
            else:
                shown = text[start:end] if shift is Shift.UNSHIFTED else _seen(text[start:end])
                pieces.append(_Piece(shown, shift, figures))
        at = max(at, end)
    if len(rows) == n_tokens and at < len(text):
        pieces.append(_Piece(text[at:], None))
    return pieces


def _figures(row: Mapping[str, Any]) -> str:
    return f"{row['shift']}: rank {row['rank']:,}, KL {row['kl_base_tuned']:.2f}, lift {row['lift']:+.2f}"


def _seen(text: str) -> str:
    """A token of white space alone has to be seen to have a colour."""
    if text.strip():
        return text
    return token_text(text) + ("\n" if "\n" in text else "")


def _token(row: Mapping[str, Any]) -> _Token:
    return _Token(
        position=row["position"],
        text=token_text(row["text"]),
        shift=row["shift"],
        rank=row["rank"],
        kl=row["kl_base_tuned"],
        lift=row["lift"],
        p_base=math.exp(row["log_p_base"]),
        p_tuned=math.exp(row["log_p_tuned"]),
    )
