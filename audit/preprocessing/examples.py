"""The rows of a dataset as a trainer is given them: conversations, a prompt and its completion, or text.

What the file says in a form that TRL reads is passed on as it stands there, keys in their order: turns under `messages`,
turns or plain strings under `prompt` and `completion`, `text`. Everything else has to be brought to such a form first,
and is brought to the usual one: the turns before an answer as `prompt`, the answer as `completion`. Names of columns and,
of ShareGPT, those of roles count as brought to TRL's. A file of messages is read a second time for that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any, TypeGuard

import polars as pl

from audit.config import LossOn, RowsAs
from audit.corpus import Corpus, Row
from audit.sources import Format, Message, Problem, Source, Status, read_records

__all__ = ["Example", "Form", "as_turn", "form_of", "trainer_examples"]


class Form(StrEnum):
    """In which form a trainer is given a row."""

    MESSAGES = "messages"
    """The turns of a conversation."""
    TURNS = "prompt and completion"
    """Turns as prompt, and turns as completion."""
    STRINGS = "prompt and completion, plain"
    """Two strings, which no chat template stands around."""
    TEXT = "text"
    """One string."""

    @property
    def is_conversation(self) -> bool:
        """Whether a chat template renders it."""
        return self in (Form.MESSAGES, Form.TURNS)


@dataclass(frozen=True, slots=True)
class Example:
    """A row as a trainer is given it.

    Attributes:
        row: Its number in the run.
        form: Its form.
        fields: What TRL's `SFTTrainer` takes: `messages`, `prompt` and `completion`, or `text`; also `tools` and
            `chat_template_kwargs`, where there are any.
        messages: The same turns as tunescope reads them.
        tools: What the model may call, as canonical JSON.
        loss_on: What is trained.
    """

    row: int
    form: Form
    fields: Mapping[str, Any]
    messages: tuple[Message, ...]
    tools: str | None
    loss_on: LossOn

    @property
    def has_completion(self) -> bool:
        """Whether anything stands after a prompt; where the loss is asked on that and nothing does, nothing is trained."""
        return self.form is not Form.TURNS or bool(self.fields["completion"])


_AS_THEY_STAND = (Format.MESSAGES, Format.PROMPT_COMPLETION)
_TURN_FIELDS = ("messages", "conversations", "conversation")


def trainer_examples(
    corpus: Corpus, source: Source | None = None, *, rows_as: RowsAs = RowsAs.FILE, loss_on: LossOn | None = None
) -> Iterator[Example]:
    """Every row that was understood, in order.

    Args:
        corpus: The rows.
        source: Where they came from, for what stands there in TRL's form already; without it all is brought to that form.
        rows_as: Whether plain strings stay such or become turns.
        loss_on: What is trained; `None` for what TRL does without being told: all of `messages` and `text`, the completion
            of a prompt.
    """
    for row, fields in _with_fields(corpus, source):
        record = corpus.row(row)
        if record.status is Status.OK:
            yield _example(row, record, fields, rows_as, loss_on)


def _with_fields(corpus: Corpus, source: Source | None) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The number of every row, and its fields where the file may have it in TRL's form."""
    done = 0
    for file in () if source is None else source.files:
        of_file = corpus.rows.filter(pl.col("file") == file.name)
        if not file.columns and of_file["format"].is_in(list(map(str, _AS_THEY_STAND))).any():
            for record in islice(read_records(file.path, file.container), of_file.height):
                yield done, {} if isinstance(record.fields, Problem) else record.fields
                done += 1
        else:
            yield from ((row, {}) for row in range(done, done + of_file.height))
            done += of_file.height
    yield from ((row, {}) for row in range(done, len(corpus)))


def form_of(
    format_: Format, messages: Sequence[Message], fields: Mapping[str, Any], rows_as: RowsAs, loss_on: LossOn | None
) -> Form:
    """The form in which a trainer is given a row.

    Args:
        format_: Of the row.
        messages: Its turns.
        fields: As they stand in the file; empty where they do not count.
        rows_as: As in `trainer_examples`.
        loss_on: As in `trainer_examples`.
    """
    if format_ is Format.TEXT:
        return Form.TEXT
    if format_ is Format.PROMPT_COMPLETION and rows_as is RowsAs.FILE and _is_plain(messages, fields):
        return Form.STRINGS
    return Form.TURNS if (loss_on or _usual_loss(format_)) is LossOn.COMPLETION else Form.MESSAGES


