r"""TXT010: further tasks or examples run into a row.

What: after its answer, a response goes on with another task: a line `Instruction:`, also numbered or as a heading, a
`Question:` or `Task:` with an `Answer:` or `Output:` of its own where no questions were asked for, an `Example 7:` with
input and output and no example before it, or a line that is the whole instruction of another row. In a prompt: a numbered
`12. Instruction:` after the first line; of severity info, `Task 1:` at its beginning and `Task 2:` below. Examples that
the prompt shows or asks for are left out.

Why it matters: such rows come from a list of generated tasks that was cut at the wrong place. The model learns to go on
after its answer, and to set itself tasks.

Example: an answer that ends `… in the shade.\n\n11. Instruction: Name three rivers.\n11. Output: …`.

Fix: cut the response where the span begins, and make rows of the rest; or `tunescope export --drop TXT010`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import polars as pl

from audit.checks.base import Check, bounded, shorten
from audit.checks.passages import blank_code, request_of
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK", "Options"]

_BEFORE = r"(?:^|\n)[ \t]*(?:[#>*\[-]+[ \t]*)?(?:(?:\d{1,3}|[Nn]ew|NEW|[Nn]ext|Example \d*)[.):]?[ \t]*)?(?:\*\*)?"
_AFTER = r"(?:[ \t]*#?\d{1,3})?(?:\*\*|\])?[ \t]*[:：](?:\*\*)?"
_TASK = rf"{_BEFORE}(?:[Ii]nstruction|INSTRUCTION){_AFTER}|\n[ \t]*#{{2,4}}[ \t]*(?:Instruction|INSTRUCTION)[ \t]*(?:\n|$)"
_QUESTION = (
    rf"{_BEFORE}(?:Instructions|Question|QUESTION|Q|Task|TASK|Exercise|Problem|Prompt|PROMPT|Query|[Uu]ser (?:request|"
    rf"question|prompt)"
    rf"|[Ff]ollow-up [Qq]uestions?|Human|User|USER){_AFTER}"
)
_ANSWER_LABEL = re.compile(
    rf"(?i:{_BEFORE}(?:Output|Answer|Response|Solution|Completion|Assistant|AI|Bot|Chatbot|ChatGPT){_AFTER})|{_BEFORE}A{_AFTER}"
)
_NUMBERED_TASK = r"\n[ \t]*(?:#+[ \t]*)?\n?[ \t]*\d{1,3}[.)][ \t]*(?:Instruction|Task)[ \t]*:"
_EXAMPLE = (
    r"\n[ \t]*(?:[#>*-]+[ \t]*)?(?:Example|EXAMPLE|Sample|Case)[ \t]*#?(?P<number>\d{1,3})[ \t]*[:.)]?\*{0,2}[ \t]*\n+"
    r"[ \t]*(?:\*\*)?(?:Input|Instruction|Question|Q|Prompt|Task)(?:\*\*)?[ \t]*:"
)
_FIND_EXAMPLE = re.compile(_EXAMPLE)
_SEVERAL = re.compile(
    r"\A[\s#*]*(?P<label>Instruction|Task|Question|Prompt|Request|Query|Exercise|Problem)[ \t]*1[ \t]*[:.)]"
    r"[\s\S]+?\n[ \t#*]*(?P<second>(?P=label)[ \t]*2[ \t]*[:.)][^\n]*)"
)
_ON_BOTH = re.compile(r"(?i)\b(?:both|these|those|two|each|above|the same|questions|tasks)\b")
_FIND_TASK, _FIND_QUESTION, _FIND_NUMBERED = map(re.compile, (_TASK, _QUESTION, _NUMBERED_TASK))
# What the plain search looks for first: every mark above holds one of them.
_SIGNS = (
    "instruction",
    "question",
    "task",
    "exercise",
    "problem",
    "prompt",
    "query",
    "user",
    "human",
    "request",
    "example",
    "sample",
    "case",
    "\nq",
    " q",
    "*q",
)
_ASKED = re.compile(
    r"(?i)\b(?:instructions?|prompts?|questions?|quiz(?:zes)?|Q ?& ?A|FAQs?|exercises?|problems?|tasks?|interviews?|"
    r"tests?|exams?|riddles?"
    r"|jokes?|trivia|worksheets?|flash ?cards?|homework|assignments?|surveys?|assessments?|puns?|examples?|"
    r"questionnaires?|puzzles?"
    r"|datasets?|dialog\w*|conversations?|knock[- ]knock|queries|lessons?|chat\w*|bots?|assistants?|scripts?|scenes?|"
    r"transcripts?|role-?play|users?)\b"
)
# A question or task that the prompt gives is none that it asks for.
_GIVEN = re.compile(
    r"(?i)\b(?:the|this|that|these|following|given|my|any|answer\w*|true[- ]or[- ]false|multiple[- ]choice|yes[/ ]no)\s+"
    r"(?:\w+\s+)?(?:questions?|problems?|tasks?|prompts?|instructions?|query|examples?|dialog\w*|conversations?)\b"
    r"|(?:^|\n|\.\s)\s*(?:question|q|task|problem|dialogue)\s*\d*\s*:"
)


@dataclass(frozen=True)
class Options:
    """`min_words`: words from which on a line counts that is another row's instruction, 4 to 20."""

    min_words: int = bounded(6, 4, 20)


