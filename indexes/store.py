"""Files that can be trusted: written whole or not at all, and checked block by block when they are read.

Every file `F` of a run folder or of the cache has a sidecar `F.sha256`, a JSON object with the size and one SHA-256 per
1 MiB block. A reader verifies a block the first time it touches it, so opening a large index costs only what is read.
The price is one more read of each file when it is written, at about 1 GB/s.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from indexes.errors import CorruptFileError, StorageError

__all__ = [
    "BLOCK_BYTES",
    "SIDECAR_SUFFIX",
    "VerifiedFile",
    "read_array",
    "read_bytes",
    "seal",
    "sync_folder",
    "verify_file",
    "write_array",
    "write_bytes",
    "write_file",
]

BLOCK_BYTES = 1 << 20
SIDECAR_SUFFIX = ".sha256"


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file through `write`, force it to disk and seal it; a crash leaves the old file or the new, never half.

    Raises:
        StorageError: The disk is full, or the folder cannot be written.
    """
    unfinished = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        # The sidecar comes first: a crash between the two renames reads as damaged, never as good.
        _replace(_sidecar_of(unfinished), _sidecar_path(path))
        unfinished.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(
            "cannot be written",
            where=str(path),
            why=error.strerror or str(error),
            remedy="free space or mend the folder, and repeat the command: finished work is kept",
        ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write and seal `content`."""
    write_file(path, lambda file: file.write(content))


def write_array(path: Path, array: NDArray[np.generic]) -> None:
    """Write and seal one array as `.npy`, without pickle."""
    write_file(path, lambda file: np.save(file, np.ascontiguousarray(array), allow_pickle=False))


def seal(path: Path) -> None:
    """Write the sidecar of a finished file."""
    _replace(_sidecar_of(path), _sidecar_path(path))


def read_bytes(path: Path) -> bytes:
    """The whole content, verified.

    Raises:
        CorruptFileError: The file, or its sidecar, is missing or differs from what was written.
    """
    with VerifiedFile(path) as file:
        return file.readall()


def read_array(path: Path) -> NDArray[np.generic]:
    """The array that `write_array` wrote, verified.

    Raises:
        CorruptFileError: As `read_bytes`; also where the content is no array.
    """
    try:
        array: NDArray[np.generic] = np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
    except ValueError as error:
        raise CorruptFileError("is no array file", where=str(path), why=str(error)) from error
    return array


def verify_file(path: Path) -> int:
    """Check every block of a file; the number of bytes that were read.

    Raises:
        CorruptFileError: Naming the first block that differs.
    """
    with VerifiedFile(path) as file:
        return len(file.readall())


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to disk, so that a rename survives a power cut."""
    if os.name == "nt":  # Windows cannot open folders and keeps renames in its journal
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class VerifiedFile(io.RawIOBase):
    """A read-only file whose blocks are checked against the sidecar the first time they are read.

    Raises:
        CorruptFileError: On opening, where file or sidecar is missing or the size differs; on reading, where a block
        does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size, self._digests = _read_sidecar(path)
        try:
            self._file: BinaryIO = path.open("rb")
        except FileNotFoundError as error:
            raise CorruptFileError("is missing", where=str(path), remedy="make the run again") from error
        actual_bytes = os.fstat(self._file.fileno()).st_size
        if actual_bytes != self._size:
            self._file.close()
            raise _damaged(path, f"{actual_bytes} bytes in place of {self._size}")
        self._position = 0
        self._block = -1
        self._content = b""

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to `offset` bytes from the start, the current position or the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with verified bytes; how many."""
        view = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(view) and self._position < self._size:
            block, offset = divmod(self._position, BLOCK_BYTES)
            content = self._load(block)
            part = content[offset : offset + len(view) - filled]
            view[filled : filled + len(part)] = part
            filled += len(part)
            self._position += len(part)
        return filled

    def readall(self) -> bytes:
        """The rest of the file."""
        rest = bytearray(max(0, self._size - self._position))
        self.readinto(rest)
        return bytes(rest)

    def close(self) -> None:
        """Close the file beneath."""
        if not self.closed:
            self._file.close()
        super().close()

    def _load(self, block: int) -> bytes:
        if block != self._block:
            self._file.seek(block * BLOCK_BYTES)
            content = self._file.read(BLOCK_BYTES)
            if hashlib.sha256(content).hexdigest() != self._digests[block]:
                raise _damaged(self._path, f"block {block} of {len(self._digests)} differs from its checksum")
            self._block, self._content = block, content
        return self._content


def _damaged(path: Path, why: str) -> CorruptFileError:
    return CorruptFileError(
        "the file is not what was written", where=str(path), why=why, remedy="make it again or restore it from a copy"
    )


def _sidecar_path(path: Path) -> Path:
    return path.with_name(path.name + SIDECAR_SUFFIX)


def _sidecar_of(path: Path) -> bytes:
    digests = []
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digests.append(hashlib.sha256(block).hexdigest())
    content = {"size": path.stat().st_size, "block_bytes": BLOCK_BYTES, "sha256": digests}
    return json.dumps(content, separators=(",", ":")).encode()


def _read_sidecar(path: Path) -> tuple[int, list[str]]:
    sidecar = _sidecar_path(path)
    try:
        content = json.loads(sidecar.read_bytes())
        size, block_bytes, digests = content["size"], content["block_bytes"], content["sha256"]
        expected_blocks = -(-size // BLOCK_BYTES)
    except FileNotFoundError as error:
        what = "its checksum file is missing" if path.exists() else "is missing"
        raise CorruptFileError(what, where=str(path), remedy="make it again or restore it from a copy") from error
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(sidecar, "unreadable checksum file") from error
    if block_bytes != BLOCK_BYTES or not isinstance(digests, list) or len(digests) != expected_blocks:
        raise _damaged(sidecar, "unreadable checksum file")
    return size, digests


def _replace(content: bytes, path: Path) -> None:
    unfinished = path.with_name(path.name + ".tmp")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
