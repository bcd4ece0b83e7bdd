"""TRN007: the row does not begin with the tokens of its prompt.

What: where the loss is taken on the completion, TRL tokenizes the prompt alone and the whole row, and lets the completion
begin where the two part. Here that is before the end of the prompt: tokens merge across the border, or the template renders
a prompt differently once an answer follows. Measured only with a tokenizer (`--tokenizer`, `--base-model`).

Why it matters: what is trained stands behind a context that the model never has when it is asked, and the first tokens of
the completion hold the end of the prompt.

Example: prompt `The capital is` and completion `n't named.`, or a prompt that ends in a space.

Fix: end the prompt with a line break or begin the completion with a space; use a template that renders a prompt alike in
both cases.
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
    rows = materials.trainer_rows.filter(pl.col("prompt_left_out") > 0).select("row", "prompt_left_out")
    for row, left_out in rows.iter_rows():
        tokens = "token of the prompt is" if left_out == 1 else f"{left_out:,} tokens of the prompt are"
        yield Finding(
            CHECK.code,
            row,
            None,
            CHECK.severity,
            f"The last {tokens} not in the row: it is trained on another context than the model is asked in.",
            Evidence("tokens of the prompt that the row lacks", float(left_out), 1.0),
        )


CHECK = Check(
    code="TRN007",
    name="prompt is not the row's beginning",
    severity=Severity.WARNING,
    advice="End prompts on a token's border, or use a template that renders them alike.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.TRAINER}),
)