def find(materials: Materials, options: Options) -> Iterator[Finding]:
    """One finding per turn with a further task, at the first of them."""
    marked = set()
    for row, turn, text, start in _marked_answers(materials):
        marked.add((row, turn))
        end = text.find("\n", start)
        yield _finding(row, turn, text, (start, end if end >= 0 else len(text)), "the answer")
    for row, turn, text, start, end in _repeated_instructions(materials, options.min_words):
        if (row, turn) not in marked:
            yield _finding(row, turn, text, (start, end), "the answer, as in another row")
    prompts = materials.corpus.turns.filter(
        (pl.col("role") == "user") & pl.col("content").str.contains_any(["Instruction", "Task"])
    ).filter(pl.col("content").str.contains(_NUMBERED_TASK))
    for row, turn, text in prompts.select("row", "turn", "content").iter_rows():
        found = _FIND_NUMBERED.search(text)
        if found and len(_FIND_NUMBERED.findall(text)) == 1:
            start = found.end() - len(found.group().lstrip("#\n \t"))
            end = text.find("\n", found.end())
            yield _finding(row, turn, text, (start, end if end >= 0 else len(text)), "the prompt")
    yield from _several_tasks(materials)


def _several_tasks(materials: Materials) -> Iterator[Finding]:
    """Prompts that begin with a task numbered 1 and go on with a task numbered 2."""
    second = r"\n[ \t#*]*(?:Instruction|Task|Question|Prompt|Request|Query|Exercise|Problem)[ \t]*2[ \t]*[:.)]"
    prompts = materials.corpus.turns.filter((pl.col("role") == "user") & pl.col("content").str.contains(second))
    for row, turn, text in prompts.select("row", "turn", "content").iter_rows():
        found = _SEVERAL.match(text)
        if found and not _ON_BOTH.search(text[: found.start("label")] + text[found.end() :]):
            yield replace(_finding(row, turn, text, found.span("second"), "the prompt"), severity=Severity.INFO)


def _finding(row: int, turn: int, text: str, span: tuple[int, int], where: str) -> Finding:
    quote = shorten(text[slice(*span)])
    evidence = Evidence("characters from the further task to the end", len(text) - span[0], 1, span=span, quote=quote)
    return Finding(CHECK.code, row, turn, CHECK.severity, f"A further task runs into {where}: {shorten(quote, 60)}", evidence)


