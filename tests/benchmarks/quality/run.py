"""`make bench-quality`: do the findings agree with a rater who looked at the same rows?

alpaca_random_9k_quality carries an LLM rater's verdict per row: whether it gave at least 4.5 of 5. Logistic regressions
predict it, cross-validated: from which checks found something in the row, from the response's length, from both, and, as a
mark of what the text alone tells, from a bag of words and from the encoder's vectors. The label is weak: a rater's taste
for long answers is in it, and most rows that it marks down have no defect that a check looks for.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.stats import rankdata
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, StandardScaler
from statsmodels.stats.proportion import proportion_confint

from audit.checks import CHECKS
from audit.config import AuditConfig
from audit.pipeline import run_audit
from audit.rundir import Run
from indexes.encoders import load_static
from reports.render import render_audit
from tests.benchmarks.data import data_folder
from tests.benchmarks.record import Result, record

COMMAND = "make bench-quality"
FOLDER = Path(__file__).parent
SEED = 905
FOLDS = 5
REPEATS = 5
BOOTSTRAPS = 500


def main() -> None:
    """Measure, and write RESULTS.md and results.json."""
    path = data_folder() / "alpaca" / "alpaca_random_9k_quality.jsonl"
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    labels = np.array([row["claude_at_least_4_5"] for row in rows])
    with tempfile.TemporaryDirectory() as scratch:
        run = run_audit(AuditConfig(data=str(path)), Path(scratch) / "run", render=render_audit)
        findings, table = _indicators(run), _rates(run, labels)
        any_found = findings.any(axis=1)
    texts = ["\n".join(part for part in (row["instruction"], row["input"], row["output"]) if part) for row in rows]
    lengths = np.log1p([[len(row["output"])] for row in rows])
    scores = {
        "which checks found something": _cross_validated(findings, labels),
        "length of the response": _cross_validated(lengths, labels),
        "findings and length": _cross_validated(np.hstack([findings, lengths]), labels),
        "bag of words": _cross_validated(_word_weights(texts), labels, MaxAbsScaler()),
        "static vectors of the encoder": _cross_validated(load_static().encode(texts), labels),
    }
    draws = _bootstrap_draws(len(rows))
    values = {name: _mean_auroc(score, labels, np.arange(len(rows))) for name, score in scores.items()}
    samples = {name: np.array([_mean_auroc(score, labels, draw) for draw in draws]) for name, score in scores.items()}
    results = [_figure(f"{name}, AUROC", values[name], samples[name], "AUROC") for name in scores]
    both, length = "findings and length", "length of the response"
    gain = values[both] - values[length]
    results.append(
        _figure("findings and length, AUROC above length alone", gain, samples[both] - samples[length], "difference")
    )
    results += [
        _share("rows with a finding that the rater gave at least 4.5", labels[any_found]),
        _share("rows without a finding that the rater gave at least 4.5", labels[~any_found]),
    ]
    record(FOLDER, "Findings and a rater's verdict", results, _notes(labels, any_found, table))


def auroc(scores: NDArray[np.floating[Any]], labels: NDArray[np.bool_]) -> float:
    """The share of pairs of a positive and a negative row that the scores order rightly, ties counted half."""
    n_positive = int(labels.sum())
    ranks = rankdata(scores)
    return float((ranks[labels].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * (len(labels) - n_positive)))


def _indicators(run: Run) -> NDArray[np.float64]:
    """Whether a check found something in a row; shape `(n_rows, n_checks)`."""
    columns = np.zeros((len(run.corpus), len(CHECKS)))
    for number, check in enumerate(CHECKS):
        columns[run.findings.filter(pl.col("code") == check.code)["row"].unique().to_numpy(), number] = 1
    return columns


def _word_weights(texts: Sequence[str]) -> csr_matrix:
    """Weights of words and pairs of words; vocabulary and weights come from all rows, without the labels."""
    return TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True).fit_transform(texts)


def _folds(labels: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows to fit on and rows held out, `FOLDS` times for every repeat; the same for every model."""
    for repeat in range(REPEATS):
        yield from StratifiedKFold(FOLDS, shuffle=True, random_state=SEED + repeat).split(labels, labels)


