"""Language models from a folder, the local cache or the Hugging Face hub: loaded safely, generating, teacher-forced.

Safely: safetensors only, no code of the model's folder, and a checkpoint that lacks a weight or does not fit its
tokenizer is refused, where transformers would fill in random numbers with a warning. A PEFT adapter is a model too.
Everything here is greedy and without dropout; float32 on a processor, so that batching changes nothing but the last
bits.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import InputError
from audit.rendering import ChatFormat, check_json_files, load_chat_format, load_tokenizer, only_errors
from audit.sources import Message

if TYPE_CHECKING:
    import torch

__all__ = [
    "MAX_VALUES",
    "LanguageModel",
    "LogProbs",
    "MemoryRanOutError",
    "ModelRef",
    "answer",
    "enough_memory",
    "find_model_folder",
    "generate",
    "load_model",
    "loaded_bytes",
    "log_prob_chunks",
    "recorded_base",
    "token_log_probs",
    "weight_files",
    "weights_digest",
]

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
# Log-probabilities held at once, 128 MB in float32: a whole batch of a small vocabulary, a few hundred positions of one
# response where the vocabulary has 150,000 tokens.
MAX_VALUES = 1 << 25


class MemoryRanOutError(InputError):
    """More was asked for than memory holds; less at once may fit."""


@dataclass(frozen=True)
class ModelRef:
    """Which model a number came from.

    Attributes:
        base: Folder or hub name of the model, or of the adapter's base model.
        adapter: Folder or hub name of the PEFT adapter; `None` for a full model.
        revision: Commit on the hub, where the model came from there.
        dtype: Number format of the weights in memory.
        device: Where it ran.
        n_parameters: Parameters, the adapter's included.
        template_digest: `ChatFormat.digest` of the prompt format.
        weights_digest: SHA-256 over the safetensors files, base before adapter.
    """

    base: str
    adapter: str | None
    revision: str | None
    dtype: str
    device: str
    n_parameters: int
    template_digest: str
    weights_digest: str


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model in evaluation mode, with its prompt format."""

    model: Any
    chat: ChatFormat
    ref: ModelRef

    @property
    def n_positions(self) -> int | None:
        """The longest sequence that it reads; `None` where its configuration sets no limit."""
        limit = getattr(self.model.config, "max_position_embeddings", None)
        return int(limit) if limit else None

    @property
    def n_vocabulary(self) -> int:
        """Columns of its logits; at least the tokenizer's tokens, often rounded up."""
        return int(self.model.get_output_embeddings().weight.shape[0])


@dataclass(frozen=True)
class LogProbs:
    """Log-probabilities of some positions of some consecutive responses.

    Attributes:
        first: Number of the first of the responses.
        start: First position within each response.
        values: Float32 in nats, shape `(n_responses, n_positions, vocabulary)`; positions after the end of a response
            hold numbers without meaning.
    """

    first: int
    start: int
    values: torch.Tensor


