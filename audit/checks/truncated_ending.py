"""TXT005: a response breaks off.

What: the last line of a response in prose ends in the middle: at a comma, an opening or unclosed bracket or quotation,
a hyphen, a list mark or a colon with nothing behind it; at a word that ends no sentence, such as "the" or "because"
(English); or within a word, where the rest of the dataset knows it only as the beginning of longer ones. A table breaks
off where its last row lacks cells or the closing bar of the others, code at an opening bracket or an operator, or where
it leaves braces open. Of severity info is an ending that only lacks its full stop, where the sentences or list items
before it, and at least 85 % of the dataset's answers in prose, have theirs, and the last word is not one that mostly
ends sentences in this dataset: the more careful the dataset, the less it takes. Most of those are complete where people
wrote without much care. Verse, titles, names, letters' closing lines and answers of a few words are left out.

Why it matters: the answer was cut at a limit of tokens. The model learns to stop in the middle of a sentence.

Example: `The tower was built of stone, and its upper part of`.

Fix: supply the rest or cut back to the last whole sentence; or `tunescope export --drop TXT005`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator

import numpy as np
import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.checks.passages import ANSWER, request_of
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need
from indexes.words import tokenize

__all__ = ["CHECK"]

# A full stop in any script, also before closing quotes and brackets.
_CLOSED = r"[.!?…。！？．؟।॥։។:;][\"'”’»」』)\]*_`~]*$"
_LIST_ITEM = re.compile(r"^\s*(?:[-*•–+]|\(?\d{1,3}[.):]|\(?[A-Za-z][.)])\s+(?=\S)")
_BARE_MARK = re.compile(r"\n[ \t]*(?:[-*•+]|\(?\d{1,3}[.)])[ \t]*$")
_LEADS_IN = re.compile(
    r"(?i)\b(?:following|these|below|steps|follows|includes?|including|such as|examples?|reasons|ways|here (?:is|are)|"
    r"are|like|would be)\b[^.!?\n]*:\s*$"
)
# Words that end no English sentence and no heading.
_NEVER_LAST = frozenset(
    "the a an and or but nor because although though while whereas whose of their its our your my his if unless "
    "until than into onto upon via per every each such which including excluding regarding concerning between among "
    "amongst toward towards during despite besides whether since where when who whom that as with from by for at to "
    "in on is are was were be been has have had will would can could should may might must very also however "
    "therefore moreover".split()
)
# Those of them that may: "what to look for", "log in", "as it was", "yes, you can".
_SELDOM_LAST = frozenset(
    "of if than into between during besides since where when who whom that as with from by for at to in on is are was were be "
    "been has have had will would can could should may might must very also however therefore his per via such each".split()
)
_NO_PROSE = re.compile(r"[{}<>|=\\^$#@~`\t]|https?:|www\.|\w\(\w*\)|::|\w+\.\w+\(|->|[\w.-]+@[\w.-]+|\d\s*[+*×÷]\s*\d")
_SENTENCE_END = re.compile(r"(?:[^\W\d_]{3}|\d{2}|[%\)])[.!?。！？]+[\"'”’»)\]]*(?:\s+|$)(?=[\"'“‘«(\[]?[^\W_a-z]|$)")
_ATTRIBUTION = re.compile(r"[\"'”’]\s*[-–—~]+\s*\S|[-–—]\s*[\"“]|\bby\s+[A-Z]\S*(?:\s+[A-Z]\S*)*$")
_SHORT_FORMS = re.compile(
    r"(?i)\b(?:poems?|poetry|haiku|songs?|lyrics|raps?|verses?|sonnet|limerick|rhymes?|titles?|headlines?|slogans?|"
    r"taglines?|captions?|hashtags?|tweets?"
    r"|subject line|outline|keywords?|phrases?|names?|labels?|acronym|chorus|ballad|hymn|fill in|complete the|"
    r"completes?|blanks?|next word|sentence fragment"
    r"|unpunctuated|punctuation|remove|cut[- ]?off|truncat\w*|unfinished|incomplete|cliff-?hanger|beginning of|"
    r"first half|list|translate|convert|rewrite|edit"
    r"|sort|arrange|rearrange|unscramble|transcribe|extract|quote|column|table|first line|opening line|question|query|"
    r"command|code)\b"
)
_MIN_SAID = 4
_MIN_DATASET = 20
_HABIT = 0.85
_HABIT_ALONE = 0.9
_LONG_SENTENCE = 10
# How much likelier an ending without a full stop is cut than careless, by its last word and the dataset's habit.
_MIN_ODDS = 7.0
_PRIOR_WORDS = 10
_CODE_LINE = re.compile(
    r"[;{}]\s*$|^\s*(?:[\w.\[\]\"']+\s*[-+*/]?=\s*\S|(?:def|class|for|while|if|elif|else|try|with|function|public|private|"
    r"int|void|import|return|const|let|var)\b.*[:;{)=]\s*$|[\w.]+\(.*\)\s*$|#include\b)|^\s{2,}return\b"
)
_CODE_GOES_ON = re.compile(
    r"(?:[(\[{,=+*/&|]|[^-]-|->|::|^\s+[\w.()]*\w\.)\s*$|^\s*(?:def|class|elif|for|while|import|from|new)\s*\w*$"
)
_PRINTS_ON = re.compile(r"^\s*print\b.*,\s*$")  # of Python 2, without a new line
_BARE_RETURN = re.compile(r"^\s+return$")
_STRING = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|//[^\n]*|/\*[\s\S]*?\*/")
_OPEN_QUOTATION = re.compile(r"(?:^|[\s(:,])\"(?=\w)[^\"\n]*$|“[^”\n]*$")
_NO_PROSE_BUT_NAMES = re.compile(r"[{}<>|=\\^`\t]|https?:|\w\(\w*\)|::|->")
# "As high as you can", "what they are", "people to work with".
_MAY_END = re.compile(r"(?i)\b(?:you|they|we|it|he|she|i|there|this|that|what|who|which|possible|to \w+|\w+ing)\s+\w+$")


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per response that breaks off, over the last words of it."""
    answer = ANSWER.str.strip_chars_end()
    last = pl.col("answer").str.extract(r"([^\n]*)$")
    seen = (
        materials.responses.select("response", "row", "turn", "prompt", "answer_start", answer=answer)
        .with_columns(last=last)
        .filter(pl.col("last").str.contains(r"\S") & ~pl.col("last").str.contains(r"```|~~~"))
    )
    in_prose = pl.col("last").str.contains(r"\pL[.!?][\"”’)]?\s+\S") & ~pl.col("last").str.contains(r"[{}<>|=#\\]|https?:")
    closed = pl.col("last").str.contains(_CLOSED)
    alone = (
        ~in_prose
        & ~pl.col("answer").str.contains("\n", literal=True)
        & (pl.col("last").str.count_matches(r"\S+") >= _LONG_SENTENCE)
    )
    habits = [_share(seen.filter(kind).select(closed).to_series()) for kind in (in_prose, alone)]
    odd = seen.filter(
        (~closed | pl.col("last").str.contains(r":$|^\s*\(?\d{1,3}[.)]$|^\s+[\w.()]*\w\.$"))
        & (pl.col("last").str.len_chars() < 4000)
    )
    words = _Words(materials) if odd.height else None
    for _, row, turn, prompt, offset, text, line in odd.iter_rows():
        assert words is not None  # there is a line
        if (broken := _broken(text, line, prompt, words, habits)) is None:
            continue
        what, is_sure = broken
        start = len(text) - len(line.lstrip()[-40:].lstrip())
        span = (offset + start, offset + len(text))
        severity = CHECK.severity if is_sure else Severity.INFO
        evidence = Evidence("characters of the last line", len(line.strip()), span=span, quote=text[start:])
        yield Finding(CHECK.code, row, turn, severity, f"The response {what}: “…{shorten(text[start:], 60)}”.", evidence)


