"""`tunescope pre-commit FILE…`: what the hook of .pre-commit-hooks.yaml runs on the files that a commit changes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.audit import FailOn

__all__ = ["pre_commit"]

_SHOWN = 20


def pre_commit(
    files: Annotated[list[Path], typer.Argument(help="Datasets, each audited by itself.")],
    fail_on: Annotated[FailOn, typer.Option(help="Show findings at least so severe, and exit with 1 on them.")] = FailOn.ERROR,
    config: Annotated[Path | None, typer.Option(help="YAML file with the settings of audits.")] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="RUN|JSON", help="Set findings aside that this run or report.json knows.")
    ] = None,
) -> None:
    """Audit changed datasets before a commit: a line per finding, and no run folder."""
    from tempfile import TemporaryDirectory

    import polars as pl

    from audit.config import load_config, make_config
    from audit.findings import Severity
    from audit.pipeline import run_audit
    from reports.visible import one_line
    from reports.wording import count

    settings = load_config(config) if config else {}
    if baseline is not None:
        settings["baseline"] = baseline
    severe = [str(severity) for severity in Severity if severity.rank >= Severity(fail_on).rank]
    found_any = False
    for file in files:
        checked = make_config({**settings, "data": str(file)}, where=str(config) if config else "")
        with TemporaryDirectory() as folder:
            run = run_audit(checked, Path(folder) / "run", render=lambda *_: {})
            findings = run.findings.filter(pl.col("severity").is_in(severe))
            lines = run.catalog.rows.select("index", "line")
            for code, row, message in findings.head(_SHOWN).select("code", "row", "message").iter_rows():
                index, line = lines.row(row)
                place = f"#{index}" if line is None else f":{line}"
                typer.echo(f"{one_line(str(file), 200)}{place}: {code} {one_line(message, 300)}")
        if findings.height > _SHOWN:
            typer.echo(f"{one_line(str(file), 200)}: {count(findings.height - _SHOWN, 'more finding')}")
        found_any = found_any or findings.height > 0
    if found_any:
        raise typer.Exit(1)
