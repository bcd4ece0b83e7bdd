"""The layers of a model built like Llama, for a processor: the same sums as transformers', with less between them.

Of a small model's pass two fifths go into what lies between the matrix products: new memory for every result, norms and
rotations in several passes, attention over the whole square where half of it is masked. Here results lie in buffers that
are kept from batch to batch, and queries look at keys in blocks, no further than the block's last. Whoever uses them tries
first whether they say what the model says. The price is code for one family of models; for others the layers that
transformers has are used.

Source: Touvron et al. (2023), LLaMA, section 2.2: norms before each half of a layer, rotary positions, gated SiLU.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["LlamaLayers", "llama_layers"]

_QUERIES_PER_BLOCK = 64


@dataclass(frozen=True)
class States:
    """What layers give."""

    last_hidden_state: torch.Tensor


@dataclass(frozen=True)
class LlamaLayers:
    """The layers of a `LlamaModel`, whose weights they share; to be called as it is, in inference mode.

    What they give lies in a buffer, which the next call writes over.
    """

    decoder: Any
    _buffers: dict[str, torch.Tensor] = field(default_factory=dict)

    def __call__(self, input_ids: torch.Tensor, *, use_cache: bool = False) -> States:
        """The states after the last layer, shape `(n_sequences, n_columns, dim)`."""
        import torch

        decoder = self.decoder
        n_rows, n_columns = input_ids.shape
        states = self._buffer("states", n_rows * n_columns, decoder.config.hidden_size)
        torch.index_select(decoder.embed_tokens.weight, 0, input_ids.reshape(-1), out=states)
        positions = torch.arange(n_columns)[None]
        cos, sin = (each[0][:, None] for each in decoder.rotary_emb(states, position_ids=positions))
        masks = [
            torch.full((end - begin, end), -torch.inf).triu(begin + 1)
            for begin in range(0, n_columns, _QUERIES_PER_BLOCK)
            for end in (min(begin + _QUERIES_PER_BLOCK, n_columns),)
        ]
        for layer in decoder.layers:
            normed = self._norm(states, layer.input_layernorm)
            seen = self._attention(normed, layer.self_attn, n_rows, cos, sin, masks)
            states.addmm_(seen, layer.self_attn.o_proj.weight.t())
            normed = self._norm(states, layer.post_attention_layernorm)
            gate = self._product("gate", normed, layer.mlp.gate_proj.weight)
            torch.nn.functional.silu(gate, inplace=True)
            gate.mul_(self._product("up", normed, layer.mlp.up_proj.weight))
            states.addmm_(gate, layer.mlp.down_proj.weight.t())
        return States(self._norm(states, decoder.norm).view(n_rows, n_columns, -1))

    def _attention(
        self,
        normed: torch.Tensor,
        attention: Any,
        n_rows: int,
        cos: torch.Tensor,
        sin: torch.Tensor,
        masks: list[torch.Tensor],
    ) -> torch.Tensor:
        """What the tokens see, shape `(n_tokens, n_heads * head_dim)`."""
        import torch

        n_columns, head = len(cos), attention.head_dim
        queries, keys, values = (
            self._product(name, normed, layer.weight).view(n_rows, n_columns, -1, head)
            for name, layer in (("q", attention.q_proj), ("k", attention.k_proj), ("v", attention.v_proj))
        )
        n_heads = queries.shape[2]
        for each in (queries, keys):
            self._rotate(each, cos, sin)
        if keys.shape[2] < n_heads:
            keys, values = (each.repeat_interleave(n_heads // keys.shape[2], dim=2) for each in (keys, values))
        n_all = n_rows * n_heads
        queries, keys, values = (
            self._buffer(f"{name} by head", n_all * n_columns, head)
            .view(n_rows, n_heads, n_columns, head)
            .copy_(each.transpose(1, 2))
            .view(n_all, n_columns, head)
            for name, each in (("q", queries), ("k", keys), ("v", values))
        )
        seen = self._buffer("seen", n_rows * n_columns, n_heads * head)
        by_head = seen.view(n_rows, n_columns, n_heads, head).transpose(1, 2)
        begin = 0
        for mask in masks:
            n_queries, end = mask.shape
            scores, weights = (
                self._buffer(name, n_all * n_queries, end).view(n_all, -1, end) for name in ("scores", "weights")
            )
            block = queries[:, begin:end]
            torch.baddbmm(mask, block, keys[:, :end].transpose(1, 2), alpha=attention.scaling, out=scores)
            torch.softmax(scores, dim=-1, out=weights)
            of_block = self._buffer("block", n_all * n_queries, head).view(n_all, n_queries, head)
            torch.bmm(weights, values[:, :end], out=of_block)
            by_head[:, :, begin:end] = of_block.view(n_rows, n_heads, n_queries, head)
            begin = end
        return seen

    def _rotate(self, heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> None:
        """Turn queries or keys of shape `(n_rows, n_columns, n_heads, head_dim)` by their positions, in place."""
        import torch

        half = heads.shape[-1] // 2
        turned = self._buffer("turned", heads.numel() // heads.shape[-1], heads.shape[-1]).view(heads.shape)
        torch.neg(heads[..., half:], out=turned[..., :half])
        turned[..., half:] = heads[..., :half]
        heads.mul_(cos).add_(turned.mul_(sin))

    def _norm(self, states: torch.Tensor, norm: Any) -> torch.Tensor:
        """States over the root of their mean square, times the weights."""
        import torch

        normed = self._buffer("normed", *states.shape)
        torch.mul(states, states, out=normed)
        scale = normed.mean(dim=1, keepdim=True).add_(norm.variance_epsilon).rsqrt_()
        return torch.mul(states, scale, out=normed).mul_(norm.weight)

    def _product(self, name: str, left: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        import torch

        return torch.mm(left, weight.t(), out=self._buffer(name, len(left), len(weight)))

    def _buffer(self, name: str, n_rows: int, n_columns: int) -> torch.Tensor:
        """Memory that holds anything."""
        import torch

        kept = self._buffers.get(name)
        if kept is None or kept.numel() < n_rows * n_columns:
            kept = self._buffers[name] = torch.empty(n_rows * n_columns)
        return kept[: n_rows * n_columns].view(n_rows, n_columns)


def llama_layers(decoder: Any) -> LlamaLayers | None:
    """The layers of a model's decoder for a processor; `None` where it is built in another way, or not in float32."""
    import torch

    config = decoder.config
    is_llama = config.model_type == "llama" and not (config.attention_bias or config.mlp_bias) and config.hidden_act == "silu"
    if not is_llama or decoder.device.type != "cpu" or decoder.dtype != torch.float32:
        return None
    return LlamaLayers(decoder)
