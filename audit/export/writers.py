"""Some rows of a source, written back: the same bytes in the same container, or converted to another.

In its own container a kept row is copied from the source byte for byte, so that an export in which nothing is dropped
is the source: blank lines, line ends, key order, quoting and damaged lines included. Of a compressed file these are the
bytes within. Parquet and Arrow have no bytes of a row; there the schema, its metadata and the values stay. Several files
are written each under its own name, or joined to one. Where texts of a row are changed, all its other bytes are copied.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from audit.errors import InputError
from audit.export.places import Change, changed_csv, changed_fields, changed_json, changed_value
from audit.sources import (
    ArrowTable,
    Compression,
    Container,
    Problem,
    container_of_suffix,
    decompressed,
    open_arrow,
    read_records,
    without_compression,
)

__all__ = ["SourceRows", "container_of_name", "packed", "write_joined", "write_rows"]

_COPY_BYTES = 1 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class SourceRows:
    """Rows of one file.

    Attributes:
        name: The file's, for messages.
        path: The file that was audited, unchanged since.
        container: Its container.
        rows: `Corpus.rows` of this file alone, all of them.
        kept: Numbers within the file of those to write, ascending.
        changes: Texts that are changed, by the row's number within the file.
    """

    name: str
    path: Path
    container: Container
    rows: pl.DataFrame
    kept: Sequence[int]
    changes: Mapping[int, Sequence[Change]] = field(default_factory=dict)


def container_of_name(path: Path, source: Container, source_name: str = "") -> Container:
    """The container that an output's name asks for.

    `.json` is an array, unless the source was JSON Lines under that name itself.

    Args:
        path: The output.
        source: The source's container.
        source_name: The source's file name.

    Raises:
        InputError: The suffix names none.
    """
    container = container_of_suffix(path)
    if container is None:
        raise InputError(
            f"unknown kind of file {path.suffix!r}", where=str(path), remedy="use .jsonl, .json, .csv, .parquet or .arrow"
        )
    if container is Container.JSON and source is Container.JSONL:
        named = without_compression(Path(source_name)).suffix.lower()
        return Container.JSONL if named == ".json" else Container.JSON
    return container


@contextmanager
def packed(file: BinaryIO, compression: Compression | None) -> Iterator[BinaryIO]:
    """A file that compresses into another, which stays open; the same bytes give the same bytes."""
    if compression is None:
        yield file
        return
    stream: Any = pa.CompressedOutputStream(pa.PythonFile(_Unclosed(file), mode="w"), str(compression))
    with stream:
        yield stream


class _Unclosed(io.RawIOBase):
    """A file to write to that does not close the one beneath."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        return self._file.write(content)


def write_rows(
    source: Path,
    container: Container,
    rows: pl.DataFrame,
    kept: Sequence[int],
    target: Container,
    file: BinaryIO,
    changes: Mapping[int, Sequence[Change]] | None = None,
) -> None:
    """Write the kept rows of a file.

    Args:
        source: The file that was audited, unchanged since.
        container: Its container.
        rows: `Corpus.rows` of this file.
        kept: Rows to write, ascending, numbered within the file.
        target: The container to write; in the source's own, bytes are copied.
        file: Where to write.
        changes: Texts that are changed, by the row's number within the file.

    Raises:
        InputError: A kept row cannot be converted to another container.
    """
    part = SourceRows(source.name, source, container, rows, kept, changes or {})
    if target is container and container.is_text:
        _copy_spans(part, file)
    else:
        _convert([part], target, file)


def write_joined(parts: Sequence[SourceRows], target: Container, file: BinaryIO) -> None:
    """Write the kept rows of several files to one.

    Lines of JSON are copied; everything else is converted.

    Args:
        parts: The files, in order.
        target: The container to write.
        file: Where to write.

    Raises:
        InputError: As `write_rows`.
    """
    if target is Container.JSONL and all(part.container is target for part in parts):
        _join_lines(parts, file)
    else:
        _convert(parts, target, file)


