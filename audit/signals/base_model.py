"""What the base model makes of every response: rank and log-probability of every token, from one teacher-forced pass.

The prompt and the response so far stand before each token, in the model's own chat format; a base model without one gets a
plain format of headings. A second, shorter sequence has the same tokens of the response with nothing before them but the
token that begins a text (the tokenizer's own, else the one that ends a text): the mean loss given the prompt over that of
the response *alone* is the instruction-following difficulty (IFD). Both means are over the same tokens, the first one of
the response among them; Cherry LLM's code has a heading before the response in place of the token that begins a text.

What is measured of a text is kept in the machine's cache under the text, the model and the format, so that only what
changed is measured again. Texts go in shards of like length, and a shard that is finished is kept: a pass that was killed
goes on with the next. Shards are fixed by the texts; on a processor a small model runs in as many processes as there are
cores, each with one thread, and any number of them gives the same bytes.

The price is one forward pass over all rows and another over all responses (for a million parameters some 50 rows of
Alpaca, 19,000 tokens, a second on each core) and, while the tokens are put together, 28 bytes of memory for each. Batches
change the last bits of a log-probability: it is rounded to 4 places, and where a dataset has been edited the last place
may differ from that of a pass without the cache.

Source: Lin et al. (2024), The Unlocking Spell on Base LLMs, section 2, for ranks and their classes; Li et al. (2024), From
Quantity to Quality (Cherry LLM), section 2.2, for IFD.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from audit.chat_templates import read_chat_template
from audit.corpus import Corpus
from audit.engines import LocalPool
from audit.errors import CorruptFileError, InputError
from audit.materials import BASE_FILES
from audit.models import LanguageModel, find_model_folder, load_model, weight_files, weights_digest
from audit.rendering import ChatFormat, generation_eos, load_tokenizer
from audit.signals.forward_cost import ForwardWork, forward_cost
from audit.signals.given_tokens import RANKED, Given, Room, rank_given
from audit.sources import Message
from indexes.encoders import cache_folder
from indexes.store import read_array, read_bytes, write_array, write_bytes, write_file

__all__ = [
    "PLAIN_TEMPLATE",
    "RESPONSE_SCHEMA",
    "TOKEN_SCHEMA",
    "BaseModel",
    "Conversation",
    "Measured",
    "base_signals",
    "build_base_model",
    "measure_texts",
    "open_base_model",
]

TOKEN_SCHEMA = pl.Schema(
    {
        "response": pl.UInt32(),
        "token": pl.UInt32(),
        "start": pl.UInt32(),
        "end": pl.UInt32(),
        "rank": pl.UInt32(),
        "log_p": pl.Float32(),
        "best": pl.UInt32(),
        "best_log_p": pl.Float32(),
    }
)
"""One line per token of a response, in order: the response's number, the token's number in the vocabulary, where it
stands in the response (code points, end exclusive), its rank from 1 (equal probabilities share the best place) and its
log-probability in nats, and the token that the model would rather have said, with its log-probability."""

RESPONSE_SCHEMA = pl.Schema(
    {
        "response": pl.UInt32(),
        "n_tokens": pl.UInt32(),
        "n_cut": pl.UInt32(),
        "skipped": pl.String(),
        "loss_nats_per_token": pl.Float64(),
        "marginal_fraction": pl.Float64(),
        "shifted_fraction": pl.Float64(),
        "alone_loss_nats_per_token": pl.Float64(),
        "ifd": pl.Float64(),
    }
)
"""One line per response: tokens that were measured, tokens at its end for which the model has no position, why it was
not measured ("" where it was), mean loss, the share of tokens of rank 2 or 3 and of those beyond, the mean loss of the
same tokens without the prompt, and the first of these losses over the second; null without a token."""

PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'assistant' %}{{ '### Response:\\n' + message.content + eos_token }}"
    "{% elif message.role == 'system' %}{{ message.content + '\\n\\n' }}"
    "{% else %}{{ '### Instruction:\\n' + message.content + '\\n\\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}"
)
"""The prompt format of a base model that has none of its own: Alpaca's headings."""

