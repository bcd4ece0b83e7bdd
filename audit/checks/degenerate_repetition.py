"""TXT009: a response is stuck and repeats itself.

What: the same words stand many times in a row: one word 8 times, two or three words 5 times, four words 4 times, up to
64 words 3 times, and 30 words or more, or the whole answer, twice; a piece of a word 12 times or one sign 40 times on end;
or four fifths of all runs of six words stood in the response before. Numbers, list marks and punctuation do not count, so
that tables, data and numbered lists are no repetition, but a numbered list of one and the same item is, and a sentence of
five words or more that comes back 8 times with the next number in it. Code, rules of dashes and dots, and repetition that
the prompt asks for, are left out; songs and poems may repeat a line 7 times.

Why it matters: a model that is tuned on loops falls into them, and goes on until it runs out of tokens.

Example: `The tower is tall. The tower is tall. The tower is tall. The tower is tall.`

Fix: cut the response where the loop begins, or `tunescope export --drop TXT009`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from audit.checks.base import Check, NoOptions, shorten
from audit.checks.passages import blank_code, request_of
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need
from indexes.words import Token, tokenize_with_offsets

__all__ = ["CHECK"]

_LONGEST_UNIT = 64
_RUN_WORDS = 6
_MIN_REPEATED_FRACTION = 0.8
_MIN_RUNS = 40
_VERSE_REPEATS = 8
_ASKED = re.compile(
    r"(?i)\b(?:repeat\w*|repetiti\w*|\d+ times|(?:two|three|four|five|ten|hundred|many|several|multiple) times|"
    r"times in a row|over and over|copies|lorem|tongue[- ]twisters?|scream|laugh\w*|onomatop\w*|mantra|chant\w*|spam|ascii|"
    r"stutter\w*|morse|each letter|palindrome)\b"
)
# As often, the prompt speaks of something else: of a loop in a program, of duplicates to remove.
_MAY_BE_ASKED = re.compile(r"(?i)\b(?:duplicat\w*|loop\w*|pattern|echo\w*)\b")
_NEVER_ASKED_WORDS = 20
_VERSE = re.compile(
    r"(?i)\b(?:songs?|lyrics|poems?|poetry|chorus|refrain|verses?|raps?|rhymes?|ballad|haiku|hymn|lullaby|nursery|"
    r"prayer|speech|limerick|anthem|jingle)\b"
)
_LAUGHTER = re.compile(
    r"(?i)(?:(?:ha|he|hi|ho|la|na|blah|bla|beep|ding|dong|tick|tock|knock|row|da|doo|o|oh|ah|woof|meow|quack|buzz)[\W_]*)+"
)
_LAUGHS = 30
_EMPHASIS = re.compile(r"(?i)(?:(?:no|yes|yeah|very|so|really|go|run)[\W_]*)+")
_EMPHASES = 14
_SIGNS_ON_END = 40
_RULE = frozenset("-–—_=*~.·•…#+|/\\<>^─━═ ")
_COUNTED_WORDS = 5
_COUNTED_REPEATS = 8
_REPEATS_IN_WORD = 12
_STUCK_IN_WORD = re.compile(rf"(\D{{1,10}}?)\1{{{_REPEATS_IN_WORD - 1},}}")
_SIGNS = re.compile(rf"(\S)\1{{{_SIGNS_ON_END - 1},}}")
_LIST_MARK = re.compile(r"[ \t]*(?:\n\s*(?:[-*•#>]+[ \t]*)?(?:\d{1,5}(?:\.\d+)*[.):]?)?[ \t]*)+|\s+")
_MARKUP = re.compile(r"[<>{}=;\\|$#/]")


@dataclass(frozen=True)
class _Loop:
    """Where a unit of words stands several times in a row: places among the words of a response, end exclusive."""

    start: int
    end: int
    unit_words: int

    @property
    def repeats(self) -> int:
        return (self.end - self.start) // self.unit_words


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per response that is stuck, over the longest loop."""
    words = materials.response_words
    counted = np.array([_counts(word) for word in words.vocabulary], dtype=bool)
    stuck = np.array([len(word) >= 12 and bool(_STUCK_IN_WORD.search(word)) for word in words.vocabulary], dtype=bool)
    of_token = np.repeat(np.arange(materials.n_responses), np.diff(words.offsets))
    is_counted = counted[words.ids]
    ids, response_of = words.ids[is_counted], of_token[is_counted]
    first = np.searchsorted(response_of, np.arange(materials.n_responses))

    loops = _loops(ids, response_of)
    again = _repeated_fraction(ids, response_of, materials.n_responses)
    signs = _signs_on_end(words.ids, of_token, words.vocabulary)
    candidates = {*signs, *loops, *np.flatnonzero(again >= 0.4).tolist(), *np.unique(of_token[stuck[words.ids]]).tolist()}
    rows = materials.responses.select("row", "turn", "prompt", "text")
    for response in sorted(candidates):
        row, turn, prompt, text = rows.row(response)
        request = request_of(prompt)
        if _ASKED.search(request):
            continue
        tokens = [token for token in tokenize_with_offsets(text) if _counts(token.text)]
        loop = loops.get(response)
        if loop is not None:
            loop = _Loop(loop.start - int(first[response]), loop.end - int(first[response]), loop.unit_words)
        found = (
            _stuck_in_word(text)
            or _in_a_row(text, request, tokens, loop)
            or _said_again(text, tokens, float(again[response]))
            or (_one_sign(text) if response in signs else None)
        )
        if found is not None and not (_MAY_BE_ASKED.search(request) and found[1] < _NEVER_ASKED_WORDS):
            message, value, limit, span = found
            evidence = Evidence("repetitions", value, limit, span=span, quote=shorten(text[slice(*span)]))
            yield Finding(CHECK.code, row, turn, CHECK.severity, message, evidence)


