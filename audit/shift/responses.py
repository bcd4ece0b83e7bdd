"""Answers whose tokens are measured: the tuned model's own, made greedily, or given ones; each token placed in the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.errors import InputError
from audit.models import LanguageModel, generate
from audit.rendering import ChatFormat
from audit.responses import Prompt, Response, read_prompts, read_responses
from audit.sources import Message

__all__ = ["AlignedResponse", "align_responses", "greedy_responses", "read_questions"]

_BATCHES_PER_STEP = 4


@dataclass(frozen=True, slots=True)
class AlignedResponse:
    """A prompt and an answer, as text and as tokens.

    Attributes:
        id: As in the file.
        messages: The prompt.
        text: The answer.
        prompt_ids: Tokens of the prompt, the beginning of the assistant's turn included.
        token_ids: Tokens of the answer, without the one that ends the turn.
        spans: Where each token stands in `text`, in code points; tokens that share a character share its span.
        cut: Whether it had not ended when it reached the most tokens allowed; `None` of a given answer.
        line: Where its record begins in its file, from 1.
    """

    id: str
    messages: tuple[Message, ...]
    text: str
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    cut: bool | None = None
    line: int = 0


def read_questions(prompts: str | Path | None, responses: str | Path | None) -> tuple[Prompt, ...] | tuple[Response, ...]:
    """What is to be measured: a file of prompts to answer, or one of answers.

    Raises:
        InputError: Neither or both are given, or the file cannot be read.
    """
    if prompts is not None and responses is None:
        return read_prompts(Path(prompts))
    if responses is not None and prompts is None:
        return read_responses(Path(responses))
    given = "both prompts and responses are" if prompts is not None else "neither prompts nor responses are"
    raise InputError(f"{given} given", remedy="give --prompts FILE to have them answered, or --responses FILE to measure these")


def greedy_responses(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    max_new_tokens: int,
    batch_size: int = 16,
    progress: Callable[[int], None] | None = None,
) -> tuple[AlignedResponse, ...]:
    """What a model answers, in the order of the prompts.

    Args:
        model: The model, usually the tuned one.
        prompts: What to ask.
        max_new_tokens: Where an answer is cut.
        batch_size: Prompts at once.
        progress: Called with the number of answers there are.

    Raises:
        InputError: A prompt leaves no room for the answer, or the template cannot render it.
    """
    rendered = [_rendered(model.chat, prompt) for prompt in prompts]
    limit = model.n_positions
    for prompt, ids in zip(prompts, rendered, strict=True):
        if limit is not None and len(ids) + max_new_tokens > limit:
            raise InputError(
                f"{len(ids)} tokens of prompt and {max_new_tokens} new ones are more than the model's {limit} positions",
                where=_place(prompt),
                remedy=f"ask for at most {limit - len(ids)} with --max-new-tokens, or leave the prompt out"
                if len(ids) < limit
                else "shorten the prompt, or leave it out",
            )
    made: list[tuple[int, ...]] = []
    step = batch_size * _BATCHES_PER_STEP
    for first in range(0, len(rendered), step):
        made += generate(model, rendered[first : first + step], max_new_tokens=max_new_tokens, batch_size=batch_size)
        if progress is not None:
            progress(len(made))
    answers = []
    for prompt, prompt_ids, ids in zip(prompts, rendered, made, strict=True):
        text = model.chat.decode(ids)
        spans = model.chat.token_spans(ids, text)
        cut = len(ids) == max_new_tokens
        answers.append(AlignedResponse(prompt.id, prompt.messages, text, prompt_ids, ids, spans, cut, prompt.line))
    return tuple(answers)


def align_responses(chat: ChatFormat, responses: Sequence[Response]) -> tuple[AlignedResponse, ...]:
    """Given answers as the tuned model would have to say them, tokenised together with their prompts.

    Raises:
        InputError: The template cannot render one.
    """
    aligned = []
    for response in responses:
        try:
            tokens = chat.response(response.messages, response.response)
        except InputError as error:
            raise _placed(error, response) from error
        aligned.append(
            AlignedResponse(
                id=response.id,
                messages=response.messages,
                text=response.response,
                prompt_ids=tokens.prompt_ids,
                token_ids=tokens.response_ids,
                spans=tokens.spans,
                line=response.line,
            )
        )
    return tuple(aligned)


def _rendered(chat: ChatFormat, prompt: Prompt) -> tuple[int, ...]:
    try:
        return chat.prompt(prompt.messages)
    except InputError as error:
        raise _placed(error, prompt) from error


def _placed(error: InputError, record: Prompt | Response) -> InputError:
    """The error with the record that it came from, beside the template."""
    return InputError(error.what, where=f"{_place(record)}, {error.where}", why=error.why, remedy=error.remedy)


def _place(record: Prompt | Response) -> str:
    return f"prompt {record.id!r}" + (f" (line {record.line})" if record.line else "")
