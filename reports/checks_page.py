"""The page of all checks, `docs/checks.md`: made from the checks themselves, so that it cannot go stale."""

from __future__ import annotations

from dataclasses import fields

from audit.checks import CHECKS

__all__ = ["checks_page"]


def checks_page() -> str:
    """Markdown with a table of the checks and a section for each."""
    lines = [
        "# Checks",
        "",
        "Written by `make docs` from the checks themselves. `tunescope explain CODE` shows one of them.",
        "",
        "| code | finding | severity | needs |",
        "|---|---|---|---|",
    ]
    for check in CHECKS:
        needs = ", ".join(sorted(check.needs)) or "the rows"
        lines.append(f"| [{check.code}](#{check.code.lower()}) | {check.name} | {check.severity} | {needs} |")
    for check in CHECKS:
        options = ", ".join(f"`{field.name}` = {field.default!r}" for field in fields(check.options)) or "none"
        lines += ["", f"## {check.code}", "", check.page, "", f"Options: {options}."]
    return "\n".join(lines) + "\n"
