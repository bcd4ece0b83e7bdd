"""Records, turns, prompts and tool calls that are broken: FMT001 to FMT006, TXT001 and TXT002."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from tests.benchmarks.recall.injection import Injected, Injector, Row, chat, line_of, prompt_of, response_of, single

__all__ = ["EMPTY", "MALFORMED", "NOTHING_TRAINED", "NO_PROMPT", "PLACEHOLDER", "TOOL_CALLS", "TURN_ORDER", "UNREADABLE"]


# FMT001: what cannot be read.


def cut_off(rng: Random, row: Row) -> Injected:
    line = line_of(row)
    return Injected([line[: -rng.randint(2, min(40, len(line) // 2))]])


def single_quotes(rng: Random, row: Row) -> Injected:
    return Injected([str(row).encode()])


def invalid_utf8(rng: Random, row: Row) -> Injected:
    line = line_of(row)
    at = line.rindex(b'"content": "') + len(b'"content": "')
    return Injected([line[:at] + rng.choice([b"\xe9", b"\xff", b"\xfc\xe4", b"\x93"]) + line[at:]])


def raw_nul(rng: Random, row: Row) -> Injected:
    line = line_of(row)
    at = line.rindex(b'"content": "') + len(b'"content": "')
    return Injected([line[:at] + b"\0" + line[at:]])


def half_a_surrogate(rng: Random, row: Row) -> Injected:
    line = line_of(row)
    at = line.rindex(b'"content": "') + len(b'"content": "')
    return Injected([line[:at] + rng.choice([b"\\ud83d", b"\\udc4d", b"\\ud800 "]) + line[at:]])


def no_object(rng: Random, row: Row) -> Injected:
    return Injected(
        [json.dumps(rng.choice([[prompt_of(row), response_of(row)], response_of(row), len(response_of(row))])).encode()]
    )


def trailing_comma(rng: Random, row: Row) -> Injected:
    return Injected([line_of(row)[:-1] + b",}"])


def broken_over_two_lines(rng: Random, row: Row) -> Injected:
    line = line_of(row)
    at = line.rindex(b'"content": "') + len(b'"content": "')
    return Injected([line[:at], line[at:]])


def bare_quotation_marks(rng: Random, row: Row) -> Injected:
    line = line_of(row)
    at = line.rindex(b'"content": "') + len(b'"content": "')
    return Injected([line[:at] + b'he said "come in" and ' + line[at:]])


def two_on_a_line(rng: Random, row: Row) -> Injected:
    return Injected([line_of(row) + line_of(row)])


UNREADABLE: tuple[Injector, ...] = (
    cut_off,
    single_quotes,
    invalid_utf8,
    raw_nul,
    half_a_surrogate,
    no_object,
    trailing_comma,
    broken_over_two_lines,
    bare_quotation_marks,
    two_on_a_line,
)


# FMT002: records that can be read and are no rows.


def _turns(prompt: Any, response: Any) -> Injected:
    return Injected([{"messages": [prompt, response]}])


def content_is_a_number(rng: Random, row: Row) -> Injected:
    return single(prompt_of(row), rng.choice([7, 3.5, True, 0]))  # type: ignore[arg-type]


def content_is_an_object(rng: Random, row: Row) -> Injected:
    return single(prompt_of(row), {"text": response_of(row)})  # type: ignore[arg-type]


def turn_without_role(rng: Random, row: Row) -> Injected:
    return _turns({"content": prompt_of(row)}, {"role": "assistant", "content": response_of(row)})


def messages_are_text(rng: Random, row: Row) -> Injected:
    return Injected([{"messages": f"User: {prompt_of(row)}\nAssistant: {response_of(row)}"}])


def no_messages(rng: Random, row: Row) -> Injected:
    return Injected([rng.choice([{"note": response_of(row)}, {"id": rng.randint(1, 999), "status": "skipped"}])])


def turns_are_text(rng: Random, row: Row) -> Injected:
    return _turns(prompt_of(row), response_of(row))


def messages_are_null(rng: Random, row: Row) -> Injected:
    return Injected([{"messages": None}])


MALFORMED: tuple[Injector, ...] = (
    content_is_a_number,
    content_is_an_object,
    turn_without_role,
    messages_are_text,
    no_messages,
    turns_are_text,
    messages_are_null,
)


# FMT003: turns out of order.


def _ordered(row: Row, roles: str) -> Injected:
    names = {"u": "user", "a": "assistant", "s": "system", "n": "narrator"}
    texts = {"u": prompt_of(row), "a": response_of(row), "s": "You answer briefly and kindly.", "n": "The room falls silent."}
    turns = [{"role": names[role], "content": texts[role]} for role in roles]
    return Injected([{"messages": turns}])


def two_users(rng: Random, row: Row) -> Injected:
    return _ordered(row, rng.choice(["uua", "uauua"]))


def two_assistants(rng: Random, row: Row) -> Injected:
    return _ordered(row, rng.choice(["uaa", "uaaua"]))


def assistant_begins(rng: Random, row: Row) -> Injected:
    return _ordered(row, rng.choice(["aua", "sa", "au"]))


def unanswered(rng: Random, row: Row) -> Injected:
    return _ordered(row, rng.choice(["uau", "uauau"]))


def late_system(rng: Random, row: Row) -> Injected:
    return _ordered(row, rng.choice(["usa", "uasua"]))


def unknown_role(rng: Random, row: Row) -> Injected:
    return _ordered(row, rng.choice(["nua", "una", "uanua"]))


TURN_ORDER: tuple[Injector, ...] = (two_users, two_assistants, assistant_begins, unanswered, late_system, unknown_role)


# FMT004: nothing asked.


def _asked(prompt: str) -> Injector:
    def inject(rng: Random, row: Row) -> Injected:
        return single(prompt, response_of(row))

    return inject


def empty_after_system(rng: Random, row: Row) -> Injected:
    answered = chat(rng.choice(["", " "]), response_of(row))["messages"]
    return Injected([{"messages": [{"role": "system", "content": ""}, *answered]}])


def _named(name: str, injector: Injector) -> Injector:
    injector.__name__ = name
    return injector


NO_PROMPT: tuple[Injector, ...] = (
    _named("nothing", _asked("")),
    _named("blank", _asked("   ")),
    _named("line_breaks", _asked("\n\n")),
    _named("tabulators", _asked("\t \t")),
    _named("no_break_space", _asked("\u00a0")),
    _named("ideographic_space", _asked("\u3000\r\n")),
    empty_after_system,
)


# FMT005: nothing learned.


def _weighted(row: Row, **extra: Any) -> Injected:
    return single(prompt_of(row), response_of(row), **extra)


def weight_zero(rng: Random, row: Row) -> Injected:
    return _weighted(row, weight=rng.choice([0, 0.0]))


def not_trained(rng: Random, row: Row) -> Injected:
    return _weighted(row, train=False)


def question_alone(rng: Random, row: Row) -> Injected:
    return Injected([{"messages": row["messages"][:1]}])


def system_alone(rng: Random, row: Row) -> Injected:
    return Injected([{"messages": [{"role": "system", "content": prompt_of(row)}]}])


def system_and_question(rng: Random, row: Row) -> Injected:
    return Injected([{"messages": [{"role": "system", "content": "You are a patient tutor."}, row["messages"][0]]}])


def every_turn_weight_zero(rng: Random, row: Row) -> Injected:
    question, answer = row["messages"][0], {**row["messages"][1], "weight": 0}
    again = [{"role": "user", "content": "Could you say it more simply?"}, {**answer, "content": "Gladly."}]
    return Injected([{"messages": [question, answer, *again]}])


NOTHING_TRAINED: tuple[Injector, ...] = (
    weight_zero,
    not_trained,
    question_alone,
    system_alone,
    system_and_question,
    every_turn_weight_zero,
)


# FMT006: tool calls that do not fit what the tool declares.

_TOOLS: dict[str, dict[str, Any]] = {
    "book_table": {
        "description": "Reserve a table in a restaurant.",
        "properties": {
            "restaurant": {"type": "string"},
            "guests": {"type": "integer", "minimum": 1, "maximum": 20},
            "seating": {"type": "string", "enum": ["indoors", "terrace", "bar"]},
        },
        "required": ["restaurant", "guests"],
    },
    "ferry_times": {
        "description": "Departure times of a ferry line.",
        "properties": {"line": {"type": "string"}, "day": {"type": "string"}, "return_trip": {"type": "boolean"}},
        "required": ["line", "day"],
    },
    "plan_watering": {
        "description": "Plan the watering of garden beds.",
        "properties": {
            "beds": {"type": "array", "items": {"type": "string"}},
            "litres": {"type": "number"},
            "window": {
                "type": "object",
                "properties": {"start": {"type": "string"}, "end": {"type": "string"}},
                "required": ["start", "end"],
            },
        },
        "required": ["beds", "litres"],
    },
}
_SOUND: dict[str, tuple[str, dict[str, Any]]] = {
    "book_table": (
        "Please get us a table at the Copper Heron, we are four.",
        {"restaurant": "Copper Heron", "guests": 4, "seating": "terrace"},
    ),
    "ferry_times": ("When does the island ferry leave on Friday?", {"line": "island", "day": "Friday", "return_trip": False}),
    "plan_watering": (
        "Water the tomato and bean beds, thirty litres, early in the morning.",
        {"beds": ["tomatoes", "beans"], "litres": 30, "window": {"start": "05:30", "end": "06:30"}},
    ),
}


def _call(rng: Random, row: Row, tool: str, arguments: Any, name: str | None = None, strict: bool = False) -> Injected:
    """A conversation that calls `tool`; `arguments` as text, or encoded as most files do."""
    known = [tool, *rng.sample([other for other in _TOOLS if other != tool], rng.randint(0, 2))]
    tools = [
        {
            "type": "function",
            "function": {
                "name": each,
                "description": _TOOLS[each]["description"],
                "parameters": {
                    "type": "object",
                    "properties": _TOOLS[each]["properties"],
                    "required": _TOOLS[each]["required"],
                    **({"additionalProperties": False} if strict else {}),
                },
            },
        }
        for each in known
    ]
    if not isinstance(arguments, str) and rng.random() < 0.7:
        arguments = json.dumps(arguments)
    call = {"id": "call_1", "type": "function", "function": {"name": name or tool, "arguments": arguments}}
    turns = [
        {"role": "user", "content": _SOUND[tool][0]},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"status": "done"}'},
        {"role": "assistant", "content": "All settled."},
    ]
    before = row["messages"] if rng.random() < 0.5 else []
    return Injected([{"messages": [*before, *turns], "tools": tools}])


def _any_tool(rng: Random) -> tuple[str, dict[str, Any]]:
    tool = rng.choice(list(_TOOLS))
    return tool, dict(_SOUND[tool][1])


def required_is_missing(rng: Random, row: Row) -> Injected:
    tool, arguments = _any_tool(rng)
    del arguments[rng.choice(_TOOLS[tool]["required"])]
    return _call(rng, row, tool, arguments)


def wrong_type(rng: Random, row: Row) -> Injected:
    tool, name, value = rng.choice(
        [
            ("book_table", "guests", "four"),
            ("book_table", "guests", "4"),
            ("ferry_times", "return_trip", "no"),
            ("plan_watering", "litres", [30]),
            ("plan_watering", "beds", "tomatoes"),
        ]
    )
    return _call(rng, row, tool, {**_SOUND[tool][1], name: value})


def outside_the_choices(rng: Random, row: Row) -> Injected:
    return _call(rng, row, "book_table", {**_SOUND["book_table"][1], "seating": rng.choice(["roof", "Terrace", "outside"])})


def unknown_tool(rng: Random, row: Row) -> Injected:
    tool, arguments = _any_tool(rng)
    return _call(rng, row, tool, arguments, name=rng.choice([tool + "s", "search_web", tool.title(), "get_" + tool]))


def arguments_no_json(rng: Random, row: Row) -> Injected:
    tool, arguments = _any_tool(rng)
    text = json.dumps(arguments)
    return _call(rng, row, tool, rng.choice([text[:-1], str(arguments), text.replace(": ", " "), "friday please"]))


def unknown_argument(rng: Random, row: Row) -> Injected:
    tool, arguments = _any_tool(rng)
    return _call(rng, row, tool, {**arguments, rng.choice(["note", "urgent", "colour"]): "yes"}, strict=True)


def nested_is_missing(rng: Random, row: Row) -> Injected:
    arguments = {**_SOUND["plan_watering"][1], "window": {rng.choice(["start", "end"]): "05:30"}}
    return _call(rng, row, "plan_watering", arguments)


def item_of_wrong_type(rng: Random, row: Row) -> Injected:
    return _call(rng, row, "plan_watering", {**_SOUND["plan_watering"][1], "beds": ["tomatoes", rng.choice([3, None, {}])]})


def arguments_no_object(rng: Random, row: Row) -> Injected:
    tool, arguments = _any_tool(rng)
    return _call(rng, row, tool, json.dumps(list(arguments.values())))


def out_of_range(rng: Random, row: Row) -> Injected:
    return _call(rng, row, "book_table", {**_SOUND["book_table"][1], "guests": rng.choice([0, -2, 45])})


TOOL_CALLS: tuple[Injector, ...] = (
    required_is_missing,
    wrong_type,
    outside_the_choices,
    unknown_tool,
    arguments_no_json,
    unknown_argument,
    nested_is_missing,
    item_of_wrong_type,
    arguments_no_object,
    out_of_range,
)


# TXT001 and TXT002: no answer, or a mark in its place.


def _answered(*answers: str) -> Injector:
    def inject(rng: Random, row: Row) -> Injected:
        return single(prompt_of(row), rng.choice(answers))

    return inject


def turn_without_content(rng: Random, row: Row) -> Injected:
    return _turns({"role": "user", "content": prompt_of(row)}, {"role": "assistant"})


EMPTY: tuple[Injector, ...] = (
    turn_without_content,
    _named("nothing", _answered("")),
    _named("blank", _answered(" ", "    ")),
    _named("line_breaks", _answered("\n", "\r\n\r\n")),
    _named("tabulators", _answered("\t", " \t ")),
    _named("no_break_space", _answered("\u00a0", "\u00a0\n")),
    _named("empty_later_turn", lambda rng, row: Injected([_with_empty_turn(row)])),
)


def _with_empty_turn(row: Row) -> Row:
    more = [{"role": "user", "content": "And could you give an example?"}, {"role": "assistant", "content": ""}]
    return {"messages": [*row["messages"], *more]}


PLACEHOLDER: tuple[Injector, ...] = (
    _named("no_output", _answered("<nooutput>", "<no output>", "No output", "<no response>")),
    _named("not_applicable", _answered("N/A", "n/a", "N/A.", "NA", "n.a.")),
    _named("to_do", _answered("TODO", "TBD", "FIXME", "todo", "TBA")),
    _named("dots", _answered("...", "…", "-", "---", "___", "???")),
    _named("insert_here", _answered("[insert answer here]", "[Your answer]", "<answer>", "{response}", "(your answer here)")),
    _named("lorem_ipsum", _answered("Lorem ipsum dolor sit amet, consectetur adipiscing elit.", "lorem ipsum")),
    _named("null_values", _answered("null", "None", "NaN", "undefined", "nan")),
    _named("stand_ins", _answered("placeholder", "PLACEHOLDER", "xxx", "XXXX", "Write your answer here")),
)
