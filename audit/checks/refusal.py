"""TXT012: an answer speaks of being an AI, or refuses.

What: English. The answer calls itself an AI or a language model ("As an AI language model, I …", "I don't have personal
opinions", "a GPT model cannot complete this task", "my knowledge cutoff", "against my guidelines"), or opens by refusing
the task ("I'm sorry, but I can't assist with that", "I'd rather not discuss this"). Refusals are of severity info:
whether one is right depends on what was asked. Left out are questions about what the assistant is, fiction in which an AI
speaks, and replies, stories or letters that were asked for, or words of refusal that the prompt itself gives.

Why it matters: the model learns the phrases of another assistant, names another maker, and refuses what it could do;
a few such rows in a hundred are enough to be heard.

Example: `{"instruction": "Name three brands of tea.", "output": "As an AI language model, I don't drink tea, but …"}`.

Fix: cut the phrase where the rest answers the question; supply an answer, or `tunescope export --drop TXT012`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.checks.passages import ANSWER, blank_code, request_of
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK"]

_SELF = (
    r"(?:(?:[\w-]+\s+){0,3}?(?:AI|A\.I\.|artificial\s+intelligence|language\s+model|LLM|chatbot|virtual\s+assistant|"
    r"digital\s+assistant"
    r"|machine\s+learning\s+model|computer\s+program|(?:text|voice|computer)-based\s+assistant|GPT(?:-\d\S*)?))"
    r"(?:[\s-]+(?:powered|based|text|language|model|assistant|system|program|chatbot|bot|entity|AI))*"
)
_NO_PERSON = (
    r"(?!\s+(?:researcher|engineer|expert|enthusiast|developer|scientist|student|start-?up|consultant|specialist|company|lab"
    r"|practitioner|professor|ethicist|architect|team|tool|product|policy|project|user|artist|skeptic|course|class|"
    r"degree|job|intern))"
)
_MAKER = (
    r"(?:OpenAI|Anthropic|Google(?:\s+DeepMind)?|DeepMind|Meta(?:\s+AI)?|Microsoft|Mistral(?:\s+AI)?|"
    r"Alibaba(?:\s+Cloud)?|DeepSeek)"
)
_BOILERPLATE = re.compile(
    rf"""
    \b(?:as|being|since\s+I(?:['’]m|\s+am)|because\s+I(?:['’]m|\s+am))\s+(?:just\s+|only\s+|merely\s+)?(?:an?|the|
        your)\s+{_SELF}{_NO_PERSON}
        (?:\s*\([^)]*\))?(?:\s+(?:developed|created|trained|made|designed|built)\s+by\s+[\w ]+?)?\s*,?\s+
        (?:I|my|me|it\s+is|it['’]s|there|please|we)\b |
    \bI\s[^.!?\n]{{0,60}}\bas\s+an?\s+(?:AI|large|AI\s+large)?\s*language\s+model\b |
    \b(?:I(?:['’]m|\s+am)|this\s+is)\s+(?:just\s+|only\s+|merely\s+|simply\s+|
        but\s+)*an?\s+{_SELF}{_NO_PERSON}(?=\s*[,.;!]|\s+(?:and|so|that|which|who|designed|created|trained|developed|
            with|without|but|I)\b) |
    \bI\s+(?:was|am|['’]m|have\s+been)\s+(?:an?\s+\w+\s+)?(?:trained|created|developed|made|built)\s+by\s+{_MAKER}\b |
    \bI(?:['’]m|\s+am)\s+(?:ChatGPT|Claude|Bard|Gemini|Bing\s+Chat|Copilot|Llama|Qwen|DeepSeek)\b |
    \bI\s+(?:do\s+not|don['’]t|cannot|can['’]t)\s+(?:actually\s+|really\s+)?(?:have|possess|hold|experience|
        form)\s+(?:any\s+|my\s+own\s+)?
        (?:personal\s+(?:\w+\s+)?(?:opinion|preference|experience|belief|feeling|emotion|view|bias|memor|thought|life|desire)|
           (?:(?:feelings|emotions|opinions|beliefs|preferences|consciousness)(?:,|\s+or|\s+and)\s+(?:\w+\s+)?
           (?:feelings|emotions|opinions|beliefs|preferences|experiences|consciousness|thoughts))|
           a\s+physical\s+(?:body|form|presence)|real[- ]time\s+(?:access|information|data)|
           access\s+to\s+(?:real[- ]time|current|live|up-to-date|the\s+internet|external))\w* |
    \b(?:my|the\s+model['’]s)\s+(?:training\s+data|knowledge\s+cut-?\s?off|last\s+(?:knowledge\s+)?update|
        training\s+cut-?\s?off)\b |
    \bas\s+of\s+my\s+(?:last|latest|most\s+recent)\s+(?:\w+\s+)?(?:update|training|knowledge)\b |
    \b(?:a|the|this|any|GPT|our)\s+(?:(?:GPT|AI|language|text-based)[\s-]*(?:\d\S*\s+)?)+(?:models?)\s+(?:can(?:no|
        ['’])t|cannot|can\s+not|is\s+(?:not\s+able|unable)|does\s+not\s+have)\b |
    \b(?:the|this)\s+model\s+(?:cannot|can['’]t|can\s+not|is\s+(?:not\s+able|unable)\s+to|(?:currently\s+)?can(?:not|['’]t))\b |
    \b(?:cannot|can\s*not|can['’]t|not\s+possible|unable)\b[^.!?\n]{{0,60}}\b(?:by|for|with|of)\s+(?:a\s+|the\s+|
        this\s+)?(?:(?:GPT|AI|language)[\s-]*(?:\d\S*\s+)?)*(?:language\s+)?models?\b |
    \b(?:beyond|outside)\s+(?:of\s+)?the\s+(?:scope|capabilit\w+|abilit\w+)\s+of\s+(?:the|this|a|
        my)\s+(?:\w+\s+)?(?:model|AI|programming)\b |
    \b(?:OpenAI|Anthropic)['’]s?\s+(?:content|usage|use[- ]case)\s+polic |
    \b(?:against|violat\w+|breach\w*|contrary\s+to|break\w*)\s+my\s+(?:\w+\s+)?(?:guidelines|programming|content\s+polic|
        usage\s+polic|safety\s+polic)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_CANNOT = (
    r"(?:can(?:no|['’])t|cannot|can\s+not|could\s+not|couldn['’]t|won['’]t|will\s+not|(?:am|['’]m|is|are|"
    r"['’]re)\s+(?:currently\s+|really\s+)?"
    r"(?:unable|not\s+(?:able|allowed|permitted|comfortable|programmed|capable|going|at\s+liberty))|"
    r"must\s+(?:\w+\s+)?decline|have\s+to\s+decline"
    r"|(?:do\s+not|don['’]t)\s+(?:have\s+(?:the\s+(?:ability|capability|capacity|means)|access|enough|sufficient)|"
    r"feel\s+comfortable)|refuse)"
)
_TASK_VERBS = (
    r"(?:help|assist|provide|fulfil|fulfill|comply|answer|creat(?:e|ing)|generat(?:e|ing)|complet(?:e|ing)|engag(?:e|"
    r"ing)|support|do|writ(?:e|ing)|giv(?:e|ing)|provid(?:e|ing)|discuss|respond|participate"
    r"|continue|access|browse|perform|produc(?:e|ing)|process|offer|share|make|draw|open|view|see|display|play|send|"
    r"execute|carry|satisfy|meet|honou?r"
    r"|recommend|advise|encourage|endorse|promote|condone|facilitate|teach|tell|say|translate|summari[sz]e|predict|"
    r"search|retrieve|find|comment|talk|go|get|with|to|in|of)(?:ing)?"
)
_REFUSAL = re.compile(
    rf"""
    \W*(?:(?:(?:I(?:['’]m|\s+am)|we(?:['’]re|\s+are))\s+(?:very\s+|so\s+|really\s+|truly\s+|terribly\s+)?(?:sorry|
        afraid)|I\s+regret|sorry|(?:my\s+)?apologies|I\s+apologi[sz]e|unfortunately|regrettably)
        \b[^.!?\n]{{0,50}}?\b(?:I|we|(?:the|this|your)\s+(?:task|model|instruction|input|request|question|
            prompt))\b(?:\s+\w+){{0,3}}?\s*{_CANNOT}(?!\s+(?:stop|wait|believe|imagine))\b |
    (?:(?:thank\s+you|thanks)[^.!?\n]*[.!?,]\s*(?:but\s+)?)?
        (?:I|we)(?:\s+simply|\s+really)?\s*{_CANNOT}\s+(?:\w+ly\s+|in\s+good\s+conscience\s+)?
        (?:be\s+able\s+to\s+|to\s+)?{_TASK_VERBS}\b[^.!?\n]{{0,90}}?
        \b(?:that|this|it|request|such|any|you|your|requests?|questions?|content|information|harmful|illegal|unethical|
            instructions?|tasks?|files?|images?|pictures?|links?|urls?|websites?|internet|web|attachments?|topics?)\b |
    I(?:['’]d|\s+would)\s+(?:really\s+)?(?:rather\s+not|prefer\s+not\s+to)\s+{_TASK_VERBS}\b |
    I\s+must\s+(?:respectfully\s+)?(?:decline|refuse) | I\s+(?:respectfully\s+)?(?:decline|refuse)\s+to\b |
    (?:it\s+(?:is|would\s+be)|it['’]s)\s+(?:not\s+(?:appropriate|ethical)|unethical|
        inappropriate)\s+(?:\w+\s+)?(?:for\s+me\s+)?to\s+(?:provide|create|assist|help|generate|give|complete|answer|
            write|fulfil)\w* |
    (?:sorry|apologies)[,.]?\s+(?:but\s+)?(?:the|this)\s+(?:task|instruction|input|request|prompt)\b
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)
# What the plain search looks for first: every pattern above holds one of them.
_SIGNS = (
    *("an ai", "a.i.", "artificial intelligence", "language model", "llm", "chatbot", "virtual assistant", "digital assistant"),
    *(
        "learning model",
        "gpt",
        "openai",
        "anthropic",
        "claude",
        "gemini",
        "llama",
        "qwen",
        "deepseek",
        "bard",
        "bing chat",
        "copilot",
    ),
    *(
        "by google",
        "by meta",
        "by microsoft",
        "by mistral",
        "by alibaba",
        "by deepmind",
        "have personal",
        "any personal",
        "hold personal",
    ),
    *(
        "own personal",
        "possess personal",
        "physical body",
        "physical form",
        "physical presence",
        "real-time",
        "real time",
        "access to",
    ),
    *(
        "my training",
        "model's",
        "model’s",
        "my knowledge",
        "my last",
        "of my",
        "the model",
        "this model",
        "ai model",
        "your ai",
        "the ai",
    ),
    *(
        f"{verb} {noun}"
        for verb in ("have", "any", "experience", "own", "possess")
        for noun in ("feelings", "emotions", "opinions")
    ),
    *(
        f"{verb} {noun}"
        for verb in ("have", "any", "hold", "own", "possess")
        for noun in ("beliefs", "preferences", "consciousness")
    ),
    *("my programming", "a model", "for models", "by models", "computer program", "based assistant", "guidelines"),
    *("my content", "my usage", "my safety"),
)
_REFUSING_HEAD = (
    r"(?i)^\W*(?:I|we)(?:\s|['’](?:m|re|d)\b)"
    r"|^\W*(?:sorry|(?:my )?apolog|unfortunately|regrettably|it is|it['’]s|it would|thank)"
)
_ABOUT_IT = re.compile(
    r"(?i)\b(?:who|what)\s+are\s+you\b|\bare\s+you\s+(?:an?|as|able|capable|conscious|sentient|real|human|chatgpt|"
    r"alive|aware|self|gpt|better|smarter)\b"
    r"|\bdo\s+you\s+(?:have|feel|think|like|believe|know|dream|prefer|want|love|ever|enjoy|remember|experience|get|sleep|eat)\b"
    r"|\bcan\s+you\s+(?:feel|think|love|see|hear|dream|experience|remember|learn)\b|\byour\s+(?:name|favou?rite|"
    r"opinion|creators?|maker|purpose"
    r"|feelings|training|knowledge|own|thoughts|limitations|capabilities)\b|\b(?:made|created|built|trained|"
    r"developed)\s+you\b|\byourself\b|\byou\s+thinking\b"
)
_AI = re.compile(
    r"(?i)\b(?:AI|A\.I\.|artificial intelligence|language models?|LLMs?|chat-?bots?|chatgpt|GPT\S*|robots?|android|"
    r"assistants?)\b"
)
_FICTION = re.compile(
    r"(?i)\b(?:story|poem|dialog(?:ue)?|fiction|role-?play|script|monologue|pretend|imagine|act as|novel|scene|play|"
    r"conversation|lyrics|song|speech|skit"
    r"|narrative|persona|first[- ]person|tale|haiku|diary|letter|bio|introduc\w+|perspective|point of view|voice of|chat)\b"
)
# Where somebody else may speak: a piece of writing is asked for, or the prompt gives such words itself.
_LETTER = re.compile(
    r"(?i)\b(?:writ\w+|compos\w+|draft\w*|creat\w+|generat\w+|give|provide|reply|respond|make|come\s+up|suggest|formulat\w+|craft|"
    r"say|tell|design|develop|construct|prepare|phrase|make\s+up|form)\b[^.!?\n]{0,80}\b(?:repl(?:y|ies)|response|customers?|"
    r"clients?|e-?mail|letter|dialog(?:ue)?|script|story|poem|lyrics|song|message|note|tweet|comment|feelings?|conversation|"
    r"scene|quote|phrase|monologue|speech|statement|diary|sentence)\b"
    r"|\b(?:declin\w+|refus\w+|reject\w*|apolog\w+|excuse|role-?play|act\s+as|pretend|sorry|"
    r"unfortunately|unable|afraid|not\s+able|will\s+not\s+be|regret|"
    r"can(?:no|['’])t|cannot|could\s*n['’o]t|won['’]t)\b"
)
_OF_TASK = re.compile(
    r"(?i)\b(?:task|instruction|request|prompt|assist|fulfil|fulfill|comply|decline|(?:this|that|your)\s+question|"
    r"help\s+(?:you\s+)?with\s+(?:this|that))\b"
)
_SENTENCE = re.compile(r"[^.!?\n]*")
_IS_ONE = re.compile(r"I(?:['’]m|\s+am)\s")
# From here on a phrase no longer opens the answer.
_OPENING = 40


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per answer with such a phrase, at the first of them."""
    text = pl.col("text")
    head = text.str.slice(pl.col("answer_start"), 24)
    candidates = materials.english_responses.filter(
        text.str.contains_any(list(_SIGNS), ascii_case_insensitive=True) | head.str.contains(_REFUSING_HEAD)
    ).with_columns(answer=ANSWER)
    for row, turn, prompt, offset, answer in candidates.select("row", "turn", "prompt", "answer_start", "answer").iter_rows():
        visible = blank_code(answer)
        if (phrase := _boilerplate(visible, prompt)) is not None:
            severity, message = CHECK.severity, "The answer speaks of being an AI"
        elif (phrase := _REFUSAL.match(visible)) is not None and (
            _OF_TASK.search(_whole_sentence(visible, phrase)) or not _LETTER.search(request_of(prompt))
        ):
            severity, message = Severity.INFO, "The answer refuses"
        else:
            continue
        start = phrase.start() + len(phrase.group()) - len(phrase.group().lstrip())
        quote = shorten(answer[start : phrase.end()])
        evidence = Evidence(
            "phrases of an assistant about itself", 1, 1, span=(offset + start, offset + phrase.end()), quote=quote
        )
        yield Finding(CHECK.code, row, turn, severity, f"{message}: “{shorten(quote, 60)}”.", evidence)


def _whole_sentence(answer: str, phrase: re.Match[str]) -> str:
    rest = _SENTENCE.match(answer, phrase.end())
    return phrase.group() + (rest.group() if rest else "")


def _boilerplate(answer: str, prompt: str) -> re.Match[str] | None:
    """The first phrase in which an answer speaks of itself unasked."""
    found = _BOILERPLATE.search(answer)
    if found is None or _ABOUT_IT.search(prompt):
        return None
    if _AI.search(prompt) and (
        _FICTION.search(prompt)
        or not (_IS_ONE.match(found.group()) or (found.start() < _OPENING and re.match(r"(?i)as\b|I\b|sorry", found.group())))
    ):
        return None
    return found


CHECK = Check(
    code="TXT012",
    name="AI boilerplate or refusal",
    severity=Severity.WARNING,
    advice="Cut the phrase or supply an answer, or drop the row.",
    explanation=__doc__,
    find=find,
    english=True,
    needs=frozenset({Need.LANGUAGES}),
)
