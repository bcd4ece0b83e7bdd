"""Words of style (English): discourse markers, hedges, words of grammar, and the phrases that open and close an answer.

`styled_spans` says of every token of one text what it is, so that a report can set style apart from content; `word_kinds`
says the same of all tokens of many texts at once, as far as words alone can tell it. The lists are ours: markers are the
connectives of Fraser (1999), What are discourse markers?, that instruction data uses; hedges the epistemic verbs, adverbs
and adjectives of Hyland (1996), Writing without conviction?, that are hedges wherever they stand.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

from audit.signals.base_words import hashes_of
from indexes.words import WordStream, is_word, tokenize, tokenize_with_offsets

__all__ = [
    "CLOSING",
    "EMPTY_WORDS",
    "FILLERS",
    "FUNCTION_WORDS",
    "HEDGES",
    "MARKERS",
    "OPENING",
    "Phrase",
    "PhraseKind",
    "StyleKind",
    "StyledSpan",
    "closing_phrase",
    "form_words",
    "opening_phrase",
    "styled_spans",
    "word_kinds",
]

MARKERS = frozenset(
    "however|additionally|furthermore|moreover|overall|therefore|thus|hence|consequently|firstly|secondly|thirdly|finally|"
    "lastly|similarly|likewise|nevertheless|nonetheless|meanwhile|instead|otherwise|indeed|certainly|sure|absolutely|"
    "ultimately|essentially|generally|typically|specifically|importantly|in conclusion|in summary|to summarize|in short|"
    "in addition|in general|in fact|in other words|in contrast|on the other hand|for example|for instance|such as|as a result|"
    "as well as|as an ai|of course|here are|here is|first of all|it is important|note that|keep in mind|by contrast".split("|")
)
"""Words and phrases that hold a text together and say nothing of its matter; English, lower case."""

FILLERS = frozenset(
    "it is important to|it is important to note that|it is important to remember that|it is important to keep in mind that|"
    "it's important to|it's important to note that|it's important to remember that|it is essential to|it is crucial to|"
    "it is vital to|it is necessary to|it is also important to|it is worth noting that|it's worth noting that|"
    "it is worth mentioning that|it should be noted that|it is also worth noting that|please note that|note that|"
    "keep in mind that|remember that|it is no secret that|needless to say|as mentioned above|as mentioned earlier|"
    "there are many|there are several|there are various|there are numerous|there are a number of|there are a variety of|"
    "there are a few|there are many different|there are several different|there are a lot of|a number of|a variety of|"
    "a wide variety of|a wide range of|a range of|a multitude of|a plethora of|various|numerous|when it comes to|in order to|"
    "in terms of|with regard to|with respect to|due to the fact that|in today's world|in today's society|nowadays|"
    "plays an important role in|plays a crucial role in|plays a vital role in|plays a key role in|plays a significant role in|"
    "play an important role in|play a crucial role in|play a vital role in|play a key role in|is an important part of|"
    "is an essential part of|is an integral part of|is essential for|is crucial for|is important for|the importance of|"
    "has become increasingly|have become increasingly|is becoming increasingly|can vary greatly|can vary depending on|"
    "may vary depending on|will vary depending on|depends on a variety of factors|depends on many factors|"
    "depending on several factors|depending on a variety of factors|depending on various factors|by doing so|by doing this|"
    "by following these steps|by following these tips|with that being said|that being said|having said that|all in all|"
    "at the end of the day|first and foremost|last but not least|to sum up|to conclude|in essence|as you can see|"
    "these are just a few|just to name a few|and much more|and so on|and so forth|the possibilities are endless|"
    "can be a great way to|is a great way to|can be an effective way to|make sure to|be sure to|don't forget to|"
    "not only|but also|on the one hand|as we all know|it goes without saying|for the most part|in general terms|"
    "an important factor|an important aspect|key factor|key aspects|different ways to|many ways to|several ways to".split("|")
)
"""Set phrases that could be left out, or said in one word, without taking anything from the matter; English, lower case."""

HEDGES = frozenset(
    "perhaps|maybe|possibly|probably|presumably|arguably|apparently|seemingly|supposedly|likely|unlikely|may|might|"
    "seem|seems|seemed|appears to|appear to|tend to|tends to|suggests that|suggest that|i think|i believe|i guess|i suppose|"
    "i would say|i am not sure|i'm not sure|as far as i know|in my opinion|in my view|it is possible|it's possible|"
    "it is believed|it is thought|is thought to|is believed to|are thought to|are believed to|is said to|are said to|"
    "it depends|depending on|to some extent|to a certain extent|in some cases|in some ways|in most cases|in many cases|"
    "more or less|sort of|kind of|roughly|approximately|somewhat|usually|often|sometimes|reportedly|allegedly|"
    "could be|not necessarily|not certain|uncertain|unclear|it is unclear|not known|can be considered".split("|")
)
"""Words and phrases that hold a statement back from being certain; English, lower case; none of them is a marker."""

FUNCTION_WORDS = frozenset(
    "a an the this that these those some any each every all both no not only just also very too so such own same other another "
    "i me my mine we us our ours you your yours he him his she her hers it its they them their theirs who whom whose which "
    "what one ones oneself myself yourself himself herself itself ourselves themselves there here where when why how then than "
    "and or but nor if because as while although though unless until since whether after before once "
    "of in on at to for from by with about into through over under between among against during without within along across "
    "behind beyond near off out up down upon toward towards via per "
    "is am are was were be been being do does did doing done have has had having can could will would shall should may might "
    "must ought s t d ll ve re m don doesn didn isn aren wasn weren won can't".split()
)
"""Words of grammar; English, lower case."""


EMPTY_WORDS = frozenset(
    "several many various number numbers way ways thing things factor factors important importance key essential different "
    "variety step steps tip tips consider considered considering example examples include includes including included list "
    "following main most more some few lot lots aspect aspects type types kind kinds overall certain particular specific "
    "make makes making made take takes taking taken use used using help helps helping best better good great right need "
    "needs needed necessary new well able ability find provide provides provided providing ensure ensures get gets keep "
    "sure note remember mind think question answer topic given first second third two three four five six seven eight nine "
    "ten people person someone something always reason reasons benefit benefits advantage advantages".split()
)
"""Words of matter that say little by themselves; English, lower case."""


class StyleKind(StrEnum):
    """What a token of an answer does there; the first that fits."""

    OPENER = "opening phrase"
    CLOSER = "closing phrase"
    LAYOUT = "punctuation and layout"
    HEDGE = "hedge"
    MARKER = "discourse marker or filler"
    FUNCTION = "function word"
    CONTENT = "content"


@dataclass(frozen=True, slots=True)
class StyledSpan:
    """A token of a text and what it is.

    Attributes:
        start, end: Where it stands, in code points of the text as it came, end exclusive.
        kind: What it is.
    """

    start: int
    end: int
    kind: StyleKind


class PhraseKind(StrEnum):
    """What a phrase at the start or end of an answer does."""

    AGREEMENT = "agrees to help"
    PRAISE = "praises the request"
    GREETING = "greets"
    SELF = "speaks of being an AI"
    ANNOUNCEMENT = "announces the answer"
    HOPE = "hopes that it helps"
    OFFER = "offers more help"
    WISH = "wishes well"


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase at the start or end of an answer.

    Attributes:
        start, end: The whole of it, to the end of its sentence or to its colon; code points, end exclusive.
        head_end: Where the words end that make it one; what follows up to `end` names the matter.
        kind: What it does.
    """

    start: int
    end: int
    head_end: int
    kind: PhraseKind


