"""LNG002: a response changes its language.

What: a sentence, a line or a run of at least eight words of the response is in another language than the rest, or at least
three words of another script are strewn over a text in Latin letters. Left out are quotations, brackets, code, lists of
names, what the prompt holds too, and rows that speak of that language, of languages at large or of translating.

Why it matters: the model learns to slip into another language in the middle of an answer.

Example: "Boil the rice for ten minutes. Luego se deja reposar con la tapa puesta."

Fix: write the whole answer in one language, or `tunescope export --drop LNG002`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.checks.base import Check, NoOptions, shorten
from audit.checks.tongues import FUNCTION_WORDS, are_confused, has_function_words, name_of, speaks_of
from audit.checks.unanswerable import with_earlier
from audit.findings import Evidence, Finding, Severity
from audit.languages import languages_of
from audit.materials import Materials, Need
from indexes.words import WordStream

__all__ = ["CHECK"]

# Those that English text seldom has; enough of them in a row, and it is a sentence.
_TELLING = {
    language: frozenset(words)
    - frozenset(
        "a as do no is on e o y en de la le un me so per con des die den op il er te el per du et au sur un di im zu es "
        "das na da em del los las dos della dei der den".split()
    )
    for language, words in FUNCTION_WORDS.items()
    if language != "en"
}
_FOREIGN = frozenset[str]().union(*(words for language, words in FUNCTION_WORDS.items() if language != "en")) - frozenset(
    "a as do no is in on an was me of so per at am or to over by he we has o e y i es het ha su ser sur van des del nos "
    "das dos".split()
)
_LEFT_OUT = re.compile(
    r"(?s)```.*?(?:```|\Z)|`[^`\n]*`|\"[^\"\n]*\"|“[^”\n]*”|«[^»\n]*»|„[^“\n]*“|‘[^’\n]*’|(?<!\w)'[^'\n]*'(?!\w)|\([^()\n]*\)"
    r"|\[[^\[\]\n]*\]|\*[^*\n]+\*|_[^_\n]+_|https?://\S+|<\|[^|>]*\|>|<[^<>\n]*>"
)
_PIECE = re.compile(r"[^\n.!?。！？;]+[.!?。！？;]*")
_WORD = re.compile(r"[^\W\d_]+")
_LEAST_WORDS, _LEAST_SIGNS = 5, 6
_WINDOW_WORDS, _GLANCE_WORDS = 8, 6
_SIGNS = re.compile(r"[\u0370-\u1fff\u2e80-\ud7ff\uf900-\ufaff][\u0370-\u1fff\u2e80-\ud7ff\uf900-\ufaff\s，、]{5,}")
_SIGNS_IN_A_ROW = re.compile(r"[\u0370-\u1fff\u2e80-\ud7ff\uf900-\ufaff]{4}")
# "- native name is": a name in its own script follows.
_FIELD = re.compile(r"(?i)^\W*(?:\w+ ){0,4}?(?:name|alias|title|birth ?name)\w*(?: is\b|:| -)")
_LEAST_STREWN = 3
_STREWN = re.compile(
    r"(?<=[a-z,] )(?P<signs>[\u0400-\u1fff\u2e80-\ud7ff\uf900-\ufaff]{2,}"
    r"(?: [\u0400-\u1fff\u2e80-\ud7ff\uf900-\ufaff]{2,})*)(?=[ ,.])"
)
_NOT_LATIN = re.compile(r"[\u0370-\u1fff\u2e80-\ud7ff\uf900-\ufaff]")


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per response with a stretch in another language than the rest; the first stretch is named."""
    words, language = materials.response_words, pl.col("language")
    tokens = {
        "foreign": [word in _FOREIGN for word in words.vocabulary],
        "accented": [not word.isascii() and word.isalpha() for word in words.vocabulary],
        "english": [word in FUNCTION_WORDS["en"] for word in words.vocabulary],
        "signs": [_NOT_LATIN.search(word) is not None for word in words.vocabulary],
    }
    upto = {name: _running_count(words, np.array(flags, dtype=np.bool_)) for name, flags in tokens.items()}
    counted = materials.responses.with_columns(
        pl.Series("foreign_run", _has_foreign_run(words, upto)),
        *(
            pl.Series(name, np.subtract(upto[name][words.offsets[1:]], upto[name][words.offsets[:-1]]))
            for name in ("english", "signs")
        ),
    )
    is_english = language.is_in(["en", ""])
    candidates = counted.filter(
        (pl.col("signs") >= 2) | (is_english & pl.col("foreign_run")) | (~is_english & (pl.col("english") >= 1))
    ).select("row", "turn", "prompt", "text", "answer_start", "language")
    looked_at = with_earlier(materials, candidates)
    pieces = [_pieces(content, start) for content, start in looked_at.select("text", "answer_start").iter_rows()]
    texts = [piece.group() for of_one in pieces for piece in of_one]
    told = iter(languages_of(pl.Series(texts, dtype=pl.String)).to_list())
    for (row, turn, prompt, content, _, _, system, earlier), of_one in zip(looked_at.iter_rows(), pieces, strict=True):
        found = _stretch(content, of_one, [next(told) for _ in of_one], prompt)
        if found is None:
            continue
        begin, end, spoken, rest = found
        meant = {spoken, rest} - {"en"}
        if any(speaks_of(said, language) for said in (prompt, content, system, earlier) for language in meant):
            continue
        message = f"A stretch of the {name_of(rest)} response is {name_of(spoken)}."
        evidence = Evidence("language of a stretch", None, None, (), (begin, end), shorten(content[begin:end]))
        yield Finding(CHECK.code, row, turn, CHECK.severity, message, evidence)


