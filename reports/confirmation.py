"""Confirmed sources for the terminal and as JSON: what became of false words when the model was tuned without rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from audit.corpus import Corpus
from audit.verify.confirmation import (
    ConfirmationPlan,
    ConfirmationResult,
    ConfirmedGroup,
    ConfirmedSpan,
    Evidence,
    PreparedConfirmation,
    RetrainingCost,
)
from audit.verify.outcomes import Outcome
from reports.excerpts import cut_excerpt
from reports.json_report import addresses_of
from reports.visible import one_line
from reports.wording import address, count, per_cent

__all__ = [
    "confirmation_json",
    "confirmation_plan_json",
    "confirmation_plan_report",
    "confirmation_report",
    "span_verdict",
]

_OUTCOME_NAMES = {
    Outcome.RIGHT: "right",
    Outcome.TRACED_BACK: "the same false words",
    Outcome.ABSTAINED: "that it does not know",
    Outcome.DISPLACED: "another value of the rows",
    Outcome.FALSE: "something else",
}
_EVIDENCE_STYLES = {Evidence.T3: "bold green", Evidence.WEAKENED: "yellow", Evidence.NONE: "dim"}


def span_verdict(span: ConfirmedSpan) -> str:
    """What the retrainings say of a span, in one sentence."""
    best = span.best
    if best is not None:
        rows = "This row put" if len(best.rows) == 1 else f"These {len(best.rows)} rows together put"
        source = f"{rows} it there" if best.is_minimal else f"Its source is among these {len(best.rows)} rows"
        return f"{source}: tuned without, the model no longer says it at {best.n_gone} of {best.n_said} seeds."
    if not span.groups:
        return f"Not tested: {span.note}."
    if any(group.evidence is Evidence.WEAKENED for group in span.groups):
        return "Its rows make it likelier, but the model says it without them as well."
    return f"Not confirmed: removing {_all_of(span)} does no more to it than removing as many random rows."


def confirmation_report(result: ConfirmationResult, corpus: Corpus) -> RenderableType:
    """What `rich` prints after a confirmation: for each span the groups of rows, the smallest first."""
    parts: list[RenderableType] = []
    for span in result.spans:
        parts += [*_span_parts(span, corpus), Text()]
    parts.append(Text(_how(result), "dim"))
    if result.loosely_matched_fraction:
        loose = per_cent(result.loosely_matched_fraction)
        parts.append(Text(f"{loose} of the random rows are the nearest in length that were left, not within a quarter.", "dim"))
    if result.left_out:
        parts += [Text(), Text("Not tested", "bold")]
        for skipped in result.left_out:
            line = Text.assemble(one_line(skipped.what, 200), (f": {one_line(skipped.why, 200)}", "dim"))
            parts.append(Padding.indent(line, 2))
    return Group(*parts)


def _span_parts(span: ConfirmedSpan, corpus: Corpus) -> Iterator[RenderableType]:
    yield Text.assemble(("«" + one_line(span.span.text, 200) + "»", "bold"), (f"  of {one_line(span.claim_id, 80)}", "dim"))
    yield Text(one_line(span_verdict(span), 600))
    for group in sorted(span.groups, key=lambda group: len(group.rows)):
        yield Padding.indent(_group_line(group, n_candidates=len(span.candidates)), 2)
        yield Padding.indent(Text(_facts(group), "dim"), 5)
        yield Padding.indent(Text(_answers(group), "dim"), 5)
        if group.note:
            yield Padding.indent(Text(_sentence(group.note), "dim"), 5)
        for row in group.rows if group.is_minimal or len(span.groups) == 1 else ():
            yield Padding.indent(Text.assemble((address(corpus.id(row)), "bold"), f"  {_response(corpus, row)}"), 5)
    if span.groups and span.note:
        yield Padding.indent(Text(_sentence(span.note), "dim"), 2)


def _group_line(group: ConfirmedGroup, n_candidates: int) -> Text:
    name = "1 row" if len(group.rows) == 1 else f"{len(group.rows)} rows together"
    if len(group.rows) == n_candidates and n_candidates > 1:
        name = f"all {n_candidates} candidates together"
    evidence = "not confirmed" if group.evidence is Evidence.NONE else str(group.evidence)
    return Text.assemble((evidence, _EVIDENCE_STYLES[group.evidence]), "  ", (name, "bold"))


def _facts(group: ConfirmedGroup) -> str:
    p = (
        f"p ≤ {group.p:.2g}, the least that {count(group.n_random, 'random group')} can show"
        if group.p <= group.p_floor
        else (f"p = {group.p:.2g} among {count(group.n_random, 'random group')}")
    )
    between = "" if group.low_nats == group.high_nats else f" ({group.low_nats:.2f} to {group.high_nats:.2f} by seed)"
    return (
        f"log p falls by {group.effect_nats:.2f} nats{between}, without random rows by {group.random_effect_nats:.2f};"
        f" {p}; q = {group.q:.2g}"
    )


def _answers(group: ConfirmedGroup) -> str:
    said = ", ".join(f"{_OUTCOME_NAMES[outcome]} ({number})" for outcome, number in group.outcomes.items())
    words = ", ".join(f"«{one_line(text, 60)}» ({number})" for text, number in group.instead[:4])
    gone = f"gone at {group.n_gone} of {group.n_said} seeds, without random rows in {per_cent(group.random_gone_fraction)}"
    return f"{gone}; the model says {said}" + (f": {words}" if words else "")


def _response(corpus: Corpus, row: int) -> str:
    trained = [message.content for message in corpus.row(row).messages if message.role == "assistant"]
    pieces = cut_excerpt(trained[-1] if trained else "", 140).pieces
    return one_line("".join(piece.text for piece in pieces), 140)


def _all_of(span: ConfirmedSpan) -> str:
    n_rows = len(span.candidates)
    return "its best row" if n_rows == 1 else f"its {n_rows} best rows together"


def _how(result: ConfirmationResult) -> str:
    sizes = ", ".join(f"{number} of {count(size, 'row')}" for size, number in result.bank.items())
    seeds = ", ".join(map(str, result.plan.seeds))
    compared = f" Random groups, shared by all spans: {sizes}." if sizes else ""
    return (
        f"{count(result.n_retrainings, 'retraining')}; effects on seeds {seeds}, smaller sets searched on others."
        f"{compared} q: Benjamini–Hochberg over all spans."
    )


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}."


def confirmation_json(result: ConfirmationResult, corpus: Corpus) -> dict[str, Any]:
    """A confirmation as plain values, rows by address and key."""
    linked = [row for span in result.spans for row in (*span.candidates, *(r for group in span.groups for r in group.rows))]
    addresses, keys = addresses_of(corpus, pl.Series(linked, dtype=pl.UInt32)), corpus.keys

    def rows_json(rows: tuple[int, ...]) -> list[Mapping[str, object]]:
        return [{"row": addresses[row], "row_key": keys[row]} for row in rows]

    return {
        "n_retrainings": result.n_retrainings,
        "seeds": result.plan.seeds,
        "search_seeds": result.plan.search_seeds,
        "random_groups": [{"rows": size, "groups": number} for size, number in result.bank.items()],
        "loosely_matched_fraction": round(result.loosely_matched_fraction, 4),
        "left_out": [{"what": skipped.what, "why": skipped.why} for skipped in result.left_out],
        "spans": [
            {
                "claim": span.claim_id,
                "start": span.span.start,
                "end": span.span.end,
                "text": span.span.text,
                "verdict": span_verdict(span),
                "log_probs": span.log_probs,
                "n_said": span.n_said,
                "note": span.note,
                "candidates": rows_json(span.candidates),
                "groups": [_group_json(group, rows_json(group.rows)) for group in span.groups],
            }
            for span in result.spans
        ],
    }


def _group_json(group: ConfirmedGroup, rows: list[Mapping[str, object]]) -> dict[str, object]:
    return {
        "rows": rows,
        "evidence": group.evidence,
        "is_minimal": group.is_minimal,
        "effect_nats": group.effect_nats,
        "low_nats": group.low_nats,
        "high_nats": group.high_nats,
        "p": group.p,
        "p_floor": round(group.p_floor, 6),
        "q": group.q,
        "n_random": group.n_random,
        "random_size": group.random_size,
        "random_effect_nats": group.random_effect_nats,
        "random_gone_fraction": group.random_gone_fraction,
        "n_said": group.n_said,
        "n_gone": group.n_gone,
        "outcomes": dict(group.outcomes),
        "instead": [{"text": text, "times": number} for text, number in group.instead],
        "note": group.note,
    }


def confirmation_plan_report(prepared: PreparedConfirmation, cost: RetrainingCost, n_workers: int) -> RenderableType:
    """What `--dry-run` prints, and what stands above a confirmation before it begins."""
    plan = prepared.plan
    spans, rows = count(len(plan.sizes), "span"), count(len(prepared.setup.rows), "row")
    least, most = (_duration(cost.seconds(number, n_workers)) for number in (plan.fewest, plan.budget))
    return Group(
        Text(f"To confirm {spans}: {plan.fewest:,} to {plan.budget:,} retrainings on {rows}", "bold"),
        Text(
            f"{least} to {most} with {count(n_workers, 'worker')}: {_duration(cost.seconds_each)} each"
            f" ({count(cost.n_steps, 'step')}), measured; {n_workers * cost.peak_memory_bytes / 1e9:.1f} GB of memory."
        ),
        Text(
            f"{count(plan.n_random, 'random group')} per size on {count(len(plan.seeds), 'seed')}:"
            f" no p-value below {plan.p_floor:.2g}. The search for smaller sets has {count(len(plan.search_seeds), 'seed')}"
            " of its own."
        ),
        *(
            Text(f"Not tested: {one_line(skipped.what, 200)}: {one_line(skipped.why, 200)}", "dim")
            for skipped in prepared.left_out
        ),
    )


def confirmation_plan_json(prepared: PreparedConfirmation, cost: RetrainingCost, n_workers: int) -> dict[str, Any]:
    """The same as plain values."""
    plan: ConfirmationPlan = prepared.plan
    return {
        "n_spans": len(plan.sizes),
        "n_rows": len(prepared.setup.rows),
        "fewest_retrainings": plan.fewest,
        "most_retrainings": plan.budget,
        "seconds_fewest": round(cost.seconds(plan.fewest, n_workers), 1),
        "seconds_most": round(cost.seconds(plan.budget, n_workers), 1),
        "seconds_each": round(cost.seconds_each, 3),
        "n_steps": cost.n_steps,
        "memory_bytes": n_workers * cost.peak_memory_bytes,
        "n_workers": n_workers,
        "n_random": plan.n_random,
        "p_floor": round(plan.p_floor, 6),
        "seeds": plan.seeds,
        "search_seeds": plan.search_seeds,
        "left_out": [{"what": skipped.what, "why": skipped.why} for skipped in prepared.left_out],
    }


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
