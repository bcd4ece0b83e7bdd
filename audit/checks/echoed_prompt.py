"""TXT008: an answer repeats its prompt.

What: the answer is the prompt over again, or its first line, its question, or the whole text that it was to work on; or
it begins with the prompt or its first line and then goes on. White space, outer quotes, the last full stop and a label
before it ("You asked:", "Question:") do not count; in the text to work on, everything else does. Tasks that may leave
their text as it is (repeating, correcting, sorting, highlighting, marking) and sentences that go on from the prompt's
words are left out. An answer that begins with the question or the text below the first line is of severity info.

Why it matters: the model learns to say the question again in place of an answer.

Example: `{"instruction": "When was the tunnel built?", "output": "When was the tunnel built?"}`.

Fix: cut the repeated part or supply an answer; or `tunescope export --drop TXT008`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import polars as pl

from audit.checks.base import Check, bounded, shorten
from audit.checks.passages import ANSWER
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK", "Options"]

_MAY_STAY = re.compile(
    r"(?i)\b(?:correct\w*|fix\w*|gramma\w*|punctuat\w*|spell\w*|errors?|mistakes?|proof-?read\w*|edit\w*|improv\w*|"
    r"repeat\w*|cop(?:y|ied)|echo|say|type|"
    r"recite|read|print\w*|output|display|transcribe|sort\w*|order\w*|arrang\w*|rearrang\w*|organi[sz]\w*|rank\w*|"
    r"capital\w*|check\w*|format\w*|clean\w*|"
    r"remov\w*|delet\w*|insert\w*|add|adding|identif\w*|find|circle|highlight\w*|underlin\w*|mark|bold|select\w*|"
    r"choose|pick|extract\w*|unscramble|"
    r"complet\w*|fill\w*|continu\w*|quote|list|chang\w*|replac\w*|detect\w*|return|unchanged|necessary|needed|as is|"
    r"convert\w*|adjust\w*|revis\w*|"
    r"modif\w*|transform\w*|separat\w*|split|combine|merge|join|put|structure|restructur\w*|parse|append|expand|"
    r"extend|finish|active|passive|tense|code|"
    r"function|script|program|lowercase|uppercase|valid\w*|verif\w*|ensure|redact|mask|choices?|options?|which|cite|"
    r"mimic|pronounce|sing|match\w*|pair)\b"
)
_OUTER = " \t\r\n\"'“”‘’«»*_`.。:?!"
_OF_LITTLE_WEIGHT = ("begins with the text that it was given", "begins with the question")
_BEGINNING = 32
_LONGEST_TASK = 400
_GOES_ON = re.compile(
    r"(?i)\b(?:write|creat\w*|compos\w*|generat\w*|develop\w*|story|poem|song|lyrics|essay|paragraph|dialog\w*|build|"
    r"start\w*|begin\w*|follow\w*|analy[sz]e"
    r"|summary|finish\w*|continu\w*|complet\w*|joke|riddle|rewrite|label|annotat\w*|design|craft|prove|solve|"
    r"calculat\w*|comput\w*|query)\b"
)
_ON_QUESTIONS = re.compile(
    r"(?i)\b(?:(?:generat\w*|writ\w*|creat\w*|ask|form\w*|make|turn)\b.*\bquestions?|repeat|copy|correct|rewrite|"
    r"rephrase|grammar|punctuat\w*|fix|edit)\b"
)
# Holds for Rust's expressions (columns) and Python's alike.
_LABEL = (
    r"(?i)^[\s*#>_]*(?:(?:your |the |original )?(?:question|q|prompt|instruction|task|input|query|request|user|human)"
    r"|you (?:asked|said|wrote|want(?:ed)?))(?: (?:is|was|reads?))?[\s*_]*[:：][\s*_]*"
)
_FIND_LABEL = re.compile(_LABEL)
_WORD = re.compile(r"\S+")
# A full stop, a line end or a new sentence; otherwise the answer only goes on from the same words.
_CLOSES = re.compile(
    r"(?P<marks>(?: (?=[.?!:]))?[\"'”’»*_.。)?!:：？！]*)"
    r"(?:(?<=[.?!:。？！：])|(?<=[.?!:。？！：][\"'”’»*_)])|(?<=[.?!][*]{2})|[ \t]*\n|\s*$|\s+[A-Z0-9])"
)


@dataclass(frozen=True)
class Options:
    """`min_words`: words from which on a repeated text counts, 2 to 50. Three ideographs count as one."""

    min_words: int = bounded(3, 2, 50)


def find(materials: Materials, options: Options) -> Iterator[Finding]:
    """One finding per answer that is, or begins with, what it answers."""
    prompt = pl.col("prompt")
    # Two texts that begin alike agree in their first letters; most pairs do not, and cost no more than that.
    parts = (
        prompt.str.slice(0, _BEGINNING),
        prompt.str.extract(r"^[^\n]*\n\s*([^\n]{1,32})"),
        prompt.str.extract(r"^[^\n:]*: (.{1,32})"),
    )
    head = ANSWER.str.slice(0, _BEGINNING)
    beginning = _letters(head)
    asks = ANSWER.str.contains(r"[?？][\s\"'”*]*$") & prompt.str.contains("\n", literal=True)
    alike = asks | pl.any_horizontal(_letters(part) == beginning for part in parts)
    candidates = materials.responses.filter((alike & (beginning != "")) | head.str.contains(_LABEL)).with_columns(
        answer=ANSWER.str.strip_chars()
    )
    for row, turn, asked, text, given in candidates.select("row", "turn", "prompt", "text", "answer").iter_rows():
        echo = _echo(asked, given, options.min_words)
        if (
            echo is None
            and (label := _FIND_LABEL.match(given))
            and (after := _echo(asked, given[label.end() :], options.min_words))
        ):
            echo = after[0], label.end() + after[1]
        if echo is None:
            continue
        what, length = echo
        start = text.rindex(given)
        evidence = Evidence(
            "share of the answer that repeats the prompt",
            round(length / len(given), 4),
            span=(start, start + length),
            quote=shorten(given[:length]),
        )
        severity = Severity.INFO if what.endswith(_OF_LITTLE_WEIGHT) else CHECK.severity
        yield Finding(CHECK.code, row, turn, severity, f"The answer {what}.", evidence)


def _letters(text: pl.Expr) -> pl.Expr:
    return text.str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", "").str.slice(0, 6)


def _echo(prompt: str, answer: str, min_words: int) -> tuple[str, int] | None:
    """What of the prompt the answer repeats, in words, and how many characters of the answer that takes."""
    prompt = prompt.strip()
    first, _, rest = (part.strip() for part in prompt.partition("\n"))
    question = rest[rest.rfind("\n") + 1 :] if rest.endswith(("?", "？")) else ""
    named = {"the prompt": prompt, "the first line of the prompt": first if rest else "", "the question": question}
    for name, part in named.items():
        if _n_words(part) >= min_words and (length := _begins_with(answer, part)):
            whole = not answer[length:].strip(_OUTER)
            if part is question and (_ON_QUESTIONS if whole else _GOES_ON).search(first):
                continue
            return (f"repeats {name}", len(answer)) if whole else (f"begins with {name}", length)
    if not rest:
        first, _, rest = (part.strip() for part in prompt.partition(": "))
    if _n_words(rest) <= min_words or len(first) > _LONGEST_TASK or _MAY_STAY.search(first):
        return None
    if _bare(answer) == _bare(rest):
        return "repeats the text that it was given", len(answer)
    length = _begins_with(answer, rest)
    if _n_words(rest) >= 2 * min_words and "\n" in answer[length : length + 3] and not _GOES_ON.search(first):
        return "begins with the text that it was given", length
    return None


def _bare(text: str) -> str:
    return " ".join(text.split()).strip(_OUTER)


def _n_words(text: str) -> int:
    """Words, or what ideographs and kana make of them at three a word."""
    return max(len(text.split()), sum(char >= "\u2e80" for char in text) // 3)


def _begins_with(answer: str, part: str) -> int:
    """How many characters at the start of an answer repeat a text and end there; 0 where its words only go on."""
    words = part.strip(_OUTER).split()
    begin = len(answer) - len(answer.lstrip("\"'“«*>_"))
    said = list(islice(_WORD.finditer(answer, begin), len(words)))
    if begin > 2 or not words or len(said) < len(words):
        return 0
    *before, last = said
    if [word.group().casefold() for word in before] != [word.casefold() for word in words[:-1]]:
        return 0
    if not last.group().casefold().startswith(words[-1].casefold()):
        return 0
    end = last.start() + len(words[-1])
    closing = _CLOSES.match(answer, end)
    return closing.end("marks") if closing else 0


CHECK = Check(
    code="TXT008",
    name="echoed prompt",
    severity=Severity.WARNING,
    advice="Cut the repeated part or supply an answer, or drop the row.",
    explanation=__doc__,
    find=find,
    options=Options,
    needs=frozenset({Need.LANGUAGES}),
)
