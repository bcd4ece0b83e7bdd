"""What must hold for every set of answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from audit.verify.arms import AnswerFile
from audit.verify.borrowing import value_counts
from audit.verify.judge import verify_answers
from audit.verify.outcomes import Outcome, Rubric, ValueSet, word_string
from audit.verify.statistics import crossed_effect, holm, paired_permutation
from audit.verify.verdict import Verdict
from tests.benchmarks.verdict.simulation import Setting, answer_files

Floats = NDArray[np.float64]
Arms = dict[str, list[AnswerFile]]

MIRRORED = {Verdict.CONFIRMED: Verdict.HARMFUL, Verdict.HARMFUL: Verdict.CONFIRMED}


@st.composite
def tables(draw: st.DrawFn) -> Floats:
    n_runs, n_prompts = draw(st.integers(2, 7)), draw(st.integers(2, 12))
    cells = draw(st.lists(st.floats(-50, 50), min_size=n_runs * n_prompts, max_size=n_runs * n_prompts))
    return np.array(cells).reshape(n_runs, n_prompts)


@st.composite
def arms(draw: st.DrawFn) -> Arms:
    setting = Setting(
        draw(st.sampled_from([1, 2, 5, 6])), draw(st.integers(2, 24)), 0.5, group_size=draw(st.sampled_from([1, 3]))
    )
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    rates = draw(st.tuples(st.floats(0, 1), st.floats(0, 1)))
    shape = (setting.n_runs, setting.n_prompts)
    cleaned, random = ((generator.random(shape) < rate).astype(np.float64) for rate in rates)
    return answer_files(setting, (cleaned, random))


@settings(deadline=None, max_examples=60)
@given(arms())
def test_swapping_the_arms_mirrors_the_effect(arms: Arms) -> None:
    result = verify_answers(arms)
    mirrored = verify_answers({"cleaned": arms["random"], "random": arms["cleaned"]})
    assert mirrored.effect.difference_points == pytest.approx(-result.effect.difference_points)
    assert mirrored.verdict == (result.verdict and MIRRORED.get(result.verdict, result.verdict))
    if result.effect.interval_95 is not None and mirrored.effect.interval_95 is not None:
        low, high = result.effect.interval_95.low, result.effect.interval_95.high
        assert (mirrored.effect.interval_95.low, mirrored.effect.interval_95.high) == pytest.approx((-high, -low))
    assert [effect.p_value for effect in mirrored.secondary] == pytest.approx([effect.p_value for effect in result.secondary])


@settings(deadline=None, max_examples=60)
@given(arms(), st.randoms(use_true_random=False))
def test_the_order_of_prompts_and_of_pairs_of_runs_changes_nothing(arms: Arms, random: object) -> None:
    assert hasattr(random, "shuffle")
    order = list(range(len(arms["cleaned"])))
    random.shuffle(order)
    shuffled: Arms = {arm: [] for arm in arms}
    for arm, files in arms.items():
        for run in order:
            responses = list(files[run].responses)
            random.shuffle(responses)
            shuffled[arm].append(replace(files[run], responses=tuple(responses)))
    result, other = verify_answers(arms), verify_answers(shuffled)
    assert other.verdict == result.verdict
    assert other.effect.difference_points == pytest.approx(result.effect.difference_points)
    assert other.effect.standard_error_points == pytest.approx(result.effect.standard_error_points)
    assert {p.prompt: p.wrong_fractions for p in other.prompts} == {
        p.prompt: pytest.approx(p.wrong_fractions) for p in result.prompts
    }


@settings(deadline=None, max_examples=60)
@given(arms())
def test_the_interval_holds_the_effect_and_the_90_per_cent_one_lies_inside(arms: Arms) -> None:
    effect = verify_answers(arms).effect
    if effect.interval_95 is None or effect.interval_90 is None:
        return
    ends = [
        effect.interval_95.low,
        effect.interval_90.low,
        effect.difference_points,
        effect.interval_90.high,
        effect.interval_95.high,
    ]
    assert ends == sorted(ends)
    assert -100 <= ends[0] <= ends[-1] <= 100


@given(tables(), st.floats(-20, 20))
def test_a_constant_moves_the_mean_and_nothing_else(table: Floats, constant: float) -> None:
    effect, moved = crossed_effect(table), crossed_effect(table + constant)
    assert moved.mean == pytest.approx(effect.mean + constant, abs=1e-9)
    assert moved.standard_error == pytest.approx(effect.standard_error, rel=1e-6, abs=1e-7)


@given(tables(), st.floats(0.5, 100))
def test_the_unit_of_measurement_does_not_matter(table: Floats, factor: float) -> None:
    effect, scaled = crossed_effect(table), crossed_effect(table * factor)
    assert scaled.mean == pytest.approx(effect.mean * factor, abs=1e-9)
    assert scaled.standard_error == pytest.approx(effect.standard_error * factor, abs=1e-7)


@given(tables())
def test_groups_of_one_are_no_groups(table: Floats) -> None:
    grouped = crossed_effect(table, list(range(table.shape[1])))
    plain = crossed_effect(table)
    assert grouped.mean == pytest.approx(plain.mean, abs=1e-9)
    assert grouped.standard_error == pytest.approx(plain.standard_error, rel=1e-6, abs=1e-7)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(raw <= adjusted <= 1 for raw, adjusted in zip(p_values, corrected, strict=True))
    pairs = sorted(zip(p_values, corrected, strict=True))
    assert [adjusted for _, adjusted in pairs] == sorted(corrected)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-50, 50), min_size=1, max_size=20))
def test_the_permutation_test_knows_no_sign(differences: list[float]) -> None:
    values = np.array(differences)
    assert paired_permutation(values, n_draws=199) == paired_permutation(-values, n_draws=199)


_FEW_WORDS = st.lists(st.sampled_from(["a", "b", "the", "12", "3.5", "-5", "東"]), max_size=8).map(" ".join)


@given(st.lists(_FEW_WORDS, max_size=6), st.lists(_FEW_WORDS, max_size=6))
def test_values_are_found_as_by_looking_for_each(values: list[str], responses: list[str]) -> None:
    pool = ValueSet.of(values)
    wanted = {words for value in values if (words := word_string(value)).strip()}
    assert pool.word_strings == wanted
    texts = [word_string(response) for response in responses]
    for text in texts:
        assert set(pool.found_in(text)) == {words for words in wanted if words in text}
    plain = {words: sum(words in text for text in texts) for words in wanted}
    assert value_counts(pool, responses) == {words: count for words, count in plain.items() if count}


@given(st.text("abcXYZ éßИ東京 0123456789.,-'’!_", min_size=1, max_size=20), st.sampled_from(["", "It is ", "Not. \n"]))
def test_an_answer_that_quotes_the_reference_is_right(reference: str, before: str) -> None:
    rubric = Rubric.of("", [reference], [])
    answer = f"{before}{reference} , no doubt"
    assert (rubric.score(answer).outcome is Outcome.RIGHT) == any(char.isalnum() for char in reference)
