"""An audit as SARIF 2.1.0, for code scanning and editors: a rule per check, a result per finding.

A result names the file and the line on which its row begins; a file without lines, such as Parquet, has no region.
Columns are given only where they are known: for a JSON Lines source that still lies there, and holds the text in question
in one string. They are UTF-16 code units of the line, as `columnKind` says. The row, turn and span (code points of the
turn's content) are in a result's properties. The same audit gives the same bytes: there is no time in it.

Source: OASIS, Static Analysis Results Interchange Format 2.1.0 (errata 01); the limits are those of GitHub code scanning.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl

from audit.corpus import Corpus
from audit.findings import Finding, Severity
from audit.rundir import Run
from audit.summary import AuditSummary, CheckResult
from reports.explanation import parse_explanation
from reports.json_report import span_places
from reports.offsets import utf16_offsets
from reports.overview import findings_of, not_looked_at
from reports.visible import one_line
from reports.wording import count

__all__ = ["MAX_RESULTS", "SHOWN_RESULTS", "audit_sarif", "run_sarif", "source_uri"]

MAX_RESULTS = 25_000
"""Results in a run; GitHub refuses a file with more."""

SHOWN_RESULTS = 5_000
"""Results that GitHub shows of a run, the gravest first."""

# Matched rows named in a result; one with hundreds would fill the page it is shown on.
_MAX_RELATED = 10

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}

_JSON_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
# One code point of a string as it is written: a pair of escaped surrogates, one escape, or itself.
_WRITTEN = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|.")


def audit_sarif(
    summary: AuditSummary,
    corpus: Corpus,
    findings: pl.DataFrame,
    places: Mapping[str, Path] | None = None,
    suppressed: pl.DataFrame | None = None,
) -> bytes:
    """The report of an audit as UTF-8.

    Args:
        summary: The audit at a glance.
        corpus: The rows.
        findings: A frame of `FINDING_SCHEMA`.
        places: Name of a file -> where it lies: results then name its path within the working folder, and columns of
            JSON Lines; of other files the name alone.
        suppressed: Findings that were set aside (`SUPPRESSED_SCHEMA`): results that viewers hide.
    """
    frame = findings if suppressed is None else pl.concat([findings, suppressed], how="diagonal")
    kept = _gravest(frame, MAX_RESULTS)
    head = {
        "tool": {
            "driver": {"name": "tunescope", "version": summary.tunescope, "rules": [_rule(check) for check in summary.checks]}
        },
        # Uploads of two datasets of one repository must not replace each other.
        "automationDetails": {"id": f"tunescope/{one_line(summary.name, 200)}/"},
        "columnKind": "utf16CodeUnits",
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": list(_notes(summary, frame, kept))}],
    }
    lines = ",\n".join(_encode(result) for result in _results(summary, corpus, kept, places or {}))
    run = f'{_encode(head)[:-1]}, "results": [\n{lines}\n]}}'
    return f'{{"$schema": "{_SCHEMA}", "version": "2.1.0", "runs": [\n{run}\n]}}\n'.encode()


def run_sarif(run: Run) -> bytes:
    """The report of a finished run, with the places of its files and what was set aside."""
    files = run.manifest["source"].get("files", [run.manifest["source"]])
    places = {file["name"]: Path(file["path"]) for file in files if Path(file["path"]).is_file()}
    return audit_sarif(run.summary, run.catalog, run.findings, places, run.suppressed)


def source_uri(file: str, place: Path | None = None) -> str:
    """A file's address: relative to the working folder where it lies in it, else its name, percent-encoded."""
    path = Path(file)
    if place is not None:
        absolute = Path(os.path.abspath(place))  # noqa: PTH100 - a link keeps its own name
        path = absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else path
    # File names are bytes; those that are no UTF-8 are encoded as they are.
    return "/".join(quote(os.fsencode(part), safe="") for part in path.parts if part != path.anchor)


