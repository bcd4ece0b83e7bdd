"""Models of toy size with random weights, as folders that transformers and PEFT load."""

from __future__ import annotations

import warnings
from pathlib import Path

__all__ = ["CHATML", "tiny_adapter", "tiny_model", "write_tokenizer"]

CHATML = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""The template of ChatML, with a token at its very beginning and a line break after each turn's end."""

_SPECIAL = ("<|bos|>", "<|im_start|>", "<|im_end|>", "<|pad|>")
# Whole tokens of the vocabulary, as far as it has room; everything else is spelt out in bytes.
_WORDS = (
    " the", " of", " is", " a", " in", " and", " to", "user", "assistant", "system", "What", "Who", "The", " stone",
    " bridge", " built", " made", " capital", " Paris", " Rome", " coin", " river", " granite", " slate", " basalt",
)  # fmt: skip


def tiny_model(
    path: Path, *, seed: int = 0, vocab_size: int = 384, template: str | None = CHATML, n_positions: int = 256
) -> Path:
    """Write a Llama of about 33,000 random parameters, and its tokenizer, to a folder; the folder.

    Args:
        path: The folder, made new.
        seed: Of the weights.
        vocab_size: Rows of the embedding table; the byte-level tokenizer has as many merges as fit.
        template: Chat template; `None` for a base model without one.
        n_positions: The longest sequence.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    write_tokenizer(path, vocab_size=vocab_size, template=template)
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=n_positions,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=2,
        initializer_range=0.3,  # large, so that two seeds disagree about most tokens
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(path)
    return path


def write_tokenizer(path: Path, *, vocab_size: int = 384, template: str | None = CHATML) -> None:
    """Write a byte-level BPE tokenizer of `<|bos|> <|im_start|> <|im_end|> <|pad|>`, 256 bytes and a few words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces = [*_SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges = []
    for word in _WORDS:
        whole = word.replace(" ", "Ġ")
        for length in range(2, len(whole) + 1):
            if whole[:length] not in pieces and len(pieces) < vocab_size:
                pieces.append(whole[:length])
                merges.append((whole[: length - 1], whole[length - 1]))
    tokenizer = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    # As Llama's: whoever tokenises a rendered template with this would begin it twice.
    tokenizer.post_processor = processors.TemplateProcessing(single="<|bos|> $A", special_tokens=[("<|bos|>", 0)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|bos|>", eos_token="<|im_end|>", pad_token="<|pad|>",
        additional_special_tokens=["<|im_start|>"],
    )  # fmt: skip
    if template is not None:
        fast.chat_template = template
    fast.save_pretrained(path)


def tiny_adapter(path: Path, base: Path, *, seed: int = 0) -> Path:
    """Write a LoRA adapter with random weights on `base`, its tokenizer beside it; the folder."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of a property of transformers that PEFT asks for
        torch.manual_seed(seed)
        adapted = get_peft_model(
            model, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
        )
        adapted.save_pretrained(path)
    AutoTokenizer.from_pretrained(base).save_pretrained(path)
    return path
