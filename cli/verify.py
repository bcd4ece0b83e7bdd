"""`tunescope verify`: did the cleaned dataset help? A judgement on answers that were made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.audit import OutputFormat

__all__ = ["verify"]


def verify(
    run: Annotated[Path, typer.Argument(help="A run folder that tunescope audit wrote.")],
    responses: Annotated[
        list[str],
        typer.Option(metavar="NAME=FILE", help="Answers of one run of an arm: cleaned, random, original, near, or your own."),
    ],
    export: Annotated[str | None, typer.Option(help="Which export of RUN the cleaned arm was tuned on.")] = None,
    delta: Annotated[float, typer.Option(min=0.1, max=100, help="Smallest difference that matters, in points.")] = 5.0,
    name: Annotated[str | None, typer.Option("-o", "--name", help="Keep the result as RUN/verify/NAME.")] = None,
    format: Annotated[OutputFormat, typer.Option(help="What to print.")] = OutputFormat.TEXT,
) -> None:
    """Compare answers after tuning on the cleaned data with answers after an equal random removal."""
    from audit.errors import InputError
    from audit.rundir import Run
    from audit.verify import verify_run
    from cli.console import show, show_bytes
    from reports.json_report import encode_report
    from reports.verification import to_json, verification_report

    opened = Run.open(run)
    name = name or opened.free_name("verify", "verification")
    if name in opened.added("verify"):
        raise InputError(f"the run has a verification {name!r}", where=str(run), remedy="choose another with -o")
    verification = verify_run(opened, map(_arm_and_file, responses), export=export, delta_points=delta)
    content = encode_report({**to_json(verification), "export": export})
    opened.add("verify", name, {"verification.json": content})
    if format is OutputFormat.JSON:
        show_bytes(content)
    else:
        show(verification_report(verification))


def _arm_and_file(given: str) -> tuple[str, Path]:
    from audit.errors import InputError

    arm, equals, file = given.partition("=")
    if not (arm and equals and file):
        raise InputError(f"--responses {given!r} names no arm and file", remedy="write it as cleaned=FILE or random=FILE")
    return arm, Path(file)
