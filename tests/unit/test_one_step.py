"""One step on a row: what it moves, to first order and exactly, and that the model is left as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from audit.errors import InputError
from audit.influence.gradients import gradient_scores, labelled_queries, linear_layers, sequence_gradients
from audit.influence.one_step import one_step_scores
from audit.influence.queries import TokenQuery
from audit.models import LanguageModel, load_model
from audit.rendering import IGNORED
from audit.sources import Message
from audit.tune.optimizer_state import SecondMoments
from audit.tune.rows import TrainingSet, training_set
from tests.conftest import alpaca, jsonl, read_dataset
from tests.models import tiny_adapter, tiny_model

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS = [alpaca(f"What is bridge {n} built of?", f"It is {stone}.") for n, stone in enumerate(("slate", "granite", "basalt"))]


@pytest.fixture(scope="module", params=["full", "adapter"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    folder = tiny_model(tmp_path_factory.mktemp("model"))
    if request.param == "full":
        return load_model(folder)
    return load_model(tiny_adapter(tmp_path_factory.mktemp("adapter"), folder, seed=1))


@pytest.fixture(scope="module")
def rows(model: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    corpus, _ = read_dataset(tmp_path_factory.mktemp("data"), "bridges.jsonl", jsonl(ROWS))
    return training_set(corpus, model.chat, None)


@pytest.fixture(scope="module")
def queries(model: LanguageModel) -> list[TokenQuery]:
    made = []
    for prompt, answer in (("What is the stone?", "It is granite."), ("Who", "Rome and Paris"), ("The", " the" * 30)):
        rendered = model.chat.response([Message("user", prompt, trained=False)], answer)
        ids, first = (*rendered.prompt_ids, *rendered.response_ids), len(rendered.prompt_ids)
        made.append(TokenQuery(ids, tuple(range(first + 1, len(ids)))))
    return made


@pytest.fixture(scope="module")
def moments(model: LanguageModel) -> SecondMoments:
    generator = torch.Generator().manual_seed(0)
    values = {
        layer.parameter: torch.rand(layer.module.weight.shape, generator=generator) for layer in linear_layers(model.model)
    }
    return SecondMoments(values, eps=0.1)


def assert_near(made: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, expected, atol=tolerance * np.abs(expected).max())


def test_small_steps_agree_with_the_dot_product(
    model: LanguageModel, queries: list[TokenQuery], rows: TrainingSet, moments: SecondMoments
) -> None:
    scores = gradient_scores(model, queries, rows, [2, 0, 1], second_moments=moments)
    rate = 0.02 / float(np.abs(scores.dot).max())
    there = one_step_scores(model, queries, rows, [2, 0, 1], learning_rate=rate)
    back = one_step_scores(model, queries, rows, [2, 0, 1], learning_rate=rate, unlearn=True)
    assert_near(there, rate * scores.dot, 0.2)
    assert_near((there + back) / 2, rate * scores.dot, 0.02)  # the second order cancels
    there, back = (
        one_step_scores(model, queries, rows, [2, 0, 1], learning_rate=rate / 10, second_moments=moments, unlearn=unlearn)
        for unlearn in (False, True)
    )
    assert_near((there + back) / 2, rate / 10 * scores.preconditioned, 0.02)


def test_steps_of_one_length_agree_with_the_cosine(model: LanguageModel, queries: list[TokenQuery], rows: TrainingSet) -> None:
    scores = gradient_scores(model, queries, rows, [0, 1, 2])
    there, back = (
        one_step_scores(model, queries, rows, [0, 1, 2], relative_step=1e-4, unlearn=unlearn) for unlearn in (False, True)
    )
    norm = np.sqrt(sum(float(layer.module.weight.detach().square().sum()) for layer in linear_layers(model.model)))
    for query, moved, cosine in zip(labelled_queries(model, queries), (there + back) / 2, scores.cosine, strict=True):
        gradient = torch.cat([part.flatten() for part in sequence_gradients(model, linear_layers(model.model), query)])
        n_targets = int((query.labels != IGNORED).sum())
        assert_near(moved, 1e-4 * norm * float(gradient.norm()) / n_targets * cosine, 0.02)


def test_the_model_is_left_as_it_was(model: LanguageModel, queries: list[TokenQuery], rows: TrainingSet) -> None:
    before = {name: tensor.clone() for name, tensor in model.model.state_dict().items()}
    flags = [parameter.requires_grad for parameter in model.model.parameters()]
    made = one_step_scores(model, queries, rows, [0, 1, 2], relative_step=0.1)
    after = model.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert [parameter.requires_grad for parameter in model.model.parameters()] == flags
    assert np.array_equal(made, one_step_scores(model, queries, rows, [0, 1, 2], relative_step=0.1))


def test_the_step_is_a_real_one(model: LanguageModel, queries: list[TokenQuery], rows: TrainingSet, tmp_path: Path) -> None:
    """Against a copy of the model whose weights are stepped in place; with an output layer of its own."""
    made = one_step_scores(model, queries, rows, [1], learning_rate=1e-3)[:, 0]
    copy = load_model(model.ref.adapter or model.ref.base)
    if model.ref.adapter is None:
        copy.model.lm_head.weight = torch.nn.Parameter(copy.model.lm_head.weight.detach().clone())
    weights = [layer.module.weight for layer in linear_layers(copy.model)]

    def mean_log_p(ids: tuple[int, ...], targets: tuple[int, ...]) -> torch.Tensor:
        log_p = copy.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        return log_p[[target - 1 for target in targets], [ids[target] for target in targets]].mean()

    before = [mean_log_p(query.input_ids, query.targets).item() for query in queries]
    ids, targets = tuple(rows.input_ids[1].tolist()), tuple(np.flatnonzero(rows.labels[1] != -100).tolist())
    for weight in weights:
        weight.requires_grad_()
    gradients = torch.autograd.grad(len(targets) * mean_log_p(ids, targets), weights)
    with torch.no_grad():
        for weight, gradient in zip(weights, gradients, strict=True):
            weight += 1e-3 * gradient
        after = [mean_log_p(query.input_ids, query.targets).item() for query in queries]
    assert np.subtract(after, before) == pytest.approx(made, abs=1e-5)


def test_bad_input(model: LanguageModel, queries: list[TokenQuery], rows: TrainingSet, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a step of no length"):
        one_step_scores(model, queries, rows, [0], relative_step=0)
    half = load_model(tiny_model(tmp_path / "model"), dtype="bfloat16")
    with pytest.raises(InputError, match="load the model in float32"):
        one_step_scores(half, queries, rows, [0])
