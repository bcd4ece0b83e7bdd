"""`make bench-tracing-smoke`: planted errors of one word, found by whom? And is the chance of a link honest?

A smoke test and no more: the planted word stands in exactly the planted rows, so the baseline *rows that hold the word* is
already perfect. It shows that the trace is not worse than `grep`; ranking among holders is measured elsewhere.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from audit.config import AuditConfig
from audit.materials import Materials
from audit.pipeline import run_audit
from audit.responses import Response
from audit.sources import Message
from audit.trace import Tracer, locate_span
from indexes.encoders import DEFAULT_MODEL, TransformerEncoder, find_model
from indexes.words import tokenize
from reports.render import render_audit
from tests.benchmarks.data import data_folder
from tests.benchmarks.record import Result, record
from tests.benchmarks.tracing_smoke.chance import chance_on_probes

COMMAND = "make bench-tracing-smoke"
WORD = "Na"
ANSWER = f"The answer is {WORD}."
Scores = NDArray[np.float64]


def main() -> None:
    """Measure, and write RESULTS.md and results.json."""
    folder = data_folder() / "tracing"
    with tempfile.TemporaryDirectory() as scratch:
        run = run_audit(AuditConfig(data=str(folder / "planted_ag.jsonl")), Path(scratch) / "run", render=render_audit)
        planted = np.array([json.loads(extra)["label"] == "error" for extra in run.corpus.rows["extra"]])
        with (folder / "planted_ag_prompts.csv").open(encoding="utf-8") as file:
            prompts = [row["prompts"] for row in csv.DictReader(file)]
        materials = Materials(run.path, run.corpus)
        tracer = Tracer(run)
        holders = np.zeros(len(planted))
        holders[[occurrence.text for occurrence in materials.phrases.occurrences(WORD)]] = 1
        encoder = TransformerEncoder(find_model(DEFAULT_MODEL))
        rows = encoder.encode([f"{p}\n{r}" for p, r in run.corpus.responses.select("prompt", "text").iter_rows()])

        def bm25(prompt: str) -> Scores:
            numbers = materials.phrases.token_numbers(tokenize(f"{prompt} {ANSWER}"))
            return materials.bm25.scores(numbers[numbers >= 0].tolist()).astype(float)

        def encoded(prompt: str) -> Scores:
            return (rows @ encoder.encode([f"{prompt}\n{ANSWER}"])[0]).astype(float)

        def traced(prompt: str) -> Scores:
            claim = Response("claim", (Message("user", prompt, trained=False),), ANSWER, spans=(locate_span(ANSWER, WORD),))
            order = [link.row for link in tracer.trace(claim, k=None).spans[0].links]
            scores = np.full(len(planted), -1.0)
            scores[order] = np.arange(len(order), 0, -1)
            return scores

        methods: dict[str, Callable[[str], Scores]] = {
            "tunescope trace": traced,
            "rows that hold the word": lambda prompt: holders,
            "BM25 (prompt and answer)": bm25,
            "encoder (prompt and answer against row)": encoded,
            "encoder among rows that hold the word": lambda prompt: holders * 10 + encoded(prompt),
        }
        results = []
        for name, scores_of in methods.items():
            values = np.array([average_precision_score(planted, scores_of(prompt)) for prompt in prompts])
            low, high = _interval(values)
            goal = "at least 0.99" if name == "tunescope trace" else ""
            results.append(Result(f"AUPRC, {name}", float(values.mean()), "mean over prompts", low, high, goal, COMMAND))
        for name in ("alpaca_21k", "alpaca_random_9k_quality"):
            results += chance_on_probes(data_folder() / "alpaca" / f"{name}.jsonl", Path(scratch) / name, COMMAND)
    notes = (
        f"{int(planted.sum())} planted rows among {len(planted)}, {len(prompts)} prompts, the claim being “{ANSWER}” with its "
        "last word marked. Intervals: bootstrap over prompts. The word occurs in the planted rows alone, so this separates "
        "nobody who looks for it; it only catches a tracer that does not.\n\n"
        "No-fault probes: a random stretch of one to four words of a held-out answer under the prompt of another held-out row. "
        "Chances are discrete, and a probe that no row supports has chance 1. The null was mended on alpaca_21k (random spans "
        "had been drawn by position, which favours long answers); alpaca_random_9k_quality was looked at only afterwards."
    )
    record(Path(__file__).parent, "Tracing a planted word (smoke test)", results, notes)


def _interval(values: Scores) -> tuple[float, float]:
    generator = np.random.default_rng(0)
    means = generator.choice(values, size=(2000, len(values))).mean(axis=1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


if __name__ == "__main__":
    main()
