"""What was decided about rows is on disk at once, holds in a later run, and is what exports follow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from audit.errors import InputError
from audit.export import ExportRequest, plan_export, write_export
from audit.export.decisions import Choice, decide, find_row, read_decisions, undo_decisions
from audit.export.selectors import Reason
from audit.rundir import Run
from tests.conftest import AuditRows, alpaca

ROWS = [
    alpaca("Name a stone.", "Slate is a stone."),
    alpaca("Name a bird.", "The dipper is a bird."),
    alpaca("Name a bird.", "The dipper is a bird."),
    alpaca("Name a fish.", ""),
    alpaca("Name a tree.", "The rowan is a tree."),
]


@pytest.fixture
def run(audit_rows: AuditRows) -> Run:
    return audit_rows(ROWS, select=["DUP001", "TXT001"])


def choices(run: Run) -> dict[int, tuple[Choice | None, str]]:
    return {row: (decision.choice, decision.reason) for row, decision in read_decisions(run).items()}


def test_the_last_decision_on_a_row_holds(run: Run) -> None:
    assert choices(run) == {}
    decide(run, [4, 1], Choice.DROP, "off topic")
    decide(run, [1], Choice.KEEP)
    assert choices(run) == {1: (Choice.KEEP, ""), 4: (Choice.DROP, "off topic")}
    undo_decisions(run, [4])
    assert choices(Run.open(run.path)) == {1: (Choice.KEEP, "")}
    decide(run, [4], Choice.KEEP, "after all")
    assert choices(run) == {1: (Choice.KEEP, ""), 4: (Choice.KEEP, "after all")}
    assert run.added("decisions") == ["000001", "000002", "000003", "000004"]
    run.check()


def test_what_cannot_be_decided_is_refused_and_leaves_nothing(run: Run) -> None:
    with pytest.raises(InputError, match="no row 5"):
        decide(run, [0, 5], Choice.DROP)
    with pytest.raises(InputError, match=r"data\.jsonl#0: nothing was decided"):
        undo_decisions(run, [0])
    assert not (run.path / "decisions").exists()


def test_rows_are_named_as_the_reports_name_them(run: Run) -> None:
    assert [find_row(run.corpus, name) for name in ("data.jsonl#2", "#2", run.corpus.keys[2])] == [2, 2, 2]
    for name in ("data.jsonl#5", "other.jsonl#2", "#x", "2", "", run.corpus.keys[2][:-1] + "7"):
        with pytest.raises(InputError, match=r"such as data\.jsonl#0; rows count from 0"):
            find_row(run.corpus, name)


def test_two_who_decide_at_once_lose_nothing(run: Run) -> None:
    code = (
        "import sys; from audit.rundir import Run; from audit.export.decisions import Choice, decide\n"
        "run = Run.open(sys.argv[1])\n"
        "for _ in range(10): decide(run, [int(sys.argv[2])], Choice.DROP, sys.argv[2])\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(run.path), str(row)]) for row in (0, 1)]
    assert [process.wait() for process in both] == [0, 0]
    assert len(run.added("decisions")) == 20
    assert choices(run) == {0: (Choice.DROP, "0"), 1: (Choice.DROP, "1")}
    run.check()


def test_an_act_that_a_kill_left_half_is_no_act(run: Run) -> None:
    decide(run, [0], Choice.DROP)
    half = run.path / "decisions" / "000002.partial"
    half.mkdir()
    (half / "decisions.jsonl.tmp").write_bytes(b'{"row_key"')
    assert choices(run) == {0: (Choice.DROP, "")}
    decide(run, [1], Choice.DROP)
    assert list(choices(run)) == [0, 1]
    run.check()


def test_an_export_follows_what_was_decided(run: Run, tmp_path: Path) -> None:
    decide(run, [4], Choice.DROP, "off topic")
    decide(run, [0], Choice.DROP)
    decide(run, [2, 3], Choice.KEEP, "wanted twice")
    request = ExportRequest(drop=("DUP001", "TXT001"))
    plan = plan_export(run, request)
    assert plan.selection.reasons == {
        0: (Reason("decision", "A person decided so."),),
        4: (Reason("decision", "off topic"),),
    }
    assert plan.notes[0] == "kept as a person decided, though they would leave otherwise: 2 rows"
    exported = write_export(plan, tmp_path / "cleaned.jsonl")
    lines = (tmp_path / "data.jsonl").read_bytes().splitlines(keepends=True)
    assert (tmp_path / "cleaned.jsonl").read_bytes() == b"".join(lines[1:4])
    manifest = json.loads((exported.record / "manifest.json").read_bytes())
    assert manifest["request"]["decisions"] is True
    assert manifest["counts"] == {"decision": 2}
    without = plan_export(run, ExportRequest(drop=("DUP001", "TXT001"), decisions=False))
    assert without.selection.dropped == [2, 3]


def test_a_row_to_keep_outlives_a_keep_rule(run: Run) -> None:
    decide(run, [3], Choice.KEEP)  # the shortest
    plan = plan_export(run, ExportRequest(keep=("longest:2",)))
    assert plan.selection.kept == [1, 2, 3]


def test_the_duplicate_that_stays_is_the_one_that_was_not_dropped_by_hand(run: Run) -> None:
    decide(run, [1], Choice.DROP)
    assert plan_export(run, ExportRequest(drop=("DUP",))).selection.dropped == [1]


def test_decisions_go_on_in_a_later_run(run: Run, audit_rows: AuditRows) -> None:
    decide(run, [0, 4], Choice.DROP, "off topic")
    decide(run, [2], Choice.KEEP)
    decide(run, [3], Choice.KEEP)
    undo_decisions(run, [3])
    new = audit_rows([ROWS[4], ROWS[1], ROWS[2], ROWS[3]], name="edited.jsonl", previous=str(run.path))
    assert choices(new) == {0: (Choice.DROP, "off topic"), 2: (Choice.KEEP, "")}
    assert new.summary.changes is not None
    assert (new.summary.changes.decisions_carried, new.summary.changes.decisions_left) == (2, 1)
    undo_decisions(new, [0])
    assert choices(new) == {2: (Choice.KEEP, "")}
    assert list(choices(run)) == [0, 2, 4]
    new.check()
