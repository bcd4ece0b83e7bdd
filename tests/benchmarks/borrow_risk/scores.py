"""One number per row from every method, higher where the row should be riskier; from a real audit of the world's rows.

The rows go through `tunescope audit` with the world's own base model, and what the audit writes is read back. The price is
some fifteen seconds a world on one core; only numbers are kept, so that the figures can be made again from them alone.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.config import make_config
from audit.materials import Materials
from audit.pipeline import run_audit
from audit.rundir import Run
from indexes.words import WordStream
from tests.benchmarks.borrow_risk.worlds import RiskWorld, clusters

__all__ = ["METHODS", "RISK", "score_world"]

Floats = NDArray[np.float64]
RISK = "risk"
METHODS = {
    RISK: "borrow risk",
    "rarity": "rarity (mean idf of the response's words)",
    "length": "response length (characters)",
    "duplicate-words": "duplicates (largest Jaccard of words with another row)",
    "duplicate-vectors": "duplicates (largest cosine of prompts with another row)",
    "density": "prompt-neighbour density (mean cosine of the five nearest prompts)",
    "ifd-high": "IFD, high first",
    "ifd-low": "IFD, low first",
    "loss": "base loss",
    "shifted": "share of shifted tokens under the base model",
    "random": "random (its expectation)",
}
"""Columns of the scores, and how the table calls them."""
_N_NEAREST = 5
_FASTEST_CHECK = "DUP001"  # signals are measured whatever is checked
_COLUMN = {RISK: "borrow_risk", "ifd-high": "ifd", "loss": "base_loss_nats_per_token", "shifted": "base_shifted_fraction"}


def score_world(world: RiskWorld) -> pl.DataFrame:
    """Audit a world's rows.

    Returns:
        A line per row: `place`, `cluster` (rows that stand or fall together) and a column for each of `METHODS` that the
        audit has, null where a row was not measured.
    """
    built = world.build()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "rows.jsonl"
        texts = built.row_facts.sort("place").select("prompt", pl.col("response").alias("completion"))
        data.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in texts.iter_rows(named=True)), "utf-8")
        settings = {"data": str(data), "base_model": str(built.folder / "base"), "select": _FASTEST_CHECK}
        run = run_audit(make_config(settings), Path(folder) / "run", render=lambda *_: {})
        return score_run(run).with_columns(cluster=pl.Series(clusters(built), dtype=pl.Int32))


def score_run(run: Run) -> pl.DataFrame:
    """The same of any audit with one response in every row, without `cluster`."""
    materials = Materials(run.path, run.corpus)
    assert materials.row_of_response.tolist() == list(range(len(run.corpus)))
    signals = pl.read_parquet(run.path / "signals.parquet").sort("row")
    nearest = _nearest(materials.prompt_vectors)
    found = {
        "rarity": _rarity(materials.response_words),
        "length": signals["response_characters"].cast(pl.Float64).to_numpy(),
        "duplicate-words": _largest_jaccard(materials.whole_words),
        "duplicate-vectors": nearest[:, 0],
        "density": nearest.mean(axis=1),
        "random": np.zeros(signals.height),
    }
    frame = pl.DataFrame({"place": signals["row"].cast(pl.Int32), **found})
    measured = {name: signals[column] for name, column in _COLUMN.items() if column in signals.columns}
    if "ifd-high" in measured:
        measured["ifd-low"] = -measured["ifd-high"]
    return frame.with_columns(**measured).select("place", *(name for name in METHODS if name in {*found, *measured}))


def _texts(stream: WordStream) -> list[list[int]]:
    """The words of every text, punctuation left out."""
    texts = (stream.ids[begin:end] for begin, end in zip(stream.offsets[:-1], stream.offsets[1:], strict=True))
    return [ids[stream.words[ids]].tolist() for ids in texts]


def _rarity(words: WordStream) -> Floats:
    """Mean log inverse share of the texts that hold each word; 0 for a text without words."""
    texts = [sorted(set(text)) for text in _texts(words)]
    counts = Counter(word for text in texts for word in text)
    return np.array([np.mean([np.log(len(texts) / counts[word]) for word in text] or [0.0]) for text in texts])


def _largest_jaccard(words: WordStream) -> Floats:
    texts = [set(text) for text in _texts(words)]
    return np.array(
        [
            max(len(one & other) / max(1, len(one | other)) for number, other in enumerate(texts) if number != place)
            for place, one in enumerate(texts)
        ]
    )


def _nearest(vectors: NDArray[np.float32]) -> Floats:
    """Cosine with the nearest other texts, nearest first; shape `(n_rows, n_nearest)`."""
    cosines = (vectors @ vectors.T).astype(np.float64)
    np.fill_diagonal(cosines, -np.inf)
    return -np.sort(-cosines, axis=1)[:, :_N_NEAREST]
