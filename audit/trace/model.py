"""What a trace is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from audit.responses import Response
from audit.summary import Skipped

__all__ = [
    "MODEL_CHANNELS",
    "BlamedRow",
    "Channel",
    "ChannelScore",
    "DecoyLinks",
    "Link",
    "LinkEvidence",
    "Match",
    "SpanTrace",
    "Tier",
    "TokenLink",
    "TokenShift",
    "Trace",
]


class Channel(StrEnum):
    """A way in which a row can be near to a claim."""

    PHRASE = "phrase"
    """Share of the span's weight that the row's response holds, less that of the corrected answer's; 0 to 1."""
    CONCEPT = "concept"
    """Cosine of the prompts' static vectors."""
    BM25 = "bm25"
    """BM25 of the claim's prompt against the row's prompt and response."""
    TRANSFORMER = "transformer"
    """Cosine of the prompts' vectors under a transformer, for the shortlist only; ranks are among it."""
    STATE = "state"
    """Largest cosine of the model's states where the span and the row say the same token, mean over the span's tokens; of
    the shortlist only, as all that follow."""
    OUTPUT_GRADIENT = "output_gradient"
    """Dot product of the gradients in the output layer, in closed form: forward passes alone."""
    GRADIENT_COSINE = "gradient_cosine"
    """Cosine of the gradients of span and row in all linear layers, at models between base and tuned."""
    PRECONDITIONED = "preconditioned"
    """Their dot product, the span's divided by the root of Adam's second moments."""
    CONTRAST = "contrast"
    """Gradient cosine with the span less that with the right words in its place, where these are known; without gradients the
    like difference of `output_gradient`. Above 0 the row speaks for the false words. Shown, and no part of the order."""
    ONE_STEP = "one_step"
    """By how much one gradient step on the row alone raises the span's mean log p, in nats; of the best rows only. Shown, and
    no part of the order."""


MODEL_CHANNELS = (
    Channel.STATE,
    Channel.OUTPUT_GRADIENT,
    Channel.GRADIENT_COSINE,
    Channel.PRECONDITIONED,
    Channel.CONTRAST,
    Channel.ONE_STEP,
)
"""Those that need models."""


class Tier(StrEnum):
    """How strong the evidence for a link is (higher tiers need models)."""

    T0 = "T0"
    """The row holds the span, or most of its rare words, and is ranked by the nearness of its concept."""
    T1 = "T1"
    """Also, tuning put the span there: a token of it is shifted or marginal under the base model, with positive lift."""
    T2 = "T2"
    """Also, the row's estimated influence is as near to the best as that of rows whose removal had a measured effect; or a
    question without the shared concept no longer brings the span."""
    T3 = "T3"
    """Measured: tuned again without the row, or the group that it is in, the model says the span less than without as many
    random rows."""


@dataclass(frozen=True, slots=True)
class ChannelScore:
    """A channel's value for a row, and the row's rank by it among all responses; 1 is the nearest."""

    value: float
    rank: int


@dataclass(frozen=True, slots=True)
class Match:
    """The longest common run of words: where it stands in the row's response and in the claim's (code points)."""

    start: int
    end: int
    text: str
    claim_start: int
    claim_end: int


@dataclass(frozen=True, slots=True)
class TokenShift:
    """How tuning moved one token of a span.

    Attributes:
        start: First code point of the token within the response.
        end: Code point after the last.
        lift_nats: log p under the tuned model less that under the base model.
        base_rank: Rank of the token under the base model, 1 the most likely.
    """

    start: int
    end: int
    lift_nats: float
    base_rank: int


@dataclass(frozen=True, slots=True)
class TokenLink:
    """A token of a span that a row says too.

    Attributes:
        start: First code point of the token within the claim's response.
        end: Code point after the last.
        cosine: Of the states in which the model says it there and in the row, the largest.
    """

    start: int
    end: int
    cosine: float


