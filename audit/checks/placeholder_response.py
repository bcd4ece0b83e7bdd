"""TXT002: a response is a placeholder where an answer should stand.

What: the whole response is a mark that somebody meant to fill in or that a program left behind: `<nooutput>`, `N/A`,
`TODO`, `...`, `[insert answer here]`, `lorem ipsum`. Brackets inside a longer text, as in a letter template, are no
placeholder, nor is a piece of code or markup, nor an answer such as "null" to a question that offers it. "None" is of
severity info, since it may be the answer; where the prompt asks whether there is any, it is left out.

Why it matters: the model learns to give the mark as an answer.

Example: `{"instruction": "Summarise the text.", "output": "<nooutput>"}`.

Fix: supply the answer, or `tunescope export --drop TXT002`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.checks.passages import REASONING
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials

__all__ = ["CHECK"]

_LONGEST = 80
# What every mark below holds; most short answers do not.
_HINT = (
    r"(?i)^\W*(?:no\b|no[\s_-]*(?:output|input|response|answer|content)|n\W?/?\W?a\b|to ?do|tb[da]|fixme|placeholder|"
    r"nan|null|undefined|none|x{3}|lorem)"
    r"|^[.…\-–—_*?]+$|answer|response|output|text|content"
)
_MARK = re.compile(
    r"""
    <\W*no[\s_-]*(?:output|input|response|answer|content)\W*> | \(?\s*no[\s_-]*(?:output|response\ given|answer\ given)\s*\)? |
    n\W?/\W?a | n\.\s?a | (?-i:NA) | todo | tbd | tba | fixme | placeholder | nan | null | undefined | (?P<none>none) |
    [.…\-–—_*?]{2,} | x{3,} | [.…?\-–—_] |
    [\[<{][^\]>}="':/]*\b(?:answer|response|output|text|content)\b[^\]>}="':/]*[\]>}] |
    \(\s*(?:your|insert|add|enter|fill|put|type|write)\b[^()]*\b(?:answer|response|output|text|content)\b[^()]*\) |
    (?:insert|add|enter|put|type|write)\s+(?:your\s+)?(?:answer|response|text)\s+here |
    lorem\ ipsum.*
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
# What may be answered with such a mark: "XXX" is a number, "NA" a continent, "-" a sign.
_MAY_BE_MEANT = re.compile(
    r"(?i)\b(?:roman|numerals?|abbreviat\w*|acronyms?|initials|symbols?|elements?|continents?|punctuation|hyphen|dash|sign|"
    r"operators?|morse|separator|delimiter|characters?)\b"
)
_MAY_BE_NONE = re.compile(
    r"(?i)\b(?:any|no|none|nothing|how many|which of|whether|if|errors?|mistakes?|exceptions?|exists?|missing|left|common|"
    r"output\w*|prints?|return\w*|evaluate\w*|value|type|true or false|python)\b"
)
_SIGNS_ARE_MEANT = re.compile(
    r"(?i)\b(?:dash(?:es)?|hyphens?|dots?|ellips[ie]s|divider|underscores?|asterisks?|question marks?)\b"
)
_WORD_IS_MEANT = re.compile(r"(?i)\b(?:which|what)\b[^?]*\b(?:value|keyword|tag|literal|constant)\b[^?]*\?")


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per response that is nothing but a placeholder and is not asked for."""
    answer = pl.col("text").str.replace(REASONING, "").str.strip_chars()
    short = (
        materials.corpus.responses.with_columns(answer=answer)
        .filter(pl.col("answer").str.len_chars().is_between(1, _LONGEST) | pl.col("answer").str.contains(r"(?i)^lorem ipsum"))
        .filter(pl.col("answer").str.contains(_HINT))
    )
    for row, turn, prompt, text, answer in short.iter_rows():
        bare = answer.rstrip(".!") if answer.strip(".!") else answer
        mark = _MARK.fullmatch(bare)
        if mark and not _is_offered(bare, prompt) and not (mark["none"] and _MAY_BE_NONE.search(prompt)):
            start = text.rindex(answer) if len(answer) < len(text.strip()) else 0
            end = start + len(answer) if start else len(text)
            evidence = Evidence(measure="the whole response", span=(start, end), quote=shorten(answer))
            severity = Severity.INFO if mark["none"] else CHECK.severity
            yield Finding(CHECK.code, row, turn, severity, f"The response is a placeholder: {shorten(answer, 40)}", evidence)


def _is_offered(mark: str, prompt: str) -> bool:
    """Whether a prompt names a mark, as a word of its own or in quotes, or asks for a sign or an abbreviation."""
    if len(mark) < 4 and _MAY_BE_MEANT.search(prompt):
        return True
    if (_SIGNS_ARE_MEANT if not any(map(str.isalnum, mark)) else _WORD_IS_MEANT).search(prompt):
        return True
    quoted = re.escape(mark.lower())
    around = (r"(?<!\w)", r"(?!\w)") if any(map(str.isalnum, mark)) else (r"[\"'“‘`(]\s*", r"\s*[\"'”’`)]")
    return re.search(quoted.join(around), prompt.lower()) is not None


CHECK = Check(
    code="TXT002",
    name="placeholder response",
    severity=Severity.WARNING,
    advice="Supply the answer, or drop the row.",
    explanation=__doc__,
    find=find,
)
