"""The loop of the tool on one world: tune on all rows, trace what the model says wrongly, drop the blamed rows, verify."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.config import make_config
from audit.engines import run_tasks
from audit.export import ExportRequest, plan_export, write_export
from audit.pipeline import run_audit
from audit.rendering import load_chat_format
from audit.responses import Split, read_prompts, read_responses
from audit.rundir import Run
from audit.trace import Tracer, blame_rows
from audit.trace.stored import store_traces
from audit.tune import Method, TrainingSet, load_recipe, training_set
from audit.tune.rates import RateChoice, choose_learning_rate
from audit.verify.campaign import TuningTask, run_campaign, tune_task
from audit.verify.design import CampaignRequest, plan_design
from audit.verify.result import CampaignResult

__all__ = [
    "GRID",
    "MAX_NEW_TOKENS",
    "N_WORKERS",
    "RECIPE",
    "Traced",
    "World",
    "chosen_rates",
    "drop_blamed",
    "trained_rows",
    "tuned_models",
    "verified",
]

RECIPE = "pocket"
MAX_NEW_TOKENS = 32
N_WORKERS = 2
TRACE = "wrong"
_SEED, _RATE_SEED = 0, 999
GRID = Path(__file__).with_name("recipe.yaml")


@dataclass(frozen=True)
class World:
    """A base model, rows and prompts on disk, and which rows are false."""

    folder: Path
    base: Path
    rows: Path
    prompts: Path
    false_rows: frozenset[int]

    @classmethod
    def write(cls, folder: Path, base: Path, lines: Sequence[str], prompts: Sequence[str], false_rows: Sequence[int]) -> World:
        """Put rows and prompts into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        world = cls(folder, base, folder / "rows.jsonl", folder / "prompts.jsonl", frozenset(false_rows))
        world.rows.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        world.prompts.write_text("".join(f"{line}\n" for line in prompts), encoding="utf-8")
        return world

    def audited(self) -> Run:
        """The run of its rows, made once."""
        path = self.folder / "run"
        if path.exists():
            return Run.open(path)
        return run_audit(make_config({"data": str(self.rows)}), path, render=lambda *_: {})


def trained_rows(run: Run, base: Path) -> TrainingSet:
    """All rows that can be trained on."""
    return training_set(run.corpus, load_chat_format(base), 1024)


def chosen_rates(world: World, run: Run, methods: Sequence[Method]) -> dict[Method, RateChoice]:
    """The rate of least held-out loss on the same grid for every method."""
    return {
        method: choose_learning_rate(
            str(world.base),
            trained_rows(run, world.base),
            load_recipe(GRID, method),
            _RATE_SEED,
            world.folder / "rates" / method,
            n_workers=N_WORKERS,
            n_threads=1,
        )
        for method in methods
    }


def tuned_models(world: World, run: Run, rates: Mapping[Method, float | None]) -> dict[Method, TuningTask]:
    """Models tuned on all rows, with their answers to all prompts, made once; a rate of `None` is the recipe's."""
    training = trained_rows(run, world.base)
    prompts = read_prompts(world.prompts)
    tasks = {
        method: TuningTask(
            name=f"{method} on all rows",
            base=str(world.base),
            training=training,
            recipe=load_recipe(RECIPE, method, learning_rate=rate),
            seed=_SEED,
            prompts=prompts,
            max_new_tokens=MAX_NEW_TOKENS,
            model=world.folder / "models" / method,
            keep_model=True,
            answers=world.folder / f"{method}.answers.jsonl",
            record=world.folder / f"{method}.record.json",
        )
        for method, rate in rates.items()
    }
    missing = [task for task in tasks.values() if not task.record.exists()]
    run_tasks(tune_task, missing, n_workers=N_WORKERS, n_threads=1)
    return tasks


@dataclass(frozen=True)
class Traced:
    """What the claims led to."""

    n_claims: int
    n_dropped: int
    n_false_dropped: int


def drop_blamed(world: World, run: Run, answers: Path, share: str = "10%") -> Traced:
    """Trace the wrong answers to trace prompts, and export the rows without the most blamed, as `cleaned`; once."""
    if TRACE not in run.added("traces"):
        claims = [response for response in read_responses(answers) if response.split is Split.TRACE]
        traces = list(Tracer(run).trace_all(claims, 20))
        store_traces(run, TRACE, traces, blame_rows(traces), {})
    plan = plan_export(run, ExportRequest(drop_blamed=(f"{TRACE}:{share}",)))
    if "cleaned" not in run.added("exports"):
        write_export(plan, world.folder / "cleaned.jsonl", "cleaned")
    dropped = set(plan.selection.dropped)
    n_claims = len(run.read_added("traces", TRACE, "claims.json").split(b'"response"')) - 1
    return Traced(n_claims, len(dropped), len(dropped & world.false_rows))


def verified(
    world: World,
    run: Run,
    name: str,
    *,
    export: str,
    methods: Sequence[Method],
    rates: Mapping[Method, float] | None = None,
    arms: Sequence[str] = (),
    unseen: Path | None = None,
    recipe: str = RECIPE,
) -> CampaignResult:
    """The whole design, five seeds; taken up where it was interrupted."""
    kept = world.folder / f"{name}.pickle"
    if kept.exists():
        finished: CampaignResult = pickle.loads(kept.read_bytes())
        return finished
    request = CampaignRequest(
        export=export,
        base_model=str(world.base),
        prompts=world.prompts,
        methods=tuple(methods),
        recipe=recipe,
        learning_rates=rates or {},
        arms=tuple(arms),
        unseen=unseen,
        max_new_tokens=MAX_NEW_TOKENS,
    )
    result = run_campaign(run, plan_design(run, request), name, n_workers=N_WORKERS, render=lambda result: {})
    kept.write_bytes(pickle.dumps(result))
    return result
