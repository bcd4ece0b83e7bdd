"""What the base model makes of every response: rank and log-probability of every token, from one teacher-forced pass.

The prompt and the response so far stand before each token, in the model's own chat format; a base model without one gets a
plain format of headings. What is measured of a text is kept in the machine's cache under the text, the model and the
format, so that only what changed is measured again. Texts go in shards of like length, and a shard that is finished is
kept: a pass that was killed goes on with the next.

The price is one forward pass over all rows (for a million parameters some 40 rows of Alpaca, 6,000 tokens, a second on one
core) and, while the tokens are put together, 28 bytes of memory for each. Batches change the last bits of a
log-probability: it is rounded to 4 places, and where a dataset has been edited the last place may differ from that of a
pass without the cache.

Source: Lin et al. (2024), The Unlocking Spell on Base LLMs, section 2, for ranks and their classes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from audit.corpus import Corpus
from audit.errors import CorruptFileError, InputError
from audit.materials import BASE_FILES
from audit.models import (
    LanguageModel,
    find_model_folder,
    load_model,
    log_prob_chunks,
    weight_files,
    weights_digest,
)
from audit.rendering import ChatFormat, load_chat_format, load_tokenizer
from audit.sources import Message
from indexes.encoders import cache_folder
from indexes.store import read_array, read_bytes, write_array, write_bytes, write_file

if TYPE_CHECKING:
    import torch

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
    }
)
"""One line per response: tokens that were measured, tokens at its end for which the model has no position, why it was
not measured ("" where it was), mean loss, and the share of tokens of rank 2 or 3 and of those beyond; null without a token."""

PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'assistant' %}{{ '### Response:\\n' + message.content + eos_token }}"
    "{% elif message.role == 'system' %}{{ message.content + '\\n\\n' }}"
    "{% else %}{{ '### Instruction:\\n' + message.content + '\\n\\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}"
)
"""The prompt format of a base model that has none of its own: Alpaca's headings."""

_VERSION = 1
_MAX_MARGINAL_RANK = 3
_TEXTS_PER_SHARD = 256
_RESPONSES_PER_GROUP = 4096
# Columns of a batch: tokens with their padding.
_MAX_TOKENS_AT_ONCE = 8192
_MAX_TEXTS_AT_ONCE = 32
_DECIMALS = 4

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
    """

    name: str
    folder: Path
    chat: ChatFormat
    is_plain: bool
    digest: str


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
    """What was measured of one text; `skipped` says why nothing was, `n_cut` counts tokens beyond the model's positions."""

    tokens: Tokens
    n_cut: int = 0
    skipped: str = ""


def open_base_model(where: str) -> BaseModel:
    """Look whether a base model can be used, before anything is measured; its weights are hashed, not loaded.

    Args:
        where: A folder with safetensors weights, or `org/name[@revision]` of the hub.

    Raises:
        InputError: No such model, an adapter, no safetensors weights, no usable tokenizer, or a chat template that does
            not show where a response ends.
    """
    folder, _ = find_model_folder(where)
    if (folder / "adapter_config.json").exists():
        raise InputError("is an adapter, not a base model", where=where, remedy="name the model that it was trained on")
    weight_files(folder)
    tokenizer = load_tokenizer(folder)
    is_plain = not tokenizer.chat_template
    chat = _plain_format(tokenizer, where) if is_plain else load_chat_format(folder)
    whole = hashlib.sha256(f"{weights_digest(folder)} {chat.digest} ".encode())
    for name in ("config.json", "tokenizer.json"):
        path = folder / name
        whole.update(hashlib.sha256(path.read_bytes() if path.exists() else b"").digest())
    return BaseModel(where, folder, chat, is_plain, whole.hexdigest())