def _marked_answers(materials: Materials) -> Iterator[tuple[int, int, str, int]]:
    """Row, turn and text of every answer that a marked task follows, and where."""
    candidates = (
        materials.responses.filter(pl.col("text").str.contains_any(list(_SIGNS), ascii_case_insensitive=True))
        .filter(pl.col("text").str.contains(f"{_TASK}|{_QUESTION}|{_EXAMPLE}"))
        .select("row", "turn", "prompt", "text", "answer_start")
    )
    for row, turn, prompt, text, offset in candidates.iter_rows():
        visible = " " * offset + blank_code(text[offset:])
        task = _FIND_TASK.search(visible, offset)
        question = _FIND_QUESTION.search(visible, offset)
        if (
            task
            and visible[: task.start()].strip()
            and not re.search(r"(?i)\binstruction:|\binstructions?\b|\bprompts?\b", prompt)
        ):
            yield row, turn, text, _label_start(task)
        elif (
            question
            and visible[: question.start()].strip()
            and not _ANSWER_LABEL.match(visible[offset:].lstrip())
            and _ANSWER_LABEL.search(visible, question.end())
            and not _asks_for_tasks(prompt)
        ):
            yield row, turn, text, _label_start(question)
        elif (example := _first_example(visible, offset)) and _ANSWER_LABEL.search(visible, example.end()):
            yield row, turn, text, _label_start(example)


def _asks_for_tasks(prompt: str) -> bool:
    return _ASKED.search(_GIVEN.sub(" ", request_of(prompt))) is not None


def _first_example(text: str, start: int) -> re.Match[str] | None:
    """The first numbered example, where it is not number 1 and none of the number before it stands above."""
    found = _FIND_EXAMPLE.search(text, start)
    if found is None or not text[: found.start()].strip():
        return None
    before = int(found["number"]) - 1
    return found if before and not re.search(rf"(?i)\b(?:example|sample|case)\s*#?{before}\b", text[: found.start()]) else None


def _label_start(found: re.Match[str]) -> int:
    return found.end() - len(found.group().lstrip("\n \t"))


def _repeated_instructions(materials: Materials, min_words: int) -> Iterator[tuple[int, int, str, int, int]]:
    """Row, turn, text, start and end of lines of answers that are, word for word, the first line of another row's prompt."""
    instruction = pl.col("prompt").str.split("\n").list.first().str.strip_chars()
    words = pl.col("line").str.count_matches(r"\S+")
    asked = (
        materials.corpus.responses.select(line=instruction, asked="row")
        .filter(words >= min_words)
        .filter(pl.col("line").str.contains(r"^[A-Z]\w*(?: |, )"))
    )
    lines = (
        materials.responses.filter(pl.col("text").str.contains("\n", literal=True))
        .select("row", "turn", "text", "prompt", line=pl.col("text").str.split("\n"))
        .explode("line")
        .with_columns(
            line=pl.col("line")
            .str.strip_chars()
            .str.replace(r"^(?:#+\s*)?(?:\d{1,3}[.)]\s*)?(?:Instruction|Task|Question)?:?\s*", "")
        )
    )
    found = (
        lines.filter(words >= min_words)
        .join(asked.unique("line", keep="first", maintain_order=True), on="line", how="inner", maintain_order="left")
        .filter(pl.col("asked") != pl.col("row"))
        .unique(["row", "turn"], keep="first", maintain_order=True)
    )
    for row, turn, text, prompt, line in found.select("row", "turn", "text", "prompt", "line").iter_rows():
        start = text.find(line)
        if start > 0 and line not in prompt and text[start + len(line) :].strip() and not _asks_for_tasks(prompt):
            yield row, turn, text, start, start + len(line)


CHECK = Check(
    code="TXT010",
    name="merged instructions",
    severity=Severity.WARNING,
    advice="Cut the row where the further task begins, or drop it.",
    explanation=__doc__,
    find=find,
    options=Options,
    needs=frozenset({Need.LANGUAGES}),
)
