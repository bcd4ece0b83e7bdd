"""Where sentences begin and end, by rules: enough for means over many of them, not for grammar.

A full stop ends a sentence where white space follows, unless it belongs to an initial, a usual abbreviation or the
number of a list item, or a small letter goes on. Line breaks end one too, so that list items and headings are sentences.
"""

from __future__ import annotations

import re

__all__ = ["sentence_spans"]

_CLOSING = r"[\"'”’»)\]}*_]*"
_END = re.compile(rf"[.!?…]+{_CLOSING}(?=\s)[^\S\n]*+(?![a-z])\n*|[。！？]+[”’」』）]*\s*|\s*\n\s*")
# What stands before a full stop that does not end a sentence: initials, abbreviations, the number of a list item.
_NO_END = re.compile(
    r"(?:(?:^|[\s(])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|Rev|Gen|Sen|Rep|Capt|Lt|Col|Sgt|St|Mt|vs|cf|al|e\.g|i\.e|approx|ca|No|Nos|Vol|Fig|pp?)"
    r"|(?:^|\n)[ \t]*(?:\d{1,3}|[A-Za-z]))$"
)


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """The sentences of a text, `(start, end)` in code points, without gaps: white space belongs to the one before it.

    Of a text without any end, the whole; of an empty one, nothing.
    """
    spans = []
    start = 0
    for match in _END.finditer(text):
        ended = text[start : match.start()]
        before = text[max(0, match.start() - 12) : match.start()]
        if match.end() <= start or (not ended.strip() and not match.group().strip()):
            continue
        if match.group().lstrip().startswith(".") and "\n" not in match.group() and _NO_END.search(before):
            continue
        spans.append((start, match.end()))
        start = match.end()
    if text[start:].strip() or not spans:
        spans.append((start, len(text)))
    elif start < len(text):
        spans[-1] = (spans[-1][0], len(text))
    return [span for span in spans if span[0] < span[1]]
