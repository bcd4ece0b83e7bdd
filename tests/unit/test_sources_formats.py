"""Texts, preferences, calls, weights, parts and odd columns: what the fields of a record mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audit.errors import InputError
from audit.sources import (
    Format,
    Message,
    ParsedRow,
    Problem,
    Status,
    as_json,
    format_of_columns,
    parse_row,
    read_columns,
    recognize_format,
)
from audit.sources.mapping import columns_beside


def parse(fields: dict[str, Any], **columns: str) -> ParsedRow | Problem:
    format_ = format_of_columns(columns) or recognize_format(fields)
    assert format_ is not None
    return parse_row(fields, format_, columns)


def parsed(fields: dict[str, Any], **columns: str) -> ParsedRow:
    row = parse(fields, **columns)
    assert isinstance(row, ParsedRow)
    return row


def malformed(reason: str) -> Problem:
    return Problem(Status.MALFORMED, reason)


def user(content: str, **fields: Any) -> Message:
    return Message("user", content, trained=False, **fields)


def assistant(content: str, trained: bool = True, **fields: Any) -> Message:
    return Message("assistant", content, trained=trained, **fields)


def tool(content: str, **fields: Any) -> Message:
    return Message("tool", content, trained=False, **fields)


SYSTEM = Message("system", "s", trained=False)


def turn(role: str, content: object, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


# --- text -----------------------------------------------------------------------------------------------------------


def test_a_text_is_trained_on_as_a_whole_and_has_no_prompt() -> None:
    assert parsed({"text": " The Oder is a river.\n", "id": 3}) == ParsedRow(
        (assistant(" The Oder is a river.\n"),), None, {"id": 3}
    )
    assert parsed({"body": "a", "text": "b"}, text="body") == ParsedRow((assistant("a"),), None, {"text": "b"})
    assert parse({"text": 7}) == malformed("field 'text' is a JSON number, not text")


def test_a_text_beside_an_instruction_is_one_of_its_other_fields() -> None:
    row = parsed({"instruction": "a", "output": "b", "text": "### a ### b"})
    assert row == ParsedRow((user("a"), assistant("b")), None, {"text": "### a ### b"})


# --- preference -----------------------------------------------------------------------------------------------------


def test_of_a_preference_the_chosen_answer_is_read_and_the_other_kept() -> None:
    fields = {"system": "s", "prompt": "a", "chosen": "b", "rejected": "c", "score": 4.5}
    assert parsed(fields) == ParsedRow((SYSTEM, user("a"), assistant("b")), None, {"rejected": "c", "score": 4.5})
    fields = {"instruction": "a", "input": "x", "chosen": "b", "rejected": "c"}
    assert parsed(fields).messages == (user("a\nx"), assistant("b"))


def test_turns_of_a_preference_that_both_answers_share_are_its_prompt() -> None:
    begins = [turn("user", "a"), turn("assistant", "b"), turn("user", "c")]
    chosen, rejected = [*begins, turn("assistant", "d")], [*begins, turn("assistant", "e")]
    expected = (user("a"), assistant("b", trained=False), user("c"), assistant("d"))
    assert parsed({"chosen": chosen, "rejected": rejected}) == ParsedRow(expected, None, {"rejected": rejected})
    # UltraFeedback's rows name the question once more, and the chosen conversation too.
    fields = {"prompt": "a", "messages": chosen, "chosen": chosen, "rejected": rejected}
    assert parsed(fields) == ParsedRow(expected, None, {"prompt": "a", "messages": chosen, "rejected": rejected})


@pytest.mark.parametrize("rejected", [[turn("user", "x"), turn("assistant", "y")], [], "nothing", None])
def test_a_conversation_that_shares_no_turn_is_trained_in_all_its_answers(rejected: object) -> None:
    chosen = [turn("user", "a"), turn("assistant", "b"), turn("user", "c"), turn("assistant", "d")]
    row = parsed({"chosen": chosen, "rejected": rejected})
    assert [message.trained for message in row.messages] == [False, True, False, True]


def test_two_equal_conversations_differ_in_nothing_and_still_end_with_an_answer() -> None:
    turns = [turn("user", "a"), turn("assistant", "b")]
    assert parsed({"chosen": turns, "rejected": turns}).messages == (user("a"), assistant("b"))


@pytest.mark.parametrize(
    ("prompt", "chosen"),
    [
        ({"prompt": [turn("system", "s"), turn("user", "a")]}, [turn("assistant", "b")]),
        ({"prompt": [turn("system", "s"), turn("user", "a")]}, "b"),
        ({"system": "s", "conversations": [{"from": "human", "value": "a"}]}, {"from": "gpt", "value": "b"}),
        ({"system": "s", "prompt": "a"}, [turn("assistant", "b")]),
    ],
)
def test_prompt_and_answer_of_a_preference_may_be_turns(prompt: dict[str, Any], chosen: object) -> None:
    row = parsed({**prompt, "chosen": chosen, "rejected": chosen})
    assert row == ParsedRow((SYSTEM, user("a"), assistant("b")), None, {"rejected": chosen})


@pytest.mark.parametrize(
    ("chosen", "rejected", "prompt", "answer"),
    [
        ("\n\nHuman: a\n\nAssistant: I see.", "\n\nHuman: a\n\nAssistant: I do.", "\n\nHuman: a\n\nAssistant:", " I see."),
        ("Rivers: Oder", "Rivers: Oka", "Rivers: ", "Oder"),
        ("same", "same", "", "same"),
        ("Oder", "Elbe", "", "Oder"),
    ],
)
def test_the_prompt_of_two_texts_is_what_they_share(chosen: str, rejected: str, prompt: str, answer: str) -> None:
    expected = (user(prompt), assistant(answer)) if prompt else (assistant(answer),)
    assert parsed({"chosen": chosen, "rejected": rejected}).messages == expected


def test_a_preference_of_the_wrong_kind_is_malformed() -> None:
    assert parse({"prompt": "a", "chosen": 4, "rejected": "c"}) == malformed("field 'chosen' is a JSON number, not text")
    assert parse({"prompt": "a", "chosen": ["b"], "rejected": "c"}) == malformed("field 'chosen' is a JSON list, not text")
    assert parse({"prompt": 1, "chosen": "b", "rejected": "c"}) == malformed("field 'prompt' is a JSON number, not text")
    assert parse_row({"prompt": "a"}, Format.PREFERENCE, {}) == malformed("no field 'chosen', which preference rows need")


# --- conversational prompt and completion ---------------------------------------------------------------------------


def test_turns_of_a_prompt_are_not_trained_and_those_of_its_completion_are() -> None:
    fields = {
        "prompt": [turn("system", "s"), turn("user", "a"), turn("assistant", "b"), turn("user", "c")],
        "completion": [turn("assistant", "d"), turn("user", "e"), turn("assistant", "f", weight=0)],
        "tools": [{"name": "f"}],
    }
    assert parsed(fields) == ParsedRow(
        (
            SYSTEM,
            user("a"),
            assistant("b", trained=False),
            user("c"),
            assistant("d"),
            user("e"),
            assistant("f", trained=False),
        ),
        '[{"name":"f"}]',
        {},
    )


# --- calls ----------------------------------------------------------------------------------------------------------

CALL = {"name": "weather", "arguments": '{"city": "Oslo"}'}
CALLS = r'[{"function":{"arguments":"{\"city\": \"Oslo\"}","name":"weather"},"type":"function"}]'


def test_older_ways_to_call_a_function_are_calls() -> None:
    fields = {
        "messages": [
            turn("developer", "s"),
            turn("user", "a"),
            turn("assistant", None, function_call=CALL),
            turn("function", "7", name="weather"),
            turn("assistant", "b", function_call=None, tool_calls=None),
        ],
        "functions": [{"name": "weather", "parameters": None}],
        "parallel_tool_calls": False,
    }
    assert parsed(fields) == ParsedRow(
        (SYSTEM, user("a"), assistant("", tool_calls=CALLS), tool("7", name="weather"), assistant("b")),
        '[{"function":{"name":"weather"},"type":"function"}]',
        {"parallel_tool_calls": False},
    )


@pytest.mark.parametrize("calls", [json.loads(CALLS), CALLS, [{**json.loads(CALLS)[0], "id": None}]])
def test_calls_may_stand_as_json_and_hold_the_empty_keys_of_other_rows(calls: object) -> None:
    turns = [turn("user", "a"), turn("assistant", None, tool_calls=calls), turn("tool", "7", tool_call_id="1")]
    assert parsed({"messages": turns}).messages == (
        user("a"),
        assistant("", tool_calls=CALLS),
        tool("7", tool_call_id="1"),
    )


def test_calls_of_sharegpt_are_calls_and_observations_are_their_results() -> None:
    names = [("human", "a"), ("function_call", json.dumps(CALL)), ("observation", "7"), ("gpt", "b")]
    turns = [{"from": name, "value": value} for name, value in names]
    row = parsed({"conversations": turns, "tools": '[{"name": "weather", "parameters": {}}]'})
    assert row.messages == (user("a"), assistant("", tool_calls=CALLS), tool("7"), assistant("b"))
    assert row.tools == '[{"name":"weather","parameters":{}}]'


@pytest.mark.parametrize("value", ["weather(Oslo)", "[]", "{}", "[1]", '{"name": 3}', '{"name": "x"', ""])
def test_a_call_of_sharegpt_that_names_no_function_stays_text(value: str) -> None:
    turns = [{"from": "human", "value": "a"}, {"from": "function_call", "value": value}]
    assert parsed({"conversations": turns}).messages == (user("a"), assistant(value))


@pytest.mark.parametrize("tools", [r'["\ud800"]', "[" * 300 + "]" * 300, "[" * 5000, "[" + "9" * 5000 + "]"])
def test_json_within_a_field_that_could_not_be_stored_stays_text(tools: str) -> None:
    row = parsed({"messages": [turn("user", "a"), turn("assistant", "b", tool_calls=tools)], "tools": tools})
    assert (row.tools, row.messages[1].tool_calls) == (json.dumps(tools), json.dumps(tools))


def test_tools_that_are_no_json_stay_what_they_are() -> None:
    row = parsed({"messages": [turn("user", "a")], "tools": "a hammer"})
    assert (row.tools, row.extra) == ('"a hammer"', {})
    assert parsed({"messages": [turn("user", "a")], "tools": ""}).tools is None
    assert parsed({"messages": [turn("user", "a")], "tools": "{broken"}).tools == '"{broken"'


# --- reasoning, weights, parts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_stands_apart_and_a_think_block_stays_in_the_text(name: str) -> None:
    turns = [turn("user", "a"), turn("assistant", "<think>hm</think>b", **{name: "so"})]
    assert parsed({"messages": turns}).messages == (user("a"), assistant("<think>hm</think>b", reasoning="so"))
    turns[1][name] = {"effort": "low"}
    assert parsed({"messages": turns}).messages == (user("a"), assistant("<think>hm</think>b"))


@pytest.mark.parametrize(
    ("weight", "trained"),
    [
        ({}, True),
        ({"weight": 0}, False),
        ({"weight": 0.0}, False),
        ({"weight": 1}, True),
        ({"weight": None}, True),
        ({"loss_weight": 0.0}, False),
        ({"loss_weight": 0.5}, True),
        ({"train": False}, False),
        ({"train": True}, True),
        ({"training": False}, False),
    ],
)
def test_a_turn_says_whether_it_is_trained(weight: dict[str, object], trained: bool) -> None:
    turns = [turn("user", "a"), turn("assistant", "b", **weight)]
    assert parsed({"messages": turns}).messages == (user("a"), assistant("b", trained=trained))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "text", "value": "a"}, "b"], "ab"),
        ([{"text": "a"}], "a"),
        ([{"type": "input_text", "text": "a"}, {"type": "output_text", "text": None}], "a"),
        ([{"type": "image_url", "image_url": {"url": "x.png"}}, {"type": "text", "text": "What is it?"}], "<image>What is it?"),
        (
            [{"type": "text", "text": "Hear: "}, {"type": "input_audio"}, {"type": "video", "text": None}],
            "Hear: <audio><video>",
        ),
        ([{"type": "tool_use", "name": "f"}], "<tool_use>"),
        ([], ""),
        (None, ""),
    ],
)
def test_the_texts_of_parts_are_joined_and_others_leave_their_mark(content: object, text: str) -> None:
    assert parsed({"messages": [turn("user", content)]}).messages == (user(text),)


def test_thinking_among_the_parts_is_reasoning() -> None:
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "b"}]
    assert parsed({"messages": [turn("assistant", parts)]}).messages == (assistant("b", reasoning="hm"),)


@pytest.mark.parametrize("content", [[7], [None], [{"image": "x"}], [{"type": 3}], [{"type": "text", "text": 7}], {"a": 1}])
def test_parts_of_no_kind_are_malformed(content: object) -> None:
    assert isinstance(parse({"messages": [turn("user", content)]}), Problem)


def test_more_turns_than_can_be_numbered_are_a_problem_of_their_row() -> None:
    turns = [turn("user", "a"), turn("assistant", "b")] * 32_768
    assert parse({"messages": turns}) == malformed("65536 turns, of which at most 65535 can be numbered")
    assert len(parsed({"messages": turns[:-1]}).messages) == 65_535


def test_bytes_in_other_fields_are_counted_and_not_kept() -> None:
    assert as_json({"image": {"bytes": b"\x00\xff"}, "é": {1}}) == '{"image": {"bytes": "<2 bytes>"}, "é": "{1}"}'


# --- columns --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "format_"),
    [
        ({}, None),
        ({"system": "s"}, None),
        ({"tools": "s"}, None),
        ({"prompt": "q"}, Format.ALPACA),
        ({"history": "h"}, Format.ALPACA),
        ({"messages": "m"}, Format.MESSAGES),
        ({"role_tag": "who"}, Format.MESSAGES),
        ({"text": "t"}, Format.TEXT),
        ({"prompt": "q", "chosen": "c"}, Format.PREFERENCE),
        ({"messages": "m", "rejected": "r"}, Format.PREFERENCE),
    ],
)
def test_mapped_columns_tell_the_format(columns: dict[str, str], format_: Format | None) -> None:
    assert format_of_columns(columns) is format_


def test_tags_name_the_keys_and_roles_of_turns() -> None:
    turns = [
        {"who": "RULES", "says": "s"},
        {"who": "Q", "says": "a"},
        {"who": "CALL", "says": json.dumps(CALL)},
        {"who": "RESULT", "says": "7"},
        {"who": "A", "says": "b"},
        {"who": "human", "says": "c"},
    ]
    tags = {
        "messages": "dialog",
        "role_tag": "who",
        "content_tag": "says",
        "user_tag": "Q",
        "assistant_tag": "A",
        "observation_tag": "RESULT",
        "function_tag": "CALL",
        "system_tag": "RULES",
    }
    assert parsed({"dialog": turns, "messages": 3}, **tags) == ParsedRow(
        (SYSTEM, user("a"), assistant("", tool_calls=CALLS), tool("7"), assistant("b"), user("c")), None, {"messages": 3}
    )
    assert parse({"dialog": [turn("user", "a")]}, messages="dialog", role_tag="who") == malformed("turn 0 has no role")


def test_every_column_of_an_instruction_can_be_mapped() -> None:
    fields = {"q": "a", "more": "x", "a": "b", "rules": "s", "before": [["c", "d"]], "can": [{"name": "f"}], "tools": 1}
    columns = {"prompt": "q", "query": "more", "response": "a", "system": "rules", "history": "before", "tools": "can"}
    assert parsed(fields, **columns) == ParsedRow(
        (SYSTEM, user("c"), assistant("d"), user("a\nx"), assistant("b")), '[{"name":"f"}]', {"tools": 1}
    )


def test_mapped_answers_may_be_turns() -> None:
    fields = {"q": [turn("user", "a")], "a": [turn("assistant", "b")]}
    assert parsed(fields, prompt="q", response="a").messages == (user("a"), assistant("b"))


def test_columns_are_written_one_by_one(tmp_path: Path) -> None:
    assert read_columns("prompt=question, response=the answer") == {"prompt": "question", "response": "the answer"}
    for text in ("prompt", "prompt=", "prompt=a,,response=b"):
        with pytest.raises(InputError, match=r"is not NAME=COLUMN.*@dataset_info\.json:NAME"):
            read_columns(text)


DESCRIBED = {
    "plain": {"file_name": "plain.json"},
    "mapped": {"file_name": "mapped.json", "columns": {"prompt": "q", "response": "a", "images": "pictures"}},
    "texts": {"file_name": "texts.json", "columns": {"prompt": "body"}},
    "pairs": {"file_name": "pairs", "ranking": True, "columns": {"prompt": "q", "chosen": "good", "rejected": "bad"}},
    "chats": {
        "file_name": "chats.json",
        "formatting": "sharegpt",
        "columns": {"system": "rules"},
        "tags": {"role_tag": "who", "content_tag": "says", "user_tag": "Q"},
    },
    "hub": {"hf_hub_url": "org/name"},
    "comment": "no entry",
}
MAPPINGS = {
    "plain": {"prompt": "instruction", "query": "input", "response": "output"},
    "mapped": {"prompt": "q", "response": "a"},
    "texts": {"text": "body"},
    "pairs": {"prompt": "q", "chosen": "good", "rejected": "bad"},
    "chats": {"messages": "conversations", "system": "rules", "role_tag": "who", "content_tag": "says", "user_tag": "Q"},
}


@pytest.mark.parametrize("name", MAPPINGS)
def test_columns_are_read_from_llama_factorys_description(tmp_path: Path, name: str) -> None:
    info = tmp_path / "dataset_info.json"
    info.write_text(json.dumps(DESCRIBED))
    assert read_columns(f"@{info}:{name}") == MAPPINGS[name]
    file = tmp_path / DESCRIBED[name]["file_name"]  # type: ignore[index]
    assert columns_beside(file) == columns_beside(file / "part.jsonl") == MAPPINGS[name]
    assert columns_beside(tmp_path / "other.json") == {}


@pytest.mark.parametrize("content", ["", "[]", "{broken", '{"splits": {"train": {"num_examples": 3}}, "features": {}}'])
def test_another_description_beside_a_file_says_nothing(tmp_path: Path, content: str) -> None:
    assert columns_beside(tmp_path / "a.jsonl") == {}
    (tmp_path / "dataset_info.json").write_text(content)
    assert columns_beside(tmp_path / "a.jsonl") == {}


def test_two_descriptions_of_one_file_must_agree(tmp_path: Path) -> None:
    entries = {"a": {"file_name": "x.json"}, "b": {"file_name": "x.json", "columns": {"prompt": "q", "response": "a"}}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(entries))
    with pytest.raises(InputError, match=r"'x\.json' is described in several ways \('a', 'b'\).*--columns @.*:NAME"):
        columns_beside(tmp_path / "x.json")
    (tmp_path / "dataset_info.json").write_text(json.dumps({"a": entries["a"], "b": entries["a"]}))
    assert columns_beside(tmp_path / "x.json") == MAPPINGS["plain"]


def test_a_description_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    info = tmp_path / "dataset_info.json"
    with pytest.raises(InputError, match="cannot be read"):
        read_columns(f"@{info}:plain")
    info.write_text(json.dumps(DESCRIBED))
    with pytest.raises(InputError, match=r"describes no dataset 'plane' \(there are: plain, mapped"):
        read_columns(f"@{info}:plane")
    with pytest.raises(InputError, match="describes several datasets"):
        read_columns(f"@{info}")
    info.write_text(json.dumps({"only": DESCRIBED["mapped"]}))
    assert read_columns(f"@{info}") == MAPPINGS["mapped"]
    info.write_text("[]")
    with pytest.raises(InputError, match=r"describes no dataset \(there are: none\)"):
        read_columns(f"@{info}")
    info.write_text("{")
    with pytest.raises(InputError, match="no readable JSON"):
        read_columns(f"@{info}:plain")
    info.write_text(json.dumps({"x": {"columns": 3}}))
    with pytest.raises(InputError, match="no objects"):
        read_columns(f"@{info}:x")
