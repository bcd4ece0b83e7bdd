"""`tunescope audit`: read a dataset, look for defects, write a run folder with reports."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import Quiet

__all__ = ["audit"]


class OutputFormat(StrEnum):
    """How a result is printed."""

    TEXT = "text"
    JSON = "json"


class ReportFormat(StrEnum):
    """How an audit is printed."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    SARIF = "sarif"


class FailOn(StrEnum):
    """The least severity that makes the exit code 1."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def audit(
    data: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files (.jsonl .json .csv .parquet .arrow, also .gz .zst), folders, 'PATTERN', - for standard input, a hub id "
            "ORG/NAME[@REVISION][:SPLIT], or URLs; may stand in --config instead."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Run folder; default tunescope-runs/NAME-N.")] = None,
    select: Annotated[
        list[str] | None, typer.Option(help="Run only checks whose code begins so; repeat or separate by commas.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Leave out checks whose code begins so.")] = None,
    input_format: Annotated[
        str | None,
        typer.Option(help="alpaca, messages, sharegpt, prompt-completion, preference or text; default: found."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Odd column names: prompt=NAME,response=NAME,… (also query, system, history, messages, tools, chosen, "
            "rejected, text, and LLaMA-Factory's tags), or @dataset_info.json:NAME."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Read only the first N rows.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="CODE.NAME=VALUE", help="An option of a check, DUP002.min_jaccard=0.9; repeat.")
    ] = None,
    encoder: Annotated[str | None, typer.Option(help="Folder or name of a sentence-transformers model.")] = None,
    group_column: Annotated[str | None, typer.Option(help="Field that matched controls keep in proportion.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with these settings; options win over it.")] = None,
    previous: Annotated[
        Path | None,
        typer.Option("--from", metavar="RUN", help="Settings and decisions of an earlier run, and what changed since."),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="RUN|JSON", help="Set findings aside that this run or report.json knows.")
    ] = None,
    redact: Annotated[
        bool | None, typer.Option("--redact/--no-redact", help="Keep hashes in place of the dataset's text.")
    ] = None,
    evaluation: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Prompts kept for measuring, which the data must not hold; repeat.")
    ] = None,
    style_reference: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Answers to hold the style against: of people, or the base model's own (prompt, response); repeat.",
        ),
    ] = None,
    base_model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="The model that is to be tuned: a folder, or org/name of the hub. Adds one pass."),
    ] = None,
    stands_for: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The model that is to be tuned, where --base-model is a smaller one in its place."),
    ] = None,
    slick: Annotated[
        bool | None,
        typer.Option("--slick/--no-slick", help="Ask the base model the rows' questions: which answers it knows (SliCK)."),
    ] = None,
    slick_prompts: Annotated[int | None, typer.Option(min=1, help="Few-shot prompts for each question; default 10.")] = None,
    slick_samples: Annotated[int | None, typer.Option(min=1, help="Samples for each prompt; default 16.")] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Show what TRL would make of each row with this tokenizer: a folder, or org/name."),
    ] = None,
    chat_template: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="In place of its own: alpaca, chatml, zephyr, vicuna, llama2, mistral, a file."),
    ] = None,
    max_length: Annotated[int | None, typer.Option(help="Tokens that the trainer keeps of a row; default 1024.")] = None,
    loss_on: Annotated[
        str | None, typer.Option(help="completion, assistant or all; default: what TRL does with rows of their form.")
    ] = None,
    packing: Annotated[str | None, typer.Option(help="How the trainer packs rows: none, bfd, bfd_split or wrapped.")] = None,
    truncation: Annotated[str | None, typer.Option(help="Of rows that are too long: keep_start or keep_end.")] = None,
    rows_as: Annotated[
        str | None, typer.Option(help="Plain prompts and completions: as they stand (file), or as turns (conversation).")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Where it runs: auto, cpu, cuda, cuda:1, …")] = None,
    dtype: Annotated[str | None, typer.Option(help="Its numbers: auto, float32, bfloat16 or float16.")] = None,
    fail_on: Annotated[FailOn | None, typer.Option(help="Exit with 1 where a finding is at least so severe.")] = None,
    format: Annotated[ReportFormat, typer.Option(help="What to print.")] = ReportFormat.TEXT,
    quiet: Quiet = False,
) -> None:
    """Look for what will hurt in an instruction-tuning dataset, before tuning on it."""
    from audit.comparison import settings_from
    from audit.config import load_config, make_config
    from audit.errors import InputError
    from audit.findings import Severity
    from audit.pipeline import run_audit
    from audit.rundir import Run
    from cli.console import progress_line, show, show_bytes
    from reports.render import render_audit
    from reports.terminal import audit_report

    settings: dict[str, Any] = load_config(config) if config else {}
    if previous is not None:
        settings = settings_from(Run.open(previous), settings)
    given = {
        "data": data[0] if data is not None and len(data) == 1 else data,
        "select": _selected(select),
        "ignore": _codes(ignore),
        "input_format": input_format,
        "columns": _columns(columns),
        "limit": limit,
        "encoder": encoder,
        "group_column": group_column,
        "previous": str(previous) if previous is not None else None,
        "baseline": baseline,
        "redact": redact,
        "evaluation": evaluation,
        "style_reference": style_reference,
        "base_model": base_model,
        "base_model_stands_for": stands_for,
        "slick": slick,
        "slick_prompts": slick_prompts,
        "slick_samples": slick_samples,
        "tokenizer": tokenizer,
        "chat_template": chat_template,
        "max_length": max_length,
        "loss_on": loss_on,
        "packing": packing,
        "truncation": truncation,
        "rows_as": rows_as,
        "device": device,
        "dtype": dtype,
    }
    settings |= {name: value for name, value in given.items() if value is not None}
    if option:
        settings["checks"] = _with_options(settings.get("checks") or {}, option)
    if "data" not in settings:
        raise InputError("no dataset is named", remedy="tunescope audit DATA, or `data:` in the file given with --config")
    checked = make_config(settings, where=str(config) if config else "")
    with progress_line(quiet) as progress:
        run = run_audit(checked, out, render=render_audit, progress=progress)
    match format:
        case ReportFormat.TEXT:
            show(audit_report(run.summary, run.catalog, run.findings, run.path))
        case ReportFormat.JSON:
            show_bytes((run.path / "report.json").read_bytes())
        case ReportFormat.MARKDOWN:
            from reports.markdown import audit_markdown

            show_bytes(audit_markdown(run.summary, run.catalog, run.findings, run.path).encode())
        case ReportFormat.SARIF:
            from reports.sarif import run_sarif

            show_bytes(run_sarif(run))
    if fail_on is not None:
        severities = run.findings["severity"].unique().to_list()
        if any(Severity(severity).rank >= Severity(fail_on).rank for severity in severities):
            raise typer.Exit(1)


def _with_options(checks: Mapping[str, Mapping[str, Any]], given: list[str]) -> dict[str, dict[str, Any]]:
    """The options of checks, `CODE.NAME=VALUE` in place of what stood there; a value reads as in YAML."""
    import yaml

    from audit.errors import InputError

    merged = {code: dict(options) for code, options in checks.items()}
    for text in given:
        name, equals, value = text.partition("=")
        code, dot, option = name.strip().partition(".")
        if not (equals and dot and code and option):
            raise InputError(f"--option {text!r} is not CODE.NAME=VALUE", remedy="write for example DUP002.min_jaccard=0.9")
        try:
            merged.setdefault(code, {})[option] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(
                f"--option {text!r} has no readable value", remedy="write a number, a word or [a, list]"
            ) from error
    return merged


def _codes(values: list[str] | None) -> list[str] | None:
    return [code.strip() for value in values for code in value.split(",") if code.strip()] if values else None


def _selected(values: list[str] | None) -> list[str] | None:
    from audit.errors import InputError

    codes = _codes(values)
    if codes == []:
        raise InputError("names no code", where="--select", remedy="leave it out to run every check")
    return codes


def _columns(text: str | None) -> dict[str, str] | None:
    from audit.config import unknown_name
    from audit.sources import COLUMNS, read_columns

    if text is None:
        return None
    columns = read_columns(text)
    for name in columns:
        if name not in COLUMNS:
            raise unknown_name("column role", name, list(COLUMNS))
    return columns
