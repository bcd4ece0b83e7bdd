"""Traces as one HTML page: the rows behind many false answers, then each answer with its false words and their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audit.corpus import Corpus, Row
from audit.trace import BlamedRow, Link, SpanTrace, Trace
from reports.excerpts import Excerpt, cut_excerpt, spread_evenly
from reports.page import MAX_PAGE_BYTES, render_page
from reports.trace import CHANNEL_NAMES, TIER_NAMES, chance_words, left_out, link_excerpt, shift_words, verdict
from reports.turns import Turn, turns_around

__all__ = ["trace_html"]

# Answers shown, links of each span, characters of each message: the first triple whose page fits is taken.
_DETAIL = ((200, 10, 2000), (200, 10, 500), (100, 5, 300), (50, 3, 200), (10, 3, 120))
_BLAMED_SHOWN = 50


@dataclass(frozen=True, slots=True)
class _Link:
    """A row with the words that it shares, and whole; `chance` in words, empty where there is none."""

    link: Link
    row: Row
    chance: str
    excerpt: Excerpt
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class _Span:
    """A false stretch and its rows."""

    span: SpanTrace
    verdict: str
    shift: str
    links: tuple[_Link, ...]


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer; `number` is its place among all, from 1."""

    number: int
    trace: Trace
    prompt: Excerpt
    response: Excerpt
    spans: tuple[_Span, ...]


def trace_html(traces: Sequence[Trace], corpus: Corpus, blame: Sequence[BlamedRow]) -> bytes:
    """The page, as UTF-8; the same traces give the same bytes.

    Args:
        traces: In the order of the answers.
        corpus: The rows.
        blame: The rows over all answers, most blamed first.
    """
    page = b""
    for n_answers, n_links, characters in _DETAIL:
        shown = spread_evenly(len(traces), n_answers)
        page = render_page(
            "trace.html.j2",
            n_traces=len(traces),
            n_links=n_links,
            answers=[_answer(i + 1, traces[i], corpus, n_links, characters) for i in shown],
            blamed=[(row, corpus.row(row.row)) for row in blame[:_BLAMED_SHOWN]],
            n_blamed=len(blame),
            number_of={traces[i].claim.id: i + 1 for i in shown},
            channels=CHANNEL_NAMES,
            tiers=TIER_NAMES,
            not_looked_at=left_out(traces),
        )
        if len(page) <= MAX_PAGE_BYTES:
            break
    return page


def _answer(number: int, trace: Trace, corpus: Corpus, n_links: int, characters: int) -> _Answer:
    claim = trace.claim
    response = cut_excerpt(claim.response, 2 * characters, [(span.start, span.end) for span in trace.spans])
    spans = (
        _Span(
            span,
            verdict(span),
            shift_words(span),
            tuple(_link(link, span, corpus, characters) for link in span.links[:n_links]),
        )
        for span in trace.spans
    )
    return _Answer(number, trace, cut_excerpt(claim.prompt, characters), response, tuple(spans))


def _link(link: Link, span: SpanTrace, corpus: Corpus, characters: int) -> _Link:
    row = corpus.row(link.row)
    match = (link.match.start, link.match.end) if link.match else None
    return _Link(
        link,
        row,
        "" if link.chance is None else chance_words(link.chance, span.n_null),
        link_excerpt(corpus, link, min(characters, 280)),
        turns_around(row, link.turn, match, characters),
    )
