"""Every method that needs no library of its own: plain baselines, gradients, and the channels that tunescope fuses.

A method gives each row a score for each query, higher for rows that it holds more responsible. All that look at a tuned
model look at the same ones (`SEEDS["methods"]`) and are averaged over them. What is written is read again by
`table.py` alone, so that the figures can be computed anew without a model.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.influence import TokenQuery, output_layer, query_states, response_states, state_scores
from audit.influence.gradients import GradientScores, gradient_scores
from audit.influence.one_step import one_step_scores
from audit.influence.path import SHARES, model_between
from audit.models import LanguageModel
from audit.tune.optimizer_state import SecondMoments
from indexes.encoders import DEFAULT_MODEL, TransformerEncoder, encode_cached, find_model, load_static
from indexes.lexical import Bm25Index
from indexes.words import WordStream, tokenize
from tests.benchmarks.tracing.build import SEEDS, BuiltWorld

__all__ = ["Scores", "read_scores", "score_world", "write_scores"]

Scores = NDArray[np.floating[Any]]
"""Float, shape `(n_queries, n_rows)`."""


@dataclass
class Costs:
    """What each method took: seconds before the first query, seconds per query, bytes kept per row."""

    index: dict[str, float] = field(default_factory=dict)
    query: dict[str, float] = field(default_factory=dict)
    bytes_per_row: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def indexing(self, *names: str) -> Iterator[None]:
        """Counts towards the index of some methods."""
        began = time.perf_counter()
        yield
        for name in names:
            self.index[name] = self.index.get(name, 0.0) + time.perf_counter() - began

    @contextmanager
    def asking(self, *names: str) -> Iterator[None]:
        """Counts towards the queries of some methods."""
        began = time.perf_counter()
        yield
        for name in names:
            self.query[name] = self.query.get(name, 0.0) + time.perf_counter() - began


def score_world(world: BuiltWorld) -> None:
    """Write scores/METHOD.parquet and .json for every method of this module."""
    costs = Costs()
    scores = _lexical(world, costs)
    scores |= _encoders(world, scores["holders"], costs)
    base = world.model()
    scores |= {
        f"base/{name}": values for name, values in _by_model(world, base, None, costs, "base/", with_steps=False).items()
    }
    sums: dict[str, Scores] = {}
    seeds = SEEDS["methods"]
    for seed in seeds:
        tuned = world.model(f"tuned/seed-{seed}")
        moments = moments_of(world.folder / "tuned" / f"seed-{seed}")
        found = _by_model(world, tuned, moments, costs, "") | _on_path(world, base, tuned, moments, costs)
        for name, values in found.items():
            sums[name] = sums.get(name, np.zeros_like(values)) + values / len(seeds)
            if seed == seeds[0]:
                scores[f"one/{name}"] = values
    scores |= sums
    # Pruthi et al. (2020), eq. 2, over the first and the last checkpoint.
    scores["tracin-cp"] = scores["base/grad-dot"] + scores["grad-dot"]
    for name, values in scores.items():
        write_scores(world.folder, name, values, costs)


def write_scores(folder: Path, name: str, values: Scores, costs: Costs | None = None) -> None:
    """Write one method's scores, long form, and what it cost."""
    n_queries, n_rows = values.shape
    frame = pl.DataFrame(
        {
            "query": np.repeat(np.arange(n_queries, dtype=np.int32), n_rows),
            "place": np.tile(np.arange(n_rows, dtype=np.int32), n_queries),
            "score": values.astype(np.float64).ravel(),
        }
    )
    path = folder / "scores" / f"{name.replace('/', '.')}.parquet"
    path.parent.mkdir(exist_ok=True)
    frame.write_parquet(path)
    if costs is not None and name in costs.query:
        about = {
            "method": name,
            "seconds_index": round(costs.index.get(name, 0.0), 4),
            "seconds_per_query": round(costs.query[name] / n_queries, 5),
            "bytes_per_row": costs.bytes_per_row.get(name, 0.0),
        }
        path.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def read_scores(folder: Path, name: str) -> Scores:
    """One method's scores; queries that it did not answer hold NaN."""
    frame = pl.read_parquet(folder / "scores" / f"{name.replace('/', '.')}.parquet")
    n_queries = pl.read_parquet(folder / "queries.parquet").height
    n_rows = pl.read_parquet(folder / "rows.parquet", columns=["place"]).height
    scores = np.full((n_queries, n_rows), np.nan)
    scores[frame["query"].to_numpy(), frame["place"].to_numpy()] = frame["score"].to_numpy()
    return scores


