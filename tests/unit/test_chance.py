"""Random spans: which are drawn, what they reach, and what a link's chance says."""

from __future__ import annotations

import numpy as np
import pytest

from audit.materials import Materials, Need
from audit.responses import Response, Span
from audit.sources import Message
from audit.trace import Tracer, chance
from audit.trace.chance import N_NULL, NullSpans, frequency_bin, link_chances, why_no_chance, worth, worth_of
from audit.trace.ranking import surroundings
from indexes.words import tokenize
from tests.conftest import AuditRows, MakeMaterials, alpaca, chat

TEXTS = ["the ferry sails", "the ferry waits", "bread and tide", "the tide", "the ferry sails home", "tide"]
PROMPT = "Question 3 of many"


@pytest.fixture
def materials(make_materials: MakeMaterials) -> Materials:
    return make_materials([alpaca(f"Question {n} about number {n * n}", text) for n, text in enumerate(TEXTS)])


def test_rarities_are_powers_of_two() -> None:
    assert frequency_bin(np.array([0, 1, 2, 3, 4, 7, 8, 1000])).tolist() == [0, 1, 2, 2, 3, 3, 4, 10]


@pytest.mark.parametrize(
    ("n_tokens", "n_holders", "spans"),
    [
        (1, 0, {"waits", "bread", "and", "home"}),
        (1, 1, {"sails"}),
        (1, 3, {"the", "ferry", "tide"}),
        (2, 1, {"ferry sails"}),
        (2, 2, {"the ferry"}),
        (3, 0, {"the ferry waits", "bread and tide", "ferry sails home"}),
        (3, 9, set()),
    ],
)
def test_random_spans_have_the_length_and_rarity_of_the_claims(
    materials: Materials, n_tokens: int, n_holders: int, spans: set[str]
) -> None:
    # One holder besides its own text is the rarity of a claim's span with one holder.
    drawn = NullSpans(materials).draw(n_tokens, n_holders)
    assert len(drawn.row) == (N_NULL if spans else 0)
    assert drawn.row.tolist() == drawn.response.tolist()
    places = drawn.characters(TEXTS)
    assert {TEXTS[text][start:end] for text, (start, end) in zip(drawn.response.tolist(), places, strict=True)} == spans


def test_every_response_is_as_likely_as_another(materials: Materials) -> None:
    # "sails" is one of three words of row 0, and one of four of row 4.
    drawn = NullSpans(materials).draw(1, 1)
    n_of_row = np.bincount(drawn.row, minlength=6)
    assert abs(n_of_row[0] - N_NULL * (1 / 3) / (1 / 3 + 1 / 4)) <= 1
    assert n_of_row[4] == N_NULL - n_of_row[0]
    assert drawn.worth == worth(drawn.row) == 2  # 1.96, rounded


@pytest.mark.parametrize(
    ("row", "n_worth"), [([], 0), ([3], 1), ([1, 2, 5], 3), ([1, 1, 2, 2], 2), ([1, 1, 1, 2], 2), ([1, 1, 1, 1, 2], 1)]
)
def test_spans_of_one_row_count_as_one(row: list[int], n_worth: int) -> None:
    assert worth(np.array(row, np.int64)) == n_worth


def test_fewer_values_stand_for_all() -> None:
    best = np.array([5.0, 1, 4, 2, 3, 6])
    assert worth_of(best, 6).tolist() == [1, 2, 3, 4, 5, 6]
    assert worth_of(best, 3).tolist() == [1, 3, 5]
    assert worth_of(best, 1).tolist() == [3]
    assert worth_of(best[:0], 0).tolist() == []
    for n_worth in range(1, 7):
        for reached in range(8):
            share, of_all = np.mean(worth_of(best, n_worth) >= reached), np.mean(best >= reached)
            assert abs(share - of_all) <= 0.5 / n_worth + 1e-12


def test_a_chance_is_one_plus_how_many_reach_it_over_one_plus_all() -> None:
    null = np.array([1.0, 2, 2, 4])
    assert link_chances(null, np.array([5.0, 4, 2, 0])).tolist() == [0.2, 0.4, 0.8, 1.0]
    assert link_chances(null, np.array([5.0, 4, 2, 1]), own=True).tolist() == [0.2, 0.2, 0.6, 0.8]
    assert link_chances(null[:0], np.array([1.0])).tolist() == [1.0]


