"""q-values: the claims against pairings of the same claims with random spans."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom

from audit.responses import Response
from audit.sources import Message
from audit.trace import Link, SpanTrace, Tier, Trace, blame_rows
from audit.trace.decoys import Discovery, discoveries, near_duplicate_groups, q_values
from audit.trace.model import DecoyLinks

N_PAIRINGS = 3


def span(links: Sequence[tuple[int, float]], decoys: Sequence[tuple[int, int, float]] | None, n: int = N_PAIRINGS) -> SpanTrace:
    """A span with T0 links `(row, chance)` and decoys `(pairing, row, chance)`."""
    made = tuple(Link(row, 1, None, {}, 0.1, chance, Tier.T0) for row, chance in links)
    columns = [list(column) for column in zip(*decoys, strict=True)] if decoys else [[], [], []]
    found = None
    if decoys is not None:
        pairing, row, chance = (
            np.array(column, kind) for column, kind in zip(columns, (np.int64, np.int64, float), strict=True)
        )
        found = DecoyLinks(n, pairing, row, chance)
    return SpanTrace(0, 3, "the", ("the",), 1, 9, made, decoys=found)


def trace(*spans: SpanTrace) -> Trace:
    return Trace(Response("c", (Message("user", "prompt", trained=False),), "the answer"), spans, ())


def test_q_is_the_mean_number_of_discoveries_over_the_claims_own() -> None:
    counts = np.array([[1, 2], [0, 1], [0, 0], [0, 1]])
    np.testing.assert_allclose(q_values(counts, 3), [0.25, 0.5])


def test_q_never_falls_as_the_evidence_weakens_and_no_q_is_below_the_chance_of_the_least() -> None:
    counts = np.array([[1, 2, 8], [1, 1, 2], [0, 2, 2], [0, 0, 0]])
    # The rates are 0.5, 0.625 and 0.375: the last serves all; one other pairing of three has a least q as small.
    np.testing.assert_allclose(q_values(counts, 3), [0.375, 0.375, 0.375])
    clump = np.array([[0, 20], [0, 20], [0, 0], [0, 0]])
    np.testing.assert_allclose(q_values(clump, 3), [0.5, 0.5])


def test_evidence_adds_up_over_claims_and_p_counts_the_pairings_that_reach_it() -> None:
    one = trace(span([(5, 0.01), (6, 0.05), (7, 0.5)], [(0, 5, 0.05), (2, 6, 0.01)]))
    two = trace(span([(5, 0.1)], [(0, 5, 0.01), (1, 9, 0.001)]))
    found = discoveries([one, two])
    assert found[5] == Discovery(round(float(-np.log(0.001)), 6), 0.5, found[5].q)
    assert found[6] == Discovery(round(float(-np.log(0.05)), 6), 0.5, found[6].q)
    assert found[7] == Discovery(0.0, 1.0, 1.0)
    # At row 5's evidence: 3 rows over the 4 pairings to 1 of the claims. At row 6's: 5 to 2, and so for both.
    assert [found[row].q for row in (5, 6)] == [0.625, 0.625]


def test_a_claim_counts_once_for_a_row_however_many_spans_link_it() -> None:
    claim = trace(span([(5, 0.05)], []), span([(5, 0.01)], []))
    assert discoveries([claim])[5].evidence == round(float(-np.log(0.01)), 6)


def test_near_duplicates_are_one_hypothesis() -> None:
    claims = [trace(span([(5, 0.01)], [])), trace(span([(6, 0.02)], []))]
    alone, together = discoveries(claims), discoveries(claims, {5: 5, 6: 5})
    assert alone[5].evidence < together[5].evidence == together[6].evidence == round(float(-np.log(0.0002)), 6)
    both = discoveries([trace(span([(5, 0.01), (6, 0.02)], []))], {5: 5, 6: 5})
    assert both[5].evidence == both[6].evidence == round(float(-np.log(0.01)), 6)


def test_without_decoys_there_are_no_q_values() -> None:
    assert discoveries([trace(span([(5, 0.01)], None))]) == {}
    assert discoveries([trace(span([], None))]) == {}
    assert discoveries([]) == {}
    (row,) = blame_rows([trace(span([(5, 0.01)], None))])
    assert (row.p, row.q) == (None, None)
    with pytest.raises(ValueError, match="not paired equally often"):
        discoveries([trace(span([], [], 3), span([], [], 4))])


def test_blame_carries_p_and_q() -> None:
    (row,) = blame_rows([trace(span([(5, 0.01)], [(1, 8, 0.02)]))])
    assert (row.row, row.p, row.q) == (5, 0.25, 0.25)


def test_groups_are_what_findings_of_duplicates_connect() -> None:
    findings = pl.DataFrame(
        {"row": [4, 9, 7, 3], "code": ["DUP001", "DUP003", "TXT001", "DUP002"], "related": [[2], [4], [1], []]},
        schema_overrides={"related": pl.List(pl.Int64)},
    )
    assert near_duplicate_groups(findings) == {2: 2, 4: 2, 9: 2}
    assert near_duplicate_groups(findings.clear()) == {}


def test_chance_alone_seldom_makes_a_discovery() -> None:
    """Claims like their decoys, whose evidence falls on clumps of rows, again and again on the same."""
    generator, n_runs, n_claims, n = np.random.default_rng(0), 100, 20, 59
    sizes = generator.integers(1, 12, 60)
    begins = np.concatenate([[0], np.cumsum(sizes)[:-1]])

    def links() -> list[tuple[int, float]]:
        if generator.random() > 0.1:
            return []
        clump = int(len(sizes) * generator.random() ** 2)
        chance = float(generator.integers(1, 100)) / 1000
        return [(int(begins[clump]) + place, chance) for place in range(int(sizes[clump]))]

    n_found = 0
    for _ in range(n_runs):
        claims = []
        for _ in range(n_claims):
            decoys = [(pairing, row, chance) for pairing in range(n) for row, chance in links()]
            claims.append(trace(span(links(), decoys, n)))
        n_found += any(found.q < 0.05 for found in discoveries(claims).values())
    assert n_found <= binom.ppf(0.999, n_runs, 0.05)


def test_rows_behind_many_claims_are_discovered_among_chance_links() -> None:
    generator, n = np.random.default_rng(1), 199
    claims = []
    for number in range(30):
        decoys = [(pairing, int(generator.integers(500)), 0.05) for pairing in range(0, n, 10)]
        links = [(int(generator.integers(500)), 0.05)] if number >= 12 else [(1000 + number % 4, 0.005)]
        claims.append(trace(span(links, decoys, n)))
    found = discoveries(claims)
    assert {row for row, discovery in found.items() if discovery.q <= 0.05} == {1000, 1001, 1002, 1003}
