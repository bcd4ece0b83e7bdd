"""What a record means: its fields, under the names that formats and users give them, as messages.

Columns are mapped with the names of LLaMA-Factory, of which some, such as `role_tag`, name keys and values within a turn.
What no format asks for is kept as it came, and is no defect. Parts of a content that are no text stand in it as a mark,
`<image>` or `<audio>`, as LLaVA and LLaMA-Factory write them: the words around them are trained on all the same.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

from audit.sources.containers import Problem, Status, json_kind, json_value

__all__ = [
    "COLUMNS",
    "MAX_TURNS",
    "Format",
    "Message",
    "ParsedRow",
    "as_json",
    "expected_fields",
    "format_of_columns",
    "parse_row",
    "recognize_format",
]

MAX_TURNS = (1 << 16) - 1
"""Turns of a row are numbered in 16 bits."""


class Format(StrEnum):
    """What the fields of a record mean."""

    ALPACA = "alpaca"
    MESSAGES = "messages"
    SHAREGPT = "sharegpt"
    PROMPT_COMPLETION = "prompt-completion"
    PREFERENCE = "preference"
    """A better and a worse answer; the better one is what is read."""
    TEXT = "text"
    """Text without a prompt, all of it trained on."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: `system`, `user`, `assistant` or `tool`; other names are kept as they came.
        content: The text, exactly as it came, with a mark such as `<image>` for each part that is no text.
        trained: Whether a trainer takes the loss on this turn.
        name, reasoning, tool_calls, tool_call_id: As in OpenAI's chat format; `tool_calls` is canonical JSON, and older
            ways to write a call (`function_call`, a sharegpt turn) are brought to its form.
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


# What LLaMA-Factory calls a column -> the names that files give it, by format; the first name is the format's own, and a
# column without a name is one that only a mapping can name.
_FIELDS: dict[Format, dict[str, tuple[str, ...]]] = {
    Format.ALPACA: {
        "prompt": ("instruction",),
        "query": ("input", "context"),
        "response": ("output", "response"),
        "system": ("system",),
        "history": ("history",),
        "tools": (),
    },
    Format.PROMPT_COMPLETION: {
        "prompt": ("prompt", "prompts"),
        "response": ("completion", "response"),
        "system": ("system",),
        "tools": ("tools",),
    },
    Format.MESSAGES: {
        "messages": ("messages", "conversations", "conversation"),
        "system": ("system",),
        "tools": ("tools", "functions"),
    },
    Format.SHAREGPT: {
        "messages": ("conversations", "conversation", "messages"),
        "system": ("system",),
        "tools": ("tools", "functions"),
    },
    Format.PREFERENCE: {
        "chosen": ("chosen",),
        "rejected": ("rejected",),
        "prompt": ("prompt", "instruction", "question"),
        "query": ("input",),
        "messages": ("conversations", "conversation"),
        "system": ("system",),
        "history": (),
        "tools": ("tools",),
    },
    Format.TEXT: {"text": ("text",)},
}
_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "function_tag": "function_call",
    "system_tag": "system",
}
_KEY_TAGS = ("role_tag", "content_tag")  # the others name values of the role
COLUMNS = tuple(dict.fromkeys([*(field for fields in _FIELDS.values() for field in fields), *_TAGS]))
"""The names by which columns, and keys and roles of turns, can be mapped: LLaMA-Factory's."""

_REQUIRED = {
    Format.ALPACA: ("prompt", "response"),
    Format.PROMPT_COMPLETION: ("prompt", "response"),
    Format.MESSAGES: ("messages",),
    Format.SHAREGPT: ("messages",),
    Format.PREFERENCE: ("chosen",),
    Format.TEXT: ("text",),
}
_CALL = "function_call"  # the turn of an assistant whose text is a call
_ROLES = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "developer": "system",
    "tool_call": _CALL,
    "observation": "tool",
    "function": "tool",
    "tool_response": "tool",
}
_TEXT_PARTS = ("text", "input_text", "output_text")
_REASONING_PARTS = ("thinking", "reasoning")
# By what a part's type begins with; others have their type as mark.
_MARKS = {"image": "<image>", "input_image": "<image>", "audio": "<audio>", "input_audio": "<audio>", "video": "<video>"}
_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")
_WEIGHT_FIELDS = ("weight", "loss_weight", "train", "training")  # OpenAI, LLaMA-Factory, axolotl
_ANSWER_MARK = "\n\nAssistant:"  # before every answer in transcripts such as those of HH-RLHF