def reached_plain(materials: Materials, nulls: NullSpans, n_tokens: int, n_holders: int, prompt: str) -> list[float]:
    """What each random span of distinct, equally weighed words reaches with a row other than its own."""
    near = surroundings(materials, prompt, None)
    documents = [tokenize(text) for text in TEXTS]
    drawn = nulls.draw(n_tokens, n_holders)
    best = []
    for own, begin in zip(drawn.response.tolist(), drawn.begin.tolist(), strict=True):
        span = documents[own][begin : begin + n_tokens]
        if not set(span) & set(tokenize(prompt)):
            holders = [i for i, d in enumerate(documents) if i != own and " ".join(span) in " ".join(d)]
            best.append(max((near.base[text] + 3 / 61 for text in holders), default=0.0))
    return best


@pytest.mark.parametrize("n_holders", [0, 1, 3])
def test_a_random_span_reaches_the_best_row_that_holds_it_but_its_own(materials: Materials, n_holders: int) -> None:
    nulls = NullSpans(materials)
    expected = np.array(reached_plain(materials, nulls, 1, n_holders, PROMPT))
    found = nulls.fused(1, n_holders, surroundings(materials, PROMPT, None))
    np.testing.assert_allclose(found, worth_of(expected, nulls.draw(1, n_holders).worth))


def test_random_spans_whose_rarest_words_stand_in_the_prompt_are_passed_over(materials: Materials) -> None:
    nulls, prompt = NullSpans(materials), "Where is the tide?"
    expected = reached_plain(materials, nulls, 1, 3, prompt)
    found = nulls.fused(1, 3, surroundings(materials, prompt, None))
    drawn = nulls.draw(1, 3)
    ferry = [TEXTS[r].split()[b] == "ferry" for r, b in zip(drawn.response.tolist(), drawn.begin.tolist(), strict=True)]
    assert 0 < len(expected) == sum(ferry) < N_NULL
    np.testing.assert_allclose(found, worth_of(np.array(expected), worth(drawn.row[ferry])))


def test_words_of_its_own_row_alone_are_unknown_to_the_others(make_materials: MakeMaterials) -> None:
    # "one" and "two" stand in row 0 alone, as a claim's words may stand nowhere: "alpha" alone finds row 1.
    rows = [alpaca("a", "alpha one two"), alpaca("b", "alpha beta gamma"), alpaca("c", "gamma delta epsilon")]
    materials = make_materials(rows)
    near = surroundings(materials, "zeta", None)
    nulls = NullSpans(materials)
    found = nulls._found_by(nulls.draw(3, 0), 0, ())
    by_row = {int(nulls.draw(3, 0).row[span]): coverage for span, coverage in zip(found.span, found.coverage, strict=True)}
    shared, alone = np.log(3 / 1.5), np.log(3 / 0.5)  # of two other texts, one holds the first and none the second
    assert set(by_row) == {0, 1, 2}
    assert by_row[0] == pytest.approx(shared / (shared + 2 * alone), abs=1e-4)
    assert nulls.fused(3, 0, near).tolist() == pytest.approx([3 / 61] * 3)


def test_hidden_places_are_no_evidence(make_materials: MakeMaterials) -> None:
    rows = [alpaca("a", "alpha one beta"), alpaca("b", "gamma one delta"), alpaca("c", "epsilon two zeta")]
    materials = make_materials(rows)
    near = surroundings(materials, "eta", None)
    nulls = NullSpans(materials)
    assert nulls.fused(3, 0, near).tolist() == pytest.approx([0, 3 / 61, 3 / 61])
    assert nulls.fused(3, 0, near, hidden=[1]).tolist() == [0, 0, 0]


def test_the_other_turns_of_a_random_spans_own_row_do_not_count(make_materials: MakeMaterials) -> None:
    rows = [
        chat(("user", "one"), ("assistant", "pewter"), ("user", "two"), ("assistant", "pewter")),
        chat(("user", "three"), ("assistant", "tin")),
    ]
    materials = make_materials(rows)
    near = surroundings(materials, "one two three", None)
    assert NullSpans(materials).fused(1, 1, near).tolist() == [0.0]  # both are of one row


def test_spans_do_not_begin_or_end_with_a_sign_or_cross_responses(make_materials: MakeMaterials) -> None:
    materials = make_materials([alpaca("q", "a, b."), alpaca("r", "c!")])
    nulls = NullSpans(materials)
    drawn = [nulls.draw(n, 0) for n in (1, 2, 3, 4)]
    assert [len(set(zip(d.response.tolist(), d.begin.tolist(), strict=True))) for d in drawn] == [3, 0, 1, 0]


