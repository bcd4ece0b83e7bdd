"""Which words of an answer are to be explained: those marked, or those that differ from the right answer.

Words are compared in one normal form, and numbers by value: `1,000` is `1000`, `5km` is `5 km`, `2.50` is `2.5`. Where the
right answer is a short value and the answer a sentence around it, not every word that the value lacks is false: another
value named in its place is looked for first, then words of the same kind (numbers for a number, names for a name). An
answer that holds the right value has nothing false, however it is worded; that is the rule by which answers are judged
right, too. Nothing here knows a language, but for a list of common English words and number words.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from enum import StrEnum

from audit.answers import word_string
from audit.errors import InputError, NothingToTraceError
from audit.responses import Response, Span
from indexes.words import is_word, tokenize, tokenize_with_offsets

__all__ = [
    "Kind",
    "Question",
    "Word",
    "locate_span",
    "questions_of",
    "replacement_of",
    "spans_of_words",
    "unsupported_words",
    "words_of",
]

# Words that differ between two true sentences as well as between a true and a false one.
_COMMON = frozenset(
    "a an the of in on at to for from by with and or but not no is are was were be been it its this that these those as has "
    "have had do does did he she they we you i his her their there which who what called known also".split()
)
_NUMBER_WORDS = {
    word: str(number)
    for number, word in enumerate("two three four five six seven eight nine ten eleven twelve".split(), start=2)
}
# Digits and groups of digits; the sign only where no word ends before it.
_NUMBER = re.compile(r"(?<!\w)(?:(?<![)\]])[-−])?\d+(?:[,.'’\u00a0\u2009\u202f]\d+)*")
_DIGITS = re.compile(r"\d+")
_SEPARATOR = re.compile(r"\D")
_LETTERS = re.compile(r"[^\W\d_]+")
_ENDINGS = frozenset(("st", "nd", "rd", "th", "s"))  # of ordinals and decades
_SENTENCE_ENDS = ".!?…:\n。！？"
_BEFORE_SENTENCE = " \t\"'“”‘’«»([*_-#>"
# What stands between words of one span; a full stop only within a word, as in U.S.
_JOINED = re.compile(r"(?:[\s'’,&\-‐‑–/]|\.(?=\w))*")

_MAX_VALUE_WORDS = 6
"""A reference of more words is a statement; up to so many, a value that stands in the answer's sentence."""
_MAX_REWORDED_FRACTION = 0.5
"""Where more of an answer's words than this are not those of the right statement, it is worded otherwise."""

SUPPORTED, OF_ANOTHER_KIND, FALSE = 0.0, 0.5, 1.0
"""How doubtful a reference leaves a word: held by prompt or reference; held by neither, though another kind of word than
the right answer's; what stands in the right answer's place."""


class Kind(StrEnum):
    """What a word looks like."""

    NUMBER = "number"
    NAME = "name"
    """Begins with a capital letter; scripts without them have none."""
    WORD = "word"


@dataclass(frozen=True, slots=True)
class Question:
    """A span to explain, and the words that should have stood in its place, where they are known."""

    span: Span
    right: str = ""


@dataclass(frozen=True, slots=True)
class Word:
    """A word or number of a text.

    Attributes:
        key: What it is compared by: the word in normal form, or the number's value.
        start: First code point.
        end: Code point after the last.
        kind: What it looks like.
        begins_sentence: Whether it would have a capital letter anyway.
    """

    key: str
    start: int
    end: int
    kind: Kind
    begins_sentence: bool

    @property
    def is_common(self) -> bool:
        """Whether it stands in true and false sentences alike."""
        return self.key in _COMMON


def locate_span(response: str, given: str) -> Span:
    """The span that a user names: `START:END` in code points, or the text itself (its first occurrence).

    Raises:
        InputError: It is not in the response.
    """
    begin, colon, end = given.partition(":")
    if colon and begin.isdecimal() and end.isdecimal():
        start, stop = int(begin), int(end)
        if not start < stop <= len(response):
            raise InputError(
                f"span {given} is not within the response of {len(response)} characters",
                remedy="give START:END inside it",
            )
        return Span(start, stop, response[start:stop])
    start = response.find(given) if given.strip() else -1
    if start < 0:
        found = _find_tokens(response, given)
        if found is None:
            raise InputError(f"the span {given!r} is not in the response", remedy="copy it from there, or give START:END")
        return found
    return Span(start, start + len(given), given)


