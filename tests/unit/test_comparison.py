"""What changed since an earlier run: rows by key, findings by fingerprint, whatever place they have now."""

from __future__ import annotations

import io
import json

from rich.console import Console

from audit.comparison import settings_from
from audit.summary import Aside, Changes, CodeChange
from reports.render import render_audit
from reports.terminal import audit_report
from tests.conftest import AuditRows, alpaca

OLD = [
    alpaca("Name a stone.", "Slate is a stone."),
    alpaca("Name a bird.", ""),
    alpaca("Name a fish.", ""),
    alpaca("Name a tree.", "TODO"),
]
NEW = [
    alpaca("Name a river.", ""),
    OLD[2],
    alpaca("Name a tree.", "The rowan is a tree."),
    OLD[0],
    OLD[0],
]
SETTINGS = {"select": ["DUP001", "TXT"]}


def test_rows_and_findings_are_new_gone_or_still_there(audit_rows: AuditRows) -> None:
    old = audit_rows(OLD, name="old.jsonl", **SETTINGS)
    run = audit_rows(NEW, name="new.jsonl", **SETTINGS, previous=str(old.path))
    assert run.summary.changes == Changes(
        previous=old.path.name,
        rows_new=3,
        rows_gone=2,
        rows_same=2,
        codes=(CodeChange("DUP001", 1, 0, 0), CodeChange("TXT001", 1, 1, 1), CodeChange("TXT002", 0, 1, 0)),
        decisions_carried=0,
        decisions_left=0,
    )
    changed = run.table("changes.parquet")
    assert changed.select("change", "code", "file", "index").rows() == [
        ("new", "TXT001", "new.jsonl", 0),
        ("new", "DUP001", "new.jsonl", 4),
        ("gone", "TXT001", "old.jsonl", 1),
        ("gone", "TXT002", "old.jsonl", 3),
    ]
    assert changed["row_key"].to_list() == [run.corpus.keys[0], run.corpus.keys[4], old.corpus.keys[1], old.corpus.keys[3]]


def test_nothing_changed_where_rows_only_moved(audit_rows: AuditRows) -> None:
    old = audit_rows(OLD, name="old.jsonl", **SETTINGS)
    run = audit_rows(OLD[::-1], name="new.jsonl", **SETTINGS, previous=str(old.path))
    changes = run.summary.changes
    assert changes is not None
    assert (changes.rows_new, changes.rows_gone, changes.rows_same) == (0, 0, 4)
    assert [(code.n_new, code.n_gone) for code in changes.codes] == [(0, 0), (0, 0)]
    assert run.table("changes.parquet").is_empty()


def test_accepting_a_finding_makes_none_gone_and_taking_that_back_none_new(audit_rows: AuditRows) -> None:
    rule = [{"codes": ["TXT001"], "rows": ["old.jsonl#1"]}]
    plain_run = audit_rows(OLD, name="old.jsonl", **SETTINGS)
    accepted = audit_rows(OLD, name="old.jsonl", **SETTINGS, suppress=rule, previous=str(plain_run.path))
    again = audit_rows(OLD, name="old.jsonl", **SETTINGS, previous=str(accepted.path))
    for run, still in ((accepted, 1), (again, 2)):
        assert run.summary.changes is not None
        assert run.summary.changes.codes[0] == CodeChange("TXT001", 0, 0, still)


def test_settings_are_taken_over_unless_given(audit_rows: AuditRows) -> None:
    old = audit_rows(OLD, name="old.jsonl", **SETTINGS, limit=3, checks={"DUP002": {"min_jaccard": 0.9}})
    newer = audit_rows(OLD, name="old.jsonl", **SETTINGS, previous=str(old.path))
    settings = settings_from(old, {"limit": 4, "redact": True})
    assert settings.keys() == old.settings.keys() - {"previous"}
    assert (settings["limit"], settings["redact"], settings["select"]) == (4, True, ["DUP001", "TXT"])
    assert settings["checks"] == {"DUP002": {"min_jaccard": 0.9}}
    assert "previous" not in settings_from(newer, {})


def test_the_reports_say_what_changed(audit_rows: AuditRows) -> None:
    old = audit_rows(OLD, name="old.jsonl", **SETTINGS)
    run = audit_rows(NEW, name="new.jsonl", **SETTINGS, previous=str(old.path))
    aside = Aside(run.suppressed, run.table("changes.parquet"))
    rendered = render_audit(run.summary, run.corpus, run.findings, run.signals, aside)
    changes = json.loads(rendered["report.json"])["changes"]
    assert changes["rows"] == {"new": 3, "gone": 2, "same": 2}
    assert changes["codes"]["TXT001"] == {"new": 1, "gone": 1, "still": 1}
    assert [(each["change"], each["code"], each["index"]) for each in changes["findings"]] == [
        ("new", "TXT001", 0),
        ("new", "DUP001", 4),
        ("gone", "TXT001", 1),
        ("gone", "TXT002", 3),
    ]
    assert f"Since <bdi>{old.path.name}</bdi>, 3 rows came, 2 went, and 2 are the same." in rendered["report.html"].decode()
    console = Console(file=io.StringIO(), width=100)
    console.print(audit_report(run.summary, run.corpus, run.findings, run.path))
    text = console.file.getvalue()
    assert "rows: 3 new, 2 gone, 2 the same" in text
    assert "TXT001       1      1             1" in text
