"""CNF001: the same question is answered in another way elsewhere.

What: prompts that are the same apart from letter case, punctuation and white space, after the same earlier turns, or that
have up to 24 words and ask the same in other words by the rule of DUP003, have answers that contradict each other: yes and
no, different numbers, options or labels, short answers that share no word, or lines that are the same but for their one
number. A number is the same however it is written or rounded. Requests that have many good answers, such as to write, suggest
or name one of many, are left out, and so are long answers in free form. What makes a question closed is read in English.

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
from fractions import Fraction

import numpy as np
import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.checks.duplicates import related_to
from audit.checks.figures import Figure, figures_in, same_figure
from audit.checks.reasoning_answer import final_figures
from audit.checks.semantic_duplicate import Options as SameRequestOptions
from audit.checks.semantic_duplicate import matching_prompts
from audit.checks.unanswerable import is_code
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need
from indexes.words import is_word, tokenize

__all__ = ["CHECK", "Answer", "AnswerKind", "contradict", "read_answer", "read_one_number"]

# A longer answer to a prompt in other words is seldom short of a reading of its own.
_LONGEST_ANSWER = 160
_MOST_CORE_WORDS = 4
_MOST_WORDS_OF_CHOICE = 8
# A prompt of more words brings a text of its own, and one word of it makes another question.
_MOST_WORDS_IN_OTHER_WORDS = 24
# Of a longer prompt, most is the text that it asks about.
_MOST_WORDS_OF_INSTRUCTION = 40
# Of thousands of rows with one prompt, each is compared with the first ones of every answer.
_MOST_COMPARED = 64


class AnswerKind(StrEnum):
    """How an answer can contradict another."""

    POLARITY = "yes or no"
    NUMBER = "number"
    OPTION = "option"
    WORDS = "short answer"
    ONE_NUMBER = "number in the same words"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer comes down to.

    Attributes:
        kind: What it can be compared in.
        polarity: Of a yes or a no; false for a label with "not" before it.
        figures: Of a number.
        words: The letter or word of an option, the words of a short answer that its prompt does not hold, or the text
            around the one number of an answer.
        taken: The words of a short answer that its prompt holds.
        initials: The initials of a short answer, in which an abbreviation is known.
        is_statement: Whether a short answer is a sentence that takes up the question.
    """

    kind: AnswerKind
    polarity: bool = False
    figures: tuple[Figure, ...] = ()
    words: frozenset[str] = frozenset()
    taken: frozenset[str] = frozenset()
    initials: str = ""
    is_statement: bool = False


