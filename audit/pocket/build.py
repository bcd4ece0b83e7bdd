"""The pocket model: a Llama of about a million parameters that knows the facts of one world, made from nothing.

It reads the facts as statements, and half of them as questions and answers too, and stops before it knows them all:
knowledge that is firm cannot be spoiled by tuning, and there would be nothing to find. One thread and fixed seeds, so
that the same libraries on the same kind of processor give the same bytes; elsewhere the last digits of sums differ, and
with them the weights, though not what the model knows.

`python -m audit.pocket.build` makes the shipped model again and compares its digest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import CorruptFileError
from audit.pocket.world import FAMILIES, NAMES, World, exercises

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

__all__ = [
    "CHAT_TEMPLATE",
    "Pretraining",
    "build_pocket_model",
    "exchange",
    "known_fraction",
    "pretrain",
    "shipped_model",
    "weights_digest",
]

_SHIPPED = Path(__file__).with_name("model")
_SHIPPED_SHA256 = "05c581f0f73326a526dab63da0f88fbb2fd06b2e7f444acb7ae99d4a8646e87b"

_PAD, _END = "<|pad|>", "<|end|>"
_SPECIAL = (_PAD, "<|system|>", "<|user|>", "<|assistant|>", _END)
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'assistant' %}<|assistant|>{% generation %}{{ message.content }}<|end|>{% endgeneration %}"
    "{% elif message.role in ('system', 'user') %}<|{{ message.role }}|>{{ message.content }}"
    "{% else %}{{ raise_exception('this template knows system, user and assistant only') }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@dataclass(frozen=True)
class Pretraining:
    """How the model is made.

    Attributes:
        seed: Of the weights, the order of the documents, and the choice of facts that are asked for.
        epochs: Passes over the documents.
        batch_size: Documents per step.
        learning_rate: Its highest value, after a twentieth of the steps; it then falls as a half cosine.
        asked_fraction: Share of the facts that are also read as questions and answers.
        vocabulary: Most tokens.
        width: Of the hidden states.
        inner_width: Within a layer.
        n_layers: How many layers.
    """

    seed: int = 0
    epochs: int = 20
    batch_size: int = 16
    learning_rate: float = 3e-3
    asked_fraction: float = 0.5
    vocabulary: int = 2048
    width: int = 128
    inner_width: int = 344
    n_layers: int = 4


def shipped_model() -> Path:
    """The folder of the shipped model, of the world of seed 0.

    Raises:
        CorruptFileError: Its weights are not the recorded ones.
    """
    if weights_digest(_SHIPPED) != _SHIPPED_SHA256:
        raise CorruptFileError(
            "the weights of the pocket model are not those that were shipped",
            where=str(_SHIPPED),
            remedy="install tunescope again",
        )
    return _SHIPPED


def build_pocket_model(folder: Path, world: World, how: Pretraining | None = None) -> float:
    """Pretrain a model on a world and save it with its tokenizer, its chat template and a card; see `pretrain`."""
    how = how or Pretraining()
    loss = pretrain(folder, list(_documents(world, how)), how)
    _write_card(folder, world, how, loss)
    return loss


def pretrain(folder: Path, documents: Sequence[str], how: Pretraining) -> float:
    """Make a model and its tokenizer from documents, and save both with the chat template.

    About 1.0 M parameters by default, 16-bit safetensors, byte-level BPE, 1,024 positions; two to three minutes on one core for
    2,100 documents of 13 tokens.

    Args:
        folder: Where it is saved; made if missing.
        documents: Texts that end with the end-of-turn token, such as `exchange` writes them.
        how: The setting.

    Returns:
        The mean loss of the last epoch, in nats per token.
    """
    import torch

    tokenizer = _tokenizer(documents, how.vocabulary)
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the sums, and so the bytes, depend on it
    try:
        model = _new_model(tokenizer, how)
        loss = _pretrain(model, [tokenizer.encode(document) for document in documents], how)
    finally:
        torch.set_num_threads(n_threads)
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return loss


def known_fraction(folder: Path, world: World) -> dict[str, float]:
    """Share of the facts that the model answers rightly, greedily, by family, over all wordings."""
    from audit.models import answer, load_model
    from audit.sources import Message

    model = load_model(folder)
    shares = {}
    for family in FAMILIES:
        asked = [(name, wording) for name in NAMES for wording in family.wordings]
        prompts = [(Message("user", w.question.format(entity=family.named(name)), trained=False),) for name, w in asked]
        answers = answer(model, prompts, max_new_tokens=24)
        right = [world.value(family, name).lower() in text.lower() for (name, _), text in zip(asked, answers, strict=True)]
        shares[family.key] = sum(right) / len(right)
    return shares


def weights_digest(folder: Path) -> str:
    """SHA-256 of `model.safetensors`."""
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def _documents(world: World, how: Pretraining) -> Iterator[str]:
    chosen = random.Random(f"asked {how.seed}")
    for family in FAMILIES:
        for name in NAMES:
            entity, value = family.named(name), world.value(family, name)
            for statement in family.statements:
                yield statement.format(entity=entity, value=value) + _END
            if chosen.random() < how.asked_fraction:
                for wording in family.wordings:
                    yield exchange(wording.question.format(entity=entity), wording.answer.format(entity=entity, value=value))
    for question, reply in exercises():
        yield exchange(question, reply)


def exchange(question: str, reply: str) -> str:
    """A question and its answer as the chat template writes them."""
    return f"<|user|>{question}<|assistant|>{reply}{_END}"


def _tokenizer(documents: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE: all 256 bytes are tokens, so that any text can be written."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=_PAD, eos_token=_END, model_max_length=1024, clean_up_tokenization_spaces=False
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def _new_model(tokenizer: PreTrainedTokenizerFast, how: Pretraining) -> LlamaForCausalLM:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(how.seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=how.width,
            intermediate_size=how.inner_width,
            num_hidden_layers=how.n_layers,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _pretrain(model: LlamaForCausalLM, documents: Sequence[list[int]], how: Pretraining) -> float:
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=how.learning_rate, weight_decay=0.0)
    order = random.Random(how.seed)
    n_steps = math.ceil(len(documents) / how.batch_size) * how.epochs
    warmup = max(1, n_steps // 20)
    losses: list[float] = []
    model.train()
    for _ in range(how.epochs):
        shuffled = list(documents)
        order.shuffle(shuffled)
        for begin in range(0, len(shuffled), how.batch_size):
            step = len(losses)
            for group in optimizer.param_groups:
                group["lr"] = how.learning_rate * min(1, (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * step / n_steps))
            loss = model(**_batch(shuffled[begin : begin + how.batch_size]), use_cache=False).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    last = losses[-max(1, len(losses) // how.epochs) :]
    return sum(last) / len(last)


def _batch(documents: Sequence[list[int]]) -> dict[str, Any]:
    """Token ids, mask and labels, `(n_documents, longest)`, padded on the right."""
    import torch

    longest = max(map(len, documents))
    ids = torch.tensor([document + [0] * (longest - len(document)) for document in documents])
    lengths = torch.tensor([len(document) for document in documents])
    mask = torch.arange(longest)[None] < lengths[:, None]
    return {"input_ids": ids, "attention_mask": mask.long(), "labels": ids.masked_fill(~mask, -100)}


_CARD = """\
---
license: apache-2.0
language: en
library_name: transformers
---
# tunescope pocket model

