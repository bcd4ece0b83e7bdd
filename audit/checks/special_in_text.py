"""TRN006: text that this tokenizer takes for a special token.

What: the text of a turn holds a special token of the tokenizer that the model will be tuned with, written out; the
tokenizer takes it for the token itself. Texts without turns are left out, since somebody rendered them on purpose, and so is
an end-of-sequence token at the end of a plain completion, which TRL would have put there. Measured only with a tokenizer;
TXT011 finds the marks of templates in general.

Why it matters: the turn ends in its middle, or another begins, whoever wrote the text; everything after it is trained as if
it stood outside.

Example: `{"instruction": "What does <|endoftext|> mean?", "output": "…"}` with the tokenizer of Pythia.

Fix: take the token out of the text, or write it with a space in it.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK"]


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per row, over the first of its tokens."""
    rows = materials.trainer_rows.filter(pl.col("special").list.len() > 0).select("row", "special")
    for row, special in rows.iter_rows():
        first = special[0]
        others = f", and {len(special) - 1} more" if len(special) > 1 else ""
        yield Finding(
            CHECK.code,
            row,
            first["turn"],
            CHECK.severity,
            f"The tokenizer takes “{shorten(first['token'], 40)}” in the text for its special token{others}.",
            Evidence(
                "special tokens inside texts",
                float(len(special)),
                1.0,
                span=(first["start"], first["end"]),
                quote=first["token"],
            ),
        )


CHECK = Check(
    code="TRN006",
    name="text parsed as a special token",
    severity=Severity.WARNING,
    advice="Take the token out of the text, or break it with a space.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.TRAINER}),
)
