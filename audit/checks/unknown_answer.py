"""KNW004: the base model never gives the answer to the row's question.

What: the row asks for a fact and answers it in few words; asked the same behind other questions and answers of the dataset,
ten times greedily and 160 times by sampling, the base model never says it. That is SliCK's class *Unknown* (Gekhman et al.
2024); the message says what the model answers most often instead. Rows that are no such question have no class, and
`RUN/signals/slick.parquet` says why.

Why it matters: such rows are learned last, and as they are learned the model invents more where it knew before (Gekhman
et al. 2024, section 4); what a model should answer is taught as well by facts that it knows.

Example: `Who founded the town of Vell?` answered by `Mara Velten`, where the base model says `Jon Ard` nine times of ten.

Fix: drop the row, or have it say that the answer is not known; `tunescope export --drop KNW004`. Stop tuning early where the
rows have to stay. Needs `--base-model` and `--slick`. The row's answer is taken for true: where it is false, that the model
does not give it is no fault.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need
from audit.signals.slick import Known

__all__ = ["CHECK"]


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per row of the class Unknown, over the value in its answer."""
    unknown = materials.slick.filter(pl.col("slick") == str(Known.UNKNOWN))
    answers = unknown.join(materials.corpus.turns, on=["row", "turn"], how="left", maintain_order="left")
    for each in answers.iter_rows(named=True):
        value = each["content"][each["start"] : each["end"]]
        if each["said"]:
            instead = f"most often it says “{shorten(each['said'], 60)}” ({each['said_times']} of {each['greedy_asked']})"
        else:
            instead = f"most often it says nothing ({each['said_times']} of {each['greedy_asked']})"
        yield Finding(
            CHECK.code,
            each["row"],
            each["turn"],
            CHECK.severity,
            f"{Known.UNKNOWN}: of {each['greedy_asked']:,} greedy and {each['sampled_asked']:,} sampled few-shot answers of "
            f"the base model none holds “{shorten(value, 60)}”; {instead}.",
            Evidence("share of right greedy answers", 0.0, 0.0, span=(each["start"], each["end"]), quote=value),
        )


CHECK = Check(
    code="KNW004",
    name="answer that the base model never gives",
    severity=Severity.INFO,
    advice="Drop the row, or have it say that the answer is not known.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.SLICK}),
)
