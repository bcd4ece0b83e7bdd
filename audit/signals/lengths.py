"""How long rows are, and how many turns they have."""

from __future__ import annotations

import polars as pl

from audit.corpus import Corpus

__all__ = ["length_signals"]


def length_signals(corpus: Corpus) -> pl.DataFrame:
    """One line per row: `row`, `turns`, `responses`, and lengths in Unicode characters and in words split at white space.

    `response_characters` and `response_words` count the trained turns only, `prompt_characters` the turns they answer.
    """
    turns = corpus.turns.group_by("row").agg(turns=pl.len().cast(pl.UInt32))
    responses = corpus.responses.group_by("row").agg(
        responses=pl.len().cast(pl.UInt32),
        prompt_characters=pl.col("prompt").str.len_chars().sum(),
        response_characters=pl.col("text").str.len_chars().sum(),
        response_words=pl.col("text").str.count_matches(r"\S+").sum(),
    )
    rows = corpus.rows.select("row")
    for part in (turns, responses):
        rows = rows.join(part, on="row", how="left", maintain_order="left")
    return rows.with_columns(pl.exclude("row").fill_null(0))
