"""How the quality benchmark compares scores with a rater's labels."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.quality.run import _mean_auroc, auroc


def test_auroc_counts_pairs_and_ties_by_half() -> None:
    labels = np.array([True, True, False, False])
    assert auroc(np.array([4.0, 3.0, 2.0, 1.0]), labels) == 1
    assert auroc(np.array([1.0, 2.0, 3.0, 4.0]), labels) == 0
    assert auroc(np.array([0.0, 0.0, 0.0, 0.0]), labels) == 0.5
    assert auroc(np.array([3.0, 1.0, 2.0, 1.0]), labels) == 0.625


def test_folds_are_compared_within_themselves() -> None:
    labels = np.array([True, False, True, False])
    nan = np.nan
    scores = np.array([[0.2, 0.1, nan, nan], [nan, nan, 9.0, 9.5]])
    assert _mean_auroc(scores, labels, np.arange(4)) == 0.5
    assert _mean_auroc(scores, labels, np.array([0, 0, 1, 2, 3, 3])) == 0.5
    assert _mean_auroc(scores[:1], labels, np.arange(4)) == 1
