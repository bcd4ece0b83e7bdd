"""What an instruction asks for: how long an answer, of what kind; English.

Read from where a prompt says what it wants, its first line and its last, by rules. A limit counts only where it is one on
the answer: "in three sentences" is, "combine the three sentences" is none. No published definition exists of how long an
answer an instruction calls for; here it is the limit that it names, or else the median of what the dataset answers to
instructions of the same kind.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "WORD",
    "Kind",
    "Limit",
    "Request",
    "Unit",
    "n_words",
    "read_request",
    "read_requests",
    "request_text",
    "words_called_for",
]


class Unit(StrEnum):
    """What a limit counts."""

    WORDS = "words"
    SENTENCES = "sentences"
    PARAGRAPHS = "paragraphs"
    LINES = "lines"
    ITEMS = "items"
    CHARACTERS = "characters"


class Kind(StrEnum):
    """What kind of answer is asked for; the first that fits."""

    CODE = "code"
    SUMMARY = "a summary"
    ARITHMETIC = "arithmetic"
    LETTER = "a text in somebody's voice"
    CREATIVE = "a story, poem or essay"
    CLASSIFY = "a class or label"
    REWRITE = "another form of a text"
    YES_NO = "yes or no"
    FACT = "one fact"
    LIST = "a list"
    EXPLANATION = "an explanation"
    OTHER = "something else"


@dataclass(frozen=True, slots=True)
class Limit:
    """How much an instruction asks for.

    Attributes:
        unit: What is counted.
        low: The least; `None` without one.
        high: The most; `None` without one.
        is_rough: Whether the number is only meant roughly ("about 50 words").
        text: The words that say so.
    """

    unit: Unit
    low: int | None
    high: int | None
    is_rough: bool
    text: str


@dataclass(frozen=True, slots=True)
class Request:
    """What an instruction asks for.

    Attributes:
        kind: What kind of answer.
        limits: Every limit on the answer as a whole, in the order of the text.
        is_brief: Whether a short answer is asked for in words, such as "briefly".
        is_detailed: Whether a long one is, or reasons are.
    """

    kind: Kind
    limits: tuple[Limit, ...] = ()
    is_brief: bool = False
    is_detailed: bool = False


_NUMBERS = {
    word: number
    for number, words in {
        1: "a an one single",
        2: "two",
        3: "three",
        4: "four",
        5: "five",
        6: "six",
        7: "seven",
        8: "eight",
        9: "nine",
        10: "ten",
        12: "twelve",
        15: "fifteen",
        20: "twenty",
        25: "twenty-five",
        30: "thirty",
        40: "forty",
        50: "fifty",
        100: "hundred",
    }.items()
    for word in words.split()
} | {"eleven": 11, "sixty": 60, "seventy": 70, "seventy-five": 75, "eighty": 80, "ninety": 90, "a hundred": 100}
_NUMBERS |= {f"{word} hundred": 100 * _NUMBERS[word] for word in ("one", "two", "three", "four", "five")}
_NUMBERS |= {f"{word} and fifty": _NUMBERS[word] + 50 for word in ("one hundred", "a hundred", "two hundred")}
_NUMBER = rf"(?:\d{{1,4}}|{'|'.join(sorted(set(_NUMBERS) - {'a', 'an'}, key=len, reverse=True))})".replace(" ", r"\s")
_UNIT = r"(?P<unit>words?|sentences?|paragraphs?|lines?|(?:bullet )?points?|bullets|characters?|letters)"
_MOST = (
    r"(?:no|not) (?:more|longer) than|at (?:the )?most|up to|(?:a )?max(?:imum)?(?: (?:of|length of|length))?:?|less than|"
    r"fewer than|under|below|within|not (?:to )?exceed(?:ing)?|shorter than|limit(?:ed)?(?: (?:it|yourself|your \w+|"
    r"the \w+))? to|"
    r"(?:do not|don['’]t|not) go (?:over|beyond|above)|no greater than|not over|"
    r"(?:do not|don['’]t) (?:use|write) (?:more than|over)"
)
_LEAST = r"at least|(?:a )?min(?:imum)?(?: of)?|more than|over|no (?:less|fewer) than"
_ROUGH = r"about|around|approximately|roughly|nearly|almost|some|approx\.?"
_EXACT = r"exactly|just|only|precisely"
_TEXTS = (
    r"(?:summary|summari[sz]ation|description|explanation|answer|response|essay|story|paragraph|poem|review|article|report|"
    r"statement|speech|biography|bio|caption|post|tweet|blog|message|synopsis|abstract|definition|reflection|reply|slogan|"
    r"tagline|title|headline|critique|analysis|overview|introduction|conclusion|quote|phrase|argument|comment|note|"
    r"advertisement|ad|pitch|letter|email|haiku|sentence|passage|text|piece|joke|verse|opinion|version)"
)
_BOUND = "|".join((_MOST, _LEAST, _ROUGH, _EXACT)).replace(" ", r"\ ")  # a bare space means nothing in what follows
_UNIT_HERE = _UNIT.replace(" ", r"\ ")
_MOST_HERE = _MOST.replace(" ", r"\ ")
_LIMITS = re.compile(
    rf"""
    (?<![-\w])(?P<low6>{_NUMBER})\s*(?:-|–|to|or)\s*(?P<high6>{_NUMBER})[\s-](?P<unit6>words?|sentences?|paragraphs?|lines?)\b |
    (?<![-\w])(?P<word>in|of|to|be|is|that['’]s|into|as|has|have|with(?=\ (?:{_BOUND}))|using(?=\ (?:{_BOUND}))|:|\(|,)\s*
        (?:a\s+(?:total\s+of\s+)?|length\s+of\s+)?(?P<bound>{_BOUND})?\s*
        (?:(?:between|from)\s+)?(?P<low>{_NUMBER})
        (?:\s*(?:-|–|to|and|or)\s*(?P<high>{_NUMBER}))?[\s-]{_UNIT_HERE}\b
        (?P<after>\s+(?:or|and)\s+(?:less|fewer|under|more)|\s+max(?:imum)?|\s+at\s+most|\s+long|\s+in\s+length)? |
    (?<![-\w])(?P<bound2>{_MOST_HERE}|only|just)\s+(?P<low2>{_NUMBER})(?:\s+single)?[\s-](?P<unit2>words?|sentences?|
        paragraphs?|lines?|characters?|(?:bullet\ )?points?|bullets|items?|examples?|reasons?|tips?|ideas?)\b |
    (?<![-\w])(?P<low3>{_NUMBER})(?:\s*(?:-|–|to|or)\s*(?P<high3>{_NUMBER}))?[\s-](?P<unit3>word|sentence|paragraph|line|
        character)s?(?:[\s-]long)?\s+
        (?:(?!(?:from|in|of|for|to|that|with|on|as|about|and|or)\s)[\w'-]+\s+){{0,2}}?{_TEXTS}\b |
    (?<![-\w])(?P<low4>{_NUMBER})[\s-](?P<unit4>words?|sentences?|paragraphs?|lines?|characters?|(?:bullet\ )?points?)
        ,?\s+(?:or\s+(?:less|fewer|under)|(?:as\s+(?:a|the)\s+)?max(?:imum)?|at\s+(?:the\s+)?most|limit|only|tops|please|
        (?:is|are|will|would|should)\s+(?:be\s+)?(?:enough|do|suffice|sufficient|fine|plenty|all)|suffices?)\b |
    \bword\s+(?:limit|count|maximum)\s*(?:of|is|:|=|at)\s*(?P<low7>{_NUMBER})(?P<unit7>)\b |
    \b(?:write|give(?:\ me)?|provide|compose|use)\s+(?P<low8>{_NUMBER})\s+(?:(?:short|brief|clear|concise|simple)\s+)?
        (?P<unit8>sentences?|paragraphs?)\s+(?:about|on|describing|explaining|summari[sz]ing|to\s+(?:describe|explain))\b |
    \b(?:with|using)\s+(?:just\s+|only\s+)?(?P<low9>an?|one)(?:\s+single)?\s+(?P<unit9>sentence|word|line|paragraph)\b
        (?!\s+(?:limit|count|maximum)) |
    \b(?:in|(?:keep|limit)\s+(?:it|(?:your|the)\s+\w+)\s+to)\s+(?:just\s+|only\s+)?(?P<low5>an?|one)\s+(?:single\s+)?(?P<unit5>sentence|word|line|paragraph)(?P<or_two>\s+or\s+two)?\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
_NAMES_LIMIT = (
    rf"(?i-u)(?:[0-9]|\b(?:{'|'.join(sorted(_NUMBERS))}))[\s-]+(?:single\s+|bullet\s+|short\s+|brief\s+|clear\s+|concise\s+|"
    r"simple\s+)?(?:words?|sentences?|paragraphs?|lines?|points?|bullets|characters?|letters|items?|examples?|reasons?|tips?|"
    r"ideas?)\b|\bword\s+(?:limit|count|maximum)\b"
)
# Limits on parts, or numbers that count what is given.
_OF_PARTS = re.compile(
    r"(?i)\b(?:each|every|per|both|respectively|individual(?:ly)?|for (?:all|any) of|stories|poems|"
    r"summaries|descriptions|slogans|taglines|titles|headlines|captions|tweets|jokes|biographies|dialog(?:ue)?|"
    r"conversation|(?:these|those|the following|given|following|provided) (?:\w+ )?(?:words|sentences|paragraphs|lines)|"
    r"(?:first|last|next|missing) (?:\w+ )?(?:words?|sentences?|paragraphs?|lines?))\b"
)
_OF_OTHERS = re.compile(
    r"(?i)\b(?:add|insert|append|change|replace|remove|delete|swap|number of \w+|the (?:words|letters|characters)|"
    r"combine|merge|join|connect|read|minimum|min|at least|"
    r"more than)(?:\s+(?:a|the|an|of))?\s*$"
)
# "with one word" limits what is said so, and no story that begins so.
_SAYS = re.compile(r"(?i)\b(?:answer|respond|reply|describe|explain|define|summari[sz]e|sum up)\b[^.!?\n]{0,80}$")
_ENDS_IN_TEXT = re.compile(rf"(?i)\b(?:{_TEXTS}|composition|length|total|maximum|limit)s?\s*$")
# "in a sentence" of a word is a sentence with it.
_USES = re.compile(
    r"(?i)\b(?:use|using|used|put|place|insert|include|including|word|phrase|write|construct|create|combine\w*)\b"
)
_ITEMS = re.compile(
    rf"(?i)^\W*(?:please |can you |could you )?(?:list|name|give(?: me)?|provide(?: me with)?|suggest|identify|state|mention|"
    rf"come up with|generate|find|write down|tell me|brainstorm|recommend|create a list of|make a list of|generate a list of|"
    rf"write a list of|list out|what are(?: the)?)\s+(?:the |an? list of |me )?(?:top |best |any |exactly |only |just )?"
    rf"(?P<n>{_NUMBER})\s+(?!(?:words?|sentences?|paragraphs?|lines?|characters?|letters?|digits?|percent|dollars?|years?|"
    rf"days?|hours?|minutes?|times?|or|and|to|line|word|sentence|of)\b)(?:[\w'’-]+\s+){{0,4}}?[\w'’-]+"
)
_BRIEF = (
    r"(?i-u)\b(?:briefly|in brief|brief|concise(?:ly)?|succinct(?:ly)?|in a nutshell|in short|keep it short|short answer|"
    r"one[- ]liner|as short as possible|in a few words|few words|just the (?:answer|name|number)|only the (?:answer|"
    r"name|number)|"
    r"(?:answer|reply|respond) (?:only )?(?:with )?(?:yes or no|true or false)|nothing else|no explanation)\b"
)
_DETAILED = (
    r"(?i-u)\b(?:detail(?:s|ed)?|comprehensive(?:ly)?|thorough(?:ly)?|in[- ]depth|elaborate(?:ly)?|extensive(?:ly)?|long|"
    r"step[- ]by[- ]step|explain\w*|explanation|why|reasons?|reasoning|justif\w+|describ\w+|description|discuss\w*|"
    r"examples?|compare|contrast|tell me (?:more )?about|how (?:do|does|did|can|could|would|should|is|are|was|were|to)|"
    r"elaborat\w+|information|facts? about|analy[sz]e|analysis|evidence|background|context|show (?:your|the) (?:work|steps)|"
    r"fun fact|argument|support your|steps|advice|tips|thoughts|opinion|significance|impact|effects?|meaning)\b"
)

_CODE = (
    r"(?i-u)\b(?:code|python|java(?:script)?|c\+\+|sql|html|css|json|regex|regular expression|function|script|algorithm|program"
    r"|query|shell|bash|php|ruby|typescript|latex|excel formula|api|class that|compile|pseudo-?code|web ?page|array|"
    r"linked list)\b"
)
_ARITHMETIC = (
    r"(?i-u:\b(?:calculate|compute|evaluate|solve|simplify|round|convert|add|subtract|multiply|divide|square root|sum of|"
    r"product of|percentage of|average of|mean of|median of)\b)[^\n]{0,80}[0-9]|"
    r"(?i-u:\bwhat is (?:the (?:value|result|sum|product) of )?)[-0-9(][0-9\s.,+*/x×÷^()-]+(?:\?|$)"
)
_LETTER = (
    r"(?i-u)\b(?:letters?|e-?mails?|messages?|dialog(?:ue)?s?|conversations?|speech|role[- ]?play\w*|act as|acting as|"
    r"pretend|imagine|script|"
    r"reply|replies|respond|response to|responses?|greet\w*|invitation|invite|toast|tweets?|advert\w*|ads?|advertisements?|"
    r"commercials?|slogans?|jingle|"
    r"announcement|voice ?mail|welcome|thank[- ]you|apolog\w+|chat\w*|bots?|assistant|customers?|clients?|interview\w*|"
    r"monologue|"
    r"presentation|pitch|cards?|postcard|memo|complaint|sms|text message|cover letter|review|testimonial|blog|post|captions?|"
    r"say|saying|said|speak\w*|talk\w*|quote|proposal|notes?|persona|voice of|point of view|perspective of|as if you|"
    r"wishes|congratulat\w+|instructor|tutorial|introduc\w+|hello|hi|hey|how are you|good morning|small talk|phone call|"
    r"podcast|video|broadcast|commentary|sales|outreach|linkedin|facebook|instagram|twitter|newsletter|ask\w*)\b"
)
_CREATIVE = (
    r"(?i-u)\b(?:story|stories|poems?|poetry|haiku|sonnet|limerick|verses?|songs?|lyrics|rap|essays?|articles?|novel|"
    r"fairy ?tale|narratives?|tale|plot|scene|paragraphs?|journal|diary|blog|biography|monologue|jokes?|riddles?|"
    r"report|fiction|screenplay)\b"
)
_SUMMARY = r"(?i-u)\b(?:summar\w+|abstract|synopsis|tl;?dr|paraphrase|main (?:idea|points?)|key points|gist|outline)\b"
_CLASSIFY = (
    r"(?i-u)\b(?:classif\w+|categori[sz]e|label|tag|(?:identify|determine|decide|detect|tell|specify|indicate|predict|find) "
    r"(?:me )?(?:the )?(?:sentiment|emotion|tone|genre|category|class|type|topic|whether|if|which)|sentiment|part of speech|"
    r"odd (?:one|man) out|true or false|is (?:this|it|the) (?:\w+ )?(?:true|false|positive|negative|fact|opinion)|"
    r"multiple choice|choose (?:the|which|one|between)|select (?:the|which|one)|pick (?:the|which|one|out))\b"
)
_REWRITE = (
    r"(?i-u)\b(?:rewrite|re-write|rephrase|reword|edit|correct|fix|translate|convert|transform|change|turn|replace|rearrange|"
    r"unscramble|reorder|sort|combine|merge|complete|fill|insert|add|remove|delete|modify|improve|simplify|proofread|"
    r"capitali[sz]e|punctuate|format|extract|reverse|continue|finish|expand|extend|shorten|condense|arrange|join|split|revise|"
    r"synonyms?|antonyms?|opposite|rhym\w+|plural|tense|sentence (?:using|with|that)|sentence)\b"
)
# What every question below holds, to look for first.
_ASKS = (
    r"(?i-u)\?\s*$|(?:^|[.!?\n:]\s*|\b(?:tell me|find(?: out)?|state|name|identify|give(?: me)?|determine|answer)\s+)"
    r"(?:who|when|where|in|what|which|how|the)\b"
)
_YES_NO = re.compile(
    r"(?i)(?:^|[.!?\n]\s*)(?:is|are|was|were|do|does|did|can|could|has|have|had|should|would|will) "
    r"(?!(?:you|we) )[^.!?\n]{3,200}\?\s*$"
)
_FACT = re.compile(
    r"(?ix)(?:^|[.!?\n:]\s*|\b(?:tell\ me|find(?:\ out)?|state|name|identify|give(?:\ me)?|determine|answer)\s+)(?:"
    r"who\s+(?!(?:is|was|were|are)\s+(?!the\s+(?:\w+\s+){0,4}(?:president|king|queen|author|writer|inventor|founder|"
    r"ceo|director|leader"
    r"|captain|actor|actress|singer|artist|winner|owner|mayor|governor|head|creator|discoverer|chancellor|minister|composer"
    r"|painter|protagonist|person|man|woman|first|last|current)))(?:\w+)|"
    r"when\s+(?:is|was|were|did|does|do|will|are)\b(?!\s+(?:it|you|the\s+best|should))|"
    r"where\s+(?:is|was|were|did|does|are|do)\b(?!\s+(?:i|you|we|one)\b)|"
    r"(?:in\s+)?(?:what|which)\s+(?:year|date|day|month|century|country|city|state|continent|planet|color|colour|language|"
    r"ocean|river|team|decade|president|person|animal|element|company|capital|number|county|province)\b|"
    r"(?:what|which)(?:\s+is|\s+was|['’]s)\s+the\s+(?:capital|name|population|currency|largest|smallest|tallest|"
    r"highest|longest|shortest|"
    r"oldest|biggest|fastest|deepest|first|last|most\s+populous|chemical\s+(?:symbol|formula)|boiling\s+point|"
    r"freezing\s+point|melting\s+point|"
    r"melting\s+point|atomic\s+number|area|height|length|distance|speed|symbol|official\s+language|date|year|number|"
    r"abbreviation|acronym|square\s+root|temperature|circumference|diameter|age|birthplace|country|city|time\s+zone)\b|"
    r"how\s+(?:many|much|old|tall|long|far|high|big|large|deep|fast|heavy|wide)\s+(?!(?:should|do\s+(?:i|you|we)|can|would))"
    r"|the\s+(?:capital|population|currency|chemical\s+symbol|author|inventor|name|year|date)\s+(?:of|in|when|that)\b)"
)
_LIST = (
    r"(?i-u)^[\s'*#>.-]*(?:(?:please|can you|could you) )?(?:list|name|give (?:me )?(?:some|a list|a few|\d)|provide (?:some|"
    r"a list|a few|\d)|suggest|"
    r"brainstorm|recommend|identify|generate (?:a list|\d|some|ideas)|create a (?:to-?do )?list|make a list|what are)\b|"
    r"\b(?:list of|ideas for|tips|steps|ways to|examples of|pros and cons|advantages|benefits|ingredients|recipe|checklist|"
    r"bullet(?:ed)?)\b"
)
_EXPLANATION = (
    r"(?i-u)\b(?:explain|describe|discuss|why|how|compare|contrast|analy[sz]e|evaluate|define|definition|elaborate|"
    r"what (?:is|are|does|do|"
    r"was|were|causes?|happens?)|who (?:is|was|are|were)|tell me|difference|outline|provide|meaning|interpret|assess)\b"
)
# Strings are searched by polars, column by column and as ASCII (`-u`), which is fifteen times as fast; what looks ahead
# is searched by Python.
_KINDS: tuple[tuple[Kind, str | re.Pattern[str]], ...] = (
    (Kind.CODE, _CODE),
    (Kind.SUMMARY, _SUMMARY),
    (Kind.LETTER, _LETTER),
    (Kind.ARITHMETIC, _ARITHMETIC),
    (Kind.CREATIVE, _CREATIVE),
    (Kind.CLASSIFY, _CLASSIFY),
    (Kind.REWRITE, _REWRITE),
    (Kind.FACT, _FACT),
    (Kind.YES_NO, _YES_NO),
    (Kind.LIST, _LIST),
    (Kind.EXPLANATION, _EXPLANATION),
)
WORD = re.compile(r"(?<!\S)[^\w\s]*+\w\S*")
"""What stands between white space and has a letter or digit."""

_QUOTED = re.compile(r"\"[^\"\n]{2,}\"|“[^”\n]{2,}”")
_REQUEST_CHARACTERS = 300
_SHORT_PROMPT = 600
_WORDS_PER_SENTENCE = 18.0
_MIN_GROUP = 20


def n_words(text: str) -> int:
    """Words between white space, those with a letter or digit."""
    return len(WORD.findall(text))


def request_text(prompt: str) -> str:
    """Where a prompt says what it wants, quotations blanked: its first line and its last, or all of a short one."""
    prompt = prompt.strip()
    if len(prompt) > _REQUEST_CHARACTERS or "\n" in prompt:
        first, *rest = prompt.splitlines() or [""]
        last = rest[-1] if rest else first[_REQUEST_CHARACTERS:]
        prompt = f"{first[:_REQUEST_CHARACTERS]}\n{last[-_REQUEST_CHARACTERS:]}".strip()
    return _QUOTED.sub("“…”", prompt)


def read_requests(prompts: Sequence[str]) -> list[Request]:
    """What instructions ask for, in order; most of the work is columnar."""
    texts = [request_text(prompt) for prompt in prompts]
    text = pl.col("text")
    columnar = {kind.name: text.str.contains(pattern) for kind, pattern in _KINDS if isinstance(pattern, str)}
    read = pl.DataFrame({"text": texts}, schema={"text": pl.String}).select(
        **columnar,
        is_brief=text.str.contains(_BRIEF),
        is_detailed=text.str.contains(_DETAILED),
        names_limit=text.str.contains(_NAMES_LIMIT),
        asks=text.str.contains(_ASKS),
    )
    kinds = [Kind.OTHER] * len(texts)
    settled = np.zeros(len(texts), bool)
    for kind, pattern in _KINDS:
        if isinstance(pattern, str):
            here = read[kind.name].to_numpy()
        else:
            here = np.zeros(len(texts), bool)
            open_ = np.flatnonzero(~settled & read["asks"].to_numpy())
            here[open_] = [pattern.search(texts[place]) is not None for place in open_.tolist()]
        for place in np.flatnonzero(here & ~settled).tolist():
            kinds[place] = kind
        settled |= here
    marks = read.select("is_brief", "is_detailed", "names_limit").iter_rows()
    return [
        Request(kind, _limits(text, names_limit), is_brief, is_detailed)
        for text, kind, (is_brief, is_detailed, names_limit) in zip(texts, kinds, marks, strict=True)
    ]


def read_request(prompt: str) -> Request:
    """What one instruction asks for."""
    return read_requests([prompt])[0]


def _limits(text: str, names_limit: bool) -> tuple[Limit, ...]:
    found = []
    if names_limit and not _OF_PARTS.search(text):
        found = [limit for match in _LIMITS.finditer(text) if (limit := _limit(match, text)) is not None]
    if (items := _ITEMS.search(text)) is not None:
        number = _number(items["n"])
        clause = re.split(r"[.,;:?!\n]", text[items.start() :].lstrip())[0]
        found.append(Limit(Unit.ITEMS, number, number, False, clause.strip()))
    return tuple(found)


def _limit(match: re.Match[str], text: str) -> Limit | None:
    groups = match.groupdict()
    which = ("", *range(2, 10))  # the branches of the pattern
    low_text = next(groups[f"low{number}"] for number in which if groups[f"low{number}"])
    unit_text = next((groups[f"unit{number}"] for number in which if groups[f"unit{number}"]), "word")
    high_text = groups["high"] or groups["high3"] or groups["high6"]
    unit = _unit(unit_text)
    bound = (groups["bound"] or groups["bound2"] or "").lower()
    after = " ".join((groups["after"] or "").lower().split())
    low = _number(low_text)
    high: int | None = _number(high_text) if high_text else (2 if groups["or_two"] else low)
    is_sentence_of_a_word = low == 1 and unit in (Unit.SENTENCES, Unit.WORDS, Unit.LINES)
    if is_sentence_of_a_word and _USES.search(text[: match.start()] + text[match.end() : match.end() + 40]):
        return None
    before = text[: match.start()]
    is_of = (groups["word"] or "").lower() == "of"
    if groups["low9"] and not _SAYS.search(before):
        return None
    if _OF_OTHERS.search(before) or (is_of and not bound and not _ENDS_IN_TEXT.search(before)):
        return None
    least: int | None = low
    if bound and re.fullmatch(_MOST, bound, re.IGNORECASE):
        least = None
    elif (bound and re.fullmatch(_LEAST, bound, re.IGNORECASE)) or after.endswith("more"):
        high = None
    elif groups["low4"] or groups["low7"] or after.endswith(("less", "fewer", "under", "max", "maximum", "most")):
        least = None
    is_rough = bool(bound) and re.fullmatch(_ROUGH, bound, re.IGNORECASE) is not None
    return Limit(unit, least, high, is_rough, match.group().strip(" ,:(\n"))


def _number(text: str) -> int:
    return int(text) if text.isdigit() else _NUMBERS[" ".join(text.lower().split())]


def _unit(text: str) -> Unit:
    text = text.lower()
    if re.search(r"point|bullet|item|example|reason|tip|idea", text):
        return Unit.ITEMS
    stem = "character" if text == "letters" else text.removesuffix("s")
    return Unit(f"{stem}s")


def words_called_for(requests: Sequence[Request], lengths_words: ArrayLike) -> NDArray[np.float32]:
    """How many words each instruction calls for.

    The limit that it names, else the median of the answers to instructions of the same kind that ask as briefly or as
    widely; kinds with fewer than 20 answers take the median of all.

    Args:
        requests: Of the dataset's responses.
        lengths_words: How long these are, shape `(n,)`.

    Returns:
        Words, at least 1, shape `(n,)`.
    """
    lengths = np.asarray(lengths_words, np.float64)
    groups: dict[tuple[Kind, bool, bool], list[int]] = defaultdict(list)
    for place, request in enumerate(requests):
        groups[request.kind, request.is_brief, request.is_detailed].append(place)
    called = np.full(len(requests), np.median(lengths) if len(lengths) else 1.0)
    for places in groups.values():
        if len(places) >= _MIN_GROUP:
            called[places] = np.median(lengths[places])
    for place, request in enumerate(requests):
        if (named := _named_words(request)) is not None:
            called[place] = named
    words: NDArray[np.float32] = np.maximum(called, 1.0).astype(np.float32)
    return words


def _named_words(request: Request) -> float | None:
    for limit in request.limits:
        bounds = [bound for bound in (limit.low, limit.high) if bound is not None]
        if limit.unit in (Unit.WORDS, Unit.SENTENCES):
            each = 1.0 if limit.unit is Unit.WORDS else _WORDS_PER_SENTENCE
            return each * sum(bounds) / len(bounds)
    return None
