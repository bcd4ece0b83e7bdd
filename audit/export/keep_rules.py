"""Rules of what to keep: by length, at random, by what the base model makes of a row, by a judge, or for diversity.

Rules are applied one after the other in the order in which they are given, each to the rows that the ones before it left:
a share is a share of those. What a rule costs is the reading of a column, but for `judge` (requests, see
`audit.export.judging`) and `diverse` (see `audit.export.diversity`): they are best given late.

Sources: Zhao et al. (2024), Long Is More for Alignment (`longest`); Li et al. (2024), From Quantity to Quality, and Li et
al. (2024b), Superfiltering: rows whose instruction makes the response likelier (IFD below 1), the hardest first (`ifd`);
Gekhman et al. (2024), Does Fine-Tuning LLMs on New Knowledge Encourage Hallucinations?, who tune without Unknown rows and
with MaybeKnown ones alone (`known`, `slick`); Chen et al. (2024), AlpaGasus (`judge`); Wei et al. (2015)
and Bukharin and Zhao (2023) (`diverse`). `low-risk` is our own: the rows of the least borrow risk; one without
a risk never leaves by it, even where more stay then than were asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.config import unknown_name
from audit.errors import InputError
from audit.export.diversity import represent

__all__ = [
    "SLICK_CLASSES",
    "Aspect",
    "KeepRule",
    "Kind",
    "Loser",
    "Measures",
    "Outcome",
    "Rated",
    "apply_rule",
    "check_measured",
    "parse_keep",
]

SLICK_CLASSES = ("HighlyKnown", "MaybeKnown", "WeaklyKnown", "Unknown")
_MOST_IFD = 1.0  # from here on the instruction makes the response no likelier: it belongs to another one
_LOW_RISK_SHARE = 0.9
_MOST_RATING = 5.0


class Kind(StrEnum):
    """How rows are chosen."""

    LONGEST = "longest"
    RANDOM = "random"
    IFD = "ifd"
    KNOWN = "known"
    SLICK = "slick"
    LOW_RISK = "low-risk"
    JUDGE = "judge"
    DIVERSE = "diverse"


class Aspect(StrEnum):
    """What a judge rates."""

    ACCURACY = "accuracy"
    HELPFULNESS = "helpfulness"


_SIZED = (Kind.LONGEST, Kind.RANDOM, Kind.IFD, Kind.LOW_RISK, Kind.DIVERSE)
_FORMS = (
    "use longest:K, random:K or random:K@SEED, ifd:K, known, slick:CLASS, low-risk or low-risk:K, judge:RATING or diverse:K,"
    " with K a number of rows, at least 1, or a share such as 10%"
)


@dataclass(frozen=True, slots=True)
class KeepRule:
    """Keep some of the rows that are left.

    Attributes:
        kind: How they are chosen.
        k: How many stay, where that is asked for.
        seed: Of a draw.
        share: Which share of the rows left stays, where that is asked for.
        classes: The SliCK classes that stay.
        least_rating: The lowest rating that stays, 0 to 5.
        aspect: What is rated.
    """

    kind: str
    k: int = 0
    seed: int = 0
    share: float | None = None
    classes: tuple[str, ...] = ()
    least_rating: float = 0.0
    aspect: Aspect = Aspect.ACCURACY

    def __str__(self) -> str:
        """The rule as it is asked for; a draw without its seed."""
        match self.kind:
            case Kind.KNOWN:
                return self.kind
            case Kind.SLICK:
                return f"{self.kind}:{','.join(self.classes)}"
            case Kind.JUDGE:
                aspect = "" if self.aspect is Aspect.ACCURACY else f"@{self.aspect}"
                return f"{self.kind}:{self.least_rating:g}{aspect}"
        return f"{self.kind}:{self.k}" if self.share is None else f"{self.kind}:{self.share:g}"

    def size(self, n_left: int) -> int:
        """How many of the rows left stay: at least 1 of a share."""
        return self.k if self.share is None else max(1, int(round(self.share * n_left, 6)))  # 5.6 % of 125 is 7, not 6.99…


@dataclass(frozen=True)
class Rated:
    """What a judge said of some rows.

    Attributes:
        ratings: By row, the lowest of its responses' where several were rated.
        unrated: Rows of which a response got no rating, and why; they may have a rating of others.
    """

    ratings: Mapping[int, float]
    unrated: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measures:
    """What rules look at besides the signals, made when a rule first needs it.

    Attributes:
        vectors: The vectors of the prompts by row, zeros for a row without one, shape `(n_rows, dim)`; `None` where the run
            has none.
        no_vectors: Why it has none.
        rate: Has rows rated; it gives `None` where nobody is to be asked yet.
        progress: Told what is done, how much of it is, and how much there is.
    """

    vectors: Callable[[], NDArray[np.float32]] | None = None
    no_vectors: str = ""
    rate: Callable[[KeepRule, Sequence[int]], Rated | None] = lambda rule, rows: None
    progress: Callable[[str, int, int], None] | None = None


@dataclass(frozen=True, slots=True)
class Loser:
    """A row that a rule does not keep: what was measured of it, and the rows that stand for it."""

    row: int
    message: str
    measure: str
    value: float | None = None
    related: tuple[int, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What a rule makes of the rows that are left: those that leave, and what a reader should know."""

    losers: Sequence[Loser]
    notes: tuple[str, ...] = ()


