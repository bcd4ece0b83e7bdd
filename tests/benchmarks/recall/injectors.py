"""Every code that a script can inject, with the variants in which its defect occurs."""

from __future__ import annotations

from tests.benchmarks.recall import (
    broken_rows,
    broken_text,
    contamination,
    contradictions,
    conversation_text,
    languages,
    privacy,
    style_text,
    unanswerable,
)
from tests.benchmarks.recall.injection import Injector

__all__ = ["INJECTORS"]

INJECTORS: dict[str, tuple[Injector, ...]] = {
    "FMT001": broken_rows.UNREADABLE,
    "FMT002": broken_rows.MALFORMED,
    "FMT003": broken_rows.TURN_ORDER,
    "FMT004": broken_rows.NO_PROMPT,
    "FMT005": broken_rows.NOTHING_TRAINED,
    "FMT006": broken_rows.TOOL_CALLS,
    "CNF001": contradictions.CONFLICTS,
    "CNF002": contradictions.REASONING,
    "CNF003": contradictions.ARITHMETIC,
    "ANS001": unanswerable.ATTACHMENT,
    "ANS002": unanswerable.WEB_ADDRESS,
    "ANS003": unanswerable.CURRENT,
    "TXT001": broken_rows.EMPTY,
    "TXT002": broken_rows.PLACEHOLDER,
    "TXT003": broken_text.CONTROL_CHARACTERS,
    "TXT004": broken_text.MOJIBAKE,
    "TXT005": broken_text.TRUNCATED,
    "TXT006": broken_text.FENCES,
    "TXT007": broken_text.INVALID_JSON,
    "TXT008": broken_text.ECHO,
    "TXT009": broken_text.REPETITION,
    "TXT010": conversation_text.MERGED,
    "TXT011": conversation_text.TEMPLATE_TOKENS,
    "TXT012": conversation_text.REFUSAL,
    "LNG001": languages.UNLIKE_THE_PROMPT,
    "LNG002": languages.MIXED,
    "PII001": privacy.CONTACTS,
    "PII002": privacy.IDENTIFIERS,
    "PII003": privacy.SECRETS,
    "STY002": style_text.VERBOSE,
    "STY003": style_text.PHRASES,
    "STY004": style_text.STYLE_WORDS,
    "CON001": contamination.VERBATIM,
    "CON002": contamination.REWORDED,
}
"""Code -> its variants; the DUP codes are measured by `make bench-precision`.

STY001 is found only beside a reference, STY005 and STY006 only with a base model, and what they find is a matter of the two
together: no single row can be said to have such a defect, so that none is injected. `make bench-style` looks at them.
"""