def expected_fields() -> str:
    """The fields that each format needs, for error messages."""
    parts = []
    for format_ in Format:
        names = [_FIELDS[format_][field][0] for field in _REQUIRED[format_]]
        parts.append(f"{format_} ({', '.join(names)})")
    return ", ".join(parts)


def recognize_format(fields: Mapping[str, Any]) -> Format | None:
    """The format whose needed fields a record has, or `None`."""
    if "chosen" in fields and "rejected" in fields:
        return Format.PREFERENCE
    for name in ("messages", "conversations", "conversation"):
        turns = fields.get(name)
        if isinstance(turns, list) and turns:  # an empty one belongs to either format
            first = turns[0]
            if isinstance(first, Mapping) and first.get("from") is not None:
                return Format.SHAREGPT
            return Format.MESSAGES if isinstance(first, Mapping) or name == "messages" else Format.SHAREGPT
    return _format_of_names(tuple(fields))


@lru_cache(maxsize=256)
def _format_of_names(given: tuple[str, ...]) -> Format | None:
    for format_ in (Format.ALPACA, Format.PROMPT_COMPLETION, Format.TEXT):
        if all(any(name in given for name in _FIELDS[format_][needed]) for needed in _REQUIRED[format_]):
            return format_
    return None


def format_of_columns(columns: Mapping[str, str]) -> Format | None:
    """The format that a mapping of columns speaks of, or `None` where it fits any."""
    if not columns.keys().isdisjoint(("chosen", "rejected")):
        return Format.PREFERENCE
    if "text" in columns:
        return Format.TEXT
    if "messages" in columns or not columns.keys().isdisjoint(_TAGS):
        return Format.MESSAGES
    return None if columns.keys().isdisjoint(("prompt", "query", "response", "history")) else Format.ALPACA


def parse_row(fields: Mapping[str, Any], format_: Format, columns: Mapping[str, str]) -> ParsedRow | Problem:
    """A record's messages.

    Args:
        fields: The record.
        format_: What its fields mean.
        columns: LLaMA-Factory's column name -> the record's own, for odd names; wins over the format's names. Its tags
            name the keys of a turn and the values of its role.
    """
    names = _names(tuple(fields), format_, tuple(columns.items()))
    if isinstance(names, Problem):
        return names
    values = {field: fields[name] for field, name in names.items()}
    reader = _Reader(values, names, _Turns(columns) if columns else _PLAIN_TURNS)
    try:
        messages = reader.messages(format_)
        tools = _tools(values["tools"], names["tools"]) if values.get("tools") else None
    except _MalformedError as error:
        return Problem(Status.MALFORMED, str(error))
    if len(messages) > MAX_TURNS:
        return Problem(Status.MALFORMED, f"{len(messages)} turns, of which at most {MAX_TURNS} can be numbered")
    used = {names[field] for field in (*reader.used, "tools") if field in names}
    return ParsedRow(tuple(messages), tools, {name: value for name, value in fields.items() if name not in used})


@lru_cache(maxsize=256)
def _names(given: tuple[str, ...], format_: Format, mapped: tuple[tuple[str, str], ...]) -> dict[str, str] | Problem:
    """LLaMA-Factory's names of the fields that a record of these fields has for a format -> the record's own."""
    columns = dict(mapped)
    names: dict[str, str] = {}
    for field, choices in _FIELDS[format_].items():
        name = columns.get(field) or next((choice for choice in choices if choice in given), None)
        if name is not None and name in given:
            names[field] = name
        elif field in _REQUIRED[format_]:
            return Problem(Status.MALFORMED, f"no field {columns.get(field) or choices[0]!r}, which {format_} rows need")
    return names


def as_json(value: object) -> str:
    """A field as JSON, values that JSON lacks as text, and bytes by their number alone."""
    return json.dumps(value, ensure_ascii=False, default=_described)


def _described(value: object) -> str:
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else repr(value)


class _MalformedError(Exception):
    """A field of the wrong kind; becomes a `Problem`."""


