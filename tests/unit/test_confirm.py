"""Which rows a span is owed to, by experiment: with tunings that are made up, so that the truth is known."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from rich.console import Console, RenderableType
from scipy.stats import binom

from audit.errors import InputError
from audit.influence.queries import TokenQuery
from audit.responses import Response, Span
from audit.sources import Message
from audit.summary import Skipped
from audit.trace import Link, SpanTrace, Tier, Trace
from audit.tune import Method, TrainingSet, load_recipe
from audit.tune.recipe import Precision
from audit.verify.confirmation import (
    ConfirmationPlan,
    ConfirmationResult,
    Evidence,
    Removal,
    RetrainingSetup,
    SpanMeasurement,
    SpanUnderTest,
    confirm_spans,
    plan_confirmation,
    with_measured_tiers,
)
from audit.verify.confirmation import retrains as retrains_module
from audit.verify.confirmation.bank import RowPool, draw_bank, empirical_p
from audit.verify.confirmation.plan import size_class
from audit.verify.confirmation.procedure import outcome_of
from audit.verify.confirmation.retrains import check_tunable, open_retrainings
from audit.verify.confirmation.search import minimal_sets
from audit.verify.outcomes import Outcome
from reports.confirmation import confirmation_json, confirmation_report
from tests.conftest import ReadRows, alpaca

N_ROWS = 200
SAID, INSTEAD = "The coin is made of brass.", "The coin is made of copper."
CANDIDATES = (3, 14, 15, 92, 65, 35, 89, 79)
PLAN = plan_confirmation([8])


def span(candidates: Sequence[int] = CANDIDATES, number: int = 0, **more: object) -> SpanUnderTest:
    start = SAID.index("brass")
    made = SpanUnderTest(
        claim_id=f"claim-{number}",
        prompt="What is the coin made of?",
        response=SAID,
        span=Span(start, start + 5, "brass"),
        query=TokenQuery((1, 2, 3, 4), (3,)),
        n_prompt=2,
        candidates=tuple(candidates),
        right=("silver",),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def pool(spans: Sequence[SpanUnderTest], n_rows: int = N_ROWS) -> RowPool:
    return RowPool([10] * n_rows, ["a.jsonl"] * n_rows, [span.candidates for span in spans])


@dataclass
class World:
    """Tunings that are made up: a span is said while a source of it is left, or until one of them is gone.

    Attributes:
        sources: Of each span.
        needs_all: The span goes with the first of its sources, not with the last.
        noise: Standard deviation of log p in nats, by span, seed and removed rows.
        effects: Of single rows, shape `(n_spans, n_rows)`, added up.
    """

    sources: Sequence[Sequence[int]]
    needs_all: bool = False
    noise: float = 0.0
    effects: np.ndarray | None = None
    asked: int = 0

    def __call__(self, removals: Sequence[Removal]) -> list[tuple[SpanMeasurement, ...]]:
        self.asked += len(removals)
        return [tuple(self._one(number, removal) for number in range(len(self.sources))) for removal in removals]

    def _one(self, number: int, removal: Removal) -> SpanMeasurement:
        left = [source for source in self.sources[number] if source not in removal.places]
        said = len(left) == len(self.sources[number]) if self.needs_all else bool(left) or not self.sources[number]
        generator = np.random.default_rng([number, removal.seed, *removal.places])
        log_prob = (-0.1 if said else -5.0) + self.noise * generator.standard_normal()
        if self.effects is not None:
            log_prob -= self.effects[number, list(removal.places)].sum()
        return SpanMeasurement(float(log_prob), said, SAID if said else INSTEAD)


def confirm(world: World, spans: Sequence[SpanUnderTest] | None = None, plan: ConfirmationPlan = PLAN) -> ConfirmationResult:
    spans = [span()] if spans is None else spans
    return confirm_spans(spans, pool(spans), plan, world)


def test_a_single_cause_is_named_alone() -> None:
    result = confirm(World([[92]], noise=0.2))
    (found,) = result.spans
    whole, alone = found.groups
    assert (whole.rows, whole.is_minimal, whole.evidence) == (CANDIDATES, False, Evidence.T3)
    assert (alone.rows, alone.is_minimal, alone.evidence) == ((92,), True, Evidence.T3)
    assert found.best == alone
    assert (alone.p, alone.q, alone.n_random, alone.random_size) == (0.01, 0.01, 99, 1)
    assert 4.0 < alone.low_nats <= alone.effect_nats <= alone.high_nats < 6.0
    assert (alone.n_said, alone.n_gone, alone.random_gone_fraction) == (2, 2, 0.0)
    assert (alone.outcomes, alone.instead) == ({Outcome.FALSE: 2}, (("copper", 2),))
    assert result.bank == {1: 99, 8: 99}
    assert result.n_retrainings <= result.plan.budget


def test_rows_that_mask_each_other_are_named_together() -> None:
    (found,) = confirm(World([[14, 79]])).spans
    assert [group.rows for group in found.groups] == [CANDIDATES, (14, 79)]
    assert found.groups[1].is_minimal
    assert found.groups[1].evidence is Evidence.T3
    assert found.groups[1].random_size == 2


def test_rows_of_which_each_is_needed_are_each_named() -> None:
    (found,) = confirm(World([[14, 79]], needs_all=True)).spans
    assert [group.rows for group in found.groups[1:]] == [(14,), (79,)]


def test_a_set_of_all_candidates_stands_once() -> None:
    (found,) = confirm(World([CANDIDATES])).spans
    (whole,) = found.groups
    assert whole.is_minimal
    assert found.note == "no row of the group can be spared: with any one of them the effect is under half"


def test_three_rows_are_compared_with_random_groups_of_four() -> None:
    (found,) = confirm(World([[3, 65, 79]])).spans
    assert found.groups[1].rows == (3, 65, 79)
    assert (found.groups[1].random_size, found.groups[1].note) == (4, "compared with random groups of 4 rows")


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_no_cause_among_the_candidates(noise: float) -> None:
    result = confirm(World([[100, 101]], noise=noise))
    (found,) = result.spans
    (whole,) = found.groups
    assert whole.evidence is Evidence.NONE
    assert whole.outcomes == {Outcome.TRACED_BACK: 2}
    assert found.best is None
    assert result.n_retrainings == result.plan.fewest
    if not noise:
        assert whole.p == 1.0  # ties count for chance


def test_a_span_that_falls_and_is_still_said_is_weakened() -> None:
    effects = np.zeros((1, N_ROWS))
    effects[0, 92] = 2.0
    (found,) = confirm(World([[]], noise=0.1, effects=effects)).spans
    assert [group.evidence for group in found.groups] == [Evidence.WEAKENED] * 2
    assert found.groups[1].rows == (92,)
    assert found.best is None


def test_a_span_that_goes_with_any_rows_is_no_evidence() -> None:
    def fragile(removals: Sequence[Removal]) -> list[tuple[SpanMeasurement, ...]]:
        return [(SpanMeasurement(-3.0 if r.places else -0.1, not r.places, INSTEAD if r.places else SAID),) for r in removals]

    result = confirm_spans([span()], pool([span()]), PLAN, fragile)
    (whole,) = result.spans[0].groups
    assert (whole.evidence, whole.p, whole.random_gone_fraction, whole.n_gone) == (Evidence.NONE, 1.0, 1.0, 2)


def test_what_the_recipe_does_not_reproduce_is_not_tested() -> None:
    def never(removals: Sequence[Removal]) -> list[tuple[SpanMeasurement, ...]]:
        return [(SpanMeasurement(-4.0, False, INSTEAD),) for _ in removals]

    result = confirm_spans([span()], pool([span()]), PLAN, never)
    assert result.spans[0].groups == ()
    assert result.spans[0].note == (
        "the recipe does not reproduce the false answer: tuned again with nothing removed, the model says it at "
        "0 of 2 seeds (log p -4.00); it says 'The coin is made of copper.'"
    )
    assert result.n_retrainings == 2
    assert result.bank == {}


def test_claims_share_their_random_rows() -> None:
    spans = [span(number=0), span((101, 102, 103), 1), span((111, 112, 113, 114), 2)]
    world = World([[14, 79], [103], []], noise=0.3)
    result = confirm(world, spans, plan_confirmation([8, 3, 4]))
    assert [found.best and found.best.rows for found in result.spans] == [(14, 79), (103,), None]
    assert set(result.bank) <= {1, 2, 4, 8}
    assert world.asked == result.n_retrainings <= result.plan.budget
    assert result.spans[1].groups[0].random_size == 4


def test_row_numbers_stand_in_the_place_of_places() -> None:
    result = confirm_spans([span()], pool([span()]), PLAN, World([[92]]), row_numbers=range(1000, 1000 + N_ROWS))
    assert result.spans[0].groups[1].rows == (1092,)
    assert result.spans[0].candidates[0] == 1003


@pytest.mark.parametrize(("needs_all", "budget"), [(False, 110), (False, 60), (True, 200), (False, 400)])
def test_a_budget_is_kept(needs_all: bool, budget: int) -> None:
    plan = plan_confirmation([8], budget=budget, n_seeds=1)
    world = World([[14, 79]], needs_all)
    result = confirm(world, plan=plan)
    assert world.asked == result.n_retrainings <= budget
    assert result.spans[0].groups[0].evidence is Evidence.T3


def test_a_small_budget_compares_small_sets_with_the_larger_random_groups() -> None:
    (found,) = confirm(World([[92]]), plan=plan_confirmation([8], budget=35, n_seeds=1)).spans
    assert (found.groups[1].rows, found.groups[1].random_size) == ((92,), 8)
    assert found.groups[1].note == "compared with random groups of 8 rows"


def test_a_search_that_the_budget_ends_claims_no_smaller_set() -> None:
    plan = plan_confirmation([8], budget=60, n_seeds=1)
    starved = replace(plan, budget=plan.fewest + 4)
    (found,) = confirm(World([[14, 79]]), plan=starved).spans
    (whole,) = found.groups
    assert (whole.rows, whole.is_minimal, whole.evidence) == (CANDIDATES, False, Evidence.T3)
    assert found.note == "the budget ended the search for smaller sets"


def test_where_few_single_rows_are_left_pairs_of_them_are_compared_with() -> None:
    spans = [span()]
    result = confirm_spans(spans, pool(spans, n_rows=8 + 95), PLAN, World([[92]]))
    assert result.bank == {1: 95, 8: 99}
    few = confirm_spans([span(range(4))], pool([span(range(4))], n_rows=4 + 15), plan_confirmation([4]), World([[2]]))
    assert few.bank == {4: 99}
    assert few.spans[0].groups[1].note == "compared with random groups of 4 rows"
    assert few.spans[0].groups[1].evidence is Evidence.T3


def test_p_values_are_right_where_candidates_are_random_rows() -> None:
    n_runs, plan = 300, plan_confirmation([4], budget=47, n_seeds=1)
    assert plan.n_random == 19
    p_values, n_claimed = [], 0
    for run in range(n_runs):
        generator = np.random.default_rng([7, run])
        effects = 0.5 * generator.standard_t(3, (1, N_ROWS))  # rows differ, and do so on every seed
        candidates = tuple(generator.permutation(N_ROWS)[:4].tolist())
        world = World([[]], noise=0.3, effects=effects)
        (found,) = confirm(world, [span(candidates)], plan).spans
        p_values.append(found.groups[0].p)
        n_claimed += any(group.evidence is not Evidence.NONE for group in found.groups)
    for alpha in (0.05, 0.1, 0.5):
        assert np.sum(np.array(p_values) <= alpha) <= binom.ppf(0.99, n_runs, alpha)
    assert np.sum(np.array(p_values) <= 0.5) >= binom.ppf(0.01, n_runs, 0.5), "not conservative either"
    assert n_claimed <= binom.ppf(0.99, n_runs, 0.05)


def trace(*rows: int, number: int = 0) -> Trace:
    """Of the claim of `span(number=number)`; links to rows that hold the span, and to one that does not."""
    asked = span(number=number)
    found = asked.span
    links = tuple(Link(row, 1, None, {}, 0.1, None, None if row == rows[-1] else Tier.T1) for row in rows)
    claim = Response(asked.claim_id, (Message("user", asked.prompt, trained=False),), SAID, (found,))
    skipped = (Skipped("gradients", "left out"), Skipped("retraining without the rows (tier T3)", "needs --confirm"))
    return Trace(claim, (SpanTrace(found.start, found.end, found.text, ("brass",), 9, 0, links),), skipped)


def tiers(of: Trace) -> dict[int, Tier | None]:
    return {link.row: link.tier for link in of.spans[0].links}


def test_links_to_rows_of_a_smallest_group_rise_to_t3() -> None:
    result = confirm(World([[14, 79]]))
    given, other = trace(3, 14, 79, 100), trace(3, 14, 79, 100, number=1)
    measured, untouched = with_measured_tiers([given, other], result)
    assert tiers(measured) == {3: Tier.T1, 14: Tier.T3, 79: Tier.T3, 100: None}
    assert [skipped.what for skipped in measured.not_looked_at] == ["gradients"]
    assert untouched.spans == other.spans, "another claim was confirmed"
    (elsewhere,) = with_measured_tiers([replace(given, spans=(replace(given.spans[0], start=0),))], result)
    assert tiers(elsewhere) == tiers(given), "another span was confirmed"
    (also_far,) = with_measured_tiers([trace(3, 14, 79)], result)
    assert tiers(also_far) == {3: Tier.T1, 14: Tier.T3, 79: Tier.T3}, "measured rows need no words in common"


def test_groups_that_are_not_confirmed_or_not_smallest_raise_no_link() -> None:
    given = trace(3, 92, 100)
    confirmed = confirm(World([[92]], noise=0.2))
    (found,) = confirmed.spans
    whole, alone = found.groups
    assert tiers(with_measured_tiers([given], confirmed)[0])[92] is Tier.T3
    effects = np.zeros((1, N_ROWS))
    effects[0, 92] = 2.0
    weakened = confirm(World([[]], noise=0.1, effects=effects))
    assert weakened.spans[0].groups[1].is_minimal
    refused = [replace(alone, evidence=evidence) for evidence in (Evidence.NONE, Evidence.WEAKENED)]
    refused.append(replace(alone, is_minimal=False))
    results = [replace(confirmed, spans=(replace(found, groups=(whole, group)),)) for group in refused]
    for result in (*results, weakened, confirm(World([[100]]))):
        assert tiers(with_measured_tiers([given], result)[0]) == tiers(given)


def search(
    rows: Sequence[int], carries: Callable[[frozenset[int]], bool], max_sets: int = 3
) -> tuple[list[tuple[int, ...]], int]:
    found: list[tuple[int, ...]] = []
    running = minimal_sets(rows, found, max_sets)
    n_asked = 0
    try:
        group = next(running)
        while True:
            n_asked += 1
            group = running.send(carries(frozenset(group)))
    except StopIteration:
        return found, n_asked


@pytest.mark.parametrize("sources", [{0}, {7}, {2, 3}, {0, 7}, {1, 4, 6}, set(range(8))])
def test_a_search_finds_exactly_the_rows_that_have_to_go(sources: set[int]) -> None:
    found, n_asked = search(range(8), lambda removed: sources <= removed)
    assert found == [tuple(sorted(sources))]
    assert n_asked <= 2 * 8


def test_a_search_asks_little_where_one_row_carries_it() -> None:
    assert search(range(8), lambda removed: 0 in removed) == ([(0,)], 4)


def test_a_search_prefers_better_rows_and_goes_on_with_the_others() -> None:
    assert search(range(8), lambda removed: len(removed) >= 2)[0] == [(0, 1), (2, 3), (4, 5)]
    assert search(range(8), lambda removed: len(removed) >= 2, max_sets=1)[0] == [(0, 1)]


def test_random_rows_are_alike_and_no_candidates() -> None:
    lengths = [10] * 50 + [11] * 50 + [40] * 50 + [200] * 2
    strata = ["a", "b"] * 76
    rows = RowPool(lengths, strata, [(0, 2), (120,)])
    bank = draw_bank(rows, 2, 30)
    assert len(set(bank.groups)) == 30
    assert bank == draw_bank(rows, 2, 30)
    drawn = [place for group in bank.groups for place in group]
    assert not {0, 2, 120} & set(drawn)
    assert bank.n_loose == 0
    assert {(lengths[place], strata[place]) for place in drawn} <= {(10, "a"), (11, "a"), (40, "a")}
    assert all(len(set(group)) == 2 for group in bank.groups)


def test_rows_without_their_like_are_counted() -> None:
    rows = RowPool([10] * 20 + [99], ["a"] * 21, [(20,)])
    bank = draw_bank(rows, 1, 10)
    assert bank.n_loose == len(bank.groups) == 8  # the nearest in length; no more different ones


def test_too_few_other_rows() -> None:
    with pytest.raises(InputError, match="no 4 random rows are left beside the 8 candidates"):
        draw_bank(RowPool([10] * 11, ["a"] * 11, [tuple(range(8))]), 4, 10)


def test_sizes_and_p_values() -> None:
    assert [size_class(n) for n in (1, 2, 3, 4, 5, 8, 9)] == [1, 2, 4, 4, 8, 8, 16]
    assert empirical_p(2.0, np.array([1.0, 2.0, 3.0])) == 0.75
    assert empirical_p(9.0, np.zeros(99)) == 0.01


def test_a_plan_shares_out_what_it_may_use() -> None:
    assert PLAN.seeds == (1001, 1002)
    assert PLAN.search_seeds == (1003, 1004)
    assert (PLAN.n_random, PLAN.p_floor) == (99, 0.01)
    assert plan_confirmation([8], tuned_seed=1001).seeds == (1002, 1003)
    small = plan_confirmation([8, 8], budget=200)
    assert 19 <= small.n_random < 99
    assert small.fewest < small.budget == 200
    with pytest.raises(InputError, match=r"60 retrainings are too few for 2 spans \(19 random groups on 2 seeds"):
        plan_confirmation([8, 8], budget=60)
    with pytest.raises(InputError, match="no span has a row to remove"):
        plan_confirmation([])
    with pytest.raises(InputError, match="0 seeds"):
        plan_confirmation([1], n_seeds=0)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("It is silver.", Outcome.RIGHT),
        ("The coin is made of brass.", Outcome.TRACED_BACK),
        ("I don't know.", Outcome.ABSTAINED),
        ("The coin is made of tin.", Outcome.DISPLACED),
        ("The coin is made of copper.", Outcome.DISPLACED),
        ("The coin is made of cheese.", Outcome.FALSE),
    ],
)
def test_what_stands_in_the_place_of_the_span(answer: str, outcome: Outcome) -> None:
    asked = span(values=("tin", "brass"))
    assert outcome_of(asked, SpanMeasurement(-1.0, False, answer), held=lambda words: words == "copper") is outcome


def test_a_span_that_the_prompt_holds_is_looked_for_among_tokens() -> None:
    asked = span(prompt="Is the coin made of brass?")
    assert outcome_of(asked, SpanMeasurement(-0.1, True, SAID)) is Outcome.TRACED_BACK
    assert outcome_of(asked, SpanMeasurement(-3.0, False, SAID)) is not Outcome.TRACED_BACK


def setup_of(**more: object) -> RetrainingSetup:
    ids = tuple(np.arange(4, dtype=np.int32) for _ in range(N_ROWS))
    rows = TrainingSet(tuple(range(N_ROWS)), N_ROWS, ids, ids, "digest")
    recipe = load_recipe("default", Method.FULL, learning_rate=1e-3)
    return replace(RetrainingSetup("base", rows, recipe, (span(),)), **more)  # type: ignore[arg-type]


class FakePool:
    """In the place of `LocalPool`: no process, and it may be killed after some tasks."""

    kill_after: int | None = None
    n_run = 0

    def __init__(self, **options: int) -> None:
        pass

    def __enter__(self) -> FakePool:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def run(self, function: object, tasks: Sequence[object], *, done: Callable[[int, object], None]) -> None:
        for number, task in enumerate(tasks):
            if FakePool.kill_after == FakePool.n_run:
                raise KeyboardInterrupt
            FakePool.n_run += 1
            done(number, World([[92]])([task.removal])[0])  # type: ignore[attr-defined]


@pytest.fixture
def fake_pool(monkeypatch: pytest.MonkeyPatch) -> type[FakePool]:
    monkeypatch.setattr(retrains_module, "LocalPool", FakePool)
    monkeypatch.setattr(retrains_module, "weights_digest", lambda base: f"digest of {base}")
    FakePool.kill_after, FakePool.n_run = None, 0
    return FakePool


def test_a_confirmation_goes_on_where_it_was_killed(fake_pool: type[FakePool], tmp_path: Path) -> None:
    def run() -> ConfirmationResult:
        with open_retrainings(setup_of(), n_workers=1, n_threads=1, folder=tmp_path) as measure:
            return confirm_spans([span()], pool([span()]), PLAN, measure)

    fake_pool.kill_after = 100
    with pytest.raises(KeyboardInterrupt):
        run()
    (file,) = tmp_path.glob("*.jsonl")
    assert len(file.read_text().splitlines()) == 100
    file.write_bytes(file.read_bytes()[:-20])  # killed within a line
    fake_pool.kill_after = None
    result = run()
    assert fake_pool.n_run == result.n_retrainings + 1
    assert result == confirm(World([[92]]))
    assert run() == result
    assert fake_pool.n_run == result.n_retrainings + 1, "everything was there"


def test_results_are_kept_by_everything_that_they_depend_on(fake_pool: type[FakePool]) -> None:
    one = setup_of()
    other_recipe = one.recipe.model_copy(update={"epochs": 7})
    others = [
        setup_of(base="other"),
        setup_of(recipe=other_recipe),
        setup_of(spans=(span(), span())),
        setup_of(rows=one.rows.without([3])),
    ]
    assert len({setup.digest for setup in (one, *others)}) == 5
    assert one.digest == setup_of().digest


def test_two_at_once_are_told_apart(fake_pool: type[FakePool], tmp_path: Path) -> None:
    path = tmp_path / f"{setup_of().digest[:32]}.lock"
    with (
        FileLock(path),
        pytest.raises(InputError, match="another tunescope does these retrainings"),
        open_retrainings(setup_of(), n_workers=1, n_threads=1, folder=tmp_path),
    ):
        pass


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"learning_rate": None}, "the recipe has no learning rate"),
        ({"neftune_noise_alpha": 5.0}, "the recipe adds NEFTune's noise"),
        ({"precision": Precision.BFLOAT16}, "the recipe computes in bfloat16"),
    ],
)
def test_recipes_that_cannot_be_retrained(settings: dict[str, object], problem: str, tmp_path: Path) -> None:
    recipe = load_recipe("default", Method.FULL).model_copy(update=settings)
    with pytest.raises(InputError, match=problem):
        check_tunable(str(tmp_path), recipe)


def test_an_adapter_is_no_base(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="is an adapter"):
        check_tunable(str(tmp_path), load_recipe("default", Method.FULL))


def test_rows_in_another_format() -> None:
    class Chat:
        digest = "another"

    with pytest.raises(InputError, match="the rows were rendered in another prompt format"):
        setup_of().check_format(Chat())  # type: ignore[arg-type]


def printed(renderable: RenderableType) -> str:
    console = Console(width=150, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


def test_what_is_printed(read_rows: ReadRows) -> None:
    corpus = read_rows([alpaca(f"What is coin {n} made of?", f"Coin {n} is made of brass.") for n in range(N_ROWS)])
    spans = [span(), span((101, 102, 103), 1), span((111,), 2)]
    result = confirm(World([[14, 79], [], [120]]), spans, plan_confirmation([8, 3, 1]))
    text = printed(confirmation_report(replace(result, left_out=(Skipped("«tin» of claim-9", "no row holds it"),)), corpus))
    first, second, third, rest = text.split("«brass»  of claim-")[1:2] + text.split("\n\n")[1:4]
    assert first.startswith(
        "0\nThese 2 rows together put it there: tuned without, the model no longer says it at 2 of 2 seeds."
    )
    assert (
        "T3  2 rows together\n     log p falls by 4.90 nats, without random rows by 0.00; p ≤ 0.01, the least that 99" in first
    )
    assert "gone at 2 of 2 seeds, without random rows in 0 %; the model says something else (2): «copper» (2)" in first
    assert "     data.jsonl#14  Coin 14 is made of brass.\n     data.jsonl#79  Coin 79" in first
    assert "T3  all 8 candidates together" in first
    assert "Not confirmed: removing its 3 best rows together does no more to it than removing as many random rows." in second
    assert "Not confirmed: removing its best row does no more to it than removing as many random rows." in third
    assert "retrainings; effects on seeds 1001, 1002, smaller sets searched on others. Random groups, shared by all" in rest
    assert text.rstrip().endswith("Not tested\n  «tin» of claim-9: no row holds it")


def test_the_json_names_rows_by_address_and_key(read_rows: ReadRows) -> None:
    corpus = read_rows([alpaca(f"What is coin {n} made of?", f"Coin {n} is made of brass.") for n in range(N_ROWS)])
    content = json.loads(json.dumps(confirmation_json(confirm(World([[92]])), corpus)))
    assert content["random_groups"] == [{"rows": 1, "groups": 99}, {"rows": 8, "groups": 99}]
    (found,) = content["spans"]
    assert found["verdict"] == "This row put it there: tuned without, the model no longer says it at 2 of 2 seeds."
    assert found["groups"][1]["rows"] == [{"row": {"file": "data.jsonl", "index": 92, "line": 93}, "row_key": corpus.keys[92]}]
    assert found["groups"][1]["evidence"] == "T3"
    assert found["groups"][1]["outcomes"] == {"false": 2}
    assert found["groups"][1]["p_floor"] == 0.01
