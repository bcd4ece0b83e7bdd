"""TRN005: the row begins with two beginning-of-sequence tokens.

What: after tokenizing, the first two tokens are both the beginning-of-sequence token: a text that was rendered with a chat
template already brings one, and the tokenizer puts its own before it; or the template prints it twice. Measured only with
a tokenizer (`--tokenizer`, `--base-model`).

Why it matters: the model is tuned behind a beginning that it never meets when it is asked.

Example: `{"text": "<s>[INST] Name a river. [/INST] The Oder.</s>"}` with Llama 2's tokenizer.

Fix: remove the token from the texts, or give the rows as messages and leave the rendering to the trainer.
"""

from __future__ import annotations

from collections.abc import Iterator

from audit.checks.base import Check, NoOptions
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK"]


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per row."""
    for row in materials.trainer_rows.filter("double_bos")["row"]:
        yield Finding(
            CHECK.code,
            row,
            None,
            CHECK.severity,
            "The row begins with two beginning-of-sequence tokens.",
            Evidence("beginning-of-sequence tokens at the start", 2.0, 2.0),
        )


CHECK = Check(
    code="TRN005",
    name="double beginning of sequence",
    severity=Severity.WARNING,
    advice="Remove the token from the texts, or give the rows as messages.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.TRAINER}),
)
