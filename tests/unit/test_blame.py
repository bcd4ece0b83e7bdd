"""Rows ranked over claims, and how a run keeps them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit.errors import InputError
from audit.responses import Response
from audit.sources import Message
from audit.trace import BlamedRow, Link, SpanTrace, Tier, Trace, blame_rows
from audit.trace.stored import read_blame, store_traces, traced_prompts, traced_spans
from tests.conftest import AuditRows, alpaca


def link(row: int, chance: float | None, tier: Tier | None = Tier.T0) -> Link:
    return Link(row, 1, None, {}, 0.1, chance, tier)


def trace(name: str, *spans: tuple[Link, ...]) -> Trace:
    claim = Response(name, (Message("user", f"prompt of {name}", trained=False),), "the answer")
    return Trace(
        claim, tuple(SpanTrace(0, 3, f"span {i} of {name}", ("the",), 1, 9, links) for i, links in enumerate(spans)), ()
    )


def test_blame_adds_up_over_claims() -> None:
    traces = [trace("a", (link(5, 0.1), link(7, 0.2))), trace("b", (link(7, 0.0), link(5, 0.5), link(9, 0.4)))]
    assert blame_rows(traces) == [
        BlamedRow(7, 1.4, 2, 0.0, ("b", "a")),
        BlamedRow(5, 1.15, 2, 0.1, ("a", "b")),
        BlamedRow(9, 0.2, 1, 0.4, ("b",)),
    ]


def test_links_without_co_occurrence_neither_count_nor_take_a_rank() -> None:
    traces = [trace("a", (link(1, None, None), link(2, 0.5, None), link(3, 0.0)))]
    assert blame_rows(traces) == [BlamedRow(3, 1.0, 1, 0.0, ("a",))]


def test_a_claim_gives_a_row_its_best_span_only() -> None:
    traces = [trace("a", (link(1, 0.5), link(2, 0.5)), (link(2, 0.1),))]
    assert blame_rows(traces) == [BlamedRow(2, 0.9, 1, 0.1, ("a",)), BlamedRow(1, 0.5, 1, 0.5, ("a",))]


def test_a_span_that_is_right_blames_nobody() -> None:
    right = trace("a", (link(1, 0.1),), (link(2, 0.1),))
    spans = (replace(right.spans[0], benign=True, benign_reason="the right answer has it: the"), right.spans[1])
    assert blame_rows([replace(right, spans=spans)]) == [BlamedRow(2, 0.9, 1, 0.1, ("a",))]


def test_ties_are_broken_by_row_and_by_the_claims_name() -> None:
    traces = [trace("b", (link(9, 0.5),)), trace("a", (link(9, 0.5),)), trace("c", (link(4, 0.0),))]
    assert blame_rows(traces) == [BlamedRow(4, 1.0, 1, 0.0, ("c",)), BlamedRow(9, 1.0, 2, 0.5, ("a", "b"))]


def test_links_that_chance_explains_wholly_blame_nobody() -> None:
    assert blame_rows([trace("a", (link(1, 1.0),)), trace("b", ())]) == []


def test_stored_traces_are_read_back(audit_rows: AuditRows) -> None:
    run = audit_rows([alpaca("a", "b")])
    traces = [trace("a", (link(0, 0.1),)), trace("b", (link(0, 0.2),), ())]
    blame = blame_rows(traces)
    store_traces(run, "mine", traces, blame, {"trace.json": b"{}"})
    store_traces(run, "other", [trace("a", ())], [], {})
    assert read_blame(run, "mine") == blame
    assert read_blame(run, "other") == []
    counted = [replace(row, p=0.005, q=0.02) for row in blame]
    store_traces(run, "with-q", traces, counted, {})
    assert read_blame(run, "with-q") == counted
    assert traced_prompts(run) == {"prompt of a", "prompt of b"}
    assert traced_spans(run) == ("span 0 of a", "span 0 of b", "span 1 of b")
    assert run.read_added("traces", "mine", "trace.json") == b"{}"
    with pytest.raises(InputError, match="no traces/third; there are: mine, other, with-q"):
        read_blame(run, "third")
    run.check()
