"""FMT003: the turns of a conversation are out of order.

What: a role that chat templates do not know; a system turn that is not the first; a conversation that does not begin
with the user; two user or two assistant turns in a row; a conversation that ends without an answer. Rows of plain text
are no conversations.

Why it matters: chat templates raise an error, drop turns or merge them, so the model is trained on another conversation
than the one in the file. A last user turn without an answer is trained on by nobody.

Example: `user, user, assistant` — many templates refuse roles that do not alternate.

Fix: mend the order at the source, or `tunescope export --drop FMT003`.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials
from audit.sources import Format

__all__ = ["CHECK"]

_KNOWN = ("system", "user", "assistant", "tool")


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """The first turn of each row that is out of order."""
    texts = materials.corpus.rows.filter(pl.col("format") == Format.TEXT).select("row")
    role, before = pl.col("role"), pl.col("role").shift(1).over("row")
    in_prompt = role.is_in(["user", "tool"])
    # Consecutive tool turns are parallel calls.
    problem = (
        pl.when(~role.is_in(_KNOWN))
        .then(pl.format("the role '{}' is unknown", role))
        .when((role == "system") & (pl.col("turn") > 0))
        .then(pl.lit("a system turn is not the first"))
        .when(role.is_in(["assistant", "tool"]) & (before.is_null() | (before == "system")))
        .then(pl.format("the conversation begins with the {}", role))
        .when((role == "user") & (before == "user"))
        .then(pl.lit("two user turns in a row"))
        .when((role == "assistant") & (before == "assistant"))
        .then(pl.lit("two assistant turns in a row"))
        .when((role == "tool") & (before != "assistant") & (before != "tool"))
        .then(pl.lit("a tool turn answers no assistant turn"))
        .when(in_prompt & (pl.col("turn") == pl.col("turn").max().over("row")))
        .then(pl.lit("the conversation ends without an answer"))
    )
    first = (
        materials.corpus.turns.join(texts, on="row", how="anti", maintain_order="left")
        .with_columns(problem=problem)
        .filter(pl.col("problem").is_not_null())
        .unique("row", keep="first", maintain_order=True)
    )
    for row, turn, reason in first.select("row", "turn", "problem").iter_rows():
        yield Finding(CHECK.code, row, turn, CHECK.severity, f"Turn {turn}: {reason}.", Evidence(measure="order of roles"))


CHECK = Check(
    code="FMT003",
    name="turns out of order",
    severity=Severity.ERROR,
    advice="Put the turns in order, or drop the row.",
    explanation=__doc__,
    find=find,
)