class _Words:
    """The words of a dataset's responses: which stand but once, which begin others, and which end sentences."""

    def __init__(self, materials: Materials) -> None:
        stream = materials.response_words
        self._ids = {word: number for number, word in enumerate(stream.vocabulary)}
        self._counts = np.bincount(stream.ids, minlength=len(stream.vocabulary))
        is_stop = np.zeros(len(stream.vocabulary), dtype=bool)
        is_stop[[self._ids[sign] for sign in ".!?" if sign in self._ids]] = True
        ends = np.flatnonzero(is_stop[stream.ids])
        self._ending = np.bincount(stream.ids[ends[ends > 0] - 1], minlength=len(stream.vocabulary))
        self._share_ending = len(ends) / max(1, len(stream.ids))
        self._sorted = sorted(word for word, number in zip(stream.vocabulary, self._counts, strict=True) if number > 1)

    def breaks_off(self, word: str) -> bool:
        """Whether a word stands nowhere else, and others begin with it."""
        number = self._ids.get(word)
        if number is None or self._counts[number] > 1 or not word.isalpha() or len(word) < 2:
            return False
        place = bisect_left(self._sorted, word)
        return place < len(self._sorted) and self._sorted[place].startswith(word)

    def seldom_ends(self, word: str) -> float:
        """How much likelier a word is to stand anywhere than at the end of a sentence; 1 where too rare to tell."""
        number = self._ids.get(word)
        if number is None or not self._share_ending:
            return 1.0
        expected = self._share_ending * (self._counts[number] + _PRIOR_WORDS)
        return float(expected / (self._ending[number] + self._share_ending * _PRIOR_WORDS))


