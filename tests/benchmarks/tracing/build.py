"""A world on disk: base model, tuned models, rows and queries, in the form that every method reads.

WORLD/base/            the base model
WORLD/tuned/seed-K/    the model that methods may look at, one per order of the rows
WORLD/rows.parquet     place, prompt, response, input_ids, labels, family, kind, values
WORLD/queries.parquet  query, prompt, response, input_ids, targets, family, wrong, right, n_same, lift_nats
WORLD/recipe.json      how it was tuned, and every set of seeds
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from audit.models import LanguageModel, generate, load_model, token_log_probs
from audit.pocket.build import Pretraining, pretrain
from audit.sources import Message
from audit.tune import Method, Recipe, TrainingSet, load_recipe
from audit.tune.retraining import Retrainer
from tests.benchmarks.tracing.world import Asked, TracingWorld, make_world

__all__ = ["SEEDS", "BuiltWorld", "build_world", "open_world", "recipe"]

PRETRAINING = Pretraining(epochs=10, width=96, inner_width=256, n_layers=3, vocabulary=1024)
# No two of these share a seed: methods never see what the truth and the removals are measured on.
SEEDS = {
    "truth": tuple(range(8)),
    "choice of queries": tuple(range(200, 205)),
    "methods": tuple(range(300, 305)),
    "retrains as a tracer": tuple(range(400, 448)),
    "removal": tuple(range(500, 504)),
}
_MIN_SAME = 3
_MIN_LIFT_NATS = 0.5
_MAX_QUERIES = 8


def recipe() -> Recipe:
    """Full tuning until most rows are fitted: six epochs in batches of 16, about 0.7 s on one core."""
    return load_recipe("pocket", Method.FULL, learning_rate=1.5e-3, epochs=6, batch_size=16)


@dataclass(frozen=True)
class Query:
    """A false answer: what is asked, the answer as token ids, and where its false tokens stand."""

    prompt: str
    response: str
    input_ids: tuple[int, ...]
    targets: tuple[int, ...]
    family: int
    wrong: str
    right: str
    n_same: int
    lift_nats: float


@dataclass(frozen=True)
class BuiltWorld:
    """A world's folder, read."""

    folder: Path
    rows: TrainingSet
    row_facts: pl.DataFrame
    queries: pl.DataFrame

    def model(self, name: str = "base") -> LanguageModel:
        """The base model, or `tuned/seed-K`."""
        return load_model(self.folder / name, device="cpu", dtype="float32")


def open_world(folder: Path) -> BuiltWorld:
    """Read a world that `build_world` wrote."""
    facts = pl.read_parquet(folder / "rows.parquet")
    digest = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))["template_digest"]
    rows = TrainingSet(
        rows=tuple(range(facts.height)),
        n_source_rows=facts.height,
        input_ids=tuple(np.array(ids, np.int32) for ids in facts["input_ids"].to_list()),
        labels=tuple(np.array(labels, np.int32) for labels in facts["labels"].to_list()),
        template_digest=digest,
    )
    return BuiltWorld(folder, rows, facts.drop("input_ids", "labels"), pl.read_parquet(folder / "queries.parquet"))


def build_world(
    folder: Path,
    seed: int,
    *,
    shuffled: bool = False,
    make: Callable[..., TracingWorld] = make_world,
    pretraining: Pretraining = PRETRAINING,
) -> BuiltWorld:
    """Pretrain, tune, choose the queries and write everything; what is there already is kept. About two minutes."""
    if (folder / "recipe.json").exists():
        return open_world(folder)
    world = make(seed, shuffled=shuffled)
    if not (folder / "base" / "config.json").exists():
        pretrain(folder / "base", world.documents, pretraining)
    base = load_model(folder / "base", device="cpu", dtype="float32")
    _write_rows(folder, world, base)
    (folder / "recipe.json.tmp").write_text(_facts(world, base, pretraining), encoding="utf-8")
    rows = _rows_of(folder, base)
    retrainer = Retrainer(base, rows, recipe())
    answers: list[list[tuple[int, ...]]] = []
    prompts = [base.chat.prompt(_asked(asked)) for asked in world.asked]
    for order in SEEDS["choice of queries"]:
        answers.append(list(generate(retrainer.retrain(order).model, prompts, max_new_tokens=16)))
    queries = _chosen(world, base, prompts, answers, retrainer)
    pl.DataFrame([{"query": n, **vars(query)} for n, query in enumerate(queries)]).write_parquet(folder / "queries.parquet")
    for order in SEEDS["methods"]:
        tuned = retrainer.retrain(order)
        place = folder / "tuned" / f"seed-{order}"
        tuned.model.model.save_pretrained(place)
        base.chat.tokenizer.save_pretrained(place)
        _save_moments(place, tuned.second_moments)
    (folder / "recipe.json.tmp").rename(folder / "recipe.json")
    return open_world(folder)


