"""`tunescope answer` in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

from tests.functional.conftest import Command
from tests.models import tiny_model

PROMPTS = '{"id": "a", "prompt": "Which stone?", "split": "trace"}\n{"id": "b", "prompt": "Which pier?", "split": "held-out"}\n'


def test_a_model_answers_the_prompts_of_a_split(tunescope: Command, tmp_path: Path) -> None:
    tiny_model(tmp_path / "model")
    (tmp_path / "prompts.jsonl").write_text(PROMPTS, encoding="utf-8")
    asking = ("answer", "model", "--prompts", "prompts.jsonl", "--split", "trace", "--max-new-tokens", "3")
    done = tunescope(*asking, "-o", "answers.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr.splitlines()[-1] == "1 answer: answers.jsonl"
    assert [json.loads(line)["id"] for line in (tmp_path / "answers.jsonl").read_text().splitlines()] == ["a"]
    again = tunescope(*asking, "-o", "answers.jsonl", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (2, "tunescope: answers.jsonl: the file exists; choose another with -o\n")


def test_an_unknown_split_is_one_line(tunescope: Command, tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_text(PROMPTS, encoding="utf-8")
    done = tunescope("answer", "m", "--prompts", "prompts.jsonl", "--split", "held_out", "-o", "answers.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "tunescope: unknown split 'held_out'; did you mean 'held-out'?\n")
