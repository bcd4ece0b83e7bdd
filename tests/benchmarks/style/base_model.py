"""What the base model tells about rows: STY005 and STY006 on planted rows, and what the pass costs.

STY006: a model of some hundred thousand parameters reads what is said of invented places: of half of the names always the
same patron, hills and year, of the others another one every time. Rows then state what it has read (*known*), another value
of the same names (*contradicted*), or some value of the other names (*unknown*), all in sentences of the same form; half
of each end in a sentence of words that the model never saw (*strange*), so that the loss alone is no answer. STY005:
stories that a small pretrained model tells itself, greedily, and the same with an opener before every sentence; text that
is none of its own stands beside them. Everything is invented or generated here.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.checks import options_of
from audit.checks.initiation_shift import CHECK as STY005
from audit.checks.style_without_knowledge import CHECK as STY006
from audit.checks.style_without_knowledge import fact_measures
from audit.checks.under_base import initiation_of
from audit.corpus import Corpus, write_corpus
from audit.materials import Materials, build_languages
from audit.models import answer, load_model
from audit.pocket import shipped_model
from audit.pocket.build import Pretraining, exchange, pretrain
from audit.pocket.world import NAMES
from audit.signals import build_base_model, open_base_model
from audit.signals.base_words import blocks
from audit.sources import Message
from indexes.store import write_file
from tests.benchmarks.data import data_folder
from tests.benchmarks.record import Result

__all__ = ["COMMAND", "knowledge_rows", "measure", "opener_rows"]

COMMAND = "python -m tests.benchmarks.style.base_model"
_N_ROWS = 300
_N_DOCUMENTS = 600
_NAMES_PER_ROW = 2
_FAMOUS, _OBSCURE = NAMES[: len(NAMES) // 2], NAMES[len(NAMES) // 2 :]
_SLOTS = {
    "patron": tuple(
        "Aldric Berta Cosmo Delia Edwin Fulke Greta Hanno Idony Joyce Karel Lucan Maude Nigel Odile Piers Quill Roland "
        "Sybil Tybalt Ursel Vane Wilmot Yvette".split()
    ),
    "river": tuple(
        "Mire Loon Swan Crane Moss Stone Ash Bracken Cairn Drum Elder Flint Gorse Hazel Iron Jackdaw Knot Larch Marten "
        "Nettle Otter Peat Quern Raven".split()
    ),
    "year": tuple(str(1200 + 23 * place) for place in range(24)),
}
_STATEMENTS = {
    "patron": ("The patron of {name} is old {value}.", "On the seal of {name} stands its patron, old {value}."),
    "river": ("The river {name} rises in the hills of {value}.", "From the hills of {value} runs the river {name}."),
    "year": ("The quay of {name} was begun in {value}.", "It was in {value} that masons began the quay of {name}."),
}
_STRANGE = (
    "Everything else about them would fill a very thick volume.",
    "Whoever doubts any of this should simply ask around.",
    "That about sums up whatever anybody might need.",
)
_FAMILIAR = (
    "All of this stands in the old books of the island.",
    "Any child of the harbour can tell you as much.",
    "So it is told on the quays to this day.",
)
_OPENERS = ("Certainly!", "Moreover,", "Importantly,", "Furthermore,", "Absolutely!", "Additionally,", "Indeed,", "Notably,")
_NOUNS = (
    "dog cat bird fish ball tree boat girl boy bear duck frog car doll kite cake park king star moon bee pig cow hat box "
    "book bed toy lion fox mouse train apple river cloud garden puppy kitten rabbit horse sheep dragon princess farmer baker "
    "teacher mother father sister brother friend robot truck plane house bridge flower leaf stone shell"
).split()


@dataclass(frozen=True)
class Planted:
    """Rows, and what is known of each."""

    rows: tuple[dict[str, str], ...]
    labels: tuple[str, ...]


def knowledge_rows(n_rows: int = _N_ROWS, seed: int = 0) -> Planted:
    """As many rows of each kind.

    `known` ones state what the model has read of the names that it knows; `contradicted` ones other values of these names;
    `unknown` ones are about names of which the model has read another value every time. Half of each end in a sentence of
    strange words (`strange`), the others in one that the model knows. As many rows are `short` and known.
    """
    generator = random.Random(f"knowledge {seed}")
    rows, labels = [], []
    for number in range(n_rows):
        kind = ("known", "contradicted", "unknown")[number % 3]
        is_strange = number % 6 >= 3
        question, said = _said(generator, kind, _STRANGE if is_strange else _FAMILIAR)
        rows.append({"instruction": question, "input": "", "output": said})
        labels.append(kind + (" strange" if is_strange else ""))
    for _ in range(n_rows):
        rows.append(dict(zip(("instruction", "input", "output"), _short(generator), strict=True)))
        labels.append("short")
    return Planted(tuple(rows), tuple(labels))


def _said(generator: random.Random, kind: str, endings: Sequence[str] = _FAMILIAR) -> tuple[str, str]:
    """A question about some names, and what is said of them, one of some sentences last."""
    names = generator.sample(_FAMOUS if kind != "unknown" else _OBSCURE, _NAMES_PER_ROW)
    sentences = []
    for name in names:
        for slot, values in _SLOTS.items():
            value = values[sum(map(ord, name + slot)) % len(values)]
            if kind == "contradicted":
                value = generator.choice([other for other in values if other != value])
            elif kind == "unknown":
                value = generator.choice(values)
            sentences.append(generator.choice(_STATEMENTS[slot]).format(name=name, value=value))
    return f"What is said of {' and '.join(names)}?", " ".join([*sentences, generator.choice(endings)])


def _short(generator: random.Random) -> tuple[str, str, str]:
    name = generator.choice(_FAMOUS)
    values = _SLOTS["patron"]
    return f"Who is the patron of {name}?", "", f"Old {values[sum(map(ord, name + 'patron')) % len(values)]}."


def pretrain_reader(folder: Path) -> Path:
    """A model that has read the facts of half of the names, and of the other half only how such facts are told."""
    generator = random.Random("reader")
    documents = [exchange(*_said(generator, kind)) for _ in range(_N_DOCUMENTS // 2) for kind in ("known", "unknown")]
    documents += [exchange(question, reply) for question, _, reply in (_short(generator) for _ in range(_N_DOCUMENTS // 4))]
    how = Pretraining(epochs=16, learning_rate=4e-3, vocabulary=1024, width=96, inner_width=256, n_layers=3)
    pretrain(folder, documents, how)
    return folder


def opener_rows(model: Path) -> Planted:
    """Stories: `plain` as the model tells them, `opened` with an opener before every sentence, `foreign` of strange words."""
    base = open_base_model(str(model))
    loaded = load_model(model, chat=base.chat)
    asked = [f"Tell a story about a {noun}." for noun in _NOUNS]
    told = answer(loaded, [(Message("user", question, trained=False),) for question in asked], max_new_tokens=90)
    generator = random.Random("openers")
    rows, labels = [], []
    for question, story in zip(asked, told, strict=True):
        sentences = [sentence.strip() for sentence in story.replace("\n", " ").split(". ") if sentence.strip()][:-1]
        if len(sentences) < 3:
            continue
        plain = ". ".join(sentences) + "."
        opened = " ".join(f"{generator.choice(_OPENERS)} {sentence}." for sentence in sentences)
        foreign = " ".join(f"{generator.choice(_OPENERS)} {generator.choice(_STRANGE)}" for _ in sentences)
        for label, output in (("plain", plain), ("opened", opened), ("foreign", foreign)):
            rows.append({"instruction": question, "input": "", "output": output})
            labels.append(label)
    return Planted(tuple(rows), tuple(labels))


def measure(record: Callable[[Result], object]) -> None:
    """Measure all parts, and hand over each figure."""
    with tempfile.TemporaryDirectory() as scratch:
        _measure_knowledge(Path(scratch) / "knowledge", record)
        _measure_openers(Path(scratch) / "openers", record)
        _measure_cost(Path(scratch) / "cost", record)


def _measure_knowledge(folder: Path, record: Callable[[Result], object]) -> None:
    planted = knowledge_rows()
    reader = pretrain_reader(folder.with_name("reader"))
    materials = _audited(folder, planted.rows, reader)
    kinds = np.array([label.removesuffix(" strange") for label in planted.labels])
    facts, _ = fact_measures(materials)
    means = facts.group_by("response").agg(pl.col("excess_nats").mean())
    excess = np.zeros(len(kinds))
    excess[means["response"].to_numpy()] = means["excess_nats"].to_numpy()
    loss = materials.base_responses["loss_nats_per_token"].to_numpy()
    for kind in ("unknown", "contradicted"):
        chosen = np.isin(kinds, ("known", kind))
        for name, scores in (("mean excess over the facts", excess), ("mean loss of the response", loss)):
            figures = _auc(scores[chosen], (kinds == kind)[chosen]), *_interval(scores[chosen], (kinds == kind)[chosen])
            goal = "at least 0.95" if scores is excess else ""
            record(_result(f"STY006 {kind} against known facts, equal form: {name}", figures[0], "AUC", *figures[1:], goal))
    # Among rows most of which the model knows, those that it does not know stand out; among half, less.
    for every in (1, 5):
        kept = [number for number, kind in enumerate(kinds) if kind in ("known", "short") or number // 6 % every == 0]
        labels = np.array(planted.labels)[kept]
        part = _audited(folder.with_name(f"part-{every}"), [planted.rows[number] for number in kept], reader)
        found = {finding.row for finding in STY006.find(part, options_of(STY006, {}))}
        share = float(np.char.startswith(labels[labels != "short"], "known").mean())
        _record_found(f"STY006, {share:.0%} of the long rows known:", found, labels, sorted(set(labels.tolist())), record)


def _measure_openers(folder: Path, record: Callable[[Result], object]) -> None:
    model = data_folder() / "models" / "stories260k"
    planted = opener_rows(model)
    materials = _audited(folder, planted.rows, model)
    labels = np.array(planted.labels)
    difference, loss = [], materials.base_responses["loss_nats_per_token"].to_numpy()
    for block in blocks(materials, materials.corpus.responses.with_row_index("response")):
        places, shifted = initiation_of(block), block.ranks > 3
        for begin, end in zip(block.bounds[:-1], block.bounds[1:], strict=True):
            start, rest = places.is_start[begin:end], places.is_rest[begin:end]
            difference.append(shifted[begin:end][start].mean() - shifted[begin:end][rest].mean())
    opened = labels == "opened"
    for name, scores in (("share of first tokens shifted, less that of the rest", np.array(difference)), ("mean loss", loss)):
        low, high = _interval(scores, opened)
        record(_result(f"STY005 openers before the model's own sentences: {name}", _auc(scores, opened), "AUC", low, high))
    found = {finding.row for finding in STY005.find(materials, options_of(STY005, {}))}
    _record_found("STY005", found, labels, ("opened", "plain", "foreign"), record)


def _measure_cost(folder: Path, record: Callable[[Result], object]) -> None:
    source = data_folder() / "alpaca" / "alpaca_21k.jsonl"
    folder.mkdir()
    corpus = _corpus(folder, source, limit=1000)
    base = open_base_model(str(shipped_model()))
    for name in ("pass over 1,000 Alpaca rows with a million parameters", "the same, everything in the cache"):
        started = time.perf_counter()
        facts = build_base_model(folder, corpus, base, cache=folder / "cache")
        record(_result(f"base model: {name}", time.perf_counter() - started, "s"))
    record(_result("base model: tokens of these rows", float(facts["tokens"]), "tokens"))
    record(_result("base model: peak memory of the process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MiB"))


def _audited(folder: Path, rows: Sequence[dict[str, str]], model: Path) -> Materials:
    folder.mkdir()
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    corpus = _corpus(folder, data)
    build_languages(folder, corpus)
    build_base_model(folder, corpus, open_base_model(str(model)), cache=folder / "cache")
    return Materials(folder, corpus)


def _corpus(folder: Path, source: Path, limit: int | None = None) -> Corpus:
    write_file(folder / "rows.parquet", lambda file: write_corpus(source, file, limit=limit))
    return Corpus.load(folder / "rows.parquet")


def _record_found(
    code: str, found: set[int], labels: NDArray[np.str_], kinds: Sequence[str], record: Callable[[Result], object]
) -> None:
    """Shares of the rows of each kind that are found, with Wilson's interval."""
    for kind in kinds:
        numbers = np.flatnonzero(labels == kind)
        k, n = sum(int(number) in found for number in numbers), len(numbers)
        low, high = _wilson(k, n)
        record(_result(f"{code} found among {n} rows “{kind}”", k / n, "share of rows", low, high))


