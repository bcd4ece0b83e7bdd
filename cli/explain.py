"""`tunescope explain CODE`: what a check measures, why it matters, an example and the fix."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

import typer

__all__ = ["explain"]


def explain(code: Annotated[str, typer.Argument(help="A code, such as DUP002.")]) -> None:
    """Explain a check."""
    from audit.checks import CHECKS
    from audit.checks.plugins import all_checks
    from audit.config import unknown_name

    # Our own are explained even where a plug-in is broken.
    own = (check for check in CHECKS if check.code == code.upper())
    check = next(own, None) or next((check for check in all_checks() if check.code == code.upper()), None)
    if check is None:
        raise unknown_name("check", code, [check.code for check in all_checks()])
    typer.echo(check.page)
    typer.echo(f"\nSeverity: {check.severity}.")
    options = ", ".join(f"{field.name} = {field.default!r}" for field in fields(check.options))
    typer.echo(f"Options, under `checks: {{{check.code}: …}}` in the configuration: {options or 'none'}.")