_Found = tuple[str, float, float, tuple[int, int]]


def _stuck_in_word(text: str) -> _Found | None:
    for found in _STUCK_IN_WORD.finditer(blank_code(text)):
        long_enough = _LAUGHS * 2 if _LAUGHTER.fullmatch(found.group()) else 2 * _REPEATS_IN_WORD
        if found[1].isalpha() and len(found.group()) >= long_enough:
            repeats = len(found.group()) // len(found[1])
            return f"“{found[1]}” stands {repeats:,} times within a word.", repeats, _REPEATS_IN_WORD, found.span()
    return None


def _one_sign(text: str) -> _Found | None:
    for found in _SIGNS.finditer(blank_code(text)):
        if found[1] not in _RULE:
            return f"“{found[1]}” stands {len(found.group()):,} times on end.", len(found.group()), _SIGNS_ON_END, found.span()
    return None


def _in_a_row(text: str, request: str, tokens: list[Token], loop: _Loop | None) -> _Found | None:
    if loop is None or loop.end > len(tokens):
        return None
    span = (tokens[loop.start].start, tokens[loop.end - 1].end)
    said = text[slice(*span)]
    unit = text[span[0] : tokens[loop.start + loop.unit_words - 1].end]
    if _is_data(text, tokens, loop) and not _is_counted_on(text, tokens, loop):
        return None
    is_code = len(_MARKUP.findall(said)) >= loop.repeats or blank_code(text)[slice(*span)].strip() == ""
    if is_code or (loop.repeats < _LAUGHS and _LAUGHTER.fullmatch(said)):
        return None
    if loop.repeats < _EMPHASES and _EMPHASIS.fullmatch(said):
        return None
    if loop.repeats < _VERSE_REPEATS and _VERSE.search(request):
        return None
    return f"“{shorten(unit, 60)}” stands {loop.repeats:,} times in a row.", loop.repeats, _least_repeats(loop.unit_words), span