def _broken(text: str, line: str, prompt: str, words: _Words, habits: list[float]) -> tuple[str, bool] | None:
    """How a response breaks off, and whether that is sure; None where it ends."""
    if _BARE_MARK.search(text):
        return "ends with an empty list item", True
    bare = line.strip().strip("*_\"'“” ")
    item = _LIST_ITEM.match(line)
    said = line[item.end() :] if item else line
    n_words = len(said.split())
    if (unfinished := _unfinished_table(text) or _unfinished_code(text, line)) is not None:
        return unfinished
    if (
        n_words >= _LONG_SENTENCE
        and bare.endswith(",")
        and not _NO_PROSE_BUT_NAMES.search(line)
        and not _is_verse(text, prompt)
    ):
        return "ends at a comma", True
    sentence = line[line.rfind(". ") + 1 :]
    if n_words < 2 or _NO_PROSE.search(sentence if bare.endswith(":") else line):
        return None
    if _is_verse(text, prompt):
        # Verse may end anywhere but here.
        last = (tokenize(said) or [""])[-1]
        cut = n_words > _MIN_SAID and last in _NEVER_LAST - _SELDOM_LAST and said.rstrip()[-1].islower()
        return (f"ends at the word “{last}”", True) if cut else None
    request = request_of(prompt)
    if bare.endswith(":"):
        is_open = n_words >= 5 and _LEADS_IN.search(bare) is not None and not _SHORT_FORMS.search(request)
        # After whole sentences, the request can hardly be for an opening.
        is_open = is_open or (_LEADS_IN.search(bare) is not None and _SENTENCE_END.search(text) is not None and len(text) > 200)
        return ("ends where a list or an example should begin", True) if is_open else None
    if re.search(_CLOSED, line.rstrip()):
        return None
    if n_words >= 4 and re.search(r"[^\W\d_]\)?[\"”’]?[,，、،]$", line):
        return "ends at a comma", True
    if n_words >= 4 and re.search(r"[(\[{“‘«]$|\w-$|\s[-–—]$", line):
        return "ends at an opening sign or a dash", True
    opened = line.rfind("(")
    if n_words >= 4 and opened >= 0 and ")" not in line[opened:]:
        return "ends within brackets", True
    # Straight marks are left open where their number is odd; curly ones show it by themselves.
    if (
        n_words >= 4
        and text.count('"') % 2 == ('"' in line[-60:])
        and _OPEN_QUOTATION.search(line)
        and line.rstrip()[-1].isalpha()
    ):
        return "ends within a quotation", True
    if not re.search(r"[\w%°]$", bare) or n_words < 3:
        return None
    last = (tokenize(said) or [""])[-1]
    before = _sentences_before(text, line, said, item is not None)
    return _by_last_word(said, last, item is not None, before, words) or _by_habit(
        said, request, item is not None, before, habits, words.seldom_ends(last)
    )


def _unfinished_table(text: str) -> tuple[str, bool] | None:
    """Whether the last row of a table that ends a text lacks what the rows above it have."""
    rows: list[str] = []
    for line in reversed(text.splitlines()):
        if not line.lstrip().startswith("|"):
            break
        rows.append(line.strip())
    if len(rows) < 3:
        return None
    last, *above = rows
    if all(row.endswith("|") for row in above) and not (last.endswith("|") and len(last) > 1):
        return "ends within a row of a table", True
    bars = [row.count("|") for row in above]
    return ("ends within a row of a table", True) if last.count("|") < min(bars) else None


def _unfinished_code(text: str, line: str) -> tuple[str, bool] | None:
    """Whether a text that ends in code leaves a statement or a block open."""
    block = text[text.rfind("\n\n") + 1 :] if "\n\n" in text else text
    lines = [one for one in block.splitlines() if one.strip()]
    above = lines[:-1]
    if not above or 2 * sum(_CODE_LINE.search(one) is not None for one in above) < len(above):
        return None
    if _CODE_GOES_ON.search(line) and not _PRINTS_ON.search(line):
        return "ends within a statement of code", True
    if _BARE_RETURN.search(line):
        return "ends at “return”", False
    code = _STRING.sub("", text)
    n_open = code.count("{") - code.count("}")
    if n_open > 0 and not re.search(r"</\w+>|%\}|\$\{", text):
        return f"leaves {n_open} brace{'s' * (n_open > 1)} open in code", True
    return None


