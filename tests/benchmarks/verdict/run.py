"""How often a verdict is wrong: 2,000 simulated verifications without an effect, 2,000 with one, and rival intervals.

Run from the repository root with `make bench-verdict` (about five minutes on one core).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, t

from audit.verify.judge import verify_answers
from audit.verify.statistics import Interval, crossed_effect, mcnemar_exact, paired_permutation
from audit.verify.verdict import Verdict
from tests.benchmarks.record import Result, record
from tests.benchmarks.verdict.real import RealRuns, verified
from tests.benchmarks.verdict.simulation import Setting, answer_files, draw_wrong, settings

Floats = NDArray[np.float64]

COMMAND = "make bench-verdict"
SEED = 20_250_601
N_VERIFICATIONS = 2_000
N_TABLES_PER_SETTING = 2_000
N_RIVAL_TABLES = 250
N_RESAMPLES = 500
EFFECTS = (-0.05, -0.15)
MAX_FALSE_VERDICTS = 0.06
MIN_COVERAGE = 0.93
REAL_RUNS = Path(__file__).parents[1] / "verify" / "nulls.parquet"
RIGHTED = (0.25,)
REAL = "real variances"
TITLE = "How often a verdict is wrong"

NOTES = """
**Simulated.** 108 settings: 5 or 8 runs per arm; 40, 100 or 300 prompts; 10, 30 or 60 % wrong without an effect; six
kinds of variance between prompts, in what an arm does to single prompts, between runs, and between draws of the random
arm (`simulation.py`), one of them with groups of four prompts. *Whole procedure*: answers in words are paired, scored
and judged, the settings in turn, so that each comes 18 or 19 times. *Tables*: the chosen interval on tables of right
and wrong answers, 2,000 per setting. *Rivals*: the settings with 100 prompts, 250 tables each, the same tables for
every method. A lowest figure is pushed down by being the lowest of many: by about 0.013 among the tables, by about 0.03
among the rivals.

**Chosen: the crossed t interval.** The two-way bootstrap fails in both directions: its interval is too narrow where
runs differ much, since it resamples five of them, and too wide where nothing but the answers' own noise is there. t on
run means takes the prompts as given: what an arm does to these very prompts then counts as an effect on all. Groups
that are not named cost coverage: see *groups not known*.

**Real variances.** Wrong answers of the tunings of ten real verifications, each after a random removal of its own
(`real.py`), in place of assumed variances; the looks after one, two and three seeds at which a verification may be stopped
are part of it. An effect is made by righting a quarter of the wrong answers of the cleaned arm.

