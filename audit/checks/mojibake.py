"""TXT004: a text was decoded with the wrong character encoding.

What: sequences such as `â€™` for an apostrophe or `Ã©` for é, which arise where UTF-8 is read as another encoding, and
which come out as other, likelier characters once their bytes are decoded as UTF-8. What is unlikely, and how it is
mended, is ftfy's (Speer 2019); UTF-8 read as GBK is looked for besides. The message gives the mended word. Rows
that are about encodings, and turns of tools, are left out.

Why it matters: the model learns to write the broken characters, and the words that hold them as other words.

Example: `The cafÃ© isnâ€™t open.`

Fix: `ftfy` mends the whole text as the message shows for one word. `tunescope export --drop TXT004` drops the rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials

__all__ = ["CHECK"]

# Wider than what counts: the signs that bytes C2 to F4 become in Latin-1, Windows and Macintosh encodings, before a sign
# that is no plain letter.
_CANDIDATE = (
    r"[\x{c2}-\x{f5}\x{101}\x{103}\x{107}\x{10d}\x{111}Œœ√≈‚ΒΓΞΟΞβ][^\x00-\x7f]|[ÃÂ][\s\x{a0}]"
    r"|[ВГРСвг][^\x00-\x7fА-яЁё–—«»“”„…№]|鈥|锟斤"
)
_ABOUT = (
    r"(?i)mojibake|garbled|character (?:set|encoding)|(?:en|de)coding (?:error|issue|problem|bug)|mis-?(?:en|de)coded"
    r"|(?:wrong|incorrect) encoding|latin-?1|ISO-?8859|windows-?125|cp-?125"
)
_READ_AS_GBK = re.compile(r"[^\x00-\x7f]*(?:鈥[\x80-\uffff]|锟斤拷?)[^\x00-\x7f]*")
_WORD = re.compile(r"\S+")


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per turn with wrongly decoded characters, at the first of them."""
    turns = materials.corpus.turns.select("row", "turn", "role", "content")
    candidates = turns.filter(pl.col("content").str.contains(_CANDIDATE) & (pl.col("role") != "tool"))
    if candidates.is_empty():
        return
    about = set(turns.join(candidates, on="row", how="semi").filter(pl.col("content").str.contains(_ABOUT))["row"])
    for row, turn, _, text in candidates.iter_rows():
        if row in about or (place := _mended(text)) is None:
            continue
        start, end, number, mended = place
        evidence = Evidence("unlikely sequences of characters", number, 1, span=(start, end), quote=shorten(text[start:end]))
        message = f"Holds wrongly decoded characters: “{shorten(text[start:end], 40)}” stands for “{shorten(mended, 40)}”."
        yield Finding(CHECK.code, row, turn, CHECK.severity, message, evidence)


def _mended(text: str) -> tuple[int, int, int, str] | None:
    """Start and end of the first word with wrongly decoded characters, how many such places there are, the word mended."""
    from ftfy import fix_encoding
    from ftfy.badness import BADNESS_RE

    places = [found.start() for found in BADNESS_RE.finditer(text)]
    gbk = list(_READ_AS_GBK.finditer(text))
    if gbk and (not places or gbk[0].start() < places[0]):
        word = gbk[0]
        return word.start(), word.end(), len(gbk), _from_gbk(word.group())
    if not places or fix_encoding(text) == text:
        return None
    for word in _WORD.finditer(text):
        if not word.group().isascii() and (mended := fix_encoding(word.group())) != word.group():
            return word.start(), word.end(), len(places), mended
    # Where the sequence goes beyond a word, as a no-break space does, the line shows it.
    start = text.rfind("\n", 0, places[0]) + 1
    end = text.find("\n", places[0])
    line = text[start : end if end >= 0 else len(text)]
    return start, start + len(line), len(places), fix_encoding(line)


def _from_gbk(text: str) -> str:
    return text.encode("gb18030", errors="replace").decode("utf-8", errors="replace")


CHECK = Check(
    code="TXT004",
    name="mojibake",
    severity=Severity.WARNING,
    advice="Decode the text again as UTF-8, or drop the row.",
    explanation=__doc__,
    find=find,
)
