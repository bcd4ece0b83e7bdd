"""Files written whole, and every flipped byte noticed."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from indexes.errors import CorruptFileError, StorageError
from indexes.store import (
    BLOCK_BYTES,
    VerifiedFile,
    read_array,
    read_bytes,
    seal,
    verify_file,
    write_array,
    write_bytes,
    write_file,
)

CONTENT = bytes(range(256)) * (BLOCK_BYTES // 128) + b"tail"  # two whole blocks and a bit


def sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a" / "b.bin", CONTENT)
    assert read_bytes(tmp_path / "a" / "b.bin") == CONTENT
    assert verify_file(tmp_path / "a" / "b.bin") == len(CONTENT)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["b.bin", "b.bin.sha256"]


def test_an_empty_file_has_no_blocks_and_is_whole(tmp_path: Path) -> None:
    write_bytes(tmp_path / "empty", b"")
    assert read_bytes(tmp_path / "empty") == b""
    assert json.loads(sidecar(tmp_path / "empty").read_bytes()) == {"size": 0, "block_bytes": BLOCK_BYTES, "sha256": []}


@pytest.mark.parametrize(
    "array", [np.arange(6, dtype=np.int32).reshape(2, 3), np.empty(0, np.float16), np.array([b"ab"], "S32")]
)
def test_arrays_keep_shape_and_type(tmp_path: Path, array: np.ndarray) -> None:
    write_array(tmp_path / "a.npy", array)
    read = read_array(tmp_path / "a.npy")
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


def test_a_file_that_holds_no_array_is_corrupt(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a.npy", b"no array")
    with pytest.raises(CorruptFileError, match="no array file"):
        read_array(tmp_path / "a.npy")


@pytest.mark.parametrize(("position", "block"), [(0, 0), (BLOCK_BYTES - 1, 0), (BLOCK_BYTES, 1), (len(CONTENT) - 1, 2)])
def test_a_flipped_bit_is_noticed_and_its_block_named(tmp_path: Path, position: int, block: int) -> None:
    path = tmp_path / "data.bin"
    write_bytes(path, CONTENT)
    flip(path, position)
    for read in (read_bytes, verify_file):
        with pytest.raises(CorruptFileError, match=rf"data\.bin.*block {block} of 3"):
            read(path)


def test_only_the_blocks_that_are_read_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    write_bytes(path, CONTENT)
    flip(path, 0)
    with VerifiedFile(path) as file:
        file.seek(-4, io.SEEK_END)
        assert file.read() == b"tail"
        file.seek(10)
        with pytest.raises(CorruptFileError):
            file.read(1)


def test_a_verified_file_reads_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    write_bytes(path, CONTENT)
    with VerifiedFile(path) as file:
        assert (file.readable(), file.seekable(), file.tell()) == (True, True, 0)
        assert file.seek(BLOCK_BYTES - 3) == BLOCK_BYTES - 3
        assert file.read(6) == CONTENT[BLOCK_BYTES - 3 : BLOCK_BYTES + 3]  # across two blocks
        assert file.seek(-2, io.SEEK_CUR) == BLOCK_BYTES + 1
        assert file.read() == CONTENT[BLOCK_BYTES + 1 :]
        assert file.read(1) == b""
        assert file.seek(5, io.SEEK_END) == len(CONTENT) + 5
        assert file.read() == b""


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(CONTENT[:-1]),
        lambda path: path.write_bytes(CONTENT + b"x"),
        lambda path: path.unlink(),
        lambda path: sidecar(path).unlink(),
        lambda path: sidecar(path).write_bytes(b"{"),
        lambda path: sidecar(path).write_bytes(b"[]"),
        lambda path: sidecar(path).write_bytes(b'{"size": "3", "block_bytes": 1048576, "sha256": []}'),
        lambda path: sidecar(path).write_bytes(b'{"size": 2097156, "block_bytes": 1048576, "sha256": ["", ""]}'),
        lambda path: sidecar(path).write_bytes(sidecar(path).read_bytes().replace(b"1048576", b"1048577")),
    ],
    ids=[
        "shorter",
        "longer",
        "missing",
        "no sidecar",
        "cut sidecar",
        "odd sidecar",
        "size as text",
        "few blocks",
        "other blocks",
    ],
)
def test_every_kind_of_damage_is_a_corrupt_file(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "data.bin"
    write_bytes(path, CONTENT)
    damage(path)  # type: ignore[operator]
    with pytest.raises(CorruptFileError, match=r"data\.bin"):
        verify_file(path)


def test_bytes_after_the_last_whole_block_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    write_bytes(path, CONTENT[:BLOCK_BYTES])
    path.write_bytes(CONTENT[:BLOCK_BYTES] + b"x")
    with pytest.raises(CorruptFileError, match="1048577 bytes in place of 1048576"):
        read_bytes(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    write_bytes(path, b"old")

    def fail(file: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match=r"data\.bin: cannot be written \(No space left on device\)"):
        write_file(path, fail)
    assert read_bytes(path) == b"old"


def test_a_kill_between_file_and_sidecar_reads_as_damaged(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    write_bytes(path, b"old")
    unfinished = tmp_path / "new"
    write_bytes(unfinished, b"newer")
    sidecar(unfinished).replace(sidecar(path))  # the sidecar was renamed, the file was not
    with pytest.raises(CorruptFileError):
        read_bytes(path)


def test_sealing_accepts_what_another_program_wrote(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"by hand")
    seal(tmp_path / "a")
    assert read_bytes(tmp_path / "a") == b"by hand"
    flip(tmp_path / "a", 0)
    with pytest.raises(CorruptFileError):
        read_bytes(tmp_path / "a")


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be written"):
        write_bytes(tmp_path / "file" / "below", b"x")
