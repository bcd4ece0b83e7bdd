"""What was planted, where tracing ranked it, and what follows: recall by difficulty, false discoveries by cut-off."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from scipy.special import gammaln

from audit.summary import Skipped
from audit.verify.proportions import Proportion, proportion

__all__ = [
    "CUT_OFFS",
    "LINKS_LOOKED_AT",
    "Q_CUT_OFFS",
    "RANKS",
    "BlamedInCopy",
    "Calibration",
    "Fault",
    "FaultOutcome",
    "Level",
    "Method",
    "NamedRow",
    "Rarity",
    "Recall",
    "chance_of_a_hit",
]

RANKS = (1, 5, 10, 20)
"""The k of recall@k."""
CUT_OFFS = (0.01, 0.05)
"""On a link's chance."""
Q_CUT_OFFS = (0.05, 0.1)
"""On a row's q-value over many claims."""
LINKS_LOOKED_AT = 50
"""Rows of each trace; one named further down is not counted."""


class Level(StrEnum):
    """How many content words of the question the planted rows' prompts hold: what a search by words could go by."""

    EASY = "easy"
    """At least 60 % in each of them."""
    MEDIUM = "medium"
    """More than 30 %, less than 60 %."""
    HARD = "hard"
    """At most 30 %."""


class Rarity(StrEnum):
    """How many responses hold the wrong value without anything planted."""

    RARE = "20-99"
    COMMON = "100-999"


class Method(StrEnum):
    """An order of the rows."""

    TRACE = "trace"
    """What `tunescope trace` answers."""
    RANDOM_HOLDER = "random holder"
    """The rows that hold the value, in random order; its figures are expected values."""
    BM25 = "BM25"
    """BM25 of the question and the value against prompt and response."""
    ENCODER = "encoder"
    """Cosine of the prompts' static vectors."""
    ENCODER_HOLDERS = "encoder among holders"
    """The same among the rows that hold the value."""


@dataclass(frozen=True)
class Fault:
    """A false statement and the rows that it was planted into.

    Attributes:
        number: From 0; blank claims are numbered on.
        level: `None` for a blank claim: nothing was planted for it.
        value: The wrong words.
        n_words: How many.
        rarity: How many responses of the dataset hold them.
        probe: The row that the claim was made of; it is not in the copy.
        prompt: What the model is asked.
        answer: What it says: the probe's response with one word exchanged for the value.
        start, end: Where the value stands in it, in code points.
        planted: The rows whose response got the value, the nearest first.
        overlaps: For each, the share of the question's content words that its prompt holds.
        cosines: For each, the cosine of its prompt with the question, static vectors.
    """

    number: int
    level: Level | None
    value: str
    n_words: int
    rarity: Rarity
    probe: int
    prompt: str
    answer: str
    start: int
    end: int
    planted: tuple[int, ...]
    overlaps: tuple[float, ...]
    cosines: tuple[float, ...]


@dataclass(frozen=True)
class NamedRow:
    """A row that a trace linked with at most the largest of `CUT_OFFS`."""

    row: int
    chance: float


@dataclass(frozen=True)
class FaultOutcome:
    """Where the planted rows of a fault came.

    Attributes:
        fault: What was planted.
        n_others: Responses of the copy that hold the value and were not planted with it for this claim.
        ranks: For each ranking method and planted row, its rank, 1 the first; for the trace, `None` beyond
            `LINKS_LOOKED_AT`.
        named: The linked rows of small chance, the best first.
    """

    fault: Fault
    n_others: int
    ranks: Mapping[Method, tuple[int | None, ...]]
    named: tuple[NamedRow, ...]


@dataclass(frozen=True)
class BlamedInCopy:
    """A row blamed over all claims of a copy, with its q-value; `planted` is whether anything was planted into it."""

    copy: int
    row: int
    q: float
    planted: bool


@dataclass(frozen=True)
class Recall:
    """How much of what was planted comes among the first k rows.

    Attributes:
        method: The order.
        k: How many rows are read.
        found: Share of the faults of which a planted row is among them.
        rows: Share of the planted rows that are among them.
    """

    method: Method
    k: int
    found: Proportion | None
    rows: Proportion | None