def _encode(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _rule(check: CheckResult) -> Mapping[str, Any]:
    page = parse_explanation(check.explanation)
    what = next(("`".join(part.stretches) for part in page.paragraphs if part.label == "What"), page.title)
    return {
        "id": check.code,
        "name": "".join(word[0].upper() + word[1:] for word in re.findall(r"\w+", check.name)),
        "shortDescription": {"text": f"{check.name[:1].upper()}{check.name[1:]}."},
        "fullDescription": {"text": f"{what[:1].upper()}{what[1:]}"},
        "help": {"text": check.explanation, "markdown": check.explanation},
        "defaultConfiguration": {"level": _LEVELS[check.severity]},
        "properties": {"tags": ["dataset", re.sub(r"\d+$", "", check.code)]},
    }


def _gravest(findings: pl.DataFrame, n_kept: int) -> pl.DataFrame:
    """The gravest findings, the first of a kind where not all have room; in the order of the frame."""
    if findings.height <= n_kept:
        return findings
    ranks = {str(severity): severity.rank for severity in Severity}
    rank = pl.col("severity").replace_strict(ranks, return_dtype=pl.UInt8)
    ordered = findings.with_row_index("place").sort(rank, descending=True, maintain_order=True)
    return ordered.head(n_kept).sort("place").drop("place")


def _notes(summary: AuditSummary, found: pl.DataFrame, kept: pl.DataFrame) -> Iterator[Mapping[str, Any]]:
    if kept.height < found.height:
        yield _note(
            "warning",
            f"{count(found.height, 'finding')}, of which the gravest {kept.height:,} are here, as many as code scanning "
            "takes of a run; all are in findings.parquet and report.json of the run folder.",
        )
    if kept.height > SHOWN_RESULTS:
        yield _note("note", f"Of {kept.height:,} results, GitHub code scanning shows only the gravest {SHOWN_RESULTS:,}.")
    n_cut = int((kept["related"].list.len() > _MAX_RELATED).sum())
    if n_cut:
        yield _note("note", f"{count(n_cut, 'result')} with over {_MAX_RELATED} matched rows: only the first {_MAX_RELATED}.")
    for note in summary.notes:
        yield _note("note", one_line(note, 300))
    for skipped in not_looked_at(summary):
        yield _note("note", f"Not looked at: {one_line(skipped.what, 300)}: {one_line(skipped.why, 300)}.")


def _note(level: str, text: str) -> Mapping[str, Any]:
    return {"level": level, "message": {"text": text}}


def _results(
    summary: AuditSummary, corpus: Corpus, findings: pl.DataFrame, files: Mapping[str, Path]
) -> Iterator[Mapping[str, Any]]:
    rules = {check.code: number for number, check in enumerate(summary.checks)}
    named = pl.concat([findings["row"], findings["related"].list.head(_MAX_RELATED).explode()]).unique().drop_nulls()
    places = dict(zip(named, corpus.rows.select("file", "index", "line", "start", "end")[named].rows(named=True), strict=True))
    keys = corpus.keys.gather(findings["row"])
    uris = {file: source_uri(file, files.get(file)) for file in {place["file"] for place in places.values()}}
    for finding, record, key in zip(findings_of(findings), findings.iter_rows(named=True), keys, strict=True):
        place = places[record["row"]]
        region = {} if place["line"] is None else {"startLine": place["line"]}
        properties: dict[str, Any] = {"row": place["index"], "row_key": key, "turn": record["turn"]}
        span = span_places(summary, corpus, finding)
        if span is not None:
            properties["span"] = span
            region |= _columns(files.get(place["file"]), place, corpus, finding)
        if record["measure"]:
            measured = {name: record[name] for name in ("measure", "value", "limit")}
            properties |= {name: value for name, value in measured.items() if value is not None}
        if record["quote"]:
            properties["quote"] = record["quote"]
        result: dict[str, Any] = {
            "ruleId": record["code"],
            "level": _LEVELS[Severity(record["severity"])],
            "message": {"text": _plain(record["message"])},
            "locations": [_location(place, uris, region, record["turn"])],
            "partialFingerprints": {"tunescopeFinding/v1": record["fingerprint"]},
            "properties": properties,
        }
        if record["code"] in rules:
            result["ruleIndex"] = rules[record["code"]]
        if record["related"]:
            properties["n_related"] = len(record["related"])
            result["relatedLocations"] = [
                _related(number, places[row], uris) for number, row in enumerate(record["related"][:_MAX_RELATED])
            ]
        if by := record.get("by"):
            result["suppressions"] = [_suppression(by, record["reason"])]
        yield result


def _plain(message: str) -> str:
    """A message whose text is no link: SARIF reads `[text](target)` in plain messages."""
    return one_line(message, 1000).replace("](", "] (")


def _location(place: Mapping[str, Any], uris: Mapping[str, str], region: Mapping[str, int], turn: int | None) -> dict[str, Any]:
    name = f"row {place['index']}" if turn is None else f"row {place['index']}, turn {turn}"
    full = f"{one_line(place['file'], 200)}#{place['index']}" + ("" if turn is None else f"/{turn}")
    physical: dict[str, Any] = {"artifactLocation": {"uri": uris[place["file"]], "uriBaseId": "%SRCROOT%"}}
    if region:
        physical["region"] = region
    return {
        "physicalLocation": physical,
        "logicalLocations": [{"name": name, "fullyQualifiedName": full, "kind": "object"}],
    }


def _related(number: int, place: Mapping[str, Any], uris: Mapping[str, str]) -> Mapping[str, Any]:
    region = {} if place["line"] is None else {"startLine": place["line"]}
    text = f"matched row {place['index']}"
    return {"id": number, "message": {"text": text}, **_location(place, uris, region, None)}


def _suppression(by: str, reason: str) -> Mapping[str, str]:
    """A row's own field stands in the source; the configuration and a baseline stand outside."""
    why = one_line(reason or by, 300)
    return {"kind": "inSource" if by == "row" else "external", "status": "accepted", "justification": why}


def _columns(source: Path | None, place: Mapping[str, Any], corpus: Corpus, finding: Finding) -> Mapping[str, int]:
    """First and last column of a finding's span on the row's line, from 1; nothing where they are not sure."""
    span, turn = finding.evidence.span, finding.turn
    if source is None or source.suffix.lower() not in (".jsonl", ".ndjson") or span is None or turn is None:
        return {}
    text = corpus.row(finding.row).messages[turn].content
    try:
        with source.open("rb") as file:
            file.seek(place["start"])
            record = file.read(place["end"] - place["start"])
        # Blank lines before a row belong to its record; an editor does not count a byte order mark.
        line = record.rstrip(b"\r\n").rpartition(b"\n")[2].decode().removeprefix("\ufeff")
        holding = [match for match in _JSON_STRING.finditer(line) if json.loads(match.group(), strict=False) == text]
    except (OSError, ValueError):
        return {}
    if len(holding) != 1:
        return {}
    ends = accumulate((len(written) for written in _WRITTEN.findall(holding[0].group(1))), initial=holding[0].start(1))
    starts: Sequence[int] = list(ends)
    start, end = utf16_offsets(line, [starts[span[0]], starts[span[1]]])
    return {"startColumn": start + 1, "endColumn": end + 1}
