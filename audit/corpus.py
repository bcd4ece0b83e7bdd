"""The dataset in memory: columns of rows, turns and responses, and the row keys by which rows are known across files.

`write_corpus` reads a source once and writes `rows.parquet`; `Corpus.load` reads that file and nothing else, so a fresh
and a resumed run see the same bytes. A row has one or more *responses*: the turns that are trained on, each with the
prompt it answers. Memory is about three times the text.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from audit.config import unknown_name
from audit.errors import InputError
from audit.sources import (
    COLUMNS,
    Format,
    Message,
    ParsedRow,
    Problem,
    Record,
    Status,
    detect_container,
    expected_fields,
    parse_row,
    read_records,
    recognize_format,
)
from indexes.store import VerifiedFile

__all__ = ["Corpus", "Row", "RowId", "RowKey", "SourceSummary", "read_table", "row_key", "write_corpus"]

_ROWS_PER_GROUP = 8192

_MESSAGE_TYPE = pa.struct(
    [
        ("role", pa.string()),
        ("content", pa.string()),
        ("trained", pa.bool_()),
        ("name", pa.string()),
        ("reasoning", pa.string()),
        ("tool_calls", pa.string()),
        ("tool_call_id", pa.string()),
    ]
)
_ROWS_SCHEMA = pa.schema(
    [
        ("row", pa.uint32()),
        ("file", pa.string()),
        ("index", pa.uint32()),
        ("line", pa.uint32()),
        ("start", pa.uint64()),
        ("end", pa.uint64()),
        ("key", pa.string()),
        ("ordinal", pa.uint32()),
        ("format", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("messages", pa.list_(_MESSAGE_TYPE)),
        ("tools", pa.string()),
        ("extra", pa.string()),
        ("raw", pa.binary()),  # the record's bytes, for sources that cannot be read again
    ]
)


class RowId(NamedTuple):
    """Where a row stands in its source: what every message names. `index` counts from 0."""

    file: str
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks of an address

    def __str__(self) -> str:
        return f"{self.file}#{self.index}"


class RowKey(NamedTuple):
    """What a row is, wherever it stands: SHA-256 of its canonical messages, and its number among equal rows."""

    digest: str
    ordinal: int

    def __str__(self) -> str:
        return f"{self.digest}:{self.ordinal}"


@dataclass(frozen=True)
class Row:
    """One row as a user would read it."""

    id: RowId
    key: RowKey
    line: int | None
    format: str
    messages: tuple[Message, ...]
    tools: str | None
    extra: Mapping[str, Any]
    status: Status
    reason: str


@dataclass(frozen=True)
class SourceSummary:
    """What was read: counts of rows by outcome."""

    container: str
    format: str
    n_rows: int
    n_unreadable: int
    n_malformed: int


def row_key(messages: tuple[Message, ...], tools: str | None) -> str:
    """SHA-256, in hexadecimal, of the canonical messages, trained flags and tools; absent fields are left out."""
    turns = [{name: value for name, value in _as_fields(message).items() if value is not None} for message in messages]
    content: dict[str, object] = {"messages": turns}
    if tools is not None:
        content["tools"] = tools
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


_MESSAGE_FIELDS = tuple(field.name for field in fields(Message))


def _as_fields(message: Message) -> dict[str, Any]:
    return {name: getattr(message, name) for name in _MESSAGE_FIELDS}


def write_corpus(
    source: Path,
    file: BinaryIO,
    *,
    format_: Format | None = None,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
) -> SourceSummary:
    """Read a dataset and write its rows as Parquet, in one streaming pass.

    Args:
        source: A .jsonl, .json, .csv or .parquet file.
        file: Where `rows.parquet` is written.
        format_: The rows' format, where it is not to be recognised.
        columns: LLaMA-Factory's column names (prompt, query, response, system, history, messages, tools) -> the file's.
        limit: Read only so many rows.

    Raises:
        InputError: The file cannot be cut into records, mixes formats, or holds no readable row; a column name is
            unknown.
    """
    columns = columns or {}
    for name in columns:
        if name not in COLUMNS:
            raise unknown_name("column name", name, list(COLUMNS))
    container = detect_container(source)
    if format_ is None and "messages" in columns:
        format_ = Format.MESSAGES
    elif format_ is None and not columns.keys().isdisjoint(("prompt", "query", "response", "history")):
        format_ = Format.ALPACA
    formats = _FormatOfFile(source, format_)
    ordinals: Counter[str] = Counter()
    statuses: Counter[Status] = Counter()
    batch: list[dict[str, Any]] = []
    first_problem: tuple[Record, Problem] | None = None
    with pq.ParquetWriter(file, _ROWS_SCHEMA, compression="zstd") as writer, source.open("rb") as raw:
        for record in read_records(source, container):
            if limit is not None and record.index >= limit:
                break
            parsed = formats.parse(record, columns)
            outcome: dict[str, Any]
            if isinstance(parsed, Problem):
                first_problem = first_problem or (record, parsed)
                key = _raw_digest(raw, record, parsed)
                outcome = {"status": parsed.status, "reason": parsed.reason}
            else:
                key = row_key(parsed.messages, parsed.tools)
                outcome = _stored(parsed)
            statuses[Status(outcome["status"])] += 1
            batch.append(
                {
                    "row": record.index,
                    "file": source.name,
                    "index": record.index,
                    "line": record.line,
                    "start": record.start,
                    "end": record.end,
                    "key": key,
                    "ordinal": ordinals[key],
                    "format": str(formats.name) if formats.name else "",
                    "raw": None,
                    **outcome,
                }
            )
            ordinals[key] += 1
            if len(batch) == _ROWS_PER_GROUP:
                writer.write_table(pa.Table.from_pylist(batch, schema=_ROWS_SCHEMA))
                batch = []
        if batch:
            writer.write_table(pa.Table.from_pylist(batch, schema=_ROWS_SCHEMA))
    if not statuses[Status.OK]:
        raise _no_readable_row(source, first_problem)
    return SourceSummary(
        container=str(container),
        format=str(formats.name),
        n_rows=statuses.total(),
        n_unreadable=statuses[Status.UNREADABLE],
        n_malformed=statuses[Status.MALFORMED],
    )


class _FormatOfFile:
    """The one format of a file: named by the user, or that of its first recognisable row."""

    def __init__(self, source: Path, named: Format | None) -> None:
        self._source = source
        self._named = named is not None
        self.name = named
        self._first: Record | None = None

    def parse(self, record: Record, columns: Mapping[str, str]) -> ParsedRow | Problem:
        if isinstance(record.fields, Problem):
            return record.fields
        if not self._named:
            recognized = recognize_format(record.fields)
            if recognized is None:
                found = ", ".join(map(repr, list(record.fields)[:8])) or "none"
                return Problem(Status.MALFORMED, f"fields of no known format, or an empty conversation: {found}")
            if self._first is None:
                self._first, self.name = record, recognized
            elif recognized is not self.name:
                raise InputError(
                    "the file mixes formats",
                    where=str(self._source),
                    why=f"row {self._first.index} is {self.name}, row {record.index} is {recognized}",
                    remedy="split it, or name one with --input-format and have the other rows reported",
                )
        assert self.name is not None  # set above, or named
        return parse_row(record.fields, self.name, columns)


def _stored(parsed: ParsedRow) -> dict[str, Any]:
    return {
        "status": Status.OK,
        "reason": None,
        "messages": [_as_fields(message) for message in parsed.messages],
        "tools": parsed.tools,
        "extra": json.dumps(parsed.extra, ensure_ascii=False, default=repr) if parsed.extra else None,
    }


def _raw_digest(raw: BinaryIO, record: Record, problem: Problem) -> str:
    """SHA-256 of an unparsable record's bytes, without line ends; of its fields where the container has no bytes."""
    if record.start is None or record.end is None:
        fields = problem.reason if isinstance(record.fields, Problem) else json.dumps(record.fields, default=repr)
        return hashlib.sha256(fields.encode()).hexdigest()
    raw.seek(record.start)
    digest = hashlib.sha256()
    left = record.end - record.start
    begun = False  # blank lines before the record belong to its span, not to what it is
    while left and (part := raw.read(min(left, 1 << 20))):
        left -= len(part)
        part = part if begun else part.lstrip(b"\r\n")
        begun = begun or bool(part)
        digest.update(part if left else part.rstrip(b"\r\n"))
    return digest.hexdigest()