_VERSION = 2
_MAX_MARGINAL_RANK = 3
_TEXTS_PER_SHARD = 256
_RESPONSES_PER_GROUP = 4096
_DECIMALS = 4
# A model of so few bytes is slowed down by threads, and has room beside itself: one thread, and a process for each core.
_SMALL_MODEL_BYTES = 80_000_000
# Operations, guessed from characters, from which processes are worth their start: ten seconds, of half a minute in one.
_MIN_POOLED_FLOP = 1e12
_CHARACTERS_PER_TOKEN = 3
_NO_MEMORY = "memory ran out, though it was passed alone"

_FIELDS = ("token", "start", "end", "rank", "log_p", "best", "best_log_p")
_TOKEN = np.dtype([(name, np.float32 if "log_p" in name else np.uint32) for name in _FIELDS])
Tokens = NDArray[np.void]


@dataclass(frozen=True)
class BaseModel:
    """A base model whose files are there, not loaded yet.

    Attributes:
        name: Folder or hub name, as it was given.
        folder: Where it lies.
        chat: Its prompt format.
        is_plain: Whether that is `PLAIN_TEMPLATE`, because the model has none.
        digest: SHA-256 over weights, configuration, tokenizer and prompt format.
        template: How its chat template was named; `None` for its own, or the plain one.
    """

    name: str
    folder: Path
    chat: ChatFormat
    is_plain: bool
    digest: str
    template: str | None = None


@dataclass(frozen=True)
class Conversation:
    """A response and what stands before it."""

    messages: tuple[Message, ...]
    tools: str | None
    text: str

    @property
    def key(self) -> bytes:
        """SHA-256 of all that a model reads of it."""
        turns = [[turn.role, turn.content, turn.name, turn.reasoning, turn.tool_calls] for turn in self.messages]
        described = json.dumps([turns, self.tools, self.text])
        return hashlib.sha256(described.encode("utf-8", "surrogatepass")).digest()

    @property
    def n_characters(self) -> int:
        """Of prompt and response."""
        return sum(len(turn.content) for turn in self.messages) + len(self.text)


@dataclass(frozen=True)
class Measured:
    """What was measured of one text.

    Attributes:
        tokens: Of the response, as far as they fit the model's positions.
        n_cut: Tokens beyond them.
        skipped: Why nothing was measured; "" where it was.
        n_prompt: Tokens before the response.
        alone_loss_nats_per_token: Mean loss of the tokens without the prompt; `None` where nothing was measured.
    """

    tokens: Tokens
    n_cut: int = 0
    skipped: str = ""
    n_prompt: int = 0
    alone_loss_nats_per_token: float | None = None

    @property
    def lengths(self) -> tuple[tuple[int, int], ...]:
        """The two sequences that were passed: tokens, and how many of them were asked for."""
        n = len(self.tokens)
        return ((self.n_prompt + n, n), (1 + n, n)) if n else ()


def open_base_model(where: str, *, tokenizer: str | None = None, chat_template: str | None = None) -> BaseModel:
    """Look whether a base model can be used, before anything is measured; its weights are hashed, not loaded.

    Args:
        where: A folder with safetensors weights, or `org/name[@revision]` of the hub.
        tokenizer: Folder or hub name of the tokenizer that it will be tuned with, in place of its own; the same vocabulary.
        chat_template: A named chat template or a file, in place of the tokenizer's own.

    Raises:
        InputError: No such model, an adapter, no safetensors weights, no usable tokenizer, no such chat template, or one
            that does not show where a response ends.
    """
    folder, _ = find_model_folder(where)
    if (folder / "adapter_config.json").exists():
        raise InputError("is an adapter, not a base model", where=where, remedy="name the model that it was trained on")
    weight_files(folder)
    told, _ = (folder, None) if tokenizer is None else find_model_folder(tokenizer)
    tokens = load_tokenizer(told)
    if chat_template is not None:
        tokens.chat_template = read_chat_template(chat_template, tokens)
    is_plain = not tokens.chat_template
    chat = _plain_format(tokens, where) if is_plain else ChatFormat(tokens, generation_eos(folder))
    whole = hashlib.sha256(f"{weights_digest(folder)} {chat.digest} ".encode())
    for name in ("config.json", "tokenizer.json"):
        path = (told if name == "tokenizer.json" else folder) / name
        whole.update(hashlib.sha256(path.read_bytes() if path.exists() else b"").digest())
    return BaseModel(where, folder, chat, is_plain, whole.hexdigest(), chat_template)


