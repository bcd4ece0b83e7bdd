"""`tunescope checks`: every check, plug-ins' included, with its severity, what it needs and what it costs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

__all__ = ["checks"]


class ListFormat(StrEnum):
    """How the checks are listed."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def checks(
    format: Annotated[ListFormat, typer.Option(help="What to print; markdown has every explanation.")] = ListFormat.TEXT,
    markdown: Annotated[bool, typer.Option("--markdown", help="The same as --format markdown.")] = False,
) -> None:
    """List the checks."""
    from audit.checks.plugins import all_checks
    from cli.console import show_bytes
    from reports.checks_page import checks_json, checks_lines, checks_page

    listed = all_checks()
    if markdown or format is ListFormat.MARKDOWN:
        typer.echo(checks_page(listed), nl=False)
    elif format is ListFormat.JSON:
        show_bytes(checks_json(listed))
    else:
        typer.echo(checks_lines(listed), nl=False)
