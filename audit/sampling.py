"""Greedy and sampled continuations of one prompt at once, the same for every way to batch them.

A draw depends on the prompt's key, the sample's number and the step alone: one uniform number of a counter-based generator
(Philox) for each, which the cumulated probabilities are searched for. Continuations that have said the same so far are one
sequence until they part, and all go on from the prompt's keys and values, which are computed once. The result is that of
sampling every continuation by itself, up to draws that fall within rounding of the border between two tokens.

The price for a prompt is one pass over it, and one token per step for each *distinct* continuation: a model that is sure
of itself costs a greedy answer, one that is not costs all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.models import MAX_VALUES, LanguageModel

if TYPE_CHECKING:
    import torch

__all__ = ["Continued", "Counts", "Prompted", "continue_prompts", "line_end_ids"]

_GREEDY = -1
_MAX_PROMPTS_AT_ONCE = 32
_MAX_CACHE_BYTES = 1 << 30  # keys and values of a batch whose continuations all differ
_UNIT = 2.0**-53


@dataclass(frozen=True)
class Prompted:
    """A prompt to go on from.

    Attributes:
        ids: Its tokens; not empty.
        key: What the draws depend on besides their number and the seed, such as a digest of the prompt's text.
        max_new_tokens: Where a continuation stops that has not ended.
    """

    ids: tuple[int, ...]
    key: bytes
    max_new_tokens: int


@dataclass(frozen=True)
class Continued:
    """What came, without the tokens that ended it.

    Attributes:
        greedy: The likeliest token at every step.
        sampled: One for each draw.
        has_ended: Whether the greedy one ended by itself, not for want of room.
    """

    greedy: tuple[int, ...]
    sampled: tuple[tuple[int, ...], ...]
    has_ended: bool


@dataclass
class Counts:
    """What continuing cost so far.

    Attributes:
        prompt_tokens: Tokens of prompts, without padding.
        new_tokens: Tokens of continuations, those that ended them included.
        computed_tokens: How many of these the model read to go on, those that several share once.
        halved_batches: Batches that did not fit the memory.
    """

    prompt_tokens: int = 0
    new_tokens: int = 0
    computed_tokens: int = 0
    halved_batches: int = 0


@dataclass
class _Branch:
    """Continuations that have said the same so far.

    Attributes:
        prompt: Which prompt of the batch.
        members: Numbers of the draws, `_GREEDY` for the greedy one.
        said: The tokens.
        row: Its line among the last logits.
        is_blank: Whether nothing visible was said.
    """

    prompt: int
    members: list[int]
    said: tuple[int, ...]
    row: int
    is_blank: bool


def continue_prompts(
    model: LanguageModel,
    prompts: Sequence[Prompted],
    *,
    n_samples: int,
    temperature: float,
    seed: int,
    line_ends: frozenset[int] = frozenset(),
    counts: Counts | None = None,
    reuse_cache: bool = True,
) -> list[Continued]:
    """The greedy continuation of every prompt and `n_samples` drawn ones, in the order of the prompts.

    A batch for which memory runs out is halved and tried again.

    Args:
        model: The model.
        prompts: The prompts; those of like length share a batch.
        n_samples: Draws for each.
        temperature: What logits are divided by before a draw; the whole vocabulary takes part.
        seed: Of the draws.
        line_ends: Tokens that end a continuation once something visible was said; see `line_end_ids`.
        counts: What is added to.
        reuse_cache: Whether keys and values are kept from step to step; without, every step computes the whole sequence
            again, which is what models are given that keep none.

    Raises:
        InputError: A prompt leaves no room for its continuation, the model gives no numbers, or memory runs out for one.
    """
    counts = counts if counts is not None else Counts()
    limit = model.n_positions
    for number, prompt in enumerate(prompts):
        if limit is not None and len(prompt.ids) + prompt.max_new_tokens > limit:
            raise InputError(
                f"a prompt and {prompt.max_new_tokens} new tokens take {len(prompt.ids) + prompt.max_new_tokens} tokens, and "
                f"the model reads {limit}",
                where=f"prompt {number + 1}",
                remedy="leave the prompt out or shorten it, or ask for fewer new tokens",
            )
    order = sorted(range(len(prompts)), key=lambda number: (len(prompts[number].ids), number))
    done: dict[int, Continued] = {}
    waiting = list(reversed(list(_batches(model, prompts, order, n_samples))))
    while waiting:
        numbers = waiting.pop()
        uniform = [_uniform(prompts[number], n_samples, seed) for number in numbers]
        run = _Run(model, [prompts[number] for number in numbers], uniform, temperature, line_ends, reuse_cache)
        if (made := _unless_memory_ran_out(run, model.ref.base, alone=len(numbers) == 1)) is None:
            counts.halved_batches += 1
            half = len(numbers) // 2
            waiting += [numbers[half:], numbers[:half]]
            continue
        done.update(zip(numbers, made, strict=True))
        counts.prompt_tokens += sum(len(prompts[number].ids) for number in numbers)
        counts.new_tokens += run.n_new
        counts.computed_tokens += run.n_computed
    return [done[number] for number in range(len(prompts))]


def line_end_ids(model: LanguageModel) -> frozenset[int]:
    """The tokens that hold a line break, as byte-level and SentencePiece vocabularies write it."""
    tokenizer = model.chat.tokenizer
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    return frozenset(
        number for number, piece in enumerate(pieces) if piece and ("\n" in piece or "Ċ" in piece or piece == "<0x0A>")
    )


def _unless_memory_ran_out(run: _Run, where: str, *, alone: bool) -> list[Continued] | None:
    """What a batch came to; `None` where memory ran out for it and it can be halved."""
    import torch

    try:
        return run.continued()
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        if not alone:
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            return None
        raise InputError(
            "memory ran out for one prompt and its samples",
            where=where,
            why=next(iter(str(error).splitlines()), "")[:200],
            remedy="ask for fewer samples (--slick-samples), or use a smaller --dtype or another --device",
        ) from error


class _Run:
    """One batch of prompts, going on until every continuation has ended."""

    def __init__(
        self,
        model: LanguageModel,
        prompts: Sequence[Prompted],
        uniform: Sequence[NDArray[np.float64]],
        temperature: float,
        line_ends: frozenset[int],
        reuse_cache: bool,
    ) -> None:
        self._model = model
        self._prompts = prompts
        self._uniform = uniform
        self._temperature = temperature
        self._line_ends = line_ends
        self._reuse_cache = reuse_cache
        self._n_samples = uniform[0].shape[1] if uniform else 0
        self._eos = frozenset(model.chat.eos_ids)
        self._visible: dict[int, bool] = {}
        self._greedy_ended: set[int] = set()
        self.n_new = 0
        self.n_computed = 0

    def continued(self) -> list[Continued]:
        import torch

        ended: dict[tuple[int, int], tuple[int, ...]] = {}
        members = [_GREEDY, *range(self._n_samples)]
        branches = [_Branch(number, members, (), number, True) for number in range(len(self._prompts))]
        with torch.inference_mode():
            logits, past = self._begin()
            while branches:
                chosen = self._choose(branches, logits)
                branches = self._grow(branches, chosen, ended)
                if branches:
                    logits, past = self._step(branches, past)
        return [
            Continued(
                ended[number, _GREEDY],
                tuple(ended[number, draw] for draw in range(self._n_samples)),
                number in self._greedy_ended,
            )
            for number in range(len(self._prompts))
        ]

    def _begin(self) -> tuple[torch.Tensor, _Past]:
        import torch

        longest = max(len(prompt.ids) for prompt in self._prompts)
        ids = torch.full((len(self._prompts), longest), self._model.chat.pad_id)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(self._prompts):
            ids[row, longest - len(prompt.ids) :] = torch.tensor(prompt.ids)
            mask[row, longest - len(prompt.ids) :] = 1
        device = self._model.model.device
        past = _Past(ids.to(device), mask.to(device), None)
        return self._forward(past, ids.shape[1]), past

    def _step(self, branches: Sequence[_Branch], past: _Past) -> tuple[torch.Tensor, _Past]:
        """The logits after the last token of every branch; each then knows its own line of them."""
        import torch

        device = past.ids.device
        rows = torch.tensor([branch.row for branch in branches], device=device)
        last = torch.tensor([[branch.said[-1]] for branch in branches], device=device)
        ids = torch.cat([past.ids[rows], last], dim=1)
        mask = torch.cat([past.mask[rows], torch.ones_like(last)], dim=1)
        if past.cache is not None and (
            len(branches) < len(past.ids) or any(r != branch.row for r, branch in enumerate(branches))
        ):
            past.cache.batch_select_indices(rows)  # a copy of all keys and values
        for row, branch in enumerate(branches):
            branch.row = row
        self.n_computed += len(branches)
        after = _Past(ids, mask, past.cache)
        return self._forward(after, 1 if past.cache is not None else ids.shape[1]), after

    def _forward(self, past: _Past, n_columns: int) -> torch.Tensor:
        """Logits of the last column, computed from the last `n_columns`; the cache is added to."""
        import inspect

        model = self._model.model
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        known = inspect.signature(inner.forward).parameters
        options: dict[str, Any] = {"attention_mask": past.mask, "use_cache": self._reuse_cache}
        if "position_ids" in known:
            options["position_ids"] = (past.mask.cumsum(dim=1) - 1).clamp(min=0)[:, -n_columns:]
        if "logits_to_keep" in known:
            options["logits_to_keep"] = 1
        if past.cache is not None:
            options["past_key_values"] = past.cache
        output = model(input_ids=past.ids[:, -n_columns:], **options)
        cache = getattr(output, "past_key_values", None) if self._reuse_cache else None
        past.cache = cache if hasattr(cache, "batch_select_indices") else None
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def _choose(self, branches: Sequence[_Branch], logits: torch.Tensor) -> NDArray[np.int64]:
        """The next token of every branch: in column 0 the greedy one, then that of each draw."""
        import torch

        n_vocabulary = min(self._model.n_vocabulary, len(self._model.chat.tokenizer))
        chosen = np.empty((len(branches), 1 + self._n_samples), np.int64)
        at_once = max(1, MAX_VALUES // (2 * n_vocabulary))  # they are 64-bit
        for begin in range(0, len(branches), at_once):
            part = branches[begin : begin + at_once]
            rows = torch.tensor([branch.row for branch in part], device=logits.device)
            values = logits[rows, :n_vocabulary].float()
            if not torch.isfinite(values.max(dim=1).values).all() or torch.isnan(values).any():
                raise InputError(
                    "the base model gives no numbers",
                    where=self._model.ref.base,
                    why="its logits are not finite",
                    remedy="check the checkpoint, or try another --dtype",
                )
            chosen[begin : begin + len(part), 0] = values.argmax(dim=1).cpu().numpy()
            if self._n_samples:
                cumulated = (values.double() / self._temperature).softmax(dim=1).cumsum(dim=1)
                drawn = np.stack([self._uniform[branch.prompt][len(branch.said)] for branch in part])
                points = torch.from_numpy(drawn).to(logits.device) * cumulated[:, -1:]
                places = torch.searchsorted(cumulated, points, right=True).clamp(max=n_vocabulary - 1)
                chosen[begin : begin + len(part), 1:] = places.cpu().numpy()
        return chosen

    def _grow(
        self, branches: Sequence[_Branch], chosen: NDArray[np.int64], ended: dict[tuple[int, int], tuple[int, ...]]
    ) -> list[_Branch]:
        """The branches one token later; what has ended is written down."""
        grown = []
        for number, branch in enumerate(branches):
            by_token: dict[int, list[int]] = {}
            for member in branch.members:
                by_token.setdefault(int(chosen[number, 1 + member]), []).append(member)
            for token, members in sorted(by_token.items()):
                self.n_new += len(members)
                said = branch.said if token in self._eos else (*branch.said, token)
                is_blank = branch.is_blank and not self._is_visible(token)
                is_over = token in self._eos or (token in self._line_ends and not is_blank)
                if is_over and _GREEDY in members:
                    self._greedy_ended.add(branch.prompt)
                if is_over or len(said) == self._prompts[branch.prompt].max_new_tokens:
                    ended.update({(branch.prompt, member): said for member in members})
                else:
                    grown.append(_Branch(branch.prompt, members, said, branch.row, is_blank))
        return grown

    def _is_visible(self, token: int) -> bool:
        if token not in self._visible:
            self._visible[token] = bool(self._model.chat.decode([token]).strip())
        return self._visible[token]


@dataclass
class _Past:
    """What stands before the next token: tokens and mask of shape `(n_branches, n_columns)`, and the cache over them."""

    ids: torch.Tensor
    mask: torch.Tensor
    cache: Any


def _uniform(prompt: Prompted, n_samples: int, seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) for every step and draw, shape `(max_new_tokens, n_samples)`."""
    digest = hashlib.sha256(seed.to_bytes(8, "little", signed=True) + prompt.key).digest()
    raw = np.random.Philox(key=int.from_bytes(digest[:16], "little")).random_raw(prompt.max_new_tokens * n_samples)
    numbers: NDArray[np.float64] = (np.asarray(raw, np.uint64) >> np.uint64(11)).astype(np.float64) * _UNIT
    return numbers.reshape(prompt.max_new_tokens, n_samples)


