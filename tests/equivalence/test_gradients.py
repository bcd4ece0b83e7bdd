"""Ghost products against whole gradients from autograd, for full models, adapters and GPT-2's transposed layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import audit.influence.gradients as gradients
from audit.errors import InputError
from audit.influence.gradients import GradientScores, gradient_scores, gradient_scores_plain, linear_layers
from audit.influence.queries import TokenQuery
from audit.models import LanguageModel, load_model
from audit.sources import Message
from audit.tune.optimizer_state import SecondMoments
from audit.tune.rows import TrainingSet, training_set
from tests.conftest import alpaca, jsonl, read_dataset
from tests.models import tiny_adapter, tiny_model, write_tokenizer

pytestmark = pytest.mark.usefixtures("one_thread")

STONES = ("slate", "granite", "basalt")
ROWS = [
    *(alpaca(f"What is bridge {n} built of?", f"It is {STONES[n % 3]}.") for n in range(4)),
    alpaca("Who?", "The capital of a river is Rome. " * 3),
    alpaca("a", "b"),
]
ANSWERS = (("What is the stone?", "It is built of granite and slate."), ("Who", "Rome"), ("The river", " the" * 20))
TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=["full", "adapter", "gpt2"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    folder = tmp_path_factory.mktemp("model")
    if request.param == "gpt2":
        return load_model(tiny_gpt2(folder))
    tiny_model(folder)
    return load_model(folder if request.param == "full" else tiny_adapter(tmp_path_factory.mktemp("adapter"), folder, seed=1))


def tiny_gpt2(folder: Path) -> Path:
    from transformers import GPT2Config, GPT2LMHeadModel

    write_tokenizer(folder)
    config = GPT2Config(
        vocab_size=384, n_embd=32, n_layer=2, n_head=2, n_positions=256, bos_token_id=0, eos_token_id=2, initializer_range=0.3
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def rows(model: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    corpus, _ = read_dataset(tmp_path_factory.mktemp("data"), "bridges.jsonl", jsonl(ROWS))
    return training_set(corpus, model.chat, None)


@pytest.fixture(scope="module")
def queries(model: LanguageModel) -> list[TokenQuery]:
    made = []
    for number, (prompt, answer) in enumerate(ANSWERS):
        rendered = model.chat.response([Message("user", prompt, trained=False)], answer)
        ids, first = (*rendered.prompt_ids, *rendered.response_ids), len(rendered.prompt_ids)
        made.append(TokenQuery(ids, (first + 1,) if number == 0 else tuple(range(first, len(ids)))))
    return made


@pytest.fixture(scope="module")
def moments(model: LanguageModel) -> SecondMoments:
    generator = torch.Generator().manual_seed(0)
    values = {
        layer.parameter: torch.rand(layer.module.weight.shape, generator=generator) for layer in linear_layers(model.model)
    }
    return SecondMoments(values, eps=1e-3)


@pytest.fixture(scope="module")
def plain(model: LanguageModel, queries: list[TokenQuery], rows: TrainingSet, moments: SecondMoments) -> GradientScores:
    return gradient_scores_plain(model, queries, rows, range(len(rows)), second_moments=moments)


def assert_close(made: GradientScores, expected: GradientScores, tolerance: float = TOLERANCE) -> None:
    for name in ("dot", "cosine", "preconditioned"):
        fast, exact = getattr(made, name), getattr(expected, name)
        assert fast.dtype == np.float32
        assert fast.shape == exact.shape
        np.testing.assert_allclose(fast, exact, rtol=tolerance, atol=tolerance * np.abs(exact).max(), err_msg=name)


@pytest.mark.parametrize("batch_tokens", [1, 150, 4096])
def test_ghost_products_are_those_of_whole_gradients(
    model: LanguageModel,
    queries: list[TokenQuery],
    rows: TrainingSet,
    moments: SecondMoments,
    plain: GradientScores,
    batch_tokens: int,
) -> None:
    flags = [parameter.requires_grad for parameter in model.model.parameters()]
    weights = {name: tensor.clone() for name, tensor in model.model.state_dict().items()}
    made = gradient_scores(model, queries, rows, range(len(rows)), second_moments=moments, batch_tokens=batch_tokens)
    assert_close(made, plain)
    assert [parameter.requires_grad for parameter in model.model.parameters()] == flags
    assert all(parameter.grad is None for parameter in model.model.parameters())
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.model.state_dict().items())
    assert not any(layer.module._forward_hooks for layer in linear_layers(model.model))


def test_every_way_to_meet_gives_the_same(
    model: LanguageModel,
    queries: list[TokenQuery],
    rows: TrainingSet,
    moments: SecondMoments,
    plain: GradientScores,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One query at a time, one row's gradient at a time: other branches of the same sums."""
    monkeypatch.setattr(gradients, "_MAX_ROW_VALUES", 1)
    assert_close(gradient_scores(model, queries, rows, range(len(rows)), second_moments=moments), plain)
    n_factors = sum(sum(layer.module.weight.shape) for layer in linear_layers(model.model))
    monkeypatch.setattr(gradients, "_MAX_QUERY_VALUES", n_factors)
    assert_close(gradient_scores(model, queries, rows, range(len(rows)), second_moments=moments), plain)