def build_base_model(
    folder: Path,
    corpus: Corpus,
    base: BaseModel,
    *,
    device: str = "auto",
    dtype: str = "auto",
    cache: Path | None = None,
    stands_for: str | None = None,
    n_workers: int | None = None,
) -> Mapping[str, Any]:
    """Measure every response of a dataset and write `BASE_FILES`.

    Args:
        folder: The run folder.
        corpus: The rows.
        base: The model.
        device: As torch names it, or `auto`.
        dtype: `float32`, `bfloat16`, `float16` or `auto`.
        cache: Where finished shards are kept; `None` for the machine's cache.
        stands_for: The model that is to be tuned, where the base model is a smaller one in its place.
        n_workers: Processes of a small model on a processor; `None` for one per core where that is worth their start.

    Returns:
        What the manifest says of it: the model, its format, how many responses and tokens were measured, how many could
        not be and why, how many batches were halved for want of memory; and under `pass` what this pass measured itself
        (the rest was in the cache): texts, tokens, floating point operations of the matrix products, seconds from the
        loading of the model to the last text, and the seconds of all cores together that went into the texts.

    Raises:
        InputError: The model cannot be loaded, gives no numbers, or has no memory for a single text.
        StorageError: The disk is full.
    """
    begun = time.perf_counter()
    model = load_model(base.name, device=device, dtype=dtype, chat=base.chat)
    recipe = f"{base.digest} {model.ref.dtype} {_VERSION}"
    kept = (cache or cache_folder() / "base") / hashlib.sha256(recipe.encode()).hexdigest()
    keys, first = _distinct(corpus)
    order = sorted(first, key=lambda key: (first[key][1], key))
    measured = _in_cache(kept, order)
    shards = [order[begin : begin + _TEXTS_PER_SHARD] for begin in range(0, len(order), _TEXTS_PER_SHARD)]
    missing = [part for shard in shards if (part := [key for key in shard if key not in measured])]
    new = [key for part in missing for key in part]
    n_characters = sum(first[key][1] for key in new)
    workers = _n_workers(model, n_characters, len(missing)) if n_workers is None else n_workers
    texts = [[_conversation(corpus, first[key][0]) for key in part] for part in missing]
    n_halved, processor_s = 0, 0.0

    def keep(number: int, done: _Done) -> None:
        nonlocal n_halved, processor_s
        n_halved, processor_s = n_halved + done.n_halved, processor_s + done.processor_s
        of_shard = dict(zip(missing[number], done.measured, strict=True))
        measured.update(of_shard)
        if workers == 1:  # which takes the shortest texts first: if these do not fit, none will
            _check_memory(model, measured.values())
        _keep(kept, {key: each for key, each in of_shard.items() if each.skipped != _NO_MEMORY})

    _measure_shards(model, base, texts, workers, keep)
    _check_memory(model, measured.values())
    seconds = time.perf_counter() - begun
    responses = _response_frame([measured[key] for key in keys])
    _write_tokens(folder / BASE_FILES[0], keys, measured)
    write_file(folder / BASE_FILES[1], lambda file: responses.write_parquet(file, compression="zstd"))
    start = {"id": _start_id(model.chat), "text": model.chat.tokenizer.convert_ids_to_tokens(_start_id(model.chat))}
    described = {
        "model": asdict(model.ref),
        "stands_for": stands_for,
        "plain_format": base.is_plain,
        "template": base.template,
        "alone_start": start,
        "vocabulary": _vocabulary(model),
        "pieces": {str(number): text for number, text in _pieces(model.chat, measured).items()},
    }
    write_bytes(folder / BASE_FILES[2], json.dumps(described, ensure_ascii=False, sort_keys=True).encode())
    reasons = responses.filter(pl.col("skipped") != "")["skipped"].value_counts(sort=True)
    work = ForwardWork.of(length for key in new for length in measured[key].lengths)
    return {
        "base_model": base.name,
        "stands_for": stands_for,
        "parameters": model.ref.n_parameters,
        "digest": base.digest,
        "template_digest": model.ref.template_digest,
        "plain_format": base.is_plain,
        "template": base.template,
        "alone_start": start["text"],
        "dtype": model.ref.dtype,
        "responses": int((responses["skipped"] == "").sum()),
        "tokens": int(responses["n_tokens"].sum()),
        "prompt_tokens": sum(measured[key].n_prompt for key in keys),
        "cut_responses": responses.filter((pl.col("n_cut") > 0) & (pl.col("n_tokens") > 0)).height,
        "not_measured": dict(sorted(reasons.iter_rows())),
        "halved_batches": n_halved,
        "pass": {
            "texts": len(new),
            "prompt_tokens": sum(measured[key].n_prompt for key in new),
            "response_tokens": sum(len(measured[key].tokens) for key in new),
            "tokens_read": work.n_tokens,
            "flop": forward_cost(model).flop(work),
            "seconds": round(seconds, 3),
            "processor_s": round(processor_s, 3),
            "device": model.ref.device,
            "workers": workers,
        },
    }


