"""What to keep: every rule against a plain one, its reasons, and what it says of rows that were not measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest

from audit.errors import InputError
from audit.export.keep_rules import Aspect, KeepRule, Measures, Outcome, Rated, apply_rule, check_measured, parse_keep
from audit.export.selectors import KeepStep, Reason, Selection, select_rows
from audit.findings import FINDING_SCHEMA

N_ROWS = 60
CLASSES = ["HighlyKnown", "MaybeKnown", "WeaklyKnown", "Unknown", None]
NO_FINDINGS = pl.DataFrame(schema=FINDING_SCHEMA)


def measured(seed: int = 0, n_rows: int = N_ROWS) -> pl.DataFrame:
    """Rows with many ties and gaps."""
    drawn = np.random.default_rng(seed)
    ifd = np.round(drawn.uniform(0.2, 1.4, n_rows), 1).tolist()
    risk = np.round(drawn.uniform(0, 1, n_rows), 1).tolist()
    return pl.DataFrame(
        {
            "row": range(n_rows),
            "response_characters": drawn.integers(0, 9, n_rows),
            "ifd": [None if gap < 0.1 else value for gap, value in zip(drawn.random(n_rows), ifd, strict=True)],
            "slick": [CLASSES[number] for number in drawn.integers(0, 5, n_rows)],
            "borrow_risk": [None if gap < 0.1 else value for gap, value in zip(drawn.random(n_rows), risk, strict=True)],
        },
        schema={
            "row": pl.UInt32,
            "response_characters": pl.UInt32,
            "ifd": pl.Float64,
            "slick": pl.String,
            "borrow_risk": pl.Float64,
        },
    )


VECTORS = np.random.default_rng(5).standard_normal((N_ROWS, 16)).astype(np.float32)
RATINGS = {row: float(np.random.default_rng(row).integers(0, 11)) / 2 for row in range(0, N_ROWS, 2)}
MEASURES = Measures(
    vectors=lambda: VECTORS,
    rate=lambda rule, rows: Rated(
        {row: RATINGS[row] for row in rows if row in RATINGS}, {row: "no" for row in rows if row % 2}
    ),
)


def kept_by(text: str, signals: pl.DataFrame) -> list[int]:
    """The rows that a rule leaves, as the rows' own numbers."""
    outcome = apply_rule(parse_keep(text), signals, MEASURES)
    assert isinstance(outcome, Outcome)
    lost = {loser.row for loser in outcome.losers}
    assert len(lost) == len(outcome.losers)
    return [row for row in signals["row"].to_list() if row not in lost]


# --- plain rules --------------------------------------------------------------------------------------------------------


def rows_of(signals: pl.DataFrame) -> list[dict[str, Any]]:
    return signals.to_dicts()


def plain_ifd(rows: list[dict[str, Any]], k: int) -> list[int]:
    chosen: list[int] = []
    while len(chosen) < k:
        best = None
        for row in rows:
            if row["ifd"] is None or row["ifd"] >= 1 or row["row"] in chosen:
                continue
            if best is None or row["ifd"] > best["ifd"]:
                best = row
        if best is None:
            break
        chosen.append(best["row"])
    return sorted(chosen)


def plain_low_risk(rows: list[dict[str, Any]], k: int) -> list[int]:
    by_risk = sorted(rows, key=lambda row: (row["borrow_risk"] or 0.0, row["row"]))
    return sorted(row["row"] for place, row in enumerate(by_risk) if place < k or not row["borrow_risk"])


def plain_classes(rows: list[dict[str, Any]], classes: Sequence[str]) -> list[int]:
    return [row["row"] for row in rows if row["slick"] is None or row["slick"] in classes]


def plain_judge(rows: list[dict[str, Any]], least: float) -> list[int]:
    return [row["row"] for row in rows if not (row["row"] in RATINGS and RATINGS[row["row"]] < least)]


def plain_longest(rows: list[dict[str, Any]], k: int) -> list[int]:
    return sorted(row["row"] for row in sorted(rows, key=lambda row: (-row["response_characters"], row["row"]))[:k])


