"""Random spans: which are drawn, what they reach, and what a link's chance says."""

from __future__ import annotations

import numpy as np
import pytest

from audit.materials import Materials
from audit.responses import Response, Span
from audit.sources import Message
from audit.trace import Tracer
from audit.trace.chance import N_NULL, NullSpans, frequency_bin
from audit.trace.ranking import surroundings
from indexes.words import tokenize
from tests.conftest import AuditRows, MakeMaterials, alpaca, chat

TEXTS = ["the ferry sails", "the ferry waits", "bread and tide", "the tide", "the ferry sails home", "tide"]


@pytest.fixture
def materials(make_materials: MakeMaterials) -> Materials:
    return make_materials([alpaca(f"Question {n} about ferry number {n * n}", text) for n, text in enumerate(TEXTS)])


def test_rarities_are_powers_of_two() -> None:
    assert frequency_bin(np.array([0, 1, 2, 3, 4, 7, 8, 1000])).tolist() == [0, 1, 2, 2, 3, 3, 4, 10]


@pytest.mark.parametrize(
    ("n_tokens", "n_holders", "spans"),
    [
        (1, 0, ["waits", "bread", "and", "home"]),
        (1, 1, ["sails", "sails"]),
        (1, 3, ["the", "ferry", "the", "ferry", "tide", "the", "tide", "the", "ferry", "tide"]),
        (2, 1, ["ferry sails", "ferry sails"]),
        (2, 2, ["the ferry", "the ferry", "the ferry"]),
        (3, 0, ["the ferry waits", "bread and tide", "ferry sails home"]),
    ],
)
def test_random_spans_have_the_length_and_rarity_of_the_claims(
    materials: Materials, n_tokens: int, n_holders: int, spans: list[str]
) -> None:
    # One holder besides its own text is the rarity of a claim's span with one holder.
    near = surroundings(materials, "Question about ferry", None)
    assert len(NullSpans(materials).fused(n_tokens, n_holders, near)) == len(spans)


def test_a_random_span_reaches_the_best_row_that_holds_it_but_its_own(materials: Materials) -> None:
    near = surroundings(materials, "Question 3 about ferry", None)
    documents = [tokenize(text) for text in TEXTS]
    for n_holders in (0, 1, 2):
        expected = []
        for own, document in enumerate(documents):
            for token in document:
                holders = [text for text, other in enumerate(documents) if token in other and text != own]
                if frequency_bin(np.array([len(holders)])) == frequency_bin(np.array([n_holders])):
                    expected.append(max((near.base[text] + 3 / 61 for text in holders), default=0.0))
        found = NullSpans(materials).fused(1, n_holders, near)
        np.testing.assert_allclose(found, sorted(expected))


def test_the_other_turns_of_a_random_spans_own_row_do_not_count(make_materials: MakeMaterials) -> None:
    rows = [
        chat(("user", "one"), ("assistant", "pewter"), ("user", "two"), ("assistant", "pewter")),
        chat(("user", "three"), ("assistant", "tin")),
    ]
    materials = make_materials(rows)
    near = surroundings(materials, "one two three", None)
    assert NullSpans(materials).fused(1, 1, near).tolist() == [0.0, 0.0]


def test_spans_do_not_begin_or_end_with_a_sign_or_cross_responses(make_materials: MakeMaterials) -> None:
    materials = make_materials([alpaca("q", "a, b."), alpaca("r", "c!")])
    near = surroundings(materials, "q", None)
    nulls = NullSpans(materials)
    assert [len(nulls.fused(n, 0, near)) for n in (1, 2, 3, 4)] == [3, 0, 1, 0]


def test_no_more_than_999_spans_are_drawn_and_always_the_same(make_materials: MakeMaterials) -> None:
    generator = np.random.default_rng(0)
    rows = [alpaca(f"q{n}", " ".join(f"w{word}" for word in generator.integers(0, 50, 30))) for n in range(100)]
    materials = make_materials(rows)
    near = surroundings(materials, "q7", None)
    first = NullSpans(materials)
    reached = first.fused(1, 40, near)
    assert len(reached) == N_NULL == 999
    np.testing.assert_array_equal(first.fused(1, 40, near), reached)
    np.testing.assert_array_equal(NullSpans(materials).fused(1, 40, near), reached)
    assert (np.diff(reached) >= 0).all()


def test_long_spans_are_compared_with_random_spans_of_twelve_tokens(make_materials: MakeMaterials) -> None:
    text = " ".join(f"w{n}" for n in range(20))
    materials = make_materials([alpaca("a", text), alpaca("b", text)])
    near = surroundings(materials, "a", None)
    assert NullSpans(materials).fused(18, 1, near).tolist() == NullSpans(materials).fused(12, 1, near).tolist()
    assert len(NullSpans(materials).fused(18, 1, near)) == 2 * 9


def test_a_dataset_without_words_has_no_random_spans(make_materials: MakeMaterials) -> None:
    materials = make_materials([alpaca("a", ""), alpaca("b", "...")])
    assert NullSpans(materials).fused(2, 0, surroundings(materials, "a", None)).tolist() == []


def test_a_links_chance_is_one_plus_how_many_reach_it_over_one_plus_all(audit_rows: AuditRows) -> None:
    run = audit_rows([alpaca(f"Question {n}", text) for n, text in enumerate(TEXTS)])
    claim = Response("c", (Message("user", "Question 1 of many", trained=False),), "It waits.", (Span(3, 8, "waits"),))
    (span,) = Tracer(run).trace(claim).spans
    materials = Materials(run.path, run.corpus)
    near = surroundings(materials, claim.prompt, Tracer(run)._encoder)
    null = NullSpans(materials).fused(1, 1, near)
    assert (span.n_holders, span.n_null, len(null)) == (1, 2, 2)
    (link,) = [link for link in span.links if link.chance is not None]
    n_reached = int((null >= near.base[1] + 3 / 61).sum())
    assert link.chance == pytest.approx((1 + n_reached) / 3, abs=1e-6)


def test_a_random_span_that_reaches_exactly_as_much_counts(audit_rows: AuditRows) -> None:
    run = audit_rows([alpaca("The first question", "alpha beta"), alpaca("Something else", "beta")])
    claim = Response("c", (Message("user", "The first question", trained=False),), "It is alpha.", (Span(6, 11, "alpha"),))
    (span,) = Tracer(run).trace(claim).spans
    # "beta" of row 1 finds row 0 as "alpha" does; "beta" of row 0 finds row 1, which is farther.
    assert (span.n_holders, span.n_null, span.links[0].row) == (1, 2, 0)
    assert span.links[0].chance == pytest.approx(2 / 3, abs=1e-6)
