"""An exported file as Croissant metadata, which dataset search engines and loaders read.

The record set has a field for each column of the file, by what its records hold: texts, numbers, truth values, lists of
these, and objects one level deep, such as the messages of a chat. What lies deeper has no field, and the record set's
description names it, as it does fields of a JSON array that not every row has. The file is read once, in a stream.

Source: MLCommons, Croissant Format Specification 1.0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from audit.export import Exported
from audit.sources import Container, Problem, detect_container, read_records
from reports.wording import count

__all__ = ["ExportedFile", "croissant_json", "exported_files"]

_FORMATS = {
    Container.JSONL: "application/jsonlines",
    Container.JSON: "application/json",
    Container.CSV: "text/csv",
    Container.PARQUET: "application/x-parquet",
    Container.ARROW: "application/vnd.apache.arrow.file",
}

# The context that the specification asks for, word for word.
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_CONTROL = "A control: as many rows removed, drawn at random; not the dataset."
_NOT_IN_ID = re.compile(r"[^\w.-]")
_PLAIN_KEY = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True)
class ExportedFile:
    """A file of an export.

    Attributes:
        name: Its path from where the card lies.
        path: Where it lies.
        sha256: Of its bytes.
        is_control: Whether it is a control, and no part of the dataset.
    """

    name: str
    path: Path
    sha256: str
    is_control: bool


def croissant_json(exported: Exported, published: date, card: str = "") -> bytes:
    """The metadata of an export, for `croissant.json` beside it.

    Args:
        exported: The export; its file is read.
        published: The day to name as that of publication.
        card: The dataset card beside it: its front matter names the license.

    Raises:
        InputError: The file is not what was exported any more.
    """
    plan, name = exported.plan, exported.cleaned.name
    record = json.loads(plan.run.read_added("exports", exported.name, "manifest.json"))
    cleaned_sha256 = record["cleaned"]["sha256"]
    distribution, record_sets = [], []
    files = exported_files(exported)
    n_cleaned = sum(not file.is_control for file in files)
    for number, file in enumerate(files):
        distribution.append(_file(f"file-{number}", file))
        if not file.is_control:
            record_sets.append(_record_set(f"file-{number}", "records" if n_cleaned == 1 else f"records-{number}", file))
    n_dropped = len(plan.selection.reasons)
    source, tool = plan.run.summary.name, plan.run.summary.tunescope
    return _encode(
        {
            "@context": _CONTEXT,
            "@type": "sc:Dataset",
            "conformsTo": "http://mlcommons.org/croissant/1.0",
            "name": exported.cleaned.stem,
            "description": f"{source} without {n_dropped:,} of its {count(plan.selection.n_rows, 'row')}, which the "
            f"manifest of the export names with their reasons; written by tunescope {tool}.",
            "citeAs": f"{name}, made of {source} by tunescope {tool}, SHA-256 {cleaned_sha256}",
            "datePublished": published.isoformat(),
            "license": _license(card),
            # A version has no order of its own here, but the content that it stands for.
            "version": f"1.0.0+{cleaned_sha256[:12]}",
            "distribution": distribution,
            "recordSet": record_sets,
        }
    )


def _encode(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def exported_files(exported: Exported) -> tuple[ExportedFile, ...]:
    """The files of an export, those of the dataset first; the controls of a folder are folders of their own, and not here."""
    record = json.loads(exported.plan.run.read_added("exports", exported.name, "manifest.json"))
    if "files" in record["cleaned"]:
        inside = record["cleaned"]["files"]
        return tuple(ExportedFile(file["file"], exported.cleaned / file["file"], file["sha256"], False) for file in inside)
    paths, written = (exported.cleaned, *exported.controls), (record["cleaned"], *record["controls"])
    return tuple(
        ExportedFile(path.name, path, file["sha256"], path != exported.cleaned)
        for path, file in zip(paths, written, strict=True)
    )


def _file(id_: str, file: ExportedFile) -> Mapping[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": id_,
        "name": file.name,
        "description": _CONTROL if file.is_control else "Rows of the dataset.",
        "contentUrl": file.name,
        "contentSize": f"{file.path.stat().st_size} B",
        "encodingFormat": _FORMATS[detect_container(file.path)],
        "sha256": file.sha256,
    }


def _license(card: str) -> Any:
    """What the card's front matter says; nothing else is known."""
    front = re.match(r"\ufeff?---\r?\n(.*?)\r?\n---\s*(?:\n|$)", card, re.DOTALL)
    try:
        fields = yaml.safe_load(front.group(1)) if front else None
    except yaml.YAMLError:
        fields = None
    named = fields.get("license") if isinstance(fields, dict) else None
    return named if isinstance(named, str) or (isinstance(named, list) and named) else "unknown"


