"""`tunescope calibrate`: how well tracing finds planted faults in a dataset of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.audit import OutputFormat
from cli.console import Quiet

__all__ = ["calibrate"]


def calibrate(
    run: Annotated[Path, typer.Argument(help="A run folder that tunescope audit wrote.")],
    n_faults: Annotated[int, typer.Option("-n", "--faults", min=1, help="Faults of each of the three levels.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    name: Annotated[str | None, typer.Option("-o", "--name", help="Keep the result as RUN/calibrations/NAME.")] = None,
    format: Annotated[OutputFormat, typer.Option(help="What to print.")] = OutputFormat.TEXT,
    quiet: Quiet = False,
) -> None:
    """Plant false words into a copy of the dataset and measure how well tracing finds the rows that hold them."""
    from audit.rundir import Run
    from audit.verify.calibration import calibrate as calibrate_run
    from audit.verify.calibration import store_calibration
    from audit.verify.calibration.stored import KIND
    from cli.console import progress_line, show, show_bytes
    from reports.calibration import calibration_report
    from reports.render import render_calibration

    opened = Run.open(run)
    name = name or opened.free_name(KIND, "calibration")
    opened.check_name(KIND, name)
    with progress_line(quiet) as progress:
        calibration = calibrate_run(opened, n_faults, seed, progress=progress)
    rendered = render_calibration(calibration, opened.corpus)
    folder = store_calibration(opened, name, calibration, rendered)
    if format is OutputFormat.JSON:
        show_bytes(rendered["report.json"])
    else:
        show(calibration_report(calibration, opened.corpus))
    typer.echo(f"Kept in {folder}: report.html, report.json", err=True)
