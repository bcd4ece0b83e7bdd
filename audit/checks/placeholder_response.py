"""TXT002: a response is a placeholder where an answer should stand.

What: the whole response is a mark that somebody meant to fill in or that a program left behind: `<nooutput>`, `N/A`,
`TODO`, `...`, `[insert answer here]`, `lorem ipsum`. Brackets inside a longer text, as in a letter template, are no
placeholder, nor is a piece of code or markup, nor an answer such as "null" to a question that offers it.

Why it matters: the model learns to give the mark as an answer.

Example: `{"instruction": "Summarise the text.", "output": "<nooutput>"}`.

Fix: supply the answer, or `tunescope export --drop TXT002`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from audit.checks.base import Check, NoOptions, shorten
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials

__all__ = ["CHECK"]

_LONGEST = 80
_MARK = re.compile(
    r"""
    <\W*no[\s_-]*(?:output|input|response|answer|content)\W*> | \(?\s*no[\s_-]*(?:output|response\ given|answer\ given)\s*\)? |
    n\W?/\W?a | todo | tbd | tba | fixme | placeholder | nan | null | undefined |
    [.…\-–—_*?]{2,} | x{4,} | […?] |
    [\[<{][^\]>}="':/]*\b(?:answer|response|output|text|content)\b[^\]>}="':/]*[\]>}] |
    \(\s*(?:your|insert|add|enter|fill|put|type|write)\b[^()]*\b(?:answer|response|output|text|content)\b[^()]*\) |
    (?:insert|add|enter|put|type|write)\s+(?:your\s+)?(?:answer|response|text)\s+here |
    lorem\ ipsum.*
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per response that is nothing but a placeholder and is not asked for."""
    for row, turn, prompt, text in materials.corpus.responses.iter_rows():
        answer = text.strip()
        if not answer or (len(answer) > _LONGEST and answer[:11].lower() != "lorem ipsum"):
            continue
        bare = answer.rstrip(".!") if answer.strip(".!") else answer
        if _MARK.fullmatch(bare) and bare.lower() not in prompt.lower():
            evidence = Evidence(measure="the whole response", span=(0, len(text)), quote=shorten(answer))
            yield Finding(
                CHECK.code, row, turn, CHECK.severity, f"The response is a placeholder: {shorten(answer, 40)}", evidence
            )


CHECK = Check(
    code="TXT002",
    name="placeholder response",
    severity=Severity.WARNING,
    advice="Supply the answer, or drop the row.",
    explanation=__doc__,
    find=find,
)
