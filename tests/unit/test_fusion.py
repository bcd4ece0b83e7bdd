"""Channels fused with weights that were fitted elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from audit.influence.fusion import Estimate, FusionSet, fuse, fusion_weights, provenance, standardised


def test_a_channel_is_standardised_and_what_it_does_not_know_is_its_lowest_value() -> None:
    values = standardised(np.array([1.0, np.nan, 3.0]))
    assert values == pytest.approx([-(0.5**0.5), -(0.5**0.5), 2**0.5])
    assert standardised(np.array([2.0, 2.0])).tolist() == [0, 0]
    assert standardised(np.array([np.nan, np.nan])).tolist() == [0, 0]


@pytest.mark.parametrize("which", FusionSet)
def test_the_score_is_the_weighted_sum(which: FusionSet) -> None:
    draw = np.random.default_rng(0)
    channels = {name: draw.normal(size=7) for name in Estimate}
    fused = fuse(channels, which)
    expected = sum(weight * standardised(channels[name]) for name, weight in fusion_weights(which).items())
    assert fused.score == pytest.approx(expected)
    assert fused.missing == ()
    assert set(fused.used) == set(fusion_weights(which))
    assert fused.is_lender[np.argmax(fused.score)]
    assert not fused.is_lender[fused.score <= 0].any()


def test_a_missing_channel_is_named_and_the_others_keep_their_weights() -> None:
    values = np.array([0.0, 1.0, 5.0])
    fused = fuse({Estimate.GRADIENT_COSINE: values}, FusionSet.GRADIENT)
    assert fused.used == (Estimate.GRADIENT_COSINE,)
    assert Estimate.OUTPUT_GRADIENT in fused.missing
    assert fused.score == pytest.approx(fusion_weights(FusionSet.GRADIENT)[Estimate.GRADIENT_COSINE] * standardised(values))


def test_weights_are_positive_and_say_where_they_come_from() -> None:
    for which in FusionSet:
        assert all(weight > 0 for weight in fusion_weights(which).values())
    assert {"worlds", "target", "method", "command", "date"} <= provenance().keys()
