"""ANS001: a prompt speaks of something that is not in the row, and the response answers as if it were.

What: an English prompt asks about an image, a recording, a file, a table or a text "below", "following", "given" or
"attached", and nothing of the kind is in the prompt or in an earlier turn: no text after it, no list, no quotation, no
number. A stand-in such as `[image of a logo]` or `<excel file>` is nothing. Left out are responses that say that nothing
was given or ask for it, and code that treats what was not given as a variable.

Why it matters: nobody could answer this; what the response says is invented, and the model learns to invent.

Example: `{"instruction": "Describe the following painting.", "output": "Two riders cross a river at dusk."}`.

Fix: supply what is missing, have the response ask for it, or `tunescope export --drop ANS001`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.checks.unanswerable import CODE_TASK, declines, is_code, with_earlier
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK", "missing_thing"]

# Material is longer than an instruction; only what is called attached can be missing from a long prompt.
_LONGEST_INSTRUCTION = 600
# In a longer text a stand-in is a part of the text: a photo sent in a chat that is to be summarised.
_MOST_WORDS_BESIDE, _MOST_LINES_BESIDE = 60, 5

_SEEN = (
    r"images?|pictures?|pics?|photos?|photographs?|paintings?|drawings?|sketch(?:es)?|cartoons?|comics?|memes?|gifs?|videos?"
    r"|clips?|audio(?: (?:files?|clips?|recordings?))?|recordings?|podcasts?|screenshots?|diagrams?|flow ?charts?|charts?"
    r"|graphs?|figures?|maps?|x-rays?|scans?|artworks?|art pieces?|pieces? of art|illustrations?|posters?|infographics?"
    r"|plots?|histograms?|circuits?|puzzles?|jigsaw puzzles?|flags?|logos?|blueprints?|floor ?plans?"
)
_FILES = (
    r"files?|documents?|spreadsheets?|pdfs?|csvs?|csv files?|excel (?:files?|sheets?)|attachments?|slides?|presentations?"
    r"|reports?|resumes?|résumés?|cvs?|contracts?|invoices?|logs?|log files?|transcripts?|datasets?|data|tables?|data ?sets?"
)
_TEXTS = (
    r"passages?|paragraphs?|texts?|articles?|excerpts?|extracts?|essays?|stor(?:y|ies)|poems?|lyrics|verses?|stanzas?|haikus?"
    r"|sentences?|statements?|phrases?|quotes?|quotations?|conversations?|dialogues?|chats?|e-?mails?|letters?|messages?"
    r"|tweets?"
    r"|posts?|reviews?|comments?|lists?|codes?|code snippets?|snippets?|recipes?|equations?|expressions?|formulas?|words?"
    r"|numbers?|options?|choices?|items?|names?|scenarios?|case stud(?:y|ies)|abstracts?|speech(?:es)?|questions?|problems?"
    r"|inputs?|examples?|headlines?|descriptions?|information|facts?|arrays?|strings?|sets?|sequences?|reactions?|ingredients?"
)
_ANY = rf"(?:{_SEEN}|{_FILES}|{_TEXTS})"
_ADJECTIVES = r"(?:(?!(?:of|to|in|for|and|or|is|are|by|with|a|an|the|that)\b)[A-Za-z][\w'’-]* ){0,3}?"

# What comes right after the noun must go on with the instruction; any other word may be the thing itself.
_GOES_ON = (
    r"(?=\s*(?:[.?!,;]|$|\s(?:in|into|to|with|using|by|for|from|and|or|as|of|that|is|are|so|on|about|according|based|without|at"
    r"|while|then|which|if|has|have|was|were|does|do|did|can|could|should|would|contains?|means?|belongs?|such|correctly|under"
    r"|within|through"
    r"|between|below|above|provided|given|attached|shown|here|accurately|properly|first|carefully|alphabetically|better|more"
    r"|less|like|appropriately|chronologically|logically|depicts?|represents?|shows?|describes?|suggests?|says?|tells?|best|it"
    r"|i|you|we)\b))"
)
_REFERENCES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # "the following", of whatever: a time, a course or one who follows is none
        rf"\b(?:the|these|those) following (?!(?:\w+ ){{0,1}}(?:days?|weeks?|weekends?|months?|years?|mornings?|evenings?"
        rf"|nights?|centur\w+"
        rf"|decades?|seasons?|chapters?|quarters?|summer|winter|spring|autumn|fall|hours?|minutes?)\b){_ADJECTIVES}(?:{_ANY}"
        rf"|[A-Za-z][\w'’-]*){_GOES_ON}",
        r"\b(?:do|does|of|is|are|requires?|regarding|answer|about|consider|fix|solve|read|translate|summari[sz]e|convert"
        r"|calculate)"
        r" the following(?=\s*(?:[.?!]|$))",
        r"\bwhich of the following(?=\s*(?:[?]|$))",
        rf"\bfollowing (?:{_ANY}){_GOES_ON}",
        # "the given text", "the passage below", "the attached file", "the above chart"
        rf"\b(?:the|this|these|my|your|our|an?) (?:attached|uploaded|enclosed) {_ADJECTIVES}{_ANY}{_GOES_ON}",
        rf"\battached (?:{_SEEN}|{_FILES}|{_TEXTS}){_GOES_ON}",
        rf"\b(?:the|these|those) (?:given|provided|above|below|supplied|accompanying"
        rf"|aforementioned) {_ADJECTIVES}{_ANY}{_GOES_ON}",
        rf"\b(?:the|these|those|this) {_ADJECTIVES}{_ANY}(?: that (?:is|are|was|were|I)(?: have)?)?"
        r" (?:given |provided |shown |listed |presented |written |pictured |displayed )?(?:below|above|attached|provided"
        r"|uploaded|sent you)\b(?! by\b)",
        rf"\bI(?:'ve|’ve| have)? (?:just )?(?:attached|uploaded|enclosed|included|sent|shared)(?: you)?"
        rf" (?:an?|the|my|some|two|three|several|this) {_ADJECTIVES}{_ANY}",
        # what one points at
        rf"\b(?:this|these) (?:(?!(?:of|to|in|for|and|or|is|are)\b)[\w'’-]+ ){{0,2}}?(?:{_SEEN}|passages?|paragraphs?|texts?"
        rf"|articles?|excerpts?|essays?|poems?|sentences?|tables?|datasets?"
        rf"|spreadsheets?|documents?|files?|pdfs?|code|code snippets?|conversations?|e-?mails?|equations?|lyrics|reviews?"
        rf"|resumes?|transcripts?){_GOES_ON}",
        r"\bhere(?:['’]s| is| are) (?:an?|the|my|some) " + rf"{_ADJECTIVES}(?:{_SEEN}|{_FILES})\b",
        r"\bfind attached\b|\battached (?:is|are) (?:an?|the|my)\b",
        rf"\bwhat (?:does|do|is|can you tell from) (?:the|this) (?:{_SEEN}) (?:shows?|depicts?|represents?|says?|tells?"
        rf"|about)\b",
        r"(?<!how )\b(?:in|on|from) (?:the|this) (?:images?|pictures?|photos?|photographs?|paintings?|screenshots?|videos?"
        r"|audio(?: clip)?"
        r"|recording|diagram|chart|graph|spreadsheet)(?=\s*(?:[.?!,]|$|\s(?:and|is|are|do|does|what|who|to text|in (?:one|two"
        r"|three|a|your|\d))\b))",
        rf"\b(?:shown|depicted|pictured|seen|happening|displayed|presented|illustrated|going on) in (?:the"
        rf"|this) {_ADJECTIVES}(?:{_SEEN})\b(?! of\b)",
        r"\b(?:describe|caption|look at|analy[sz]e|interpret|examine|identify|listen to|watch|study|transcribe|observe|view)"
        r" (?:what (?:is|you see) in )?(?:the|this) (?:(?!(?:of|to|in|for|and|or|is|are)\b)[\w'’-]+ ){0,1}(?:images?"
        r"|pictures?|photos?|photographs?|paintings?|videos?|audio(?: clip| file| recording)?|recording|screenshot|diagram"
        r"|chart|graph|cartoon)(?=\s*(?:[.?!,;]|$|\s(?:and|in (?:one|two|a|your|detail|\d)|for me|carefully|using)\b))",
        r"\b(?:according to|based on|as (?:stated|mentioned|described) in|from) (?:the|this) (?:passage|text|article|paragraph"
        r"|excerpt|chart|graph|table|image|picture|photo|story|document|figure|map|video)(?=\s*(?:[.?!,;]|$|\s(?:and|what|who"
        r"|how|why|when|where|which)\b))",
        r"\b(?:summari[sz]e|read|translate|paraphrase|analy[sz]e|rewrite|proofread|edit|shorten|review|rephrase|condense"
        r"|simplify|correct)"
        r" the (?:passage|article|paragraph|text|poem|essay|document|excerpt|e-?mail|code|sentence|conversation|transcript"
        r"|report|letter|pdf|speech)(?=\s*(?:[.?!,;]|$|\s(?:and|in(?:to)? (?:one|two|three|a|an|your|simple|\d)|for me"
        r"|carefully|using|to make)\b))",
    )
)
_ATTACHED = re.compile(r"(?i)\b(?:attached|uploaded|enclosed)\b|^here\b|^I\b")
_HOW_TO = re.compile(r"(?i)^\W*(?:how (?:do|can|to|would|should|could)|what (?:are|is) the (?:steps|best way))\b")
_ABOUT_WHAT_IS_READ = re.compile(
    r"(?i):\s*(?:what|who|why|how|where|when|which)\b[^:]*\b(?:author|passage|text|article|narrator|speaker|story|main|image"
    r"|picture|poem|character|writer)\b[^:]*\?\s*$"
)
_SHOWN = re.compile(rf"(?i)\b(?:{_SEEN})\b")
_STAND_IN = re.compile(
    r"""(?imx)
    (?:^|[:.?!]) [^\S\n]* (?P<mark>
        [\[(<{] \s* (?:(?:an?|the|insert|see|attach(?:ed)?|link|url|to|of|upload(?:ed)?|your|here|add|some|this|open|
            \w+(?:['’]s)?) \s+){0,3}?
        (?:images?|pictures?|pics?|photos?|photographs?|paintings?|drawings?|cartoons?|memes?|gifs?|videos?|audio|recordings?|
           screenshots?|diagrams?|charts?|graphs?|attachments?|files?|spreadsheets?|pdf|excel|artworks?|article|url)
        (?:[\s_-]+(?:\d+|here|attached|url|link|file|omitted|removed|placeholder|below|above|goes|of|an?|the
            |[\w'’-]+)){0,4} (?::\s*[\w.-]+)?
        \s* [\])>}]
    | !\[[^\]\n]*\]\([^)\s]+\) | <img\b[^>]*> )
    [\s.]* $
    """
)
_DESCRIBED = re.compile(r"(?i)\b(?:of|showing|shows|depicting|with)\s+(?:[\w'’-]+\s+){3,}[\w'’-]+|\balt=|:\s*\w+\s+\w+\s+\w+")
_NOT_GIVEN = re.compile(
    r"(?im)^[\s\"'<\[({]*(?:no[\s-]?(?:input|text|context)?|none|n\W?/?\W?a|input|insert\b.{0,40}|your (?:text"
    r"|input)\b.{0,20})[\s\"'>\])}.]*$"
)
# Something that could be the thing itself: a quotation, a colon, figures, code, a list.
_MATERIAL = re.compile(r"[\"“”«»‘`:=<>{}|\[\]$€£#@]|(?<![\w])['’]|\d|\s[-–—]+\s|\.\.\.|…|[^\x00-\x7f‘’“”–—é]")
_MORE_INSTRUCTION = re.compile(
    r"(?i)^(?:please|use|using|write|include|make|provide|explain|give|output|answer|be|keep|limit|do|don't|highlight|support"
    r"|then|also|return|respond|your|the (?:answer|response|output|summary|result|list)|list|identify|describe|state|add|try"
    r"|ensure|you (?:should|must|can|may|need)|what|how|why|which|who|where|when|is|are|does|can|tell|find|name|note|suggest"
    r"|summari[sz]e|focus|mention|in (?:your|no|one|two|\w+ (?:words|sentences))|each|create|select|choose|determine|compare"
    r"|calculate|convert|rank|sort|classify|translate|analy[sz]e|rewrite|discuss|read|based|assume|show)\b"
)
_ONE_LINERS = re.compile(
    r"(?i)\b(?:sentences?|statements?|questions?|phrases?|problems?|riddles?|commands?|instructions?|equations?|tasks?"
    r"|requests?"
    r"|queries|query|prompts?|headlines?|quotes?|claims?|tweets?|dialogues?|conversations?|puzzles?|scenarios?|words?"
    r"|topics?)\b"
)
_GREETING = re.compile(r"(?i)^(?:hi|hello|hey|ok|okay|please|good \w+|thanks)\b")
_READ = re.compile(r"(?i)\b(?:read|look|refer|based on|study|see|examine|according|use|using|watch|listen|view|consider)\b")
_WRITTEN_TO_OTHERS = re.compile(
    r"(?i)\b(?:write|compose|draft|create|generate|reply)\b[^.?!\n]{0,40}\b(?:e-?mail|letter|message|memo|note|reply"
    r"|response)\b"
)
_ABOUT_ITSELF = re.compile(
    r"(?i)\b(?:words?|letters?|vowels?|characters?|syllables?|consonants?)\b[^.?!]*\bin this (?:sentence|question|text)\b"
)
_GENERIC = re.compile(
    r"(?i)\b(?:data ?sets?|data|arrays?|lists?|strings?|numbers?|files?|tables?|inputs?|values?|sets?|sequences?)\b"
)
_POINTS = (
    r"(?i)\b(?:following|below|above|given|provided|supplied|attached|uploaded|enclosed|included|shared|sent|this|these"
    r"|accompanying"
    r"|aforementioned|(?:in|at|to|on|from|of|what does|here|find|describe|caption|analy[sz]e|interpret|examine|identify|watch"
    r"|study|transcribe|observe|view"
    r"|summari[sz]e|read|translate|paraphrase|rewrite|proofread|edit|shorten|review|rephrase|condense|simplify|correct) the"
    r"|here is|here['’]s|here are)\b"
)
_ATTACHES = r"(?i)\b(?:attached|uploaded|enclosed)\b|\b(?:sent|shared|included) (?:you )?(?:an?|my|the|some|two)\b"
_MARKS = (
    r"(?i)!\[|<img|[\[(<{][^\])>}\n]{0,40}(?:image|pic|photo|paint|drawing|cartoon|meme|gif|file|url|video|audio|record|graph"
    r"|chart"
    r"|screenshot|diagram|attach|sheet|pdf|excel|artwork|article)"
)
_ONE_LINE_OR_QUESTIONS = r"\A[^\n]*(?:\n+[^\n]*(?:\?\s*|(?i:no.?input|none|n/?a|input)\W*))*\z"


def missing_thing(prompt: str) -> str | None:
    """The words by which a prompt speaks of something that it does not hold; `None` where nothing is missing."""
    mark = _STAND_IN.search(prompt)
    alone = len(prompt.split()) <= _MOST_WORDS_BESIDE and len(prompt.split("\n")) <= _MOST_LINES_BESIDE
    if mark and alone and not CODE_TASK.search(prompt) and not _DESCRIBED.search(mark["mark"]):
        return mark["mark"]
    bare = _NOT_GIVEN.sub("", prompt).strip()
    if _ABOUT_ITSELF.search(bare) or _HOW_TO.search(bare):
        return None
    for pattern in _REFERENCES:
        found = pattern.search(bare)
        if found is None:
            continue
        words = found.group()
        called_attached = _ATTACHED.search(words) is not None
        if called_attached:
            if not _WRITTEN_TO_OTHERS.search(bare) and not _holds_material(bare[found.end() :]):
                return words
        elif len(bare) <= _LONGEST_INSTRUCTION and _is_all_instruction(bare, found):
            return words
    return None


def _holds_material(rest: str) -> bool:
    """Whether lines or a colon bring something after a file was called attached."""
    parts = re.split(r"\n|:\s", rest, maxsplit=1)
    return len(parts) > 1 and len(parts[1].split()) >= 5 and not _MORE_INSTRUCTION.match(parts[1].strip())


def _is_all_instruction(prompt: str, found: re.Match[str]) -> bool:
    """Whether the prompt around a reference is instruction alone, and so holds nothing that it could refer to."""
    words = found.group()
    lines = [line.strip() for line in prompt.splitlines() if line.strip()]
    if len(lines) > 1:  # a line of its own is the thing itself, unless it asks about what is to be read or seen
        asks = all(line.endswith("?") for line in lines if words not in line)
        if not asks or _ONE_LINERS.search(words) or not _READ.search(prompt):
            return False
        prompt = " ".join(lines)
    start = prompt.find(words)
    before, rest = prompt[:start], prompt[start + len(words) :]
    end = re.search(r"[.?!](?:\s|$)", rest)
    sentence, more = (rest, "") if end is None else (rest[: end.end()], rest[end.end() :].strip())
    if _ABOUT_WHAT_IS_READ.match(sentence[max(sentence.find(":"), 0) :]):
        sentence = sentence[: sentence.find(":")]
    if _MATERIAL.search(sentence) and not re.fullmatch(
        r"[^:\"“]*?\b(?:in|to|into|than|with|as|by|least|most|under)\s(?:\w+\s){0,2}\d[\d,.]*%?\s?[\w-]*(?:\s[\w-]+){0,6}\W*",
        sentence,
    ):
        return False
    if re.search(
        r"(?i)\b(?:topics?|themes?|subjects?|areas?|terms?|criteria|requirements?|features?|characteristics?|conditions?)\b",
        words,
    ) and (re.match(r"\s*(?:,|of|in|from|for|as|and|about|to)\b", sentence) or "," in sentence):
        return False
    if re.match(r",\s+[A-Z]", sentence):  # "the following country, Peru"
        return False
    if CODE_TASK.search(prompt) and not re.search(r"(?i)\bfollowing|below|attached\b", words):
        return False
    if more:
        if _ONE_LINERS.search(words) and not _SHOWN.search(words):
            return False
        sentences = [part for part in re.split(r"(?<=[.?!])\s+", more) if part]
        if not all(_MORE_INSTRUCTION.match(part) for part in sentences) or _MATERIAL.search(more.replace("'", "")):
            return False
    return not before.strip() or not _tells_something(before, words)


def _tells_something(before: str, words: str) -> bool:
    """Whether the text before a reference could be what it refers to: whole sentences, a quotation, a colon."""
    if re.search(r"[\"“”`:]|[^\s.?!,;]\s+(?:What|Is|Does|How|Which|Who|Are)\b", before):
        return True
    *sentences, _ = re.split(r"(?<=[.?!])\s+", before + " ") if not before.endswith(" ") else re.split(r"(?<=[.?!])\s+", before)
    return not all(_MORE_INSTRUCTION.match(part) or _GREETING.match(part) for part in sentences if part.strip())


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per response to a prompt that lacks what it speaks of."""
    prompt, responses = pl.col("prompt").str.strip_chars(), materials.english_responses
    is_short = prompt.str.len_chars() <= _LONGEST_INSTRUCTION
    attaches = pl.col("prompt").str.contains_any(["attached", "uploaded", "enclosed"], ascii_case_insensitive=True)
    instructs = prompt.str.contains(_ONE_LINE_OR_QUESTIONS) & prompt.str.contains(_POINTS)
    candidates = pl.concat(
        [
            responses.filter(is_short).filter(instructs | prompt.str.contains(_ATTACHES) | prompt.str.contains(_MARKS)),
            responses.filter(~is_short & attaches),
        ]
    ).select("row", "turn", "prompt", "text", "answer_start")
    lacking = candidates.with_columns(
        missing=pl.Series([missing_thing(prompt) for prompt in candidates["prompt"]], dtype=pl.String)
    ).filter(pl.col("missing").is_not_null())
    for row, turn, prompt, text, start, missing, system, earlier in with_earlier(materials, lacking).iter_rows():
        answer = text[start:]
        if earlier or len(system) > _LONGEST_INSTRUCTION or declines(answer):
            continue
        if is_code(answer) and (_GENERIC.search(missing) or CODE_TASK.search(prompt)):
            continue
        evidence = Evidence(measure="reference to something that is not in the row", quote=shorten(missing))
        message = f"The prompt speaks of “{shorten(missing.strip(), 60)}”, which is not in the row."
        yield Finding(CHECK.code, row, turn, CHECK.severity, message, evidence)


CHECK = Check(
    code="ANS001",
    name="missing attachment",
    severity=Severity.WARNING,
    advice="Supply what the prompt speaks of, or have the response ask for it.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.LANGUAGES}),
    english=True,
)
