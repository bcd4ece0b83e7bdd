"""What a shorter answer has to keep, and must not bring: names, numbers, addresses, code, denials; read by rules.

Strict on purpose: an answer that was wrongly refused stays as it was, one that was wrongly taken makes the dataset false.
What rules cannot tell, such as whether two names changed places, they let pass. Names are told by capital letters, so that
texts in scripts without them are refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from audit.shift.sentences import sentence_spans
from audit.style.lexicon import EMPTY_WORDS, FUNCTION_WORDS, HEDGES, MARKERS, closing_phrase, opening_phrase
from audit.style.need import Kind, n_words, read_request

__all__ = ["LEAST_KEPT_SHARE", "MOST_WORDS_SHARE", "Fault", "PlainWords", "fault_of"]

MOST_WORDS_SHARE = 0.9
"""A shorter answer has at most this share of the words."""

LEAST_KEPT_SHARE = 0.4
"""A shorter answer keeps at least this share of the content words that the answer adds to what was asked; chosen, not
measured: a mend that says less than that says something else, or nothing."""

_MOST_OWN_SHARE = 0.4  # of its content words that stood neither in the answer nor in what was asked
_QUOTED_CHARS = 60
_STEM_CHARS = 5

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
_ADDRESS = re.compile(r"https?://[^\s<>\"'`]+|www\.[^\s<>\"'`]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_AFTER_ADDRESS = ".,;:!?)]}*_"
_LIST_MARK = re.compile(r"(?m)^[ \t]*(?:\d{1,3}[.)]|[-*•+])[ \t]+")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_NUMBER = re.compile(r"(?:(?<![\w)\]])[-−])?\d+(?:[.,:/]\d+)*")
_WORD = re.compile(r"\w[\w'’]*(?:-\w[\w'’]*)*")
_TOKEN = re.compile(r"[^\W_]+")
_POSSESSIVE = re.compile(r"['’]s?\Z")
_SENTENCE_START = re.compile(r"(?:\A|[.!?:;…\n]|[-–—•*>|]\s)[\s\"'“”‘’()\[\]*_#>-]*\Z")
_BEFORE_CHARS = 12
_ALL_LOWER = re.compile(r"\b[^\W\d_A-Z][^\W\d_A-Z]+\b")
_TITLED_INSIDE = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+\b")
_DENIAL = re.compile(r"(?i)\b(?:not?|never|none|nor|neither|nothing|cannot|without|\w+n['’]t|un(?:able|likely|true|safe))\b")
_ANNOUNCED = re.compile(
    r"(?i)\A[^\n]{0,80}\b(?:concise|shorten\w*|shorter|rewritten|re-?written|revised|condensed|trimmed|simplified|briefer)\b"
    r"[^\n]{0,40}\b(?:version|answer|response|rewrite|rewriting|text|form|reply)\b"
)
_REFUSED = re.compile(r"(?i)\A\W*(?:i['’]?m sorry|i am sorry|sorry|i cannot|i can['’]t|as an ai|i['’]m unable|i am unable)\b")
_NOT_NAMES = frozenset({"i", "i'm", "i've", "i'll", "i'd", "i’m", "i’ve", "i’ll", "i’d", "ok", "ai"})
_ALWAYS_PLAIN = FUNCTION_WORDS | EMPTY_WORDS | {word for phrase in MARKERS | HEDGES for word in phrase.split()}
_NUMBER_WORDS = {
    word: str(number)
    for number, word in enumerate(
        "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen"
        " nineteen twenty".split(),
        start=2,
    )
} | {"thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80", "ninety": "90"}
_VERDICTS = frozenset({"yes", "no"})
_ONE_THING = frozenset({Kind.FACT, Kind.YES_NO, Kind.CLASSIFY})
_LARGE_NUMBERS = frozenset("hundred thousand million billion trillion dozen half".split())


@dataclass(frozen=True)
class PlainWords:
    """Words that begin with a capital letter only where a sentence begins: those that a dataset mostly writes without one.

    Attributes:
        words: In lower case.
    """

    words: frozenset[str]

    @classmethod
    def of(cls, texts: Iterable[str]) -> PlainWords:
        """The plain words of some texts."""
        lower: Counter[str] = Counter()
        titled: Counter[str] = Counter()
        for text in texts:
            lower.update(_ALL_LOWER.findall(text))
            titled.update(map(str.lower, _TITLED_INSIDE.findall(text)))
        return cls(_ALWAYS_PLAIN | {word for word, count in lower.items() if count >= titled[word]})


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a rewriting cannot take the place of an answer.

    Attributes:
        what: In words that many rewritings share.
        detail: What it is in this one.
    """

    what: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.detail}" if self.detail else self.what


