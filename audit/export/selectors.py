"""Which rows leave, and why: by finding, by blame, or because others are to be kept.

Every reason is recorded for every row. The order is fixed: what a person decided, then findings other than duplicates,
then blame, then duplicates (only while a row that they match stays), then what is to be kept of the rest, then style
families above their share of that. A row that a person decided to keep never leaves.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import polars as pl

from audit.config import unknown_name
from audit.errors import InputError
from audit.export.decisions import Choice, Decision
from audit.export.families import FamilyRows, surplus
from audit.trace.model import BlamedRow

__all__ = ["KeepRule", "Reason", "Selection", "check_codes", "parse_blame_q", "parse_blame_size", "parse_keep", "select_rows"]

# A cleaning that removes more than this also removes what the model needs; no share may ask for more.
MOST_BLAMED_SHARE = 0.10
_DUPLICATES = "DUP"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a row leaves.

    Attributes:
        code: `decision`, a finding's code, `blame:NAME`, `longest:K`, `random:K` or `family:N`.
        message: One sentence.
        measure, value: What was measured.
        related: Numbers of the rows it matched.
    """

    code: str
    message: str
    measure: str = ""
    value: float | None = None
    related: tuple[int, ...] = ()


@dataclass(frozen=True)
class Selection:
    """The rows that leave, with their reasons, and the rest that stay.

    Attributes:
        n_rows: Rows of the dataset.
        reasons: Row -> its reasons, ascending by row.
        notes: What a reader should know, such as a blame list shorter than asked for.
    """

    n_rows: int
    reasons: dict[int, tuple[Reason, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def dropped(self) -> list[int]:
        """The rows that leave, ascending."""
        return list(self.reasons)

    @property
    def kept(self) -> list[int]:
        """The rows that stay, ascending."""
        return [row for row in range(self.n_rows) if row not in self.reasons]


@dataclass(frozen=True, slots=True)
class KeepRule:
    """Keep `k` of the rows that are left: the `longest`, by characters of their responses, or `random` ones."""

    kind: str
    k: int
    seed: int = 0


def parse_keep(text: str) -> KeepRule:
    """`longest:K`, `random:K` or `random:K@SEED`.

    Raises:
        InputError: It is none of these.
    """
    kind, _, rest = text.partition(":")
    number, _, seed = rest.partition("@")
    if kind not in ("longest", "random") or not number.isdecimal() or int(number) < 1 or (seed and not seed.isdecimal()):
        raise InputError(f"--keep {text!r} is not known", remedy="use longest:K, random:K or random:K@SEED, with K at least 1")
    return KeepRule(kind, int(number), int(seed or 0))


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

    Raises:
        InputError: A code was not part of the audit.
    """
    check_codes(codes, run_codes, not_looked_for)
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
    for rule in keep:
        left = signals.filter(~pl.col("row").is_in(list(reasons)))
        if left.height < rule.k:
            notes.append(f"{rule.kind}:{rule.k} keeps all {left.height} rows that are left")
        for loser, characters in _losers(left, rule):
            message = f"Not among the {rule.k} {rule.kind} rows kept."
            leave(loser, Reason(f"{rule.kind}:{rule.k}", message, "response characters", characters))
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
    return Selection(signals.height, {row: tuple(reasons[row]) for row in sorted(reasons)}, tuple(notes))


def _losers(left: pl.DataFrame, rule: KeepRule) -> list[tuple[int, float]]:
    if rule.kind == "longest":
        ordered = left.sort("response_characters", "row", descending=[True, False])
    else:
        order = np.random.default_rng(rule.seed).permutation(left.height)
        ordered = left[order.tolist()]
    return list(ordered[rule.k :].select("row", pl.col("response_characters").cast(pl.Float64)).iter_rows())


def _reason_of(finding: dict[str, object]) -> Reason:
    related = finding["related"]
    return Reason(
        str(finding["code"]),
        str(finding["message"]),
        str(finding["measure"]),
        finding["value"],  # type: ignore[arg-type]
        tuple(related) if isinstance(related, list) else (),
    )
