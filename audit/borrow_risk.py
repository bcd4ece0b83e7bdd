"""Borrow risk, before any tuning: which rows hold a word that the model may learn to give to other questions of the kind.

A tuned model borrows tokens from rows on like concepts (Ghosh et al. 2024, section 5). For that a row must teach the model
something: a *value*, that is a word of matter outside the prompt that is not among the base model's three likeliest. Of a
response of more than twelve words only names, and numbers of several digits, within sentences are words of matter. The
value must stand where like questions are answered: the concept neighbours are the responses with the nearest prompts. And
it must be false for some of them: other neighbours hold another word of the same kind (number, name, other) in its place.
A value that several neighbours share is learned as the answer to the concept rather than to one question of it, and is
lent the more. The risk of a value is

    x = nats / (nats + 10) · (1 + max(0, same - expected)) · other / (other + 0.5),

where *nats* is how little the base model knows, minus its log-probability of the word; *same* and *other* are the sums of
the cosines of the neighbours that hold it and of those that hold another instead; and *expected* is what *same* would be
among rows drawn at random. That of a response is its riskiest value's, as x / (x + 1), in [0, 1).

The formula is our own, made on one world of facts and measured on others (`tests/benchmarks/borrow_risk`). The price is an
exact search for neighbours, about 5 s for 21,500 prompts on one core, and some seconds for the words; memory grows with
the number of words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.corpus import Corpus
from audit.materials import RISK_FILES, Materials
from audit.shift.classes import MAX_MARGINAL_RANK
from audit.signals.base_words import Block, blocks, hashes_of, words_of
from audit.style.lexicon import form_words
from indexes.dense import nearest_to
from indexes.store import write_bytes, write_file

__all__ = ["N_NEIGHBORS", "RISK_SCHEMA", "Values", "build_borrow_risk", "risk_signals", "score_values", "values_of"]

N_NEIGHBORS = 15
"""Concept neighbours of a response; prompts that say the same are not among them."""

RISK_SCHEMA = pl.Schema(
    {
        "response": pl.UInt32(),
        "start": pl.UInt32(),
        "end": pl.UInt32(),
        "surprise_nats": pl.Float32(),
        "same_weight": pl.Float32(),
        "other_weight": pl.Float32(),
        "borrow_risk": pl.Float64(),
        "chance": pl.Float64(),
        "same": pl.List(pl.UInt32()),
        "other": pl.List(pl.UInt32()),
        "other_start": pl.List(pl.UInt32()),
        "other_end": pl.List(pl.UInt32()),
    }
)
"""One line per response with a value, of its riskiest one: where it stands (code points), what its risk is made of, the
chance that it would be as risky beside the neighbours of another response, the neighbours that hold it, nearest first, and
those that hold another word of its kind, with where their least likely one stands."""

_HALF_SURPRISE_NATS = 10.0
_HALF_OTHER = 0.5
_SEED = 0
_N_DRAWS = 199
_DECIMALS = 4
_VALUES_PER_BLOCK = 1 << 16
_NUMBER, _NAME, _WORD = range(3)
_N_KINDS = 3
_MAX_WORDS_OF_ANSWER = 12


@dataclass(frozen=True)
class Values:
    """The words of matter of all responses, as arrays of shape `(n_values,)` ordered by response and place.

    Attributes:
        response: Whose.
        start, end: Where the word stands first in its response, in code points.
        key: Number of the word, equal for equal words.
        kind: Number, name or other word.
        nats: Minus its log-probability under the base model, over its tokens.
        is_value: Whether the base model would hardly have said it.
    """

    response: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    key: NDArray[np.int64]
    kind: NDArray[np.int64]
    nats: NDArray[np.float64]
    is_value: NDArray[np.bool_]


@dataclass(frozen=True)
class _Scores:
    """Of every value, in the order in which they are asked for: its risk, and what that is made of."""

    risk: NDArray[np.float64]
    same: NDArray[np.float64]
    other: NDArray[np.float64]


def build_borrow_risk(folder: Path, materials: Materials) -> Mapping[str, Any]:
    """Measure every response of a dataset and write `RISK_FILES`.

    Args:
        folder: The run folder.
        materials: With the base model's tokens and, where there is an encoder, the prompts' vectors.

    Returns:
        What the manifest says: how many responses hold a value, how many words of matter there are and how many
        of them are values, or why nothing was measured.

    Raises:
        StorageError: The disk is full.
    """
    facts: dict[str, Any] = {"neighbors": N_NEIGHBORS}
    if not materials.has_vectors:
        facts["skipped"] = "no encoder is on this machine, so that no prompts can be compared"
        risks = pl.DataFrame(schema=RISK_SCHEMA)
    else:
        values = values_of(materials)
        numbers, cosines = _neighbors(materials)
        risks = _riskiest(values, numbers, cosines, materials.n_responses)
        facts |= {"responses": risks.height, "words": len(values.key), "values": int(values.is_value.sum())}
    write_file(folder / RISK_FILES[0], lambda file: risks.write_parquet(file, compression="zstd"))
    write_bytes(folder / RISK_FILES[1], json.dumps(facts, sort_keys=True).encode())
    return facts


def risk_signals(corpus: Corpus, risks: pl.DataFrame) -> pl.DataFrame:
    """One line per row with a risk: `row` and `borrow_risk`, that of its riskiest response.

    Args:
        corpus: The rows.
        risks: A frame of `RISK_SCHEMA`.
    """
    return (
        corpus.responses.select("row")
        .with_row_index("response")
        .join(risks.select("response", "borrow_risk"), on="response", maintain_order="left")
        .group_by("row", maintain_order=True)
        .agg(pl.col("borrow_risk").max())
    )


def values_of(materials: Materials) -> Values:
    """The words of matter of every response that its prompt does not hold, each where it stands first."""
    responses = materials.corpus.responses.with_row_index("response").filter(pl.col("text") != "")
    parts = [_values_of(block) for block in blocks(materials, responses)] if responses.height else []
    found = pl.concat(parts) if parts else _values_of_nothing()
    keys = np.unique(found["key"].to_numpy(), return_inverse=True)[1]
    columns = {name: found[name].to_numpy() for name in ("response", "start", "end", "kind", "nats", "is_value")}
    return Values(key=keys.astype(np.int64), **columns)


def score_values(
    values: Values, chosen: NDArray[np.int64], numbers: NDArray[np.int64], cosines: NDArray[np.float64], n_responses: int
) -> _Scores:
    """The risk of some values beside some neighbours.

    Args:
        values: All words of matter.
        chosen: Places of values among them, shape `(n_chosen,)`.
        numbers: Neighbours of every response, shape `(n_responses, k)`; -1 for none.
        cosines: Their weight, from 0 to 1, same shape; 0 where there is none.
        n_responses: How many responses there are.
    """
    n_keys = int(values.key.max(initial=-1)) + 1
    held = np.unique(values.response * n_keys + values.key)
    n_holders = np.bincount(held % n_keys, minlength=n_keys)
    n_of_kind = np.zeros((n_responses, _N_KINDS), np.int64)
    np.add.at(n_of_kind, (values.response, values.kind), 1)
    parts = []
    for begin in range(0, len(chosen), _VALUES_PER_BLOCK):
        part = chosen[begin : begin + _VALUES_PER_BLOCK]
        near, weight = numbers[values.response[part]], cosines[values.response[part]]
        asked = near * n_keys + values.key[part][:, None]
        holds = _is_in(asked, held) & (near >= 0)
        has_other = ~holds & (n_of_kind[near, values.kind[part][:, None]] > 0) & (near >= 0)
        same, other = (weight * holds).sum(axis=1), (weight * has_other).sum(axis=1)
        expected = weight.sum(axis=1) * (n_holders[values.key[part]] - 1) / max(1, n_responses - 1)
        unknown = values.nats[part] / (values.nats[part] + _HALF_SURPRISE_NATS)
        risk = unknown * (1 + np.maximum(0, same - expected)) * other / (other + _HALF_OTHER)
        parts.append((risk, same, other))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else [np.zeros(0)] * 3
    return _Scores(*columns)


def _riskiest(values: Values, numbers: NDArray[np.int64], cosines: NDArray[np.float64], n_responses: int) -> pl.DataFrame:
    """The riskiest value of every response, a frame of `RISK_SCHEMA`."""
    chosen = np.flatnonzero(values.is_value)
    if not len(chosen):
        return pl.DataFrame(schema=RISK_SCHEMA)
    scores = score_values(values, chosen, numbers, cosines, n_responses)
    best = _first_largest(values.response[chosen], scores.risk)
    risk = np.round(scores.risk[best], _DECIMALS)
    places = chosen[best]
    chance = _chances(values, places, risk, numbers, cosines, n_responses)
    holders = _neighborhoods(values, places, numbers)
    columns = {
        "response": values.response[places],
        "start": values.start[places],
        "end": values.end[places],
        "surprise_nats": values.nats[places],
        "same_weight": np.round(scores.same[best], _DECIMALS),
        "other_weight": np.round(scores.other[best], _DECIMALS),
        "borrow_risk": np.round(risk / (1 + risk), 6),
        "chance": chance,
    }
    return pl.DataFrame(columns | holders, schema=RISK_SCHEMA)


def _chances(
    values: Values,
    places: NDArray[np.int64],
    risks: NDArray[np.float64],
    numbers: NDArray[np.int64],
    cosines: NDArray[np.float64],
    n_responses: int,
) -> NDArray[np.float64]:
    """For some values how often they would be as risky beside the neighbours of another response, drawn at random."""
    draw = np.random.default_rng(_SEED)
    as_risky = np.zeros(len(places), np.int64)
    for _ in range(_N_DRAWS):
        order = draw.permutation(n_responses)
        risk = score_values(values, places, numbers[order], cosines[order], n_responses).risk
        as_risky += np.round(risk, _DECIMALS) >= risks
    return np.asarray((1 + as_risky) / (1 + _N_DRAWS))


def _neighborhoods(values: Values, places: NDArray[np.int64], numbers: NDArray[np.int64]) -> dict[str, list[list[int]]]:
    """For some values the neighbours that hold them, and those that hold another word of the kind, the least likely."""
    words: dict[int, set[int]] = {}
    others: dict[tuple[int, int], int] = {}
    near = np.unique(numbers[values.response[places]])
    wanted = np.flatnonzero(np.isin(values.response, near))
    for place in wanted.tolist():
        response, kind = int(values.response[place]), int(values.kind[place])
        words.setdefault(response, set()).add(int(values.key[place]))
        before = others.get((response, kind))
        if before is None or values.nats[place] > values.nats[before]:
            others[response, kind] = place
    found: dict[str, list[list[int]]] = {name: [] for name in ("same", "other", "other_start", "other_end")}
    for place in places.tolist():
        key, kind = int(values.key[place]), int(values.kind[place])
        neighbors = [number for number in numbers[values.response[place]].tolist() if number >= 0]
        same = [number for number in neighbors if key in words.get(number, ())]
        instead = [number for number in neighbors if number not in same and (number, kind) in others]
        found["same"].append(same)
        found["other"].append(instead)
        found["other_start"].append([int(values.start[others[number, kind]]) for number in instead])
        found["other_end"].append([int(values.end[others[number, kind]]) for number in instead])
    return dict(found)


def _neighbors(materials: Materials) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The nearest prompts of every response that say something else, and their weights."""
    vectors = materials.prompt_vectors
    groups = materials.corpus.responses.select(group=pl.col("prompt").rank("dense"))["group"].to_numpy().astype(np.int64)
    distinct, first, group = np.unique(groups, return_index=True, return_inverse=True)
    near, cosines = nearest_to(vectors[first], vectors[first], N_NEIGHBORS + 1)
    # One response speaks for all that answer one prompt: the neighbours are questions.
    numbers = np.full((len(distinct), N_NEIGHBORS), -1, np.int64)
    weights = np.zeros((len(distinct), N_NEIGHBORS))
    is_other = near != np.arange(len(distinct))[:, None]
    is_other &= np.cumsum(is_other, axis=1) <= N_NEIGHBORS
    rows, columns = np.nonzero(is_other)
    place = np.cumsum(is_other, axis=1)[rows, columns] - 1
    numbers[rows, place] = first[near[rows, columns]]
    weights[rows, place] = np.clip(cosines[rows, columns], 0, 1)
    return numbers[group], weights[group]