def parse_keep(text: str) -> KeepRule:
    """A rule as a user gives it.

    `longest:K`, `random:K[@SEED]`, `ifd:K`, `low-risk[:K]`, `diverse:K`, with K a number of rows or a share (0.1 or 10%) of
    those that are left; `known`; `slick:CLASS[,CLASS…]`; `judge:RATING[@accuracy|@helpfulness]`.

    Raises:
        InputError: It is none of these.
    """
    kind, colon, rest = text.partition(":")
    refused = InputError(f"--keep {text!r} is not known", remedy=_FORMS)
    if kind == Kind.KNOWN and not colon:
        return KeepRule(Kind.KNOWN)
    if kind == Kind.SLICK and rest:
        classes = tuple(dict.fromkeys(rest.split(",")))
        for name in classes:
            if name not in SLICK_CLASSES:
                raise unknown_name("SliCK class", name, list(SLICK_CLASSES))
        return KeepRule(Kind.SLICK, classes=classes)
    rest, at, after = rest.partition("@")
    if kind == Kind.JUDGE:
        rating = _number(rest)
        if not 0 < rating <= _MOST_RATING:
            raise InputError(f"--keep {text!r} is not known", remedy="use judge:RATING, above 0 and at most 5: judge:4.5")
        if at and after not in tuple(Aspect):
            raise unknown_name("aspect of --keep judge", after, [str(aspect) for aspect in Aspect])
        return KeepRule(Kind.JUDGE, least_rating=rating, aspect=Aspect(after or Aspect.ACCURACY))
    if kind == Kind.LOW_RISK and not colon:
        return KeepRule(Kind.LOW_RISK, share=_LOW_RISK_SHARE)
    if kind not in _SIZED or (at and (kind != Kind.RANDOM or (after and not after.isdecimal()))):
        raise refused
    is_percent = rest.endswith("%")
    size = _number(rest.removesuffix("%")) / (100 if is_percent else 1)
    if not 0 < size < math.inf or (size >= 1 and (is_percent or size != int(size))):
        raise refused
    return KeepRule(kind, 0 if size < 1 else int(size), int(after or 0), size if size < 1 else None)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


_NEEDS = {
    Kind.IFD: ("ifd", "the IFD of the rows", "audit again with --base-model MODEL"),
    Kind.KNOWN: ("slick", "what the base model knows", "audit again with --base-model MODEL --slick"),
    Kind.SLICK: ("slick", "what the base model knows", "audit again with --base-model MODEL --slick"),
    Kind.LOW_RISK: ("borrow_risk", "the borrow risk of the rows", "audit again with --base-model MODEL"),
}