def _copy_spans(part: SourceRows, file: BinaryIO) -> None:
    starts, ends = part.rows["start"].to_list(), part.rows["end"].to_list()
    with decompressed(part.path) as plain, plain.open("rb") as original:
        if not starts:  # a header alone, or nothing
            _copy(original, 0, plain.stat().st_size, file)
            return
        if part.container is not Container.JSONL:  # the CSV header or the opening bracket, up to the first record
            _copy(original, 0, starts[0], file)
        header = _csv_header(part) if part.changes and part.container is Container.CSV else ()
        for place, row in enumerate(part.kept):
            # In an array, the comma and white space after an element travel with it.
            goes_on = part.container is Container.JSON and place + 1 < len(part.kept)
            end = starts[row + 1] if goes_on else ends[row]
            if row in part.changes:
                original.seek(starts[row])
                file.write(_changed(original.read(end - starts[row]), header, part.changes[row]))
            else:
                _copy(original, starts[row], end, file)
        # More than blank lines and the closing bracket follows where an audit was limited to the first rows.
        original.seek(ends[-1])
        tail = original.read(_COPY_BYTES)
        closing = b"]" if part.container is Container.JSON else b""
        if tail.replace(b",", b"").strip() == closing:
            file.write(tail)
        elif closing:
            file.write(b"]\n")


def _join_lines(parts: Sequence[SourceRows], file: BinaryIO) -> None:
    last = b""
    for part in parts:
        starts, ends = part.rows["start"].to_list(), part.rows["end"].to_list()
        with decompressed(part.path) as plain, plain.open("rb") as original:
            for row in part.kept:
                if last and not last.endswith(b"\n"):
                    file.write(b"\n")
                original.seek(starts[row])
                marked = starts[row] == 0 and original.read(len(_BYTE_ORDER_MARK)) == _BYTE_ORDER_MARK
                start = starts[row] + len(_BYTE_ORDER_MARK) * marked
                if row in part.changes:
                    original.seek(start)
                    last = _changed(original.read(ends[row] - start), (), part.changes[row])
                    file.write(last)
                else:
                    last = _copy(original, start, ends[row], file)


def _changed(content: bytes, header: Sequence[str], changes: Sequence[Change]) -> bytes:
    """A record with other texts; of CSV where there is a header, else of JSON."""
    return changed_csv(content, header, changes) if header else changed_json(content, changes)


def _csv_header(part: SourceRows) -> list[str]:
    """The names of the columns: those of any record that was read."""
    first = next(record.fields for record in read_records(part.path, part.container) if not isinstance(record.fields, Problem))
    return list(first)


def _copy(original: BinaryIO, start: int, end: int, file: BinaryIO) -> bytes:
    """Copy a stretch; its last part."""
    original.seek(start)
    last = b""
    while start < end and (part := original.read(min(_COPY_BYTES, end - start))):
        file.write(part)
        start += len(part)
        last = part
    return last


def _convert(parts: Sequence[SourceRows], target: Container, file: BinaryIO) -> None:
    match target:
        case Container.JSONL:
            for row in _fields(parts):
                file.write(_json_line(row) + b"\n")
        case Container.JSON:
            separator = b"[\n"
            for row in _fields(parts):
                file.write(separator + _json_line(row))
                separator = b",\n"
            file.write(b"\n]\n" if separator == b",\n" else b"[]\n")
        case Container.CSV:
            _write_csv(list(_fields(parts)), parts, file)
        case Container.PARQUET | Container.ARROW:
            _write_batches(parts, target, file)


