"""Ranks of given tokens under models of several kinds, and what becomes of batches that memory has no room for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
)

from audit.errors import InputError
from audit.models import LanguageModel, load_model
from audit.signals import given_tokens
from audit.signals.given_tokens import RANKED, Given, Room, rank_given
from tests.models import tiny_model

pytestmark = pytest.mark.usefixtures("one_thread")

_SIZE: dict[str, Any] = {"vocab_size": 384, "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32}
_ENDS: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 3, "initializer_range": 0.3}
OTHERS: dict[str, Callable[[], Any]] = {
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=384, n_layer=2, n_head=2, n_embd=32, n_positions=256, **_ENDS)),
    "gpt_neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**_SIZE, **_ENDS, intermediate_size=64)),
    "bloom": lambda: BloomForCausalLM(BloomConfig(vocab_size=384, n_layer=2, n_head=2, hidden_size=32, **_ENDS)),
    # Its logits are capped, and every second layer looks back over 8 tokens only.
    "gemma2": lambda: Gemma2ForCausalLM(
        Gemma2Config(
            **_SIZE,
            **_ENDS,
            intermediate_size=64,
            num_key_value_heads=1,
            head_dim=16,
            sliding_window=8,
            final_logit_softcapping=2.0,
        )
    ),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return load_model(tiny_model(tmp_path_factory.mktemp("model")))


def given(*lengths: tuple[int, int]) -> list[Given]:
    """Random tokens: of each sequence how many stand before, and how many are asked for."""
    generator = np.random.default_rng(0)
    return [Given(generator.integers(4, 340, sum(each)).astype(np.int32), each[0]) for each in lengths]


SEQUENCES = given((3, 5), (1, 1), (40, 2), (1, 60), (7, 7), (2, 30), (12, 30))


@pytest.mark.parametrize(("kind", "whole"), [("gpt2", False), ("gpt_neox", False), ("bloom", False), ("gemma2", True)])
def test_models_of_other_kinds_measure_what_a_plain_loop_does(tmp_path: Path, kind: str, whole: bool) -> None:
    folder = tiny_model(tmp_path / kind)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        OTHERS[kind]().save_pretrained(folder)
    model = load_model(folder)
    assert (given_tokens._taken_apart(model) is None) is whole
    found = rank_given(model, SEQUENCES, n_vocabulary=350, room=Room(max_tokens=100))
    plain = AutoModelForCausalLM.from_pretrained(folder).eval()
    for sequence, ranks in zip(SEQUENCES, found, strict=True):
        with torch.inference_mode():
            logits = plain(torch.from_numpy(sequence.ids.astype(np.int64))[None]).logits[0]
        expected = logits[sequence.n_before - 1 : -1, :350].log_softmax(-1).numpy()
        asked = sequence.ids[sequence.n_before :]
        chosen = expected[np.arange(len(asked)), asked]
        assert ranks is not None
        assert np.allclose(ranks["log_p"], chosen, atol=1e-4)
        assert np.allclose(ranks["best_log_p"], expected.max(axis=1), atol=1e-4)
        least, most = ((expected > chosen[:, None] + by).sum(axis=1) + 1 for by in (1e-4, -1e-4))
        assert ((least <= ranks["rank"]) & (ranks["rank"] <= most)).all()


def test_columns_beyond_the_tokenizer_take_no_part(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model")
    n_tokens = len(load_model(folder).chat.tokenizer)
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"][n_tokens:] = 40 * weights["model.embed_tokens.weight"][7]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (ranks,) = rank_given(load_model(folder), given((5, 30)), n_vocabulary=n_tokens, room=Room())
    assert ranks is not None
    assert ranks["best"].max() < n_tokens
    (with_all,) = rank_given(load_model(folder), given((5, 30)), n_vocabulary=384, room=Room())
    assert with_all is not None
    assert with_all["best"].max() >= n_tokens


def test_of_equally_likely_tokens_the_one_that_was_said_is_first(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][:] = 0
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (ranks,) = rank_given(load_model(folder), given((5, 30)), n_vocabulary=350, room=Room())
    assert ranks is not None
    assert ranks["rank"].tolist() == [1] * 30
    assert ranks["best"].tolist() == given((5, 30))[0].ids[5:].tolist()
    assert np.allclose(ranks["log_p"], -np.log(350))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError("9 GiB")])
def test_a_batch_without_room_is_halved_and_one_text_left_out(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    plain = rank_given(model, SEQUENCES, n_vocabulary=350, room=Room())
    states = given_tokens._states
    passed: list[int] = []

    def narrow(parts: Any, ids: torch.Tensor) -> torch.Tensor:
        if ids.numel() > 50:
            raise error
        passed.append(ids.numel())
        return states(parts, ids)

    monkeypatch.setattr(given_tokens, "_states", narrow)
    room = Room()
    found = rank_given(model, SEQUENCES, n_vocabulary=350, room=room)
    assert [ranks is None for ranks in found] == [len(sequence.ids) > 50 for sequence in SEQUENCES]
    assert sum(ranks is None for ranks in found) == 1
    for ranks, expected in zip(found, plain, strict=True):
        if ranks is not None and expected is not None:
            assert (ranks["rank"] == expected["rank"]).all()
            assert np.allclose(ranks["log_p"], expected["log_p"], atol=1e-5)
    assert room.n_halved > 1
    assert room.max_tokens is not None
    assert room.max_tokens <= 61
    # What memory has shown is not tried again.
    n_before = room.n_halved
    rank_given(model, SEQUENCES[:3], n_vocabulary=350, room=room)
    assert room.n_halved == n_before


def test_other_errors_are_no_want_of_memory(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(given_tokens, "_states", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        rank_given(model, SEQUENCES, n_vocabulary=350, room=Room())


@pytest.mark.parametrize(
    ("dtype", "number", "remedy"),
    [("float32", float("nan"), "check the checkpoint"), ("float16", float("inf"), "try --dtype float32")],
)
def test_a_model_that_gives_no_numbers_is_named_with_what_to_do(tmp_path: Path, dtype: str, number: float, remedy: str) -> None:
    folder = tiny_model(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] = number
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="the base model gives no numbers") as refused:
        rank_given(load_model(folder, dtype=dtype), SEQUENCES, n_vocabulary=350, room=Room())
    assert remedy in refused.value.sentence()
    assert str(folder) in refused.value.sentence()


def test_nothing_given_is_nothing_measured(model: LanguageModel) -> None:
    assert rank_given(model, [], n_vocabulary=350, room=Room()) == []
    (ranks,) = rank_given(model, given((3, 1)), n_vocabulary=350, room=Room())
    assert ranks is not None
    assert (ranks.dtype, ranks.shape) == (RANKED, (1,))
