"""Answers replaced by those of the base model itself, which it gives after a few rows that it knows.

A model that is tuned on its own answers is taught to follow instructions and no facts that it never learnt. After FLAME
(Lin et al. 2024, FLAME: Factuality-Aware Alignment for Large Language Models), where the pretrained model answers after
some examples. Here the examples are the five nearest rows, by the prompts' vectors, among those that the base model knows:
of SliCK's classes HighlyKnown and MaybeKnown, or with a loss in the lower half of the dataset. A row that asks the same, or
whose answer holds the answer that is to be replaced, is no example: the model would copy it. Answers are greedy.

An answer that is empty, does not end, repeats itself or is no text is not taken, and the row's own stays, with the reason.
What it says is not held against anything: it may be wrong, but the model believed it before it was tuned.

The price is an answer of up to 256 tokens for each response, here or at an endpoint. Answers are kept in the machine's cache
under the model and the prompt, batch by batch: a command that was stopped goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.answers import word_string
from audit.corpus import Corpus, Row
from audit.endpoints import ChatClient, Endpoint, RefusedError
from audit.errors import CorruptFileError, InputError
from audit.export.asking import answers_in_order, with_budget
from audit.export.mends.model import Mended, MendPlan, Mends, Target, Unmended
from audit.export.survival import Fault
from audit.materials import Materials
from audit.models import LanguageModel, MemoryRanOutError, generate, load_model
from audit.signals.base_model import open_base_model
from audit.sources import Message, Status
from indexes.encoders import cache_folder
from indexes.store import read_bytes, write_bytes

__all__ = ["Pool", "answer_all", "fault_of_answer"]

_VERSION = 1
_SHOTS = 5
_MAX_NEW_TOKENS = 256
_MOST_SHOT_CHARS = 1000
_KNOWN = ("HighlyKnown", "MaybeKnown")
_PROMPTS_AT_ONCE = 16
_HEADING = "\n### "  # of the plain format; a base model goes on with the next instruction
_RUN_WORDS = 3
_FEWEST_RUNS = 4
_MOST_REPEATED_SHARE = 0.5
_QUOTED_CHARS = 200


@dataclass(frozen=True)
class Pool:
    """Rows that the base model knows, to be shown as examples.

    Attributes:
        rows: Their numbers, the best known first.
        shots: Question and answer of each.
        vectors: The vectors of their prompts, shape `(n_rows, dim)`; `None` where the run has none.
        of_response: Vectors of the prompts of all responses by row and turn; empty where the run has none.
    """

    rows: tuple[int, ...]
    shots: tuple[tuple[str, str], ...]
    vectors: NDArray[np.float32] | None = None
    of_response: Callable[[int, int], NDArray[np.float32]] | None = None

    @classmethod
    def of(cls, corpus: Corpus, signals: pl.DataFrame | None, materials: Materials | None, allowed: Iterable[int]) -> Pool:
        """The rows of a run that can be shown.

        Args:
            corpus: The dataset.
            signals: One line per row, with `slick` or `base_loss_nats_per_token`.
            materials: The run's indexes.
            allowed: Rows that stay in the export and are not mended.

        Raises:
            InputError: The run measured neither, or no row can be shown.
        """
        known = _known_rows(signals)
        allowed = frozenset(allowed)
        found = [(row, shot) for row in known if row in allowed and (shot := _shot(corpus.row(row))) is not None]
        if not found:
            raise InputError(
                "no row can be shown to the base model as an example",
                why="none that stays is known to it, of one question and one answer, and short",
                remedy="keep more rows, or audit again with --base-model MODEL --slick",
            )
        rows, shots = tuple(row for row, _ in found), tuple(shot for _, shot in found)
        if materials is None or not materials.has_vectors:
            return cls(rows, shots)
        number = {key: place for place, key in enumerate(corpus.responses.select("row", "turn").iter_rows())}
        first = {row: place for (row, _), place in reversed(number.items())}
        vectors = materials.prompt_vectors
        return cls(rows, shots, vectors[[first[row] for row in rows]], lambda row, turn: vectors[number[row, turn]])

    def show(self, targets: Sequence[Target]) -> tuple[list[Target], list[Unmended]]:
        """The responses with their examples, the nearest last; and those that have none."""
        asked = [word_string(question) for question, _ in self.shots]
        answered = [word_string(answer) for _, answer in self.shots]
        shown, without = [], []
        for target in targets:
            question, text = word_string(target.before[-1].content if target.before else ""), word_string(target.text)
            chosen: list[tuple[str, str]] = []
            for place in self._order(target):
                if asked[place] != question and not (text.strip() and text in answered[place]):
                    chosen.append(self.shots[place])
                    if len(chosen) == _SHOTS:
                        break
            if chosen:
                shown.append(replace(target, shots=tuple(reversed(chosen))))
            else:
                without.append(Unmended(target.row, target.turn, target.codes, Fault("no row can be shown as an example")))
        return shown, without

    def _order(self, target: Target) -> Iterable[int]:
        """Places of the examples, the nearest first; without vectors the best known first."""
        if self.vectors is None or self.of_response is None:
            return range(len(self.rows))
        cosines = self.vectors @ self.of_response(target.row, target.turn)
        order: list[int] = np.lexsort((np.array(self.rows), -cosines.round(4))).tolist()
        return order


def answer_all(plan: MendPlan, progress: Callable[[str, int, int], None] | None = None) -> Mends:
    """Have the base model answer, and take what can be taken.

    Args:
        plan: What to ask.
        progress: Called with what is done, how many answers are, and how many there are.

    Raises:
        InputError: The model cannot be loaded or the endpoint fails; what was said before is kept.
        MissingDependencyError: The package `openai` is not installed.
    """
    questions: dict[tuple[object, ...], Target] = {}
    for target in plan.targets:
        questions.setdefault((target.before, target.shots), target)
    endpoint, n_sent, notes = plan.request.endpoint, 0, []
    if not questions:
        replies: list[_Reply] = []
    elif endpoint is not None:
        replies, n_sent = _served(list(questions.values()), endpoint, progress)
        notes.append(f"whether {endpoint.model} is the model that the audit measured is not known")
    else:
        replies, notes = _here(list(questions.values()), plan, progress)
    of_question = dict(zip(questions, replies, strict=True))
    mended, unmended = [], list(plan.stay)
    for target in plan.targets:
        reply = of_question[target.before, target.shots]
        fault = reply.fault or fault_of_answer(target, reply.text)
        if fault is None and not target.fits(reply.text):
            fault = Fault("its record cannot hold the answer")
        if fault is None:
            mended.append(Mended(target, reply.text))
        else:
            unmended.append(Unmended(target.row, target.turn, target.codes, fault, reply.text[:_QUOTED_CHARS]))
    unmended.sort(key=lambda one: (one.row, one.turn))
    model, url = (plan.base_model, "") if endpoint is None else (endpoint.model, endpoint.url)
    return Mends(tuple(mended), tuple(unmended), model, url, n_sent, tuple(notes))


def fault_of_answer(target: Target, text: str) -> Fault | None:
    """Why the base model's answer cannot take the place of the response; `None` where it can."""
    words = word_string(text).split()
    if not words:
        return Fault("its own answer is empty")
    if any(not (sign.isprintable() or sign in "\n\t\r") or sign == "\ufffd" for sign in text):
        return Fault("its own answer holds signs that are no text")
    if text.strip() == target.text.strip():
        return Fault("its own answer is the same")
    if target.before and words == word_string(target.before[-1].content).split():
        return Fault("its own answer says the question again")
    runs = [tuple(words[start : start + _RUN_WORDS]) for start in range(len(words) - _RUN_WORDS + 1)]
    if len(runs) >= _FEWEST_RUNS and len(runs) - len(set(runs)) >= _MOST_REPEATED_SHARE * len(runs):
        return Fault("its own answer repeats itself")
    return None


