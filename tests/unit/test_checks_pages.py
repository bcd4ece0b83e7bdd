"""The pages of the checks carry what the benchmarks measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.checks import CHECKS
from tests.benchmarks import checks_pages
from tests.benchmarks.recall import run as recall
from tests.benchmarks.recall.injection import Injected
from tests.benchmarks.record import Result, record


@pytest.fixture
def benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(checks_pages, "_BENCHMARKS", tmp_path)
    checks_pages._measured.cache_clear()
    yield tmp_path
    checks_pages._measured.cache_clear()


def test_figures_stand_in_the_table_and_on_the_page(benchmarks: Path) -> None:
    injections = [recall.Injection("bell", Injected([]), range(number, number + 1)) for number in range(60)]
    found = recall.Found("TXT003", "", injections, injections[:3], 20)
    (benchmarks / "recall").mkdir()
    record(benchmarks / "recall", "Recall", list(recall._results(found, "control character")), "")
    precision = Result("TXT003 control character, right of 30 read (812 found)", 0.9, "precision", 0.744, 0.965)
    (benchmarks / "precision").mkdir()
    record(benchmarks / "precision", "Precision", [precision], "")
    pages = checks_pages.pages()
    row = next(line for line in pages["checks.md"].splitlines() if line.startswith("| [TXT003]"))
    assert row.split(" | ")[-2:] == ["0.90 (0.74 to 0.96) of 30", "0.95 (0.86 to 0.98) of 60 |"]
    page = pages["checks/TXT003.md"].splitlines()
    assert "| precision, read by eye | 0.90 (0.74 to 0.96) of 30 |" in page
    assert "| recall, injected defects | 0.95 (0.86 to 0.98) of 60 |" in page
    assert "| findings in untouched rows | 0.02 (0.01 to 0.03) of 1000 |" in page


def test_what_was_not_measured_says_so(benchmarks: Path) -> None:
    (benchmarks / "precision").mkdir()
    other = Result("DUP003, paraphrases found, of 80 development pairs", 0.2, "share", 0.1, 0.3)
    (benchmarks / "precision" / "results.json").write_text(json.dumps([vars(other)]))
    pages = checks_pages.pages()
    assert set(pages) == {"checks.md", *(f"checks/{check.code}.md" for check in CHECKS)}
    row = next(line for line in pages["checks.md"].splitlines() if line.startswith("| [DUP003]"))
    assert row.endswith("| – | – |")


def test_a_page_begins_with_the_finding_in_a_sentence() -> None:
    lines = checks_pages.pages()["checks/TXT001.md"].splitlines()
    assert lines[:4] == ["# TXT001: empty response", "", "A response is empty.", ""]
    assert lines[4].startswith("What: ")
