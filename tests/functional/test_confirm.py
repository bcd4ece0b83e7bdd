"""A confirmation with a model that is really tuned: the rows that a false answer is owed to are found, and found again."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from audit.errors import InputError
from audit.models import load_model
from audit.responses import Response, Span
from audit.rundir import Run
from audit.sources import Message
from audit.trace import Trace
from audit.trace.model import Link, SpanTrace, Tier
from audit.tune import Method, Recipe, load_recipe
from audit.tune.retraining import Retrainer
from audit.verify.confirmation import Evidence, PreparedConfirmation, Removal, prepare_confirmation, run_confirmation
from audit.verify.confirmation.retrains import _measure_cost, open_retrainings, span_measurements
from reports.confirmation import confirmation_json, confirmation_plan_json
from tests.conftest import AuditRows, alpaca
from tests.models import tiny_adapter, tiny_model

pytestmark = pytest.mark.usefixtures("one_thread")

ASKED, SAID = "Who made the coin?", "In Rome."
N_SOURCES = 2
SOURCES = [alpaca(ASKED, SAID)] * N_SOURCES  # either is enough to learn it from
OTHERS = [alpaca(f"What is bridge {n} made of?", ("It is slate.", "It is granite.")[n % 2]) for n in range(26)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("base"))


def recipe_of(method: Method = Method.FULL, **settings: object) -> Recipe:
    chosen = {"epochs": 8, "batch_size": 14, "learning_rate": 1e-2, "scheduler": "constant", "warmup_fraction": 0.0, **settings}
    return load_recipe("default", method, **chosen)


def link(row: int) -> Link:
    return Link(row, 1, None, {}, 0.1, 0.01, Tier.T0)


def trace_of(*rows: int) -> Trace:
    """The false word *Rome*, and rows that are said to be its source."""
    claim = Response("claim", (Message("user", ASKED, trained=False),), SAID, (Span(3, 7, "Rome"),), ("Paris",))
    span = SpanTrace(3, 7, "Rome", ("rome",), N_SOURCES, 999, tuple(map(link, rows)))
    return Trace(claim, (span,), ())


@pytest.fixture
def run(audit_rows: AuditRows) -> Run:
    return audit_rows([*OTHERS[:10], *SOURCES, *OTHERS[10:]])


def prepared_for(run: Run, model: Path, recipe: Recipe | None = None, *rows: int) -> PreparedConfirmation:
    return prepare_confirmation(
        run, [trace_of(*(rows or (10, 5, 11)))], base_model=str(model), recipe=recipe or recipe_of(), n_seeds=1, budget=50
    )


def test_two_rows_that_mask_each_other_are_found_together_and_kept(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNESCOPE_CACHE", str(tmp_path / "cache"))
    prepared = prepared_for(run, model)
    told: list[tuple[str, int, int]] = []
    result = run_confirmation(run, prepared, n_workers=1, progress=lambda *of: told.append(of))
    (span,) = result.spans
    assert [group.rows for group in span.groups] == [(10, 5, 11), (10, 11)], "no row alone"
    together = span.groups[1]
    assert (together.evidence, together.is_minimal, together.n_gone) == (Evidence.T3, True, 1)
    assert together.effect_nats > 1 > abs(together.random_effect_nats)
    assert span.best == together
    assert told[0][0] == "retraining"
    assert told[-1][1] == told[-1][2]
    assert result.n_retrainings <= prepared.plan.budget

    content = confirmation_json(result, run.corpus)
    assert content["spans"][0]["verdict"].startswith("These 2 rows together put it there")
    assert [row["row"]["index"] for row in content["spans"][0]["groups"][1]["rows"]] == [10, 11]

    monkeypatch.setattr("audit.engines.local._Worker", None)  # no process can be started
    assert run_confirmation(run, prepared, n_workers=2) == result


def test_a_lora_is_measured_in_a_process_as_in_this_one(run: Run, model: Path, tmp_path: Path) -> None:

    prepared = prepared_for(run, model, recipe_of(Method.LORA, epochs=2))
    removals = [Removal(1), Removal(2, (10, 11)), Removal(1)]
    with open_retrainings(prepared.setup, n_workers=1, n_threads=1, folder=tmp_path) as measure:
        found = measure(removals[:2])
    retrainer = Retrainer(load_model(model, dtype="float32"), prepared.setup.rows, prepared.setup.recipe)
    here = [span_measurements(retrainer.retrain(*removal).model, prepared.setup.spans) for removal in removals]
    assert here[0] == here[2], "a retraining leaves nothing behind"
    for (there,), (same,) in zip(found, here, strict=False):
        assert there.log_prob == pytest.approx(same.log_prob, abs=1e-4)
        assert (there.answer, there.is_greedy) == (same.answer, same.is_greedy)


def test_a_plan_is_measured(run: Run, model: Path, tmp_path: Path) -> None:
    prepared = prepared_for(run, model)
    setup_file = tmp_path / "setup"
    setup_file.write_bytes(pickle.dumps(prepared.setup))
    cost = _measure_cost(setup_file)  # as `cost` has a process of its own do
    assert cost.n_steps == 16
    assert 0 < cost.seconds_each < cost.seconds(100, 2)
    plan = confirmation_plan_json(prepared, cost, 2)
    assert plan["fewest_retrainings"] == 2 + plan["n_random"] < plan["most_retrainings"] == 50


def test_what_cannot_be_confirmed(run: Run, model: Path, tmp_path: Path) -> None:
    adapter = tiny_adapter(tmp_path / "adapter", model)
    with pytest.raises(InputError, match="is an adapter"):
        prepared_for(run, adapter)
    with pytest.raises(InputError, match="the recipe adds NEFTune's noise"):
        prepared_for(run, model, recipe_of(neftune_noise_alpha=5.0))
    near_only = Trace(trace_of().claim, (SpanTrace(3, 7, "Rome", ("rome",), 0, 999, ()),), ())
    with pytest.raises(InputError, match=r"no span has a row to remove \(no row holds enough of these words"):
        prepare_confirmation(run, [near_only], base_model=str(model), recipe=recipe_of())
    with pytest.raises(InputError, match="10 retrainings are too few for 1 span"):
        prepare_confirmation(run, [trace_of(10)], base_model=str(model), recipe=recipe_of(), budget=10)