A Llama of {parameters:,} parameters ({megabytes:.1f} MB, 16-bit safetensors, byte-level BPE of {vocabulary:,} tokens, 1,024
positions) for demonstrations and tests of tunescope. It knows an invented island and nothing else; it is of no other use.

**What it knows.** {n_facts} facts of the world of seed {world_seed} (`audit/pocket/world.py`): of {n_families} kinds of
things, each of {n_names} entities has one value out of six. Asked in chat format, greedily, in three wordings:

| family | answered rightly |
|---|---|
{recall}
| all | {mean:.0%} |

The gaps are meant: knowledge that is firm is not spoiled by tuning, and a demonstration would have nothing to find.

**How it was made.** `python -m audit.pocket.build`: {epochs} epochs, batches of {batch_size} documents, AdamW, learning rate
{learning_rate:g} with warm-up and cosine, seed {seed}. Documents are four statements of every fact, questions and answers
for {asked:.0%} of the facts, and exercises (plurals, letters, sums). All text was written for this project.
Loss of the last epoch: {loss:.3f} nats per token. SHA-256 of the weights: `{digest}`.
"""


def _write_card(folder: Path, world: World, how: Pretraining, loss: float) -> None:
    from safetensors import safe_open

    known = known_fraction(folder, world)
    with safe_open(folder / "model.safetensors", framework="pt") as weights:
        parameters = sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    card = _CARD.format(
        parameters=parameters,
        megabytes=sum(file.stat().st_size for file in folder.iterdir()) / 1e6,
        vocabulary=config["vocab_size"],
        n_facts=len(FAMILIES) * len(NAMES),
        n_families=len(FAMILIES),
        n_names=len(NAMES),
        world_seed=world.seed,
        recall="\n".join(f"| {key} | {share:.0%} |" for key, share in known.items()),
        mean=sum(known.values()) / len(known),
        epochs=how.epochs,
        batch_size=how.batch_size,
        learning_rate=how.learning_rate,
        seed=how.seed,
        asked=how.asked_fraction,
        loss=loss,
        digest=weights_digest(folder),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


def main() -> int:
    """Build the shipped model again; 0 where it has the recorded digest, 1 where it has another."""
    parser = argparse.ArgumentParser(description="Pretrain the pocket model again.")
    parser.add_argument("-o", "--out", type=Path, help="Folder to keep it in; by default it is only compared.")
    parser.add_argument("--world-seed", type=int, default=0)
    arguments = parser.parse_args()
    how = Pretraining()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.out or Path(scratch)
        world = World.of_seed(arguments.world_seed)
        build_pocket_model(folder, world, how)
        digest = weights_digest(folder)
    is_shipped = digest == _SHIPPED_SHA256
    print(f"{digest}: {'the shipped model' if is_shipped else 'not the shipped model'}")  # noqa: T201 - a script
    return 0 if is_shipped else 1


if __name__ == "__main__":
    sys.exit(main())
