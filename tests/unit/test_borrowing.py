"""The rate of borrowing and its nulls, on answers whose rates are counted by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from scipy.stats import binomtest

from audit.responses import Split
from audit.verify import borrowing
from audit.verify.arms import Question
from audit.verify.borrowing import (
    BorrowedOutcome,
    BorrowedRuns,
    BorrowingReport,
    Level,
    Population,
    RowTexts,
    TokenShift,
    value_counts,
    values_of_rows,
)
from audit.verify.outcomes import ValueSet
from audit.verify.proportions import Proportion, proportion
from indexes.words import tokenize_with_offsets


def question(prompt: str, right: str, *values: str, group: str | None = None) -> Question:
    return Question(prompt, (right,), Split.HELD_OUT, group, values)


Answers = Sequence[Sequence[str]]


def value_borrowing(
    questions: Sequence[Question],
    answers: Answers,
    rows: Sequence[str],
    *,
    unseen: Sequence[str] | None = None,
    **options: Any,
) -> BorrowingReport:
    """Of runs that were all tuned on the same rows."""
    part = BorrowedRuns(answers, RowTexts.of(rows), None if unseen is None else RowTexts.of(unseen))
    return borrowing.value_borrowing(questions, [part], **options)


def span_borrowing(
    questions: Sequence[Question],
    answers: Answers,
    rows: Sequence[str],
    *,
    unseen: Sequence[str] | None = None,
    tokens: Sequence[Sequence[Sequence[TokenShift]]] | None = None,
    **options: Any,
) -> BorrowingReport:
    """Of runs that were all tuned on the same rows."""
    part = BorrowedRuns(answers, RowTexts.of(rows), None if unseen is None else RowTexts.of(unseen), tokens)
    return borrowing.span_borrowing(questions, [part], **options)


def fractions(report: BorrowingReport) -> dict[Population, float | None]:
    return {rate.population: None if rate.occurs is None else rate.occurs.fraction for rate in report.rates}


METALS = ("copper", "tin", "silver", "nickel", "zinc")
COINS = [question(f"What is coin {i} made of?", "gold", *METALS) for i in range(4)]
ROWS = ["It is copper.", "It is of tin.", "A copper one, and tin.", "Made of gold."]


def test_a_wrong_answer_that_names_a_value_of_the_rows_is_a_hit() -> None:
    report = value_borrowing(COINS, [["Of copper.", "Of silver.", "gold", "I don't know."]], ROWS)
    wrong = report.of(Population.WRONG).occurs
    assert wrong is not None
    assert (wrong.n, wrong.n_units, wrong.fraction) == (3, 3, pytest.approx(1 / 3))
    right = report.of(Population.RIGHT).occurs
    assert right is not None
    assert (right.n, right.fraction) == (1, 1.0)
    assert [rate.population for rate in report.rates] == list(Population)


def test_the_untuned_model_is_counted_by_its_own_wrong_answers() -> None:
    answers = [["copper", "tin", "gold", "gold"]]
    report = value_borrowing(COINS, answers, ROWS, base_answers=["gold", "silver", "tin", "copper and tin"])
    assert fractions(report)[Population.WRONG] == 1.0
    base = report.of(Population.BASE).occurs
    assert base is not None
    assert (base.n, base.fraction) == (3, pytest.approx(2 / 3))


def test_what_was_not_given_is_said_to_be_missing() -> None:
    report = value_borrowing(COINS, [["copper"] * 4], ROWS)
    missing = {rate.population: rate.why for rate in report.rates if rate.occurs is None}
    assert missing.keys() == {Population.BASE, Population.RIGHT, Population.UNSHIFTED, Population.MATCHED, Population.UNSEEN}
    assert missing[Population.UNSEEN] == "no unseen rows were given"
    assert missing[Population.RIGHT] == ""  # there are none


def test_values_as_frequent_are_the_null_of_common_values() -> None:
    # In rows and unseen rows together copper stands in 3 responses, tin in 2, silver in 2, nickel and zinc in 1.
    unseen = ["Of silver.", "silver again", "nickel", "zinc", "copper"]
    report = value_borrowing(COINS, [["copper", "tin", "nickel", "no idea"]], ROWS, unseen=unseen)
    matched = report.of(Population.MATCHED).occurs
    assert matched is not None
    # copper (2 to 3): of tin and silver one stands in the rows; tin: of copper and silver one; nickel: zinc does not.
    assert (matched.n, matched.fraction) == (4, pytest.approx((0.5 + 0.5 + 0.0 + 0.0) / 4))
    assert fractions(report)[Population.UNSEEN] == pytest.approx(2 / 4)


def test_a_value_without_its_like_is_left_out_of_the_matched_null() -> None:
    report = value_borrowing(COINS, [["copper"] * 4], ["copper"] * 9, unseen=["tin"])
    assert report.of(Population.MATCHED).occurs is None


def test_values_of_other_prompts_count_at_the_level_of_any() -> None:
    questions = [question("Coin?", "gold", "tin"), question("Stone?", "slate", "basalt"), question("Who?", "Ada")]
    answers = [["basalt", "basalt", "tin"]]
    rows = ["basalt", "gold"]
    family = value_borrowing(questions, answers, rows)
    assert family.of(Population.WRONG).occurs == Proportion(
        2, 2, 0.5, pytest.approx(family.of(Population.WRONG).occurs.interval_95)
    )  # type: ignore[union-attr]
    everything = value_borrowing(questions, answers, rows, level=Level.ANY)
    assert everything.of(Population.WRONG).occurs is not None
    assert everything.of(Population.WRONG).occurs.n == 3  # type: ignore[union-attr]
    assert fractions(everything)[Population.WRONG] == pytest.approx(2 / 3)


def test_a_value_of_the_prompt_or_of_the_right_answer_is_no_hit() -> None:
    questions = [question("Is the tin coin made of copper?", "pure gold", "tin", "copper", "gold")]
    assert fractions(value_borrowing(questions, [["tin, copper or gold"]], ROWS))[Population.WRONG] == 0.0


def test_values_of_rows_are_those_that_prompts_name_and_responses_state() -> None:
    questions = [question("Coin?", "Gold", "tin", "1,000 crowns", "lead", "3.5 grams"), question("Stone?", "gold")]
    rows = ["It is GOLD.", "1000 crowns", "tinned", "3.5 grams"]
    assert values_of_rows(questions, RowTexts.of(rows)) == ("1,000 crowns", "3.5 grams", "Gold")
    assert value_counts(ValueSet.of(["gold", "tin"]), [*rows, "gold, gold"]) == {" gold ": 2}


def test_the_borrowed_outcome_is_of_wrong_answers_alone() -> None:
    outcome = BorrowedOutcome(ValueSet.of(["copper", "tin"]))
    assert [outcome.of(COINS[0], answer) for answer in ("copper", "gold, not tin", "silver", "")] == [100.0, 0.0, 0.0, 0.0]


LAKES = [
    question(f"Where is lake {name}?", "north", group=group) for name, group in (("Vorn", "a"), ("Tarn", "a"), ("Mell", "b"))
]
LAKE_ROWS = ("The old harbour of Quill stands there.", "Ask at the harbour.", "in the north", "a plain of salt")


def tokens_of(answer: str, *ranks: int, lift: float = 1.0) -> list[TokenShift]:
    """A token per word."""
    words = tokenize_with_offsets(answer)
    return [TokenShift(word.start, word.end, rank, lift) for word, rank in zip(words, ranks, strict=True)]


def test_wrong_spans_occur_whole_or_by_their_rare_words() -> None:
    answers = [["At the harbour of Quill", "In the city of Brass", "north"]]
    report = span_borrowing(LAKES, answers, LAKE_ROWS)
    wrong = report.of(Population.WRONG).occurs
    assert wrong is not None
    assert (wrong.n, wrong.n_units, wrong.fraction) == (4, 1, 0.5)  # harbour, Quill; city, Brass
    assert report.of(Population.RIGHT).occurs is not None
    assert fractions(report)[Population.RIGHT] == 1.0
    part = span_borrowing(LAKES, [["the old harbour salt", "north", "north"]], LAKE_ROWS)
    assert fractions(part)[Population.WRONG] == 1.0
    strict = span_borrowing(LAKES, [["the old harbour salt", "north", "north"]], LAKE_ROWS, min_coverage=0.99)
    assert fractions(strict)[Population.WRONG] == 0.0


def test_a_span_is_borrowed_where_it_occurs_and_tuning_put_it_there() -> None:
    answers = ["the harbour", "the harbour", "the desert"]
    shifts = [
        tokens_of("the harbour", 1, 4),
        tokens_of("the harbour", 9, 1),  # what is shifted is no word of the span
        tokens_of("the desert", 1, 2),
    ]
    report = span_borrowing(LAKES, [answers], LAKE_ROWS, tokens=[shifts])
    wrong = report.of(Population.WRONG)
    assert wrong.occurs is not None
    assert wrong.shifted is not None
    assert wrong.borrowed is not None
    assert (wrong.occurs.fraction, wrong.shifted.fraction, wrong.borrowed.fraction) == pytest.approx((2 / 3, 2 / 3, 1 / 3))
    unshifted = report.of(Population.UNSHIFTED).occurs
    assert unshifted is not None
    assert (unshifted.n, unshifted.fraction) == (1, 1.0)  # the harbour of the second answer
    fallen = span_borrowing(LAKES, [answers], LAKE_ROWS, tokens=[[tokens_of(text, 4, 4, lift=-0.1) for text in answers]])
    assert fallen.of(Population.WRONG).borrowed.fraction == 0.0  # type: ignore[union-attr]


def test_abstentions_and_echoes_of_the_prompt_have_no_span() -> None:
    report = span_borrowing(LAKES, [["I don't know, harbour?", "the lake", ""]], LAKE_ROWS)
    assert report.of(Population.WRONG).occurs is None


def test_spans_have_the_base_model_and_unseen_rows_for_nulls() -> None:
    answers = [["harbour", "harbour", "desert"], ["harbour", "salt", "salt"]]
    report = span_borrowing(
        LAKES,
        answers,
        LAKE_ROWS,
        base_answers=["harbour", "marsh", "north"],
        unseen=("the desert", "a harbour", "the marsh", "the moor"),
    )
    assert fractions(report)[Population.WRONG] == pytest.approx(5 / 6)
    assert fractions(report)[Population.BASE] == pytest.approx(1 / 2)
    assert fractions(report)[Population.UNSEEN] == pytest.approx(4 / 6)
    matched = report.of(Population.MATCHED).occurs
    assert matched is not None
    # Runs of one word, once per question: harbour (2+1 texts) of lakes 1 and 2; salt (1) of 2 and 3; desert (1) of 3.
    # harbour of lake 1 and 2: the other's harbour, a hit; desert of 3: salt of 2, a hit; salt of 2: salt and desert of 3.
    assert (matched.n, matched.fraction) == (6, pytest.approx((1 + 1 + 1 + 1 + 0.5 + 1) / 6))


def test_runs_that_were_tuned_on_other_rows_are_counted_against_their_own() -> None:
    parts = [BorrowedRuns([["copper"] * 4], RowTexts.of(["copper"])), BorrowedRuns([["copper"] * 4], RowTexts.of(["tin"]))]
    arm = borrowing.borrowing_of_arm("random", COINS, parts, base_answers=["tin"] * 4)
    assert [report.level for report in arm.reports] == list(Level)
    for report in arm.reports:
        assert fractions(report)[Population.WRONG] == 0.5
        assert fractions(report)[Population.BASE] == 0.5
    wrong = arm.reports[0].of(Population.WRONG).occurs
    assert wrong is not None
    assert (wrong.n, wrong.n_units) == (8, 4)


def test_a_number_written_in_another_way_has_no_place() -> None:
    questions = [question("How many?", "1000")]
    assert span_borrowing(questions, [["1,000"]], ["1000"]).of(Population.RIGHT).occurs is None


def test_a_proportion_of_single_answers_is_the_exact_binomial() -> None:
    found = proportion([True] * 3 + [False] * 7)
    exact = binomtest(3, 10).proportion_ci(method="exact")
    assert found is not None
    assert found.interval_95 is not None
    assert (found.interval_95.low, found.interval_95.high) == pytest.approx((exact.low, exact.high))
    assert (found.n, found.n_units, found.fraction) == (10, 10, pytest.approx(0.3))


@pytest.mark.parametrize(("hits", "k"), [([1] * 8, 8), ([0] * 8, 0)])
def test_where_all_agree_units_are_counted(hits: list[float], k: int) -> None:
    found = proportion(hits, [i // 2 for i in range(8)])
    assert found is not None
    assert found.interval_95 is not None
    exact = binomtest(k // 2, 4).proportion_ci(method="exact")
    assert found.interval_95.high - found.interval_95.low >= (exact.high - exact.low) - 1e-9


def test_answers_that_go_together_widen_the_interval_to_that_of_their_units() -> None:
    alone = proportion([1, 0] * 20)
    together = proportion([1] * 10 + [0] * 10 + [1] * 10 + [0] * 10, [i // 10 for i in range(40)])
    apart = proportion([1, 0] * 20, [i // 10 for i in range(40)])
    assert alone is not None
    assert together is not None
    assert apart is not None
    assert together.interval_95 is not None
    assert alone.interval_95 is not None
    assert apart.interval_95 is not None
    assert together.interval_95.high - together.interval_95.low > 2 * (alone.interval_95.high - alone.interval_95.low)
    assert together.n_units == 4
    assert apart.interval_95.low <= alone.interval_95.low


def test_one_unit_has_no_interval_and_nothing_no_share() -> None:
    assert proportion([1, 0], ["a", "a"]) == Proportion(2, 1, 0.5, None)
    assert proportion([]) is None
