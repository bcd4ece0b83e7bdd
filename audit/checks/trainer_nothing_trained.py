"""TRN001: a trainer takes the loss on no token of the row.

What: with this tokenizer, chat template and maximum length, no token of the row is left on which TRL takes the loss:
the prompt alone fills the length, or the answer is empty. Measured only with a tokenizer (`--tokenizer`, `--base-model`).

Why it matters: TRL leaves such rows out without a word, so that the model is tuned on another dataset than the one that
was looked at. With `--packing` it keeps them, and they cost compute for nothing.

Example: a prompt of 1,100 tokens with an answer of 40, at TRL's default length of 1,024.

Fix: raise the maximum length, shorten the prompt, keep the end of rows (`--truncation keep_end`), or drop the row.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK"]


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per row."""
    rows = materials.trainer_rows.filter((pl.col("refused") == "") & (pl.col("trained_tokens") == 0))
    for row in rows.iter_rows(named=True):
        n_tokens, n_answer = row["input_tokens"] + row["cut_tokens"], row["trained_cut_tokens"]
        fate = "TRL leaves the row out" if row["is_dropped"] else "the row is fed for nothing"
        why = f"all {n_answer:,} tokens to be trained are cut off" if n_answer else "it has none to be trained"
        yield Finding(
            CHECK.code,
            row["row"],
            None,
            CHECK.severity,
            f"No token is trained: of {n_tokens:,} tokens {why}; {fate}.",
            Evidence("trained tokens", 0.0, 1.0),
        )


CHECK = Check(
    code="TRN001",
    name="no token for the trainer",
    severity=Severity.WARNING,
    advice="Raise the maximum length or shorten the prompt; else drop the row.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.TRAINER}),
)