def fault_of(before: str, after: str, asked: str, plain: PlainWords, beyond: tuple[int, int] | None = None) -> Fault | None:
    """Why a rewriting cannot take the place of an answer; `None` where it can.

    Args:
        before: The answer.
        after: The rewriting.
        asked: All that stood before the answer: what it says may be said again.
        plain: The dataset's plain words.
        beyond: The part of the answer that is beyond what was asked for, where that is known: it need not be kept.
    """
    if not after.strip():
        return Fault("it is empty")
    if any(not (sign.isprintable() or sign in "\n\t\r") and sign not in before for sign in after):
        return Fault("it brings signs that are no text")
    if not n_words(after):
        return Fault("it holds no words", _quoted(after))
    if _ANNOUNCED.search(after) and not _ANNOUNCED.search(before):
        return Fault("it announces itself", _quoted(after.strip().splitlines()[0]))
    if _REFUSED.search(after) and not _REFUSED.search(before):
        return Fault("it refuses", _quoted(after))
    if n_words(after) > MOST_WORDS_SHARE * n_words(before):
        return Fault("it is not shorter by a tenth", f"{n_words(after)} words of {n_words(before)}")
    return next(_lost_or_brought(before, after, asked, plain), None) or _too_little(before, after, asked, beyond)


def _lost_or_brought(before: str, after: str, asked: str, plain: PlainWords) -> Iterator[Fault]:
    words, said, asked_words = _words(before), _words(after), _words(asked)
    known = words | asked_words
    numbers, numbers_said = _numbers(before), _numbers(after)
    found: dict[str, Iterable[str]] = {
        "it loses code": _codes(before) - _codes(after),
        "it brings code": _codes(after) - _codes(before) - _codes(asked),
        "it loses an address": _addresses(before) - _addresses(after),
        "it brings an address": _addresses(after) - _addresses(before) - _addresses(asked),
        "it loses a number": numbers - numbers_said,
        "it brings a number": numbers_said - numbers - _numbers(asked),
        "it loses a name": [name for name in _names(before, plain) if name.casefold() not in said],
        "it brings a name": [name for name in _names(after, plain) if name.casefold() not in known],
    }
    for what, details in found.items():
        if details:
            yield Fault(what, _quoted(min(details)))
    n_denials, n_denials_said = (len(_DENIAL.findall(text)) for text in (before, after))
    if n_denials_said > n_denials or (n_denials and not n_denials_said):
        yield Fault("it brings a denial" if n_denials_said else "it loses a denial")
    n_items, n_after = (len(_LIST_MARK.findall(text)) for text in (before, after))
    if n_items > 1 and n_after != n_items and str(n_items) in _numbers(asked):
        yield Fault("it has not as many items as were asked for", f"{n_after} of {n_items}")
    stems = {word[:_STEM_CHARS] for word in known}
    content = [word for word in said if len(word) > 3 and word not in FUNCTION_WORDS]
    own = sorted(word for word in content if word[:_STEM_CHARS] not in stems)
    if len(own) > _MOST_OWN_SHARE * len(content) or not (content or said <= words):
        yield Fault("most of it is new", _quoted(", ".join(own)))


