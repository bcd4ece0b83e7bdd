"""A verification for the terminal and as JSON: the verdict first, then what it rests on, then everything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from audit.verify.statistics import Interval
from audit.verify.verdict import Verdict
from audit.verify.verification import ArmSummary, BaseKnowledge, Role, SecondaryEffect, SubsetEffect, Verification
from reports.answer_style import style_json, style_table
from reports.borrowing import arm_json, borrowing_table
from reports.visible import visible
from reports.wording import count

__all__ = ["to_json", "verification_report"]

_STYLES = {
    Verdict.CONFIRMED: "bold green",
    Verdict.HARMFUL: "bold red",
    Verdict.NO_EFFECT: "bold",
    Verdict.INCONCLUSIVE: "bold yellow",
    Verdict.UNHEALTHY: "bold yellow",
}


def verification_report(verification: Verification) -> RenderableType:
    """The verification for a terminal; nothing in it is read as markup, and control characters are shown as symbols."""
    return Group(
        _headline(verification),
        Text(visible(verification.reason)),
        Text(""),
        _basis(verification),
        Text(""),
        _arms_table(verification.arms),
        Text(""),
        *(() if verification.base is None else (_base_table(verification.base), Text(""))),
        _secondary_table(verification.secondary),
        Text(f"Tests: {', '.join(dict.fromkeys(effect.test for effect in verification.secondary))}"),
        Text(""),
        *(() if verification.style is None else (style_table(verification.style), Text(""))),
        *((borrowing_table(verification.borrowing), Text("")) if verification.borrowing else ()),
        *(Text(visible(f"Note: {note}")) for note in verification.notes),
    )


def to_json(verification: Verification) -> dict[str, Any]:
    """The verification as JSON values, in the form of `$defs/verification` in `schemas/verification.schema.json`."""
    return {
        "verdict": verification.verdict,
        "scope": "this run" if verification.n_runs == 1 else "dataset",
        "reason": verification.reason,
        "smaller_than_delta": verification.smaller_than_delta,
        "delta_points": verification.delta_points,
        "counts": {
            "runs_per_arm": verification.n_runs,
            "held_out_prompts": verification.n_prompts,
            "independent_units": verification.n_units,
            "control_prompts": verification.n_control,
            "traced_prompts_left_out": verification.n_traced,
        },
        "effect": asdict(verification.effect),
        "secondary": [{**asdict(effect), "difference": effect.difference} for effect in verification.secondary],
        "base": None if verification.base is None else _base_json(verification.base),
        "arms": [{**asdict(arm), "wrong_fraction": arm.wrong_fraction} for arm in verification.arms],
        "prompts": [
            {
                "prompt": result.prompt,
                "split": result.split,
                "group": result.group,
                "base_right": result.base_right,
                "wrong_fractions": {
                    arm.name: fraction for arm, fraction in zip(verification.arms, result.wrong_fractions, strict=True)
                },
            }
            for result in verification.prompts
        ],
        "borrowing": [arm_json(arm) for arm in verification.borrowing],
        "style": None if verification.style is None else style_json(verification.style),
        "notes": list(verification.notes),
    }


def _base_json(base: BaseKnowledge) -> dict[str, Any]:
    def subset(effect: SubsetEffect | None) -> dict[str, Any] | None:
        return None if effect is None else {**asdict(effect), "difference_points": effect.difference_points}

    return {**asdict(base), "known": subset(base.known), "unknown": subset(base.unknown)}


def _headline(verification: Verification) -> Text:
    if verification.verdict is None:
        return Text("This run only: no verdict about the dataset", style="bold")
    return Text(f"Verdict: {verification.verdict}", style=_STYLES[verification.verdict])


def _basis(verification: Verification) -> Text:
    effect = verification.effect
    lines = [
        f"{count(verification.n_prompts, 'held-out prompt')}, {count(verification.n_runs, 'run')} per arm",
        f"Wrong answers, cleaned minus random: {effect.difference_points:+.1f} points{_bracketed(effect.interval_95)}",
    ]
    if effect.interval_90 is not None:
        low, high = effect.interval_90.low, effect.interval_90.high
        lines.append(f"90 % interval {low:+.1f} to {high:+.1f}, against ±{verification.delta_points:g} points that matter")
    if effect.smallest_detectable_points is not None:
        lines.append(
            f"Smallest effect that this design could have seen: {effect.smallest_detectable_points:.1f} points"
            " (5 %, two-sided; power 80 %)"
        )
    if effect.mcnemar is not None:
        lines.append(
            f"Exact McNemar, this run only: wrong in cleaned alone {effect.mcnemar.n_only_cleaned_wrong},"
            f" in random alone {effect.mcnemar.n_only_random_wrong}, p: {_p_value(effect.mcnemar.p_value)}"
        )
    return Text("\n".join(lines))


def _arms_table(arms: Sequence[ArmSummary]) -> Table:
    """One column per arm, so that two arms fit any terminal."""
    table = _table("answers to held-out prompts", *(_arm_heading(arm) for arm in arms))
    for label, value in _ARM_LINES:
        table.add_row(label, *(value(arm) for arm in arms))
    return table


def _arm_heading(arm: ArmSummary) -> str:
    return visible(arm.name) + ("" if arm.role is Role.COMPARED else f"\n({arm.role})")


def _base_table(base: BaseKnowledge) -> Table:
    """The effect apart by what the base model answers alone; descriptive, so without a p-value."""
    table = _table("of prompts the base model answers alone", "prompts", "difference", "95 % interval")
    for label, effect in (("right", base.known), ("wrong", base.unknown)):
        if effect is not None:
            table.add_row(
                f"  {label}", str(effect.n_prompts), f"{effect.difference_points:+.1f} points", _ends(effect.interval_95)
            )
    return table


def _secondary_table(effects: Sequence[SecondaryEffect]) -> Table:
    table = _table("secondary, cleaned minus random", "difference", "95 % interval", "p (Holm)")
    for effect in effects:
        decimals = 2 if effect.unit == "score" else 1
        table.add_row(
            effect.name,
            f"{effect.difference:+.{decimals}f} {effect.unit}",
            _ends(effect.interval_95, decimals),
            _p_value(effect.p_holm),
        )
    return table


def _table(first: str, *others: str) -> Table:
    """Headings and cells are plain text: those who name arms write no markup."""
    table = Table(Column(first), *(Column(Text(name), justify="right") for name in others), box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    return table


def _bracketed(interval: Interval | None) -> str:
    return "" if interval is None else f" (95 % interval {interval.low:+.1f} to {interval.high:+.1f})"


def _ends(interval: Interval | None, decimals: int = 1) -> str:
    return "–" if interval is None else f"{interval.low:+.{decimals}f} to {interval.high:+.{decimals}f}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def _percent_or_dash(fraction: float | None) -> str:
    return "–" if fraction is None else _percent(fraction)


def _p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


_ARM_LINES: tuple[tuple[str, Callable[[ArmSummary], str]], ...] = (
    ("runs", lambda arm: str(arm.n_runs)),
    ("wrong", lambda arm: _percent(arm.wrong_fraction)),
    ("  false", lambda arm: _percent(arm.false_fraction)),
    ("  a traced span is back", lambda arm: _percent(arm.traced_back_fraction)),
    ("  displaced by another value", lambda arm: _percent(arm.displaced_fraction)),
    ("  abstained", lambda arm: _percent(arm.abstained_fraction)),
    ("wrong where the base is right", lambda arm: _percent_or_dash(arm.spoiled_fraction)),
    ("control prompts right", lambda arm: _percent_or_dash(arm.control_accuracy)),
    ("mean length, characters", lambda arm: f"{arm.mean_length_chars:.0f}"),
    ("empty", lambda arm: _percent(arm.empty_fraction)),
    ("repeat themselves", lambda arm: _percent(arm.repetitive_fraction)),
)