def plain_diverse(rows: list[dict[str, Any]], k: int) -> list[int]:
    numbers = [row["row"] for row in rows]
    unit = VECTORS[numbers] / np.linalg.norm(VECTORS[numbers], axis=1, keepdims=True)
    cosines = np.maximum(np.rint(4000 * unit).astype(int) @ np.rint(4000 * unit).astype(int).T, 0)
    chosen: list[int] = []
    while len(chosen) < min(k, len(numbers)):
        worth = [
            -1 if candidate in chosen else int(cosines[:, [*chosen, candidate]].max(axis=1).sum())
            for candidate in range(len(numbers))
        ]
        chosen.append(worth.index(max(worth)))
    return sorted(numbers[place] for place in chosen)


PLAIN: list[tuple[str, Callable[[list[dict[str, Any]]], list[int]]]] = [
    ("ifd:10%", lambda rows: plain_ifd(rows, len(rows) // 10)),
    ("ifd:7", lambda rows: plain_ifd(rows, 7)),
    ("ifd:1000", lambda rows: plain_ifd(rows, 1000)),
    ("low-risk", lambda rows: plain_low_risk(rows, int(round(0.9 * len(rows), 6)))),
    ("low-risk:0.5", lambda rows: plain_low_risk(rows, len(rows) // 2)),
    ("low-risk:11", lambda rows: plain_low_risk(rows, 11)),
    ("known", lambda rows: plain_classes(rows, ["HighlyKnown", "MaybeKnown", "WeaklyKnown"])),
    ("slick:MaybeKnown", lambda rows: plain_classes(rows, ["MaybeKnown"])),
    ("slick:MaybeKnown,HighlyKnown", lambda rows: plain_classes(rows, ["MaybeKnown", "HighlyKnown"])),
    ("judge:4.5", lambda rows: plain_judge(rows, 4.5)),
    ("judge:2", lambda rows: plain_judge(rows, 2)),
    ("longest:10", lambda rows: plain_longest(rows, 10)),
    ("longest:25%", lambda rows: plain_longest(rows, len(rows) // 4)),
    ("diverse:9", lambda rows: plain_diverse(rows, 9)),
    ("diverse:50%", lambda rows: plain_diverse(rows, len(rows) // 2)),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("text", "plain"), PLAIN, ids=[text for text, _ in PLAIN])
def test_a_rule_is_the_plain_one(text: str, plain: Callable[[list[dict[str, Any]]], list[int]], seed: int) -> None:
    signals = measured(seed)
    expected = plain(rows_of(signals))
    assert kept_by(text, signals) == expected
    some = signals.filter(pl.col("row") % 3 != 1)  # rows that other rules left
    assert kept_by(text, some) == plain(rows_of(some))
    assert 0 < len(expected) < N_ROWS, "a rule that keeps all or nothing tests nothing"


@pytest.mark.parametrize("text", [text for text, _ in PLAIN])
def test_rows_in_another_order_are_chosen_alike(text: str) -> None:
    """Where no two rows are equal: ties go to the earlier row."""
    drawn = np.random.default_rng(3)
    values = drawn.permutation(N_ROWS)
    signals = measured().with_columns(
        response_characters=pl.Series(values.astype(np.uint32)),
        ifd=pl.Series(values / N_ROWS),
        borrow_risk=pl.Series(values / N_ROWS),
    )
    order = drawn.permutation(N_ROWS)
    moved = signals[order.tolist()].with_columns(row=pl.Series(range(N_ROWS), dtype=pl.UInt32))
    of_moved = Measures(
        vectors=lambda: VECTORS[order],
        rate=lambda rule, rows: Rated({row: RATINGS[order[row]] for row in rows if order[row] in RATINGS}),
    )
    outcome = apply_rule(parse_keep(text), moved, of_moved)
    assert outcome is not None
    lost = {int(order[loser.row]) for loser in outcome.losers}
    assert [row for row in range(N_ROWS) if row not in lost] == kept_by(text, signals)


# --- reasons and notes ----------------------------------------------------------------------------------------------------


def small(**columns: list[Any]) -> pl.DataFrame:
    n_rows = len(next(iter(columns.values())))
    return pl.DataFrame({"row": range(n_rows), "response_characters": [1] * n_rows, **columns})


def selected(signals: pl.DataFrame, *keep: str, measures: Measures | None = None) -> Selection:
    return select_rows(NO_FINDINGS, signals, keep=[parse_keep(text) for text in keep], measures=measures)


def test_ifd_says_why_and_counts_what_has_none() -> None:
    selection = selected(small(ifd=[0.5, 0.9, 1.2, None, math.nan, 0.7]), "ifd:2")
    assert selection.kept == [1, 5]
    assert selection.reasons[0] == (Reason("ifd:2", "Not among the 2 rows of the highest IFD below 1.", "ifd", 0.5),)
    assert selection.reasons[2] == (
        Reason("ifd:2", "The instruction makes its response no likelier: its IFD is not below 1.", "ifd", 1.2),
    )
    assert selection.reasons[3][0].message == "It has no IFD: its response could not be measured."
    assert selection.notes == ("ifd:2 leaves out 1 row with an IFD of 1 or more and 2 rows without one",)
    assert selected(small(ifd=[0.5, 1.5]), "ifd:2").notes[1] == (
        "ifd:2 keeps 1 rows, fewer than the 2 asked for: no others have an IFD below 1"
    )


def test_classes_are_asked_of_questions_alone() -> None:
    signals = small(slick=["Unknown", "HighlyKnown", None, "MaybeKnown"])
    known, maybe = selected(signals, "known"), selected(signals, "slick:MaybeKnown")
    assert (known.kept, maybe.kept) == ([1, 2, 3], [2, 3])
    assert known.reasons[0] == (
        Reason(
            "known",
            "The base model's knowledge of its answer is Unknown, not HighlyKnown or MaybeKnown or WeaklyKnown.",
            "SliCK class, 1 for HighlyKnown to 4 for Unknown",
            4.0,
        ),
    )
    assert maybe.reasons[1][0].value == 1.0
    assert known.notes == ("known keeps 1 row without a SliCK class: no question with a short answer",)


def test_rows_without_a_risk_stay() -> None:
    selection = selected(small(borrow_risk=[0.9, None, 0.1, 0.2]), "low-risk:2")
    assert selection.kept == [1, 2]
    assert selection.reasons[3] == (Reason("low-risk:2", "Not among the 2 rows of the least borrow risk.", "borrow risk", 0.2),)
    assert selection.notes == ("low-risk:2 keeps 1 row without a borrow risk",)
    few = selected(small(borrow_risk=[0.9, None, None, math.nan, 0.0]), "low-risk:2")
    assert few.kept == [1, 2, 3, 4]
    assert few.notes == (
        "low-risk:2 keeps 3 rows without a borrow risk",
        "low-risk:2 keeps 4 rows, more than the 2 asked for: no others have a risk",
    )


def test_low_risk_drops_a_tenth() -> None:
    selection = selected(small(borrow_risk=[number / 20 for number in range(20)]), "low-risk")
    assert (selection.dropped, selection.reasons[19][0].code) == ([18, 19], "low-risk:0.9")


def test_the_row_that_stands_for_another_is_named() -> None:
    vectors = np.array([[1, 0, 0], [1, 0.1, 0], [0, 1, 0], [0, 0, 0]], np.float32)
    selection = selected(small(ifd=[0.1] * 4), "diverse:2", measures=Measures(vectors=lambda: vectors))
    assert selection.kept == [1, 2], "row 1 is also a little like row 2"
    assert selection.reasons[0] == (
        Reason(
            "diverse:2",
            "Not among the 2 rows that stand for all; it is near to one of those.",
            "cosine to the nearest row kept",
            0.995,
            (1,),
        ),
    )
    assert selection.reasons[3][0].related == ()
    assert selection.notes == ("diverse:2 takes 1 row without a vector of a prompt last",)


def test_ratings_below_the_least_drop_and_unrated_rows_stay() -> None:
    rated = Rated({0: 4.5, 1: 4.0, 2: 1.0}, {2: "half of it was not rated", 3: "its reply holds no rating"})
    asked: list[tuple[KeepRule, list[int]]] = []

    def rate(rule: KeepRule, rows: Sequence[int]) -> Rated:
        asked.append((rule, list(rows)))
        return rated

    selection = selected(small(ifd=[0.1] * 4), "judge:4.5@helpfulness", measures=Measures(rate=rate))
    assert selection.kept == [0, 3]
    assert selection.reasons[1] == (
        Reason("judge:4.5@helpfulness", "Rated below 4.5 for helpfulness by the judge.", "rating of helpfulness", 4.0),
    )
    assert selection.notes == ("judge:4.5@helpfulness keeps 1 row that got no rating",)
    assert asked == [(KeepRule("judge", least_rating=4.5, aspect=Aspect.HELPFULNESS), [0, 1, 2, 3])]


def test_rules_after_a_judge_that_is_not_asked_wait() -> None:
    selection = selected(measured(), "ifd:20", "judge:4.5", "random:5")
    assert selection.steps == (KeepStep("ifd:20", N_ROWS, 20),)
    assert selection.waiting == ("judge:4.5", "random:5")
    assert len(selection.kept) == 20


def test_rules_apply_in_the_order_given_each_to_what_is_left() -> None:
    signals = measured(1)
    one = selected(signals, "known", "ifd:50%", "longest:5", measures=MEASURES)
    other = selected(signals, "longest:5", "ifd:50%", "known", measures=MEASURES)
    after_known = signals.filter(pl.col("row").is_in(kept_by("known", signals)))
    after_ifd = after_known.filter(pl.col("row").is_in(kept_by("ifd:50%", after_known)))
    assert one.kept == kept_by("longest:5", after_ifd)
    assert one.kept != other.kept
    assert [step.rule for step in one.steps] == ["known", "ifd:0.5", "longest:5"]
    assert [step.n_before for step in one.steps[1:]] == [step.n_after for step in one.steps[:-1]]
    assert one.steps[0].n_before == N_ROWS
    assert one.steps[-1].n_after == len(one.kept)


# --- what is asked for ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("ifd:0.1", KeepRule("ifd", share=0.1)),
        ("ifd:10%", KeepRule("ifd", share=0.1)),
        ("ifd:200", KeepRule("ifd", 200)),
        ("known", KeepRule("known")),
        ("slick:MaybeKnown,HighlyKnown", KeepRule("slick", classes=("MaybeKnown", "HighlyKnown"))),
        ("low-risk", KeepRule("low-risk", share=0.9)),
        ("low-risk:95%", KeepRule("low-risk", share=0.95)),
        ("judge:4.5", KeepRule("judge", least_rating=4.5)),
        ("judge:3@helpfulness", KeepRule("judge", least_rating=3.0, aspect=Aspect.HELPFULNESS)),
        ("diverse:0.25", KeepRule("diverse", share=0.25)),
        ("random:5%@3", KeepRule("random", seed=3, share=0.05)),
    ],
)
def test_rules_are_read(text: str, rule: KeepRule) -> None:
    assert parse_keep(text) == rule
    assert parse_keep(str(rule)) == (rule if not rule.seed else KeepRule("random", share=0.05))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ifd", "is not known; use longest:K"),
        ("ifd:0", "is not known"),
        ("ifd:100%", "is not known"),
        ("ifd:nan", "is not known"),
        ("ifd:inf", "is not known"),
        ("ifd:5@1", "is not known"),
        ("known:1", "is not known"),
        ("slick", "is not known"),
        ("slick:", "is not known"),
        ("slick:Maybe", "unknown SliCK class 'Maybe'; did you mean 'MaybeKnown'"),
        ("low-risk:", "is not known"),
        ("judge", "use judge:RATING, above 0 and at most 5"),
        ("judge:6", "use judge:RATING, above 0 and at most 5"),
        ("judge:4.5@truth", "unknown aspect of --keep judge 'truth'"),
        ("diverse:-1", "is not known"),
    ],
)
def test_other_rules_are_refused(text: str, why: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_keep(text)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ifd:0.1", "--keep ifd:0.1: this run did not measure the IFD of the rows; audit again with --base-model MODEL"),
        (
            "known",
            "--keep known: this run did not measure what the base model knows; audit again with --base-model MODEL --slick",
        ),
        (
            "slick:MaybeKnown",
            "--keep slick:MaybeKnown: this run did not measure what the base model knows; audit again with --base-model MODEL"
            " --slick",
        ),
        (
            "low-risk",
            "--keep low-risk:0.9: this run did not measure the borrow risk of the rows; audit again with --base-model MODEL",
        ),
        (
            "diverse:5",
            "--keep diverse:5: this run holds no vectors of the prompts (no encoder); audit again with an encoder on this"
            " machine, and without --redact",
        ),
    ],
)
def test_what_was_not_measured_is_named_with_the_audit_that_does(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_measured(
            [parse_keep("longest:3"), parse_keep(text)], ["row", "response_characters"], Measures(no_vectors="no encoder")
        )
    assert str(caught.value) == message
