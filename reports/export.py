"""An export on the terminal: how many rows leave and why, the controls, and where everything is."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from audit.export import Exported, ExportPlan
from reports.publishing import Published
from reports.visible import visible

__all__ = ["export_report"]


def export_report(plan: ExportPlan, exported: Exported | None, published: Published | None = None) -> RenderableType:
    """What an export did, or, without `exported`, what it would do; and what was published of it."""
    selection = plan.selection
    verb = "leave" if exported else "would leave"
    headline = Text(
        f"{len(selection.reasons):,} of {selection.n_rows:,} rows {verb} ({plan.dropped_share:.1%}), "
        f"{len(selection.kept):,} stay."
    )
    parts: list[RenderableType] = [headline]
    if plan.counts:
        reasons = Table("reason", "rows", box=None, pad_edge=False)
        for code, count in plan.counts.items():
            reasons.add_row(Text(visible(code)), Text(f"{count:,}", justify="right"))
        parts.append(reasons)
    if plan.controls:
        controls = Table("control", "rows removed", "response characters removed", "by the cleaning", box=None, pad_edge=False)
        for control in plan.controls:
            controls.add_row(
                f"random, seed {control.seed}",
                f"{len(control.removed):,}",
                f"{control.characters:,}",
                f"{control.cleaned_characters:,}",
            )
        parts.append(controls)
    parts += [Text(f"Note: {visible(note)}") for note in plan.notes]
    if exported is not None:
        parts.append(Text(f"Cleaned: {exported.cleaned}"))
        parts += [Text(f"Control: {path}") for path in exported.controls]
        parts.append(Text(f"Every row that left, with its reasons: {exported.record / 'dropped.jsonl'}"))
    if published is not None:
        parts += [Text(f"Beside it: {path}") for path in published.files]
        parts += [Text(f"Uploaded: {published.url}")] if published.url else []
    return Group(*parts)