def _no_readable_row(source: Path, first: tuple[Record, Problem] | None) -> InputError:
    if first is None:
        return InputError("the file holds no row", where=str(source), remedy="give a file with at least one row")
    record, problem = first
    place = f"row {record.index}" if record.line is None else f"line {record.line}"
    return InputError(
        "no row can be read",
        where=str(source),
        why=f"{place}: {problem.reason}",
        remedy=f"known formats: {expected_fields()}; map other columns with --columns prompt=NAME,response=NAME",
    )


def read_table(path: Path) -> pa.Table:
    """`rows.parquet` as Arrow, every block verified, on the calling thread.

    Arrow's own threads may hold the file when the call is over, and one that lets go of it while the interpreter ends
    aborts the process.

    Raises:
        CorruptFileError: The file is not what was written.
    """
    with VerifiedFile(path) as file, pq.ParquetFile(pa.PythonFile(file, mode="r")) as table:
        return table.read(use_threads=False)


@dataclass(frozen=True)
class Corpus:
    """A dataset as columns.

    Attributes:
        rows: One line per row, in file order: every column of `rows.parquet` but the messages.
        turns: One line per message: `row`, `turn` (from 0 within the row) and the fields of `Message`.
    """

    rows: pl.DataFrame
    turns: pl.DataFrame

    @classmethod
    def load(cls, path: Path) -> Corpus:
        """Read `rows.parquet`, every block verified.

        Raises:
            CorruptFileError: The file is not what was written.
        """
        table = read_table(path)
        rows = pl.DataFrame(pl.from_arrow(table.drop_columns(["messages"])))
        nested = pl.DataFrame(pl.from_arrow(table.select(["row", "messages"])))
        turns = (
            nested.filter(pl.col("messages").list.len() > 0)
            .explode("messages")
            .unnest("messages")
            .with_columns(turn=pl.int_range(pl.len(), dtype=pl.UInt16).over("row"))
        )
        return cls(rows, turns)

    def __len__(self) -> int:
        return self.rows.height

    def __iter__(self) -> Iterator[Row]:
        return (self.row(number) for number in range(len(self)))

    @cached_property
    def responses(self) -> pl.DataFrame:
        """Every trained response, in row and turn order: `row`, `turn`, `prompt`, `text`.

        The prompt of a response is the text of the turns since the previous assistant turn, system turns left out.
        """
        is_assistant = pl.col("role") == "assistant"
        marked = self.turns.with_columns(
            exchange=(is_assistant.cast(pl.UInt32).cum_sum() - is_assistant.cast(pl.UInt32)).over("row")
        )
        prompts = (
            marked.filter(~pl.col("role").is_in(["assistant", "system"]))
            .group_by("row", "exchange", maintain_order=True)
            .agg(prompt=pl.col("content").str.join("\n"))
        )
        return (
            marked.filter(is_assistant & pl.col("trained"))
            .join(prompts, on=["row", "exchange"], how="left", maintain_order="left")
            .select("row", "turn", pl.col("prompt").fill_null(""), pl.col("content").alias("text"))
        )

    @cached_property
    def keys(self) -> pl.Series:
        """The row keys as text, `DIGEST:ORDINAL`, shape `(n_rows,)`."""
        return self.rows.select(pl.format("{}:{}", "key", "ordinal").alias("key")).to_series()

    def id(self, row: int) -> RowId:
        """Where a row stands in its source."""
        file, index = self.rows.select("file", "index").row(row)
        return RowId(file, index)

    def row(self, number: int) -> Row:
        """One row, whole.

        Raises:
            IndexError: There is no such row.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"no row {number} in a dataset of {len(self)}")
        record = self.rows.row(number, named=True)
        offset, length = self._turn_ranges[number]
        turns = self._messages.slice(offset, length).iter_rows(named=True)
        return Row(
            id=RowId(record["file"], record["index"]),
            key=RowKey(record["key"], record["ordinal"]),
            line=record["line"],
            format=record["format"],
            messages=tuple(Message(**turn) for turn in turns),
            tools=record["tools"],
            extra=json.loads(record["extra"]) if record["extra"] else {},
            status=Status(record["status"]),
            reason=record["reason"] or "",
        )

    @cached_property
    def _messages(self) -> pl.DataFrame:
        """The fields of `Message` of every turn; dropping columns row by row would cost a millisecond each time."""
        return self.turns.drop("row", "turn")

    @cached_property
    def _turn_ranges(self) -> list[tuple[int, int]]:
        counts = self.turns.group_by("row").len()
        joined = self.rows.select("row").join(counts, on="row", how="left", maintain_order="left")
        lengths = joined["len"].fill_null(0).to_list()
        ranges, offset = [], 0
        for length in lengths:
            ranges.append((offset, length))
            offset += length
        return ranges
