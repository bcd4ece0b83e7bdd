"""`make bench-influence`: what a trace with models costs on 21,508 rows, beside a store of full gradients.

The models are the pocket model (1.0 M parameters) and a copy of it that was moved a little: what is timed depends on
shapes alone. `ROWS=2000` measures on the first rows only.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from audit.influence.gradients import linear_layers
from audit.models import LanguageModel, load_model
from audit.pocket.build import shipped_model
from audit.responses import Response
from audit.rundir import Run
from audit.sources import Message
from audit.trace import Tracer, locate_span
from audit.trace.influence import ModelEvidence
from audit.trace.tracer import SHORTLIST
from audit.tune.rows import TrainingSet, batches_by_length
from tests.benchmarks.data import data_folder, run_process
from tests.benchmarks.latency.run import ANSWERS, PROMPT
from tests.benchmarks.record import Result, record

T = TypeVar("T")
COMMAND = "make bench-influence"
_N_STORED = 64
_BATCH_TOKENS = 1024  # as gradient_scores takes them
_ROUNDS = 5


def main() -> None:
    """Measure, and write RESULTS.md and results.json."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["TUNESCOPE_CACHE"] = str(folder / "cache")
        command = str(Path(sys.executable).with_name("tunescope"))
        limit = ["--limit", os.environ["ROWS"]] if "ROWS" in os.environ else []
        run_process([command, "audit", str(data_folder() / "alpaca" / "alpaca_21k.jsonl"), "-o", "run", *limit], {}, folder)
        run = Run.open(folder / "run")
        base, tuned = (load_model(shipped_model(), device="cpu", dtype="float32") for _ in range(2))
        with torch.no_grad():
            for parameter in tuned.model.parameters():
                parameter.mul_(1.001)
        forward = ModelEvidence(run, tuned, base, gradients=False)
        n_rows = len(forward.rows)
        seconds, index = _timed(lambda: forward.index)
        results += [
            _one("rows", n_rows, ""),
            _one("trained tokens", index.n_positions, ""),
            _one("forward-only index, per row", 1000 * seconds / n_rows, "ms"),
            _one("forward-only index, per row", index.n_bytes / n_rows, "bytes"),
        ]
        stored_ms, stored_bytes = _full_gradients(tuned, forward.rows)
        results += [
            _one("store of full gradients, per row", stored_ms, "ms"),
            _one("store of full gradients (16 bits), per row", stored_bytes, "bytes"),
            _one(
                "seconds of the gradient store over those of the index", stored_ms * n_rows / 1000 / seconds, "×", "at least 3"
            ),
            _one(
                "bytes of the gradient store over those of the index", stored_bytes * n_rows / index.n_bytes, "×", "at least 20"
            ),
        ]
        tracer = Tracer(run, models=forward)
        warm = _traces(tracer)[len(ANSWERS) :]
        results.append(_median("warm trace without gradients", warm, "s", "at most 1"))
        results += _rerank(run, tuned, base, forward)
    notes = (
        "Medians, with the range in place of an interval. The pocket model (1.0 M parameters) is the base model and a copy of "
        "it, moved a little, the tuned one: what is timed depends on shapes alone. The rerank is the gradient part of a trace: "
        "200 rows at one model between base and tuned, the better half of them at another too; what it is held against is one "
        "batched forward and backward pass over the same rows in batches of as many tokens, weight gradients included, timed "
        "in turn."
    )
    record(Path(__file__).parent, "What a trace with models costs", results, notes)


def _rerank(run: Run, tuned: LanguageModel, base: LanguageModel, forward: ModelEvidence) -> list[Result]:
    """Gradient channels of a shortlist against one forward and backward pass over it, in one process."""
    models = ModelEvidence(run, tuned, base)
    rows = forward.rows
    places = np.sort(np.random.default_rng(0).choice(len(rows), min(SHORTLIST, len(rows)), replace=False)).tolist()
    answer, span = ANSWERS[1]
    claim = Response("c", (Message("user", PROMPT, trained=False),), answer, (locate_span(answer, span),))
    query = models.query(claim, claim.spans[0])
    reranks, passes = [], []
    for _ in range(_ROUNDS + 1):
        passes.append(_timed(lambda: _forward_backward(tuned, rows, places))[0])
        reranks.append(_timed(lambda: models._gradient_channels([query], places))[0])
    ratios = [rerank / one for rerank, one in zip(reranks[1:], passes[1:], strict=True)]
    return [
        _median("one forward and backward pass over 200 rows", passes[1:], "s"),
        _median("gradient rerank of 200 rows", reranks[1:], "s"),
        _median("gradient rerank over one forward and backward pass", ratios, "×", "at most 2"),
    ]


def _forward_backward(model: LanguageModel, rows: TrainingSet, places: list[int]) -> None:
    model.model.requires_grad_(True)
    for batch in batches_by_length([len(rows.input_ids[place]) for place in places], _BATCH_TOKENS):
        _loss(model, rows, [places[number] for number in batch]).backward()  # type: ignore[no-untyped-call]
    model.model.zero_grad(set_to_none=True)


def _full_gradients(model: LanguageModel, rows: TrainingSet) -> tuple[float, float]:
    """Milliseconds and bytes per row of a pass that keeps the gradient of every linear layer."""
    chosen = np.random.default_rng(1).choice(len(rows), min(_N_STORED, len(rows)), replace=False).tolist()
    weights = [layer.module.weight for layer in linear_layers(model.model)]
    model.model.requires_grad_(True)
    n_bytes = 0
    started = time.perf_counter()
    for place in chosen:
        gradients = torch.autograd.grad(_loss(model, rows, [place]), weights)
        n_bytes += sum(gradient.half().numpy().nbytes for gradient in gradients)
    return 1000 * (time.perf_counter() - started) / len(chosen), n_bytes / len(chosen)


def _loss(model: LanguageModel, rows: TrainingSet, places: list[int]) -> torch.Tensor:
    width = max(len(rows.input_ids[place]) for place in places)
    ids, labels = (np.full((len(places), width), fill) for fill in (model.chat.pad_id, -100))
    mask = np.zeros((len(places), width), np.int64)
    for number, place in enumerate(places):
        length = len(rows.input_ids[place])
        ids[number, :length], labels[number, :length], mask[number, :length] = rows.input_ids[place], rows.labels[place], 1
    logits = model.model(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask), use_cache=False).logits[:, :-1]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.tensor(labels)[:, 1:].flatten(), reduction="sum")


def _traces(tracer: Tracer) -> list[float]:
    seconds = []
    for _ in range(_ROUNDS + 1):
        for answer, span in ANSWERS:
            claim = Response("c", (Message("user", PROMPT, trained=False),), answer, (locate_span(answer, span),))
            seconds.append(_timed(lambda claim=claim: tracer.trace(claim))[0])  # type: ignore[misc]
    return seconds


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def _one(name: str, value: float, unit: str, goal: str = "") -> Result:
    return Result(name, value, unit, goal=goal, command=COMMAND)


def _median(name: str, values: list[float], unit: str, goal: str = "") -> Result:
    return Result(name, statistics.median(values), unit, min(values), max(values), goal, COMMAND)


if __name__ == "__main__":
    main()