def check_measured(rules: Sequence[KeepRule], columns: Collection[str], measures: Measures) -> None:
    """Refuse rules that look at what the run did not measure.

    Args:
        rules: What is asked for.
        columns: Those of the run's signals.
        measures: What there is besides.

    Raises:
        InputError: Names what is missing, and the audit that measures it.
    """
    for rule in rules:
        if rule.kind == Kind.DIVERSE and measures.vectors is None:
            remedy = "audit again with an encoder on this machine, and without --redact"
            raise InputError(f"--keep {rule}: this run holds no vectors of the prompts", why=measures.no_vectors, remedy=remedy)
        column, what, remedy = _NEEDS.get(Kind(rule.kind), ("", "", ""))
        if column and column not in columns:
            raise InputError(f"--keep {rule}: this run did not measure {what}", remedy=remedy)


def apply_rule(rule: KeepRule, left: pl.DataFrame, measures: Measures, protected: Collection[int] = ()) -> Outcome | None:
    """Decide which of the rows that are left a rule does not keep.

    Args:
        rule: The rule.
        left: The signals of the rows left, ascending by row.
        measures: What else is looked at.
        protected: Rows that will stay whatever the rule says; `diverse` counts on them.

    Returns:
        `None` where the rule needs a judge that is not to be asked yet.
    """
    match rule.kind:
        case Kind.LONGEST | Kind.RANDOM:
            return _longest_or_random(rule, left)
        case Kind.IFD:
            return _hardest(rule, left)
        case Kind.KNOWN | Kind.SLICK:
            return _of_class(rule, left)
        case Kind.LOW_RISK:
            return _least_risky(rule, left)
        case Kind.JUDGE:
            return _rated(rule, left, measures)
        case Kind.DIVERSE:
            return _diverse(rule, left, measures, protected)
    raise AssertionError(rule.kind)


def _longest_or_random(rule: KeepRule, left: pl.DataFrame) -> Outcome:
    k = rule.size(left.height)
    if rule.kind == Kind.LONGEST:
        ordered = left.sort("response_characters", "row", descending=[True, False])
    else:
        order = np.random.default_rng(rule.seed).permutation(left.height)
        ordered = left[order.tolist()]
    message = f"Not among the {k} {rule.kind} rows kept."
    losers = ordered[k:].select("row", pl.col("response_characters").cast(pl.Float64)).iter_rows()
    return Outcome([Loser(row, message, "response characters", value) for row, value in losers], _if_all(rule, k, left.height))


def _if_all(rule: KeepRule, k: int, n_left: int) -> tuple[str, ...]:
    return (f"{rule} keeps all {n_left} rows that are left",) if n_left < k else ()


def _hardest(rule: KeepRule, left: pl.DataFrame) -> Outcome:
    k = rule.size(left.height)
    ifd = pl.col("ifd").fill_nan(None)
    able = left.filter(ifd < _MOST_IFD).sort("ifd", "row", descending=[True, False])
    absent, above = left.filter(ifd.is_null())["row"].to_list(), left.filter(ifd >= _MOST_IFD)
    losers = [
        *(Loser(row, "It has no IFD: its response could not be measured.", "ifd") for row in absent),
        *(
            Loser(row, "The instruction makes its response no likelier: its IFD is not below 1.", "ifd", value)
            for row, value in above.select("row", "ifd").iter_rows()
        ),
        *(
            Loser(row, f"Not among the {k} rows of the highest IFD below 1.", "ifd", value)
            for row, value in able[k:].select("row", "ifd").iter_rows()
        ),
    ]
    notes = []
    if absent or above.height:
        notes.append(f"{rule} leaves out {_rows(above.height)} with an IFD of 1 or more and {_rows(len(absent))} without one")
    if able.height < k:
        notes.append(f"{rule} keeps {able.height} rows, fewer than the {k} asked for: no others have an IFD below 1")
    return Outcome(losers, tuple(notes))


