"""Answers as other tools write them: what loads, as what, and what is said of a file that does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audit.errors import InputError
from audit.responses import Response, Span, Split, read_responses
from audit.sources import Message

ANSWER = "Lake Vorn is 40 km long. It lies in Tarn, says Vorn."


def written(folder: Path, *records: object, name: str = "answers.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


def record(**fields: Any) -> dict[str, Any]:
    return {"prompt": "How long is Lake Vorn?", "response": ANSWER, **fields}


def spans_of(folder: Path, spans: object, response: str = ANSWER) -> tuple[Span, ...]:
    return read_responses(written(folder, record(spans=spans, response=response)))[0].spans


def error_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_responses(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_a_full_record_becomes_a_response(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        record(
            id="q7",
            spans=[[8, 12]],
            reference=["12 km", "12 kilometres"],
            corrected="…",
            split="held-out",
            group="Vorn",
        ),
    )
    assert read_responses(path) == (
        Response(
            id="q7",
            messages=(Message("user", "How long is Lake Vorn?", trained=False),),
            response=ANSWER,
            spans=(Span(8, 12, "n is", None),),
            reference=("12 km", "12 kilometres"),
            corrected="…",
            split=Split.HELD_OUT,
            group="Vorn",
            line=1,
        ),
    )


def test_what_is_optional_may_be_absent_or_null(tmp_path: Path) -> None:
    absent, null = read_responses(
        written(tmp_path, record(), record(id=None, spans=None, reference=None, corrected=None, split=None, group=None))
    )
    assert (absent.id, null.id) == ("line-1", "line-2")
    for response in (absent, null):
        assert (response.spans, response.reference, response.corrected, response.split, response.group) == (
            (),
            (),
            None,
            None,
            None,
        )


def test_numbers_serve_as_id_and_group_and_one_text_as_reference(tmp_path: Path) -> None:
    (response,) = read_responses(written(tmp_path, record(id=7, group=3, reference="12 km")))
    assert (response.id, response.group, response.reference) == ("7", "3", ("12 km",))


def test_fields_of_other_tools_are_passed_over(tmp_path: Path) -> None:
    assert read_responses(written(tmp_path, record(model="m", lang="en", logits=[1, 2])))[0].response == ANSWER


def test_messages_are_the_prompt_and_its_text_is_the_users(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Which lake?"},
        {"role": "assistant", "content": "Vorn."},
        {"role": "user", "content": "How long is it?"},
    ]
    (response,) = read_responses(written(tmp_path, {"messages": turns, "response": "12 km"}))
    assert [message.role for message in response.messages] == ["system", "user", "assistant", "user"]
    assert response.prompt == "Which lake?\nHow long is it?"


def test_a_json_array_and_lines_named_json_are_read_alike(tmp_path: Path) -> None:
    array = tmp_path / "array.json"
    array.write_text(json.dumps([record(id="a"), record(id="b")], indent=1))
    lines = written(tmp_path, record(id="a"), record(id="b"), name="lines.json")
    assert [response.id for response in read_responses(array)] == ["a", "b"]
    assert [response.id for response in read_responses(lines)] == ["a", "b"]


def test_lines_are_counted_from_1_blank_ones_included(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(record()).encode() + b"\r\n \r\n\n" + json.dumps(record()).encode())
    assert [response.line for response in read_responses(path)] == [1, 4]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        pytest.param(
            [{"start": 13, "end": 18, "confidence": 0.98, "text": "40 km"}],
            (Span(13, 18, "40 km", 0.98),),
            id="LettuceDetect",
        ),
        pytest.param([{"start": 13, "prob": 0.4, "end": 18}], (Span(13, 18, "40 km", 0.4),), id="Mu-SHROOM soft labels"),
        pytest.param([[13, 18]], (Span(13, 18, "40 km"),), id="Mu-SHROOM hard labels"),
        pytest.param([[13, 18, 1]], (Span(13, 18, "40 km", 1.0),), id="offsets with a number"),
        pytest.param(["Vorn"], (Span(5, 9, "Vorn"), Span(47, 51, "Vorn")), id="HaluEval: every occurrence"),
        pytest.param([{"text": "Tarn", "score": 2}], (Span(36, 40, "Tarn", 2.0),), id="words with a score"),
        pytest.param([[36, 40], "Tarn", [13, 18]], (Span(13, 18, "40 km"), Span(36, 40, "Tarn")), id="by place, each once"),
    ],
)
def test_the_spans_of_detectors_load_as_they_are(tmp_path: Path, spans: object, expected: tuple[Span, ...]) -> None:
    assert spans_of(tmp_path, spans) == expected


def test_offsets_count_code_points(tmp_path: Path) -> None:
    assert spans_of(tmp_path, [[2, 6], "é"], response="🌊 Vorn é") == (Span(2, 6, "Vorn"), Span(7, 8, "é"))


@pytest.mark.parametrize(
    ("spans", "said"),
    [
        ([[13, 99]], "span 13:99 is no stretch of a response of 52 code points"),
        ([[-1, 4]], "span -1:4 is no stretch"),
        ([[4, 4]], "span 4:4 is no stretch"),
        ([[True, 4]], "span True:4 is no stretch"),
        ([["0", "4"]], "span 0:4 is no stretch"),
        (
            [{"start": 13, "end": 18, "text": "41 km"}],
            "span 13:18 is '40 km' in the response, but its text says '41 km'",
        ),
        (["Lake Zorn"], "the span 'Lake Zorn' does not occur in the response"),
        ([""], "the span '' does not occur in the response"),
        ([{"begin": 1}], "unknown form of span {'begin': 1}"),
        ([7], "unknown form of span 7"),
        ("Vorn", "'spans' is not a list"),
        ([[13, 18, "high"]], "the confidence of a span is 'high'"),
        ([{"start": 13, "end": 18, "score": float("nan")}], "the confidence of a span is nan"),
    ],
)
def test_a_span_that_is_not_there_is_an_error(tmp_path: Path, spans: object, said: str) -> None:
    path = written(tmp_path, record(), record(spans=spans))
    assert error_of(path).startswith(f"{path}:2: {said}")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"prompt": "Q", "output": "A"},
            "no text field 'response' (fields: 'prompt', 'output'); put the model's answer there",
        ),
        ({"prompt": "Q", "response": None}, "no text field 'response'"),
        ({"response": "A"}, "neither of 'prompt' and 'messages' given"),
        ({"prompt": "Q", "messages": [], "response": "A"}, "both of 'prompt' and 'messages' given"),
        ({"prompt": ["Q"], "response": "A"}, "'prompt' is no text"),
        ({"messages": "Q", "response": "A"}, "'messages' is not a list of {role, content} with texts"),
        ({"messages": [{"role": "user", "content": ["Q"]}], "response": "A"}, "'messages' is not a list of"),
        ({"messages": [], "response": "A"}, "'messages' is not a prompt"),
        ({"messages": [{"role": "system", "content": "S"}], "response": "A"}, "'messages' is not a prompt"),
        (
            {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}], "response": "A"},
            "'messages' is not a prompt; end it with the user's turn",
        ),
        ({"prompt": "Q", "response": "A", "reference": 12}, "'reference' is neither a text nor a list of texts"),
        ({"prompt": "Q", "response": "A", "reference": ["x", 12]}, "'reference' is neither"),
        ({"prompt": "Q", "response": "A", "corrected": 1}, "'corrected' is no text"),
        (
            {"prompt": "Q", "response": "A", "split": "test"},
            "unknown split 'test'; use one of trace, held-out, control",
        ),
        ({"prompt": "Q", "response": "A", "group": [1]}, "'group' is no text"),
        ({"prompt": "Q", "response": "A", "id": True}, "'id' is no text"),
        (["Q", "A"], "cannot be read: a JSON list"),
    ],
)
def test_a_record_of_another_form_is_named_by_file_and_line(tmp_path: Path, fields: object, said: str) -> None:
    path = written(tmp_path, record(), fields)
    assert error_of(path).startswith(f"{path}:2: {said}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"prompt": "Q", "response": "A"}\n{"prompt": "Q", \n', ":2: cannot be read: invalid JSON"),
        (
            b'{"prompt": "Q", "response": "A"}\n{"prompt": "Q", "response": "\xe9"}\n',
            ":2: cannot be read: invalid UTF-8",
        ),
        (b'{"prompt": "Q", "response": "\\ud800"}\n', ":1: cannot be read: "),
        ('{"prompt": "Q", "response": "A"}\n'.encode("utf-16"), ": the text is UTF-16"),
        (b"", ": the file is empty"),
        (b"\n\n", ": the file holds no answer"),
    ],
)
def test_a_damaged_file_is_an_error(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(content)
    assert error_of(path).startswith(f"{path}{said}")


def test_a_missing_file_a_folder_and_another_kind_of_file_are_errors(tmp_path: Path) -> None:
    table = tmp_path / "answers.csv"
    table.write_text("prompt,response\nQ,A\n")
    assert error_of(tmp_path / "no.jsonl").startswith(f"{tmp_path / 'no.jsonl'}: no such file")
    assert "is a folder" in error_of(tmp_path)
    assert error_of(table).startswith(f"{table}: answers are read from JSON")
