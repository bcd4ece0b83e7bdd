"""How a file is cut into records, and where each one stands, so that an export can copy kept rows untouched.

A record that cannot be read is a record like any other, with a problem; only a file that cannot be cut into records is an
error. Everything streams: memory is bounded by the longest record. A file that is compressed with gzip or Zstandard, as
its first bytes tell, is read as what it holds, and the spans of its records are those of the bytes within; a compressed
JSON array is unpacked beside the temporary files first.
"""

from __future__ import annotations

import csv
import io
import json
import mmap
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from audit.errors import InputError

__all__ = [
    "KNOWN_KINDS",
    "MAX_RECORD_BYTES",
    "ArrowTable",
    "Compression",
    "Container",
    "Problem",
    "Record",
    "Status",
    "compression_of",
    "compression_of_name",
    "container_of_content",
    "container_of_suffix",
    "decompressed",
    "detect_container",
    "json_kind",
    "json_value",
    "open_arrow",
    "open_plain",
    "read_records",
    "without_compression",
]

# One training row of more than 16 MiB is a framing accident, and would set the memory that every reader needs.
MAX_RECORD_BYTES = 16 << 20
# Far from Python's own limit of about 1,000, which depends on who calls: a row must be read the same by every caller.
_MAX_NESTING = 256


class Container(StrEnum):
    """How a file is cut into records."""

    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    ARROW = "arrow"
    """Arrow's IPC format, as a file or as a stream; `datasets` writes streams."""

    @property
    def is_text(self) -> bool:
        """Whether records are stretches of bytes that can be copied."""
        return self not in (Container.PARQUET, Container.ARROW)


class Compression(StrEnum):
    """How a file's bytes are packed."""

    GZIP = "gzip"
    ZSTD = "zstd"


_COMPRESSION_SUFFIXES = {
    ".gz": Compression.GZIP,
    ".gzip": Compression.GZIP,
    ".zst": Compression.ZSTD,
    ".zstd": Compression.ZSTD,
}
_CONTAINER_SUFFIXES = {
    ".jsonl": Container.JSONL,
    ".ndjson": Container.JSONL,
    ".json": Container.JSON,
    ".csv": Container.CSV,
    ".parquet": Container.PARQUET,
    ".pq": Container.PARQUET,
    ".arrow": Container.ARROW,
    ".feather": Container.ARROW,
}
KNOWN_KINDS = ".jsonl, .json, .csv, .parquet or .arrow"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ARROW_FILE, _ARROW_STREAM = b"ARROW1", b"\xff\xff\xff\xff"
_HEAD_BYTES = 4096
_ROWS_PER_BATCH = 1024


class Status(StrEnum):
    """Whether a row became messages."""

    OK = "ok"
    UNREADABLE = "unreadable"
    """The record is no JSON object, CSV record or valid UTF-8."""
    MALFORMED = "malformed"
    """The record was read, but its fields are not those of the file's format."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a record did not become a row of messages."""

    status: Status
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file.

    Attributes:
        index: Number within the file, from 0: the row's address.
        line: Line on which it begins, from 1; `None` for Parquet and Arrow.
        start: First byte of its span in the file, decompressed; `None` for Parquet and Arrow.
        end: Byte after its span.
        fields: The record's fields, or the problem that kept them from being read.
    """

    index: int
    line: int | None
    start: int | None
    end: int | None
    fields: Mapping[str, Any] | Problem


def without_compression(name: PurePath) -> PurePath:
    """A file's name without the suffix that says how it is packed: `rows.jsonl.gz` is `rows.jsonl`."""
    return name.with_suffix("") if name.suffix.lower() in _COMPRESSION_SUFFIXES else name


def compression_of_name(name: PurePath) -> Compression | None:
    """How a file of this name is packed."""
    return _COMPRESSION_SUFFIXES.get(name.suffix.lower())


def container_of_suffix(name: PurePath) -> Container | None:
    """The container that a file's name promises, a suffix such as `.gz` left out; `.json` promises an array."""
    return _CONTAINER_SUFFIXES.get(without_compression(name).suffix.lower())