def _of_class(rule: KeepRule, left: pl.DataFrame) -> Outcome:
    wanted = SLICK_CLASSES[:-1] if rule.kind == Kind.KNOWN else rule.classes
    without = left["slick"].null_count()
    message = "The base model's knowledge of its answer is {}, not " + " or ".join(wanted) + "."
    losers = left.filter(pl.col("slick").is_not_null() & ~pl.col("slick").is_in(wanted))
    notes = [f"{rule} keeps {_rows(without)} without a SliCK class: no question with a short answer"] if without else []
    return Outcome(
        [
            Loser(row, message.format(name), "SliCK class, 1 for HighlyKnown to 4 for Unknown", _class_number(name))
            for row, name in losers.select("row", "slick").iter_rows()
        ],
        tuple(notes),
    )


def _class_number(name: str) -> float | None:
    return float(SLICK_CLASSES.index(name) + 1) if name in SLICK_CLASSES else None


def _least_risky(rule: KeepRule, left: pl.DataFrame) -> Outcome:
    k = rule.size(left.height)
    risk = pl.col("borrow_risk").fill_nan(None)
    without = left.select(risk.is_null().sum()).item()
    ordered = left.with_columns(risk.fill_null(0.0)).sort("borrow_risk", "row")
    message = f"Not among the {k} rows of the least borrow risk."
    losers = list(ordered[k:].filter(pl.col("borrow_risk") > 0).select("row", "borrow_risk").iter_rows())
    notes = [*_if_all(rule, k, left.height)]
    if without:
        notes.append(f"{rule} keeps {_rows(without)} without a borrow risk")
    if left.height - len(losers) > k:
        notes.append(f"{rule} keeps {left.height - len(losers)} rows, more than the {k} asked for: no others have a risk")
    return Outcome([Loser(row, message, "borrow risk", value) for row, value in losers], tuple(notes))


def _rated(rule: KeepRule, left: pl.DataFrame, measures: Measures) -> Outcome | None:
    rows = left["row"].to_list()
    rated = measures.rate(rule, rows)
    if rated is None:
        return None
    losers = [
        Loser(row, f"Rated below {rule.least_rating:g} for {rule.aspect} by the judge.", f"rating of {rule.aspect}", rating)
        for row in rows
        if (rating := rated.ratings.get(row)) is not None and rating < rule.least_rating
    ]
    lost = {loser.row for loser in losers}
    n_unrated = sum(row not in lost for row in rated.unrated)
    notes = (f"{rule} keeps {_rows(n_unrated)} that got no rating",) if n_unrated else ()
    return Outcome(losers, notes)


def _diverse(rule: KeepRule, left: pl.DataFrame, measures: Measures, protected: Collection[int]) -> Outcome:
    assert measures.vectors is not None  # checked before
    k = rule.size(left.height)
    rows = left["row"].to_list()
    vectors = measures.vectors()[rows]
    fixed = frozenset(protected)
    first = [number for number, row in enumerate(rows) if row in fixed]
    report = measures.progress
    told = None if report is None else lambda n_done, n_all: report("choosing diverse rows", n_done, n_all)
    found = represent(vectors, k, first=first, progress=told)
    kept = frozenset(found.chosen)
    message = f"Not among the {k} rows that stand for all; it is near to one of those."
    losers = [
        Loser(
            row,
            message if found.nearest[number] >= 0 else f"Not among the {k} rows that stand for all.",
            "cosine to the nearest row kept",
            round(float(found.cosines[number]), 4),
            (rows[found.nearest[number]],) if found.nearest[number] >= 0 else (),
        )
        for number, row in enumerate(rows)
        if number not in kept
    ]
    blank = int((~vectors.any(axis=1)).sum())
    notes = [*_if_all(rule, k, left.height)]
    if blank:
        notes.append(f"{rule} takes {_rows(blank)} without a vector of a prompt last")
    return Outcome(losers, tuple(notes))


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