def base_signals(corpus: Corpus, responses: pl.DataFrame) -> pl.DataFrame:
    """One line per row with a measured response: `row`, `base_loss_nats_per_token`, `base_shifted_fraction` and `ifd`.

    All are over the tokens of the row's responses together: `ifd` is their mean loss given what stands before each
    response, over their mean loss without it; null where the latter is 0.

    Args:
        corpus: The rows.
        responses: A frame of `RESPONSE_SCHEMA`.
    """
    weight = pl.col("n_tokens").cast(pl.Float64)
    loss, alone = ((pl.col(name) * weight).sum() for name in ("loss_nats_per_token", "alone_loss_nats_per_token"))
    return (
        corpus.responses.select("row")
        .with_row_index("response")
        .join(responses.filter(pl.col("n_tokens") > 0), on="response", maintain_order="left")
        .group_by("row", maintain_order=True)
        .agg(
            base_loss_nats_per_token=loss / weight.sum(),
            base_shifted_fraction=(pl.col("shifted_fraction") * weight).sum() / weight.sum(),
            ifd=pl.when(alone > 0).then(loss / alone),
        )
    )


def measure_texts(model: LanguageModel, texts: Sequence[Conversation], room: Room | None = None) -> list[Measured]:
    """Measure some responses, in their order; sequences of like length share a batch.

    A response that does not fit the model's positions is measured as far as it fits; one that the template cannot render,
    whose prompt leaves no room, or that memory has no room for even alone, is not, and says why.

    Args:
        model: The model.
        texts: The responses.
        room: How much to pass at once, and what became of it; changed where memory runs out.

    Raises:
        InputError: The model gives no numbers.
    """
    measured: dict[int, Measured] = {}
    rendered: dict[int, Tokens] = {}
    sequences: list[Given] = []
    start = _start_id(model.chat)
    for number, text in enumerate(texts):
        try:
            tokens = model.chat.response(text.messages, text.text, tools=text.tools)
        except InputError as error:
            measured[number] = Measured(_no_tokens(), skipped=error.what)
            continue
        n_all, n_prompt = len(tokens.response_ids), len(tokens.prompt_ids)
        room_left = n_all if model.n_positions is None else max(0, min(n_all, model.n_positions - n_prompt))
        reason, n_cut = "", n_all - room_left
        if not n_all:
            reason = "no token to measure"
        elif not n_prompt:
            reason, n_cut = "nothing stands before the response", 0
        elif not room_left:
            reason = f"the prompt is longer than the model's {model.n_positions} positions"
        measured[number] = Measured(_no_tokens(), n_cut, reason, 0 if reason else n_prompt)
        if not reason:
            rendered[number] = of_text = np.zeros(room_left, _TOKEN)
            of_text["token"] = tokens.response_ids[:room_left]
            of_text["start"], of_text["end"] = np.array(tokens.spans[:room_left], np.uint32).T
            ids = of_text["token"].astype(np.int32)
            sequences.append(Given(np.concatenate([np.array(tokens.prompt_ids, np.int32), ids]), n_prompt))
            sequences.append(Given(np.concatenate([np.array([start], np.int32), ids]), 1))
    found = rank_given(model, sequences, n_vocabulary=_vocabulary(model), room=room or Room())
    for number, with_prompt, alone in zip(rendered, found[::2], found[1::2], strict=True):
        n_cut, n_prompt = measured[number].n_cut, measured[number].n_prompt
        if with_prompt is None or alone is None:
            measured[number] = Measured(_no_tokens(), n_cut, _NO_MEMORY)
            continue
        for name in RANKED.names or ():
            of_tokens = with_prompt[name]
            rendered[number][name] = of_tokens.round(_DECIMALS) if "log_p" in name else of_tokens
        measured[number] = Measured(rendered[number], n_cut, "", n_prompt, _mean_loss(alone["log_p"].round(_DECIMALS)))
    return [measured[number] for number in range(len(texts))]


