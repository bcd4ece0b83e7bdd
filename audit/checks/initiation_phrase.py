"""STY003: an answer begins or ends with a phrase that belongs to no answer.

What: English. The answer opens by agreeing to help ("Sure!", "I'd be happy to help"), by praising or thanking for the
question ("Great question!"), by greeting, by speaking of itself ("As an AI language model,") or by announcing itself ("Here
are some tips for …:"), or it closes by hoping that it helped, by offering more help or with a wish ("I hope this helps!",
"Let me know if you have any questions", "Good luck!"). An announcement alone, or a wish, is of severity info. Left out are
letters, dialogues, posts and speeches that were asked for, in stories and other texts phrases that speak neither of help nor
of a question, replies to greetings, small talk and yes-or-no questions, and phrases that the prompt gives itself.

Why it matters: openers are the tokens that LoRA tuning shifts most (Ghosh et al. 2024): with them a model takes over how the
dataset's author begins to speak, whether or not it knows what comes next.

Example: `{"instruction": "Name two salts.", "output": "Sure! Halite and sylvite. I hope this helps!"}`.

Fix: cut the phrase; the answer stands without it. Or `tunescope export --drop STY003`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.checks.passages import ANSWER
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need
from audit.style.lexicon import Phrase, PhraseKind, closing_phrase, opening_phrase
from audit.style.need import request_text
from indexes.words import tokenize

__all__ = ["CHECK"]

# What the columnar search looks for first: wider than the phrases themselves. Rust's syntax.
_MAY_OPEN = (
    r"(?i)^[\s\"'“*_#>]*(?:sure|certainly|absolutely|of course|definitely|no problem|no worries|ok|alright|all right|got it|"
    r"understood|gladly|with pleasure|my pleasure|i['’]|i am|i would|i will|i can|i have|i love|i like|i appreciate|let|"
    r"allow me|yes|oh|ah|why|well|now|so\b|first|you|happy|glad|always|more than|delighted|many thanks|what|that|this|these|"
    r"wow|it['’]|it is|it would|an? |such|really|very|truly|great|good|excellent|interesting|wonderful|fantastic|fascinating|"
    r"thoughtful|important|insightful|nice|brilliant|lovely|intriguing|terrific|awesome|amazing|superb|relevant|clever|thought|"
    r"thank|hello|hi\b|hey\b|greetings|as an?|here|below|the following|following|in |to answer|answering|regarding)"
)
_MAY_CLOSE = (
    r"(?i)(?:\bhop(?:e|ing|efully)\b|\btrust\b|\blet me know\b|\btell me\b|\bfeel free\b|\bhesitate\b|\bshy\b|"
    r"\banything\b|\bquestions?\b|\bhelp\b|\bhelped\b|\bassist|\bwould you like\b|\bdo you (?:have|need|want)\b|\bif\b|"
    r"\bwhen(?:ever)?\b|\bin case\b|\bshould\b|\b(?:happy|glad|pleased|delighted|here|ready|around|available) (?:to|if|for)\b|"
    r"\b(?:can|may|could|shall) i\b|\bwant me\b|\bluck\b|\ball the best\b|\bwish|\bneed\b|\breach out\b|\bask\b|"
    r"\bhappy [a-z]+ing\b|\bhave (?:a|fun|great|good)\b|\benjoy\b|\bon app|\bwelcome\b|\bthank(?:s| you) for\b|\btake care\b|"
    r"\bstay\b)"
)
# Somebody else speaks, or speaks to somebody: any phrase is then part of what was asked for.
_SPEAKS = re.compile(
    r"(?i)\b(?:letters?|e-?mails?|messages?|dialog(?:ue)?s?|conversations?|speech|role[- ]?play\w*|act as|acting as|"
    r"pretend|imagine|scripts?|reply|replies|respond|respon[sc]es?|greet\w*|invitation|invite|toast|tweets?|advert\w*|ads?|"
    r"commercials?|announce\w*|voice ?mail|welcom\w+|thank\w*|apolog\w+|chat\w*|bots?|customers?|clients?|interview\w*|"
    r"monologue|presentation|pitch|postcard|memo|complaint|sms|texts? (?:to|message)|reviews?|testimonial|blog|posts?|"
    r"say|saying|said|speak\w*|talk\w*|quotes?|proposal|persona|as if|congratulat\w+|hello|hi|hey|how are you|"
    r"good (?:morning|evening|afternoon)|phone|podcast|video|broadcast|sales|outreach|newsletter|quotation|phrases?|"
    r"translat\w+|"
    r"rewrite|rephrase|paraphrase|edit|proofread|transcri\w+|continue|assistant|farewell|goodbye|closing|opening|cover|"
    r"introduc\w+ (?:yourself|myself)|^as an? \w+|you are|you['’]re|your (?:name|day|opinion)|feedback)\b"
)
# What is written may hold a phrase, too, unless it speaks of what was asked here.
_WRITES = re.compile(
    r"(?i)\b(?:slogans?|jingle|cards?|captions?|notes?|voice|perspective|point of view|wishes|story|stories|poems?|"
    r"lyrics|songs?|rap|play|scene|narrat\w+|joke|riddle|diary|journal|novel|fiction|sentences?|correct|complete|finish|fill|"
    r"wish\w*|tutorial|instructions? (?:for|to)|brochure|flyer|signs?|menu|landing page|headlines?|titles?|product|copy|"
    r"marketing|promot\w+|introduct\w+|application|request|paragraph|profiles?|bios?|essay|article|statements?|comments?|"
    r"summari[sz]e|compliments?|slides?)\b"
)
_TO_ASKER = re.compile(
    r"(?i)\b(?:help\w*|assist\w*|your (?:request|query|prompt|inquiry)|questions?|let me know|feel free|asking|you asked|"
    r"here(?:['’]s| is| are))\b"
)
_YES_NO = re.compile(
    r"(?i)(?:^|[.!?\n,]\s*)(?:is|are|was|were|do|does|did|can|could|has|have|had|should|would|will|may|am|isn['’]t|aren['’]t|"
    r"don['’]t|shouldn['’]t|wouldn['’]t)\s+(?!you\s+(?:please\s+)?(?!think|like|believe|agree|prefer|have|know|"
    r"want)\w+)[^.!?\n]{2,300}\?"
)
_ABOUT_IT = re.compile(
    r"(?i)(?<!can )(?<!could )(?<!would )(?<!will )\b(?:you|your|yourself|AI|language model|chatgpt|robot)\b"
)
_OFFERS = re.compile(r"(?i)\b(?:help|assist|here(?:['’]s| is| are)|below|i can|i['’]d be|i would be|i['’]ll|let me)\b")
_SEVERE = frozenset({PhraseKind.AGREEMENT, PhraseKind.PRAISE, PhraseKind.SELF, PhraseKind.HOPE, PhraseKind.OFFER})
# What is left of an answer without the phrase; with less, the phrase is the answer.
_MIN_REST_WORDS = 3


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per answer with such a phrase: at its beginning, or else at its end."""
    text = pl.col("text")
    head = text.str.slice(pl.col("answer_start"), 60)
    candidates = materials.english_responses.filter(
        head.str.contains(_MAY_OPEN) | text.str.slice(-400).str.contains(_MAY_CLOSE)
    ).with_columns(answer=ANSWER)
    for row, turn, prompt, offset, answer in candidates.select("row", "turn", "prompt", "answer_start", "answer").iter_rows():
        opens, closes = opening_phrase(answer), closing_phrase(answer)
        if opens is None and closes is None:
            continue
        if _SPEAKS.search(request_text(prompt)):
            continue
        if opens is not None and not _is_unasked(opens, prompt, answer):
            opens = None
        if closes is not None and (closes.start <= (opens.end if opens else 0) or not _is_unasked(closes, prompt, answer)):
            closes = None
        if (phrase := opens or closes) is None:
            continue
        both = opens is not None and closes is not None
        severity = CHECK.severity if any(one and one.kind in _SEVERE for one in (opens, closes)) else Severity.INFO
        quote = answer[phrase.start : phrase.end]
        where = "begins" if opens is not None else "ends"
        more = f", and ends with one that {closes.kind}" if both and closes is not None else ""
        message = f"The answer {where} with a phrase that {phrase.kind}{more}: “{shorten(quote, 60)}”."
        evidence = Evidence(
            "phrases that open or close an answer",
            1 + both,
            1,
            span=(offset + phrase.start, offset + phrase.end),
            quote=shorten(quote),
        )
        yield Finding(CHECK.code, row, turn, severity, message, evidence)


