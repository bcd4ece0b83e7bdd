"""Exports in a run folder: which rows each one dropped and which it mended, for those who tune on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from audit.errors import InputError
from audit.rundir import Run

__all__ = ["ExportRecord", "read_export"]

_KIND = "exports"


@dataclass(frozen=True)
class ExportRecord:
    """What an export did.

    Attributes:
        name: Its name in the run.
        dropped: Numbers of the rows that left, ascending.
        dropped_share: Their share of all rows.
        group_column: The field that its controls keep in proportion, if any.
        mended: Row and turn -> what the export holds there in place of the response.
    """

    name: str
    dropped: tuple[int, ...]
    dropped_share: float
    group_column: str | None
    mended: Mapping[tuple[int, int], str] = field(default_factory=dict)


def read_export(run: Run, name: str) -> ExportRecord:
    """The record of an export.

    Raises:
        InputError: The run has no such export, or the record is of another run.
    """
    manifest = json.loads(run.read_added(_KIND, name, "manifest.json"))
    source, audited = manifest["source"]["sha256"], run.manifest["source"]["sha256"]
    number_of_key = dict(zip(run.catalog.keys, range(len(run.catalog)), strict=True))
    keys = [json.loads(line)["row_key"] for line in run.read_added(_KIND, name, "dropped.jsonl").splitlines()]
    mended = []
    if "mends" in manifest:
        mended = [json.loads(line) for line in run.read_added(_KIND, name, "mended.jsonl").splitlines()]
    if source != audited or any(key not in number_of_key for key in [*keys, *(line["row_key"] for line in mended)]):
        raise InputError(
            f"the export {name!r} is of another run",
            where=str(run.path / _KIND / name),
            why=f"it was made of {manifest['source']['path']}, and this run audited {run.manifest['source']['path']}",
            remedy="name the run that it was made from",
        )
    return ExportRecord(
        name=name,
        dropped=tuple(sorted(number_of_key[key] for key in keys)),
        dropped_share=manifest["dropped_share"],
        group_column=manifest["request"]["group_column"] or run.settings.get("group_column"),
        mended={(number_of_key[line["row_key"]], line["turn"]): line["after"] for line in mended},
    )
