"""`tunescope check-run RUN`: verify every byte of a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["check_run"]


def check_run(run: Annotated[Path, typer.Argument(help="A run folder that tunescope audit wrote.")]) -> None:
    """Verify every file of a run against its checksums."""
    from audit.rundir import Run

    n_files = Run.open(run).check()
    typer.echo(f"{run}: all {n_files} files are what was written")
