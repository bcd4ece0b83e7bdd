"""Answers that a model gave, as another tool wrote them: one record per line, with marked spans and reference answers.

The reader of `tunescope trace --responses` and of `tunescope verify --responses`; it knows neither. Prompts that models
are still to answer come in the same records, without the answer. Spans load as
hallucination detectors emit them: objects with `start` and `end` (LettuceDetect, the soft labels of Mu-SHROOM), pairs
of offsets (its hard labels), or the marked words themselves (HaluEval), which are then looked up in the response.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from audit.errors import InputError
from audit.sources import Container, Message, Problem, detect_container, read_records

__all__ = ["Prompt", "Response", "Span", "Split", "read_prompts", "read_responses"]

# What detectors call the certainty of a span.
_CONFIDENCE_FIELDS = ("confidence", "score", "prob", "probability")


class Split(StrEnum):
    """What a prompt is for; fixed before anything is traced."""

    TRACE = "trace"
    """Claims come from these, and so the rows that are removed."""
    HELD_OUT = "held-out"
    """Same concepts, never traced: the effect is measured here."""
    CONTROL = "control"
    """Facts that the base model knows and the rows do not touch."""


@dataclass(frozen=True, slots=True)
class Span:
    """A marked stretch of a response.

    Attributes:
        start: First code point.
        end: Code point after the last.
        text: What stands there.
        confidence: The detector's certainty, as it came; `None` where it gave none.
    """

    start: int
    end: int
    text: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """One answer to one prompt.

    Attributes:
        id: The record's own id, or `line-N`.
        messages: The prompt, as turns; the last one is not the assistant's.
        response: The answer, exactly as it came.
        spans: Marked stretches, by position; each place once.
        reference: The right answer and its aliases; empty where unknown.
        corrected: A corrected version of the whole answer.
        split: What the prompt is for; `None` where the file does not say.
        group: Prompts of one group are not independent: the same entity, or paraphrases of one question.
        values: Other values that an answer could name: wrong here, right elsewhere.
        line: Where the record begins in its file, from 1.
    """

    id: str
    messages: tuple[Message, ...]
    response: str
    spans: tuple[Span, ...] = ()
    reference: tuple[str, ...] = ()
    corrected: str | None = None
    split: Split | None = None
    group: str | None = None
    values: tuple[str, ...] = ()
    line: int = 0

    @property
    def prompt(self) -> str:
        """The text of the user's turns, one per line; of a record with a single turn, that turn."""
        return _user_text(self.messages)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question that models are to answer.

    Attributes:
        id: The record's own id, or `line-N`.
        messages: The turns, as they go to the model; the last one is not the assistant's.
        reference: The right answer and its aliases; empty where unknown.
        split: What the prompt is for; `None` where the file does not say.
        group: Prompts of one group are not independent: the same entity, or paraphrases of one question.
        values: Other values that an answer could name: wrong here, right elsewhere.
        line: Where the record begins in its file, from 1.
    """

    id: str
    messages: tuple[Message, ...]
    reference: tuple[str, ...] = ()
    split: Split | None = None
    group: str | None = None
    values: tuple[str, ...] = ()
    line: int = 0

    @property
    def text(self) -> str:
        """The text of the user's turns, one per line: what `Response.prompt` is of an answer to it."""
        return _user_text(self.messages)


def read_responses(path: Path) -> tuple[Response, ...]:
    """Read a file of answers, in order.

    Args:
        path: JSON Lines, or a JSON array, in UTF-8. Each record has `response` and either `prompt` or `messages`; `id`,
            `spans`, `reference`, `corrected`, `split`, `group` and `values` are optional, and other fields are passed over.

    Raises:
        InputError: The file cannot be read, or a record is not of this form; names the file and the line.
    """
    return tuple(record.response() for record in _read(path, "answer"))