def _mean_loss(log_p: NDArray[np.float32]) -> float:
    """In nats per token, never the negative nothing of a certain token."""
    return float(-log_p.astype(np.float64).mean()) + 0.0


def _start_id(chat: ChatFormat) -> int:
    """The token that stands before a response alone: the one that begins a text, else the one that ends a text."""
    for number in (chat.tokenizer.bos_token_id, chat.tokenizer.eos_token_id):
        if number is not None:
            return int(number)
    return int(chat.eos_ids[0])


# --- shards, here or in other processes -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Shard:
    """Texts for another process, and the file in which it finds the model's place, format and dtype."""

    described: str
    texts: tuple[Conversation, ...]


@dataclass(frozen=True)
class _Done:
    """A shard as it was measured, how many batches were halved, and the seconds of all cores together that it took."""

    measured: list[Measured]
    n_halved: int
    processor_s: float


def _measure_shards(
    model: LanguageModel,
    base: BaseModel,
    shards: Sequence[Sequence[Conversation]],
    n_workers: int,
    done: Callable[[int, _Done], None],
) -> None:
    """Measure shards, and tell `done` the number of each and what came of it."""
    if n_workers == 1:
        room = Room()
        with _threads_for(model):
            for number, texts in enumerate(shards):
                done(number, _measured_shard(model, texts, room))
        return
    with tempfile.TemporaryDirectory(prefix="tunescope-") as scratch, LocalPool(n_workers=n_workers, n_threads=1) as pool:
        described = Path(scratch) / "base.pickle"
        described.write_bytes(pickle.dumps((base, model.ref.dtype)))
        # The longest texts first, so that no process is left alone with them at the end.
        tasks = [_Shard(str(described), tuple(texts)) for texts in reversed(shards)]
        pool.run(
            _measure_shard,
            tasks,
            done=lambda number, result: done(len(shards) - 1 - number, result),
            describe=lambda task: f"{len(task.texts)} responses under {base.name}",
        )


def _measure_shard(task: _Shard) -> _Done:
    return _measured_shard(_loaded(task.described), task.texts, Room())


