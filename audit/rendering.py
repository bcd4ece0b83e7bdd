"""Messages to tokens by a model's own chat template, with the tokens that a trainer takes the loss on marked.

A conversation is rendered as a whole and tokenised once, as a server does it; where an assistant's turn begins is read
off the prompt that asks for it, which must be the beginning of the whole, and carried to tokens by character offsets.
The price is one more rendering per assistant's turn (about 0.1 ms). A template for which this does not hold would be
tuned on one thing and asked for another, and is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from audit.errors import InputError
from audit.preprocessing.examples import as_turn
from audit.sources import Message

__all__ = [
    "IGNORED",
    "ChatFormat",
    "RenderedResponse",
    "RenderedRow",
    "check_json_files",
    "generation_eos",
    "load_chat_format",
    "load_tokenizer",
    "only_errors",
]

IGNORED = -100
"""Label of a token that is not trained; the value that PyTorch's cross-entropy passes over."""


@dataclass(frozen=True, slots=True)
class RenderedRow:
    """A conversation as a trainer takes it.

    Attributes:
        input_ids: The tokens, after truncation.
        labels: The same where a token is trained, `IGNORED` elsewhere.
        n_cut: Tokens cut at the end by `max_length`.
        n_trained_cut: How many of those would have been trained.
    """

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    n_cut: int = 0
    n_trained_cut: int = 0

    @property
    def n_trained(self) -> int:
        """Tokens that are trained."""
        return len(self.labels) - self.labels.count(IGNORED)


@dataclass(frozen=True, slots=True)
class RenderedResponse:
    """A prompt and a given response to it as tokens.

    Attributes:
        prompt_ids: Everything before the response.
        response_ids: The response without the end of the turn.
        spans: For each token of the response where it stands in the text, `(start, end)` in code points; empty spans
            for tokens that the template added.
    """

    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Turn:
    """An assistant's turn in rendered text.

    Attributes:
        number: Which message it is.
        start: Where the generation prompt ends.
        content: Where its content begins.
        stop: Where its end-of-turn token begins.
        end: Where that token ends.
    """

    number: int
    start: int
    content: int
    stop: int
    end: int


