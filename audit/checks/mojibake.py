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
from collections.abc import Callable, Iterator

import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials

__all__ = ["CHECK"]

# Wider than what counts: the signs that bytes C2 to F4 become in Latin-1, Windows and Macintosh encodings, before a sign
# that is no plain letter.
_CANDIDATE = (
    r"[\x{c2}-\x{17e}√≈‚ΒΓΞΟΞβ][^\x00-\x7f]|[ÃÂ][\s\x{a0}]"
    r"|[ВГРСвг][^\x00-\x7fА-яЁё–—«»“”„…№]|鈥|锟斤"
)
_ABOUT = (
    r"(?i)mojibake|garbled|character (?:set|encoding)|(?:en|de)coding (?:error|issue|problem|bug)|mis-?(?:en|de)coded"
    r"|(?:wrong|incorrect) encoding|latin-?1|ISO-?8859|windows-?125|cp-?125"
)
_READ_AS_GBK = re.compile(r"[^\x00-\x7f]*(?:鈥[\x80-\uffff]|锟斤拷?)[^\x00-\x7f]*")


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

    places = [found.start() + len(found.group()) - len(found.group().lstrip()) for found in BADNESS_RE.finditer(text)]
    gbk = list(_READ_AS_GBK.finditer(text))
    if gbk and (not places or gbk[0].start() < places[0]):
        word = gbk[0]
        return word.start(), word.end(), len(gbk), _from_gbk(word.group())
    # Each word by itself: a text may hold parts in the right encoding, which could not be mended with the rest. Where the
    # sequence goes beyond a word, as a no-break space does, the line shows it.
    for is_edge in (str.isspace, "\n".__eq__):
        end = 0
        for place in places:
            if place < end:
                continue
            start, end = _around(text, place, is_edge)
            if (mended := fix_encoding(text[start:end])) != text[start:end]:
                return start, end, len(places), mended
    return None


def _around(text: str, place: int, is_edge: Callable[[str], bool]) -> tuple[int, int]:
    """Start and end of the word or line that holds a place."""
    start = end = place
    while start and not is_edge(text[start - 1]):
        start -= 1
    while end < len(text) and not is_edge(text[end]):
        end += 1
    return start, end


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
