"""`make bench-precision`: are the findings right, and does a duplicate escape?

Precision is read by eye: thirty findings per code, drawn from nine datasets as evenly as they allow (all, where there are
fewer), each judged by two readers who did not see each other's verdicts; right means that both say so.

After a check has changed, `python -m tests.benchmarks.precision.run --unread CODE…` prints what has to be read, one JSON
object a line, and `… --merge FILE first` (or `second`) takes the verdicts over: lines of `dataset`, `code`, `key`, `right`
(true or false) and `why`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
from statsmodels.stats.proportion import proportion_confint

from audit.checks import CHECKS
from audit.checks.semantic_duplicate import Options, Request, same_request
from audit.config import AuditConfig
from audit.materials import Materials
from audit.pipeline import run_audit
from audit.rundir import Run
from indexes.encoders import load_static
from indexes.minhash import jaccard_pairs, jaccard_pairs_plain, shingle_sets
from indexes.words import WordStream
from reports.render import render_audit
from tests.benchmarks.data import DATASETS, data_folder
from tests.benchmarks.evaluation import write_evaluation
from tests.benchmarks.precision.reading import READERS, SAMPLE_SIZE, SEED, Drawn, Verdicts, as_line, draw, merge
from tests.benchmarks.record import Result, record

COMMAND = "make bench-precision"
FOLDER = Path(__file__).parent
# Among templates the exhaustive twin is quadratic, hence the sample of rows and the two datasets.
TWIN_DATASETS = ("alpaca_21k", "t0_55k")


def main() -> None:
    """Measure, and write RESULTS.md and results.json."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.precision.run")
    parser.add_argument("--unread", nargs="*", metavar="CODE", help="print what has to be read, of these codes or of all")
    parser.add_argument("--merge", nargs=2, metavar=("FILE", "READER"), help=f"take over the verdicts of the {READERS} reader")
    given = parser.parse_args()
    verdicts = Verdicts(FOLDER / "verdicts.json")
    if given.merge:
        for line in merge(verdicts, Path(given.merge[0]).read_text(encoding="utf-8").splitlines(), given.merge[1]):
            print(line)
        return
    with tempfile.TemporaryDirectory() as scratch:
        runs = _audited(Path(scratch), given.unread or [])
        drawn = _drawn(runs, verdicts)
        unread = [finding for finding in drawn if len(verdicts.of(finding)) < len(READERS)]
        if given.unread is not None:
            for finding in unread:
                missing = [reader for reader in READERS if reader not in verdicts.of(finding)]
                print(as_line(finding, runs[finding.dataset], missing))
            print(f"{len(unread)} findings to read, of {len(drawn)} drawn", file=sys.stderr)
            return
        if unread:
            raise SystemExit(f"{len(unread)} drawn findings have not been read by both: see --unread")
        results = [*_precision(drawn, verdicts, runs), *_escaped(runs), *_paraphrases()]
        notes = _notes(drawn, verdicts, runs)
    record(FOLDER, "Precision of the checks, and duplicates that escape", results, notes)


def _audited(scratch: Path, codes: Sequence[str]) -> dict[str, Run]:
    """Every dataset's run. Contamination is looked for against prompts that are not the dataset's own; the style is held
    against people's answers, and theirs against Alpaca's."""
    data = data_folder()
    items = write_evaluation(data, scratch)
    runs = {}
    for number, (name, dataset) in enumerate(DATASETS.items()):
        own = {"halueval"} if name == "halueval" else {"alpaca_eval"} if name.startswith("answers") else set()
        config = AuditConfig(
            data=str(data / dataset.path),
            columns=dict(dataset.columns),
            select=tuple(codes),
            evaluation=tuple(path for item, path in items.items() if item not in own),
            style_reference=(str(data / DATASETS["alpaca_21k" if name == "dolly_3k" else "dolly_3k"].path),),
        )
        runs[name] = run_audit(config, scratch / f"run-{number}", render=render_audit)
    return runs


def _drawn(runs: dict[str, Run], verdicts: Verdicts) -> list[Drawn]:
    drawn = []
    for check in CHECKS:
        found = {}
        for name, run in runs.items():
            rows = run.findings.filter(pl.col("code") == check.code)["row"].unique(maintain_order=True).to_list()
            if rows:
                keys = run.corpus.keys
                found[name] = [(row, keys[row]) for row in rows]
        drawn += draw(found, check.code, verdicts)
    return drawn


def _is_right(verdicts: Verdicts, finding: Drawn) -> bool:
    return all(verdicts.of(finding).values())


def _precision(drawn: Sequence[Drawn], verdicts: Verdicts, runs: dict[str, Run]) -> Iterator[Result]:
    for check in CHECKS:
        read = [finding for finding in drawn if finding.code == check.code]
        if not read:
            continue
        n_right = sum(_is_right(verdicts, finding) for finding in read)
        low, high = proportion_confint(n_right, len(read), method="wilson")
        n_found = sum(run.findings.filter(pl.col("code") == check.code).height for run in runs.values())
        name = f"{check.code} {check.name}, right of {len(read)} read ({n_found} found)"
        yield Result(name, n_right / len(read), "precision", float(low), float(high), "at least 0.9, or info", COMMAND)


def _notes(drawn: Sequence[Drawn], verdicts: Verdicts, runs: dict[str, Run]) -> str:
    lines = [
        f"Precision: {SAMPLE_SIZE} findings per code, seed {SEED}, as evenly from the datasets as their findings allow; right "
        "where both readers said so; Wilson intervals. Where they agreed and where each code was read:",
        "",
        "| code | severity | readers agree | right / read / found by dataset |",
        "|---|---|---|---|",
    ]
    none = []
    for check in CHECKS:
        read = [finding for finding in drawn if finding.code == check.code]
        if not read:
            none.append(check.code)
            continue
        n_agreed = sum(len(set(verdicts.of(finding).values())) == 1 for finding in read)
        places = []
        for name, run in runs.items():
            of_dataset = [finding for finding in read if finding.dataset == name]
            if of_dataset:
                n_right = sum(_is_right(verdicts, finding) for finding in of_dataset)
                n_found = run.findings.filter(pl.col("code") == check.code).height
                places.append(f"{name} {n_right} / {len(of_dataset)} / {n_found}")
        lines.append(f"| {check.code} | {check.severity} | {n_agreed} of {len(read)} | {'; '.join(places)} |")
    lines += [
        "",
        f"Without a finding in these files: {', '.join(none) or 'none'}. The rows of the datasets are "
        f"{', '.join(f'{name} {len(run.corpus):,}' for name, run in runs.items())}. Contamination was looked for against the "
        "prompts of alpaca_eval, truthfulqa and halueval, a dataset's own left out.",
        "",
        "Paraphrases: pairs of prompts written for the purpose, from light changes of wording to quite other words, and as "
        "many pairs that look alike and ask something else. The check was mended on the development pairs; the held-out pairs "
        "were written afterwards, without knowledge of the rule. Its recall is low by design: it reports what is certain.",
    ]
    return "\n".join(lines)


def _escaped(runs: dict[str, Run]) -> Iterator[Result]:
    """Pairs of the exhaustive twin that MinHash finds, at two cuts; the twin is quadratic in templates, hence the sample."""
    for dataset in TWIN_DATASETS:
        run = runs[dataset]
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
