"""Prompts for a verification and the answers of models to them: which are asked, and how answers are kept.

A file of answers is one that `tunescope verify --responses` reads, so that what was tuned here can be judged again, or
beside answers made elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from audit.errors import CorruptFileError, InputError
from audit.models import ModelRef, answer, find_model_folder, load_model, recorded_base
from audit.rendering import load_chat_format
from audit.responses import Prompt, Response, Split, read_prompts
from audit.sources import Message
from audit.verify.arms import CLEANED, RANDOM, AnswerFile, Question, pair_answers
from indexes.store import read_bytes, write_bytes

__all__ = [
    "AnswerTask",
    "PromptSheet",
    "answer_task",
    "default_workers",
    "n_cores",
    "n_threads_for",
    "prompt_lines",
    "read_answers",
    "read_prompt_sheet",
    "write_answers",
]

_SMALL_MODEL_BYTES = 80_000_000


@dataclass(frozen=True)
class PromptSheet:
    """The prompts of a verification.

    Attributes:
        path: Their file.
        prompts: All of them, in the order of the file.
        questions: Those that models are asked, held out or control; the traced are gone.
        traced: The prompts that claims were traced on.
    """

    path: Path
    prompts: tuple[Prompt, ...]
    questions: tuple[Question, ...]
    traced: frozenset[str]

    @cached_property
    def asked(self) -> tuple[Prompt, ...]:
        """The prompts of the questions, in the same order."""
        traced = {" ".join(text.split()) for text in self.traced}
        return tuple(
            prompt for prompt in self.prompts if prompt.split is not Split.TRACE and " ".join(prompt.text.split()) not in traced
        )

    @property
    def held_out(self) -> tuple[Question, ...]:
        """The questions that the effect is measured on."""
        return tuple(question for question in self.questions if question.split is Split.HELD_OUT)

    @property
    def n_units(self) -> int:
        """Independent units among the held-out prompts: groups, and prompts without one."""
        groups = [question.group for question in self.held_out]
        return len(set(groups) - {None}) + groups.count(None)

    @property
    def units(self) -> list[tuple[str, str | int]]:
        """The independent unit of each held-out prompt."""
        return [
            ("prompt", number) if question.group is None else ("group", question.group)
            for number, question in enumerate(self.held_out)
        ]

    def answer_file(self, name: str, answers: Sequence[str]) -> AnswerFile:
        """The answers to `asked` as a file that is judged; traced prompts, which nobody was asked, stand empty in it."""
        text_by_id = {prompt.id: text for prompt, text in zip(self.asked, answers, strict=True)}
        return AnswerFile(name, tuple(_response(prompt, text_by_id.get(prompt.id, "")) for prompt in self.prompts))


def read_prompt_sheet(path: Path, traced_prompts: Iterable[str]) -> PromptSheet:
    """Read a file of prompts, and leave out those that claims were traced on.

    Args:
        path: See `read_prompts`; a prompt without a split is held out.
        traced_prompts: Prompts that claims were traced on, compared up to white space.

    Raises:
        InputError: The file cannot be read, a prompt stands twice, one that is asked has no reference, or none that is
            held out is left.
    """
    prompts, traced = read_prompts(path), frozenset(traced_prompts)
    line_by_messages: dict[tuple[Message, ...], int] = {}
    for prompt in prompts:
        if (first := line_by_messages.setdefault(prompt.messages, prompt.line)) != prompt.line:
            raise InputError(
                f"the prompt {prompt.id!r} stands twice",
                where=f"{path}:{prompt.line}",
                why=f"first on line {first}",
                remedy="keep one of them: every model gives one answer to a prompt",
            )
    unanswered = AnswerFile(str(path), tuple(_response(prompt, "") for prompt in prompts))
    paired = pair_answers({CLEANED: [unanswered], RANDOM: [unanswered]}, traced)
    return PromptSheet(path, prompts, paired.questions, traced)


@dataclass(frozen=True)
class AnswerTask:
    """A model that is to answer prompts, for a process of its own.

    Attributes:
        name: What it is called in messages.
        model: Its folder or hub name.
        base: The base model of an adapter, where it is known.
        prompts: What it is asked.
        max_new_tokens: The longest answer.
        out: Where the answers go.
        format_of: Model whose prompt format is used, where it is not its own.
    """

    name: str
    model: str
    base: str | None
    prompts: tuple[Prompt, ...]
    max_new_tokens: int
    out: Path
    format_of: str | None = None

    def __str__(self) -> str:
        return self.name


def answer_task(task: AnswerTask) -> ModelRef:
    """Load a model, and write its answers; which model it was.

    Raises:
        InputError: The model cannot be loaded, or a prompt is too long for it.
    """
    chat = None if task.format_of is None else load_chat_format(find_model_folder(task.format_of)[0])
    model = load_model(task.model, base=task.base, chat=chat)
    texts = answer(model, [prompt.messages for prompt in task.prompts], max_new_tokens=task.max_new_tokens)
    write_answers(task.out, task.prompts, texts)
    return model.ref


def ask(
    model: str | Path,
    prompts: Sequence[Prompt],
    out: Path,
    *,
    base: str | Path | None = None,
    max_new_tokens: int = 256,
    batch_size: int = 32,
    device: str = "auto",
    dtype: str = "auto",
    progress: Callable[[str, int, int], None] | None = None,
) -> int:
    """Write a model's greedy answers into a new file, batch by batch; of an interrupted file, only the rest.

    Args:
        model: A folder, an adapter or a hub name.
        prompts: What it is asked.
        out: A JSONL file, as `read_responses` reads it; while it is being written its name ends in `.partial`.
        base: The base model of an adapter, where it is not the one that it records.
        max_new_tokens: Where an answer is cut.
        batch_size: Answers at once.
        device: As torch names it, or `auto`.
        dtype: As torch names it, or `auto`.
        progress: Told how many prompts are done.

    Returns:
        How many answers were there already.

    Raises:
        InputError: The file exists, there is no prompt, the model cannot be loaded, or a prompt is too long for it.
    """
    if out.exists():
        raise InputError("the file exists", where=str(out), remedy="choose another with -o")
    if not prompts:
        raise InputError("there is no prompt to answer", remedy="give a file that holds some of the split that is asked for")
    loaded = load_model(model, base=base, device=device, dtype=dtype)
    key = hashlib.sha256(f"{loaded.ref.weights_digest} {loaded.chat.digest} {max_new_tokens}".encode()).hexdigest()
    partial = out.with_name(f"{out.name}.{key[:8]}.partial")  # another model's beginning is not gone on with
    begun = _begun(partial, [prompt_lines([prompt]) for prompt in prompts])
    partial.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("r+b" if begun else "wb") as file:
        file.truncate(sum(map(len, begun)))
        file.seek(0, os.SEEK_END)
        for start in range(len(begun), len(prompts), batch_size):
            if progress is not None:
                progress("answers", start, len(prompts))
            batch = prompts[start : start + batch_size]
            texts = answer(loaded, [p.messages for p in batch], max_new_tokens=max_new_tokens, batch_size=batch_size)
            file.write(b"".join(map(_line, batch, texts)))
            file.flush()
    partial.replace(out)
    return len(begun)


def _begun(partial: Path, asked: Sequence[bytes]) -> list[bytes]:
    """The whole lines of an interrupted file, as far as they answer these prompts."""
    if not partial.exists():
        return []
    begun = []
    for line, prompt in zip(partial.read_bytes().splitlines(keepends=True), asked, strict=False):
        if not line.endswith(b"\n"):
            break
        record = json.loads(line)
        if {name: value for name, value in record.items() if name != "response"} != json.loads(prompt):
            break
        begun.append(line)
    return begun


def n_threads_for(model: str, base: str | None = None) -> int:
    """Threads of one process that tunes or asks a model: 1 for small ones, which threads slow down, else all cores.

    It depends on model and machine alone: the number of threads decides the last bits of sums, the number of processes
    must not.

    Args:
        model: Folder or hub name.
        base: The base model of an adapter, where it is not the one that it records.
    """
    folder, _ = find_model_folder(model)
    if (folder / "adapter_config.json").exists():
        folder, _ = find_model_folder(base or recorded_base(folder), of_adapter=None if base else folder)
    n_bytes = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return 1 if n_bytes <= _SMALL_MODEL_BYTES else n_cores()


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers(model: str, base: str | None = None) -> int:
    """Processes at a time, unless told: one for a GPU, which they would share, else as many as the cores have room for."""
    import torch

    return 1 if torch.cuda.is_available() else max(1, n_cores() // n_threads_for(model, base))


def write_answers(path: Path, prompts: Sequence[Prompt], texts: Sequence[str]) -> None:
    """Write one record per prompt, as `read_responses` reads it."""
    write_bytes(path, b"".join(map(_line, prompts, texts)))


def read_answers(path: Path) -> tuple[str, ...] | None:
    """The answers that `write_answers` wrote; `None` where there are none, or not the whole of them."""
    try:
        return tuple(json.loads(line)["response"] for line in read_bytes(path).splitlines())
    except CorruptFileError:
        return None


def _line(prompt: Prompt, text: str | None) -> bytes:
    record: dict[str, object] = {"id": prompt.id}
    if len(prompt.messages) == 1 and prompt.messages[0].role == "user":
        record["prompt"] = prompt.messages[0].content
    else:
        record["messages"] = [{"role": message.role, "content": message.content} for message in prompt.messages]
    if text is not None:
        record["response"] = text
    optional = {"reference": prompt.reference, "split": prompt.split, "group": prompt.group, "values": prompt.values}
    return (
        json.dumps({**record, **{name: value for name, value in optional.items() if value}}, ensure_ascii=False).encode()
        + b"\n"
    )


def prompt_lines(prompts: Iterable[Prompt]) -> bytes:
    """Prompts as `read_prompts` reads them."""
    return b"".join(_line(prompt, None) for prompt in prompts)


def _response(prompt: Prompt, text: str) -> Response:
    return Response(
        id=prompt.id,
        messages=prompt.messages,
        response=text,
        reference=prompt.reference,
        split=prompt.split,
        group=prompt.group,
        values=prompt.values,
        line=prompt.line,
    )
