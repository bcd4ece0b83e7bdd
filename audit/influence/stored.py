"""The index of a model's states over training rows: made once, kept in the cache, opened for the rows of a run.

What a state depends on is the model's weights, its number format and the tokens of the row; so there is a folder per
model, and a row in it by the digest of its tokens and labels, whichever datasets it is part of. Rows are computed in one
forward pass; a build that was killed goes on, and rows added later are all that is computed then.

Cost: 2 × dim + 4 bytes per trained token; a forward pass without output layer, over prompts and responses.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audit.errors import CorruptFileError, InputError, VersionError
from audit.influence.closed_form import unit
from audit.influence.states import TOKENS_PER_BATCH, QueryStates, RowStates, response_states
from audit.models import LanguageModel, ModelRef
from audit.tune.rows import TrainingSet, batches_by_length
from indexes.encoders import cache_folder
from indexes.store import read_bytes, write_bytes
from indexes.tokens import SHARD_BYTES, TokenIndex, add_rows, locked, missing_rows

__all__ = ["Progress", "build_token_index", "holder_cosines", "open_token_index", "stored_states", "token_index_folder"]

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many rows are done, and how many there are."""

_FORMAT = 1
_MANIFEST = "manifest.json"
_VECTORS_AT_ONCE = 1 << 16


def token_index_folder(ref: ModelRef) -> Path:
    """Where the cache keeps the index of a model."""
    described = json.dumps({"format": _FORMAT, **_identity(ref)}, sort_keys=True)
    return cache_folder() / "tokens" / hashlib.sha256(described.encode()).hexdigest()[:32]


def build_token_index(
    folder: Path,
    model: LanguageModel,
    rows: TrainingSet,
    *,
    batch_tokens: int = TOKENS_PER_BATCH,
    shard_bytes: int = SHARD_BYTES,
    progress: Progress | None = None,
) -> TokenIndex:
    """Compute the states that the index lacks, and open it.

    A killed build that is repeated ends with the same bytes. Rows that are added to an index were batched in other company
    than in an index made at once, which can change the last of their 16 bits.

    Args:
        folder: Of the index, such as `token_index_folder` names; made if missing.
        model: Whose states.
        rows: Rendered with the model's prompt format.
        batch_tokens: Tokens of a forward pass, padding included.
        shard_bytes: Vectors that are written at once; what a kill loses.
        progress: Told after every batch.

    Raises:
        InputError: The folder is the index of another model, the rows have another format, the model's logits are no
            linear map of its states, or a state does not fit 16 bits.
        CorruptFileError: The manifest is not what was written.
        StorageError: The disk is full, or the folder cannot be written.
    """
    _check_format(model, rows)
    keys = _row_keys(rows)
    with locked(folder):
        is_new = not (folder / _MANIFEST).exists()
        if not is_new:
            _check_manifest(folder, model.ref)
        missing = missing_rows(folder, keys).tolist()
        states = response_states(model, rows, missing, batch_tokens=batch_tokens)  # refuses what it cannot read
        if is_new:
            _write_manifest(folder, model)
        n_done = len(rows) - len(missing)
        shard: list[RowStates] = []
        # Shards end with batches, so that what is left after a kill falls into the batches that it would have been in.
        for batch in batches_by_length([len(rows.input_ids[place]) for place in missing], batch_tokens):
            shard += islice(states, len(batch))
            n_done += len(batch)
            if sum(row.states.size for row in shard) * 2 >= shard_bytes:
                _store(folder, keys, shard, model)
                shard = []
            if progress is not None:
                progress("reading states", n_done, len(rows))
        if shard:
            _store(folder, keys, shard, model)
    return TokenIndex(folder, keys)


def open_token_index(folder: Path, model: LanguageModel, rows: TrainingSet) -> TokenIndex:
    """The index of a model for some rows; row `i` of it is place `i`.

    Raises:
        InputError: There is none, it is of another model, revision, number format or prompt format, or it lacks rows.
        CorruptFileError: Its manifest is not what was written.
    """
    _check_format(model, rows)
    if not (folder / _MANIFEST).exists():
        raise InputError("no index of token vectors", where=str(folder), remedy="make it, with this model and these rows")
    _check_manifest(folder, model.ref)
    return TokenIndex(folder, _row_keys(rows))


def stored_states(index: TokenIndex, places: Sequence[int]) -> tuple[RowStates, ...]:
    """The states of some rows out of the index, rounded to 16 bits; otherwise those of `response_states`.

    Raises:
        CorruptFileError: A block that is read is not what was written.
    """
    spans = [np.arange(index.offsets[place], index.offsets[place + 1]) for place in places]
    positions = np.concatenate([np.empty(0, np.int64), *spans])
    vectors = index.vectors(positions).astype(np.float32)
    tokens = index.tokens[positions]
    ends = np.cumsum([0, *map(len, spans)])
    return tuple(
        RowStates(place, tokens[begin:end], vectors[begin:end])
        for place, begin, end in zip(places, ends[:-1], ends[1:], strict=True)
    )


