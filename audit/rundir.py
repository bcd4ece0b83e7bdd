"""The run folder: its format, its lock, and how an interrupted audit goes on.

An audit works in `RUN.partial`, stage by stage. A finished stage leaves a sealed marker that names its files; after a
kill the same command finds the folder by its key (settings, input bytes, versions) and computes only what is missing.
The manifest is written last, then the folder is renamed: a `RUN` that exists is whole, and is never changed again. What
comes later (traces, exports, verifications) is added as folders of its own, each finished in the same way.
"""

from __future__ import annotations

import glob
import hashlib
import io
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from filelock import FileLock, Timeout

from audit.corpus import Corpus
from audit.errors import CorruptFileError, InputError, VersionError
from audit.findings import SUPPRESSED_SCHEMA
from audit.sources import Source
from audit.summary import AuditSummary
from indexes.store import SIDECAR_SUFFIX, VerifiedFile, read_bytes, seal, sync_folder, verify_file, write_bytes

__all__ = [
    "LOCK_NAME",
    "RUN_FORMAT",
    "Run",
    "RunBuilder",
    "StageRecord",
    "claim_folder",
    "describe_source",
    "lock_beside",
    "name_folder",
    "next_free_run",
    "stored_name",
    "write_table",
]

RUN_FORMAT = 1
_MANIFEST = "manifest.json"
_PARTIAL = ".partial"
_STAGES = "stages"
_KEY = "key.json"
LOCK_NAME = ".lock"
"""A file that only serves to lock its folder; no part of a run."""
_LOG = "logs/audit.jsonl"
_PLAIN_NAME = re.compile(r"[\w-][\w.-]*")
_RESERVED = re.compile(r"(?i:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?")  # devices of Windows, whatever follows the point


@dataclass(frozen=True)
class StageRecord:
    """How a stage went.

    Attributes:
        name: The stage.
        seconds: What it took when it was computed.
        resumed: Whether this process found it finished.
        files: Its files, relative to the run folder.
        facts: What the stage reports for the manifest.
    """

    name: str
    seconds: float
    resumed: bool
    files: tuple[str, ...]
    facts: Mapping[str, Any]


class RunBuilder:
    """A run folder in the making; use `RunBuilder.open`."""

    def __init__(self, run: Path, path: Path, key: str) -> None:
        self.run = run
        self.path = path
        self.stages: list[StageRecord] = []
        self._key = key

    @classmethod
    @contextmanager
    def open(cls, run: Path, key: Mapping[str, Any]) -> Iterator[RunBuilder]:
        """Lock `RUN.partial`, made new or taken up where an earlier process left it.

        Args:
            run: The folder that will be.
            key: Everything the results depend on; a partial folder of another key is not touched.

        Raises:
            InputError: RUN exists, another process works on it, or the partial folder belongs to other settings.
        """
        with claim_folder(run, key, "run", "audit") as path:
            builder = cls(run, path, _digest(key))
            (path / _MANIFEST).unlink(missing_ok=True)  # killed before the rename: everything is computed again but cheap
            try:
                yield builder
            except InputError:
                if not (path / _STAGES).exists():  # nothing was finished that could be taken up
                    shutil.rmtree(path)
                raise

    def stage(self, name: str, make: Callable[[], Mapping[str, Any] | None], files: Iterable[str]) -> StageRecord:
        """Run a stage, or find it finished.

        Args:
            name: Its name, unique within the run.
            make: Writes the files below `path` through `indexes.store`, and returns facts for the manifest.
            files: The files it may write, relative to the run folder; those that it wrote belong to the run.
        """
        marker = self.path / _STAGES / f"{name}.json"
        record = self._finished(marker, name)
        if record is None:
            started = time.perf_counter()
            facts = dict(make() or {})
            seconds = round(time.perf_counter() - started, 3)
            written = tuple(file for file in files if (self.path / file).exists())
            record = StageRecord(name, seconds, resumed=False, files=written, facts=facts)
            content = {"name": name, "seconds": seconds, "files": list(record.files), "facts": facts}
            write_bytes(marker, json.dumps(content).encode())
        self._log(record)
        self.stages.append(record)
        return record

    def finish(self, manifest: Mapping[str, Any]) -> Path:
        """Write the manifest, drop what only served resumption, and give the folder its name."""
        files = sorted({file for stage in self.stages for file in stage.files})
        stages = [
            {"name": stage.name, "seconds": stage.seconds, "resumed": stage.resumed, "facts": stage.facts}
            for stage in self.stages
        ]
        kept = [*(file for file in files if not file.startswith(f"{_STAGES}/")), _LOG]
        seal(self.path / _LOG)
        content = {
            "format": RUN_FORMAT,
            "key": self._key,
            **manifest,
            "stages": stages,
            "files": {file: _sidecar_digest(self.path / file) for file in kept},
        }
        # Bytes of a file's name that are no UTF-8 stand in strings as surrogates, which JSON can only write escaped.
        text = json.dumps(content, indent=1, ensure_ascii=False).encode(errors="backslashreplace")
        write_bytes(self.path / _MANIFEST, text)
        shutil.rmtree(self.path / _STAGES)
        name_folder(self.path, self.run)
        return self.run

    def _log(self, record: StageRecord) -> None:
        """One line per stage and process, so that an interrupted audit shows what each attempt did."""
        path = self.path / _LOG
        path.parent.mkdir(exist_ok=True)
        line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "process": os.getpid(), "stage": record.name}
        line |= {"found finished": True} if record.resumed else {"seconds": record.seconds, **record.facts}
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _finished(self, marker: Path, name: str) -> StageRecord | None:
        if not marker.exists():
            return None
        try:
            content = json.loads(read_bytes(marker))
            for file in content["files"]:
                verify_file(self.path / file)
        except (CorruptFileError, ValueError, KeyError):
            return None  # a kill may have come between a file and its checksum; the stage is computed again
        return StageRecord(name, content["seconds"], resumed=True, files=tuple(content["files"]), facts=content["facts"])


