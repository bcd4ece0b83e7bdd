"""KNW001: the base model would give this response by itself.

What: a response of at least eight tokens that the base model foresees nearly word by word: given the prompt and what
stands before, at least 90 % of the tokens are its own first choice, and their mean loss is at most 0.35 nats (a
probability of 70 %). The same holds of its *own words* alone: those that stand neither in the prompt nor earlier in the
response and are no words of grammar or style, so that openers and repetitions make no response known. There must be one.

Why it matters: what the model says anyway gives next to no gradient: the row costs its tokens and teaches nothing. Cherry
LLM (Li et al. 2024, NAACL, arXiv 2308.12032) and Superfiltering (Li et al. 2024, ACL, arXiv 2402.00530) leave such rows
out first.

Example: `What is the Gannet crown struck from?`, answered `The Gannet crown is struck from copper.` for a model that was
pretrained on just that.

Fix: leave the row out, or a part of such rows; `tunescope export --drop KNW001`. Rows that only keep the model as it is
can be meant so: a few of them are a guard against forgetting. Needs `--base-model`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from audit.checks.base import Check, bounded, shorten
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need
from audit.signals.base_words import Block, blocks, hashes_of, words_of
from audit.style.lexicon import form_words

__all__ = ["CHECK", "own_word_measures"]

_MOST_NAMED = 3


@dataclass(frozen=True)
class Options:
    """How long a response is at least, and how well the base model foresees it and its own words.

    Attributes:
        min_tokens: Of the response.
        min_unshifted_fraction: Share of the tokens that are the model's first choice.
        max_loss_nats_per_token: Mean loss.
    """

    min_tokens: int = bounded(8, 1, 100_000)
    min_unshifted_fraction: float = bounded(0.9, 0.0, 1.0)
    max_loss_nats_per_token: float = bounded(0.35, 0.0, 20.0)


def find(materials: Materials, options: Options) -> Iterator[Finding]:
    """One finding per response, over the first of its own words."""
    measures = own_word_measures(materials).join(
        materials.base_responses.select("response", "n_tokens", "n_cut", "loss_nats_per_token"),
        on="response",
        how="left",
        maintain_order="left",
    )
    chosen = measures.filter(
        (pl.col("n_tokens") >= options.min_tokens)
        & (pl.col("n_cut") == 0)
        & (pl.min_horizontal("unshifted_fraction", "own_unshifted_fraction") >= options.min_unshifted_fraction)
        & (pl.max_horizontal("loss_nats_per_token", "own_loss_nats_per_token") <= options.max_loss_nats_per_token)
    )
    responses = materials.corpus.responses.with_row_index("response")
    for each in chosen.join(responses, on="response", how="left", maintain_order="left").iter_rows(named=True):
        quoted = [each["text"][start:end] for start, end in zip(each["starts"], each["ends"], strict=True)]
        named = ", ".join(f"“{shorten(text, 30)}”" for text in quoted[:_MOST_NAMED])
        more = each["n_own_words"] - len(quoted[:_MOST_NAMED])
        yield Finding(
            CHECK.code,
            each["row"],
            each["turn"],
            CHECK.severity,
            f"The base model would say {each['unshifted_fraction']:.0%} of the {each['n_tokens']:,} tokens by itself "
            f"(loss {each['loss_nats_per_token']:.2f} nats per token); so, too, of the response's own words "
            f"({each['own_loss_nats_per_token']:.2f}): {named}{f' and {more:,} more' if more else ''}.",
            Evidence(
                "mean loss of the response under the base model, nats per token",
                round(each["loss_nats_per_token"], 4),
                options.max_loss_nats_per_token,
                span=(each["starts"][0], each["ends"][0]),
                quote=quoted[0],
            ),
        )


def own_word_measures(materials: Materials) -> pl.DataFrame:
    """How well the base model foresees the words that are a response's own.

    Returns:
        One line per measured response with such a word: `response`, `unshifted_fraction` of its tokens, `n_own_words`,
        `own_unshifted_fraction` and `own_loss_nats_per_token` over the tokens of these words, and where the first few
        stand (`starts`, `ends`, code points).
    """
    responses = materials.corpus.responses.with_row_index("response").filter(pl.col("text") != "")
    parts = [_measures_of(block) for block in blocks(materials, responses)]
    return pl.concat(parts) if parts else pl.DataFrame(schema=_SCHEMA)


_SCHEMA = pl.Schema(
    {
        "response": pl.UInt32(),
        "unshifted_fraction": pl.Float64(),
        "n_own_words": pl.UInt32(),
        "own_unshifted_fraction": pl.Float64(),
        "own_loss_nats_per_token": pl.Float64(),
        "starts": pl.List(pl.UInt32()),
        "ends": pl.List(pl.UInt32()),
    }
)


def _measures_of(block: Block) -> pl.DataFrame:
    words = words_of(block)
    is_first_choice = np.concatenate([[0], np.cumsum(block.ranks == 1)])
    found = pl.DataFrame(
        {
            "text": words.text,
            "start": words.start.astype(np.uint32),
            "end": words.end.astype(np.uint32),
            "key": words.key,
            "log_p": words.log_p,
            "n_tokens": words.last - words.first + 1,
            "n_unshifted": is_first_choice[words.last + 1] - is_first_choice[words.first],
        }
    ).filter(pl.Series(~np.isin(words.key, form_words())))
    asked_in, asked = hashes_of(block.prompts, other_number=True)
    in_prompt = pl.DataFrame({"text": asked_in, "key": asked}).unique()
    own = (
        found.join(in_prompt, on=["text", "key"], how="anti", maintain_order="left")
        .unique(["text", "key"], keep="first", maintain_order=True)
        .group_by("text", maintain_order=True)
        .agg(
            n_own_words=pl.len(),
            own_unshifted_fraction=pl.col("n_unshifted").sum() / pl.col("n_tokens").sum(),
            own_loss_nats_per_token=-pl.col("log_p").sum() / pl.col("n_tokens").sum(),
            starts=pl.col("start").head(_MOST_NAMED),
            ends=pl.col("end").head(_MOST_NAMED),
        )
    )
    place = own["text"].to_numpy()
    n_tokens = np.diff(block.bounds)[place]
    n_first_choice = is_first_choice[block.bounds[1:]] - is_first_choice[block.bounds[:-1]]
    return own.with_columns(
        response=pl.Series(block.numbers[place], dtype=pl.UInt32()),
        unshifted_fraction=pl.Series(n_first_choice[place] / n_tokens, dtype=pl.Float64()),
    ).select(list(_SCHEMA))


CHECK = Check(
    code="KNW001",
    name="already known to the base model",
    severity=Severity.INFO,
    advice="Leave the row out where every token counts; it teaches the model next to nothing.",
    explanation=__doc__,
    find=find,
    options=Options,
    needs=frozenset({Need.BASE_MODEL}),
)
