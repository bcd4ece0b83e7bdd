"""Whatever is measured: no rule keeps more than it was asked for, none drops what a person decided to keep."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from audit.export.decisions import Choice, Decision
from audit.export.diversity import represent
from audit.export.keep_rules import SLICK_CLASSES, Measures, Rated, parse_keep
from audit.export.selectors import Selection, select_rows
from audit.findings import FINDING_SCHEMA

VALUES = st.none() | st.floats(0, 1.5, width=16)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "response_characters": st.integers(0, 5),
            "ifd": VALUES | st.just(float("nan")),
            "slick": st.none() | st.sampled_from(SLICK_CLASSES),
            "borrow_risk": st.none() | st.floats(0, 1, width=16),
            "rating": st.none() | st.sampled_from([0.0, 2.0, 4.5, 5.0]),
        }
    ),
    min_size=1,
    max_size=25,
)
SIZED = st.builds(
    lambda kind, size: f"{kind}:{size}",
    st.sampled_from(["longest", "random", "ifd", "low-risk", "diverse"]),
    st.sampled_from(["1", "3", "20", "10%", "0.5", "99%"]),
)
RULES = SIZED | st.sampled_from(["known", "slick:MaybeKnown", "slick:Unknown,WeaklyKnown", "judge:4.5", "judge:2"])


def selection_of(rows: list[dict[str, Any]], keep: list[str], decided: set[int], vectors: np.ndarray) -> Selection:
    signals = pl.DataFrame(
        [{"row": number, **row} for number, row in enumerate(rows)],
        schema={
            "row": pl.UInt32,
            "response_characters": pl.UInt32,
            "ifd": pl.Float64,
            "slick": pl.String,
            "borrow_risk": pl.Float64,
            "rating": pl.Float64,
        },
    )
    measures = Measures(
        vectors=lambda: vectors,
        rate=lambda rule, numbers: Rated(
            {number: rows[number]["rating"] for number in numbers if rows[number]["rating"] is not None}
        ),
    )
    decisions = {row: Decision("", Choice.KEEP, "", "") for row in decided}
    return select_rows(
        pl.DataFrame(schema=FINDING_SCHEMA),
        signals,
        decisions=decisions,
        keep=[parse_keep(text) for text in keep],
        measures=measures,
    )


def drawn_vectors(n_rows: int, seed: int) -> np.ndarray:
    """Few directions, so that many rows are equal; some rows of zeros."""
    return np.random.default_rng(seed).integers(-1, 2, (n_rows, 3)).astype(np.float32)


@given(ROWS, st.lists(RULES, min_size=1, max_size=3), st.sets(st.integers(0, 24), max_size=4), st.integers(0, 9))
def test_a_rule_keeps_no_more_than_it_was_asked_for(
    rows: list[dict[str, Any]], keep: list[str], decided: set[int], seed: int
) -> None:
    decided = {row for row in decided if row < len(rows)}
    selection = selection_of(rows, keep, decided, drawn_vectors(len(rows), seed))
    assert decided <= set(selection.kept), "what a person decided stays"
    assert sorted([*selection.kept, *selection.dropped]) == list(range(len(rows)))
    assert [step.rule for step in selection.steps] == [str(parse_keep(text)) for text in keep]
    n_left = len(rows)
    for text, step in zip(keep, selection.steps, strict=True):
        rule = parse_keep(text)
        assert step.n_before == n_left
        n_left = step.n_after
        if rule.kind != "low-risk" and (rule.k or rule.share):
            assert step.n_after <= rule.size(step.n_before) + len(decided)
        elif rule.kind == "low-risk":
            assert step.n_after <= max(rule.size(step.n_before), sum(not row["borrow_risk"] for row in rows)) + len(decided)
    assert n_left == len(selection.kept)
    for of_row in selection.reasons.values():
        assert len(of_row) == 1, "a row that has left is not looked at again"
        assert of_row[0].message
        assert of_row[0].measure
        assert of_row[0].code in {step.rule for step in selection.steps}


@given(ROWS, st.lists(RULES, min_size=1, max_size=2), st.integers(0, 9))
def test_nobody_decided_and_sizes_are_met(rows: list[dict[str, Any]], keep: list[str], seed: int) -> None:
    """But for `ifd`, which may find too few below 1, and `low-risk`, by which no row leaves that has no risk."""
    selection = selection_of(rows, keep, set(), drawn_vectors(len(rows), seed))
    for text, step in zip(keep, selection.steps, strict=True):
        rule = parse_keep(text)
        if (rule.k or rule.share) and rule.kind not in ("ifd", "low-risk") and step.n_before:
            assert step.n_after == min(rule.size(step.n_before), step.n_before)


@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 99), st.randoms(use_true_random=False))
def test_moved_rows_are_represented_alike(n_rows: int, k: int, seed: int, random: Any) -> None:
    """Where no two rows add the same; the worth of a choice is the same even where they do not."""
    vectors = np.random.default_rng(seed).standard_normal((n_rows, 6)).astype(np.float32)
    order = list(range(n_rows))
    random.shuffle(order)
    found, moved = represent(vectors, k), represent(vectors[order], k)
    assert [order[place] for place in moved.chosen] == list(found.chosen)
    assert np.array_equal(moved.cosines, found.cosines[order])
