"""Whatever a record holds, it becomes messages that can be stored, or a problem with a reason."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from audit.corpus import row_key
from audit.sources import COLUMNS, Format, Message, ParsedRow, Problem, as_json, parse_row, recognize_format

NAMES = st.sampled_from(
    "instruction input output prompt completion response system history messages conversations tools functions text chosen "
    "rejected role from content value weight train name tool_calls function_call reasoning_content type image arguments".split()
)
ROLES = st.sampled_from(
    ["user", "assistant", "human", "gpt", "function_call", "observation", "system", "tool", "image", '{"name": "f"}']
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 2), st.floats(), st.text(max_size=4), ROLES, st.binary(max_size=2)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
RECORDS = st.dictionaries(NAMES, VALUES, max_size=5)
TURNS = st.lists(
    st.fixed_dictionaries({"role": ROLES, "content": VALUES}, optional={"tool_calls": VALUES, "name": SCALARS}), max_size=3
)


@settings(max_examples=400)
@given(
    st.one_of(RECORDS, st.builds(lambda turns, rest: {**rest, "messages": turns, "chosen": turns}, TURNS, RECORDS)),
    st.one_of(st.none(), st.sampled_from(list(Format))),
    st.dictionaries(st.sampled_from(COLUMNS), NAMES, max_size=3),
)
def test_any_record_is_messages_or_a_problem(fields: dict[str, Any], named: Format | None, columns: dict[str, str]) -> None:
    format_ = named or recognize_format(fields)
    if format_ is None:
        return
    parsed = parse_row(fields, format_, columns)
    if isinstance(parsed, Problem):
        assert parsed.reason
        return
    assert isinstance(parsed, ParsedRow)
    assert parsed.messages
    for message in parsed.messages:
        texts = (message.role, message.content, message.name, message.reasoning, message.tool_calls, message.tool_call_id)
        assert all(text is None or type(text) is str for text in texts)
        assert message.role == "assistant" or not message.trained
        assert message.tool_calls is None or json.loads(message.tool_calls) is not None
    assert json.loads(as_json(parsed.extra)).keys() <= fields.keys()
    assert len(row_key(parsed.messages, parsed.tools)) == 64


@given(
    st.lists(st.builds(Message, ROLES, st.text(), st.booleans(), *[st.one_of(st.none(), st.text())] * 4), max_size=3),
    st.one_of(st.none(), st.text()),
)
def test_a_row_key_is_the_digest_of_sorted_json(messages: list[Message], tools: str | None) -> None:
    names = ("role", "content", "trained", "name", "reasoning", "tool_calls", "tool_call_id")
    turns = [{name: getattr(m, name) for name in names if getattr(m, name) is not None} for m in messages]
    content = {"messages": turns} if tools is None else {"messages": turns, "tools": tools}
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert row_key(tuple(messages), tools) == hashlib.sha256(canonical.encode()).hexdigest()