def load_model(
    where: str | Path,
    *,
    base: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    chat: ChatFormat | None = None,
) -> LanguageModel:
    """Load a model, or a PEFT adapter on its base model.

    Args:
        where: A folder, or a hub name `org/name` or `org/name@revision`; nothing is downloaded with `HF_HUB_OFFLINE=1`.
        base: The base model of an adapter, where the one that it records is no longer there.
        device: As torch names it; `auto` takes the first GPU, else the processor.
        dtype: `float32`, `bfloat16`, `float16`; `auto` is float32 on a processor, bfloat16 on a GPU that computes in it.
        chat: Prompt format to use in place of the model's own, whose tokenizer must have the same vocabulary; for base
            models, which often come without a template.

    Raises:
        InputError: No such model, no safetensors weights, weights missing, code in the folder, no chat template, or a
            tokenizer that does not fit.
    """
    import torch

    folder, revision = find_model_folder(where)
    adapter = folder if (folder / "adapter_config.json").exists() else None
    base_name = str(where)
    if adapter is not None:
        base_name = str(base) if base is not None else recorded_base(adapter)
        folder, revision = find_model_folder(base_name, of_adapter=None if base is not None else adapter)
        if (folder / "adapter_config.json").exists():
            raise InputError("is an adapter, not a base model", where=base_name, remedy="name the model that it was trained on")
    tokenizer_folder = adapter if adapter is not None and _has_tokenizer(adapter) else folder
    files = [*weight_files(folder), *(weight_files(adapter) if adapter is not None else ())]
    if chat is None:
        chat = load_chat_format(tokenizer_folder)
        tokenizer = chat.tokenizer
    else:
        tokenizer = load_tokenizer(tokenizer_folder)
        _check_same_vocabulary(tokenizer, chat.tokenizer)
    device = _device(device)
    _check_fits(base_name, files, _dtype(dtype, device), device)
    model = _load_weights(folder, _dtype(dtype, device))
    _check_tokenizer_fits(model, tokenizer, tokenizer_folder)
    if adapter is not None:
        model = _add_adapter(model, adapter)
    with enough_memory(base_name):
        model = model.to(device).eval()
    _forget_sampling(model)
    ref = ModelRef(
        base=base_name,
        adapter=None if adapter is None else str(where),
        revision=revision,
        dtype=str(next(model.parameters()).dtype).removeprefix("torch."),
        device=device if device == "cpu" else torch.cuda.get_device_name() if device.startswith("cuda") else device,
        n_parameters=sum(parameter.numel() for parameter in model.parameters()),
        template_digest=chat.digest,
        weights_digest=_digest(files),
    )
    return LanguageModel(model, chat, ref)


def find_model_folder(where: str | Path, *, of_adapter: Path | None = None) -> tuple[Path, str | None]:
    """The folder that holds a model, and its revision where it is one of the hub's.

    Args:
        where: A folder, or `org/name` or `org/name@revision`.
        of_adapter: The adapter that records `where` as its base, for the message.

    Raises:
        InputError: There is no such folder or model, or the hub cannot be reached.
    """
    if Path(where).is_dir():
        return Path(where), None
    name = str(where)
    asked_for = f" of the adapter {of_adapter}" if of_adapter is not None else ""
    named = "name its base model" if of_adapter is not None else "name a model folder, or org/name of the hub"
    if not _HUB_NAME.fullmatch(name) or Path(where).exists():
        raise InputError(f"no such model folder{asked_for}", where=name, remedy=named)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    repository, _, revision = name.partition("@")
    patterns = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model"]
    try:
        folder = Path(snapshot_download(repository, revision=revision or None, allow_patterns=patterns))
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError, OSError) as error:
        raise InputError(
            f"neither a folder nor a model{asked_for} that can be fetched from the hub",
            where=name,
            why=next(iter(str(error).splitlines()), type(error).__name__),
            remedy=f"{named}; with HF_HUB_OFFLINE=1 only what was downloaded before is found",
        ) from error
    return folder, folder.name


def weights_digest(where: str | Path) -> str:
    """SHA-256 over the safetensors files of a model's or adapter's folder; for a full model, `ModelRef.weights_digest`.

    Raises:
        InputError: It holds no safetensors weights.
    """
    folder, _ = find_model_folder(where)
    return _digest(weight_files(folder))


