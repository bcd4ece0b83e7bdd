"""KNW002: the prompt makes the response no likelier.

What: the instruction-following difficulty (IFD) of the response, its mean loss under the base model given the prompt
over its mean loss alone, is 1 or more, over at least eight tokens of response; and that is rare: at most a quarter of the
dataset's responses of that length are like that. Where more are, the model or its prompt format does not read the
instructions, the measure says nothing of single rows, and none is named. Alone means after the token that begins a text;
the prompt stands in the model's own chat template, or without one under plain headings. Another model, and another
template, give other figures: the report names both. A long answer that says itself what it is about may stand after a
wrong prompt with an IFD below 1.

Why it matters: an answer that goes with its question is likelier after it. One that is not may belong to another row, or
the prompt may be broken, empty of matter or in the way: what a model learns from it is to answer beside the point. Cherry
LLM (Li et al. 2024, NAACL, arXiv 2308.12032, section 2.2) leaves rows with an IFD of 1 or more out for that reason; so
does Superfiltering (Li et al. 2024, ACL, arXiv 2402.00530) with a small model in place of the large one.

Example: to `Describe the harbour of Ostrand.`, a recipe for barley porridge, which the row below asks for.

Fix: look whether response and prompt belong together; mend or drop the row, `tunescope export --drop KNW002`. Needs
`--base-model`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from audit.checks.base import Check, bounded
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK"]


@dataclass(frozen=True)
class Options:
    """From which IFD on, over how many tokens, and how rare that has to be.

    Attributes:
        min_ifd: Loss given the prompt over loss alone.
        min_tokens: Of the response; the means of shorter ones hang on single words.
        max_fraction: Of the responses of that length, the share that may be like that.
    """

    min_ifd: float = bounded(1.0, 0.0, 100.0)
    min_tokens: int = bounded(8, 1, 100_000)
    max_fraction: float = bounded(0.25, 0.0, 1.0)


def find(materials: Materials, options: Options) -> Iterator[Finding]:
    """One finding per response."""
    measured = materials.base_responses.filter((pl.col("n_tokens") >= options.min_tokens) & pl.col("ifd").is_not_null())
    places = materials.corpus.responses.select("row", "turn", "prompt").with_row_index("response")
    # A conversation without a prompt has nothing that could help; FMT004 names it.
    asked = measured.join(places, on="response", how="inner", maintain_order="left").filter(pl.col("prompt") != "")
    chosen = asked.filter(pl.col("ifd") >= options.min_ifd)
    if not chosen.height or chosen.height > options.max_fraction * asked.height:
        return
    for each in chosen.iter_rows(named=True):
        yield Finding(
            CHECK.code,
            each["row"],
            each["turn"],
            CHECK.severity,
            f"The prompt makes the response no likelier: loss {each['loss_nats_per_token']:.2f} nats per token with it, "
            f"{each['alone_loss_nats_per_token']:.2f} without, over {each['n_tokens']:,} tokens (IFD {each['ifd']:.2f}; so "
            f"{chosen.height / asked.height:.1%} of the responses of {options.min_tokens} tokens or more).",
            Evidence("loss of the response with the prompt over that without", round(each["ifd"], 4), options.min_ifd),
        )


CHECK = Check(
    code="KNW002",
    name="the prompt does not help",
    severity=Severity.INFO,
    advice="Look whether response and prompt belong together; mend or drop the row.",
    explanation=__doc__,
    find=find,
    options=Options,
    needs=frozenset({Need.BASE_MODEL}),
)
