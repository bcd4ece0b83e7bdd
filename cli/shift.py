"""`tunescope shift`: what tuning moved, token by token."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.audit import OutputFormat
from cli.console import Quiet

__all__ = ["shift"]


def shift(
    base_model: Annotated[
        str, typer.Option(metavar="MODEL", help="The model before tuning: a folder, or org/name of the hub.")
    ],
    tuned_model: Annotated[str, typer.Option(metavar="MODEL", help="The model after it, or a PEFT adapter.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the result, made new.")],
    prompts: Annotated[Path | None, typer.Option(help="A JSONL file with prompt or messages, to be answered greedily.")] = None,
    responses: Annotated[Path | None, typer.Option(help="In place of it, answers to measure as they are.")] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Where an answer is cut.")] = 256,
    batch_size: Annotated[int, typer.Option(min=1, help="Answers at once.")] = 16,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    format: Annotated[OutputFormat, typer.Option(help="What to print.")] = OutputFormat.TEXT,
    quiet: Quiet = False,
) -> None:
    """Compare a tuned model with its base model, token by token, on the tuned model's own answers."""
    from audit.shift import check_free, load_pair, measure_shift, read_questions, store_shift
    from cli.console import progress_line, show, show_bytes
    from reports.render import render_shift
    from reports.shift import shift_report

    check_free(out)
    questions = read_questions(prompts, responses)
    with progress_line(quiet) as progress:
        progress("loading the models", 0, 2)
        base, tuned = load_pair(base_model, tuned_model, device=device, dtype=dtype)
        report = measure_shift(base, tuned, questions, max_new_tokens=max_new_tokens, batch_size=batch_size, progress=progress)
    rendered = render_shift(report)
    folder = store_shift(out, report, rendered)
    if format is OutputFormat.JSON:
        show_bytes(rendered["shift.json"])
    else:
        show(shift_report(report))
    typer.echo(f"Kept in {folder}: report.html, shift.json, tokens.parquet", err=True)
