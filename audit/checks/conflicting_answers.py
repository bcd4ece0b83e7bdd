"""CNF001: the same question is answered in another way elsewhere.

What: prompts that are the same apart from letter case, punctuation and white space, after the same earlier turns, or that
ask the same in other words by the rule of DUP003, have answers that contradict each other: yes and no, different numbers,
options or labels, or short answers that share no word. A number is the same however it is written or rounded. Requests that
have many good answers, such as to write, suggest or name one of many, are left out, and so are long answers in free form.
What makes a question closed is read in English.

Why it matters: training pulls the model to both answers, and it learns that neither is sure.

Example: "What is the capital of Australia?" with "Canberra." in one row and "Sydney." in another.

Fix: keep the right answer, or `tunescope export --drop CNF001`, which keeps the earlier row.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.checks.duplicates import related_to
from audit.checks.figures import Figure, figures_in, same_figure
from audit.checks.reasoning_answer import final_figures
from audit.checks.semantic_duplicate import MOST_WORDS, matching_prompts
from audit.checks.semantic_duplicate import Options as SameRequestOptions
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need
from indexes.words import is_word, tokenize

__all__ = ["CHECK", "Answer", "AnswerKind", "contradict", "read_answer"]

# A longer answer to a prompt in other words is seldom short of a reading of its own.
_LONGEST_ANSWER = 160
_MOST_CORE_WORDS = 4
# Of thousands of rows with one prompt, each is compared with the first ones of every answer.
_MOST_COMPARED = 64


class AnswerKind(StrEnum):
    """How an answer can contradict another."""

    POLARITY = "yes or no"
    NUMBER = "number"
    OPTION = "option"
    WORDS = "short answer"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer comes down to.

    Attributes:
        kind: What it can be compared in.
        polarity: Of a yes or a no; false for a label with "not" before it.
        figures: Of a number.
        words: The letter of an option, or the words of a short answer that its prompt does not hold.
        initials: The initials of a short answer, in which an abbreviation is known.
        is_statement: Whether a short answer is a sentence that takes up the question.
    """

    kind: AnswerKind
    polarity: bool = False
    figures: tuple[Figure, ...] = ()
    words: frozenset[str] = frozenset()
    initials: str = ""
    is_statement: bool = False


