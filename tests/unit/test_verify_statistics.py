"""Intervals and tests, against values by hand and against other libraries."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from audit.verify.statistics import (
    CrossedEffect,
    Interval,
    crossed_effect,
    holm,
    mcnemar_exact,
    paired_permutation,
    prompt_units,
)


def test_the_crossed_effect_of_a_table_by_hand() -> None:
    table = np.array([[-0.5, 1.5, 2.0], [1.5, 2.5, 5.0]])
    ms_runs, ms_prompts, ms_rest = 6.0, 4.5, 0.5  # means of runs 1, 3; of prompts 0.5, 2, 3.5; what is left: ±0.5
    effect = crossed_effect(table)
    assert effect.mean == pytest.approx(2.0)
    assert effect.standard_error**2 == pytest.approx((ms_runs + ms_prompts - ms_rest) / 6)
    assert effect.degrees_of_freedom == pytest.approx(10**2 / (6.0**2 / 1 + 4.5**2 / 2 + 0.5**2 / 2))


def test_with_runs_alike_it_is_t_on_prompts_and_with_prompts_alike_t_on_runs() -> None:
    values = np.array([0.1, -0.4, 0.3, 0.9, -0.2])
    for table in (np.tile(values, (4, 1)), np.tile(values[:, None], (1, 4))):
        twin = stats.ttest_1samp(values, 0)
        effect = crossed_effect(table)
        assert effect.p_value == pytest.approx(twin.pvalue)
        low, high = twin.confidence_interval(0.95)
        assert (effect.interval(0.95).low, effect.interval(0.95).high) == pytest.approx((low, high))


def test_the_variance_is_the_two_way_cluster_robust_one() -> None:
    table = np.random.default_rng(5).normal(size=(6, 20)) + np.arange(6)[:, None] + np.arange(20)
    residual = table - table.mean()
    n_runs, n_prompts = table.shape
    by_run = (residual.sum(axis=1) ** 2).sum() * n_runs / (n_runs - 1)
    by_prompt = (residual.sum(axis=0) ** 2).sum() * n_prompts / (n_prompts - 1)
    interaction = residual - residual.mean(axis=0) - residual.mean(axis=1, keepdims=True)
    by_cell = (interaction**2).sum() * table.size / ((n_runs - 1) * (n_prompts - 1))
    assert crossed_effect(table).standard_error ** 2 == pytest.approx((by_run + by_prompt - by_cell) / table.size**2)


def test_a_negative_variance_component_counts_as_zero() -> None:
    table = np.array([[1.0, -1.0], [-1.0, 1.0]])  # neither runs nor prompts differ, only their combinations
    assert crossed_effect(table).standard_error ** 2 == pytest.approx(4.0 / 4)


def test_a_table_without_differences_does_not_show_that_there_are_none() -> None:
    def half_width(n_prompts: int) -> float:
        return crossed_effect(np.zeros((5, n_prompts)), largest_difference=100.0).interval(0.90).high

    assert half_width(40) > 5
    assert half_width(100) < 5
    assert crossed_effect(np.zeros((5, 40))).p_value == 1.0


def test_the_floor_is_that_of_two_more_prompts_and_leaves_wider_tables_alone() -> None:
    assert crossed_effect(np.full((5, 8), -1.0), largest_difference=1.0).standard_error ** 2 == pytest.approx(2 / 10**2)
    spread = np.random.default_rng(1).choice([-1.0, 0.0, 1.0], size=(5, 100))
    assert crossed_effect(spread, largest_difference=1.0) == crossed_effect(spread)


def test_one_run_or_one_group_shows_nothing_about_others() -> None:
    for effect in (crossed_effect(np.ones((1, 9))), crossed_effect(np.ones((5, 9)), ["same"] * 9)):
        assert (effect.mean, effect.standard_error, effect.p_value) == (1.0, math.inf, 1.0)
        assert effect.interval(0.95) == Interval(-math.inf, math.inf)
        assert effect.smallest_detectable == math.inf


def test_prompts_of_a_group_are_one_unit() -> None:
    single = np.random.default_rng(2).normal(size=(5, 12))
    doubled = np.repeat(single, 2, axis=1)
    groups = np.repeat(np.arange(12), 2).tolist()
    alone = crossed_effect(single)
    together = crossed_effect(doubled, groups)
    assert together.mean == pytest.approx(alone.mean)
    assert together.standard_error == pytest.approx(alone.standard_error)
    assert crossed_effect(doubled).standard_error < alone.standard_error


def test_units_of_unequal_groups_average_to_the_mean_over_prompts() -> None:
    table = np.random.default_rng(3).normal(size=(4, 7)) + 3
    units = prompt_units(table, ["a", "a", "a", "b", "c", "c", "d"])
    assert units.shape == (4, 4)
    assert units.mean(axis=1) == pytest.approx(table.mean(axis=1))
    assert prompt_units(np.ones((2, 3)), ["a", "a", "b"]) == pytest.approx(np.ones((2, 2)))


def test_interval_p_value_and_power_belong_together() -> None:
    effect = CrossedEffect(mean=-6.0, standard_error=2.0, degrees_of_freedom=7.0)
    level = 1 - effect.p_value
    assert effect.interval(level).high == pytest.approx(0, abs=1e-9)
    assert effect.interval(0.95).high - effect.mean == pytest.approx(stats.t.ppf(0.975, 7) * 2)
    assert effect.smallest_detectable == pytest.approx((stats.t.ppf(0.975, 7) + stats.t.ppf(0.8, 7)) * 2)


def test_an_end_at_zero_does_not_exclude_it() -> None:
    assert not Interval(0.0, 3.0).excludes_zero
    assert not Interval(-3.0, 0.0).excludes_zero
    assert Interval(0.1, 3.0).excludes_zero
    assert Interval(-3.0, -0.1).excludes_zero
    assert Interval(-5.0, 5.0).within(5.0)
    assert not Interval(-5.1, 0.0).within(5.0)


@pytest.mark.parametrize(("first", "second"), list(itertools.product([0, 1, 4, 9], [0, 2, 7])))
def test_mcnemar_is_statsmodels(first: int, second: int) -> None:
    expected = mcnemar([[3, first], [second, 5]], exact=True).pvalue if first + second else 1.0
    assert mcnemar_exact(first, second) == pytest.approx(expected)


def test_the_permutation_test_agrees_with_all_permutations() -> None:
    differences = np.array([3.0, -1.0, 4.0, 1.0, 5.0, -2.0, 6.0, 0.0])
    signs = np.array(list(itertools.product((-1, 1), repeat=8)))
    exact = float(np.mean(np.abs(signs @ differences) >= abs(differences.sum())))
    assert paired_permutation(differences) == pytest.approx(exact, abs=0.015)
    assert paired_permutation(differences) == paired_permutation(differences)


def test_the_permutation_test_never_claims_more_than_its_draws_allow() -> None:
    assert paired_permutation(np.full(60, 7.0), n_draws=99) == pytest.approx(1 / 100)
    assert paired_permutation(np.zeros(5)) == 1.0


def test_sums_that_differ_in_their_last_digit_are_ties() -> None:
    tenths = np.array([-2, 5, 1, -7, 4, 3])
    signs = np.array(list(itertools.product((-1, 1), repeat=6)))
    exact = float(np.mean(np.abs(signs @ tenths) >= abs(tenths.sum())))  # in integers, which have no last digit
    assert paired_permutation(tenths / 10) == pytest.approx(exact, abs=0.015)


@pytest.mark.parametrize("p_values", [[0.01, 0.04, 0.03], [0.5, 0.9], [0.02], [0.04, 0.04, 0.04, 0.001], []])
def test_holm_is_statsmodels(p_values: list[float]) -> None:
    expected = multipletests(p_values, method="holm")[1].tolist() if p_values else []
    assert holm(p_values) == pytest.approx(tuple(expected))
