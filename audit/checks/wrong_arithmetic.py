"""CNF003: a response states a sum that does not compute.

What: sums with a stated result in the response or its reasoning, such as "12 + 7 = 20", "15% of 80 is 10" or "$3 × 4 =
$13", are parsed and computed exactly. Rounding to the digits shown is no error, nor is the chained style "3 * 4 = 12 +
5 = 17", and a point may group thousands. Only numbers count: equations with unknowns, code, other bases, times, dates
and versions are left out, as are sums that the prompt states itself, and those that the response calls wrong.

Why it matters: the model learns wrong results, and to trust steps that do not follow.

Example: `{"instruction": "What do 12 apples and 7 apples make?", "output": "12 + 7 = 20 apples."}`.

Fix: correct the sum and what follows from it, or `tunescope export --drop CNF003`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

from audit.checks.arithmetic import Equation, equations_in, shown
from audit.checks.base import Check, NoOptions, shorten
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK", "wrong_sums"]

# Unbounded on purpose: bounded repetitions make the matcher sixty times slower.
_CANDIDATE = (
    r"(?:\d|\))[^\n=]*(?:[-+−–*×·∙⋅÷/^%√xX]|plus|minus|times|divided|multipl|percent|squared|cubed|frac|cdot|div|sqrt)[^\n=]*"
    r"(?:=|≈|equals)[^\n=]*\d"
    r"|\d[)%a-zµ ]*(?:[-+−–*×·÷/^xX]|plus|minus|times|divided by|multiplied by|% of|percent of)[ (\[$€£]*\d[^\n=]*"
    r"(?:is|makes|gives|comes to|approx)[^\n]*\d"
    r"|(?:√|sqrt|\\frac|(?:root|sum|product|difference|quotient) (?:of|between))[^\n]*(?:=|≈|is|equals)[^\n]*\d"
    r"|\d (?:squared|cubed) (?:is|equals|=)"
)
_DATE = re.compile(r"(?<!\d)\d{4}-\d\d?-\d\d?(?!\d)|(?<!\d)\d\d?/\d\d?/(?:\d\d)?\d\d(?!\d)")
_POINT = re.compile(r"(?<=\d)\.(?=\d{3}(?!\d))")
_CALLED_WRONG = re.compile(
    r"(?i)\b(?:incorrect|wrong|mistak\w+|errors?|false|not (?:true|correct|right|equal)|should (?:be|have been|equal)|isn['’]t"
    r"|is not|does(?:n['’]t| not)"
    r"|actually|oops|wait|correction|corrected|invalid|instead of|rather than|untrue|nonsense|fallacy|hmm|no,|scratch that"
    r"|let me (?:re|try|double)|joke|if we (?:pretend|assume)|clock|modulo|mod \d+|base \d+|binary)\b"
)
_ABOUT_WRONG = re.compile(
    r"(?i)\b(?:incorrect|wrong|mistakes?|errors?|false|true or false|fallacy|nonsense|joke|paradox|1984|binary|hexadecimal"
    r"|octal|base[- ]?\d+|modulo|modular|\bmod\b"
    r"|boolean|xor|bitwise|clock|regex|spreadsheet|in base|cryptarithm|puzzle|riddle|trick|fictional|alternate"
    r"|find the (?:pattern|rule)|redefine\w*|new operation)\b"
)
_OPTION = re.compile(r"(?m)^\s*(?:\(?[A-Ea-e][).]|[-*]\s*\(?[A-Ea-e][).])\s")
_BEFORE_CHARS, _AFTER_CHARS = 60, 90


def wrong_sums(text: str, prompt: str) -> Iterator[Equation]:
    """The sums of a response that do not compute, apart from those that are quoted or called wrong."""
    if _ABOUT_WRONG.search(prompt):
        return
    asked = _bare(prompt)
    for equation in equations_in(text):
        if equation.holds or _bare(text[equation.start : equation.end]) in asked:
            continue
        line_start = text.rfind("\n", 0, equation.start) + 1
        around = text[max(equation.start - _BEFORE_CHARS, line_start) : equation.end + _AFTER_CHARS]
        if _CALLED_WRONG.search(around) or _OPTION.match(text[line_start : equation.start] + " "):
            continue
        if re.search(r"(?i)\b(?:binary|hexadecimal|octal|modulo|base \d)\b", text):
            continue
        if _DATE.search(text[line_start : equation.end]) or _holds_with_points(text[equation.start : equation.end]):
            continue
        yield equation


def _holds_with_points(sum_: str) -> bool:
    """Whether a sum computes where points group thousands, as in "1.000 + 500 = 1.500"."""
    return _POINT.search(sum_) is not None and any(equation.holds for equation in equations_in(_POINT.sub("", sum_)))


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per sum that does not compute."""
    responses = materials.responses.select("row", "turn", "prompt", "text", "reasoning", "answer_start")
    apart = pl.when(pl.col("answer_start") == 0).then(pl.col("reasoning"))  # reasoning that is not in the text
    candidates = responses.with_columns(apart=apart).filter(
        pl.col("text").str.contains(_CANDIDATE) | pl.col("apart").str.contains(_CANDIDATE).fill_null(False)
    )
    for row, turn, prompt, text, _, _, reasoning in candidates.iter_rows():
        for part, is_content in ((text, True), (reasoning or "", False)):
            for equation in wrong_sums(part, prompt):
                quote = part[equation.start : equation.end]
                where = "" if is_content else "The reasoning: "
                result = f"{shorten(equation.sum_text, 40)} is {shown(equation.value)}"
                message = f"{where}“{shorten(quote, 60)}” does not compute: {result}."
                span = (equation.start, equation.end) if is_content else None
                evidence = Evidence("value of the sum", round(float(equation.value), 4), None, (), span, shorten(quote))
                yield Finding(CHECK.code, row, turn, CHECK.severity, message, evidence)


def _bare(text: str) -> str:
    return re.sub(r"[\s*$`\\]", "", text)


CHECK = Check(
    code="CNF003",
    name="wrong arithmetic",
    severity=Severity.WARNING,
    advice="Correct the sum and what follows from it, or drop the row.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.LANGUAGES}),
)
