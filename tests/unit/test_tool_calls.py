"""FMT006: calls that their tools would refuse, in every way that rows write calls and tools."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from audit.findings import Evidence, Finding, Severity
from tests.conftest import FindIn

PARAMETERS = {
    "type": "object",
    "properties": {
        "quay": {"type": "string"},
        "days": {"type": "integer"},
        "unit": {"enum": ["m", "ft"]},
        "berths": {"type": "array", "items": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}},
    },
    "required": ["quay"],
}
TIDES = {"type": "function", "function": {"name": "tides", "parameters": PARAMETERS}}


def calling(calls: object, tools: object = None, *more: dict[str, Any]) -> dict[str, Any]:
    """A row in which the assistant makes calls, with turns after that."""
    turns = [{"role": "user", "content": "When is high water?"}, {"role": "assistant", "content": "", "tool_calls": calls}]
    row: dict[str, Any] = {"messages": [*turns, *more, {"role": "assistant", "content": "At six."}]}
    return row if tools is None else {**row, "tools": tools}


def call(arguments: object, name: str = "tides", identity: str = "c1") -> list[dict[str, Any]]:
    return [{"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}]


def declared(schema: object) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": "tides", "parameters": schema}}]


def told(findings: list[Finding]) -> list[tuple[int | None, Severity, str]]:
    return [(finding.turn, finding.severity, finding.message) for finding in findings]


def test_a_call_that_breaks_its_schema_is_a_finding_on_its_turn(find_in: FindIn) -> None:
    calls = call('{"days": 2}')
    assert find_in("FMT006", [calling(calls, [TIDES])]) == [
        Finding(
            "FMT006",
            0,
            1,
            Severity.ERROR,
            "The call of 'tides' lacks 'quay'.",
            Evidence("tool calls against their schemas", 1, 1, quote=f"{json.dumps(_sorted(calls[0]))}"),
        )
    ]


def _sorted(value: Any) -> Any:
    return json.loads(json.dumps(value, sort_keys=True))


@pytest.mark.parametrize(
    ("calls", "message"),
    [
        (call("{quay: 'A'}"), "has arguments that are no JSON: Expecting property name enclosed in double quotes"),
        (call("{'quay': 'A'}"), "has arguments that are no JSON"),
        (call('{"quay": "A"'), "has arguments that are no JSON"),
        (call('{"quay": NaN}'), "has arguments that are no JSON: NaN is no JSON value"),
        (call("[1, 2]"), "has arguments that are no object: [1, 2]."),
        (call('{"quay": 5}'), "gives 5 for 'quay', which is string."),
        (call({"quay": 5}), "gives 5 for 'quay', which is string."),
        (call('{"quay": "A", "days": "2"}'), "gives \"2\" for 'days', which is integer."),
        (call('{"quay": "A", "unit": "km"}'), "gives \"km\" for 'unit', which the schema does not list."),
        (call('{"quay": "A", "berths": [{"id": 1}, {}]}'), "lacks 'id' in 'berths.1'."),
        (call('{"quay": "A"}', "tide"), "is for a tool that the row does not declare (declared: tides)."),
        (call(""), "lacks 'quay'."),
        ([{"name": "tides", "arguments": {"days": 1}}], "lacks 'quay'."),
        ([{"type": "tool_use", "id": "t1", "name": "tides", "input": {"days": 3}}], "lacks 'quay'."),
        ([{"function": {"arguments": "{}"}}], "A call names no tool."),
        (["tides"], 'A call is "tides", not an object.'),
    ],
)
def test_what_a_tool_would_refuse(find_in: FindIn, calls: object, message: str) -> None:
    ((turn, severity, sentence),) = told(find_in("FMT006", [calling(calls, [TIDES])]))
    assert (turn, severity) == (1, Severity.ERROR)
    assert message in sentence


def test_an_argument_that_no_tool_declares_is_a_warning(find_in: FindIn) -> None:
    assert told(find_in("FMT006", [calling(call('{"quay": "A", "town": "B"}'), [TIDES])])) == [
        (1, Severity.WARNING, "The call of 'tides' gives 'town', which the tool does not declare.")
    ]


def test_problems_of_one_call_are_one_finding(find_in: FindIn) -> None:
    ((_, severity, sentence),) = told(
        find_in("FMT006", [calling(call('{"days": "x", "unit": "km", "a": 1, "b": 2}'), [TIDES])])
    )
    assert severity is Severity.ERROR
    assert sentence == (
        "The call of 'tides' lacks 'quay'; the call of 'tides' gives \"x\" for 'days', which is integer; "
        "the call of 'tides' gives \"km\" for 'unit', which the schema does not list, and 2 more."
    )


@pytest.mark.parametrize(
    ("calls", "tools"),
    [
        (call('{"quay": "A", "days": 2, "unit": "m"}'), [TIDES]),
        (call({"quay": "A"}), [TIDES]),
        (call({"quay": "A"}), json.dumps([TIDES])),
        (call({"quay": "A"}), [{"name": "tides", "parameters": PARAMETERS}]),
        (call({"quay": "A"}), [{"name": "tides", "input_schema": PARAMETERS}]),
        (call({"quay": "A"}), [{"name": "tides", "description": "no schema"}]),
        (call(""), [{"name": "tides", "parameters": {"type": "object", "properties": {}}}]),
        (call(None), [{"name": "tides", "parameters": {"type": "object", "properties": {}}}]),
        (call('{"anything": [1]}', "unknown"), None),
        (call('{"anything": [1]}', "unknown"), []),
        (call({"quay": "A", "town": "B"}), declared({**PARAMETERS, "additionalProperties": True})),
        (call({"quay": "A"}), declared({"quay": {"type": "str", "description": "which"}, "days": {"type": "int, optional"}})),
        (call({"quay": "A"}), declared({"type": "dict", "properties": {"quay": {"type": "str"}}})),
        (call({"quay": "A"}), declared({"type": "OBJECT", "properties": {"quay": {"type": "STRING"}}})),
        (call({"quay": "A"}), declared({"type": "object", "properties": {"quay": {"type": "string", "required": True}}})),
        (
            call({"quay": {"b": 1}}),
            declared({"properties": {"quay": {"$ref": "#/$defs/Q"}}, "$defs": {"Q": {"type": "object"}}}),
        ),
        (
            call({"n": 5.0}),
            declared({"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"n": {"type": "integer"}}}),
        ),
        ([{"type": "custom", "custom": {"name": "shell", "input": "ls -l"}}], [TIDES]),
        (call({"quay": "A"}), [TIDES, {"type": "web_search"}]),
    ],
)
def test_calls_that_their_tools_accept(find_in: FindIn, calls: object, tools: object) -> None:
    assert find_in("FMT006", [calling(calls, tools)]) == []


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        (declared({"type": "thing"}), "The schema of the tool 'tides' is no JSON Schema: type: 'thing' is not valid"),
        (
            declared({"properties": {"q": {"pattern": "("}}}),
            "The schema of the tool 'tides' is no JSON Schema: properties.q.pattern",
        ),
        (declared({"$ref": "#"}), "The schema of the tool 'tides' is no JSON Schema: it refers to itself without end."),
        (declared({"properties": {"q": {"$ref": "#/$defs/Gone"}}}), "'/$defs/Gone' is not within it."),
        (declared([1]), "The schema of the tool 'tides' is no JSON Schema: it is no object."),
        ([{"type": "function", "function": {"parameters": {}}}, TIDES], "Tool 0 of the row has no name."),
        ("tides", "The tools are no list of declarations."),
    ],
)
def test_declarations_that_are_none(find_in: FindIn, tools: object, message: str) -> None:
    turn, severity, sentence = told(find_in("FMT006", [calling(call({"quay": "A"}), tools)]))[0]
    assert (turn, severity) == (None, Severity.WARNING)
    assert message in sentence


def test_a_reference_is_never_fetched(find_in: FindIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    tools = declared({"properties": {"quay": {"$ref": "https://schemas.invalid/quay.json"}}})
    ((_, _, sentence),) = told(find_in("FMT006", [calling(call({"quay": "A"}), tools)]))
    assert "'https://schemas.invalid/quay.json' is not within it" in sentence


def test_an_answer_to_no_call(find_in: FindIn) -> None:
    answer = {"role": "tool", "content": "5.1 m"}
    rows = [
        calling(call({"quay": "A"}), [TIDES], {**answer, "tool_call_id": "c1"}),
        calling(call({"quay": "A"}), [TIDES], {**answer, "tool_call_id": "c9"}),
        calling(call({"quay": "A"}), [TIDES], answer),
        calling([{"name": "tides", "arguments": {"quay": "A"}}], [TIDES], {**answer, "tool_call_id": "c9"}),
    ]
    assert [(f.row, f.turn, f.severity, f.message) for f in find_in("FMT006", rows)] == [
        (1, 2, Severity.WARNING, "The turn answers the call 'c9', which nobody made.")
    ]


def test_calls_in_tags_have_their_place(find_in: FindIn) -> None:
    system = {"role": "system", "content": f"<tools>\n{json.dumps(TIDES)}\n{json.dumps({'name': 'other'})}\n</tools>"}
    text = 'Let me see. 🌊\n<tool_call>\n{"name": "tides", "arguments": {"quay": 4}}\n</tool_call>'
    rows = [
        {"messages": [system, {"role": "user", "content": "When?"}, {"role": "assistant", "content": content}]}
        for content in (
            text,
            text.replace("4", '"A"'),
            "<tool_call>{'name': 'tides'}</tool_call>",
            "Use <tool_call> and </tool_call>.",
        )
    ]
    findings = find_in("FMT006", rows)
    assert [(f.row, f.turn, f.message.partition(":")[0]) for f in findings] == [
        (0, 2, "The call of 'tides' gives 4 for 'quay', which is string."),
        (2, 2, "A call has arguments that are no JSON"),
    ]
    start = text.index('{"name"')
    assert findings[0].evidence.span == (start, text.index("\n</tool_call>"))
    assert findings[0].evidence.quote == '{"name": "tides", "arguments": {"quay": 4}}'


def test_every_call_of_a_conversation_is_looked_at(find_in: FindIn) -> None:
    second = {"role": "assistant", "content": "", "tool_calls": [*call({"quay": "B"}), *call({"days": 1}, identity="c2")]}
    row = calling(call({"days": 1}), [TIDES], {"role": "tool", "content": "5", "tool_call_id": "c1"}, second)
    assert [
        turn for turn, _, _ in told(find_in("FMT006", [row, {"messages": row["messages"][:1] + row["messages"][-1:]}]))
    ] == [1, 3]
