"""FMT006: a tool call breaks the schema of its tool.

What: the arguments of a call are no JSON object; the tool is not among those that the row declares; an argument that the
tool requires is missing, one that it does not declare is given, or one is of another kind than its schema says (JSON
Schema, the draft that `$schema` names, else 2020-12; Python's names of types are understood too). Also a declared schema
that is none itself, and a tool turn whose `tool_call_id` answers no call. Declarations are read as OpenAI (`function`
with `parameters`), Anthropic (`input_schema`) and plain function lists write them, calls as those and as Hermes does,
in <tool_call> tags with the tools in <tools> tags. Rows without a declaration are looked at for broken JSON alone. A
`$ref` is followed within its schema and nowhere else: nothing is fetched.

Why it matters: the model learns calls that the program which makes them refuses.

Example: `get_weather` requires `city`; the call gives `{"town": "Oslo"}`.

Fix: mend the call or the declaration, or `tunescope export --drop FMT006`. Rows that should declare tools and do not are
trained to call what they cannot see.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials
from audit.sources import Message

__all__ = ["CHECK"]

# Only what begins as JSON: a text may speak of the tags, and other ways to write a call between them are not JSON.
_TAGGED = re.compile(r"<tool_call>\s*(?P<call>[\[{].*?)\s*(?:</tool_call>|\Z)", re.DOTALL)
_TAGGED_TOOLS = re.compile(r"<tools>\s*(?P<tools>.*?)\s*</tools>", re.DOTALL)
_MEASURE = "tool calls against their schemas"
_SHOWN = 3
_TYPES = {
    "str": "string",
    "text": "string",
    "int": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "bool": "boolean",
    "list": "array",
    "tuple": "array",
    "set": "array",
    "dict": "object",
    "map": "object",
    "none": "null",
}
_JSON_TYPES = frozenset("string integer number boolean array object null".split())
# What may allow arguments that `properties` does not name.
_OPEN = ("additionalProperties", "unevaluatedProperties", "patternProperties", "$ref", "allOf", "anyOf", "oneOf", "if", "not")


@dataclass(frozen=True)
class _Call:
    """A call: its tool, its arguments as they came, its id, and where it stands in the turn's content, if there."""

    name: str
    arguments: Any
    id: str | None
    shown: str
    span: tuple[int, int] | None = None


@dataclass(frozen=True)
class _Problem:
    what: str
    severity: Severity = Severity.ERROR


