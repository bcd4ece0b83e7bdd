"""Rows of any container and format, as messages; and the same bytes back.

Two questions are kept apart. The *container* says where one record ends and the next begins (JSON Lines, a JSON array,
CSV, Parquet) and yields records with their byte span, so that an export can copy kept rows untouched. The *format* says
what a record means (alpaca, messages, sharegpt, prompt-completion) and turns it into messages.

A record that cannot be read or understood is a row like any other, with a `problem`; only a file that cannot be cut
into records, or holds no readable row at all, is an error. Everything streams: memory is bounded by the longest record.
"""

from __future__ import annotations

import csv
import json
import mmap
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from audit.errors import InputError

__all__ = [
    "COLUMNS",
    "MAX_RECORD_BYTES",
    "Container",
    "Format",
    "Message",
    "ParsedRow",
    "Problem",
    "Record",
    "Status",
    "detect_container",
    "expected_fields",
    "parse_row",
    "read_records",
    "recognize_format",
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


class Format(StrEnum):
    """What the fields of a record mean."""

    ALPACA = "alpaca"
    MESSAGES = "messages"
    SHAREGPT = "sharegpt"
    PROMPT_COMPLETION = "prompt-completion"


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
        line: Line on which it begins, from 1; `None` for Parquet.
        start: First byte of its span in the file; `None` for Parquet.
        end: Byte after its span.
        fields: The record's fields, or the problem that kept them from being read.
    """

    index: int
    line: int | None
    start: int | None
    end: int | None
    fields: Mapping[str, Any] | Problem


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: `system`, `user`, `assistant` or `tool`; other names are kept as they came.
        content: The text, exactly as it came.
        trained: Whether a trainer takes the loss on this turn.
        name, reasoning, tool_calls, tool_call_id: As in OpenAI's chat format; `tool_calls` is canonical JSON.
    """

    role: str
    content: str
    trained: bool
    name: str | None = None
    reasoning: str | None = None
    tool_calls: str | None = None
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class ParsedRow:
    """A record that was understood: its messages, its tools (canonical JSON) and the fields that belong to neither."""

    messages: tuple[Message, ...]
    tools: str | None
    extra: dict[str, Any]


def detect_container(path: Path) -> Container:
    """The container of a file, by its name; `.json` may also hold JSON Lines, which its first character tells.

    Raises:
        InputError: The file is missing, empty, no file, or of an unknown kind.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except FileNotFoundError as error:
        raise InputError("no such file", where=str(path), remedy="check the path") from error
    except IsADirectoryError as error:
        raise InputError("is a folder", where=str(path), remedy="name one .jsonl, .json, .csv or .parquet file") from error
    except OSError as error:
        raise InputError("cannot be read", where=str(path), why=error.strerror or str(error)) from error
    if not head:
        raise InputError("the file is empty", where=str(path), remedy="give a file with at least one row")
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson", ".json", ".csv") and head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError("the text is UTF-16", where=str(path), remedy="convert it: iconv -f UTF-16 -t UTF-8")
    if suffix in (".jsonl", ".ndjson", ".json"):
        begins_array = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["
        return Container.JSON if suffix == ".json" and begins_array else Container.JSONL
    if suffix == ".csv":
        return Container.CSV
    if suffix in (".parquet", ".pq"):
        return Container.PARQUET
    raise InputError(
        f"unknown kind of file {suffix or 'without a suffix'!r}",
        where=str(path),
        remedy="use .jsonl, .json, .csv or .parquet",
    )


def read_records(path: Path, container: Container) -> Iterator[Record]:
    """The records of a file, in order, one at a time.

    Raises:
        InputError: The file cannot be cut into records.
    """
    try:
        match container:
            case Container.JSONL:
                yield from _read_jsonl(path)
            case Container.JSON:
                yield from _read_json_array(path)
            case Container.CSV:
                yield from _read_csv(path)
            case Container.PARQUET:
                yield from _read_parquet(path)
    except OSError as error:
        raise InputError("cannot be read", where=str(path), why=error.strerror or str(error)) from error


def _read_jsonl(path: Path) -> Iterator[Record]:
    # A record's span reaches from the end of the one before, so that blank lines travel with it and all spans together
    # are the file; a trailing stretch of blank lines belongs to nobody and is copied by the writer.
    with path.open("rb") as file:
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
            content = chunk.removeprefix(b"\xef\xbb\xbf") if line == 1 else chunk
            if not content.strip():
                continue
            fields = _oversized() if oversized else _json_object(content.rstrip(b"\r\n"))
            yield Record(index, line, start, position, fields)
            index, start = index + 1, position


# Strings are matched whole, so that brackets and commas inside them do not count; possessive, and to the end of the
# file where a quote is missing, so that no input is slow.
_JSON_STRUCTURE = re.compile(rb'"[^"\\]*+(?:\\.?[^"\\]*+)*+(?:"|\Z)|[\[\]{},]', re.DOTALL)


def _read_json_array(path: Path) -> Iterator[Record]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
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


def _read_csv(path: Path) -> Iterator[Record]:
    csv.field_size_limit(MAX_RECORD_BYTES)
    with path.open("rb") as file:
        position = line = 0
        ended = False

        def lines() -> Iterator[str]:
            nonlocal position, line, ended
            for raw in file:
                position += len(raw)
                line += 1
                # Undecodable bytes become lone surrogates, which mark the row below.
                yield (raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw).decode("utf-8", "surrogateescape")
            ended = True

        reader = csv.reader(lines())
        try:
            header = next(reader, None)
            if not header or len(set(header)) < len(header):
                raise InputError(
                    "the first line is no header of distinct column names",
                    where=str(path),
                    remedy="name the columns there",
                )
            index, start, first_line = 0, position, line + 1
            for values in reader:
                if values:
                    # A record is whole before the reader asks for a line too many.
                    fields = _open_quote() if ended else _csv_fields(header, values)
                    yield Record(index, first_line, start, position, fields)
                    index += 1
                    start = position
                first_line = line + 1
        except csv.Error as error:
            raise InputError("is no readable CSV", where=f"{path}:{line}", why=str(error)) from error


def _csv_fields(header: list[str], values: list[str]) -> Mapping[str, Any] | Problem:
    if len(values) != len(header):
        return Problem(Status.UNREADABLE, f"{len(values)} fields where the header has {len(header)}")
    return _checked_text(dict(zip(header, values, strict=True)))


def _read_parquet(path: Path) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            index = 0
            for batch in file.iter_batches(batch_size=1024):
                for fields in batch.to_pylist():
                    yield Record(index, None, None, None, _checked_text(fields))
                    index += 1
    except (pa.ArrowException, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0]
        raise InputError("is no whole Parquet file", where=str(path), why=first, remedy="write or download it again") from error


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
        return Problem(Status.UNREADABLE, f"invalid JSON: {error}")
    if not isinstance(value, dict):
        return Problem(Status.UNREADABLE, f"a JSON {_kind(value)} where an object is expected")
    if content.count(b"[") + content.count(b"{") > _MAX_NESTING and _nesting(value) > _MAX_NESTING:
        return _too_deep()
    return _checked_text(value) if b"\\u" in content else value


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


# --- formats --------------------------------------------------------------------------------------------------------

# What LLaMA-Factory calls a column -> the names that files give it, by format; the first name is the format's own.
_FIELDS: dict[Format, dict[str, tuple[str, ...]]] = {
    Format.ALPACA: {
        "prompt": ("instruction",),
        "query": ("input", "context"),
        "response": ("output", "response"),
        "system": ("system",),
        "history": ("history",),
    },
    Format.PROMPT_COMPLETION: {
        "prompt": ("prompt", "prompts"),
        "response": ("completion", "response"),
        "system": ("system",),
    },
    Format.MESSAGES: {
        "messages": ("messages", "conversations", "conversation"),
        "system": ("system",),
        "tools": ("tools",),
    },
    Format.SHAREGPT: {
        "messages": ("conversations", "conversation", "messages"),
        "system": ("system",),
        "tools": ("tools",),
    },
}
COLUMNS = tuple(dict.fromkeys(field for fields in _FIELDS.values() for field in fields))
"""The names by which columns can be mapped, LLaMA-Factory's."""

_REQUIRED = {
    Format.ALPACA: ("prompt", "response"),
    Format.PROMPT_COMPLETION: ("prompt", "response"),
    Format.MESSAGES: ("messages",),
    Format.SHAREGPT: ("messages",),
}
_ROLES = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "function": "tool",
}


