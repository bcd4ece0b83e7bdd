"""Models as folders: what is loaded, what is refused with one line, and greedy answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from audit.errors import InputError
from audit.models import LanguageModel, answer, generate, load_model, weights_digest
from audit.rendering import load_chat_format
from audit.sources import Message
from tests.models import tiny_adapter, tiny_model, write_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def adapter(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_adapter(tmp_path_factory.mktemp("adapter"), folder, seed=1)


@pytest.fixture(scope="module")
def model(folder: Path) -> LanguageModel:
    return load_model(folder)


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """A copy of the model to be damaged."""
    return Path(shutil.copytree(folder, tmp_path / "model"))


def ask(text: str) -> tuple[Message, ...]:
    return (Message("user", text, trained=False),)


def test_what_is_recorded_of_a_model(model: LanguageModel, folder: Path) -> None:
    ref = model.ref
    assert (ref.base, ref.adapter, ref.revision, ref.dtype, ref.device) == (str(folder), None, None, "float32", "cpu")
    assert ref.n_parameters == sum(weights.numel() for weights in load_file(folder / "model.safetensors").values())
    assert ref.template_digest == load_chat_format(folder).digest
    assert ref.weights_digest == weights_digest(folder)
    assert (model.n_positions, model.n_vocabulary, model.model.training) == (256, 384, False)


def test_equal_seeds_are_equal_models(tmp_path: Path, folder: Path) -> None:
    assert weights_digest(tiny_model(tmp_path / "same")) == weights_digest(folder)
    assert weights_digest(tiny_model(tmp_path / "other", seed=1)) != weights_digest(folder)


def test_an_adapter_is_its_base_with_more(adapter: Path, folder: Path, model: LanguageModel) -> None:
    tuned = load_model(adapter)
    assert (tuned.ref.base, tuned.ref.adapter) == (str(folder), str(adapter))
    assert tuned.ref.n_parameters > model.ref.n_parameters
    assert tuned.ref.weights_digest not in (model.ref.weights_digest, weights_digest(adapter))
    assert answer(tuned, [ask("What")], max_new_tokens=12) != answer(model, [ask("What")], max_new_tokens=12)
    with tuned.model.disable_adapter():
        assert answer(tuned, [ask("What")], max_new_tokens=12) == answer(model, [ask("What")], max_new_tokens=12)


def test_an_adapter_whose_base_was_moved(adapter: Path, copied: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(adapter, tmp_path / "adapter"))
    config = json.loads((moved / "adapter_config.json").read_text())
    (moved / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": str(tmp_path / "gone")}))
    with pytest.raises(InputError, match="no such model folder of the adapter"):
        load_model(moved)
    assert load_model(moved, base=copied).ref.base == str(copied)
    with pytest.raises(InputError, match="is an adapter, not a base model"):
        load_model(moved, base=adapter)
    (moved / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": None}))
    with pytest.raises(InputError, match="names no base model"):
        load_model(moved)


def test_an_adapter_of_another_shape(adapter: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(adapter, tmp_path / "adapter"))
    weights = load_file(moved / "adapter_model.safetensors")
    name = next(iter(weights))
    save_file({**weights, name: weights[name][:, :7].contiguous()}, moved / "adapter_model.safetensors")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_model(moved)
    save_file({key: value for key, value in weights.items() if key != name}, moved / "adapter_model.safetensors")
    with pytest.raises(InputError, match="the adapter lacks weights"):
        load_model(moved)
    (moved / "adapter_model.safetensors").rename(moved / "adapter_model.bin")
    with pytest.raises(InputError, match=r"no safetensors weights, only adapter_model\.bin"):
        load_model(moved)


def _remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _write(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def _pickle_only(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _without_a_layer(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights = {name: value for name, value in weights.items() if "layers.1.mlp" not in name}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _shards_missing(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _narrower(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 64}))


def _code_of_its_own(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}}
    (folder / "config.json").write_text(json.dumps(config | own))
    (folder / "own.py").write_text("raise SystemExit('code of the folder was run')")


def _tokenizer_too_large(folder: Path) -> None:
    tokenizer = load_chat_format(folder).tokenizer
    tokenizer.add_tokens([f"extra{number}" for number in range(400)])
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (_remove("config.json"), "cannot be loaded"),
        (_remove("model.safetensors"), r"no model weights \(no model\.safetensors\)"),
        (_pickle_only, r"no safetensors weights, only pytorch_model\.bin"),
        (_shards_missing, "2 of 2 weight files are missing, model-00001"),
        (_write("model.safetensors.index.json", b"{"), ""),
        (_write("model.safetensors", b"\x08\x00\x00\x00\x00\x00\x00\x00garbage!"), "cannot be loaded"),
        (_without_a_layer, "lacks 3 weights of the model, model.layers.1.mlp"),
        (_narrower, "cannot be loaded"),
        (_code_of_its_own, "cannot be loaded"),
        (_tokenizer_too_large, "does not fit the model: token 'extra399' is number 7"),
        (_remove("tokenizer.json"), "tokenizer"),
        (
            lambda folder: write_tokenizer(folder, template=None) or (folder / "chat_template.jinja").unlink(),
            "no chat template",
        ),
    ],
)
def test_damaged_folders_are_refused_with_one_line(copied: Path, damage: Callable[[Path], None], what: str) -> None:
    damage(copied)
    if not what:  # an index beside the whole file is of no account
        assert load_model(copied).ref.n_parameters
        return
    with pytest.raises(InputError, match=what) as refused:
        load_model(copied)
    assert str(copied) in refused.value.sentence()
    assert "\n" not in refused.value.sentence()
    assert refused.value.remedy


@pytest.mark.parametrize("name", ["nowhere", "no-one/nothing-here", "no-one/nothing@main", "a b/c", "../../etc", ""])
def test_models_that_are_nowhere(name: str) -> None:
    with pytest.raises(InputError, match=r"no such model folder|can be fetched from the hub|no tokenizer|no model weights"):
        load_model(name)


def test_devices_and_number_formats(folder: Path) -> None:
    assert load_model(folder, dtype="bfloat16").ref.dtype == "bfloat16"
    with pytest.raises(InputError, match="unknown number format 'int8'"):
        load_model(folder, dtype="int8")
    with pytest.raises(InputError, match="no device 'quantum'"):
        load_model(folder, device="quantum")


def test_another_models_format(folder: Path, model: LanguageModel, tmp_path: Path) -> None:
    plain = tiny_model(tmp_path / "base", seed=3, template=None)
    base = load_model(plain, chat=model.chat)
    assert base.chat is model.chat
    assert base.ref.template_digest == model.ref.template_digest
    other = tiny_model(tmp_path / "other", vocab_size=300)
    with pytest.raises(InputError, match="53 tokens differ"):
        load_model(other, chat=model.chat)


def test_greedy_answers_are_the_likeliest_tokens(model: LanguageModel, folder: Path) -> None:
    plain = AutoModelForCausalLM.from_pretrained(folder).eval()
    prompt = model.chat.prompt(ask("What is the stone?"))
    expected: list[int] = []
    with torch.inference_mode():
        for _ in range(10):
            token = int(plain(torch.tensor([[*prompt, *expected]])).logits[0, -1].argmax())
            if token == 2:
                break
            expected.append(token)
    assert expected
    assert generate(model, [prompt], max_new_tokens=10) == (tuple(expected),)


def test_a_generation_config_bends_nothing(model: LanguageModel, copied: Path) -> None:
    bent = {"do_sample": True, "temperature": 5.0, "repetition_penalty": 9.0, "max_length": 3, "eos_token_id": [2, 17]}
    (copied / "generation_config.json").write_text(json.dumps(bent))
    other = load_model(copied)
    assert other.chat.eos_ids == (2,)
    assert answer(other, [ask("Who")], max_new_tokens=12) == answer(model, [ask("Who")], max_new_tokens=12)


def test_an_answer_ends_before_its_end_token(model: LanguageModel) -> None:
    prompt = model.chat.prompt(ask("Who"))
    (whole,) = generate(model, [prompt], max_new_tokens=12)
    ending = LanguageModel(model.model, load_chat_format(model.ref.base), model.ref)
    ending.chat.eos_ids = (whole[5],)
    (short,) = generate(ending, [prompt], max_new_tokens=12)
    assert short == whole[: whole.index(whole[5])]


def test_a_prompt_without_room(model: LanguageModel) -> None:
    prompts = [model.chat.prompt(ask("a")), model.chat.prompt(ask("a" * 240))]
    with pytest.raises(InputError, match="prompt 2: a prompt and 50 new tokens take 299 tokens, and the model reads 256"):
        generate(model, prompts, max_new_tokens=50)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nMore"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_memory_that_runs_out(model: LanguageModel, monkeypatch: pytest.MonkeyPatch, error: RuntimeError) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(model.model, "generate", fail)
    with pytest.raises(InputError, match="memory ran out") as refused:
        generate(model, [(0, 1)], max_new_tokens=2)
    assert "--batch-size" in refused.value.sentence()


def test_real_models_without_template(shared_data: Path) -> None:
    with pytest.raises(InputError, match="has no chat template"):
        load_model(shared_data / "models" / "stories260k")


def test_a_real_model_with_a_template(shared_data: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(shared_data / "models" / "stories260k", tmp_path / "stories"))
    (copy / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.content + (eos_token if m.role == 'assistant' else '\\n') }}{% endfor %}"
    )
    said = answer(load_model(copy), [ask("Once upon a time, there was a little girl named")], max_new_tokens=12)
    assert said[0].strip().isascii()
    assert said[0].strip()
