"""The paper's four statements on one's own base model, dataset and prompts: tune what it tuned, measure what it measured.

Seven arms by seed: LoRA and full tuning on all rows; full tuning with noise on the embeddings (NEFTune); full tuning on
the longest half and on a random half; LoRA on the shortest half and on a random half. And one more tuning, of the method
that fits better, stopped at the other's training loss: token shift of two methods compares only there. It works in
`RUN/verify/NAME.partial` and is taken up after a kill as a verification is.

Source: Ghosh et al. (2024), *A Closer Look at the Limitations of Instruction Tuning*, ICML.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from audit.engines import LocalPool
from audit.errors import CorruptFileError, InputError
from audit.materials import Materials
from audit.models import find_model_folder, weights_digest
from audit.rendering import load_chat_format
from audit.responses import Split
from audit.rundir import Run, claim_folder, name_folder, write_table
from audit.tune.rates import choose_learning_rate
from audit.tune.recipe import Method, Recipe, load_recipe
from audit.tune.record import TuningRecord, tuning_problems
from audit.tune.rows import TrainingSet, training_set
from audit.verify.answering import (
    AnswerTask,
    PromptSheet,
    answer_task,
    n_threads_for,
    prompt_lines,
    read_answers,
    read_prompt_sheet,
)
from audit.verify.borrowing import RowTexts
from audit.verify.campaign import TuningTask, nothing_left_of_nothing, tune_task
from audit.verify.design import FIRST_SEED, common_max_length
from audit.verify.proportions import Proportion
from audit.verify.statements import (
    BorrowingFigures,
    Contrast,
    FixFigures,
    MeasuredArm,
    MeasuredShift,
    PairNearness,
    ShiftFigures,
    StyleFigures,
    borrowing_figures,
    contrast,
    pair_nearness,
    shift_figures,
    style_figures,
    wrong_share,
)
from audit.verify.unseen import unseen_responses
from indexes.encoders import encode_cached, load_static
from indexes.store import read_bytes, write_bytes

__all__ = ["PaperPlan", "PaperReport", "PaperRequest", "PaperTask", "PaperTuning", "paper_task", "plan_paper", "run_paper"]

_KIND = "verify"
_VERSION = 1
_VERSIONS = ("tunescope", "torch", "transformers", "trl", "peft", "tokenizers")
_RATE_SEED = FIRST_SEED - 1
_KEPT_SHARE = 0.5
_NOISE_ALPHA = 5.0  # what NEFTune's authors use for chat data
_MAX_FIT_DIFFERENCE = 0.10
# Losses this near count as matched; each trial is a tuning of its own.
_MATCHED_LOSS_SHARE = 0.05
_MOST_TRIALS = 4

LORA, FULL, NOISE = "LoRA", "full", "full with NEFTune"
LONGEST, RANDOM = "full, longest half", "full, random half"
SHORTEST, LORA_RANDOM = "LoRA, shortest half", "LoRA, random half"
_SHIFT_ARMS = (LORA, FULL, RANDOM)

Progress = Callable[[str, int, int], None]
"""Told what was finished, how many tunings are, and how many there will be."""


@dataclass(frozen=True)
class PaperRequest:
    """What a user asks for.

    Attributes:
        base_model: Folder or hub name of the model to tune.
        prompts: File of prompts with references; wrong answers are counted on the held-out ones.
        recipe: A packaged recipe, or a file; its LoRA and full sections are used.
        learning_rates: In place of the recipe's.
        n_seeds: Tunings of every arm.
        unseen: A dataset that no model was tuned on, a null of borrowing.
        max_new_tokens: The longest answer.
    """

    base_model: str
    prompts: Path
    recipe: str = "paper"
    learning_rates: Mapping[Method, float] = field(default_factory=dict)
    n_seeds: int = 3
    unseen: Path | None = None
    max_new_tokens: int = 128


@dataclass(frozen=True)
class PaperArm:
    """One arm.

    Attributes:
        name: Its name.
        method: How it is tuned.
        rows: For every seed the rows of the source that it is tuned on; `None` for all.
        has_noise: Whether noise is added to the embeddings.
    """

    name: str
    method: Method
    rows: tuple[tuple[int, ...], ...] | None = None
    has_noise: bool = False


@dataclass(frozen=True)
class PaperPlan:
    """A report before its models are tuned.

    Attributes:
        request: What was asked for.
        sheet: The prompts.
        training: All rows that can be trained on.
        recipes: By method; without a learning rate where it is still to be chosen.
        seeds: Of the tunings.
        arms: All of them.
        n_kept: Rows of the halves.
        base_digest: SHA-256 of the base model's weights.
        n_threads: Of every tuning.
        unseen: Responses that no model was tuned on, at most as many as the dataset has.
        notes: What a reader has to know.
    """

    request: PaperRequest
    sheet: PromptSheet
    training: TrainingSet
    recipes: Mapping[Method, Recipe]
    seeds: tuple[int, ...]
    arms: tuple[PaperArm, ...]
    n_kept: int
    base_digest: str
    n_threads: int
    unseen: tuple[str, ...] | None
    notes: tuple[str, ...]

    @property
    def n_tunings(self) -> int:
        """Of the arms, without those that learning rates and training losses are matched by."""
        return len(self.arms) * len(self.seeds)

    @cached_property
    def key(self) -> Mapping[str, Any]:
        """Everything that the result depends on, as JSON values."""
        return {
            "paper": _VERSION,
            "rows": self.training.digest,
            "base": self.base_digest,
            "template": self.training.template_digest,
            "prompts": hashlib.sha256(prompt_lines(self.sheet.prompts)).hexdigest(),
            "recipes": [recipe.model_dump(mode="json") for recipe in self.recipes.values()],
            "seeds": list(self.seeds),
            "kept": self.n_kept,
            "max_new_tokens": self.request.max_new_tokens,
            "unseen": None if self.unseen is None else hashlib.sha256(json.dumps(self.unseen).encode()).hexdigest(),
            "versions": {name: version(name) for name in _VERSIONS},
        }


@dataclass(frozen=True, slots=True)
class PaperTuning:
    """How the tunings of one arm went, means over its seeds.

    Attributes:
        arm: The arm.
        method: How it was tuned.
        learning_rate: The highest of the schedule.
        n_rows, n_steps: Rows, and optimizer steps.
        training_loss: Nats per trained token, after the last step.
        training_fit: Share of trained tokens that are the greedy prediction.
        problems: Why nothing should be claimed from it.
    """

    arm: str
    method: Method
    learning_rate: float
    n_rows: float
    n_steps: float
    training_loss: float
    training_fit: float
    problems: tuple[str, ...]


@dataclass(frozen=True)
class PaperReport:
    """The four statements, on one's own data.

    Attributes:
        base_model: The model that was tuned.
        recipe: Name or file of the recipe.
        n_seeds, n_rows, n_kept: Tunings per arm, rows of the dataset that can be trained on, and rows of a half.
        n_prompts, n_units, n_control: Held-out prompts, independent units among them, and control prompts.
        base_wrong: Wrong answers of the untuned model.
        tunings: How the arms were tuned.
        shift: Statement 1, at the recipe as it stands.
        matched: Statement 1, at one training loss and one seed; empty where it could not be matched.
        style: Statement 2.
        concise: LoRA on the shortest half against LoRA on a random half.
        borrowing: Statement 3.
        fixes: Statement 4.
        selection: Full tuning on the longest half against a random half.
        notes: What a reader has to know.
    """

    base_model: str
    recipe: str
    n_seeds: int
    n_rows: int
    n_kept: int
    n_prompts: int
    n_units: int
    n_control: int
    base_wrong: Proportion | None
    tunings: tuple[PaperTuning, ...]
    shift: tuple[ShiftFigures, ...]
    matched: tuple[ShiftFigures, ...]
    style: tuple[StyleFigures, ...]
    concise: Contrast | None
    borrowing: BorrowingFigures
    fixes: tuple[FixFigures, ...]
    selection: Contrast | None
    notes: tuple[str, ...]


Render = Callable[[PaperReport], Mapping[str, bytes]]
"""Makes `paper.json` and the page, by file name."""


def plan_paper(run: Run, request: PaperRequest) -> PaperPlan:
    """Read everything, draw every arm, and find what could go wrong before hours of tuning.

    Raises:
        InputError: A model, recipe, dataset or file of prompts cannot be used, or there are too few rows.
    """
    if request.n_seeds < 1:
        raise InputError(f"{request.n_seeds} seeds are none", remedy="give --seeds 3")
    recipes = {
        method: load_recipe(request.recipe, method, learning_rate=request.learning_rates.get(method)) for method in Method
    }
    sheet = read_prompt_sheet(request.prompts, ())
    folder, _ = find_model_folder(request.base_model)
    max_length = common_max_length(tuple(recipes.values()), folder)
    training = training_set(run.corpus, load_chat_format(folder), max_length)
    n_kept = round(_KEPT_SHARE * len(training))
    seeds = tuple(range(FIRST_SEED, FIRST_SEED + request.n_seeds))
    unseen = None if request.unseen is None else unseen_responses(request.unseen, run.corpus.responses.height)
    notes = []
    if unseen is not None and len(unseen) < run.corpus.responses.height:
        notes.append(f"{request.unseen} has {len(unseen)} responses, the dataset {run.corpus.responses.height}.")
    return PaperPlan(
        request=request,
        sheet=sheet,
        training=training,
        recipes=recipes,
        seeds=seeds,
        arms=arms_of(training, seeds, n_kept),
        n_kept=n_kept,
        base_digest=weights_digest(request.base_model),
        n_threads=n_threads_for(request.base_model),
        unseen=unseen,
        notes=tuple(notes),
    )


def arms_of(training: TrainingSet, seeds: Sequence[int], n_kept: int) -> tuple[PaperArm, ...]:
    """The arms, with halves of `n_kept` rows.

    Raises:
        InputError: There are too few rows.
    """
    if not 0 < n_kept < len(training):
        raise InputError(f"{len(training)} rows cannot be halved", remedy="give a dataset of more rows")
    by_length = sorted(zip(training.n_trained_tokens, training.rows, strict=True))
    shortest = tuple(sorted(row for _, row in by_length[:n_kept]))
    # Of equally long rows the first ones stay, here too.
    longest = tuple(sorted(row for _, row in sorted(by_length, key=lambda one: (-one[0], one[1]))[:n_kept]))
    drawn = tuple(
        tuple(sorted(np.random.default_rng([seed, n_kept]).choice(training.rows, n_kept, replace=False).tolist()))
        for seed in seeds
    )
    return (
        PaperArm(LORA, Method.LORA),
        PaperArm(FULL, Method.FULL),
        PaperArm(NOISE, Method.FULL, has_noise=True),
        PaperArm(LONGEST, Method.FULL, (longest,) * len(seeds)),
        PaperArm(RANDOM, Method.FULL, drawn),
        PaperArm(SHORTEST, Method.LORA, (shortest,) * len(seeds)),
        PaperArm(LORA_RANDOM, Method.LORA, drawn),
    )


@dataclass(frozen=True)
class PaperTask:
    """One tuning of one arm, its answers and, where it is wanted, its token shift; for a process of its own."""

    tuning: TuningTask
    shift: Path | None

    def __str__(self) -> str:
        return self.tuning.name


def paper_task(task: PaperTask) -> str | None:
    """Tune, ask, measure, and delete the model; why the tuning came to nothing, if it did.

    Raises:
        InputError: The model cannot be tuned on these rows, or asked these prompts.
        StorageError: The disk is full.
    """
    problem = tune_task(task.tuning)
    if problem is None and task.shift is not None:
        problem = _measure(task.tuning, task.shift)
    shutil.rmtree(task.tuning.model, ignore_errors=True)
    return problem


def _measure(tuning: TuningTask, out: Path) -> str | None:
    from audit.shift.measure import load_pair, measure_shift

    pair = load_pair(tuning.base, tuning.model)
    try:
        report = measure_shift(*pair, tuning.prompts, max_new_tokens=tuning.max_new_tokens)
    except InputError as error:
        return f"{tuning.name}: {error.what}"
    write_bytes(out / "texts.json", json.dumps([response.text for response in report.responses]).encode())
    write_table(out / "tokens.parquet", report.tokens)
    return None


def run_paper(
    run: Run,
    plan: PaperPlan,
    name: str,
    *,
    n_workers: int,
    render: Render,
    progress: Progress | None = None,
) -> PaperReport:
    """Carry out a plan, or go on with it where it was interrupted, and add the report to the run as RUN/verify/NAME.

    Args:
        run: The run of the dataset.
        plan: What to tune.
        name: Of the report.
        n_workers: Tunings at a time; the figures do not depend on it.
        render: Makes the files that people and machines read.
        progress: Told of every tuning.

    Raises:
        InputError: A model cannot be tuned or asked, LoRA or full tuning came to nothing, or the partial folder is
            another plan's.
        StorageError: The disk is full; finished tunings are kept.
    """
    final = run.check_name(_KIND, name)
    with claim_folder(final, {**plan.key, "run": run.manifest["key"]}, "report", "report") as folder:
        with nothing_left_of_nothing(folder), LocalPool(n_workers=n_workers, n_threads=plan.n_threads) as pool:
            report = _Work(run, plan, folder, pool, n_workers, progress).report()
        write_bytes(folder / "prompts.jsonl", prompt_lines(plan.sheet.prompts))
        for file, content in render(report).items():
            write_bytes(folder / file, content)
        write_bytes(folder / "manifest.json", json.dumps({"name": name, **plan.key}, indent=1).encode())
        for scratch in ("records", "rates", "models"):
            shutil.rmtree(folder / scratch, ignore_errors=True)
        name_folder(folder, final)
    return report


class _Work:
    """The jobs of one plan, in one folder, and what they add up to."""

    def __init__(
        self, run: Run, plan: PaperPlan, folder: Path, pool: LocalPool, n_workers: int, progress: Progress | None
    ) -> None:
        self._run, self._plan, self._folder, self._pool, self._n_workers = run, plan, folder, pool, n_workers
        self._progress = progress or (lambda what, number, total: None)
        self._n_finished = 0
        self._recipes = dict(plan.recipes)
        self._problems: list[str] = []
        self._texts: dict[tuple[int, ...] | None, tuple[RowTexts, RowTexts | None]] = {}

    def report(self) -> PaperReport:
        """Tune and measure whatever is not there yet, and compute the figures."""
        plan, sheet = self._plan, self._plan.sheet
        base = self._base_answers()
        for method in Method:
            self._choose_rate(method)
        arms = self._measured_arms()
        for needed in (LORA, FULL):
            if needed not in arms:
                raise InputError(
                    f"{needed} could not be tuned", why="; ".join(self._problems), remedy="choose a lower learning rate"
                )
        matched = self._matched(arms[LORA], arms[FULL])
        questions, responses = sheet.questions, self._run.corpus.responses["text"].to_list()
        lora = arms[LORA]
        style = style_figures(questions, responses, base, tuple(arms.values()))
        words = {row.name: row.traits.mean_words for row in style}
        return PaperReport(
            base_model=plan.request.base_model,
            recipe=str(plan.request.recipe),
            n_seeds=len(plan.seeds),
            n_rows=len(plan.training),
            n_kept=plan.n_kept,
            n_prompts=len(sheet.held_out),
            n_units=sheet.n_units,
            n_control=sum(question.split is Split.CONTROL for question in questions),
            base_wrong=wrong_share(questions, [base]),
            tunings=tuple(self._tuning(arm) for arm in arms.values()),
            shift=tuple(shift_figures(arms[name]) for name in (LORA, FULL)),
            matched=tuple(map(shift_figures, matched)),
            style=style,
            concise=_contrast(questions, arms, SHORTEST, LORA_RANDOM),
            borrowing=borrowing_figures(
                questions,
                [arms[name] for name in _SHIFT_ARMS if name in arms],
                base,
                self._row_texts,
                self._nearness,
            ),
            fixes=tuple(
                FixFigures(
                    arm.name,
                    arm.n_rows,
                    arm.training_fit,
                    wrong_share(questions, arm.answers),
                    None if arm is lora else contrast(questions, arm, lora),
                    words[arm.name],
                )
                for arm in arms.values()
            ),
            selection=_contrast(questions, arms, LONGEST, RANDOM),
            notes=tuple(self._notes(arms, matched)),
        )

    def _base_answers(self) -> tuple[str, ...]:
        path = self._folder / "answers" / "base.jsonl"
        answers = read_answers(path)
        if answers is None:
            request = self._plan.request
            task = AnswerTask("the base model", request.base_model, None, self._plan.sheet.asked, request.max_new_tokens, path)
            self._progress("asking the base model", 0, self._plan.n_tunings)
            self._pool.run(answer_task, [task])
            answers = read_answers(path)
        assert answers is not None  # the task ended without an error
        return answers

    def _choose_rate(self, method: Method) -> None:
        recipe = self._recipes[method]
        if recipe.learning_rate is None:
            self._progress(f"{method}: choosing a learning rate", self._n_finished, self._plan.n_tunings)
            rates = choose_learning_rate(
                self._plan.request.base_model,
                self._plan.training,
                recipe,
                _RATE_SEED,
                self._folder / "rates" / method,
                n_workers=self._n_workers,
                n_threads=self._plan.n_threads,
            )
            self._recipes[method] = recipe.model_copy(update={"learning_rate": rates.learning_rate})

    def _measured_arms(self) -> dict[str, MeasuredArm]:
        """Every arm whose tunings all came to their end, in order."""
        tasks = {arm.name: [self._task(arm, number) for number in range(len(self._plan.seeds))] for arm in self._plan.arms}
        missing = [task for of_arm in tasks.values() for task in of_arm if not self._is_finished(task)]
        self._n_finished = self._plan.n_tunings - len(missing)

        def done(number: int, problem: str | None) -> None:
            self._n_finished += 1
            self._progress(str(missing[number]), self._n_finished, self._plan.n_tunings)

        self._problems += filter(None, self._pool.run(paper_task, missing, done=done))
        return {
            arm.name: self._measured(arm.name, arm.method, tasks[arm.name], arm.rows)
            for arm in self._plan.arms
            if all(map(self._is_finished, tasks[arm.name]))
        }

    def _task(self, arm: PaperArm, number: int) -> PaperTask:
        recipe = self._recipes[arm.method]
        if arm.has_noise:
            recipe = recipe.model_copy(update={"neftune_noise_alpha": recipe.neftune_noise_alpha or _NOISE_ALPHA})
        training = self._plan.training
        if arm.rows is not None:
            training = training.without(set(training.rows) - set(arm.rows[number]))
        return self._paper_task(arm.name, self._plan.seeds[number], recipe, training, arm.name in _SHIFT_ARMS)

    def _paper_task(self, name: str, seed: int, recipe: Recipe, training: TrainingSet, has_shift: bool) -> PaperTask:
        request = self._plan.request
        place = f"{name.lower().replace(',', '').replace(' ', '-')}/{seed}"
        return PaperTask(
            TuningTask(
                name=f"{name}, seed {seed}",
                base=request.base_model,
                training=training,
                recipe=recipe,
                seed=seed,
                prompts=self._plan.sheet.asked,
                max_new_tokens=request.max_new_tokens,
                model=self._folder / "models" / place,
                keep_model=True,
                answers=self._folder / "answers" / f"{place}.jsonl",
                record=self._folder / "records" / f"{place}.json",
            ),
            self._folder / "shifts" / place if has_shift else None,
        )

    def _is_finished(self, task: PaperTask) -> bool:
        return (
            self._record(task) is not None
            and read_answers(task.tuning.answers) is not None
            and (task.shift is None or _read_shift(task.shift) is not None)
        )

    def _record(self, task: PaperTask) -> TuningRecord | None:
        try:
            return TuningRecord.from_json(json.loads(read_bytes(task.tuning.record)))
        except (CorruptFileError, ValueError):
            return None

    def _measured(
        self, name: str, method: Method, tasks: Sequence[PaperTask], rows: tuple[tuple[int, ...], ...] | None
    ) -> MeasuredArm:
        """The arm of some finished tasks."""
        records = [record for task in tasks if (record := self._record(task)) is not None]
        answers = [texts for task in tasks if (texts := read_answers(task.tuning.answers)) is not None]
        shifts = [shift for task in tasks if task.shift is not None and (shift := _read_shift(task.shift)) is not None]
        return MeasuredArm(name, method, tuple(records), tuple(answers), tuple(shifts), rows)

    def _matched(self, lora: MeasuredArm, full: MeasuredArm) -> tuple[MeasuredArm, ...]:
        """LoRA and full tuning of the first seed at one training loss: the one that fits better is stopped earlier.

        The number of steps is looked for between none and all of them, by interpolation, each trial a tuning.
        """
        firsts = [replace(arm, records=arm.records[:1], answers=arm.answers[:1], shifts=arm.shifts[:1]) for arm in (lora, full)]
        shallow, deep = sorted(firsts, key=lambda arm: -arm.training_loss)
        wanted = shallow.training_loss
        if _is_matched(deep.training_loss, wanted):
            return _in_order(shallow, deep)
        recipe = deep.records[0].recipe
        before, after = (0, deep.records[0].first_train_loss), (deep.records[0].n_steps, deep.training_loss)
        for _ in range(_MOST_TRIALS):
            if after[0] - before[0] < 2 or before[1] <= after[1]:
                break
            share = min(0.9, max(0.1, (before[1] - wanted) / (before[1] - after[1])))
            n_steps = min(after[0] - 1, max(before[0] + 1, round(before[0] + share * (after[0] - before[0]))))
            task = self._paper_task(
                f"{deep.name}, {n_steps} steps",
                self._plan.seeds[0],
                recipe.model_copy(update={"max_steps": n_steps}),
                self._plan.training,
                has_shift=True,
            )
            if not self._is_finished(task):
                self._progress(str(task), self._n_finished, self._plan.n_tunings)
                problems = list(filter(None, self._pool.run(paper_task, [task])))
                if problems:
                    self._problems += problems
                    break
            trial = self._measured(f"{deep.name} (stopped after {n_steps} steps)", deep.method, [task], None)
            if _is_matched(trial.training_loss, wanted):
                return _in_order(shallow, trial)
            if trial.training_loss > wanted:
                before = (n_steps, trial.training_loss)
            else:
                after = (n_steps, trial.training_loss)
        return ()

    def _tuning(self, arm: MeasuredArm) -> PaperTuning:
        problems = dict.fromkeys(problem for record in arm.records for problem in tuning_problems(record))
        return PaperTuning(
            arm=arm.name,
            method=arm.method,
            learning_rate=arm.records[0].learning_rate,
            n_rows=arm.n_rows,
            n_steps=sum(record.n_steps for record in arm.records) / len(arm.records),
            training_loss=arm.training_loss,
            training_fit=arm.training_fit,
            problems=tuple(problems),
        )

    def _row_texts(self, arm: MeasuredArm, number: int) -> tuple[RowTexts, RowTexts | None]:
        """The responses that a run was tuned on, and as many that it never saw: of a half, those of other rows."""
        rows = None if arm.rows is None else arm.rows[number]
        if rows not in self._texts:
            if rows is None:
                materials = Materials(self._run.path, self._run.corpus)
                own = RowTexts(self._run.corpus.responses["text"].to_list(), materials.phrases)
                unseen = None if self._plan.unseen is None else RowTexts.of(self._plan.unseen)
            else:
                own = RowTexts.of(self._responses_of(rows)["text"].to_list())
                others = sorted(set(self._plan.training.rows) - set(rows))
                drawn = np.random.default_rng(len(rows)).choice(others, min(len(rows), len(others)), replace=False)
                unseen = RowTexts.of(self._responses_of(drawn.tolist())["text"].to_list())
            self._texts[rows] = own, unseen
        return self._texts[rows]

    def _row_prompts(self, arm: MeasuredArm, number: int) -> list[str]:
        """The prompts of the responses of `_row_texts`, in the same order."""
        rows = None if arm.rows is None else arm.rows[number]
        frame = self._run.corpus.responses if rows is None else self._responses_of(rows)
        prompts: list[str] = frame["prompt"].to_list()
        return prompts

    def _responses_of(self, rows: Sequence[int]) -> pl.DataFrame:
        return self._run.corpus.responses.filter(pl.col("row").is_in(list(rows)))

    def _nearness(self, arm: MeasuredArm) -> PairNearness:
        return pair_nearness(arm, self._plan.sheet.questions, self._row_texts, self._row_prompts, self._cosines)

    @cached_property
    def _cosines(self) -> Callable[[str, Sequence[str]], np.ndarray] | None:
        materials = Materials(self._run.path, self._run.corpus)
        if not materials.has_vectors:
            return None
        encoder = load_static(self._run.manifest["encoder"]["encoder"])
        kept: dict[tuple[str, ...], np.ndarray] = {}

        def cosines(question: str, prompts: Sequence[str]) -> np.ndarray:
            vectors = kept.get(key := tuple(prompts))
            if vectors is None:
                vectors = kept[key] = encode_cached(encoder, list(prompts)).astype(np.float64)
            found: np.ndarray = vectors @ encoder.encode([question])[0].astype(np.float64)
            return found

        return cosines

    def _notes(self, arms: Mapping[str, MeasuredArm], matched: Sequence[MeasuredArm]) -> list[str]:
        plan = self._plan
        notes = [
            f"The halves are {plan.n_kept} of {len(plan.training)} rows, longest and shortest by trained tokens; the random"
            " ones are drawn anew for every seed. Every arm sees each of its rows equally often, so halves are half the steps.",
            *plan.notes,
            *(f"{problem}; the arm is left out." for problem in self._problems),
        ]
        for arm in arms.values():
            of_arm = dict.fromkeys(problem for record in arm.records for problem in tuning_problems(record))
            notes += [f"{arm.name} is not healthy: {problem}. Nothing should be claimed from it." for problem in of_arm]
        fits = [arms[name].training_fit for name in (LORA, FULL)]
        if abs(fits[0] - fits[1]) > _MAX_FIT_DIFFERENCE:
            notes.append(
                f"LoRA predicts {fits[0]:.0%} of the trained tokens, full tuning {fits[1]:.0%}: at this recipe they learned"
                " their rows unequally well, and only the comparison at one training loss is one of methods."
            )
        for first, second in ((LONGEST, RANDOM), (SHORTEST, LORA_RANDOM)):
            if first in arms and second in arms:
                fits = [arms[name].training_fit for name in (first, second)]
                if abs(fits[0] - fits[1]) > _MAX_FIT_DIFFERENCE:
                    notes.append(
                        f"{first} predicts {fits[0]:.0%} of its trained tokens, {second} {fits[1]:.0%}: they differ in how"
                        " well rows were learned, too."
                    )
        if not matched:
            notes.append(f"No number of steps brought both methods to one training loss within {_MATCHED_LOSS_SHARE:.0%}.")
        if plan.unseen is None:
            notes.append(
                "No unseen dataset was given: for models that were tuned on all rows, the nulls of unseen rows and of others"
                " as frequent are missing. The random half has them, from rows that it was not tuned on."
            )
        if len(plan.seeds) == 1:
            notes.append("One seed per arm: differences between arms have no interval.")
        return notes


def _in_order(first: MeasuredArm, second: MeasuredArm) -> tuple[MeasuredArm, MeasuredArm]:
    """Two arms in the order of reports."""
    return (first, second) if first.method is Method.LORA else (second, first)


def _is_matched(loss: float, wanted: float) -> bool:
    return abs(loss - wanted) <= _MATCHED_LOSS_SHARE * wanted


def _contrast(questions: Sequence[Any], arms: Mapping[str, MeasuredArm], first: str, second: str) -> Contrast | None:
    return contrast(questions, arms[first], arms[second]) if first in arms and second in arms else None


def _read_shift(folder: Path) -> MeasuredShift | None:
    """What `_measure` wrote; `None` where it is not whole."""
    try:
        texts = json.loads(read_bytes(folder / "texts.json"))
        return MeasuredShift(pl.read_parquet(io.BytesIO(read_bytes(folder / "tokens.parquet"))), tuple(texts))
    except CorruptFileError:
        return None