def test_branches_are_all_taken(
    model: LanguageModel, queries: list[TokenQuery], rows: TrainingSet, plain: GradientScores, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = set()
    for name in ("_factor_dots", "_dots", "_row_gradients"):
        original = getattr(gradients, name)
        monkeypatch.setattr(gradients, name, lambda *args, name=name, original=original: (taken.add(name), original(*args))[1])
    gradient_scores(model, queries, rows, range(len(rows)))
    gradient_scores(model, queries[:1], rows, range(len(rows)))  # whose few tokens meet even LoRA's narrow layers as factors
    assert taken == {"_factor_dots", "_dots", "_row_gradients"}


def test_places_and_queries_keep_their_order(
    model: LanguageModel, queries: list[TokenQuery], rows: TrainingSet, plain: GradientScores
) -> None:
    places = [4, 0, 5]
    made = gradient_scores(model, queries[::-1], rows, places)
    assert made.preconditioned is None
    largest = np.abs(plain.dot).max()
    np.testing.assert_allclose(made.dot, plain.dot[::-1][:, places], rtol=TOLERANCE, atol=TOLERANCE * largest)


def test_padding_and_what_follows_the_targets_do_not_count(
    model: LanguageModel, queries: list[TokenQuery], rows: TrainingSet, plain: GradientScores
) -> None:
    longer = [TokenQuery((*query.input_ids, 5, 6, 7), query.targets) for query in queries]
    ids = tuple(np.concatenate([row, np.full(9, model.chat.pad_id, np.int32)]) for row in rows.input_ids)
    labels = tuple(np.concatenate([row, np.full(9, -100, np.int32)]) for row in rows.labels)
    made = gradient_scores(model, longer, replace(rows, input_ids=ids, labels=labels), range(len(rows)))
    np.testing.assert_allclose(made.cosine, plain.cosine, atol=TOLERANCE)


def test_a_row_like_the_query_is_nearest(model: LanguageModel, rows: TrainingSet) -> None:
    query = TokenQuery(tuple(rows.input_ids[1].tolist()), tuple(np.flatnonzero(rows.labels[1] != -100).tolist()))
    made = gradient_scores(model, [query], rows, range(len(rows)))
    assert made.cosine[0, 1] == pytest.approx(1, abs=1e-5)
    assert made.cosine[0].argmax() == 1


def test_half_precision_is_near(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model")
    exact, half = load_model(folder), load_model(folder, dtype="bfloat16")
    corpus, _ = read_dataset(tmp_path, "bridges.jsonl", jsonl(ROWS))
    rows = training_set(corpus, exact.chat, None)
    query = TokenQuery(tuple(rows.input_ids[0].tolist()), (len(rows.input_ids[0]) - 3,))
    near = gradient_scores(half, [query], rows, range(len(rows))).cosine
    assert np.abs(near - gradient_scores(exact, [query], rows, range(len(rows))).cosine).max() < 0.1


def test_what_cannot_be_scored_is_named(
    model: LanguageModel, queries: list[TokenQuery], rows: TrainingSet, moments: SecondMoments
) -> None:
    with pytest.raises(InputError, match=r"query 1: 300 tokens, and the model reads 256"):
        gradient_scores(model, [TokenQuery((5,) * 300, (4,))], rows, [0])
    first = linear_layers(model.model)[0].parameter
    lacking = SecondMoments({name: values for name, values in moments.values.items() if name != first}, 1e-8)
    with pytest.raises(InputError, match=f"lack {first}"):
        gradient_scores(model, queries, rows, [0], second_moments=lacking)
    with torch.no_grad():
        weight = linear_layers(model.model)[-1].module.weight
        before = weight.clone()
        weight[0, 0] = torch.nan
    try:
        with pytest.raises(InputError, match="not finite"):
            gradient_scores(model, queries, rows, [0])
    finally:
        with torch.no_grad():
            weight.copy_(before)


def test_a_layer_that_is_used_twice_is_refused(tmp_path: Path) -> None:
    model = load_model(tiny_model(tmp_path / "model"))
    model.model.model.layers[1] = model.model.model.layers[0]
    corpus, _ = read_dataset(tmp_path, "bridges.jsonl", jsonl(ROWS))
    rows = training_set(corpus, model.chat, None)
    with pytest.raises(InputError, match="cannot be taken apart by row"):
        gradient_scores(model, [TokenQuery(tuple(rows.input_ids[0].tolist()), (3,))], rows, [0])
    assert not any(layer.module._forward_hooks for layer in linear_layers(model.model))