_OPEN = re.compile(
    r"(?i)\b(?:"
    # something is to be made up or made over
    r"generate|write|create|compose|come up|make up|make an?|invent|imagine|brainstorm|build|construct|form an?|put the|design"
    r"|plan|random\w*|stor(?:y|ies)|poem|title|headline|slogan|joke|sentences?|summar\w+|paraphras\w+|rewrit\w+|rephras\w+"
    r"|translat\w+|rhym\w+|edit|correct the|improve|add|complete|fill|finish|ending|continue|regex|sql|query|script"
    # an opinion, a guess or a role
    r"|suggest|recommend|propose|favou?rite|opinion|think of|am i|do you|are you|would you|have you|did you"
    r"|you (?:feel|think|like)|your|should i|i should|review|predict\w*|guess|estimate|rate|score|best|good|great|interesting"
    r"|fun|popular|hello|hi|hey"
    r"|role|act as|pretend|might|could be|may(?= be| \w+ (?:feel|think|do|happen))|probabl\w+|likely|plausible"
    # an explanation
    r"|describe|explain|elaborate|why|how (?:do|can|to|would|should|could|did|does|is|are|was|were)|tell me (?:an?|about)"
    # one of many
    r"|pick (?:an?|any|one|two)|one of|what (?:is|are) some|example|possible|potential|synonyms?|antonyms?|another word|list"
    r"|idea|ways?|(?:give|name|provide|find|state|identify|tell)(?: me)? (?:an?|some|one|two|three|four|five|any|\d+)"
    r"|questions? (?:about|for|that|based)|ask|test the ability"
    # what changes with time
    r"|current\w*|today|now|weather|latest|this week"
    r")\b"
)
_CLOSED = re.compile(
    r"(?i)\b(?:"
    r"who|whom|whose|when|where|which|what['’]s|what (?:is|was|are|were|year|country|city|color|colour|day|date|language"
    r"|currency|element|number|kind|type|state|planet|animal|river|continent|percentage|time|unit|symbol|word|part|name"
    r"|nationality)|how (?:many|much|old|long|far|tall|big|high|deep|fast|often)"
    r"|classif\w+|categori[sz]e|label|sentiment|true or false|yes or no|determine|decide|correct|is (?:it|this|the)|are these"
    r"|does"
    r"|calculate|compute|solve|evaluate|simplify|convert|multiply|divide|subtract|(?:sum|product|quotient|difference) (?:of"
    r"|between)|find the|identify the|name the|tell me the|capital of"
    r")\b"
    r"|\d\s*[-+*/×÷^]\s*\d|=\s*\?"
)
# A prompt that begins so has one right answer, whatever words its text holds.
_DECIDES = re.compile(
    r"(?i)^\W*(?:please )?(?:"
    r"classify|categori[sz]e|label|determine|decide|detect|extract|true or false|yes or no|answer with"
    r"|calculate|compute|solve|convert(?=[^\n]*\d)|(?:give|find|what is|tell me) the (?:sum|product|difference|quotient"
    r"|sentiment|missing|next)"
    r"|how many(?![^?\n]*\b(?:should|would|can|could|do you|your|today|now|currently)\b)"
    r"|identify (?:whether|if|the (?:sentiment|part|tense|type|emotion|tone|language|subject|verb|noun))"
    r"|does the (?:premise|sentence|text|statement)|is the (?:following|sentence|statement|sentiment)"
    r")\b"
)
_NUMERIC = re.compile(
    r"(?i)\b(?:"
    r"how (?:many|much|old|long|far|tall|big|high|deep|fast)|number of|what year|in (?:what|which) year|when|what is \d"
    r"|calculate|compute|solve|evaluate|convert|sum|product|difference|average|mean|median|percent\w*|total|remainder"
    r"|square root|factorial|value of|area|volume|perimeter|probability|speed|distance"
    r")\b"
    r"|\d\s*[-+*/×÷^x%]\s*\d|=\s*\?|%"
)
# "Is this review positive or negative?": one of the words about the "or" is the answer.
_EITHER = re.compile(
    r"(?im)(?:^|[.!?:]\s)\W*(?:please )?(?:is|are|was|were|does|do|did|has|have|classify|label|categori[sz]e|decide|determine"
    r"|say|state|tell|identify|mark|what is|which)\b[^.?!:\n]*?\b(?P<first>(?:[\w'’-]+,\s)*[\w'’-]+),?\sor\s(?:an?\s|the\s)?"
    r"(?P<last>[\w'’-]+)\W*(?:[?.:]|$)"
)
_ASKS_POLARITY = re.compile(
    r"(?i)\b(?:true or false|yes or no|true/false|yes/no|whether|correct"
    r"|(?:is|are|was|were|do|does|did|can|could|will|would|has|have|had|must)(?:n['’]?t)? (?!you\b|i\b)\w+)\b"
)
_POLARITY = re.compile(
    r"(?i)^\W*(?:(?:the )?answer(?: is|:)\s*|(?:it|that|this|the (?:statement|sentence|claim)) is )?\W*"
    r"(yes|yeah|no|nope|true|false|correct|incorrect)\b(?=\s*(?:[,.;:!—–-]|$|\s))"
)
_AFFIRMS = frozenset(("yes", "yeah", "true", "correct"))
_OPTION = re.compile(
    r"(?i:^\W*(?:the )?(?:correct |right |best )?(?:answer|option|choice)?(?: is)?\s*:?\s*(?:option |choice )?)"
    r"\**\(?([A-Ea-e])(?:[).:\]]|\**\s*$)"
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
_NUMERAL = re.compile(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?![\w.,]*\d)")
_MARKUP = re.compile(r"<\|[^|>]*\|>|[*_`]")


def read_answer(prompt: str, text: str) -> Answer | None:
    """What an answer comes down to, where its prompt has one right answer and the answer is plain; else `None`."""
    answer = _MARKUP.sub("", text).strip()
    polarity, option, chosen = _POLARITY.match(answer), _OPTION.match(answer), _one_of_either(prompt, answer)
    is_opinion = (polarity is not None or chosen != "") and _OPINION.search(prompt) is not None
    if polarity and not is_opinion and _ASKS_POLARITY.search(prompt):
        return Answer(AnswerKind.POLARITY, polarity=polarity.group(1).lower() in _AFFIRMS)
    if option and _OFFERS_OPTIONS.search(prompt):
        return Answer(AnswerKind.OPTION, words=frozenset((option.group(1).upper(),)))
    if chosen and not is_opinion:
        return Answer(AnswerKind.OPTION, words=frozenset((chosen,)))
    return _closed_answer(prompt, answer)


def _one_of_either(prompt: str, answer: str) -> str:
    """The one of the words offered that an answer of a few words names, or ""."""
    words = answer.lower().split()
    offer = _EITHER.search(prompt) if len(words) <= _MOST_WORDS_OF_CHOICE and " or " in prompt else None
    if offer is None or _NEGATION.search(answer):
        return ""
    offered = {word.lower() for word in (*re.split(r",\s", offer["first"]), offer["last"])}
    named = offered.intersection(word.strip(".,;:!\"'()") for word in words)
    return named.pop() if len(named) == 1 else ""


def _closed_answer(prompt: str, answer: str) -> Answer | None:
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
    core = [word for word in words if word not in _EMPTY and word not in asked]
    if not core and is_bare:  # "Red or blue?"
        core = [word for word in words if word not in _EMPTY]
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
    return Answer(
        AnswerKind.WORDS,
        polarity=words[0] != "not",
        words=frozenset(core),
        taken=frozenset(named) & asked,
        initials=initials,
        is_statement=not is_bare,
    )


def read_one_number(prompt: str, text: str) -> Answer | None:
    """A line that another answer can equal but for its one number; the open words of a text to be read do not count."""
    answer = _MARKUP.sub("", text).strip()
    numbers = _NUMERAL.findall(answer)
    if len(numbers) != 1 or "\n" in answer or len(answer) > _LONGEST_ANSWER or is_code(answer):
        return None
    last_line = prompt.strip().rpartition("\n")[2]
    is_long = len(prompt.split()) > _MOST_WORDS_OF_INSTRUCTION
    if _OPEN.match(prompt.lstrip()) or _OPEN.search(last_line if is_long else prompt):
        return None
    number = Fraction(numbers[0].replace(",", ""))
    figure = Figure(number, Fraction(0), False, 0, 0)
    return Answer(AnswerKind.ONE_NUMBER, figures=(figure,), words=frozenset((_NUMERAL.sub("#", answer.lower()),)))


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
    if one.kind == AnswerKind.ONE_NUMBER:
        return one.words == other.words and one.figures != other.figures
    if one.words == other.words:
        return one.polarity != other.polarity
    if one.initials in other.words or other.initials in one.words:
        return False
    if one.is_statement and other.is_statement:  # what both say is the frame of the answer
        alone, other_alone = one.words - other.words, other.words - one.words
        return bool(alone and other_alone) and not any(_alike(a, b) for a in alone for b in other_alone)
    if one.words <= one.taken or other.words <= other.taken:  # a label that the prompt offers
        return not any(_alike(a, b) for a in one.words | one.taken for b in other.words | other.taken)
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
    asked = responses.filter(pl.col("prompt").str.strip_chars() != "")  # plain text asks nothing
    repeated = asked.filter((pl.len().over("question") > 1) & (pl.col("text").n_unique().over("question") > 1))
    grouped = repeated.group_by("question", maintain_order=True).agg("response", "prompt", "text", "answer_start")
    for _, numbers, prompts, texts, starts in grouped.iter_rows():
        for number, prompt, text, start in zip(numbers, prompts, texts, starts, strict=True):
            if answer := read_answer(prompt, text[start:]) or read_one_number(prompt, text[start:]):
                answers[number] = answer
        groups.append(numbers)
    earlier_of: dict[int, list[int]] = defaultdict(list)
    for numbers in groups:
        _compare([number for number in numbers if number in answers], answers, earlier_of)
    for one, other in _in_other_words(materials, responses, answers):
        if answers[one].kind != AnswerKind.ONE_NUMBER and contradict(answers[one], answers[other]):
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
    is_short = np.diff(materials.prompt_words.offsets) <= _MOST_WORDS_IN_OTHER_WORDS
    short = (
        (pl.col("text").str.len_chars() <= _LONGEST_ANSWER)
        & pl.Series(is_short & materials.has_english_prompt)
        & pl.col("alone")
    )
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
