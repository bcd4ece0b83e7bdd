"""The JSON report: valid by its schema, complete, and the same bytes each time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from audit.findings import Evidence, Finding, Severity
from reports.json_report import AUDIT_SCHEMA, audit_json
from tests.hostile import Audited, audit_file, hostile_audit

SCHEMA = json.loads((Path(__file__).parents[2] / "reports/schemas/audit.schema.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Audited:
    return hostile_audit(tmp_path_factory.mktemp("hostile"))


def test_the_schema_is_a_schema_and_names_itself() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"] == AUDIT_SCHEMA


def test_a_hostile_report_is_valid_complete_and_reproducible(hostile) -> None:
    report = audit_json(*hostile)
    content = json.loads(report)
    assert list(Draft202012Validator(SCHEMA).iter_errors(content)) == []
    assert len(content["findings"]) == hostile.findings.height == content["counts"]["findings"]
    assert sum(check["findings"] for check in content["checks"]) == hostile.findings.height
    assert report == audit_json(*hostile)


def test_a_finding_has_its_addresses_and_its_measure(tmp_path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"instruction": "Ask.", "output": "é1"}\n\n{"instruction": "Ask.", "output": "👩‍👧2"}\n', "utf-8")
    evidence = Evidence("likeness", 0.9, 0.8, related=(0,), span=(3, 4), quote="2")
    audited = audit_file(path, [Finding("DUP002", 1, 1, Severity.WARNING, "Alike.", evidence)])
    content = json.loads(audit_json(*audited))
    (finding,) = content["findings"]
    assert finding == {
        "code": "DUP002",
        "severity": "warning",
        "row": {"file": "data.jsonl", "index": 1, "line": 3},
        "row_key": audited.corpus.keys[1],
        "turn": 1,
        "message": "Alike.",
        "evidence": {
            "measure": "likeness",
            "value": 0.9,
            "limit": 0.8,
            "related": [{"file": "data.jsonl", "index": 0, "line": 1}],
            "span": {"start": 3, "end": 4, "start_utf16": 5, "end_utf16": 6},
            "quote": "2",
        },
        "fingerprint": audited.findings["fingerprint"][0],
    }
    assert content["counts"] == {"findings": 1, "rows_with_findings": 1, "error": 0, "warning": 1, "info": 0, "suppressed": 0}
    assert content["lengths"]["response_characters"] == {"min": 2, "q1": 2, "median": 4, "q3": 4, "max": 4}


def test_an_audit_without_findings_is_valid(tmp_path) -> None:
    path = tmp_path / "clean.jsonl"
    path.write_text('{"instruction": "Ask.", "output": "Answer."}\n', "utf-8")
    content = json.loads(audit_json(*audit_file(path, [])))
    assert list(Draft202012Validator(SCHEMA).iter_errors(content)) == []
    assert content["findings"] == []
