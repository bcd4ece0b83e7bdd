"""TXT007: JSON is asked for, and the answer holds none that can be parsed.

What: the prompt or the system turn asks for JSON ("as JSON", "in JSON format", "create a JSON object", "im
JSON-Format"), and neither the answer, nor a code block in it, nor an object or array between its sentences is JSON by
RFC 8259. Python's quotes and `None`, comments, trailing commas, missing brackets and NaN make it another language. A
task that asks for code or an explanation, or that gives JSON and asks for something else, does not count, nor an answer
that is an apology or a program. With "JSON Lines" every line is parsed by itself.

Why it matters: whoever tunes on such rows wants a model whose output a program can read.

Example: `{"instruction": "Describe a cat as JSON.", "output": "{'name': 'Tom', 'age': 3}"}`.

Fix: mend the JSON where the message says, or `tunescope export --drop TXT007`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import polars as pl

from audit.checks.base import Check, NoOptions
from audit.checks.passages import ANSWER, around
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK"]

_KIND = (
    r"(?:valid|well[- ]?(?:formed|structured)|proper|correct|single|simple|raw|pure|plain|strict|following|"
    r"compact|nested|new|this|the|a|an|ein(?:em?)?|un|uno?)"
)
_OBJECT = (
    r"(?:object|array|string|list|document|file|schema|record|request|response|payload|representation|data|"
    r"dictionary|dict|body|config\w*|structure|output)"
)
_ASKS = re.compile(
    rf"""
    (?<!such\ )\b(?:as|in|into|to|using|im|als|en|au|ao|em|como|comme|come|w|
        в)\s+(?:{_KIND}\s+)*(?:format[oe]?\s+)?["'`]?json\b(?!\s+file|\s+column|\s+field) |
    \bjson[- ]?(?:format|formát|formato|formatted|only)\b | \bformat[oe]?\s*(?:is|:|de|=|must\ be|
        should\ be)?\s*(?:{_KIND}\s+)*json\b | json\s?(?:格式|形式|으로|형식) |
    \b(?:create|construct|generate|write|produce|make|build|give|provide|return|output|respond|reply|answer|emit|design|draft|
       compose|formulate|show|print|send|fill|complete|fix|repair|correct|edit|update|modify|reformat)\b[^.?!\n]{{0,60}}?
       \b(?<!from\ )(?<!parse\ )json\b(?!\s+(?:into|to|as)\b) |
    \b(?:only|just|be|use)\s+(?:in\s+|as\s+)?(?:{_KIND}\s+)*json\b |
        \bjson\b[^.?!\n]{{0,30}}\bwith\s+(?:the\s+)?(?:\w+\s+)?(?:keys?|fields?|properties|attributes)\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
# JSON is what is given, or what a program or a text is about.
_ASKS_FOR_ELSE = re.compile(
    rf"""
    \bjson\b(?:\s+{_OBJECT})?[^.?!\n]{{0,40}}?\b(?:in)?to\s+(?:(?:a|an|the|valid|equivalent|proper|formatted)\s+)*
       (?!(?:valid\s+|an?\s+|the\s+)*json)\w |
    \b(?:explain|why|difference|compare|advantages?|benefits?|disadvantages?|pros|purpose|history|whether|better|
        tutorial|essay|article|blog|
       what\s+(?:is|are|does)|how\s+(?:do|does|can|to|would|should|is)|tell\s+me\s+about|define|definition)\b[^.?!\n]*\bjson\b |
    \bjson\b[^.?!\n]*\b(?:means?|stands\s+for|works?|comments?|placeholders?)\b |
    \bjson\b[^.?!\n]*\bin\s+(?:plain\s+|simple\s+)*(?:words|english|prose)\b | \bjson\s+or\b | \bor\s+json\b |
    \b(?:summari[sz]e|describe|count|find|identify|select|query|classify|parse|read|load|explain|analy[sz]e|interpret|
        decode)\b[^.?!\n]{{0,30}}
       (?<!\bas\s)(?<!\bin\s)(?<!\binto\s)(?<!\bto\s)\b(?:this|these|that|the\s+following|the\s+given|given|the|a|an|
       following)\s+(?:(?!as\b|in\b|into\b|to\b)\w+\s+)?json\b |
    \b(?:write|create|build|implement|develop|design|generate|make|give|provide|code|construct|program|need|want|show|
        edit|modify|update|fix|complete|use|using)\b
       [^.?!\n]{{0,60}}\b(?:functions?|scripts?|programs?|code|class|method|app|application|endpoints?|API|component|
           snippet|quer(?:y|ies)|
       parser|command|servers?|service|module|library|test|regex|regular\s+expression|algorithm|webpage|page|website)\b |
    \b(?:python|javascript|java|php|ruby|rust|go|golang|c\#|c\+\+|typescript|bash|curl|jq|pandas|sql|react|
        node(?:\.js)?|flask|express)\s+
       (?:code|function|script|program|class|snippet)\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
# A longer sentence with the word is a passage that the prompt quotes.
_LONGEST_REQUEST = 300
_IS_CODE = re.compile(r"json\.(?:dumps?|loads?)\b|JSON\.(?:stringify|parse)\b|\bimport json\b|json_encode\(|to_json\(")
_BLOCK = re.compile(r"```[ \t]*[\w+-]*[ \t]*\r?\n?([\s\S]*?)(?:```|\Z)")
_BRACKETS = re.compile(r"[{}\[\]]")
_LINES = re.compile(r"(?i)json[- ]?lines?\b|\bjsonl\b|\bndjson\b|newline[- ]delimited")
_APOLOGY = re.compile(
    r"(?i)\W*(?:(?:i['’]?m|i am|we['’]?re) (?:very |really )?(?:sorry|afraid|unable)|sorry|unfortunately|"
    r"i (?:can(?:no|['’])t|cannot|apologi[sz]e))"
)


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per answer without the JSON it should be."""
    named = r"(?i)json"
    systems = materials.corpus.turns.filter((pl.col("role") == "system") & pl.col("content").str.contains(named))
    asked = (
        materials.responses.join(
            systems.group_by("row").agg(system=pl.col("content").str.join("\n")), on="row", how="left", maintain_order="left"
        )
        .filter(pl.col("prompt").str.contains(named) | pl.col("system").is_not_null())
        .with_columns(answer=ANSWER)
    )
    for row, turn, prompt, system, offset, answer in asked.select(
        "row", "turn", "prompt", "system", "answer_start", "answer"
    ).iter_rows():
        if not answer.strip() or _APOLOGY.match(answer) or _IS_CODE.search(answer):
            continue
        if not (_is_asked(prompt) or (system and _is_asked(system))):
            continue
        if (problem := _problem(answer, bool(_LINES.search(f"{system}\n{prompt}")))) is None:
            continue
        what, place = problem
        start = min(place, len(answer) - 1)
        evidence = Evidence(
            "values that parse as JSON", 0, 1, span=(offset + start, offset + start + 1), quote=around(answer, start, start + 1)
        )
        yield Finding(CHECK.code, row, turn, CHECK.severity, f"JSON is asked for, and none can be parsed: {what}.", evidence)


def _is_asked(prompt: str) -> bool:
    """Whether a prompt asks for JSON, as opposed to naming it."""
    # What follows the request may be long data that says anything.
    sentences = [part for part in re.split(r"(?<=[.?!])\s|\n", prompt) if part.strip()]
    asking = [part for part in sentences if len(part) <= _LONGEST_REQUEST and _ASKS.search(part)]
    return bool(asking) and not any(_ASKS_FOR_ELSE.search(part) for part in (sentences[0][:_LONGEST_REQUEST], *asking))


def _problem(answer: str, by_lines: bool) -> tuple[str, int] | None:
    """Why an answer holds no JSON, and the place in it; None where it does."""
    parts = [(found.start(1), found[1]) for found in _BLOCK.finditer(answer)] or [(0, answer)]
    if any(_parses(text) for _, text in parts) or _parses(answer):
        return None
    if by_lines:
        lines = [line for _, text in parts for line in text.splitlines() if line.strip()]
        if lines and all(map(_parses, lines)):
            return None
    problem = ("it holds no object or array", 0)
    for offset, text in parts:
        broken = _broken(text)
        if broken is None:
            return None
        if broken[1] >= 0 and problem[1] == 0:
            problem = (broken[0], offset + broken[1])
    return problem


def _broken(text: str) -> tuple[str, int] | None:
    """Why no outermost object or array of a text parses, and where (−1 without any); None where one does."""
    first: tuple[str, int] | None = None
    depth = 0
    for bracket in _BRACKETS.finditer(text):
        place, outermost = bracket.start(), depth <= 0
        depth += 1 if bracket.group() in "{[" else -1
        if not outermost or bracket.group() in "]}":
            continue  # part of an object that does not parse
        try:
            _, end = _DECODER.raw_decode(text, place)
        except ValueError as error:
            at = error.pos if isinstance(error, json.JSONDecodeError) else place
            reason = error.msg.lower() if isinstance(error, json.JSONDecodeError) else str(error)
            first = first or (f"{reason} in line {text.count(chr(10), 0, at) + 1}", at)
        except RecursionError:
            first = first or ("it is nested too deep", place)
        else:
            rest = text[end:].lstrip()
            if rest[:1] not in ("}", "]", ","):
                return None
            first = first or (f"'{rest[0]}' follows where it should have ended", text.index(rest[0], end))
    return first or ("", -1)


def _parses(text: str) -> bool:
    try:
        _DECODER.decode(text.strip())
    except (ValueError, RecursionError):
        return False
    return True


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no value of JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)

CHECK = Check(
    code="TXT007",
    name="invalid JSON",
    severity=Severity.WARNING,
    advice="Mend the JSON, or drop the row.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.LANGUAGES}),
)