def _cross_validated(
    features: NDArray[np.floating[Any]] | csr_matrix,
    labels: NDArray[np.bool_],
    scaler: StandardScaler | MaxAbsScaler | None = None,
) -> NDArray[np.float64]:
    """Log-odds of the rows that a model did not see, otherwise NaN; shape `(FOLDS * REPEATS, n_rows)`."""
    scores = np.full((FOLDS * REPEATS, len(labels)), np.nan)
    for number, (train, test) in enumerate(_folds(labels)):
        model = make_pipeline(scaler or StandardScaler(), LogisticRegression(max_iter=2000)).fit(features[train], labels[train])
        scores[number, test] = model.decision_function(features[test])
    return scores


def _mean_auroc(scores: NDArray[np.float64], labels: NDArray[np.bool_], draw: NDArray[np.int64]) -> float:
    """The mean of the AUROC within each fold, because log-odds of different models cannot be compared.

    Args:
        scores: See `_cross_validated`.
        labels: Shape `(n_rows,)`.
        draw: Numbers of rows, some of them several times.
    """
    values = []
    for fold in scores[:, draw]:
        held_out = ~np.isnan(fold)
        values.append(auroc(fold[held_out], labels[draw][held_out]))
    return float(np.mean(values))


def _bootstrap_draws(n_rows: int) -> NDArray[np.int64]:
    """Rows drawn with replacement; shape `(BOOTSTRAPS, n_rows)`."""
    return np.random.default_rng(SEED).integers(n_rows, size=(BOOTSTRAPS, n_rows))


def _figure(name: str, value: float, samples: NDArray[np.float64], unit: str) -> Result:
    low, high = np.quantile(samples, [0.025, 0.975])
    return Result(name, value, unit, float(low), float(high), command=COMMAND)


def _share(name: str, labels: NDArray[np.bool_]) -> Result:
    n_positive, n_rows = int(labels.sum()), len(labels)
    low, high = proportion_confint(n_positive, n_rows, method="wilson")
    return Result(f"{name}, of {n_rows}", n_positive / n_rows, "share", float(low), float(high), command=COMMAND)


def _rates(run: Run, labels: NDArray[np.bool_]) -> Mapping[str, tuple[str, int, int]]:
    """Code -> name, rows with a finding, and how many of them the rater liked."""
    rates = {}
    for check in CHECKS:
        rows = run.findings.filter(pl.col("code") == check.code)["row"].unique().to_numpy()
        if len(rows):
            rates[check.code] = (check.name, len(rows), int(labels[rows].sum()))
    return rates


def _notes(labels: NDArray[np.bool_], any_found: NDArray[np.bool_], rates: Mapping[str, tuple[str, int, int]]) -> str:
    lines = [
        f"{len(labels):,} rows, {int(labels.sum())} of them rated at least 4.5; {int(any_found.sum())} rows have a finding. "
        f"Logistic regression, {REPEATS} times {FOLDS} folds, seed {SEED}; the mean of the AUROC within the folds, "
        f"among rows that the model did not see. Intervals: bootstrap over rows, {BOOTSTRAPS} draws, the models as they "
        "are; shares have Wilson intervals. 0.5 is chance.",
        "",
        "An indicator speaks for few rows, so that its AUROC is near 0.5 even where it is right: a check that is always right "
        "about 1 % of the rows that the rater marks down adds 0.005. What a code means to the rater is in the shares:",
        "",
        "| code | finding | rows | rated at least 4.5 |",
        "|---|---|---|---|",
    ]
    for code, (name, n_rows, n_positive) in rates.items():
        lines.append(f"| {code} | {name} | {n_rows} | {n_positive} ({n_positive / n_rows:.1%}) |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
