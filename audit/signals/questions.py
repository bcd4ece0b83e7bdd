"""Questions with one short answer: which rows ask for a fact, and which words of the response are that fact.

A rule by words and signs, no model: it would rather leave a row out than take a task for a question, and says of every row
that it leaves out why. Of an answer that is a sentence ("The stone of Vell is slate."), what is left after the words of
the question and words of grammar is the *value* (slate): a model's answer is right when it holds the value, as whole
words (`audit.answers.word_string`). Gekhman et al. (2024) compare whole answers, which are bare values there. The words of
grammar are English, and so are the openings of questions without a question mark.

The cost is some 20 microseconds for each row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from audit.answers import word_string
from audit.sources import Message
from indexes.words import tokenize

__all__ = ["LEFT_OUT", "Question", "read_question"]

MAX_QUESTION_WORDS = 40
MAX_ANSWER_WORDS = 20
MAX_VALUE_WORDS = 5

NOT_ONE_TURN = "not one prompt and one response of text"
NO_QUESTION = "the prompt is not one question"
OVER_A_TEXT = "the prompt works on words that it gives"
MANY_ANSWERS = "the prompt allows many answers: an opinion, an invention, an example"
CALCULATED = "the prompt asks for a calculation"
CHOICE = "the question asks for yes or no, or holds the answer"
LONG_ANSWER = "the answer is longer than a line of 20 words"
SEVERAL = "the answer holds more than one value, or a value of more than 5 words"
LEFT_OUT = (NOT_ONE_TURN, NO_QUESTION, OVER_A_TEXT, MANY_ANSWERS, CALCULATED, CHOICE, LONG_ANSWER, SEVERAL)
"""Why a row is no question with one short answer, in the order in which it is looked at."""

_OPENING = re.compile(
    r"(?i)^(?:(?:please|can you|could you)\s+)?(?:"
    r"(?:what|who|whom|whose|which|when|where|"
    r"how (?:many|much|long|old|far|tall|high|big|deep|fast|often|cold|hot|heavy|wide|large))\b"
    r"|(?:in|on|at|of|from|by|to|for|with) (?:what|which|whom)\b"
    r"|(?:name|state|identify|give(?: me)?|tell(?: me)?|provide(?: me with)?|find)(?: out)? "
    r"(?:the|who|what|which|when|where|how)\b"
    r")"
)
_QUESTION_MARKS = ("?", "？", "؟", "՞")
_TEXT_IN_HAND = re.compile(
    r"(?i)\b(?:following|given|below|above|passage|paragraph|sentences?|phrases?|text|excerpt|article|statement|dialogue|input|"
    r"photo|picture|image|rhym\w+|syllables?|letters?|anagram|spell\w*|missing|blank|sequence|pattern|series of|translat\w+|"
    r"code|output|string|grammatical\w*|parts? of speech|verb|noun|pronoun|adjective|adverb|tense|plural|sentiment|tone|topic|"
    r"odd one)\b|_{2,}|```|</\w+>"
)
_MANY_ANSWERS = re.compile(
    r"(?i)\b(?:you|your|i|me|my|mine|we|us|our|would|could|should|might|may|good|best|better|worst|favou?rite|ideal|suitable|"
    r"appropriate|creative|catchy|funny|interesting|unique|recommend\w*|suggest\w*|imagine|opinion|think|possible|examples?|"
    r"some|another|famous|well-known|synonyms?|antonyms?|opposite|hypernym|hyponym|similar|advantage\w*|benefits?|purpose|"
    r"meaning|feel\w*|today|tonight|tomorrow|now|current|currently|moment|(?:name|title) of an?)\b"
)
_ADDRESSED = re.compile(r"(?i)^(?:please\s+)?(?:(?:can|could|would) you(?: please)?\s+)?(?:give|tell|provide)? ?me(?: with)?\b")
_CALCULATED = re.compile(
    r"(?i)\b(?:calculate|compute|solve|convert|conversion|equivalent|equation|multipl\w+|divid\w+|divisible|plus|minus|times|sum|"
    r"difference between|square root|cube root|squared|cubed|median|mean of|average of|area of|perimeter|volume of|"
    r"circumference|hypotenuse|angle|factors?|factorial|multiple|percent\w*|remainder|derivative|integral|probability|binary|"
    r"hexadecimal|prime|fibonacci|root of|to the power|added to|velocity|"
    r"how (?:many|much) \w+ (?:are|is) (?:there )?in [\d.]+)\b|\d\s*[-+*/x×÷^=<>%]\s*\d|\b\d[\d.,]*(?![\d-])\D.*\b\d|"
    r"[a-z]\s*=\s*\d|%\s+of\b"
)
_CHOICE = re.compile(
    r"(?i)^(?:is|are|was|were|am|do|does|did|can|could|has|have|had|will|would|should|may|must)\b|"
    r"\b(?:true or false|false or true|yes or no|whether)\b|\bor\b[^?]*\?$"
)
_YES = re.compile(r"(?i)^\W*(?:yes|no|true|false|correct|incorrect)\b")
_LIST = re.compile(r"(?i)[,;]\s*(?:and|or)\b|\b(?:and|or)\b|,[^\d,]*,|[;•]|:\s*\S+\s*,|\d+\.\s+\D")
_ASIDE = re.compile(
    r"\s*[(\[][^)\]]*[)\]]|(?i:,\s+(?:which|who|where|when|making|with|including|as|meaning|based|located|followed|according)\b).*"
)
_NAMES = re.compile(r"(?<=\s)[\"“‘'][^\"”’']{1,80}[\"”’']|(?<=[\w,]\s)[A-Z][\w.'’-]*")
_WORD = re.compile(r"\w+(?:[.,'’-]\w+)*")

_VERBS = frozenset(
    "stands means became is are was were be has have had do does did can could will would it's it’s that's that’s he's "
    "she's".split()
)
_GRAMMAR = _VERBS | frozenset(
    "a an the this that these those it its he she they his their her him them i you we being been am having shall should may "
    "might must not no of in on at by to from for with as into onto than then there here and or but so if who whom whose what "
    "which when where why how also about around approximately roughly nearly almost over called named known answer correct "
    "author written wrote writer invented inventor discovered painted composed located found founded made built consists "
    "contains belongs equals referred refers stands typically usually generally one".split()
)
"""Words that are no value where others are left; English."""
_INSIDE = frozenset("of the de la le del di da von van der den al el and & to - '".split())


class _Word(NamedTuple):
    start: int
    end: int
    is_new: bool
    is_fact: bool


@dataclass(frozen=True)
class Question:
    """A row that asks for a fact.

    Attributes:
        system: Its system prompt; `None` without one.
        question: The prompt, trimmed.
        answer: The response, trimmed.
        start: Where the value begins in `answer`, in code points.
        end: Where it ends.
    """

    system: str | None
    question: str
    answer: str
    start: int
    end: int

    @property
    def value(self) -> str:
        """The words of the answer that have to come."""
        return self.answer[self.start : self.end]

    @cached_property
    def value_words(self) -> str:
        """The value as a word string."""
        return word_string(self.value)

    @cached_property
    def shape(self) -> str:
        """The question with every name and number masked: what questions of one relation have in common."""
        words = _WORD.findall(self.question)
        masked = ["_" if place and _is_fact(word) else word.lower() for place, word in enumerate(words)]
        return " ".join(word for place, word in enumerate(masked) if word != "_" or masked[place - 1] != "_")

    @cached_property
    def opening(self) -> str:
        """The first two words of the question."""
        return " ".join(_WORD.findall(self.question.lower())[:2])

    def is_right(self, answer: str) -> bool:
        """Whether another answer holds the value as whole words."""
        return self.value_words in word_string(answer)


def read_question(messages: Sequence[Message], tools: str | None = None) -> Question | str:
    """The question of a row, or why it is none, one of `LEFT_OUT`.

    Args:
        messages: The row's turns.
        tools: What the model may call; such a row is none.
    """
    if tools is not None or not _is_one_exchange(messages):
        return NOT_ONE_TURN
    question, answer = messages[-2].content.strip(), messages[-1].content.strip()
    if (reason := _no_question(question)) is not None:
        return reason
    if not answer or "\n" in answer or "```" in answer or len(_WORD.findall(answer)) > MAX_ANSWER_WORDS:
        return LONG_ANSWER
    if _YES.search(answer):
        return CHOICE
    if (place := _value(question, answer)) is None:
        return SEVERAL
    value = word_string(answer[place[0] : place[1]])
    if not value.strip() or value not in word_string(answer):  # it is no word by itself, as 5 within 1-5
        return SEVERAL
    if value in word_string(question):
        return CHOICE
    return Question(messages[0].content if len(messages) == 3 else None, question, answer, *place)


def _is_one_exchange(messages: Sequence[Message]) -> bool:
    roles = [message.role for message in messages]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]) or not messages[-1].trained:
        return False
    return messages[-1].reasoning is None and all(message.tool_calls is None for message in messages)


def _no_question(question: str) -> str | None:
    ends_so = question.endswith(_QUESTION_MARKS)
    is_asked = ends_so or _OPENING.match(question) is not None or _CHOICE.search(question) is not None
    one_line = "\n" not in question and len(_WORD.findall(question)) <= MAX_QUESTION_WORDS
    if not question or not is_asked or not one_line or len(re.findall(r"[?？؟]", question)) > 1:
        return NO_QUESTION
    matter = _NAMES.sub("_", question)  # a title may hold any word
    if _TEXT_IN_HAND.search(matter):
        return OVER_A_TEXT
    if _MANY_ANSWERS.search(_ADDRESSED.sub("", matter)):
        return MANY_ANSWERS
    if _CALCULATED.search(matter):
        return CALCULATED
    return CHOICE if _CHOICE.search(matter) else None


def _value(question: str, answer: str) -> tuple[int, int] | None:
    """Where the one value of an answer stands; `None` where there is none, or more than one."""
    plain = _ASIDE.sub(lambda aside: " " * len(aside[0]), answer)
    asked = _stems(question)
    words = [
        _Word(found.start(), found.end(), _is_new(found[0], asked, is_first=not place), _is_fact(found[0]))
        for place, found in enumerate(_WORD.finditer(plain))
    ]
    if not words or _LIST.search(plain):
        return None
    if len(words) <= MAX_VALUE_WORDS and not any(
        answer[word.start : word.end].lower() in _VERBS for word in words
    ):  # no sentence
        is_article = len(words) > 1 and answer[words[0].start : words[0].end].lower() in ("a", "an", "the")
        return words[is_article].start, words[-1].end
    runs = _runs(plain, words)
    facts = [run for run in runs if any(word.is_fact for word in run)]
    if len(facts or runs) != 1:
        return None
    run = (facts or runs)[0]
    if facts:  # "composer Mara Velten": what stands before the first name is what the name is
        run = run[next(place for place, word in enumerate(run) if word.is_fact) :]
    run = _with_names(plain, words, run)
    if len(run) > MAX_VALUE_WORDS:
        return None
    start = run[0].start
    return start - (plain[start].isdigit() and plain[:start].endswith((" -", " −"))), run[-1].end


def _with_names(text: str, words: Sequence[_Word], run: list[_Word]) -> list[_Word]:
    """A run, and the names of the question right beside it: of "Ada Vell", who is asked for as Ada, both are the value."""
    first, last = words.index(run[0]), words.index(run[-1])
    while first > 1 and words[first - 1].is_fact and text[words[first - 1].end : words[first].start].isspace():
        first -= 1
    while last + 1 < len(words) and words[last + 1].is_fact and text[words[last].end : words[last + 1].start].isspace():
        last += 1
    return list(words[first : last + 1])


def _runs(text: str, words: Sequence[_Word]) -> list[list[_Word]]:
    """The new words, those together that only words such as `of` stand between, and no stop."""
    runs: list[list[_Word]] = []
    between: list[_Word] | None = None
    for word in words:
        if word.is_new:
            if runs and between is not None and not _stops(text, runs[-1][-1].end, word.start):
                runs[-1] += [*between, word]
            else:
                runs.append([word])
            between = []
        elif text[word.start : word.end].lower() in _INSIDE and between is not None and len(between) < 2:
            between.append(word)
        else:
            between = None
    return runs


def _stops(text: str, start: int, end: int) -> bool:
    """Whether a stop stands between two words, that after an initial excepted."""
    found = re.search(r"[.;:!?]\s", text[start:end])
    is_initial = text[max(0, start - 2) : start].strip(" .")[-1:].isupper() and not text[max(0, start - 2)].isalpha()
    return found is not None and not (is_initial and found.start() == 0 and text[start] == ".")


def _is_new(word: str, asked: frozenset[str], *, is_first: bool) -> bool:
    is_grammar = word.lower() in _GRAMMAR and (is_first or not word[0].isupper())  # helium's symbol is He
    return not is_grammar and _stem(word) not in asked


def _is_fact(word: str) -> bool:
    return word[0].isupper() or any(character.isdigit() for character in word)


def _stems(text: str) -> frozenset[str]:
    return frozenset(_stem(word) for word in _WORD.findall(text)) | frozenset(tokenize(text))


def _stem(word: str) -> str:
    """A word without the endings that a question and its answer differ by; English."""
    word = re.sub(r"['’]s?$", "", word.lower())
    for ending in ("ing", "ed", "es", "s", "e", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word[-1].isdigit():
            return word.removesuffix(ending)
    return word
