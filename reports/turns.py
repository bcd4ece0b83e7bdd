"""The messages of a row as a page shows them: a few, each cut to a length, with what the page is about marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audit.corpus import Row
from audit.sources import Message
from reports.excerpts import Excerpt, Span, cut_excerpt

__all__ = ["MESSAGES_SHOWN", "Turn", "first_shown", "further_parts", "make_turn", "turns_around"]

MESSAGES_SHOWN = 6
"""A longer conversation would hide the place that matters."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A message. `parts` are its content, without a label, and what goes with it; `concerned`: this one is meant."""

    number: int
    role: str
    concerned: bool
    parts: tuple[tuple[str, Excerpt], ...]


def turns_around(row: Row, turn: int | None, span: Span | None, characters: int) -> tuple[Turn, ...]:
    """The messages around the one concerned, its span marked.

    Args:
        row: The row.
        turn: The number of the message concerned; `None` where the row as a whole is meant.
        span: What to mark in it.
        characters: How many of each message are shown.
    """
    first = first_shown(len(row.messages), turn or 0)
    shown = list(enumerate(row.messages))[first : first + MESSAGES_SHOWN]
    spans = [span] if span else []
    return tuple(
        make_turn(number, message, characters, spans, concerned=True)
        if number == turn
        else make_turn(number, message, characters)
        for number, message in shown
    )


def make_turn(number: int, message: Message, characters: int, spans: Sequence[Span] = (), *, concerned: bool = False) -> Turn:
    """One message, cut to so many characters."""
    content = cut_excerpt(message.content, characters, spans)
    return Turn(number, message.role, concerned, (("", content), *further_parts(message, characters)))


def further_parts(message: Message, characters: int) -> list[tuple[str, Excerpt]]:
    """What a message has besides its content, by label."""
    parts = {"name": message.name, "reasoning": message.reasoning, "tool calls": message.tool_calls}
    return [(label, cut_excerpt(text, characters)) for label, text in parts.items() if text]


def first_shown(n_messages: int, wanted: int) -> int:
    """The number of the first message shown, so that the wanted one is seen with the one before it."""
    return max(0, min(wanted - 1, n_messages - MESSAGES_SHOWN))
