"""ANS001: a prompt speaks of something that is not in the row, and the response answers as if it were.

What: an English prompt asks about an image, a recording, a file, a table or a text "below", "following", "given" or
"attached", and nothing of the kind is in the prompt or in an earlier turn: no text after it, no list, no quotation, no
number. A stand-in such as `[image of a logo]` or `<excel file>` is nothing; a picture at a URL is a matter of ANS002. Left out
are responses that say that nothing was given or ask for it, and code that treats what was not given as a variable. "Which
of the following" without options is of severity info: such a question is often answered rightly all the same. The finding
names the turn of the response and no place in it, since what is missing has none.

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
from audit.checks.unread_url import unread_url
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK", "missing_thing"]

# Material is longer than an instruction; only what is called attached can be missing from a long prompt.
_LONGEST_INSTRUCTION = 600
# In a longer text a stand-in is a part of the text: a photo sent in a chat that is to be summarised.
_MOST_WORDS_BESIDE, _MOST_LINES_BESIDE = 60, 5

_SEEN = (
    r"images?|pictures?|pics?|photos?|photographs?|paintings?|drawings?|sketch(?:es)?|cartoons?|comics?|memes?|gifs?"
    r"|videos?|clips?|audio(?: (?:files?|clips?|recordings?))?|recordings?|podcasts?|voice (?:messages?|memos?|notes?)"
    r"|voice ?mails?|screenshots?|diagrams?|flow ?charts?|charts?|graphs?|figures?|maps?|x-rays?|scans?|artworks?"
    r"|art pieces?|pieces? of art|illustrations?|posters?|infographics?|plots?|histograms?|circuits?|(?:jigsaw )?puzzles?"
    r"|flags?|logos?|blueprints?|floor ?plans?"
)
_FILES = (
    r"files?|documents?|spreadsheets?|pdfs?|csvs?|csv files?|excel (?:files?|sheets?)|attachments?|slides?|presentations?"
    r"|reports?|resumes?|résumés?|cvs?|contracts?|invoices?|logs?|log files?|transcripts?|datasets?|data|tables?|data ?sets?"
)
_TEXTS = (
    r"passages?|paragraphs?|texts?|articles?|excerpts?|extracts?|essays?|stor(?:y|ies)|poems?|lyrics|verses?|stanzas?|haikus?"
    r"|sentences?|statements?|phrases?|quotes?|quotations?|conversations?|dialogues?|chats?|e-?mails?|letters?|messages?"
    r"|tweets?|posts?|reviews?|comments?|lists?|codes?|code snippets?|snippets?|recipes?|equations?|expressions?|formulas?"
    r"|words?|numbers?|options?|choices?|items?|names?|scenarios?|case stud(?:y|ies)|abstracts?|speech(?:es)?|questions?"
    r"|problems?|inputs?|examples?|headlines?|descriptions?|information|facts?|arrays?|strings?|sets?|sequences?|reactions?"
    r"|ingredients?"
)
_ANY = rf"(?:{_SEEN}|{_FILES}|{_TEXTS})"
_ADJECTIVES = r"(?:(?!(?:of|to|in|for|and|or|is|are|by|with|a|an|the|that)\b)[A-Za-z][\w'’-]* ){0,3}?"

# What comes right after the noun must go on with the instruction; any other word may be the thing itself.
_GOES_ON = (
    r"(?=\s*(?:[.?!,;]|$|\s(?:in|into|to|with|using|by|for|from|of|on|about|without|at|within|through|between|under|like"
    r"|and|or|as|that|which|if|so|then|while|first|below|above|provided|given|attached|shown|here|according|based|such"
    r"|is|are|has|have|was|were|does|do|did|can|could|should|would|contains?|means?|belongs?|depicts?|represents?|shows?"
    r"|describes?|suggests?|says?|tells?"
    r"|correctly|accurately|properly|carefully|alphabetically|appropriately|chronologically|logically|better|best|more|less"
    r"|it|i|you|we)\b))"
)
_THE = r"(?:the|this|these|those|my|your|our|an?)"
_SENT = r"(?:attached|uploaded|enclosed|included|sent|shared|forwarded|pasted|added)"
_COUNTED = r"(?:one|two|three|a|an|your|simple|detail|\d)"
# A time, a course or one who follows is no thing that follows.
_FOLLOWING_TIMES = (
    r"(?:\w+ )?(?:days?|weeks?|weekends?|months?|years?|mornings?|evenings?|nights?|centur\w+|decades?|seasons?|chapters?"
    r"|quarters?|summer|winter|spring|autumn|fall|hours?|minutes?)\b|(?:procedure|process|steps|guide) (?:on|for|of|to)\b"
)
_POINTED_AT = (
    r"passages?|paragraphs?|texts?|articles?|excerpts?|essays?|poems?|sentences?|tables?|datasets?|spreadsheets?|documents?"
    r"|files?|pdfs?|code|code snippets?|conversations?|e-?mails?|equations?|lyrics|reviews?|resumes?|transcripts?"
)
_SEEN_ONES = (
    r"images?|pictures?|photos?|photographs?|paintings?|screenshots?|videos?|audio(?: (?:clip|file|recording))?|recording"
    r"|diagram|chart|graph|cartoon|spreadsheet"
)
_ASKED_OF_IT = r"(?:what|who|how|why|when|where|which)"
_REFERENCES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # "the following words"
        rf"\b(?:the|these|those) following (?!{_FOLLOWING_TIMES}){_ADJECTIVES}(?:{_ANY}|[A-Za-z][\w'’-]*){_GOES_ON}",
        r"\b(?:do|does|of|is|are|requires?|regarding|answer|about|consider|fix|solve|read|translate|summari[sz]e|convert"
        r"|calculate) the following(?=\s*(?:[.?!]|$))",
        r"\bwhich of the following(?=\s*(?:[?]|$))",
        rf"\bfollowing (?:{_ANY}){_GOES_ON}",
        # "the attached file", "the given text", "the passage below", "the report in the attachment"
        rf"\b{_THE} (?:attached|uploaded|enclosed) {_ADJECTIVES}{_ANY}{_GOES_ON}",
        rf"\battached {_ANY}{_GOES_ON}",
        rf"\b(?:the|these|those) (?:given|provided|above|below|supplied|accompanying|aforementioned)"
        rf" {_ADJECTIVES}{_ANY}{_GOES_ON}",
        rf"\b(?:the|these|those|this) {_ADJECTIVES}{_ANY}(?: that (?:is|are|was|were|I)(?: have)?)?"
        r" (?:given |provided |shown |listed |presented |written |pictured |displayed )?"
        r"(?:below|above|attached|provided|uploaded|sent you)\b(?! by\b)",
        rf"\b{_THE} {_ADJECTIVES}{_ANY} in (?:the|my) attachments?\b",
        # "the photo I sent you", "I have attached a file"
        rf"\b(?:the|these|those|this|both|all|each) {_ADJECTIVES}{_ANY} (?:that |which )?(?:I|we)(?:['’]ve| have| had)?"
        rf" (?:just |recently |already )?{_SENT}\b(?! (?:to (?!you\b)|with (?!you\b)|it\b|them\b|in the\b))",
        rf"\bI(?:['’]ve| have)? (?:just )?(?:attached|uploaded|enclosed|included|sent|shared)(?: you)?"
        rf" (?:an?|the|my|some|two|three|several|this) {_ADJECTIVES}{_ANY}",
        rf"\bhere(?:['’]s| is| are) (?:an?|the|my|some) {_ADJECTIVES}(?:{_SEEN}|{_FILES})\b",
        r"\bfind attached\b|\battached (?:is|are) (?:an?|the|my)\b",
        # what one points at: "this painting", "in the picture"
        rf"\b(?:this|these) (?:(?!(?:of|to|in|for|and|or|is|are)\b)[\w'’-]+ ){{0,2}}?(?:{_SEEN}|{_POINTED_AT}){_GOES_ON}",
        rf"\bwhat (?:does|do|is|can you tell from) (?:the|this) (?:{_SEEN})"
        r" (?:shows?|depicts?|represents?|says?|tells?|about)\b",
        rf"(?<!how )\b(?:in|on|from) (?:the|this) (?:{_SEEN_ONES})"
        rf"(?=\s*(?:[.?!,]|$|\s(?:and|is|are|do|does|what|who|to text|in {_COUNTED})\b))",
        r"\b(?:shown|depicted|pictured|seen|happening|displayed|presented|illustrated|going on) in (?:the|this)"
        rf" {_ADJECTIVES}(?:{_SEEN})\b(?! of\b)",
        r"\b(?:describe|caption|look at|analy[sz]e|interpret|examine|identify|listen to|watch|study|transcribe|observe|view)"
        r" (?:what (?:is|you see) in )?(?:the|this) (?:(?!(?:of|to|in|for|and|or|is|are)\b)[\w'’-]+ )?"
        rf"(?:{_SEEN_ONES})(?=\s*(?:[.?!,;]|$|\s(?:and|in {_COUNTED}|for me|carefully|using)\b))",
        # a text that is spoken of as known
        r"\b(?:according to|based on|as (?:stated|mentioned|described) in|from) (?:the|this) (?:passage|text|article|paragraph"
        r"|excerpt|chart|graph|table|image|picture|photo|story|document|figure|map|video)"
        rf"(?=\s*(?:[.?!,;]|$|\s(?:and|{_ASKED_OF_IT})\b))",
        r"\b(?:summari[sz]e|read|translate|paraphrase|analy[sz]e|rewrite|proofread|edit|shorten|review|rephrase|condense"
        r"|simplify|correct) the (?:passage|article|paragraph|text|poem|essay|document|excerpt|e-?mail|code|sentence"
        r"|conversation|transcript|report|letter|pdf|speech)"
        rf"(?=\s*(?:[.?!,;]|$|\s(?:and|in(?:to)? {_COUNTED}|for me|carefully|using|to make)\b))",
    )
)
# Without its options, such a question is often answered rightly all the same.
_WHICH_OF = re.compile(r"(?i)\b(?:which|what|who|any|one|all)\b(?: \w+){0,2} of (?:the|these) following\b")
_ATTACHED = re.compile(
    rf"(?i)\b(?:attached|uploaded|enclosed)\b|^here\b|^I\b|\b(?:I|we)(?:['’]ve| have| had)?(?: \w+)? {_SENT}\b"
    r"|\bin (?:the|my) attachments?$"
)
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
_INSTRUCTS = (
    r"(?:please|use|using|write|include|make|provide|explain|give|output|answer|be|keep|limit|do|don't|highlight|support|then"
    r"|also|return|respond|your|the (?:answer|response|output|summary|result|list)|list|identify|describe|state|add|try|ensure"
    r"|you (?:should|must|can|may|need)|what|how|why|which|who|where|when|is|are|does|can|tell|find|name|note|suggest"
    r"|summari[sz]e|focus|mention|in (?:your|no|one|two|\w+ (?:words|sentences))|each|create|select|choose|determine|compare"
    r"|calculate|convert|rank|sort|classify|translate|analy[sz]e|rewrite|discuss|read|based|assume|show)\b"
)
_GREETS = r"(?:hi|hello|hey|ok|okay|please|good \w+|thanks)\b"
_MORE_INSTRUCTION = re.compile(rf"(?i)^{_INSTRUCTS}")
_UNASKED = re.compile(r"(?i)^(?:what|how|why|which|who|where|when|is|are|does|can)\b.*[^?\s]\s*$", re.DOTALL)
_GREETING = re.compile(rf"(?i)^{_GREETS}")
_ONE_LINERS = re.compile(
    r"(?i)\b(?:sentences?|statements?|questions?|phrases?|problems?|riddles?|commands?|instructions?|equations?|tasks?"
    r"|requests?|queries|query|prompts?|headlines?|quotes?|claims?|tweets?|dialogues?|conversations?|puzzles?|scenarios?"
    r"|words?|topics?)\b"
)
_READ = re.compile(r"(?i)\b(?:read|look|refer|based on|study|see|examine|according|use|using|watch|listen|view|consider)\b")
_WRITTEN_TO_OTHERS = re.compile(
    r"(?i)\b(?:write(?! down)|compose|draft|create|generate|reply)\b[^.?!\n]{0,40}\b(?:e-?mail|letter|message|memo|note|reply"
    r"|response)\b"
)
_ABOUT_ITSELF = re.compile(
    r"(?i)\b(?:words?|letters?|vowels?|characters?|syllables?|consonants?)\b[^.?!]*\bin this (?:sentence|question|text)\b"
)
_GENERIC = re.compile(
    r"(?i)\b(?:data ?sets?|data|arrays?|lists?|strings?|numbers?|files?|tables?|inputs?|values?|sets?|sequences?)\b"
)
# One of these stands in every prompt that is looked at; to find them costs less than a pattern.
_WORDS = (
    "following below above given provided supplied attach upload enclosed includ shared sent pasted added forwarded "
    "accompanying aforementioned this these the ![ <img image pic photo paint drawing cartoon meme gif file url video audio "
    "record graph chart screenshot diagram sheet pdf excel artwork article"
).split()
_POINTS = (
    r"(?i)\b(?:following|below|above|given|provided|supplied|attach(?:ed|ments?)|uploaded|enclosed|included|shared|sent|pasted"
    r"|added|forwarded|this|these|accompanying|aforementioned|here(?: is|['’]s| are)"
    r"|(?:in|at|to|on|from|of|what does|here|find|describe|caption|analy[sz]e|interpret|examine|identify|watch|study"
    r"|transcribe|observe|view|summari[sz]e|read|translate|paraphrase|rewrite|proofread|edit|shorten|review|rephrase|condense"
    r"|simplify|correct) the)\b"
)
# The first sentence refers to something, or it instructs; a quotation would be the thing.
_BEGINS = (
    rf"(?i)\A(?:{_INSTRUCTS}|{_GREETS}|(?:[^.?!]|[.?!]\S)*?(?:\bfollowing\b"
    rf"|\b(?:{_THE[3:-1]}|all|both|each|some|two|three|several) (?:[\w'’-]+ ){{0,3}}?{_ANY}\b))"
)
_QUOTES = r"\w[^\n]{12,}[\"“”`«»]|[\"“”`«»][^\n]{16,}"
_ATTACHES = (
    r"(?i)\b(?:attached|uploaded|enclosed|attachments?)\b|\b(?:sent|shared|included) (?:you )?(?:an?|my|the|some|two)\b"
    r"|\bI(?:['’]ve| have)?(?: \w+)? (?:sent|shared|included|pasted|added|forwarded)\b"
)
_MARKS = (
    r"(?i)!\[|<img|[\[(<{][^\])>}\n]{0,40}(?:image|pic|photo|paint|drawing|cartoon|meme|gif|file|url|video|audio|record|graph"
    r"|chart|screenshot|diagram|attach|sheet|pdf|excel|artwork|article)"
)
_ONE_LINE_OR_QUESTIONS = r"\A[^\n]*(?:\n+[^\n]*(?:\?\s*|(?i:no.?input|none|n/?a|input)\W*))*\z"


def missing_thing(prompt: str) -> str | None:
    """The words by which a prompt speaks of something that it does not hold; `None` where nothing is missing."""
    mark = _STAND_IN.search(prompt)
    alone = len(prompt.split()) <= _MOST_WORDS_BESIDE and len(prompt.split("\n")) <= _MOST_LINES_BESIDE
    if mark and alone and not CODE_TASK.search(prompt) and not _DESCRIBED.search(mark["mark"]):
        return None if unread_url(prompt) else mark["mark"]
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
    return not all(
        (_MORE_INSTRUCTION.match(part) and not _UNASKED.match(part)) or _GREETING.match(part)
        for part in sentences
        if part.strip()
    )


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per response to a prompt that lacks what it speaks of."""
    prompt, responses = pl.col("prompt"), materials.english_responses.select("row", "turn", "prompt", "text", "answer_start")
    attaches = prompt.str.contains_any(["attached", "uploaded", "enclosed"], ascii_case_insensitive=True)
    is_short = prompt.str.len_chars() <= _LONGEST_INSTRUCTION
    short = responses.filter(is_short & prompt.str.contains_any(_WORDS, ascii_case_insensitive=True))
    short = short.with_columns(asked=prompt.str.strip_chars())
    asked = pl.col("asked")
    instructs = short.filter(asked.str.contains(_POINTS)).filter(asked.str.contains(_ONE_LINE_OR_QUESTIONS))
    instructs = instructs.filter(~asked.str.contains(_QUOTES)).filter(asked.str.contains(_BEGINS))
    marked = short.filter(asked.str.contains(_ATTACHES) | asked.str.contains(_MARKS))
    candidates = pl.concat([instructs.drop("asked"), marked.drop("asked"), responses.filter(~is_short & attaches)]).unique(
        maintain_order=True
    )
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
        severity = Severity.INFO if _WHICH_OF.search(prompt) else CHECK.severity
        yield Finding(CHECK.code, row, turn, severity, message, evidence)


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
