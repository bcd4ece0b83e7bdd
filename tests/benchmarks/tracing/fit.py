"""Fit the weights that tunescope fuses its channels with, on development worlds, and write them with their provenance.

`python -m tests.benchmarks.tracing.fit WORLD…` reads worlds that the benchmark has built and scored. What is fitted is a
row's leave-one-out effect as a share of the query's largest, by ridge regression with weights that cannot be negative, on
channels standardised within a query. One tuned model is looked at, as a user has one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from scipy.optimize import nnls

from audit.influence.fusion import Estimate, FusionSet, standardised
from tests.benchmarks.record import machine, today
from tests.benchmarks.tracing.methods import Scores, read_scores
from tests.benchmarks.tracing.truth import agreement, read_truth, true_rows

__all__ = ["CHANNELS", "fit", "main"]

_RIDGE = 30.0
_OUT = Path(__file__).parents[3] / "audit" / "influence" / "weights.json"
_LEXICAL = {Estimate.PHRASE: "holders", Estimate.CONCEPT: "static-prompt", Estimate.BM25: "bm25"}
CHANNELS = {
    FusionSet.WORDS: _LEXICAL,
    FusionSet.FORWARD: _LEXICAL | {Estimate.STATE: "base/state-cosine", Estimate.OUTPUT_GRADIENT: "base/closed-form"},
    FusionSet.GRADIENT: _LEXICAL
    | {
        Estimate.STATE: "base/state-cosine",
        Estimate.OUTPUT_GRADIENT: "base/closed-form",
        Estimate.GRADIENT_COSINE: "one/path/grad-cos",  # Adam's moments made the ranking no better beside it
    },
    FusionSet.TUNED_FORWARD: _LEXICAL | {Estimate.STATE: "one/state-cosine", Estimate.OUTPUT_GRADIENT: "one/closed-form"},
    FusionSet.TUNED_GRADIENT: _LEXICAL
    | {
        Estimate.STATE: "one/state-cosine",
        Estimate.OUTPUT_GRADIENT: "one/closed-form",
        Estimate.GRADIENT_COSINE: "one/grad-cos",
        Estimate.PRECONDITIONED: "one/less",
    },
}
"""Which file of scores stands for which channel."""


def fit(features: Sequence[Scores], effects: Sequence[Scores]) -> Scores:
    """Weights of shape `(n_channels,)`.

    Args:
        features: One per query, shape `(n_rows, n_channels)`.
        effects: One per query, shape `(n_rows,)`: shares of the largest.
    """
    n_channels = features[0].shape[1]
    matrix = np.concatenate([*features, np.sqrt(_RIDGE) * np.eye(n_channels)])
    target = np.concatenate([*(effect - effect.mean() for effect in effects), np.zeros(n_channels)])
    return np.asarray(nnls(matrix, target)[0])


def main(worlds: Sequence[Path]) -> None:
    """Fit every set, say how well it does on families that it was not fitted on, and write the file."""
    content: dict[str, object] = {}
    quality = {}
    for which, channels in CHANNELS.items():
        features, effects, groups, truths = [], [], [], []
        for number, folder in enumerate(worlds):
            truth = read_truth(folder)
            matrices = [read_scores(folder, name) for name in channels.values()]
            families = pl.read_parquet(folder / "queries.parquet")["family"].to_list()
            for query, family in enumerate(families):
                features.append(np.stack([standardised(matrix[query]) for matrix in matrices], axis=1))
                mean = truth.dataset[query]
                effects.append(mean / mean.max())
                groups.append((number, family))
                truths.append((truth.effects[:, query : query + 1], read_scores(folder, "holders")[query : query + 1] > 0))
        held_out, shares, are_true = [], [], []
        for query, group in enumerate(groups):
            others = [n for n, other in enumerate(groups) if other != group]
            weights = fit([features[n] for n in others], [effects[n] for n in others])
            predicted = features[query] @ weights
            shares.append(predicted / predicted.max())
            are_true.append(true_rows(truths[query][0])[0])
            held_out.append(agreement(predicted[None], *truths[query])["ndcg@10"][0])
        quality[str(which)] = round(float(np.nanmean(held_out)), 4)
        weights = fit(features, effects)
        chosen = {str(name): round(float(weight), 5) for name, weight in zip(channels, weights, strict=True) if weight > 1e-5}
        content[which] = {"weights": chosen, "min_share": _best_cut(np.concatenate(shares), np.concatenate(are_true))}
    content["provenance"] = {
        "worlds": [folder.name for folder in worlds],
        "n_queries": len(groups),
        "target": "leave-one-out effect over the query's largest, mean of 8 orders",
        "method": f"ridge regression ({_RIDGE:g}) on standardised channels, weights not negative; one tuned model",
        "ndcg@10 on families left out": quality,
        "min_share": "the cut with the best F1 for rows above 2 standard errors and a quarter of the largest effect",
        "command": "python -m tests.benchmarks.tracing.fit WORLD…",
        "machine": machine(),
        "date": today(),
    }
    _OUT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _best_cut(shares: Scores, are_true: Scores) -> float:
    """The least share of the best estimate at which a row counts as a lender, to two places."""
    cuts = np.arange(0.05, 1.0, 0.05)
    f1 = [2 * np.sum(are_true & (shares >= cut)) / (np.sum(are_true) + np.sum(shares >= cut)) for cut in cuts]
    return round(float(cuts[int(np.argmax(f1))]), 2)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
