"""An export on the terminal: how many rows leave and why, what is mended, the controls, and where everything is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from audit.export import Exported, ExportPlan
from audit.export.judging import Judged, JudgePlan
from audit.export.mends import IDK_TEXT, Mend, MendPlan, Mends, Unmended
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
    if plan.selection.steps:
        steps = Table("kept in this order", "of rows", "stay", box=None, pad_edge=False)
        for step in plan.selection.steps:
            steps.add_row(Text(visible(step.rule)), *(Text(f"{n:,}", justify="right") for n in (step.n_before, step.n_after)))
        parts.append(steps)
    parts += [_judged(judged) for judged in plan.judged]
    if plan.to_judge is not None:
        parts.append(_to_judge(plan.to_judge, plan.selection.waiting))
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
    notes = [*plan.notes, *(exported.mends.notes if exported is not None and exported.mends is not None else ())]
    parts += [Text(f"Note: {visible(note)}") for note in notes]
    if exported is not None:
        parts.append(Text(f"Cleaned: {exported.cleaned}"))
        parts += [Text(f"Control: {path}") for path in exported.controls]
        parts.append(Text(f"Every row that left, with its reasons: {exported.record / 'dropped.jsonl'}"))
        if exported.mends is not None:
            parts.append(Text(f"Every response that was mended, before and after: {exported.record / 'mended.jsonl'}"))
            parts.append(Text(f"Every one that was to be and stays, and why: {exported.record / 'kept.jsonl'}"))
        if plan.judged:
            parts.append(Text(f"Every rating: {exported.record / 'judged.jsonl'}"))
    if published is not None:
        parts += [Text(f"Beside it: {path}") for path in published.files]
        parts += [Text(f"Uploaded: {published.url}")] if published.url else []
    return Group(*parts)


def _mends(plan: MendPlan, mends: Mends | None) -> Iterator[RenderableType]:
    """What was mended; or, before anything was, what would be asked."""
    is_by_class = plan.request.mend is not Mend.CONCISE and not plan.request.codes
    which = "of such rows" if is_by_class else "with such findings"
    if mends is None:
        yield Text(
            f"{_responses(len(plan.targets))} would be mended, {_how(plan)}; {_responses(len(plan.stay))} {which} would stay."
            if plan.targets
            else f"No response would be mended, and nothing asked; {_responses(len(plan.stay))} {which} would stay."
        )
        yield from _why(plan.stay)
        return
    before, after = mends.n_words
    changed = f", {before:,} words became {after:,}" if mends.mended else ""
    match plan.request.mend:
        case Mend.IDK:
            yield Text(f"{_responses(len(mends.mended))} became “{visible(plan.request.idk_text or IDK_TEXT)}”.")
        case Mend.SELF if not mends.url:
            yield Text(f"{_responses(len(mends.mended))} replaced by what {visible(mends.model)} answers itself{changed}.")
        case Mend.SELF:
            yield Text(
                f"{_responses(len(mends.mended))} replaced by what {visible(mends.model)} answers itself{changed}; "
                f"{_requests(mends.n_sent)} sent."
            )
        case _:
            yield Text(
                f"{_responses(len(mends.mended))} mended by {visible(mends.model)}{changed}; {_requests(mends.n_sent)} sent."
            )
    if mends.unmended:
        yield Text(f"{_responses(len(mends.unmended))} {which} stay as they were:")
    yield from _why(mends.unmended)


def _how(plan: MendPlan) -> str:
    """Who would be asked how often."""
    n_questions = plan.n_questions
    match plan.request.mend:
        case Mend.IDK:
            return f"each to “{visible(plan.request.idk_text or IDK_TEXT)}”, and nobody asked"
        case Mend.SELF if plan.base_model:
            return f"by {n_questions:,} answers of {visible(plan.base_model)} on this machine, fewer where answers are kept"
        case Mend.SELF:
            return f"by up to {_requests(n_questions)}, fewer where replies are kept"
    return f"by {n_questions:,} to {2 * n_questions:,} requests, fewer where replies are kept"


def _judged(judged: Judged) -> Text:
    unrated = sum(one.rating is None for one in judged.judgements)
    without = f", {unrated:,} of them without a usable rating" if unrated else ""
    return Text(
        f"{_responses(len(judged.judgements))} rated for {judged.plan.aspect} by {visible(judged.model)}{without}; "
        f"{_requests(judged.n_sent)} sent."
    )


def _to_judge(plan: JudgePlan, waiting: Sequence[str]) -> Text:
    n_questions = plan.n_questions
    return Text(
        f"{visible(waiting[0])} would have {_responses(len(plan.responses))} rated for {plan.aspect}, by {n_questions:,} to "
        f"{2 * n_questions:,} requests, fewer where replies are kept."
    )


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count:,} requests"


def _why(stay: Iterable[Unmended]) -> Iterator[RenderableType]:
    counts = Counter(one.why.what for one in stay)
    if counts:
        table = Table("stays because", "responses", box=None, pad_edge=False)
        for why, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            table.add_row(Text(visible(why)), Text(f"{count:,}", justify="right"))
        yield table


def _responses(count: int) -> str:
    return "1 response" if count == 1 else f"{count:,} responses"
