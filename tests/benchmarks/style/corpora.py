"""The real texts that style is measured on."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

from audit.style.reference import read_reference
from tests.benchmarks.data import DATASETS

__all__ = ["AUTHORS", "Row", "answers_of", "outputs_file", "rows_of"]

AUTHORS = ("alpaca-7b", "text_davinci_003", "phi-2", "phi-2-sft")


class Row(NamedTuple):
    """An instruction and its response."""

    prompt: str
    response: str


def outputs_file(folder: Path, author: str) -> Path:
    """Where a model's answers lie."""
    return folder / "outputs" / f"alpaca_eval_{author}.json"


@cache
def answers_of(folder: Path) -> tuple[list[str], list[list[str]]]:
    """The prompts that all four models answered, and the answers by author, without white space around them."""
    by_author = [
        {row["instruction"]: row["output"].strip() for row in json.loads(outputs_file(folder, author).read_text("utf-8"))}
        for author in AUTHORS
    ]
    prompts = sorted(set.intersection(*(set(answers) for answers in by_author)))
    return prompts, [[answers[prompt] for prompt in prompts] for answers in by_author]


@cache
def rows_of(folder: Path, name: str) -> tuple[Row, ...]:
    """The rows of a dataset that have an answer."""
    read = read_reference([str(folder / DATASETS[name].path)])
    return tuple(Row(prompt, response.strip()) for prompt, response in zip(read.prompts, read.responses, strict=True))
