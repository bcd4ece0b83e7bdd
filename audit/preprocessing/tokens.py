"""Tokens and labels of rows as TRL's `SFTTrainer` makes them, and what a chat template did to the turns on the way.

Every row is rendered once as a whole, and once more up to its completion where there is one; both are tokenized, many at
a time. The completion begins where the two part, which is not always where the prompt ends. On one core 21,000 rows of
Alpaca take some 15 s; memory holds a few hundred rows.

Source: TRL 1.16, `SFTTrainer._prepare_dataset` and `DataCollatorForLanguageModeling`; transformers 5,
`PreTrainedTokenizerBase.apply_chat_template`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.config import LossOn, Packing, Truncation
from audit.preprocessing.examples import Example, Form
from audit.sources import Message

__all__ = ["IGNORED", "End", "Kept", "Prepared", "SpecialInText", "TrainerTokenizer", "kept_of"]

IGNORED = -100
"""Label of a token that is not trained; the value that PyTorch's cross-entropy passes over."""

_ROWS_AT_ONCE = 256


class End(StrEnum):
    """What becomes of the token that ends the last answer."""

    TRAINED = "trained"
    MASKED = "masked"
    """It is there, but no loss is taken on it."""
    ABSENT = "absent"
    """Nothing ends the answer, or no special token."""
    NO_ANSWER = ""


@dataclass(frozen=True, slots=True)
class SpecialInText:
    """A special token of the tokenizer that stands in a turn's text, `start:end` in code points."""

    turn: int
    start: int
    end: int
    token: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A row as tokens, whole.

    Attributes:
        row: Its number in the run.
        form: The form in which it was given.
        ids: Its tokens, before anything is cut.
        is_trained: Which of them the loss is taken on; shape `(n_tokens,)`.
        refused: What TRL stops at instead; "" where it goes on.
        left_out: Tokens at the end of the prompt that the whole row does not have, as its tokens part from the prompt's
            before; 0 where the prompt is its beginning, or the loss is not on the completion.
        end: What becomes of the last answer's end, before anything is cut.
        end_place: Where that stands among the tokens; -1 where there is none.
        lost: What the template leaves out, changes or moves, in words.
        special: Special tokens inside the texts.
        double_bos: Whether the row begins with two beginning-of-sequence tokens.
    """

    row: int
    form: Form
    ids: Sequence[int] = ()
    is_trained: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    refused: str = ""
    left_out: int = 0
    end: End = End.NO_ANSWER
    end_place: int = -1
    lost: tuple[str, ...] = ()
    special: tuple[SpecialInText, ...] = ()
    double_bos: bool = False

    @property
    def labels(self) -> list[int]:
        """The tokens where they are trained, `IGNORED` elsewhere."""
        return [token if trained else IGNORED for token, trained in zip(self.ids, self.is_trained.tolist(), strict=True)]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left of a row after TRL has cut it.

    Attributes:
        place: The tokens that are kept.
        is_dropped: Whether TRL leaves the row out, as none of them is trained.
        n_input, n_trained: Tokens that are fed, and those that the loss is taken on; 0 of a dropped row.
        n_cut, n_trained_cut: Those that are not.
        end: As in `Prepared`, or "cut".
    """

    place: slice
    is_dropped: bool
    n_input: int
    n_trained: int
    n_cut: int
    n_trained_cut: int
    end: str


def kept_of(
    prepared: Prepared,
    max_length: int | None,
    truncation: Truncation = Truncation.KEEP_START,
    packing: Packing = Packing.NONE,
) -> Kept:
    """Cut a row as TRL does: without packing to `max_length`, and rows without a trained token are left out then.

    `bfd` keeps the start of a row, whatever `truncation` says, and leaves no row out; the other strategies cut nothing.
    """
    n_tokens = len(prepared.ids)
    place = slice(0, n_tokens)
    if max_length is not None and packing in (Packing.NONE, Packing.BFD):
        is_start = packing is Packing.BFD or truncation is Truncation.KEEP_START
        place = slice(0, min(n_tokens, max_length)) if is_start else slice(max(0, n_tokens - max_length), n_tokens)
    n_trained = int(prepared.is_trained[place].sum())
    n_input = place.stop - place.start
    is_dropped = packing is Packing.NONE and max_length is not None and not n_trained
    if is_dropped:
        n_input = 0
    n_trained_cut = int(prepared.is_trained.sum()) - n_trained
    end: str = prepared.end
    if n_trained_cut and (place.stop < n_tokens) and not place.start <= prepared.end_place < place.stop:
        end = "cut"
    return Kept(place, is_dropped, n_input, n_trained, n_tokens - n_input, n_trained_cut, end)


