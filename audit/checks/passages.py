"""What the checks of texts share: the answer proper, and which parts of it are code."""

from __future__ import annotations

import re

import polars as pl

__all__ = ["ANSWER", "REASONING", "around", "blank_code", "request_of"]

ANSWER = pl.when(pl.col("answer_start") > 0).then(pl.col("text").str.slice(pl.col("answer_start"))).otherwise(pl.col("text"))
"""The answer without its <think> block, of a line of `Materials.responses`."""

REASONING = r"(?s)^\s*<think>.*?</think>\s*"
"""A leading <think> block, as a pattern of Rust's, for checks that need no more of a response than its text."""

_CODE = re.compile(r"(?:^|(?<=\n))[ \t]*(```+|~~~+)[\s\S]*?(?:\1|\Z)|(`+)[^`\n]+\2(?!`)")
_QUOTE_CONTEXT = 20
_REQUEST_CHARACTERS = 300


def blank_code(text: str) -> str:
    """A text with its code blocks and inline code as spaces, so that places in it stay what they are."""
    return _CODE.sub(lambda found: " " * len(found.group()), text) if "`" in text or "~~~" in text else text


def request_of(prompt: str) -> str:
    """Where a prompt says what it wants: its first line and its last, without the long text that it may give besides."""
    first, *rest = prompt.strip().splitlines() or [""]
    last = rest[-1] if rest else first[_REQUEST_CHARACTERS:]
    return f"{first[:_REQUEST_CHARACTERS]}\n{last[-_REQUEST_CHARACTERS:]}".strip()


def around(text: str, start: int, end: int) -> str:
    """A span with the words around it, for the quote of something that does not show by itself."""
    return text[max(0, start - _QUOTE_CONTEXT) : end + _QUOTE_CONTEXT]
