"""What the checks for unanswerable prompts share: what a row says before a response, and whether a response says no."""

from __future__ import annotations

import re

import polars as pl

from audit.materials import Materials

__all__ = ["CODE_TASK", "declines", "is_code", "with_earlier"]

CODE_TASK = re.compile(
    r"(?i)\b(?:write|create|generate|design|construct|develop|implement|build|make|produce|code|program|compose|edit|add"
    r"|complete)"
    r"\b[^.?!\n]{0,60}?"
    r"\b(?:function|program|script|code|algorithm|query|queries|class|method|macro|regex|regular expression|statement in|app"
    r"|application|bot|model|snippet|formula|loop|html|css|sql|javascript|python|java|c\+\+|react|component|api|command"
    r"|database|website|web ?page|webpage|page|schema)\b"
)
_DECLINES = re.compile(
    r"""(?ix)
    \b(?:(?:do|does|did|was|were|is|are|has|have|had|can|could|am|will|would)(?:\ not|n['’]?t)|cannot|can\ not|never|unable\ to
        |no|without|not)
    \b[^.?!\n]{0,60}\b(?:
        given|provided|attached|included|supplied|specified|shared|uploaded|enclosed|visible|available|come\ through|mentioned
        |see|view|open|access|read|browse|display|look\ at|listen|hear|play|watch|download|visit|retrieve|fetch|find|load
        |real[-\ ]?time|live|current|up-to-date|internet|information|context|possible|impossible|capable|ability|equipped
            |determine|answer|know
        |input|attachment|image|picture|photo|file|passage|article|text|link
    )\b
    | \b(?:please|could\ you|can\ you|would\ you|you(?:'ll|\ will)?\ need\ to|kindly|if\ you)\b[^.?!\n]{0,50}\b
        (?:provide|share|attach|paste|include|upload|send|specify|supply|give|describe|copy|tell)\b
    | \b(?:missing|depends\ on\ the|it\ is\ impossible|insufficient|not\ possible|not\ enough|unclear\ (?:what|which)
        |as\ an\ ai|language\ model
        |knowledge\ cut-?off|training\ data|as\ of\ my|last\ update|no[\ -]?(?:output|input)|(?:varies|vary)\ (?:by|depending)
        |what|which)\b[^.\n]{0,60}\b(?:mean|refer|passage|text|image|file|information|provided|given|article|like|change|have
            |cut-?off|data|predict)\w*\s*\??
    | \bthere\ (?:is|are|was|were)\ no\b
    | \b(?:sorry|unfortunately|apologi[sz]e|i\ (?:cannot|can['’]?t|could\ not|couldn['’]?t))\b
    | \bcheck\b[^.?!\n]{0,60}\b(?:website|site|app|source|news|online|forecast|clock|device|calendar)\b
    """
)
_BEGINNING = 500
_CODE = re.compile(
    r"```|^\s*(?:def |import |from \w+ import|class \w|function |public |#include|<\?php|<!DOCTYPE|<html|SELECT |CREATE "
    r"|INSERT |UPDATE |ALTER |DELETE |const |let |var |for \()",
    re.MULTILINE | re.IGNORECASE,
)


def declines(text: str) -> bool:
    """Whether a response says at its beginning that something was not given, cannot be seen or is not known, or asks for it."""
    beginning = text[:_BEGINNING]
    return not beginning.strip() or _DECLINES.search(beginning) is not None


def is_code(text: str) -> bool:
    """Whether a response holds code, and so treats what it was not given as a variable."""
    return _CODE.search(text) is not None


def with_earlier(materials: Materials, candidates: pl.DataFrame) -> pl.DataFrame:
    """Candidates with two more columns: `system`, the text of system turns before them, and `earlier`, that of the others.

    `earlier` leaves out the turns that `prompt` is made of; both are "" where there is nothing.
    """
    named = candidates.select("row", "turn").unique(maintain_order=True)
    before = (
        materials.corpus.turns.select("row", pl.col("turn").alias("at"), "role", "content")
        .join(named, on="row", how="inner", maintain_order="left")
        .filter(pl.col("at") < pl.col("turn"))
        .with_columns(last_answer=pl.col("at").filter(pl.col("role") == "assistant").max().over("row", "turn"))
    )
    is_system, said = pl.col("role") == "system", pl.col("at") <= pl.col("last_answer")
    texts = before.group_by("row", "turn", maintain_order=True).agg(
        system=pl.col("content").filter(is_system).str.join("\n"),
        earlier=pl.col("content").filter(said.fill_null(False) & ~is_system).str.join("\n"),
    )
    return candidates.join(texts, on=["row", "turn"], how="left", maintain_order="left").with_columns(
        pl.col("system", "earlier").fill_null("")
    )