_I_AM = r"(?:I['’]m|I am|I['’]d be|I would be|I['’]ll be|I will be)"
_STOP = r"(?:[!.,:;]|\s?[—–-](?=\s))"
_GLADLY = r"(?:always |more than |only too |so |very )?(?:happy|glad|delighted|pleased|thrilled|excited|here|ready) to"
_HELP = (
    r"(?:help|assist|answer|explain|provide|share|tell you|give you|walk you|offer|guide you|support|clarify|lend|break|oblige|"
    r"elaborate|expand)\b"
)
_TO_US = r"(?:helps?|helped|helping|assists?|assisted|assistance)\b"

OPENING: dict[PhraseKind, str] = {
    PhraseKind.AGREEMENT: (
        rf"(?:(?:(?:Yes|Oh|Why|Well),? )?(?:Sure(?: thing)?|Certainly|Absolutely|Of course|Definitely|No (?:problem|worries)"
        rf"(?: at all)?|Okay|Ok|Alright|All right|Got it|You got it|Understood|Gladly|With pleasure|My pleasure)"
        rf"|(?:(?:Yes|Sure),? )?(?:{_I_AM} )?{_GLADLY} {_HELP}[^.!?:\n]{{0,80}}"
        rf"|(?:Yes,? )?(?:I(?:['’]d| would) (?:love|like)|It(?:['’]d| would) be (?:my|a) pleasure|"
        rf"It['’]s my pleasure) to {_HELP}"
        rf"[^.!?:\n]{{0,80}}"
        rf"|(?:Yes,? )?I can (?:certainly |definitely |absolutely |surely |gladly )?(?:help|"
        rf"assist)(?: you)? (?:with (?:that|this|it|your)|out)\b[^.!?:\n]{{0,60}}"
        rf"|Let me (?:help|assist)\b[^.!?:\n]{{0,60}})"
        rf"(?:,? (?:I can|I['’]d be|I would be|I['’]d (?:love|like)|I['’]ll|I will|let me)\b[^.!?:\n]{{0,70}})?{_STOP}"
    ),
    PhraseKind.PRAISE: (
        r"(?:(?:What|That['’]s|That is|This is|Wow,? (?:that['’]s|what)|It['’]s|You(?:['’]ve| have) asked|You ask|Ah,?|"
        r"I (?:love|like)) )?(?:an? |such an? )?(?:really |very |truly |absolutely )?"
        r"(?:great|good|excellent|interesting|wonderful|fantastic|fascinating|thoughtful|important|insightful|nice|brilliant|"
        r"lovely|intriguing|terrific|awesome|amazing|superb|relevant|clever|thought-provoking) (?:(?:and|,) ?[\w-]+ )?"
        r"(?:(?:question|request|prompt|query|inquiry)(?: (?:to|about|you|for|on|and)\b[^.!?\n]{0,80}|,[^.!?\n]{0,40})?[!.]"
        r"|(?:question|idea|choice|topic|request|prompt|query)(?:[!.,;]|\s?[—–-](?=\s)))"
        r"|(?:Thank you|Thanks|Many thanks|I appreciate)(?: (?:so|very) much| a lot)?,? (?:for )?(?:(?:asking|(?:your|the|this|"
        r"such an?|bringing|raising|posing|submitting|sharing)(?: [\w-]+){0,3} (?:question|request|query|prompt|inquiry|"
        r"message|"
        r"interest|up))|reaching out)\b[^.!?\n]{0,60}[!.,]"
        r"|(?:I['’]m|I am)(?: so| very| really)? (?:glad|happy|pleased|delighted) (?:that )?you (?:asked|brought|raised)\b"
        r"[^.!?\n]{0,60}[!.,]"
    ),
    PhraseKind.GREETING: (
        r"(?:(?:Hello|Hi|Hey|Greetings)(?: there| again| everyone| friend)?|Good (?:morning|afternoon|evening|day))[!.,](?=\s)"
    ),
    PhraseKind.SELF: (
        r"As an? (?:(?:AI|artificial intelligence|large|text-based|neural) ?)*"
        r"(?:AI|artificial intelligence|language model|assistant|chatbot)(?: \w+){0,4}?,"
    ),
    PhraseKind.ANNOUNCEMENT: (
        r"(?:(?:(?:Well|Now|So|First|Great),? )?(?:Let me|Let['’]s|Let us|Allow me to|I['’]ll|I will|I['’]d like to|(?:I['’]m|"
        r"I am) going to)(?: now| first| try to| do my best to| quickly| briefly)? (?:explain|break (?:it|this|that|things|"
        r"the)\b[^.!?:\n]{0,40} down|break down|walk you|dive|delve|jump|get started|get into|go over|go through|unpack|"
        r"shed|elaborate|provide|"
        r"give you|tell you|share|clarify|answer)\b[^.!?:\n]{0,100}[.!:]"
        r"|(?:Let['’]s|Let us) (?:take a (?:closer |quick )?look|explore|look (?:at|into)|start|"
        r"begin)\b[^.!?:\n]{0,100}[.!:](?=\s)"
        r"|In (?:this|the following|my) (?:answer|response|explanation|overview), (?:I|we|you)\b[^.!?:\n]{0,120}[.!:]"
        r"|(?:To answer|In (?:response|answer|reply) to|Answering|Regarding) (?:your|the) (?:question|request|query)"
        r"(?: (?:about|on)\b[^.!?:,\n]{0,80})?[,:]"
        r"|Here(?: is|['’]s) what you (?:need|should|want)[^.!?:\n]{0,80}[:.!]"
        r"|Here(?: is|['’]s) (?:my|the|your|an?)(?: [\w-]+){0,2} (?:answer|response|explanation|solution|overview|breakdown|"
        r"rundown|reply)\b[^.!?:\n]{0,80}[:.!]"
        r"|(?:Here(?: are|['’]re| is|['’]s)|Below (?:are|is)|(?:The )?[Ff]ollowing (?:are|is)|These are|This is|"
        r"I(?:['’]ve| have) (?:written|created|made|compiled|prepared|listed|put together))\b)"
    ),
}
"""What may stand at the very start of an answer, as patterns; what names no end of an announcement must end its line in a
colon."""