def expected_fields() -> str:
    """The fields that each format needs, for error messages."""
    parts = []
    for format_ in Format:
        names = [_FIELDS[format_][field][0] for field in _REQUIRED[format_]]
        parts.append(f"{format_} ({', '.join(names)})")
    return ", ".join(parts)


def recognize_format(fields: Mapping[str, Any]) -> Format | None:
    """The format whose needed fields a record has, or `None`."""
    for name in ("messages", "conversations", "conversation"):
        turns = fields.get(name)
        if isinstance(turns, list) and turns:  # an empty one belongs to either format
            first = turns[0]
            if isinstance(first, Mapping) and "from" in first:
                return Format.SHAREGPT
            return Format.MESSAGES if isinstance(first, Mapping) or name == "messages" else Format.SHAREGPT
    for format_ in (Format.ALPACA, Format.PROMPT_COMPLETION):
        if all(any(name in fields for name in _FIELDS[format_][needed]) for needed in _REQUIRED[format_]):
            return format_
    return None


def parse_row(fields: Mapping[str, Any], format_: Format, columns: Mapping[str, str]) -> ParsedRow | Problem:
    """A record's messages.

    Args:
        fields: The record.
        format_: What its fields mean.
        columns: LLaMA-Factory's column name -> the record's own, for odd names; wins over the format's names.
    """
    names: dict[str, str] = {}
    for field, choices in _FIELDS[format_].items():
        name = columns.get(field) or next((choice for choice in choices if choice in fields), None)
        if name is not None and name in fields:
            names[field] = name
        elif field in _REQUIRED[format_]:
            return Problem(Status.MALFORMED, f"no field {columns.get(field) or choices[0]!r}, which {format_} rows need")
    values = {field: fields[name] for field, name in names.items()}
    used = set(names.values())
    extra = {name: value for name, value in fields.items() if name not in used}
    try:
        messages = _chat_messages(values) if "messages" in values else _instruction_messages(values, names)
        tools = _canonical_json(values["tools"]) if values.get("tools") else None
    except _MalformedError as error:
        return Problem(Status.MALFORMED, str(error))
    return ParsedRow(messages, tools, extra)