class _Turns:
    """How turns are written: the keys of role and content, and what roles are called."""

    def __init__(self, columns: Mapping[str, str]) -> None:
        self._role_keys = (columns["role_tag"],) if "role_tag" in columns else ("role", "from")
        self._content_keys = (columns["content_tag"],) if "content_tag" in columns else ("content", "value")
        self._roles = _ROLES | {columns[tag]: role for tag, role in _TAGS.items() if tag in columns and tag not in _KEY_TAGS}

    def read(self, turns: object, *, trained: bool = True) -> list[Message]:
        """The messages of a list of turns.

        Args:
            turns: As it came.
            trained: Whether the assistant's turns are trained where they do not say.
        """
        if not isinstance(turns, list):
            raise _MalformedError(f"the conversation is a JSON {json_kind(turns)}, not a list")
        if not turns:
            raise _MalformedError("the conversation has no turns")
        return [self._message(turn, number, trained) for number, turn in enumerate(turns)]

    def _message(self, turn: object, number: int, trained: bool) -> Message:
        if not isinstance(turn, Mapping):
            raise _MalformedError(f"turn {number} is a JSON {json_kind(turn)}, not an object")
        role = next((turn[key] for key in self._role_keys if turn.get(key) is not None), None)
        if not isinstance(role, str):
            raise _MalformedError(f"turn {number} has no role")
        role = self._roles.get(role, role)
        value = next((turn[key] for key in self._content_keys if turn.get(key) is not None), None)
        content, reasoning = (value, None) if isinstance(value, str) else _content(value, number)
        calls = None
        if role == _CALL:
            role, calls = "assistant", _calls_of_text(content)
            content = "" if calls else content
        if turn.get("tool_calls"):
            calls = _canonical_json(_loaded(turn["tool_calls"]))
        elif isinstance(turn.get("function_call"), Mapping):
            calls = _canonical_json([{"type": "function", "function": turn["function_call"]}])
        return Message(
            role,
            content,
            trained and role == "assistant" and not any(turn.get(field) in (0, False) for field in _WEIGHT_FIELDS),
            name=_optional_text(turn, "name", number),
            reasoning=reasoning or _reasoning(turn),
            tool_calls=calls,
            tool_call_id=_optional_text(turn, "tool_call_id", number),
        )


_PLAIN_TURNS = _Turns({})


class _Reader:
    """The messages of one record.

    Attributes:
        used: Fields, by LLaMA-Factory's names, of which messages were made.
    """

    def __init__(self, values: Mapping[str, Any], names: Mapping[str, str], turns: _Turns) -> None:
        self._values = values
        self._names = names
        self._turns = turns
        self.used: list[str] = []

    def messages(self, format_: Format) -> list[Message]:
        """The messages of a record of a format."""
        match format_:
            case Format.MESSAGES | Format.SHAREGPT:
                return [*self._system(), *self._turns.read(self._take("messages"))]
            case Format.TEXT:
                return [Message("assistant", self._text("text"), trained=True)]
            case Format.PREFERENCE:
                return self._preference()
        return [*self._question(), *self._answer("response")]

    def _preference(self) -> list[Message]:
        chosen, rejected = self._values["chosen"], self._values.get("rejected")
        if _is_turns(chosen):
            turns = self._turns.read(chosen)
            if turns[0].role == "assistant" and ("prompt" in self._values or "messages" in self._values):
                return [*self._question(), *self._answer("chosen")]
            self.used.append("chosen")
            alike = _n_alike(chosen, rejected)
            return [*self._system(), *(replace(turn, trained=False) for turn in turns[:alike]), *turns[alike:]]
        if "prompt" in self._values or "messages" in self._values:
            return [*self._question(), *self._answer("chosen")]
        text = self._text("chosen")
        begins = _length_of_prompt(text, rejected) if isinstance(rejected, str) else 0
        prompt = [Message("user", text[:begins], trained=False)] if begins else []
        return [*self._system(), *prompt, Message("assistant", text[begins:], trained=True)]

    def _question(self) -> Iterator[Message]:
        """What is asked: the system's text, earlier questions with their answers, and the last question."""
        yield from self._system()
        history = self._take("history") or []
        for turn in history if isinstance(history, list) else [None]:
            if not isinstance(turn, list | tuple) or len(turn) != 2:
                raise _MalformedError("field 'history' is no list of [question, answer]")
            yield Message("user", _text(turn[0], "history"), trained=False)
            yield Message("assistant", _text(turn[1], "history"), trained=True)
        prompt = self._values.get("prompt")
        if "prompt" not in self._values:
            yield from self._turns.read(self._take("messages"), trained=False)
        elif _is_turns(prompt):
            yield from self._turns.read(self._take("prompt"), trained=False)
        else:
            text, query = self._text("prompt"), self._text("query")
            yield Message("user", f"{text}\n{query}" if query else text, trained=False)

    def _answer(self, field: str) -> Iterator[Message]:
        value = self._values[field]
        if isinstance(value, Mapping) and field == "chosen":
            yield from self._turns.read([self._take(field)])
        elif _is_turns(value):
            yield from self._turns.read(self._take(field))
        else:
            yield Message("assistant", self._text(field), trained=True)

    def _system(self) -> Iterator[Message]:
        if text := self._text("system"):
            yield Message("system", text, trained=False)

    def _take(self, field: str) -> Any:
        self.used.append(field)
        return self._values.get(field)

    def _text(self, field: str) -> str:
        value = self._take(field)
        return value if isinstance(value, str) else _text(value, self._names.get(field, field))


