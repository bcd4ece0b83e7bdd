"""Does `verify` see a style family leave the answers: rows of a mould dropped, against equally many random rows dropped.

Half of the rows are cast from one mould. The export thins them to a tenth of what it keeps; `verify` tunes on that, on
its matched random removal, on all rows, and on an export that dropped as many rows drawn from all. Whether an answer is
of the mould is known by construction; the families that the audit found are then asked the same of the same answers.
"""

from __future__ import annotations

import pickle
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audit.config import make_config
from audit.export import ExportRequest, plan_export, write_export
from audit.export.decisions import Choice, decide
from audit.pipeline import run_audit
from audit.pocket.build import Pretraining, pretrain
from audit.responses import Split, read_responses
from audit.rundir import Run
from audit.tune import Method
from audit.verify import verify_run
from audit.verify.answer_style import FamilyWatch, WatchedFamily
from audit.verify.campaign import run_campaign
from audit.verify.design import CampaignRequest, Equal, plan_design
from audit.verify.result import CampaignResult, MethodResult
from audit.verify.statistics import CrossedEffect, crossed_effect
from audit.verify.verification import Verification
from tests.benchmarks.record import Result
from tests.benchmarks.style.mould import MouldedDataset, documents, is_of_mould, moulded_dataset

__all__ = ["Experiment", "measure"]

COMMAND = "python -m tests.benchmarks.style.family_outcome"
WORK = Path(__file__).with_name(".work") / "family_outcome"
RECIPE = Path(__file__).with_name("recipe.yaml")
N_SEEDS = 5
N_WORKERS = 2
THINNED_TO = 0.1
MAX_NEW_TOKENS = 40
_EXPORT, _UNIFORM = "thinned", "uniform"
_EPOCHS = 14


