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

_FAST = re.compile(
    rf"""(?ix)
    \b(?:weather|temperature|forecast|air\ quality|humidity|traffic|pollen\ count|wind\ speed)\b [^.?!]{{0,50}} \b{_NOW}\b
    | \b{_NOW}(?:['’]s)?\b [^.?!]{{0,30}} \b(?:weather|temperature|forecast|air\ quality|traffic|humidity)\b
    | ^\W*(?:(?:can|could)\ you\ )?(?:please\ )?(?:tell\ me\ |report\ |check\ |give\ me\ |provide\ |find\ (?:out\ )?|get\
        |look\ up\ |state\ |show\ (?:me\ )?)?(?:(?:what(?:['’]s|\ is|\ will)?|how(?:['’]s|\ is
            |\ will)?)\ (?:be\ )?)?(?:the\ )?(?:current\ )?(?:weather(?:\ forecast)?|temperature(?:\ outside)?
                |forecast)(?:\ like)?\ (?:be\ |like\ )?(?:in|for|of|at|outside|here)\b(?!\ (?:a|an|the\ (?:sun|human|ocean
                    |earth|oven|body))\b)
    | \b(?:is|will)\ it\ (?:going\ to\ )?(?:be\ )?(?:rain|snow|sunny|hot|cold|raining|snowing
        |windy)\w*\b [^.?!]{{0,40}} \b{_NOW}\b
    | \b(?:current|latest|today['’]s|present|live|real-time|up-to-date)\ (?:[\w.&'’$-]+\ ){{0,3}}? (?:weather|temperature|time
        |date|stock|share|exchange|price|score|traffic|standings|market\ cap|humidity|odds|headlines?|news|conversion\ rate
            |interest\ rate|mortgage\ rate|gas\ price|bitcoin|value\ of|net\ worth)s?\b
    | \bwhat(?:['’]s|\ is)?\ (?:the\ )?(?:day|date|month|year|time)\ (?:is\ (?:it|today)|today|now|right\ now
        |of\ (?:the\ week\ )?today)\b
    | \bwhat\ (?:time|day|date|year|month)\ is\ (?:it|today)\b(?!\ (?:in\ the\ (?:story|book|text|film|movie|passage)|when|if))
    | \btoday['’]s\ (?:date|headlines?|news|top|stories|weather|lunch|menu|specials?|deals?|stock|exchange|market|game|match
        |score)\b
    | \b(?:stock|share)\ price\ (?:of|for)\b | \b[A-Z]\w+['’]s\ (?:stock|share)\ price\b
    | \b(?:price|cost|value)\ of\ (?:a\ |one\ |an\ ounce\ of\ |a\ barrel\ of\ |a\ gallon\ of\ )?{_PRICED}\b(?=\s*(?:[?.!]|$
        |\s(?:in|today|now|right|per|as|at|on)\b))
    | \bhow\ much\ (?:is|does|are)\b [^.?!]{{0,40}}? (?:\b{_PRICED}\b [^.?!]{{0,12}}? \b(?:worth|cost|trading)\b
        | \b(?:right\ now|currently|today|at\ the\ moment)\b)
    | \bexchange\ rate\ (?:between|of|for|from)\b
    | \b(?:latest|breaking|recent|current|top)\ (?:news|headlines?|news\ (?:stories|headlines|story))\b
    | \b(?:what(?:['’]s|\ is|\ are|\ was)?|who|which)\b [^.?!]{{0,60}} \b(?:happening|playing|showing|trending|in\ theaters
        |in\ theatres|on\ tv|on\ television|open|on\ sale|winning|in\ the\ lead|leading|trading|going\ on|streaming
            |news)\b [^.?!]{{0,40}} \b{_NOW}\b
    | \b(?:currently|now|today)\ (?:playing|showing|trending|trading|in\ theaters|in\ theatres|streaming|happening|on\ sale)\b
    | \b(?:trending|viral|popular)\ (?:topics?|hashtags?|videos?|songs?|searches)?\ ?(?:on\ \w+\ )?(?:today|right\ now|now
        |this\ week|at\ the\ moment)\b
    | \b(?:score|result|outcome|winner)s?\ (?:of|for|in|from)\b [^.?!]{{0,50}} \b(?:last\ night|yesterday|today|tonight
        |this\ week(?:end)?|latest)\b
    | \bwho\ (?:won|is\ winning|scored|played|is\ playing|plays)\b [^.?!]{{0,50}} \b(?:last\ night|yesterday|today|tonight
        |this\ (?:week|weekend|morning)|right\ now|currently)\b
    | \b(?:events?|concerts?|festivals?|shows?|movies|flights?|sales?|deals|auctions?)\b [^.?!]{{0,50}} \b(?:happening\
        |scheduled\ |taking\ place\ |going\ on\ |showing\ |playing\ )?(?:today|tonight|tomorrow|this\ (?:week|weekend|month)
            |right\ now|next\ (?:week|weekend|month))\b
    | \b(?:who|which|what|is|are)\b [^.?!]{{0,40}} \bcurrently\ (?:leading|winning|open|playing|trading|ahead|on|in)\b
    | \b{_PRICED}\ {_RATED}\b [^.?!]{{0,30}} \b{_NOW}\b | \brates?\b [^.?!]{{0,20}} \b(?:today|now|right\ now)\b
        | \bopen\ (?:today|now|right\ now|tonight)\b
    | ^\W*(?:what|which|who|where|how\ (?:many|long|much)|is|are|does)\b (?!\ (?:should|could|can
        |shall)) [^.?!]{{0,60}} \b(?:right\ now|tonight|at\ the\ moment|as\ of\ (?:now|today))\W*$
    | \bwhere\ (?:am\ i|is\ the\ (?:nearest|closest))\b | \b(?:nearest|closest)\ \w+(?:\ \w+)?\ (?:to|near)\ me\b
    | \b(?:number|how\ many)\b [^.?!]{{0,50}} \b(?:right\ now|as\ of\ today|today|at\ (?:this|the)\ moment)\b (?=\s*[?.!]|\s*$)
    | \b(?:wait\ time|flight\ status|train\ status|queue|traffic)\b [^.?!]{{0,50}} \b(?:right\ now|currently|today
        |at\ the\ moment)\b
    """
)
_SLOW = re.compile(
    r"""(?ix)
    \bwho(?:['’]s|\ is|\ are)\ (?:the\ )?(?:current(?:ly)?|reigning|incumbent|present|sitting)\b
    | \bwho\ (?:currently|now)\ (?:is|holds|leads|owns|runs|plays|serves)\b | \bwho\ (?:is|are|holds|leads
        |owns)\b[^.?!]{0,60}\b(?:currently|right\ now|at\ the\ moment|now|today)\b
    | \bcurrent\ (?:[\w-]+\ ){0,2}?(?:case|infection|death|employment|unemployment|inflation|poll|approval
        |enrol?lment)\ ?(?:rates?|numbers?|counts?|figures?|ratings?)?\b
    | \b(?:name|identify|tell\ me|list|give\ me|state|find|what(?:['’]s|\ is|\ are)
        |report)\b[^.?!]{0,30}\b(?:the\ )?current(?:ly\ serving)?\ (?:[\w-]+\ ){0,3}?(?:president|prime\ minister|ceo|mayor
            |governor|champions?|king|queen|pope|chancellor|population|members?|captain|coach|record\ holder|chairman|chair
                |head|leader|minister|secretary|version|rank(?:ing)?s?|unemployment|inflation|rate|record|status|minimum\ wage
                    |speaker)\b
    | \b(?:latest|newest|most\ recent)\ (?:[\w.-]+\ ){0,3}?(?:version|release|model|iphone|update|development|developments
        |research|trends?|album|season|movie|film|book|winner|election|episode|game|data|statistics|figures|findings|advances?
            |technology|technologies|innovations?)\b
    | \b(?:released|announced|published|launched|happened|won|coming\ out)\b[^.?!]{0,30}\b(?:this|last)\ (?:year|month|week
        |season)\b
    | \b(?:this|last)\ (?:year|month|week|season)['’]s\ \w+
    | \bin\ the\ (?:last|past)\ (?:\w+\ )?(?:day|week|month|24\ hours|hours)s?\b
    | \b(?:current|recent)\ (?:news|event|affairs)s?\b
    """
)
_CANDIDATE = (
    r"(?i)\b(?:current|currently|latest|newest|most recent|recent|today|tonight|tomorrow|yesterday|now|right now|at the moment"
    r"|at present|weather|temperature|forecast"
    r"|stock price|share price|price of|cost of|value of|exchange rate|breaking|this (?:week|weekend|month|year|season|morning"
    r"|evening)|last (?:night|week|month|year|season)|past|live|real-time|up-to-date|trending|what (?:time|day|date|year|month)"
    r"|how much|who(?:'s|’s| is) the (?:current|reigning|incumbent|present|sitting)|where am i|nearest|closest|headlines?"
    r"|reigning|incumbent|next (?:week|weekend|month))\b"
)
# A task that makes something up on purpose, or asks about the matter in general.
_MAKES = re.compile(
    r"(?i)\b(?:stor(?:y|ies)|poems?|haikus?|songs?|lyrics|dialog(?:ue)?s?|day after tomorrow|conversations?|tweets?|posts?"
    r"|blog|essays?|scripts?|sketch|jokes?|fiction(?:al)?|imagin\w+|pretend|suppose|hypothe\w+|scenario"
    r"|e-?mails?|letters?|invitation|speech|slogans?|ad(?:vert\w*)?s?|captions?|sentences?|paragraphs?|paraphras\w+|rewrit\w+"
    r"|rephras\w+|translat\w+|classif\w+|categori[sz]e|grammar|spelling|questions?|role ?play"
    r"|function|program|code|app|application|website|web ?page|api|query|sql|in (?:python|javascript|java|c\+\+)|html"
    r"|algorithm|formula|system|dashboard|chatbot|bot|design|widget|command"
    r"|how (?:do|can|could|would|should|to|does)|ways? (?:to|of)|steps?|tips|why|explain how|explain why|difference|define"
    r"|definition|meaning|describe how|best way|methods?|plan|schedule|to-?do|recipe|reminder|remind|set up|book|order"
    r"|template|interview|survey|quiz|lesson|curriculum|predict|opinion|headline (?:about|for)|title|metaphor|simile|synonyms?"
    r"|antonyms?|advertis\w+|press release|article about|news (?:report|article|story) (?:about|on)|create an? (?:report"
    r"|article)|newspaper|itinerary|reflect|journal|diary)\b"
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
        if earlier or _CURRENT_IN_SYSTEM.search(system) or declines(answer) or is_code(answer):
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