def _is_data(text: str, tokens: list[Token], loop: _Loop) -> bool:
    """Whether numbers, letters or signs between the words differ from one repetition to the next, beyond list numbers."""
    places = [tokens[place].start for place in range(loop.start, loop.end, loop.unit_words)][: loop.repeats]
    units = {_LIST_MARK.sub("", text[start:end]).strip(" .,;").casefold() for start, end in pairwise(places)}
    return len(units) > max(1, (loop.repeats - 1) // 3)


def _is_counted_on(text: str, tokens: list[Token], loop: _Loop) -> bool:
    """Whether the repetitions are one sentence in which nothing but a number counts on."""
    if loop.unit_words < _COUNTED_WORDS or loop.repeats < _COUNTED_REPEATS:
        return False
    places = [tokens[place].start for place in range(loop.start, loop.end, loop.unit_words)][: loop.repeats]
    units = [text[start:end] for start, end in pairwise(places)]
    numbers = [re.findall(r"\d+", unit) for unit in units]
    is_same = len({re.sub(r"\d+", "0", unit).strip() for unit in units}) == 1
    return is_same and all(len(one) == len(other) == 1 and int(other[0]) - int(one[0]) == 1 for one, other in pairwise(numbers))


def _said_again(text: str, tokens: list[Token], fraction: float) -> _Found | None:
    """An answer that is said twice as a whole, or keeps going back to what it has said."""
    if _MARKUP.search(text) and len(_MARKUP.findall(text)) > len(tokens) // 10:
        return None
    words = [token.text for token in tokens]
    for repeats in range(2, 6):
        once, rest = divmod(len(words), repeats)
        if not rest and once >= 2 * _RUN_WORDS and words[:once] * repeats == words and _same_numbers(text, tokens, once):
            often = "twice" if repeats == 2 else f"{repeats} times"
            return f"The whole response stands {often}.", repeats, 2, (tokens[once].start, tokens[-1].end)
    if fraction < _MIN_REPEATED_FRACTION or len(tokens) < _MIN_RUNS + _RUN_WORDS:
        return None
    message = f"{fraction:.0%} of its {_RUN_WORDS}-word runs stood in the response before."
    return message, round(fraction, 4), _MIN_REPEATED_FRACTION, (tokens[0].start, tokens[-1].end)


def _same_numbers(text: str, tokens: list[Token], once: int) -> bool:
    """Whether parts of so many words hold the same numbers, and are no rows of data."""
    starts = [token.start for token in tokens[::once]]
    parts = [text[start:end] for start, end in pairwise([*starts, len(text)])]
    return all(re.findall(r"\d+", part) == re.findall(r"\d+", parts[0]) for part in parts)


def _counts(word: str) -> bool:
    """Whether a token is a word here: two letters, or one sign of a script without an alphabet."""
    return any(map(str.isalpha, word)) and (len(word) > 1 or not word.isascii())


def _least_repeats(unit_words: int) -> int:
    return 8 if unit_words == 1 else 5 if unit_words < 4 else 4 if unit_words == 4 else 3 if unit_words < 30 else 2


def _signs_on_end(ids: NDArray[np.int32], response_of: NDArray[np.int64], vocabulary: Sequence[str]) -> set[int]:
    """The responses with one digit, letter or sign many times on end; a run of signs is as many tokens."""
    long_runs = np.array([len(word) >= _SIGNS_ON_END and _SIGNS.search(word) is not None for word in vocabulary], dtype=bool)
    is_sign = np.array([len(word) == 1 and not word.isalnum() and word not in _RULE for word in vocabulary], dtype=bool)
    found = set(np.unique(response_of[long_runs[ids]]).tolist())
    places = np.flatnonzero(is_sign[ids])
    if len(places) >= _SIGNS_ON_END:
        apart = _SIGNS_ON_END - 1
        on_end = places[apart:] - places[:-apart] == apart
        starts = places[:-apart][on_end]
        same = (ids[starts] == ids[starts + apart]) & (response_of[starts] == response_of[starts + apart])
        found |= set(np.unique(response_of[starts[same]]).tolist())
    return found


def _loops(ids: NDArray[np.int32], response_of: NDArray[np.int64]) -> dict[int, _Loop]:
    """The longest loop of every response that has one, of equally long ones that of the shortest unit.

    A loop of a unit of `n` words is a run of words that equal the word `n` before them: one comparison of the whole
    stream with itself for each `n`, about 2 ms per million words.
    """
    loops: dict[int, _Loop] = {}
    place = np.arange(len(ids))
    for n in range(1, _LONGEST_UNIT + 1):
        if n % 8 == 0:  # too short for two units of this length
            long_enough = np.bincount(response_of, minlength=1)[response_of] >= 2 * n
            ids, response_of, place = ids[long_enough], response_of[long_enough], place[long_enough]
        equal = np.flatnonzero((ids[n:] == ids[:-n]) & (response_of[n:] == response_of[:-n]))
        if not len(equal):
            continue
        ends = np.append(np.flatnonzero(np.diff(equal) != 1), len(equal) - 1)
        starts = np.append(0, ends[:-1] + 1)
        lengths = ends - starts + 1 + n
        for run in np.flatnonzero(lengths >= n * _least_repeats(n)):
            start = int(place[equal[starts[run]]])
            loop = _Loop(start, start + int(lengths[run]), n)
            response = int(response_of[equal[starts[run]]])
            known = loops.get(response)
            if known is None or loop.end - loop.start > known.end - known.start + n:
                loops[response] = loop
    return loops


def _repeated_fraction(ids: NDArray[np.int32], response_of: NDArray[np.int64], n_responses: int) -> NDArray[np.float64]:
    """Per response, the share of runs of six words that stood in it before; shape `(n_responses,)`, 0 for short ones."""
    long_enough = np.bincount(response_of, minlength=n_responses)[response_of] >= 2 * _RUN_WORDS
    ids, response_of = ids[long_enough], response_of[long_enough]
    n_runs = len(ids) - _RUN_WORDS + 1
    if n_runs <= 0:
        return np.zeros(n_responses)
    runs = response_of[:n_runs].astype(np.uint64)
    for place in range(_RUN_WORDS):
        runs = runs * np.uint64(0x9E3779B97F4A7C15) + ids[place : n_runs + place].astype(np.uint64)
    whole = response_of[:n_runs] == response_of[_RUN_WORDS - 1 :]
    runs, owner = runs[whole], response_of[:n_runs][whole]
    _, first = np.unique(runs, return_index=True)
    total = np.bincount(owner, minlength=n_responses)
    distinct = np.bincount(owner[first], minlength=n_responses)
    return np.where(total >= _RUN_WORDS, 1 - distinct / np.maximum(total, 1), 0.0)


CHECK = Check(
    code="TXT009",
    name="degenerate repetition",
    severity=Severity.WARNING,
    advice="Cut the response where it begins to repeat, or drop the row.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.WORDS, Need.LANGUAGES}),
)
