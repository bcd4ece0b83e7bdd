"""Where a response stands in its record, and the record with another text there and every other byte as it was.

A place is found by its effect: of the texts of a record the one is taken that, written anew, changes this response when
the record is read, and nothing else. So it holds for every format and mapping that can be read, and where there is no
such text, as in a content of several parts, there is no place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from audit.corpus import Row
from audit.sources import ParsedRow, Problem

__all__ = ["Change", "Place", "Read", "changed_csv", "changed_fields", "changed_json", "changed_value", "find_place", "fits"]

_Path: TypeAlias = tuple[str | int, ...]

Read: TypeAlias = Callable[[Mapping[str, Any]], ParsedRow | Problem]
"""How the records of a file are read."""

_SPACE = re.compile(r"\s*")
_CELL = re.compile(r'(?:"(?:[^"]|"")*+"?)?[^,\r\n]*')  # as Python's reader takes it: a quote within a bare cell is a character


@dataclass(frozen=True, slots=True)
class Place:
    """A response within a record.

    Attributes:
        path: Names of fields and numbers of elements, outermost first, to the text that ends with it.
        before: What stands before it in that text, such as the prompt of a transcript.
    """

    path: _Path
    before: str = ""

    def change(self, text: str) -> Change:
        """The change that puts a text in its place."""
        return Change(self.path, self.before + text)


@dataclass(frozen=True, slots=True)
class Change:
    """A text of a record, by its path, and what comes in its place."""

    path: _Path
    text: str


def find_place(fields: Mapping[str, Any], row: Row, turn: int, read: Read) -> Place | None:
    """Where a response stands in its record.

    Args:
        fields: The record.
        row: What was read of it.
        turn: The response's number among the row's messages.
        read: How the file's records are read.

    Returns:
        `None` where no single text of the record holds it.
    """
    response = row.messages[turn].content
    trial = f"{response} ¶"
    for path, text in _texts(fields):
        if response and text.endswith(response):
            place = Place(path, text.removesuffix(response))
            if fits(fields, row, turn, place, trial, read):
                return place
    return None


def fits(fields: Mapping[str, Any], row: Row, turn: int, place: Place, text: str, read: Read) -> bool:
    """Whether a record with another text in a place reads as the row with this response, and everything else the same."""
    parsed = read(changed_fields(fields, [place.change(text)]))
    if isinstance(parsed, Problem):
        return False
    messages = list(row.messages)
    messages[turn] = replace(messages[turn], content=text)
    original = read(fields)
    return (
        not isinstance(original, Problem)
        and original.messages == row.messages
        and parsed == ParsedRow(tuple(messages), original.tools, original.extra)
    )


def changed_fields(fields: Mapping[str, Any], changes: Sequence[Change]) -> dict[str, Any]:
    """A record with other texts."""
    changed = dict(fields)
    for change in changes:
        changed = changed_value(changed, change.path, change.text)
    return changed


def changed_value(value: Any, path: _Path, text: str) -> Any:
    """A value with another text at a path; what is not on the path is shared, not copied."""
    if not path:
        return text
    step, rest = path[0], path[1:]
    if isinstance(value, Mapping):
        return {key: changed_value(inner, rest, text) if key == step else inner for key, inner in value.items()}
    return [changed_value(inner, rest, text) if number == step else inner for number, inner in enumerate(value)]


def changed_json(content: bytes, changes: Sequence[Change]) -> bytes:
    """The bytes of a JSON object with other texts: a record that is ASCII stays ASCII, and all around them is copied.

    Args:
        content: An object, with anything before and after it that a record's span may hold.
        changes: Texts within it, each at most once.
    """
    text = content.decode()
    spans = sorted((_json_span(text, text.index("{"), change.path), change.text) for change in changes)
    parts, done = [], 0
    for (start, end), new in spans:
        parts += [text[done:start], json.dumps(new, ensure_ascii=text.isascii())]
        done = end
    return "".join([*parts, text[done:]]).encode()


def changed_csv(content: bytes, names: Sequence[str], changes: Sequence[Change]) -> bytes:
    """The bytes of a CSV record with other cells; a cell that was quoted stays quoted.

    Args:
        content: A record, with the blank lines before it and the end of its line.
        names: The header.
        changes: Cells, each at most once.
    """
    text = content.decode()
    cells = _csv_cells(text)
    parts, done = [], 0
    for number, new in sorted((names.index(str(change.path[0])), change.text) for change in changes):
        start, end = cells[number]
        quoted = text[start : start + 1] == '"' or any(mark in new for mark in '",\r\n')
        parts += [text[done:start], '"' + new.replace('"', '""') + '"' if quoted else new]
        done = end
    return "".join([*parts, text[done:]]).encode()


def _texts(value: Any, path: _Path = ()) -> Iterator[tuple[_Path, str]]:
    """Every text of a record, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, (*path, number))


def _json_span(text: str, at: int, path: _Path) -> tuple[int, int]:
    """Where the value at a path stands; of a key that an object has twice the last counts, as in reading."""
    decoder = json.JSONDecoder()
    found: tuple[int, int] | None = None
    for key, start, end in _json_members(text, at, decoder):
        if key == path[0]:
            found = start, end
    assert found is not None  # the path was found in what this text says
    return found if len(path) == 1 else _json_span(text, found[0], path[1:])


def _json_members(text: str, at: int, decoder: json.JSONDecoder) -> Iterator[tuple[str | int, int, int]]:
    """Keys or numbers of an object's or list's members, with the spans of their values."""
    is_object, number = text[at] == "{", 0
    at = _after_space(text, at + 1)
    while text[at] not in "]}":
        key: str | int = number
        if is_object:
            key, at = decoder.raw_decode(text, at)
            at = _after_space(text, _after_space(text, at) + 1)  # past the colon
        _, end = decoder.raw_decode(text, at)
        yield key, at, end
        at, number = _after_space(text, end), number + 1
        if text[at] == ",":
            at = _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None  # it matches nothing, too
    return match.end()


def _csv_cells(text: str) -> list[tuple[int, int]]:
    at = len(text) - len(text.lstrip("\r\n"))
    cells = []
    while True:
        match = _CELL.match(text, at)
        assert match is not None  # it matches nothing, too
        cells.append(match.span())
        if text[match.end() : match.end() + 1] != ",":
            return cells
        at = match.end() + 1
