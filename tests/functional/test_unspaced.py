"""Rows without spaces between words, through the commands as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.functional.conftest import Command
from tests.unspaced import LANGUAGES


@pytest.fixture(scope="module")
def folder(tunescope: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the rows of each language in a file of its own, and a run of each."""
    folder = tmp_path_factory.mktemp("unspaced")
    for name, language in LANGUAGES.items():
        lines = [json.dumps({"instruction": a, "input": "", "output": b}, ensure_ascii=False) for a, b in language.rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
        done = tunescope("audit", f"{name}.jsonl", "-o", name, "--select", "DUP001,DUP002", "--format", "json", cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", LANGUAGES)
def test_the_report_names_the_copy_and_marks_the_changed_word(folder: Path, name: str) -> None:
    row, copy = LANGUAGES[name].near
    findings = json.loads((folder / name / "report.json").read_bytes())["findings"]
    found = {finding["row"]["index"]: finding["evidence"]["related"] for finding in findings}
    assert row in {other["index"] for other in found[copy]}
    page = (folder / name / "report.html").read_text(encoding="utf-8")
    assert f"<mark>{ {'Chinese': '绿', 'Japanese': '緑の', 'Thai': 'เขียว'}[name] }</mark>" in page


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_trace_names_the_row_and_marks_the_words_in_it(tunescope: Command, folder: Path, name: str) -> None:
    language = LANGUAGES[name]
    asked = ("--prompt", language.question, "--response", language.answer, "--span", language.span, "-k", "3")
    shown = tunescope("trace", name, *asked, "-o", "lighthouse", cwd=folder)
    assert shown.returncode == 0, shown.stderr
    assert f"{name}.jsonl#{language.planted}" in shown.stdout
    assert shown.stdout.count(f"«{language.span}»") == 3  # in the answer, as a heading, in the row
    page = (folder / name / "traces" / "lighthouse" / "report.html").read_text(encoding="utf-8")
    assert f"<mark>{language.span}</mark>" in page
    report = json.loads((folder / name / "traces" / "lighthouse" / "report.json").read_bytes())
    span = report["claims"][0]["spans"][0]
    output = language.rows[language.planted][1]
    match = span["links"][0]["match"]
    assert span["links"][0]["row"]["index"] == language.planted
    assert output[match["start"] : match["end"]] == language.span
    assert span["links"][0]["chance"] <= 0.1


def test_a_span_that_ends_within_a_character_is_found_nowhere(tunescope: Command, folder: Path) -> None:
    done = tunescope("trace", "Thai", "--prompt", "?", "--response", "ชั", "--span", "ชั", "--format", "json", cwd=folder)
    assert json.loads(done.stdout)["claims"][0]["spans"][0]["n_holders"] == 0
