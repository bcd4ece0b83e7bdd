"""`tunescope demo`: the whole path on a small dataset of the project's own making, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["demo"]


def demo(
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for everything; default tunescope-runs/demo-N.")
    ] = None,
) -> None:
    """Audit a small invented dataset, trace a false statement to its rows, export it cleaned with a control."""
    from audit.config import make_config
    from audit.errors import InputError
    from audit.export import ExportRequest, plan_export, write_export
    from audit.pipeline import run_audit
    from audit.pocket import DEMO_CLAIM, demo_dataset
    from audit.trace import Tracer, blame_rows
    from audit.trace.stored import store_traces
    from cli.console import progress_line, show
    from reports.export import export_report
    from reports.render import render_audit, render_traces
    from reports.terminal import audit_report
    from reports.trace import trace_report

    folder = out or _free_folder(Path("tunescope-runs"))
    dataset = demo_dataset()
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise InputError("the folder exists", where=str(folder), remedy="choose another with -o") from error
    data = folder / "merrow.jsonl"
    data.write_bytes("".join(line + "\n" for line in dataset.lines).encode())
    _say(f"1. A dataset of {len(dataset.lines)} rows about an invented island, {len(dataset.false_rows)} of them false: {data}")
    _say("2. tunescope audit merrow.jsonl")
    with progress_line() as progress:
        run = run_audit(make_config({"data": str(data)}), folder / "run", render=render_audit, progress=progress)
    show(audit_report(run.summary, run.corpus, run.findings, run.path))
    _say("3. A model tuned on it says that a coin is made of quillsteel. tunescope trace … --corrected …")
    traces = [Tracer(run).trace(DEMO_CLAIM, k=len(dataset.false_rows) + 4)]
    blame = blame_rows(traces)
    store_traces(run, "quillsteel", traces, blame, render_traces(traces, run.corpus, blame))
    show(trace_report(traces[0], run.corpus))
    _say("4. tunescope export … --drop DUP,TXT,FMT --drop-blamed quillsteel:8 --control random:0-4")
    request = ExportRequest(
        drop=("DUP", "TXT", "FMT"),
        drop_blamed=(f"quillsteel:{len(dataset.false_rows)}",),
        control_seeds=tuple(range(5)),
    )
    plan = plan_export(run, request)
    show(export_report(plan, write_export(plan, folder / "cleaned.jsonl", "cleaned")))
    blamed = {row for row, reasons in plan.selection.reasons.items() if any(r.code.startswith("blame:") for r in reasons)}
    _say(f"Of the {len(dataset.false_rows)} false rows, {len(blamed & set(dataset.false_rows))} were blamed and left out.")
    _say(f"Read the report: {run.path / 'report.html'}")
    _say(f"and the trace:   {run.path / 'traces' / 'quillsteel' / 'report.html'}")
    _say("Next: tune on cleaned.jsonl and on each control, and judge the answers with tunescope verify.")


def _free_folder(parent: Path) -> Path:
    return next(folder for number in range(1, 1_000_000) if not (folder := parent / f"demo-{number}").exists())


def _say(line: str) -> None:
    typer.echo(line)
