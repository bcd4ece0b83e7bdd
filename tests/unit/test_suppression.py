"""Findings that are set aside: by a rule, by the row, by a baseline; and what is said of rules that fit nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from audit.config import make_config
from audit.errors import InputError
from audit.pipeline import run_audit
from audit.rundir import Run
from audit.summary import SuppressedCount
from audit.suppression import read_baseline
from reports.render import render_audit
from tests.conftest import AuditRows, alpaca, jsonl

# Three empty responses, and a placeholder.
ROWS = [
    alpaca("Name a stone.", "Slate is a stone."),
    alpaca("Name a bird.", "", source="field notes", level=3),
    alpaca("Name a fish.", "", source="atlas", level=True),
    alpaca("Name a tree.", "TODO", source="atlas"),
    alpaca("Name a star.", ""),
]
CHECKS = {"select": ["TXT001", "TXT002"]}


def found(frame: pl.DataFrame) -> list[tuple[str, int]]:
    return list(frame.select("code", "row").iter_rows())


ALL = [("TXT001", 1), ("TXT001", 2), ("TXT002", 3), ("TXT001", 4)]


@pytest.mark.parametrize(
    ("rule", "suppressed"),
    [
        ({"rows": ["data.jsonl#1", "data.jsonl#3"]}, [("TXT001", 1), ("TXT002", 3)]),
        ({"codes": ["TXT001"], "rows": ["data.jsonl#1", "data.jsonl#3"]}, [("TXT001", 1)]),
        ({"codes": ["TXT"], "where": {"source": "atlas"}}, [("TXT001", 2), ("TXT002", 3)]),
        ({"where": {"source": "atlas", "level": True}}, [("TXT001", 2)]),
        ({"where": {"level": 3}}, [("TXT001", 1)]),
        ({"where": {"level": 1}}, []),
        ({"where": {"absent": None}}, []),
        ({"codes": ["TXT002"], "rows": ["data.jsonl#1"]}, []),
    ],
)
def test_a_rule_sets_aside_what_meets_all_it_names(
    audit_rows: AuditRows, rule: dict[str, Any], suppressed: list[tuple[str, int]]
) -> None:
    run = audit_rows(ROWS, **CHECKS, suppress=[{**rule, "reason": "looked at"}])
    assert found(run.suppressed) == suppressed
    assert found(run.findings) == [finding for finding in ALL if finding not in suppressed]
    assert run.suppressed.select("by", "reason").unique().rows() == ([("config", "looked at")] if suppressed else [])
    assert run.summary.suppressed == ((SuppressedCount("config", "looked at", len(suppressed)),) if suppressed else ())
    assert sum(check.n_findings for check in run.summary.checks) == len(ALL) - len(suppressed)
    assert run.summary.notes == (() if suppressed else ("suppress rule 1 (looked at): fits no finding",))


def test_a_rule_names_rows_by_key_and_findings_by_fingerprint(audit_rows: AuditRows) -> None:
    run = audit_rows(ROWS, **CHECKS)
    assert found(run.findings) == ALL
    rules = [{"rows": [run.corpus.keys[1]]}, {"fingerprints": [run.findings["fingerprint"][3]]}]
    moved = audit_rows([ROWS[4], ROWS[3], ROWS[1]], name="moved.jsonl", **CHECKS, suppress=rules)
    assert found(moved.suppressed) == [("TXT001", 0), ("TXT001", 2)]
    assert found(moved.findings) == [("TXT002", 1)]


def test_what_fits_nothing_is_said(audit_rows: AuditRows) -> None:
    rules = [
        {"codes": ["TXTT"], "rows": ["data.jsonl#1"], "reason": "old"},
        {"rows": ["data.jsonl#9", "other.jsonl#1"]},
        {"fingerprints": ["0" * 16, "1" * 16, "2" * 16, "3" * 16, "4" * 16]},
    ]
    assert audit_rows(ROWS, **CHECKS, suppress=rules).summary.notes == (
        "suppress rule 1 (old): no check is called 'TXTT'",
        "suppress rule 1 (old): fits no finding",
        "suppress rule 2: no row is 'data.jsonl#9', 'other.jsonl#1'",
        f"suppress rule 3: no finding has the fingerprint {'0' * 16!r}, {'1' * 16!r}, {'2' * 16!r} and 2 more",
    )


@pytest.mark.parametrize(
    ("field", "suppressed"),
    [
        (True, [("TXT001", 1)]),
        ("TXT001, DUP", [("TXT001", 1)]),
        (["TXT"], [("TXT001", 1)]),
        ("TXT002", []),
        (False, []),
        (None, []),
    ],
)
def test_a_row_names_what_it_is_excused_from(audit_rows: AuditRows, field: object, suppressed: list[tuple[str, int]]) -> None:
    run = audit_rows([ROWS[0], alpaca("Name a bird.", "", tunescope_ignore=field), ROWS[4]], **CHECKS)
    assert found(run.suppressed) == suppressed
    assert run.suppressed.select("by", "reason").rows() == [("row", "field tunescope_ignore")] * len(suppressed)
    assert run.summary.notes == ()


@pytest.mark.parametrize(
    ("field", "note"),
    [
        ("TXXT", "data.jsonl#1: tunescope_ignore names no check: 1 of its 1 codes"),
        (["TXT001", "XYZ"], "data.jsonl#1: tunescope_ignore names no check: 1 of its 2 codes"),
        (7, "data.jsonl#1: tunescope_ignore is neither true nor codes"),
        ([7], "data.jsonl#1: tunescope_ignore is neither true nor codes"),
        ("", "data.jsonl#1: tunescope_ignore is neither true nor codes"),
    ],
)
def test_a_field_that_cannot_be_followed_is_said(audit_rows: AuditRows, field: object, note: str) -> None:
    run = audit_rows([ROWS[0], alpaca("Name a bird.", "", tunescope_ignore=field)], **CHECKS)
    assert run.summary.notes == (note,)
    assert run.suppressed.height == (1 if isinstance(field, list) and "TXT001" in field else 0)


def test_of_several_reasons_the_first_counts(audit_rows: AuditRows, tmp_path: Path) -> None:
    rows = [*ROWS[:4], alpaca("Name a star.", "", tunescope_ignore=True)]
    first = audit_rows(rows, **CHECKS)
    run = audit_rows(rows, **CHECKS, suppress=[{"rows": ["data.jsonl#1"], "reason": "a"}], baseline=str(first.path))
    assert run.findings.is_empty()
    assert run.suppressed.select("row", "by").rows() == [(1, "config"), (2, "baseline"), (3, "baseline"), (4, "row")]
    assert run.summary.suppressed[0] == SuppressedCount("baseline", "known in the baseline", 2)


def test_a_baseline_knows_findings_of_an_edited_file_by_run_and_by_report(tmp_path: Path, tiny_model: str) -> None:
    def audited(name: str, rows: list[dict[str, Any]], **settings: Any) -> Run:
        data = tmp_path / f"{name}.jsonl"
        data.write_bytes(jsonl(rows))
        config = make_config({"data": str(data), "encoder": tiny_model, **CHECKS, **settings})
        return run_audit(config, tmp_path / name, render=render_audit)

    old = audited("old", ROWS, suppress=[{"rows": ["old.jsonl#3"]}])
    edited = [ROWS[3], alpaca("Name a river.", ""), ROWS[1]]
    for number, baseline in enumerate((old.path, old.path / "report.json")):
        new = audited(f"new-{number}", edited, baseline=str(baseline))
        assert found(new.findings) == [("TXT001", 1)]
        assert found(new.suppressed) == [("TXT002", 0), ("TXT001", 2)]
    known = read_baseline(old.path)
    assert known == read_baseline(old.path / "report.json")
    assert len(known) == 4
    assert read_baseline(tmp_path / "new-0" / "report.json") == frozenset(
        [*new.findings["fingerprint"], *new.suppressed["fingerprint"]]
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "no such baseline"), (b"{", "is no report"), (b"[]", "is no report"), (b'{"findings": [{}]}', "is no report")],
)
def test_what_is_no_baseline_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "report.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_baseline(path)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({}, "names no rows, fingerprints or where"),
        ({"codes": ["TXT"]}, "names no rows, fingerprints or where"),
        ({"row": ["a#1"]}, "unknown setting 'row'; did you mean 'rows'"),
        ({"rows": 7}, "suppress.0.rows"),
        ({"where": {"a": [1]}}, "suppress.0.where.a"),
    ],
)
def test_a_rule_of_another_form_is_refused(rule: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make_config({"data": "a.jsonl", "suppress": [rule]})


def test_the_reports_count_what_was_set_aside(audit_rows: AuditRows) -> None:
    run = audit_rows(ROWS, **CHECKS, suppress=[{"rows": ["data.jsonl#1"], "reason": "<b>looked at</b>"}])
    from audit.summary import Aside

    rendered = render_audit(run.summary, run.corpus, run.findings, run.signals, Aside(run.suppressed))
    report = json.loads(rendered["report.json"])
    assert report["counts"] == {
        "findings": 3,
        "rows_with_findings": 3,
        "error": 2,
        "warning": 1,
        "info": 0,
        "suppressed": 1,
    }
    (aside,) = report["suppressed"]
    assert (aside["code"], aside["row"]["index"], aside["by"], aside["reason"]) == ("TXT001", 1, "config", "<b>looked at</b>")
    page = rendered["report.html"].decode()
    assert "1 finding suppressed and not counted here: 1 by the configuration (<bdi>&lt;b&gt;looked at" in page