@dataclass(frozen=True, slots=True)
class _Reply:
    """An answer of the base model, or why there is none."""

    text: str
    fault: Fault | None = None


def _served(
    targets: Sequence[Target], endpoint: Endpoint, progress: Callable[[str, int, int], None] | None
) -> tuple[list[_Reply], int]:
    endpoint = with_budget(endpoint, len(targets))
    replies: list[_Reply] = []
    with ChatClient(endpoint) as client:

        def ask(target: Target) -> _Reply:
            try:
                said = client.complete(_turns(target, target.shots), max_tokens=_MAX_NEW_TOKENS)
            except RefusedError as error:  # this one only: it may be too long
                return _Reply("", Fault("the endpoint does not take the request", error.why))
            return _Reply(said.strip())

        with closing(answers_in_order(ask, targets, n_parallel=endpoint.n_parallel)) as answers:
            for n_done, reply in enumerate(answers, start=1):
                replies.append(reply)
                if progress is not None:
                    progress("asking the base model", n_done, len(targets))
        return replies, client.n_sent


def _here(
    targets: Sequence[Target], plan: MendPlan, progress: Callable[[str, int, int], None] | None
) -> tuple[list[_Reply], list[str]]:
    base = open_base_model(plan.base_model)
    notes = []
    if base.digest != plan.audited_digest:
        notes.append(f"{base.name} is not the model, or not as it was, that the audit measured: what it knows may differ")
    model = load_model(base.name, device=plan.request.device, dtype=plan.request.dtype, chat=base.chat)
    recipe = f"{base.digest} {model.ref.dtype} {_MAX_NEW_TOKENS} {_VERSION}"
    kept = cache_folder() / "self" / hashlib.sha256(recipe.encode()).hexdigest()
    replies: dict[int, _Reply] = {}
    prompts: dict[int, tuple[int, ...]] = {}
    for number, target in enumerate(targets):
        ids = _prompt_that_fits(model, target)
        if isinstance(ids, Fault):
            replies[number] = _Reply("", ids)
        else:
            prompts[number] = ids
    order = sorted(prompts, key=lambda number: (len(prompts[number]), number))
    for begin in range(0, len(order), _PROMPTS_AT_ONCE):
        numbers = order[begin : begin + _PROMPTS_AT_ONCE]
        answered, n_halved = _answered(model, {number: prompts[number] for number in numbers}, kept)
        if n_halved:
            notes.append(f"memory ran out for {len(numbers)} prompts at once: a batch was halved {n_halved} times")
        for number, reply in answered.items():
            replies[number] = _as_answer(model, reply, is_plain=base.is_plain)
        if progress is not None:
            progress("asking the base model", begin + len(numbers), len(order))
    return [replies[number] for number in range(len(targets))], notes