@dataclass(frozen=True)
class Run:
    """A finished run folder.

    Attributes:
        path: The folder.
        manifest: What was read, with what, how long it took, and what was skipped and why.
    """

    path: Path
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """Read a run's manifest; everything else is read, and verified, when it is needed.

        Raises:
            InputError: There is no finished run at `path`.
            VersionError: It was written in another format.
            CorruptFileError: The manifest is not what was written.
        """
        path = Path(path)
        if not (path / _MANIFEST).exists():
            if not path.exists() and _partial_of(path).exists():
                why, remedy = "its audit was interrupted", "repeat the audit command to finish it"
            else:
                why, remedy = (
                    "no manifest.json" if path.exists() else "no such folder",
                    "make one with tunescope audit DATA -o RUN",
                )
            raise InputError("is no finished run", where=str(path), why=why, remedy=remedy)
        try:
            manifest = json.loads(read_bytes(path / _MANIFEST))
        except (ValueError, OSError) as error:
            raise CorruptFileError("is no readable manifest", where=str(path / _MANIFEST), why=str(error)) from error
        if manifest.get("format") != RUN_FORMAT:
            raise VersionError(
                f"the run has format {manifest.get('format')}, this version reads format {RUN_FORMAT}",
                where=str(path),
                why=f"written by tunescope {manifest.get('tunescope', 'unknown')}",
                remedy="audit the data again, or use that version",
            )
        return cls(path, manifest)

    @cached_property
    def corpus(self) -> Corpus:
        """The dataset.

        Raises:
            InputError: The run was redacted and holds no text.
        """
        if self.redacted:
            raise InputError(
                "the run holds no text of the dataset, which this needs",
                where=str(self.path),
                why="it was made with --redact",
                remedy="audit the data again without it",
            )
        return self.catalog

    @cached_property
    def catalog(self) -> Corpus:
        """The rows, their places and their keys; in a redacted run hashes stand in place of all text."""
        return Corpus.load(self.path / "rows.parquet")

    @property
    def redacted(self) -> bool:
        """Whether the run holds hashes in place of the dataset's text."""
        return self.summary.redacted

    @cached_property
    def summary(self) -> AuditSummary:
        """What was found, at a glance."""
        return AuditSummary.from_manifest(self.manifest["summary"])

    @cached_property
    def findings(self) -> pl.DataFrame:
        """All findings that nobody has set aside, `audit.findings.FINDING_SCHEMA`."""
        return self.table("findings.parquet")

    @cached_property
    def suppressed(self) -> pl.DataFrame:
        """The findings that were set aside, `audit.findings.SUPPRESSED_SCHEMA`."""
        if "suppressed.parquet" not in self.manifest["files"]:  # a run of an earlier version
            return pl.DataFrame(schema=SUPPRESSED_SCHEMA)
        return self.table("suppressed.parquet")

    @cached_property
    def signals(self) -> pl.DataFrame:
        """One line per row: see `audit.signals`."""
        return self.table("signals.parquet")

    def table(self, name: str) -> pl.DataFrame:
        """A Parquet file of the run, verified."""
        with VerifiedFile(self.path / name) as file:
            return pl.read_parquet(file.readall())

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The configuration that `config.yaml` holds."""
        settings: Mapping[str, Any] = yaml.safe_load(read_bytes(self.path / "config.yaml"))
        return settings

    def add(self, kind: str, name: str, files: Mapping[str, bytes]) -> Path:
        """Add a result as RUN/KIND/NAME, whole or not at all.

        Raises:
            InputError: The name is taken, or no plain folder name.
        """
        folder = self.check_name(kind, name)
        unfinished = _partial_of(folder)
        if unfinished.exists():
            shutil.rmtree(unfinished)
        for file, content in files.items():
            write_bytes(unfinished / file, content)
        unfinished.rename(folder)
        sync_folder(folder.parent)
        return folder

    def check_name(self, kind: str, name: str) -> Path:
        """The folder that a result of this name would have.

        Raises:
            InputError: The name is taken, or no plain folder name.
        """
        folder = self.path / kind / name
        if not _PLAIN_NAME.fullmatch(name) or name.endswith((_PARTIAL, ".")) or _RESERVED.fullmatch(name):
            raise InputError(f"{name!r} is no plain name", remedy="use letters, digits, - and _")
        # A run can be copied to a disk on which letter case does not tell two names apart.
        if folder.exists() or name.casefold() in map(str.casefold, self.added(kind)):
            raise InputError(f"{kind}/{name} exists in the run", where=str(self.path), remedy="choose another name")
        return folder

    def added(self, kind: str) -> list[str]:
        """The names of the results of a kind, sorted."""
        folder = self.path / kind
        return sorted(f.name for f in folder.iterdir() if f.is_dir() and f.suffix != _PARTIAL) if folder.exists() else []

    def read_added(self, kind: str, name: str, file: str) -> bytes:
        """One file of an added result.

        Raises:
            InputError: There is no such result; the message names those that exist.
        """
        if name not in self.added(kind):
            known = ", ".join(self.added(kind)) or "none"
            raise InputError(f"the run has no {kind}/{name}", where=str(self.path), remedy=f"there are: {known}")
        return read_bytes(self.path / kind / name / file)

    def free_name(self, kind: str, stem: str) -> str:
        """`STEM-1`, or the first number that is free."""
        taken = set(self.added(kind))
        return next(name for name in (f"{stem}-{n}" for n in range(1, len(taken) + 2)) if name not in taken)

    def check(self) -> int:
        """Verify every block of every file; the number of files.

        Raises:
            CorruptFileError: Naming the first file that differs.
        """
        for file, digest in self.manifest["files"].items():
            verify_file(self.path / file)
            if _sidecar_digest(self.path / file) != digest:
                raise CorruptFileError(
                    "was replaced after the run was finished",
                    where=str(self.path / file),
                    remedy="audit the data again",
                )
        listed = set(self.manifest["files"])
        # A checksum without its file counts as one too: the file is missing.
        present = {
            path.relative_to(self.path).as_posix()
            for path in self.path.rglob("*")
            if path.is_file() and not path.name.endswith(LOCK_NAME)
        }
        present = {file.removesuffix(SIDECAR_SUFFIX) for file in present}
        # What a killed command left behind, such as traces/NAME.partial, is no part of the run.
        files = sorted(file for file in present if f"{_PARTIAL}/" not in file)
        for file in files:
            if file not in listed:
                verify_file(self.path / file)
        return len(files)


@contextmanager
def claim_folder(folder: Path, key: Mapping[str, Any], noun: str, work: str) -> Iterator[Path]:
    """Lock `FOLDER.partial`, made new or taken up where an earlier process left it; `name_folder` ends its making.

    Args:
        folder: The folder that will be.
        key: Everything its contents depend on; a partial folder of another key is not touched.
        noun: What the folder is, for messages.
        work: What makes it.

    Yields:
        The partial folder.

    Raises:
        InputError: The folder exists, another process works on it, or the partial one belongs to other settings.
    """
    if folder.is_file():
        raise InputError("is a file, and no folder to write to", where=str(folder), remedy="choose another with -o")
    if folder.exists():
        raise InputError(f"the {noun} folder exists", where=str(folder), remedy="choose another with -o, or remove it")
    path = _partial_of(folder)
    with lock_beside(path, noun, folder):
        key_file = path / _KEY
        if not key_file.exists():  # new, or killed while it got its name: nobody knows what the files belong to
            for entry in path.iterdir():
                if entry.is_dir():
                    shutil.rmtree(entry)
                elif entry.name != LOCK_NAME:
                    entry.unlink()
            key_file.write_text(_digest(key), "utf-8")
        elif key_file.read_text("utf-8") != _digest(key):
            raise InputError(
                f"an unfinished {work} with other settings or data lies there",
                where=str(path),
                remedy="repeat that command to finish it, remove the folder, or choose another with -o",
            )
        yield path


@contextmanager
def lock_beside(path: Path, noun: str, folder: Path) -> Iterator[None]:
    """Make a partial folder where there is none, and lock it.

    The lock is the file `PATH.lock` beside it: Windows gives no folder another name, and deletes none, in which a file is
    open.

    Args:
        path: The partial folder.
        noun: What the folder is, for messages.
        folder: The folder that will be.

    Raises:
        InputError: Another process holds it, or the folder cannot be written.
    """
    file = path.with_name(path.name + LOCK_NAME)
    lock = FileLock(file, timeout=0)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"another tunescope works on this {noun}",
            where=str(folder),
            remedy="wait for it, or choose another folder with -o",
        ) from error
    except OSError as error:
        raise InputError(
            f"the {noun} folder cannot be written",
            where=str(folder),
            why=error.strerror or str(error),
            remedy="choose another with -o",
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # of another system's rules for open files
            file.unlink()
        lock.release()
        if os.name == "nt":
            with suppress(OSError):  # another process may have it already
                file.unlink()


def name_folder(path: Path, folder: Path) -> None:
    """Drop what only served resumption from a claimed folder, and give it its name."""
    (path / _KEY).unlink()
    (path / LOCK_NAME).unlink(missing_ok=True)
    path.rename(folder)
    sync_folder(folder.parent)


def next_free_run(parent: Path, stem: str, key: Mapping[str, Any]) -> Path:
    """The run folder that a command without `-o` means: an unfinished one of its key, else the next free number."""
    taken = [0]
    for folder in parent.glob(f"{glob.escape(stem)}-*") if parent.exists() else ():
        number = folder.name.removesuffix(_PARTIAL).removeprefix(f"{stem}-")
        if not number.isdecimal():
            continue
        key_file = folder / _KEY
        if folder.name.endswith(_PARTIAL) and key_file.exists() and key_file.read_text("utf-8") == _digest(key):
            return parent / f"{stem}-{number}"
        taken.append(int(number))
    return parent / f"{stem}-{max(taken) + 1}"


def stored_name(file: str) -> str:
    """Where a run keeps a file of its source that cannot be read again, relative to its folder."""
    return f"source/{file}"


def describe_source(source: Source, *, is_kept: bool) -> dict[str, Any]:
    """What a manifest says of the dataset: of all of it, and of every file.

    Args:
        source: The dataset.
        is_kept: Whether the run keeps the files that cannot be read again.
    """
    files = [
        {
            "name": file.name,
            "path": file.location,
            "sha256": file.sha256,
            "container": str(file.container),
            **({"stored": stored_name(file.name)} if file.is_copy and is_kept else {}),
        }
        for file in source.files
    ]
    whole = {"name": source.name, "path": source.location, "sha256": source.sha256, "container": source.container}
    return {**whole, "files": files}


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write and seal a frame as Parquet."""
    buffer = io.BytesIO()  # so that a full disk is met by our own write, and reported as such
    table.write_parquet(buffer, compression="zstd", statistics=False)
    write_bytes(path, buffer.getvalue())


def _partial_of(path: Path) -> Path:
    return path.with_name(path.name + _PARTIAL)


def _digest(key: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()


def _sidecar_digest(path: Path) -> str:
    sidecar = path.with_name(path.name + SIDECAR_SUFFIX)
    try:
        return hashlib.sha256(sidecar.read_bytes()).hexdigest()
    except FileNotFoundError as error:
        raise CorruptFileError("its checksum file is missing", where=str(path), remedy="audit the data again") from error