def _by_last_word(said: str, last: str, is_item: bool, before: bool, words: _Words) -> tuple[str, bool] | None:
    raw = said.rstrip("*_\"'“” ").split()
    if re.search(r"(?:\b(?:in|of|to|from|by|since|until|year|and|on|for|after|before)\s|\d-)(?:19|20)$", said.rstrip()):
        return f"ends within a year, “{last}”", True
    if not raw[-1].islower() or len(raw) < _MIN_SAID or _is_listing(said):
        return None
    if last in _NEVER_LAST and last not in _SELDOM_LAST:
        return f"ends at the word “{last}”", True
    goes_on = (before and len(raw) >= _MIN_SAID) or len(raw) >= _LONG_SENTENCE
    if last in _SELDOM_LAST and goes_on and not is_item and not _MAY_END.search(said):
        return f"ends at the word “{last}”", True
    if (before or (len(raw) >= _LONG_SENTENCE and len(last) > 2)) and not is_item and words.breaks_off(last):
        return f"ends within a word, “{last}”", True
    return None


def _by_habit(
    said: str, request: str, is_item: bool, before: bool, habits: list[float], seldom_ends: float
) -> tuple[str, bool] | None:
    words = said.split()
    alone = not before and not is_item and len(words) >= _LONG_SENTENCE
    habit, least = (habits[0], _HABIT) if before else (habits[1] if alone else 0.0, _HABIT_ALONE)
    # List items that all end in a full stop say more of the next than sentences do.
    odds = _MIN_ODDS / 2 if before and is_item else _MIN_ODDS
    if habit < least or seldom_ends < odds * (1 - habit) or _ATTRIBUTION.search(said):
        return None
    if not (before and is_item) and _SHORT_FORMS.search(request) and not _SENTENCE_END.search(said):
        return None
    lower = sum(word[0].islower() for word in words)
    if lower * (2 if before else 1.4) < len(words) or (_is_listing(said) and not _SENTENCE_END.search(said)):
        return None
    if alone:
        return "lacks the full stop that the dataset's sentences have", False
    return f"lacks the full stop that {'its list items' if is_item else 'its sentences'} have", False


def _share(closed: pl.Series) -> float:
    """The share of endings with a full stop; 0 where there are too few to tell."""
    return float(closed.to_numpy().mean()) if len(closed) >= _MIN_DATASET else 0.0


def _is_listing(said: str) -> bool:
    """Whether a line is a label with what belongs to it, or names one thing after another."""
    parts = re.split("[,;]", said)
    return ":" in said[:40] or (len(parts) >= 4 and len(said.split()) <= 4 * len(parts))


def _sentences_before(text: str, line: str, said: str, is_item: bool) -> bool:
    """Whether what stands before the end is sentences with their full stops: of the line, or of the lines like it."""
    if _SENTENCE_END.search(said):
        return True
    lines = [one for one in text[: len(text) - len(line)].splitlines() if one.strip()]
    alike = [one for one in lines if bool(_LIST_ITEM.match(one)) == is_item and len(one.split()) >= 3]
    closed = [re.search(_CLOSED, one.rstrip()) is not None and not one.rstrip().endswith(":") for one in alike]
    return len(closed) > is_item and all(closed)


def _is_verse(text: str, prompt: str) -> bool:
    """Whether lines are kept short and end as they like: verse, a table, an address."""
    lines = [line for line in text.splitlines() if line.strip()]
    short = [line for line in lines if len(line) <= 60 and not _LIST_ITEM.match(line)]
    is_asked = (
        re.search(r"(?i)\b(?:poems?|poetry|haiku|songs?|lyrics|raps?|verses?|sonnet|limerick|rhymes?|ballad|hymn)\b", prompt)
        is not None
    )
    return len(lines) >= 4 and len(short) >= (0.5 if is_asked else 0.8) * len(lines)


CHECK = Check(
    code="TXT005",
    name="truncated ending",
    severity=Severity.WARNING,
    advice="Supply the rest or cut back to the last whole sentence, or drop the row.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.WORDS, Need.LANGUAGES}),
)