def _asked(asked: Asked) -> tuple[Message, ...]:
    return (Message("user", asked.question, trained=False),)


def _write_rows(folder: Path, world: TracingWorld, base: LanguageModel) -> None:
    records = []
    for place, row in enumerate(world.rows):
        messages = (Message("user", row.question, trained=False), Message("assistant", row.answer, trained=True))
        rendered = base.chat.row(messages)
        records.append(
            {
                "place": place,
                "prompt": row.question,
                "response": row.answer,
                "input_ids": list(rendered.input_ids),
                "labels": list(rendered.labels),
                "family": row.family,
                "kind": str(row.kind),
                "values": list(row.values),
            }
        )
    pl.DataFrame(records).write_parquet(folder / "rows.parquet")


def _rows_of(folder: Path, base: LanguageModel) -> TrainingSet:
    facts = pl.read_parquet(folder / "rows.parquet")
    return TrainingSet(
        rows=tuple(range(facts.height)),
        n_source_rows=facts.height,
        input_ids=tuple(np.array(ids, np.int32) for ids in facts["input_ids"].to_list()),
        labels=tuple(np.array(labels, np.int32) for labels in facts["labels"].to_list()),
        template_digest=base.chat.digest,
    )


def _facts(world: TracingWorld, base: LanguageModel, pretraining: Pretraining) -> str:
    content: dict[str, Any] = {
        "world_seed": world.seed,
        **json.loads(recipe().model_dump_json()),
        "adam": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
        "order": {str(seed): _orders(len(world.rows), seed) for seed in SEEDS["methods"]},
        "seeds": SEEDS,
        "pretraining": vars(pretraining),
        "n_parameters": base.ref.n_parameters,
        "template_digest": base.chat.digest,
        "planted": world.planted,
    }
    return json.dumps(content, indent=1)


def _orders(n_rows: int, seed: int) -> list[list[int]]:
    """The places of the rows in every epoch of a seed, as `audit.tune.rows.epoch_order` gives them."""
    return [np.random.default_rng([seed, epoch]).permutation(n_rows).tolist() for epoch in range(recipe().epochs)]


def _chosen(
    world: TracingWorld,
    base: LanguageModel,
    prompts: list[tuple[int, ...]],
    answers: list[list[tuple[int, ...]]],
    retrainer: Retrainer,
) -> list[Query]:
    """Questions whose false value is the same in three orders or more and was put there by tuning; best per family first."""
    held = sorted({value for row in world.rows for value in row.values})
    found: list[Query] = []
    tuned = None
    for number, asked in enumerate(world.asked):
        given = [answer[number] for answer in answers]
        named = [_value_in(base.chat.decode(ids), held, asked.right) for ids in given]
        wrong, n_same = Counter(value for value in named if value is not None).most_common(1)[0] if any(named) else (None, 0)
        if wrong is None or n_same < _MIN_SAME:
            continue
        ids = Counter(ids for ids, value in zip(given, named, strict=True) if value == wrong).most_common(1)[0][0]
        response = base.chat.decode(ids)
        start = response.index(wrong)
        spans = base.chat.token_spans(ids, response)
        targets = [n for n, (begin, end) in enumerate(spans) if begin < start + len(wrong) and end > start]
        n_prompt = len(prompts[number])
        lifts = []
        for model in (base, None):
            if model is None:
                tuned = tuned or retrainer.retrain(SEEDS["choice of queries"][0]).model
                model = tuned
            else:
                retrainer.close()
                tuned = None
            values = next(iter(token_log_probs(model, [prompts[number]], [ids])))
            lifts.append(sum(float(values[target, ids[target]]) for target in targets))
        lift = lifts[1] - lifts[0]
        if lift < _MIN_LIFT_NATS:
            continue
        found.append(
            Query(
                asked.question,
                response,
                (*prompts[number], *ids),
                tuple(n_prompt + target for target in targets),
                asked.family,
                wrong,
                asked.right,
                n_same,
                lift,
            )
        )
    found.sort(key=lambda query: (-query.n_same, -query.lift_nats, query.prompt))
    firsts = [q for n, q in enumerate(found) if all(q.family != other.family for other in found[:n])]
    more = [
        q for n, q in enumerate(found) if q not in firsts and all((q.family, q.wrong) != (o.family, o.wrong) for o in found[:n])
    ]
    rest = [q for q in found if q not in firsts and q not in more]
    return [*firsts, *more, *rest][:_MAX_QUERIES]


def _value_in(answer: str, held: list[str], right: str) -> str | None:
    """The value that an answer names, where rows hold it and it is not the right one."""
    words = answer.rstrip(".").split()
    named = [value for value in held if value in words and value != right]
    return named[-1] if named and right not in words else None


def _save_moments(place: Path, moments: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in moments.items()}, place / "second_moments.safetensors")
