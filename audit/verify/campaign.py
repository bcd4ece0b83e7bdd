"""Tune every arm, ask every model, judge: the before/after test from dataset to verdict, resumable.

It works in `RUN/verify/NAME.partial`. Each tuning is a job that trains, answers the prompts, writes answers and record,
and deletes the weights; a job whose record stands is finished. After a kill the same command finds the folder by the
design and does what is missing, to the same verification, byte for byte. Cheap first: LoRA before full tuning, one seed
of every arm before the others.
"""

from __future__ import annotations

import json
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audit.engines import LocalPool
from audit.errors import CorruptFileError, DivergedError, InputError
from audit.materials import Materials
from audit.responses import Prompt
from audit.rundir import Run, claim_folder, name_folder
from audit.tune.rates import RateChoice, choose_learning_rate
from audit.tune.recipe import Recipe
from audit.tune.record import TuningRecord, tuning_problems
from audit.tune.rows import TrainingSet
from audit.tune.training import train
from audit.verify.answering import AnswerTask, answer_task, prompt_lines, read_answers
from audit.verify.arms import CLEANED, RANDOM, AnswerFile
from audit.verify.aspects import JudgedAnswers
from audit.verify.borrowing import RowTexts
from audit.verify.design import FIRST_SEED, Design
from audit.verify.judge import verify_answers
from audit.verify.result import CampaignResult, MethodResult, Tuning
from audit.verify.stopping import LOOKS, held_out_differences, needed_sentence, reason_to_stop, stopped
from audit.verify.verification import Verification
from indexes.store import read_bytes, write_bytes

__all__ = [
    "MAX_FIT_DIFFERENCE",
    "AspectJudge",
    "Progress",
    "Render",
    "TuningTask",
    "nothing_left_of_nothing",
    "rows_of",
    "run_campaign",
    "tune_task",
]

AspectJudge = Callable[[Mapping[str, Sequence[AnswerFile]], frozenset[str]], JudgedAnswers]
"""Has a judge compare the answers of the arms on further aspects; told the prompts that were traced."""

Progress = Callable[[str, int, int], None]
"""Told what was finished, how many tunings are, and how many there will be at most."""

Render = Callable[[CampaignResult], Mapping[str, bytes]]
"""Makes `verification.json` and the reports of a result, by file name."""

MAX_FIT_DIFFERENCE = 0.10
"""Methods whose tunings fit their rows less alike than this are not compared."""

_KIND = "verify"
_RATE_SEED = FIRST_SEED - 1


def run_campaign(
    run: Run,
    design: Design,
    name: str,
    *,
    n_workers: int,
    render: Render,
    keep_models: bool = False,
    judge: AspectJudge | None = None,
    progress: Progress | None = None,
) -> CampaignResult:
    """Carry out a design, or go on with it where it was interrupted, and add it to the run as RUN/verify/NAME.

    Args:
        run: The run that the export was made from.
        design: What to tune.
        name: Of the verification.
        n_workers: Tunings at a time; the figures do not depend on it.
        render: Makes the files that people and machines read.
        keep_models: Whether the tuned models stay in RUN/verify/NAME/models.
        judge: Measures further aspects of the answers.
        progress: Told of every tuning.

    Raises:
        InputError: A model cannot be tuned or asked, every method diverged, or the partial folder is another design's.
        StorageError: The disk is full; finished tunings are kept.
    """
    began, started = datetime.now(UTC), time.perf_counter()
    key = {**design.key, "run": run.manifest["key"], "keep_models": keep_models}
    final = run.check_name(_KIND, name)
    with claim_folder(final, key, "verification", "verification") as folder:
        with nothing_left_of_nothing(folder), LocalPool(n_workers=n_workers, n_threads=design.n_threads) as pool:
            work = _Work(design, rows_of(run), folder, pool, n_workers, keep_models, judge, progress)
            base = work.base_answers()
            methods = tuple(work.method_result(recipe, base) for recipe in design.recipes)
        if all(result.verification is None for result in methods):
            raise InputError(
                "no method could be tuned",
                why="; ".join(f"{result.method}: {result.problem}" for result in methods),
                remedy="choose lower learning rates",
            )
        result = CampaignResult(design.request.export, design, methods, tuple(_notes_on_fit(methods)))
        write_bytes(folder / "prompts.jsonl", prompt_lines(design.sheet.prompts))
        write_bytes(folder / "tunings.json", _tunings_json(methods))
        for file, content in render(result).items():
            write_bytes(folder / file, content)
        times = {"began": began.isoformat(timespec="seconds"), "seconds": round(time.perf_counter() - started, 1)}
        write_bytes(folder / "manifest.json", _manifest_json(run, design, name, n_workers, methods, times))
        for scratch in ("records", "rates", *(() if keep_models else ("models",))):
            shutil.rmtree(folder / scratch, ignore_errors=True)
        name_folder(folder, final)
    return result


