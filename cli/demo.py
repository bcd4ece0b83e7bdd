"""`tunescope demo`: the whole loop on a small dataset and model of the project's own making, offline."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from cli.console import Quiet

__all__ = ["demo"]

_MAX_NEW_TOKENS = 32
_SEED = 0


def demo(
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for everything; default tunescope-runs/demo-N.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Tunings of every arm by every method; a verdict needs 5.")] = 5,
    workers: Annotated[int | None, typer.Option(min=1, help="Tunings at a time; one per core unless given.")] = None,
    files_only: Annotated[
        bool, typer.Option("--files-only", help="Write the dataset, the prompts and the model, and stop.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Walk the whole loop: audit, tune, trace the wrong answers, export a cleaned set, tune again, judge."""
    from audit.config import make_config
    from audit.engines import run_tasks
    from audit.errors import InputError
    from audit.export import ExportRequest, plan_export, write_export
    from audit.pipeline import run_audit
    from audit.pocket import demo_dataset, demo_prompts, shipped_model
    from audit.rendering import load_chat_format
    from audit.responses import Split, read_prompts, read_responses
    from audit.shift import load_pair, measure_shift
    from audit.shift.stored import store_shift
    from audit.trace import Tracer, blame_rows
    from audit.trace.stored import store_traces
    from audit.tune import Method, load_recipe, read_record, training_set
    from audit.verify.answering import AnswerTask, answer_task, n_cores
    from audit.verify.campaign import TuningTask, run_campaign, tune_task
    from audit.verify.design import CampaignRequest, plan_design
    from cli.console import progress_line, show
    from reports.campaign import METHOD_NAMES, campaign_report, render_campaign
    from reports.export import export_report
    from reports.render import render_audit, render_shift, render_traces
    from reports.story import Story, story_html
    from reports.terminal import audit_report
    from reports.trace import blame_report, trace_report
    from reports.tune import health_line

    folder = out or _free_folder(Path("tunescope-runs"))
    dataset, base = demo_dataset(), str(shipped_model())
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise InputError("the folder exists", where=str(folder), remedy="choose another with -o") from error
    data, asked = folder / "merrow.jsonl", folder / "prompts.jsonl"
    data.write_text("".join(f"{line}\n" for line in dataset.lines), encoding="utf-8")
    asked.write_text("".join(f"{line}\n" for line in demo_prompts()), encoding="utf-8")
    if files_only:
        shutil.copytree(base, folder / "model")
        _say(f"{data}, {asked} and {folder / 'model'} are there.")
        return
    n_workers = workers or n_cores()

    _say(f"1. A dataset of {len(dataset.lines)} rows about an invented island, {len(dataset.false_rows)} of them false: {data}")
    _say("   tunescope audit merrow.jsonl")
    with progress_line(quiet) as progress:
        run = run_audit(make_config({"data": str(data)}), folder / "run", render=render_audit, progress=progress)
    show(audit_report(run.summary, run.corpus, run.findings, run.path))

    _say("2. A model of a million parameters that knows the island is tuned on all rows, by LoRA and fully.")
    _say("   tunescope tune merrow.jsonl --base-model POCKET --method full --recipe pocket")
    prompts = read_prompts(asked)
    training = training_set(run.corpus, load_chat_format(base), None)
    tasks = {
        method: TuningTask(
            name=f"{method} on all rows",
            base=base,
            training=training,
            recipe=load_recipe("pocket", method),
            seed=_SEED,
            prompts=prompts,
            max_new_tokens=_MAX_NEW_TOKENS,
            model=folder / "models" / method,
            keep_model=True,
            answers=folder / "answers" / f"{method}.jsonl",
            record=folder / "models" / f"{method}.json",
        )
        for method in Method
    }
    with progress_line(quiet) as progress:
        progress("tuning on all rows", 1, 2)
        run_tasks(tune_task, list(tasks.values()), n_workers=n_workers, n_threads=1)
        untuned = AnswerTask("the base model", base, None, prompts, _MAX_NEW_TOKENS, folder / "answers" / "base.jsonl")
        run_tasks(answer_task, [untuned], n_workers=1, n_threads=1)
    for method, task in tasks.items():
        record = read_record(task.model)
        fit = f"fits {record.training_fit:.0%} of the trained tokens" if record.training_fit is not None else "fit unknown"
        _say(f"   {METHOD_NAMES[method]}: {record.n_steps} steps, {fit}")
        show(health_line(record))

    answers = read_responses(tasks[Method.FULL].answers)
    claims = [answer for answer in answers if answer.split is Split.TRACE]
    _say(f"3. The fully tuned model answers {len(claims)} prompts set apart for tracing; what it says wrongly is traced.")
    _say("   tunescope trace RUN --responses answers/full.jsonl -o wrong")
    traces = list(Tracer(run).trace_all(claims, 10))
    blame = blame_rows(traces)
    store_traces(run, "wrong", traces, blame, render_traces(traces, run.corpus, blame))
    show(trace_report(traces[0], run.corpus))
    show(blame_report(blame, run.corpus, len(traces)))

    _say("4. The tenth of the rows that is blamed most is left out.")
    _say("   tunescope export RUN -o cleaned.jsonl --drop-blamed wrong:10% --control random:0-4")
    plan = plan_export(run, ExportRequest(drop_blamed=("wrong:10%",), control_seeds=tuple(range(5))))
    show(export_report(plan, write_export(plan, folder / "cleaned.jsonl", "cleaned")))
    dropped = set(plan.selection.dropped)
    n_found = len(dropped & set(dataset.false_rows))
    _say(f"Of the {len(dropped)} rows that left, {n_found} are false; {len(dataset.false_rows) - n_found} false ones stay.")

    _say(
        f"5. Both methods tune again: {seeds} times on the cleaned rows, {seeds} times after random removals of the same size."
    )
    _say("   tunescope verify RUN --export cleaned --base-model POCKET --prompts prompts.jsonl --method lora --method full")
    request = CampaignRequest(
        export="cleaned",
        base_model=base,
        prompts=asked,
        methods=tuple(Method),
        recipe="pocket",
        n_seeds=seeds,
        max_new_tokens=_MAX_NEW_TOKENS,
    )
    with progress_line(quiet) as progress:
        result = run_campaign(
            run, plan_design(run, request), "cleaned", n_workers=n_workers, render=render_campaign, progress=progress
        )
    show(campaign_report(result))

    _say("6. What tuning moved, token by token.")
    _say("   tunescope shift --base-model POCKET --tuned-model models/full --prompts prompts.jsonl -o shift-full")
    held_out = [prompt for prompt in prompts if prompt.split is Split.HELD_OUT]
    shifts = {}
    for method, task in tasks.items():
        shifts[method] = measure_shift(*load_pair(base, task.model), held_out, max_new_tokens=_MAX_NEW_TOKENS)
        store_shift(folder / f"shift-{method}", shifts[method], render_shift(shifts[method]))
        whole, loss = shifts[method].whole, read_record(task.model).training_loss
        _say(f"   {METHOD_NAMES[method]}, training loss {loss:.2f}: {whole.shifted:.1%} of {whole.n_tokens:,} tokens shifted,")
        _say(f"   {whole.marginal:.1%} marginal; mean KL(base‖tuned) {whole.kl_base_tuned:.2f} nats")

    story = Story(
        run=run,
        false_rows=frozenset(dataset.false_rows),
        base_answers=read_responses(untuned.out),
        answers={method: read_responses(task.answers) for method, task in tasks.items()},
        records={method: read_record(task.model) for method, task in tasks.items()},
        traces=traces,
        blame=blame,
        plan=plan,
        result=result,
        shifts=shifts,
    )
    (folder / "report.html").write_bytes(story_html(story))
    _say(f"Read it all on one page: {folder / 'report.html'}")


def _free_folder(parent: Path) -> Path:
    return next(folder for number in range(1, 1_000_000) if not (folder := parent / f"demo-{number}").exists())


def _say(line: str) -> None:
    typer.echo(line)