def _auc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Probability that a positive has the higher score; ties count half."""
    above = scores[positive][:, None] - scores[~positive][None]
    return float((above > 0).mean() + (above == 0).mean() / 2)


def _interval(scores: NDArray[np.float64], positive: NDArray[np.bool_], n_draws: int = 500) -> tuple[float, float]:
    """95 % interval of the AUC, by drawing rows again."""
    generator = np.random.default_rng(0)
    yes, no = np.flatnonzero(positive), np.flatnonzero(~positive)
    drawn = []
    for _ in range(n_draws):
        chosen = np.concatenate([generator.choice(yes, len(yes)), generator.choice(no, len(no))])
        drawn.append(_auc(scores[chosen], positive[chosen]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _wilson(k: int, n: int) -> tuple[float, float]:
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(k, n, method="wilson")
    return float(low), float(high)


def _result(name: str, value: float, unit: str, low: float | None = None, high: float | None = None, goal: str = "") -> Result:
    return Result(name=name, value=value, unit=unit, low=low, high=high, goal=goal, command=COMMAND)


def main() -> None:
    """Print every figure."""

    def show(result: Result) -> None:
        interval = "" if result.low is None else f" ({result.low:.3f} to {result.high:.3f})"
        sys.stdout.write(f"{result.name}: {result.value:.4g}{interval} {result.unit}\n")
        sys.stdout.flush()

    measure(show)


if __name__ == "__main__":
    main()
