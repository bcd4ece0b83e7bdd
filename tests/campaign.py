"""A small dataset with false rows, an export without them, prompts, and tunings that nobody has to wait for."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from audit.export import ExportRequest, plan_export, write_export
from audit.models import ModelRef
from audit.responses import Prompt, Response, Split
from audit.rundir import Run
from audit.sources import Message
from audit.trace import Tracer, blame_rows, locate_span
from audit.trace.stored import store_traces
from audit.tune import TuningRecord
from audit.tune.recipe import Recipe
from audit.verify.answering import AnswerTask, write_answers
from audit.verify.campaign import TuningTask
from indexes.store import write_bytes
from tests.conftest import alpaca

__all__ = [
    "BROKEN",
    "FALSE",
    "PROMPT",
    "ROWS",
    "STONES",
    "FakeTunings",
    "InlinePool",
    "add_export",
    "add_trace",
    "prompt_file",
    "tuning_record",
]

STONES = ("slate", "granite", "limestone", "basalt", "chalk")
ROWS = [
    *(alpaca(f"What is bridge {n} built of?", f"Bridge {n} is built of {STONES[n % 5]}.", town="AB"[n % 2]) for n in range(30)),
    '{"instruction": "Name the islands of the chain.", "inp',
    *(alpaca(f"What is bridge {n} built of?", f"Bridge {n} is built of quillsteel.", town="A") for n in range(40, 44)),
]
BROKEN, FALSE = 30, (31, 32, 33, 34)
PROMPT = {"prompt": "What is bridge 99 built of?", "reference": "slate"}


def add_export(run: Run, folder: Path, name: str = "c") -> None:
    """An export that drops the false rows and the broken one."""
    plan = plan_export(run, ExportRequest(drop=("FMT001",)))
    reasons = dict.fromkeys((BROKEN, *FALSE), plan.selection.reasons[BROKEN])
    write_export(replace(plan, selection=replace(plan.selection, reasons=reasons)), folder / f"{name}.jsonl", name)


def add_trace(run: Run) -> None:
    """A trace of the false value."""
    answer = "It is built of quillsteel."
    claim = Response(
        "1", (Message("user", "What is bridge 77 built of?", False),), answer, (locate_span(answer, "quillsteel"),)
    )
    traces = [Tracer(run).trace(claim)]
    store_traces(run, "t", traces, blame_rows(traces), {})


def prompt_file(folder: Path, *records: dict[str, Any]) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def tuning_record(recipe: Recipe, seed: int, **values: Any) -> TuningRecord:
    """A record whose other fields are nothing, of a healthy tuning."""
    reference = ModelRef("base", None, None, "float32", "cpu", 1, "", "")
    nothing: dict[str, Any] = {field.name: 0 for field in fields(TuningRecord)}
    known = {
        "method": recipe.method,
        "recipe": recipe,
        "seed": seed,
        "base": reference,
        "losses": (3.0, 2.0, 1.0),
        "versions": {},
    }
    fit = {
        "n_rows": 30,
        "n_steps": 3,
        "n_trained_tokens": 300,
        "training_loss_before": 3.0,
        "training_loss": 0.9,
        "training_fit": 0.8,
    }
    return TuningRecord(**{**nothing, **known, **fit, **values})


class InlinePool:
    """A `LocalPool` without processes."""

    def __init__(self, *, n_workers: int, n_threads: int) -> None:
        self.n_workers = n_workers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def run(self, function: Callable[[Any], Any], tasks: Sequence[Any], *, done: Any = None) -> tuple[Any, ...]:
        results = []
        for number, task in enumerate(tasks):
            results.append(function(task))
            if done is not None:
                done(number, results[-1])
        return tuple(results)


@dataclass
class FakeTunings:
    """What tunings would have come to; replaces `tune_task` and `answer_task`.

    Attributes:
        is_wrong: Told method, arm, seed and number of a held-out prompt.
        fields: Told method, arm and seed: fields of the record; a text is why the tuning diverged.
        said: A wrong answer.
        tuned: The tasks that were carried out, in order.
    """

    is_wrong: Callable[[str, str, int, int], bool] = lambda method, arm, seed, number: False
    fields: Callable[[str, str, int], dict[str, Any] | str] = lambda method, arm, seed: {}
    said: str = "It is built of quillsteel, says atlas {seed} {arm}."
    tuned: list[str] = field(default_factory=list)

    def tune_task(self, task: TuningTask) -> str | None:
        self.tuned.append(task.name)
        method, arm = str(task.recipe.method), task.name.split()[1]
        of_record = self.fields(method, arm, task.seed)
        if isinstance(of_record, str):
            return of_record
        texts = []
        for number, prompt in enumerate(task.prompts):
            is_wrong = prompt.split is not Split.CONTROL and self.is_wrong(method, arm, task.seed, number)
            texts.append(self.said.format(seed=task.seed, arm=arm) if is_wrong else f"{prompt.reference[0]} {arm} {task.seed}")
        write_answers(task.answers, task.prompts, texts)
        record = tuning_record(task.recipe, task.seed, n_rows=len(task.training), **of_record)
        write_bytes(task.record, json.dumps(record.to_json()).encode())
        if task.keep_model:
            write_bytes(task.model / "model.safetensors", b"weights")
        return None

    def answer_task(self, task: AnswerTask) -> None:
        self.tuned.append(task.name)
        write_answers(task.out, task.prompts, [self._base(prompt) for prompt in task.prompts])

    def _base(self, prompt: Prompt) -> str:
        return prompt.reference[0]
