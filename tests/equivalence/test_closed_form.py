"""The closed form against autograd's gradients of the output layer, and batches and the index against pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from audit.influence import (
    QueryStates,
    RowStates,
    TokenQuery,
    build_token_index,
    closed_form_dots,
    holder_cosines,
    output_layer,
    query_states,
    response_states,
    state_cosines,
    state_scores,
    stored_states,
)
from audit.models import LanguageModel, load_model
from audit.rendering import IGNORED
from audit.tune.rows import TrainingSet
from tests.models import tiny_adapter, tiny_model


def untied_model(folder: Path) -> Path:
    """The tiny Llama with an output layer of its own."""
    from transformers import LlamaForCausalLM

    tiny_model(folder)
    model = LlamaForCausalLM.from_pretrained(folder)
    config = model.config
    config.tie_word_embeddings = False
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["untied", "tied", "adapter"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    folder = tmp_path_factory.mktemp(request.param) / "model"
    if request.param == "untied":
        return load_model(untied_model(folder))
    if request.param == "adapter":
        return load_model(tiny_adapter(folder, tiny_model(folder.with_name("base")), seed=1))
    return load_model(tiny_model(folder))


def some_rows(model: LanguageModel, n_rows: int = 9, seed: int = 0) -> TrainingSet:
    """Random tokens out of few, so that many are shared; the second half of each row is trained, with gaps."""
    draw = np.random.default_rng(seed)
    ids = [draw.integers(10, 30, draw.integers(4, 40)).astype(np.int32) for _ in range(n_rows)]
    labels = [row.copy() for row in ids]
    for row in labels:
        row[: len(row) // 2] = IGNORED
        row[len(row) // 2 + 1 :: 3] = IGNORED
    labels[0] = ids[0].copy()  # the first token of a row is predicted from nothing
    return TrainingSet(tuple(range(n_rows)), n_rows, tuple(ids), tuple(labels), model.chat.digest)


def some_queries(seed: int = 1) -> tuple[TokenQuery, ...]:
    draw = np.random.default_rng(seed)
    texts = [tuple(draw.integers(10, 30, length).tolist()) for length in (12, 5, 31)]
    return tuple(TokenQuery(text, targets) for text, targets in zip(texts, [(3, 4, 11), (1,), (20, 25)], strict=True))


def output_gradient(model: LanguageModel, ids: np.ndarray, at: list[int]) -> torch.Tensor:
    """Of the summed log-probability of the tokens at some positions; the states below are held fixed."""
    weight = model.model.get_output_embeddings().weight
    inner = model.model.get_base_model() if hasattr(model.model, "get_base_model") else model.model
    with torch.no_grad():
        states = inner.model(input_ids=torch.tensor(ids)[None].long()).last_hidden_state[0]
    free = weight.detach().clone().requires_grad_()
    log_probs = (states @ free.T).log_softmax(-1)
    total = sum(log_probs[position - 1, int(ids[position])] for position in at)
    return torch.autograd.grad(total, free)[0]


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def test_per_pair_it_is_the_dot_product_of_output_gradients(model: LanguageModel) -> None:
    rows, queries, output = some_rows(model), some_queries(), output_layer(model)
    for query, states in zip(queries, query_states(model, queries), strict=True):
        asked = [output_gradient(model, np.array(query.input_ids), [target]) for target in query.targets]
        for row in response_states(model, rows):
            at = (np.flatnonzero(rows.labels[row.place][1:] != IGNORED) + 1).tolist()
            trained = [output_gradient(model, rows.input_ids[row.place], [position]) for position in at]
            expected = np.array([[float((one * other).sum()) for other in trained] for one in asked])
            found = closed_form_dots(states, row, output)
            assert found.shape == expected.shape == (len(query.targets), len(row.tokens))
            assert relative(found, expected) < 1e-4


def test_per_row_it_is_the_dot_product_of_output_gradients(model: LanguageModel) -> None:
    rows, queries = some_rows(model), some_queries()
    scores = state_scores(query_states(model, queries), list(response_states(model, rows)), output_layer(model))
    asked = [output_gradient(model, np.array(query.input_ids), list(query.targets)) for query in queries]
    trained = [
        output_gradient(model, rows.input_ids[place], (np.flatnonzero(rows.labels[place][1:] != IGNORED) + 1).tolist())
        for place in scores.places
    ]
    expected = np.array([[float((one * other).sum()) for other in trained] for one in asked])
    assert relative(scores.closed_form, expected) < 1e-4


def test_with_an_output_layer_of_its_own_it_is_what_a_whole_backward_pass_gives(tmp_path: Path) -> None:
    model = load_model(untied_model(tmp_path / "model"))
    rows, (query, *_) = some_rows(model), some_queries()

    def gradient(ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        model.model.zero_grad()
        logits = model.model(input_ids=ids[None].long()).logits[0, :-1]
        (-torch.nn.functional.cross_entropy(logits, labels[1:].long(), ignore_index=IGNORED, reduction="sum")).backward()
        return model.model.lm_head.weight.grad.clone()

    labels = torch.full((len(query.input_ids),), IGNORED)
    labels[list(query.targets)] = torch.tensor(query.input_ids)[list(query.targets)]
    asked = gradient(torch.tensor(query.input_ids), labels)
    trained = [
        gradient(torch.from_numpy(ids), torch.from_numpy(ls)) for ids, ls in zip(rows.input_ids, rows.labels, strict=True)
    ]
    expected = np.array([float((asked * other).sum()) for other in trained])
    states = sorted(response_states(model, rows), key=lambda row: row.place)
    found = state_scores(query_states(model, [query]), states, output_layer(model)).closed_form[0]
    assert relative(found, expected) < 1e-4


def test_a_step_on_a_row_moves_the_token_as_its_sign_says(tmp_path: Path) -> None:
    model = load_model(untied_model(tmp_path / "model"))
    rows, queries, output = some_rows(model), some_queries(), output_layer(model)
    states = sorted(response_states(model, rows), key=lambda row: row.place)
    asked = query_states(model, queries)
    scores = state_scores(asked, states, output)
    step = 1e-5
    for row in states:
        at = (np.flatnonzero(rows.labels[row.place][1:] != IGNORED) + 1).tolist()
        moved = output.weight + step * output_gradient(model, rows.input_ids[row.place], at)
        for number, query in enumerate(asked):
            there = torch.from_numpy(query.states)
            rise = 0.0
            for weight, sign in ((moved, 1), (output.weight, -1)):
                log_probs = (there.double() @ weight.double().T).log_softmax(-1)
                rise += sign * float(log_probs.gather(1, torch.from_numpy(query.tokens).long()[:, None]).sum())
            assert rise / step == pytest.approx(scores.closed_form[number, row.place], rel=0.1, abs=0.5)


def by_pairs(queries: tuple[QueryStates, ...], rows: list[RowStates], model: LanguageModel) -> dict[str, np.ndarray]:
    """Every channel from one query token and one row at a time."""
    output = output_layer(model)
    found: dict[str, list[list[float]]] = {}
    for query in queries:
        for line, token in enumerate(query.tokens):
            scores: dict[str, list[float]] = {}
            for row in rows:
                dots, cosines = closed_form_dots(query, row, output)[line], state_cosines(query, row)[line]
                same = np.flatnonzero(row.tokens == token)
                held = bool(len(same))
                for name, value in (
                    ("token_closed_form", dots.sum()),
                    ("token_gated_closed_form", dots[same].sum()),
                    ("token_state_cosine", cosines[same].max() if held else np.nan),
                    ("token_linked", same[cosines[same].argmax()] if held else -1),
                    ("token_mean_cosine", cosines.mean()),
                    ("token_max_cosine", cosines.max()),
                ):
                    scores.setdefault(name, []).append(float(value))
            for name, values in scores.items():
                found.setdefault(name, []).append(values)
    return {name: np.array(values) for name, values in found.items()}


@pytest.mark.parametrize("max_values", [1, 700, 384 * 5, 1 << 25])
def test_batches_give_what_pairs_give(model: LanguageModel, max_values: int) -> None:
    queries, rows = query_states(model, some_queries()), list(response_states(model, some_rows(model)))
    scores = state_scores(queries, rows, output_layer(model), max_values=max_values)
    for name, expected in by_pairs(queries, rows, model).items():
        found = getattr(scores, name)
        assert found.shape == expected.shape, name
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.nanmax(np.abs(expected)), err_msg=name)


@pytest.mark.parametrize("batch_tokens", [1, 60, 4096])
def test_states_in_batches_are_those_of_one_row_at_a_time(model: LanguageModel, batch_tokens: int) -> None:
    rows, output = some_rows(model), output_layer(model)
    found = {row.place: row for row in response_states(model, rows, batch_tokens=batch_tokens)}
    assert sorted(found) == list(range(len(rows)))
    for place, row in found.items():
        at = np.flatnonzero(rows.labels[place][1:] != IGNORED) + 1
        assert row.tokens.tolist() == rows.input_ids[place][at].tolist()
        with torch.inference_mode():
            said = model.model(input_ids=torch.from_numpy(rows.input_ids[place])[None].long()).logits[0, at - 1]
        again = output.log_probs(torch.from_numpy(row.states))
        assert torch.allclose(again, said.log_softmax(-1), atol=1e-4)
    queries = some_queries()
    for query, states in zip(queries, query_states(model, queries, batch_tokens=batch_tokens), strict=True):
        with torch.inference_mode():
            said = model.model(input_ids=torch.tensor([query.input_ids])).logits[0].log_softmax(-1)
        expected = [float(said[target - 1, query.input_ids[target]]) for target in query.targets]
        assert states.log_probs.tolist() == pytest.approx(expected, abs=1e-4)


def test_the_index_of_16_bits_gives_what_the_states_give(model: LanguageModel, tmp_path: Path) -> None:
    rows, queries = some_rows(model, 40), query_states(model, some_queries())
    index = build_token_index(tmp_path, model, rows)
    output = output_layer(model)
    exact = sorted(response_states(model, rows), key=lambda row: row.place)
    places = range(len(rows))
    from_index, from_states = (state_scores(queries, states, output) for states in (stored_states(index, places), exact))
    for name, tolerance in (("closed_form", 5e-3), ("gated_closed_form", 5e-3)):
        found, expected = getattr(from_index, name), getattr(from_states, name)
        assert np.abs(found - expected).max() < tolerance * np.abs(expected).max(), name
        for of_found, of_expected in zip(found, expected, strict=True):
            assert of_found.argsort()[::-1][:3].tolist() == of_expected.argsort()[::-1][:3].tolist(), name
    for name in ("token_state_cosine", "token_mean_cosine", "token_max_cosine"):
        np.testing.assert_allclose(getattr(from_index, name), getattr(from_states, name), atol=1e-3, err_msg=name)
    held = np.concatenate([holder_cosines(query, index) for query in queries])
    np.testing.assert_allclose(held, from_index.token_state_cosine, atol=1e-6)


def test_holders_are_found_part_by_part(model: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from audit.influence import stored

    rows, (query, *_) = some_rows(model, 30), query_states(model, some_queries())
    index = build_token_index(tmp_path, model, rows)
    whole = holder_cosines(query, index)
    monkeypatch.setattr(stored, "_VECTORS_AT_ONCE", 2)
    np.testing.assert_allclose(holder_cosines(query, index), whole, atol=1e-6)
