"""The tunings of a confirmation, in processes of this machine, each kept as soon as it is made.

A process loads the base model once and tunes it again and again (`audit.tune.retraining`). What a tuning says of the spans
is a line of a file in the cache, named by everything that it depends on: the same command goes on where it was killed, and
costs nothing the second time.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import pickle
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from filelock import FileLock, Timeout

from audit.engines import LocalPool
from audit.engines.memory import peak_memory_bytes
from audit.errors import InputError, StorageError
from audit.models import LanguageModel, find_model_folder, generate, load_model, token_log_probs, weights_digest
from audit.rendering import ChatFormat
from audit.tune.recipe import Precision, Recipe
from audit.tune.rows import TrainingSet
from audit.verify.confirmation.model import Measure, Removal, SpanMeasurement, SpanUnderTest
from indexes.encoders import cache_folder

if TYPE_CHECKING:
    from audit.tune.retraining import Retrainer

__all__ = ["RetrainingCost", "RetrainingSetup", "check_tunable", "measure_cost", "open_retrainings", "span_measurements"]

Progress = Callable[[str, int, int], None]

_FORMAT = 1
_MORE_TOKENS = 16
_PILOT_STEPS = 6


@dataclass(frozen=True)
class RetrainingSetup:
    """What is tuned, and what is asked of it.

    Attributes:
        base: Folder or hub name of the base model.
        rows: What it is tuned on.
        recipe: How.
        spans: What is measured after every tuning.
    """

    base: str
    rows: TrainingSet
    recipe: Recipe
    spans: tuple[SpanUnderTest, ...]

    @property
    def n_steps(self) -> int:
        """Optimizer steps of a tuning."""
        return self.recipe.max_steps or self.recipe.epochs * math.ceil(len(self.rows) / self.recipe.batch_size)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that the results depend on."""
        asked = [(span.query.input_ids, span.query.targets, span.n_prompt) for span in self.spans]
        content = [_FORMAT, weights_digest(self.base), self.rows.digest, self.recipe.model_dump(mode="json"), asked]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def check_format(self, chat: ChatFormat) -> None:
        """See that the rows are written as the base model reads them.

        Raises:
            InputError: They were rendered in another prompt format.
        """
        if self.rows.template_digest != chat.digest:
            raise InputError(
                "the rows were rendered in another prompt format",
                where=self.base,
                why=f"digest {self.rows.template_digest[:12]}, the model's is {chat.digest[:12]}",
                remedy="render them with the tokenizer and template of the base model",
            )


@dataclass(frozen=True, slots=True)
class RetrainingCost:
    """What a retraining costs on this machine, measured on a few steps.

    Attributes:
        n_steps: Steps of a whole one.
        seconds_once: Of a process: libraries and the base model.
        seconds_each: Of a retraining, its questions included.
        peak_memory_bytes: Of a process, or of the GPU's memory.
    """

    n_steps: int
    seconds_once: float
    seconds_each: float
    peak_memory_bytes: int

    def seconds(self, n_retrainings: int, n_workers: int) -> float:
        """Of so many, so many at a time."""
        return self.seconds_once + self.seconds_each * math.ceil(n_retrainings / n_workers)


def check_tunable(base: str, recipe: Recipe) -> Path:
    """See that a model can be tuned again and again by a recipe; its folder.

    Raises:
        InputError: The base is an adapter, or the recipe leaves something open or is not done in float32.
    """
    folder, _ = find_model_folder(base)
    if (folder / "adapter_config.json").exists():
        raise InputError(
            "is an adapter",
            where=base,
            why="a tuning starts from a whole model",
            remedy="give the model that the adapter was trained on",
        )
    problems = {
        "has no learning rate": recipe.learning_rate is None,
        "adds NEFTune's noise": recipe.neftune_noise_alpha is not None,
        "computes in bfloat16": recipe.precision is Precision.BFLOAT16,
    }
    for problem, is_there in problems.items():
        if is_there:
            raise InputError(
                f"the recipe {problem}",
                why="rows are removed from one fixed tuning in float32",
                remedy="give a recipe with a learning rate, without noise, in float32",
            )
    return folder


