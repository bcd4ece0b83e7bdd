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
_NAME = re.compile(r"(?i)[a-z0-9-]+(?:\.[a-z0-9-]+)*")
_ITS_PAGES = re.compile(
    r"(?i)\b(?:websites?(?: \d)?|pages?|sites?|homepage|visit|go to|browse|check out|look at|read|summari[sz]e|summary of|on"
    r"|from|at|links?|url|article)"
    r"(?: (?:the|this|at|on|of|is))*[\s:'\"(]*$"
)
_READS = re.compile(
    r"(?i)\b(?:summari[sz]e|summary|quiz|questions?|summari[sz]ation|sum up|recap|synopsis|outline|overview|tl;?dr"
    r"|abstract of|analy[sz]e"
    r"|analyse|analysis|read|reading|review|translate|extract|describe|description"
    r"|explain|identify|classify|categori[sz]e|rate|evaluate|assess|compare|contrast|critique|paraphrase|rewrite|rephrase"
    r"|condense|key (?:points|takeaways|facts|ideas)"
    r"|main (?:points?|ideas?|arguments?|topics?|themes?|message|takeaways?)|takeaways?|quote|according to|based on|tell me"
    r"|discuss(?:es|ed)?"
    r"|what (?:is|are|does|do|did|was|were|can)|who|when|where|why|how many|how much|which|find|list|name|transcribe|caption"
    r"|recogni[sz]e|visit|check out|look at|open"
    r"|go to|browse|watch|listen|use the (?:information|data|article)|say about|about|give me|provide|point out|highlight"
    r"|comment|research|explore|fetch|scrape|report|answer|detect|count|verify|fact-check|proofread|improve|suggest|get)\b"
)
_AS_TEXT = re.compile(
    r"(?i)\b(?:regex|regular expression|pars(?:e|ing)|valid(?:ate|ity|ation|ates)?|hyperlinks?|anchor|markdown|html|css|domain"
    r"|sub-?domain|encod\w+|decod\w+"
    r"|shorten(?:ed)? (?:the |this |a )?(?:url|link)|url shorten|qr code|python|javascript|java|php|code|script|curl|api|json"
    r"|xml|csv|sql|http (?:request|method|header|get|post)|(?:get|post|put|delete) request|ping"
    r"|cite|citation|mla|apa|bibliography|reference list|protocol|hostname|path|query (?:string|parameters?)|safe|phishing"
    r"|malicious|spam|trustworthy|legitimate|suspicious|redirect"
    r"|extract (?:the |all |any )?(?:urls?|links?|domains?)|url (?:from|in|into|of|for|format|structure|slug)|uri|slug"
    r"|top-level|(?:is|are) (?:the |this |these )?(?:following )?(?:urls?|links?|websites?|web addresses?) (?:valid|secure"
    r"|safe|correct|real)"
    r"|format|convert the (?:url|link)|replace|add (?:a|the|this) link|include (?:a|the|this) (?:link|url)|link to|database"
    r"|duplicates?|same (?:thing|meaning)|also be used to answer|company (?:called|named)|secure|classify (?:the|this"
    r"|these) (?:urls?|websites?|links?)|rename|download(?:s|ed|ing)? (?:the )?(?:file|image)s?|install|npm|git|docker)\b"
)
_CREATES = re.compile(
    r"(?i)^\W*(?:please )?(?:write|compose|draft|create|generate|design|make|build|come up with|develop|produce|construct)\b"
    r"(?![^.?!\n]{0,60}\b(?:summary|summari\w+|overview|abstract|review|analysis|list of (?:the )?(?:key|main)|key points"
    r"|description|report|caption|bullet|outline|synopsis|critique|sentences? (?:about|from)|based on|from (?:the|this))\b"
    r"|[^.?!\n]{0,60}\bfrom\s*(?:$|\n))"
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
