"""Odd names of columns, as users of LLaMA-Factory write them down: one by one, or in a `dataset_info.json`.

The description of a dataset that is found beside its files holds for them as it does in LLaMA-Factory, so that what is
trained there is what is audited here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audit.errors import InputError
from audit.sources.formats import COLUMNS

__all__ = ["columns_beside", "read_columns"]

_DESCRIPTIONS = "dataset_info.json"
_ALPACA_COLUMNS = {"prompt": "instruction", "query": "input", "response": "output"}


def read_columns(text: str) -> dict[str, str]:
    """The mapping of columns that a user wrote: `prompt=question,response=answer`, or `@dataset_info.json:NAME`.

    Raises:
        InputError: It is neither, or the file describes no dataset of that name.
    """
    if text.startswith("@"):
        return _described(text)
    columns: dict[str, str] = {}
    for part in text.split(","):
        name, equals, column = part.partition("=")
        if not equals or not column:
            raise InputError(
                f"--columns {text!r} is not NAME=COLUMN,…",
                remedy="write for example prompt=question,response=answer, or @dataset_info.json:NAME",
            )
        columns[name.strip()] = column.strip()
    return columns


def columns_beside(path: Path) -> dict[str, str]:
    """The mapping that a `dataset_info.json` has for a file, or for the folder that it is in; empty where there is none.

    Raises:
        InputError: The description gives the file several mappings.
    """
    for named in (path, path.parent):
        where = named.parent / _DESCRIPTIONS
        mappings = _mappings_of(named, where)
        if any(mapping != next(iter(mappings.values())) for mapping in mappings.values()):
            raise InputError(
                f"{named.name!r} is described in several ways",
                where=str(where),
                why=", ".join(map(repr, mappings)),
                remedy=f"choose one: --columns @{where}:NAME",
            )
        if mappings:
            return next(iter(mappings.values()))
    return {}


def _mappings_of(named: Path, where: Path) -> dict[str, dict[str, str]]:
    """The mappings that a description has for a file or folder, by the names of its entries."""
    try:
        described = json.loads(where.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    # `datasets` writes files of this name too, which describe a single dataset and name no file of it.
    entries = described.items() if isinstance(described, dict) else ()
    return {
        name: _columns(entry, str(where))
        for name, entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("file_name"), str) and where.parent / entry["file_name"] == named
    }


def _described(text: str) -> dict[str, str]:
    """The mapping of `@FILE:NAME`; the name may be left out where the file describes one dataset."""
    file, _, name = text[1:].rpartition(":")
    if not file or (not Path(file).exists() and Path(text[1:]).exists()):
        file, name = text[1:], ""
    try:
        entries = json.loads(Path(file).read_bytes())
    except OSError as error:
        raise InputError("cannot be read", where=file, why=error.strerror or "", remedy="check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError("is no readable JSON", where=file, why=str(error).splitlines()[0]) from error
    known = {key: entry for key, entry in entries.items() if isinstance(entry, dict)} if isinstance(entries, dict) else {}
    if not name and len(known) == 1:
        name = next(iter(known))
    if name not in known:
        what = f"describes no dataset {name!r}" if name else "describes several datasets" if known else "describes no dataset"
        raise InputError(what, where=file, why=f"there are: {', '.join(known) or 'none'}", remedy="write @FILE:NAME")
    return _columns(known[name], file)


def _columns(entry: Mapping[str, Any], where: str) -> dict[str, str]:
    """LLaMA-Factory's description of a dataset as a mapping of columns, its defaults filled in."""
    columns, tags = entry.get("columns"), entry.get("tags") or {}
    if not isinstance(columns or {}, dict) or not isinstance(tags, dict):
        raise InputError("'columns' and 'tags' are no objects", where=where, remedy="write {NAME: COLUMN}")
    given = {name: column for name, column in (columns or {}).items() if name in COLUMNS and isinstance(column, str)}
    if entry.get("formatting", "alpaca") == "alpaca":
        # Columns that are given leave none of the usual ones; text alone is what LLaMA-Factory pretrains on.
        given = given if columns else dict(_ALPACA_COLUMNS)
        return {"text": given["prompt"]} if given.keys() == {"prompt"} else given
    given.setdefault("messages", "conversations")
    return given | {tag: key for tag, key in tags.items() if tag in COLUMNS and isinstance(key, str)}
