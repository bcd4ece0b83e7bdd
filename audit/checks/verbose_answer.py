"""STY002: an answer is longer than its instruction asks for.

What: English. Either the instruction sets a limit and the answer goes beyond it: words ("in 50 words or less", "a 20-word
summary", "in one word"), sentences, paragraphs, or items of a list; or it asks for one fact, a yes or no, which of two, or
one of two classes ("true or false"), the first sentence answers it, and the rest, at least 25 words, takes it beyond three
times the dataset's median for such questions. Limits in words leave a margin (a tenth; half of a number that is no upper
limit), and limits on parts ("each in one sentence") or on what is given are none. Answers below twice a limit are of severity
info. Of the second kind, questions for reasons, details, advice or several things are left out, as are datasets with fewer
than 20 such questions.

Why it matters: the model learns to go on when the question is answered. What goes on has to come from somewhere: answers
made concise raise the factuality of a tuned model (Ghosh et al. 2024, LIMA against LIMA-Simple: 2.94 to 3.16 of 5).

Example: `{"instruction": "When did the mill burn down?", "output": "The mill burned down in 1871. Mills like it were …"}`.

Fix: cut what is beyond, or `tunescope export --mend concise`; or `tunescope export --drop STY002`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from audit.checks.base import Check, bounded, shorten
from audit.checks.passages import ANSWER
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need
from audit.shift.sentences import sentence_spans
from audit.style.need import WORD, Kind, Limit, Request, Unit, n_words, read_requests, request_text

__all__ = ["CHECK", "Options"]


@dataclass(frozen=True)
class Options:
    """`max_ratio`: how many times the median length of such answers is too long, 1.5 to 20."""

    max_ratio: float = bounded(3.0, 1.5, 20.0)


@dataclass(frozen=True, slots=True)
class _Excess:
    """What is beyond: how much there is, how much was wanted, of which unit, and where the rest begins."""

    given: int
    wanted: float
    unit: str
    start: int
    message: str
    severity: Severity


_MIN_REST_WORDS = 25
_MIN_GROUP = 20
_SHORT_KINDS = frozenset({Kind.FACT, Kind.YES_NO, Kind.CLASSIFY})
# Of classifications those of one thing into one of two or three classes.
_ONE_CLASS = re.compile(
    r"(?i)\b(?:sentiment|emotion|true or false|fact or (?:an )?opinion|positive or negative|spam|sarcas\w+)\b"
)
_OPEN = re.compile(
    r"(?i)\b(?:good|best|better|worst|ideal|should|would you|recommend\w*|favou?rite|top|places?|ways?|safe|possible|"
    r"challenges?|problems?|why)\b|\blike\?|\b(?:I|my|we|our)\b|\band (?:what|when|where|which|how|who|why)\b|"
    r"\b(?:develop|build|create|"
    r"design|write|train|generate)\b"
)
_QUESTION = re.compile(r"[^.!?\n]*\?")
_LONG_QUESTION = 160
_REFUSES = re.compile(r"(?i)^\W*(?:I['’]m sorry|I am sorry|sorry|as an AI|unfortunately|I (?:can(?:no|['’])t|cannot))\b")
_LIST_ITEM = re.compile(r"(?m)^(?P<indent>[ \t]*)(?:[-*•+]|\(?\d{1,3}[.):])[ \t]*\S.*$")
_LETTER = re.compile(r"\w")
_PARAGRAPH = re.compile(r"\S(?:(?!\n[ \t]*\n)[\s\S])*")
_MIN_PARAGRAPH_WORDS = 15
_ABBREVIATION_CHARACTERS = 16
_ABBREVIATION = re.compile(r"\b(?:(?:[A-Z]\.){2,}|(?:Op|Sr|Jr|etc|Inc|Ltd|Corp|Co|Ave|Ft)\.)$")
_VERSE = re.compile(r"(?i)\b(?:haiku|poem|verse|song|lyrics|limerick|rap)\b")
_QUOTED = re.compile(r"[\"“][^\"“”]*[\"”]")
# One line of short things with commas between them.
_NAMED = re.compile(
    r"(?:[^.;:\n]{0,80}(?:\b(?:are|includ(?:e|ing))|:)\s+)?(?P<named>[^,.;:!?()\d\n]+(?:,[^,.;:!?()\d\n]+){2,})[.!]?\s*"
)
_CLAUSE = re.compile(r"(?i)\b(?:such as|includ\w+|are|is|was|were|has|have|can)\b")
_MAX_NAME_WORDS = 5
_EITHER = re.compile(r"(?i)^(?:which|what|who) (?:is|was|are|has|have|of|one|\w+ is)\b[^?\n]{3,100}\bor\b[^?\n]{2,60}\?\s*$")
_ROUGH_MARGIN, _WORD_MARGIN, _FEW = 1.5, 1.1, 2
# What a first sentence must hold to answer a question.
_NAME = re.compile(r"(?<!^)(?<![.!?] )\b[A-Z][\w'’-]+")
_DATE = re.compile(
    r"(?i)\d|\b(?:january|february|march|april|may|june|july|august|september|october|november|december|century|monday|"
    r"tuesday|wednesday|thursday|friday|saturday|sunday|spring|summer|autumn|winter|fall)\b"
)
_QUANTITY = re.compile(
    r"(?i)\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|hundred|thousand|million|"
    r"billion|no|none|zero)\b"
)
_IS = re.compile(r"(?i)^(?!.*\b(?:many|several|various|depends?|unclear|unknown)\b).*\b(?:is|are|was|were)\b")
_VERDICT = re.compile(
    r"(?i)^\W*(?:yes|no|true|false|correct|incorrect|it (?:is|is not|isn't|depends))\b|\b(?:is|are|was|were|as|not|can|"
    r"does|do|did|has|have|had|will)\b"
)


def find(materials: Materials, options: Options) -> Iterator[Finding]:
    """One finding per answer that goes on beyond what its instruction asks for."""
    answers = materials.english_responses.select("row", "turn", "prompt", "answer_start", answer=ANSWER)
    requests = read_requests(answers["prompt"].to_list())
    usual = _usual_words(requests, answers["answer"].to_list())
    for request, (row, turn, prompt, offset, answer) in zip(requests, answers.iter_rows(), strict=True):
        kind = Kind.YES_NO if _EITHER.search(request_text(prompt)) else request.kind
        if not request.limits and kind not in _SHORT_KINDS:
            continue
        excess = _beyond_limits(request, prompt, answer)
        if excess is None and kind in usual:
            excess = _beyond_answer(replace(request, kind=kind), prompt, answer, usual[kind], options.max_ratio)
        if excess is None or _REFUSES.search(answer):
            continue
        end = len(answer.rstrip())
        evidence = Evidence(
            f"{excess.unit} of the answer",
            excess.given,
            excess.wanted,
            span=(offset + excess.start, offset + end),
            quote=shorten(answer[excess.start : end]),
        )
        yield Finding(CHECK.code, row, turn, excess.severity, excess.message, evidence)


def _usual_words(requests: list[Request], answers: list[str]) -> dict[Kind, float]:
    """The median length of the answers to each kind of short question, where the dataset has enough of them."""
    lengths: dict[Kind, list[int]] = {kind: [] for kind in _SHORT_KINDS}
    for request, answer in zip(requests, answers, strict=True):
        if request.kind in lengths:
            lengths[request.kind].append(n_words(answer))
    return {kind: float(np.median(words)) for kind, words in lengths.items() if len(words) >= _MIN_GROUP}


def _beyond_limits(request: Request, prompt: str, answer: str) -> _Excess | None:
    """What is beyond the limit that an instruction sets; of several all, of different units, or they may be of parts."""
    if request.kind is Kind.CODE:
        return None
    beyond = [_beyond_limit(limit, prompt, answer) for limit in request.limits]
    is_of_all = len({limit.unit for limit in request.limits}) == len(beyond) > 0 and all(beyond)
    return beyond[0] if is_of_all else None


def _beyond_limit(limit: Limit, prompt: str, answer: str) -> _Excess | None:
    if (high := limit.high) is None:
        return None
    items = _items(answer)
    if limit.unit is Unit.ITEMS:
        text = request_text(prompt)
        asks_more = re.search(r"(?i)\band\b|,|:", text[text.find(limit.text) :])
        if not items and not asks_more and (named := _named(answer)) is not None:
            is_many = len(named) > high and len(named) != 2 * high  # twice as many may be places and their countries
            return _excess(limit, len(named), named[high]) if is_many else None
        is_one_list = items and not re.search(r"\S", _between(answer, items))
        return _excess(limit, len(items), items[high].start()) if len(items) > high and is_one_list and not asks_more else None
    if len(items) >= 2 or "```" in answer:
        return None
    if limit.unit is Unit.WORDS:
        words = list(WORD.finditer(answer))
        most = high * (_ROUGH_MARGIN if limit.is_rough or limit.low is not None else _WORD_MARGIN) + _FEW * (high > 1)
        return _excess(limit, len(words), words[high].start()) if len(words) > most else None
    if limit.unit is Unit.SENTENCES and not _VERSE.search(prompt):
        spans = _sentences(_QUOTED.sub(lambda quoted: re.sub(r"[.!?\n]", " ", quoted.group()), answer))
        return _excess(limit, len(spans), spans[high][0]) if len(spans) > high else None
    if limit.unit is Unit.PARAGRAPHS:
        begins = [found for found in _PARAGRAPH.finditer(answer) if n_words(found.group()) >= _MIN_PARAGRAPH_WORDS]
        return _excess(limit, len(begins), begins[high].start()) if len(begins) > high else None
    return None


def _named(answer: str) -> list[int] | None:
    """Where the things begin of which an answer is a list in one line."""
    if (found := _NAMED.fullmatch(answer)) is None:
        return None
    parts = list(re.finditer(r"[^,]+", found["named"]))
    if any(n_words(part.group()) > _MAX_NAME_WORDS or _CLAUSE.search(part.group()) for part in parts):
        return None
    return [found.start("named") + part.start() + len(part.group()) - len(part.group().lstrip()) for part in parts]


def _items(answer: str) -> list[re.Match[str]]:
    """The items of a list, those of its first level."""
    items = list(_LIST_ITEM.finditer(answer))
    return [item for item in items if len(item["indent"]) <= len(items[0]["indent"])]


def _between(answer: str, items: list[re.Match[str]]) -> str:
    """What stands between the items of a list, without further lines of an item, which are indented."""
    between = "".join(answer[one.end() : other.start()] for one, other in pairwise(items))
    return re.sub(r"(?m)^[ \t]+\S.*$", "", between)


def _excess(limit: Limit, given: int, start: int) -> _Excess:
    assert limit.high is not None
    message = f"The instruction asks for “{shorten(limit.text, 60)}”; the answer has {given} {limit.unit}."
    severity = CHECK.severity if given >= 2 * limit.high else Severity.INFO
    return _Excess(given, limit.high, str(limit.unit), start, message, severity)


def _beyond_answer(request: Request, prompt: str, answer: str, usual: float, max_ratio: float) -> _Excess | None:
    """What follows the sentence that answers a question for one thing."""
    if request.is_detailed or _LIST_ITEM.search(answer) or "```" in answer:
        return None
    text = request_text(prompt)
    asked = _ONE_CLASS.search(text) if request.kind is Kind.CLASSIFY else _QUESTION.search(text)
    if asked is None or text.count("?") > 1 or _OPEN.search(text) or len(asked.group()) > _LONG_QUESTION:
        return None
    given = n_words(answer)
    if given <= max_ratio * usual:
        return None
    spans = _sentences(answer)
    if len(spans) < 3:
        return None
    first = answer[spans[0][0] : spans[0][1]]
    rest = answer[spans[1][0] :]
    if n_words(rest) < _MIN_REST_WORDS or not _answers(request.kind, asked.group(), first):
        return None
    message = (
        f"The first sentence answers the question; {len(spans) - 1} more make the answer {given} words long, where such"
        f" answers have {usual:.0f} in this dataset."
    )
    return _Excess(given, round(max_ratio * usual, 1), "words", spans[1][0], message, CHECK.severity)


def _answers(kind: Kind, question: str, sentence: str) -> bool:
    """Whether a sentence holds what a question asks for, as far as words tell."""
    if kind is Kind.FACT:
        asked = question.lower()
        if re.search(
            r"\bhow (?:many|much|old|tall|long|far|high|big|large|deep|fast|heavy|wide)\b|\b(?:population|height|length)\b",
            asked,
        ):
            return _QUANTITY.search(sentence) is not None
        if re.search(r"\bwhen\b|\b(?:what|which) (?:year|date|day|month|century)\b", asked):
            return _DATE.search(sentence) is not None
        if re.search(r"\b(?:what|which)\b", asked) and _IS.search(sentence):
            return True
        verb = re.search(r"\bwho (\w{3,4})", asked)
        return _NAME.search(sentence.strip()) is not None and (verb is None or verb[1] in sentence.lower())
    return _VERDICT.search(sentence) is not None


def _sentences(text: str) -> list[tuple[int, int]]:
    """The sentences with a word in them; what begins behind "U.S." or "Op." is none of its own."""
    sentences: list[tuple[int, int]] = []
    for start, end in sentence_spans(text):
        if sentences and _ABBREVIATION.search(text[max(0, start - _ABBREVIATION_CHARACTERS) : start].rstrip()):
            sentences[-1] = (sentences[-1][0], end)
        elif _LETTER.search(text, start, end):
            sentences.append((start, end))
    return sentences


CHECK = Check(
    code="STY002",
    name="verbose answer",
    severity=Severity.WARNING,
    advice="Cut what is beyond what was asked for, or have it made concise.",
    explanation=__doc__,
    find=find,
    options=Options,
    english=True,
    needs=frozenset({Need.LANGUAGES}),
)
