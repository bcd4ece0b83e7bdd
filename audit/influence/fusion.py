"""One score from many channels: each is standardised over the rows that are compared, then they are added with weights.

The weights were fitted on the development worlds of the tracing benchmark against what retraining without each row did,
and are shipped with their provenance; no reporting world took part. A channel that is missing is left out and named.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Estimate", "Fused", "FusionSet", "fuse", "fusion_weights", "provenance", "standardised"]

_FILE = Path(__file__).with_name("weights.json")


class Estimate(StrEnum):
    """A channel of the estimate of influence; those without a weight are shown beside it."""

    PHRASE = "phrase"
    CONCEPT = "concept"
    BM25 = "bm25"
    STATE = "state"
    OUTPUT_GRADIENT = "output_gradient"
    GRADIENT_COSINE = "gradient_cosine"
    PRECONDITIONED = "preconditioned"
    CONTRAST = "contrast"
    ONE_STEP = "one_step"


class FusionSet(StrEnum):
    """Which weights hold, by what was computed."""

    WORDS = "words"
    """Words and concepts."""
    FORWARD = "forward"
    """Also forward passes of the base model."""
    GRADIENT = "gradient"
    """Also gradients between base and tuned model."""
    TUNED_FORWARD = "tuned_forward"
    """Words, concepts and forward passes of the tuned model, where there is no base model."""
    TUNED_GRADIENT = "tuned_gradient"
    """Also gradients of the tuned model."""


@dataclass(frozen=True)
class Fused:
    """Rows by estimated influence.

    Attributes:
        score: Float64, shape `(n_rows,)`, higher is more; comparable among rows of one span only.
        is_lender: Bool, shape `(n_rows,)`: rows whose score is at least such a share of the best that on development
            worlds most of them had a measured effect.
        used: The channels that took part.
        missing: Those of the set that were not there.
    """

    score: NDArray[np.float64]
    is_lender: NDArray[np.bool_]
    used: tuple[Estimate, ...]
    missing: tuple[Estimate, ...]


def fuse(channels: Mapping[Estimate, NDArray[np.floating[Any]]], which: FusionSet) -> Fused:
    """Fuse channels with the weights of a set.

    Args:
        channels: Values of shape `(n_rows,)`, higher for rows that could have lent more; NaN where a channel says nothing
            of a row, which counts as its lowest value.
        which: The set; channels beyond it are not used, and those of it that are not there are named.
    """
    weights = fusion_weights(which)
    used = tuple(name for name in weights if name in channels)
    n_rows = len(next(iter(channels.values())))
    score = np.zeros(n_rows)
    for name in used:
        score += weights[name] * standardised(channels[name])
    best = score.max(initial=0.0)
    is_lender = (score > 0) & (score >= _content()[which]["min_share"] * best)
    return Fused(score, is_lender, used, tuple(name for name in weights if name not in channels))


def standardised(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Less the mean, over the standard deviation; zeros where all are equal. NaN counts as the lowest value."""
    known = values[~np.isnan(values)]
    filled = np.where(np.isnan(values), known.min() if len(known) else 0.0, values).astype(np.float64)
    spread = filled.std()
    return np.asarray((filled - filled.mean()) / spread if spread > 0 else np.zeros(len(filled)))


def fusion_weights(which: FusionSet) -> Mapping[Estimate, float]:
    """The weights of a set, all above zero."""
    return {Estimate(name): float(value) for name, value in _content()[which]["weights"].items()}


def provenance() -> Mapping[str, Any]:
    """Where the weights come from: worlds, seeds, what was fitted, and when."""
    found: Mapping[str, Any] = _content()["provenance"]
    return found


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return content
