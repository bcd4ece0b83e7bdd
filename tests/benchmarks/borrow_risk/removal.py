"""Does leaving out the riskiest tenth of the rows help more than leaving out another tenth, by `verify`'s design?

Each selector is an export of an audit with a base model, and gets what `tunescope verify` plans for it: an arm without its
rows, and an arm without as many random others, matched on trained tokens and drawn anew for each of five seeds. The
outcome is wrong answers to held-out prompts. The tunings are `audit.tune.retraining`'s, the steps of TRL's trainer in
memory, a fifth of the time; and no method is stopped early, so that selectors can be compared seed by seed.

Each tuning's answers are kept in `.work/removal`, by the rows that it lacked: after a change of the method only its own
arms are tuned again. What is judged of them is kept beside this file, in `removal.json` and `removal.parquet`.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.config import make_config
from audit.export import ExportRequest, plan_export, write_export
from audit.export.decisions import Choice, decide, undo_decisions
from audit.models import LanguageModel, answer, load_model
from audit.pipeline import run_audit
from audit.pocket.build import Pretraining, pretrain
from audit.responses import Prompt, Split
from audit.rundir import Run
from audit.tune import Method, TrainingSet, load_recipe
from audit.tune.retraining import Retrainer
from audit.verify.arms import CLEANED, AnswerFile
from audit.verify.borrowing import RowTexts
from audit.verify.campaign import rows_of
from audit.verify.design import CampaignRequest, Design, plan_design
from audit.verify.judge import verify_answers
from audit.verify.outcomes import Rubric
from audit.verify.statistics import crossed_effect
from audit.verify.verification import Verification
from tests.benchmarks.data import data_folder
from tests.benchmarks.record import Result
from tests.benchmarks.verify.facts import documents, facts_dataset, read_relations
from tests.benchmarks.verify.loop import MAX_NEW_TOKENS, RECIPE

__all__ = ["SELECTORS", "measure_removals", "removal_results"]

Floats = NDArray[np.float64]
COMMAND = "make bench-borrow-risk PARTS=removal,table"
FOLDER = Path(__file__).parent
WORK = FOLDER / ".work" / "removal"
_BASES = FOLDER.parent / "verify" / ".work"
_FIGURES, _TABLE = FOLDER / "removal.json", FOLDER / "removal.parquet"
N_SEEDS = 5
_SHARE = 0.1
_POINTS = 100.0
SELECTORS = {
    "risk": "riskiest",
    "loss": "highest loss",
    "ifd": "lowest IFD",
    "random": "random",
}
_RANKED = {"risk": ("borrow_risk", True), "loss": ("base_loss_nats_per_token", True), "ifd": ("ifd", False)}
"""Selector -> column of the signals, and whether the highest leave."""


@dataclass(frozen=True)
class Scene:
    """A world in which false rows spoil what a base model knows.

    Attributes:
        name: Its own.
        rates: Learning rates by method of tuning.
    """

    name: str
    rates: Mapping[Method, float]

    @property
    def folder(self) -> Path:
        """Its own."""
        return WORK / self.name

    @property
    def methods(self) -> tuple[Method, ...]:
        """Ways to tune, the cheaper first."""
        return tuple(self.rates)

    def prepared(self) -> tuple[Path, frozenset[int]]:
        """Write rows and prompts, and pretrain the base model where it is missing: the base model, and which rows are false."""
        relations = read_relations(data_folder() / "facts" / "pararel")
        dataset, base = facts_dataset(relations), _BASES / self.name / "base"
        if not (base / "model.safetensors").exists():
            pretrain(base, documents(relations), Pretraining())
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, texts in (("rows", dataset.lines), ("prompts", dataset.prompts)):
            (self.folder / f"{name}.jsonl").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        return base, frozenset(dataset.false_rows)


SCENE = Scene("facts", {Method.LORA: 5e-4, Method.FULL: 1e-4})
"""The world of real facts of `tests/benchmarks/verify`, at the rates of least held-out loss that were chosen there."""


@dataclass(frozen=True)
class Tuning:
    """One tuning of one arm, for a process of its own; `removed` are rows, ascending."""

    scene: str
    base: str
    method: Method
    learning_rate: float
    seed: int
    removed: tuple[int, ...]

    @property
    def kept(self) -> Path:
        """Where its answers lie."""
        key = hashlib.sha256(json.dumps([self.learning_rate, self.removed]).encode()).hexdigest()[:16]
        return WORK / self.scene / "answers" / self.method / f"{self.seed}-{key}.json"


def measure_removals(n_workers: int = 1) -> None:
    """Tune what is missing, judge everything, and write the figures; a tuning takes some ten seconds on one core."""
    scene, results, tables = SCENE, [], []
    base, false_rows = scene.prepared()
    with tempfile.TemporaryDirectory() as folder:
        run = _audited(scene, base, Path(folder))
        designs = {selector: _design(scene, run, base, selector) for selector in _exported(run)}
        _tune_missing(scene, base, designs.values(), n_workers)
        texts = rows_of(run)
        for method in scene.methods:
            judged = {selector: _judged(scene, design, base, method, texts) for selector, design in designs.items()}
            results += _results(scene, method, judged, false_rows)
            tables += [_table(scene, method, selector, of_selector) for selector, of_selector in judged.items()]
    content = json.dumps([asdict(result) for result in results], indent=1, ensure_ascii=False)
    _FIGURES.write_text(content + "\n", encoding="utf-8")
    pl.concat(tables).write_parquet(_TABLE, compression="zstd")


def removal_results() -> list[Result]:
    """The figures as they were measured last; none where they never were."""
    return [Result(**figure) for figure in json.loads(_FIGURES.read_text("utf-8"))] if _FIGURES.exists() else []


def _audited(scene: Scene, base: Path, folder: Path) -> Run:
    """An audit of the rows, and an export for every selector."""
    settings = {"data": str(scene.folder / "rows.jsonl"), "base_model": str(base), "select": "DUP001"}
    run = run_audit(make_config(settings), folder / "run", render=lambda *_: {})
    signals = pl.read_parquet(run.path / "signals.parquet")
    for selector, called in SELECTORS.items():
        rows = _chosen(signals, selector)
        if rows is not None:
            decide(run, rows, Choice.DROP, called)
            write_export(plan_export(run, ExportRequest()), folder / f"{selector}.jsonl", selector)
            undo_decisions(run, rows)
    return run


def _chosen(signals: pl.DataFrame, selector: str) -> list[int] | None:
    """The tenth of the rows that a selector drops; `None` where the audit did not measure what it goes by."""
    n_rows = int(_SHARE * signals.height)
    if selector == "random":
        return sorted(np.random.default_rng(0).choice(signals.height, n_rows, replace=False).tolist())
    column, descending = _RANKED[selector]
    if column not in signals.columns:
        return None
    ranked = signals.drop_nulls(column).sort(column, "row", descending=[descending, False])
    return sorted(ranked["row"][:n_rows].to_list())


def _exported(run: Run) -> list[str]:
    return [selector for selector in SELECTORS if selector in run.added("exports")]


def _design(scene: Scene, run: Run, base: Path, selector: str) -> Design:
    request = CampaignRequest(
        export=selector,
        base_model=str(base),
        prompts=scene.folder / "prompts.jsonl",
        methods=scene.methods,
        recipe=RECIPE,
        learning_rates={method: scene.rates[method] for method in scene.methods},
        n_seeds=N_SEEDS,
        max_new_tokens=MAX_NEW_TOKENS,
    )
    return plan_design(run, request)


def _tuning(scene: Scene, design: Design, base: Path, method: Method, arm: str, seed: int) -> Tuning:
    of_arm = next(one for one in design.arms if one.name == arm)
    removed = of_arm.removed[design.seeds.index(seed)]
    return Tuning(scene.name, str(base), method, scene.rates[method], seed, removed)


def _tune_missing(scene: Scene, base: Path, designs: Iterable[Design], n_workers: int) -> None:
    """Tune every arm of all designs whose answers are not kept yet, and ask the base model."""
    training, asked = {}, {}
    for design in designs:
        for method in scene.methods:
            for seed in design.seeds:
                for arm in design.arms:
                    tuning = _tuning(scene, design, base, method, arm.name, seed)
                    training[tuning], asked[tuning] = design.rows_of(arm.name, seed), design.sheet.asked
    missing = [tuning for tuning in training if not tuning.kept.exists()]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_workers, mp_context=context, initializer=_one_thread) as pool:
        list(pool.map(_tune, missing, [training[one] for one in missing], [asked[one] for one in missing]))
    if not (scene.folder / "base.json").exists():
        _one_thread()
        prompts = next(iter(asked.values()))
        texts = answer(_base(str(base)), [prompt.messages for prompt in prompts], max_new_tokens=MAX_NEW_TOKENS)
        _keep(scene.folder / "base.json", {"answers": texts})


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@cache
def _base(folder: str) -> LanguageModel:
    return load_model(folder, device="cpu", dtype="float32")


def _tune(tuning: Tuning, training: TrainingSet, prompts: Sequence[Prompt]) -> None:
    """Tune, ask, and leave the answers with the losses of the steps."""
    recipe = load_recipe(RECIPE, tuning.method, learning_rate=tuning.learning_rate)
    retrainer = Retrainer(_base(tuning.base), training, recipe)
    tuned = retrainer.retrain(tuning.seed)
    texts = answer(tuned.model, [prompt.messages for prompt in prompts], max_new_tokens=MAX_NEW_TOKENS)
    retrainer.close()
    _keep(tuning.kept, {"losses": tuned.losses, "answers": texts})


def _keep(path: Path, content: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    partial.rename(path)


@dataclass(frozen=True)
class Judged:
    """What came of a selector by one method of tuning.

    Attributes:
        design: What was planned.
        verification: The judgement.
        wrong: Whether each answer to a held-out prompt is wrong, by arm, shape `(n_seeds, n_prompts)`.
        last_losses: Training loss of the last tenth of the steps, by arm, in nats per token, shape `(n_seeds,)`.
    """

    design: Design
    verification: Verification
    wrong: Mapping[str, Floats]
    last_losses: Mapping[str, Floats]


def _judged(scene: Scene, design: Design, base: Path, method: Method, texts: RowTexts) -> Judged:
    files: dict[str, list[AnswerFile]] = {}
    wrong: dict[str, list[list[bool]]] = {}
    last_losses: dict[str, list[float]] = {}
    problems = []
    for arm in design.arms:
        for seed in design.seeds:
            kept = json.loads(_tuning(scene, design, base, method, arm.name, seed).kept.read_text(encoding="utf-8"))
            files.setdefault(arm.name, []).append(design.sheet.answer_file(f"{arm.name}-{seed}", kept["answers"]))
            wrong.setdefault(arm.name, []).append(_is_wrong(design, kept["answers"]))
            tenth = max(1, len(kept["losses"]) // 10)
            first, last = (float(np.mean(part)) for part in (kept["losses"][:tenth], kept["losses"][-tenth:]))
            last_losses.setdefault(arm.name, []).append(last)
            if not last < first:
                problems.append(f"{method} {arm.name} seed {seed}: the training loss did not fall ({first:.3g} to {last:.3g})")
    base_answers = json.loads((scene.folder / "base.json").read_text(encoding="utf-8"))["answers"]
    verification = verify_answers(
        files,
        traced_prompts=design.sheet.traced,
        dropped_fraction=design.export.dropped_share,
        base_answers=design.sheet.answer_file("base", base_answers),
        rows=texts,
        tuning_problems=problems,
    )
    return Judged(
        design,
        verification,
        {arm: np.array(runs, np.float64) for arm, runs in wrong.items()},
        {arm: np.array(losses) for arm, losses in last_losses.items()},
    )


def _is_wrong(design: Design, answers: Sequence[str]) -> list[bool]:
    """Of the answers to held-out prompts."""
    return [
        not Rubric.of(prompt.text, prompt.reference).is_right(text)
        for prompt, text in zip(design.sheet.asked, answers, strict=True)
        if prompt.split is Split.HELD_OUT
    ]


def _table(scene: Scene, method: Method, selector: str, judged: Judged) -> pl.DataFrame:
    """Every judged answer to a held-out prompt, as numbers."""
    units = judged.design.sheet.units
    number = {unit: place for place, unit in enumerate(dict.fromkeys(units))}
    lines = [
        (scene.name, str(method), selector, arm, seed, prompt, number[units[prompt]], bool(is_wrong))
        for arm, wrong in judged.wrong.items()
        for seed, of_run in zip(judged.design.seeds, wrong, strict=True)
        for prompt, is_wrong in enumerate(of_run)
    ]
    columns = ["scene", "method", "selector", "arm", "seed", "prompt", "unit", "wrong"]
    return pl.DataFrame(lines, schema=columns, orient="row")


def _results(scene: Scene, method: Method, judged: Mapping[str, Judged], false_rows: frozenset[int]) -> list[Result]:
    name = f"removal, {scene.name}, {method}"
    one = next(iter(judged.values()))
    found = [Result(f"{name}: false rows", len(false_rows), f"of {len(one.design.training)} rows")]
    if one.verification.base is not None:
        known = one.verification.base.right_fraction
        found.append(Result(f"{name}: base model right on held-out prompts", known, "share"))
    for selector, of_selector in judged.items():
        found += _selector_results(f"{name}, {SELECTORS[selector]}", of_selector, false_rows)
    if "risk" in judged:
        for other in (other for other in judged if other != "risk"):
            what = f"{name}: wrong answers, without the {SELECTORS['risk']} − without the {SELECTORS[other]}"
            found.append(_difference(what, judged["risk"], judged[other]))
    return [replace(result, command=COMMAND) for result in found]


def _selector_results(name: str, judged: Judged, false_rows: frozenset[int]) -> list[Result]:
    verification, dropped = judged.verification, frozenset(judged.design.export.dropped)
    effect, interval = verification.effect, verification.effect.interval_95
    found = [
        Result(f"{name}: false rows among the dropped", len(dropped & false_rows), f"of {len(dropped)} rows"),
        Result(
            f"{name}: wrong answers on held-out prompts, cleaned − random ({verification.verdict})",
            effect.difference_points,
            "points",
            interval.low if interval else None,
            interval.high if interval else None,
            "reported",
        ),
    ]
    if effect.smallest_detectable_points is not None:
        found.append(Result(f"{name}: smallest effect that the design finds", effect.smallest_detectable_points, "points"))
    for arm in verification.arms:
        loss = float(judged.last_losses[arm.name].mean())
        found += [
            Result(f"{name}, {arm.name}: wrong", arm.wrong_fraction, "share"),
            Result(f"{name}, {arm.name}: training loss at the end", loss, "nats per token"),
        ]
        if arm.control_accuracy is not None:
            found.append(Result(f"{name}, {arm.name}: control prompts right", arm.control_accuracy, "share"))
    return found


def _difference(name: str, first: Judged, second: Judged) -> Result:
    """Of the cleaned arms of two selectors; tunings of one seed are a pair."""
    points = _POINTS * (first.wrong[CLEANED] - second.wrong[CLEANED])
    effect = crossed_effect(points, first.design.sheet.units, largest_difference=_POINTS)
    interval = effect.interval(0.95)
    return Result(name, effect.mean, "points", max(-_POINTS, interval.low), min(_POINTS, interval.high), "reported")
