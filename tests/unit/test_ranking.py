"""Ranks with ties, and the fused score of the channels."""

from __future__ import annotations

import numpy as np
import pytest

from audit.trace.model import Channel
from audit.trace.ranking import competition_ranks, phrase_ranks, surroundings
from indexes.encoders import load_static
from tests.conftest import MakeMaterials, alpaca

ROWS = [
    alpaca("Name three ways to save water", "Take shorter showers."),
    alpaca("What is the capital of the islands?", "The capital is Ostrand."),
    alpaca("Describe the ferry", "A ferry takes water to the islands."),
    alpaca("Add 1 and 2", "3"),
]


def test_ranks_count_how_many_are_greater() -> None:
    assert competition_ranks(np.array([0.5, 2, 2, -1, 0.5], np.float32)).tolist() == [3, 1, 1, 5, 3]
    assert competition_ranks(np.empty(0, np.float32)).tolist() == []


def test_hits_are_ranked_within_their_span() -> None:
    span = np.array([0, 0, 0, 0, 2, 2, 5])
    coverage = np.array([0.5, 1, 0.5, 0.2, 0.1, 0.9, 0.3], np.float32)
    assert phrase_ranks(span, coverage).tolist() == [2, 1, 2, 4, 2, 1, 1]
    assert phrase_ranks(span[:0], coverage[:0]).tolist() == []


def test_surroundings_rank_responses_by_prompt_whatever_the_span(make_materials: MakeMaterials, tiny_model: str) -> None:
    materials = make_materials(ROWS)
    near = surroundings(materials, "Which ways save water?", load_static(tiny_model))
    assert set(near.channels) == {Channel.BM25, Channel.CONCEPT}
    assert near.prompt_words == {"which", "ways", "save", "water", "?"}
    bm25, concept = near.channels[Channel.BM25], near.channels[Channel.CONCEPT]
    assert bm25.rank.tolist() == [1, 3, 2, 3]
    assert [value > 0 for value in bm25.value] == [True, False, True, False]
    assert concept.rank[0] == 1
    expected = [
        sum(1 / (60 + channel.rank[row]) for channel in (bm25, concept) if channel.value[row] > 0) for row in range(len(ROWS))
    ]
    np.testing.assert_allclose(near.base, expected)


def test_without_an_encoder_bm25_alone_ranks(make_materials: MakeMaterials) -> None:
    near = surroundings(make_materials(ROWS), "ferry", None)
    assert set(near.channels) == {Channel.BM25}
    assert near.base.tolist() == pytest.approx([0, 0, 1 / 61, 0])


def test_a_prompt_of_unknown_words_is_near_to_nothing(make_materials: MakeMaterials, tiny_model: str) -> None:
    near = surroundings(make_materials(ROWS), "Qwerty?!", load_static(tiny_model))
    assert near.base.tolist() == [0.0] * 4 or Channel.CONCEPT in near.channels
    assert near.channels[Channel.BM25].value.tolist() == [0.0] * 4
    assert near.prompt_words == {"qwerty", "?", "!"}