class TrainerTokenizer:
    """A tokenizer and a chat template as TRL uses them.

    Args:
        tokenizer: A fast tokenizer of transformers.
        template: The chat template, in place of the tokenizer's own.

    Attributes:
        tokenizer: As given.
        turn_end: The token with which the template ends an assistant's turn; "" where it is no special one, and without
            a template.
    """

    def __init__(self, tokenizer: Any, template: str | None = None) -> None:
        self.tokenizer = tokenizer
        self._template = template
        self._marks: Mapping[str, Any] = dict(tokenizer.special_tokens_map)
        self._ids_of_ends: dict[str, int] = {}
        self.turn_end = self._turn_end() if template or tokenizer.chat_template else ""
        for token in (self.turn_end, tokenizer.eos_token):
            if token:
                self._ids_of_ends[token] = int(tokenizer.convert_tokens_to_ids(token))

    def template(self, *, with_tools: bool = False) -> str:
        """The template that renders a conversation; tokenizers may have one of its own for those with tools."""
        text: str = self._template or self.tokenizer.get_chat_template(None, [{}] if with_tools else None)
        return text

    def prepare(self, examples: Iterable[Example]) -> Iterator[Prepared]:
        """Tokens and labels of rows, in order; none of a prompt without a completion, which nobody can give to TRL."""
        left = iter(examples)
        while part := list(islice(left, _ROWS_AT_ONCE)):
            yield from self._prepare(part)

    def _prepare(self, examples: Sequence[Example]) -> Iterator[Prepared]:
        rendered = [self._render_example(example) for example in examples]
        usable = [place for place, each in enumerate(rendered) if not each.refused and examples[place].has_completion]
        whole = self._tokenize([rendered[place] for place in usable])
        asked = [place for place in usable if rendered[place].prompt is not None]
        prompts = dict(zip(asked, self._tokenize([rendered[place].of_prompt for place in asked]), strict=True))
        encodings = dict(zip(usable, whole, strict=True))
        for place, (example, each) in enumerate(zip(examples, rendered, strict=True)):
            if place not in encodings:
                yield Prepared(example.row, example.form, refused=each.refused)
            else:
                prompt = prompts[place].ids if place in prompts else None
                yield self._prepared(example, each, encodings[place], prompt)

    def _prepared(self, example: Example, rendered: _Rendered, encoding: Any, prompt: Sequence[int] | None) -> Prepared:
        ids = encoding.ids
        is_trained = np.ones(len(ids), np.bool_)
        left_out = 0
        if prompt is not None and example.loss_on is LossOn.COMPLETION:
            shared = _shared(prompt, ids)
            left_out = len(prompt) - shared
            is_trained[:shared] = False
        if rendered.generated is not None:
            is_trained &= _generated(encoding, rendered.generated, len(ids))
            if not is_trained.any():
                return Prepared(example.row, example.form, refused="no token of it is marked as the assistant's")
        end_place = self._end_place(example, rendered, encoding, ids)
        end = End.ABSENT if end_place < 0 else End.TRAINED if is_trained[end_place] else End.MASKED
        if not any(message.role == "assistant" for message in example.messages):
            end, end_place = End.NO_ANSWER, -1
        bos = self.tokenizer.bos_token_id
        return Prepared(
            example.row,
            example.form,
            ids,
            is_trained,
            left_out=left_out,
            end=end,
            end_place=end_place,
            lost=rendered.lost,
            special=self._special_in(example),
            double_bos=bos is not None and list(ids[:2]) == [bos, bos],
        )

    def _tokenize(self, rendered: Sequence[_Rendered]) -> list[Any]:
        """The encodings of texts; only those that no template rendered get the tokenizer's own special tokens."""
        encodings: list[Any] = [None] * len(rendered)
        for is_plain in (False, True):
            places = [place for place, each in enumerate(rendered) if each.is_plain is is_plain]
            if places:
                texts = [rendered[place].text for place in places]
                found = self.tokenizer(texts, add_special_tokens=is_plain, verbose=False).encodings
                for place, encoding in zip(places, found, strict=True):
                    encodings[place] = encoding
        return encodings

    def _render_example(self, example: Example) -> _Rendered:
        fields = example.fields
        if not example.form.is_conversation:
            return self._plain(example)
        if not example.has_completion:
            return _Rendered()
        tools = fields.get("tools")
        more = fields.get("chat_template_kwargs", {})
        prompt = None
        try:
            tools = json.loads(tools) if isinstance(tools, str) else tools
            if example.form is Form.TURNS:
                prompt, _ = self._render(fields["prompt"], tools, more, generation=True)
            turns = fields["messages"] if example.form is Form.MESSAGES else [*fields["prompt"], *fields["completion"]]
            text, generated = self._render(turns, tools, more, tracked=example.loss_on is LossOn.ASSISTANT)
        except Exception as error:  # noqa: BLE001 - a template raises whatever its expressions do, and TRL stops at it
            return _Rendered(refused=_first_line(error))
        lost, answer_end, next_start = _told(example.messages, example.tools, text)
        last = _last_answer(example.messages)
        if last is not None and not (example.messages[last].content.strip() or example.messages[last].tool_calls):
            answer_end = self._after_question(turns[:last], tools, more, text, answer_end)
        return _Rendered(text, prompt, generated, lost=lost, answer_end=answer_end, next_start=next_start)

    def _after_question(
        self, turns: Sequence[Mapping[str, Any]], tools: Any, more: Mapping[str, Any], text: str, end: int
    ) -> int:
        """Where an answer without text stands: after the text that asks for it."""
        try:
            question, _ = self._render(turns, tools, more, generation=True)
        except Exception:  # noqa: BLE001 - as in rendering a row; what is known is that it stands after the turns before
            return end
        return max(end, len(question)) if text.startswith(question) else end

    def _plain(self, example: Example) -> _Rendered:
        """Strings: the end-of-text token is put at their end where they have none."""
        eos: str = self.tokenizer.eos_token
        fields = example.fields
        if example.form is Form.TEXT:
            text: str = fields["text"]
            return _Rendered(text if text.endswith(eos) else text + eos, is_plain=True)
        completion: str = fields["completion"]
        whole = fields["prompt"] + (completion if completion.endswith(eos) else completion + eos)
        others = [message.role for message in example.messages[:-1]]
        lost = [f"turn {turn} ({role}) is left out" for turn, role in enumerate(others) if role != "user"]
        lost += ["the tools are left out"] if example.tools is not None else []
        return _Rendered(whole, fields["prompt"], is_plain=True, lost=tuple(lost))

    def _render(
        self,
        turns: Sequence[Mapping[str, Any]],
        tools: Any,
        more: Mapping[str, Any],
        *,
        generation: bool = False,
        tracked: bool = False,
    ) -> tuple[str, Sequence[tuple[int, int]] | None]:
        from transformers.utils.chat_template_utils import render_jinja_template

        if not turns:
            raise ValueError("nothing stands before the completion" if generation else "a conversation without turns")
        texts, marked = render_jinja_template(
            conversations=[[{key: value for key, value in turn.items() if value is not None} for turn in turns]],
            tools=tools,
            chat_template=self.template(with_tools=tools is not None),
            return_assistant_tokens_mask=tracked,
            add_generation_prompt=generation,
            **{**self._marks, **more},
        )
        return texts[0], marked[0] if tracked else None

    def _end_place(self, example: Example, rendered: _Rendered, encoding: Any, ids: Sequence[int]) -> int:
        """Which token ends the last answer; -1 where none does."""
        if rendered.is_plain:
            eos = self.tokenizer.eos_token_id
            return next((place for place in range(len(ids) - 1, -1, -1) if ids[place] == eos), -1)
        found = ((rendered.text.find(token, rendered.answer_end), token) for token in self._ids_of_ends)
        at, token = min(((at, token) for at, token in found if at >= 0), default=(-1, ""))
        if at < 0 or at >= rendered.next_start:
            return -1
        place = encoding.char_to_token(at)
        return place if place is not None and ids[place] == self._ids_of_ends[token] else -1

    def _turn_end(self) -> str:
        """The added token that comes first after an answer."""
        turns = [{"role": "user", "content": "ping"}, {"role": "assistant", "content": "pong"}]
        try:
            text, _ = self._render(turns, None, {})
        except Exception:  # noqa: BLE001 - rows will tell what it raises; here it ends no turn
            return ""
        after = text.rfind("pong") + len("pong")
        added = (token for token in self.tokenizer.get_added_vocab() if token.strip())
        found = sorted((at, -len(token), token) for token in added if (at := text.find(token, after)) >= 0)
        return found[0][2] if "pong" in text and found else ""

    @cached_property
    def _special(self) -> re.Pattern[str] | None:
        """Finds the special tokens that the tokenizer takes for such when they stand in text."""
        special = {token.content: number for number, token in self.tokenizer.added_tokens_decoder.items() if token.special}
        taken = [
            text
            for text, number in special.items()
            if text.strip() and number in self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        ]
        longest_first = sorted(taken, key=lambda text: (-len(text), text))
        return re.compile("|".join(map(re.escape, longest_first))) if taken else None

    def _special_in(self, example: Example) -> tuple[SpecialInText, ...]:
        """Those inside the texts; a text without turns is rendered by somebody already, and has them for a reason."""
        if self._special is None or example.form is Form.TEXT:
            return ()
        found = []
        for turn, message in enumerate(example.messages):
            content = message.content
            if example.form is Form.STRINGS and turn == len(example.messages) - 1:
                content = content.removesuffix(self.tokenizer.eos_token)
            found += [SpecialInText(turn, *match.span(), match[0]) for match in self._special.finditer(content)]
        return tuple(found)


