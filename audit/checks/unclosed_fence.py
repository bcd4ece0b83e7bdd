"""TXT006: a code block is opened and never closed.

What: the answer holds a line that opens a code block (three backticks or tildes) and, up to its end, none that closes
it: a closing fence is at least as long as the opening one. Blocks within blocks are told by the language that the inner
fence names. A fence at the end of a line of text counts too, as models write it; one that a sentence only names does
not.

Why it matters: most such answers were cut off in the middle of the code. The model learns to leave code blocks open,
and whatever shows its answers renders all that follows as code.

Example: an answer that ends with the line that opens a block of Python and half a function.

Fix: close the block where the code is whole, supply the rest where it is not, or `tunescope export --drop TXT006`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.checks.passages import ANSWER
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK"]

_FENCE = re.compile(r"^(?P<before>[ \t]*(?:(?:>|[-*+]|\d{1,3}[.)])[ \t]*)*)(?P<marks>`{3,}|~{3,})(?P<info>.*)$")
# After text on the same line, a fence opens with nothing or the name of a language behind it.
_FENCE_AFTER_TEXT = re.compile(r"^(?P<before>.*[^`\s(\"'“‘].*?)(?P<marks>`{3,})(?P<info>[ \t]*[\w+#.-]{0,20}[ \t]*)$")


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per answer with an open code block, at the fence that opens it."""
    answers = materials.responses.filter(pl.col("text").str.contains_any(["```", "~~~"])).with_columns(answer=ANSWER)
    # Fences come in pairs, and at most every second one names a language.
    text = pl.col("answer")
    n_fences, n_languages = text.str.count_matches("`{3,}"), text.str.count_matches(r"(?m)^[ \t>]*`{3,}[ \t]*\w")
    uneven = (n_fences % 2 == 1) | (2 * n_languages > n_fences) | text.str.contains("````|~~~")
    fenced = answers.filter(uneven)
    for row, turn, offset, answer in fenced.select("row", "turn", "answer_start", "answer").iter_rows():
        if not (opened := _open_fences(answer)):
            continue
        start, end = opened[0]
        span, quote = (offset + start, offset + end), shorten(answer[start:end])
        evidence = Evidence(measure="code blocks left open", value=len(opened), limit=1, span=span, quote=quote)
        message = (
            "A code block is opened and never closed." if answer[end:].strip() else "A code fence without a partner ends it."
        )
        yield Finding(CHECK.code, row, turn, CHECK.severity, message, evidence)


def _open_fences(text: str) -> list[tuple[int, int]]:
    """Start and end of the fences that are open at the end of a text, the outermost first."""
    opened: list[tuple[str, tuple[int, int]]] = []
    start = 0
    for line in text.splitlines(keepends=True):
        content = line.rstrip()
        fence = _FENCE.match(content)
        after_text = fence is None and content.count("```") == 1
        closes = opened and (
            (fence and fence["marks"].startswith(opened[-1][0]) and not fence["info"].strip())
            or (after_text and content.endswith(opened[-1][0]))
        )
        if closes:
            opened.pop()
        elif after_text and text[start + len(line) :].strip():
            fence = _FENCE_AFTER_TEXT.match(content)
        # Within a block, a fence with a language is a block in a block, or the first was left open.
        if fence and not closes and "`" not in fence["info"]:
            nested = opened and fence["marks"][0] == opened[-1][0][0] and fence["info"].strip()
            if nested or not opened:
                opened.append((fence["marks"], (start + fence.start("marks"), start + len(content))))
        start += len(line)
    return [place for _, place in opened]


CHECK = Check(
    code="TXT006",
    name="unclosed code fence",
    severity=Severity.WARNING,
    advice="Close the block or supply the rest of the code, or drop the row.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.LANGUAGES}),
)
