"""TXT003: a text holds characters that do not show.

What: control characters other than tab and line ends, zero-width spaces and joiners, marks that change the direction of
writing, byte order marks inside a text, the replacement character U+FFFD, and characters of private use or none. Joiners
in emoji and in scripts that are written with them, marks of direction in text from right to left, and soft hyphens are
no finding, nor is a replacement character that the text is about. Turns of tools are left out.

Why it matters: they come from broken conversions or copied pages. A tokenizer makes tokens of its own of them, so that
the same word is learnt as another, and U+FFFD stands where a character is lost for good.

Example: a zero-width space in the middle of `out​put`.

Fix: remove them at the source; where U+FFFD stands, supply the character. `tunescope export --drop TXT003` drops the
rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions
from audit.checks.passages import around
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials

__all__ = ["CHECK"]

# Patterns hold for Rust's expressions (columns) and Python's alike: no look-around.
_KINDS = {
    "control character": r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\x{2028}\x{2029}",
    "zero-width character": r"\x{200b}-\x{200d}\x{2060}-\x{2064}\x{180e}",
    "mark of writing direction": r"\x{061c}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2066}-\x{2069}",
    "byte order mark": r"\x{feff}",
    "replacement character": r"\x{fffd}",
    "character of private use": r"\x{e000}-\x{f8ff}\x{f0000}-\x{ffffd}\x{100000}-\x{10fffd}",
    "character without meaning": r"\x{fdd0}-\x{fdef}\x{fff9}-\x{fffc}\x{fffe}\x{ffff}\x{e0000}-\x{e007f}\x{e0100}-\x{e01ef}",
}
_DIRECTED = r"[\x{0590}-\x{08ff}\x{fb1d}-\x{fdcf}\x{fe70}-\x{fefc}]"
# Overrides are never needed: they disguise text.
_NEEDED_BY_DIRECTED = r"[\x{061c}\x{200e}\x{200f}\x{202a}-\x{202c}\x{2066}-\x{2069}]"
_LEGITIMATE = "|".join(
    (
        # Arabic, Indic and South-East Asian scripts are written with joiners; some mark word boundaries by zero width.
        r"[\x{0600}-\x{109f}\x{1780}-\x{18af}][\x{200b}-\x{200d}\x{180e}]+",
        # Emoji are joined, after a variation selector or a skin tone too, and flags of regions are spelled in tags.
        r"[\x{a9}\x{ae}\x{203c}-\x{3299}\x{fe0f}\x{1f000}-\x{1faff}]\x{200d}",
        r"\x{1f3f4}[\x{e0020}-\x{e007f}]+",
        r"[\x{3400}-\x{9fff}\x{20000}-\x{3ffff}][\x{e0100}-\x{e01ef}]",
        # The bytes of UTF-8 read as Latin-1 are mojibake, TXT004.
        r"[\x{c2}-\x{f4}][\x{80}-\x{bf}]+",
    )
)
_ABOUT_REPLACEMENT = r"(?i)replacement character|U\+FFFD|\\ufffd|&#65533"


def _python(pattern: str) -> str:
    return re.sub(r"\\x\{(\w+)\}", lambda code: re.escape(chr(int(code[1], 16))), pattern)


_SUSPECT = f"[{''.join(_KINDS.values())}]"
_FIND = re.compile(f"{_python(_LEGITIMATE)}|({_python(_SUSPECT)})")
_KIND_OF = {kind: re.compile(f"[{_python(characters)}]") for kind, characters in _KINDS.items()}
_FIND_DIRECTED, _FIND_NEEDED = re.compile(_python(_DIRECTED)), re.compile(_python(_NEEDED_BY_DIRECTED))


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per turn with characters that do not show, at the first of them."""
    content = pl.col("content")
    seen = (
        pl.when(content.str.contains(_DIRECTED))
        .then(content.str.replace_all(_NEEDED_BY_DIRECTED, ""))
        .otherwise(content)
        .str.replace_all(_LEGITIMATE, "")
    )
    turns = (
        materials.corpus.turns.select("row", "turn", "role", "content")
        .filter(content.str.contains(_SUSPECT) & (pl.col("role") != "tool"))
        .filter(seen.str.contains(_SUSPECT))
    )
    about = turns.filter(content.str.contains(_ABOUT_REPLACEMENT))["row"].to_list()
    for row, turn, _, text in turns.iter_rows():
        directed = _FIND_DIRECTED.search(text)
        places = [
            found.start(1)
            for found in _FIND.finditer(text)
            if found[1] and not (directed and _FIND_NEEDED.match(found[1])) and not (found[1] == "\ufffd" and row in about)
        ]
        if not places:
            continue
        first = places[0]
        kinds = Counter(next(kind for kind, pattern in _KIND_OF.items() if pattern.match(text[place])) for place in places)
        what = ", ".join(f"{number:,} {kind}{'s' * (number > 1)}" for kind, number in kinds.items())
        evidence = Evidence(
            "characters that do not show", len(places), 1, span=(first, first + 1), quote=around(text, first, first + 1)
        )
        message = f"Holds {what}, the first U+{ord(text[first]):04X}."
        yield Finding(CHECK.code, row, turn, CHECK.severity, message, evidence)


CHECK = Check(
    code="TXT003",
    name="control character",
    severity=Severity.WARNING,
    advice="Remove the characters at the source, or drop the row.",
    explanation=__doc__,
    find=find,
)