@dataclass(frozen=True)
class TuningTask:
    """One tuning of one arm, for a process of its own.

    Attributes:
        name: What it is called in messages.
        base: Folder or hub name of the model to tune.
        training: The arm's rows.
        recipe: How, with a learning rate.
        seed: Of the tuning.
        prompts: What the tuned model is asked.
        max_new_tokens: The longest answer.
        model: Where the tuned model lies.
        keep_model: Whether it stays there.
        answers: Where its answers go.
        record: Where the record goes, last: a task whose record stands is finished.
    """

    name: str
    base: str
    training: TrainingSet
    recipe: Recipe
    seed: int
    prompts: tuple[Prompt, ...]
    max_new_tokens: int
    model: Path
    keep_model: bool
    answers: Path
    record: Path

    def __str__(self) -> str:
        return self.name


def tune_task(task: TuningTask) -> str | None:
    """Tune a model, have it answer, and leave answers and record; why the tuning diverged, if it did.

    Raises:
        InputError: The model cannot be tuned on these rows, or asked these prompts.
        StorageError: The disk is full.
    """
    try:
        record = train(task.base, task.training, task.recipe, task.seed, task.model)
    except DivergedError as error:
        return f"{task.name}: {error.what}"
    answer_task(AnswerTask(task.name, str(task.model), task.base, task.prompts, task.max_new_tokens, task.answers))
    write_bytes(task.record, json.dumps(record.to_json(), ensure_ascii=False).encode())
    if not task.keep_model:
        shutil.rmtree(task.model)
    return None


