"""The language of a text, where it can be told: ISO 639-1, or "" for texts too short or too odd to say.

Most texts of most instruction data are English, and a count of English function words, in one columnar pass, settles
those. The rest goes to py3langid (Lui & Baldwin 2012, langid.py, retrained), 0.2 ms a text, which is believed only where it
is sure: a name, a formula or a line of code has no language. Reads the beginning of a text, without fenced code.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

__all__ = ["LANGUAGES", "language_of", "languages_of"]

_CHARACTERS = 400
_ENGLISH = (
    r"(?i)\b(?:the|and|of|to|is|in|that|for|it|with|are|this|you|was|be|as|on|have|by|from|an|can|which|at|or|your|what|how"
    r"|why|their|they|we|has|not)\b"
)
# Of the letters seen, the least that a decision needs; scripts of their own tell more per letter.
_LATIN_LETTERS, _OTHER_LETTERS = 25, 6
# Without a Latin letter, only languages of one script are left, and the nearest of them take shares from one another.
_SURE, _SURE_OF_SCRIPT = 0.9, 0.5
_LATIN = re.compile(r"[A-Za-z]")

LANGUAGES = (
    "af ar az be bg bn bs ca cs cy da de el en es et eu fa fi fr ga gl gu he hi hr hu hy id is it ja ka kk km kn ko lo lt lv "
    "mk ml mn mr ms my ne nl no pa pl pt ro ru si sk sl sq sr sv sw ta te th tl tr uk ur uz vi zh"
).split()
"""The languages told apart; more would take short Latin texts for rare ones."""


def languages_of(texts: pl.Series) -> pl.Series:
    """The language of every text, as strings, shape `(n_texts,)`."""
    text = pl.col("text")
    seen = (
        pl.DataFrame({"text": texts})
        .with_columns(text.str.replace_all(r"(?s)```.*?(?:```|\z)", " ").str.slice(0, _CHARACTERS))
        .with_columns(
            words=text.str.count_matches(r"\p{L}+"),
            latin=text.str.count_matches(r"\p{Latin}"),
            letters=text.str.count_matches(r"\p{L}"),
            ascii=text.str.count_matches(r"[A-Za-z]"),
            english=text.str.count_matches(_ENGLISH),
        )
    )
    other = pl.col("letters") - pl.col("latin")
    plain = (pl.col("english") >= 2) & (pl.col("english") / pl.col("words") >= 0.3) & (pl.col("ascii") == pl.col("letters"))
    language = (
        pl.when((pl.col("words") >= 4) & plain)  # a short question has function words enough
        .then(pl.lit("en"))
        .when((pl.col("latin") < _LATIN_LETTERS) & (other < _OTHER_LETTERS))
        .then(pl.lit(""))
        .when(
            (pl.col("words") >= 5)
            & (pl.col("english") / pl.col("words") >= 0.2)
            & (pl.col("ascii") >= 0.95 * pl.col("letters"))
        )
        .then(pl.lit("en"))
    )
    seen = seen.with_columns(language=language)
    asked = seen.filter(pl.col("language").is_null()).select("text").unique(maintain_order=True)
    answers = asked.with_columns(answer=pl.Series([_identify(one) for one in asked["text"]], dtype=pl.String))
    return seen.join(answers, on="text", how="left", maintain_order="left").select(
        pl.coalesce("language", "answer", pl.lit("")).alias("language")
    )["language"]


def language_of(text: str) -> str:
    """The language of one text."""
    return str(languages_of(pl.Series([text], dtype=pl.String))[0])


def _identify(text: str) -> str:
    language, confidence = _identifier().classify(text)
    least = _SURE if _LATIN.search(text) else _SURE_OF_SCRIPT
    return language if confidence >= least else ""


@lru_cache(maxsize=1)
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(LANGUAGES)
    return identifier