@dataclass(frozen=True, slots=True)
class _Rendered:
    """A row as text.

    Attributes:
        text: The whole of it.
        prompt: The text up to the completion; `None` where there is none.
        generated: Where the assistant's text stands, as the template marks it; `None` where that is not asked.
        is_plain: Whether no template rendered it.
        lost: As in `Prepared`.
        answer_end: Where the last answer's text has ended.
        next_start: Where the text of the turn after it begins.
        refused: As in `Prepared`.
    """

    text: str = ""
    prompt: str | None = None
    generated: Sequence[tuple[int, int]] | None = None
    is_plain: bool = False
    lost: tuple[str, ...] = ()
    answer_end: int = 0
    next_start: int = 0
    refused: str = ""

    @property
    def of_prompt(self) -> _Rendered:
        """The prompt alone."""
        assert self.prompt is not None  # asked for only where there is one
        return replace(self, text=self.prompt)


def _shared(prompt: Sequence[int], whole: Sequence[int]) -> int:
    """How many tokens two rows begin with alike."""
    n_both = min(len(prompt), len(whole))
    if list(prompt[:n_both]) == list(whole[:n_both]):
        return n_both
    return next(place for place in range(n_both) if prompt[place] != whole[place])


def _generated(encoding: Any, spans: Sequence[tuple[int, int]], n_tokens: int) -> NDArray[np.bool_]:
    """The tokens of spans of text, by the rule of transformers, which passes over all after one that begins in no token."""
    mask = np.zeros(n_tokens, np.bool_)
    for start, end in spans:
        first = encoding.char_to_token(start)
        last = encoding.char_to_token(end - 1) if end > 0 else None
        if first is None:
            break
        mask[first : last + 1 if last else n_tokens] = True
    return mask