def _values_of(block: Block) -> pl.DataFrame:
    """The words of matter of a block."""
    words = words_of(block)
    is_long = words.end - words.start > 1
    is_matter = ~np.isin(words.key, form_words()) & (is_long | words.has_digit)
    n_words = np.bincount(words.text, minlength=len(block.texts))
    is_named = (words.has_digit | words.has_capital) & ~words.begins_sentence & is_long
    is_matter &= is_named | (n_words[words.text] <= _MAX_WORDS_OF_ANSWER)
    found = pl.DataFrame(
        {
            "text": words.text,
            "response": block.numbers[words.text].astype(np.int64),
            "start": words.start.astype(np.int64),
            "end": words.end.astype(np.int64),
            "key": words.key,
            "kind": np.where(words.has_digit, _NUMBER, np.where(words.has_capital, _NAME, _WORD)).astype(np.int64),
            "nats": -words.log_p,
            "is_value": words.rank > MAX_MARGINAL_RANK,
        }
    ).filter(pl.Series(is_matter))
    asked_in, asked = hashes_of(block.prompts, other_number=True)
    in_prompt = pl.DataFrame({"text": asked_in, "key": asked}).unique()
    return (
        found.join(in_prompt, on=["text", "key"], how="anti", maintain_order="left")
        .unique(["text", "key"], keep="first", maintain_order=True)
        .drop("text")
    )


def _values_of_nothing() -> pl.DataFrame:
    numbers = {name: pl.Int64() for name in ("response", "start", "end", "kind")}
    return pl.DataFrame(schema=numbers | {"key": pl.UInt64(), "nats": pl.Float64(), "is_value": pl.Boolean()})


def _is_in(asked: NDArray[np.int64], held: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each number is among some sorted ones."""
    place = np.minimum(np.searchsorted(held, asked), len(held) - 1)
    found: NDArray[np.bool_] = held[place] == asked
    return found


def _first_largest(groups: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.int64]:
    """The place of the largest value of each group, of equal ones the first; groups ascending."""
    order = np.lexsort((np.arange(len(values)), -np.round(values, _DECIMALS), groups))
    begins = np.r_[True, groups[order][1:] != groups[order][:-1]]
    return order[begins]
