"""Checkpoints that another trainer made: they are asked here, and judged like any other answers.

Full models and PEFT adapters alike. Nothing is known of how they were tuned, so that health is judged by the answers
alone; but all must be asked in one prompt format, or they were asked different questions.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from audit.engines import LocalPool
from audit.errors import CorruptFileError, InputError
from audit.export.stored import read_export
from audit.models import ModelRef, find_model_folder, weights_digest
from audit.rendering import load_chat_format
from audit.rundir import Run, claim_folder, name_folder
from audit.trace.stored import traced_prompts, traced_spans
from audit.verify.answer_style import watched_families
from audit.verify.answering import (
    AnswerTask,
    PromptSheet,
    answer_task,
    n_threads_for,
    prompt_lines,
    read_answers,
    read_prompt_sheet,
)
from audit.verify.arms import CLEANED, RANDOM, AnswerFile
from audit.verify.campaign import AspectJudge, Progress, Render, rows_of
from audit.verify.result import CampaignResult, MethodResult
from audit.verify.run import judge_answer_files, unseen_of
from indexes.store import read_bytes, write_bytes

__all__ = ["CheckpointRequest", "verify_checkpoints"]

_KIND = "verify"
_BASE = "the base model"
_PLAIN_NAME = re.compile(r"[\w-][\w.-]*")


@dataclass(frozen=True)
class CheckpointRequest:
    """What a user asks for.

    Attributes:
        checkpoints: Arm and checkpoint, one per tuned model; those of one arm are its runs, in the order given.
        prompts: File of prompts, split before anything was traced.
        export: The export that *cleaned* was tuned on.
        base_model: The untuned model: asked too, and the base of adapters that record another place.
        delta_points: The smallest difference that matters.
        max_new_tokens: The longest answer.
        unseen: A dataset that no model was tuned on, a null of borrowing.
        style_families: Whose share of the answers is measured, by number; by default those that the export dropped.
    """

    checkpoints: tuple[tuple[str, str], ...]
    prompts: Path
    export: str | None = None
    base_model: str | None = None
    delta_points: float = 5.0
    max_new_tokens: int = 128
    unseen: Path | None = None
    style_families: tuple[int, ...] = ()


def verify_checkpoints(
    run: Run,
    request: CheckpointRequest,
    name: str,
    *,
    n_workers: int,
    render: Render,
    judge: AspectJudge | None = None,
    progress: Progress | None = None,
) -> CampaignResult:
    """Ask all checkpoints, judge, and add the verification to the run; goes on where it was interrupted.

    Args:
        run: The run that the cleaning came from.
        request: Which checkpoints, and what they are asked.
        name: Of the verification, RUN/verify/NAME.
        n_workers: Models at a time; the figures do not depend on it.
        render: Makes the files that people and machines read.
        judge: Measures further aspects of the answers.
        progress: Told of every model that was asked.

    Raises:
        InputError: A checkpoint cannot be loaded or has another prompt format, the prompts cannot be used, an arm is
            missing, or the run has no such export.
    """
    _check_arms([arm for arm, _ in request.checkpoints])
    formats = _formats([where for _, where in request.checkpoints])
    sheet = read_prompt_sheet(request.prompts, traced_prompts(run))
    export = read_export(run, request.export) if request.export is not None else None
    unseen = unseen_of(request.unseen, run)
    watch = watched_families(run, export, request.style_families)
    spans = traced_spans(run)
    final = run.check_name(_KIND, name)
    key = {
        "run": run.manifest["key"],
        "export": request.export,
        "checkpoints": [[arm, weights_digest(where)] for arm, where in request.checkpoints],
        "formats": formats,
        "base": weights_digest(request.base_model) if request.base_model is not None else None,
        "prompts": prompt_lines(sheet.prompts).decode(),
        "traced": [sorted(sheet.traced), list(spans)],
        "delta_points": request.delta_points,
        "max_new_tokens": request.max_new_tokens,
        "unseen": None if unseen is None else sorted(unseen.responses),
        "style_families": None if watch is None else list(watch.numbers),
    }
    with claim_folder(final, key, "verification", "verification") as folder:
        tasks = _tasks(request, sheet, folder / "answers")
        refs = _ask(tasks, n_workers, progress)
        files: dict[str, list[AnswerFile]] = {}
        for (arm, _), task in zip(request.checkpoints, tasks, strict=False):
            answers = read_answers(task.out)
            assert answers is not None  # `_ask` wrote them
            files.setdefault(arm, []).append(sheet.answer_file(task.out.stem, answers))
        base = read_answers(folder / "answers" / "base.jsonl")
        verification = judge_answer_files(
            files,
            traced_prompts=sheet.traced,
            traced_spans=spans,
            export=export,
            delta_points=request.delta_points,
            rows=rows_of(run),
            unseen=unseen,
            base_answers=None if base is None else sheet.answer_file("base", base),
            judge=judge,
            watch=watch,
        )
        result = CampaignResult(request.export, None, (MethodResult(None, verification),))
        write_bytes(folder / "prompts.jsonl", prompt_lines(sheet.prompts))
        for file, content in render(result).items():
            write_bytes(folder / file, content)
        write_bytes(folder / "manifest.json", _manifest_json(request, name, tasks, refs, n_workers))
        shutil.rmtree(folder / "models")
        name_folder(folder, final)
    return result


def _check_arms(arms: Sequence[str]) -> None:
    """What `pair_answers` would say of the answers, before hours are spent on them."""
    n_cleaned, n_random = arms.count(CLEANED), arms.count(RANDOM)
    if not n_cleaned or n_cleaned != n_random:
        raise InputError(
            f"{n_cleaned} checkpoints of 'cleaned' and {n_random} of 'random'",
            why="the verdict compares them seed by seed",
            remedy="give --arm cleaned=CHECKPOINT and --arm random=CHECKPOINT, once per seed",
        )
    for arm in arms:
        if not _PLAIN_NAME.fullmatch(arm):  # it names files
            raise InputError(f"{arm!r} is no plain name for an arm", remedy="use letters, digits, - and _")


def _formats(checkpoints: Sequence[str]) -> list[str | None]:
    """The prompt format of every checkpoint that brings one; adapters may leave it to their base model.

    Raises:
        InputError: They differ.
    """
    formats: list[str | None] = []
    for where in checkpoints:
        folder, _ = find_model_folder(where)
        formats.append(load_chat_format(folder).digest if _has_tokenizer(folder) else None)
        if formats[-1] not in (None, *formats[:1]):
            raise _another_format(where, checkpoints[0])
    return formats


def _has_tokenizer(folder: Path) -> bool:
    return (folder / "tokenizer.json").exists()


def _another_format(where: str, first: str) -> InputError:
    return InputError(
        "has another chat template than the first checkpoint",
        where=where,
        why="models that are asked in different formats are asked different questions",
        remedy=f"save the tokenizer of {first} beside it",
    )


def _tasks(request: CheckpointRequest, sheet: PromptSheet, folder: Path) -> list[AnswerTask]:
    """The checkpoints in the order given, then the base model."""
    n_runs: dict[str, int] = {}
    tasks = []
    for arm, where in request.checkpoints:
        n_runs[arm] = n_runs.get(arm, 0) + 1
        name = f"{arm}-{n_runs[arm]}"
        tasks.append(
            AnswerTask(
                f"{arm} {where}", where, request.base_model, sheet.asked, request.max_new_tokens, folder / f"{name}.jsonl"
            )
        )
    if request.base_model is not None:
        # Base models often come without a template; and in another format it would be asked something else.
        first, _ = find_model_folder(request.checkpoints[0][1])
        format_of = str(first) if _has_tokenizer(first) else None
        tasks.append(
            AnswerTask(_BASE, request.base_model, None, sheet.asked, request.max_new_tokens, folder / "base.jsonl", format_of)
        )
    return tasks


def _ask(tasks: Sequence[AnswerTask], n_workers: int, progress: Progress | None) -> tuple[ModelRef, ...]:
    """Have all models answer that have not; which models they were."""
    missing = [task for task in tasks if _ref(task) is None or read_answers(task.out) is None]
    n_before = len(tasks) - len(missing)

    def done(number: int, ref: ModelRef) -> None:
        write_bytes(_record(missing[number]), json.dumps(asdict(ref)).encode())
        if progress is not None:
            progress(missing[number].name, n_before + number + 1, len(tasks))

    n_threads = max(n_threads_for(task.model, task.base) for task in tasks)
    with LocalPool(n_workers=n_workers, n_threads=n_threads) as pool:
        pool.run(answer_task, missing, done=done)
    refs = tuple(ref for task in tasks if (ref := _ref(task)) is not None)
    for task, ref in zip(tasks, refs, strict=True):
        if ref.template_digest != refs[0].template_digest:
            shutil.rmtree(task.out.parents[1])  # asked once more it would still be so
            raise _another_format(task.model, tasks[0].model)
    return refs


def _record(task: AnswerTask) -> Path:
    return task.out.parent.with_name("models") / f"{task.out.stem}.json"


def _ref(task: AnswerTask) -> ModelRef | None:
    try:
        return ModelRef(**json.loads(read_bytes(_record(task))))
    except CorruptFileError:
        return None


def _manifest_json(
    request: CheckpointRequest, name: str, tasks: Sequence[AnswerTask], refs: Sequence[ModelRef], n_workers: int
) -> bytes:
    content = {
        "name": name,
        "export": request.export,
        "prompts": str(request.prompts),
        "max_new_tokens": request.max_new_tokens,
        "workers": n_workers,
        "machine": {"platform": platform.platform(), "python": platform.python_version()},
        "models": {task.out.stem: asdict(ref) | {"where": task.model} for task, ref in zip(tasks, refs, strict=True)},
    }
    return json.dumps(content, indent=1, ensure_ascii=False).encode()
