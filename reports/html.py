"""An audit as one HTML page that people read: what was found, where, and what was not looked at.

The page shows a sample of the findings of each check where there are many, and says so; all are in `findings.parquet`
and `report.json`. It stays under `MAX_PAGE_BYTES` for any dataset, by showing fewer findings and less text of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

import polars as pl

from audit.corpus import Corpus, Row
from audit.findings import Finding
from audit.sources import Message
from audit.summary import AuditSummary
from reports.excerpts import Excerpt, Relation, Span, compare, cut_excerpt, spread_evenly
from reports.explanation import parse_explanation
from reports.histogram import make_histogram
from reports.overview import Overview, findings_of, not_looked_at, overview
from reports.page import render_page
from reports.visible import one_line

__all__ = ["MAX_PAGE_BYTES", "audit_html"]

MAX_PAGE_BYTES = 2_000_000

# Findings shown of each check, and characters of each message: the first pair whose page fits is taken.
_DETAIL = ((30, 3000), (30, 1000), (20, 500), (10, 250), (3, 120))
_MESSAGES_SHOWN = 6


@dataclass(frozen=True, slots=True)
class _Turn:
    """A message of a row. `parts` are its content and what goes with it, by label; the content has none."""

    number: int
    role: str
    concerned: bool
    parts: tuple[tuple[str, Excerpt], ...]


@dataclass(frozen=True, slots=True)
class _Pair:
    """A message and the one that stands in its place in the row that matched."""

    left: _Turn | None
    right: _Turn | None
    relation: Relation


@dataclass(frozen=True, slots=True)
class _Match:
    """The row that matched; `same` where it has equal messages, and `pairs` is then empty."""

    row: Row
    same: bool
    pairs: tuple[_Pair, ...]


@dataclass(frozen=True, slots=True)
class _Example:
    """A finding with its row.

    Attributes:
        finding: The finding.
        row: The row.
        preview: Its beginning.
        turns: The messages shown, where there is no pair to show.
        n_hidden: Messages of the row that are not shown.
        match: The first row that matched.
        others: Addresses of the further rows that matched.
    """

    finding: Finding
    row: Row
    preview: str
    turns: tuple[_Turn, ...]
    n_hidden: int
    match: _Match | None
    others: tuple[str, ...]


def audit_html(summary: AuditSummary, corpus: Corpus, findings: pl.DataFrame, signals: pl.DataFrame) -> bytes:
    """The page, as UTF-8; the same audit gives the same bytes.

    Args:
        summary: The audit at a glance.
        corpus: The rows.
        findings: A frame of `FINDING_SCHEMA`.
        signals: The lengths of every row.
    """
    counts = overview(summary, findings)
    page = b""
    for n_examples, characters in _DETAIL:
        examples = tuple(_examples(counts, corpus, findings, n_examples, characters))
        page = render_page(
            "audit.html.j2",
            summary=summary,
            counts=counts,
            explanations={check.code: parse_explanation(check.explanation) for check in summary.checks},
            lengths=make_histogram(signals.filter(pl.col("responses") > 0)["response_characters"]),
            examples=examples,
            n_examples=n_examples,
            not_looked_at=not_looked_at(summary),
        )
        if len(page) <= MAX_PAGE_BYTES:
            break
    return page


def _examples(
    counts: Overview, corpus: Corpus, findings: pl.DataFrame, n_examples: int, characters: int
) -> Iterator[_Example]:
    for found in counts.found:
        of_check = findings.filter(pl.col("code") == found.check.code)
        for finding in findings_of(of_check[spread_evenly(of_check.height, n_examples)]):
            yield _example(finding, corpus, characters)


def _example(finding: Finding, corpus: Corpus, characters: int) -> _Example:
    row = corpus.row(finding.row)
    related = finding.evidence.related
    match = _match(row, corpus.row(related[0]), characters) if related else None
    if match and match.pairs:
        turns: tuple[_Turn, ...] = ()
        n_hidden = max(len(row.messages), len(match.row.messages)) - len(match.pairs)
    else:
        turns = _turns(row, finding, characters)
        n_hidden = len(row.messages) - len(turns)
    others = tuple(str(corpus.id(other)) for other in related[1:])
    return _Example(finding, row, _preview(row), turns, n_hidden, match, others)


def _preview(row: Row) -> str:
    """What is asked, on one line; the reason, where the row could not be read."""
    asked = next((message.content for message in row.messages if message.role == "user"), row.reason)
    return one_line(asked, 160)


def _turns(row: Row, finding: Finding, characters: int) -> tuple[_Turn, ...]:
    """The messages around the one concerned, its span marked."""
    first = _first_shown(len(row.messages), finding.turn or 0)
    shown = list(enumerate(row.messages))[first : first + _MESSAGES_SHOWN]
    spans = [finding.evidence.span] if finding.evidence.span else []
    return tuple(
        _turn(number, message, spans, characters, concerned=True)
        if number == finding.turn
        else _turn(number, message, [], characters)
        for number, message in shown
    )


def _match(row: Row, other: Row, characters: int) -> _Match:
    """The two rows message by message, from shortly before the first that differs."""
    if row.key.digest == other.key.digest:
        return _Match(other, same=True, pairs=())
    both = list(enumerate(zip_longest(row.messages, other.messages)))
    differing = next((number for number, (left, right) in both if left != right), 0)
    first = _first_shown(len(both), differing)
    pairs = (_pair(number, left, right, characters) for number, (left, right) in both[first : first + _MESSAGES_SHOWN])
    return _Match(other, same=False, pairs=tuple(pairs))


def _pair(number: int, left: Message | None, right: Message | None, characters: int) -> _Pair:
    if left is None or right is None:
        return _Pair(
            None if left is None else _turn(number, left, [], characters),
            None if right is None else _turn(number, right, [], characters),
            Relation.DIFFERENT,
        )
    sides = compare(left.content, right.content, characters)
    return _Pair(
        _Turn(number, left.role, False, (("", sides.left), *_further_parts(left, characters))),
        _Turn(number, right.role, False, (("", sides.right), *_further_parts(right, characters))),
        sides.relation,
    )


def _turn(number: int, message: Message, spans: list[Span], characters: int, *, concerned: bool = False) -> _Turn:
    content = cut_excerpt(message.content, characters, spans)
    return _Turn(number, message.role, concerned, (("", content), *_further_parts(message, characters)))


def _further_parts(message: Message, characters: int) -> list[tuple[str, Excerpt]]:
    parts = {"name": message.name, "reasoning": message.reasoning, "tool calls": message.tool_calls}
    return [(label, cut_excerpt(text, characters)) for label, text in parts.items() if text]


def _first_shown(n_messages: int, wanted: int) -> int:
    return max(0, min(wanted - 1, n_messages - _MESSAGES_SHOWN))