@dataclass(frozen=True)
class _Declared:
    """The tools of a row: schema of the arguments by name (`None` where it is none), and what is wrong with them."""

    schemas: Mapping[str, Mapping[str, Any] | None]
    problems: tuple[str, ...] = ()


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per call that breaks, per declaration that is none, and per answer to no call."""
    corpus = materials.corpus
    is_call = pl.col("tool_calls").is_not_null() | (
        (pl.col("role") == "assistant") & pl.col("content").str.contains("<tool_call>", literal=True)
    )
    for row in corpus.turns.filter(is_call)["row"].unique(maintain_order=True).to_list():
        conversation = corpus.row(row)
        declared = _declared(conversation.tools, conversation.messages)
        for problem in declared.problems if declared else ():
            quote = shorten(conversation.tools or "")
            yield Finding(CHECK.code, row, None, Severity.WARNING, f"{problem}.", Evidence(_MEASURE, quote=quote))
        ids: set[str] = set()
        for turn, message in enumerate(conversation.messages):
            if message.role == "tool" and message.tool_call_id and ids and message.tool_call_id not in ids:
                what = f"The turn answers the call {shorten(message.tool_call_id, 40)!r}, which nobody made."
                yield Finding(CHECK.code, row, turn, Severity.WARNING, what, Evidence(_MEASURE, quote=shorten(message.content)))
            for call in _calls(message):
                if isinstance(call, _Call):
                    ids |= {call.id} if call.id else set()
                    problems = _problems(call, declared)
                else:
                    problems, call = [call], _Call("", None, None, message.tool_calls or message.content)
                if problems:
                    more = f", and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
                    what = "; ".join(problem.what for problem in problems[:_SHOWN]) + more
                    severity = max((problem.severity for problem in problems), key=lambda one: one.rank)
                    evidence = Evidence(_MEASURE, len(problems), 1, span=call.span, quote=shorten(call.shown))
                    yield Finding(CHECK.code, row, turn, severity, f"{what[0].upper()}{what[1:]}.", evidence)


def _calls(message: Message) -> Iterator[_Call | _Problem]:
    """The calls of a turn; a problem where something stands in the place of one."""
    if message.tool_calls:
        loaded = _parsed(message.tool_calls)
        for call in loaded if isinstance(loaded, list) else [loaded]:
            if isinstance(call, Mapping) and call.get("type") != "custom":
                yield _call(call, message.tool_calls)
            elif not isinstance(call, Mapping):
                yield _Problem(f"a call is {shorten(json.dumps(call), 60)}, not an object")
    if message.role == "assistant":
        for match in _TAGGED.finditer(message.content):
            text, span = match["call"], match.span("call")
            call = _parsed(text)
            if isinstance(call, Mapping):
                read = _call(call, text)
                yield _Call(read.name, read.arguments, read.id, text, span)
            else:
                yield _Call("", text, None, text, span)


def _call(call: Mapping[str, Any], shown: str) -> _Call:
    function = call.get("function")
    inner = function if isinstance(function, Mapping) else call
    name = inner.get("name", function if isinstance(function, str) else None)
    arguments = next((inner[key] for key in ("arguments", "parameters", "input", "args") if key in inner), None)
    identity = call.get("id", call.get("tool_call_id"))
    text = shown if inner is call and len(shown) < 200 else json.dumps(call, ensure_ascii=False)
    return _Call(name if isinstance(name, str) else "", arguments, identity if isinstance(identity, str) else None, text)


def _problems(call: _Call, declared: _Declared | None) -> list[_Problem]:
    tool = f"the call of {shorten(call.name, 60)!r}" if call.name else "a call"
    arguments = call.arguments
    if isinstance(arguments, str):
        if not arguments.strip():
            arguments = {}
        else:
            arguments = _parsed(arguments)
            if isinstance(arguments, _NotJson):
                return [_Problem(f"{tool} has arguments that are no JSON: {arguments.why}")]
    if arguments is None:
        arguments = {}
    if not call.name:
        return [_Problem("a call names no tool")]
    if not isinstance(arguments, Mapping):
        return [_Problem(f"{tool} has arguments that are no object: {shorten(json.dumps(arguments), 60)}")]
    if declared is None:
        return []
    if call.name not in declared.schemas:
        known = ", ".join(sorted(declared.schemas)[:8]) or "none"
        return [_Problem(f"{tool} is for a tool that the row does not declare (declared: {shorten(known, 120)})")]
    schema = declared.schemas[call.name]
    if schema is None:
        return []
    return [*_schema_problems(tool, arguments, schema), *_undeclared(tool, arguments, schema)]


def _undeclared(tool: str, arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[_Problem]:
    """Arguments that the properties do not name, where the schema says nothing of others: valid, and unknown to the tool."""
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and not any(key in schema for key in _OPEN):
        for name in arguments:
            if name not in properties:
                yield _Problem(f"{tool} gives {shorten(name, 40)!r}, which the tool does not declare", Severity.WARNING)


def _schema_problems(tool: str, arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[_Problem]:
    validator = _validator(json.dumps(schema, sort_keys=True))
    for error in sorted(validator.iter_errors(arguments), key=lambda error: [str(part) for part in error.absolute_path]):
        place = ".".join(str(part) for part in error.absolute_path)
        name = f" in {shorten(place, 60)!r}" if place else ""
        given = shorten(json.dumps(error.instance, ensure_ascii=False), 60)
        match error.validator:
            case "required":
                missing = [one for one in error.validator_value if one not in error.instance]
                what = f"lacks {', '.join(repr(one) for one in missing)}{name}"
            case "type":
                kinds = error.validator_value
                wanted = kinds if isinstance(kinds, str) else " or ".join(kinds)
                what = f"gives {given} for {place or 'all'!r}, which is {wanted}"
            case "enum":
                what = f"gives {given} for {place!r}, which the schema does not list"
            case _:
                what = f"breaks {error.validator!r}{name}: {shorten(error.message, 100)}"
        yield _Problem(f"{tool} {what}")


def _declared(tools: str | None, messages: tuple[Message, ...]) -> _Declared | None:
    """What a row declares; `None` where it does not."""
    if tools is not None:
        return _read_tools(tools)
    for message in messages:
        if message.role == "system" and (match := _TAGGED_TOOLS.search(message.content)):
            text = match["tools"]
            if not isinstance(_parsed(text), _NotJson):
                return _read_tools(text)
            lines = [line for line in text.splitlines() if line.strip()]  # one object a line
            if lines and not any(isinstance(_parsed(line), _NotJson) for line in lines):
                return _read_tools(f"[{','.join(lines)}]")
    return None


@lru_cache(maxsize=1024)
def _read_tools(text: str) -> _Declared | None:
    tools = _parsed(text)
    if isinstance(tools, str):  # JSON within JSON
        tools = _parsed(tools)
    if isinstance(tools, Mapping):
        tools = [tools]
    if not isinstance(tools, list):
        return _Declared({}, ("The tools are no list of declarations",)) if tools else None
    if not tools:
        return None
    schemas: dict[str, Mapping[str, Any] | None] = {}
    problems = []
    for number, tool in enumerate(tools):
        inner = tool.get("function", tool) if isinstance(tool, Mapping) else None
        name = inner.get("name") if isinstance(inner, Mapping) else None
        if not isinstance(inner, Mapping) or not isinstance(name, str) or not name:
            # A tool of the provider's own, such as {"type": "web_search"}, has neither.
            if not (isinstance(tool, Mapping) and isinstance(tool.get("type"), str) and "function" not in tool):
                problems.append(f"Tool {number} of the row has no name")
            continue
        given = next((inner[key] for key in ("parameters", "input_schema", "inputSchema", "arguments") if key in inner), None)
        schemas[name] = None
        if given is None:
            continue
        schema = _as_schema(given)
        why = "it is no object" if schema is None else _why_no_schema(schema)
        if why:
            problems.append(f"The schema of the tool {shorten(name, 60)!r} is no JSON Schema: {why}")
        else:
            schemas[name] = schema
    return _Declared(schemas, tuple(problems))


def _as_schema(given: object) -> Mapping[str, Any] | None:
    """The schema of arguments, with Python's names of types as JSON's; a plain table of arguments as its properties."""
    if isinstance(given, str):
        given = _parsed(given)
    if not isinstance(given, Mapping):
        return None
    is_schema = any(key in given for key in ("type", "properties", "required", "$ref", *_OPEN)) and not isinstance(
        given.get("type"), Mapping
    )
    if not is_schema and given and all(isinstance(value, Mapping) for value in given.values()):
        # As in {"city": {"type": "str", "description": …}}; what is required, such tables do not say.
        given = {"type": "object", "properties": {name: {} for name in given}}
    translated = _translated(given)
    return translated if isinstance(translated, Mapping) else None


def _translated(schema: object) -> object:
    if isinstance(schema, list):
        return [_translated(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    result = {
        key: value if key in ("enum", "const", "default", "examples") else _translated(value) for key, value in schema.items()
    }
    kind = result.get("type")
    if isinstance(kind, str) and kind not in _JSON_TYPES:
        kind = kind.lower()
        if kind in ("any", "object?", "optional"):
            del result["type"]
        else:
            result["type"] = _TYPES.get(kind, kind)
    if result.get("required") in (True, False):  # draft 3, and common by mistake: on the argument itself
        del result["required"]
    return result


def _why_no_schema(schema: Mapping[str, Any]) -> str:
    """Why arguments cannot be checked with a schema; empty where they can."""
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing.exceptions import Unresolvable

    text = json.dumps(schema, sort_keys=True)
    try:
        validator_for(schema, default=Draft202012Validator).check_schema(dict(schema))
        for reference in re.findall(r'"\$(?:dynamicRef|ref)": ("(?:[^"\\]|\\.)*")', text):
            _resolve(text, json.loads(reference))
        for pattern in re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', text):
            re.compile(json.loads(pattern))
        list(_validator(text).iter_errors({}))
    except SchemaError as error:
        place = ".".join(str(part) for part in error.absolute_path)
        return shorten(f"{place}: {error.message}" if place else error.message, 160)
    except Unresolvable as error:
        return f"{shorten(str(error.ref), 80)!r} is not within it"
    except re.error as error:
        return f"a pattern is no regular expression ({error})"
    except RecursionError:
        return "it refers to itself without end"
    return ""


def _resolve(schema: str, reference: str) -> None:
    from jsonschema.validators import Draft202012Validator, validator_for
    from jsonschema_specifications import REGISTRY
    from referencing.jsonschema import DRAFT202012, specification_with

    loaded = json.loads(schema)
    dialect = validator_for(loaded, default=Draft202012Validator).META_SCHEMA["$schema"]
    resource = specification_with(dialect, default=DRAFT202012).create_resource(loaded)
    base = resource.id() or ""
    REGISTRY.with_resource(base, resource).resolver(base).lookup(reference)


@lru_cache(maxsize=4096)
def _validator(schema: str) -> Any:
    from jsonschema.validators import Draft202012Validator, validator_for
    from jsonschema_specifications import REGISTRY

    # A registry of one's own keeps jsonschema from fetching what a `$ref` names.
    loaded = json.loads(schema)
    return validator_for(loaded, default=Draft202012Validator)(loaded, registry=REGISTRY)


@dataclass(frozen=True)
class _NotJson:
    why: str


def _parsed(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON value")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        return _NotJson("it is nested too deep")
    except ValueError as error:
        return _NotJson(str(error))


CHECK = Check(
    code="FMT006",
    name="tool call that breaks its schema",
    severity=Severity.ERROR,
    advice="Mend the call or the declaration of the tool.",
    explanation=__doc__,
    find=find,
)
"""Calls that their tools would refuse."""
