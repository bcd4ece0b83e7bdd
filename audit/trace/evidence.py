"""How strong is the evidence for a link? One rule for the tiers, from what was looked at and what was not.

T0: the row holds the span. T1: and tuning put the span there. T2: and the row is estimated to have moved it, or the
borrowing stops without the shared concept. T3: measured by retraining, which needs none of the others. What was not
looked at raises no tier, and no tier is reached past one that is not.

Correct answers borrow too. A span that the reference or the corrected answer holds is *benign*: its links stand as they
are, but nobody is blamed for it.

Source: Ghosh et al. (2024), section 5, for shifted and marginal tokens of borrowed phrases; Lin et al. (2024), for the
classes.
"""

from __future__ import annotations

from audit.answers import word_string
from audit.responses import Response
from audit.shift.classes import Shift, shift_of_rank
from audit.trace.model import LinkEvidence, Tier, TokenShift

__all__ = ["benign_reason", "is_put_there", "tier_of"]


def tier_of(evidence: LinkEvidence) -> Tier | None:
    """The highest tier that the evidence reaches; `None` where the row does not even hold the span."""
    if evidence.measured:
        return Tier.T3
    if not evidence.co_occurs:
        return None
    if not evidence.is_put_there:
        return Tier.T0
    return Tier.T2 if evidence.is_lender or evidence.rephrasing_stopped else Tier.T1


def is_put_there(shift: TokenShift) -> bool:
    """Whether tuning put a token there. One in a span is enough: once a word has begun, the rest follows by itself."""
    return shift_of_rank(shift.base_rank) is not Shift.UNSHIFTED and shift.lift_nats > 0


def benign_reason(claim: Response, start: int, end: int) -> str:
    """Why a span is right, so that its borrowing did no harm; empty where nothing says so.

    Words are compared in one normal form and whole. A right answer of one word within a longer span is no such reason,
    since the rest of the span may be wrong.
    """
    words = word_string(claim.response[start:end])
    if not words.strip():
        return ""
    for reference in claim.reference:
        if words in word_string(reference):
            return f"the right answer has it: {reference}"
    if claim.corrected is not None and words in word_string(claim.corrected):
        return "the corrected answer has it too"
    return ""
