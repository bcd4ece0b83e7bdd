"""`tunescope audit`: read a dataset, look for defects, write a run folder with reports."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["audit"]


class OutputFormat(StrEnum):
    """How a result is printed."""

    TEXT = "text"
    JSON = "json"


class FailOn(StrEnum):
    """The least severity that makes the exit code 1."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def audit(
    data: Annotated[
        str | None, typer.Argument(help="A .jsonl, .json, .csv or .parquet file; may stand in --config instead.")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Run folder; default tunescope-runs/NAME-N.")] = None,
    select: Annotated[
        list[str] | None, typer.Option(help="Run only checks whose code begins so; repeat or separate by commas.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Leave out checks whose code begins so.")] = None,
    input_format: Annotated[
        str | None, typer.Option(help="alpaca, messages, sharegpt or prompt-completion; default: found.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Odd column names: prompt=NAME,query=NAME,response=NAME,system=NAME,messages=NAME."),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Read only the first N rows.")] = None,
    encoder: Annotated[str | None, typer.Option(help="Folder or name of a sentence-transformers model.")] = None,
    group_column: Annotated[str | None, typer.Option(help="Field that matched controls keep in proportion.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with these settings; options win over it.")] = None,
    fail_on: Annotated[FailOn | None, typer.Option(help="Exit with 1 where a finding is at least so severe.")] = None,
    format: Annotated[OutputFormat, typer.Option(help="What to print.")] = OutputFormat.TEXT,
) -> None:
    """Look for what will hurt in an instruction-tuning dataset, before tuning on it."""
    from audit.config import load_config, make_config
    from audit.errors import InputError
    from audit.findings import Severity
    from audit.pipeline import run_audit
    from cli.console import progress_line, show, show_bytes
    from reports.render import render_audit
    from reports.terminal import audit_report

    settings: dict[str, Any] = load_config(config) if config else {}
    given = {
        "data": data,
        "select": _codes(select),
        "ignore": _codes(ignore),
        "input_format": input_format,
        "columns": _columns(columns),
        "limit": limit,
        "encoder": encoder,
        "group_column": group_column,
    }
    settings |= {name: value for name, value in given.items() if value is not None}
    if "data" not in settings:
        raise InputError("no dataset is named", remedy="tunescope audit DATA, or `data:` in the file given with --config")
    checked = make_config(settings, where=str(config) if config else "")
    with progress_line() as progress:
        run = run_audit(checked, out, render=render_audit, progress=progress)
    if format is OutputFormat.JSON:
        show_bytes((run.path / "report.json").read_bytes())
    else:
        show(audit_report(run.summary, run.corpus, run.findings, run.path))
    if fail_on is not None:
        severities = run.findings["severity"].unique().to_list()
        if any(Severity(severity).rank >= Severity(fail_on).rank for severity in severities):
            raise typer.Exit(1)


def _codes(values: list[str] | None) -> list[str] | None:
    return [code.strip() for value in values for code in value.split(",") if code.strip()] if values else None


def _columns(text: str | None) -> dict[str, str] | None:
    from audit.config import unknown_name
    from audit.errors import InputError

    if text is None:
        return None
    known = ["prompt", "query", "response", "system", "history", "messages", "tools"]
    columns: dict[str, str] = {}
    for part in text.split(","):
        name, equals, column = part.partition("=")
        if not equals or not column:
            raise InputError(
                f"--columns {text!r} is not NAME=COLUMN,…", remedy="write for example prompt=question,response=answer"
            )
        if name.strip() not in known:
            raise unknown_name("column role", name.strip(), known)
        columns[name.strip()] = column.strip()
    return columns