class _MalformedError(Exception):
    """A field of the wrong kind; becomes a `Problem`."""


def _instruction_messages(values: Mapping[str, Any], names: Mapping[str, str]) -> tuple[Message, ...]:
    text = {field: _text(value, names[field]) for field, value in values.items() if field != "history"}
    messages = []
    if text.get("system"):
        messages.append(Message("system", text["system"], trained=False))
    history = values.get("history") or []
    for turn in history if isinstance(history, list) else [None]:
        if not isinstance(turn, list | tuple) or len(turn) != 2:
            raise _MalformedError("field 'history' is no list of [question, answer]")
        messages.append(Message("user", _text(turn[0], "history"), trained=False))
        messages.append(Message("assistant", _text(turn[1], "history"), trained=True))
    query = text.get("query", "")
    messages.append(Message("user", f"{text['prompt']}\n{query}" if query else text["prompt"], trained=False))
    messages.append(Message("assistant", text["response"], trained=True))
    return tuple(messages)


def _chat_messages(values: Mapping[str, Any]) -> tuple[Message, ...]:
    turns = values["messages"]
    if not isinstance(turns, list):
        raise _MalformedError(f"the conversation is a JSON {_kind(turns)}, not a list")
    if not turns:
        raise _MalformedError("the conversation has no turns")
    messages = []
    if values.get("system"):
        messages.append(Message("system", _text(values["system"], "system"), trained=False))
    for number, turn in enumerate(turns):
        if not isinstance(turn, Mapping):
            raise _MalformedError(f"turn {number} is a JSON {_kind(turn)}, not an object")
        role = turn.get("role", turn.get("from"))
        if not isinstance(role, str):
            raise _MalformedError(f"turn {number} has no role")
        role = _ROLES.get(role, role)
        trained = role == "assistant" and turn.get("weight", 1) not in (0, False) and turn.get("train", True) is not False
        messages.append(
            Message(
                role,
                _content(turn, number),
                trained,
                name=_optional_text(turn, "name", number),
                reasoning=_optional_text(turn, "reasoning_content", number),
                tool_calls=_canonical_json(turn["tool_calls"]) if turn.get("tool_calls") else None,
                tool_call_id=_optional_text(turn, "tool_call_id", number),
            )
        )
    return tuple(messages)


def _content(turn: Mapping[str, Any], number: int) -> str:
    content = turn.get("content", turn.get("value"))
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None for part in content]
        if not all(isinstance(part, str) for part in parts):
            raise _MalformedError(f"turn {number} has content that is not text")
        return "".join(part for part in parts if part)
    return _text(content, f"content of turn {number}")


def _text(value: object, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _MalformedError(f"field {name!r} is a JSON {_kind(value)}, not text")
    return value


def _optional_text(turn: Mapping[str, Any], name: str, number: int) -> str | None:
    return None if turn.get(name) is None else _text(turn[name], f"{name} of turn {number}")


def _canonical_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=repr)


def _kind(value: object) -> str:
    kinds = {dict: "object", list: "list", str: "string", bool: "boolean", int: "number", float: "number"}
    return "null" if value is None else kinds.get(type(value), type(value).__name__)
