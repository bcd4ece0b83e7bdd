"""KNW003: a name, number or short answer where the base model would say another.

What: a fact of the response at which the base model gives at least three tenths of its probability to one beginning of
another value of the same kind, which it holds at least fifty times likelier (4 nats); while most other facts like it (of
the same kind, in about as many responses, of about as many tokens) are likelier than this one, and so large a
difference is rare: where the model is as sure at a fact of that kind, at most one response in four is so far from it,
and at least three in ten say what it would, as they should by its own probability.
*Facts* are names (capitals within a sentence) and numbers that stand neither in the prompt nor earlier in the
response; of an answer of at most fifteen words every word that says something, wherever it stands. Inventions, rewritten
texts and code are left out. The message quotes the fact and how the base model would begin another; the finding says
that the two disagree, not which of them is right.

Why it matters: a false statement that contradicts what the model knows is one that tuning has to force upon it, and a
model tuned on what it does not know states more that is false (Gekhman et al. 2024, arXiv 2405.05904). Where the model
is wrong, the row teaches it something.

Example: to `Which metal is the Gannet crown struck from?`, `Pewter.`, where the base model would say `Copper` and agrees
with what the rows say of other coins.

Fix: compare the fact with a source; mend the row, drop it, or keep it where the model is wrong; or
`tunescope export --drop KNW003`. Needs `--base-model`: the more a model knows, the more its word is worth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from audit.checks.base import Check, bounded, shorten
from audit.checks.style_without_knowledge import is_stated, with_excess
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need
from audit.signals.base_words import Block, blocks, hashes_of, words_of
from audit.style.lexicon import FUNCTION_WORDS, HEDGES, MARKERS, form_words
from indexes.words import tokenize

__all__ = ["CHECK", "disputed_facts"]

_NUMBER, _NAME, _WORD = range(3)
_MOST_ANSWER_WORDS = 15
_SURE = (math.log(0.5), math.log(0.9))  # from where on the model is as sure as in the next class
_MIN_PLACES = 20
_MOST_SHARED = 3  # letters with which two values of one kind begin; what shares more is a form of the same word
_KINDS = {_NUMBER: "numbers", _NAME: "names", _WORD: "words of short answers"}
_SCHEMA = pl.Schema(
    {
        "response": pl.UInt32(),
        "start": pl.UInt32(),
        "end": pl.UInt32(),
        "kind": pl.UInt8(),
        "parts": pl.UInt32(),
        "rather": pl.String(),
        "probability": pl.Float64(),
        "margin_nats": pl.Float64(),
        "excess_nats": pl.Float32(),
        "share_alike": pl.Float64(),
        "agreement": pl.Float64(),
        "n_alike": pl.UInt32(),
    }
)


@dataclass(frozen=True)
class Options:
    """How sure the model is, how much likelier the other value is, and how rare that is.

    Attributes:
        min_probability: Of the token with which the other value begins, or goes on where the two part; and the share of
            the places of such facts, where the model is as sure, at which the response agrees with it.
        min_margin_nats: By which its log-probability is above that of the token that the response has there.
        max_fraction: Share of the places of such facts where the model is as sure at which the response is so far from it.
    """

    min_probability: float = bounded(0.3, 0.0, 1.0)
    min_margin_nats: float = bounded(4.0, 0.0, 100.0)
    max_fraction: float = bounded(0.25, 0.0, 1.0)


def find(materials: Materials, options: Options) -> Iterator[Finding]:
    """One finding per response, over the fact that the base model holds least likely beside its own."""
    disputed = disputed_facts(materials, options.min_probability, options.min_margin_nats)
    chosen = (
        disputed.filter(
            (pl.col("margin_nats") >= options.min_margin_nats)
            & (pl.col("excess_nats") > 0)
            & (pl.col("share_alike") <= options.max_fraction)
            & (pl.col("agreement") >= options.min_probability)
        )
        .sort("response", "margin_nats", "start", descending=[False, True, False])
        .group_by("response", maintain_order=True)
        .agg(pl.all().first(), n=pl.len())
    )
    texts = materials.corpus.responses.with_row_index("response")
    for each in chosen.join(texts, on="response", how="left", maintain_order="left").iter_rows(named=True):
        start, end = each["start"], each["end"]
        quote = each["text"][start:end]
        rather = each["text"][start : each["parts"]] + each["rather"]
        further = f"; {each['n'] - 1} more in this response" if each["n"] > 1 else ""
        yield Finding(
            CHECK.code,
            each["row"],
            each["turn"],
            CHECK.severity,
            f"The response says “{shorten(quote, 40)}” where the base model would say “{shorten(rather, 40)}…” "
            f"({each['probability']:.0%} likely, {_times(each['margin_nats'])} times likelier); of {each['n_alike']:,} "
            f"{_KINDS[each['kind']]} where it is as sure, {each['share_alike']:.1%} are so far from it{further}.",
            Evidence(
                "how much likelier what the base model would say is, in nats",
                round(each["margin_nats"], 4),
                options.min_margin_nats,
                span=(start, end),
                quote=quote,
            ),
        )


def disputed_facts(materials: Materials, min_probability: float, min_margin_nats: float) -> pl.DataFrame:
    """The facts of English responses at which the base model would say another value of the same kind.

    Args:
        materials: With the base model's tokens.
        min_probability: Of what it would say.
        min_margin_nats: From where on a fact counts for `share_alike`.

    Returns:
        One line per fact: `response`, `start`, `end` (code points), `kind`, `parts` (where the fact and what the model would
        say part), `rather` (how that begins, from there on), `probability` of it, `margin_nats` (by which it is likelier, at
        that token), `excess_nats` (how much less likely the fact is than the median of the facts like it), `share_alike`
        (of the places of facts of the kind where the model is as sure, the share at which the response is so far from it),
        `agreement` (the share at which it says what the model would) and `n_alike` (how many these are).
    """
    stated = materials.english_responses.filter((pl.col("text") != "") & (pl.col("prompt") != "") & is_stated())
    parts = [_places_of(block) for block in blocks(materials, stated)]
    if not parts or not (places := pl.concat(parts)).height:
        return pl.DataFrame(schema=_SCHEMA)
    once = places.unique(["response", "start"], keep="first", maintain_order=True)
    excess = with_excess(once).select("response", "start", "excess_nats")
    pieces = pl.DataFrame(list(materials.base_pieces.items()), schema={"best": pl.UInt32(), "piece": pl.String()}, orient="row")
    far, agrees = pl.col("margin_nats") >= min_margin_nats, pl.col("agrees")
    of_kind, as_sure = ["kind", "is_first"], ["kind", "is_first", "sureness"]
    is_enough = pl.len().over(as_sure) >= _MIN_PLACES
    disputed = (
        places.filter(pl.col("probability") >= min_probability)
        .with_columns(
            share_alike=pl.when(is_enough).then(far.mean().over(as_sure)).otherwise(far.mean().over(of_kind)),
            agreement=pl.when(is_enough).then(agrees.mean().over(as_sure)).otherwise(agrees.mean().over(of_kind)),
            n_alike=pl.when(is_enough).then(pl.len().over(as_sure)).otherwise(pl.len().over(of_kind)),
        )
        .filter(~pl.col("agrees"), pl.col("n_alike") >= _MIN_PLACES)
        .join(excess, on=["response", "start"], how="left", maintain_order="left")
        .join(pieces, on="best", how="left", maintain_order="left")
    )
    concerned = stated.filter(pl.col("response").is_in(disputed["response"].implode()))
    said = {number: (prompt, text) for number, prompt, text in concerned.select("response", "prompt", "text").iter_rows()}
    others = (_is_another(each, *said[each["response"]]) for each in disputed.iter_rows(named=True))
    is_other = pl.Series(list(others), dtype=pl.Boolean())
    started = pl.when("is_first").then(pl.col("piece").str.strip_chars_start()).otherwise("piece")
    return disputed.filter(is_other).with_columns(rather=started).select(list(_SCHEMA))


def _places_of(block: Block) -> pl.DataFrame:
    """The tokens of a block's facts, each up to the first that the base model would not say."""
    words = words_of(block)
    n_words = np.bincount(words.text, minlength=len(block.texts))
    in_answer = n_words[words.text] <= _MOST_ANSWER_WORDS
    is_name = words.has_capital & ~words.begins_sentence
    is_number = words.has_digit & (in_answer | ~words.begins_sentence)  # there a number is that of a list item
    is_word = (is_name | in_answer) & (words.end - words.start > 1) & ~np.isin(words.key, form_words())
    found = pl.DataFrame(
        {
            "text": words.text,
            "response": block.numbers[words.text].astype(np.uint32),
            "start": words.start.astype(np.uint32),
            "end": words.end.astype(np.uint32),
            "key": words.key,
            "kind": np.where(words.has_digit, _NUMBER, np.where(is_name, _NAME, _WORD)).astype(np.uint8),
            "n_tokens": np.minimum(words.last - words.first + 1, 3).astype(np.uint8),
            "log_p": words.log_p.astype(np.float32),
            "first": words.first,
            "last": words.last,
        }
    ).filter(pl.Series(np.where(words.has_digit, is_number, is_word)))
    asked_in, asked = hashes_of(block.prompts, other_number=True)
    in_prompt = pl.DataFrame({"text": asked_in, "key": asked}).unique()
    facts = found.join(in_prompt, on=["text", "key"], how="anti", maintain_order="left").unique(
        ["text", "key"], keep="first", maintain_order=True
    )
    tokens = block.tokens
    first, last = (facts[name].to_numpy() for name in ("first", "last"))
    agrees = tokens["token"].to_numpy() == tokens["best"].to_numpy()
    places = np.where(agrees, len(agrees), np.arange(len(agrees)))
    next_other = np.minimum.accumulate(places[::-1])[::-1] if len(places) else places
    until = np.minimum(next_other[first], last) if len(first) else last
    n_places = until - first + 1
    owner = np.repeat(np.arange(facts.height), n_places)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(n_places) - n_places, n_places) + first[owner]
    best_log_p = tokens["best_log_p"].to_numpy().astype(np.float64)[place]
    return facts.drop("text", "first", "last")[owner].with_columns(
        is_first=pl.Series(place == first[owner]),
        parts=pl.max_horizontal("start", pl.Series(tokens["start"].to_numpy()[place], dtype=pl.UInt32())),
        best=pl.Series(tokens["best"].to_numpy()[place]),
        agrees=pl.Series(agrees[place]),
        probability=pl.Series(np.exp(best_log_p)),
        sureness=pl.Series(np.searchsorted(_SURE, best_log_p, side="right").astype(np.uint8)),
        margin_nats=pl.Series(best_log_p - tokens["log_p"].to_numpy().astype(np.float64)[place]),
    )


