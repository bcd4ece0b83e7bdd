"""Which rows leave, and why: by finding, by blame, or because others are to be kept.

Every reason is recorded for every row. The order is fixed: what a person decided, then findings other than duplicates,
then blame, then duplicates (only while a row that they match stays), then what is to be kept of the rest, by rules in the
order in which they are given, then style families above their share of that. A row that a person decided to keep never
leaves; it stays besides what a rule keeps.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import polars as pl

from audit.config import unknown_name
from audit.errors import InputError
from audit.export.decisions import Choice, Decision
from audit.export.families import FamilyRows, surplus
from audit.export.keep_rules import KeepRule, Measures, apply_rule, check_measured
from audit.trace.model import BlamedRow

__all__ = ["KeepStep", "Reason", "Selection", "check_codes", "parse_blame_q", "parse_blame_size", "select_rows"]

# A cleaning that removes more than this also removes what the model needs; no share may ask for more.
MOST_BLAMED_SHARE = 0.10
_DUPLICATES = "DUP"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a row leaves.

    Attributes:
        code: `decision`, a finding's code, `blame:NAME`, a keep rule such as `longest:K`, or `family:N`.
        message: One sentence.
        measure, value: What was measured.
        related: Numbers of the rows it matched.
    """

    code: str
    message: str
    measure: str = ""
    value: float | None = None
    related: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class KeepStep:
    """A keep rule as it was applied: the rows that were left before it, and after."""

    rule: str
    n_before: int
    n_after: int