def build_base_model(
    folder: Path, corpus: Corpus, base: BaseModel, *, device: str = "auto", dtype: str = "auto", cache: Path | None = None
) -> Mapping[str, Any]:
    """Measure every response of a dataset and write `BASE_FILES`.

    Args:
        folder: The run folder.
        corpus: The rows.
        base: The model.
        device: As torch names it, or `auto`.
        dtype: `float32`, `bfloat16`, `float16` or `auto`.
        cache: Where finished shards are kept; `None` for the machine's cache.

    Returns:
        What the manifest says of it: the model, its format, how many responses and tokens were measured, how many could
        not be and why, and how many texts were found in the cache.

    Raises:
        InputError: The model cannot be loaded, gives no numbers, or memory runs out.
        StorageError: The disk is full.
    """
    model = load_model(base.name, device=device, dtype=dtype, chat=base.chat)
    recipe = f"{base.digest} {model.ref.dtype} {_VERSION}"
    kept = (cache or cache_folder() / "base") / hashlib.sha256(recipe.encode()).hexdigest()
    keys, first = _distinct(corpus)
    order = sorted(first, key=lambda key: (first[key][1], key))
    measured = _in_cache(kept, order)
    for begin in range(0, len(order), _TEXTS_PER_SHARD):
        missing = [key for key in order[begin : begin + _TEXTS_PER_SHARD] if key not in measured]
        if missing:
            found = measure_texts(model, [_conversation(corpus, first[key][0]) for key in missing])
            measured.update(zip(missing, found, strict=True))
            _keep(kept, {key: measured[key] for key in missing})
    responses = _response_frame([measured[key] for key in keys])
    _write_tokens(folder / BASE_FILES[0], keys, measured)
    write_file(folder / BASE_FILES[1], lambda file: responses.write_parquet(file, compression="zstd"))
    described = {
        "model": asdict(model.ref),
        "plain_format": base.is_plain,
        "vocabulary": _vocabulary(model),
        "pieces": {str(number): text for number, text in _pieces(model.chat, measured).items()},
    }
    write_bytes(folder / BASE_FILES[2], json.dumps(described, ensure_ascii=False, sort_keys=True).encode())
    reasons = responses.filter(pl.col("skipped") != "")["skipped"].value_counts(sort=True)
    return {
        "base_model": base.name,
        "digest": base.digest,
        "plain_format": base.is_plain,
        "dtype": model.ref.dtype,
        "responses": int((responses["skipped"] == "").sum()),
        "tokens": int(responses["n_tokens"].sum()),
        "cut_responses": responses.filter((pl.col("n_cut") > 0) & (pl.col("n_tokens") > 0)).height,
        "not_measured": dict(sorted(reasons.iter_rows())),
    }


def base_signals(corpus: Corpus, responses: pl.DataFrame) -> pl.DataFrame:
    """One line per row with a measured response: `row`, `base_loss_nats_per_token` and `base_shifted_fraction`.

    Args:
        corpus: The rows.
        responses: A frame of `RESPONSE_SCHEMA`.
    """
    weight = pl.col("n_tokens").cast(pl.Float64)
    return (
        corpus.responses.select("row")
        .with_row_index("response")
        .join(responses.filter(pl.col("n_tokens") > 0), on="response", maintain_order="left")
        .group_by("row", maintain_order=True)
        .agg(
            base_loss_nats_per_token=(pl.col("loss_nats_per_token") * weight).sum() / weight.sum(),
            base_shifted_fraction=(pl.col("shifted_fraction") * weight).sum() / weight.sum(),
        )
    )


def measure_texts(model: LanguageModel, texts: Sequence[Conversation]) -> list[Measured]:
    """Measure some responses, in their order; those of like length share a batch.

    A response that does not fit the model's positions is measured as far as it fits; one that the template cannot render,
    or whose prompt leaves no room, is not, and says why.

    Args:
        model: The model.
        texts: The responses.

    Raises:
        InputError: The model gives no numbers, or memory runs out.
    """
    measured: dict[int, Measured] = {}
    rendered: dict[int, tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...]]] = {}
    n_cut: dict[int, int] = {}
    for number, text in enumerate(texts):
        try:
            tokens = model.chat.response(text.messages, text.text, tools=text.tools)
        except InputError as error:
            measured[number] = Measured(_no_tokens(), skipped=error.what)
            continue
        room = len(tokens.response_ids)
        if model.n_positions is not None:
            room = max(0, min(room, model.n_positions - len(tokens.prompt_ids)))
        if not tokens.response_ids:
            measured[number] = Measured(_no_tokens(), skipped="no token to measure")
        elif not tokens.prompt_ids:
            measured[number] = Measured(_no_tokens(), skipped="nothing stands before the response")
        elif not room:
            measured[number] = Measured(
                _no_tokens(), len(tokens.response_ids), f"the prompt is longer than the model's {model.n_positions} positions"
            )
        else:
            rendered[number] = tokens.prompt_ids, tokens.response_ids[:room], tokens.spans[:room]
            n_cut[number] = len(tokens.response_ids) - room
    for numbers in _batches({number: (len(prompt), len(ids)) for number, (prompt, ids, _) in rendered.items()}):
        of_batch = _measure_batch(model, [rendered[number] for number in numbers])
        for number, of_text in zip(numbers, of_batch, strict=True):
            measured[number] = Measured(of_text, n_cut[number])
    return [measured[number] for number in range(len(texts))]