def _answered(
    model: LanguageModel, prompts: Mapping[int, tuple[int, ...]], kept: Path
) -> tuple[dict[int, tuple[int, ...]], int]:
    """Greedy continuations, from disk where they were made before; and how often a batch did not fit into memory."""
    places = {number: kept / f"{hashlib.sha256(json.dumps(ids).encode()).hexdigest()}.json" for number, ids in prompts.items()}
    found: dict[int, tuple[int, ...]] = {}
    for number, place in places.items():
        try:
            found[number] = tuple(json.loads(read_bytes(place)))
        except (CorruptFileError, ValueError):  # also: not there
            continue
    missing = [number for number in prompts if number not in found]
    made, n_halved = _continued(model, [prompts[number] for number in missing])
    for number, ids in zip(missing, made, strict=True):
        write_bytes(places[number], json.dumps(ids).encode())
        found[number] = ids
    return found, n_halved


def _continued(model: LanguageModel, prompts: Sequence[tuple[int, ...]]) -> tuple[list[tuple[int, ...]], int]:
    """Greedy continuations; a batch that does not fit into memory is halved, and so often it was."""
    if not prompts:
        return [], 0
    try:
        return list(generate(model, prompts, max_new_tokens=_MAX_NEW_TOKENS, batch_size=len(prompts))), 0
    except MemoryRanOutError:
        if len(prompts) == 1:
            raise
    half = len(prompts) // 2
    (first, n_first), (second, n_second) = _continued(model, prompts[:half]), _continued(model, prompts[half:])
    return first + second, 1 + n_first + n_second