def _running_count(words: WordStream, flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many of the tokens before each place are flagged; shape `(n_tokens + 1,)`."""
    upto = np.zeros(len(words.ids) + 1, dtype=np.int64)
    if len(words.vocabulary):
        np.cumsum(flags[words.ids], out=upto[1:])
    return upto


def _has_foreign_run(words: WordStream, upto: dict[str, NDArray[np.int64]]) -> NDArray[np.bool_]:
    """Whether some tokens in a row hold no English function word but two foreign ones or two with accents; `(n_texts,)`."""
    text_of = np.repeat(np.arange(words.n_texts), np.diff(words.offsets))
    begin, end_of_text = np.arange(len(words.ids)), words.offsets[1:][text_of]
    found = np.zeros(words.n_texts, dtype=np.bool_)
    for width in (_GLANCE_WORDS, _WINDOW_WORDS):
        end = np.minimum(begin + width, end_of_text)
        within = {name: counts[end] - counts[begin] for name, counts in upto.items()}
        is_foreign = (within["foreign"] >= 2) | (within["accented"] >= 2)
        found[text_of[(within["english"] == 0) & is_foreign & (end - begin >= _LEAST_WORDS)]] = True
    return found


def _pieces(content: str, start: int) -> list[re.Match[str]]:
    """The sentences and lines of a response, what is quoted or code left out."""
    masked = _LEFT_OUT.sub(lambda match: " " * len(match.group()), content)
    return [match for match in _PIECE.finditer(masked, start) if _WORD.search(match.group())]


def _stretch(content: str, pieces: list[re.Match[str]], languages: list[str], prompt: str) -> tuple[int, int, str, str] | None:
    """Where a stretch in another language lies, its language, and that of the rest."""
    told = [language or _script_of(piece.group()) for piece, language in zip(pieces, languages, strict=True)]
    letters: dict[str, int] = {}
    for piece, language in zip(pieces, told, strict=True):
        letters[language] = letters.get(language, 0) + sum(char.isalpha() for char in piece.group())
    known = [language for language in letters if language]
    rest = max(known, key=lambda language: letters[language], default="")
    if len(known) < 2 and letters.get("", 0):  # short sentences; what they are together may be told
        unknown = " ".join(piece.group() for piece, language in zip(pieces, told, strict=True) if not language)
        others = str(languages_of(pl.Series([unknown], dtype=pl.String))[0]) or _by_function_words(unknown)
        rest = others if others and (not rest or letters[""] >= letters[rest] or len(known) == 1) else rest
    of_rest = " ".join(piece.group() for piece, language in zip(pieces, told, strict=True) if language == rest)
    if rest != "en" and not has_function_words(of_rest, rest, 2):
        return None  # a list of names
    for number, (piece, language) in enumerate(zip(pieces, told, strict=True)):
        words = piece.group()
        begin = piece.start() + len(words) - len(words.lstrip())
        end = piece.end() - (len(words) - len(words.rstrip()))
        if content[begin:end] in prompt:
            continue
        if language and rest and not are_confused(language, rest) and _is_sentence(words, language):
            return begin, end, language, rest
        if rest == "en" and (both := _two_pieces(pieces[number : number + 2], told[number : number + 2])):
            return begin, pieces[number + 1].end(), both, rest
        if rest in FUNCTION_WORDS and (within := _foreign_run(words, rest)):
            return piece.start() + within[0], piece.start() + within[1], within[2], rest
    return _strewn_words(pieces, rest, prompt)


def _two_pieces(pieces: list[re.Match[str]], told: list[str]) -> str:
    """The language other than English of two short sentences together, or ""."""
    words = " ".join(piece.group() for piece in pieces)
    if len(pieces) < 2 or "en" in told or _NOT_LATIN.search(words) or has_function_words(words, "en", 1):
        return ""
    language = str(languages_of(pl.Series([words], dtype=pl.String))[0])
    return language if language not in ("", "en") and _is_sentence(words, language) else ""


def _strewn_words(pieces: list[re.Match[str]], rest: str, prompt: str) -> tuple[int, int, str, str] | None:
    """Several words of another script among those of a text in Latin letters; after a name, they are the name again."""
    strewn = [
        (piece.start() + match.start("signs"), piece.start() + match.end("signs"), match["signs"])
        for piece in pieces
        for match in _STREWN.finditer(piece.group())
        if match["signs"] not in prompt
    ]
    if rest not in FUNCTION_WORDS or len({signs for _, _, signs in strewn}) < _LEAST_STREWN:
        return None
    begin, end, _ = strewn[0]
    joined = " ".join(signs for _, _, signs in strewn)
    language = str(languages_of(pl.Series([joined], dtype=pl.String))[0])
    return begin, end, language or unicodedata.name(joined[0], "").partition(" ")[0].title(), rest


def _by_function_words(words: str) -> str:
    return (
        "en"
        if has_function_words(words, "en", 1)
        or (not _NOT_LATIN.search(words) and len(_WORD.findall(words)) >= 4 and words.isascii())
        else ""
    )


def _script_of(words: str) -> str:
    """The script of words that are in no known language, where it is not Latin; else ""."""
    signs = _SIGNS_IN_A_ROW.search(words)
    if 2 * len(_NOT_LATIN.findall(words)) < sum(char.isalpha() for char in words):
        return ""
    return unicodedata.name(signs.group()[0], "").partition(" ")[0].title() if signs else ""


def _is_sentence(words: str, language: str) -> bool:
    if _FIELD.match(words):
        return False
    if _NOT_LATIN.search(words):
        return len(_NOT_LATIN.findall(words)) >= _LEAST_SIGNS and _SIGNS_IN_A_ROW.search(words) is not None
    found = _WORD.findall(words)
    is_known = language in FUNCTION_WORDS and has_function_words(words, language, 3)
    is_list = (not is_known and 2 * sum(word.islower() for word in found) < len(found)) or 4 * words.count(",") > len(found)
    return len(found) >= _LEAST_WORDS and not is_list and has_function_words(words, language, 2)


def _foreign_run(words: str, rest: str) -> tuple[int, int, str] | None:
    """A run of words with three function words of one other language and none of the rest's; or of another script."""
    if signs := _SIGNS.search(words):
        language = str(languages_of(pl.Series([signs.group()], dtype=pl.String))[0])
        return (signs.start(), signs.start() + len(signs.group().rstrip()), language) if language not in ("", rest) else None
    found = list(_WORD.finditer(words))
    for first in range(max(len(found) - _WINDOW_WORDS + 1, 0)):
        window = [match.group().lower() for match in found[first : first + _WINDOW_WORDS]]
        for language, telling in _TELLING.items() if rest == "en" else (("en", FUNCTION_WORDS["en"]),):
            of_rest = FUNCTION_WORDS[rest] - FUNCTION_WORDS[language]
            told = {word for word in window if word in telling - FUNCTION_WORDS[rest]}
            if (
                len(told) >= 2
                and sum(word in FUNCTION_WORDS[language] for word in window) >= 4
                and not of_rest.intersection(window)
            ):
                return found[first].start(), found[first + _WINDOW_WORDS - 1].end(), language
    return None


CHECK = Check(
    code="LNG002",
    name="mixed languages",
    severity=Severity.WARNING,
    advice="Write the whole answer in one language.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.WORDS, Need.LANGUAGES}),
)