def questions_of(claim: Response) -> tuple[Question, ...]:
    """The spans of a claim to explain: those given, else those that the right answer does not share.

    Raises:
        NothingToTraceError: There is neither span nor right answer, the answer does not differ from it, or is worded so
            differently that no word can be told to be the false one.
    """
    if claim.spans:
        right = claim.corrected or " ".join(claim.reference)
        return tuple(Question(span, right) for span in claim.spans)
    if claim.corrected is not None:
        found = _differences(claim.response, claim.corrected)
    elif claim.reference:
        words, doubts = unsupported_words(claim)
        flagged = [word for word, doubt in zip(words, doubts, strict=True) if doubt == FALSE]
        found = tuple(Question(span, " ".join(claim.reference)) for span in spans_of_words(claim.response, flagged))
        if not found and OF_ANOTHER_KIND in doubts:
            raise NothingToTraceError(
                "the response is worded otherwise than the right answer",
                where=claim.id,
                why="no number or name differs",
                remedy="mark the false words with --span",
            )
    else:
        raise NothingToTraceError(
            "nothing says which words are false",
            where=claim.id,
            remedy="mark them with --span, or give the right answer with --reference or --corrected",
        )
    if not found:
        raise NothingToTraceError(
            "the response does not differ from the right answer",
            where=claim.id,
            remedy="mark the false words with --span",
        )
    return found


def replacement_of(claim: Response, span: Span) -> Question | None:
    """The right words that can be put in a span's place, with the part of the answer that they replace.

    They are what the corrected answer says there, or a reference that is a value; `None` where neither is known, where the
    corrected answer leaves the span as it is or out, or where the reference is a statement.
    """
    if claim.corrected is not None:
        differences = _differences(claim.response, claim.corrected)
        overlapping = (found for found in differences if found.span.start < span.end and span.start < found.span.end)
        return next((found for found in overlapping if found.right), None)
    if claim.reference and 0 < len(words_of(claim.reference[0])) <= _MAX_VALUE_WORDS:
        return Question(span, claim.reference[0])
    return None


def words_of(text: str) -> tuple[Word, ...]:
    """The words and numbers of a text, in order, punctuation left out.

    A number is compared by its value: separators of thousands, zeros at its ends, ordinal endings and a unit that is
    written together with it do not count. `1.000` alone is read as one, and a scale such as *million* is a word.
    """
    numbers = tuple(_numbers(text))
    taken = {place for word in numbers for place in range(word.start, word.end)}
    words = [
        Word(_NUMBER_WORDS.get(token.text, token.text), token.start, token.end, _kind(token.text, text[token.start]), False)
        for token in tokenize_with_offsets(text)
        if is_word(token.text) and not taken.intersection(range(token.start, token.end))
    ]
    ordered = sorted((*numbers, *words), key=lambda word: word.start)
    return tuple(replace(word, begins_sentence=_begins_sentence(text, word.start)) for word in ordered)


def unsupported_words(claim: Response, wording: Collection[str] = ()) -> tuple[tuple[Word, ...], tuple[float, ...]]:
    """The words of an answer, and what its references leave in doubt: `SUPPORTED`, `OF_ANOTHER_KIND` or `FALSE`.

    With a short reference, `FALSE` are the first of these that there are: values that the claim lists as wrong; words of
    the reference's kind; any word that neither prompt nor reference holds. With a statement as reference they are numbers
    and names that it does not hold, or its other words where most are kept.

    Args:
        claim: An answer with references.
        wording: Keys of words that true answers hold whatever their value, and that are no evidence.
    """
    words = words_of(claim.response)
    said = word_string(claim.response)
    if any(word_string(right).strip() and word_string(right) in said for right in claim.reference):
        return words, (SUPPORTED,) * len(words)
    references = [words_of(reference) for reference in claim.reference]
    in_prompt = {word.key for word in words_of(claim.prompt)}
    known = in_prompt | {word.key for reference in references for word in reference}
    new = [not word.is_common and word.key not in known for word in words]
    candidates = [is_new and word.key not in wording for word, is_new in zip(words, new, strict=True)]
    is_value = max(map(len, references), default=0) <= _MAX_VALUE_WORDS
    false = _listed(claim, words) if is_value else set()
    if not false:
        false = _in_place_of_value(words, candidates, references) if is_value else _in_statement(words, candidates)
        false = _whole_names(claim.response, words, false, in_prompt)
    doubts = (FALSE if place in false else OF_ANOTHER_KIND if is_new else SUPPORTED for place, is_new in enumerate(new))
    return words, tuple(doubts)