def _write_batches(parts: Sequence[SourceRows], target: Container, file: BinaryIO) -> None:
    schemas = []
    for part in parts:
        if not part.container.is_text:
            with _open_table(part) as table:
                schemas.append(table.schema)
                is_stream = table.is_stream  # everything reads Arrow's files; a stream is written where one was read
    if len(schemas) == len(parts) and all(schema.equals(schemas[0]) for schema in schemas):
        with _table_writer(target, schemas[0], file, is_stream=is_stream) as writer:
            for part in parts:
                for batch in _filtered(part):
                    writer.write_batch(batch)
        return
    rows = list(_fields(parts))
    names = dict.fromkeys(name for row in rows for name in row)
    try:
        whole = pa.table({name: [row.get(name) for row in rows] for name in names})
        with _table_writer(target, whole.schema, file, is_stream=False) as writer:
            writer.write_table(whole)
    except pa.ArrowException as error:
        raise InputError(
            f"the rows have no common {target} schema",
            where=parts[0].name,
            why=str(error).splitlines()[0],
            remedy="write .jsonl",
        ) from error


def _table_writer(target: Container, schema: pa.Schema, file: BinaryIO, *, is_stream: bool) -> Any:
    if target is Container.PARQUET:
        return pq.ParquetWriter(file, schema)
    return pa.ipc.new_stream(file, schema) if is_stream else pa.ipc.new_file(file, schema)


@contextmanager
def _open_table(part: SourceRows) -> Iterator[ArrowTable]:
    """The table of a Parquet or Arrow file."""
    if part.container is Container.PARQUET:
        with pq.ParquetFile(part.path) as original:
            yield ArrowTable(original.schema_arrow, original.iter_batches(), is_stream=False)
    else:
        with part.path.open("rb") as file:
            yield open_arrow(file)


def _filtered(part: SourceRows) -> Iterator[pa.RecordBatch]:
    """The kept rows of a Parquet or Arrow file."""
    keep = np.zeros(part.rows.height, bool)
    keep[list(part.kept)] = True
    begin = 0
    with _open_table(part) as table:
        for batch in table.batches:
            inside = keep[begin : begin + batch.num_rows]  # shorter past the limit of an audit
            read = range(begin, begin + len(inside))
            changes = {row - begin: part.changes[row] for row in sorted(part.changes) if row in read}
            yield _changed_batch(batch.slice(0, len(inside)), changes).filter(pa.array(inside))
            begin += batch.num_rows


def _changed_batch(batch: pa.RecordBatch, changes: Mapping[int, Sequence[Change]]) -> pa.RecordBatch:
    """A batch with other texts, by row; every other value is the array's own."""
    if not changes:
        return batch
    columns = list(batch.columns)
    for number, (name, column) in enumerate(zip(batch.schema.names, batch.columns, strict=True)):
        parts, done = [], 0
        for row, of_row in changes.items():
            of_column = [change for change in of_row if change.path[0] == name]
            if not of_column:
                continue
            value = column[row].as_py()
            for change in of_column:
                value = changed_value(value, change.path[1:], change.text)
            parts += [column.slice(done, row - done), pa.array([value], type=column.type)]
            done = row + 1
        if parts:
            columns[number] = pa.concat_arrays([*parts, column.slice(done)])
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _fields(parts: Sequence[SourceRows]) -> Iterator[Mapping[str, Any]]:
    for part in parts:
        kept = set(part.kept)
        for record in read_records(part.path, part.container):
            if record.index in kept:
                if isinstance(record.fields, Problem):
                    raise InputError(
                        "an unreadable row cannot be converted",
                        where=f"{part.name}#{record.index}",
                        why=record.fields.reason,
                        remedy="add --drop FMT001, or keep the source's kind of file",
                    )
                changes = part.changes.get(record.index, ())
                yield changed_fields(record.fields, changes) if changes else record.fields


def _json_line(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, default=str).encode()


def _write_csv(rows: list[Mapping[str, Any]], parts: Sequence[SourceRows], file: BinaryIO) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    nested = next((name for row in rows for name, value in row.items() if isinstance(value, dict | list)), None)
    if nested is not None:
        raise InputError(
            f"field {nested!r} is nested and does not fit CSV", where=parts[0].name, remedy="write .jsonl or .parquet"
        )
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.DictWriter(text, names)  # with CRLF, as in RFC 4180: a lone CR in a field is then quoted
    writer.writeheader()
    writer.writerows(rows)
    text.detach()
