"""Where bytes come from: what a user names as DATA, found and, where it could not be read again, kept as files.

A name that exists on this machine means that file or folder, whatever characters it holds. Otherwise `-` is standard
input, `SCHEME://…` a URL that fsspec knows, a pattern such as `data/*.jsonl` the files that fit it, and
`org/name[@revision][:split]` a dataset of the Hugging Face hub. Rows are known by file and number within the file; of
files in several folders the path below their common folder is the name.
"""

from __future__ import annotations

import glob
import hashlib
import json
import logging
import os
import posixpath
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPException
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

from audit.errors import InputError
from audit.sources.containers import (
    KNOWN_KINDS,
    Container,
    container_of_content,
    container_of_suffix,
    detect_container,
    open_plain,
    without_compression,
)
from audit.sources.mapping import columns_beside

__all__ = ["Data", "Source", "SourceFile", "located", "open_source"]

Data = str | Path | Sequence[str | Path]
"""What users may name: a file, a folder, a pattern, `-`, a hub id or a URL, or several of them."""

_HUB_ID = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^:\s]+))?(?::(?P<split>\S+))?")
_TIMEOUT_S = 60
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# Files that describe a dataset, and hold none of its rows.
_DESCRIPTIONS = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")


@dataclass(frozen=True)
class SourceFile:
    """One file of a dataset.

    Attributes:
        name: By which its rows are known.
        path: Where its bytes lie.
        container: How it is cut into records.
        location: Where the user has it: a path, a URL, a hub id, or `-`.
        is_copy: Whether `path` is a copy that will be gone, of something that may not be read again.
        columns: The mapping of columns that stands beside it.
    """

    name: str
    path: Path
    container: Container
    location: str
    is_copy: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def sha256(self) -> str:
        """Of its bytes as they lie there.

        Raises:
            InputError: The file cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError("cannot be read", where=str(self.path), why=error.strerror or str(error)) from error


@dataclass(frozen=True)
class Source:
    """A dataset as it was named: its files, in order.

    Attributes:
        name: For reports: the file's, the folder's, the pattern, the hub id.
        location: What was named; of a single file its full path.
        files: At least one; names are distinct.
    """

    name: str
    location: str
    files: tuple[SourceFile, ...]

    @property
    def stem(self) -> str:
        """A name for a run folder."""
        name = PurePath(self.name)
        stem = without_compression(name).with_suffix("") if container_of_suffix(name) else name
        return re.sub(r"[^\w.-]+", "-", str(stem)).strip("-.") or "data"

    @property
    def container(self) -> str:
        """How the files are cut into records, every kind once."""
        return ", ".join(dict.fromkeys(str(file.container) for file in self.files))

    @cached_property
    def sha256(self) -> str:
        """Of the file; of several, of their names and digests."""
        if len(self.files) == 1:
            return self.files[0].sha256
        lines = (json.dumps([file.name, file.sha256]) for file in self.files)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True)
class _Found:
    """A file that DATA means.

    Attributes:
        path: Where its bytes lie.
        label: Its full name, of which the part that all share is left out.
        location: As in `SourceFile`.
        kind: What it was found as; names of different kinds have nothing in common.
    """

    path: Path
    label: PurePosixPath
    location: str
    kind: str = "file"


@contextmanager
def open_source(data: Data) -> Iterator[Source]:
    """Find the files that a user means; copies of what cannot be read again last as long as the context.

    Args:
        data: One or several; a file that is named twice is read once.

    Raises:
        InputError: There is no such file, folder, pattern, dataset or URL, or it cannot be read.
    """
    given = [str(data)] if isinstance(data, str | Path) else [str(each) for each in data]
    if not all(given) or not given:
        raise InputError("no dataset is named", remedy="name a file")
    with tempfile.TemporaryDirectory(prefix="tunescope-") as copies:
        found: dict[tuple[str, PurePosixPath], _Found] = {}
        for number, each in enumerate(given):
            for file in _find(each, Path(copies) / str(number)):
                found.setdefault((file.kind, file.label), file)
        files = list(found.values())
        named = tuple(_source_file(file, name, len(files)) for file, name in zip(files, _names(files), strict=True))
        yield Source(_name(given, files, named), _location(given, named), named)


def _find(given: str, copies: Path) -> list[_Found]:
    if given == "-":
        return [_read_standard_input(copies)]
    path = Path(given)
    if _is_folder(path):
        return [_local(file) for file in _files_of_folder(path)]
    if os.path.lexists(path):
        return [_local(path)]
    if given.startswith("file://"):
        return _find(unquote(urlsplit(given).path), copies)
    if given.startswith(("http://", "https://")):
        return [_download(given, copies / "0")]
    if _URL.match(given):
        return _fetch(given, copies)
    if glob.has_magic(given):
        matched = glob.glob(given, recursive=True)  # noqa: PTH207 - a pattern may begin anywhere
        if matches := sorted(match for match in matched if not Path(match).is_dir()):
            return [_local(Path(match)) for match in matches]
        if _HUB_ID.fullmatch(given) is None:  # a split such as train[:100] looks like a pattern
            raise InputError("no file fits the pattern", where=given, remedy="check the path")
    hub_id = _HUB_ID.fullmatch(given)
    if hub_id is None or container_of_suffix(PurePath(given)) is not None:
        detect_container(path)  # says what is wrong with it
        raise InputError("no such file", where=given, remedy="check the path")
    if Path(hub_id["name"].partition("/")[0]).is_dir():  # a mistyped path is not sent to the hub
        remedy = "check the path, or name a dataset of the hub as hf://datasets/ORG/NAME/*.parquet"
        raise InputError("no such file", where=given, remedy=remedy)
    return _load_from_hub(given, hub_id["name"], hub_id["revision"], hub_id["split"], copies)


def _local(path: Path) -> _Found:
    whole = path.absolute()
    return _Found(path, PurePosixPath(whole.as_posix()), str(path.resolve()))


def _source_file(found: _Found, name: str, n_files: int) -> SourceFile:
    promised = container_of_suffix(PurePath(found.label.name))
    try:
        # An empty file on its own is a mistake, an empty split among others is not.
        is_split = n_files > 1 and promised is not None and _is_empty(found.path)
        container = promised if is_split and promised else detect_container(found.path, PurePath(found.label.name))
    except InputError as error:
        raise located(error, found.path, found.location if found.kind != "file" else str(found.path)) from error
    columns = columns_beside(found.path.absolute()) if found.kind == "file" else {}
    return SourceFile(name, found.path, container, found.location, found.kind != "file", columns)


def located(error: InputError, path: Path, location: str) -> InputError:
    """An error of a copy, told of what it is a copy of."""
    where = error.where.replace(str(path), location)
    return InputError(error.what, where=where, why=error.why, remedy=error.remedy)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _is_empty(path: Path) -> bool:
    try:
        with open_plain(path) as file:
            return not file.read(1)
    except OSError as error:
        raise InputError("cannot be read", where=str(path), why=error.strerror or str(error)) from error


def _names(files: Sequence[_Found]) -> list[str]:
    """Names that are distinct: each the path below the folder that all of its kind share."""
    folders: dict[str, str] = {}
    for file in files:
        folder = str(file.label.parent)
        folders[file.kind] = posixpath.commonpath([folders.get(file.kind, folder), folder])
    names = [_as_text(file.label.relative_to(folders[file.kind]).as_posix()) for file in files]
    if len(set(names)) < len(names):
        names = [f"{file.kind}/{name}" for file, name in zip(files, names, strict=True)]
    return names


def _as_text(name: str) -> str:
    """A file name that can be stored, whatever bytes it is made of."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _name(given: Sequence[str], found: Sequence[_Found], files: Sequence[SourceFile]) -> str:
    if len(given) > 1:
        return f"{files[0].name} and {len(files) - 1} more" if len(files) > 1 else files[0].name
    if _is_folder(Path(given[0])):
        return _as_text(Path(given[0]).resolve().name)
    return files[0].name if len(files) == 1 and found[0].kind != "hub" else _as_text(given[0])