def token_queries(world: BuiltWorld) -> tuple[TokenQuery, ...]:
    """The false tokens of every query."""
    columns = world.queries.select("input_ids", "targets").iter_rows()
    return tuple(TokenQuery(tuple(ids), tuple(targets)) for ids, targets in columns)


def corrected_queries(world: BuiltWorld, model: LanguageModel) -> tuple[TokenQuery, ...]:
    """The same answers with the right value in the place of the false one."""
    found = []
    for ids, targets, response, wrong, right in world.queries.select(
        "input_ids", "targets", "response", "wrong", "right"
    ).iter_rows():
        n_prompt = targets[0] - _first_token(model, response, wrong)
        start = response.index(wrong)
        corrected = f"{response[:start]}{right}{response[start + len(wrong) :]}"
        answer = model.chat.tokenizer(corrected, add_special_tokens=False)["input_ids"]
        spans = model.chat.token_spans(answer, corrected)
        right_at = [n for n, (begin, end) in enumerate(spans) if begin < start + len(right) and end > start]
        found.append(TokenQuery((*ids[:n_prompt], *answer), tuple(n_prompt + place for place in right_at)))
    return tuple(found)


def _first_token(model: LanguageModel, response: str, wrong: str) -> int:
    ids = model.chat.tokenizer(response, add_special_tokens=False)["input_ids"]
    start = response.index(wrong)
    spans = model.chat.token_spans(ids, response)
    return next(n for n, (begin, end) in enumerate(spans) if begin < start + len(wrong) and end > start)


def _lexical(world: BuiltWorld, costs: Costs) -> dict[str, Scores]:
    facts, queries = world.row_facts, world.queries
    with costs.indexing("bm25-prompt", "bm25"):
        stream = WordStream.of([f"{p} {r}" for p, r in facts.select("prompt", "response").iter_rows()])
        index = Bm25Index.build(stream)
    number_of = stream.number_of
    scores: dict[str, list[Any]] = {"holders": [], "bm25-prompt": [], "bm25": []}
    answers = [frozenset(tokenize(response)) for response in facts["response"]]
    for prompt, response, wrong in queries.select("prompt", "response", "wrong").iter_rows():
        with costs.asking("holders"):
            words = tokenize(wrong)
            scores["holders"].append([float(all(word in answer for word in words)) for answer in answers])
        for name, text in (("bm25-prompt", prompt), ("bm25", f"{prompt} {response}")):
            with costs.asking(name):
                numbers = {number_of[word] for word in tokenize(text) if word in number_of}
                scores[name].append(index.scores(sorted(numbers)))
    return {name: np.array(lines, np.float64) for name, lines in scores.items()}


def _encoders(world: BuiltWorld, holders: Scores, costs: Costs) -> dict[str, Scores]:
    facts, queries = world.row_facts, world.queries
    scores = {}
    for name, encoder in (("encoder", TransformerEncoder(find_model(DEFAULT_MODEL))), ("static", load_static())):
        whole = [f"{p} {r}" for p, r in facts.select("prompt", "response").iter_rows()]
        asked = [f"{p} {r}" for p, r in queries.select("prompt", "response").iter_rows()]
        for suffix, rows, texts in (
            ("", whole, asked),
            ("-prompt", facts["prompt"].to_list(), queries["prompt"].to_list()),
        ):
            with costs.indexing(name + suffix):
                vectors = encode_cached(encoder, rows).astype(np.float64)
            with costs.asking(name + suffix):
                scores[name + suffix] = encode_cached(encoder, texts).astype(np.float64) @ vectors.T
            costs.bytes_per_row[name + suffix] = 2.0 * vectors.shape[1]
    scores["encoder-among-holders"] = holders + scores["encoder"] / 10
    overlap = _overlap(world)
    scores["encoder-x-overlap"] = scores["encoder"] * overlap
    return scores


def _overlap(world: BuiltWorld) -> Scores:
    """Share of the answer's words that the row's answer holds."""
    answers = [frozenset(tokenize(response)) for response in world.row_facts["response"]]
    lines = []
    for response in world.queries["response"]:
        words = frozenset(tokenize(response))
        lines.append([len(words & answer) / len(words) for answer in answers])
    return np.array(lines)


