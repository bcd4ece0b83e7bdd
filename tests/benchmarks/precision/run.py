"""`make bench-precision`: are the findings right, and does a duplicate escape?

Precision is read by eye: thirty findings per code drawn at random (all, where there are fewer), each judged by two readers
who did not see each other's verdicts; right means that both say so. `verdicts.json` names rows by their place and key, and
holds no text. After a check has changed, `python -m tests.benchmarks.precision.run --unread` prints what has to be read.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from statsmodels.stats.proportion import proportion_confint

from audit.checks.semantic_duplicate import Options, Request, same_request
from audit.config import AuditConfig
from audit.materials import Materials
from audit.pipeline import run_audit
from audit.rundir import Run
from indexes.encoders import load_static
from indexes.minhash import jaccard_pairs, jaccard_pairs_plain, shingle_sets
from indexes.words import WordStream
from reports.render import render_audit
from tests.benchmarks.data import data_folder
from tests.benchmarks.record import Result, record

COMMAND = "make bench-precision"
FOLDER = Path(__file__).parent
SAMPLE_SIZE = 30
SEED = 2402
DATASETS = {"alpaca_21k": "alpaca/alpaca_21k.jsonl", "t0_55k": "t0/t0_55k.jsonl"}
# What the second dataset is read for: checks with next to nothing to find in the first.
ALSO_READ = {"t0_55k": ("DUP001", "DUP002", "TXT002")}
READERS = ("first", "second")


@dataclass(frozen=True)
class Drawn:
    """A finding to be read: which dataset and code, its row, the row's key, and what it says."""

    dataset: str
    code: str
    row: int
    key: str
    message: str
    texts: tuple[str, ...]


def main() -> None:
    """Measure, and write RESULTS.md and results.json."""
    data = data_folder()
    with tempfile.TemporaryDirectory() as scratch:
        runs = {
            name: run_audit(AuditConfig(data=str(data / path)), Path(scratch) / name, render=render_audit)
            for name, path in DATASETS.items()
        }
        drawn = [finding for name, run in runs.items() for finding in _draw(name, run)]
        verdicts = {(v["dataset"], v["code"], v["key"]): v for v in json.loads((FOLDER / "verdicts.json").read_text())}
        unread = [f for f in drawn if not all(reader in verdicts.get((f.dataset, f.code, f.key), {}) for reader in READERS)]
        if "--unread" in sys.argv:
            for finding in unread:
                print(json.dumps(finding.__dict__, ensure_ascii=False))
            return
        if unread:
            raise SystemExit(f"{len(unread)} drawn findings have not been read by both: see --unread")
        results = [*_precision(drawn, verdicts, runs), *_escaped(runs), *_paraphrases()]
    notes = (
        f"Precision: {SAMPLE_SIZE} findings per code, seed {SEED}; right where both readers said so; Wilson intervals. "
        "Codes that are not listed have no finding in these files.\n\n"
        "Paraphrases: pairs of prompts written for the purpose, from light changes of wording to quite other words, and as "
        "many pairs that look alike and ask something else. The check was mended on the development pairs; the held-out pairs "
        "were written afterwards, without knowledge of the rule. Its recall is low by design: it reports what is certain."
    )
    record(FOLDER, "Precision and recall of the checks", results, notes)


def _draw(dataset: str, run: Run) -> Iterator[Drawn]:
    for code in sorted(run.findings["code"].unique().to_list()):
        if code not in ALSO_READ.get(dataset, (code,)):
            continue
        found = run.findings.filter(pl.col("code") == code)
        generator = np.random.default_rng(SEED)
        chosen = np.sort(generator.choice(found.height, min(SAMPLE_SIZE, found.height), replace=False))
        for finding in found[chosen.tolist()].iter_rows(named=True):
            rows = [finding["row"], *finding["related"][:1]]
            texts = tuple("\n---\n".join(message.content for message in run.corpus.row(row).messages) for row in rows)
            yield Drawn(dataset, code, finding["row"], run.corpus.keys[finding["row"]], finding["message"], texts)


def _precision(
    drawn: list[Drawn], verdicts: dict[tuple[str, str, str], dict[str, object]], runs: dict[str, Run]
) -> Iterator[Result]:
    for dataset, code in sorted({(finding.dataset, finding.code) for finding in drawn}):
        read = [verdicts[f.dataset, f.code, f.key] for f in drawn if (f.dataset, f.code) == (dataset, code)]
        n_right = sum(all(bool(verdict[reader]) for reader in READERS) for verdict in read)
        low, high = proportion_confint(n_right, len(read), method="wilson")
        n_found = runs[dataset].findings.filter(pl.col("code") == code).height
        name = f"{code} on {dataset}, right of {len(read)} read ({n_found} found)"
        yield Result(name, n_right / len(read), "precision", float(low), float(high), "at least 0.9, or info", COMMAND)


def _escaped(runs: dict[str, Run]) -> Iterator[Result]:
    """Pairs of the exhaustive twin that MinHash finds, at two cuts; the twin is quadratic in templates, hence the sample."""
    for dataset, run in runs.items():
        materials = Materials(run.path, run.corpus)
        rows = materials.prompt_words.joined(materials.response_words, materials.row_of_response, len(run.corpus))
        n_rows = min(rows.n_texts, 21_509)
        part = WordStream(rows.vocabulary, rows.ids[: rows.offsets[n_rows]], rows.offsets[: n_rows + 1])
        sets = shingle_sets(part, 3)
        for cut in (0.7, 0.8):
            found, all_pairs = (
                set(zip(pairs.later.tolist(), pairs.earlier.tolist(), strict=True))
                for pairs in (jaccard_pairs(sets, cut), jaccard_pairs_plain(sets, cut))
            )
            name = f"near-duplicate pairs at {cut}, found of the exhaustive twin's {len(all_pairs)} ({dataset}, {n_rows} rows)"
            yield Result(name, len(found & all_pairs) / max(len(all_pairs), 1), "recall", goal="1 at 0.8", command=COMMAND)


def _paraphrases() -> Iterator[Result]:
    encoder = load_static()
    for part in ("development", "held_out"):
        with (FOLDER / f"paraphrases_{part}.jsonl").open(encoding="utf-8") as file:
            pairs = [json.loads(line) for line in file]
        cosines = (encoder.encode([p["one"] for p in pairs]) * encoder.encode([p["other"] for p in pairs])).sum(axis=1)
        found = [
            cosine >= Options().min_similarity and same_request(Request.of(pair["one"]), Request.of(pair["other"]))
            for pair, cosine in zip(pairs, cosines, strict=True)
        ]
        for kind, title in (
            ("paraphrase", "paraphrases found"),
            ("different", "different requests taken for the same"),
        ):
            of_kind = [hit for hit, pair in zip(found, pairs, strict=True) if pair["kind"] == kind]
            low, high = proportion_confint(sum(of_kind), len(of_kind), method="wilson")
            name = f"DUP003, {title}, of {len(of_kind)} {part.replace('_', '-')} pairs"
            yield Result(name, sum(of_kind) / len(of_kind), "share", float(low), float(high), command=COMMAND)


if __name__ == "__main__":
    main()