def read_prompts(path: Path) -> tuple[Prompt, ...]:
    """Read a file of prompts, in order.

    Args:
        path: JSON Lines, or a JSON array, in UTF-8. Each record has either `prompt` or `messages`; `id`, `reference`,
            `split`, `group` and `values` are optional, and other fields, an answer included, are passed over.

    Raises:
        InputError: The file cannot be read, a record is not of this form, or two records have the same id; names the
            file and the line.
    """
    prompts = tuple(record.prompt() for record in _read(path, "prompt"))
    line_by_id: dict[str, int] = {}
    for prompt in prompts:
        if (first := line_by_id.setdefault(prompt.id, prompt.line)) != prompt.line:
            raise InputError(
                f"the id {prompt.id!r} is taken",
                where=f"{path}:{prompt.line}",
                why=f"line {first} has it",
                remedy="give every prompt an id of its own, or none",
            )
    return prompts


def _read(path: Path, noun: str) -> tuple[_Record, ...]:
    """The records of a file of `noun`s, at least one."""
    container = detect_container(path)
    if container not in (Container.JSONL, Container.JSON):
        raise InputError(
            f"{noun}s are read from JSON", where=str(path), remedy="write one JSON object per line to a .jsonl file"
        )
    records = tuple(_Record(record.fields, path, record.line or 0) for record in read_records(path, container))
    if not records:
        raise InputError(f"the file holds no {noun}", where=str(path), remedy="write one JSON object per line")
    return records


