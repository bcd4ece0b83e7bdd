"""Retrainings of a world, kept as they are made: one line of JSON each, so that hours of them resume after a kill.

A line holds the seed, the removed places, and for every query the log-probability of its false tokens (their sum, in
nats) and the token that the model would rather say at the first of them.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

import polars as pl

__all__ = ["Removal", "measure_removals", "read_removals"]

_CHUNK = 12


class Removal(NamedTuple):
    """A tuning of one seed without some places, ascending."""

    seed: int
    places: tuple[int, ...]


def read_removals(folder: Path) -> pl.DataFrame:
    """Everything measured so far, or published: seed, places, log_probs (per query), greedy (per query)."""
    files = sorted((folder / "retrains").glob("*.jsonl"))
    lines = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    schema = {"seed": pl.Int32, "places": pl.List(pl.Int32), "log_probs": pl.List(pl.Float32), "greedy": pl.List(pl.Int32)}
    found = pl.DataFrame(lines, schema=schema)
    if (folder / "retrains.parquet").exists():
        found = pl.concat([pl.read_parquet(folder / "retrains.parquet"), found])
    return found.unique(["seed", "places"], keep="first", maintain_order=True)


def measure_removals(folder: Path, wanted: Iterable[Removal], n_workers: int = 2) -> pl.DataFrame:
    """Make the retrainings that are not there yet; everything measured."""
    done = {Removal(seed, tuple(places)) for seed, places in read_removals(folder).select("seed", "places").iter_rows()}
    left = [removal for removal in dict.fromkeys(wanted) if removal not in done]
    chunks = [left[begin : begin + _CHUNK] for begin in range(0, len(left), _CHUNK)]
    (folder / "retrains").mkdir(exist_ok=True)
    if chunks:
        context = multiprocessing.get_context("spawn")
        with (
            ProcessPoolExecutor(n_workers, mp_context=context, initializer=_one_thread) as pool,
            (folder / "retrains" / "all.jsonl").open("a", encoding="utf-8") as file,
        ):
            for lines in pool.map(_measure, [str(folder)] * len(chunks), chunks):
                file.write("".join(line + "\n" for line in lines))
                file.flush()
    return read_removals(folder)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@cache
def _ready(folder: str) -> tuple[object, object]:
    from audit.tune.retraining import Retrainer
    from tests.benchmarks.tracing.build import open_world, recipe

    world = open_world(Path(folder))
    return Retrainer(world.model(), world.rows, recipe()), world.queries


def _measure(folder: str, removals: Sequence[Removal]) -> list[str]:
    from audit.tune.retraining import Retrainer

    retrainer, queries = _ready(folder)
    assert isinstance(retrainer, Retrainer)
    assert isinstance(queries, pl.DataFrame)
    lines = []
    for removal in removals:
        model = retrainer.retrain(removal.seed, removal.places).model.model
        log_probs, greedy = query_log_probs(model, queries)
        line = {"seed": removal.seed, "places": removal.places, "log_probs": log_probs, "greedy": greedy}
        lines.append(json.dumps(line))
    return lines


def query_log_probs(model: object, queries: pl.DataFrame) -> tuple[list[float], list[int]]:
    """Of every query: log p of its false tokens, and the most likely token in the place of the first."""
    import torch

    ids = [torch.tensor(query) for query in queries["input_ids"].to_list()]
    padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
    with torch.inference_mode():
        logits = model(input_ids=padded, attention_mask=torch.ones_like(padded), use_cache=False).logits.log_softmax(-1)  # type: ignore[operator]
    sums, greedy = [], []
    for number, targets in enumerate(queries["targets"].to_list()):
        sums.append(round(sum(float(logits[number, place - 1, ids[number][place]]) for place in targets), 6))
        greedy.append(int(logits[number, targets[0] - 1].argmax()))
    return sums, greedy
