"""TRN002: the end of the answer is cut off by the trainer.

What: the row is longer than the trainer's maximum length, and the end of its last answer, with the token that ends the
turn, is among what is cut. Measured only with a tokenizer (`--tokenizer`, `--base-model`).

Why it matters: the model learns answers that stop in the middle, and never sees how such an answer ends.

Example: a prompt of 300 tokens with an answer of 900, at TRL's default length of 1,024.

Fix: raise the maximum length, shorten the answer, or drop the row.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK"]


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per row that is trained on in part."""
    is_cut = (pl.col("end") == "cut") & (pl.col("trained_tokens") > 0)
    for row in materials.trainer_rows.filter(is_cut).iter_rows(named=True):
        n_cut, n_all = row["trained_cut_tokens"], row["trained_cut_tokens"] + row["trained_tokens"]
        yield Finding(
            CHECK.code,
            row["row"],
            None,
            CHECK.severity,
            f"The end of the answer is cut: {n_cut:,} of {n_all:,} tokens to be trained ({n_cut / n_all:.0%}), "
            "the last among them.",
            Evidence("share of trained tokens that are cut", round(n_cut / n_all, 4), 0.0),
        )


CHECK = Check(
    code="TRN002",
    name="answer's end cut by the trainer",
    severity=Severity.WARNING,
    advice="Raise the maximum length or shorten the answer; else drop the row.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.TRAINER}),
)