_OPEN = re.compile(
    r"(?i)\b(?:generate|write|create|compose|come up|make up|make an?|invent|imagine|suggest|recommend|propose|brainstorm"
    r"|random\w*|stor(?:y|ies)|poem|title|headline|slogan|joke|sentences?"
    r"|summar\w+|paraphras\w+|rewrit\w+|rephras\w+|favou?rite|opinion|think of|do you|are you|would you|have you|did you"
    r"|you (?:feel|think|like)|your|should i|i should|pick (?:an?|any|one|two)|review|continue|predict\w*"
    r"|guess|estimate|rate|score|describe|explain|elaborate|why|how (?:do|can|to|would|should|could|did|does|is|are|was|were)"
    r"|one of|example|possible|potential|build|construct|put the|form an?|tell me (?:an?|about)|design|plan"
    r"|synonyms?|antonyms?|translat\w+|another word|rhym\w+|list|(?:give|name|provide|find|state|identify|tell)(?: me)? (?:an?"
    r"|some|one|two|three|four|five|any|\d+)|hello|hi|hey|role|act as|pretend|best|good|great|interesting|fun|popular"
    r"|might|could be|may be|probabl\w+|likely|plausible|idea|ways?|questions? (?:about|for|that|based)|ask|test the ability"
    r"|edit|correct the|improve|add|complete|fill|finish|ending|current\w*|today|now|weather|latest|this week)\b"
)
_CLOSED = re.compile(
    r"(?i)\b(?:who|whom|whose|when|where|which|what (?:is|was|are|were|year|country|city|color|colour|day|date|language"
    r"|currency|element|number|kind|type|state|planet|animal|river|continent|percentage|time|unit|symbol|word|part|name"
    r"|nationality)|what['’]s"
    r"|how (?:many|much|old|long|far|tall|big|high|deep|fast|often)|classif\w+|categori[sz]e|label|sentiment|true or false"
    r"|yes or no|determine|decide|calculate|compute|solve|evaluate|simplify|convert|multiply|divide|subtract"
    r"|find the|identify the|name the|tell me the|capital of|(?:sum|product|quotient|difference) (?:of|between)|correct|is it"
    r"|is this|are these|does|is the)\b|\d\s*[-+*/×÷^]\s*\d|=\s*\?"
)
# A prompt that begins so has one right answer, whatever words its text holds.
_DECIDES = re.compile(
    r"(?i)^\W*(?:please )?(?:classify|categori[sz]e|label|determine|decide|calculate|compute|solve|convert(?=[^\n]*\d)|extract"
    r"|detect|true or false|yes or no|answer with|identify (?:whether|if|the (?:sentiment|part|tense|type|emotion|tone"
    r"|language|subject|verb|noun))"
    r"|(?:give|find|what is|tell me) the (?:sum|product|difference|quotient|sentiment|missing|next)|does the (?:premise"
    r"|sentence|text|statement)|is the (?:following|sentence|statement|sentiment))\b"
)
_NUMERIC = re.compile(
    r"(?i)\b(?:how (?:many|much|old|long|far|tall|big|high|deep|fast)|calculate|compute|solve|evaluate|sum|product|difference"
    r"|average|mean|median|percent\w*|convert|what year|in (?:what|which) year|when|area|volume|perimeter|probability"
    r"|square root|remainder|total|speed|distance|number of|what is \d|factorial|value of)\b"
    r"|\d\s*[-+*/×÷^x%]\s*\d|=\s*\?|%"
)
_ASKS_POLARITY = re.compile(
    r"(?i)\b(?:true or false|yes or no|true/false|yes/no|(?:is|are|was|were|do|does|did|can|could|will|would|has|have|had"
    r"|must)(?:n['’]?t)? (?!you\b|i\b)\w+|whether|correct)\b"
)
_POLARITY = re.compile(
    r"(?i)^\W*(?:(?:the )?answer(?: is|:)\s*|it is |that is |this is |the (?:statement|sentence|claim) is )?\W*(yes|yeah|no"
    r"|nope|true|false|correct|incorrect)\b(?=\s*(?:[,.;:!—–-]|$|\s))"
)
_AFFIRMS = frozenset(("yes", "yeah", "true", "correct"))
_OPTION = re.compile(
    r"(?i:^\W*(?:the )?(?:correct |right |best )?(?:answer|option|choice)?(?: is)?\s*:?\s*(?:option "
    r"|choice )?)\**\(?([A-Ea-e])(?:[).:\]]|\**$|\**\s*$)"
)
_OFFERS_OPTIONS = re.compile(r"(?:^|[\s(])[Aa][).:]\s?\S.*[\s(][Bb][).:]\s?\S", re.DOTALL)
_EMPTY = frozenset(
    "a an the of in on at to is are was were be been it its this that these those and or for by with as from he she they "
    "his her their there which who what when where "
    "answer correct approximately about called named known also would can has have had not so i you we".split()
)
_PRONOUNS = frozenset("i you he she we they it there because to".split())
_NEGATION = re.compile(
    r"(?i)\b(?:not|never|n['’]t|no longer|neither|unknown|unclear|cannot|unanswerable|depends|impossible|not enough|n/a|none)\b"
)
_NEGATED_LABEL = re.compile(r"(?i)not [\w-]+\W*$")
_MARKUP = re.compile(r"<\|[^|>]*\|>|[*_`]")


def read_answer(prompt: str, text: str) -> Answer | None:
    """What an answer comes down to, where its prompt has one right answer and the answer is plain; else `None`."""
    answer = _MARKUP.sub("", text).strip()
    asks_polarity = _ASKS_POLARITY.search(prompt) is not None and not _OPINION.search(prompt)
    if asks_polarity and (found := _POLARITY.match(answer)):
        return Answer(AnswerKind.POLARITY, polarity=found.group(1).lower() in _AFFIRMS)
    if _OFFERS_OPTIONS.search(prompt) and (option := _OPTION.match(answer)):
        return Answer(AnswerKind.OPTION, words=frozenset((option.group(1).upper(),)))
    decides = _DECIDES.match(prompt) is not None
    if (not decides and _OPEN.search(prompt)) or not (
        decides or _CLOSED.search(prompt) or prompt.rstrip().endswith(("?", "？"))
    ):
        return None
    n_words = len(answer.split())
    if _NUMERIC.search(prompt) or n_words <= 2:
        figures = final_figures(answer)[0]
        if len(figures) == 1:
            return Answer(AnswerKind.NUMBER, figures=tuple(figures))
        if n_words <= 2 and any(figures_in(answer)):
            return None
    if not answer or "\n" in answer or len(answer) > _LONGEST_ANSWER:
        return None
    if _NEGATION.search(answer) and not (_NEGATED_LABEL.match(answer) and answer.lower().strip(" .") in prompt.lower()):
        return None
    return _short_answer(prompt, answer)