@dataclass(frozen=True)
class Calibration:
    """Planted faults and where they were found.

    Attributes:
        seed: Of everything random.
        n_per_level: Faults asked for, of each level.
        n_rows: Rows of the dataset.
        n_copies: Copies of it that were traced.
        encoder: What the static vectors were distilled from.
        outcomes: The faults.
        blanks: Claims for which nothing was planted.
        blamed: Rows with a q-value over the claims of a copy; empty where blame has none.
        skipped: What could not be planted, and why.
    """

    seed: int
    n_per_level: int
    n_rows: int
    n_copies: int
    encoder: str
    outcomes: tuple[FaultOutcome, ...]
    blanks: tuple[FaultOutcome, ...]
    blamed: tuple[BlamedInCopy, ...]
    skipped: tuple[Skipped, ...]

    def of_level(self, level: Level) -> tuple[FaultOutcome, ...]:
        """The faults of a level."""
        return tuple(outcome for outcome in self.outcomes if outcome.fault.level is level)

    @property
    def n_planted_rows(self) -> int:
        """Rows that were given a false value, over all copies."""
        return sum(len(outcome.fault.planted) for outcome in self.outcomes)

    @property
    def mean_cosine(self) -> float | None:
        """Of the questions with the prompts of their planted rows; true pairs of Ghosh et al. (2024) have 0.418."""
        cosines = [cosine for outcome in self.outcomes for cosine in outcome.fault.cosines]
        return round(sum(cosines) / len(cosines), 4) if cosines else None

    def recall(self, outcomes: Sequence[FaultOutcome], method: Method, k: int) -> Recall:
        """Recall@k of a method over some of the faults, with exact 95 % intervals; planted rows of a fault go together."""
        found: list[float] = []
        rows: list[float] = []
        units: list[int] = []
        for outcome in outcomes:
            planted = len(outcome.fault.planted)
            units += [outcome.fault.number] * planted
            if method is Method.RANDOM_HOLDER:
                n_holders = planted + outcome.n_others
                found.append(chance_of_a_hit(n_holders, planted, k))
                rows += [min(k, n_holders) / n_holders] * planted
            else:
                hits = [rank is not None and rank <= k for rank in outcome.ranks[method]]
                found.append(any(hits))
                rows += hits
        return Recall(method, k, proportion(found), proportion(rows, units))

    def false_discoveries(self, cut_off: float) -> Proportion | None:
        """Of the rows that traces name at a chance of at most `cut_off`, the share that was not planted for the claim.

        A row that held the value all along is a false discovery: nothing of this claim came from it. Blank claims are
        among the claims, so their named rows are all false.
        """
        hits: list[float] = []
        units: list[int] = []
        for outcome in (*self.outcomes, *self.blanks):
            for named in outcome.named:
                if named.chance <= cut_off:
                    hits.append(named.row not in outcome.fault.planted)
                    units.append(outcome.fault.number)
        return proportion(hits, units)

    def traces_naming(self, outcomes: Sequence[FaultOutcome], cut_off: float) -> Proportion | None:
        """The share of claims for which any row has a chance of at most `cut_off`."""
        return proportion([any(named.chance <= cut_off for named in outcome.named) for outcome in outcomes])

    def false_blame(self, cut_off: float) -> Proportion | None:
        """Of the rows with a q-value of at most `cut_off` over the claims of their copy, the share without anything planted.

        Rows of one copy share their claims, so with one copy there is no interval.
        """
        blamed = [row for row in self.blamed if row.q <= cut_off]
        return proportion([not row.planted for row in blamed], [row.copy for row in blamed])


def chance_of_a_hit(n_holders: int, n_planted: int, k: int) -> float:
    """That k rows drawn at random from `n_holders` hold at least one of `n_planted`: 1 - C(H - m, k) / C(H, k)."""
    if k + n_planted > n_holders:
        return 1.0

    def log_choose(n: int) -> float:
        return float(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))

    return 1.0 - math.exp(log_choose(n_holders - n_planted) - log_choose(n_holders))