def _measure_batch(
    model: LanguageModel, batch: Sequence[tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...]]]
) -> list[Tokens]:
    tokens = []
    for _, ids, spans in batch:
        of_text = np.zeros(len(ids), _TOKEN)
        of_text["token"] = ids
        of_text["start"], of_text["end"] = np.array(spans, np.uint32).reshape(-1, 2).T
        tokens.append(of_text)
    chunks = log_prob_chunks(
        model,
        [prompt for prompt, _, _ in batch],
        [ids for _, ids, _ in batch],
        batch_size=len(batch),
        n_vocabulary=_vocabulary(model),
    )
    for chunk in chunks:
        for name, values in _measures(chunk.values, [ids for _, ids, _ in batch], chunk.first, chunk.start, model).items():
            for row, of_row in enumerate(values, chunk.first):
                place = tokens[row][name][chunk.start :][: len(of_row)]
                place[:] = of_row[: len(place)]
    return tokens


def _measures(
    values: torch.Tensor, ids: Sequence[Sequence[int]], first: int, start: int, model: LanguageModel
) -> dict[str, NDArray[Any]]:
    """Rank, log-probability and best token of a chunk of positions, each of shape `(n_responses, n_positions)`."""
    import torch

    n_rows, n_positions, _ = values.shape
    padded = np.zeros((n_rows, n_positions), np.int64)
    is_token = np.zeros((n_rows, n_positions), bool)
    for row in range(n_rows):
        part = ids[first + row][start : start + n_positions]
        padded[row, : len(part)] = part
        is_token[row, : len(part)] = True
    chosen = values.gather(2, torch.from_numpy(padded).to(values.device)[..., None])
    best = values.max(dim=2)
    measures = {
        "rank": 1 + (values > chosen).sum(dim=2),
        "log_p": chosen[..., 0],
        "best": best.indices,
        "best_log_p": best.values,
    }
    found = {name: measure.cpu().numpy() for name, measure in measures.items()}
    if not (np.isfinite(found["log_p"]) & np.isfinite(found["best_log_p"]))[is_token].all():
        raise InputError(
            "the base model gives no numbers",
            where=model.ref.base,
            why="its log-probabilities are not finite",
            remedy="check the checkpoint, or try another --dtype",
        )
    return found | {name: found[name].round(_DECIMALS) for name in ("log_p", "best_log_p")}


def _batches(lengths: Mapping[int, tuple[int, int]]) -> Iterator[list[int]]:
    """Numbers of texts, those of like length together, as many as their padded lengths allow."""
    batch: list[int] = []
    prompt = response = 0
    for number in sorted(lengths, key=lambda number: (sum(lengths[number]), number)):
        widest = max(prompt, lengths[number][0]), max(response, lengths[number][1])
        is_full = len(batch) == _MAX_TEXTS_AT_ONCE or sum(widest) * (len(batch) + 1) > _MAX_TOKENS_AT_ONCE
        if batch and is_full:
            yield batch
            batch, widest = [], lengths[number]
        batch.append(number)
        prompt, response = widest
    if batch:
        yield batch


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
        for key, n_tokens, n_cut, skipped, end in hits.iter_rows():
            found.setdefault(key, Measured(tokens[end - n_tokens : end], n_cut, skipped))
    return found


def _keep(folder: Path, measured: Mapping[bytes, Measured]) -> None:
    """Write a segment; the texts last, by which it is found."""
    name = hashlib.sha256(b"".join(measured)).hexdigest()[:32]
    texts = pl.DataFrame(
        {
            "key": list(measured),
            "n_tokens": [len(each.tokens) for each in measured.values()],
            "n_cut": [each.n_cut for each in measured.values()],
            "skipped": [each.skipped for each in measured.values()],
        },
        schema={"key": pl.Binary(), "n_tokens": pl.Int64(), "n_cut": pl.Int64(), "skipped": pl.String()},
    )
    write_array(folder / f"{name}.tokens.npy", np.concatenate([each.tokens for each in measured.values()]))
    write_file(folder / f"{name}.texts.parquet", lambda file: texts.write_parquet(file))


def _response_frame(measured: Sequence[Measured]) -> pl.DataFrame:
    """A frame of `RESPONSE_SCHEMA`."""
    records = []
    for number, each in enumerate(measured):
        ranks = each.tokens["rank"]
        means: tuple[float | None, float | None, float | None] = (None, None, None)
        if len(ranks):
            is_marginal = (ranks > 1) & (ranks <= _MAX_MARGINAL_RANK)
            loss = -each.tokens["log_p"].astype(np.float64).mean()
            means = float(loss), float(is_marginal.mean()), float((ranks > _MAX_MARGINAL_RANK).mean())
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
    return min(model.n_vocabulary, len(model.chat.tokenizer))


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
