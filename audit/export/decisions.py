"""What a person decided about single rows: drop or keep, with a reason; exports follow it.

Every act of deciding is a folder of its own, RUN/decisions/NUMBER, written whole before it gets its name: a kill between
two acts loses none, and two people deciding at once wait for each other. Nothing is ever rewritten; undoing a decision
is an act as well. The price is a folder per act, so that many rows are decided in one act rather than in many.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from filelock import FileLock

from audit.corpus import Corpus
from audit.errors import InputError
from audit.rundir import LOCK_NAME, Run

__all__ = [
    "FIRST_ACT",
    "Choice",
    "Decision",
    "carry_over",
    "decide",
    "encode_act",
    "find_row",
    "read_decisions",
    "undo_decisions",
]

_KIND = "decisions"
_FILE = "decisions.jsonl"
FIRST_ACT = f"{_KIND}/000001/{_FILE}"
"""Where an audit puts the decisions that it takes over from an earlier run."""


class Choice(StrEnum):
    """What is to become of a row."""

    DROP = "drop"
    KEEP = "keep"


@dataclass(frozen=True)
class Decision:
    """A decision on a row.

    Attributes:
        row_key: The row, wherever it stands.
        choice: What is to become of it; `None` takes an earlier decision back.
        reason: In the user's words, may be empty.
        time: When, in ISO 8601, UTC.
    """

    row_key: str
    choice: Choice | None
    reason: str
    time: str


def decide(run: Run, rows: Sequence[int], choice: Choice, reason: str = "") -> None:
    """Decide about rows in one act, at once on disk; an earlier decision on a row gives way.

    Args:
        run: The run; safe to call from several processes.
        rows: Numbers of the rows.
        choice: What is to become of them.
        reason: Why.

    Raises:
        InputError: A row is not in the run.
    """
    _act(run, rows, choice, reason)


def undo_decisions(run: Run, rows: Sequence[int], reason: str = "") -> None:
    """Take back what was decided about rows, in one act.

    Raises:
        InputError: A row is not in the run, or nothing was decided about it.
    """
    decided = read_decisions(run)
    for row in rows:
        if row not in decided:
            raise InputError("nothing was decided about this row", where=str(run.catalog.id(row)))
    _act(run, rows, None, reason)


def read_decisions(run: Run) -> dict[int, Decision]:
    """What holds now, by the row's number, ascending."""
    numbers = {key: number for number, key in enumerate(run.catalog.keys)}
    decisions: dict[int, Decision] = {}
    for decision in _acts(run):
        number = numbers[decision.row_key]
        decisions.pop(number, None)
        if decision.choice is not None:
            decisions[number] = decision
    return dict(sorted(decisions.items()))


def carry_over(previous: Run, corpus: Corpus) -> tuple[list[Decision], int]:
    """The decisions of an earlier run on rows that are here as well, and the number of those on rows that are gone."""
    here = set(corpus.keys)
    decided = list(read_decisions(previous).values())
    carried = [decision for decision in decided if decision.row_key in here]
    return carried, len(decided) - len(carried)


def encode_act(decisions: Iterable[Decision]) -> bytes:
    """The content of an act's file, a line per row."""
    return b"".join(json.dumps(vars(decision), ensure_ascii=False).encode() + b"\n" for decision in decisions)


def find_row(corpus: Corpus, name: str) -> int:
    """The number of the row that `FILE#INDEX`, `#INDEX` of a single file, or a row key names.

    Raises:
        InputError: There is none.
    """
    file, hash_sign, index = name.rpartition("#")
    if hash_sign and index.isdecimal():
        fits = corpus.rows["index"] == int(index)
        if file:
            fits &= corpus.rows["file"] == file
        found = corpus.rows.filter(fits)["row"].to_list() if file or corpus.rows["file"].n_unique() == 1 else []
    else:
        found = corpus.rows.filter(corpus.keys == name)["row"].to_list()
    if not found:
        raise InputError(
            f"no row {name!r} in the run", remedy=f"name it as the reports do, such as {corpus.id(0)}; rows count from 0"
        )
    return int(found[0])


def _act(run: Run, rows: Sequence[int], choice: Choice | None, reason: str) -> None:
    keys = run.catalog.keys
    for row in rows:
        if not 0 <= row < len(keys):
            raise InputError(f"no row {row} in the run", where=str(run.path))
    time = datetime.now(UTC).isoformat(timespec="seconds")
    content = encode_act(Decision(keys[row], choice, reason, time) for row in dict.fromkeys(rows))
    folder = run.path / _KIND
    folder.mkdir(exist_ok=True)
    with FileLock(folder / LOCK_NAME):
        acts = run.added(_KIND)
        run.add(_KIND, f"{int(acts[-1]) + 1 if acts else 1:06d}", {_FILE: content})


def _acts(run: Run) -> Iterator[Decision]:
    for act in run.added(_KIND):
        for line in run.read_added(_KIND, act, _FILE).splitlines():
            yield _decoded(json.loads(line))


def _decoded(line: Mapping[str, str | None]) -> Decision:
    choice = line["choice"]
    return Decision(str(line["row_key"]), None if choice is None else Choice(choice), str(line["reason"]), str(line["time"]))