def spans_of_words(text: str, words: Sequence[Word], confidences: Sequence[float] | None = None) -> tuple[Span, ...]:
    """Spans over runs of words with nothing but space, hyphens, commas and the like between them.

    Common words at a run's ends are left off, and runs of nothing else left out.

    Args:
        text: What the words stand in.
        words: Some of its words, in order.
        confidences: One per word; a span has the highest of its words.
    """
    runs: list[list[int]] = []
    for place, word in enumerate(words):
        if runs and _JOINED.fullmatch(text, words[place - 1].end, word.start):
            runs[-1].append(place)
        else:
            runs.append([place])
    spans = []
    for run in runs:
        content = [place for place in run if not words[place].is_common]
        if content:
            start, end = words[content[0]].start, words[content[-1]].end
            kept = range(content[0], content[-1] + 1)
            confidence = None if confidences is None else max(confidences[place] for place in kept)
            spans.append(Span(start, end, text[start:end], confidence))
    return tuple(spans)


def _find_tokens(response: str, given: str) -> Span | None:
    wanted, tokens = tokenize(given), tokenize_with_offsets(response)
    for begin in range(len(tokens) - len(wanted) + 1):
        if wanted and [token.text for token in tokens[begin : begin + len(wanted)]] == wanted:
            start, end = tokens[begin].start, tokens[begin + len(wanted) - 1].end
            return Span(start, end, response[start:end])
    return None


def _differences(response: str, corrected: str) -> tuple[Question, ...]:
    """What a corrected answer replaces or leaves out; where it is worded otherwise, the numbers and names, if there are any."""
    wrong, right = words_of(response), words_of(corrected)
    matcher = SequenceMatcher(a=[word.key for word in wrong], b=[word.key for word in right], autojunk=False)
    blocks = [
        (wrong[begin:end], right[right_begin:right_end])
        for operation, begin, end, right_begin, right_end in matcher.get_opcodes()
        if operation in ("replace", "delete")
    ]
    n_content = sum(not word.is_common for word in wrong)
    n_different = sum(not word.is_common for block, _ in blocks for word in block)
    if n_different > _MAX_REWORDED_FRACTION * n_content:
        held = {word.key for word in right}
        telling = [(tuple(word for word in block if _tells(word) and word.key not in held), by) for block, by in blocks]
        blocks = telling if any(block for block, _ in telling) else blocks
    return tuple(
        Question(span, corrected[instead[0].start : instead[-1].end] if instead else "")
        for block, instead in blocks
        for span in spans_of_words(response, block)
    )


def _listed(claim: Response, words: Sequence[Word]) -> set[int]:
    """Places of the values that the claim lists as wrong; one that the prompt holds is a repetition of the question."""
    keys, asked = [word.key for word in words], word_string(claim.prompt)
    false: set[int] = set()
    for value in claim.values:
        wanted = [word.key for word in words_of(value)]
        if wanted and word_string(value) not in asked:
            for begin in range(len(keys) - len(wanted) + 1):
                if keys[begin : begin + len(wanted)] == wanted:
                    false.update(range(begin, begin + len(wanted)))
    return false


def _in_place_of_value(words: Sequence[Word], candidates: Sequence[bool], references: Sequence[Sequence[Word]]) -> set[int]:
    """Candidates of a reference's kind, else all; a capital letter that begins a sentence counts where no other does."""
    kinds = {_kind_of_value(reference) for reference in references if reference}
    if Kind.WORD in kinds:
        kinds.add(Kind.NAME)  # references are often written without capital letters
    of_kind = {place for place, word in enumerate(words) if candidates[place] and word.kind in kinds}
    if Kind.WORD not in kinds:
        inside = {place for place in of_kind if not words[place].begins_sentence or words[place].kind is Kind.NUMBER}
        of_kind = inside or of_kind
    return of_kind or {place for place, is_candidate in enumerate(candidates) if is_candidate}


