"""What a design can see: by hand, and the same before and after tuning."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from audit.verify.power import (
    LARGEST_POINTS,
    VarianceComponents,
    runs_needed,
    smallest_detectable,
    units_needed,
    verdict_chances,
)
from audit.verify.statistics import crossed_effect
from audit.verify.verdict import Verdict


def test_the_smallest_effect_by_hand() -> None:
    # Variance of the mean: 4²/5 + 18²/100 + 52²/500 = 3.2 + 3.24 + 5.408.
    squares = [52**2 + 100 * 4**2, 52**2 + 5 * 18**2, 52**2]
    scaled = squares[0] + squares[1] - squares[2]
    assert scaled / 500 == pytest.approx(11.848)
    freedom = scaled**2 / sum(square**2 / n for square, n in zip(squares, [4, 99, 396], strict=True))
    expected = (t.ppf(0.975, freedom) + t.ppf(0.8, freedom)) * 11.848**0.5
    assert smallest_detectable(VarianceComponents(4, 18, 52), 5, 100) == pytest.approx(expected)


@pytest.mark.parametrize(("n_runs", "n_units"), [(1, 100), (5, 1), (0, 0)])
def test_one_run_or_one_prompt_can_see_nothing(n_runs: int, n_units: int) -> None:
    assert smallest_detectable(VarianceComponents(), n_runs, n_units) is None


def test_components_of_a_table_give_back_its_standard_error() -> None:
    generator = np.random.default_rng(3)
    table = generator.normal(0, 52, (5, 60)) + generator.normal(0, 12, (5, 1)) + generator.normal(0, 30, 60)
    components = VarianceComponents.of(table)
    assert components is not None
    measured = crossed_effect(table, largest_difference=LARGEST_POINTS)
    assert smallest_detectable(components, 5, 60) == pytest.approx(measured.smallest_detectable)


def test_components_of_many_tables_are_those_they_were_drawn_with() -> None:
    generator = np.random.default_rng(5)
    found = []
    for _ in range(200):
        table = generator.normal(0, 50, (6, 80)) + generator.normal(0, 12, (6, 1)) + generator.normal(0, 25, 80)
        components = VarianceComponents.of(table)
        assert components is not None
        found.append([components.run**2, components.prompt**2, components.rest**2])
    assert np.sqrt(np.mean(found, axis=0)) == pytest.approx([12, 25, 50], rel=0.1)


def test_one_run_or_one_group_shows_no_variance() -> None:
    assert VarianceComponents.of(np.ones((1, 10))) is None
    assert VarianceComponents.of(np.ones((5, 10)), ["g"] * 10) is None


def test_what_is_needed_is_just_enough() -> None:
    components = VarianceComponents()
    n_units, n_runs = units_needed(components, 5, 10.0), runs_needed(components, 100, 8.0)
    assert n_units is not None
    assert n_runs is not None
    for enough, fewer in (
        (smallest_detectable(components, 5, n_units), smallest_detectable(components, 5, n_units - 1)),
        (smallest_detectable(components, n_runs, 100), smallest_detectable(components, n_runs - 1, 100)),
    ):
        assert enough is not None
        assert fewer is not None
        assert enough <= (10.0 if enough > 8 else 8.0) < fewer


def test_runs_that_differ_are_not_made_up_for_by_prompts() -> None:
    assert units_needed(VarianceComponents(run=20), 5, 5.0) is None
    assert runs_needed(VarianceComponents(prompt=60), 20, 5.0) is None


def wrong(generator: np.random.Generator, rate: float, shape: tuple[int, int]) -> np.ndarray:
    return 100.0 * (generator.random(shape) < rate)


def test_chances_add_up_and_follow_the_effect() -> None:
    generator = np.random.default_rng(0)
    none = wrong(generator, 0.4, (3, 100)) - wrong(generator, 0.4, (3, 100))
    large = wrong(generator, 0.2, (3, 100)) - wrong(generator, 0.5, (3, 100))
    for table in (none, large):
        chances = verdict_chances(table, None, n_runs=5, delta_points=5.0)
        assert sum(chances.values()) == pytest.approx(1.0)
        assert chances == verdict_chances(table, None, n_runs=5, delta_points=5.0)
    assert verdict_chances(large, None, n_runs=5, delta_points=5.0)[Verdict.CONFIRMED] > 0.9
    assert verdict_chances(-large, None, n_runs=5, delta_points=5.0)[Verdict.HARMFUL] > 0.9
    assert verdict_chances(none, None, n_runs=5, delta_points=5.0)[Verdict.CONFIRMED] < 0.2


def test_once_all_runs_are_done_the_verdict_is_certain() -> None:
    generator = np.random.default_rng(1)
    table = wrong(generator, 0.2, (5, 100)) - wrong(generator, 0.5, (5, 100))
    assert verdict_chances(table, None, n_runs=5, delta_points=5.0)[Verdict.CONFIRMED] == 1.0


def test_stopping_at_small_chances_costs_no_verdict_that_would_have_come() -> None:
    generator = np.random.default_rng(2)
    n_stopped = n_lost = 0
    for _ in range(30):
        table = wrong(generator, 0.4, (5, 60)) - wrong(generator, 0.4, (5, 60))
        chances = verdict_chances(table[:2], None, n_runs=5, delta_points=5.0)
        of_interest = (Verdict.CONFIRMED, Verdict.HARMFUL, Verdict.NO_EFFECT)
        if max(chances[verdict] for verdict in of_interest) < 0.05:
            n_stopped += 1
            final = verdict_chances(table, None, n_runs=5, delta_points=5.0)
            n_lost += any(final[verdict] for verdict in of_interest)
    assert n_stopped >= 5
    assert n_lost <= 0.1 * n_stopped