def _told(messages: Sequence[Message], tools: str | None, text: str) -> tuple[tuple[str, ...], int, int]:
    """What of the turns a rendered text does not have in their order; where the last answer ends, and the next turn begins.

    A text counts as told where it stands as it is, trimmed, or as JSON.
    """
    lost: list[str] = []
    last = _last_answer(messages)
    cursor, answer_end, next_start = 0, 0, len(text)
    for turn, message in enumerate(messages):
        forms = list(dict.fromkeys((message.content, message.content.strip(), _as_json(message.content))))
        start, length = next(((at, len(form)) for form in forms if (at := text.find(form, cursor)) >= 0), (-1, 0))
        if start < 0:
            is_there = any(form in text for form in forms)
            lost.append(f"turn {turn} ({message.role}) is {'moved' if is_there else 'left out or changed'}")
        else:
            if last is not None and turn == last + 1 and message.content.strip():
                next_start = start
            cursor = start + length
        for name in _called(message):
            called = text.find(name, start if start >= 0 else cursor)
            if called < 0:
                lost.append(f"a call in turn {turn} is left out")
            else:
                cursor = max(cursor, called + len(name))
        if message.reasoning and message.reasoning.strip() not in text:
            lost.append(f"the reasoning of turn {turn} is left out")
        if turn == last:
            answer_end = cursor
    lost += _tools_lost(tools, text)
    return tuple(lost), answer_end, next_start


def _last_answer(messages: Sequence[Message]) -> int | None:
    return next((turn for turn in range(len(messages) - 1, -1, -1) if messages[turn].role == "assistant"), None)


def _tools_lost(tools: str | None, text: str) -> Iterator[str]:
    described = json.loads(tools) if tools is not None else []
    for tool in described if isinstance(described, list) else ():
        function = tool.get("function", tool) if isinstance(tool, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if isinstance(name, str) and name not in text:
            yield "the tools are left out"
            return


def _as_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _called(message: Message) -> Iterator[str]:
    """The names of the functions that a turn calls."""
    calls = json.loads(message.tool_calls) if message.tool_calls is not None else []
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function", call) if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            yield function["name"]


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