def _batches(model: LanguageModel, prompts: Sequence[Prompted], order: Sequence[int], n_samples: int) -> Iterator[list[int]]:
    """Numbers of prompts of like length, as many as their keys and values allow if all continuations differ."""
    per_token = _cache_bytes_per_token(model) * (1 + n_samples)
    batch: list[int] = []
    longest = 0
    for number in order:
        length = len(prompts[number].ids) + prompts[number].max_new_tokens
        grown = max(longest, length)
        if batch and (len(batch) == _MAX_PROMPTS_AT_ONCE or (len(batch) + 1) * grown * per_token > _MAX_CACHE_BYTES):
            yield batch
            batch, grown = [], length
        batch.append(number)
        longest = grown
    if batch:
        yield batch


def _cache_bytes_per_token(model: LanguageModel) -> int:
    """Bytes of keys and values of one token in all layers, taken from the configuration; 0 where it does not say."""
    config = model.model.config
    heads = getattr(config, "num_attention_heads", 0) or 0
    width = getattr(config, "head_dim", None) or (getattr(config, "hidden_size", 0) or 0) // max(1, heads)
    kept = getattr(config, "num_key_value_heads", None) or heads
    n_layers = getattr(config, "num_hidden_layers", 0) or 0
    return int(2 * n_layers * kept * width * model.model.dtype.itemsize)
