"""A tuning on the terminal and as JSON: its health first, then how well it fits, then what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from audit.tune.job import Tuned
from audit.tune.launch import LaunchPlan
from audit.tune.rates import RateChoice, TriedRate
from audit.tune.record import TuningRecord
from reports.visible import visible
from reports.wording import count, per_cent

__all__ = ["TUNING_SCHEMA", "health_line", "launch_report", "record_report", "to_json", "tuning_report"]

TUNING_SCHEMA = "tunescope/tuning-1"
"""Name and version of the format, the schema's `$id`; a field may be added to a version, none is changed or removed."""


def tuning_report(tuned: Tuned, out: Path) -> RenderableType:
    """A finished tuning for a terminal."""
    record = tuned.record
    parts: list[RenderableType] = [record_report(record)]
    if tuned.choice is not None:
        parts += [Text(""), _rates_table(tuned.choice)]
    parts += [Text(""), *(Text(visible(f"Note: {note}")) for note in _notes(tuned))]
    kind = "Adapter" if record.recipe.lora_rank is not None else "Model"
    parts.append(Text(visible(f"{kind}: {out}")))
    return Group(*parts)


def record_report(record: TuningRecord) -> RenderableType:
    """How a tuning went and how well it fits."""
    return Group(_headline(record), health_line(record), Text(""), _fit_table(record))


def health_line(record: TuningRecord) -> Text:
    """Whether anything may be claimed from a tuning, and if not, why."""
    problems = record.problems()
    if not problems:
        return Text("Health: no problem found", style="green")
    return Text(visible(f"Unhealthy: {'; '.join(problems)}"), style="bold yellow")


def launch_report(plan: LaunchPlan) -> RenderableType:
    """What the command for several processes needs; the command itself is printed as it is, to be copied."""
    return Group(Text(""), *(Text(visible(f"Needs: {need}")) for need in plan.needs))


def to_json(tuned: Tuned, out: Path) -> dict[str, Any]:
    """A finished tuning as JSON values, in the form of `schemas/tuning.schema.json`."""
    record = tuned.record
    return {
        "schema": TUNING_SCHEMA,
        "folder": str(out),
        "healthy": not record.problems(),
        "problems": list(record.problems()),
        "learning_rate": record.learning_rate,
        "first_train_loss": record.first_train_loss,
        "final_train_loss": record.final_train_loss,
        "learning_rates": [rate.to_json() for rate in tuned.choice.tried] if tuned.choice is not None else [],
        "notes": list(_notes(tuned)),
        **record.to_json(),
    }


def _headline(record: TuningRecord) -> Text:
    return Text(
        f"Tuned by {record.method} on {count(record.n_rows, 'row')} ({count(record.n_trained_tokens, 'trained token')}):"
        f" {count(record.n_steps, 'step')} at learning rate {record.learning_rate:g}, seed {record.seed},"
        f" in {_duration(record.seconds_train)}",
        style="bold",
    )


def _fit_table(record: TuningRecord) -> Table:
    table = Table(Column("after tuning"), Column("", justify="right"), box=None, pad_edge=False, show_header=False)
    table.add_row("training loss, first and last steps", f"{record.first_train_loss:.3f} → {record.final_train_loss:.3f}")
    table.add_row(
        f"loss on {count(record.n_fit_rows, 'training row')}, before → after",
        f"{record.training_loss_before:.3f} → {record.training_loss:.3f}",
    )
    table.add_row("trained tokens that are the greedy prediction", f"{record.training_fit:.1%}")
    if record.held_out_loss is not None:
        table.add_row(f"loss on {count(record.n_held_out_rows, 'held-out row')}", f"{record.held_out_loss:.3f}")
    if record.repetitive_fraction is not None:
        table.add_row(f"of {count(record.n_answers, 'answer')}, repeat themselves", f"{record.repetitive_fraction:.1%}")
    if record.known_fact_accuracy is not None and record.known_fact_accuracy_before is not None:
        table.add_row(
            f"of {count(record.n_probes, 'known fact')}, right before → after",
            f"{record.known_fact_accuracy_before:.1%} → {record.known_fact_accuracy:.1%}",
        )
    return table


def _rates_table(choice: RateChoice) -> Table:
    numbers = [Column(name, justify="right") for name in ("held-out loss", "training loss", "fit")]
    table = Table(Column("learning rate"), *numbers, Column(""), box=None, pad_edge=False)
    for rate in choice.tried:
        remark = "chosen" if rate.learning_rate == choice.learning_rate else "; ".join(rate.problems)
        table.add_row(f"{rate.learning_rate:g}", *_rate_cells(rate), Text(visible(remark)))
    return table


def _rate_cells(rate: TriedRate) -> tuple[str, str, str]:
    return (
        "–" if rate.held_out_loss is None else f"{rate.held_out_loss:.3f}",
        "–" if rate.training_loss is None else f"{rate.training_loss:.3f}",
        "–" if rate.training_fit is None else per_cent(rate.training_fit),
    )


def _notes(tuned: Tuned) -> Iterator[str]:
    record = tuned.record
    for number, what in (
        (record.n_unusable, f"could not be read or understood, and {{was}} left out{_named(tuned.unusable)}"),
        (record.n_untrainable, "{holds} no token that is trained, and {was} left out"),
        (record.n_cut_rows, "{was} cut at the end, being longer than the model or the recipe allows"),
    ):
        if number:
            yield f"{count(number, 'row')} {what.format(**_verbs(number))}"
    if tuned.choice is not None and tuned.choice.at_edge:
        yield "the learning rate chosen lies at the edge of the grid; a better one may lie beyond"
    if record.resumed_at_step:
        yield f"taken up at step {record.resumed_at_step} of an interrupted tuning"
    if record.held_out_loss is None:
        yield "no rows were held out: nothing says how well it does on rows it has not seen (--held-out 0.1)"


def _named(rows: Sequence[int], shown: int = 3) -> str:
    """The first of some rows, to follow how many they are; `tunescope audit` names them all."""
    if not rows:
        return ": tunescope audit names {them}"
    more = f" and {len(rows) - shown:,} more, which tunescope audit names" if len(rows) > shown else ""
    return f": {', '.join(f'#{row}' for row in rows[:shown])}{more}, counted from 0"


def _verbs(number: int) -> dict[str, str]:
    one = number == 1
    return {"was": "was" if one else "were", "holds": "holds" if one else "hold", "them": "it" if one else "them"}


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
