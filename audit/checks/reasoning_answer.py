r"""CNF002: the reasoning comes to another number than the answer.

What: the number that the reasoning ends at (reasoning content, a leading <think> block, or the steps before "#### 42",
"\\boxed{42}" or "The answer is 42") is compared with the number of the final answer. Thousands separators, decimals,
fractions, percentages, currencies, number words and rounding to the digits shown do not count, and an answer's number that
stands in the last sentences of the reasoning is no contradiction.

Why it matters: the model learns that reasoning need not lead to the answer.

Example: `{"instruction": "How many legs do 6 ants have?", "output": "6 * 6 = 36, so there are 36 legs.\\n#### 32"}`.

Fix: correct the reasoning or the answer, or `tunescope export --drop CNF002`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.checks.figures import Figure, figures_in, is_rounded_from, same_figure
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK", "Contradiction", "contradiction", "final_figures"]

_CANDIDATE = r"(?s)\d.*(?:####|\\boxed|(?i:answer))[^\d]*\d"
_MARK = re.compile(
    r"(?P<hash>####[ \t]*)|(?P<boxed>\\boxed\s*\{)|(?i:\b(?:final answer|the (?:correct |right )?answer"
    r"|answer)(?: to [^.:=\n]{1,60}?)?"
    r"(?:\*\*)?\s*(?:is(?: therefore| thus| then)?|should be|must be|would be|=|:)[:\s*]*)"
)
_SENTENCE = re.compile(r"(?<=[.!?])(?:\s+|$)|\n+")
_CONCLUDES = re.compile(
    r"(?i)[\d)%²³}]\s*(?:[a-z]+\s)?[=≈]"
    r"|^\W*(?:in total|altogether|finally|then|overall|in all|consequently|as a result|this (?:means|gives)"
    r"|that (?:means|gives|leaves|makes)|which (?:means|gives)|we get)\b"
    r"|\b(?:so|therefore|thus|hence|because|total|left|remaining|remain\w*|in all|altogether|result|answer|equals?|gives"
    r"|comes to|makes|leaves|we (?:get|have|find)|must be|should be)\b"
)
_RELATION = re.compile(
    r"(?i)=|≈|\b(?:is|are|be|was|were|to|of|has|have|equals?|gives?|gets?|leaves?|makes?|costs?|needs?|takes?|earns?|pays?"
    r"|spends?|totals?)\b"
)
_STATES = re.compile(r"(?i)=|\b(?:is|are|was|equals)\b")
# What is added or taken away is no result.
_OPERAND = re.compile(r"\$?\d[\d,.]*\s*(?:[-+*/×÷−–]\s*\$?\d[\d,.]*\s*)+(?=[=≈])")
_OPEN_EQUATION = re.compile(r"(?:^|[=≈\n]|[.:]\s)(?P<left>[^=≈\n]*?)[=≈][\s$]*$")
_TAIL_CHARS = 700
_LONGEST_PLAIN_ANSWER = 240
# "So I should list three tips" is about the answer, and no result.
_PLANS = re.compile(
    r"(?i)\b(?:i|we)(?:['’]ll| will| should| need to| must| can| could)? (?:respond|answer|write|give|list|provide|keep"
    r"|mention|say|present|explain|include|use|start|make|format|output|add)\b"
    r"|\b(?:sentences|words|paragraphs|bullets?|points|tips|examples|lines|items|reasons|ways|ideas|options|sections|user)\b"
)
_OTHER_WAY = re.compile(
    r"(?i)\b(?:or|either|between|approximately|about|roughly|around|estimate\w*|at least|at most|range)\b|±|≤|≥|<|>"
)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Where reasoning and answer part; offsets of the answer's number are those of the text it was looked for in."""

    reasoned: str
    answered: str
    start: int
    end: int


def contradiction(reasoning: str, answer: str) -> Contradiction | None:
    """The number that reasoning ends at and the other one that the answer gives; `None` where they agree or none is plain."""
    answered, is_marked = final_figures(answer)
    if not answered:
        return None
    concluded, tail = _conclusion(reasoning)
    if concluded is None:
        return None
    everywhere = answered if is_marked else list(figures_in(answer))
    if any(same_figure(concluded[0], figure) for figure in everywhere):
        return None
    if any(is_rounded_from(figure, said) for figure in answered for said in tail):
        return None
    first = answered[-1]
    return Contradiction(concluded[1], answer[first.start : first.end].strip(), first.start, first.end)


def final_figures(answer: str) -> tuple[list[Figure], bool]:
    """The figures of the final answer, placed in `answer`, and whether a mark such as #### names them."""
    marks = list(_MARK.finditer(answer))
    if marks:
        mark = marks[-1]
        if mark["boxed"]:
            stop = _closing_brace(answer, mark.end())
        else:
            line_end = answer.find("\n", mark.end())
            stop = len(answer) if line_end < 0 else line_end
            sentence = re.search(r"[.!?](?:\s|$)", answer[mark.end() : stop])
            stop = mark.end() + sentence.start() if sentence and not mark["hash"] else stop
        words = answer[mark.end() : stop]
        if _OTHER_WAY.search(words):
            return [], True
        at = max(words.rfind("="), words.rfind("≈")) + 1
        return [_moved(figure, mark.end() + at) for figure in figures_in(words[at:])], True
    if len(answer) > _LONGEST_PLAIN_ANSWER or _OTHER_WAY.search(answer):
        return [], False
    figures = list(figures_in(answer))
    if len(figures) == 1 or (figures and all(same_figure(figures[0], figure) for figure in figures)):
        return figures[-1:], False
    after = max((match.start() for match in _STATES.finditer(answer)), default=-1)
    last = [figure for figure in figures if figure.start > after]
    return (last[:1], False) if after >= 0 and len(last) == 1 else ([], False)