def _is_unasked(phrase: Phrase, prompt: str, answer: str) -> bool:
    """Whether a phrase stands beside an answer, and is no part of one."""
    said = answer[phrase.start : phrase.head_end]
    rest = answer[: phrase.start] + answer[phrase.end :]
    if len(tokenize(rest)) < _MIN_REST_WORDS or " ".join(tokenize(said)[:4]) in " ".join(tokenize(prompt)):
        return False
    whole = answer[phrase.start : phrase.end]
    speaks_of_it = phrase.kind in _SEVERE and _TO_ASKER.search(whole) is not None
    if whole.rstrip().endswith(('"', "”")) or (not speaks_of_it and _WRITES.search(request_text(prompt))):
        return False
    if phrase.kind in (PhraseKind.SELF, PhraseKind.GREETING):
        return _ABOUT_IT.search(prompt) is None
    if phrase.kind is PhraseKind.AGREEMENT:
        return _OFFERS.search(whole) is not None or not _YES_NO.search(request_text(prompt))
    return True


CHECK = Check(
    code="STY003",
    name="initiation phrase",
    severity=Severity.WARNING,
    advice="Cut the phrase; the answer stands without it.",
    explanation=__doc__,
    find=find,
    english=True,
    needs=frozenset({Need.LANGUAGES}),
)
