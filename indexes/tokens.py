"""Vectors of tokens: for every token of some rows one vector, kept on disk in 16 bits and found by its token.

Rows are added in shards, each whole or not there, so that a killed build goes on where it was; a row is known by a key,
is stored once, and any list of keys can be opened as an index. Which vectors these are is the caller's business: arrays
come in, positions and vectors go out.

Opening reads and checks all but the vectors: 4 bytes per token and 40 per row. Vectors are read from where they lie, at
2 bytes per dimension; the 1 MiB block around one is checked the first time that the index touches it, about 1 ms.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from indexes.errors import CorruptFileError, InputError, StorageError
from indexes.store import BLOCK_BYTES, VerifiedFile, read_array, write_array

__all__ = ["SHARD_BYTES", "TokenIndex", "add_rows", "locked", "missing_rows"]

SHARD_BYTES = 1 << 26
"""Vectors of a shard, about; what a killed build has to compute again."""

_KEYS = ".keys.npy"


def add_rows(
    folder: Path, keys: Sequence[bytes], tokens: Sequence[NDArray[np.int32]], vectors: Sequence[NDArray[np.float16]]
) -> None:
    """Store some rows as one shard; the last of its files makes it count.

    Args:
        folder: Of the index; made if missing.
        keys: What each row is known by, 32 bytes each; no two alike.
        tokens: The tokens of each row, shape `(n_tokens,)`.
        vectors: Their vectors, shape `(n_tokens, dim)`, finite.

    Raises:
        StorageError: The disk is full, or the folder cannot be written.
    """
    stem = folder / hashlib.sha256(b"".join(keys)).hexdigest()[:32]
    write_array(_part(stem, ".vectors.npy"), np.concatenate(vectors).astype(np.float16, copy=False))
    write_array(_part(stem, ".tokens.npy"), np.concatenate(tokens).astype(np.int32, copy=False))
    write_array(_part(stem, ".offsets.npy"), np.cumsum([0, *map(len, tokens)]).astype(np.int64))
    write_array(_part(stem, _KEYS), np.array(keys, "S32"))


def missing_rows(folder: Path, keys: Sequence[bytes]) -> NDArray[np.int64]:
    """The numbers, ascending, of those keys whose rows are not stored; of equal keys the first. Damaged shards are not."""
    known = np.concatenate([np.empty(0, "S32"), *(shard.keys for shard in _shards(folder))])
    distinct, first = np.unique(np.array(keys, "S32"), return_index=True)
    return np.sort(first[~np.isin(distinct, known)])


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time builds an index; another waits, and finds the rows there.

    Raises:
        StorageError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire()
    except OSError as error:
        why = error.strerror or str(error)
        raise StorageError("cannot be written", where=str(folder), why=why, remedy="name another folder") from error
    try:
        yield
    finally:
        lock.release()


@dataclass(frozen=True, eq=False)
class _Shard:
    """What is read of a shard on opening: keys `(n_rows,)`, offsets `(n_rows + 1,)`, tokens `(n_tokens,)`."""

    stem: Path
    keys: NDArray[np.bytes_]
    offsets: NDArray[np.int64]
    tokens: NDArray[np.int32]

    @property
    def vectors(self) -> Path:
        """The file of vectors."""
        return _part(self.stem, ".vectors.npy")


class TokenIndex:
    """Some stored rows, in an order of their own: positions count through the tokens of row 0, then row 1, and so on.

    Args:
        folder: Where they are stored.
        keys: The rows wanted; a key may come twice.

    Attributes:
        tokens: int32, shape `(n_positions,)`.
        offsets: int64, shape `(n_rows + 1,)`: row `i` has the positions `offsets[i]` to `offsets[i + 1]`.
        dim: Length of a vector; 0 where nothing is stored.

    Raises:
        InputError: A row is not stored.
    """

    def __init__(self, folder: Path, keys: Sequence[bytes]) -> None:
        self._folder = folder
        self._shards = _shards(folder)
        self._checked: set[tuple[int, int]] = set()
        self._mapped: dict[int, np.memmap[tuple[int, ...], np.dtype[np.float16]]] = {}
        known = np.concatenate([np.empty(0, "S32"), *(shard.keys for shard in self._shards)])
        wanted = np.array(keys, "S32")
        n_missing = int((~np.isin(wanted, known)).sum())
        if n_missing:
            raise InputError(
                f"the index of token vectors lacks {n_missing} of {len(keys)} rows",
                where=str(folder),
                why="it was made from other rows, its making was broken off, or a file of it is damaged",
                remedy="make it again with these rows: those that it has are kept",
            )
        order = np.argsort(known, kind="stable")
        row = order[np.searchsorted(known[order], wanted)]
        # Where each row begins among the tokens of all shards, and which shard holds it.
        n_tokens = [len(shard.tokens) for shard in self._shards]
        self._shard_starts = np.cumsum([0, *n_tokens])
        begins = [shard.offsets[:-1] + start for shard, start in zip(self._shards, self._shard_starts, strict=False)]
        lengths = [np.diff(shard.offsets) for shard in self._shards]
        empty = np.empty(0, np.int64)
        self._begins: NDArray[np.int64] = np.concatenate([empty, *begins])[row]
        self.offsets: NDArray[np.int64] = np.concatenate([[0], np.cumsum(np.concatenate([empty, *lengths])[row])]).astype(
            np.int64
        )
        stored = np.concatenate([np.empty(0, np.int32), *(shard.tokens for shard in self._shards)])
        self.tokens: NDArray[np.int32] = stored[self._stored_at(np.arange(self.n_positions))]
        self.dim = _dim(self._shards[0].vectors) if self._shards else 0

    @property
    def n_rows(self) -> int:
        """Rows that were asked for."""
        return len(self.offsets) - 1

    @property
    def n_positions(self) -> int:
        """Tokens of all rows."""
        return int(self.offsets[-1])

    @property
    def n_bytes(self) -> int:
        """What these rows take on disk: vectors, tokens, offsets and keys, without the checksums."""
        return self.n_positions * (2 * self.dim + 4) + self.n_rows * 40

    def positions_of(self, token: int) -> NDArray[np.int64]:
        """Where a token stands, ascending."""
        order, ordered = self._postings
        return order[slice(*np.searchsorted(ordered, [token, token + 1]))]

    def rows_of(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of some positions."""
        return np.searchsorted(self.offsets, positions, side="right") - 1

    def vectors(self, positions: NDArray[np.int64]) -> NDArray[np.float16]:
        """The vectors of some positions, in their order; shape `(n_positions, dim)`.

        Raises:
            CorruptFileError: A block that holds one of them is not what was written.
        """
        vectors = np.zeros((len(positions), self.dim), np.float16)
        stored = self._stored_at(positions)
        shard_of = np.searchsorted(self._shard_starts, stored, side="right") - 1
        for number in np.unique(shard_of).tolist():
            here = np.flatnonzero(shard_of == number)
            vectors[here] = self._read(number, stored[here] - self._shard_starts[number])
        return vectors

    @cached_property
    def _postings(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Positions by token, and the tokens in that order; 12 bytes per token, 0.1 s for a million."""
        order = np.argsort(self.tokens, kind="stable").astype(np.int64, copy=False)
        return order, self.tokens[order]

    def _stored_at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where positions stand among the tokens of all shards, one shard after the other."""
        if not len(positions):
            return np.empty(0, np.int64)
        rows = self.rows_of(positions)
        return self._begins[rows] + positions - self.offsets[rows]

    def _read(self, number: int, lines: NDArray[np.int64]) -> NDArray[np.float16]:
        """Lines of the vectors of a shard, whose blocks are checked once in the life of the index."""
        path = self._shards[number].vectors
        try:
            if number not in self._mapped:
                self._mapped[number] = np.load(path, mmap_mode="r", allow_pickle=False)
            table = self._mapped[number]
            width = self.dim * table.itemsize
            first = (table.offset + lines * width) // BLOCK_BYTES
            last = (table.offset + lines * width + width - 1) // BLOCK_BYTES
            touched = {0, *first.tolist(), *last.tolist()}
            for begin, end in zip(first[last > first + 1], last[last > first + 1], strict=True):  # vectors over 1 MiB
                touched.update(range(begin, end))
            unchecked = sorted(block for block in touched if (number, block) not in self._checked)
            if unchecked:
                with VerifiedFile(path) as file:
                    for block in unchecked:
                        file.seek(block * BLOCK_BYTES)
                        file.read(1)
                self._checked.update((number, block) for block in unchecked)
            return np.asarray(table[lines])
        except (CorruptFileError, OSError, ValueError, IndexError) as error:
            raise CorruptFileError(
                "the file is not what was written",
                where=str(path),
                why=getattr(error, "why", "") or str(error),
                remedy="remove it and make the index again: only its rows are computed anew",
            ) from error


def _shards(folder: Path) -> list[_Shard]:
    """The whole shards, by name; one with a file that is missing, damaged or of another size is passed over."""
    shards = []
    dim: int | None = None
    for path in sorted(folder.glob(f"*{_KEYS}")):
        stem = path.with_name(path.name.removesuffix(_KEYS))
        try:
            keys, offsets, tokens = (read_array(_part(stem, suffix)) for suffix in (_KEYS, ".offsets.npy", ".tokens.npy"))
            shard = _Shard(stem, keys.astype("S32"), offsets.astype(np.int64), tokens.astype(np.int32))
            VerifiedFile(shard.vectors).close()
            n_vectors, shard_dim = _shape(shard.vectors)
        except CorruptFileError:
            continue
        if len(shard.offsets) == len(shard.keys) + 1 and n_vectors == len(shard.tokens) and shard_dim == (dim or shard_dim):
            dim = shard_dim
            shards.append(shard)
    return shards


def _shape(path: Path) -> tuple[int, int]:
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            (n_vectors, dim), _, _ = np.lib.format.read_array_header_1_0(file)
    except (OSError, ValueError) as error:
        raise CorruptFileError("is no array file", where=str(path), why=str(error)) from error
    return n_vectors, dim


def _dim(path: Path) -> int:
    return _shape(path)[1]


def _part(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)