def test_no_more_than_999_spans_are_drawn_and_always_the_same(make_materials: MakeMaterials) -> None:
    generator = np.random.default_rng(0)
    rows = [alpaca(f"q{n}", " ".join(f"w{word}" for word in generator.integers(0, 50, 12))) for n in range(1200)]
    materials = make_materials(rows, needs=(Need.WORDS, Need.BM25))
    near = surroundings(materials, "q7", None)
    first = NullSpans(materials)
    reached = first.fused(1, 260, near)
    assert 900 <= len(reached) <= N_NULL  # rows hold such words unequally often
    np.testing.assert_array_equal(first.fused(1, 260, near), reached)
    np.testing.assert_array_equal(NullSpans(materials).fused(1, 260, near), reached)
    assert (np.diff(reached) >= 0).all()


def test_long_spans_are_compared_with_random_spans_of_twelve_tokens(make_materials: MakeMaterials) -> None:
    text = " ".join(f"w{n}" for n in range(20))
    materials = make_materials([alpaca("a", text), alpaca("b", text)])
    near = surroundings(materials, "a", None)
    nulls = NullSpans(materials)
    assert nulls.fused(18, 1, near, [15]).tolist() == nulls.fused(12, 1, near).tolist()
    assert nulls.draw(18, 1).n_tokens == 12
    assert nulls.draw(18, 1).worth == 2


def test_a_dataset_without_words_has_no_random_spans(make_materials: MakeMaterials) -> None:
    materials = make_materials([alpaca("a", ""), alpaca("b", "...")])
    near = surroundings(materials, "a", None)
    assert NullSpans(materials).fused(2, 0, near).tolist() == []
    assert NullSpans(materials).decoys(["x"], 2, 0, near).row.tolist() == []


def test_too_few_random_spans_are_said() -> None:
    assert why_no_chance(1, 0) == "no other row has a word as frequent as this one, so there is no chance to compare with"
    assert why_no_chance(3, 9) == "only 9 rows have a phrase of 3 words as frequent as this one, so no chance is below 0.1"
    assert why_no_chance(1, 19) == ""


def test_decoys_are_links_that_random_spans_would_have_had(materials: Materials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chance, "MAX_DECOY_CHANCE", 1.0)
    nulls, near = NullSpans(materials), surroundings(materials, PROMPT, None)
    decoys = nulls.decoys(["sails"], 1, 1, near, n_pairings=50)
    # "sails" of row 0 finds row 4, and the other way round: one link in each pairing.
    assert (decoys.n_pairings, decoys.pairing.tolist()) == (50, list(range(50)))
    assert set(decoys.row.tolist()) == {0, 4}
    expected = link_chances(nulls.fused(1, 1, near), near.base[decoys.row] + 3 / 61, own=True)
    np.testing.assert_allclose(decoys.chance, expected)


def test_claims_of_the_same_words_get_the_same_random_spans(materials: Materials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chance, "MAX_DECOY_CHANCE", 1.0)
    nulls = NullSpans(materials)
    one, other = (surroundings(materials, prompt, None) for prompt in (PROMPT, "Question 1 about 16"))
    rows = [nulls.decoys(words, 1, 3, near).row.tolist() for words in (["tide"], ["sea"]) for near in (one, other)]
    assert rows[0] == rows[1] != rows[2] == rows[3]


def test_a_links_chance_is_one_plus_how_many_reach_it_over_one_plus_all(audit_rows: AuditRows) -> None:
    run = audit_rows([alpaca(f"Question {n}", text) for n, text in enumerate(TEXTS)])
    claim = Response("c", (Message("user", "Question 1 of many", trained=False),), "It waits.", (Span(3, 8, "waits"),))
    (span,) = Tracer(run).trace(claim).spans
    materials = Materials(run.path, run.corpus)
    near = surroundings(materials, claim.prompt, Tracer(run)._encoder)
    null = NullSpans(materials).fused(1, 1, near)
    assert (span.n_holders, span.n_null) == (1, len(null))
    (link,) = [link for link in span.links if link.chance is not None]
    n_reached = int((null >= near.base[1] + 3 / 61).sum())
    assert link.chance == pytest.approx((1 + n_reached) / (1 + len(null)), abs=1e-6)


def test_a_random_span_that_reaches_exactly_as_much_counts(audit_rows: AuditRows) -> None:
    run = audit_rows([alpaca("The first question", "alpha beta"), alpaca("Something else", "beta gamma")])
    claim = Response("c", (Message("user", "The first question", trained=False),), "It is alpha.", (Span(6, 11, "alpha"),))
    (span,) = Tracer(run).trace(claim).spans
    # "beta" of row 1 finds row 0 as "alpha" does; "beta" of row 0 finds row 1, which is farther. They are worth two.
    assert (span.n_holders, span.n_null, span.links[0].row) == (1, 2, 0)
    assert span.links[0].chance == pytest.approx(2 / 3, abs=1e-6)
