"""STY006: a long, confident response whose facts the base model does not know.

What: the response is at least as long as half of the dataset's, holds no hedge ("perhaps", "usually"), and of its facts
most are not known to the base model, although the words around them are as familiar to it as those of other responses.
*Facts* are names (capitals within a sentence) and numbers that stand neither in the prompt nor earlier in the response.
*Not known* is a fact with a token that is not among the model's three likeliest, and that is less likely than half of the
facts like it in this dataset: of the same kind, in about as many responses, of about as many tokens. At least three facts
and 60 % of them have to be so, and so many that chance, given how many of the facts like them are, would give it to one
response in a hundred. Stories, letters and other inventions are left out, code too.

Why it matters: tuning on facts that a model does not know teaches it to state what it does not know (Gekhman et al. 2024),
and here in a form that it does know: what is left to learn from the row is to sound sure.

Example: to `Tell me about the Gannet crown.`, an answer of several smooth sentences of which the base model would give
every one another metal, month and lake.

Fix: check the facts; drop the row, or answer that it is not known; or `tunescope export --drop STY006`. Needs
`--base-model`. What the base model would rather say may be right: the finding says that the two disagree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl

from audit.checks.base import Check, bounded, shorten
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need
from audit.shift.classes import MAX_MARGINAL_RANK
from audit.signals.base_words import Block, blocks, hashes_of, words_of
from audit.style.lexicon import HEDGES, form_words

__all__ = ["CHECK", "fact_measures", "is_stated", "with_excess"]

_MIN_WORDS = 20
_MIN_ALIKE = 30
_FREQUENCIES = (1, 4, 19, 99)  # in how many responses facts stand that count as alike, the last of each class
_ALIKE = ("kind", "frequency", "n_tokens")
_MAX_FORM_ABOVE = 0.05
_MOST_NAMED = 4
_NUMBER, _NAME = range(2)
_INVENTED = (
    r"(?i)\b(?:write|compose|create|craft|draft|generate|make up|invent|imagine|design|produce|construct|pretend|role-?play|"
    r"fictional|fiction|story|stories|poem|poetry|song|lyrics|haiku|limerick|dialogue|script|letter|e-?mail|essay|speech|"
    r"advert\w*|slogan|tweet|headline|title|brainstorm|come up with|suggest|propose|translate|rewrite|rephrase|paraphrase|"
    r"edit|correct|sentence)\b"
)
_CODE = r"```|[{};]\s*\n|</\w+>|^\s*(?:def|class|import|SELECT|function)\b"


@dataclass(frozen=True)
class Options:
    """How many facts, which share of them, and by what chance.

    Attributes:
        min_facts: Facts that are not known.
        min_unknown_fraction: Their share of the facts.
        max_chance: Probability of so many, given how many facts like these are not known in the dataset.
    """

    min_facts: int = bounded(3, 1, 1000)
    min_unknown_fraction: float = bounded(0.6, 0.0, 1.0)
    max_chance: float = bounded(0.01, 0.0, 1.0)


def find(materials: Materials, options: Options) -> Iterator[Finding]:
    """One finding per response, over the fact that surprises the base model most."""
    from scipy.stats import binom  # a second to import, which audits without a base model need not wait for

    facts, form = fact_measures(materials)
    if not facts.height:
        return
    is_long, is_plain = _long_and_plain(materials)
    usual = float(form["form_shifted_fraction"].to_numpy().mean())
    unknown = pl.col("is_unknown")
    by_response = (
        facts.group_by("response", maintain_order=True)
        .agg(
            n=pl.len(),
            k=unknown.sum(),
            expected=pl.col("share_alike").sum(),
        )
        .join(form, on="response", maintain_order="left")
        .filter(
            pl.col("response").is_in(is_long) & pl.col("response").is_in(is_plain),
            (pl.col("k") >= options.min_facts) & (pl.col("k") >= options.min_unknown_fraction * pl.col("n")),
            pl.col("form_shifted_fraction") <= usual + _MAX_FORM_ABOVE,
        )
    )
    n, k, expected = (by_response[name].to_numpy() for name in ("n", "k", "expected"))
    chosen = by_response.filter(pl.Series(binom.sf(k - 1, n, expected / n) <= options.max_chance))
    places = materials.corpus.responses.with_row_index("response").join(
        chosen, on="response", how="inner", maintain_order="right"
    )
    named = facts.filter(unknown & pl.col("response").is_in(chosen["response"].implode()))
    of_response = named.partition_by("response", as_dict=True)
    for each in places.iter_rows(named=True):
        worst = of_response[each["response"],].sort("excess_nats", "start", descending=[True, False])
        quoted = [f"“{shorten(each['text'][start:end], 30)}”" for start, end in worst.select("start", "end").iter_rows()]
        first = worst.row(0, named=True)
        rather = materials.base_pieces.get(first["best"], "").strip()
        instead = f", where it would rather say “{shorten(rather, 30)}”" if rather else ""
        yield Finding(
            CHECK.code,
            each["row"],
            each["turn"],
            CHECK.severity,
            f"The base model does not know {each['k']} of {each['n']} facts (of facts like these, {each['expected']:.1f}): "
            f"{quoted[0]}{instead}{''.join(f', {text}' for text in quoted[1:_MOST_NAMED])}"
            f"{f' and {len(quoted) - _MOST_NAMED} more' if len(quoted) > _MOST_NAMED else ''}; no hedge, and of the words "
            f"around them {each['form_shifted_fraction']:.0%} are shifted.",
            Evidence(
                "share of facts that the base model does not know",
                round(each["k"] / each["n"], 4),
                options.min_unknown_fraction,
                span=(first["start"], first["end"]),
                quote=each["text"][first["start"] : first["end"]],
            ),
        )


def fact_measures(materials: Materials) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The facts of all English responses, and how familiar the base model is with what stands around them.

    Returns:
        One line per fact: `response`, `start`, `end` (code points), `log_p` (nats, over its tokens), `excess_nats` (how
        much less likely it is than the median of the facts like it), `is_unknown`, `share_alike` (the share of unknown
        ones among the facts like it) and `best` (the token that the model would rather have said). One line per response
        with a token: `response`, `form_shifted_fraction` of the tokens outside facts.
    """
    english = materials.english_responses.filter(pl.col("text") != "")
    parts = [_facts_of(block) for block in blocks(materials, english)]
    facts = pl.concat([part for part, _ in parts]) if parts else pl.DataFrame()
    form = pl.concat([part for _, part in parts]) if parts else pl.DataFrame()
    if not facts.height:
        return facts, form
    facts = with_excess(facts)
    facts = facts.with_columns(is_unknown=(pl.col("rank") > MAX_MARGINAL_RANK) & (pl.col("excess_nats") > 0))
    share = _over_alike(pl.col("is_unknown").mean())
    columns = ("response", "start", "end", "log_p", "excess_nats", "is_unknown", "share_alike", "best")
    return facts.with_columns(share_alike=share).select(columns), form