def _location(given: Sequence[str], files: Sequence[SourceFile]) -> str:
    if len(files) == 1:
        return files[0].location
    if len(given) == 1:
        return str(Path(given[0]).resolve()) if _is_folder(Path(given[0])) else given[0]
    return ", ".join(given)


def _files_of_folder(folder: Path) -> list[Path]:
    """The files that hold a folder's rows: those that `save_to_disk` of datasets wrote, or every file of a known kind."""
    splits = _described(folder / "dataset_dict.json", "splits")
    if splits is not None:
        return [file for split in splits for file in _saved_files(folder / str(split))]
    if (folder / "state.json").is_file():
        return _saved_files(folder)
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if container_of_suffix(path) is not None
        and path.name not in _DESCRIPTIONS
        and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
        and path.is_file()
    ]
    if not found:
        raise InputError(
            "the folder holds no file of rows", where=str(folder), remedy=f"name a folder with {KNOWN_KINDS} files"
        )
    return found


def _saved_files(folder: Path) -> list[Path]:
    """The files of one split that `save_to_disk` wrote, in order."""
    files = _described(folder / "state.json", "_data_files")
    names = [file.get("filename") if isinstance(file, dict) else None for file in files or ()]
    if files is None or not all(isinstance(name, str) for name in names):
        raise InputError(
            "is no whole folder of save_to_disk",
            where=str(folder),
            why="no list of files in state.json",
            remedy="save it again",
        )
    return [folder / str(name) for name in names]