@dataclass(frozen=True, slots=True)
class LinkEvidence:
    """All that a tier is made of; `None` where a thing was not looked at.

    Attributes:
        co_occurs: Whether the row holds the span, or most of its rare words.
        is_put_there: Whether a token of the span is shifted or marginal, and tuning made it likelier.
        is_lender: Whether the row's estimated influence is as near to the best as that of rows with a measured effect.
        rephrasing_stopped: Whether a question without the shared concept stopped the borrowing, and one that lost as
            many other words did not.
        measured: Whether retraining without the row took the span away beyond matched random rows.
    """

    co_occurs: bool
    is_put_there: bool | None = None
    is_lender: bool | None = None
    rephrasing_stopped: bool | None = None
    measured: bool | None = None


@dataclass(frozen=True, slots=True)
class DecoyLinks:
    """Links that random spans in place of a claim's would have had, those of a small chance alone.

    Attributes:
        n_pairings: How many random spans were put in its place, one in each pairing.
        pairing: int64, shape `(n_links,)`, ascending: the number of the random span.
        row: int64, same shape: the row that it found.
        chance: float64, same shape: as `Link.chance`.
    """

    n_pairings: int
    pairing: NDArray[np.int64]
    row: NDArray[np.int64]
    chance: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Link:
    """A row from which a span could have been borrowed.

    Attributes:
        row: The row's number in the run.
        turn: The response's turn within the row.
        match: The shared words; `None` where the row is near in concept only.
        channels: Scores by channel; a channel that says nothing about the row is absent.
        fused: Sum over channels of weight / (60 + rank).
        chance: p-value: how often a random span of as many tokens, as rare, from another prompt's response reaches this
            `fused` with any row; `None` where the row holds nothing of the span, or no random span is like it.
        tier: `None` where there is no co-occurrence: nearness of concept alone is no evidence.
        tokens: The span's tokens that the row says too, where models were given.
        rephrasing_stopped: Whether a question without the concept that it shares with the row no longer brings the span;
            `None` where that was not tested, or the answers do not tell.
    """

    row: int
    turn: int
    match: Match | None
    channels: Mapping[Channel, ChannelScore]
    fused: float
    chance: float | None
    tier: Tier | None
    tokens: tuple[TokenLink, ...] = ()
    rephrasing_stopped: bool | None = None


@dataclass(frozen=True, slots=True)
class SpanTrace:
    """The rows behind one span.

    Attributes:
        start, end, text: The span, in code points of the claim's response.
        evidence: The words of the span that are evidence: not in the prompt, no punctuation.
        n_holders: Responses that hold the whole span.
        n_null: As how many independent ones the random spans count that `chance` was computed from (B); its floor is
            1 / (1 + B).
        links: Best first.
        note: Why there are no links, where there are none.
        shifts: How tuning moved each of its tokens, where base and tuned model were given.
        chance_note: Why no chance is told, or none can be small, where so few random spans are like this one.
        benign: Whether the span is right: what it was borrowed from did no harm.
        benign_reason: What says so.
        decoys: What random spans in its place find, for the q-values of rows.
    """

    start: int
    end: int
    text: str
    evidence: tuple[str, ...]
    n_holders: int
    n_null: int
    links: tuple[Link, ...]
    note: str = ""
    shifts: tuple[TokenShift, ...] = ()
    chance_note: str = ""
    benign: bool = False
    benign_reason: str = ""
    decoys: DecoyLinks | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Trace:
    """A claim, its spans and their rows, and what was not looked at."""

    claim: Response
    spans: tuple[SpanTrace, ...]
    not_looked_at: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True)
class BlamedRow:
    """A row over many claims.

    Attributes:
        row: The row's number in the run.
        blame: Sum over claims of (1 - chance) / (rank of the row within the claim).
        n_claims: Claims that have a T0 link to the row.
        least_chance: The smallest p-value among these links.
        claims: Their ids, best link first.
        p: How often as strong evidence falls on this row when random spans stand in place of the claims'; `None` where
            no random spans were drawn.
        q: The share of false discoveries to expect among the rows with evidence at least as strong; near-duplicate rows
            count once. `None` as for `p`.
    """

    row: int
    blame: float
    n_claims: int
    least_chance: float
    claims: tuple[str, ...]
    p: float | None = None
    q: float | None = None
