"""An export on the terminal: how many rows leave and why, what is mended, the controls, and where everything is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from audit.export import Exported, ExportPlan
from audit.export.mends import MendPlan, Mends, Unmended
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
    if plan.mends is not None:
        parts += _mends(plan.mends, exported.mends if exported is not None else None)
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
        if exported.mends is not None:
            parts.append(Text(f"Every response that was mended, before and after: {exported.record / 'mended.jsonl'}"))
            parts.append(Text(f"Every one that was to be and stays, and why: {exported.record / 'kept.jsonl'}"))
    if published is not None:
        parts += [Text(f"Beside it: {path}") for path in published.files]
        parts += [Text(f"Uploaded: {published.url}")] if published.url else []
    return Group(*parts)


def _mends(plan: MendPlan, mends: Mends | None) -> Iterator[RenderableType]:
    """What was mended; or, before anything was, what would be asked."""
    if mends is None:
        n_questions = plan.n_questions
        yield Text(
            f"{_responses(len(plan.targets))} would be mended, by {n_questions:,} to {2 * n_questions:,} requests, fewer where "
            f"replies are kept; {_responses(len(plan.stay))} with such findings would stay."
            if plan.targets
            else f"No response would be mended, and nothing asked; {_responses(len(plan.stay))} with such findings would stay."
        )
        yield from _why(plan.stay)
        return
    before, after = mends.n_words
    shorter = f", {before:,} words became {after:,}" if mends.mended else ""
    requests = "1 request" if mends.n_sent == 1 else f"{mends.n_sent:,} requests"
    yield Text(f"{_responses(len(mends.mended))} mended by {visible(mends.model)}{shorter}; {requests} sent.")
    if mends.unmended:
        yield Text(f"{_responses(len(mends.unmended))} with such findings stay as they were:")
    yield from _why(mends.unmended)


def _why(stay: Iterable[Unmended]) -> Iterator[RenderableType]:
    counts = Counter(one.why.what for one in stay)
    if counts:
        table = Table("stays because", "responses", box=None, pad_edge=False)
        for why, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            table.add_row(Text(visible(why)), Text(f"{count:,}", justify="right"))
        yield table


def _responses(count: int) -> str:
    return "1 response" if count == 1 else f"{count:,} responses"
