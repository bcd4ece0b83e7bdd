"""ANS003: a prompt asks for facts of the moment, and the response states some.

What: an English prompt that is short and holds no text of its own asks for the weather, a price, a score, the news, the
time or date of now, or for who holds an office "currently", and the response answers. A story, a program or a template
about such things is left out, and so is a response that says that it cannot know. Findings about the weather, prices,
scores, news and clocks are warnings; those about slower facts, such as who is president, are of severity info.

Why it matters: such facts were true on one day or never; the model learns to state them as if it could know.

Example: `{"instruction": "What is the weather in Lisbon right now?", "output": "It is 21 °C and sunny."}`.

Fix: put the facts into the prompt, date the question, have the response say where to look, or
`tunescope export --drop ANS003`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.checks.unanswerable import declines, is_code, with_earlier
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK", "current_fact"]

_LONGEST_PROMPT = 220
_NOW = (
    r"(?:right now|at the moment|at present|as of (?:now|today)|currently|now|today|tonight|tomorrow"
    r"|this (?:very )?(?:morning|afternoon|evening|week|weekend|minute|second|instant|hour))"
)
_PRICED = r"(?:stocks?|shares?|bitcoin|btc|ethereum|eth|dogecoin|crypto\w*|gold|silver|oil|gas|gasoline|petrol|crude)"
_RATED = r"(?:price|value|worth|cost|quote|rate)s?"

_SKY = r"(?:weather|temperature|forecast|air\ quality|humidity|traffic|pollen\ count|wind\ speed)"
_FRESH = r"(?:current|latest|today['’]s|present|live|real-time|up-to-date)"
_LATELY = r"(?:last\ night|yesterday|today|tonight|this\ (?:morning|week(?:end)?))"
_SOON = r"(?:today|tonight|tomorrow|this\ (?:week|weekend|month)|next\ (?:week|weekend|month)|right\ now)"
_RIGHT_NOW = r"(?:right\ now|currently|today|at\ the\ moment)"

# What changes by the day, by kind; every part is of one sentence.
_FAST_FORMS = {
    "weather": rf"""
        \b{_SKY}\b [^.?!]{{0,50}} \b{_NOW}\b
        | \b{_NOW}(?:['’]s)?\b [^.?!]{{0,30}} \b{_SKY}\b
        | ^\W*(?:(?:can|could)\ you\ )?(?:please\ )?
            (?:tell\ me\ |report\ |check\ |give\ me\ |provide\ |find\ (?:out\ )?|get\ |look\ up\ |state\ |show\ (?:me\ )?)?
            (?:(?:what|how)(?:['’]s|\ is|\ will)?\ (?:be\ )?)?(?:the\ )?(?:current\ )?
            (?:weather(?:\ forecast)?|temperature(?:\ outside)?|forecast)(?:\ like)?\ (?:be\ |like\ )?
            (?:in|for|of|at|outside|here)\b (?!\ (?:a|an|the\ (?:sun|human|ocean|earth|oven|body))\b)
        | \b(?:is|will)\ it\ (?:going\ to\ )?(?:be\ )?(?:rain|snow|sunny|hot|cold|raining|snowing|windy)\w*\b
            [^.?!]{{0,40}} \b{_NOW}\b
    """,
    "time": r"""
        \bwhat(?:['’]s|\ is)?\ (?:the\ )?(?:day|date|month|year|time)\ (?:is\ (?:it|today)|today|now|right\ now
            |of\ (?:the\ week\ )?today)\b
        | \bwhat\ (?:time|day|date|year|month)(?:\ of\ the\ (?:week|month|year))?\ is\ (?:it|today)\b
            (?!\ (?:in\ the\ (?:story|book|text|film|movie|passage)|when|if))
        | \bhow\ (?:many\ (?:more\ )?(?:days|weeks|months|hours)|long)\b [^.?!]{0,25} \b(?:left|remain\w*|until|till)\b
            [^.?!]{0,15} \b(?:this\ (?:year|month|week|season)|christmas|new\ year|halloween|easter|thanksgiving|summer|winter
            |spring|autumn|fall|the\ weekend)\b
    """,
    "prices": rf"""
        \b(?:stock|share)\ price\ (?:of|for)\b | \b[A-Z]\w+['’]s\ (?:stock|share)\ price\b
        | \b(?:price|cost|value)\ of\ (?:a\ |one\ |an\ ounce\ of\ |a\ barrel\ of\ |a\ gallon\ of\ )?{_PRICED}\b
            (?=\s*(?:[?.!]|$|\s(?:in|today|now|right|per|as|at|on)\b))
        | \bhow\ much\ (?:is|does|are)\b [^.?!]{{0,40}}? (?:\b{_PRICED}\b [^.?!]{{0,12}}? \b(?:worth|cost|trading)\b
            | \b{_RIGHT_NOW}\b)
        | \bexchange\ rate\ (?:between|of|for|from)\b
        | \b{_PRICED}\ {_RATED}\b [^.?!]{{0,30}} \b{_NOW}\b
        | \brates?\b [^.?!]{{0,20}} \b(?:today|now|right\ now)\b
        | \b(?:find|book|get|what(?:['’]s|\ is|\ are))\ (?:me\ )?(?:the\ )?(?:cheapest|best)
            \ (?:flight|ticket|fare|hotel|deal)s?\b [^.?!]{{0,40}} \b{_SOON}\b
    """,
    "fresh": rf"""
        \b{_FRESH}\ (?:[\w.&'’$-]+\ ){{0,3}}? (?:weather|temperature|time|date|stock|share|exchange|price|score|traffic
            |standings|market\ cap|humidity|odds|headlines?|news|conversion\ rate|interest\ rate|mortgage\ rate|gas\ price
            |bitcoin|value\ of|net\ worth)s?\b
        | \btoday['’]s\ (?:date|headlines?|news|top|stories|weather|lunch|menu|specials?|deals?|stock|exchange|market|game
            |match|score)\b
        | \b(?:this\ week|yesterday|this\ month)['’]s\ (?:top\ )?(?:news|headlines?)\b
        | \b(?:latest|breaking|recent|current|top)\ (?:news|headlines?|news\ (?:stories|headlines|story))\b (?!\ articles?\b)
    """,
    "going on": rf"""
        \b(?:what(?:['’]s|\ is|\ are|\ was)?|who|which)\b [^.?!]{{0,60}} \b(?:happening|playing|showing|trending
            |in\ theat(?:er|re)s|on\ tv|on\ television|open|on\ sale|winning|in\ the\ lead|leading|trading|going\ on|streaming
            |news)\b [^.?!]{{0,40}} \b{_NOW}\b
        | \bwhat\ (?:has\ )?happened\b [^.?!]{{0,40}} \b{_LATELY}\b
        | \b(?:currently|now|today)\ (?:playing|showing|trending|trading|in\ theat(?:er|re)s|streaming|happening|on\ sale)\b
        | \b(?:trending|viral|popular)\ (?:topics?|hashtags?|videos?|songs?|searches)?\ ?(?:on\ \w+\ )?
            (?:today|right\ now|now|this\ week|at\ the\ moment)\b
        | \b(?:which|what|who)\b [^.?!]{{0,60}} \b(?:number\ one|no\.?\ ?1|top|charts?|best-?selling|most\W(?:popular|streamed
            |watched|played))\b [^.?!]{{0,30}} \b(?:this\ (?:week|month)|{_RIGHT_NOW})\b
        | \b(?:events?|concerts?|festivals?|shows?|movies|flights?|sales?|deals|auctions?)\b [^.?!]{{0,50}} \b{_SOON}\b
        | \b(?:who|which|what|is|are)\b [^.?!]{{0,40}} \bcurrently\ (?:leading|winning|open|playing|trading|ahead|on|in)\b
        | \bopen\ (?:today|now|right\ now|tonight)\b
        | ^\W*(?:what|which|who|where|how\ (?:many|long|much)|is|are|does)\b (?!\ (?:should|could|can|shall))
            [^.?!]{{0,60}} \b(?:right\ now|tonight|at\ the\ moment|as\ of\ (?:now|today))\W*$
        | \b(?:number|how\ many)\b [^.?!]{{0,50}} \b(?:right\ now|as\ of\ today|today|at\ (?:this|the)\ moment)\b
            (?=\s*[?.!]|\s*$)
        | \bhow\ many\b [^.?!]{{0,60}} \bcurrently\b
    """,
    "sport": rf"""
        \b(?:score|result|outcome|winner)s?\ (?:of|for|in|from)\b [^.?!]{{0,50}} \b(?:{_LATELY}|latest)\b
        | \bwho\ (?:won|is\ winning|scored|played|is\ playing|plays)\b [^.?!]{{0,50}} \b(?:{_LATELY}|right\ now|currently)\b
        | \bwhen\ (?:is|are|does|do|will)\b [^.?!]{{0,30}} \bnext\ (?:\w+\ ){{0,2}}? (?:match|game|fixture|fight|race)\b
    """,
    "travel": rf"""
        \bwhere\ (?:am\ i|is\ the\ (?:nearest|closest))\b | \b(?:nearest|closest)\ \w+(?:\ \w+)?\ (?:to|near)\ me\b
        | \b(?:wait\ time|flight\ status|train\ status|queue|traffic)\b [^.?!]{{0,50}} \b{_RIGHT_NOW}\b
        | \bwhen\ (?:is|are|does|do|will)\b [^.?!]{{0,30}} \bnext\ (?:\w+\ ){{0,2}}? (?:train|bus|flight|ferry|tram|plane)\b
    """,
}
_FAST = re.compile("(?ix)" + "|".join(f"(?:{form})" for form in _FAST_FORMS.values()))
_OFFICES = (
    r"(?:president|prime\ minister|ceo|mayor|governor|champions?|king|queen|pope|chancellor|population|members?|captain|coach"
    r"|record\ holder|chairman|chair|head|leader|minister|secretary|version|rank(?:ing)?s?|unemployment|inflation|rate|record"
    r"|status|minimum\ wage|speaker)"
)
_NEW_THINGS = (
    r"(?:version|release|model|iphone|update|developments?|research|trends?|album|season|movie|film|book|winner|election"
    r"|episode|game|data|statistics|figures|findings|advances?|technology|technologies|innovations?)"
)
_SLOW = re.compile(
    rf"""(?ix)
    \bwho(?:['’]s|\ is|\ are)\ (?:the\ )?(?:current(?:ly)?|reigning|incumbent|present|sitting)\b
    | \bwho\ (?:currently|now)\ (?:is|holds|leads|owns|runs|plays|serves)\b
    | \bwho\ (?:is|are|holds|leads|owns)\b [^.?!]{{0,60}} \b(?:{_RIGHT_NOW}|now)\b
    | \bcurrent\ (?:[\w-]+\ ){{0,2}}?(?:case|infection|death|employment|unemployment|inflation|poll|approval|enrol?lment)
        \ ?(?:rates?|numbers?|counts?|figures?|ratings?)?\b
    | \b(?:name|identify|tell\ me|list|give\ me|state|find|what(?:['’]s|\ is|\ are)|report)\b [^.?!]{{0,30}}
        \b(?:the\ )?current(?:ly\ serving)?\ (?:[\w-]+\ ){{0,3}}?{_OFFICES}\b
    | \b(?:latest|newest|most\ recent)\ (?:[\w.-]+\ ){{0,3}}?{_NEW_THINGS}\b
    | \b(?:released|announced|published|launched|happened|won|coming\ out)\b [^.?!]{{0,30}}
        \b(?:this|last)\ (?:year|month|week|season)\b
    | \b(?:this|last)\ (?:year|month|week|season)['’]s\ \w+
    | \bin\ the\ (?:last|past)\ (?:\w+\ )?(?:day|week|month|24\ hours|hours)s?\b
    | \b(?:current|recent)\ (?:news|event|affairs)s?\b
    | \bwhen\ (?:is|are|does|do|will)\b [^.?!]{{0,30}} \bnext\ (?:\w+\ ){{0,2}}? (?:election|eclipse|full\ moon|concert|show
        |episode|season|launch|release|holiday|meeting)\b
    """
)
_CANDIDATE = (
    r"(?i)\b(?:current|currently|latest|newest|most recent|recent|today|tonight|tomorrow|yesterday|now|at the moment"
    r"|at present|live|real-time|up-to-date|breaking|trending|past|this (?:week|weekend|month|year|season|morning|evening)"
    r"|last (?:night|week|month|year|season)|next|until|till|left|remain\w*"
    r"|weather|temperature|forecast|stock price|share price|price of|cost of|value of|how much|exchange rate|headlines?"
    r"|what (?:time|day|date|year|month)|where am i|nearest|closest"
    r"|reigning|incumbent|who(?:'s|’s| is) the (?:present|sitting))\b"
)
# A task that makes something up on purpose, or asks about the matter in general.
_MAKES = re.compile(
    r"(?i)\b(?:"
    # something written
    r"stor(?:y|ies)|poems?|haikus?|(?<!which )(?<!what )songs?|lyrics|dialog(?:ue)?s?|conversations?|tweets?|posts?|blog"
    r"|essays?|scripts?|sketch|jokes?|fiction(?:al)?|imagin\w+|pretend|suppose|hypothe\w+|scenario|e-?mails?|letters?|invitation"
    r"|speech|slogans?|ad(?:vert\w*)?s?|advertis\w+|captions?|press release|article about"
    r"|news (?:report|article|story) (?:about|on)|create an? (?:report|article)|newspaper|headline (?:about"
    r"|for)|title|template|interview|survey|quiz"
    r"|lesson|curriculum|journal|diary|reflect|metaphor|simile|role ?play"
    # a text to be worked on
    r"|sentences?|paragraphs?|paraphras\w+|rewrit\w+|rephras\w+|translat\w+|classif\w+|categori[sz]e|grammar|spelling"
    r"|questions?|synonyms?|antonyms?"
    # a program
    r"|function|program|code|app|application|website|web ?page|api|query|sql|in (?:python|javascript|java|c\+\+)|html"
    r"|algorithm|formula|system|dashboard|chatbot|bot|design|widget|command"
    # the matter in general, or a plan
    r"|how (?:do|can|could|would|should|to|does)|ways? (?:to|of)|steps?|tips|why|explain how|explain why|difference|define"
    r"|definition|meaning|describe how|best way|methods?|opinion|predict|plan|schedule|to-?do|recipe|reminder|remind|set up"
    r"|book|order|itinerary|day after tomorrow|upcoming \w+ price"
    # the one who is asked
    r"|(?:are|do|did|were) you|you (?:thinking|feeling|doing|wearing|working)"
    r")\b"
)
_WRITES = re.compile(
    r"(?i)^\W*(?:please )?(?:write|compose|generate|create|come up with|submit|make|draft|produce|brainstorm|design|build"
    r"|develop|construct|suggest)\b"
    r"(?!.{0,40}\b(?:summary|overview|list|report|update|table)\b.{0,40}\b(?:current|latest|today['’]s|right now|breaking"
    r"|this week)\b)"
)
_HOLDS_TEXT = re.compile(
    r"[:\n\"“”`]|\b(?:1[5-9]|20)\d\d\b|\b(?:history|historical|century|ancient|traditional|boil\w*|freez\w*|melt\w*|surface of"
    r"|core of|absolute zero|body temperature|room temperature|oven|in general|typically|usually|electric)\b",
    re.IGNORECASE,
)

# "[current date]": the fact is left to be filled in.
_LEFT_OPEN = re.compile(r"[\[{<][\w ]{0,24}(?:date|time|temperature|price|score|name|number|rate)[\]}>]", re.IGNORECASE)
_CURRENT_IN_SYSTEM = re.compile(
    r"(?i)\b(?:current (?:date|time)|today is|today['’]s date|date:|\d{4}-\d\d-\d\d|tools?|search)\b"
)


def current_fact(prompt: str) -> tuple[str, bool] | None:
    """The words by which a prompt asks for facts of the moment, and whether these change by the day; `None` without any."""
    prompt = prompt.strip()
    if _HOLDS_TEXT.search(prompt) or _WRITES.search(prompt) or _MAKES.search(prompt):
        return None
    for pattern, is_fast in ((_FAST, True), (_SLOW, False)):
        if found := pattern.search(prompt):
            return found.group().strip(), is_fast
    return None


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per response that states facts of the moment which its prompt does not hold."""
    prompt = pl.col("prompt").str.strip_chars()
    short = materials.english_responses.filter(prompt.str.len_chars() <= _LONGEST_PROMPT)
    candidates = short.filter(~prompt.str.contains("\n", literal=True) & prompt.str.contains(_CANDIDATE)).select(
        "row", "turn", "prompt", "text", "answer_start"
    )
    asked = [current_fact(prompt) for prompt in candidates["prompt"]]
    asking = candidates.with_columns(
        words=pl.Series([fact and fact[0] for fact in asked], dtype=pl.String),
        fast=pl.Series([fact and fact[1] for fact in asked], dtype=pl.Boolean),
    ).filter(pl.col("words").is_not_null())
    for row, turn, _, text, start, words, fast, system, earlier in with_earlier(materials, asking).iter_rows():
        answer = text[start:]
        if earlier or _LEFT_OPEN.search(answer) or _CURRENT_IN_SYSTEM.search(system) or declines(answer) or is_code(answer):
            continue
        severity = CHECK.severity if fast else Severity.INFO
        evidence = Evidence(measure="facts of the moment that are not in the row", quote=shorten(words))
        message = f"The prompt asks for facts of the moment, “{shorten(words, 60)}”, which are not in the row."
        yield Finding(CHECK.code, row, turn, severity, message, evidence)


CHECK = Check(
    code="ANS003",
    name="facts of the moment",
    severity=Severity.WARNING,
    advice="Put the facts into the prompt, date the question, or have the response say that it cannot know.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.LANGUAGES}),
    english=True,
)
