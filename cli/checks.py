"""`tunescope checks`: every check, its severity and what it needs."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["checks"]


def checks(
    markdown: Annotated[bool, typer.Option("--markdown", help="The page with every explanation.")] = False,
) -> None:
    """List the checks."""
    from audit.checks import CHECKS
    from reports.checks_page import checks_page

    if markdown:
        typer.echo(checks_page(), nl=False)
        return
    for check in CHECKS:
        needs = ", ".join(sorted(check.needs)) or "the rows"
        typer.echo(f"{check.code}  {check.severity:<8} {check.name:<28} needs {needs}")
