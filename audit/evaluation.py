"""Files of prompts that a tuned model is to be measured with: what the training data must not hold.

Any file that can be audited can be given, and also one of questions with or without answers, as benchmarks are published:
the prompt is then taken from the first column of a usual name.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from audit.errors import InputError
from audit.sources import Problem, decompressed, open_source, parse_row, read_records, recognize_format
from indexes.store import write_bytes

__all__ = ["EVALUATION_FILE", "EVALUATION_SCHEMA", "Evaluation", "Item", "read_evaluation", "read_items", "write_items"]

EVALUATION_FILE = "indexes/evaluation.parquet"
EVALUATION_SCHEMA: dict[str, pl.DataType] = {
    "file": pl.String(),
    "index": pl.UInt32(),
    "prompt": pl.String(),
    "references": pl.List(pl.String()),
}
"""One line per `Item`; `index` counts from 0 in its file."""

_PROMPTS = "prompt question instruction query problem input goal text sentence task user".split()
_CONTEXTS = "input context passage".split()
_REFERENCES = (
    "reference references answer answers best_answer correct_answer correct_answers response output completion target targets "
    "solution expected gold final_answer correct_option"
).split()


class Item(NamedTuple):
    """A prompt kept for measuring: where it stands, what is asked, and the answers that count as right."""

    file: str
    index: int  # type: ignore[assignment]  # hides tuple.index, as in `RowId`
    prompt: str
    references: list[str]


def write_items(path: Path, items: Sequence[Item]) -> None:
    """Write items as Parquet, sealed."""
    table = io.BytesIO()
    pl.DataFrame(items, schema=EVALUATION_SCHEMA, orient="row").write_parquet(table, compression="zstd", statistics=False)
    write_bytes(path, table.getvalue())


@dataclass(frozen=True)
class Evaluation:
    """Evaluation files, read.

    Attributes:
        files: As the user named them.
        sha256: Of each.
        items: Of all, in order.
    """

    files: tuple[str, ...]
    sha256: tuple[str, ...]
    items: tuple[Item, ...]


def read_evaluation(files: Sequence[str]) -> Evaluation:
    """Read evaluation files.

    Raises:
        InputError: A file cannot be read, a record of it is damaged or has no prompt, or it holds none.
    """
    digests: list[str] = []
    items: list[Item] = []
    for file in files:
        with open_source(file) as source:
            digests.append(source.sha256)
        items += read_items(file)
    return Evaluation(tuple(files), tuple(digests), tuple(items))


def read_items(given: str) -> Iterator[Item]:
    """The items of a file that has a prompt in every record, in order; empty ones are left out.

    Raises:
        InputError: The file cannot be read, a record is damaged or has no prompt, or there is none.
    """
    n_items = 0
    with open_source(given) as source, ExitStack() as stack:
        for file in source.files:
            name = file.name if len(source.files) > 1 else Path(file.name).name
            path = stack.enter_context(decompressed(file.path))
            for record in read_records(path, file.container):
                where = f"{file.location}#{record.index}" if record.line is None else f"{file.location}:{record.line}"
                if isinstance(record.fields, Problem):
                    raise InputError(f"cannot be read: {record.fields.reason}", where=where, remedy="mend the evaluation file")
                prompt, references = _prompt(record.fields), _references(record.fields)
                if prompt is None:
                    found = ", ".join(map(repr, list(record.fields)[:8])) or "none"
                    raise InputError(
                        f"no prompt in the evaluation file (fields: {found})",
                        where=where,
                        remedy=f"name the column {', '.join(_PROMPTS[:5])} or messages",
                    )
                n_items += 1
                if prompt.strip():
                    yield Item(name, record.index, prompt, references)
    if not n_items:
        raise InputError("the evaluation file holds no item", where=given, remedy="give one prompt per line")


def _prompt(fields: Mapping[str, Any]) -> str | None:
    format_ = recognize_format(fields)
    for turns in (fields.get("messages"), fields.get("conversations"), fields.get("conversation"), fields.get("prompt")):
        if isinstance(turns, list) and format_ is not None:
            parsed = parse_row(fields, format_, {})
            if isinstance(parsed, Problem):
                return None
            return "\n".join(message.content for message in parsed.messages if message.role == "user")
    lowered = {name.lower().replace(" ", "_"): value for name, value in fields.items()}
    name = next((name for name in _PROMPTS if isinstance(lowered.get(name), str)), None)
    if name is None:
        return None
    context = next((lowered[other] for other in _CONTEXTS if other != name and isinstance(lowered.get(other), str)), "")
    return f"{lowered[name]}\n{context}" if context.strip() and name == "instruction" else str(lowered[name])


def _references(fields: Mapping[str, Any]) -> list[str]:
    lowered = {name.lower().replace(" ", "_"): value for name, value in fields.items()}
    value = next((lowered[name] for name in _REFERENCES if lowered.get(name) not in (None, "", [])), None)
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str) and text.strip()]