def _too_little(before: str, after: str, asked: str, beyond: tuple[int, int] | None) -> Fault | None:
    """Whether too few of the words of matter are left that the answer adds to what was asked."""
    said, known = _matter(after), _matter(asked) - _VERDICTS
    wanted = before if beyond is None else f"{before[: beyond[0]]} {before[beyond[1] :]}"
    own = next((matter for text in (wanted, before) if (matter := _matter(text) - known)), _matter(before))
    is_cut_early = beyond is not None and not _matter(wanted) - known  # "The | pier is of oak", of which one word was asked for
    kept = own & said
    if len(kept) >= (min(1, len(own)) if is_cut_early else LEAST_KEPT_SHARE * len(own)) or (
        kept & _first_matter(before, known) and _asks_for_one_thing(asked)
    ):
        return None
    return Fault("it says too little of the answer", f"{len(kept)} of {len(own)} words of matter")


def _asks_for_one_thing(asked: str) -> bool:
    """A fact, a verdict, a class: one word can say it."""
    return "yes or no" in asked.casefold() or read_request(asked).kind in _ONE_THING


def _first_matter(text: str, known: frozenset[str]) -> frozenset[str]:
    """What the first sentence adds to what was asked that adds something, an opening phrase apart."""
    opening = opening_phrase(text)
    text = text if opening is None else text[opening.end :]
    return next((matter for start, end in sentence_spans(text) if (matter := _matter(text[start:end]) - known)), frozenset())


@lru_cache(maxsize=8)
def _matter(text: str) -> frozenset[str]:
    """The stems of the words of a text that are no words of grammar or manner."""
    words = _TOKEN.findall(_THOUSANDS.sub("", _LIST_MARK.sub("", text)).casefold())
    return frozenset(word[:_STEM_CHARS] for word in words if word in _VERDICTS or word not in _ALWAYS_PLAIN)


def _quoted(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= _QUOTED_CHARS else f"{text[:_QUOTED_CHARS]}…")


def _codes(text: str) -> set[str]:
    return set(_CODE.findall(text))


def _addresses(text: str) -> set[str]:
    return {address.rstrip(_AFTER_ADDRESS) for address in _ADDRESS.findall(text)}


@lru_cache(maxsize=8)
def _numbers(text: str) -> frozenset[str]:
    """The numbers of a text, those in words as digits; the numbers of a list's items are none."""
    text = _THOUSANDS.sub("", _LIST_MARK.sub("", _ADDRESS.sub(" ", text))).replace("−", "-")
    words = (part for word in _WORD.findall(text) for part in word.casefold().split("-"))
    named = {_NUMBER_WORDS.get(word, word) for word in words if word in _NUMBER_WORDS or word in _LARGE_NUMBERS}
    return frozenset(_NUMBER.findall(text)) | named


@lru_cache(maxsize=8)
def _words(text: str) -> frozenset[str]:
    """The words of a text in one case, compounds also by their parts; those of addresses are none."""
    words = {_POSSESSIVE.sub("", word).casefold() for word in _WORD.findall(_ADDRESS.sub(" ", text))}
    return frozenset(words | {part for word in words for part in word.split("-")})


def _names(text: str, plain: PlainWords) -> set[str]:
    """Words with a capital letter, but for plain ones that begin a sentence, and the first of a stock phrase."""
    names = set()
    text = _ADDRESS.sub(" ", text)
    phrases = {phrase.start for phrase in (opening_phrase(text), closing_phrase(text)) if phrase is not None}
    for match in _WORD.finditer(text):
        word = _POSSESSIVE.sub("", match.group())
        if word.casefold() in _NOT_NAMES or not any(map(str.isupper, word)):
            continue
        begins = _SENTENCE_START.search(text[max(0, match.start() - _BEFORE_CHARS) : match.start()]) is not None
        is_plain = not any(map(str.isupper, word[1:])) and word.casefold() in plain.words
        if not (begins and is_plain) and match.start() not in phrases:
            names.add(word)
    return names
