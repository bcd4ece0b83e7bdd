"""TRN003: the token that ends the answer is not trained.

What: no special token ends the row's last answer, or one does and the trainer takes no loss on it. Measured only with a
tokenizer (`--tokenizer`, `--base-model`). Where the chat template is the reason, every row has this finding, and the
report says so first.

Why it matters: a model that never sees an answer end does not stop: it goes on with a next question, or repeats itself.

Example: a template that prints `<|im_end|>` after a question but not after the last answer.

Fix: a template that prints the end-of-turn token after every answer, inside `{% generation %}` where it has that.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK"]


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per row with an answer."""
    missing = {
        "absent": "No special token ends the last answer.",
        "masked": "The token that ends the last answer is there, and no loss is taken on it.",
    }
    rows = materials.trainer_rows.filter((pl.col("refused") == "") & pl.col("end").is_in(list(missing)))
    for row, end in rows.select("row", "end").iter_rows():
        yield Finding(CHECK.code, row, None, CHECK.severity, missing[end], Evidence("trained end-of-turn tokens", 0.0, 1.0))


CHECK = Check(
    code="TRN003",
    name="no end of turn trained",
    severity=Severity.WARNING,
    advice="Use a template that ends answers with a trained end-of-turn token.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.TRAINER}),
)