def generate(
    model: LanguageModel, prompts: Sequence[tuple[int, ...]], *, max_new_tokens: int, batch_size: int = 32
) -> tuple[tuple[int, ...], ...]:
    """Greedy continuations, in the order of the prompts, without the token that ended them.

    Prompts of like length share a batch, padded on the left. In float32 a batch changes an answer only where two tokens
    are equally likely to the last bits.

    Args:
        model: The model.
        prompts: Token ids, as `ChatFormat.prompt` gives them.
        max_new_tokens: Where a continuation stops that has not ended.
        batch_size: Prompts at once.

    Raises:
        InputError: A prompt leaves no room for `max_new_tokens` among the model's positions.
    """
    import torch

    _check_room(model, [len(prompt) + max_new_tokens for prompt in prompts], f"a prompt and {max_new_tokens} new tokens")
    order = sorted(range(len(prompts)), key=lambda number: (len(prompts[number]), number))
    answers: dict[int, tuple[int, ...]] = {}
    for begin in range(0, len(order), batch_size):
        numbers = order[begin : begin + batch_size]
        ids, mask = _left_padded([prompts[number] for number in numbers], model)
        with enough_memory(model.ref.base), torch.inference_mode():
            made = model.model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                num_beams=1,
                eos_token_id=list(model.chat.eos_ids),
                pad_token_id=model.chat.pad_id,
            )
        for number, new in zip(numbers, made[:, ids.shape[1] :].tolist(), strict=True):
            answers[number] = _before_end(new, model.chat.eos_ids)
    return tuple(answers[number] for number in range(len(prompts)))


def answer(
    model: LanguageModel, prompts: Sequence[Sequence[Message]], *, max_new_tokens: int, batch_size: int = 32
) -> tuple[str, ...]:
    """Greedy answers as text, in the order of the prompts.

    Raises:
        InputError: The template cannot render a prompt, or it is too long for the model.
    """
    ids = [model.chat.prompt(messages) for messages in prompts]
    made = generate(model, ids, max_new_tokens=max_new_tokens, batch_size=batch_size)
    return tuple(model.chat.decode(new) for new in made)


