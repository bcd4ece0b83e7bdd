"""What a confirmation is made of: spans and their candidate rows in, groups of rows with their measured effect out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from audit.influence.queries import TokenQuery
from audit.responses import Span
from audit.summary import Skipped
from audit.verify.confirmation.plan import ConfirmationPlan
from audit.verify.outcomes import Outcome

__all__ = [
    "ConfirmationResult",
    "ConfirmedGroup",
    "ConfirmedSpan",
    "Evidence",
    "Measure",
    "Removal",
    "SpanMeasurement",
    "SpanUnderTest",
]


class Evidence(StrEnum):
    """What the retrainings without a group of rows show."""

    T3 = "T3"
    """The span went away, and its probability fell more than without as many random rows."""
    WEAKENED = "weakened"
    """Its probability fell more than without as many random rows, but the model still says it."""
    NONE = "none"
    """Nothing that random rows would not do as well."""


@dataclass(frozen=True)
class SpanUnderTest:
    """False words of an answer, and the rows that may have lent them.

    Attributes:
        claim_id: The answer's id.
        prompt: What was asked, as text.
        response: What the model said.
        span: The false words in it.
        query: Their tokens.
        n_prompt: Tokens of `query.input_ids` that are the prompt.
        candidates: Places in the training set, best first.
        right: What would be right in their place; empty where unknown.
        values: What else an answer could name.
    """

    claim_id: str
    prompt: str
    response: str
    span: Span
    query: TokenQuery
    n_prompt: int
    candidates: tuple[int, ...]
    right: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


class Removal(NamedTuple):
    """One tuning: the seed of its order of rows, and the places that have weight 0, ascending."""

    seed: int
    places: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"retraining of seed {self.seed} without {len(self.places)} rows"


@dataclass(frozen=True, slots=True)
class SpanMeasurement:
    """What a tuned model makes of a span.

    Attributes:
        log_prob: Of the span's tokens after what stands before them, summed, in nats.
        is_greedy: Whether each of them is the most likely one there.
        answer: What the model answers to the prompt by itself.
    """

    log_prob: float
    is_greedy: bool
    answer: str


Measure: TypeAlias = Callable[[Sequence[Removal]], Sequence[tuple[SpanMeasurement, ...]]]
"""Does some tunings; for each, what it makes of every span."""


@dataclass(frozen=True)
class ConfirmedGroup:
    """Rows that were removed together, and what became of the span.

    Attributes:
        rows: Their numbers in the dataset, best candidate first.
        effect_nats: Fall of the log-probability of the span's tokens, mean over seeds.
        low_nats, high_nats: The smallest and the largest fall of one seed.
        p: How often random rows make it fall as far: (1 + b) / (1 + B).
        q: `p` corrected for all tests of the call; that of the whole group at least.
        n_random: Random groups that it is compared with (B); the floor of `p` is 1 / (1 + B).
        random_size: Rows of each; where it is more than of this group, the comparison is the stricter.
        random_effect_nats: Mean fall without random rows.
        random_gone_fraction: Share of the retrainings without random rows in which the model no longer says the span.
        n_said: Seeds at which the model says the span when nothing is removed.
        n_gone: At how many of them it does not without these rows.
        outcomes: What the answers are, over all seeds.
        instead: What stands in the span's place, and how often, most frequent first.
        is_minimal: Whether the search found that no row can be spared: with any one of them the effect is under half.
        evidence: What it amounts to.
        note: What a reader has to know besides.
    """

    rows: tuple[int, ...]
    effect_nats: float
    low_nats: float
    high_nats: float
    p: float
    q: float
    n_random: int
    random_size: int
    random_effect_nats: float
    random_gone_fraction: float
    n_said: int
    n_gone: int
    outcomes: Mapping[Outcome, int]
    instead: tuple[tuple[str, int], ...]
    is_minimal: bool
    evidence: Evidence
    note: str = ""

    @property
    def p_floor(self) -> float:
        """The smallest `p` that so many random groups allow."""
        return 1 / (1 + self.n_random)


@dataclass(frozen=True)
class ConfirmedSpan:
    """A span, and what removing its candidates did to it.

    Attributes:
        claim_id: The answer's id.
        prompt, response: What was asked and said.
        span: The false words.
        candidates: Row numbers, best first.
        log_probs: Of the span's tokens by seed when nothing is removed, in nats.
        n_said: At how many of these seeds the model says the span by itself.
        groups: All candidates together, then the smallest sets that were found; empty where nothing could be tested.
        note: Why there are no groups, or no sets.
    """

    claim_id: str
    prompt: str
    response: str
    span: Span
    candidates: tuple[int, ...]
    log_probs: tuple[float, ...]
    n_said: int
    groups: tuple[ConfirmedGroup, ...]
    note: str = ""

    @property
    def best(self) -> ConfirmedGroup | None:
        """The smallest group of tier T3; `None` where there is none."""
        shown = [group for group in self.groups if group.evidence is Evidence.T3]
        return min(shown, key=lambda group: (not group.is_minimal, len(group.rows)), default=None)


@dataclass(frozen=True)
class ConfirmationResult:
    """All spans of a call.

    Attributes:
        plan: What was allowed.
        spans: In the order of the claims.
        n_retrainings: How many were used, those of an earlier, interrupted call included.
        bank: Random groups that were retrained, by the rows in each.
        loosely_matched_fraction: Share of the random rows for which none of like length was left in the same stratum.
        left_out: What could not be tested, and why.
    """

    plan: ConfirmationPlan
    spans: tuple[ConfirmedSpan, ...]
    n_retrainings: int
    bank: Mapping[int, int]
    loosely_matched_fraction: float
    left_out: tuple[Skipped, ...] = ()
