"""The order of the verdict: ill health, too little to judge, an effect, none, not known."""

from __future__ import annotations

import pytest

from audit.verify.statistics import CrossedEffect
from audit.verify.verdict import Decision, HealthLimits, RunHealth, Verdict, decide

# With so many degrees of freedom the 95 % interval is the mean ± 1.96, the 90 % interval ± 1.64 standard errors.
NORMAL = 1e9


def decision(mean: float, standard_error: float, **options: object) -> Decision:
    given: dict[str, object] = {"n_runs": 5, "delta_points": 5.0} | options
    return decide(CrossedEffect(mean, standard_error, NORMAL), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mean", "standard_error", "verdict", "small"),
    [
        (-12.0, 3.0, Verdict.CONFIRMED, False),
        (12.0, 3.0, Verdict.HARMFUL, False),
        (-2.0, 0.5, Verdict.CONFIRMED, True),
        (2.0, 0.5, Verdict.HARMFUL, True),
        (-1.0, 2.0, Verdict.NO_EFFECT, True),
        (1.0, 2.0, Verdict.NO_EFFECT, True),
        (-1.0, 3.0, Verdict.INCONCLUSIVE, False),
        (-5.9, 3.02, Verdict.INCONCLUSIVE, False),
    ],
)
def test_the_intervals_decide(mean: float, standard_error: float, verdict: Verdict, small: bool) -> None:
    decided = decision(mean, standard_error)
    assert (decided.verdict, decided.smaller_than_delta) == (verdict, small)
    assert ("smaller than 5 points" in decided.reason) == (small and verdict is not Verdict.NO_EFFECT)


def test_the_limit_is_the_90_per_cent_interval_within_delta() -> None:
    assert decision(-1.0, 2.4).verdict is Verdict.NO_EFFECT  # -4.95 to 2.95
    assert decision(-1.0, 2.5).verdict is Verdict.INCONCLUSIVE  # -5.11 to 3.11
    assert decision(-1.0, 2.4, delta_points=4.0).verdict is Verdict.INCONCLUSIVE


def test_ill_health_comes_first_and_names_every_problem() -> None:
    decided = decision(-12.0, 1.0, health_problems=["cleaned run 2: 9 of 10 answers are empty", "random run 1: …"])
    assert decided.verdict is Verdict.UNHEALTHY
    assert decided.reason == "cleaned run 2: 9 of 10 answers are empty; random run 1: …."
    assert decision(-12.0, 1.0, n_runs=3, health_problems=["x"]).verdict is Verdict.UNHEALTHY
    assert decision(-12.0, 1.0, n_runs=1, health_problems=["x"]).verdict is Verdict.UNHEALTHY


@pytest.mark.parametrize("n_runs", [2, 3, 4])
def test_fewer_than_five_runs_are_inconclusive_whatever_the_effect(n_runs: int) -> None:
    decided = decision(-40.0, 1.0, n_runs=n_runs)
    assert decided.verdict is Verdict.INCONCLUSIVE
    assert decided.reason == (
        f"{n_runs} runs per arm are too few for a verdict; 5 are needed."
        " The smallest effect that this design could have seen is 2.8 points."
    )


def test_one_run_gives_no_verdict() -> None:
    decided = decision(-40.0, 1.0, n_runs=1)
    assert decided.verdict is None
    assert "this run only" in decided.reason


def test_an_obstacle_is_the_reason() -> None:
    decided = decision(-40.0, 1.0, obstacles=["Every answer of both arms is right", "another"])
    assert decided == Decision(Verdict.INCONCLUSIVE, "Every answer of both arms is right.")


def test_an_inconclusive_verdict_says_what_could_have_been_seen() -> None:
    reason = decision(-1.0, 5.0).reason
    assert "95 % interval -10.8 to +8.8 points includes zero" in reason
    assert reason.endswith("The smallest effect that this design could have seen is 14.0 points.")
    assert decision(-1.0, 50.0).reason.endswith("is larger than any possible.")


def healthy(**counts: int) -> RunHealth:
    usual = {"n_answers": 50, "n_empty": 10, "n_repetitive": 10, "n_control": 10, "n_control_right": 3}
    return RunHealth("cleaned run 1", **(usual | counts))


def test_a_run_within_the_limits_has_no_problem() -> None:
    assert healthy().problems(HealthLimits()) == ()
    assert healthy(n_control=0, n_control_right=0).problems(HealthLimits()) == ()


@pytest.mark.parametrize(
    ("counts", "problem"),
    [
        ({"n_empty": 11}, "cleaned run 1: 11 of 50 answers are empty (limit 20%)"),
        ({"n_repetitive": 11}, "cleaned run 1: 11 of 50 answers repeat themselves (limit 20%)"),
        (
            {"n_control_right": 1},
            "cleaned run 1: 1 of 10 control prompts right, though the base model knows them (limit 50%)",
        ),
    ],
)
def test_a_run_beyond_a_limit_is_named_with_its_count(counts: dict[str, int], problem: str) -> None:
    assert healthy(**counts).problems(HealthLimits()) == (problem,)


def test_few_control_prompts_are_no_proof_of_ill_health() -> None:
    assert healthy(n_control=4, n_control_right=0).problems(HealthLimits()) == ()
    assert healthy(n_control=5, n_control_right=0).problems(HealthLimits()) != ()