def log_prob_chunks(
    model: LanguageModel,
    prompt_ids: Sequence[Sequence[int]],
    response_ids: Sequence[Sequence[int]],
    *,
    batch_size: int = 32,
    max_values: int = MAX_VALUES,
    n_vocabulary: int | None = None,
) -> Iterator[LogProbs]:
    """One teacher-forced pass: log-probabilities of the vocabulary at every position of every response, chunk by chunk.

    Consecutive responses share a batch, prompts padded on the left and responses on the right; give those of like length
    together. Where a batch has more values than `max_values`, its positions pass through the model in chunks that share
    a cache of keys and values, so that memory is bounded whatever the vocabulary. The chunks depend on the lengths and
    on the last three arguments alone: two models that are given the same yield them in step.

    Args:
        model: The model.
        prompt_ids: What stands before each response; not empty.
        response_ids: The responses.
        batch_size: Responses at once.
        max_values: Log-probabilities at once, though always one position of one response.
        n_vocabulary: Only the first so many tokens take part, where a model has more columns than its tokenizer tokens.

    Yields:
        By batch, within a batch by position.

    Raises:
        InputError: A prompt and its response are longer than the model reads.
        MemoryRanOutError: A batch does not fit.
    """
    import torch

    lengths = [len(prompt) + len(response) for prompt, response in zip(prompt_ids, response_ids, strict=True)]
    _check_room(model, lengths, "a prompt and its response")
    width = n_vocabulary or model.n_vocabulary
    n_rows = max(1, min(batch_size, max_values // width))
    for first in range(0, len(response_ids), n_rows):
        rows = slice(first, first + n_rows)
        ids, mask, n_prompt = _prompts_and_responses(prompt_ids[rows], response_ids[rows], model)
        n_positions = ids.shape[1] - n_prompt
        n_chunk = max(1, max_values // (len(ids) * width))
        cache = None
        # The last column of the prompts predicts the first token of the responses.
        for start in range(0, n_positions, n_chunk):
            stop = min(start + n_chunk, n_positions)
            columns = slice(0 if start == 0 else n_prompt - 1 + start, n_prompt - 1 + stop)
            with enough_memory(model.ref.base), torch.inference_mode():
                logits, cache = _forward(
                    model.model, ids, mask, columns, n_kept=stop - start, cache=cache, keep_cache=stop < n_positions
                )
                values = logits[..., :width].float().log_softmax(dim=-1)
            yield LogProbs(first, start, values)


def token_log_probs(
    model: LanguageModel,
    prompt_ids: Sequence[Sequence[int]],
    response_ids: Sequence[Sequence[int]],
    *,
    batch_size: int = 32,
    max_values: int = MAX_VALUES,
) -> Iterator[torch.Tensor]:
    """As `log_prob_chunks`, whole responses in order: float32 of shape `(n_tokens, vocabulary)`, in nats.

    A batch of responses is held at once, 4 bytes per token and column of the vocabulary.

    Raises:
        InputError: As `log_prob_chunks`.
    """
    import torch

    parts: list[torch.Tensor] = []
    chunks = log_prob_chunks(model, prompt_ids, response_ids, batch_size=batch_size, max_values=max_values)
    n_rows = max(1, min(batch_size, max_values // model.n_vocabulary))
    for first in range(0, len(response_ids), n_rows):
        rows = response_ids[first : first + n_rows]
        longest = max(map(len, rows))
        while sum(part.shape[1] for part in parts) < longest:
            parts.append(next(chunks).values)
        whole = torch.cat(parts, dim=1) if parts else torch.zeros(len(rows), 0, model.n_vocabulary)
        parts.clear()
        for row, response in enumerate(rows):
            yield whole[row, : len(response)]


@contextmanager
def enough_memory(where: str) -> Iterator[None]:
    """Says in a line that memory ran out, which torch says in its own ways.

    Raises:
        MemoryRanOutError: It did.
    """
    import torch

    try:
        yield
    except (RuntimeError, MemoryError) as error:
        is_allocation = isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)
        if not is_allocation:
            raise
        raise MemoryRanOutError(
            "memory ran out",
            where=where,
            why=next(iter(str(error).splitlines()), "")[:200],
            remedy="use a smaller --dtype or another --device, and where the command has --batch-size, a smaller one",
        ) from error


def _prompts_and_responses(
    prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], model: LanguageModel
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Token ids and mask of shape `(n_rows, n_columns)`, and the column at which all responses begin."""
    import torch

    n_prompt, n_response = max(map(len, prompts)), max(map(len, responses))
    ids = torch.full((len(prompts), n_prompt + n_response), model.chat.pad_id)
    mask = torch.zeros_like(ids)
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        start, stop = n_prompt - len(prompt), n_prompt + len(response)
        ids[row, start:stop] = torch.tensor([*prompt, *response])
        mask[row, start:stop] = 1
    device = model.model.device
    return ids.to(device), mask.to(device), n_prompt


def _forward(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, columns: slice, *, n_kept: int, cache: Any, keep_cache: bool
) -> tuple[torch.Tensor, Any]:
    """Logits of the last `n_kept` of some columns, and the cache with these columns added."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    known = inspect.signature(inner.forward).parameters
    options: dict[str, Any] = {"attention_mask": mask[:, : columns.stop], "use_cache": keep_cache or cache is not None}
    if "position_ids" in known:
        options["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, columns]
    if "logits_to_keep" in known:
        options["logits_to_keep"] = n_kept
    if cache is not None:
        options["past_key_values"] = cache
    output = model(input_ids=ids[:, columns], **options)
    return output.logits[:, -n_kept:], output.past_key_values if keep_cache else None


def _left_padded(prompts: Sequence[Sequence[int]], model: LanguageModel) -> tuple[torch.Tensor, torch.Tensor]:
    ids, mask, _ = _prompts_and_responses(prompts, [()] * len(prompts), model)
    return ids, mask


def _before_end(ids: Sequence[int], eos_ids: Sequence[int]) -> tuple[int, ...]:
    end = next((place for place, number in enumerate(ids) if number in eos_ids), len(ids))
    return tuple(ids[:end])


def _check_room(model: LanguageModel, lengths: Sequence[int], what: str) -> None:
    limit = model.n_positions
    for number, length in enumerate(lengths):
        if limit is not None and length > limit:
            raise InputError(
                f"{what} take {length} tokens, and the model reads {limit}",
                where=f"prompt {number + 1}",
                remedy="leave the prompt out or shorten it, or ask for fewer new tokens",
            )


def loaded_bytes(files: Sequence[Path], dtype: torch.dtype) -> int:
    """What the weights of some safetensors files take in memory in a number format; a damaged file counts for nothing."""
    from safetensors import SafetensorError, safe_open

    total = 0
    for file in files:
        try:
            with safe_open(file, framework="pt") as weights:
                total += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
        except (SafetensorError, OSError):
            continue  # loading it says what is wrong
    return total * dtype.itemsize


def _check_fits(name: str, files: Sequence[Path], dtype: torch.dtype, device: str) -> None:
    """A model that does not fit is refused before minutes go into loading it, where a machine would end in swapping."""
    import psutil
    import torch

    needed = loaded_bytes(files, dtype)
    on_gpu = device.startswith("cuda")
    free = torch.cuda.mem_get_info(device)[0] if on_gpu else psutil.virtual_memory().available
    if needed > free:
        narrower = "" if dtype.itemsize < 4 else "--dtype bfloat16 (half the size), "
        raise InputError(
            f"the model takes {needed / 1e9:.1f} GB of memory as {str(dtype).removeprefix('torch.')}",
            where=name,
            why=f"{free / 1e9:.1f} GB are free on {'the GPU' if on_gpu else 'this machine'}",
            remedy=f"pass {narrower}--device {'cpu' if on_gpu else 'cuda where there is a GPU'}, or use a smaller model",
        )


def _load_weights(folder: Path, dtype: torch.dtype) -> Any:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    try:
        with only_errors():
            model, info = AutoModelForCausalLM.from_pretrained(
                str(folder),
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
            )
    except Exception as error:  # damaged files end in whatever the parser of the day raises
        raise _unloadable(folder, error) from error
    missing = sorted(info["missing_keys"])
    if missing:
        raise InputError(
            f"the checkpoint lacks {len(missing)} weights of the model, {missing[0]} among them",
            where=str(folder),
            remedy="save the whole model again with save_pretrained",
        )
    return model


def _add_adapter(model: Any, adapter: Path) -> Any:
    from peft import PeftConfig, PeftModel

    try:
        config = PeftConfig.from_pretrained(str(adapter))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            model = PeftModel.from_pretrained(model, str(adapter), config=config, is_trainable=False)
    except Exception as error:  # as for full weights
        raise _unloadable(adapter, error) from error
    if config.is_prompt_learning:
        raise InputError(
            "an adapter of virtual tokens",
            where=str(adapter),
            why="its prompts are not text, so that positions of base and tuned model differ",
            remedy="use an adapter of weights, such as LoRA",
        )
    missing = next((str(warning.message) for warning in said if "missing adapter keys" in str(warning.message)), None)
    if missing is not None:
        raise InputError("the adapter lacks weights", where=str(adapter), why=missing[:200], remedy="save the adapter again")
    return model


def _unloadable(folder: Path, error: Exception) -> InputError:
    check_json_files(folder)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if "ignore_mismatched_sizes" in lines[0]:  # transformers points to a report that it has logged
        lines = ["weights have other shapes than config.json says"]
    why = next((line for line in lines if line.startswith("size mismatch")), lines[0])
    return InputError(
        "the model cannot be loaded",
        where=str(folder),
        why=why[:300],
        remedy="check that config and safetensors files belong together, and that the architecture needs no code of its own",
    )


def _forget_sampling(model: Any) -> None:
    """Temperatures and penalties of the folder's generation config would bend greedy answers."""
    from transformers import GenerationConfig

    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    inner.generation_config = GenerationConfig()


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model's or an adapter's folder, in the order of their names.

    Raises:
        InputError: There are none, or shards are missing.
    """
    what = "adapter" if (folder / "adapter_config.json").exists() else "model"
    stem = "adapter_model" if what == "adapter" else "model"
    single, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if single.exists():
        return [single]
    if index.exists():
        try:
            names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise InputError("cannot be read", where=str(index), why=str(error), remedy=f"save the {what} again") from error
        absent = [name for name in names if not (folder / name).exists()]
        if absent:
            raise InputError(
                f"{len(absent)} of {len(names)} weight files are missing, {absent[0]} among them",
                where=str(folder),
                remedy="copy the whole folder",
            )
        return [folder / name for name in names]
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise InputError(
            f"no safetensors weights, only {pickles[0]}",
            where=str(folder),
            why="a pickle can run code when it is loaded, and is not opened",
            remedy="convert it where you trust it: AutoModelForCausalLM.from_pretrained(…).save_pretrained(…)",
        )
    raise InputError(
        f"no {what} weights",
        where=str(folder),
        why=f"no {stem}.safetensors",
        remedy="name the folder of a finished checkpoint",
    )


def recorded_base(adapter: Path) -> str:
    """The base model that an adapter's folder names.

    Raises:
        InputError: It names none, or cannot be read.
    """
    file = adapter / "adapter_config.json"
    try:
        named = json.loads(file.read_text("utf-8")).get("base_model_name_or_path")
    except (ValueError, AttributeError) as error:
        raise InputError("cannot be read", where=str(file), why=str(error), remedy="save the adapter again") from error
    if not isinstance(named, str) or not named:
        raise InputError("the adapter names no base model", where=str(file), remedy="set base_model_name_or_path there")
    return named


def _has_tokenizer(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("tokenizer.json", "tokenizer.model"))


def _check_tokenizer_fits(model: Any, tokenizer: Any, folder: Path) -> None:
    n_rows = int(model.get_input_embeddings().weight.shape[0])
    text, number = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if number >= n_rows:
        raise InputError(
            f"the tokenizer does not fit the model: token {text!r} is number {number}, the model knows {n_rows}",
            where=str(folder),
            remedy="use the tokenizer that the model was trained with, or save the model after resize_token_embeddings",
        )


def _check_same_vocabulary(tokenizer: Any, other: Any) -> None:
    ours, theirs = tokenizer.get_vocab(), other.get_vocab()
    if ours == theirs:
        return
    differing = [text for text in ours.keys() | theirs.keys() if ours.get(text) != theirs.get(text)]
    first = min(differing, key=lambda text: (min(ours.get(text, len(ours)), theirs.get(text, len(theirs))), text))
    raise InputError(
        f"its tokenizer is not that of {other.name_or_path}: {len(differing)} tokens differ",
        where=str(tokenizer.name_or_path),
        why=f"{first!r} is number {ours.get(first, 'none')} here and {theirs.get(first, 'none')} there",
        remedy="compare a model with the base model that it was tuned from, both with the tokenizer of the tuning",
    )


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        why = next(iter(str(error).splitlines()), "")[:200]
        if why.startswith("Expected one of"):  # torch lists twenty kinds of device, most of which nobody has
            why = "torch knows no such kind of device"
        raise InputError(f"no device {name!r}", why=why, remedy="use auto, cpu, cuda or mps") from error
    return name


def _dtype(name: str, device: str) -> torch.dtype:
    import torch

    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name == "auto":
        return torch.bfloat16 if device.startswith("cuda") and torch.cuda.is_bf16_supported() else torch.float32
    if name not in known:
        raise InputError(f"unknown number format {name!r}", remedy=f"use auto, {', '.join(known)}")
    return known[name]


def _digest(files: Sequence[Path]) -> str:
    whole = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()