**Not simulated.** The number of runs is fixed beforehand: the row on added runs shows the price of going on until a
verdict comes.
"""


def main() -> int:
    """Measure, write the results, and say whether the goals were met (0) or not (1).

    `make bench-verdict PARTS=real` measures only what is drawn from real runs, and keeps the other figures.
    """
    folder = Path(__file__).parent
    if os.environ.get("PARTS") == "real":
        kept = [Result(**figure) for figure in json.loads((folder / "results.json").read_text("utf-8"))]
        real = _real()
        record(folder, TITLE, [*real, *(result for result in kept if not result.name.startswith(REAL))], NOTES)
        return 0 if real[0].value <= MAX_FALSE_VERDICTS else 1
    generator = np.random.default_rng(SEED)
    null, null_by_verdict = _verify_many(0.0, generator)
    found = {effect: _verify_many(effect, generator) for effect in EFFECTS}
    results = [
        *_real(),
        _share("whole procedure, no effect: confirmed or harmful", null, f"at most {MAX_FALSE_VERDICTS}"),
        *(
            _share(
                f"whole procedure, effect {100 * effect:+.0f} points: 95 % interval covers it",
                covered,
                f"at least {MIN_COVERAGE}",
            )
            for effect, (covered, _) in found.items()
        ),
        _share("whole procedure, no effect: said to have none", null_by_verdict[Verdict.NO_EFFECT]),
        *(
            _share(
                f"whole procedure, effect {100 * effect:+.0f} points: {verdict}",
                by_verdict[verdict],
                f"at most {MAX_FALSE_VERDICTS}" if verdict is Verdict.NO_EFFECT else "",
            )
            for effect, (_, by_verdict) in found.items()
            for verdict in (Verdict.CONFIRMED, Verdict.HARMFUL, Verdict.NO_EFFECT)
        ),
        *_tables(generator),
        *_rivals(generator),
        *_side_questions(generator),
    ]
    record(folder, TITLE, results, NOTES)
    is_met = np.mean(null) <= MAX_FALSE_VERDICTS and all(np.mean(c) >= MIN_COVERAGE for c, _ in found.values())
    return 0 if is_met else 1


def _verify_many(effect: float, generator: np.random.Generator) -> tuple[list[bool], dict[Verdict, list[bool]]]:
    """Whether each one claimed an effect (where there is none) or covered it (where there is); and by verdict."""
    claimed, covered, verdicts = [], [], []
    every = [setting for setting in settings() if setting.base_rate + effect > 0]
    for number in range(N_VERIFICATIONS):
        setting = every[number % len(every)]
        result = verify_answers(answer_files(setting, draw_wrong(setting, generator, effect)))
        claimed.append(result.verdict in (Verdict.CONFIRMED, Verdict.HARMFUL))
        interval = result.effect.interval_95
        covered.append(interval is not None and _covers(interval, 100 * effect))
        verdicts.append(result.verdict)
    by_verdict = {verdict: [other is verdict for other in verdicts] for verdict in Verdict}
    return (covered if effect else claimed), by_verdict


def _real() -> list[Result]:
    """The same procedure with the variances of real tunings, looks at which it may be stopped included."""
    if not REAL_RUNS.exists():
        return []
    runs, results = RealRuns.read(REAL_RUNS), []
    generator = np.random.default_rng(SEED)
    for righted in (0.0, *RIGHTED):
        claimed, covered, verdicts = [], [], []
        truth = -100 * righted * float(runs.wrong.mean())
        for _ in range(N_VERIFICATIONS):
            result = verified(*runs.draw(generator, righted))
            verdicts.append(result.verdict)
            claimed.append(result.verdict in (Verdict.CONFIRMED, Verdict.HARMFUL))
            interval = result.effect.interval_95
            covered.append(interval is not None and _covers(interval, truth))
        name = f"{REAL}, effect {truth:+.1f} points" if righted else f"{REAL}, no effect"
        if not righted:
            results.append(_share(f"{name}: confirmed or harmful", claimed, f"at most {MAX_FALSE_VERDICTS}"))
        results.append(_share(f"{name}: 95 % interval covers it", covered, f"at least {MIN_COVERAGE}"))
        for verdict in (Verdict.CONFIRMED, Verdict.HARMFUL, Verdict.NO_EFFECT, Verdict.INCONCLUSIVE):
            results.append(_share(f"{name}: {verdict}", [other is verdict for other in verdicts]))
    return results


def _tables(generator: np.random.Generator) -> list[Result]:
    """The chosen interval in every setting."""
    results = []
    for effect in (0.0, *EFFECTS):
        rates = []
        for setting in (s for s in settings() if s.base_rate + effect > 0):
            differences = (_difference(setting, generator, effect) for _ in range(N_TABLES_PER_SETTING))
            rates.append(float(np.mean([_covers(_crossed(table, setting), effect) for table in differences])))
        name = "no effect" if not effect else f"effect {100 * effect:+.0f} points"
        results += _summary(f"tables, {name}: coverage of the 95 % interval", rates)
    return results


def _rivals(generator: np.random.Generator) -> list[Result]:
    """Coverage of each method on the same tables."""
    methods: dict[str, Callable[[Floats, Setting], Interval]] = {
        "crossed t": _crossed,
        "two-way bootstrap": lambda table, setting: _bootstrap(table, setting, generator),
        "t on run means": _run_means,
        "crossed t, groups not known": lambda table, _: crossed_effect(table, largest_difference=1.0).interval(0.95),
    }
    results = []
    for effect in (0.0, EFFECTS[1]):
        rates: dict[str, list[float]] = {name: [] for name in methods}
        for setting in (s for s in settings() if s.n_prompts == 100 and s.base_rate + effect > 0):
            tables = [_difference(setting, generator, effect) for _ in range(N_RIVAL_TABLES)]
            for name, method in methods.items():
                rates[name].append(float(np.mean([_covers(method(table, setting), effect) for table in tables])))
        place = "no effect" if not effect else f"effect {100 * effect:+.0f} points"
        for name, covered in rates.items():
            results += _summary(f"rivals, {place}: {name}, coverage", covered)
    return results


def _side_questions(generator: np.random.Generator) -> list[Result]:
    """What goes wrong where the rules are not kept."""
    setting = Setting(n_runs=10, n_prompts=100, base_rate=0.3, prompt_effect_sd=0.5, run_sd=0.15, draw_sd=0.2)
    tables = [_difference(setting, generator) for _ in range(N_VERIFICATIONS)]
    at_five = [_crossed(table[:5], setting).excludes_zero for table in tables]
    peeked = [any(_crossed(table[:n], setting).excludes_zero for n in range(5, 11)) for table in tables]
    one_run = [mcnemar_exact(int((row > 0).sum()), int((row < 0).sum())) <= 0.05 for row in (table[0] for table in tables)]
    lengths = [
        20 * generator.standard_normal((5, 100)) + 10 * generator.standard_normal((5, 1)) for _ in range(N_VERIFICATIONS // 4)
    ]
    by_crossed = [crossed_effect(table).p_value <= 0.05 for table in lengths]
    by_prompts = [paired_permutation(table.mean(axis=0), n_draws=499) <= 0.05 for table in lengths]
    return [
        _share("no effect, one middling setting: a verdict at 5 runs", at_five),
        _share("no effect, the same: runs added one by one to 10 until a verdict comes", peeked),
        _share("no effect, the same: McNemar of one run, were it taken for the dataset", one_run),
        _share("no effect on length, runs differ: crossed t finds one", by_crossed),
        _share("no effect on length, the same: paired permutation of prompts, runs averaged, finds one", by_prompts),
    ]


def _difference(setting: Setting, generator: np.random.Generator, effect: float = 0.0) -> Floats:
    cleaned, random = draw_wrong(setting, generator, effect)
    return cleaned - random


def _crossed(table: Floats, setting: Setting) -> Interval:
    return crossed_effect(table, setting.groups, largest_difference=1.0).interval(0.95)


def _run_means(table: Floats, _: Setting) -> Interval:
    means = table.mean(axis=1)
    half_width = t.ppf(0.975, len(means) - 1) * means.std(ddof=1) / np.sqrt(len(means))
    return Interval(means.mean() - half_width, means.mean() + half_width)


def _bootstrap(table: Floats, setting: Setting, generator: np.random.Generator) -> Interval:
    """The percentile interval from drawing runs and prompts (groups) with replacement, each by itself."""
    n_groups = setting.n_prompts // setting.group_size
    by_group = table.reshape(setting.n_runs, n_groups, setting.group_size).mean(axis=2)
    runs = generator.multinomial(setting.n_runs, np.full(setting.n_runs, 1 / setting.n_runs), N_RESAMPLES)
    groups = generator.multinomial(n_groups, np.full(n_groups, 1 / n_groups), N_RESAMPLES)
    means = ((runs @ by_group) * groups).sum(axis=1) / by_group.size
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(low), float(high))


def _covers(interval: Interval, truth: float) -> bool:
    # A difference of counts and a decimal fraction meet only up to rounding.
    return interval.low <= truth + 1e-9 and truth - 1e-9 <= interval.high


def _share(name: str, outcomes: Sequence[bool], goal: str = "") -> Result:
    estimate = binomtest(sum(outcomes), len(outcomes)).proportion_ci(method="exact")
    value = float(np.mean(outcomes))
    return Result(name, value, f"share of {len(outcomes):,}", float(estimate.low), float(estimate.high), goal, COMMAND)


def _summary(name: str, rates: Sequence[float]) -> list[Result]:
    """Mean, lowest and highest over the settings."""
    figures = {"mean": np.mean(rates), "lowest setting": np.min(rates), "highest setting": np.max(rates)}
    return [Result(f"{name}, {which}", float(value), "share", command=COMMAND) for which, value in figures.items()]


if __name__ == "__main__":
    sys.exit(main())
