"""What a reader sees of a response's form: marks such as "a numbered list", and how a family differs by them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.style.features import TRAITS, StyleFeatures

__all__ = ["ASKED_BY", "CODE_MARKS", "describe", "marks_of", "opener_of"]

_COMMON = 0.6  # share of a family that has what describes it
_MORE = 1.5  # times the share of all responses
_MOST_MARKS = 4
_SHORT, _LONG = 0.6, 1.5  # times as long as instructions call for

_PATTERNS: tuple[tuple[str, str], ...] = (
    ("a numbered list", r"(?m)^[ \t]*\(?1[.):][ \t].*\n(?:.*\n)*?[ \t]*\(?2[.):][ \t]"),
    ("a bulleted list", r"(?m)^[ \t]*[-*•+–][ \t].*\n+[ \t]*[-*•+–][ \t]"),
    ("a table", r"(?m)^[ \t]*\|?.*\|.*\|.*\n[ \t]*\|?[ \t]*:?-{2,}"),
    ("a fenced code block", r"(?m)^[ \t]*```"),
    (
        "code",
        r"(?m)[;{}][ \t]*$|^[ \t]*(?:def|class|function|var|let|const|public|for|if|while|return|select|#include)\b.*[:({;=>]|"
        r"<\w+[^>]*>.*</\w+>|^[ \t]*(?:import|from) \w+|^[ \t]*[\w.\[\]']+ ?[-+]?= ?\S|^[ \t]*[\w.]+\(.*\)[ \t]*$",
    ),
    ("headings", r"(?m)^[ \t]*(?:#{1,6}[ \t]|\*\*[^*\n]+\*\*:?[ \t]*$)"),
    ("a first line that ends in a colon", r"^\s*[\p{Lu}\"“*#][^\n]{2,}:[ \t]*\n"),
    ("a salutation", r"^\s*(?:Dear|Hello|Hi|Hey)\b[^\n]{0,60}[,!]"),
    ("quotation marks all around", r"^\s*[\"“][^\"“”]*[\"”]\.?\s*$"),
    ("hashtags", r"(?:^|\s)#\w+"),
    ("a question", r"\?[\"'”’)]*\s*$"),
    ("an exclamation at its end", r"![\"'”’)]*\s*$"),
    ("no full stop at its end", r"[^.!?…\"'”’)\]}`;>|\s]\s*$"),
    ("lower case at its start", r"^\s*\p{Ll}"),
    ("\"I\" as its first word", r"^\s*I(?:['’]\w+)?\b"),
    ("a yes or no at its start", r"(?i)^\s*(?:yes|no)\b"),
    ("a number alone", r"^\s*[-+$€£]?\d[\d.,:/%]*\s*$"),
)  # fmt: skip

_SEVERAL = (
    r"\b(?:"
    r"list\w*|bullets?|bulleted|number(?:ed|s)?|steps?|instructions|directions|recipe|ingredients|rank\w*|order|"
    r"sequence|points?|items?|questions|tips|ways?|couple|all|any|identify|tools|ideas|examples|reasons|rules|facts|names?|procedure|process|"
    r"protocol|routine|plan|outline|guide|guidelines|set|algorithm|schedule|agenda|syllabus|itinerary|"
    r"playlists?|categor\w+|classify|group|sort|suggest\w*|options?|choices|recommend\w*|advice|advise|help|"
    r"best|most|many|few|kinds?|types?|parts?|things|need(?:ed|s)?|require\w*|equipment|features|benefits|"
    r"advantages|disadvantages|pros|cons|differences?|compare|contrast|strategies|methods|factors|two|three|"
    r"four|five|six|seven|eight|nine|ten|several|some|top|\d+|which|make|cook|bake|build|write|create|design|"
    r"develop|format|"
    r"how (?:to|do|can|could|would|should|does|did|is|are)|what (?:are|were|\w{4,}s|data|information|should))\b"
)
CODE_MARKS = ("code", "a fenced code block")
"""Marks of responses whose layout a programming language prescribes."""
ASKED_BY: Mapping[str, str] = {
    "a numbered list": _SEVERAL,
    "a bulleted list": _SEVERAL,
    "a table": _SEVERAL + r"|\b(?:table|chart|columns?|spreadsheet|matrix|grid|tabular|timeline|csv|data)\b",
    "headings": _SEVERAL + r"|\b(?:report|article|blog|sections?|headings?|document|essay|paper|proposal|markdown)\b",
    "a first line that ends in a colon": (
        _SEVERAL + r"|\b(?:sections?|verse|song|script|dialog\w*|conversation|menu|table|letter|poem|headline|title|e-?mail|"
        r"speech|tweet|reply|respond|response|quote|translate|rewrite|rephrase|edit|summar\w+|code|program|function|solve|calculate)\b"
    ),
    "a salutation": (
        r"\b(?:letters?|e-?mails?|messages?|reply|respond|response|note|memo|invit\w+|speech|dialog\w*|conversation|greet\w*|say|"
        r"introduc\w*|script|chat\w*|write|compose|draft|rewrite|edit|translate|hello|hi|hey|cards?|post|voice ?mail)\b"
    ),
    "hashtags": r"\b(?:tweets?|twitter|posts?|hashtags?|instagram|social|captions?|facebook)\b",
    "an exclamation at its end": (
        r"!|\b(?:"
        r"tweets?|posts?|ads?|advert\w*|slogan|headline|captions?|letter|e-?mails?|cards?|greet\w*|poem|song|"
        r"speech|dialog\w*|stor\w+|conversation|exclam\w+|excit\w+|promot\w*|messages?|review|invit\w+|joke|"
        r"toast|pitch|persua\w+|congratulat\w*|sentences?|rewrite|rephrase|edit|translate|tag ?line|commercial|"
        r"title|enthusias\w*|positive|welcom\w*|script|respon\w+|reply|text|phrase|write|create|generate|"
        r"compose|convert|change|correct|motto|jingle|announce\w*|quotes?|say|name|act as|imagine|role"
        r")\b"
    ),
}  # fmt: skip
"""Marks that stand out in prose, and what an instruction says that may ask for one; English, case folded."""


def marks_of(texts: pl.Series, features: StyleFeatures) -> dict[str, NDArray[np.bool_]]:
    """Which responses have which mark; arrays of shape `(n,)`.

    Args:
        texts: The responses.
        features: Theirs.
    """
    words = features.n_words
    lines = np.exp(features.traits[:, TRAITS.index("lines")])
    stops = features.traits[:, TRAITS.index(". per word")] ** 2 * np.maximum(words, 1)
    one_line = lines < 1.5
    marks = {name: texts.str.contains(pattern).to_numpy() for name, pattern in _PATTERNS}
    marks |= {
        "one to three words": (words >= 1) & (words <= 3),
        "a single short sentence": one_line & (stops > 0.5) & (stops < 1.5) & (words > 3) & (words <= 25),
        "a single long sentence": one_line & (stops > 0.5) & (stops < 1.5) & (words > 25),
        "one paragraph of several sentences": one_line & (stops >= 2.5) & (words > 25),
        "several paragraphs": (features.traits[:, TRAITS.index("paragraph breaks per line")] > 0) & (words > 60),
    }
    return marks


def opener_of(texts: pl.Series) -> pl.Series:
    """The first two words of each response, as they stand."""
    return texts.str.extract(r"^[\s\"'“*#>-]*([^\s\d]\S*(?:[ \t]+\S+)?)", 1).fill_null("").str.slice(0, 40)


def describe(
    members: NDArray[np.integer],
    marks: Mapping[str, NDArray[np.bool_]],
    openers: pl.Series,
    unexplained: NDArray[np.floating],
    is_usual: NDArray[np.bool_],
    words_over_need: float,
) -> tuple[str, tuple[str, ...]]:
    """How a family is written, and the marks that say so.

    Args:
        members: Its responses.
        marks: Of all responses.
        openers: Of all responses.
        unexplained: Traits beyond what instruction and length explain, in standard deviations, of all responses; shape
            `(n, n_traits)`.
        is_usual: Which traits most responses have at all: to have fewer of the others says nothing; shape `(n_traits,)`.
        words_over_need: Its responses' words over those that their instructions call for, the median.
    """
    found = []
    for name, held in marks.items():
        inside, all_over = float(held[members].mean()), float(held.mean())
        if inside >= _COMMON and inside >= _MORE * all_over:
            found.append((inside / max(all_over, 1e-9), name))
    named = [name for _, name in sorted(found, reverse=True)][:_MOST_MARKS]
    parts = list(named)
    of_family = openers.gather(members)
    first = of_family.filter(of_family != "").value_counts(sort=True)
    if first.height:
        opener, count = first.sort("count", first.columns[0], descending=[True, False]).row(0)
        if count >= max(10, 0.1 * len(members)):
            parts.append(f"often begins with “{opener}”")
    if words_over_need <= _SHORT or words_over_need >= _LONG:
        parts.append(f"{words_over_need:.1f} times as long as its instructions call for")
    if not named:
        typical = np.median(unexplained[members], axis=0)
        strong = (np.abs(typical) >= 0.5) & (is_usual | (typical > 0))
        strongest = [place for place in np.argsort(-np.abs(typical)).tolist() if strong[place]]
        said = (f"{'more' if typical[place] > 0 else 'fewer'} {_in_words(TRAITS[place])} than others" for place in strongest)
        parts += list(dict.fromkeys(said))[:2]
    return "; ".join(parts) or "no single mark stands out", tuple(named)


_SIGNS = {
    ".": "full stops", ",": "commas", ";": "semicolons", ":": "colons", "!": "exclamation marks", "?": "question marks",
    "(": "brackets", ")": "brackets", "[": "square brackets", "]": "square brackets", "{": "braces", "}": "braces",
    '"': "quotation marks", "'": "apostrophes", "-": "hyphens", "*": "asterisks", "#": "number signs", "`": "backticks",
    "/": "slashes", "%": "per cent signs", "$": "dollar signs", "&": "ampersands", "=": "equals signs", "+": "plus signs",
    "<": "angle brackets", ">": "angle brackets", "|": "bars", "_": "underscores", "\\": "backslashes", "~": "tildes",
    "@": "at signs", "^": "carets",
}  # fmt: skip
_PLAIN = {
    "words of a sentence": "words in a sentence", "spread of sentence lengths": "varied lengths of sentences",
    "words of the first sentence": "words in the first sentence", "words of the last sentence": "words in the last sentence",
    "words of the longest sentence": "words in the longest sentence", "letters of a word": "letters in a word",
    "words of 7 letters or more": "long words", "words of 10 letters or more": "very long words",
    "paragraph breaks per line": "paragraph breaks", "words per line": "words in a line",
    "begins in lower case": "beginnings in lower case", "begins with a quotation mark": "beginnings with a quotation mark",
    "first line ends in a colon": "first lines that end in a colon", "ends its last sentence": "finished last sentences",
    "ends in a question": "questions at the end", "ends in an exclamation": "exclamations at the end",
}  # fmt: skip


def _in_words(trait: str) -> str:
    sign = trait.removesuffix(" per word")
    return _SIGNS.get(sign) or _PLAIN.get(trait) or trait.removesuffix(" per line")