def container_of_content(head: bytes) -> Container:
    """The container of bytes without a name, told by the first of them."""
    if head.startswith(b"PAR1"):
        return Container.PARQUET
    if head.startswith((_ARROW_FILE, _ARROW_STREAM)):
        return Container.ARROW
    first = _first_character(head)
    return Container.JSON if first == b"[" else Container.JSONL if first == b"{" else Container.CSV


def detect_container(path: Path, named: PurePath | None = None) -> Container:
    """The container of a file, by its name; `.json` may also hold JSON Lines, which its first character tells.

    Args:
        path: The file.
        named: What the file is called where the user knows it, if that differs.

    Raises:
        InputError: The file is missing, empty, no file, or of an unknown kind.
    """
    named = named or path
    try:
        with open_plain(path) as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError as error:
        raise InputError("no such file", where=str(path), remedy="check the path") from error
    except IsADirectoryError as error:
        raise InputError("is a folder", where=str(path), remedy=f"name one {KNOWN_KINDS} file") from error
    except OSError as error:
        raise InputError("cannot be read", where=str(path), why=error.strerror or str(error)) from error
    if not head:
        raise InputError("the file is empty", where=str(path), remedy="give a file with at least one row")
    container = container_of_suffix(named)
    if container is None:
        suffix = without_compression(named).suffix
        raise InputError(
            f"unknown kind of file {suffix or 'without a suffix'!r}",
            where=str(path),
            remedy=f"use {KNOWN_KINDS}, the text ones also as .gz or .zst",
        )
    if container.is_text and head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError("the text is UTF-16", where=str(path), remedy="convert it: iconv -f UTF-16 -t UTF-8")
    if container is Container.JSON and _first_character(head) != b"[":
        return Container.JSONL
    if not container.is_text and compression_of(path) is not None:
        raise InputError(f"{container} inside a compressed file is not read", where=str(path), remedy="decompress it first")
    return container


def _first_character(head: bytes) -> bytes:
    return head.removeprefix(_BYTE_ORDER_MARK).lstrip()[:1]


def compression_of(path: Path) -> Compression | None:
    """How a file is packed, told by its first bytes.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        magic = file.read(4)
    if magic.startswith(b"\x1f\x8b"):
        return Compression.GZIP
    return Compression.ZSTD if magic == b"\x28\xb5\x2f\xfd" else None


def open_plain(path: Path) -> BinaryIO:
    """A file's bytes from the first on, decompressed where it is packed; a packed one cannot be sought in."""
    compression = compression_of(path)
    if compression is None:
        return path.open("rb")
    import pyarrow as pa

    packed: Any = pa.CompressedInputStream(pa.PythonFile(path.open("rb"), mode="r"), str(compression))
    return io.BufferedReader(packed, 1 << 20)