CLOSING: dict[PhraseKind, str] = {
    PhraseKind.HOPE: (
        r"(?:I (?:really |do |sincerely |truly |certainly )?(?:hope|trust)|I['’]m hoping|Here['’]s hoping|Hopefully,?|Hope) "
        r"(?:that )?(?:this|that|these|those|it|you (?:now )?(?:find|found|have)|I|(?:this|that|my|the) (?:[\w-]+ ){0,2}[\w-]+)"
        r"\b[^.!?\n]{0,60}\b(?:" + _TO_US + r"|of (?:\w+ )?(?:help|use|value)|helpful|useful|answer(?:s|ed)? "
        r"(?:your|the|all|what)|clarif\w+|clears?|cleared|clear(?:er)?|gives you|gave you|informative|insightful|"
        r"makes? (?:sense|things)|looking for|needed|you (?:need|wanted|asked))\b[^.!?\n]{0,90}"
        r"|(?:I['’]m |I am )?(?:Glad|Happy|Pleased) (?:I could|to have|to be of)(?: be of)? (?:" + _TO_US + r"|service)"
        r"[^.!?\n]{0,40}"
    ),
    PhraseKind.OFFER: (
        r"(?:(?:Please |Feel free to |Just |And |So )?(?:let me know|tell me|ask(?: me)?(?: away)?|reach out|shout|"
        r"get in touch)"
        r" (?:if|when|how|what|which|whether|should|in case)\b[^.!?\n]{0,160}"
        r"|(?:And |But |So )?(?:If|Should|In case|When(?:ever)?) (?:you|there|any|anything|something)\b[^.!?\n]{0,120}\b(?:"
        r"let me know|feel free|don['’]t hesitate|do not hesitate|don['’]t be shy|by all means|"
        rf"{_I_AM} (?:\w+ ){{0,3}}?(?:happy|glad|here|available|ready|pleased|delighted)|just (?:ask|say|let)|"
        rf"please ask|(?:message|question) away|"
        r"ask away|ask me|reach out|I can (?:\w+ )?(?:help|provide|explain|give|share|go)|get in touch|drop me|send me|"
        r"I['’]ll (?:gladly|happily|be|do))\b[^.!?\n]{0,120}"
        r"|(?:And |So |Please |As always,? )?(?:please )?(?:feel free|don['’]t hesitate|do not hesitate|don['’]t be "
        r"shy) to (?:ask|reach out|contact me|let me know|reply|follow up|get in touch|come back|message me|share|"
        r"send|request)\b[^.!?\n]{0,120}"
        rf"|(?:And )?(?:{_I_AM} )?{_GLADLY} {_HELP}[^.!?\n]{{0,120}}"
        r"|I(?:['’]m| am) (?:always )?(?:here|around|available) (?:if|whenever|for any)\b[^.!?\n]{0,100}"
        r"|I can (?:also |always |certainly )?(?:help|provide|explain|give|share|offer|elaborate|expand|"
        r"go)\b[^.!?\n]{0,100}\bif "
        r"(?:you|needed|that|so|desired)\b[^.!?\n]{0,60}"
        r"|(?:Any(?:thing else| (?:other|more|further|follow-up) (?:questions?|thing))|Got (?:any |"
        r"more )?questions?)\b[^.!?\n]{0,60}(?=\?)"
        r"|(?:Is there|Do you (?:have|need|want)|Would you like|Can I|May I|Could I|Shall I|Want me|Need)\b[^.!?\n]{0,40}"
        r"\b(?:anything else|any(?: other| more| further)? questions|me to|(?:more|further) (?:help|information|details?|"
        r"examples|assistance|questions)|(?:help|assist) you (?:with|further)|to know more|to hear more)\b[^.!?\n]{0,100}(?=\?)"
        r"|What else (?:would|do) you (?:like|want) to know|(?:How|What) (?:else )?(?:can|may|could) I (?:help|assist|"
        r"do for you)\b[^.!?\n]{0,60})"
    ),
    PhraseKind.WISH: (
        r"(?:(?:Good luck|Best of luck|All the best|Best wishes|(?:I(?:['’]m)? )?wish(?:ing)? you|Happy [a-z]+ing|Have (?:a )?"
        r"(?:fun|great|good|nice|wonderful|safe|lovely|fantastic)|Enjoy|Bon app[ée]tit|"
        r"You['’]re welcome|(?:Thank you|Thanks) for (?:asking|reading|listening|reaching|your (?:question|time|interest|"
        r"understanding|request)))\b[^.!?\n]{0,60}|(?:Take care|Stay (?:safe|curious))(?=[.!]))"
    ),
}
"""What may stand as the last sentence of an answer, as patterns."""

