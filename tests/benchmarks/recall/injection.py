"""What it means to inject a defect: a sound row in, what takes its place out.

The injectors were written from the codes' one-line descriptions alone, without knowledge of the checks' rules, as a user
would name the defect. Every text in them is invented.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

__all__ = [
    "Injected",
    "Injector",
    "Row",
    "chat",
    "is_prose",
    "line_of",
    "placed",
    "prompt_of",
    "response_of",
    "sentences",
    "single",
]

Row = dict[str, Any]


@dataclass(frozen=True)
class Injected:
    """What takes the place of a sound row.

    Attributes:
        rows: One or more records; bytes are a line that is no JSON object. One finding in any of them is enough.
        evaluation: Items of an evaluation file that the rows are contaminated by.
    """

    rows: list[Row | bytes]
    evaluation: list[Row] = field(default_factory=list)


Injector = Callable[[Random, Row], Injected | None]
"""Draws everything from the generator; `None` where the row does not lend itself to the defect."""


def prompt_of(row: Row) -> str:
    """What the user says first."""
    return str(row["messages"][0]["content"])


def response_of(row: Row) -> str:
    """What the assistant answers."""
    return str(row["messages"][1]["content"])


def chat(prompt: str, response: str, **extra: Any) -> Row:
    """A row of one exchange; `extra` are further fields of the assistant's turn."""
    return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": response, **extra}]}


def single(prompt: str, response: str, **extra: Any) -> Injected:
    """One row of one exchange."""
    return Injected([chat(prompt, response, **extra)])


def sentences(text: str) -> list[str]:
    """The sentences of a plain text, each with its mark."""
    return re.findall(r"[^.!?\n]+[.!?]+", text)


def is_prose(text: str, least_sentences: int = 2) -> bool:
    """Whether a text is plain prose: whole sentences, no code, no list, no table."""
    return (
        text.rstrip().endswith((".", "!", "?"))
        and len(sentences(text)) >= least_sentences
        and not re.search(r"[{}<>|`=;\\]|^\s*[-*#•\d]", text, re.MULTILINE)
    )


def placed(rng: Random, text: str, piece: str) -> str:
    """A piece set before, after or, where the text has several sentences, into it; apart from what is no prose."""
    parts = sentences(text)
    gap = " " if is_prose(text, 1) else "\n\n"
    where = rng.choice(["before", "after", "within"])
    if where == "before":
        return f"{piece}{gap}{text.lstrip()}"
    if where == "within" and len(parts) > 1 and is_prose(text):
        cut = text.index(parts[0]) + len(parts[0])
        return f"{text[:cut]} {piece}{text[cut:]}"
    return f"{text.rstrip()}{gap}{piece}"


def line_of(row: Row) -> bytes:
    """A row as a line of a file, without its end."""
    return json.dumps(row, ensure_ascii=False).encode()
