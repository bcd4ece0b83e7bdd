"""The dataset in memory: columns of rows, turns and responses, and the row keys by which rows are known across files.

`write_corpus` reads a source once and writes `rows.parquet`; `Corpus.load` reads that file and nothing else, so a fresh
and a resumed run see the same bytes. A row has one or more *responses*: the turns that are trained on, each with the
prompt it answers. Memory is about three times the text.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from json.encoder import encode_basestring as _quoted
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from audit.config import unknown_name
from audit.errors import InputError
from audit.sources import (
    COLUMNS,
    Container,
    Data,
    Format,
    Message,
    ParsedRow,
    Problem,
    Record,
    Source,
    SourceFile,
    Status,
    as_json,
    expected_fields,
    format_of_columns,
    located,
    open_plain,
    open_source,
    parse_row,
    read_records,
    recognize_format,
)
from indexes.store import VerifiedFile

__all__ = ["Corpus", "Row", "RowId", "RowKey", "SourceSummary", "read_table", "row_key", "write_corpus"]

_ROWS_PER_GROUP = 8192
# A file has the format of most of its first rows; with huge rows, of fewer.
_ROWS_OF_FORMAT = 1000
_BYTES_OF_FORMAT = 16 << 20

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
    # As `json.dumps` writes it with sorted keys, no spaces and no escapes, which takes three times as long.
    turns = ",".join(map(_canonical_turn, messages))
    canonical = f'{{"messages":[{turns}]}}' if tools is None else f'{{"messages":[{turns}],"tools":{_quoted(tools)}}}'
    return hashlib.sha256(canonical.encode()).hexdigest()


def _canonical_turn(message: Message) -> str:
    name = f'"name":{_quoted(message.name)},' if message.name is not None else ""
    reasoning = f'"reasoning":{_quoted(message.reasoning)},' if message.reasoning is not None else ""
    call_id = f'"tool_call_id":{_quoted(message.tool_call_id)},' if message.tool_call_id is not None else ""
    calls = f'"tool_calls":{_quoted(message.tool_calls)},' if message.tool_calls is not None else ""
    content, role, trained = _quoted(message.content), _quoted(message.role), "true" if message.trained else "false"
    return f'{{"content":{content},{name}{reasoning}"role":{role},{call_id}{calls}"trained":{trained}}}'


def write_corpus(
    source: Data | Source,
    file: BinaryIO,
    *,
    format_: Format | None = None,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
) -> SourceSummary:
    """Read a dataset and write its rows as Parquet, in one streaming pass.

    Args:
        source: What `open_source` opens, or has opened.
        file: Where `rows.parquet` is written.
        format_: The rows' format, where it is not to be recognised.
        columns: LLaMA-Factory's names of columns and tags (`COLUMNS`) -> the file's; a `dataset_info.json` beside a file
            speaks where neither these nor a format are given.
        limit: Read only so many rows.

    Raises:
        InputError: A file cannot be cut into records, or no file holds a readable row; a column name is unknown.
    """
    columns = columns or {}
    for name in columns:
        if name not in COLUMNS:
            raise unknown_name("column name", name, list(COLUMNS))
    if not isinstance(source, Source):
        with open_source(source) as opened:
            return write_corpus(opened, file, format_=format_, columns=columns, limit=limit)
    rows = _RowWriter(file)
    formats = []
    with rows:
        for part in source.files:
            mapped = columns or ({} if format_ else part.columns)
            reader = _FileReader(part, format_ or format_of_columns(mapped), mapped)
            left = None if limit is None else limit - rows.n_rows
            try:
                for record, parsed in reader.read(left):
                    rows.add(part.name, record, parsed, reader.format, reader.raw_digest)
            except InputError as error:
                raise located(error, part.path, part.location if part.is_copy else str(part.path)) from error
            formats.append(reader.format)
    if not rows.statuses[Status.OK]:
        raise _no_readable_row(source, rows.first_problem)
    return SourceSummary(
        container=source.container,
        format=", ".join(dict.fromkeys(str(name) for name in formats if name is not None)),
        n_rows=rows.n_rows,
        n_unreadable=rows.statuses[Status.UNREADABLE],
        n_malformed=rows.statuses[Status.MALFORMED],
    )


class _FileReader:
    """The rows of one file, all read in one format: that which was named, or that of most of its first rows.

    A file of several formats is none that a trainer reads, so rows of another are reported; files of one dataset may
    differ, as trainers mix them by turning each into messages.

    Attributes:
        format: The format; `None` before a row of a known one was met.
    """

    def __init__(self, file: SourceFile, named: Format | None, columns: Mapping[str, str]) -> None:
        self._file = file
        self._named = named is not None
        self._columns = columns
        self._raw: _ForwardReader | None = None
        self.format = named

    def read(self, limit: int | None) -> Iterator[tuple[Record, ParsedRow | Problem]]:
        """Every record, and what it says.

        Raises:
            InputError: The file cannot be cut into records.
        """
        records = iter(islice(read_records(self._file.path, self._file.container), limit))
        first = [] if self._named else self._recognize(records)
        try:
            for record in chain(first, records):
                yield record, self._parse(record)
        finally:
            if self._raw is not None:
                self._raw.close()

    def _recognize(self, records: Iterator[Record]) -> list[Record]:
        """Find the format; the records that were read for it."""
        found: Counter[Format] = Counter()
        first = []
        for record in records:
            first.append(record)
            if not isinstance(record.fields, Problem) and (format_ := recognize_format(record.fields)) is not None:
                found[format_] += 1
            if len(first) == _ROWS_OF_FORMAT or (record.end or 0) > _BYTES_OF_FORMAT:
                break
        self.format = max(found, key=found.__getitem__, default=None)
        return first

    def _parse(self, record: Record) -> ParsedRow | Problem:
        if isinstance(record.fields, Problem):
            return record.fields
        if not self._named:
            recognized = recognize_format(record.fields)
            if recognized is None:
                found = ", ".join(map(repr, list(record.fields)[:8])) or "none"
                return Problem(Status.MALFORMED, f"fields of no known format, or an empty conversation: {found}")
            self.format = self.format or recognized
            if recognized is not self.format:
                return Problem(Status.MALFORMED, f"the row is {recognized}, the file's other rows are {self.format}")
        assert self.format is not None  # set above, or named
        return parse_row(record.fields, self.format, self._columns)

    def raw_digest(self, record: Record, problem: Problem) -> str:
        """SHA-256 of an unparsable record's bytes, without line ends; of its fields where the container has no bytes."""
        if record.start is None or record.end is None:
            fields = problem.reason if isinstance(record.fields, Problem) else json.dumps(record.fields, default=repr)
            return hashlib.sha256(fields.encode()).hexdigest()
        self._raw = self._raw or _ForwardReader(self._file.path)
        digest = hashlib.sha256()
        left = record.end - record.start
        begun = False  # blank lines before the record belong to its span, not to what it is
        for part in self._raw.read(record.start, record.end):
            left -= len(part)
            part = part if begun else part.lstrip(b"\r\n")
            begun = begun or bool(part)
            digest.update(part if left else part.rstrip(b"\r\n"))
        return digest.hexdigest()


