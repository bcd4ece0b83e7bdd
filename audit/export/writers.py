"""Some rows of a source, written back: the same bytes in the same container, or converted to another.

In its own container a kept row is copied from the source byte for byte, so that an export in which nothing is dropped
is the source: blank lines, line ends, key order, quoting and damaged lines included. Parquet has no bytes of a row;
there the schema, its metadata and the values stay.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from audit.errors import InputError
from audit.sources import Container, Problem, read_records

__all__ = ["container_of_name", "write_rows"]

_COPY_BYTES = 1 << 20


def container_of_name(path: Path, source: Container) -> Container:
    """The container that an output's name asks for; the source's own where the suffix fits it.

    Raises:
        InputError: The suffix names none.
    """
    suffixes = {
        ".jsonl": Container.JSONL,
        ".ndjson": Container.JSONL,
        ".csv": Container.CSV,
        ".parquet": Container.PARQUET,
    }
    suffix = path.suffix.lower()
    if suffix == ".json":
        return source if source in (Container.JSON, Container.JSONL) else Container.JSON
    if suffix not in suffixes:
        raise InputError(f"unknown kind of file {suffix!r}", where=str(path), remedy="use .jsonl, .json, .csv or .parquet")
    return suffixes[suffix]


def write_rows(
    source: Path, container: Container, rows: pl.DataFrame, kept: Sequence[int], target: Container, file: BinaryIO
) -> None:
    """Write the kept rows of a source.

    Args:
        source: The file that was audited, unchanged since.
        container: Its container.
        rows: `Corpus.rows`.
        kept: Rows to write, ascending.
        target: The container to write; in the source's own, bytes are copied.
        file: Where to write.

    Raises:
        InputError: A kept row cannot be converted to another container.
    """
    if target is not container:
        _convert(source, container, set(kept), target, file)
    elif container is Container.PARQUET:
        _filter_parquet(source, kept, file)
    else:
        _copy_spans(source, container, rows, kept, file)


def _copy_spans(source: Path, container: Container, rows: pl.DataFrame, kept: Sequence[int], file: BinaryIO) -> None:
    starts, ends = rows["start"].to_list(), rows["end"].to_list()
    with source.open("rb") as original:
        if container is not Container.JSONL:  # the CSV header or the opening bracket, up to the first record
            _copy(original, 0, starts[0], file)
        for place, row in enumerate(kept):
            # In an array, the comma and white space after an element travel with it.
            goes_on = container is Container.JSON and place + 1 < len(kept)
            _copy(original, starts[row], starts[row + 1] if goes_on else ends[row], file)
        # More than blank lines and the closing bracket follows where an audit was limited to the first rows.
        original.seek(ends[-1])
        tail = original.read(_COPY_BYTES)
        closing = b"]" if container is Container.JSON else b""
        if tail.replace(b",", b"").strip() == closing:
            file.write(tail)
        elif closing:
            file.write(b"]\n")


def _copy(original: BinaryIO, start: int, end: int, file: BinaryIO) -> None:
    original.seek(start)
    while start < end and (part := original.read(min(_COPY_BYTES, end - start))):
        file.write(part)
        start += len(part)


def _filter_parquet(source: Path, kept: Sequence[int], file: BinaryIO) -> None:
    with pq.ParquetFile(source) as original:
        keep = np.zeros(original.metadata.num_rows, bool)
        keep[list(kept)] = True
        with pq.ParquetWriter(file, original.schema_arrow) as writer:
            begin = 0
            for batch in original.iter_batches():
                writer.write_batch(batch.filter(pa.array(keep[begin : begin + batch.num_rows])))
                begin += batch.num_rows


def _convert(source: Path, container: Container, kept: set[int], target: Container, file: BinaryIO) -> None:
    fields = _fields(source, container, kept)
    match target:
        case Container.JSONL:
            for row in fields:
                file.write(_json_line(row) + b"\n")
        case Container.JSON:
            separator = b"[\n"
            for row in fields:
                file.write(separator + _json_line(row))
                separator = b",\n"
            file.write(b"\n]\n")
        case Container.CSV:
            _write_csv(list(fields), source, file)
        case Container.PARQUET:
            try:
                pq.write_table(pa.Table.from_pylist(list(fields)), file)
            except pa.ArrowException as error:
                raise InputError(
                    "the rows have no common Parquet schema", where=str(source), why=str(error).splitlines()[0]
                ) from error


def _fields(source: Path, container: Container, kept: set[int]) -> Iterator[Mapping[str, Any]]:
    for record in read_records(source, container):
        if record.index in kept:
            if isinstance(record.fields, Problem):
                raise InputError(
                    "an unreadable row cannot be converted",
                    where=f"{source.name}#{record.index}",
                    why=record.fields.reason,
                    remedy="add --drop FMT001, or keep the source's kind of file",
                )
            yield record.fields


def _json_line(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, default=str).encode()


def _write_csv(rows: list[Mapping[str, Any]], source: Path, file: BinaryIO) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    nested = next((name for row in rows for name, value in row.items() if isinstance(value, dict | list)), None)
    if nested is not None:
        raise InputError(
            f"field {nested!r} is nested and does not fit CSV", where=str(source), remedy="write .jsonl or .parquet"
        )
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.DictWriter(text, names)  # with CRLF, as in RFC 4180: a lone CR in a field is then quoted
    writer.writeheader()
    writer.writerows(rows)
    text.detach()