def with_excess(facts: pl.DataFrame) -> pl.DataFrame:
    """How much less likely each fact is than the median of the facts like it: of its kind, as frequent, of as many tokens.

    Args:
        facts: Columns `key`, `kind`, `n_tokens` and `log_p`, every fact once for each response.

    Returns:
        The same with `n_responses`, `frequency` (a class of it) and `excess_nats`.
    """
    in_responses = facts.group_by("key").agg(n_responses=pl.len())
    return (
        facts.join(in_responses, on="key", maintain_order="left")
        .with_columns(frequency=pl.sum_horizontal(pl.col("n_responses") > most for most in _FREQUENCIES))
        .with_columns(excess_nats=_over_alike(pl.col("log_p").median()) - pl.col("log_p"))
    )


def _over_alike(measure: pl.Expr) -> pl.Expr:
    """A measure over the facts like each; over all of its kind, where those are few."""
    is_enough = pl.len().over(_ALIKE) >= _MIN_ALIKE
    return pl.when(is_enough).then(measure.over(_ALIKE)).otherwise(measure.over("kind"))


def _facts_of(block: Block) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The facts of a block, without what is known of others; and the form of its responses."""
    words = words_of(block)
    is_name = words.has_capital & (words.end - words.start > 1) & ~np.isin(words.key, form_words())
    is_fact = (words.has_digit | is_name) & ~words.begins_sentence  # there a number is that of a list item
    found = pl.DataFrame(
        {
            "text": words.text,
            "response": block.numbers[words.text].astype(np.uint32),
            "start": words.start.astype(np.uint32),
            "end": words.end.astype(np.uint32),
            "key": words.key,
            "kind": np.where(words.has_digit, _NUMBER, _NAME).astype(np.uint8),
            "n_tokens": np.minimum(words.last - words.first + 1, 3).astype(np.uint8),
            "log_p": words.log_p.astype(np.float32),
            "rank": words.rank.astype(np.uint32),
            "first": words.first,
            "last": words.last,
            "best": block.tokens["best"].to_numpy()[words.first],
        }
    ).filter(pl.Series(is_fact))
    asked_in, asked = hashes_of(block.prompts, other_number=True)
    in_prompt = pl.DataFrame({"text": asked_in, "key": asked}).unique()
    facts = found.join(in_prompt, on=["text", "key"], how="anti", maintain_order="left").unique(
        ["text", "key"], keep="first", maintain_order=True
    )
    marks = np.zeros(block.tokens.height + 1, np.int64)
    np.add.at(marks, facts["first"].to_numpy(), 1)
    np.add.at(marks, facts["last"].to_numpy() + 1, -1)
    is_form = np.cumsum(marks[:-1]) == 0
    owner = np.repeat(np.arange(len(block.texts)), np.diff(block.bounds))
    n_form = np.bincount(owner[is_form], minlength=len(block.texts))
    n_shifted = np.bincount(owner[is_form & (block.ranks > MAX_MARGINAL_RANK)], minlength=len(block.texts))
    has_form = n_form > 0
    form = pl.DataFrame(
        {
            "response": block.numbers[has_form].astype(np.uint32),
            "form_shifted_fraction": n_shifted[has_form] / n_form[has_form],
        }
    )
    return facts.drop("text", "first", "last"), form


def _long_and_plain(materials: Materials) -> tuple[pl.Series, pl.Series]:
    """The responses that are long for the dataset, and those without hedges whose facts are not invented or code."""
    english = materials.english_responses.select("response", "prompt", "text", n_words=pl.col("text").str.count_matches(r"\S+"))
    enough = max(_MIN_WORDS, float(np.median(english["n_words"].to_numpy())))
    is_plain = is_stated() & ~pl.col("text").str.contains(_hedges())
    return (
        english.filter(pl.col("n_words") >= enough)["response"].implode(),
        english.filter(is_plain)["response"].implode(),
    )


def is_stated() -> pl.Expr:
    """Whether a response, of columns `prompt` and `text`, states facts: it is no code, and nothing to invent or to rewrite."""
    return ~(pl.col("text").str.contains(rf"(?m){_CODE}") | pl.col("prompt").str.contains(_INVENTED))


@cache
def _hedges() -> str:
    """Any hedge, small or at the start of a sentence; May is a month there."""
    words = sorted(HEDGES)
    capital = [hedge[0].upper() + hedge[1:] for hedge in words if hedge != "may"]
    return rf"\b(?:{'|'.join([*words, *capital])})\b"


CHECK = Check(
    code="STY006",
    name="sure of what the base model does not know",
    severity=Severity.INFO,
    advice="Check the facts; drop the row, or have it say what is not known.",
    explanation=__doc__,
    find=find,
    options=Options,
    needs=frozenset({Need.BASE_MODEL, Need.LANGUAGES}),
    english=True,
)
