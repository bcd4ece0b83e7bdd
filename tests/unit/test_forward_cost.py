"""Matrix products counted by hand, and how long another model would take."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, MixtralConfig, MixtralForCausalLM

from audit.models import load_model
from audit.pocket import shipped_model
from audit.signals.forward_cost import ForwardCost, ForwardWork, estimated_seconds, forward_cost
from tests.models import tiny_adapter, tiny_model


def test_what_a_llama_multiplies(tmp_path: Path) -> None:
    cost = forward_cost(load_model(tiny_model(tmp_path / "model")))
    assert cost == ForwardCost(2 * (4 * 32 * 32 + 3 * 32 * 64), 384 * 32, 2, 32)
    pocket = forward_cost(load_model(shipped_model()))
    assert pocket == ForwardCost(4 * (4 * 128 * 128 + 3 * 128 * 344), 1321 * 128, 4, 128)


def test_learned_positions_are_looked_up_and_adapters_not_there_twice(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model")
    adapted = forward_cost(load_model(tiny_adapter(tmp_path / "adapter", folder)))
    assert adapted.n_output_weights == 384 * 32
    GPT2LMHeadModel(GPT2Config(vocab_size=384, n_layer=2, n_head=2, n_embd=32, n_positions=256)).save_pretrained(folder)
    assert forward_cost(load_model(folder)) == ForwardCost(2 * 12 * 32 * 32, 384 * 32, 2, 32)


def test_of_experts_those_that_a_token_passes(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model")
    config = MixtralConfig(
        vocab_size=384,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_local_experts=8,
        num_experts_per_tok=2,
    )
    with torch.random.fork_rng(devices=[]):
        MixtralForCausalLM(config).save_pretrained(folder)
    of_layer = 2 * 32 * 32 + 2 * 32 * 16 + 8 * 32 + 2 * 3 * 32 * 64
    assert forward_cost(load_model(folder)) == ForwardCost(2 * of_layer, 384 * 32, 2, 32)


def test_work_and_its_operations() -> None:
    work = ForwardWork.of([(5, 2), (3, 3)])
    assert work == ForwardWork(n_tokens=8, n_asked=5, n_pairs=15 + 6)
    cost = ForwardCost(n_layer_weights=1000, n_output_weights=70, n_layers=2, attention_width=16)
    assert cost.flop(work) == 2 * 1000 * 8 + 2 * 70 * 5 + 4 * 2 * 16 * 21
    assert ForwardWork.of([]) == ForwardWork()
    assert cost.flop(ForwardWork()) == 0


def test_the_time_of_a_model_of_another_size() -> None:
    work = ForwardWork(n_tokens=1_000_000)
    assert estimated_seconds(7e9, work, 140e12) == pytest.approx(100)
    assert estimated_seconds(1e9, work, 140e12) == pytest.approx(100 / 7)
    with pytest.raises(ValueError, match="0 operations a second"):
        estimated_seconds(7e9, work, 0)