def _short_answer(prompt: str, answer: str) -> Answer | None:
    asked = set(tokenize(prompt))
    words = [word for word in tokenize(answer) if is_word(word)]
    is_bare = len(words) <= _MOST_CORE_WORDS
    if words and words[0] in _PRONOUNS and words[:2] not in (["it", "is"], ["it", "was"]):
        return None
    core = [word for word in words if word not in _EMPTY and (is_bare or word not in asked)]
    if not core and "or" in asked:  # "Is it a fruit or a vegetable?"
        core = [
            word
            for word in words[max((at for at, word in enumerate(words) if word in ("is", "are")), default=-1) + 1 :]
            if word not in _EMPTY
        ]
    if not core or len(core) > _MOST_CORE_WORDS or any(char.isdigit() for char in "".join(core)):
        return None
    named = [word for word in words if word not in _EMPTY]
    if not is_bare and sum(word in asked for word in named) < len(named) / 4:
        return None  # a statement that does not take up the question says more than its answer
    initials = "".join(word[0] for word in named)
    return Answer(AnswerKind.WORDS, words[0] != "not", words=frozenset(core), initials=initials, is_statement=not is_bare)


def contradict(one: Answer, other: Answer) -> bool:
    """Whether two answers to one question cannot both be right."""
    if one.kind != other.kind:
        return False
    if one.kind == AnswerKind.POLARITY:
        return one.polarity != other.polarity
    if one.kind == AnswerKind.NUMBER:
        return not any(same_figure(a, b) for a in one.figures for b in other.figures)
    if one.kind == AnswerKind.OPTION:
        return one.words != other.words
    if one.words == other.words:
        return one.polarity != other.polarity
    if one.initials in other.words or other.initials in one.words:
        return False
    if one.is_statement and other.is_statement:  # what both say is the frame of the answer
        alone, other_alone = one.words - other.words, other.words - one.words
        return bool(alone and other_alone) and not any(_alike(a, b) for a in alone for b in other_alone)
    return not any(_alike(a, b) for a in one.words for b in other.words)


def _alike(one: str, other: str) -> bool:
    """Whether two words may be forms of one: the same four letters at the beginning, or one within the other."""
    shortest = min(len(one), len(other))
    return one[:4] == other[:4] if shortest >= 4 else (one == other or (shortest >= 3 and (one in other or other in one)))


