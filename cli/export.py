"""`tunescope export`: the dataset without some rows or with some mended, matched controls, and a reason for every change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import Quiet

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(help="A run folder that tunescope audit wrote.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The cleaned file; its suffix names the kind of file.")],
    name: Annotated[str | None, typer.Option(help="Name of the record, RUN/exports/NAME.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Drop rows with findings of these codes or prefixes.")] = None,
    drop_blamed: Annotated[
        list[str] | None,
        typer.Option(help="Drop the most blamed rows of a trace: NAME:K, NAME:SHARE up to 10 %, or NAME:qQ by q-value."),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="Keep only longest:K, random:K[@SEED], ifd:K, known, slick:CLASS, low-risk[:K], judge:RATING or diverse:K of "
            "the rest, K a number or a share such as 10%; rules apply in the order given.",
        ),
    ] = None,
    judge_endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="The OpenAI-compatible endpoint that rates rows for --keep judge.")
    ] = None,
    judge_model: Annotated[str | None, typer.Option(help="Its model.")] = None,
    judge_key_env: Annotated[str | None, typer.Option(metavar="NAME", help="Variable that holds its key.")] = None,
    sample_family: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N:SHARE", help="Of style family N, keep rows only up to a share of all that stay: 3:0.1 or 3:10%@SEED."
        ),
    ] = None,
    mend: Annotated[
        str | None,
        typer.Option(
            help="Of rows that stay, concise: have a model say them in fewer words, and check what it says; idk: say that one "
            "does not know; self: take the base model's own answer."
        ),
    ] = None,
    mend_codes: Annotated[
        list[str] | None,
        typer.Option(
            help="Mend rows with findings of these codes or prefixes. Default STY002,STY004; for idk and self, rows whose "
            "SliCK class is Unknown."
        ),
    ] = None,
    idk_text: Annotated[str | None, typer.Option(help="What --mend idk says, in any language.")] = None,
    base_model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Who answers for --mend self. Default: the base model of the audit.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Where it runs: auto, cpu, cuda or mps.")] = None,
    dtype: Annotated[str | None, typer.Option(help="Its number format: auto, float32, bfloat16 or float16.")] = None,
    mend_endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="The OpenAI-compatible endpoint that mends, or answers.")
    ] = None,
    mend_model: Annotated[str | None, typer.Option(help="Its model.")] = None,
    mend_key_env: Annotated[str | None, typer.Option(metavar="NAME", help="Variable that holds its key.")] = None,
    control: Annotated[
        str | None, typer.Option(help="Matched random removals beside it: random:SEED, random:0-4 or random:0,3,7.")
    ] = None,
    group_column: Annotated[str | None, typer.Option(help="Field that controls keep in proportion.")] = None,
    data: Annotated[Path | None, typer.Option(help="Where the audited file lies now, if it was moved.")] = None,
    decisions: Annotated[bool, typer.Option(help="Follow what tunescope decide recorded.")] = True,
    card: Annotated[bool, typer.Option("--card", help="Say in README.md beside it what was dropped and why.")] = False,
    croissant: Annotated[bool, typer.Option("--croissant", help="Write Croissant metadata beside it, croissant.json.")] = False,
    push_to_hub: Annotated[
        str | None, typer.Option(metavar="ORG/NAME", help="Upload all of it to a dataset of the Hugging Face hub.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Make a new dataset on the hub public.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Say what would be done, and write nothing.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write the dataset without some rows; the others are copied byte for byte, but for what is mended."""
    from audit.export import ExportRequest, plan_export, write_export
    from audit.export.judging import judge_endpoint as judge_of
    from audit.export.keep_rules import Kind, parse_keep
    from audit.export.mends import mend_request
    from audit.rundir import Run
    from cli.audit import _codes
    from cli.console import progress_line, show
    from reports.export import export_report
    from reports.publishing import Publication, check_publication, publish

    asked = Publication(card, croissant, push_to_hub, public)
    check_publication(asked, out)
    needs_judge = any(parse_keep(rule).kind == Kind.JUDGE for rule in keep or ())
    request = ExportRequest(
        drop=tuple(_codes(drop) or ()),
        drop_blamed=tuple(drop_blamed or ()),
        keep=tuple(keep or ()),
        sample_families=tuple(sample_family or ()),
        judge=judge_of(judge_endpoint, judge_model, judge_key_env, is_needed=needs_judge, is_dry=dry_run),
        mend=mend_request(
            mend,
            _codes(mend_codes),
            mend_endpoint,
            mend_model,
            mend_key_env,
            idk_text=idk_text,
            base_model=base_model,
            device=device,
            dtype=dtype,
            is_dry=dry_run,
        ),
        control_seeds=_seeds(control),
        group_column=group_column,
        decisions=decisions,
        data=data,
    )
    exported = None
    with progress_line(quiet) as progress:
        plan = plan_export(Run.open(run), request, is_dry=dry_run, progress=progress)
        if not dry_run:
            exported = write_export(plan, out, name, progress)
    show(export_report(plan, exported, None if exported is None else publish(exported, asked)))


def _seeds(text: str | None) -> tuple[int, ...]:
    from audit.errors import InputError

    if text is None:
        return ()
    kind, _, seeds = text.partition(":")
    numbers: list[int] = []
    for part in seeds.split(","):
        first, dash, last = part.partition("-")
        if kind != "random" or not first.isdigit() or (dash and not last.isdigit()) or (dash and int(last) < int(first)):
            raise InputError(f"--control {text!r} is not known", remedy="use random:SEED, random:0-4 or random:0,3,7")
        numbers += range(int(first), int(last or first) + 1)
    if len(numbers) > 1000:
        raise InputError(f"--control {text!r} asks for {len(numbers)} files", remedy="ask for up to 1,000 seeds")
    return tuple(dict.fromkeys(numbers))