def _as_answer(model: LanguageModel, ids: Sequence[int], *, is_plain: bool) -> _Reply:
    text = model.chat.decode(ids)
    if is_plain and _HEADING in f"\n{text}":
        return _Reply(f"\n{text}".partition(_HEADING)[0].strip())
    if len(ids) >= _MAX_NEW_TOKENS:
        return _Reply(text.strip(), Fault(f"its own answer does not end within {_MAX_NEW_TOKENS} tokens"))
    return _Reply(text.strip())


def _prompt_that_fits(model: LanguageModel, target: Target) -> tuple[int, ...] | Fault:
    """The tokens of a prompt with as many examples as leave room for an answer, the farthest left out first."""
    for n_left_out in range(len(target.shots)):
        try:
            ids = model.chat.prompt(_turns(target, target.shots[n_left_out:]))
        except InputError as error:
            return Fault("the chat template cannot show it", error.what)
        if model.n_positions is None or len(ids) + _MAX_NEW_TOKENS <= model.n_positions:
            return ids
    return Fault(f"the prompt leaves no room for an answer among the model's {model.n_positions} positions")


def _turns(target: Target, shots: Sequence[tuple[str, str]]) -> tuple[Message, ...]:
    """The examples as turns of a conversation that ends with the question; what the system says comes first."""
    system = [replace(turn, trained=False) for turn in target.before if turn.role == "system"]
    shown = [
        Message(role, text, trained=False)
        for question, answer in shots
        for role, text in (("user", question), ("assistant", answer))
    ]
    return (*system, *shown, *(replace(turn, trained=False) for turn in target.before if turn.role != "system"))


def _known_rows(signals: pl.DataFrame | None) -> list[int]:
    """Rows that the base model knows, those of the least loss first where that was measured."""
    columns = () if signals is None else signals.columns
    if signals is None or not {"slick", "base_loss_nats_per_token"} & set(columns):
        raise InputError(
            "--mend self: this run did not measure what the base model knows",
            why="rows that it knows show it how to answer",
            remedy="audit again with --base-model MODEL, and --slick",
        )
    loss = pl.col("base_loss_nats_per_token") if "base_loss_nats_per_token" in columns else pl.lit(None, pl.Float64)
    known = unknown = pl.lit(value=False)
    if "slick" in columns:
        known = pl.col("slick").is_in(_KNOWN).fill_null(value=False)
        unknown = pl.col("slick").is_not_null() & ~known
    looked = signals.select("row", loss=loss, known=known, unknown=unknown)
    low = (pl.col("loss") <= pl.col("loss").median()).fill_null(value=False)
    chosen = looked.filter(pl.col("known") | (low & ~pl.col("unknown")))
    return chosen.sort(~pl.col("known"), "loss", "row", nulls_last=True)["row"].to_list()


def _shot(row: Row) -> tuple[str, str] | None:
    """Question and answer of a row that is one exchange, short enough to be shown."""
    if row.status is not Status.OK or len(row.messages) != 2:
        return None
    question, answer = row.messages
    texts = (question.content, answer.content)
    if (question.role, answer.role) != ("user", "assistant") or answer.tool_calls or answer.reasoning:
        return None
    return texts if all(text.strip() and len(text) <= _MOST_SHOT_CHARS for text in texts) else None