_OPENINGS = [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in OPENING.items()]
_CLOSINGS = [
    (kind, re.compile(rf"(?:{pattern})(?:[.!?]+|(?=\n|$))[\s\"'”)]*$", re.IGNORECASE)) for kind, pattern in CLOSING.items()
]
_ANNOUNCED = re.compile(r"[^\n:]{0,200}:(?=[ \t]*(?:\n|$))")
_LEAD = re.compile(r"[\s\"'“*_#>]*")
_SENTENCE_START = re.compile(r"(?:^|[.!?:][\"'”)*]*\s+|\n\s*)(?=\S)")
_IN_LIST = re.compile(r"(?:^|\n)[ \t]*(?:\d{1,3}[.)]|[-*•+])\s*$")
_LAST = 400
_FENCE = re.compile(
    r"(?:^|(?<=\n))[ \t]*(```+|~~~+)[^\n]*\n?([\s\S]*?)(?:(?:^|(?<=\n))[ \t]*\1[ \t]*(?=\n|$)|\Z)|(?<!`)(`++)([^`\n]+)\3(?!`)"
)
_LIST_MARK = re.compile(r"(?:^|(?<=\n))[ \t]*(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,4})[.)](?=[ \t])")


def opening_phrase(text: str) -> Phrase | None:
    """The phrase that an answer begins with, in place of the answer.

    Several in a row ("Sure! Here are some ideas:") are one, of the first one's kind.
    """
    at = start = _LEAD.match(text).end()  # type: ignore[union-attr]  # matches the empty text, too
    first: PhraseKind | None = None
    end = head_end = at
    while found := _opening_at(text, at):
        kind, head_end, end = found
        first = first or kind
        at = end + len(text[end:]) - len(text[end:].lstrip())
        if kind in (PhraseKind.ANNOUNCEMENT, PhraseKind.SELF):
            break
    return None if first is None else Phrase(start, end, head_end, first)


