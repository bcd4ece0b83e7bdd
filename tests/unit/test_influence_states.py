"""States, queries and the index of a model: which tokens, hand-built scores, kills, and what is refused."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audit.errors import CorruptFileError, InputError, VersionError
from audit.influence import (
    OutputLayer,
    QueryStates,
    RowStates,
    TokenQuery,
    build_token_index,
    holder_cosines,
    open_token_index,
    output_layer,
    query_of_span,
    query_states,
    response_states,
    state_scores,
    stored_states,
    token_index_folder,
    trained_positions,
)
from audit.models import LanguageModel, load_model
from audit.rendering import IGNORED, RenderedResponse
from audit.sources import Message
from audit.tune.rows import TrainingSet
from indexes.store import write_bytes
from tests.models import tiny_adapter, tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return load_model(tiny_model(tmp_path_factory.mktemp("model")))


def some_rows(model: LanguageModel, n_rows: int = 12, seed: int = 0) -> TrainingSet:
    draw = np.random.default_rng(seed)
    ids = tuple(draw.integers(10, 30, draw.integers(3, 20)).astype(np.int32) for _ in range(n_rows))
    labels = tuple(np.where(np.arange(len(row)) > 0, row, IGNORED).astype(np.int32) for row in ids)
    return TrainingSet(tuple(range(n_rows)), n_rows, ids, labels, model.chat.digest)


# Queries


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ((), "no token is asked for"),
        ((0, 1), r"tokens at \[0, 1\] are asked for in a text of 3"),
        ((2, 1), "must ascend"),
        ((1, 1), "must ascend"),
        ((3,), "in a text of 3"),
    ],
)
def test_queries_without_tokens_or_out_of_order_are_refused(targets: tuple[int, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        TokenQuery((5, 6, 7), targets)


ANSWER = "It is granite. €"
# "It" " is" " gran" "ite" "." " " and the three bytes of the euro sign.
PIECES = ((0, 2), (2, 5), (5, 10), (10, 13), (13, 14), (14, 15), (15, 16), (15, 16), (15, 16))
RENDERED = RenderedResponse((90, 91), tuple(range(len(PIECES))), PIECES)


@pytest.mark.parametrize(
    ("start", "end", "targets"),
    [
        (6, 13, (4, 5)),  # the space before the word does not matter
        (5, 13, (4, 5)),
        (8, 13, (4, 5)),  # over the edge of the first
        (9, 12, (4, 5)),  # a part of each of two
        (10, 13, (5,)),
        (0, 14, (2, 3, 4, 5, 6)),
        (15, 16, (8, 9, 10)),
    ],
)
def test_a_span_asks_for_the_tokens_that_it_shares_a_letter_with(start: int, end: int, targets: tuple[int, ...]) -> None:
    query = query_of_span(RENDERED, ANSWER, start, end)
    assert query == TokenQuery((90, 91, *range(len(PIECES))), targets)


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        (7, 9, r"the span 'ra' lies inside the token ' gran' .*; mark characters 5 to 10"),
        (14, 15, "holds no token of the answer"),
        (3, 3, "holds no token of the answer"),
    ],
)
def test_a_span_without_a_whole_token_is_refused(start: int, end: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        query_of_span(RENDERED, ANSWER, start, end)


def test_spans_of_rendered_answers_become_their_tokens(model: LanguageModel) -> None:
    response = "It is built of granite."
    rendered = model.chat.response([Message("user", "What is the bridge made of?", trained=False)], response)
    start = response.index("granite")
    query = query_of_span(rendered, response, start, start + len("granite"))
    assert model.chat.tokenizer.decode([query.input_ids[target] for target in query.targets]) == " granite"


# Scores


def test_scores_by_hand() -> None:
    # Two tokens in the vocabulary and no weights: every distribution is (1/2, 1/2), e_y − p = ±(1/2, −1/2).
    output = OutputLayer(torch.zeros(2, 2), None)
    north, east, north_east = [0.0, 2.0], [1.0, 0.0], [3.0, 3.0]

    def states(*values: list[float]) -> np.ndarray:
        return np.array(values, np.float32).reshape(-1, 2)

    def tokens(*values: int) -> np.ndarray:
        return np.array(values, np.int32)

    none = np.zeros(0, np.float32)
    queries = [QueryStates(tokens(0, 1), states(north, east), none), QueryStates(tokens(1), states(north_east), none)]
    rows = [
        RowStates(7, tokens(0, 0, 1), states(north_east, north, east)),
        RowStates(3, tokens(), states()),
        RowStates(5, tokens(0), states(east)),
    ]
    scores = state_scores(queries, rows, output)
    half = np.sqrt(0.5)
    nan = np.nan
    assert scores.places.tolist() == [7, 3, 5]
    assert scores.offsets.tolist() == [0, 2, 3]
    # (h·h') / 2 with the sign of "same token"
    np.testing.assert_allclose(scores.token_closed_form, [[5, 0, 0], [-1, 0, -0.5], [-9 - 3 + 1.5, 0, -1.5]])
    np.testing.assert_allclose(scores.token_gated_closed_form, [[5, 0, 0], [0.5, 0, 0], [1.5, 0, 0]])
    np.testing.assert_allclose(scores.token_state_cosine, [[1, nan, 0], [1, nan, nan], [half, nan, nan]], rtol=1e-6)
    assert scores.token_linked.tolist() == [[1, -1, 0], [2, -1, -1], [2, -1, -1]]
    np.testing.assert_allclose(scores.token_max_cosine, [[1, nan, 0], [1, nan, 1], [1, nan, half]], rtol=1e-6)
    third, more = (1 + half) / 3, (1 + 2 * half) / 3
    np.testing.assert_allclose(scores.token_mean_cosine, [[third, nan, 0], [third, nan, 1], [more, nan, half]], rtol=1e-6)
    np.testing.assert_allclose(scores.closed_form, [[4, 0, -0.5], [-10.5, 0, -1.5]])
    np.testing.assert_allclose(scores.gated_closed_form, [[5.5, 0, 0], [1.5, 0, 0]])
    assert scores.n_held.tolist() == [[2, 0, 1], [1, 0, 0]]
    np.testing.assert_allclose(scores.state_cosine, [[1, nan, 0], [half, nan, nan]], rtol=1e-6)
    np.testing.assert_allclose(scores.mean_cosine, [[third, nan, 0.5], [more, nan, half]], rtol=1e-6)
    np.testing.assert_allclose(scores.max_cosine, [[1, nan, 0.5], [1, nan, half]], rtol=1e-6)


# States


def test_a_state_belongs_to_the_token_that_follows_it(model: LanguageModel) -> None:
    ids = np.array([10, 11, 12, 13], np.int32)
    labels = np.array([10, IGNORED, 12, 13], np.int32)
    rows = TrainingSet((4,), 5, (ids,), (labels,), model.chat.digest)
    assert trained_positions(rows, 0).tolist() == [2, 3]
    (row,) = response_states(model, rows)
    with torch.inference_mode():
        hidden = model.model.model(input_ids=torch.from_numpy(ids)[None].long()).last_hidden_state[0]
    assert (row.place, row.tokens.tolist(), row.states.dtype) == (0, [12, 13], np.float32)
    assert torch.allclose(torch.from_numpy(row.states), hidden[1:3], atol=1e-6)
    (query,) = query_states(model, [TokenQuery(tuple(ids.tolist()), (2, 3))])
    assert torch.allclose(torch.from_numpy(query.states), hidden[1:3], atol=1e-6)


def test_only_the_rows_asked_for_are_read_longest_first(model: LanguageModel) -> None:
    rows = some_rows(model)
    found = [row.place for row in response_states(model, rows, [5, 2, 7, 3])]
    assert found == sorted([5, 2, 7, 3], key=lambda place: (-len(rows.input_ids[place]), [5, 2, 7, 3].index(place)))


def test_rows_and_queries_that_are_too_long_are_named(model: LanguageModel) -> None:
    long = np.full(300, 10, np.int32)
    rows = TrainingSet((0, 41), 50, (long[:9], long), (long[:9], long), model.chat.digest)
    with pytest.raises(InputError, match="row 41: 300 tokens, and the model reads 256"):
        response_states(model, rows)
    with pytest.raises(InputError, match="query 1: 300 tokens"):
        query_states(model, [TokenQuery(tuple(long.tolist()), (1,))])


def of_kind(folder: Path, kind: str) -> LanguageModel:
    """A small model of an architecture, with the tokenizer of the tiny one."""
    import transformers

    tiny_model(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2}
    options: dict[str, dict[str, Any]] = {
        "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 256},
        "GPTNeoX": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2},
        "Qwen2": sizes,
        "OPT": {**sizes, "ffn_dim": 64, "word_embed_proj_dim": 16},
        "Phi": sizes,
        "Gemma2": {**sizes, "head_dim": 16, "final_logit_softcapping": 2.0},
        "Granite": {**sizes, "logits_scaling": 4.0},
        "Cohere": sizes,
    }
    special = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 3}
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=384, **options[kind], **special, **({} if kind in ("GPT2", "OPT") else {"intermediate_size": 64})
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = getattr(transformers, "GPT2LMHeadModel" if kind == "GPT2" else f"{kind}ForCausalLM")(config)
        for parameter in made.get_output_embeddings().parameters():
            torch.nn.init.normal_(parameter)  # a bias too, where there is one
        made.save_pretrained(folder)
    return load_model(folder)


@pytest.mark.parametrize("kind", ["GPT2", "GPTNeoX", "Qwen2", "OPT", "Phi"])
def test_other_architectures_are_read_alike(tmp_path: Path, kind: str) -> None:
    model = of_kind(tmp_path, kind)
    rows, output = some_rows(model, 4), output_layer(model)
    for row in response_states(model, rows):
        with torch.inference_mode():
            said = model.model(input_ids=torch.from_numpy(rows.input_ids[row.place])[None].long()).logits[0, :-1]
        assert torch.allclose(output.log_probs(torch.from_numpy(row.states)), said.log_softmax(-1), atol=1e-4)


def test_half_precision_is_read_and_compared_in_full(model: LanguageModel) -> None:
    half = load_model(model.ref.base, dtype="bfloat16")
    queries = [TokenQuery((10, 11, 12, 13), (2, 3))]
    (found,), (exact,) = query_states(half, queries), query_states(model, queries)
    assert output_layer(half).weight.dtype == torch.float32
    assert found.states.dtype == np.float32
    np.testing.assert_allclose(found.log_probs, exact.log_probs, atol=0.5)


@pytest.mark.parametrize("kind", ["Gemma2", "Granite", "Cohere"])
def test_models_that_scale_or_cap_their_logits_are_refused(tmp_path: Path, kind: str) -> None:
    model = of_kind(tmp_path, kind)
    said = "its logits are not what its output layer makes of its last states"
    for read in (output_layer, lambda m: response_states(m, some_rows(m)), lambda m: query_states(m, [])):
        with pytest.raises(InputError, match=said):
            read(model)


def test_an_adapter_of_the_output_layer_is_part_of_it(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaForCausalLM

    base = LlamaForCausalLM.from_pretrained(tiny_model(tmp_path / "base"))
    base.config.tie_word_embeddings = False
    base = LlamaForCausalLM(base.config)
    base.save_pretrained(tmp_path / "base")
    lora = LoraConfig(r=4, target_modules=["lm_head", "q_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT saves the whole layer beside the adapter, and says so
        get_peft_model(base, lora).save_pretrained(tmp_path / "adapter")
    model = load_model(tmp_path / "adapter", base=tmp_path / "base")
    plain = load_model(tmp_path / "base")
    assert not torch.allclose(output_layer(model).weight, output_layer(plain).weight)


def test_a_model_without_numbers_is_told(tmp_path: Path) -> None:
    model = load_model(tiny_model(tmp_path / "model"))
    model.model.model.norm.weight.data.fill_(float("nan"))
    with pytest.raises(InputError, match="a model gives no numbers"):
        output_layer(model)


# The index


def counting() -> tuple[list[tuple[str, int, int]], Callable[[str, int, int], None]]:
    told: list[tuple[str, int, int]] = []
    return told, lambda what, done, total: told.append((what, done, total))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def test_an_index_holds_every_trained_token_with_its_state(model: LanguageModel, tmp_path: Path) -> None:
    rows = some_rows(model)
    told, progress = counting()
    index = build_token_index(tmp_path, model, rows, batch_tokens=40, progress=progress)
    assert told[-1] == ("reading states", 12, 12)
    assert [done for _, done, _ in told] == sorted({done for _, done, _ in told})
    assert index.dim == 32
    exact = {row.place: row for row in response_states(model, rows, batch_tokens=40)}
    for row in stored_states(open_token_index(tmp_path, model, rows), [3, 0, 3]):
        assert row.tokens.tolist() == exact[row.place].tokens.tolist()
        np.testing.assert_array_equal(row.states, exact[row.place].states.astype(np.float16))
    assert stored_states(index, []) == ()


def test_a_killed_build_goes_on_and_ends_with_the_same_bytes(
    model: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = some_rows(model)
    how: dict[str, Any] = {"batch_tokens": 40, "shard_bytes": 2000}
    build_token_index(tmp_path / "whole", model, rows, **how)

    def killing(what: str, done: int, total: int) -> None:
        if done > 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_token_index(tmp_path / "killed", model, rows, progress=killing, **how)
    assert 0 < len(content(tmp_path / "killed")) < len(content(tmp_path / "whole"))
    with pytest.raises(InputError, match=r"lacks \d+ of 12 rows"):
        open_token_index(tmp_path / "killed", model, rows)
    told, progress = counting()
    build_token_index(tmp_path / "killed", model, rows, progress=progress, **how)
    assert told[0][1] > 1
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


def test_a_row_that_is_there_is_not_computed_again(
    model: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = some_rows(model)
    build_token_index(tmp_path, model, rows.without([2, 9]))
    before = content(tmp_path)
    told, progress = counting()
    build_token_index(tmp_path, model, rows, progress=progress)
    assert told == [("reading states", 12, 12)]
    assert before.items() <= content(tmp_path).items()
    after = content(tmp_path)
    told, progress = counting()
    build_token_index(tmp_path, model, rows, progress=progress)
    assert told == []
    assert content(tmp_path) == after


def test_equal_rows_share_their_states_and_other_labels_do_not(model: LanguageModel, tmp_path: Path) -> None:
    ids = np.array([10, 11, 12, 13], np.int32)
    fewer = np.array([IGNORED, IGNORED, IGNORED, 13], np.int32)
    rows = TrainingSet((0, 1, 2), 3, (ids, ids, ids), (ids, ids, fewer), model.chat.digest)
    index = build_token_index(tmp_path, model, rows)
    assert index.tokens.tolist() == [11, 12, 13, 11, 12, 13, 13]
    assert sum(path.name.endswith(".keys.npy") for path in tmp_path.iterdir()) == 1
    first, second, third = stored_states(index, [0, 1, 2])
    np.testing.assert_array_equal(first.states, second.states)
    np.testing.assert_array_equal(first.states[2:], third.states)


def test_holders_are_the_rows_with_the_token(model: LanguageModel, tmp_path: Path) -> None:
    rows = some_rows(model)
    index = build_token_index(tmp_path, model, rows)
    (query,) = query_states(model, [TokenQuery((10, 11, 12, 11, 31), (1, 2, 3, 4))])
    cosines = holder_cosines(query, index)
    assert cosines.shape == (4, 12)
    for line, token in enumerate((11, 12, 11, 31)):
        assert np.isnan(cosines[line]).tolist() == [token not in ids[1:] for ids in rows.input_ids]
    assert np.isnan(cosines[3]).all()


def test_the_place_in_the_cache_is_that_of_weights_format_and_precision(
    model: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNESCOPE_CACHE", str(tmp_path))
    ref = model.ref
    folder = token_index_folder(ref)
    assert folder.parent == tmp_path / "tokens"
    assert token_index_folder(replace(ref, base="elsewhere", device="cuda", revision="main")) == folder
    others = [replace(ref, weights_digest="0"), replace(ref, template_digest="0"), replace(ref, dtype="bfloat16")]
    assert len({folder, *map(token_index_folder, others)}) == 4


def test_an_index_of_another_model_revision_or_format_is_refused(model: LanguageModel, tmp_path: Path) -> None:
    rows = some_rows(model)
    build_token_index(tmp_path / "index", model, rows)
    other = load_model(tiny_model(tmp_path / "other", seed=1))
    adapted = load_model(tiny_adapter(tmp_path / "adapter", tmp_path / "other"))
    changed = replace(model, ref=replace(model.ref, weights_digest="0" * 64))
    halved = replace(model, ref=replace(model.ref, dtype="bfloat16"))
    for wrong, said in (
        (other, f"it was made with the weights of {model.ref.base}, not of {other.ref.base}"),
        (adapted, f"not of {tmp_path / 'adapter'}"),
        (changed, "which have changed since or are of another revision"),
        (halved, "its states were computed in float32, the model's are in bfloat16"),
    ):
        for use in (open_token_index, build_token_index):
            with pytest.raises(InputError, match="an index of another model") as raised:
                use(tmp_path / "index", wrong, rows)
            assert said in str(raised.value)


def test_rows_of_another_prompt_format_are_refused(model: LanguageModel, tmp_path: Path) -> None:
    rows = replace(some_rows(model), template_digest="other")
    for use in (open_token_index, build_token_index):
        with pytest.raises(InputError, match="rendered with another prompt format"):
            use(tmp_path, model, rows)
    again = replace(model, ref=replace(model.ref, template_digest="other"))
    build_token_index(tmp_path, model, some_rows(model))
    with pytest.raises(InputError, match="it was made with another prompt format"):
        open_token_index(tmp_path, again, rows)


def test_other_rows_and_a_missing_index_are_told(model: LanguageModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no index of token vectors"):
        open_token_index(tmp_path, model, some_rows(model))
    build_token_index(tmp_path, model, some_rows(model))
    with pytest.raises(InputError, match="the index of token vectors lacks 3 of 3 rows"):
        open_token_index(tmp_path, model, some_rows(model, 3, seed=5))


def test_a_manifest_that_is_damaged_or_of_another_format_is_told(model: LanguageModel, tmp_path: Path) -> None:
    rows = some_rows(model)
    build_token_index(tmp_path, model, rows)
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())
    write_bytes(tmp_path / "manifest.json", json.dumps({**manifest, "format": 99}).encode())
    with pytest.raises(VersionError, match="an index of format 99, and this version reads 1"):
        open_token_index(tmp_path, model, rows)
    write_bytes(tmp_path / "manifest.json", b"{}")
    with pytest.raises(CorruptFileError, match="is no manifest of an index"):
        open_token_index(tmp_path, model, rows)


def test_states_that_do_not_fit_16_bits_are_refused(tmp_path: Path) -> None:
    model = load_model(tiny_model(tmp_path / "model"))
    model.model.model.norm.weight.data.mul_(1e5)
    with pytest.raises(InputError, match="a state does not fit 16 bits"):
        build_token_index(tmp_path / "index", model, some_rows(model))


def test_damaged_vectors_are_computed_again_once_they_are_removed(model: LanguageModel, tmp_path: Path) -> None:
    rows = some_rows(model)
    build_token_index(tmp_path, model, rows)
    before = content(tmp_path)
    (path,) = tmp_path.glob("*.vectors.npy")
    path.write_bytes(before[path.name][:-1] + bytes([before[path.name][-1] ^ 1]))
    index = build_token_index(tmp_path, model, rows)
    with pytest.raises(CorruptFileError, match="remove it and make the index again"):
        stored_states(index, range(12))
    path.unlink()
    stored_states(build_token_index(tmp_path, model, rows), range(12))
    assert content(tmp_path) == before
