"""The terminal report: harmless, and within 80 columns."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from reports.terminal import audit_report
from tests.hostile import Audited, audit_file, hostile_audit

RUN = Path("tunescope-runs/hostile 1")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Audited:
    return hostile_audit(tmp_path_factory.mktemp("hostile"))


def printed(audited: Audited, n_examples: int = 3, **options) -> str:
    console = Console(file=io.StringIO(), width=80, **options)
    console.print(audit_report(audited.summary, audited.corpus, audited.findings, RUN, n_examples))
    return console.file.getvalue()


def test_hostile_text_is_shown_and_does_nothing(hostile) -> None:
    text = printed(hostile, n_examples=100)
    assert "<script>" in text
    assert "[red]not red[/red]" in text
    assert "⟨U+202E⟩" in text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert max(map(len, text.splitlines())) <= 80


def test_styles_are_richs_own_and_no_color_is_honoured(hostile, monkeypatch) -> None:
    coloured = printed(hostile, force_terminal=True, color_system="standard")
    assert set(re.findall(r"\x1b\[([\d;]*)m", coloured)) <= {"0", "1", "2", "33", "36", "1;31", "1;2"}
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[\d;]*3\dm", printed(hostile, force_terminal=True))


def test_it_says_what_was_found_and_what_to_do_next(hostile) -> None:
    text = printed(hostile)
    n = hostile.findings.height
    assert f"{n} findings in" in text
    assert re.search(r"TXT002 +placeholder response +warning +14 +15\.6 %", text)
    assert "TXT002 placeholder response (3 of 14)" in text
    assert "#84" in text
    assert "#85  The same as" in text
    assert "whether the answers are true: nothing compares them with a source" in text
    assert "tunescope-runs/hostile 1/report.html" in text
    assert "tunescope export 'tunescope-runs/hostile 1' \\" in text
    assert "--drop" in text


def test_nothing_found(tmp_path) -> None:
    path = tmp_path / "clean.jsonl"
    path.write_text('{"instruction": "Ask.", "output": "Answer."}\n', "utf-8")
    audited = audit_file(path, [])
    text = printed(audited._replace(summary=replace(audited.summary, limit=1)))
    assert "Nothing found by" in text
    assert "--drop" not in text
    assert "rows after the first 1: only so many were asked for" in text
