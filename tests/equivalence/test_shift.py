"""Batches and chunks of positions against a loop over single positions, for full models and adapters."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from audit.models import LanguageModel
from audit.responses import Prompt, Response
from audit.shift import ShiftReport, load_pair, measure_shift
from audit.sources import Message
from tests.models import tiny_adapter, tiny_model

TOLERANCE = 1e-4
ANSWERS = ("It is built of granite and slate.\nThe river € is in Rome.", "Rome", " the" * 30, "日本", "", "a b c d")


@pytest.fixture(scope="module", params=["full", "adapter"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Any, Any]:
    """Base and tuned model as tunescope loads them, and as transformers and PEFT alone do."""
    folder = tiny_model(tmp_path_factory.mktemp("base"))
    plain_base = AutoModelForCausalLM.from_pretrained(folder).eval()
    if request.param == "full":
        tuned = tiny_model(tmp_path_factory.mktemp("tuned"), seed=5)
        return (*load_pair(folder, tuned), plain_base, AutoModelForCausalLM.from_pretrained(tuned).eval())
    tuned = tiny_adapter(tmp_path_factory.mktemp("adapter"), folder, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # as in tests.models
        return (*load_pair(folder, tuned), plain_base, PeftModel.from_pretrained(
            AutoModelForCausalLM.from_pretrained(folder), tuned
        ).eval())  # fmt: skip


def loop(report: ShiftReport, base: Any, tuned: Any) -> list[dict[str, float]]:
    """Every token by itself: the whole prefix through each model, float64, sums written out."""
    made = []
    with torch.inference_mode():
        for response in report.responses:
            for place, token in enumerate(response.token_ids):
                prefix = torch.tensor([[*response.prompt_ids, *response.token_ids[:place]]])
                p = base(prefix).logits[0, -1].double().softmax(-1)
                q = tuned(prefix).logits[0, -1].double().softmax(-1)
                made.append(
                    {
                        "rank": 1 + int((p > p[token]).sum()),
                        "kl_base_tuned": float((p * (p / q).log()).sum()),
                        "kl_tuned_base": float((q * (q / p).log()).sum()),
                        "lift": float((q[token] / p[token]).log()),
                        "log_p_base": float(p[token].log()),
                        "log_p_tuned": float(q[token].log()),
                    }
                )
    return made


@pytest.fixture(scope="module")
def expected(pair) -> list[dict[str, float]]:
    """The loop over the given answers."""
    base, tuned, plain_base, plain_tuned = pair
    return loop(measure_shift(base, tuned, responses()), plain_base, plain_tuned)


def assert_equal(report: ShiftReport, expected: list[dict[str, float]]) -> None:
    assert report.tokens.height == len(expected) > 20
    for row, wanted in zip(report.tokens.iter_rows(named=True), expected, strict=True):
        assert {name: row[name] for name in wanted} == pytest.approx(wanted, abs=TOLERANCE)


def responses() -> list[Response]:
    prompts = ("What is the stone?", "Who", "Rome " * 9, "a", "b", "The capital")
    return [
        Response(str(number), (Message("user", prompt, trained=False),), text)
        for number, (prompt, text) in enumerate(zip(prompts, ANSWERS, strict=True))
    ]


@pytest.mark.parametrize(("batch_size", "max_values"), [(1, 1 << 25), (4, 1 << 25), (3, 11 * 384), (16, 1)])
def test_given_answers(pair, expected: list[dict[str, float]], batch_size: int, max_values: int) -> None:
    base, tuned, *_ = pair
    assert_equal(measure_shift(base, tuned, responses(), batch_size=batch_size, max_values=max_values), expected)


def test_greedy_answers(pair: tuple[LanguageModel, LanguageModel, Any, Any]) -> None:
    base, tuned, plain_base, plain_tuned = pair
    prompts = [Prompt(response.id, response.messages) for response in responses()]
    report = measure_shift(base, tuned, prompts, max_new_tokens=16, batch_size=4, max_values=5 * 384)
    assert_equal(report, loop(report, plain_base, plain_tuned))


def test_chunks_change_no_more_than_rounding(pair) -> None:
    base, tuned, *_ = pair
    one = measure_shift(base, tuned, responses()).tokens
    many = measure_shift(base, tuned, responses(), batch_size=2, max_values=384).tokens
    assert one.drop("kl_tuned_base", "kl_base_tuned", "lift", "log_p_base", "log_p_tuned").equals(
        many.drop("kl_tuned_base", "kl_base_tuned", "lift", "log_p_base", "log_p_tuned")
    )
    again = measure_shift(base, tuned, responses()).tokens
    assert one.equals(again)