@dataclass(frozen=True)
class Experiment:
    """One dataset with its base model, audit and exports, on disk.

    Attributes:
        folder: Where.
        base: The untuned model.
        dataset: Rows and prompts, and which rows are of the mould.
        run: The audit of the rows.
        dropped: Rows of the mould that the export drops.
    """

    folder: Path
    base: Path
    dataset: MouldedDataset
    run: Run
    dropped: tuple[int, ...]

    @classmethod
    def prepared(cls, folder: Path, base: Path, dataset: MouldedDataset, thinned_to: float = THINNED_TO) -> Experiment:
        """Write rows and prompts, audit them and make both exports; once.

        Args:
            folder: Where.
            base: The untuned model.
            dataset: Rows and prompts.
            thinned_to: The mould's share of the rows that the export keeps.
        """
        n_plain = len(dataset.rows) - len(dataset.moulded)
        n_left = round(thinned_to * n_plain / (1 - thinned_to))
        dropped = tuple(sorted(random.Random(0).sample(dataset.moulded, len(dataset.moulded) - n_left)))
        folder.mkdir(parents=True, exist_ok=True)
        for name, lines in (("rows", dataset.rows), ("prompts", dataset.prompts)):
            (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        path = folder / "run"
        if path.exists():
            return cls(folder, base, dataset, Run.open(path), dropped)
        run = run_audit(make_config({"data": str(folder / "rows.jsonl")}), path, render=lambda *_: {})
        decide(run, dropped, Choice.DROP, "cast from the mould")
        write_export(plan_export(run, ExportRequest()), folder / "thinned.jsonl", _EXPORT)
        keep = f"random:{len(dataset.rows) - len(dropped)}@0"
        write_export(plan_export(run, ExportRequest(keep=(keep,), decisions=False)), folder / "uniform.jsonl", _UNIFORM)
        return cls(folder, base, dataset, run, dropped)

    def planted(self) -> FamilyWatch:
        """The mould as a family that is known by construction."""
        n = len(self.dataset.moulded)
        family = WatchedFamily(0, "the planted mould", n, n / len(self.dataset.rows), len(self.dropped) / n)
        return FamilyWatch((family,), lambda prompts, answers: np.array([is_of_mould(text) - 1 for text in answers], np.int32))

    def verified(self, methods: Sequence[Method], n_seeds: int, recipe: Path = RECIPE) -> CampaignResult:
        """The whole design, taken up where it was interrupted."""
        kept = self.folder / "result.pickle"
        if kept.exists():
            finished: CampaignResult = pickle.loads(kept.read_bytes())
            return finished
        request = CampaignRequest(
            export=_EXPORT,
            base_model=str(self.base),
            prompts=self.folder / "prompts.jsonl",
            methods=tuple(methods),
            recipe=str(recipe),
            n_seeds=n_seeds,
            arms=("original",),
            also_exports=(_UNIFORM,),
            max_new_tokens=MAX_NEW_TOKENS,
            equal=Equal.STEPS,
        )
        design = replace(plan_design(self.run, request), watch=self.planted())
        result = run_campaign(self.run, design, "planted", n_workers=N_WORKERS, render=lambda result: {})
        kept.write_bytes(pickle.dumps(replace(result, design=None)))
        return result

    def answers(self, method: Method) -> dict[str, list[Path]]:
        """The files of answers, by arm."""
        files: dict[str, list[Path]] = {}
        for path in sorted((self.run.path / "verify" / "planted" / "answers" / method).glob("*.jsonl")):
            files.setdefault(path.stem.rpartition("-")[0], []).append(path)
        return files

    def by_families(self, method: Method) -> Verification:
        """The same answers judged again, by the families that an audit finds now."""
        files = [(arm, path) for arm, paths in self.answers(method).items() for path in paths]
        with tempfile.TemporaryDirectory() as folder:
            run = Experiment.prepared(Path(folder) / "audited", self.base, self.dataset).run
            return verify_run(run, files, export=_EXPORT)


def measure(record: Callable[[Result], None]) -> None:
    """Carry the experiment out with both methods, and record its figures; about a quarter of an hour on two cores."""
    base = WORK / "base"
    if not (base / "tokenizer_config.json").exists():
        pretrain(base, documents(), Pretraining(epochs=_EPOCHS))
    experiment = Experiment.prepared(WORK / "half", base, moulded_dataset())
    result = experiment.verified((Method.LORA, Method.FULL), N_SEEDS)
    for method in result.methods:
        for figure in _figures(experiment, method):
            record(replace(figure, command=COMMAND))


def _figures(experiment: Experiment, method: MethodResult) -> list[Result]:
    verification = method.verification
    assert method.method is not None
    assert verification is not None, method.problem
    name = f"{method.method}, mould in half of the rows"
    found = [*_shares(name, verification), *_contrasts(name, experiment, method.method)]
    fit = method.training_fit("cleaned", "random")
    if fit is not None:
        found.append(Result(f"{name}: training fit", fit, "share of trained tokens"))
    effect, interval = verification.effect, verification.effect.interval_95
    found.append(
        Result(
            f"{name}: wrong answers, cleaned − random ({verification.verdict})",
            effect.difference_points,
            "points",
            interval.low if interval else None,
            interval.high if interval else None,
        )
    )
    return [*found, *_by_families(name, experiment, method.method, verification)]


def _shares(name: str, verification: Verification) -> list[Result]:
    style = verification.style
    assert style is not None
    found = []
    for arm in ([style.base] if style.base is not None else []) + list(style.arms):
        share = arm.in_watched
        assert share is not None
        low, high = (None, None) if share.interval_95 is None else (share.interval_95.low, share.interval_95.high)
        found.append(Result(f"{name}: answers of the mould, {arm.arm}", share.fraction, "share of held-out answers", low, high))
    return [*found, _cleaned_less_random(f"{name}: answers of the mould", verification)]


def _cleaned_less_random(name: str, verification: Verification) -> Result:
    """What `verify` says of the answers in the watched families."""
    effect = next(effect for effect in verification.secondary if effect.name.startswith("in style famil"))
    ends = effect.interval_95
    return Result(
        f"{name}, cleaned − random, by verify (p {effect.p_holm:.2g}, Holm)",
        effect.difference,
        "points",
        ends.low if ends else None,
        ends.high if ends else None,
        "interval below 0",
    )


def _contrasts(name: str, experiment: Experiment, method: Method) -> list[Result]:
    """Other pairs of arms by the same statistics; runs of one seed are a pair."""
    files = experiment.answers(method)
    hits = {arm: _hits(paths) for arm, paths in files.items()}
    base = _hits([experiment.run.path / "verify" / "planted" / "answers" / "base.jsonl"])
    hits["base"] = np.repeat(base, len(hits["original"]), axis=0)
    pairs = (
        ("original", "base", "interval above 0"),
        ("cleaned", "original", "interval below 0"),
        ("uniform", "original", "reported"),
        ("cleaned", "uniform", "interval below 0"),
    )
    return [
        _contrast(
            f"{name}: answers of the mould, {first} − {second}", crossed_effect(difference, largest_difference=100.0), goal
        )
        for first, second, goal in pairs
        for difference in [100.0 * (hits[first] - hits[second])]
    ]


def _contrast(name: str, effect: CrossedEffect, goal: str) -> Result:
    interval = effect.interval(0.95)
    return Result(name, effect.mean, "points", max(-100.0, interval.low), min(100.0, interval.high), goal)


def _hits(paths: Sequence[Path]) -> NDArray[np.float64]:
    """Whether each answer to a held-out prompt is of the mould, shape `(n_runs, n_prompts)`."""
    runs = [[is_of_mould(one.response) for one in read_responses(path) if one.split is Split.HELD_OUT] for path in paths]
    return np.array(runs, dtype=np.float64)


def _by_families(name: str, experiment: Experiment, method: Method, planted: Verification) -> list[Result]:
    """What the audit's own families say of the same answers, and how far they agree with the planted mould."""
    verification = experiment.by_families(method)
    style = verification.style
    assert style is not None
    if not style.families:
        return [Result(f"{name}: families that the audit found taken away", 0, "families", goal="at least 1")]
    assert planted.style is not None
    found = [
        Result(f"{name}: families that the audit found taken away", len(style.families), "families", goal="at least 1"),
        _cleaned_less_random(f"{name}: answers of these families", verification),
    ]
    for arm, truth in zip(style.arms, planted.style.arms, strict=True):
        assert arm.in_watched is not None
        assert truth.in_watched is not None
        found.append(
            Result(
                f"{name}: answers of these families less answers of the mould, {arm.arm}",
                100 * (arm.in_watched.fraction - truth.in_watched.fraction),
                "points",
            )
        )
    return found


def main() -> int:
    """Print the figures as they come."""

    def show(result: Result) -> None:
        ends = "" if result.low is None else f" ({result.low:.3g} to {result.high:.3g})"
        print(f"{result.name}: {result.value:.3g}{ends} {result.unit}")

    measure(show)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
