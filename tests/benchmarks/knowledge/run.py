"""`make bench-knowledge`: KNW001, KNW002 and KNW003 on planted rows, and how often they find something in real data.

*Island*: the pocket model and its own world, on which it was pretrained. Questions about every entity with the true value;
of one in ten another value of the same slot stands in its place (*contradicted*), or the false value of the demonstration
(*foreign*, a word that the family never has). *Read* are the questions and answers that pretraining held word by word,
*told* those whose facts it held only as statements. *Other island* has the same questions with the values of another world.

*Reader*: a smaller model made here (`tests.benchmarks.style.base_model`), which has read what is said of half of the names.
Long answers; of one in ten, other values of the same names (*contradicted*). *Moved* answers stand after the question of
another row: of one in ten, the model's own knowledge says that they answer something else.

*Real data*: the first 4,000 rows of alpaca_21k under the pocket model, which knows an island and no English beside, and
under stories260k, which knows children's stories. Neither knows the matter, so that a finding says nothing of the rows: few
should come.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.checks import Check, options_of
from audit.checks.already_known import CHECK as KNW001
from audit.checks.already_known import own_word_measures
from audit.checks.improbable_fact import CHECK as KNW003
from audit.checks.improbable_fact import disputed_facts
from audit.checks.unhelpful_prompt import CHECK as KNW002
from audit.corpus import Corpus, write_corpus
from audit.materials import Materials, build_languages
from audit.pocket import shipped_model
from audit.pocket.build import Pretraining
from audit.pocket.world import FAMILIES, NAMES, Family, Wording, World
from audit.signals import build_base_model, open_base_model
from indexes.store import write_file
from tests.benchmarks.data import data_folder
from tests.benchmarks.record import Result, record
from tests.benchmarks.style.base_model import knowledge_rows, pretrain_reader

COMMAND = "python -m tests.benchmarks.knowledge.run"
FOLDER = Path(__file__).parent
_ONE_IN = 10
_N_READER_ROWS = 1200
_N_REAL_ROWS = 4000

Rows = list[tuple[str, str]]
Record = Callable[[Result], None]


def measure_island(record: Record) -> None:
    """The pocket model on questions about its own world."""
    rows, labels = island_rows()
    generator = random.Random("island")
    planted = list(rows)
    kinds = np.full(len(rows), "true", dtype="U12")
    for place in generator.sample(range(len(rows)), 2 * len(rows) // _ONE_IN):
        family, name, wording = labels[place]
        others = [value for value in family.values if value != World.of_seed(0).value(family, name)]
        is_foreign = family.false_value is not None and generator.random() < 0.5
        value = family.false_value if is_foreign else generator.choice(others)
        kinds[place] = "foreign" if is_foreign else "contradicted"
        planted[place] = rows[place][0], wording.answer.format(entity=family.named(name), value=value)
    with tempfile.TemporaryDirectory() as scratch:
        materials = _audited(Path(scratch) / "planted", planted, shipped_model())
        _record_knw003(materials, kinds, ("contradicted", "foreign"), "island", record)
        moved, is_moved = _moved(rows, random.Random("moved"))
        materials = _audited(Path(scratch) / "moved", moved, shipped_model())
        _record_knw002(materials, is_moved, "island", record)
        other = World.of_seed(1)
        changed = [
            (question, wording.answer.format(entity=family.named(name), value=other.value(family, name)))
            for (question, _), (family, name, wording) in zip(rows, labels, strict=True)
        ]
        asked = asked_facts()
        told = np.array(["read" if (family.key, name) in asked else "told" for family, name, _ in labels])
        materials = _audited(Path(scratch) / "known", [*rows, *changed], shipped_model())
        kinds = np.concatenate([told, np.full(len(changed), "other island")])
        is_same = np.array([new == old for new, old in zip(changed, rows, strict=True)])
        kinds[len(rows) :][is_same] = "same value"  # one in six
        _record_knw001(materials, kinds, record)


def island_rows() -> tuple[Rows, list[tuple[Family, str, Wording]]]:
    """Every fact of the pocket model's world in every wording, and what each is about."""
    world = World.of_seed(0)
    labels = [(family, name, wording) for family in FAMILIES for name in NAMES for wording in family.wordings]
    rows = [
        (
            wording.question.format(entity=family.named(name)),
            wording.answer.format(entity=family.named(name), value=world.value(family, name)),
        )
        for family, name, wording in labels
    ]
    return rows, labels


def asked_facts() -> set[tuple[str, str]]:
    """Families and names of the facts that the pocket model read as questions and answers, as `audit.pocket.build` chose."""
    how = Pretraining()
    chosen = random.Random(f"asked {how.seed}")
    return {(family.key, name) for family in FAMILIES for name in NAMES if chosen.random() < how.asked_fraction}


