"""Which words of an answer are to be explained: those marked, or those that differ from the right answer."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher

from audit.errors import InputError, NothingToTraceError
from audit.responses import Response, Span
from indexes.words import Token, is_word, tokenize, tokenize_with_offsets

__all__ = ["Question", "locate_span", "questions_of"]

# Words that differ between two true sentences as well as between a true and a false one.
_COMMON = frozenset(
    "a an the of in on at to for from by with and or but not no is are was were be been it its this that these those as has "
    "have had do does did he she they we you i his her their there which who what called known also".split()
)


@dataclass(frozen=True, slots=True)
class Question:
    """A span to explain, and the words that should have stood in its place, where they are known."""

    span: Span
    right: str = ""


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
        InputError: There is neither span nor right answer, or the answer does not differ from it.
    """
    if claim.spans:
        right = claim.corrected or " ".join(claim.reference)
        return tuple(Question(span, right) for span in claim.spans)
    if claim.corrected is not None:
        found = _differences(claim.response, claim.corrected)
    elif claim.reference:
        found = _unsupported(claim)
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


def _find_tokens(response: str, given: str) -> Span | None:
    wanted, tokens = tokenize(given), tokenize_with_offsets(response)
    for begin in range(len(tokens) - len(wanted) + 1):
        if wanted and [token.text for token in tokens[begin : begin + len(wanted)]] == wanted:
            start, end = tokens[begin].start, tokens[begin + len(wanted) - 1].end
            return Span(start, end, response[start:end])
    return None


def _differences(response: str, corrected: str) -> tuple[Question, ...]:
    wrong, right = tokenize_with_offsets(response), tokenize_with_offsets(corrected)
    matcher = SequenceMatcher(a=[t.text for t in wrong], b=[t.text for t in right], autojunk=False)
    questions = []
    for operation, begin, end, right_begin, right_end in matcher.get_opcodes():
        if operation in ("replace", "delete"):
            span = _trimmed(response, wrong[begin:end])
            if span is not None:
                instead = right[right_begin:right_end]
                questions.append(Question(span, corrected[instead[0].start : instead[-1].end] if instead else ""))
    return tuple(questions)


def _unsupported(claim: Response) -> tuple[Question, ...]:
    """Runs of words that neither the prompt nor the reference holds."""
    reference = " ".join(claim.reference)
    known = {*tokenize(claim.prompt), *tokenize(reference), *_COMMON}
    questions = []
    run: list[Token] = []
    for token in [*tokenize_with_offsets(claim.response), None]:
        if token is not None and is_word(token.text) and token.text not in known:
            run.append(token)
            continue
        span = _trimmed(claim.response, run)
        if span is not None:
            questions.append(Question(span, reference))
        run = []
    return tuple(questions)


def _trimmed(text: str, tokens: list[Token]) -> Span | None:
    """The span of some tokens without common words and punctuation at its ends; `None` where nothing is left."""
    content = [i for i, token in enumerate(tokens) if is_word(token.text) and token.text not in _COMMON]
    if not content:
        return None
    start, end = tokens[content[0]].start, tokens[content[-1]].end
    return Span(start, end, text[start:end])