def _is_turns(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(turn, Mapping) for turn in value)


def _n_alike(chosen: list[object], rejected: object) -> int:
    """How many turns two conversations begin with alike, which are then the prompt; the last is always an answer."""
    others = rejected if isinstance(rejected, list) else []
    pairs = zip(chosen[:-1], others, strict=False)
    return next((number for number, (one, other) in enumerate(pairs) if one != other), min(len(chosen) - 1, len(others)))


def _length_of_prompt(chosen: str, rejected: str) -> int:
    """Where the better of two texts goes its own way: after the last mark of an answer, or the last space, before that."""
    alike = len(os.path.commonprefix([chosen, rejected]))  # noqa: RUF071 - of texts
    mark = chosen.rfind(_ANSWER_MARK, 0, alike)
    if mark >= 0:
        return mark + len(_ANSWER_MARK)
    return 0 if alike == len(chosen) else len(re.sub(r"\S*\Z", "", chosen[:alike]))


def _content(value: object, number: int) -> tuple[str, str | None]:
    """The text of a content, and the reasoning among its parts."""
    if not isinstance(value, list):
        return _text(value, f"content of turn {number}"), None
    texts, reasoning = [], []
    for part in value:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if isinstance(part, str):
            texts.append(part)
        elif not isinstance(part, Mapping) or not isinstance(kind or "", str):
            raise _MalformedError(f"turn {number} has content that is not text")
        elif kind in _TEXT_PARTS or (kind is None and isinstance(part.get("text"), str)):
            text = next((part[key] for key in ("text", "value") if part.get(key) is not None), None)
            texts.append(_text(text, f"content of turn {number}"))
        elif kind in _REASONING_PARTS:
            reasoning += [part[key] for key in (*_REASONING_PARTS, "text") if isinstance(part.get(key), str)][:1]
        elif kind:
            texts.append(next((mark for start, mark in _MARKS.items() if kind.startswith(start)), f"<{kind}>"))
        else:
            raise _MalformedError(f"turn {number} has content that is not text")
    return "".join(texts), "\n".join(reasoning) or None


def _reasoning(turn: Mapping[str, Any]) -> str | None:
    return next((turn[field] for field in _REASONING_FIELDS if isinstance(turn.get(field), str)), None)


def _tools(value: object, name: str) -> str:
    """What a model may call, as canonical JSON; older `functions` in the form of `tools`."""
    value = _loaded(value)
    if name == "functions" and isinstance(value, list):
        value = [{"type": "function", "function": function} for function in value]
    return _canonical_json(value)


def _calls_of_text(content: str) -> str | None:
    """The calls that a turn is the JSON of, in OpenAI's form; `None` where it is something else."""
    calls = _loaded(content)
    calls = calls if isinstance(calls, list) else [calls]
    if not calls or not all(isinstance(call, Mapping) and isinstance(call.get("name"), str) for call in calls):
        return None
    return _canonical_json([{"type": "function", "function": call} for call in calls])


def _loaded(value: object) -> object:
    """What a text is the JSON of, where it is JSON of an object or list; datasets keep calls and tools so."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    try:
        return json_value(value)
    except ValueError:
        return value


def _text(value: object, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _MalformedError(f"field {name!r} is a JSON {json_kind(value)}, not text")
    return value


def _optional_text(turn: Mapping[str, Any], name: str, number: int) -> str | None:
    return None if turn.get(name) is None else _text(turn[name], f"{name} of turn {number}")


def _canonical_json(value: object) -> str:
    return json.dumps(_without_nulls(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_described)


def _without_nulls(value: object) -> object:
    """Without the keys that are null: columns of Parquet and Arrow have every key of any row in all of them."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value