class ChatFormat:
    """A tokenizer and its chat template.

    Args:
        tokenizer: A fast tokenizer of transformers, with a chat template.
        more_eos_ids: Further tokens that end a turn, as a generation config names them.

    Attributes:
        tokenizer: As given.
        digest: SHA-256 over template and special tokens: what every number that depends on the format is recorded with.
        eos_ids: Tokens at which generation stops: the tokenizer's own, the one with which the template ends an
            assistant's turn, and those given.
        pad_id: Token that fills batches; always masked.

    Raises:
        InputError: No chat template, a tokenizer without offsets, or a template that does not end an assistant's turn
            with a special token.
    """

    def __init__(self, tokenizer: Any, more_eos_ids: Collection[int] = ()) -> None:
        self.tokenizer = tokenizer
        where = str(tokenizer.name_or_path)
        if not getattr(tokenizer, "is_fast", False):
            raise InputError(
                "a tokenizer without character offsets",
                where=where,
                why="no tokenizer.json",
                remedy="convert it: AutoTokenizer.from_pretrained(…).save_pretrained(…)",
            )
        template = tokenizer.chat_template
        if not template:
            raise InputError(
                "the tokenizer has no chat template",
                where=where,
                why="neither chat_template.jinja nor chat_template in tokenizer_config.json",
                remedy="set the template that the model is used with: tokenizer.chat_template = …, then save_pretrained",
            )
        described = json.dumps([template, tokenizer.special_tokens_map], sort_keys=True, ensure_ascii=False)
        self.digest = hashlib.sha256(described.encode()).hexdigest()
        self._special: dict[str, int] = {
            token.content: number for number, token in tokenizer.added_tokens_decoder.items() if token.special
        }
        by_id = {number: text for text, number in self._special.items()}
        known = {*more_eos_ids, tokenizer.eos_token_id, self._turn_end()}
        self.eos_ids = tuple(sorted(known & by_id.keys()))
        self._eos_texts = tuple(by_id[number] for number in self.eos_ids)
        self.pad_id = int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.eos_ids[0])

    def prompt(self, messages: Sequence[Message], *, tools: str | None = None) -> tuple[int, ...]:
        """The tokens that a model is given to answer `messages`, the generation prompt at their end.

        Args:
            messages: The turns; the last is not the assistant's.
            tools: What the model may call, as canonical JSON.

        Raises:
            InputError: The template cannot render them, or leaves a turn out.
        """
        text = self._render(messages, tools, generation=True)
        self._layout(messages, text, tools)
        return tuple(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def row(self, messages: Sequence[Message], max_length: int | None = None, *, tools: str | None = None) -> RenderedRow:
        """A training row: trained are the turns of the assistant whose `trained` is true, and the token that ends each.

        Trained is everything that a model has to say after the generation prompt, up to and with the end-of-turn token;
        what a template prints after that is not. A token that holds text of both prompt and response is trained.

        Args:
            messages: The turns.
            max_length: Tokens kept, from the start; `None` for all.
            tools: What the model may call, as canonical JSON.

        Raises:
            InputError: The template cannot render the row, leaves out, changes or reorders a turn, or is not
                prefix-stable.
        """
        text = self._render(messages, tools, generation=False)
        turns = [turn for turn in self._layout(messages, text, tools) if messages[turn.number].trained]
        ids, offsets = self._tokenize(text)
        labels = [IGNORED] * len(ids)
        for turn in turns:
            for place in _overlapping(offsets, turn.start, turn.end):
                labels[place] = ids[place]
        kept = len(ids) if max_length is None else min(len(ids), max_length)
        n_trained_cut = sum(label != IGNORED for label in labels[kept:])
        return RenderedRow(tuple(ids[:kept]), tuple(labels[:kept]), len(ids) - kept, n_trained_cut)

    def response(self, messages: Sequence[Message], response: str, *, tools: str | None = None) -> RenderedResponse:
        """A prompt and a response that stands as text, tokenised together as in a training row.

        Raises:
            InputError: As `row`.
        """
        whole = (*messages, Message("assistant", response, trained=True))
        text = self._render(whole, tools, generation=False)
        turn = self._layout(whole, text, tools)[-1]
        ids, offsets = self._tokenize(text)
        places = list(_overlapping(offsets, turn.start, turn.stop))
        first = places[0] if places else next((i for i, (start, _) in enumerate(offsets) if start >= turn.stop), len(ids))
        # A template may trim the response; its offsets are those of the text as it was given.
        begin = turn.content - (0 if text.startswith(response, turn.content) else len(response) - len(response.lstrip()))
        spans = ((offsets[place][0] - begin, offsets[place][1] - begin) for place in places)
        clipped = ((min(max(start, 0), len(response)), min(max(end, 0), len(response))) for start, end in spans)
        return RenderedResponse(tuple(ids[:first]), tuple(ids[place] for place in places), tuple(clipped))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of tokens, special tokens skipped."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def token_spans(self, ids: Sequence[int], text: str) -> tuple[tuple[int, int], ...]:
        """Where each token of a decoded text stands in it, `(start, end)` in code points.

        A token that holds only some bytes of a character has the span of that character, so that such tokens share one;
        a special token, which is skipped in the text, has an empty span. Together the spans cover the text. The cost
        grows with the square of the number of tokens: about 30 ms for 500.

        Args:
            ids: The tokens.
            text: `decode(ids)`.
        """
        special = set(self._special.values())
        spans = []
        end = 0
        for place, number in enumerate(ids, 1):
            decoded = self.decode(ids[:place])
            start, end = end, len(text) if place == len(ids) else max(end, _shared(decoded, text))
            if start < end or number in special:
                spans.append((start, end))
            elif 0 < len(decoded) <= start:  # one more byte of a character that stays broken
                spans.append((start - 1, start))
            else:  # its bytes begin, or go on with, the character that follows
                spans.append((start, min(start + 1, len(text))))
        return tuple(spans)

    def _tokenize(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        # The template prints the beginning-of-sequence token where the model wants one; the tokenizer's own would be a
        # second.
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return encoded["input_ids"], encoded["offset_mapping"]

    def _layout(self, messages: Sequence[Message], text: str, tools: str | None) -> tuple[_Turn, ...]:
        """The assistant's turns in `text`, every message found in its place."""
        turns = []
        done, cursor = 0, 0
        for number, message in enumerate(messages):
            if message.role != "assistant":
                continue
            before = self._render(messages[:number], tools, generation=True)
            if not text.startswith(before):
                raise self._error(
                    f"the chat template is not prefix-stable at turn {number}",
                    "what it prints before an answer changes once the answer is there",
                    "use a template whose text for a conversation begins with its text for the conversation so far",
                )
            self._find_all(messages, range(done, number), text, cursor, len(before))
            content, content_end = self._find(message, number, text, len(before), len(text))
            stop, token = self._stop(messages, number, text, content_end)
            turns.append(_Turn(number, len(before), content, stop, stop + len(token)))
            done, cursor = number + 1, stop
        self._find_all(messages, range(done, len(messages)), text, cursor, len(text))
        return tuple(turns)

    def _stop(self, messages: Sequence[Message], number: int, text: str, content_end: int) -> tuple[int, str]:
        """Where the end-of-turn token stands that follows an assistant's turn, and the token."""
        ends = ((text.find(token, content_end), token) for token in self._eos_texts)
        stop, token = min(((at, token) for at, token in ends if at >= 0), default=(-1, ""))
        following = messages[number + 1].content.strip() if number + 1 < len(messages) else ""
        # A token beyond the next turn's text is that turn's. Arguments of a call may hold the result that follows.
        beyond = following and following in text[content_end:stop] and messages[number].tool_calls is None
        if stop < 0 or beyond:
            raise self._error(
                f"the chat template prints no end after turn {number} (assistant)",
                f"none of {', '.join(self._eos_texts)} follows it",
                "use a template that ends every assistant's turn with the end-of-turn token",
            )
        return stop, token

    def _find_all(self, messages: Sequence[Message], numbers: range, text: str, start: int, end: int) -> None:
        for number in numbers:
            _, start = self._find(messages[number], number, text, start, end)

    def _find(self, message: Message, number: int, text: str, start: int, end: int) -> tuple[int, int]:
        """Where a message's content stands in `text[start:end]`, as it is or trimmed, and where all it says has ended."""
        for content in (message.content, message.content.strip()):
            at = text.find(content, start, end)
            if at >= 0:
                break
        after = at + len(content)
        for name in _called(message) if at >= 0 else ():
            called = text.find(name, start, end)
            at, after = (at, max(after, called + len(name))) if called >= 0 else (-1, after)
        if at < 0:
            raise self._error(
                f"the chat template leaves out, changes or moves turn {number} ({message.role})",
                "its text is not where it should be",
                "use a template that prints every role, or data without that role",
            )
        return at, after

    def _render(self, messages: Sequence[Message], tools: str | None, *, generation: bool) -> str:
        try:
            text: str = self.tokenizer.apply_chat_template(
                [as_turn(message) for message in messages],
                tools=json.loads(tools) if tools else None,
                tokenize=False,
                add_generation_prompt=generation,
            )
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
            roles = ", ".join(message.role for message in messages) or "no turn"
            raise self._error(
                "the chat template cannot render the row",
                f"{error}, with {roles}",
                "use a template that knows these roles, or data without them",
            ) from error
        return text

    def _turn_end(self) -> int:
        """The special token with which the template ends an assistant's turn."""
        probe = (Message("user", "ping", trained=False), Message("assistant", "pong", trained=True))
        text = self._render(probe, None, generation=False)
        after = text.rfind("pong") + len("pong")
        found = sorted((at, -len(token)) for token in self._special if token and (at := text.find(token, after)) >= 0)
        if "pong" not in text:
            raise self._error(
                "the chat template leaves out or changes the assistant's turn",
                "of a conversation 'ping', 'pong' it prints no 'pong'",
                "use a template that prints every role",
            )
        if not found:
            raise self._error(
                "the chat template does not end an assistant's turn with a special token",
                "a model tuned with it would never learn to stop",
                "print eos_token after the assistant's content",
            )
        at, negative_length = found[0]
        return self._special[text[at : at - negative_length]]

    def _error(self, what: str, why: str, remedy: str) -> InputError:
        return InputError(what, where=str(self.tokenizer.name_or_path), why=why, remedy=remedy)


def load_chat_format(folder: str | Path) -> ChatFormat:
    """The chat format of a model folder.

    Raises:
        InputError: No tokenizer, a broken one, or no chat template.
    """
    return ChatFormat(load_tokenizer(folder), generation_eos(Path(folder)))


def load_tokenizer(folder: str | Path) -> Any:
    """The tokenizer of a model folder, no code of the folder's run.

    Raises:
        InputError: There is none, or it cannot be read.
    """
    from transformers import AutoTokenizer

    folder = Path(folder)
    if not any((folder / name).exists() for name in ("tokenizer.json", "tokenizer_config.json", "tokenizer.model")):
        raise InputError(
            "no tokenizer" if folder.is_dir() else "no such model folder",
            where=str(folder),
            why="no tokenizer.json" if folder.is_dir() else "",
            remedy="name a folder that save_pretrained of model and tokenizer wrote",
        )
    try:
        with only_errors():
            return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
    except Exception as error:  # a broken file ends in whatever its parser raises, bare Exception among it
        check_json_files(folder)
        raise InputError(
            "the tokenizer cannot be read",
            where=str(folder),
            why=_first_line(error),
            remedy="save it again with save_pretrained, as a fast tokenizer",
        ) from error


def check_json_files(folder: Path) -> None:
    """Whether the JSON files of a model folder are JSON: where loading fails, this names the one that is not.

    Raises:
        InputError: One of them is not.
    """
    for path in sorted(folder.glob("*.json")):
        try:
            json.loads(path.read_bytes())
        except ValueError as error:
            raise InputError(
                "is no valid JSON", where=str(path), why=_first_line(error), remedy="save or copy the model again"
            ) from error


@contextmanager
def only_errors() -> Iterator[None]:
    """What transformers would say of a folder besides, while it is read; what matters is raised, and said once."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def generation_eos(folder: Path) -> tuple[int, ...]:
    """The end-of-turn tokens of `generation_config.json`; empty where there is no such file, or it names none."""
    try:
        named = json.loads((folder / "generation_config.json").read_text("utf-8")).get("eos_token_id")
    except (OSError, ValueError, AttributeError):
        return ()
    numbers = named if isinstance(named, list) else [named]
    return tuple(number for number in numbers if type(number) is int)


def _called(message: Message) -> Iterator[str]:
    """The names of the functions that a turn calls."""
    calls = json.loads(message.tool_calls) if message.tool_calls is not None else []
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function", call) if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            yield function["name"]


def _overlapping(offsets: Sequence[tuple[int, int]], start: int, end: int) -> Iterator[int]:
    """The tokens that hold characters of `start:end`, or stand between two of them without any."""
    for place, (first, last) in enumerate(offsets):
        if (first < end and last > start) or (first == last and start <= first < end):
            yield place


def _shared(beginning: str, text: str) -> int:
    """Characters of `beginning` that `text` begins with; bytes that are no whole character yet count for none."""
    while not text.startswith(beginning):
        beginning = beginning[:-1]
    return len(beginning)


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