@contextmanager
def open_retrainings(
    setup: RetrainingSetup,
    *,
    n_workers: int,
    n_threads: int,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Iterator[Measure]:
    """Processes that retrain, as long as the `with` block lasts.

    Args:
        setup: What is tuned, and what is asked.
        n_workers: Processes at a time, each with a model of its own; results do not depend on it.
        n_threads: Threads of each.
        folder: Where results are kept; the cache unless told.
        progress: Told the stage, and the number and total of retrainings of the round at work.

    Yields:
        What `confirm_spans` asks.

    Raises:
        InputError: Another process does these very retrainings.
    """
    path = (folder or cache_folder() / "retrainings") / f"{setup.digest[:32]}.jsonl"
    with (
        _locked(path),
        tempfile.TemporaryDirectory(prefix="tunescope-") as work,
        LocalPool(n_workers=n_workers, n_threads=n_threads) as pool,
    ):
        setup_file = Path(work) / "setup"
        setup_file.write_bytes(pickle.dumps(setup))
        done = _read(path)

        def measure(removals: Sequence[Removal]) -> tuple[tuple[SpanMeasurement, ...], ...]:
            missing = [removal for removal in removals if removal not in done]
            with _appending(path) as file:

                def keep(number: int, measured: tuple[SpanMeasurement, ...]) -> None:
                    done[missing[number]] = measured
                    _append(file, path, missing[number], measured)
                    if progress is not None:
                        n_done = sum(removal in done for removal in removals)
                        progress("retraining", n_done, len(removals))

                pool.run(_retrain, [_Task(setup_file, removal) for removal in missing], done=keep)
            return tuple(done[removal] for removal in removals)

        yield measure


def measure_cost(setup: RetrainingSetup, *, n_threads: int) -> RetrainingCost:
    """Tune a few steps in a process of its own, and ask.

    Raises:
        InputError: The model cannot be loaded or tuned on these rows.
    """
    with tempfile.TemporaryDirectory(prefix="tunescope-") as work, LocalPool(n_workers=1, n_threads=n_threads) as pool:
        setup_file = Path(work) / "setup"
        setup_file.write_bytes(pickle.dumps(setup))
        (cost,) = pool.run(_measure_cost, [setup_file])
    return cost


@dataclass(frozen=True)
class _Task:
    setup: Path
    removal: Removal

    def __str__(self) -> str:
        return str(self.removal)


@lru_cache(maxsize=1)
def _ready(setup_file: Path) -> tuple[RetrainingSetup, Retrainer]:
    """The model of this process."""
    from audit.tune.retraining import Retrainer

    setup: RetrainingSetup = pickle.loads(setup_file.read_bytes())
    base = load_model(setup.base, dtype="float32")
    return setup, Retrainer(base, setup.rows, setup.recipe)


def _retrain(task: _Task) -> tuple[SpanMeasurement, ...]:
    setup, retrainer = _ready(task.setup)
    return span_measurements(retrainer.retrain(task.removal.seed, task.removal.places).model, setup.spans)


def span_measurements(model: LanguageModel, spans: Sequence[SpanUnderTest]) -> tuple[SpanMeasurement, ...]:
    """What a model makes of spans, in one pass and one generation for all of them."""
    queries = [span.query for span in spans]
    before = [query.input_ids[: query.targets[0]] for query in queries]
    asked = [query.input_ids[query.targets[0] : query.targets[-1] + 1] for query in queries]
    log_probs, are_greedy = [], []
    for query, ids, values in zip(queries, asked, token_log_probs(model, before, asked), strict=True):
        at = [target - query.targets[0] for target in query.targets]
        log_probs.append(sum(float(values[place, ids[place]]) for place in at))
        are_greedy.append(all(int(values[place].argmax()) == ids[place] for place in at))
    prompts = [span.query.input_ids[: span.n_prompt] for span in spans]
    longest = max(len(span.query.input_ids) - span.n_prompt for span in spans) + _MORE_TOKENS
    room = (model.n_positions or sys.maxsize) - max(map(len, prompts))
    answers = [model.chat.decode(ids) for ids in generate(model, prompts, max_new_tokens=max(1, min(longest, room)))]
    return tuple(
        SpanMeasurement(round(log_prob, 6), is_greedy, answer)
        for log_prob, is_greedy, answer in zip(log_probs, are_greedy, answers, strict=True)
    )


def _measure_cost(setup_file: Path) -> RetrainingCost:
    began = time.perf_counter()
    setup, retrainer = _ready(setup_file)
    n_steps = min(_PILOT_STEPS, setup.n_steps)
    whole = retrainer.recipe
    retrainer.recipe = whole.model_copy(update={"max_steps": 1})
    retrainer.retrain(0)  # the first step loads what the others find
    warm = time.perf_counter()
    retrainer.recipe = whole.model_copy(update={"max_steps": n_steps})
    model = retrainer.retrain(0).model
    tuned = time.perf_counter()
    span_measurements(model, setup.spans)
    asked = time.perf_counter()
    return RetrainingCost(
        n_steps=setup.n_steps,
        seconds_once=warm - began,
        seconds_each=(tuned - warm) * setup.n_steps / n_steps + asked - tuned,
        peak_memory_bytes=_peak_memory_bytes(model.model.device),
    )


def _peak_memory_bytes(device: object) -> int:
    import torch

    return int(torch.cuda.max_memory_allocated()) if str(device).startswith("cuda") else peak_memory_bytes()


def _read(path: Path) -> dict[Removal, tuple[SpanMeasurement, ...]]:
    """What was kept; a line that a kill cut off is passed over."""
    done = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        measured = tuple(SpanMeasurement(**fields) for fields in record["spans"])
        done[Removal(record["seed"], tuple(record["places"]))] = measured
    return done


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"), timeout=0)
        lock.acquire()
    except Timeout as error:
        raise InputError("another tunescope does these retrainings", where=str(path), remedy="wait for it") from error
    except OSError as error:
        raise _storage_error(path, error) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _appending(path: Path) -> Iterator[BinaryIO]:
    """The file, a torn line at its end closed."""
    try:
        is_torn = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
        file = path.open("ab")
    except OSError as error:
        raise _storage_error(path, error) from error
    with file:
        if is_torn:
            file.write(b"\n")
        yield file


def _append(file: BinaryIO, path: Path, removal: Removal, measured: Sequence[SpanMeasurement]) -> None:
    record = {"seed": removal.seed, "places": removal.places, "spans": [asdict(found) for found in measured]}
    try:
        file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        raise _storage_error(path, error) from error


def _storage_error(path: Path, error: OSError) -> StorageError:
    return StorageError(
        "cannot be written",
        where=str(path),
        why=error.strerror or str(error),
        remedy="free space, or name another folder in TUNESCOPE_CACHE, and repeat the command: finished retrainings are kept",
    )
