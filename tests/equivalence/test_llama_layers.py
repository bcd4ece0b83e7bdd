"""The layers of a model like Llama against those of transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaModel, MistralConfig, MistralModel

from audit.models import LanguageModel, load_model
from audit.pocket import shipped_model
from audit.signals import given_tokens
from audit.signals.given_tokens import Given, Room, rank_given
from audit.signals.llama_layers import LlamaLayers, llama_layers

pytestmark = pytest.mark.usefixtures("one_thread")

_SIZE: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "shared keys": {"num_key_value_heads": 2},
    "one key for all": {"num_key_value_heads": 1, "head_dim": 16},
    "stretched positions": {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 500.0}},
    "scaled by length": {
        "rope_parameters": {
            "rope_type": "yarn",
            "factor": 4.0,
            "rope_theta": 10000.0,
            "original_max_position_embeddings": 64,
        }
    },
    "another epsilon": {"rms_norm_eps": 0.1},
}


def decoder_of(**options: Any) -> LlamaModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LlamaModel(LlamaConfig(**{**_SIZE, **options})).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_those_of_transformers(kind: str) -> None:
    decoder = decoder_of(**KINDS[kind])
    layers = llama_layers(decoder)
    assert isinstance(layers, LlamaLayers)
    generator = torch.Generator().manual_seed(1)
    with torch.inference_mode():
        # Buffers are kept: a shorter batch after a longer one, and more rows after fewer.
        for shape in ((2, 130), (1, 1), (7, 64), (3, 65), (1, 300), (9, 5)):
            ids = torch.randint(0, 300, shape, generator=generator)
            expected = decoder(input_ids=ids, use_cache=False).last_hidden_state
            assert torch.allclose(layers(input_ids=ids).last_hidden_state, expected, atol=2e-5), shape


@pytest.mark.parametrize(
    "decoder",
    [
        decoder_of(attention_bias=True),
        decoder_of(mlp_bias=True),
        decoder_of(hidden_act="gelu"),
        decoder_of().to(torch.bfloat16),
        MistralModel(MistralConfig(**_SIZE, num_key_value_heads=2)),
    ],
    ids=["biases of attention", "biases", "another activation", "bfloat16", "another family"],
)
def test_models_built_in_another_way_keep_their_own_layers(decoder: Any) -> None:
    assert llama_layers(decoder) is None


@pytest.fixture(scope="module")
def pocket() -> LanguageModel:
    return load_model(shipped_model())


def test_the_pocket_model_measures_the_same_by_either_layers(pocket: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    lengths = [1, 2, 3, 70, 64, 200, 333, 5]
    sequences = [Given(generator.integers(5, 1300, 1 + length).astype(np.int32), 1) for length in lengths]
    parts = given_tokens._taken_apart(pocket)
    assert parts is not None
    assert isinstance(parts.layers, LlamaLayers)
    found = rank_given(pocket, sequences, n_vocabulary=1321, room=Room())
    monkeypatch.setattr(given_tokens, "llama_layers", lambda decoder: None)
    expected = rank_given(pocket, sequences, n_vocabulary=1321, room=Room())
    for ours, theirs in zip(found, expected, strict=True):
        assert ours is not None
        assert theirs is not None
        assert np.allclose(ours["log_p"], theirs["log_p"], atol=2e-5)
        assert np.allclose(ours["best_log_p"], theirs["best_log_p"], atol=2e-5)


def test_layers_that_say_something_else_are_not_used(pocket: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = llama_layers(pocket.model.base_model)
    assert wrong is not None
    monkeypatch.setattr(LlamaLayers, "_rotate", lambda *_: None)
    parts = given_tokens._taken_apart(pocket)
    assert parts is not None
    assert parts.layers is pocket.model.base_model
