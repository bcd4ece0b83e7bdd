"""`tunescope style`: the forms that a dataset's responses share, and which answers of a model copy them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.audit import OutputFormat
from cli.console import Quiet

__all__ = ["style"]


def style(
    run: Annotated[Path, typer.Argument(help="A run folder that tunescope audit wrote.")],
    responses: Annotated[
        Path | None, typer.Option(help="A tuned model's answers: a JSONL file with prompt and response.")
    ] = None,
    base_responses: Annotated[
        Path | None, typer.Option(help="The base model's answers, best to the same prompts: what tuning moved.")
    ] = None,
    null_responses: Annotated[
        list[Path] | None,
        typer.Option(help="Answers of a model that never saw these rows: what is near them by chance; repeat."),
    ] = None,
    name: Annotated[str | None, typer.Option("-o", "--name", help="Keep the result as RUN/style/NAME.")] = None,
    format: Annotated[OutputFormat, typer.Option(help="What to print.")] = OutputFormat.TEXT,
    quiet: Quiet = False,
) -> None:
    """Show the forms that many rows share, and which of a model's answers are cast from them."""
    from audit.rundir import Run
    from audit.style.measured import measure_style
    from cli.console import progress_line, show, show_bytes
    from reports.render import render_style
    from reports.style import style_json, style_report

    opened = Run.open(run)
    if responses is not None:
        name = name or opened.free_name("style", "style")
    if name is not None:
        opened.check_name("style", name)
    with progress_line(quiet) as progress:
        measured = measure_style(opened, responses, base_responses, null_responses or (), progress)
    if name is not None:
        opened.add("style", name, render_style(measured, opened.corpus, opened.summary.name))
    if format is OutputFormat.JSON:
        show_bytes(style_json(measured, opened.corpus))
    else:
        show(style_report(measured, opened.corpus))
    if name is not None:
        typer.echo(f"Kept as {opened.path / 'style' / name}", err=True)
