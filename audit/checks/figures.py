r"""Numbers as people write them in a text: "1,250", "-3.5", "75%", "3/4", "$2.5 million", "forty-two", `\\frac{3}{4}`.

A figure knows how exactly it was written, so that 3.33 and 10/3 are the same and 3.33 and 3.4 are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Figure", "figures_in", "is_rounded_from", "same_figure"]

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen"
)
_SMALL = {word: number for number, word in enumerate(_UNITS.split())}
_TENS = {word: 10 * number for number, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
_SCALES = {
    "hundred": 100,
    "thousand": 1000,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "k": 1000,
    "m": 10**6,
    "bn": 10**9,
}
_WORDS = "|".join((*_TENS, *_SMALL))

_FIGURE = re.compile(
    rf"""(?ix)
    (?<![\w.]) (?<!\d:) (?:(?<=[\s(=:\[{{$€£*])|^)
        (?P<sign>[-−–](?=[$€£]?\d)|(?<=[=≈(:]\s)[-−–]\s(?=[$€£]?\d))? [$€£¥₹]? (?:\\[$])?
        (?: \\[dt]?frac\{{(?P<lower_top>-?\d+)\}}\{{(?P<lower_bottom>\d+)\}}
          | (?P<whole>\d+)\s(?P<mixed_top>\d+)/(?P<mixed_bottom>\d+)(?![\d/])
          | (?P<top>\d+)\s?/\s?(?P<bottom>\d+)(?![\d/])
          | (?P<number>\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+) )
        (?P<percent>\s?(?:\\?%|percent\b|per\s?cent\b))?
        (?:\s?(?P<scale>hundred|thousand|million|billion|trillion|(?<=\d)(?:k|bn)\b)\b)?
        (?![:/]\d|\w*\d)
    | \b(?P<words>(?:{_WORDS})(?:[\s-](?:and[\s-])?(?:{_WORDS}|hundred|thousand|million))*)\b
    """
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number in a text.

    Attributes:
        value: What it comes to; a percentage is the number before the sign.
        last_place: What its last digit counts: 1 for 12, 1/100 for 3.14; 0 for a fraction, which is exact.
        is_percent: Whether a percent sign follows.
        start: First code point.
        end: Code point after the last.
    """

    value: Fraction
    last_place: Fraction
    is_percent: bool
    start: int
    end: int


def figures_in(text: str) -> Iterator[Figure]:
    """The numbers of a text, in order; clock times, versions, dates with slashes and numbers inside words are none."""
    for match in _FIGURE.finditer(text):
        if match["words"]:
            yield Figure(Fraction(_spelt(match["words"])), Fraction(1), False, match.start(), match.end())
            continue
        top, bottom = (
            match["top"] or match["lower_top"] or match["mixed_top"],
            match["bottom"] or match["lower_bottom"] or match["mixed_bottom"],
        )
        if top:
            if int(bottom) == 0:
                continue
            value, last_place = Fraction(int(top), int(bottom)) + int(match["whole"] or 0), Fraction(0)
        else:
            digits = match["number"].replace(",", "")
            value, last_place = Fraction(digits), Fraction(1, 10 ** len(digits.partition(".")[2]))
        scale = _SCALES.get((match["scale"] or "").lower(), 1)
        sign = -1 if match["sign"] else 1
        yield Figure(sign * value * scale, last_place * scale, match["percent"] is not None, match.start(), match.end())


def same_figure(one: Figure, other: Figure) -> bool:
    """Whether two figures are the same number, as exactly as the coarser of them is written."""
    for a in _readings(one):
        for b in _readings(other):
            if abs(a[0] - b[0]) <= max(a[1], b[1]) / 2 and (a[0] == b[0] or a[1] != b[1]):
                return True
    return False


def is_rounded_from(one: Figure, other: Figure) -> bool:
    """Whether a figure is another one, as written or rounded further."""
    return any(a[0] == b[0] or (a[1] > b[1] and abs(a[0] - b[0]) <= a[1] / 2) for a in _readings(one) for b in _readings(other))


def _readings(figure: Figure) -> Iterator[tuple[Fraction, Fraction]]:
    yield figure.value, figure.last_place
    if figure.is_percent:
        yield figure.value / 100, figure.last_place / 100


def _spelt(words: str) -> int:
    total, part = 0, 0
    for word in re.split(r"[\s-]+", words.lower()):
        if word in _SMALL:
            part += _SMALL[word]
        elif word in _TENS:
            part += _TENS[word]
        elif word == "hundred":
            part = max(part, 1) * 100
        elif word in _SCALES:
            total, part = total + max(part, 1) * _SCALES[word], 0
    return total + part
