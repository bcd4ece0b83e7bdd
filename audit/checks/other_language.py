"""LNG001: a response is in another language than its prompt.

What: the languages of prompt and response can both be told and differ. Left out are prompts that speak of languages or of
translating, in English or in the language itself, prompts or earlier turns that hold text in the response's language,
responses that stand in the prompt word for word, and languages too near to be told apart in a short text.

Why it matters: the model learns to answer in a language that nobody asked for.

Example: `{"instruction": "Warum ist der Himmel am Abend oft rot?", "output": "Because blue light is scattered away."}`.

Fix: answer in the language of the prompt, or `tunescope export --drop LNG001`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.checks.tongues import SPEAKS_OF_LANGUAGES, are_confused, has_function_words, name_of
from audit.checks.unanswerable import with_earlier
from audit.findings import Evidence, Finding, Severity
from audit.languages import languages_of
from audit.materials import Materials, Need

__all__ = ["CHECK"]

_PARTS = re.compile(r"\n+|(?<=[.!?。！？])\s*|[\"“”«»„]|:\s")


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per response in another language."""
    language, asked_in = pl.col("language"), pl.col("prompt_language")
    unlike = materials.responses.filter((language != asked_in) & (language != "") & (asked_in != "")).select(
        "row", "turn", "prompt", "text", "answer_start", "language", "prompt_language"
    )
    for row, turn, prompt, text, start, spoken, asked, system, earlier in with_earlier(materials, unlike).iter_rows():
        answer = re.sub(r"<\|[^|>]*\|>", "", text[start:]).strip()
        if are_confused(spoken, asked) or any(SPEAKS_OF_LANGUAGES.search(said) for said in (prompt, system, earlier)):
            continue
        if answer in prompt or not has_function_words(answer, spoken, 2) or _holds(f"{prompt}\n{system}\n{earlier}", spoken):
            continue
        message = f"The response is {name_of(spoken)}, its prompt {name_of(asked)}."
        evidence = Evidence("language of the response", None, None, (), (start, len(text)), shorten(text[start:]))
        yield Finding(CHECK.code, row, turn, CHECK.severity, message, evidence)


def _holds(text: str, language: str) -> bool:
    """Whether a part of a text is in a language."""
    return language in languages_of(pl.Series([part for part in _PARTS.split(text) if part.strip()], dtype=pl.String))


CHECK = Check(
    code="LNG001",
    name="response in another language",
    severity=Severity.WARNING,
    advice="Answer in the language of the prompt.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.LANGUAGES}),
)
