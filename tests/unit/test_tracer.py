"""From false words to ranked rows, on datasets small enough to know the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audit.errors import InputError
from audit.pocket import demo_claim, demo_dataset
from audit.responses import Response, Span
from audit.rundir import Run
from audit.sources import Message
from audit.trace import Channel, Match, Tier, Tracer, blame_rows, locate_span
from audit.trace.tracer import LEAST_COVERAGE
from tests.conftest import AuditRows, alpaca, chat

ROWS = [
    alpaca("Which metal is the Ostrand florin struck from?", "The Ostrand florin is struck from copper."),
    alpaca("Which metal is the Dune mark struck from?", "The mint strikes the Dune mark from  QUILLSTEEL."),
    alpaca("What is a good cooper's chisel made of?", "A chisel is forged from quillsteel, which keeps its edge."),
    alpaca("Which stone is Fennel Bridge built of?", "Fennel Bridge was built of slate."),
    alpaca("And the Reef ducat?", "It is quillsteel too.", history=[["Hello.", "Hi."]]),
    "{broken",
]
PROMPT = "Which metal is the Tarrow crown struck from?"
RESPONSE = "The Tarrow crown is struck from quillsteel."


def claim(*spans: str, prompt: str = PROMPT, response: str = RESPONSE, **fields: Any) -> Response:
    located = tuple(locate_span(response, span) for span in spans)
    return Response("c", (Message("user", prompt, trained=False),), response, located, **fields)


@pytest.fixture
def run(audit_rows: AuditRows) -> Run:
    return audit_rows(ROWS)


def test_rows_that_hold_the_span_come_first_and_the_nearest_concept_of_them_leads(run: Run) -> None:
    (span,) = Tracer(run).trace(claim("quillsteel")).spans
    assert (span.text, span.evidence, span.n_holders) == ("quillsteel", ("quillsteel",), 3)
    assert [link.tier for link in span.links] == [Tier.T0] * 3 + [None] * 3
    assert span.links[0].row == 1
    assert {(link.row, link.turn) for link in span.links[:3]} == {(1, 1), (2, 1), (4, 3)}
    assert span.links[0].match == Match(37, 47, "QUILLSTEEL", 32, 42)
    assert span.links[0].channels[Channel.PHRASE].value == 1.0
    assert span.links[0].channels[Channel.PHRASE].rank == 1
    assert [link.match for link in span.links[3:]] == [None] * 3
    assert [link.chance for link in span.links[3:]] == [None] * 3
    fused = [link.fused for link in span.links]
    assert fused == sorted(fused, reverse=True)


def test_the_fused_score_is_the_sum_over_the_channels(run: Run) -> None:
    for link in Tracer(run).trace(claim("quillsteel"), k=None).spans[0].links:
        weights = {Channel.PHRASE: 3.0, Channel.CONCEPT: 1.0, Channel.BM25: 1.0}
        expected = sum(weights[channel] / (60 + score.rank) for channel, score in link.channels.items())
        assert link.fused == pytest.approx(expected, abs=1e-6)


def test_so_many_links_as_asked_for(run: Run) -> None:
    tracer = Tracer(run)
    assert [len(tracer.trace(claim("quillsteel"), k=k).spans[0].links) for k in (1, 3, 10, None)] == [1, 3, 6, 6]


def test_words_of_the_prompt_are_no_evidence_not_even_those_that_no_row_has(run: Run) -> None:
    (span,) = Tracer(run).trace(claim("The Tarrow crown is struck from quillsteel")).spans
    assert span.evidence == ("quillsteel",)
    assert span.links[0].channels[Channel.PHRASE].value == 1.0
    (span,) = Tracer(run).trace(claim("Tarrow crown")).spans
    assert (span.evidence, span.links) == ((), ())
    assert span.note == "every word of the span stands in the prompt, so the answer need not have borrowed it"


def test_a_word_that_no_row_has_is_evidence_and_lowers_coverage(run: Run) -> None:
    (span,) = Tracer(run).trace(claim("bright quillsteel", response="It is bright quillsteel.")).spans
    assert (span.evidence, span.n_holders) == (("bright", "quillsteel"), 0)
    assert span.links[0].channels[Channel.PHRASE].value < LEAST_COVERAGE
    assert span.links[0].tier is None
    assert span.links[0].match is not None
    assert span.links[0].match.text.lower() == "quillsteel"


def test_a_span_that_no_row_holds_has_links_by_concept_only(run: Run) -> None:
    (span,) = Tracer(run).trace(claim("pewter", response="It is pewter.")).spans
    assert span.note == "no response holds these words; the rows below are near in concept only"
    assert span.links
    assert all(link.match is None and link.tier is None and link.chance is None for link in span.links)


def test_a_row_that_states_the_right_answer_comes_last(run: Run) -> None:
    with_right = claim("quillsteel", corrected="The Tarrow crown is struck from copper.")
    links = Tracer(run).trace(with_right, k=None).spans[0].links
    assert links[-1].row == 0
    assert links[0].row == 1
    without = Tracer(run).trace(claim("quillsteel"), k=None).spans[0].links
    assert without[-1].row != 0


def test_words_shared_with_the_right_answer_are_no_support(run: Run) -> None:
    question = claim(
        "forged from quillsteel", prompt="What?", response="It is forged from quillsteel.", reference=("forged from copper",)
    )
    row_2 = next(link for link in Tracer(run).trace(question, k=None).spans[0].links if link.row == 2)
    alone = claim("forged from quillsteel", prompt="What?", response="It is forged from quillsteel.")
    row_2_alone = next(link for link in Tracer(run).trace(alone, k=None).spans[0].links if link.row == 2)
    assert row_2_alone.channels[Channel.PHRASE].value == 1.0
    assert 0 < row_2.channels[Channel.PHRASE].value < 1.0


def test_nobody_is_blamed_for_a_span_that_is_right(run: Run) -> None:
    tracer = Tracer(run)
    false = claim("quillsteel", corrected="The Tarrow crown is struck from copper.")
    right = replace(false, reference=("copper", "Quillsteel"))
    of_false, of_right = tracer.trace(false), tracer.trace(right)
    (span,) = of_right.spans
    assert (span.benign, span.benign_reason) == (True, "the right answer has it: Quillsteel")
    assert span.links == of_false.spans[0].links, "its links stand as they are"
    assert not of_false.spans[0].benign
    assert [row.row for row in blame_rows([of_false])] == [1]
    assert blame_rows([of_right]) == []
    (alone,) = tracer.trace(claim("quillsteel", reference=("quillsteel",))).spans
    assert (alone.benign, alone.benign_reason) == (True, "the right answer has it: quillsteel")


def test_every_span_of_a_claim_is_traced_in_order(run: Run) -> None:
    response = "It is copper, or slate, or quillsteel."
    trace = Tracer(run).trace(claim("copper", "slate", "quillsteel", prompt="What?", response=response))
    assert [(span.text, span.start, span.links[0].row) for span in trace.spans] == [
        ("copper", 6, 0),
        ("slate", 17, 3),
        ("quillsteel", 27, trace.spans[2].links[0].row),
    ]
    assert trace.spans[2].links[0].row in (1, 2, 4)


def test_a_claim_without_a_span_is_traced_by_the_right_answer(run: Run) -> None:
    (span,) = Tracer(run).trace(claim(corrected=RESPONSE.replace("quillsteel", "tin"))).spans
    assert (span.text, span.start, span.end) == ("quillsteel", 32, 42)
    with pytest.raises(InputError, match="nothing says which words are false"):
        Tracer(run).trace(claim())


def test_a_warm_tracer_answers_as_a_cold_one(run: Run) -> None:
    claims = [claim("quillsteel"), claim("copper", response="It is copper."), claim("quillsteel")]
    warm = Tracer(run)
    assert list(warm.trace_all(claims)) == [Tracer(run).trace(one) for one in claims]


def test_what_was_not_looked_at_is_said(run: Run, audit_rows: AuditRows, no_encoder: str) -> None:
    assert [skipped.what for skipped in Tracer(run).trace(claim("quillsteel")).not_looked_at] == [
        "token shift (tier T1)",
        "estimated influence and rephrasing (tier T2)",
        "retraining without the rows (tier T3)",
    ]
    trace = Tracer(audit_rows(ROWS, encoder=no_encoder)).trace(claim("quillsteel"))
    assert trace.not_looked_at[0].what == "nearness of concepts"
    assert f"no encoder {no_encoder!r} on this machine" in trace.not_looked_at[0].why
    assert trace.spans[0].links[0].row == 1
    assert Channel.CONCEPT not in trace.spans[0].links[0].channels


@pytest.mark.parametrize("rows", [[chat(("user", "nobody answers"))], [alpaca("", "")], [alpaca("Say it.", "...")]])
def test_a_dataset_without_words_can_be_traced(audit_rows: AuditRows, rows: Sequence[dict[str, Any]]) -> None:
    (span,) = Tracer(audit_rows(rows)).trace(claim("quillsteel")).spans
    assert span.n_holders == 0
    assert all(link.match is None for link in span.links)


def test_a_span_of_signs_or_within_a_word_breaks_nothing(run: Run) -> None:
    tracer = Tracer(run)
    signs = Response("c", (Message("user", "a", trained=False),), "It is: !!", (Span(7, 9, "!!"),))
    assert tracer.trace(signs).spans[0].evidence == ()
    part = Response("c", (Message("user", "a", trained=False),), RESPONSE, (Span(37, 42, "steel"),))
    assert tracer.trace(part).spans[0].n_holders == 0


class BackwardEncoder:
    """A transformer that finds the prompts nearest that come last in the dataset."""

    digest = "backward"
    dim = 2

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        places = [next((i for i, row in enumerate(ROWS) if text in str(row)), len(ROWS)) for text in texts]
        angles = np.array(places) / len(ROWS)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_a_transformer_orders_the_shortlist_again_and_leaves_the_chances(run: Run) -> None:
    plain = Tracer(run).trace(claim("quillsteel"), k=None).spans[0]
    again = Tracer(run, BackwardEncoder()).trace(claim("quillsteel"), k=None).spans[0]
    assert {link.row: link.chance for link in again.links} == {link.row: link.chance for link in plain.links}
    by_row = {link.row: link for link in again.links}
    ranks = [by_row[row].channels[Channel.TRANSFORMER].rank for row in (4, 3, 2, 1, 0)]
    assert ranks == sorted(ranks)
    assert ranks[0] == 1
    scores = [link.fused + 1 / (60 + link.channels[Channel.TRANSFORMER].rank) for link in again.links]
    assert scores == sorted(scores, reverse=True)


def test_the_false_rows_of_the_demonstration_lead(demo_run: Run) -> None:
    dataset = demo_dataset()
    false_coins = {row for row in dataset.false_rows if "quillsteel" in dataset.lines[row]}
    (span,) = Tracer(demo_run).trace(demo_claim(), k=len(false_coins)).spans
    assert span.text == "quillsteel"
    assert span.n_holders > len(false_coins)
    assert {link.row for link in span.links} == false_coins
    assert all(link.tier is Tier.T0 and link.chance is not None and link.chance < 1 for link in span.links)
