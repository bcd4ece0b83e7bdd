"""The pocket model is what its card says, fits into the package, and is made again to the byte."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from audit.errors import CorruptFileError
from audit.pocket import World, build, shipped_model
from audit.pocket.build import Pretraining, build_pocket_model, known_fraction, pretrain, weights_digest
from audit.pocket.world import FAMILIES, NAMES
from audit.rendering import load_chat_format
from audit.sources import Message

SMALL = Pretraining(epochs=1, batch_size=64, vocabulary=300)


def test_the_shipped_model_is_small_and_its_card_names_its_digest() -> None:
    folder = shipped_model()
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 3_000_000
    assert {file.suffix for file in folder.iterdir()} <= {".safetensors", ".json", ".jinja", ".md"}
    assert weights_digest(folder) in (folder / "README.md").read_text("utf-8")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert config["max_position_embeddings"] >= 1024
    assert config["architectures"] == ["LlamaForCausalLM"]


def test_the_shipped_model_knows_what_its_card_says() -> None:
    card = (shipped_model() / "README.md").read_text("utf-8")
    said = {key: int(percent) / 100 for key, percent in re.findall(r"^\| (\w+) \| (\d+)% \|$", card, re.MULTILINE)}
    known = known_fraction(shipped_model(), World.of_seed(0))
    assert set(said) == {*known, "all"}
    # Other processors add in another order: an answer on the brink may fall to the other side.
    assert {key: pytest.approx(said[key], abs=0.03) for key in known} == known
    assert 0.5 < said["all"] < 0.95  # firm knowledge could not be spoiled


@pytest.mark.parametrize("text", ["naïve 鱼 🦭", "\u0000 \ufeff \u202e", "<|end|x|>", "x" * 5000])
def test_any_text_fits_the_tokenizer(text: str) -> None:
    chat = load_chat_format(shipped_model())
    ids = chat.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert chat.tokenizer.decode(ids) == text


def test_its_template_knows_system_turns_and_several_exchanges() -> None:
    chat = load_chat_format(shipped_model())
    turns = [("system", "Be short."), ("user", "Hi"), ("assistant", "Hello"), ("user", "And?")]
    ids = chat.prompt([Message(role, content, trained=False) for role, content in turns])
    assert chat.tokenizer.decode(ids) == "<|system|>Be short.<|user|>Hi<|assistant|>Hello<|end|><|user|>And?<|assistant|>"


def test_the_same_setting_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    documents = [f"{number} and {number + 1}<|end|>" for number in range(200)]
    for name, how in (("a", SMALL), ("b", SMALL), ("c", Pretraining(seed=1, epochs=1, batch_size=64, vocabulary=300))):
        pretrain(tmp_path / name, documents, how)
    digests = [weights_digest(tmp_path / name) for name in "abc"]
    assert digests[0] == digests[1] != digests[2]
    assert (tmp_path / "a" / "tokenizer.json").read_bytes() == (tmp_path / "b" / "tokenizer.json").read_bytes()


@pytest.mark.slow
def test_a_model_of_another_world_comes_with_its_card(tmp_path: Path) -> None:
    loss = build_pocket_model(tmp_path, World.of_seed(3), Pretraining(epochs=1, batch_size=128))
    card = (tmp_path / "README.md").read_text("utf-8")
    assert "world of seed 3" in card
    assert f"{loss:.3f} nats" in card
    assert weights_digest(tmp_path) in card


def test_damaged_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.setattr(build, "_SHIPPED", tmp_path)
    with pytest.raises(CorruptFileError, match="not those that were shipped"):
        shipped_model()


def test_worlds_deal_every_value_evenly_and_differ_by_seed() -> None:
    world = World.of_seed(0)
    assert world == World.of_seed(0)
    assert world != World.of_seed(1)
    for family in FAMILIES:
        counts = [sum(world.value(family, name) == value for name in NAMES) for value in family.values]
        assert sum(counts) == len(NAMES)
        assert max(counts) - min(counts) <= 1
