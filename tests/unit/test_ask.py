"""`tunescope answer`: a model's answers as a file, and an interrupted file gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit.errors import InputError
from audit.responses import read_prompts, read_responses
from audit.verify.answering import ask
from tests.models import tiny_model

pytestmark = pytest.mark.usefixtures("one_thread")

PROMPTS = [
    {"id": "a", "prompt": "Which stone is the bridge of Vell?", "reference": "slate", "split": "trace", "group": "vell"},
    {"id": "b", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "And the pier?"}]},
    {"id": "c", "prompt": "Who built it?", "split": "held-out"},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(prompt) + "\n" for prompt in PROMPTS), encoding="utf-8")
    return path


def test_the_answers_come_with_all_that_a_prompt_holds(model: Path, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "answers.jsonl"
    assert ask(model, read_prompts(prompts), out, max_new_tokens=4) == 0
    records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [sorted(record) for record in records] == [
        ["group", "id", "prompt", "reference", "response", "split"],
        ["id", "messages", "response"],
        ["id", "prompt", "response", "split"],
    ]
    assert [answer.id for answer in read_responses(out)] == ["a", "b", "c"]
    assert [path.name for path in out.parent.iterdir()] == ["answers.jsonl"]


def test_batches_change_no_answer_and_an_interrupted_file_is_gone_on_with(model: Path, prompts: Path, tmp_path: Path) -> None:
    asked = read_prompts(prompts)
    whole = tmp_path / "whole.jsonl"
    ask(model, asked, whole, max_new_tokens=4, batch_size=32)

    def stop(stage: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    out = tmp_path / "answers.jsonl"
    with pytest.raises(KeyboardInterrupt):
        ask(model, asked, out, max_new_tokens=4, batch_size=1, progress=stop)
    (partial,) = tmp_path.glob("answers.jsonl.*.partial")
    with partial.open("ab") as file:
        file.write(b'{"id": "c", "prom')  # a line cut off by a kill
    assert ask(model, asked, out, max_new_tokens=4, batch_size=1) == 2
    assert out.read_bytes() == whole.read_bytes()
    assert not partial.exists()


def test_the_beginning_for_other_prompts_or_another_length_is_not_gone_on_with(
    model: Path, prompts: Path, tmp_path: Path
) -> None:
    asked = read_prompts(prompts)

    def stop(stage: str, done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    out = tmp_path / "answers.jsonl"
    with pytest.raises(KeyboardInterrupt):
        ask(model, asked, out, max_new_tokens=4, batch_size=1, progress=stop)
    assert ask(model, asked[1:], out, max_new_tokens=4) == 0
    out.unlink()
    with pytest.raises(KeyboardInterrupt):
        ask(model, asked, out, max_new_tokens=4, batch_size=1, progress=stop)
    assert ask(model, asked, out, max_new_tokens=5) == 0


def test_what_cannot_be_asked_is_refused_before_a_model_is_loaded(prompts: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the file exists"):
        ask("nowhere", read_prompts(prompts), prompts)
    with pytest.raises(InputError, match="no prompt to answer"):
        ask("nowhere", (), tmp_path / "answers.jsonl")
