"""SliCK: what the base model answers to the dataset's own questions, by itself, in four classes.

A row that asks for a fact (`audit.signals.questions`) is asked of the base model behind a few other questions of the
dataset with their answers, several times with others of them, greedily and by sampling. *HighlyKnown* is what every greedy
answer holds, *MaybeKnown* what some of them hold, *WeaklyKnown* what only sampled answers hold, *Unknown* what none holds.

As in the source: 4 exemplars, 10 sets of them, 16 samples each at temperature 0.5, here from the whole vocabulary. Not as
there: an answer is right when it holds the row's value as whole words, where the source asks for the same words and no
other; and as the relation of a question is not known, exemplars are drawn at random from questions of the same shape (names
and numbers masked), of the same two first words where there are not enough of them, else from all. The row's answer is taken
for true, and so are those of the exemplars: *Unknown* is where the model and the row disagree.

Which exemplars a row gets depends on its text, on theirs and on a seed: each candidate gets a number by hashing, and the
lowest are taken. The order of rows does not matter, and a row that is added or taken out changes few sets. What was asked is
kept in the machine's cache under the whole prompt, the model and the setting, shard by shard: a pass that was killed goes
on, and a second one asks nothing. Greedy and sampled answers share their prompt's keys and values (`audit.sampling`).

Two figures say how far the classes can be believed. What a lucky guess is worth: the same answers are held against the value
of another question of the same shape, which no exemplar showed, and it is counted how many rows would then be known. And how
many greedy answers did not end by themselves: a model that does not take up the form of the exemplars knows more than it shows.

The price of a question is 10 prompts of five questions, and at most 170 answers of some tokens.

Source: Gekhman et al. (2024), Does Fine-Tuning LLMs on New Knowledge Encourage Hallucinations?, section 3.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.answers import word_string
from audit.corpus import Corpus
from audit.errors import CorruptFileError, InputError
from audit.materials import SLICK_FILES
from audit.models import LanguageModel, load_model
from audit.sampling import Continued, Counts, Prompted, continue_prompts, line_end_ids
from audit.signals.base_model import BaseModel
from audit.signals.questions import LEFT_OUT, Question, read_question
from audit.sources import Message
from indexes.encoders import cache_folder
from indexes.store import read_bytes, write_bytes, write_file

__all__ = [
    "SLICK_SCHEMA",
    "Answers",
    "Exemplars",
    "FewShot",
    "Known",
    "ask",
    "build_slick",
    "class_of",
    "prompt_ids",
    "slick_signals",
]

SLICK_SCHEMA = pl.Schema(
    {
        "row": pl.UInt32(),
        "turn": pl.UInt16(),
        "left_out": pl.String(),
        "start": pl.UInt32(),
        "end": pl.UInt32(),
        "slick": pl.String(),
        "exemplars": pl.UInt8(),
        "greedy_asked": pl.UInt16(),
        "greedy_right": pl.UInt16(),
        "sampled_asked": pl.UInt32(),
        "sampled_right": pl.UInt32(),
        "said": pl.String(),
        "said_times": pl.UInt16(),
    }
)
"""One line per row that could be read: the turn that answers, why the row has no class ("" where it has one), where the value
stands in that turn (code points), the class, exemplars before the question, answers and how many of them were right, and
the greedy answer that came most often with how often it came. All but the first three are null where there is no class."""

_KEPT_SCHEMA = pl.Schema(
    {
        "key": pl.Binary(),
        "greedy": pl.String(),
        "sampled": pl.List(pl.String()),
        "has_ended": pl.Boolean(),
        "skipped": pl.String(),
    }
)
_VERSION = 1
_EXEMPLARS = 4
_TEMPERATURE = 0.5
_SEED = 0
# A group of questions is enough to draw from where ten sets of exemplars can differ.
_MIN_CANDIDATES = 2 * _EXEMPLARS
_MAX_CANDIDATES = 256
_PROMPTS_PER_SHARD = 256
_SPARE_TOKENS = 8


class Known(StrEnum):
    """The four classes, from what the model knows best."""

    HIGHLY = "HighlyKnown"
    MAYBE = "MaybeKnown"
    WEAKLY = "WeaklyKnown"
    UNKNOWN = "Unknown"


@dataclass(frozen=True)
class FewShot:
    """A question behind exemplars.

    Attributes:
        exemplars: Questions and answers, in their order.
        question: What is asked, with the answer of the row.
    """

    exemplars: tuple[tuple[str, str], ...]
    question: Question

    @property
    def key(self) -> bytes:
        """SHA-256 of all that the model reads, and of the answer, by whose length its own may be longer."""
        described = json.dumps([self.question.system, self.exemplars, self.question.question, self.question.answer])
        return hashlib.sha256(described.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True)
class Answers:
    """The first lines of what the model said to one prompt.

    Attributes:
        greedy: The greedy answer.
        sampled: The sampled ones.
        has_ended: Whether the greedy answer ended before it was twice as long as the row's.
        skipped: Why the model was not asked; "" where it was.
    """

    greedy: str = ""
    sampled: tuple[str, ...] = ()
    has_ended: bool = True
    skipped: str = ""


def class_of(greedy_right: int, greedy_asked: int, sampled_right: int) -> Known:
    """The class of a fact, by how many answers were right."""
    if greedy_asked and greedy_right == greedy_asked:
        return Known.HIGHLY
    if greedy_right:
        return Known.MAYBE
    return Known.WEAKLY if sampled_right else Known.UNKNOWN


def build_slick(
    folder: Path,
    corpus: Corpus,
    base: BaseModel,
    *,
    n_prompts: int = 10,
    n_samples: int = 16,
    device: str = "auto",
    dtype: str = "auto",
    cache: Path | None = None,
) -> Mapping[str, Any]:
    """Ask the base model every question of a dataset and write `SLICK_FILES`.

    Args:
        folder: The run folder.
        corpus: The rows.
        base: The model.
        n_prompts: Sets of exemplars for each question.
        n_samples: Samples for each set.
        device: As torch names it, or `auto`.
        dtype: `float32`, `bfloat16`, `float16` or `auto`.
        cache: Where finished shards are kept; `None` for the machine's cache.

    Returns:
        What the manifest says of it: the format, rows by class, rows left out by reason, prompts, tokens and seconds.

    Raises:
        InputError: The model cannot be loaded, gives no numbers, or memory runs out.
        StorageError: The disk is full.
    """
    begun = time.monotonic()
    model = load_model(base.name, device=device, dtype=dtype, chat=base.chat)
    read = {row: _question_of(corpus, row) for row in _readable(corpus)}
    questions = {row: found for row, (_, _, found) in read.items() if isinstance(found, Question)}
    exemplars = Exemplars(list(questions.values()))
    prompts = {row: exemplars.prompts(question, n_prompts) for row, question in questions.items()}
    recipe = f"{base.digest} {model.ref.dtype} {base.is_plain} {n_samples} {_TEMPERATURE} {_SEED} {_VERSION}"
    kept = (cache or cache_folder() / "slick") / hashlib.sha256(recipe.encode()).hexdigest()
    asked = {prompt.key: prompt for of_row in prompts.values() for prompt in of_row}
    counts = Counts()
    answers, n_cached = _ask_all(model, asked, kept, is_plain=base.is_plain, n_samples=n_samples, counts=counts)
    of_rows = {row: [answers[prompt.key] for prompt in of_row] for row, of_row in prompts.items()}
    frame = _frame(read, of_rows, prompts)
    write_file(folder / SLICK_FILES[0], lambda file: frame.write_parquet(file, compression="zstd"))
    described = {
        "model": asdict(model.ref),
        "format": _format(is_plain=base.is_plain),
        "template_digest": base.chat.digest,
        "exemplars": _EXEMPLARS,
        "prompts_per_question": n_prompts,
        "samples_per_prompt": n_samples,
        "temperature": _TEMPERATURE,
        "seed": _SEED,
        "right": "the answer's first line holds the row's value as whole words",
    }
    by_class = dict(frame.filter(pl.col("slick").is_not_null())["slick"].value_counts().iter_rows())
    reasons = dict(frame.filter(pl.col("left_out") != "")["left_out"].value_counts().iter_rows())
    outcome = {
        "counts": {str(known): by_class.get(known, 0) for known in Known},
        "left_out": {reason: reasons.pop(reason) for reason in LEFT_OUT if reason in reasons},
        "not_measured": dict(sorted(reasons.items())),
        "fewer_exemplars": frame.filter(pl.col("exemplars") < _EXEMPLARS).height,
        "by_chance": _by_chance(exemplars, prompts, of_rows),
        "unended": sum(not each.has_ended for of_row in of_rows.values() for each in of_row),
        "greedy_answers": sum(not each.skipped for of_row in of_rows.values() for each in of_row),
    }
    content = {**described, **outcome}
    write_bytes(folder / SLICK_FILES[1], json.dumps(content, ensure_ascii=False, sort_keys=True).encode())
    return {
        **{name: value for name, value in described.items() if name != "model"},
        **outcome,
        "base_model": base.name,
        "dtype": model.ref.dtype,
        "questions": len(questions),
        "prompts": len(asked),
        "prompts_in_cache": n_cached,
        "prompt_tokens": counts.prompt_tokens,
        "generated_tokens": counts.new_tokens,
        "computed_tokens": counts.computed_tokens,
        "halved_batches": counts.halved_batches,
        "seconds": round(time.monotonic() - begun, 1),
    }


def slick_signals(slick: pl.DataFrame) -> pl.DataFrame:
    """One line per row with a class: `row` and `slick`.

    Args:
        slick: A frame of `SLICK_SCHEMA`.
    """
    return slick.filter(pl.col("slick").is_not_null()).select("row", "slick")


class Exemplars:
    """The questions of a dataset, to draw exemplars from.

    Args:
        questions: All of them; the order does not matter, and of those that ask the same one is kept.
    """

    def __init__(self, questions: Sequence[Question]) -> None:
        of_asked: dict[str, tuple[int, Question]] = {}
        for question in questions:
            asked, number = word_string(question.question), _hash(question)
            if asked not in of_asked or number < of_asked[asked][0]:
                of_asked[asked] = number, question
        ordered = sorted(of_asked.items(), key=lambda each: each[1][0])
        self._asked = [asked for asked, _ in ordered]
        self._questions = [question for _, (_, question) in ordered]
        self._words = [word_string(f"{each.question}\n{each.answer}") for each in self._questions]
        self._shown = [(each.question, each.answer) for each in self._questions]
        self._hashes = np.array([number for _, (number, _) in ordered], np.uint64)
        groups: dict[tuple[str, str], list[int]] = defaultdict(list)
        for number, question in enumerate(self._questions):
            for group in _groups(question):
                groups[group].append(number)
        # A group that is larger is drawn from by its lowest hashes.
        self._groups = {group: numbers[:_MAX_CANDIDATES] for group, numbers in groups.items()}

    def prompts(self, question: Question, n_sets: int) -> list[FewShot]:
        """A question behind `n_sets` draws of exemplars, none of which asks the same or holds the answer."""
        candidates = self._candidates(question)
        seeds = np.arange(n_sets, dtype=np.uint64)[:, None] + np.uint64(_SEED << 32)
        of_row = np.uint64(_hash(question))
        places = np.argsort(_mixed(_mixed(self._hashes[candidates][None] ^ of_row) + _mixed(seeds)), axis=1, kind="stable")
        drawn = np.array(candidates, np.int64)[places[:, :_EXEMPLARS]]
        return [FewShot(tuple(self._shown[number] for number in of_set), question) for of_set in drawn.tolist()]

    def other(self, question: Question, prompts: Sequence[FewShot]) -> Question | None:
        """A question of the same kind whose value neither this one nor any of its exemplars holds; `None` without one."""
        shown = [word_string(f"{asked}\n{answer}") for prompt in prompts for asked, answer in prompt.exemplars]
        shown.append(word_string(f"{question.question}\n{question.answer}"))
        candidates = self._candidates(question)
        priority = _mixed(self._hashes[candidates] ^ np.uint64(_hash(question)))
        places: list[int] = np.argsort(priority, kind="stable").tolist()
        for place in places:
            other = self._questions[candidates[place]]
            if not any(other.value_words in words for words in shown):
                return other
        return None

    def _candidates(self, question: Question) -> list[int]:
        """Those of the nearest group that has enough; of all questions where none has."""
        asked, eligible = word_string(question.question), []
        for group in _groups(question):
            eligible = [
                number
                for number in self._groups.get(group, ())
                if self._asked[number] != asked and question.value_words not in self._words[number]
            ]
            if len(eligible) >= _MIN_CANDIDATES:
                break
        return eligible


def prompt_ids(model: LanguageModel, prompt: FewShot, *, is_plain: bool) -> tuple[int, ...]:
    """The tokens of a few-shot prompt.

    Args:
        model: The model.
        prompt: What is asked.
        is_plain: `Q:` and `A:` on lines of their own, for a model without a chat format; else every exemplar is a turn of
            the user and one of the assistant.

    Raises:
        InputError: The template cannot render it.
    """
    system = prompt.question.system
    if is_plain:
        shown = "".join(f"Q: {question}\nA: {answer}\n\n" for question, answer in prompt.exemplars)
        text = f"{system.strip()}\n\n" if system else ""
        tokenizer = model.chat.tokenizer
        ids = tokenizer(f"{text}{shown}Q: {prompt.question.question}\nA:", verbose=False)["input_ids"]
        return tuple(ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids)
    messages = [] if system is None else [Message("system", system, trained=False)]
    for question, answer in prompt.exemplars:
        messages += [Message("user", question, trained=False), Message("assistant", answer, trained=False)]
    return model.chat.prompt([*messages, Message("user", prompt.question.question, trained=False)])


def ask(
    model: LanguageModel, prompts: Sequence[FewShot], *, is_plain: bool, n_samples: int, counts: Counts | None = None
) -> list[Answers]:
    """What a model says to some prompts, in their order; a prompt that does not fit or cannot be rendered says why.

    An answer may be twice as long as that of the row and 8 tokens more; its first line counts.

    Raises:
        InputError: The model gives no numbers, or memory runs out.
    """
    answers: dict[int, Answers] = {}
    ready: dict[int, Prompted] = {}
    for number, prompt in enumerate(prompts):
        try:
            ids = prompt_ids(model, prompt, is_plain=is_plain)
        except InputError as error:
            answers[number] = Answers(skipped=error.what)
            continue
        n_answer = len(model.chat.tokenizer(prompt.question.answer, add_special_tokens=False, verbose=False)["input_ids"])
        prompted = Prompted(ids, prompt.key, 2 * n_answer + _SPARE_TOKENS)
        if model.n_positions is not None and len(ids) + prompted.max_new_tokens > model.n_positions:
            answers[number] = Answers(skipped=f"prompt and answer are longer than the model's {model.n_positions} positions")
        else:
            ready[number] = prompted
    continued = continue_prompts(
        model,
        list(ready.values()),
        n_samples=n_samples,
        temperature=_TEMPERATURE,
        seed=_SEED,
        line_ends=line_end_ids(model),
        counts=counts,
    )
    for number, made in zip(ready, continued, strict=True):
        answers[number] = _as_text(model, made)
    return [answers[number] for number in range(len(prompts))]


def _as_text(model: LanguageModel, made: Continued) -> Answers:
    texts = {ids: _first_line(model.chat.decode(ids)) for ids in {made.greedy, *made.sampled}}
    return Answers(texts[made.greedy], tuple(texts[ids] for ids in made.sampled), made.has_ended)


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.split("\n") if line.strip()), "")


def _ask_all(
    model: LanguageModel, prompts: Mapping[bytes, FewShot], kept: Path, *, is_plain: bool, n_samples: int, counts: Counts
) -> tuple[dict[bytes, Answers], int]:
    """The answers to all prompts by key, and how many were in the cache."""
    order = sorted(prompts, key=lambda key: (_n_characters(prompts[key]), key))
    answers = _in_cache(kept, order)
    n_cached = len(answers)
    for begin in range(0, len(order), _PROMPTS_PER_SHARD):
        missing = [key for key in order[begin : begin + _PROMPTS_PER_SHARD] if key not in answers]
        if missing:
            found = ask(model, [prompts[key] for key in missing], is_plain=is_plain, n_samples=n_samples, counts=counts)
            answers.update(zip(missing, found, strict=True))
            _keep(kept, {key: answers[key] for key in missing})
    return answers, n_cached


def _in_cache(folder: Path, wanted: Collection[bytes]) -> dict[bytes, Answers]:
    """What earlier passes kept; a damaged segment is left out, and its prompts are asked again."""
    found: dict[bytes, Answers] = {}
    for path in sorted(folder.glob("*.answers.parquet")):
        try:
            segment = pl.read_parquet(read_bytes(path))
        except (CorruptFileError, pl.exceptions.PolarsError):
            continue
        if segment.schema != _KEPT_SCHEMA:
            continue
        for key, greedy, sampled, has_ended, skipped in segment.filter(pl.col("key").is_in(wanted)).iter_rows():
            found.setdefault(key, Answers(greedy, tuple(sampled), has_ended, skipped))
    return found


def _keep(folder: Path, answers: Mapping[bytes, Answers]) -> None:
    name = hashlib.sha256(b"".join(answers)).hexdigest()[:32]
    segment = pl.DataFrame(
        {
            "key": list(answers),
            "greedy": [each.greedy for each in answers.values()],
            "sampled": [list(each.sampled) for each in answers.values()],
            "has_ended": [each.has_ended for each in answers.values()],
            "skipped": [each.skipped for each in answers.values()],
        },
        schema=_KEPT_SCHEMA,
    )
    write_file(folder / f"{name}.answers.parquet", lambda file: segment.write_parquet(file, compression="zstd"))


def _frame(
    read: Mapping[int, tuple[int, int, Question | str]],
    answers: Mapping[int, Sequence[Answers]],
    prompts: Mapping[int, Sequence[FewShot]],
) -> pl.DataFrame:
    """A frame of `SLICK_SCHEMA`."""
    records: list[dict[str, Any]] = []
    for row, (turn, offset, question) in read.items():
        record: dict[str, Any] = {"row": row, "turn": turn, "left_out": question if isinstance(question, str) else ""}
        if isinstance(question, Question):
            of_row = answers[row]
            skipped = sorted({each.skipped for each in of_row if each.skipped})
            if skipped:
                record["left_out"] = skipped[0]
            else:
                record |= {"start": offset + question.start, "end": offset + question.end}
                record |= {"exemplars": min(len(prompt.exemplars) for prompt in prompts[row]), **_judged(question, of_row)}
        records.append(record)
    return pl.DataFrame(records, schema=SLICK_SCHEMA)


def _by_chance(
    exemplars: Exemplars, prompts: Mapping[int, Sequence[FewShot]], answers: Mapping[int, Sequence[Answers]]
) -> Mapping[str, int]:
    """How many rows would be known if their answers were held against the value of another question of their kind."""
    n_compared = n_known = 0
    for row, of_row in answers.items():
        if any(each.skipped for each in of_row):
            continue
        other = exemplars.other(prompts[row][0].question, prompts[row])
        if other is not None:
            n_compared += 1
            n_known += _judged(other, of_row)["slick"] != Known.UNKNOWN
    return {"compared": n_compared, "known": n_known}


def _judged(question: Question, answers: Sequence[Answers]) -> dict[str, Any]:
    """How many answers are right, the class, and what the model says most often."""
    right = {text: question.is_right(text) for each in answers for text in {each.greedy, *each.sampled}}
    greedy_right = sum(right[each.greedy] for each in answers)
    sampled_right = sum(right[text] for each in answers for text in each.sampled)
    said = Counter(each.greedy for each in answers)
    most = min(said, key=lambda text: (-said[text], text))
    return {
        "slick": str(class_of(greedy_right, len(answers), sampled_right)),
        "greedy_asked": len(answers),
        "greedy_right": greedy_right,
        "sampled_asked": sum(len(each.sampled) for each in answers),
        "sampled_right": sampled_right,
        "said": most,
        "said_times": said[most],
    }


def _readable(corpus: Corpus) -> list[int]:
    """Numbers of the rows that hold messages."""
    numbers: list[int] = corpus.turns["row"].unique(maintain_order=True).to_list()
    return numbers


def _question_of(corpus: Corpus, row: int) -> tuple[int, int, Question | str]:
    """The number of a row's last turn, where its text begins after white space, and the question or why it is none."""
    whole = corpus.row(row)
    content = whole.messages[-1].content
    return len(whole.messages) - 1, len(content) - len(content.lstrip()), read_question(whole.messages, whole.tools)


def _groups(question: Question) -> tuple[tuple[str, str], ...]:
    """The groups that a question belongs to, the nearest first."""
    return ("shape", question.shape), ("opening", question.opening), ("all", "")


def _format(*, is_plain: bool) -> str:
    return "Q: and A: in plain text" if is_plain else "the model's chat format, exemplars as turns"


def _n_characters(prompt: FewShot) -> int:
    return len(prompt.question.question) + sum(len(question) + len(answer) for question, answer in prompt.exemplars)


def _hash(question: Question) -> int:
    """64 bits of SHA-256 over question and answer."""
    described = json.dumps([question.question, question.answer]).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(described).digest()[:8], "little")


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64: neighbouring numbers come out unrelated."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