def _measured_shard(model: LanguageModel, texts: Sequence[Conversation], room: Room) -> _Done:
    n_before, begun = room.n_halved, time.process_time()
    measured = measure_texts(model, texts, room)
    return _Done(measured, room.n_halved - n_before, time.process_time() - begun)


@lru_cache(maxsize=1)
def _loaded(described: str) -> LanguageModel:
    """The model of a worker, loaded for its first shard."""
    base, dtype = pickle.loads(Path(described).read_bytes())
    return load_model(base.name, device="cpu", dtype=dtype, chat=base.chat)


def _n_workers(model: LanguageModel, n_characters: int, n_shards: int) -> int:
    """Processes that are worth their start; one for a GPU, and for a model that would fill memory twice."""
    flop = 2 * model.ref.n_parameters * 2 * n_characters / _CHARACTERS_PER_TOKEN  # with the prompt, and without
    if not _is_small(model) or flop < _MIN_POOLED_FLOP:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, n_shards))


def _is_small(model: LanguageModel) -> bool:
    """Whether one thread is best; a matter of the model alone, for threads decide the last bits of sums."""
    on_cpu: bool = model.model.device.type == "cpu"
    return on_cpu and model.ref.n_parameters * model.model.dtype.itemsize <= _SMALL_MODEL_BYTES


@contextmanager
def _threads_for(model: LanguageModel) -> Iterator[None]:
    """The threads that the model has in a process of its own as well."""
    import torch

    before = torch.get_num_threads()
    if _is_small(model):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check_memory(model: LanguageModel, measured: Collection[Measured]) -> None:
    """Whether anything fits at all: a pass that would leave every text out has failed."""
    n_failed = sum(each.skipped == _NO_MEMORY for each in measured)
    if n_failed and not any(len(each.tokens) for each in measured):
        raise InputError(
            "memory ran out",
            where=model.ref.base,
            why=f"none of {n_failed} responses fits beside the model, not even alone",
            remedy="use --dtype bfloat16 or another --device, leave out the longest rows, or let a smaller model stand in",
        )


def _distinct(corpus: Corpus) -> tuple[list[bytes], dict[bytes, tuple[tuple[int, int], int]]]:
    """The key of every response, and for each distinct one where it first stands and how long it is."""
    keys: list[bytes] = []
    first: dict[bytes, tuple[tuple[int, int], int]] = {}
    for place in corpus.responses.select("row", "turn").iter_rows():
        text = _conversation(corpus, place)
        keys.append(text.key)
        first.setdefault(keys[-1], (place, text.n_characters))
    return keys, first


def _conversation(corpus: Corpus, place: tuple[int, int]) -> Conversation:
    row, turn = place
    whole = corpus.row(row)
    return Conversation(whole.messages[:turn], whole.tools, whole.messages[turn].content)


def _in_cache(folder: Path, wanted: Collection[bytes]) -> dict[bytes, Measured]:
    """What earlier passes kept; a damaged segment is left out, and its texts are measured again."""
    found: dict[bytes, Measured] = {}
    for path in sorted(folder.glob("*.texts.parquet")):
        try:
            texts = pl.read_parquet(read_bytes(path))
            if not (hits := texts.with_columns(end=pl.col("n_tokens").cum_sum()).filter(pl.col("key").is_in(wanted))).height:
                continue
            tokens = read_array(path.with_name(path.name.replace(".texts.parquet", ".tokens.npy"))).astype(_TOKEN)
        except (CorruptFileError, pl.exceptions.PolarsError):
            continue
        for key, n_tokens, *rest, end in hits.iter_rows():
            found.setdefault(key, Measured(tokens[end - n_tokens : end], *rest))
    return found


