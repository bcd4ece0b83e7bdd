"""Answers to hold a dataset's style against: those of people, or the base model's own."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from audit.corpus import Corpus, write_corpus
from audit.errors import InputError
from audit.sources import open_source
from indexes.store import write_file

__all__ = ["Reference", "read_reference"]


@dataclass(frozen=True)
class Reference:
    """Prompts with the answers that somebody else gave.

    Attributes:
        prompts: In order; a conversation has one for every answer.
        responses: As many.
        name: Of the file, or how many there are.
        sha256: Of the source.
    """

    prompts: tuple[str, ...]
    responses: tuple[str, ...]
    name: str
    sha256: str


def read_reference(names: Sequence[str]) -> Reference:
    """Read a reference: any dataset that can be audited, prompts with `prompt` and `response` among them.

    Args:
        names: Files, folders, patterns, a hub id or URLs, one at least.

    Raises:
        InputError: A file cannot be read, holds no readable row, or no row of it has an answer.
    """
    given = names[0] if len(names) == 1 else tuple(names)
    with open_source(given) as source, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        write_file(path, partial(write_corpus, source))
        answers = Corpus.load(path).responses.filter(pl.col("text").str.strip_chars() != "")
        if answers.is_empty():
            raise InputError(
                "the style reference holds no answer", where=source.name, remedy="give rows with a prompt and a response each"
            )
        return Reference(tuple(answers["prompt"].to_list()), tuple(answers["text"].to_list()), source.name, source.sha256)