def _by_model(
    world: BuiltWorld,
    model: LanguageModel,
    moments: SecondMoments | None,
    costs: Costs,
    prefix: str,
    *,
    with_steps: bool = True,
) -> dict[str, Scores]:
    """Every channel of one model; where it is the tuned one, with Adam's moments, also those that need them."""
    rows, queries = world.rows, token_queries(world)
    corrected = corrected_queries(world, model)
    places = range(len(rows))
    state_names = [prefix + name for name in ("state-cosine", "closed-form", "closed-form-gated", "state-mean", "state-max")]
    with costs.indexing(*state_names):
        states = sorted(response_states(model, rows), key=lambda row: row.place)
    output = output_layer(model)
    with costs.asking(*state_names):
        found = state_scores(query_states(model, queries), states, output)
    right = state_scores(query_states(model, corrected), states, output)
    for name in state_names:
        costs.bytes_per_row[name] = float(np.mean([2 * row.states.size + 4 * len(row.tokens) for row in states]))
    scores: dict[str, Scores] = {
        "state-cosine": np.nan_to_num(found.state_cosine, nan=-1.0),
        "closed-form": found.closed_form,
        "closed-form-gated": found.gated_closed_form,
        "closed-form-contrast": found.closed_form - right.closed_form,
        "state-mean": found.mean_cosine,
        "state-max": found.max_cosine,
    }
    gradient_names = [prefix + name for name in ("grad-dot", "grad-cos")]
    if moments is not None:
        gradient_names.append(prefix + "less")
    with costs.asking(*gradient_names):
        wrong = gradient_scores(model, queries, rows, places, second_moments=moments)
    instead = gradient_scores(model, corrected, rows, places, second_moments=moments)
    scores |= _gradients(wrong, instead)
    if moments is not None and with_steps:
        with costs.asking(prefix + "one-step"):
            scores["one-step"] = one_step_scores(model, queries, rows, places)
        with costs.asking(prefix + "repsim"):
            scores["repsim"] = _repsim(world, model)
    return {name: np.asarray(values, np.float64) for name, values in scores.items()}


def _on_path(
    world: BuiltWorld, base: LanguageModel, tuned: LanguageModel, moments: SecondMoments, costs: Costs
) -> dict[str, Scores]:
    """The mean of each channel over models between base and tuned."""
    sums: dict[str, Scores] = {}
    for share in SHARES:
        with model_between(base, tuned, share) as between:
            for name, values in _by_model(world, between, moments, costs, "path/", with_steps=False).items():
                sums[f"path/{name}"] = sums.get(f"path/{name}", np.zeros_like(values)) + values / len(SHARES)
    return sums


def _gradients(wrong: GradientScores, instead: GradientScores) -> dict[str, Scores]:
    scores: dict[str, Scores] = {
        "grad-dot": wrong.dot,
        "grad-cos": wrong.cosine,
        "grad-contrast": wrong.dot - instead.dot,
        "grad-cos-contrast": wrong.cosine - instead.cosine,
    }
    if wrong.preconditioned is not None and instead.preconditioned is not None:
        scores["less"] = wrong.preconditioned
        scores["less-contrast"] = wrong.preconditioned - instead.preconditioned
    return scores


def _repsim(world: BuiltWorld, model: LanguageModel) -> Scores:
    """Cosine of the last hidden states at the end of prompt and answer (Hammoudeh and Lowd 2024, representation similarity)."""
    import torch

    def last_states(sequences: list[list[int]]) -> NDArray[np.float32]:
        states = []
        with torch.inference_mode():
            for ids in sequences:
                hidden = model.model.base_model(input_ids=torch.tensor([ids]), use_cache=False).last_hidden_state
                states.append(hidden[0, -1].numpy())
        stacked = np.stack(states)
        unit: NDArray[np.float32] = stacked / np.linalg.norm(stacked, axis=1, keepdims=True)
        return unit

    rows = last_states([ids.tolist() for ids in world.rows.input_ids])
    end = model.chat.eos_ids[0] if isinstance(model.chat.eos_ids, (tuple, list)) else sorted(model.chat.eos_ids)[0]
    asked = last_states([[*ids, end] for ids in world.queries["input_ids"].to_list()])
    return asked @ rows.T


def moments_of(folder: Path) -> SecondMoments:
    from safetensors.torch import load_file

    return SecondMoments(load_file(folder / "second_moments.safetensors"), eps=1e-8)
