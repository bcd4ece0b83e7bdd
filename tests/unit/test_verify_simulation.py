"""How often a verdict is wrong, in short; `tests/benchmarks/verdict` has the figures at length."""

from __future__ import annotations

import numpy as np
from scipy.stats import binom

from audit.verify.judge import verify_answers
from audit.verify.verdict import Verdict
from audit.verify.verification import Verification
from tests.benchmarks.verdict.simulation import answer_files, draw_wrong, settings

N_VERIFICATIONS = 300


def simulated(effect: float, seed: int) -> list[Verification]:
    generator = np.random.default_rng(seed)
    every = [setting for setting in settings() if setting.n_prompts < 300 and setting.base_rate + effect > 0]
    chosen = [every[number % len(every)] for number in range(N_VERIFICATIONS)]
    return [verify_answers(answer_files(setting, draw_wrong(setting, generator, effect))) for setting in chosen]


def test_without_an_effect_few_verifications_claim_one() -> None:
    n_claimed = sum(result.verdict in (Verdict.CONFIRMED, Verdict.HARMFUL) for result in simulated(0.0, seed=1))
    assert 0 < n_claimed <= binom.ppf(0.999, N_VERIFICATIONS, 0.06)


def test_an_effect_is_covered_and_often_confirmed_and_never_called_harmful() -> None:
    results = simulated(-0.15, seed=2)
    intervals = [result.effect.interval_95 for result in results]
    n_covered = sum(interval is not None and interval.low <= -15 <= interval.high for interval in intervals)
    assert n_covered >= binom.ppf(0.001, N_VERIFICATIONS, 0.93)
    verdicts = [result.verdict for result in results]
    assert verdicts.count(Verdict.CONFIRMED) > N_VERIFICATIONS / 3
    assert verdicts.count(Verdict.HARMFUL) == 0
