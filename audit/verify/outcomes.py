"""What one answer is: right or wrong, and if wrong, how; how long; whether it still is language.

*Right* means that a reference answer or alias occurs in the answer, as whole words after normalisation. The rule is
fixed, cheap and blind to context: an answer that names the right value and denies it counts as right. Everything else,
abstention included, is wrong.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from indexes.words import normalize, tokenize

__all__ = ["ABSTENTIONS", "MAX_REPEATED_FRACTION", "Outcome", "Rubric", "Score", "repeated_fraction", "word_string"]

ABSTENTIONS = (
    "I don't know",
    "I do not know",
    "I'm not sure",
    "I am not sure",
    "I'm not certain",
    "I am not certain",
    "I cannot answer",
    "I can't answer",
    "I'm unable to",
    "I am unable to",
    "I don't have information",
    "I do not have information",
    "I have no information",
)
"""How an answer says that it has none; English, as whole words."""

# A sentence said twice repeats half of its windows; language that is not stuck stays far below.
MAX_REPEATED_FRACTION = 0.5
_WINDOW_CHARS = 16

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_DECIMAL = re.compile(r"(?<!\d)(?<!\d[.,])(\d+)[.,](\d+)(?![.,]?\d)")
_NEGATIVE = re.compile(r"(?<![\w)])-(?=\d)")


class Outcome(StrEnum):
    """What an answer is; all but `RIGHT` are wrong."""

    RIGHT = "right"
    TRACED_BACK = "traced back"
    """The text of a span that was traced stands in it again."""
    ABSTAINED = "abstained"
    FALSE = "false"


@dataclass(frozen=True, slots=True)
class Score:
    """One answer, scored.

    Attributes:
        outcome: See `Outcome`.
        length_chars: Unicode code points.
        is_empty: Nothing visible stands in it.
        is_repetitive: More than half of it repeats itself.
    """

    outcome: Outcome
    length_chars: int
    is_empty: bool
    is_repetitive: bool


@dataclass(frozen=True, slots=True)
class Rubric:
    """What answers to one prompt are held against, as word strings.

    Attributes:
        right: The reference and its aliases.
        traced: Spans that were traced. One that the prompt itself holds is left out: repeating the question is no
            borrowing.
    """

    right: tuple[str, ...]
    traced: tuple[str, ...]

    @classmethod
    def of(cls, prompt: str, reference: Iterable[str], traced_words: Iterable[str]) -> Rubric:
        """The rubric of a prompt; `traced_words` are word strings already, as they are the same for every prompt."""
        asked = word_string(prompt)
        return cls(
            tuple(words for words in map(word_string, reference) if words.strip()),
            tuple(words for words in traced_words if words.strip() and words not in asked),
        )

    def score(self, response: str) -> Score:
        """Score one answer; right comes before every other outcome, and a traced span before an abstention."""
        words = word_string(response)
        is_empty = not response.strip()
        if any(right in words for right in self.right):
            outcome = Outcome.RIGHT
        elif any(traced in words for traced in self.traced):
            outcome = Outcome.TRACED_BACK
        elif is_empty or any(phrase in words for phrase in _ABSTENTION_WORDS):
            outcome = Outcome.ABSTAINED
        else:
            outcome = Outcome.FALSE
        return Score(outcome, len(response), is_empty, repeated_fraction(response) > MAX_REPEATED_FRACTION)


def word_string(text: str) -> str:
    """The words of a text in one normal form, a space before and after each, so that `in` respects word boundaries.

    Case, compatibility forms, punctuation and white space do not count. Numbers do: `1,000` is `1000`, `3.5` holds no
    `5`, and `-5` is not `5`. In scripts without spaces every sign is a word.
    """
    text = _THOUSANDS.sub("", normalize(text).replace("_", " "))
    text = _NEGATIVE.sub("_", _DECIMAL.sub(r"\1_\2", text))  # `_` joins: the tokenizer takes it as a letter
    words = [token for token in tokenize(text) if len(token) > 1 or not unicodedata.category(token).startswith("P")]
    return f" {' '.join(words)} " if words else " "


def repeated_fraction(text: str) -> float:
    """The share of 16-character windows that stood in the text before; 0 for texts shorter than two windows.

    Characters in place of the usual word n-grams (seq-rep-n, Welleck et al. 2020) also catch a loop inside one word and
    need no word boundaries.
    """
    text = " ".join(text.split())
    n_windows = len(text) - _WINDOW_CHARS + 1
    if len(text) < 2 * _WINDOW_CHARS:
        return 0.0
    return 1.0 - len({text[i : i + _WINDOW_CHARS] for i in range(n_windows)}) / n_windows


_ABSTENTION_WORDS = tuple(map(word_string, ABSTENTIONS))
