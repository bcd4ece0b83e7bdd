"""The rows of a dataset prepared by tunescope and by TRL itself, held against each other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.chat_templates import read_chat_template
from audit.config import LossOn, Packing, RowsAs, Truncation
from audit.corpus import Corpus, write_corpus
from audit.preprocessing.examples import Example, trainer_examples
from audit.preprocessing.packing import packed_sequences
from audit.preprocessing.tokens import Prepared, TrainerTokenizer, kept_of
from audit.sources import open_source
from indexes.store import write_file
from tests.benchmarks.trainer.by_trl import ByTrl, prepare_by_trl, write_jsonl

__all__ = ["Compared", "Mode", "compare", "read_examples"]

_REFUSED_ASKED = 8


@dataclass(frozen=True)
class Mode:
    """How rows are prepared; the words are TRL's."""

    template: str
    loss_on: LossOn | None = None
    max_length: int = 1024
    packing: Packing = Packing.NONE
    truncation: Truncation = Truncation.KEEP_START
    rows_as: RowsAs = RowsAs.FILE

    def __str__(self) -> str:
        loss = "usual loss" if self.loss_on is None else f"loss on {self.loss_on}"
        return f"{self.template}, {loss}, {self.max_length}, {self.packing}, {self.truncation}"


@dataclass(frozen=True)
class Compared:
    """How two preparations of a dataset differ.

    Attributes:
        n_rows: Rows that both were given, the refused ones among them that were given to TRL alone.
        n_dropped: Rows that TRL leaves out.
        n_refused: Rows at which TRL is said to stop.
        different: Rows, or packed sequences, that are not equal, and refused rows at which TRL does not stop.
        seconds, trl_seconds: What each took.
    """

    n_rows: int
    n_dropped: int
    n_refused: int
    different: tuple[int, ...]
    seconds: float
    trl_seconds: float


def read_examples(data: Path, folder: Path, *, loss_on: LossOn | None, rows_as: RowsAs = RowsAs.FILE) -> list[Example]:
    """The rows of a file as tunescope gives them to a trainer."""
    with open_source(data) as source:
        write_file(folder / "rows.parquet", lambda file: write_corpus(source, file))
        corpus = Corpus.load(folder / "rows.parquet")
        return list(trainer_examples(corpus, source, loss_on=loss_on, rows_as=rows_as))


def compare(data: Path, tokenizer: Any, mode: Mode, folder: Path, *, as_it_stands: bool = False) -> Compared:
    """Prepare a file both ways.

    Args:
        data: A dataset.
        tokenizer: Of transformers; gets the mode's template.
        mode: How.
        folder: For what is written on the way.
        as_it_stands: Whether TRL is given the file itself, its rows numbered under `row`; otherwise it is given the fields
            that tunescope would give it.
    """
    tokenizer.chat_template = read_chat_template(mode.template, tokenizer)
    began = time.monotonic()
    examples = read_examples(data, folder, loss_on=mode.loss_on, rows_as=mode.rows_as)
    prepared = list(TrainerTokenizer(tokenizer).prepare(examples))
    seconds = time.monotonic() - began
    usable = [row for row, example in zip(prepared, examples, strict=True) if not row.refused and example.has_completion]
    refused = [row.row for row in prepared if row.refused]
    given = {example.row: dict(example.fields) for example in examples}
    if as_it_stands:
        left = given.keys() - {row.row for row in usable}
        lines = data.read_text("utf-8").splitlines(keepends=True)
        file = folder / "given.jsonl"
        file.write_text("".join(line for number, line in enumerate(lines) if number not in left), "utf-8")
    else:
        file = write_jsonl(folder / "given.jsonl", [{**given[row.row], "row": row.row} for row in usable])
    settings: dict[str, Any] = {
        "max_length": mode.max_length,
        "packing": str(mode.packing),
        "truncation": str(mode.truncation),
        "assistant_only_loss": mode.loss_on is LossOn.ASSISTANT,
        "completion_only_loss": False if mode.loss_on is LossOn.ALL else None,
    }
    by_trl = prepare_by_trl(file, tokenizer, folder, **settings) if usable else ByTrl({}, (), 0.0)
    different = (
        _unequal(usable, by_trl.rows, mode) if mode.packing is Packing.NONE else _misplaced(usable, by_trl.sequences, mode)
    )
    different += [row for row in refused[:_REFUSED_ASKED] if not _stops(given[row], tokenizer, folder, settings)]
    n_asked = min(len(refused), _REFUSED_ASKED)
    n_dropped = sum(kept_of(row, mode.max_length, mode.truncation, mode.packing).is_dropped for row in usable)
    return Compared(len(usable) + n_asked, n_dropped, len(refused), tuple(different), seconds, by_trl.seconds)


def _unequal(prepared: Sequence[Prepared], rows: Any, mode: Mode) -> list[int]:
    different = []
    for row in prepared:
        kept = kept_of(row, mode.max_length, mode.truncation)
        ours = None if kept.is_dropped else (list(row.ids[kept.place]), row.labels[kept.place])
        theirs = tuple(map(list, rows[row.row])) if row.row in rows else None
        if ours != theirs:
            different.append(row.row)
    return different


def _misplaced(prepared: Sequence[Prepared], sequences: Sequence[Sequence[int]], mode: Mode) -> list[int]:
    """Numbers of the packed sequences that are not of the same pieces."""
    ours = list(packed_sequences([len(row.ids) for row in prepared], mode.max_length, mode.packing))
    longest = max(len(ours), len(sequences))
    return [at for at in range(longest) if ours[at : at + 1] != [list(pieces) for pieces in sequences[at : at + 1]]]


def _stops(fields: dict[str, Any], tokenizer: Any, folder: Path, settings: dict[str, Any]) -> bool:
    file = write_jsonl(folder / "refused.jsonl", [{**fields, "row": 0}])
    try:
        prepare_by_trl(file, tokenizer, folder, **settings)
    except Exception:  # noqa: BLE001 - whatever it stops with
        return True
    return False