def _in_statement(words: Sequence[Word], candidates: Sequence[bool]) -> set[int]:
    """Numbers and names, else all candidates, unless these are so many that the answer is worded otherwise."""
    places = {place for place, is_candidate in enumerate(candidates) if is_candidate}
    n_content = sum(not word.is_common for word in words)
    telling = {place for place in places if _tells(words[place])}
    return telling or (places if len(places) <= _MAX_REWORDED_FRACTION * n_content else set())


def _whole_names(text: str, words: Sequence[Word], false: Collection[int], in_prompt: Collection[str]) -> set[int]:
    """With every false word of a name the rest of the name, as far as the prompt does not hold it."""
    whole = set(false)
    for place in false:
        for step in (-1, 1):
            last, beside = place, place + step
            while 0 <= beside < len(words) and words[last].kind is words[beside].kind is Kind.NAME:
                first, second = sorted((last, beside))
                between = text[words[first].end : words[second].start]
                if "," in between or not _JOINED.fullmatch(between) or words[beside].key in {*in_prompt, *_COMMON}:
                    break
                whole.add(beside)
                last, beside = beside, beside + step
    return whole


def _kind_of_value(words: Sequence[Word]) -> Kind:
    kinds = {word.kind for word in words}
    return next((kind for kind in (Kind.NUMBER, Kind.NAME) if kind in kinds), Kind.WORD)


def _tells(word: Word) -> bool:
    """Whether another word in its place is another fact, rather than perhaps another wording."""
    return word.kind is Kind.NUMBER or (word.kind is Kind.NAME and not word.begins_sentence)


def _numbers(text: str) -> Iterator[Word]:
    """Numbers, and the letters that are written together with them as words of their own."""
    for match in _NUMBER.finditer(text):
        key = _number_key(match.group())
        parts = [(match.start(), match.end(), key)] if key is not None else []
        if key is None:  # a date, a version, an address: group by group
            at = match.start()
            parts = [(at + part.start(), at + part.end(), _plain(part.group())) for part in _DIGITS.finditer(match.group())]
        suffix = _LETTERS.match(text, match.end())
        if suffix is not None and suffix.group().casefold() in _ENDINGS:
            start, _, key = parts[-1]
            parts[-1] = (start, suffix.end(), key)
            suffix = None
        yield from (Word(key, start, end, Kind.NUMBER, False) for start, end, key in parts)
        if suffix is not None:
            for token in tokenize_with_offsets(suffix.group()):
                start = suffix.start()
                yield Word(token.text, start + token.start, start + token.end, Kind.WORD, False)


def _number_key(raw: str) -> str | None:
    """The value of a number as written anywhere; `None` where it is no single number."""
    sign = "-" if raw[0] in "-−" else ""
    groups, separators = _SEPARATOR.split(raw[len(sign) :]), _SEPARATOR.findall(raw[len(sign) :])
    decimals = ""
    is_last = bool(separators) and separators[-1] in ".," and separators.count(separators[-1]) == 1
    # One point is decimal; one comma before three digits is not.
    if is_last and (len(groups) > 2 or separators[-1] == "." or not _are_thousands(groups)):
        decimals = groups.pop()
        separators.pop()
    if separators and (len(set(separators)) > 1 or not _are_thousands(groups)):
        return None
    fraction = "".join(str(int(digit)) for digit in decimals).rstrip("0")
    whole = _plain("".join(groups))
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def _are_thousands(groups: Sequence[str]) -> bool:
    return len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:])


def _plain(digits: str) -> str:
    """A whole number without zeros before it, in ASCII."""
    return "".join(str(int(digit)) for digit in digits).lstrip("0") or "0"


def _kind(key: str, first: str) -> Kind:
    if key in _NUMBER_WORDS:
        return Kind.NUMBER
    return Kind.NAME if first.isupper() else Kind.WORD


def _begins_sentence(text: str, start: int) -> bool:
    before = text[:start].rstrip(_BEFORE_SENTENCE)
    # A full stop without a space after it stands within a name or number.
    return not before or (before[-1] in _SENTENCE_ENDS and (len(before) < start or before[-1] not in ".:"))
