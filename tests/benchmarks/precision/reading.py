"""Findings drawn to be read by eye, and the verdicts of those who read them.

A verdict names a row by its place and key and holds no text. Which findings are drawn depends on dataset, code and row
alone, so that a new check or dataset changes no other draw.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from audit.rundir import Run

__all__ = ["READERS", "SAMPLE_SIZE", "SEED", "Drawn", "Verdicts", "as_line", "draw", "merge", "shares"]

SAMPLE_SIZE = 30
SEED = 2402
READERS = ("first", "second")
DRAWS: dict[str, int] = {"STY001": 2, "STY002": 2, "STY003": 2, "STY004": 2}
"""Code -> number of its draw. Raise it after a check was mended because of what was read, so that others are read anew."""


@dataclass(frozen=True)
class Drawn:
    """A finding to be read: which dataset and code, its row and the row's key."""

    dataset: str
    code: str
    row: int
    key: str


@dataclass
class Verdicts:
    """What the readers said, and the file that keeps it."""

    path: Path

    def __post_init__(self) -> None:
        entries = json.loads(self.path.read_text(encoding="utf-8"))
        self.entries: dict[tuple[str, str, str], dict[str, Any]] = {
            (entry["dataset"], entry["code"], entry["key"]): entry for entry in entries
        }

    def of(self, drawn: Drawn) -> Mapping[str, Any]:
        """Reader -> right or wrong, as far as it was read."""
        entry = self.entries.get((drawn.dataset, drawn.code, drawn.key), {})
        return {reader: entry[reader] for reader in READERS if reader in entry}

    def read_in_draw(self, code: str) -> set[tuple[str, str]]:
        """Dataset and key of what was read for this draw of a code."""
        draw_number = DRAWS.get(code, 1)
        return {
            (dataset, key)
            for (dataset, of_code, key), entry in self.entries.items()
            if of_code == code and entry.get("draw", 1) == draw_number
        }

    def add(self, verdict: Mapping[str, Any], reader: str) -> None:
        """Keep one verdict: a mapping with `dataset`, `code`, `key`, `right` and, if given, `row`."""
        new = {name: verdict[name] for name in ("dataset", "code", "row", "key") if name in verdict}
        if DRAWS.get(new["code"], 1) > 1:
            new["draw"] = DRAWS[new["code"]]
        self.entries.setdefault((new["dataset"], new["code"], new["key"]), new)[reader] = verdict["right"]

    def save(self) -> None:
        """Write the file, in order of code, dataset and row."""
        entries = sorted(self.entries.values(), key=lambda entry: (entry["code"], entry["dataset"], entry.get("row", -1)))
        lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
        self.path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def shares(found: Mapping[str, int], total: int) -> dict[str, int]:
    """How many to draw from each dataset: as equal as can be, and `total` in all where there are so many.

    Args:
        found: Dataset -> how many rows have a finding.
        total: How many to draw.
    """
    drawn = dict.fromkeys(found, 0)
    while sum(drawn.values()) < min(total, sum(found.values())):
        for dataset in found:
            if drawn[dataset] < found[dataset] and sum(drawn.values()) < total:
                drawn[dataset] += 1
    return drawn


def draw(found: Mapping[str, Sequence[tuple[int, str]]], code: str, verdicts: Verdicts) -> list[Drawn]:
    """The findings of a code that are to be read.

    Args:
        found: Dataset -> number and key of every row with a finding of the code.
        code: The code.
        verdicts: What was read for the same draw goes first.
    """
    read = verdicts.read_in_draw(code)
    drawn: list[Drawn] = []
    for dataset, n_drawn in shares({dataset: len(rows) for dataset, rows in found.items()}, SAMPLE_SIZE).items():

        def lot(row: tuple[int, str], dataset: str = dataset) -> tuple[bool, str]:
            name = f"{SEED} {dataset} {code} {DRAWS.get(code, 1)} {row[1]}"
            return (dataset, row[1]) not in read, hashlib.sha256(name.encode()).hexdigest()

        drawn += [Drawn(dataset, code, *row) for row in sorted(sorted(found[dataset], key=lot)[:n_drawn])]
    return drawn


def as_line(drawn: Drawn, run: Run, unread_by: Sequence[str]) -> str:
    """A finding as a reader needs it, one JSON object: what is said, and the text with the place between `⟦` and `⟧`."""
    finding = run.findings.filter((pl.col("code") == drawn.code) & (pl.col("row") == drawn.row)).row(0, named=True)
    messages = run.corpus.row(drawn.row).messages
    turn = len(messages) - 1 if finding["turn"] is None else finding["turn"]
    texts = [f"[{message.role}] {message.content}" for message in messages]
    if finding["span_start"] is not None and messages:
        content, (start, end) = messages[turn].content, (finding["span_start"], finding["span_end"])
        texts[turn] = f"[{messages[turn].role}] {content[:start]}⟦{content[start:end]}⟧{content[end:]}"
    related = [" / ".join(message.content for message in run.corpus.row(row).messages) for row in finding["related"][:2]]
    return json.dumps(
        asdict(drawn)
        | {
            "unread_by": list(unread_by),
            "severity": finding["severity"],
            "message": finding["message"],
            "quote": finding["quote"],
            "prompt": "\n".join(texts[:turn]),
            "response": "\n".join(texts[turn:]),
            "related": related,
        },
        ensure_ascii=False,
    )


def merge(verdicts: Verdicts, lines: Sequence[str], reader: str) -> Iterator[str]:
    """Take over a reader's verdicts.

    Args:
        verdicts: Where to; saved at the end.
        lines: JSON objects with `dataset`, `code`, `key`, `right` and, for people who look the row up, `row`; `why` is not
            kept, because it may quote the data.
        reader: One of `READERS`.

    Yields:
        A line per finding that is not right, with the reason, and one that counts.

    Raises:
        ValueError: The reader is unknown, or `right` is neither true nor false.
    """
    if reader not in READERS:
        raise ValueError(f"the reader is {' or '.join(READERS)}, not {reader!r}")
    n_right = 0
    given = [json.loads(line) for line in lines if line.strip()]
    for verdict in given:
        if not isinstance(verdict["right"], bool):
            raise ValueError(f"right is {verdict['right']!r}, neither true nor false")
        verdicts.add(verdict, reader)
        n_right += verdict["right"]
        if not verdict["right"]:
            yield f"wrong: {verdict['dataset']} {verdict['code']} {verdict['key']} {verdict.get('why', '')}".rstrip()
    verdicts.save()
    yield f"{n_right} of {len(given)} right"
