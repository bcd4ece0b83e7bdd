"""A verification of one or several methods for the terminal and as JSON, and what it would take before it is begun."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from audit.tune.record import TuningRecord
from audit.verify.design import Design
from audit.verify.pilot import DryRun
from audit.verify.result import CampaignResult, MethodResult
from audit.verify.verdict import Verdict
from reports.json_report import encode_report
from reports.verification import to_json, verification_report
from reports.verification_html import METHOD_NAMES, verification_html
from reports.visible import visible
from reports.wording import count

__all__ = [
    "METHOD_NAMES",
    "VERIFICATION_SCHEMA",
    "campaign_report",
    "dry_run_json",
    "dry_run_report",
    "render_campaign",
    "verification_json",
]

VERIFICATION_SCHEMA = "tunescope/verification-2"
"""Name and version of the format, the schema's `$id`; a field may be added to a version, none is changed or removed."""


def render_campaign(result: CampaignResult) -> dict[str, bytes]:
    """`verification.json` for machines and `report.html` for people; an `audit.verify.campaign.Render`."""
    return {"verification.json": verification_json(result), "report.html": verification_html(result)}


def verification_json(result: CampaignResult) -> bytes:
    """The result as UTF-8, by `schemas/verification.schema.json`; without times and places, so that equal work is equal."""
    return encode_report(
        {
            "schema": VERIFICATION_SCHEMA,
            "export": result.export,
            "design": None if result.design is None else _design_json(result.design),
            "methods": [_method_json(method) for method in result.methods],
            "notes": list(result.notes),
        }
    )


def campaign_report(result: CampaignResult) -> RenderableType:
    """The result for a terminal: the verdicts, then each with what it rests on."""
    parts: list[RenderableType] = []
    if len(result.methods) > 1:
        parts += [Text(f"{_named(method)}: {_verdict(method)}", style="bold") for method in result.methods]
        parts.append(Text(""))
    for method in result.methods:
        if method.method is not None:
            parts.append(Text(_named(method), style="bold underline"))
        if method.verification is None:
            parts += [Text(f"Verdict: {Verdict.UNHEALTHY}", style="bold yellow"), Text(visible(f"{method.problem}."))]
        else:
            parts.append(verification_report(method.verification))
        if method.tunings:
            parts += [Text(""), _tunings_table(method)]
        parts.append(Text(""))
    parts += [Text(visible(f"Note: {note}")) for note in result.notes]
    return Group(*parts)


def dry_run_report(dry: DryRun) -> RenderableType:
    """What would be tuned, what it could see and what it would cost, for a terminal."""
    design, request = dry.design, dry.design.request
    n_groups = design.sheet.n_units
    lines = [
        f"{count(len(design.sheet.held_out), 'held-out prompt')} in {count(n_groups, 'independent unit')},"
        f" {count(len(design.sheet.questions) - len(design.sheet.held_out), 'control prompt')};"
        f" {count(len(design.sheet.prompts) - len(design.sheet.asked), 'traced prompt')} left out",
        f"{count(design.n_tunings, 'tuning')}: {count(len(design.recipes), 'method')} x {count(len(design.arms), 'arm')}"
        f" x {count(len(design.seeds), 'seed')}"
        + (f", and {design.n_rate_tunings} before them to choose learning rates" if design.n_rate_tunings else ""),
        "",
        _power(dry),
        "",
        f"About {_duration(dry.seconds)} with {count(dry.n_workers, 'worker')}, unless a method is stopped early;"
        f" about {dry.memory_bytes / 1e9:.1f} GB of memory. Measured on this model:",
        *(
            f"  {METHOD_NAMES[pilot.method]}: {pilot.n_steps} steps at {_duration(pilot.seconds_per_step)},"
            f" {_duration(pilot.seconds_per_prompt)} per answer of up to {request.max_new_tokens} tokens,"
            f" {_duration(pilot.seconds_per_tuning)} besides per tuning"
            for pilot in dry.pilots
        ),
        "",
        *(visible(f"Note: {note}.") for arm in design.arms for note in arm.notes),
        *(visible(f"Note: {note}") for note in _dry_notes(design)),
        "Nothing was tuned for good, and nothing was written.",
    ]
    return Group(Text("What would be tuned", style="bold"), _arms_table(design), Text("\n".join(lines)))


def dry_run_json(dry: DryRun) -> bytes:
    """The same for machines."""
    return encode_report(
        {
            "design": _design_json(dry.design),
            "tunings": dry.design.n_tunings,
            "learning_rate_tunings": dry.design.n_rate_tunings,
            "assumed_sd_points": {"run": dry.components.run, "prompt": dry.components.prompt, "rest": dry.components.rest},
            "smallest_detectable_points": dry.smallest_detectable_points,
            "independent_units_needed": dry.units_needed,
            "runs_needed": dry.runs_needed,
            "workers": dry.n_workers,
            "seconds": round(dry.seconds, 1),
            "memory_bytes": dry.memory_bytes,
            "pilots": [
                {
                    "method": pilot.method,
                    "steps": pilot.n_steps,
                    "seconds_per_step": round(pilot.seconds_per_step, 4),
                    "seconds_per_prompt": round(pilot.seconds_per_prompt, 4),
                    "seconds_per_tuning": round(pilot.seconds_per_tuning, 2),
                    "peak_memory_bytes": pilot.peak_memory_bytes,
                }
                for pilot in dry.pilots
            ],
        }
    )