def _opening_at(text: str, at: int) -> tuple[PhraseKind, int, int] | None:
    for kind, pattern in _OPENINGS:
        if (found := pattern.match(text, at)) is None:
            continue
        if kind is not PhraseKind.ANNOUNCEMENT or text[found.end() - 1] in ".!:,":
            return kind, found.end(), found.end()
        if line := _ANNOUNCED.match(text, found.end()):
            return kind, found.end(), line.end()
    return None


def closing_phrase(text: str) -> Phrase | None:
    """The phrase that an answer ends with, after the answer; of several in a row the span holds all.

    Where nothing stands before it, the phrase is the answer.
    """
    end = len(text.rstrip())
    begin, kind = end, None
    while found := _closing_before(text, begin):
        kind, begin = found
    return None if kind is None or not text[:begin].strip() else Phrase(begin, end, end, kind)


def _closing_before(text: str, end: int) -> tuple[PhraseKind, int] | None:
    tail = text[max(0, end - _LAST) : end]
    for place in sorted((found.end() for found in _SENTENCE_START.finditer(tail)), reverse=True)[:2]:
        for kind, pattern in _CLOSINGS:
            if pattern.match(tail, place):
                begin = end - len(tail) + place
                return (kind, begin) if begin < end and not _IN_LIST.search(tail[:place]) else None
    return None