@dataclass(frozen=True)
class Selection:
    """The rows that leave, with their reasons, and the rest that stay.

    Attributes:
        n_rows: Rows of the dataset.
        reasons: Row -> its reasons, ascending by row.
        notes: What a reader should know, such as a blame list shorter than asked for.
        steps: The keep rules that were applied, in order.
        waiting: Keep rules that were not, because the first of them needs a judge that was not to be asked yet.
    """

    n_rows: int
    reasons: dict[int, tuple[Reason, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    steps: tuple[KeepStep, ...] = ()
    waiting: tuple[str, ...] = ()

    @property
    def dropped(self) -> list[int]:
        """The rows that leave, ascending."""
        return list(self.reasons)

    @property
    def kept(self) -> list[int]:
        """The rows that stay, ascending."""
        return [row for row in range(self.n_rows) if row not in self.reasons]


def parse_blame_q(text: str) -> tuple[str, float] | None:
    """`NAME:q0.05` -> the trace's name and the largest q-value of a row that leaves; `None` for other forms.

    Raises:
        InputError: The number is not between 0 and 1.
    """
    name, _, size = text.rpartition(":")
    if not name or not size.startswith("q"):
        return None
    try:
        max_q = float(size[1:])
    except ValueError:
        max_q = -1.0
    if not 0 < max_q < 1:
        raise InputError(f"--drop-blamed {text!r} is not known", remedy="use NAME:qQ with Q between 0 and 1: trace-1:q0.05")
    return name, max_q


def parse_blame_size(text: str, n_rows: int) -> tuple[str, int]:
    """`NAME:K` or `NAME:SHARE` (0.05 or 5%) -> the trace's name and a number of rows.

    Raises:
        InputError: It is neither, or the share is over 10 %.
    """
    name, _, size = text.rpartition(":")
    try:
        percent = size.endswith("%")
        value = float(size.removesuffix("%")) / (100 if percent else 1)
    except ValueError:
        value = -1.0
    if not name or not 0 < value < math.inf or (value >= 1 and (percent or value != int(value))):
        raise InputError(
            f"--drop-blamed {text!r} is not known",
            remedy="use NAME:K, NAME:SHARE or NAME:qQ, such as trace-1:20, trace-1:5% or trace-1:q0.05",
        )
    if value < 1 and value > MOST_BLAMED_SHARE:
        raise InputError(
            f"--drop-blamed {text!r} would drop over {MOST_BLAMED_SHARE:.0%} of the rows",
            remedy="ask for less: so large a removal costs what the model should learn",
        )
    return name, int(value) if value >= 1 else max(1, int(round(value * n_rows, 6)))  # 5.6 % of 125 is 7, not 6.99…


def check_codes(codes: Sequence[str], run_codes: Sequence[str], not_looked_for: Mapping[str, str]) -> None:
    """Refuse codes, or prefixes, that name no check that the audit ran.

    Args:
        codes: What is asked for.
        run_codes: The codes that the audit ran.
        not_looked_for: Codes that it did not, and why, where that is known.

    Raises:
        InputError: There is no such check, or the audit did not run it.
    """
    for code in codes:
        if code and any(known.startswith(code) for known in run_codes):
            continue
        reasons = [why for known, why in not_looked_for.items() if code and known.startswith(code)]
        if not reasons:
            raise unknown_name("check of this run", code, list(run_codes))
        raise InputError(
            f"{code} was not looked for in this run", why=reasons[0], remedy="audit again with it, or leave it out here"
        )


def select_rows(
    findings: pl.DataFrame,
    signals: pl.DataFrame,
    *,
    decisions: Mapping[int, Decision] | None = None,
    codes: Sequence[str] = (),
    run_codes: Sequence[str] = (),
    not_looked_for: Mapping[str, str] = MappingProxyType({}),
    blamed: Sequence[tuple[str, int, Sequence[BlamedRow]]] = (),
    keep: Sequence[KeepRule] = (),
    families: Sequence[FamilyRows] = (),
    measures: Measures | None = None,
) -> Selection:
    """Decide which rows leave.

    Args:
        findings: All findings of the run.
        signals: One line per row.
        decisions: What a person decided, by row.
        codes: Codes, or prefixes, whose findings drop a row.
        run_codes: The codes that the audit ran, to refuse others.
        not_looked_for: Codes that it did not run, and why.
        blamed: Per trace its name, how many rows to drop, and its blamed rows, most blamed first.
        keep: Rules for the rows that are left, applied one after the other.
        families: Style families that may only have a share of what is left after all else.
        measures: What keep rules look at besides the signals.

    Raises:
        InputError: A code was not part of the audit, or a rule needs what the run did not measure.
    """
    check_codes(codes, run_codes, not_looked_for)
    measures = measures or Measures()
    check_measured(keep, signals.columns, measures)
    reasons: dict[int, list[Reason]] = defaultdict(list)
    notes: list[str] = []
    protected = {row for row, decision in (decisions or {}).items() if decision.choice is Choice.KEEP}
    spared: set[int] = set()

    def leave(row: int, reason: Reason) -> None:
        if row in protected:
            spared.add(row)
        else:
            reasons[row].append(reason)

    for row, decision in (decisions or {}).items():
        if decision.choice is Choice.DROP:
            leave(row, Reason("decision", decision.reason or "A person decided so."))
    chosen = findings.filter(pl.any_horizontal(pl.lit(False), *(pl.col("code").str.starts_with(code) for code in codes)))
    for finding in chosen.filter(~pl.col("code").str.starts_with(_DUPLICATES)).iter_rows(named=True):
        leave(finding["row"], _reason_of(finding))
    for name, size, ranked in blamed:
        if len(ranked) < size:
            notes.append(f"{name} blames {len(ranked)} rows, fewer than the {size} asked for")
        for rank, blame in enumerate(ranked[:size], start=1):
            message = f"Blamed by {blame.n_claims} claims, rank {rank} of {len(ranked)}; least chance {blame.least_chance:.3g}."
            leave(blame.row, Reason(f"blame:{name}", message, "sum over claims of (1 - chance) / rank", blame.blame))
    for finding in chosen.filter(pl.col("code").str.starts_with(_DUPLICATES)).iter_rows(named=True):  # ascending by row
        if any(other not in reasons for other in finding["related"]):
            leave(finding["row"], _reason_of(finding))
    steps: list[KeepStep] = []
    for rule in keep:
        left = signals.filter(~pl.col("row").is_in(list(reasons)))
        outcome = apply_rule(rule, left, measures, protected)
        if outcome is None:
            break
        for lost in outcome.losers:
            leave(lost.row, Reason(str(rule), lost.message, lost.measure, lost.value, lost.related))
        notes += outcome.notes
        steps.append(KeepStep(str(rule), left.height, signals.height - len(reasons)))
    left_rows = [row for row in signals["row"].to_list() if row not in reasons]
    for of_family in surplus(left_rows, families, protected):
        number = of_family.rule.family
        if not of_family.rows:
            notes.append(f"style family {number} has {of_family.n_before} of the rows left, no more than its share")
        share_before = of_family.n_before / len(left_rows) if left_rows else 0.0
        message = f"Not among the {of_family.n_kept:,} of {of_family.n_before:,} rows of style family {number} that stay."
        for loser in of_family.rows:
            leave(loser, Reason(str(of_family.rule), message, "the family's share of the rows before", share_before))
    if spared:
        rows = "1 row" if len(spared) == 1 else f"{len(spared):,} rows"
        notes.append(f"kept as a person decided, though they would leave otherwise: {rows}")
    in_order = {row: tuple(reasons[row]) for row in sorted(reasons)}
    return Selection(signals.height, in_order, tuple(notes), tuple(steps), tuple(map(str, keep[len(steps) :])))


def _reason_of(finding: dict[str, object]) -> Reason:
    related = finding["related"]
    return Reason(
        str(finding["code"]),
        str(finding["message"]),
        str(finding["measure"]),
        finding["value"],  # type: ignore[arg-type]
        tuple(related) if isinstance(related, list) else (),
    )
