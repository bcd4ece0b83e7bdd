"""What the checks for personal data and secrets share: texts that may hold one, and one finding per value found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import polars as pl

from audit.checks.base import Check, shorten
from audit.corpus import Corpus
from audit.findings import Evidence, Finding, Severity

__all__ = ["Occurrence", "Passage", "findings_of", "is_invented_number", "passages"]

# What a turn carries besides its content is trained on as well.
_FIELDS = ("content", "reasoning", "tool_calls")
_WHOSE = {"user": "the user's turn", "assistant": "the assistant's turn", "system": "the system prompt"}
_ASKS_TO_INVENT = re.compile(
    r"\b(?:generat\w+|creat\w+|make up|invent\w*|compos\w+|writ\w+|design\w*|produc\w+|fake|fictional|random\w*|sample|example"
    r"|regex\w*|regular expressions?|validat\w+|imagin\w+|draft\w*|form|come up)\b",
    re.IGNORECASE,
)
_LONGEST_QUOTE = 200


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A value found in a passage.

    Attributes:
        start: Where it begins, in code points.
        end: Where it ends, exclusive.
        what: What it is, with its article, for the message.
        severity: By how likely it is somebody's.
        remark: What the severity rests on, for the message; may be empty.
    """

    start: int
    end: int
    what: str
    severity: Severity
    remark: str = ""


@dataclass(frozen=True)
class Passage:
    """A text of a turn: its content, its reasoning or its tool calls.

    Attributes:
        row: The row's number.
        turn: The turn's.
        role: Whose it is.
        field: Which field of the turn.
        text: As it stands there.
        corpus: Where it comes from.
    """

    row: int
    turn: int
    role: str
    field: str
    text: str
    corpus: Corpus

    @property
    def place(self) -> str:
        """Where it stands, for a message."""
        whose = _WHOSE.get(self.role, f"the {self.role} turn")
        return whose if self.field == "content" else f"the {self.field.replace('_', ' ')} of {whose}"

    @cached_property
    def request(self) -> str:
        """What the user said before, where the passage is an answer; else nothing."""
        if self.role != "assistant":
            return ""
        messages = self.corpus.row(self.row).messages[: self.turn]
        return "\n".join(message.content for message in messages if message.role != "assistant")

    def judged(self, found: Occurrence) -> Occurrence:
        """INFO for what is likely invented: it stands in an answer to a request for something made up, and not in that."""
        value = self.text[found.start : found.end]
        if found.severity is Severity.INFO or not _ASKS_TO_INVENT.search(self.request) or value in self.request:
            return found
        return replace(found, severity=Severity.INFO, remark="the row asks for something made up")


def passages(corpus: Corpus, pattern: str) -> Iterator[Passage]:
    """The texts of turns in which a pattern (Rust's syntax: no look-around) occurs, in one columnar pass per field."""
    for field in _FIELDS:
        if corpus.turns[field].null_count() < corpus.turns.height:
            holding = corpus.turns.filter(pl.col(field).str.contains(pattern))
            for row, turn, role, text in holding.select("row", "turn", "role", field).iter_rows():
                yield Passage(row, turn, role, field, text, corpus)


def findings_of(check: Check, passage: Passage, occurrences: Iterable[Occurrence], measure: str) -> Iterator[Finding]:
    """One finding per distinct value of a passage, where it first stands; `value` is how often it does.

    The message never holds the value itself, which stands in the quote alone. The quote is whole: so does the run hold
    the text, and whoever judges the finding has to see it; `--redact` is for what goes further.
    """
    first: dict[str, Occurrence] = {}
    times: Counter[str] = Counter()
    end = 0
    for found in sorted(occurrences, key=lambda one: (one.start, -one.end)):
        if found.start < end:  # two patterns for one place
            continue
        end = found.end
        value = passage.text[found.start : found.end]
        first.setdefault(value, found)
        times[value] += 1
    for value, found in first.items():
        often = f", {times[value]} times" if times[value] > 1 else ""
        remark = f" ({found.remark})" if found.remark else ""
        message = f"{found.what[0].upper()}{found.what[1:]} in {passage.place}{often}{remark}."
        span = (found.start, found.end) if passage.field == "content" else None
        evidence = Evidence(measure, times[value], 1, span=span, quote=shorten(value, _LONGEST_QUOTE))
        yield Finding(check.code, passage.row, passage.turn, found.severity, message, evidence)


_RUNS = [run[begin : begin + 6] for run in ("01234567890", "09876543210") for begin in range(6)]


def is_invented_number(digits: str) -> bool:
    """Whether digits look typed for an example: six in sequence, six alike, or no more than two different ones."""
    return len(set(digits)) <= 2 or any(run in digits for run in _RUNS) or bool(re.search(r"(\d)\1{5}", digits))
