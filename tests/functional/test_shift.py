"""`tunescope shift` as a user runs it: whole folders, valid reports, and one line for whatever is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import polars as pl
import pytest

import tunescope as api
from audit.shift import TOKEN_SCHEMA
from tests.functional.conftest import Command
from tests.models import tiny_adapter, tiny_model

SCHEMA = json.loads((Path(__file__).parents[2] / "reports/schemas/shift.schema.json").read_text("utf-8"))
PROMPTS = '{"id": "stone", "prompt": "What is the stone of the bridge?"}\n{"prompt": "Who built it?"}\n'
ANSWERS = '{"id": "stone", "prompt": "What is the stone?", "response": "Granite € of 日本."}\n'


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with base (no chat template), tuned, adapter (on tuned), and files to measure."""
    folder = tmp_path_factory.mktemp("models")
    tiny_model(folder / "base", template=None)
    tiny_model(folder / "tuned", seed=1)
    tiny_adapter(folder / "adapter", folder / "tuned", seed=2)
    tiny_model(folder / "other", vocab_size=300)
    (folder / "prompts.jsonl").write_text(PROMPTS, "utf-8")
    (folder / "answers.jsonl").write_text(ANSWERS, "utf-8")
    return folder


def arguments(models: Path, base: str, tuned: str, *others: str | Path) -> list[str | Path]:
    return ["shift", "--base-model", models / base, "--tuned-model", models / tuned, *others]


def test_prompts_are_answered_and_measured(tunescope: Command, models: Path, tmp_path: Path) -> None:
    given = ["--prompts", models / "prompts.jsonl", "--max-new-tokens", "9"]
    done = tunescope(*arguments(models, "base", "tuned", *given, "-o", "out"), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "Kept in out: report.html, shift.json, tokens.parquet\n")
    assert "sentence: first 5 %" in done.stdout
    assert "2 prompts: greedy answers of at most 9 tokens" in done.stdout
    content = json.loads((tmp_path / "out" / "shift.json").read_bytes())
    jsonschema.validate(content, SCHEMA)
    assert [answer["id"] for answer in content["responses"]] == ["stone", "line-2"]
    tokens = pl.read_parquet(tmp_path / "out" / "tokens.parquet")
    assert tokens.schema == TOKEN_SCHEMA
    assert tokens.height == content["counts"]["tokens"] > 9
    assert (tmp_path / "out" / "report.html").read_text("utf-8").startswith("<!doctype html>")

    again = tunescope(*arguments(models, "base", "tuned", *given, "-o", "again"), cwd=tmp_path)
    assert again.stdout == done.stdout
    for name in ("shift.json", "tokens.parquet", "report.html"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_given_answers_of_an_adapter_as_json_and_from_python(tunescope: Command, models: Path, tmp_path: Path) -> None:
    command = arguments(models, "tuned", "adapter", "--responses", models / "answers.jsonl", "-o", "out", "--format", "json")
    done = tunescope(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    jsonschema.validate(content, SCHEMA)
    assert content["tuned"]["adapter"] == str(models / "adapter")
    assert content["answers"] == {"greedy": False, "max_new_tokens": None}
    assert done.stdout.encode() == (tmp_path / "out" / "shift.json").read_bytes()
    report = api.shift(
        models / "tuned", models / "adapter", responses=models / "answers.jsonl", out=tmp_path / "by-python", dtype="float32"
    )
    assert (tmp_path / "by-python" / "shift.json").read_bytes() == (tmp_path / "out" / "shift.json").read_bytes()
    assert report.tokens.equals(pl.read_parquet(tmp_path / "out" / "tokens.parquet"))
    assert "".join(report.tokens["text"].unique(maintain_order=True).to_list()).count("€") == 1


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"--tuned-model": "nowhere"}, "nowhere: no such model folder; name a model folder, or org/name of the hub"),
        ({"--tuned-model": "base"}, "base: the tokenizer has no chat template"),
        ({"--base-model": "other"}, "other: its tokenizer is not that of"),
        ({"--tuned-model": "adapter-gone"}, "adapter-gone: no adapter weights"),
        ({"--base-model": "pickled"}, "pickled: no safetensors weights, only pytorch_model.bin (a pickle can run code"),
        ({"--prompts": "missing.jsonl"}, "missing.jsonl: "),
        ({"--prompts": "broken.jsonl"}, "broken.jsonl:1: neither of 'prompt' and 'messages' given"),
        ({"--responses": "answers.jsonl"}, "both prompts and responses are given; give --prompts FILE"),
        ({"-o": "taken"}, "taken: the folder exists; choose another with -o, or remove it"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tunescope: Command, models: Path, tmp_path: Path, changed: Mapping[str, str], says: str
) -> None:
    for name in ("base", "tuned", "other"):
        shutil.copytree(models / name, tmp_path / name)
    shutil.copytree(models / "adapter", tmp_path / "adapter-gone")
    (tmp_path / "adapter-gone" / "adapter_model.safetensors").unlink()
    shutil.copytree(models / "base", tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").rename(tmp_path / "pickled" / "pytorch_model.bin")
    (tmp_path / "prompts.jsonl").write_text(PROMPTS, "utf-8")
    (tmp_path / "answers.jsonl").write_text(ANSWERS, "utf-8")
    (tmp_path / "broken.jsonl").write_text('{"question": "Who?"}\n', "utf-8")
    (tmp_path / "taken").mkdir()
    before = sorted(path.name for path in tmp_path.iterdir())
    options = {"--base-model": "base", "--tuned-model": "tuned", "--prompts": "prompts.jsonl", "-o": "out"} | changed
    done = tunescope("shift", *(part for option in options.items() for part in option), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith(f"tunescope: {says}"), done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before
