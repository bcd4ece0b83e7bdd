"""What a forward pass costs in matrix products, counted from a model's weights, and how long one of another size takes.

Counted are the products alone, two operations for each multiplication: of every token with the weights of the layers, of
every token that logits are made for with the output layer, and of queries and keys, and of probabilities and values, for
the tokens that stand before, as a causal model needs them. Norms, activations, positions and softmax are not counted; of
experts, those that a token passes through.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from audit.models import LanguageModel

__all__ = ["ForwardCost", "ForwardWork", "estimated_seconds", "forward_cost"]


@dataclass(frozen=True)
class ForwardWork:
    """What was passed through a model.

    Attributes:
        n_tokens: Tokens that were read.
        n_asked: Those that logits were made for.
        n_pairs: Tokens with those up to and with themselves, which attention looks at.
    """

    n_tokens: int = 0
    n_asked: int = 0
    n_pairs: int = 0

    @staticmethod
    def of(lengths: Iterable[tuple[int, int]]) -> ForwardWork:
        """The work of sequences, of each its tokens and how many of them are asked for."""
        n_tokens = n_asked = n_pairs = 0
        for length, asked in lengths:
            n_tokens, n_asked, n_pairs = n_tokens + length, n_asked + asked, n_pairs + length * (length + 1) // 2
        return ForwardWork(n_tokens, n_asked, n_pairs)


@dataclass(frozen=True)
class ForwardCost:
    """The matrix products of a model.

    Attributes:
        n_layer_weights: Weights that every token is multiplied with.
        n_output_weights: Those of the output layer.
        n_layers: Layers with attention.
        attention_width: Numbers of a token's queries in one layer, all heads together.
    """

    n_layer_weights: int
    n_output_weights: int
    n_layers: int
    attention_width: int

    def flop(self, work: ForwardWork) -> int:
        """Floating point operations of some work."""
        return self.layer_flop(work) + self.output_flop(work) + self.attention_flop(work)

    def layer_flop(self, work: ForwardWork) -> int:
        """Of the layers' weights."""
        return 2 * self.n_layer_weights * work.n_tokens

    def output_flop(self, work: ForwardWork) -> int:
        """Of the output layer."""
        return 2 * self.n_output_weights * work.n_asked

    def attention_flop(self, work: ForwardWork) -> int:
        """Of queries with keys, and of probabilities with values."""
        return 4 * self.n_layers * self.attention_width * work.n_pairs


def forward_cost(model: LanguageModel) -> ForwardCost:
    """Count a model's matrix products; the attention of a model whose configuration names no heads counts for nothing."""
    whole = model.model.get_base_model() if hasattr(model.model, "get_base_model") else model.model
    config = whole.config
    output = whole.get_output_embeddings().weight
    tables = {id(output), id(whole.get_input_embeddings().weight)}
    n_weights = 0.0
    for name, weight in whole.named_parameters():
        if id(weight) in tables or weight.dim() < 2 or _is_table(whole, name):
            continue
        share = 1.0
        n_experts = getattr(config, "num_local_experts", None) or getattr(config, "num_experts", None)
        if n_experts and "experts" in name:
            share = getattr(config, "num_experts_per_tok", n_experts) / n_experts
        n_weights += share * weight.numel()
    n_layers = int(getattr(config, "num_hidden_layers", 0) or 0)
    n_heads = int(getattr(config, "num_attention_heads", 0) or 0)
    head = getattr(config, "head_dim", None) or (getattr(config, "hidden_size", 0) // n_heads if n_heads else 0)
    return ForwardCost(round(n_weights), output.numel(), n_layers, n_heads * int(head))


def _is_table(model: Any, name: str) -> bool:
    """Whether a weight is looked up rather than multiplied with, as learned positions are."""
    import torch

    return isinstance(model.get_submodule(name.rpartition(".")[0]), torch.nn.Embedding)


def estimated_seconds(n_parameters: float, work: ForwardWork, flop_per_s: float) -> float:
    """How long the same texts would take a model of another size.

    Two operations for each parameter and token, at the rate at which this machine worked; the tokens of another tokenizer,
    attention (some per cent at such lengths) and what a model that does not fit into memory would cost are left out.

    Args:
        n_parameters: Of the other model, its table of embeddings not counted.
        work: What is passed.
        flop_per_s: Operations a second that were measured.

    Raises:
        ValueError: A rate of nothing.
    """
    if flop_per_s <= 0:
        raise ValueError(f"{flop_per_s} operations a second")
    return 2 * n_parameters * work.n_tokens / flop_per_s