class _ForwardReader:
    """Stretches of a file, one after the other, packed or not."""

    def __init__(self, path: Path) -> None:
        self._file = open_plain(path)
        self._position = 0

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start`, which is no earlier than the last `end`, in parts of at most 1 MiB."""
        if self._file.seekable():
            self._file.seek(start)
            self._position = start
        while self._position < end and (part := self._file.read(min(self._limit(start, end), 1 << 20))):
            self._position += len(part)
            if self._position > start:
                yield part

    def _limit(self, start: int, end: int) -> int:
        return (start if self._position < start else end) - self._position

    def close(self) -> None:
        """Close the file beneath."""
        self._file.close()


class _RowWriter:
    """Rows, column by column, in groups.

    Attributes:
        n_rows: How many were added.
        statuses: How many of each outcome.
        first_problem: The first record that did not become a row of messages.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._writer = pq.ParquetWriter(file, _ROWS_SCHEMA, compression="zstd")
        self._ordinals: Counter[str] = Counter()
        self.n_rows = 0
        self.statuses: Counter[Status] = Counter()
        self.first_problem: tuple[str, Record, Problem] | None = None
        self._begin()

    def __enter__(self) -> _RowWriter:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is None and self._rows:
            self._flush()
        self._writer.close()

    def _begin(self) -> None:
        self._rows: list[tuple[Any, ...]] = []
        self._turns: list[Message] = []
        self._ends: list[int | None] = []

    def add(
        self,
        file: str,
        record: Record,
        parsed: ParsedRow | Problem,
        format_: Format | None,
        raw_digest: Callable[[Record, Problem], str],
    ) -> None:
        """Add a row of a file."""
        status, reason, tools, extra = Status.OK, None, None, None
        if isinstance(parsed, Problem):
            self.first_problem = self.first_problem or (file, record, parsed)
            key = raw_digest(record, parsed)
            status, reason = parsed.status, parsed.reason
            self._ends.append(None)
        else:
            key = row_key(parsed.messages, parsed.tools)
            tools, extra = parsed.tools, as_json(parsed.extra) if parsed.extra else None
            self._turns += parsed.messages
            self._ends.append(len(self._turns))
        ordinal, name, start, end = self._ordinals[key], str(format_) if format_ else "", record.start, record.end
        place = (self.n_rows, file, record.index, record.line, start, end, key, ordinal, name)
        self._rows.append((*place, status.value, reason, tools, extra, None))
        self._ordinals[key] += 1
        self.statuses[status] += 1
        self.n_rows += 1
        if len(self._rows) == _ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        struct = _ROWS_SCHEMA.field("messages").type.value_type
        turns = [pa.array([getattr(turn, field.name) for turn in self._turns], field.type) for field in struct]
        # A list ends where the next begins; a missing one is null at its beginning.
        begins: list[int | None] = []
        done = 0
        for end in self._ends:
            begins.append(None if end is None else done)
            done = done if end is None else end
        messages = pa.ListArray.from_arrays(
            pa.array([*begins, done], pa.int32()), pa.StructArray.from_arrays(turns, fields=list(struct))
        )
        others = [field for field in _ROWS_SCHEMA if field.name != "messages"]
        arrays = {
            field.name: pa.array(values, field.type)
            for field, values in zip(others, zip(*self._rows, strict=True), strict=True)
        }
        arrays["messages"] = messages.cast(_ROWS_SCHEMA.field("messages").type)
        self._writer.write_table(pa.table([arrays[name] for name in _ROWS_SCHEMA.names], schema=_ROWS_SCHEMA))
        self._begin()


def _no_readable_row(source: Source, first: tuple[str, Record, Problem] | None) -> InputError:
    single = len(source.files) == 1
    if first is None:
        what = "the file holds no row" if single else "the files hold no row"
        return InputError(what, where=_where(source), remedy="give a file with at least one row")
    file, record, problem = first
    place = f"row {record.index}" if record.line is None else f"line {record.line}"
    return InputError(
        "no row can be read",
        where=_where(source),
        why=f"{place if single else f'{file}, {place}'}: {problem.reason}",
        remedy=_advice(record, source.files[0].container),
    )


def _advice(record: Record, container: Container) -> str:
    """What to do about rows of which `record` is the first."""
    if container is Container.JSONL and isinstance(record.fields, Problem):
        return "write each row as one JSON object on a line of its own (jq -c . FILE), or one JSON array into a .json file"
    fields = {} if isinstance(record.fields, Problem) else record.fields
    if len(fields) == 1 and any(mark in name for name in fields for mark in ";\t"):
        return "separate the columns with commas"
    for name, value in fields.items():
        if isinstance(value, list) and value and all(isinstance(row, dict) and recognize_format(row) for row in value):
            return f"the rows are inside {name!r}: write them alone, as a JSON array or one object a line"
    return f"known formats: {expected_fields()}; map other columns with --columns prompt=NAME,response=NAME"


def _where(source: Source) -> str:
    file = source.files[0]
    return str(file.path) if len(source.files) == 1 and not file.is_copy else source.location


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
