"""An audit as one HTML page that people read: what was found, where, and what was not looked at.

The page shows a sample of the findings of each check where there are many, and says so; all are in `findings.parquet`
and `report.json`. It stays under `MAX_PAGE_BYTES` for any dataset, by showing fewer findings and less text of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

import polars as pl

from audit.corpus import Corpus, Row
from audit.findings import Finding
from audit.sources import Message
from audit.summary import AuditSummary
from reports.excerpts import Relation, compare, spread_evenly
from reports.explanation import parse_explanation
from reports.families import families_section
from reports.histogram import make_histogram
from reports.knowledge import knowledge_section
from reports.overview import Overview, findings_of, not_looked_at, overview
from reports.page import MAX_PAGE_BYTES, render_page
from reports.trainer import trainer_section
from reports.turns import MESSAGES_SHOWN, Turn, first_shown, further_parts, make_turn, turns_around
from reports.visible import one_line
from reports.wording import SUPPRESSED_BY, address

if TYPE_CHECKING:
    from audit.style.build import Style

__all__ = ["audit_html"]

_FAMILIES, _POINTS = 8, 1500
# Findings shown of each check, and characters of each message: the first pair whose page fits is taken.
_DETAIL = ((30, 3000), (30, 1000), (20, 500), (10, 250), (3, 120))


@dataclass(frozen=True, slots=True)
class _Pair:
    """A message and the one that stands in its place in the row that matched."""

    left: Turn | None
    right: Turn | None
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
    turns: tuple[Turn, ...]
    n_hidden: int
    match: _Match | None
    others: tuple[str, ...]


def audit_html(
    summary: AuditSummary, corpus: Corpus, findings: pl.DataFrame, signals: pl.DataFrame, style: Style | None = None
) -> bytes:
    """The page, as UTF-8; the same audit gives the same bytes.

    Args:
        summary: The audit at a glance.
        corpus: The rows.
        findings: A frame of `FINDING_SCHEMA`.
        signals: The signals of every row.
        style: The style families, where the run has them.
    """
    counts = overview(summary, findings)
    # Patterns are text of the dataset, which a redacted run does not show.
    families = None if style is None or summary.redacted else families_section(style, corpus, _FAMILIES, _POINTS)
    page = b""
    for n_examples, characters in _DETAIL:
        examples = tuple(_examples(counts, corpus, findings, n_examples, characters, redacted=summary.redacted))
        page = render_page(
            "audit.html.j2",
            summary=summary,
            counts=counts,
            explanations={check.code: parse_explanation(check.explanation) for check in summary.checks},
            lengths=make_histogram(signals.filter(pl.col("responses") > 0)["response_characters"]),
            families=families,
            trainer=trainer_section(summary, corpus),
            knowledge=knowledge_section(summary, corpus, signals, characters),
            examples=examples,
            n_examples=n_examples,
            not_looked_at=not_looked_at(summary),
            suppressed_by=SUPPRESSED_BY,
        )
        if len(page) <= MAX_PAGE_BYTES:
            break
    return page


def _examples(
    counts: Overview, corpus: Corpus, findings: pl.DataFrame, n_examples: int, characters: int, *, redacted: bool
) -> Iterator[_Example]:
    for found in counts.found:
        of_check = findings.filter(pl.col("code") == found.check.code)
        for finding in findings_of(of_check[spread_evenly(of_check.height, n_examples)]):
            yield _example(finding, corpus, characters, redacted=redacted)


def _example(finding: Finding, corpus: Corpus, characters: int, *, redacted: bool) -> _Example:
    row = corpus.row(finding.row)
    if redacted:
        others = tuple(address(corpus.id(other)) for other in finding.evidence.related)
        return _Example(finding, row, "", (), 0, None, others)
    related = finding.evidence.related
    match = _match(row, corpus.row(related[0]), characters) if related else None
    if match and match.pairs:
        turns: tuple[Turn, ...] = ()
        n_hidden = max(len(row.messages), len(match.row.messages)) - len(match.pairs)
    else:
        turns = turns_around(row, finding.turn, finding.evidence.span, characters)
        n_hidden = len(row.messages) - len(turns)
    others = tuple(address(corpus.id(other)) for other in related[1:])
    return _Example(finding, row, _preview(row), turns, n_hidden, match, others)


def _preview(row: Row) -> str:
    """What is asked, on one line; the reason, where the row could not be read."""
    asked = next((message.content for message in row.messages if message.role == "user"), row.reason)
    return one_line(asked, 160)


def _match(row: Row, other: Row, characters: int) -> _Match:
    """The two rows message by message, from shortly before the first that differs."""
    if row.key.digest == other.key.digest:
        return _Match(other, same=True, pairs=())
    both = list(enumerate(zip_longest(row.messages, other.messages)))
    differing = next((number for number, (left, right) in both if left != right), 0)
    first = first_shown(len(both), differing)
    pairs = (_pair(number, left, right, characters) for number, (left, right) in both[first : first + MESSAGES_SHOWN])
    return _Match(other, same=False, pairs=tuple(pairs))


def _pair(number: int, left: Message | None, right: Message | None, characters: int) -> _Pair:
    if left is None or right is None:
        return _Pair(
            None if left is None else make_turn(number, left, characters),
            None if right is None else make_turn(number, right, characters),
            Relation.DIFFERENT,
        )
    sides = compare(left.content, right.content, characters)
    return _Pair(
        Turn(number, left.role, False, (("", sides.left), *further_parts(left, characters))),
        Turn(number, right.role, False, (("", sides.right), *further_parts(right, characters))),
        sides.relation,
    )
