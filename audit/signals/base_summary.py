"""What the base model makes of a dataset at a glance: how its measures are spread, and the rows at their ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from audit.corpus import Corpus
from audit.materials import BASE_FILES
from audit.summary import Quartiles, UnderBase
from indexes.store import read_bytes

__all__ = ["MIN_TOKENS_AT_ENDS", "summarize_base"]

MIN_TOKENS_AT_ENDS = 20
"""Tokens of response of a row that is shown at an end, where half of the rows have as many; else as many as these have."""

_ROWS_AT_ENDS = 3
_SLICK = ("HighlyKnown", "MaybeKnown", "WeaklyKnown", "Unknown")


def summarize_base(
    folder: Path, corpus: Corpus, responses: pl.DataFrame, signals: pl.DataFrame, facts: Mapping[str, Any]
) -> UnderBase:
    """Put together what the stage measured.

    Args:
        folder: Where `BASE_FILES` lie.
        corpus: The rows.
        responses: A frame of `audit.signals.base_model.RESPONSE_SCHEMA`.
        signals: The signals of every row, those of the base model among them.
        facts: What the stage said of itself.
    """
    model = json.loads(read_bytes(folder / BASE_FILES[2]))["model"]
    tokens = (
        corpus.responses.select("row")
        .with_columns(n_tokens=responses["n_tokens"].cast(pl.Int64))
        .group_by("row")
        .agg(pl.col("n_tokens").sum())
    )
    signals = signals.join(tokens, on="row", how="left", maintain_order="left")
    ifd = signals["ifd"] if "ifd" in signals.columns else pl.Series([], dtype=pl.Float64())
    slick = dict(signals["slick"].drop_nulls().value_counts().iter_rows()) if "slick" in signals.columns else {}
    return UnderBase(
        model=facts["base_model"],
        stands_for=facts["stands_for"],
        n_parameters=model["n_parameters"],
        device=model["device"],
        dtype=model["dtype"],
        plain_format=facts["plain_format"],
        template=facts["template"],
        template_digest=model["template_digest"],
        n_passed=facts["pass"]["texts"],
        seconds=facts["pass"]["seconds"],
        n_responses=facts["responses"],
        n_tokens=facts["tokens"],
        n_cut=facts["cut_responses"],
        not_measured=tuple(facts["not_measured"].items()),
        loss=_quartiles(signals, "base_loss_nats_per_token"),
        shifted=_quartiles(signals, "base_shifted_fraction", n_at_ends=0),
        ifd=_quartiles(signals, "ifd"),
        n_not_helped=int((ifd >= 1).sum()),
        slick=tuple((name, slick[name]) for name in _SLICK if name in slick),
    )


def _quartiles(signals: pl.DataFrame, column: str, n_at_ends: int = _ROWS_AT_ENDS) -> Quartiles | None:
    """The spread of a column over the rows that have it; `None` where no row has."""
    if column not in signals.columns or not (having := signals.filter(pl.col(column).is_not_null())).height:
        return None
    places = (0.0, 0.25, 0.5, 0.75, 1.0)
    least, low, median, high, most = (_rounded(having[column].quantile(place, "nearest") or 0.0) for place in places)
    enough = min(MIN_TOKENS_AT_ENDS, int(having["n_tokens"].quantile(0.5, "nearest") or 0))
    by_value = having.filter(pl.col("n_tokens") >= enough).select("row", column).sort(column, "row")
    n_shown = min(n_at_ends, by_value.height // 2)
    highest = by_value.sort(column, "row", descending=[True, False]).head(n_shown)
    lowest = by_value.head(n_shown)
    ends = (tuple((row, _rounded(value)) for row, value in end.iter_rows()) for end in (lowest, highest))
    return Quartiles(having.height, least, low, median, high, most, *ends)


def _rounded(value: float) -> float:
    return round(value, 4)
