"""Batches, chunks and adapters against one sequence at a time through plain transformers."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from audit.models import LanguageModel, generate, load_model, log_prob_chunks, token_log_probs
from audit.sources import Message
from tests.models import tiny_adapter, tiny_model

QUESTIONS = ("What is the stone of the bridge?", "Who", "Rome? " * 12, "a" * 60, "日本 €", "The capital of a river")
ANSWERS = ("It is built of granite and slate.", "", "Rome", " the" * 30, "€€", "x")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module", params=["full", "adapter"])
def models(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[LanguageModel, object]:
    """A model as tunescope loads it, and as transformers and PEFT alone do."""
    plain = AutoModelForCausalLM.from_pretrained(folder).eval()
    if request.param == "full":
        return load_model(folder), plain
    adapter = tiny_adapter(tmp_path_factory.mktemp("adapter"), folder, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # as in tests.models
        return load_model(adapter), PeftModel.from_pretrained(plain, adapter).eval()


def prompts(model: LanguageModel) -> list[tuple[int, ...]]:
    return [model.chat.prompt([Message("user", question, trained=False)]) for question in QUESTIONS]


def responses(model: LanguageModel) -> list[tuple[int, ...]]:
    return [tuple(model.chat.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in ANSWERS]


@pytest.mark.parametrize("batch_size", [1, 5, 32])
@pytest.mark.parametrize("max_values", [1, 7 * 384, 40 * 384, 1 << 26])
def test_log_probabilities_are_those_of_one_sequence_at_a_time(models, batch_size: int, max_values: int) -> None:
    model, plain = models
    made = list(token_log_probs(model, prompts(model), responses(model), batch_size=batch_size, max_values=max_values))
    assert len(made) == len(QUESTIONS)
    for prompt, response, values in zip(prompts(model), responses(model), made, strict=True):
        with torch.inference_mode():
            logits = plain(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : len(prompt) + len(response) - 1]
        assert values.shape == (len(response), 384)
        assert torch.allclose(values, logits.log_softmax(-1), atol=1e-5)


def test_memory_of_a_chunk_is_bounded(models) -> None:
    model, _ = models
    for chunk in log_prob_chunks(model, prompts(model), responses(model), max_values=40 * 384):
        assert chunk.values.numel() <= 40 * 384


def test_a_smaller_vocabulary_is_normalised_within_itself(models) -> None:
    model, _ = models
    whole = torch.cat([chunk.values[0] for chunk in log_prob_chunks(model, prompts(model)[:1], responses(model)[:1])])
    part = torch.cat(
        [chunk.values[0] for chunk in log_prob_chunks(model, prompts(model)[:1], responses(model)[:1], n_vocabulary=300)]
    )
    assert torch.allclose(part, whole[:, :300].log_softmax(-1), atol=1e-5)


@pytest.mark.parametrize("batch_size", [2, 32])
def test_answers_in_batches_are_those_one_by_one(models, batch_size: int) -> None:
    model, plain = models
    together = generate(model, prompts(model), max_new_tokens=24, batch_size=batch_size)
    assert together == tuple(generate(model, [prompt], max_new_tokens=24)[0] for prompt in prompts(model))
    for prompt, new in zip(prompts(model), together, strict=True):
        with torch.inference_mode():
            logits = plain(torch.tensor([[*prompt, *new]])).logits[0, len(prompt) - 1 :]
        assert logits.argmax(-1).tolist()[: len(new)] == list(new)
