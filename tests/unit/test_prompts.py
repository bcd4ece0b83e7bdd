"""Prompts that models are to answer: the records of answers, without the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audit.errors import InputError
from audit.responses import Prompt, Split, read_prompts, read_responses
from audit.sources import Message


def written(folder: Path, *records: object) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


def error_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_prompts(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_a_full_record_becomes_a_prompt(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {
            "id": 7,
            "prompt": "How long is Lake Vorn?",
            "reference": "12 km",
            "split": "held-out",
            "group": "Vorn",
            "values": ["40 km", "9 km"],
        },
    )
    assert read_prompts(path) == (
        Prompt(
            id="7",
            messages=(Message("user", "How long is Lake Vorn?", trained=False),),
            reference=("12 km",),
            split=Split.HELD_OUT,
            group="Vorn",
            values=("40 km", "9 km"),
            line=1,
        ),
    )


def test_what_is_optional_may_be_absent_or_null(tmp_path: Path) -> None:
    null: dict[str, Any] = {"id": None, "reference": None, "split": None, "group": None, "values": None}
    absent, nulls = read_prompts(written(tmp_path, {"prompt": "Q"}, {"prompt": "Q", **null}))
    assert (absent.id, nulls.id) == ("line-1", "line-2")
    for prompt in (absent, nulls):
        assert (prompt.reference, prompt.split, prompt.group, prompt.values) == ((), None, None, ())


def test_a_file_of_answers_is_a_file_of_its_prompts(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which?"}]
    path = written(tmp_path, {"messages": turns, "response": "Vorn.", "reference": ["Vorn", "Lake Vorn"], "spans": ["Vorn"]})
    (prompt,), (response,) = read_prompts(path), read_responses(path)
    assert (prompt.messages, prompt.reference, prompt.text) == (response.messages, response.reference, response.prompt)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"reference": "A"}, "neither of 'prompt' and 'messages' given"),
        ({"messages": [{"role": "assistant", "content": "A"}]}, "'messages' is not a prompt"),
        ({"prompt": "Q", "split": "test"}, "unknown split 'test'"),
        ({"prompt": "Q", "reference": {}}, "'reference' is neither"),
        ({"prompt": "Q", "values": "A"}, "'values' is no list of texts"),
        ({"prompt": "Q", "values": [1]}, "'values' is no list of texts"),
        ({"prompt": "Q", "id": "line-1"}, "the id 'line-1' is taken (line 1 has it)"),
        ("Q", "cannot be read"),
    ],
)
def test_a_record_of_another_form_is_named_by_file_and_line(tmp_path: Path, fields: object, said: str) -> None:
    path = written(tmp_path, {"prompt": "Q"}, fields)
    assert error_of(path).startswith(f"{path}:2: {said}")


def test_an_empty_file_and_another_kind_of_file_are_errors(tmp_path: Path) -> None:
    empty, table = tmp_path / "prompts.jsonl", tmp_path / "prompts.csv"
    empty.write_text("\n\n")
    table.write_text("prompt\nQ\n")
    assert error_of(empty).startswith(f"{empty}: the file holds no prompt")
    assert error_of(table).startswith(f"{table}: prompts are read from JSON")