_OPINION = re.compile(
    r"(?i)\b(?:do|are|would|have|can|could|did|will) you\b|\bshould (?:i|we|one|\w+)\b|\byour (?:opinion|view|favou?rite)\b"
    r"|\bbetter\b|\bin the (?:story|scenario)\b"
)
_NOT_TEXT = r"[^\p{L}\p{N}\p{M}\p{S}%*/#&@^<>()\[\]{}+=-]+"


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per response that contradicts an earlier one to the same question."""
    responses = _with_questions(materials)
    answers: dict[int, Answer] = {}
    groups: list[list[int]] = []
    repeated = responses.filter((pl.len().over("question") > 1) & (pl.col("text").n_unique().over("question") > 1))
    grouped = repeated.group_by("question", maintain_order=True).agg("response", "prompt", "text", "answer_start")
    for _, numbers, prompts, texts, starts in grouped.iter_rows():
        for number, prompt, text, start in zip(numbers, prompts, texts, starts, strict=True):
            if answer := read_answer(prompt, text[start:]):
                answers[number] = answer
        groups.append(numbers)
    earlier_of: dict[int, list[int]] = defaultdict(list)
    for numbers in groups:
        _compare([number for number in numbers if number in answers], answers, earlier_of)
    for one, other in _in_other_words(materials, responses, answers):
        if contradict(answers[one], answers[other]):
            earlier_of[max(one, other)].append(min(one, other))
    rows, turns = materials.row_of_response, materials.corpus.responses["turn"].to_list()
    texts = materials.responses.select("text", "answer_start")
    for number in sorted(earlier_of):
        others = sorted(set(earlier_of[number]))
        (text, start), (first, first_start) = texts.row(number), texts.row(others[0])
        rows_of_others = sorted({int(rows[other]) for other in others})
        related, _ = related_to(rows_of_others)
        more = f" and {len(rows_of_others) - 1:,} more differ" if len(rows_of_others) > 1 else ""
        said, before = shorten(text[start:].strip(), 60), shorten(first[first_start:].strip(), 60)
        place = materials.corpus.id(int(rows[others[0]]))
        message = f"Answers “{said}”, where {place} answers the same question with “{before}”{more}."
        evidence = Evidence(
            f"contradicting answers: {answers[number].kind}", None, None, related, (start, len(text)), shorten(text[start:])
        )
        yield Finding(CHECK.code, int(rows[number]), turns[number], CHECK.severity, message, evidence)


def _compare(numbers: list[int], answers: dict[int, Answer], earlier_of: dict[int, list[int]]) -> None:
    for place, number in enumerate(numbers):
        earlier_of_this = [other for other in numbers[:place][:_MOST_COMPARED] if contradict(answers[number], answers[other])]
        if earlier_of_this:
            earlier_of[number] += earlier_of_this


def _with_questions(materials: Materials) -> pl.DataFrame:
    """The responses with `question`: a hash of the normalised prompt, of what stands before it in the row, and of the tools."""
    is_assistant, is_system = pl.col("role") == "assistant", pl.col("role") == "system"
    turns = materials.corpus.turns.select("row", "turn", "role", "content").with_columns(
        exchange=(is_assistant.cast(pl.UInt32).cum_sum() - is_assistant.cast(pl.UInt32)).over("row")
    )
    responses = materials.responses.select("response", "row", "turn", "prompt", "text", "answer_start")
    last = pl.col("exchange").max()
    if turns.select(((last > 0) | is_system.any()).any()).item():
        said = pl.struct("role", "content", "exchange").hash()
        before = (
            turns.group_by("row", "exchange", maintain_order=True)
            .agg(said=said.filter(~is_system).sum())
            .with_columns(before=pl.col("said").cum_sum().shift(1, fill_value=0).over("row"))
        )
        system = turns.filter(is_system).group_by("row").agg(system=pl.struct("content").hash().sum())
        at = turns.select("row", "turn", "exchange")
        responses = (
            responses.join(at, on=["row", "turn"], how="left", maintain_order="left")
            .join(before, on=["row", "exchange"], how="left", maintain_order="left")
            .join(system, on="row", how="left", maintain_order="left")
            .with_columns(pl.col("system").fill_null(0))
        )
    else:
        responses = responses.with_columns(before=pl.lit(0, pl.UInt64), system=pl.lit(0, pl.UInt64))
    tools = materials.corpus.rows.select("row", pl.col("tools").cast(pl.String))
    asked = pl.col("prompt").str.to_lowercase().str.replace_all(_NOT_TEXT, " ").str.strip_chars()
    return responses.join(tools, on="row", how="left", maintain_order="left").select(
        "response",
        "row",
        "prompt",
        "text",
        "answer_start",
        alone=(pl.col("before") == 0) & (pl.col("system") == 0) & pl.col("tools").is_null(),
        question=pl.struct(asked.alias("asked"), "before", "system", "tools").hash(),
    )


def _in_other_words(materials: Materials, responses: pl.DataFrame, answers: dict[int, Answer]) -> Iterator[tuple[int, int]]:
    """Pairs of responses, both with an answer of their own, whose prompts ask the same in other words."""
    if not materials.has_vectors:
        return
    n_words = np.diff(materials.prompt_words.offsets)
    short = (pl.col("text").str.len_chars() <= _LONGEST_ANSWER) & pl.Series(n_words <= MOST_WORDS) & pl.col("alone")
    with_prompt: dict[str, list[int]] = defaultdict(list)
    for number, prompt, text, start in responses.filter(short).select("response", "prompt", "text", "answer_start").iter_rows():
        if number not in answers and (answer := read_answer(prompt, text[start:])):
            answers[number] = answer
        if number in answers:
            with_prompt[prompt].append(number)
    matches = matching_prompts(with_prompt, materials.prompt_vectors, SameRequestOptions().min_similarity)
    for prompt, others in matches.items():
        for other, _ in others:
            if prompt < other:
                yield from ((a, b) for a in with_prompt[prompt][:_MOST_COMPARED] for b in with_prompt[other][:_MOST_COMPARED])


CHECK = Check(
    code="CNF001",
    name="conflicting answers",
    severity=Severity.WARNING,
    advice="Keep the right answer of each group.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.WORDS, Need.VECTORS, Need.LANGUAGES}),
)