def _keep(folder: Path, measured: Mapping[bytes, Measured]) -> None:
    """Write a segment; the texts last, by which it is found."""
    if not measured:
        return
    name = hashlib.sha256(b"".join(measured)).hexdigest()[:32]
    each_of = measured.values()
    texts = pl.DataFrame(
        {
            "key": list(measured),
            "n_tokens": [len(each.tokens) for each in each_of],
            "n_cut": [each.n_cut for each in each_of],
            "skipped": [each.skipped for each in each_of],
            "n_prompt": [each.n_prompt for each in each_of],
            "alone_loss_nats_per_token": [each.alone_loss_nats_per_token for each in each_of],
        },
        schema={
            "key": pl.Binary(),
            "n_tokens": pl.Int64(),
            "n_cut": pl.Int64(),
            "skipped": pl.String(),
            "n_prompt": pl.Int64(),
            "alone_loss_nats_per_token": pl.Float64(),
        },
    )
    write_array(folder / f"{name}.tokens.npy", np.concatenate([each.tokens for each in measured.values()]))
    write_file(folder / f"{name}.texts.parquet", lambda file: texts.write_parquet(file))


def _response_frame(measured: Sequence[Measured]) -> pl.DataFrame:
    """A frame of `RESPONSE_SCHEMA`."""
    records = []
    for number, each in enumerate(measured):
        ranks = each.tokens["rank"]
        means: tuple[float | None, ...] = (None,) * 5
        if len(ranks) and (alone := each.alone_loss_nats_per_token) is not None:
            is_marginal = (ranks > 1) & (ranks <= _MAX_MARGINAL_RANK)
            loss = _mean_loss(each.tokens["log_p"])
            ifd = loss / alone if alone > 0 else None
            means = loss, float(is_marginal.mean()), float((ranks > _MAX_MARGINAL_RANK).mean()), alone, ifd
        records.append((number, len(ranks), each.n_cut, each.skipped, *means))
    return pl.DataFrame(records, schema=RESPONSE_SCHEMA, orient="row")


def _write_tokens(path: Path, keys: Sequence[bytes], measured: Mapping[bytes, Measured]) -> None:
    """The tokens of every response as Parquet of `TOKEN_SCHEMA`, some thousand responses at a time."""

    def write(file: Any) -> None:
        schema = pl.DataFrame(schema=TOKEN_SCHEMA).to_arrow().schema
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for begin in range(0, len(keys), _RESPONSES_PER_GROUP):
                parts = [measured[key].tokens for key in keys[begin : begin + _RESPONSES_PER_GROUP]]
                tokens = np.concatenate(parts)
                numbers = np.repeat(np.arange(begin, begin + len(parts)), [len(part) for part in parts])
                columns = {"response": numbers} | {name: tokens[name] for name in _FIELDS}
                writer.write_table(pl.DataFrame(columns, schema_overrides=TOKEN_SCHEMA).to_arrow().cast(schema))

    write_file(path, write)


def _pieces(chat: ChatFormat, measured: Mapping[bytes, Measured]) -> dict[int, str]:
    """The text of every token that the model would rather have said somewhere."""
    best = [np.unique(each.tokens["best"]) for each in measured.values()]
    numbers: list[int] = np.unique(np.concatenate(best)).tolist() if best else []
    return {number: chat.decode([number]) for number in numbers}


def _vocabulary(model: LanguageModel) -> int:
    """Tokens that the tokenizer can write; a model may have more columns."""
    return min(model.n_vocabulary, 1 + int(max(model.chat.tokenizer.get_vocab().values())))


def _plain_format(tokenizer: Any, where: str) -> ChatFormat:
    if tokenizer.eos_token is None:
        raise InputError(
            "the tokenizer has neither a chat template nor a token that ends a text",
            where=where,
            remedy="set eos_token, or the template that the model is to be used with, and save_pretrained",
        )
    begins = tokenizer.bos_token is not None and tokenizer("").input_ids[:1] == [tokenizer.bos_token_id]
    tokenizer.chat_template = ("{{ bos_token }}" if begins else "") + PLAIN_TEMPLATE
    return ChatFormat(tokenizer)


def _no_tokens() -> Tokens:
    return np.zeros(0, _TOKEN)
