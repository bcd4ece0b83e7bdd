"""`tunescope decide`: what is to become of single rows, with a reason; exports follow it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.audit import OutputFormat

__all__ = ["decide"]


def decide(
    run: Annotated[Path, typer.Argument(help="A run folder that tunescope audit wrote.")],
    drop: Annotated[
        list[str] | None, typer.Option(metavar="ROW", help="Leave the row out of exports: FILE#INDEX or a row key; repeat.")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(metavar="ROW", help="Keep the row, whatever an export drops; repeat.")
    ] = None,
    undo: Annotated[
        list[str] | None, typer.Option(metavar="ROW", help="Take back what was decided about the row; repeat.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the record and for the export's.")] = "",
    format: Annotated[OutputFormat, typer.Option(help="What to print.")] = OutputFormat.TEXT,
) -> None:
    """Decide about rows, or list what was decided; `tunescope export` drops and keeps accordingly."""
    from audit.errors import InputError
    from audit.export.decisions import Choice, decide, find_row, read_decisions, undo_decisions
    from audit.rundir import Run
    from cli.console import show, show_bytes
    from reports.decisions import decisions_json, decisions_report

    opened = Run.open(run)
    drops, keeps, undone = ([find_row(opened.catalog, name) for name in names or ()] for names in (drop, keep, undo))
    twice = (set(drops) & set(keeps)) | (set(drops + keeps) & set(undone))
    if twice:
        raise InputError("two decisions at once", where=str(opened.catalog.id(min(twice))), remedy="give one of them")
    if reason and not (drops or keeps or undone):
        raise InputError("a reason for nothing", remedy="name rows with --drop, --keep or --undo")
    if drops:
        decide(opened, drops, Choice.DROP, reason)
    if keeps:
        decide(opened, keeps, Choice.KEEP, reason)
    if undone:
        undo_decisions(opened, undone, reason)
    decisions = read_decisions(opened)
    if format is OutputFormat.JSON:
        show_bytes(decisions_json(decisions, opened.catalog))
    else:
        show(decisions_report(decisions, opened.catalog))