def styled_spans(text: str) -> list[StyledSpan]:
    """What every token of a text is, in order; white space belongs to none.

    Within fenced and inline code everything is content, the fences are layout. The apostrophe of "don't" goes with the word.
    """
    tokens = tokenize_with_offsets(text)
    kinds = _kinds_of_tokens([token.text for token in tokens])
    zones = _zones(text)
    spans, zone = [], 0
    for token, kind in zip(tokens, kinds, strict=True):
        while zone < len(zones) and zones[zone].end <= token.start:
            zone += 1
        inside = zone < len(zones) and zones[zone].start <= token.start
        spans.append(StyledSpan(token.start, token.end, zones[zone].kind if inside else kind))
    return spans


def _zones(text: str) -> list[StyledSpan]:
    """Stretches of a text that are of one kind whatever their words, by place; none overlaps another."""
    zones = []
    code = list(_FENCE.finditer(text)) if "`" in text or "~~~" in text else []
    for found in code:
        group = 2 if found[1] else 4
        parts = (found.start(), found.start(group), found.end(group), found.end())
        kinds = (StyleKind.LAYOUT, StyleKind.CONTENT, StyleKind.LAYOUT)
        zones += [
            StyledSpan(start, end, kind) for start, end, kind in zip(parts, parts[1:], kinds, strict=False) if start < end
        ]
    for phrase, kind in ((opening_phrase(text), StyleKind.OPENER), (closing_phrase(text), StyleKind.CLOSER)):
        if phrase is not None:
            _add(zones, StyledSpan(phrase.start, phrase.head_end, kind))
    for found in _LIST_MARK.finditer(text):
        _add(zones, StyledSpan(found.start(), found.end(), StyleKind.LAYOUT))
    return zones


def _add(zones: list[StyledSpan], zone: StyledSpan) -> None:
    """Put a stretch among others, by place, unless it overlaps one."""
    place = bisect_right(zones, zone.start, key=lambda other: other.start)
    if (not place or zones[place - 1].end <= zone.start) and (place == len(zones) or zone.end <= zones[place].start):
        zones.insert(place, zone)


_LISTS = {StyleKind.HEDGE: HEDGES, StyleKind.MARKER: MARKERS | FILLERS, StyleKind.FUNCTION: FUNCTION_WORDS}
# What stands after the apostrophe of a shortened word.
_ENDINGS = frozenset("s t d ll ve re m".split())


@cache
def _phrases(left_out: frozenset[str] = frozenset()) -> dict[str, list[tuple[tuple[str, ...], StyleKind]]]:
    """The phrases of all lists as tokens, by their first token, the longest first; of equals the kind that comes first."""
    phrases: dict[tuple[str, ...], StyleKind] = {}
    for kind, words in _LISTS.items():
        for phrase in sorted(words - left_out):
            phrases.setdefault(tuple(tokenize(phrase)), kind)
    by_first: dict[str, list[tuple[tuple[str, ...], StyleKind]]] = defaultdict(list)
    for tokens, kind in sorted(phrases.items(), key=lambda item: -len(item[0])):
        by_first[tokens[0]].append((tokens, kind))
    return by_first