class _Work:
    """The jobs of one design, in one folder."""

    def __init__(
        self,
        design: Design,
        rows: RowTexts,
        folder: Path,
        pool: LocalPool,
        n_workers: int,
        keep_models: bool,
        judge: AspectJudge | None,
        progress: Progress | None,
    ) -> None:
        self._design, self._rows, self._folder, self._pool = design, rows, folder, pool
        self._unseen = RowTexts.of(design.unseen) if design.unseen is not None else None
        self._n_workers, self._keep_models, self._judge = n_workers, keep_models, judge
        self._progress = progress or (lambda what, number, total: None)
        self._n_finished = 0

    def base_answers(self) -> tuple[str, ...]:
        """What the untuned model answers in the same format."""
        path = self._folder / "answers" / "base.jsonl"
        answers = read_answers(path)
        if answers is None:
            request = self._design.request
            task = AnswerTask(
                "the base model", request.base_model, None, self._design.sheet.asked, request.max_new_tokens, path
            )
            self._progress("asking the base model", 0, self._design.n_tunings)
            self._pool.run(answer_task, [task])
            answers = read_answers(path)
        assert answers is not None
        return answers

    def method_result(self, recipe: Recipe, base: Sequence[str]) -> MethodResult:
        """Tune all arms by one method, seed by seed, and judge."""
        design, n_seeds = self._design, len(self._design.seeds)
        rates = None
        if recipe.learning_rate is None:
            rates = self._rates(recipe)
            recipe = recipe.model_copy(update={"learning_rate": rates.learning_rate})
        reason, n_done = "", 0
        for n_after in [*(look for look in LOOKS if look < n_seeds), n_seeds]:
            problem = self._tune(recipe, design.seeds[n_done:n_after])
            if problem is not None:
                return MethodResult(recipe.method, None, problem, recipe, rates)
            n_done = n_after
            arms = self._answer_files(recipe, n_done)
            wrong = held_out_differences(arms, design.sheet.traced)
            verification = self._judged(recipe, rates, arms, base, is_final=n_done == n_seeds)
            if n_done < n_seeds:
                reason = reason_to_stop(verification, wrong, design.sheet.units, n_runs=n_seeds)
                if reason:
                    verification = stopped(self._judged(recipe, rates, arms, base, is_final=True), reason, n_seeds)
                    break
        needed = needed_sentence(verification, wrong, design.sheet.units)
        if needed:
            verification = replace(verification, notes=(*verification.notes, needed))
        return MethodResult(recipe.method, verification, "", recipe, rates, self._tunings(recipe, n_done), reason)

    def _rates(self, recipe: Recipe) -> RateChoice:
        self._progress(f"{recipe.method}: choosing a learning rate", self._n_finished, self._design.n_tunings)
        return choose_learning_rate(
            self._design.request.base_model,
            self._design.training,
            self._design.arm_recipe(recipe),
            _RATE_SEED,
            self._folder / "rates" / recipe.method,
            n_workers=self._n_workers,
            n_threads=self._design.n_threads,
        )

    def _tune(self, recipe: Recipe, seeds: Sequence[int]) -> str | None:
        """Tune and ask every arm with some seeds; why one diverged, if it did."""
        tasks = [self._task(recipe, arm.name, seed) for seed in seeds for arm in self._design.arms]
        missing = [task for task in tasks if self._record(task) is None]
        self._n_finished += len(tasks) - len(missing)

        def done(number: int, problem: str | None) -> None:
            self._n_finished += 1
            self._progress(missing[number].name, self._n_finished, self._design.n_tunings)

        return next(filter(None, self._pool.run(tune_task, missing, done=done)), None)

    def _task(self, recipe: Recipe, arm: str, seed: int) -> TuningTask:
        design = self._design
        place = f"{recipe.method}/{arm}-{seed}"
        return TuningTask(
            name=f"{recipe.method} {arm} seed {seed}",
            base=design.request.base_model,
            training=design.rows_of(arm, seed),
            recipe=design.arm_recipe(recipe),
            seed=seed,
            prompts=design.sheet.asked,
            max_new_tokens=design.request.max_new_tokens,
            model=self._folder / "models" / place,
            keep_model=self._keep_models,
            answers=self._folder / "answers" / f"{place}.jsonl",
            record=self._folder / "records" / f"{place}.json",
        )

    def _record(self, task: TuningTask) -> TuningRecord | None:
        """The record of a finished task; `None` where a file of it is not whole."""
        try:
            record = TuningRecord.from_json(json.loads(read_bytes(task.record)))
        except (CorruptFileError, ValueError):
            return None
        return record if read_answers(task.answers) is not None else None

    def _tunings(self, recipe: Recipe, n_seeds: int) -> tuple[Tuning, ...]:
        records = (
            (arm.name, seed, self._record(self._task(recipe, arm.name, seed)))
            for seed in self._design.seeds[:n_seeds]
            for arm in self._design.arms
        )
        return tuple(Tuning(arm, seed, record) for arm, seed, record in records if record is not None)

    def _answer_files(self, recipe: Recipe, n_seeds: int) -> dict[str, list[AnswerFile]]:
        files: dict[str, list[AnswerFile]] = {}
        for arm in self._design.arms:
            for seed in self._design.seeds[:n_seeds]:
                answers = read_answers(self._task(recipe, arm.name, seed).answers)
                assert answers is not None  # the task was finished
                files.setdefault(arm.name, []).append(self._design.sheet.answer_file(f"{arm.name}-{seed}", answers))
        return files

    def _judged(
        self,
        recipe: Recipe,
        rates: RateChoice | None,
        arms: Mapping[str, Sequence[AnswerFile]],
        base: Sequence[str],
        *,
        is_final: bool,
    ) -> Verification:
        design = self._design
        tunings = self._tunings(recipe, len(arms[CLEANED]))
        problems = [
            f"{recipe.method} {tuning.arm} seed {tuning.seed}: {problem}"
            for tuning in tunings
            if tuning.arm in (CLEANED, RANDOM)
            for problem in tuning_problems(tuning.record)
        ]
        aspects = self._judge(arms, design.sheet.traced) if self._judge is not None and is_final else None
        return verify_answers(
            arms,
            traced_prompts=design.sheet.traced,
            traced_spans=design.traced_spans,
            delta_points=design.request.delta_points,
            dropped_fraction=design.export.dropped_share,
            base_answers=design.sheet.answer_file("base", base),
            rows=self._rows if is_final else None,  # borrowing stops nothing, and takes its time
            unseen=self._unseen if is_final else None,
            tuning_problems=problems,
            measures=aspects.measures if aspects is not None else (),
            watch=design.watch if is_final else None,
            notes=(*_notes_on_tuning(recipe, rates, tunings, design), *(aspects.notes if aspects is not None else ())),
        )


