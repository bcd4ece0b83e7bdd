"""`tunescope audit --tokenizer`, as a user runs it: without any weights, before the first GPU hour."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import alpaca, chat, jsonl
from tests.functional.conftest import Command
from tests.models import write_tokenizer

TRN = ("--select", "TRN", "--quiet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tokenizer without a template, and a dataset with one row that is too long and one with a system turn."""
    write_tokenizer(tmp_path / "tokenizer", template=None)
    rows = [
        chat(("user", "Name a river."), ("assistant", "The Oder.")),
        chat(("user", "Name many rivers."), ("assistant", "The Oder. " * 60)),
        chat(("system", "Be brief."), ("user", "Name a lake."), ("assistant", "The Ulven.")),
    ]
    (tmp_path / "rivers.jsonl").write_bytes(jsonl(rows))
    return tmp_path


def test_rows_are_counted_and_cut_without_weights(tunescope: Command, folder: Path) -> None:
    options = ("--tokenizer", "tokenizer", "--chat-template", "chatml", "--max-length", "100", *TRN)
    done = tunescope("audit", "rivers.jsonl", "-o", "run", *options, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "TRL's preprocessing with the tokenizer tokenizer and the chat template chatml, at most 100 tokens" in done.stdout
    assert "of which the answer's end is cut (TRN002)" in done.stdout
    signals = pl.read_parquet(folder / "run" / "signals.parquet")
    assert signals["input_tokens"].to_list()[1] == 100
    assert (signals["cut_tokens"] > 0).to_list() == [False, True, False]
    again = tunescope("audit", "rivers.jsonl", "--from", "run", "-o", "again", "--quiet", cwd=folder)
    assert again.returncode == 0
    assert pl.read_parquet(folder / "again" / "signals.parquet").equals(signals)


def test_a_row_that_ends_the_training_run_is_an_error(tunescope: Command, folder: Path) -> None:
    options = ("--tokenizer", "tokenizer", "--chat-template", "mistral", "--fail-on", "error", "--format", "json", *TRN)
    done = tunescope("audit", "rivers.jsonl", *options, cwd=folder)
    assert (done.returncode, done.stderr) == (1, "")
    report = json.loads(done.stdout)
    assert report["trainer"]["first_refused"] == {"file": "rivers.jsonl", "index": 2}
    assert [(each["code"], each["severity"]) for each in report["findings"]] == [("TRN004", "error")]


def test_settings_in_a_file(tunescope: Command, folder: Path) -> None:
    (folder / "mine.jinja").write_text("{% for m in messages %}{{ m.role + m.content + eos_token }}{% endfor %}", "utf-8")
    (folder / "settings.yaml").write_text(
        "data: rivers.jsonl\ntokenizer: tokenizer\nchat_template: mine.jinja\npacking: wrapped\nmax_length: 64\nselect: TRN\n",
        "utf-8",
    )
    done = tunescope("audit", "--config", "settings.yaml", "-o", "run", "--quiet", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "» wrapped: end to end" in done.stdout
    assert "Nothing found" in done.stdout


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ("--tokenizer", "tokenizer"),
            "tunescope: tokenizer: the tokenizer has no chat template (the rows are conversations, or have to become such); "
            "name one with --chat-template: alpaca, chatml, zephyr, vicuna, llama2, mistral, or a .jinja file",
        ),
        (
            ("--tokenizer", "tokenizer", "--chat-template", "zephir"),
            "tunescope: --chat-template: unknown chat template 'zephir'; did you mean 'zephyr'?",
        ),
        (
            ("--tokenizer", "tokenizer", "--chat-template", "gone.jinja"),
            "tunescope: gone.jinja: no such file; check the path given with --chat-template",
        ),
        (
            ("--chat-template", "alpaca"),
            "tunescope: --chat-template needs a tokenizer; name it with --tokenizer, or --base-model",
        ),
        (("--tokenizer", "nowhere"), None),
        (("--tokenizer", "tokenizer", "--max-length", "1"), None),
    ],
)
def test_settings_that_cannot_be_used_are_one_line(
    tunescope: Command, folder: Path, options: tuple[str, ...], line: str | None
) -> None:
    before = sorted(path.name for path in folder.iterdir())
    done = tunescope("audit", "rivers.jsonl", *options, cwd=folder)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert line is None or done.stderr == line + "\n"
    assert sorted(path.name for path in folder.iterdir()) == before


def test_rows_of_any_other_form_stay_out_of_it(tunescope: Command, folder: Path) -> None:
    (folder / "mixed.jsonl").write_bytes(jsonl([alpaca("Name a river.", "The Oder."), '{"instruction": 3}', "{"]))
    options = ("--tokenizer", "tokenizer", "--chat-template", "alpaca", *TRN)
    done = tunescope("audit", "mixed.jsonl", *options, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "that could not be read, and are not counted here" in done.stdout
