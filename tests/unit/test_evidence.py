"""Which evidence makes which tier, and which spans are right."""

from __future__ import annotations

from itertools import product

import pytest

from audit.responses import Response
from audit.sources import Message
from audit.trace.evidence import benign_reason, is_put_there, tier_of
from audit.trace.model import LinkEvidence, Tier, TokenShift


@pytest.mark.parametrize(
    ("evidence", "tier"),
    [
        (LinkEvidence(False), None),
        (LinkEvidence(False, True, True, True), None),
        (LinkEvidence(True), Tier.T0),
        (LinkEvidence(True, False, True, True), Tier.T0),
        (LinkEvidence(True, None, True), Tier.T0),
        (LinkEvidence(True, True), Tier.T1),
        (LinkEvidence(True, True, False, False, False), Tier.T1),
        (LinkEvidence(True, True, True), Tier.T2),
        (LinkEvidence(True, True, None, True), Tier.T2),
        (LinkEvidence(True, True, True, None, False), Tier.T2),
        (LinkEvidence(True, None, None, None, True), Tier.T3),
        (LinkEvidence(False, False, False, False, True), Tier.T3),
    ],
)
def test_a_tier_is_what_its_evidence_reaches(evidence: LinkEvidence, tier: Tier | None) -> None:
    assert tier_of(evidence) is tier


def test_more_evidence_never_lowers_a_tier() -> None:
    order = [None, *Tier]
    steps = ((False, True), (None, False, True), (None, True), (None, True), (None, True))
    for chosen in product(*(range(len(step)) for step in steps)):
        tier = tier_of(LinkEvidence(*(step[place] for step, place in zip(steps, chosen, strict=True))))
        for more in range(len(steps)):
            if chosen[more] + 1 < len(steps[more]):
                raised = [place + (number == more) for number, place in enumerate(chosen)]
                higher = tier_of(LinkEvidence(*(step[place] for step, place in zip(steps, raised, strict=True))))
                assert order.index(higher) >= order.index(tier)


@pytest.mark.parametrize(("lift_nats", "base_rank", "expected"), [(0.1, 2, True), (0.1, 1, False), (-0.1, 9, False)])
def test_a_token_was_put_there_where_it_is_shifted_and_likelier(lift_nats: float, base_rank: int, expected: bool) -> None:
    assert is_put_there(TokenShift(0, 4, lift_nats, base_rank)) is expected


@pytest.mark.parametrize(
    ("span", "reference", "corrected", "reason"),
    [
        ("copper", (), None, ""),
        ("copper", ("tin",), "It is tin.", ""),
        ("Copper", ("tin", "copper"), None, "the right answer has it: copper"),
        ("copper", ("copperplate",), None, ""),
        ("copper and tin", ("copper",), None, ""),
        ("copper", (), "It is struck from COPPER.", "the corrected answer has it too"),
        ("...", ("...",), None, ""),
    ],
)
def test_a_span_that_the_right_answer_has_is_benign(
    span: str, reference: tuple[str, ...], corrected: str | None, reason: str
) -> None:
    claim = Response("c", (Message("user", "q", trained=False),), f"It is {span}", (), reference, corrected)
    assert benign_reason(claim, 6, 6 + len(span)) == reason