def _conclusion(reasoning: str) -> tuple[tuple[Figure, str] | None, list[Figure]]:
    """The figure that reasoning ends at, with its text, and all figures of its last sentences."""
    tail = reasoning.rstrip()[-_TAIL_CHARS:]
    sentences = [part.strip() for part in _SENTENCE.split(tail) if part and any(char.isalnum() for char in part)][-3:]
    said = [figure for sentence in sentences for figure in figures_in(_OPERAND.sub(_blank, _spaced(sentence)))]
    marks = list(_MARK.finditer(tail))
    if marks:
        said += figures_in(_spaced(tail[marks[-1].end() :]))
    for sentence in reversed(sentences):
        words = _spaced(sentence)
        figures = list(figures_in(words))
        if not figures:
            continue
        concludes = _CONCLUDES.search(words) or _repeats_result(figures, tail[: tail.rfind(sentence)])
        if not concludes or _OTHER_WAY.search(words) or _PLANS.search(words) or sentence.endswith("?"):
            return None, said
        relations = [
            match.end() for match in _RELATION.finditer(words) if any(figure.start >= match.end() - 1 for figure in figures)
        ]
        after = [figure for figure in figures if relations and figure.start >= relations[-1] - 1]
        chosen = after[0] if after else (figures[0] if len(figures) == 1 else None)
        return (None if chosen is None else (chosen, words[chosen.start : chosen.end].strip())), said
    return None, said


def _repeats_result(figures: list[Figure], before: str) -> bool:
    """Whether the one number of a sentence is what a sum before it came to: "3 * 4 = 12. There are 12 seats."."""
    results = [match.end() for match in re.finditer(r"[=≈]\s*", before)]
    if not results or not all(same_figure(figures[0], figure) for figure in figures):
        return False
    result = next(figures_in(before[results[-1] :]), None)
    return result is not None and same_figure(figures[0], result)


def _spaced(text: str) -> str:
    """The text with the marks of calculators and of LaTeX taken out, so that figures stand apart; lengths are kept."""
    return re.sub(r"<<[^<>]*>>|\\[,;!]|\\(?:text|mathrm)\b|(?<=\d)(?=[+*/×÷=])", _blank, text).replace("=", " = ")


def _blank(match: re.Match[str]) -> str:
    return " " * len(match.group())


def _is_product(steps: str) -> bool:
    """Whether steps end in an equation whose left side is more than a number, as in "2^2 · 21 =" before the answer."""
    open_equation = _OPEN_EQUATION.search(steps)
    if open_equation is None:
        return False
    left = open_equation["left"].strip(" $\\[(")
    figure = next(figures_in(left), None)
    return figure is None or (figure.start, figure.end) != (0, len(left))


def _moved(figure: Figure, by: int) -> Figure:
    return Figure(figure.value, figure.last_place, figure.is_percent, figure.start + by, figure.end + by)


def _closing_brace(text: str, start: int) -> int:
    depth = 1
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place
    return len(text)


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per response whose reasoning comes to another number than its answer."""
    responses = materials.responses.select("row", "turn", "text", "reasoning", "answer_start")
    text = pl.col("text")
    candidates = responses.filter(
        (
            pl.col("reasoning").str.contains(r"\d").fill_null(False)
            & text.str.contains(r"\d|(?i)\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty)\b")
        )
        | text.str.contains(_CANDIDATE)
    )
    for row, turn, content, reasoning, answer_start in candidates.iter_rows():
        answer = content[answer_start:]
        found = contradiction(reasoning, answer) if reasoning else None
        at = answer_start
        if found is None:
            marks = list(_MARK.finditer(answer))
            if not marks or not answer[: marks[-1].start()].strip():
                continue
            at = answer_start + marks[-1].start()
            if _is_product(answer[: marks[-1].start()]):
                continue
            found = contradiction(content[answer_start:at], content[at:])
        if found is None:
            continue
        message = f"The reasoning comes to {shorten(found.reasoned, 40)}, the answer is {shorten(found.answered, 40)}."
        span = (at + found.start, at + found.end)
        evidence = Evidence(measure="number of the final answer", span=span, quote=shorten(content[slice(*span)]))
        yield Finding(CHECK.code, row, turn, CHECK.severity, message, evidence)


CHECK = Check(
    code="CNF002",
    name="reasoning and answer differ",
    severity=Severity.WARNING,
    advice="Correct the reasoning or the answer, or drop the row.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.LANGUAGES}),
)