@contextmanager
def decompressed(path: Path) -> Iterator[Path]:
    """A file whose bytes can be sought in: this one, or for as long as the context lasts an unpacked copy."""
    if compression_of(path) is None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="tunescope-") as folder:
        plain = Path(folder) / "plain"
        with open_plain(path) as file, plain.open("wb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
        yield plain


def read_records(path: Path, container: Container) -> Iterator[Record]:
    """The records of a file, in order, one at a time.

    Raises:
        InputError: The file cannot be cut into records.
    """
    try:
        with open_plain(path) as file:
            if not file.read(1):  # an empty split
                return
        match container:
            case Container.JSONL:
                yield from _read_jsonl(path)
            case Container.JSON:
                yield from _read_json_array(path)
            case Container.CSV:
                yield from _read_csv(path)
            case Container.PARQUET:
                yield from _read_parquet(path)
            case Container.ARROW:
                yield from _read_arrow(path)
    except OSError as error:
        raise InputError("cannot be read", where=str(path), why=error.strerror or str(error)) from error


def _read_jsonl(path: Path) -> Iterator[Record]:
    # A record's span reaches from the end of the one before, so that blank lines travel with it and all spans together
    # are the file; a trailing stretch of blank lines belongs to nobody and is copied by the writer.
    with open_plain(path) as file:
        start = position = 0
        index, line = 0, 0
        while chunk := file.readline(MAX_RECORD_BYTES + 1):
            line += 1
            oversized = len(chunk) > MAX_RECORD_BYTES
            position += len(chunk)
            if oversized and not chunk.endswith(b"\n"):
                while rest := file.readline(MAX_RECORD_BYTES):
                    position += len(rest)
                    if rest.endswith(b"\n"):
                        break
            content = chunk.removeprefix(_BYTE_ORDER_MARK) if line == 1 else chunk
            if not content.strip():
                continue
            fields = _oversized() if oversized else _json_object(content.rstrip(b"\r\n"))
            yield Record(index, line, start, position, fields)
            index, start = index + 1, position


# Strings are matched whole, so that brackets and commas inside them do not count; possessive, and to the end of the
# file where a quote is missing, so that no input is slow.
_JSON_STRUCTURE = re.compile(rb'"[^"\\]*+(?:\\.?[^"\\]*+)*+(?:"|\Z)|[\[\]{},]', re.DOTALL)


def _read_json_array(path: Path) -> Iterator[Record]:
    with (
        decompressed(path) as plain,
        plain.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        depth = index = 0
        line, counted_to = 1, 0
        begin = 0
        closed_at: int | None = None
        for match in _JSON_STRUCTURE.finditer(content):
            symbol = match.group()
            if symbol in (b"[", b"{"):
                depth += 1
                if depth == 1:
                    begin = match.end()
            elif symbol in (b"]", b"}", b","):
                if symbol != b",":
                    depth -= 1
                if (symbol == b"," and depth == 1) or depth == 0:
                    start, end = _stripped(content, begin, match.start())
                    if start < end:
                        line += content[counted_to:start].count(b"\n")
                        counted_to = start
                        fields = _oversized() if end - start > MAX_RECORD_BYTES else _json_object(content[start:end])
                        yield Record(index, line, start, end, fields)
                        index += 1
                    begin = match.end()
                if depth == 0:
                    closed_at = match.end() if symbol == b"]" else None
                    break
        if closed_at is None:
            raise InputError(
                f"the JSON array is not closed after {index} rows",
                where=str(path),
                why="the file is cut off, or a quote or bracket is missing",
                remedy="write it again, or as JSON Lines, where one damaged row does not hide the others",
            )
        if content[closed_at:].strip():
            raise InputError("there is text after the JSON array", where=str(path), remedy="keep one array per file")


def _stripped(content: mmap.mmap, start: int, end: int) -> tuple[int, int]:
    while start < end and content[start] in b" \t\r\n":
        start += 1
    while end > start and content[end - 1] in b" \t\r\n":
        end -= 1
    return start, end


class _OversizedError(Exception):
    """The record that is being read is over the limit."""


class _CsvLines:
    """The lines of a file for `csv.reader`, and where the record stands that it is reading.

    Attributes:
        position: Bytes that were read.
        line: Lines that were read.
        start: Where the record begins.
        ended: Whether a line was asked for after the last.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._n_quotes = 0
        self._in_line = False
        self.position = self.line = self.start = 0
        self.ended = False

    def __iter__(self) -> _CsvLines:
        return self

    def __next__(self) -> str:
        raw = self._read()
        if not raw:
            self.ended = True
            raise StopIteration
        if self.position - self.start > MAX_RECORD_BYTES:
            raise _OversizedError
        raw = raw.removeprefix(_BYTE_ORDER_MARK) if self.line == 1 else raw
        # Undecodable bytes become lone surrogates, which mark the row.
        return raw.decode("utf-8", "surrogateescape")

    def begin(self) -> None:
        """The next line is the first of a record; blank lines before it belong to its span."""
        self.start, self._n_quotes = self.position, 0

    def skip(self) -> None:
        """Read past the end of a record of which a part was read: the line at whose end its quotes are even."""
        while (self._in_line or self._n_quotes % 2) and self._read():
            pass

    def _read(self) -> bytes:
        raw = self._file.readline(MAX_RECORD_BYTES + 1)
        self.position += len(raw)
        self.line += bool(raw) and not self._in_line
        self._n_quotes += raw.count(b'"')
        self._in_line = not raw.endswith(b"\n")
        return raw


def _read_csv(path: Path) -> Iterator[Record]:
    csv.field_size_limit(MAX_RECORD_BYTES)
    with open_plain(path) as file:
        lines = _CsvLines(file)
        reader = csv.reader(lines)
        try:
            header = next(reader, None)
        except (csv.Error, _OversizedError) as error:
            why = str(error) or f"the first line is over {MAX_RECORD_BYTES >> 20} MiB"
            raise InputError("is no readable CSV", where=f"{path}:{lines.line}", why=why) from error
        if not header or len(set(header)) < len(header):
            raise InputError(
                "the first line is no header of distinct column names",
                where=str(path),
                remedy="name the columns there",
            )
        index = 0
        lines.begin()
        while True:
            first_line = lines.line + 1
            fields: Mapping[str, Any] | Problem
            try:
                values = next(reader)
                if not values:
                    continue
                # A record is whole before the reader asks for a line too many.
                fields = _open_quote() if lines.ended else _csv_fields(header, values)
            except StopIteration:
                return
            except _OversizedError:
                lines.skip()
                fields = _oversized()
            except csv.Error as error:
                fields = Problem(Status.UNREADABLE, f"no CSV record: {str(error).split(' - ')[0]}")
            yield Record(index, first_line, lines.start, lines.position, fields)
            index += 1
            lines.begin()


def _csv_fields(header: list[str], values: list[str]) -> Mapping[str, Any] | Problem:
    if len(values) != len(header):
        return Problem(Status.UNREADABLE, f"{len(values)} fields where the header has {len(header)}")
    return _checked_text(dict(zip(header, values, strict=True)))


def _read_parquet(path: Path) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield from _arrow_records(file.iter_batches(batch_size=_ROWS_PER_BATCH))
    except (pa.ArrowException, UnicodeError) as error:
        raise _broken(path, "Parquet", error) from error


def _read_arrow(path: Path) -> Iterator[Record]:
    import pyarrow as pa

    try:
        with path.open("rb") as file:
            yield from _arrow_records(
                batch.slice(first, _ROWS_PER_BATCH)
                for batch in open_arrow(file).batches
                for first in range(0, batch.num_rows, _ROWS_PER_BATCH)
            )
    except (pa.ArrowException, UnicodeError) as error:
        raise _broken(path, "Arrow", error) from error


@dataclass(frozen=True)
class ArrowTable:
    """A table in Arrow's IPC format.

    Attributes:
        schema: Its `pyarrow.Schema`.
        batches: Its record batches, in order.
        is_stream: Whether it is a stream, and no file of Arrow's.
    """

    schema: Any
    batches: Iterator[Any]
    is_stream: bool


def open_arrow(file: BinaryIO) -> ArrowTable:
    """The table that an open file holds.

    Raises:
        pyarrow.ArrowException: It is none.
    """
    import pyarrow as pa

    begins = file.read(len(_ARROW_FILE))
    file.seek(0)
    if begins == _ARROW_FILE:
        whole = pa.ipc.open_file(file)
        batches = (whole.get_batch(number) for number in range(whole.num_record_batches))
        return ArrowTable(whole.schema, batches, is_stream=False)
    stream = pa.ipc.open_stream(file)
    return ArrowTable(stream.schema, iter(stream), is_stream=True)


def _broken(path: Path, kind: str, error: Exception) -> InputError:
    why = next(iter(str(error).splitlines()), "")
    return InputError(f"is no whole {kind} file", where=str(path), why=why, remedy="write or download it again")


def _arrow_records(batches: Iterable[Any]) -> Iterator[Record]:
    index = 0
    for batch in batches:
        for fields in _batch_rows(batch):
            yield Record(index, None, None, None, fields)
            index += 1


def _batch_rows(batch: Any) -> Iterable[Mapping[str, Any] | Problem]:
    import pyarrow as pa

    try:
        rows: list[Mapping[str, Any] | Problem] = batch.to_pylist()
    except (ValueError, OverflowError, LookupError, ImportError, pa.ArrowException):
        return (_cells(batch.slice(row, 1)) for row in range(batch.num_rows))
    return rows


def _cells(row: Any) -> Mapping[str, Any] | Problem:
    """The fields of one row, of which some cell is no value that Python has: a year past 9999, an unknown time zone."""
    import pyarrow as pa

    fields: dict[str, Any] = {}
    for name, column in zip(row.schema.names, row.columns, strict=True):
        try:
            fields[name] = column[0].as_py()
        except UnicodeDecodeError as error:
            return Problem(Status.UNREADABLE, f"invalid UTF-8 at byte {error.start} of field {name!r}")
        except (ValueError, OverflowError, LookupError, ImportError, pa.ArrowException):
            try:
                fields[name] = column.cast(pa.string())[0].as_py()
            except (ValueError, LookupError, pa.ArrowException):
                fields[name] = f"<{column.type}>"
    return fields


def _open_quote() -> Problem:
    return Problem(Status.UNREADABLE, "a quoted field is not closed before the end of the file")


def _oversized() -> Problem:
    return Problem(Status.UNREADABLE, f"the row is over {MAX_RECORD_BYTES >> 20} MiB")


def _json_object(content: bytes) -> Mapping[str, Any] | Problem:
    if b"\0" in content:
        return Problem(Status.UNREADABLE, "a NUL byte in the row")
    try:
        value = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Problem(Status.UNREADABLE, f"invalid UTF-8 at byte {error.start} of the row")
    except RecursionError:
        return _too_deep()
    except ValueError as error:
        if content.strip() in (b"{", b"["):
            return Problem(Status.UNREADABLE, "JSON that goes on over several lines, where each line is a row")
        return Problem(Status.UNREADABLE, f"invalid JSON: {error}")
    if not isinstance(value, dict):
        return Problem(Status.UNREADABLE, f"a JSON {json_kind(value)} where an object is expected")
    if content.count(b"[") + content.count(b"{") > _MAX_NESTING and _nesting(value) > _MAX_NESTING:
        return _too_deep()
    return _checked_text(value) if b"\\u" in content else value


def json_value(text: str) -> object:
    """What a text within a record is the JSON of.

    Raises:
        ValueError: It is no JSON, or holds what no record may hold.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"nested more than {_MAX_NESTING} deep") from error
    if _nesting(value) > _MAX_NESTING or isinstance(_checked_text({"": value}), Problem):
        raise ValueError("no value that can be stored")
    return value


def _too_deep() -> Problem:
    return Problem(Status.UNREADABLE, f"nested more than {_MAX_NESTING} deep")


def _nesting(value: object) -> int:
    """How many objects and lists stand within one another, up to a little more than are allowed."""
    depth, level = 0, [value]
    while depth <= _MAX_NESTING and (level := [v for v in level if isinstance(v, dict | list)]):
        level = [child for parent in level for child in (parent.values() if isinstance(parent, dict) else parent)]
        depth += 1
    return depth


def _checked_text(fields: Mapping[str, Any]) -> Mapping[str, Any] | Problem:
    """The fields, or a problem where a text holds lone surrogates: it can be stored in no UTF-8 file."""
    try:
        json.dumps(fields, ensure_ascii=False, default=repr).encode("utf-8")
    except UnicodeEncodeError:
        return Problem(Status.UNREADABLE, "text that is no valid Unicode (a lone surrogate or undecodable byte)")
    return fields


def json_kind(value: object) -> str:
    """What JSON calls a value's kind, for messages."""
    kinds = {dict: "object", list: "list", str: "string", bool: "boolean", int: "number", float: "number"}
    return "null" if value is None else kinds.get(type(value), type(value).__name__)