@dataclass
class _Column:
    """What the values of a column, or of a member of its objects, are."""

    n_rows: int = 0
    kinds: set[type] = field(default_factory=set)
    repeated: bool = False
    members: dict[str, _Column] = field(default_factory=dict)

    def see(self, value: object) -> None:
        """Take the value of a row into account."""
        self.n_rows += 1
        values = value if isinstance(value, list) else [value]
        self.repeated = self.repeated or isinstance(value, list)
        for one in values:
            if isinstance(one, dict):
                for key, member in one.items():
                    self.members.setdefault(str(key), _Column()).see(member)
            if one is not None:
                self.kinds.add(type(one))

    @property
    def data_type(self) -> str | None:
        """Of the values; `None` where they are not all single values."""
        if dict in self.kinds or list in self.kinds:
            return None
        if self.kinds == {bool}:
            return "sc:Boolean"
        if self.kinds == {int}:
            return "sc:Integer"
        if self.kinds and self.kinds <= {int, float}:
            return "sc:Float"
        return "sc:Text"


def _columns(records: Iterable[Mapping[str, Any] | Problem]) -> tuple[Mapping[str, _Column], int]:
    """The columns of some records, and how many records there are."""
    columns: dict[str, _Column] = {}
    n_rows = 0
    for n_rows, fields in enumerate(records, start=1):  # noqa: B007 - the last number is how many
        if not isinstance(fields, Problem):
            for name, value in fields.items():
                columns.setdefault(name, _Column()).see(value)
    return columns, n_rows


def _record_set(file_id: str, id_: str, file: ExportedFile) -> Mapping[str, Any]:
    container = detect_container(file.path)
    columns, n_rows = _columns(record.fields for record in read_records(file.path, container))
    fields, left_out = [], []
    ids = _ids(id_, columns)
    for name, column in columns.items():
        source = {"fileObject": {"@id": file_id}, "extract": {"column": name}}
        if container is Container.JSON:
            source["extract"] = {"jsonPath": f"$[*].{_step(name)}"}
        shown: dict[str, Any] = {"@type": "cr:Field", "@id": ids[name], "name": name}
        if column.repeated:
            shown["repeated"] = True
        # Values of a JSON array are found by path, and those of a field that some rows lack would slip to other rows.
        if container is Container.JSON and (column.n_rows < n_rows or column.data_type is None):
            left_out.append(name)
            continue
        if column.data_type is not None:
            fields.append(shown | {"dataType": column.data_type, "source": source})
            continue
        members = {key: member for key, member in column.members.items() if member.data_type and not member.repeated}
        left_out += [f"{name}.{key}" for key in column.members if key not in members]
        if not members or column.kinds != {dict}:
            left_out.append(name)
            continue
        member_ids = _ids(ids[name], members)
        shown["subField"] = [
            {
                "@type": "cr:Field",
                "@id": member_ids[key],
                "name": key,
                "dataType": member.data_type,
                "source": source | {"transform": {"jsonPath": _step(key)}},
            }
            for key, member in members.items()
        ]
        fields.append(shown)
    beyond = f" Without a field, because its readers cannot take it apart: {', '.join(left_out)}." if left_out else ""
    return {
        "@type": "cr:RecordSet",
        "@id": id_,
        "name": id_,
        "description": f"{count(n_rows, 'row')} of {file.name}.{beyond}",
        "field": fields,
    }


def _ids(parent: str, names: Iterable[str]) -> Mapping[str, str]:
    """Name -> id: readers accept no spaces, and not every mark."""
    ids: dict[str, str] = {}
    for name in names:
        plain = f"{parent}/" + (_NOT_IN_ID.sub("_", name) or "_")
        numbered = (plain if number == 1 else f"{plain}.{number}" for number in range(1, len(ids) + 2))
        taken = set(ids.values())
        ids[name] = next(id_ for id_ in numbered if id_ not in taken)
    return ids


def _step(name: str) -> str:
    """A member's name within a JSONPath."""
    return name if _PLAIN_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)