def _design_json(design: Design) -> dict[str, Any]:
    request = design.request
    return {
        "seeds": list(design.seeds),
        "delta_points": request.delta_points,
        "equal": request.equal,
        "max_new_tokens": request.max_new_tokens,
        "dropped_fraction": design.export.dropped_share,
        "base": {"weights_digest": design.base_digest, "template_digest": design.training.template_digest},
        "rows": len(design.training),
        "arms": [
            {
                "name": arm.name,
                "removed_rows": [len(rows) for rows in arm.removed],
                "rows": list(arm.n_rows),
                "trained_tokens": list(arm.n_tokens),
            }
            for arm in design.arms
        ],
        "prompts": {
            "held_out": len(design.sheet.held_out),
            "independent_units": design.sheet.n_units,
            "control": len(design.sheet.questions) - len(design.sheet.held_out),
            "traced": len(design.sheet.prompts) - len(design.sheet.asked),
        },
    }


def _method_json(result: MethodResult) -> dict[str, Any]:
    return {
        "method": result.method,
        "problem": result.problem or None,
        "stopped": result.stopped or None,
        "verification": None if result.verification is None else to_json(result.verification),
        "tunings": None if result.recipe is None else _tunings_json(result),
    }


def _tunings_json(result: MethodResult) -> dict[str, Any]:
    assert result.recipe is not None
    return {
        "recipe": result.recipe.model_dump(mode="json"),
        "learning_rates": None if result.rates is None else [rate.to_json() for rate in result.rates.tried],
        "runs": [
            {
                "arm": tuning.arm,
                "seed": tuning.seed,
                "rows": tuning.record.n_rows,
                "steps": tuning.record.n_steps,
                "first_train_loss": tuning.record.first_train_loss,
                "final_train_loss": tuning.record.final_train_loss,
                "training_loss": tuning.record.training_loss,
                "training_fit": tuning.record.training_fit,
                "repetitive_fraction": tuning.record.repetitive_fraction,
                "problems": list(tuning.record.problems()),
            }
            for tuning in result.tunings
        ],
    }


def _named(result: MethodResult) -> str:
    return METHOD_NAMES[result.method][:1].upper() + METHOD_NAMES[result.method][1:]


def _verdict(result: MethodResult) -> str:
    if result.verification is None:
        return Verdict.UNHEALTHY
    return result.verification.verdict or "this run only"


def _tunings_table(result: MethodResult) -> Table:
    """How the tunings went: one column per arm, means over its seeds."""
    arms = list(dict.fromkeys(tuning.arm for tuning in result.tunings))
    table = _table("tunings, means over seeds", *map(visible, arms))
    for label, value in _TUNING_LINES:
        table.add_row(label, *(value([tuning.record for tuning in result.tunings if tuning.arm == arm]) for arm in arms))
    return table


def _arms_table(design: Design) -> Table:
    table = _table("arm", "rows", "removed", "trained tokens")
    for arm in design.arms:
        table.add_row(
            Text(visible(arm.name)), _range(arm.n_rows), _range([len(rows) for rows in arm.removed]), _range(arm.n_tokens)
        )
    return table


def _power(dry: DryRun) -> str:
    components, points = dry.components, dry.design.request.delta_points
    assumed = (
        f"Assumed, not measured: the difference between arms varies by {components.run:g} points between runs,"
        f" {components.prompt:g} between prompts and {components.rest:g} otherwise (standard deviations)."
    )
    if dry.smallest_detectable_points is None:
        return f"One seed, or one unit of prompts, can see no effect: it shows nothing of how others would differ. {assumed}"
    ways = []
    if dry.units_needed is not None:
        ways.append(f"{count(dry.units_needed, 'independent prompt')} with {count(len(dry.design.seeds), 'seed')}")
    if dry.runs_needed is not None:
        ways.append(f"{count(dry.runs_needed, 'seed')} with these prompts")
    takes = " or ".join(ways) or "more prompts and more seeds: neither alone is enough"
    return (
        f"Smallest effect that this design could see: {dry.smallest_detectable_points:.1f} points (5 %, two-sided; power"
        f" 80 %).\nTo see {points:g} points takes {takes}.\n"
        f"{assumed}"
    )


def _dry_notes(design: Design) -> Sequence[str]:
    share = design.export.dropped_share
    many = [f"The cleaning drops {share:.0%} of the rows: both arms lose good rows with the bad ones."] if share > 0.1 else []
    style = [f"How many answers are {design.watch.name} is measured too."] if design.watch is not None else []
    return [*many, *style, *design.notes]


def _table(first: str, *others: str) -> Table:
    table = Table(Column(first), *(Column(Text(name), justify="right") for name in others), box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    return table


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


_TUNING_LINES: tuple[tuple[str, Callable[[Sequence[TuningRecord]], str]], ...] = (
    ("seeds", lambda records: str(len(records))),
    ("rows", lambda records: _range([record.n_rows for record in records])),
    ("trained tokens of an epoch", lambda records: _range([record.n_trained_tokens for record in records])),
    ("steps", lambda records: _range([record.n_steps for record in records])),
    ("loss at first", lambda records: f"{_mean([record.first_train_loss for record in records]):.3f}"),
    ("loss after the last step", lambda records: f"{_mean([record.training_loss for record in records]):.3f}"),
    ("training fit", lambda records: f"{100 * _mean([record.training_fit for record in records]):.1f} %"),
)