def _described(path: Path, key: str) -> list[Any] | None:
    """A list that a description of datasets holds; `None` where there is no such file or list."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    value = content.get(key) if isinstance(content, dict) else None
    return value if isinstance(value, list) else None


def _read_standard_input(copies: Path) -> _Found:
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("standard input is a terminal", where="-", remedy="pipe the rows in, or name a file")
    path = copies / "stdin"
    try:
        _copy(sys.stdin.buffer, path)
    except OSError as error:
        raise InputError("cannot be read, or copied to the temporary folder", where="-", why=error.strerror or "") from error
    return _Found(path, PurePosixPath(f"stdin{_suffix_of(path, '-')}"), "-", "stdin")


def _suffix_of(path: Path, where: str) -> str:
    """The suffix that says what bytes without a name are, told by the first of them."""
    try:
        with open_plain(path) as file:
            head = file.read(1 << 12)
    except OSError as error:
        raise InputError("cannot be read", where=where, why=str(error)) from error
    if not head:
        raise InputError("there are no bytes", where=where, remedy="give at least one row")
    packed = {b"\x1f\x8b": ".gz", b"\x28\xb5": ".zst"}
    with path.open("rb") as file:
        return f".{container_of_content(head)}{packed.get(file.read(2), '')}"


def _copy(file: BinaryIO, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as copy:
        shutil.copyfileobj(file, copy, 1 << 20)


def _download(url: str, copy: Path) -> _Found:
    """A file of the web, copied here."""
    try:
        with urlopen(url, timeout=_TIMEOUT_S) as answer:
            _copy(answer, copy)
    except (OSError, ValueError, HTTPException) as error:
        raise _cannot_fetch(url, error) from error
    return _named_copy(copy, PurePosixPath(unquote(urlsplit(url).path)), url, "web")


def _fetch(url: str, copies: Path) -> list[_Found]:
    """The files behind a URL that fsspec knows, copied here."""
    try:
        import fsspec

        system, path = fsspec.core.url_to_fs(url)
        if "*" in path:
            paths = sorted(system.glob(path))
        elif container_of_suffix(PurePosixPath(path)) is None and system.isdir(path):
            paths = [file for file in sorted(system.find(path)) if container_of_suffix(PurePosixPath(file)) is not None]
        else:
            paths = [path]
        for number, each in enumerate(paths):
            with system.open(each, "rb") as file:
                _copy(file, copies / str(number))
    except ImportError as error:
        raise InputError("the URL needs another package", where=url, why=str(error), remedy="install it with pip") from error
    except Exception as error:  # every file system of fsspec raises its own
        raise _cannot_fetch(url, error) from error
    if not paths:
        raise InputError("no file is there", where=url, remedy=f"name {KNOWN_KINDS} files")
    return [
        _named_copy(
            copies / str(number),
            PurePosixPath(each),
            url if paths == [path] else system.unstrip_protocol(each),
            url.partition(":")[0],
        )
        for number, each in enumerate(paths)
    ]


def _named_copy(copy: Path, label: PurePosixPath, location: str, kind: str) -> _Found:
    """A copy under the name that it has elsewhere, with a suffix that says what it is where that has none."""
    if container_of_suffix(label) is None:
        label = label.with_name((label.name or "data") + _suffix_of(copy, location))
    return _Found(copy, label, location, kind)


def _cannot_fetch(url: str, error: Exception) -> InputError:
    why = f"{type(error).__name__}: {error}".splitlines()[0]
    return InputError("cannot be fetched", where=url, why=why, remedy="check the URL, the network and the credentials")


def _load_from_hub(given: str, name: str, revision: str | None, split: str | None, copies: Path) -> list[_Found]:
    """The splits of a dataset of the hub, each as a Parquet file."""
    import datasets
    from huggingface_hub import logging as hub_logging

    quiet, verbosity = datasets.are_progress_bars_disabled(), hub_logging.get_verbosity()
    datasets.disable_progress_bars()
    hub_logging.set_verbosity(logging.ERROR)  # every failed try would be told
    try:
        loaded = datasets.load_dataset(name, revision=revision, split=split)
        splits = loaded if isinstance(loaded, dict) else {split or "train": loaded}
        found = []
        for key, rows in splits.items():
            label = PurePosixPath(name, f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', str(key))}.parquet")
            copies.mkdir(parents=True, exist_ok=True)
            rows.to_parquet(str(copies / label.name))
            found.append(_Found(copies / label.name, label, given, "hub"))
    except Exception as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(
            "there is no such file, and no dataset of this name can be loaded from the hub",
            where=given,
            why=why,
            remedy="check the name, or where several configurations exist name files: hf://datasets/ORG/NAME/FOLDER/*.parquet",
        ) from error
    finally:
        hub_logging.set_verbosity(verbosity)
        if not quiet:
            datasets.enable_progress_bars()
    return found