def measure_reader(record: Record) -> None:
    """A model made here, on long answers."""
    planted = knowledge_rows(_N_READER_ROWS)
    kinds = [label.removesuffix(" strange") for label in planted.labels]
    of_kind = {
        kind: [number for number, each in enumerate(kinds) if each == kind] for kind in ("known", "contradicted", "short")
    }
    texts = [(row["instruction"], row["output"]) for row in planted.rows]
    known = [texts[number] for number in of_kind["known"]]
    contradicted = [texts[number] for number in of_kind["contradicted"][: len(known) // (_ONE_IN - 1)]]
    with tempfile.TemporaryDirectory() as scratch:
        reader = pretrain_reader(Path(scratch) / "model")
        materials = _audited(Path(scratch) / "planted", [*known, *contradicted], reader)
        labels = np.array(["true"] * len(known) + ["contradicted"] * len(contradicted))
        _record_knw003(materials, labels, ("contradicted",), "reader, long answers", record)
        moved, is_moved = _moved(known, random.Random("moved"))
        materials = _audited(Path(scratch) / "moved", moved, reader)
        _record_knw002(materials, is_moved, "reader, long answers", record)


def measure_real(record: Record) -> None:
    """How many rows of real data the checks find under models that know nothing of it."""
    source = data_folder() / "alpaca" / "alpaca_21k.jsonl"
    of_data = f"alpaca_21k, first {_N_REAL_ROWS:,} rows,"
    models = {"pocket model": shipped_model(), "stories260k": data_folder() / "models" / "stories260k"}
    for name, model in models.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "run"
            folder.mkdir()
            materials = _measured(folder, source, model, _N_REAL_ROWS)
            ifd = materials.base_responses.filter(pl.col("n_tokens") >= options_of(KNW002, {}).min_tokens)["ifd"].to_numpy()
            record(_result(f"{of_data} under {name}: IFD of 1 or more, of 8 tokens or more", float((ifd >= 1).mean())))
            for check in (KNW001, KNW002, KNW003):
                started = time.perf_counter()
                n_found = len({finding.row for finding in check.find(materials, options_of(check, {}))})
                seconds = time.perf_counter() - started
                n_rows = materials.corpus.rows.height
                low, high = _wilson(n_found, n_rows)
                record(
                    _result(
                        f"{check.code} in {of_data} under {name}", n_found / n_rows, low=low, high=high, goal="at most 0.01"
                    )
                )
                record(_result(f"{check.code} in {of_data} under {name}: time", seconds, "s"))


PARTS: Mapping[str, Callable[[Record], None]] = {"island": measure_island, "reader": measure_reader, "real": measure_real}
NOTES = """
*Island.* The pocket model was pretrained on this world, by us: the figures say that the checks read such a model rightly,
not how well they do under a model of the user's. It answers 81 % of the facts rightly; of the others a true value
contradicts it. *Foreign* values are words that the family never has, which rarity alone would find as well.

*Reader.* Names, years and a word of short answers, in sentences of one form.

*Moved answers.* The island's are of 6 to 11 tokens; the reader's of some 80, which say themselves whom they are about, so
that the prompt adds little to either: the IFD tells few of them.

*Baselines* are what needs no check: the mean loss of the response; for moved answers also the share of the response's words
that the prompt holds.

*Real data.* The first 4,000 rows. No model that knows their matter was at hand: what the checks find under one that does is
not measured.
"""


def _record_knw003(materials: Materials, kinds: NDArray[np.str_], planted: Sequence[str], where: str, record: Record) -> None:
    disputed = (
        disputed_facts(materials, 0.0, options_of(KNW003, {}).min_margin_nats)
        .group_by("response")
        .agg(pl.col("margin_nats").max())
    )
    margin = np.zeros(len(kinds))
    margin[disputed["response"].to_numpy()] = disputed["margin_nats"].to_numpy()
    loss = materials.base_responses["loss_nats_per_token"].to_numpy()
    for kind in planted:
        chosen = np.isin(kinds, ("true", kind))
        _record_auc(
            f"KNW003 {where}: {kind} against true, margin", margin[chosen], (kinds == kind)[chosen], record, "at least 0.9"
        )
        _record_auc(f"KNW003 {where}: {kind} against true, mean loss", loss[chosen], (kinds == kind)[chosen], record)
    _record_found(KNW003, materials, kinds, where, record)


def _record_knw002(materials: Materials, is_moved: NDArray[np.bool_], where: str, record: Record) -> None:
    ifd = materials.base_responses["ifd"].to_numpy()
    loss = materials.base_responses["loss_nats_per_token"].to_numpy()
    pairs = materials.corpus.responses.select("prompt", "text").iter_rows()
    shared = np.array([_shared(prompt, text) for prompt, text in pairs])
    _record_auc(f"KNW002 {where}: moved answers, IFD", ifd, is_moved, record, "at least 0.9")
    _record_auc(f"KNW002 {where}: moved answers, mean loss", loss, is_moved, record)
    _record_auc(f"KNW002 {where}: moved answers, words that the prompt lacks", -shared, is_moved, record)
    kinds = np.where(is_moved, "moved", "own")
    _record_found(KNW002, materials, kinds, where, record)


def _record_knw001(materials: Materials, kinds: NDArray[np.str_], record: Record) -> None:
    measures = own_word_measures(materials)
    own = np.full(len(kinds), 20.0)
    own[measures["response"].to_numpy()] = measures["own_loss_nats_per_token"].to_numpy()
    chosen = np.isin(kinds, ("read", "other island"))
    name = "KNW001 island: read in pretraining against the other island's values, loss of the own words"
    _record_auc(name, -own[chosen], (kinds == "read")[chosen], record, "at least 0.9")
    _record_found(KNW001, materials, kinds, "island", record)


def _record_auc(name: str, scores: NDArray[np.float64], positive: NDArray[np.bool_], record: Record, goal: str = "") -> None:
    """Area under the curve, with the 95 % interval of drawing rows again."""
    generator = np.random.default_rng(0)
    yes, no = np.flatnonzero(positive), np.flatnonzero(~positive)
    drawn = [_auc(scores[generator.choice(yes, len(yes))], scores[generator.choice(no, len(no))]) for _ in range(300)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    record(_result(name, _auc(scores[yes], scores[no]), "AUC", float(low), float(high), goal))


def _record_found(check: Check, materials: Materials, kinds: NDArray[np.str_], where: str, record: Record) -> None:
    found = {finding.row for finding in check.find(materials, options_of(check, {}))}
    for kind in sorted(set(kinds.tolist())):
        rows = np.flatnonzero(kinds == kind)
        k = sum(int(row) in found for row in rows)
        low, high = _wilson(k, len(rows))
        record(_result(f"{check.code} {where}: found among {len(rows):,} rows “{kind}”", k / len(rows), low=low, high=high))


def _auc(high: NDArray[np.float64], low: NDArray[np.float64]) -> float:
    """Probability that one of `high` is above one of `low`; ties count half."""
    ordered = np.sort(low)
    below = np.searchsorted(ordered, high, side="left") + np.searchsorted(ordered, high, side="right")
    return float(below.mean() / (2 * len(low)))


def _moved(rows: Rows, generator: random.Random) -> tuple[Rows, NDArray[np.bool_]]:
    """One in ten of the rows with the answer of the next of these, and which."""
    places = generator.sample(range(len(rows)), len(rows) // _ONE_IN)
    moved, is_moved = list(rows), np.zeros(len(rows), bool)
    for place, other in zip(places, [*places[1:], places[0]], strict=True):
        moved[place] = rows[place][0], rows[other][1]
        is_moved[place] = rows[place][1] != rows[other][1]
    return moved, is_moved


def _shared(prompt: str, text: str) -> float:
    """The share of the distinct words of a text that the prompt holds."""
    asked, said = (set(words.lower().replace("?", " ").replace(".", " ").split()) for words in (prompt, text))
    return len(asked & said) / max(1, len(said))


def _audited(folder: Path, rows: Rows, model: Path) -> Materials:
    folder.mkdir()
    data = folder / "data.jsonl"
    lines = [json.dumps({"instruction": asked, "input": "", "output": said}) for asked, said in rows]
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return _measured(folder, data, model)


def _measured(folder: Path, source: Path, model: Path, limit: int | None = None) -> Materials:
    write_file(folder / "rows.parquet", lambda file: write_corpus(source, file, limit=limit))
    corpus = Corpus.load(folder / "rows.parquet")
    build_languages(folder, corpus)
    build_base_model(folder, corpus, open_base_model(str(model)))
    return Materials(folder, corpus)


def _wilson(k: int, n: int) -> tuple[float, float]:
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(k, n, method="wilson")
    return round(float(low), 6), round(float(high), 6)  # an end at nothing comes as 1e-20


def _result(
    name: str, value: float, unit: str = "share of rows", low: float | None = None, high: float | None = None, goal: str = ""
) -> Result:
    return Result(name=name, value=value, unit=unit, low=low, high=high, goal=goal)


def main() -> None:
    """Measure the parts named, or all; figures of the others stay as they are."""
    from dataclasses import replace

    chosen = sys.argv[1:] or list(PARTS)
    if unknown := sorted(set(chosen) - set(PARTS)):
        raise SystemExit(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    kept = FOLDER / "results.json"
    known = [Result(**line) for line in json.loads(kept.read_text("utf-8"))] if kept.exists() else []
    by_part = {part: [result for result in known if result.command == f"{COMMAND} {part}"] for part in PARTS}
    for part in chosen:
        results: list[Result] = []
        PARTS[part](results.append)
        by_part[part] = [replace(result, command=f"{COMMAND} {part}") for result in results]
        record(FOLDER, "Knowledge: what a base model tells of rows", [each for part in PARTS for each in by_part[part]], NOTES)


if __name__ == "__main__":
    main()