def rows_of(run: Run) -> RowTexts:
    """The responses of a run's dataset, before any cleaning: what answers could have been borrowed from."""
    return RowTexts(run.corpus.responses["text"].to_list(), Materials(run.path, run.corpus).phrases)


@contextmanager
def nothing_left_of_nothing(folder: Path) -> Iterator[None]:
    """An error of the user's before anything was tuned leaves no partial folder, which would only be in the way."""
    try:
        yield
    except InputError:
        if not any((folder / name).exists() for name in ("records", "models", "rates")):
            shutil.rmtree(folder)
        raise


def _notes_on_tuning(recipe: Recipe, rates: RateChoice | None, tunings: Sequence[Tuning], design: Design) -> Iterator[str]:
    source = "as given"
    if rates is not None:
        edge = ", the end of the grid: a better one may lie beyond" if rates.at_edge else ""
        source = f"of least held-out loss among {len(rates.tried)}{edge}"
    lasted = f"{recipe.max_steps} steps" if recipe.max_steps is not None else f"{recipe.epochs} epochs"
    yield (
        f"Tuned by {recipe.method} at a learning rate of {recipe.learning_rate:g} ({source}), {lasted}, arms at equal"
        f" {design.request.equal}."
    )
    of_arm = {arm: [tuning.record.training_fit for tuning in tunings if tuning.arm == arm] for arm in (CLEANED, RANDOM)}
    fits = ", ".join(f"{arm} {sum(fits) / len(fits):.1%}" for arm, fits in of_arm.items())
    yield f"Training fit, the share of trained tokens that the tuned models predict: {fits}."
    for arm in design.arms:
        yield from (f"{note}." for note in arm.notes)
    yield from design.notes


def _notes_on_fit(methods: Sequence[MethodResult]) -> Iterator[str]:
    """Whether two methods may be compared."""
    fits = [(result.method, fit) for result in methods if (fit := result.training_fit(CLEANED, RANDOM)) is not None]
    if len(fits) < 2:
        return
    said = ", ".join(f"{method} {fit:.1%}" for method, fit in fits)
    if max(fit for _, fit in fits) - min(fit for _, fit in fits) > MAX_FIT_DIFFERENCE:
        yield (
            f"Training fit differs by over {MAX_FIT_DIFFERENCE:.0%} ({said}): the methods learned their rows unequally well,"
            " so that nothing is claimed of one against the other."
        )
    else:
        yield f"Training fit is alike within {MAX_FIT_DIFFERENCE:.0%} ({said})."


def _tunings_json(methods: Sequence[MethodResult]) -> bytes:
    content = [
        {"arm": tuning.arm, "seed": tuning.seed, "record": tuning.record.to_json()}
        for result in methods
        for tuning in result.tunings
    ]
    return json.dumps(content, indent=1, ensure_ascii=False).encode()


def _manifest_json(
    run: Run, design: Design, name: str, n_workers: int, methods: Sequence[MethodResult], times: Mapping[str, Any]
) -> bytes:
    request = design.request
    content = {
        "name": name,
        "export": request.export,
        "run": run.manifest["key"],
        "base_model": request.base_model,
        "prompts": str(request.prompts),
        "design": dict(design.key),
        "workers": n_workers,
        "threads": design.n_threads,
        "machine": {"platform": platform.platform(), "python": platform.python_version()},
        "times": times,
        "tunings": sum(len(result.tunings) for result in methods),
        "seconds_tuning": round(
            sum(
                tuning.record.seconds_load + tuning.record.seconds_train + tuning.record.seconds_health
                for result in methods
                for tuning in result.tunings
            ),
            1,
        ),
        "stopped": {str(result.method): result.stopped or result.problem for result in methods},
    }
    return json.dumps(content, indent=1, ensure_ascii=False, default=str).encode()