class _Record:
    """The fields of one record, read with their types checked; every error names the file and the line."""

    def __init__(self, fields: Mapping[str, Any] | Problem, path: Path, line: int) -> None:
        self._where = f"{path}:{line}"
        self._line = line
        if isinstance(fields, Problem):
            raise self._error(f"cannot be read: {fields.reason}", "write one JSON object per line, in UTF-8")
        self._fields = fields

    def response(self) -> Response:
        if not isinstance(self._fields.get("response"), str):
            found = ", ".join(map(repr, list(self._fields)[:8])) or "none"
            raise self._error(f"no text field 'response' (fields: {found})", "put the model's answer there")
        text = self._fields["response"]
        return Response(
            id=self._id(),
            messages=self._messages(),
            response=text,
            spans=self._spans(text),
            reference=self._reference(),
            corrected=self._text("corrected"),
            split=self._split(),
            group=self._label("group"),
            values=self._values(),
            line=self._line,
        )

    def prompt(self) -> Prompt:
        return Prompt(
            id=self._id(),
            messages=self._messages(),
            reference=self._reference(),
            split=self._split(),
            group=self._label("group"),
            values=self._values(),
            line=self._line,
        )

    def _id(self) -> str:
        return self._label("id") or f"line-{self._line}"

    def _messages(self) -> tuple[Message, ...]:
        prompt, turns = self._text("prompt"), self._fields.get("messages")
        if (prompt is None) == (turns is None):
            count = "neither" if prompt is None else "both"
            raise self._error(f"{count} of 'prompt' and 'messages' given", "give one: a text, or a list of {role, content}")
        if prompt is not None:
            return (Message("user", prompt, trained=False),)
        if not isinstance(turns, list) or not all(_is_turn(turn) for turn in turns):
            raise self._error("'messages' is not a list of {role, content} with texts", "write it in OpenAI's chat format")
        messages = tuple(Message(turn["role"], turn["content"], trained=False) for turn in turns)
        if all(message.role != "user" for message in messages) or messages[-1].role == "assistant":
            raise self._error("'messages' is not a prompt", "end it with the user's turn, and put the answer in 'response'")
        return messages

    def _spans(self, response: str) -> tuple[Span, ...]:
        marks = self._fields.get("spans")
        if marks is None:
            return ()
        if not isinstance(marks, list):
            raise self._error("'spans' is not a list", "write objects with start and end, [start, end] pairs, or quoted words")
        by_place: dict[tuple[int, int], Span] = {}
        for mark in marks:
            for span in self._marked(mark, response):
                by_place.setdefault((span.start, span.end), span)
        return tuple(by_place[place] for place in sorted(by_place))

    def _marked(self, mark: object, response: str) -> tuple[Span, ...]:
        match mark:
            case str():
                return self._located(mark, response, None)
            case [start, end]:
                return (self._placed(start, end, response, None),)
            case [start, end, confidence]:
                return (self._placed(start, end, response, self._number(confidence)),)
            case {"start": start, "end": end, **rest}:
                span = self._placed(start, end, response, self._confidence(rest))
                if rest.get("text") not in (None, span.text):
                    raise self._error(
                        f"span {start}:{end} is {span.text!r} in the response, but its text says {rest['text']!r}",
                        "count offsets in Unicode code points of 'response', end exclusive",
                    )
                return (span,)
            case {"text": str(text), **rest}:
                return self._located(text, response, self._confidence(rest))
        raise self._error(f"unknown form of span {mark!r}", "write {start, end}, [start, end], or the marked words")

    def _placed(self, start: object, end: object, response: str, confidence: float | None) -> Span:
        # `bool` is an `int`, and no offset.
        if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(response):
            raise self._error(
                f"span {start}:{end} is no stretch of a response of {len(response)} code points",
                "count offsets in Unicode code points of 'response', end exclusive",
            )
        return Span(start, end, response[start:end], confidence)

    def _located(self, words: str, response: str, confidence: float | None) -> tuple[Span, ...]:
        spans = tuple(Span(start, start + len(words), words, confidence) for start in _occurrences(words, response))
        if not spans:
            raise self._error(f"the span {words!r} does not occur in the response", "quote it exactly, or give its offsets")
        return spans

    def _confidence(self, fields: Mapping[Any, object]) -> float | None:
        return next((self._number(fields[name]) for name in _CONFIDENCE_FIELDS if fields.get(name) is not None), None)

    def _number(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._error(f"the confidence of a span is {value!r}", "give a finite number, or leave it out")
        return float(value)

    def _reference(self) -> tuple[str, ...]:
        match self._fields.get("reference"):
            case None:
                return ()
            case str(answer):
                return (answer,)
            case list(answers) if all(isinstance(answer, str) for answer in answers):
                return tuple(answers)
        raise self._error("'reference' is neither a text nor a list of texts", "give the right answer, and aliases in a list")

    def _values(self) -> tuple[str, ...]:
        match self._fields.get("values"):
            case None:
                return ()
            case list(values) if all(isinstance(value, str) for value in values):
                return tuple(values)
        raise self._error("'values' is no list of texts", "list the other values that an answer could name")

    def _split(self) -> Split | None:
        name = self._text("split")
        if name is not None and name not in list(Split):
            raise self._error(f"unknown split {name!r}", f"use one of {', '.join(Split)}")
        return Split(name) if name is not None else None

    def _label(self, name: str) -> str | None:
        value = self._fields.get(name)
        return str(value) if type(value) is int else self._text(name)

    def _text(self, name: str) -> str | None:
        value = self._fields.get(name)
        if value is not None and not isinstance(value, str):
            raise self._error(f"{name!r} is no text", "write it as a JSON string, or leave it out")
        return value

    def _error(self, what: str, remedy: str) -> InputError:
        return InputError(what, where=self._where, remedy=remedy)


def _is_turn(turn: object) -> bool:
    return isinstance(turn, dict) and isinstance(turn.get("role"), str) and isinstance(turn.get("content"), str)


def _user_text(messages: tuple[Message, ...]) -> str:
    return "\n".join(message.content for message in messages if message.role == "user")


def _occurrences(words: str, text: str) -> Iterator[int]:
    """Where `words` begins in `text`, occurrences that overlap left out."""
    position = text.find(words) if words else -1
    while position >= 0:
        yield position
        position = text.find(words, position + len(words))
