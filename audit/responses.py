"""Answers that a model gave, as another tool wrote them: one record per line, with marked spans and reference answers.

The reader of `tunescope trace --responses` and of `tunescope verify --responses`; it knows neither. Prompts that models
are still to answer come in the same records, without the answer.

Spans load as hallucination detectors emit them: objects with `start` and `end` (LettuceDetect's spans, the soft labels of
Mu-SHROOM), pairs of offsets (its hard labels), the marked words themselves (HaluEval), which are then looked up in the
response, or every token of the response with its prediction (LettuceDetect's tokens), where runs of tokens predicted false
are spans, each with the highest probability of its tokens. A record without spans may have uqlm's `claims_data`, as
`to_df()` of a long-text result writes it: sentences with confidences, of which those below uqlm's own cut are spans.
uqlm's scores of a whole response say of no word that it is false, and are passed over like other fields.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from audit.errors import InputError
from audit.sources import Container, Message, Problem, detect_container, read_records

__all__ = ["Prompt", "Response", "Span", "Split", "read_prompts", "read_responses"]

# What detectors call the certainty of a span.
_CONFIDENCE_FIELDS = ("confidence", "score", "prob", "probability")
# What uqlm calls the pieces of a response, and the confidence below which it drops one: `response_refinement_threshold`.
_CLAIM_FIELDS = ("sentence", "claim")
_MIN_CLAIM_CONFIDENCE = 1 / 3
_UNREADABLE = "\ufffd"  # what a tokenizer decodes a part of a character to


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
            `spans` or `claims_data`, `reference`, `corrected`, `split`, `group` and `values` are optional, and other fields
            are passed over.

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
            if not prompt.strip():
                raise self._error("'prompt' is blank", "write what the model was asked")
            return (Message("user", prompt, trained=False),)
        if not isinstance(turns, list) or not all(_is_turn(turn) for turn in turns):
            raise self._error("'messages' is not a list of {role, content} with texts", "write it in OpenAI's chat format")
        messages = tuple(Message(turn["role"], turn["content"], trained=False) for turn in turns)
        if all(message.role != "user" for message in messages) or messages[-1].role == "assistant":
            raise self._error("'messages' is not a prompt", "end it with the user's turn, and put the answer in 'response'")
        if not any(message.content.strip() for message in messages if message.role == "user"):
            raise self._error("the user's turns in 'messages' are blank", "write what the model was asked")
        return messages

    def _spans(self, response: str) -> tuple[Span, ...]:
        marks = self._fields.get("spans")
        if marks is None:
            return _in_order(self._unsure_claims(response))
        if not isinstance(marks, list):
            raise self._error("'spans' is not a list", "write objects with start and end, [start, end] pairs, or quoted words")
        if marks and all(isinstance(mark, dict) and "token" in mark for mark in marks):
            return _in_order(self._predicted(marks, response))
        return _in_order(span for mark in marks for span in self._marked(mark, response))

    def _predicted(self, tokens: Sequence[Mapping[str, object]], response: str) -> Iterator[Span]:
        """The runs of tokens that are predicted false; tokens are found one after the other in the response."""
        run: Span | None = None
        for start, end, is_false, confidence in self._aligned(tokens, response):
            if run is not None and is_false:
                run = Span(run.start, end, response[run.start : end], max(run.confidence or 0.0, confidence))
            elif is_false:
                run = Span(start, end, response[start:end], confidence)
            elif run is not None:
                yield run
                run = None
        if run is not None:
            yield run

    def _aligned(self, tokens: Sequence[Mapping[str, object]], response: str) -> Iterator[tuple[int, int, bool, float]]:
        """Where each token stands, whether it is predicted false, and how probably; one of parts of a character shares it."""
        cursor = 0
        parts: list[tuple[bool, float]] = []
        for token in tokens:
            text, is_false, confidence = self._prediction(token)
            piece = text.removeprefix("##").strip()
            if _UNREADABLE in piece:
                parts.append((is_false, confidence))
                continue
            start = _skip_space(response, cursor)
            # Every character in parts is at least two tokens, and a space may stand before it.
            found = response.find(piece, start, start + len(parts) + len(piece)) if parts else start
            if not piece:
                continue
            if not response.startswith(piece, max(found, 0)) or found < 0:
                if re.fullmatch(r"\[[A-Z]+\]|<[^<>\s]+>", piece):  # the detector's own, such as [SEP]
                    continue
                raise self._error(
                    f"the token {text!r} does not follow at {start} in the response",
                    "write the tokens of this response, all and in order",
                )
            gap_end = start + len(response[start:found].rstrip())
            yield from ((start, gap_end, *part) for part in parts if start < gap_end)
            parts.clear()
            cursor = found + len(piece)
            yield found, cursor, is_false, confidence
        start, end = _skip_space(response, cursor), len(response.rstrip())
        yield from ((start, end, *part) for part in parts if start < end)

    def _prediction(self, token: Mapping[str, object]) -> tuple[str, bool, float]:
        match token:
            case {"token": str(text), "pred": 0 | 1 as predicted, "prob": prob}:
                return text, predicted == 1, self._number(prob)
        raise self._error(f"unknown form of token {token!r}", "write {token, pred, prob}, pred being 0 or 1")

    def _unsure_claims(self, response: str) -> Iterator[Span]:
        """The pieces of a response that uqlm is not confident of; the first of its scores counts."""
        claims = self._fields.get("claims_data")
        if claims is None:
            return
        if not isinstance(claims, list) or not all(isinstance(claim, dict) for claim in claims):
            raise self._error("'claims_data' is not a list of objects", "write to_df() of uqlm's result as JSON records")
        for claim in claims:
            text = next((claim[name] for name in _CLAIM_FIELDS if isinstance(claim.get(name), str)), None)
            score = next(
                (value for value in claim.values() if isinstance(value, float | int) and type(value) is not bool), None
            )
            if text is None or score is None:
                raise self._error(f"unknown form of claim {claim!r}", "write a sentence and its confidence, as uqlm does")
            confidence = self._number(score)
            if confidence < _MIN_CLAIM_CONFIDENCE:
                if text not in response:
                    raise self._error(
                        f"the claim {text!r} does not stand in the response in these words",
                        "have uqlm score with granularity='sentence', or mark the words as spans",
                    )
                yield from self._located(text, response, 1 - confidence)

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


def _in_order(spans: Iterable[Span]) -> tuple[Span, ...]:
    """By position, each place once."""
    by_place: dict[tuple[int, int], Span] = {}
    for span in spans:
        by_place.setdefault((span.start, span.end), span)
    return tuple(by_place[place] for place in sorted(by_place))


def _skip_space(text: str, start: int) -> int:
    return len(text) - len(text[start:].lstrip())


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