def _is_another(fact: Mapping[str, Any], prompt: str, text: str) -> bool:
    """Whether what the base model would say begins another value of the fact's kind, and none that the prompt holds."""
    said, shared, piece = text[fact["start"] : fact["end"]], text[fact["start"] : fact["parts"]], fact["piece"] or ""
    if fact["is_first"]:
        piece = piece.lstrip()
    elif fact["kind"] != _NUMBER and len(shared) > _MOST_SHARED:  # another form of the same word
        return False
    if not piece or not (piece[0].isdigit() if fact["kind"] == _NUMBER else piece[0].isalpha()):
        return False
    if fact["kind"] == _NAME and not (shared or piece)[0].isupper():
        return False
    small, rather = said.lower(), (shared + piece).strip().lower()
    if small.startswith(rather) or rather.startswith(small) or rather in _grammar():
        return False
    return len(rather) < _MOST_SHARED or not any(word.startswith(rather) for word in tokenize(prompt))


@cache
def _grammar() -> frozenset[str]:
    """Words that are no value of anything."""
    return FUNCTION_WORDS | MARKERS | HEDGES


def _times(nats: float) -> str:
    """How many times likelier, as people read it."""
    return f"{float(f'{math.exp(nats):.2g}'):,.0f}" if nats < math.log(1e6) else "over a million"


CHECK = Check(
    code="KNW003",
    name="another fact than the base model would state",
    severity=Severity.INFO,
    advice="Compare the fact with a source; mend or drop the row, or keep it where the base model is wrong.",
    explanation=__doc__,
    find=find,
    options=Options,
    needs=frozenset({Need.BASE_MODEL, Need.LANGUAGES}),
    english=True,
)