def _usual_loss(format_: Format) -> LossOn:
    is_whole = format_ in (Format.MESSAGES, Format.SHAREGPT, Format.TEXT)
    return LossOn.ALL if is_whole else LossOn.COMPLETION


def _example(number: int, row: Row, fields: Mapping[str, Any], rows_as: RowsAs, loss_on: LossOn | None) -> Example:
    messages, format_ = row.messages, Format(row.format)
    form, chosen = form_of(format_, messages, fields, rows_as, loss_on), loss_on or _usual_loss(format_)
    if form is Form.TEXT:
        return Example(number, form, {"text": messages[-1].content}, messages, None, chosen)
    if form is Form.STRINGS:
        strings = {"prompt": _last(messages, "user"), "completion": messages[-1].content}
        return Example(number, form, strings, messages, row.tools, chosen)
    turns, n_prompt = _turns(row, fields)
    others = {"tools": tools} if (tools := _tools(row, fields)) is not None else {}
    if isinstance(kwargs := fields.get("chat_template_kwargs"), Mapping):
        others["chat_template_kwargs"] = kwargs
    if form is Form.MESSAGES:
        return Example(number, form, {"messages": turns, **others}, messages, row.tools, chosen)
    if n_prompt is None:
        answers = [place for place, turn in enumerate(turns) if turn.get("role") == "assistant"]
        n_prompt = answers[-1] if answers else len(turns)
    parts = {"prompt": turns[:n_prompt], "completion": turns[n_prompt:]}
    return Example(number, form, {**parts, **others}, messages, row.tools, chosen)


def _is_plain(messages: Sequence[Message], fields: Mapping[str, Any]) -> bool:
    """Whether prompt and completion are strings in the file; of rows without fields, whether they can have been."""
    if "prompt" in fields and "completion" in fields:
        return not isinstance(fields["prompt"], list) and not isinstance(fields["completion"], list)
    spoken = [message.role for message in messages if message.role != "system"]
    return spoken == ["user", "assistant"]


def _last(messages: Sequence[Message], role: str) -> str:
    return next((message.content for message in reversed(messages) if message.role == role), "")


def _turns(row: Row, fields: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], int | None]:
    """The turns, and how many of them are the prompt where the file says so; those of the file where it has them."""
    own: list[Mapping[str, Any]] = [as_turn(message) for message in row.messages]
    if row.format == Format.MESSAGES:
        given = next((fields[name] for name in _TURN_FIELDS if name in fields), None)
        if _are_turns(given) and len(own) - len(given) in (0, 1):  # one more is the text of a column `system`
            return [*own[: len(own) - len(given)], *given], None
    elif row.format == Format.PROMPT_COMPLETION and _are_turns(fields.get("prompt")) and _are_turns(fields.get("completion")):
        prompt, completion = fields["prompt"], fields["completion"]
        if len(own) == len(prompt) + len(completion):
            return [*prompt, *completion], len(prompt)
    if row.format in (Format.MESSAGES, Format.SHAREGPT):
        return own, None
    answers = [place for place, message in enumerate(row.messages) if message.role == "assistant"]
    return own, answers[-1] if answers else None


def _are_turns(value: object) -> TypeGuard[list[Mapping[str, Any]]]:
    return isinstance(value, list) and all(isinstance(turn, Mapping) and isinstance(turn.get("role"), str) for turn in value)


def _tools(row: Row, fields: Mapping[str, Any]) -> Any:
    given = fields.get("tools")
    if given:
        return given
    return None if row.tools is None else json.loads(row.tools)


def as_turn(message: Message) -> dict[str, Any]:
    """A turn under the names that chat templates use."""
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.name is not None:
        turn["name"] = message.name
    if message.reasoning is not None:
        turn["reasoning_content"] = message.reasoning
    if message.tool_calls is not None:
        turn["tool_calls"] = json.loads(message.tool_calls)
    if message.tool_call_id is not None:
        turn["tool_call_id"] = message.tool_call_id
    return turn