def _kinds_of_tokens(tokens: Sequence[str], left_out: frozenset[str] = frozenset()) -> list[StyleKind]:
    """The twin of `word_kinds` for the tokens of one text."""
    kinds = []
    place = 0
    while place < len(tokens):
        length, kind = 1, StyleKind.CONTENT if is_word(tokens[place]) else StyleKind.LAYOUT
        for phrase, of_phrase in _phrases(left_out).get(tokens[place], ()):
            if tuple(tokens[place : place + len(phrase)]) == phrase:
                length, kind = len(phrase), of_phrase
                break
        kinds += [kind] * length
        place += length
    for place in range(1, len(tokens) - 1):
        is_inside = tokens[place] == "'" and tokens[place + 1] in _ENDINGS and is_word(tokens[place - 1])
        if is_inside and kinds[place] is StyleKind.LAYOUT:
            kinds[place] = StyleKind.FUNCTION
    return kinds


def word_kinds(stream: WordStream, left_out: frozenset[str] = frozenset()) -> NDArray[np.uint8]:
    """What every token of many texts is, as far as its words tell: without code, list marks, openers and closers.

    Args:
        stream: The texts.
        left_out: Words and phrases of the lists that are not to count.

    Returns:
        Positions in `list(StyleKind)`, shape `(n_tokens,)`. A phrase does not go over the end of its text.
    """
    code_of = {kind: number for number, kind in enumerate(StyleKind)}
    number_of = stream.number_of
    kinds = np.where(stream.words, code_of[StyleKind.CONTENT], code_of[StyleKind.LAYOUT]).astype(np.uint8)[stream.ids]
    ends = np.repeat(stream.offsets[1:], np.diff(stream.offsets))  # for every token, where its text ends
    starts: list[NDArray[np.int64]] = []
    lengths: list[NDArray[np.int64]] = []
    codes: list[NDArray[np.uint8]] = []
    order = np.argsort(stream.ids, kind="stable")
    sorted_ids = stream.ids[order]
    for first, phrases in _phrases(left_out).items():
        if first not in number_of:
            continue
        low, high = np.searchsorted(sorted_ids, [number_of[first], number_of[first] + 1])
        places = order[low:high]
        for tokens, kind in phrases:
            hit = places + len(tokens) <= ends[places]
            for step, token in enumerate(tokens[1:], start=1):
                hit[hit] = stream.ids[places[hit] + step] == number_of.get(token, -1)
            found, places = places[hit], places[~hit]
            starts.append(found)
            lengths.append(np.full(len(found), len(tokens)))
            codes.append(np.full(len(found), code_of[kind], np.uint8))
    if not starts:
        return kinds
    start, length, code = np.concatenate(starts), np.concatenate(lengths), np.concatenate(codes)
    by_place = np.argsort(start)
    start, length, code = start[by_place], length[by_place], code[by_place]
    taken = _first_come(start, length)
    for step in range(int(length.max(initial=0))):
        within = taken & (length > step)
        kinds[start[within] + step] = code[within]
    if (apostrophe := number_of.get("'")) is not None:
        places = np.flatnonzero((stream.ids[1:-1] == apostrophe) & (kinds[1:-1] == code_of[StyleKind.LAYOUT])) + 1
        is_ending = np.fromiter((token in _ENDINGS for token in stream.vocabulary), np.bool_, len(stream.vocabulary))
        joins = (places + 1 < ends[places]) & (ends[places - 1] == ends[places])
        joins &= is_ending[stream.ids[places + 1]] & stream.words[stream.ids[places - 1]]
        kinds[places[joins]] = code_of[StyleKind.FUNCTION]
    return kinds


def _first_come(start: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of some spans, by place, are taken by who reads from the left and never goes back."""
    end = start + length
    taken = np.ones(len(start), bool)
    overlaps = np.zeros(len(start), bool)  # with one before it
    overlaps[1:] = start[1:] < np.maximum.accumulate(end)[:-1]
    in_group = overlaps.copy()
    in_group[:-1] |= overlaps[1:]
    free = -1
    for place in np.flatnonzero(in_group).tolist():
        if taken[place] and start[place] >= free:
            free = int(end[place])
        else:
            taken[place] = False
    return taken


@cache
def form_words() -> NDArray[np.uint64]:
    """Hashes, as of `audit.signals.base_words`, of the words that no name or other value is made of."""
    words = {word for phrase in (*MARKERS, *HEDGES, *FUNCTION_WORDS) for word in tokenize(phrase)}
    return hashes_of(sorted(words))[1]
