"""Vectors of tokens on disk: what is found, what is read, what a kill or a damaged file leaves."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from indexes import tokens as tokens_module
from indexes.errors import CorruptFileError, InputError, StorageError
from indexes.store import BLOCK_BYTES
from indexes.tokens import TokenIndex, add_rows, locked, missing_rows

KEYS = [hashlib.sha256(name.encode()).digest() for name in "abcd"]
TOKENS = [np.array(ids, np.int32) for ids in ([7, 8, 7], [8], [9, 7], [1, 2])]
VECTORS = [np.array([[10 * row + at, -row] for at in range(len(ids))], np.float16) for row, ids in enumerate(TOKENS)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Rows a, b in one shard and c in another; d is not stored."""
    add_rows(tmp_path / "index", KEYS[:2], TOKENS[:2], VECTORS[:2])
    add_rows(tmp_path / "index", KEYS[2:3], TOKENS[2:3], VECTORS[2:3])
    return tmp_path / "index"


def flat(vectors: NDArray[np.float16]) -> list[list[float]]:
    return vectors.astype(float).tolist()


def test_positions_count_through_the_rows_in_the_order_asked_for(folder: Path) -> None:
    index = TokenIndex(folder, [KEYS[2], KEYS[0], KEYS[2], KEYS[1]])
    assert (index.n_rows, index.n_positions, index.dim) == (4, 8, 2)
    assert index.tokens.tolist() == [9, 7, 7, 8, 7, 9, 7, 8]
    assert index.offsets.tolist() == [0, 2, 5, 7, 8]
    assert index.positions_of(7).tolist() == [1, 2, 4, 6]
    assert index.positions_of(8).tolist() == [3, 7]
    assert index.positions_of(5).tolist() == []
    assert index.rows_of(np.array([0, 1, 2, 4, 7])).tolist() == [0, 0, 1, 1, 3]
    assert flat(index.vectors(np.array([7, 0, 4, 4]))) == [[10, -1], [20, -2], [2, 0], [2, 0]]
    assert index.vectors(np.array([], np.int64)).shape == (0, 2)
    assert index.n_bytes == 8 * (2 * 2 + 4) + 4 * 40


def test_rows_that_are_not_stored_are_named_as_missing(folder: Path) -> None:
    assert missing_rows(folder, [KEYS[3], KEYS[0], KEYS[3], KEYS[2]]).tolist() == [0]
    assert missing_rows(folder / "nowhere", KEYS[:2]).tolist() == [0, 1]
    with pytest.raises(InputError, match="the index of token vectors lacks 1 of 2 rows"):
        TokenIndex(folder, [KEYS[0], KEYS[3]])


def test_added_rows_leave_the_others_as_they_are(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    add_rows(folder, KEYS[3:], TOKENS[3:], VECTORS[3:])
    assert {name: (folder / name).read_bytes() for name in before} == before
    index = TokenIndex(folder, KEYS)
    np.testing.assert_array_equal(index.vectors(np.arange(8)), np.concatenate(VECTORS))


def test_an_index_of_nothing(tmp_path: Path) -> None:
    index = TokenIndex(tmp_path / "nowhere", [])
    assert (index.n_rows, index.n_positions) == (0, 0)
    assert index.positions_of(1).tolist() == []


def test_a_row_without_tokens_has_no_positions(folder: Path) -> None:
    key = hashlib.sha256(b"empty").digest()
    add_rows(folder, [key], [np.empty(0, np.int32)], [np.empty((0, 2), np.float16)])
    index = TokenIndex(folder, [key, KEYS[1], key])
    assert index.offsets.tolist() == [0, 0, 1, 1]
    assert index.rows_of(np.array([0])).tolist() == [1]
    assert flat(index.vectors(np.array([0]))) == [[10, -1]]


@pytest.mark.parametrize("suffix", [".keys.npy", ".tokens.npy", ".offsets.npy", ".vectors.npy"])
def test_a_shard_that_is_not_whole_does_not_count(folder: Path, suffix: str) -> None:
    path = next(path for path in folder.glob(f"*{suffix}") if len(missing_rows(folder, KEYS[:3])) == 0)
    path.unlink()
    assert len(missing_rows(folder, KEYS[:3])) in (1, 2)


def test_a_damaged_small_file_does_not_count_either(folder: Path) -> None:
    for path in folder.glob("*.tokens.npy"):
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert missing_rows(folder, KEYS[:3]).tolist() == [0, 1, 2]


def test_damaged_vectors_are_told_when_they_are_read_and_not_before(tmp_path: Path) -> None:
    # 1,000 vectors of 4 KB: four blocks; the last is damaged.
    vectors = np.arange(1000, dtype=np.float16)[:, None].repeat(2048, axis=1)
    add_rows(tmp_path, KEYS[:1], [np.arange(1000, dtype=np.int32)], [vectors])
    (path,) = tmp_path.glob("*.vectors.npy")
    content = bytearray(path.read_bytes())
    assert len(content) > 3 * BLOCK_BYTES
    content[-1] ^= 1
    path.write_bytes(content)
    index = TokenIndex(tmp_path, KEYS[:1])
    assert index.vectors(np.array([0, 300, 700]))[:, 5].tolist() == [0, 300, 700]
    with pytest.raises(CorruptFileError, match=r"block 3 of 4 differs .* only its rows are computed anew"):
        index.vectors(np.array([999]))


def test_a_block_is_checked_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    class Counting(tokens_module.VerifiedFile):
        def __init__(self, path: Path) -> None:
            opened.append(path.name)
            super().__init__(path)

    index = TokenIndex(folder, KEYS[:3])
    monkeypatch.setattr(tokens_module, "VerifiedFile", Counting)
    index.vectors(np.arange(6))
    assert len(opened) == 2
    index.vectors(np.arange(6))
    assert len(opened) == 2


def test_vectors_that_are_wider_than_a_block_are_checked_whole(tmp_path: Path) -> None:
    width = 3 * BLOCK_BYTES // 2
    add_rows(tmp_path, KEYS[:1], [np.array([1], np.int32)], [np.ones((1, width), np.float16)])
    (path,) = tmp_path.glob("*.vectors.npy")
    content = bytearray(path.read_bytes())
    content[BLOCK_BYTES + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match="block 1 of 4"):
        TokenIndex(tmp_path, KEYS[:1]).vectors(np.array([0]))


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be written"), locked(tmp_path / "file" / "index"):
        pass