def holder_cosines(query: QueryStates, index: TokenIndex) -> NDArray[np.float32]:
    """`StateScores.token_state_cosine` for all rows of an index, reading only the vectors of the query's own tokens.

    The rows that hold a token, ranked by how alike the model was thinking where they said it; a shortlist. The cost is
    that of the token's occurrences: 2 bytes per dimension to read, and as many multiplications.

    Returns:
        Float32, shape `(n_targets, n_rows)`; NaN where a row does not hold the token.

    Raises:
        CorruptFileError: A block that is read is not what was written.
    """
    cosines = np.full((len(query.tokens), index.n_rows), -np.inf, np.float32)
    units = unit(query.states)
    for token in np.unique(query.tokens).tolist():
        lines = np.flatnonzero(query.tokens == token)
        positions = index.positions_of(token)
        for begin in range(0, len(positions), _VECTORS_AT_ONCE):
            part = positions[begin : begin + _VECTORS_AT_ONCE]
            of_part = units[lines] @ unit(index.vectors(part).astype(np.float32)).T
            rows, starts = np.unique(index.rows_of(part), return_index=True)  # positions ascend, and rows with them
            largest = np.maximum.reduceat(of_part, starts, axis=1)
            at = np.ix_(lines, rows)
            cosines[at] = np.maximum(cosines[at], largest)
    return np.where(np.isinf(cosines), np.float32(np.nan), cosines)


def _row_keys(rows: TrainingSet) -> list[bytes]:
    """What the states of each row depend on besides the model: its tokens, and which are trained."""
    return [
        hashlib.sha256(np.int64(len(ids)).tobytes() + ids.astype("<i4").tobytes() + labels.astype("<i4").tobytes()).digest()
        for ids, labels in zip(rows.input_ids, rows.labels, strict=True)
    ]


def _store(folder: Path, keys: Sequence[bytes], shard: Sequence[RowStates], model: LanguageModel) -> None:
    vectors = []
    for row in shard:
        with np.errstate(over="ignore"):
            vectors.append(row.states.astype(np.float16))
        if not np.isfinite(vectors[-1]).all():
            raise InputError(
                "a state does not fit 16 bits",
                where=model.ref.adapter or model.ref.base,
                why=f"its largest number is {np.abs(row.states).max():.3g}, and they end at 65504",
                remedy="trace without the index, or with another model",
            )
    add_rows(folder, [keys[row.place] for row in shard], [row.tokens for row in shard], vectors)


def _identity(ref: ModelRef) -> dict[str, str]:
    """What the states depend on besides the row, and what a user knows them by."""
    return {"weights_digest": ref.weights_digest, "template_digest": ref.template_digest, "dtype": ref.dtype}


def _write_manifest(folder: Path, model: LanguageModel) -> None:
    ref = model.ref
    content = {
        "format": _FORMAT,
        **_identity(ref),
        "dim": int(model.model.get_output_embeddings().weight.shape[1]),
        "base": ref.base,
        "adapter": ref.adapter,
        "revision": ref.revision,
    }
    write_bytes(folder / _MANIFEST, json.dumps(content, indent=1, ensure_ascii=False).encode())


def _check_manifest(folder: Path, ref: ModelRef) -> None:
    path = folder / _MANIFEST
    try:
        content = json.loads(read_bytes(path))
        found, name = {key: content[key] for key in ("format", *_identity(ref))}, content["adapter"] or content["base"]
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptFileError("is no manifest of an index", where=str(path), why=str(error)) from error
    if found["format"] != _FORMAT:
        raise VersionError(
            f"an index of format {found['format']}, and this version reads {_FORMAT}",
            where=str(folder),
            remedy="make it again in another folder",
        )
    ours = ref.adapter or ref.base
    said = {
        "weights_digest": f"it was made with the weights of {name}"
        + (", which have changed since or are of another revision" if name == ours else f", not of {ours}"),
        "template_digest": "it was made with another prompt format",
        "dtype": f"its states were computed in {found['dtype']}, the model's are in {ref.dtype}",
    }
    for key, why in said.items():
        if found[key] != _identity(ref)[key]:
            raise InputError(
                "an index of another model",
                where=str(folder),
                why=why,
                remedy="name the model that it was made with, or make one for this model in another folder",
            )


def _check_format(model: LanguageModel, rows: TrainingSet) -> None:
    if rows.template_digest != model.ref.template_digest:
        raise InputError(
            "the rows were rendered with another prompt format than the model's",
            where=model.ref.adapter or model.ref.base,
            why="the model would be asked what it says in a format that it was not tuned with",
            remedy="render them with this model's tokenizer and chat template",
        )
