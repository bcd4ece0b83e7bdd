"""ANS002: a prompt asks about what stands at an address, and the response answers as if it had read it.

What: an English prompt asks to summarise, analyse, translate, rate or answer from a web page, an article, a video or an
image at a URL, and gives little else. Left out are prompts that hold the text itself, those that treat the URL as text (to
be formatted, validated, parsed, put into code or HTML), and responses that say that the page cannot be read.

Why it matters: what the page says is not in the row; the model learns to make it up from the address.

Example: `{"instruction": "Summarise https://example.com/tides", "output": "The article explains how tides arise."}`.

Fix: put the text into the prompt, have the response say that it cannot open links, or `tunescope export --drop ANS002`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.checks.unanswerable import declines, is_code, with_earlier
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK", "unread_url"]

_LONGEST_PROMPT = 1200
# A prompt with more words than these beside the address is likely to hold the text itself.
_MOST_WORDS_BESIDE = 60
_MOST_WORDS_AFTER = 25

_URL_RUST = r"(?i)\bhttps?://|\bwww\.|\b[a-z0-9-]+\.(?:com|org|net|edu|gov|io|co\.uk)\b"
_URL = re.compile(
    r"(?i)(?:\bhttps?://|\bwww\.)[^\s<>\"'“”)\]}]*[^\s<>\"'“”)\]}.,;:!?]|\b(?<!@)[a-z0-9-]+(?:\.[a-z0-9-]+)*"
    r"\.(?:com|org|net|edu|gov|io|co\.uk)\b(?:/[^\s<>\"'“”)\]}]*[^\s<>\"'“”)\]}.,;:!?])?"
)
# A host alone is as often the name of a company as its pages.
_NAME = re.compile(r"(?i)(?!www\.)[a-z0-9-]+(?:\.[a-z0-9-]+)*")
_ITS_PAGES = re.compile(
    r"(?i)\b(?:websites?(?: \d)?|pages?|sites?|homepage|visit|go to|browse|check out|look at|read|summari[sz]e|summary of|on"
    r"|from|at|links?|url|article)(?: (?:the|this|at|on|of|is))*[\s:'\"(]*$"
)
_READS = re.compile(
    r"(?i)\b(?:"
    # to say again, shorter or otherwise
    r"summari[sz]e|summary|summari[sz]ation|sum up|recap|synopsis|outline|overview|tl;?dr|abstract of|condense|paraphrase"
    r"|rewrite|rephrase|translate|transcribe|caption|quote"
    r"|key (?:points|takeaways|facts|ideas)|main (?:points?|ideas?|arguments?|topics?|themes?|message|takeaways?)|takeaways?"
    # to judge
    r"|analy[sz]e|analysis|review|evaluate|assess|rate|classify|categori[sz]e|compare|contrast|critique|comment|fact-check"
    r"|verify|proofread|improve|suggest|detect|recogni[sz]e|identify|describe|description|explain|discuss(?:es|ed)?"
    # to look up
    r"|read|reading|visit|check|look at|open|go to|browse|watch|listen|fetch|scrape|research|explore|extract|find|list|name"
    r"|count|get|give me|provide|point out|highlight|report|tell me|say about|about|according to|based on"
    r"|use the (?:information|data|article)|answer|questions?|quiz|what|who|when|where|why|which|how many|how much"
    r")\b"
)
_AS_TEXT = re.compile(
    r"(?i)\b(?:"
    # the address itself is the matter
    r"regex|regular expression|pars(?:e|ing)|valid(?:ate|ity|ation|ates)?|hyperlinks?|anchor|domain|sub-?domain|protocol"
    r"|hostname|path|query (?:string|parameters?)|top-level|uri|slug|qr code|format|encod\w+|decod\w+|rename|replace"
    r"|shorten(?:ed)? (?:the |this |a )?(?:url|link)|url shorten|url (?:from|in|into|of|for|format|structure|slug)"
    r"|convert the (?:url|link)|extract (?:the |all |any )?(?:urls?|links?|domains?)"
    r"|classify (?:the|this|these) (?:urls?|websites?|links?)"
    # whether it can be trusted
    r"|safe|secure|phishing|malicious|spam|trustworthy|legitimate|suspicious|redirect"
    r"|(?:is|are) (?:the |this |these )?(?:following )?(?:urls?|links?|websites?|web addresses?) (?:valid|secure|safe|correct"
    r"|real)"
    # it goes into code, a text or a list of references
    r"|python|javascript|java|php|code(?! (?:at|on|in|from|behind|under)\b)|script|curl|api|json|xml|csv(?! file)|sql|html|css"
    r"|markdown|database|npm|git|docker|install|ping|http (?:request|method|header|get|post)"
    r"|(?:get|post|put|delete) request|download(?:s|ed|ing)? (?:the )?(?:file|image)s?"
    r"|cite|citation|mla|apa|bibliography|reference list|link to|(?:add|include) (?:a|the|this) (?:link|url)"
    # a question about the words of other questions, or a company of that name
    r"|duplicates?|same (?:thing|meaning)|also be used to answer|company (?:called|named)"
    r")\b"
)
_ABOUT_THE_PAGE = (
    r"summary|summari\w+|overview|abstract|review|analysis|list of (?:the )?(?:key|main)|key points|description|report|caption"
    r"|bullet|outline|synopsis|critique|sentences? (?:about|from)|based on|from (?:the|this)"
)
_CREATES = re.compile(
    r"(?i)^\W*(?:please )?(?:write|compose|draft|create|generate|design|make|build|come up with|develop|produce|construct)\b"
    rf"(?![^.?!\n]{{0,60}}\b(?:{_ABOUT_THE_PAGE})\b|[^.?!\n]{{0,60}}\bfrom\s*(?:$|\n))"
)
_QUOTES_TEXT = re.compile(
    r"(?i)\b(?:sentence|text|paragraph|phrase|message|e-?mail|tweet|statement)\b[^.\n:]{0,40}:\s*\S+\s|[\"“][^\"”]+\s$"
)


def unread_url(prompt: str) -> str | None:
    """The address whose content a prompt asks for; `None` where it does not."""
    found = _URL.search(prompt)
    if found is None or (_NAME.fullmatch(found.group()) and not _ITS_PAGES.search(prompt[: found.start()])):
        return None
    if _QUOTES_TEXT.search(prompt[: found.start()]):
        return None
    words = _URL.sub(" ", prompt)
    if len(words.split()) > _MOST_WORDS_BESIDE or len(_URL.sub(" ", prompt[found.start() :]).split()) > _MOST_WORDS_AFTER:
        return None
    if _AS_TEXT.search(words) or _CREATES.search(words) or not _READS.search(words):
        return None
    return found.group()


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per response to a prompt that asks for the content of an address."""
    short = materials.english_responses.filter(pl.col("prompt").str.len_chars() <= _LONGEST_PROMPT)
    candidates = short.filter(pl.col("prompt").str.contains(_URL_RUST)).select("row", "turn", "prompt", "text", "answer_start")
    asking = candidates.with_columns(
        url=pl.Series([unread_url(prompt) for prompt in candidates["prompt"]], dtype=pl.String)
    ).filter(pl.col("url").is_not_null())
    for row, turn, _, text, start, url, _, earlier in with_earlier(materials, asking).iter_rows():
        answer = text[start:]
        if url in earlier or declines(answer) or is_code(answer):
            continue
        evidence = Evidence(measure="address whose content is not in the row", quote=shorten(url))
        message = f"The prompt asks for the content of {shorten(url, 80)}, which is not in the row."
        yield Finding(CHECK.code, row, turn, CHECK.severity, message, evidence)


CHECK = Check(
    code="ANS002",
    name="content of a URL",
    severity=Severity.WARNING,
    advice="Put the text of the page into the prompt, or have the response say that it cannot open links.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.LANGUAGES}),
    english=True,
)
