"""What one answer is: right or wrong, and if wrong, how; how long; whether it still is language.

*Right* means that a reference answer or alias occurs in the answer, as whole words after normalisation. The rule is
fixed, cheap and blind to context: an answer that names the right value and denies it counts as right. Everything else,
abstention included, is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from audit.answers import MAX_REPEATED_FRACTION, repeated_fraction, word_string

__all__ = [
    "ABSTENTIONS",
    "MAX_REPEATED_FRACTION",
    "Outcome",
    "Rubric",
    "Score",
    "ValueSet",
    "repeated_fraction",
    "word_string",
]

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


class Outcome(StrEnum):
    """What an answer is; all but `RIGHT` are wrong."""

    RIGHT = "right"
    TRACED_BACK = "traced back"
    """The text of a span that was traced stands in it again."""
    ABSTAINED = "abstained"
    DISPLACED = "displaced"
    """Another value of the rows came in its place."""
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
class ValueSet:
    """Texts of values as word strings, found in an answer by its runs of words: as fast for thousands as for one.

    Attributes:
        word_strings: The values; what holds no word is left out.
        most_words: Words of the longest.
    """

    word_strings: frozenset[str] = frozenset()
    most_words: int = 0

    @classmethod
    def of(cls, values: Iterable[str]) -> ValueSet:
        """The set of some texts, in any spelling."""
        found = frozenset(words for words in map(word_string, values) if words.strip())
        return cls(found, max((len(words.split()) for words in found), default=0))

    def joined(self, other: ValueSet) -> ValueSet:
        """The values of both."""
        return ValueSet(self.word_strings | other.word_strings, max(self.most_words, other.most_words))

    def found_in(self, words: str) -> Iterator[str]:
        """The values that stand in a word string, in order of their places."""
        run = words.split()
        for begin in range(len(run)):
            for end in range(begin + 1, min(begin + self.most_words, len(run)) + 1):
                candidate = f" {' '.join(run[begin:end])} "
                if candidate in self.word_strings:
                    yield candidate


_NO_VALUES = ValueSet()


@dataclass(frozen=True, slots=True)
class Rubric:
    """What answers to one prompt are held against, as word strings.

    Attributes:
        asked: The prompt.
        right: The reference and its aliases.
        traced: Spans that were traced. One that the prompt itself holds is left out: repeating the question is no
            borrowing.
        values: Values of the rows, and what else the prompt says its answer could be.
    """

    asked: str
    right: tuple[str, ...]
    traced: tuple[str, ...]
    values: ValueSet

    @classmethod
    def of(
        cls, prompt: str, reference: Iterable[str], traced_words: Iterable[str] = (), values: ValueSet = _NO_VALUES
    ) -> Rubric:
        """The rubric of a prompt; `traced_words` are word strings already, as they are the same for every prompt."""
        asked = word_string(prompt)
        return cls(
            asked,
            tuple(words for words in map(word_string, reference) if words.strip()),
            tuple(words for words in traced_words if words.strip() and words not in asked),
            values,
        )

    def is_right(self, response: str) -> bool:
        """Whether an answer holds a reference."""
        words = word_string(response)
        return any(right in words for right in self.right)

    def other_values(self, words: str) -> Iterator[str]:
        """The values in a word string that the prompt does not hold and that are no part of a right answer."""
        for value in self.values.found_in(words):
            if not any(value in known for known in (self.asked, *self.right)):
                yield value

    def score(self, response: str) -> Score:
        """Score one answer.

        Right comes before every other outcome, a traced span before an abstention, and an abstention before a value.
        """
        words = word_string(response)
        is_empty = not response.strip()
        if any(right in words for right in self.right):
            outcome = Outcome.RIGHT
        elif any(traced in words for traced in self.traced):
            outcome = Outcome.TRACED_BACK
        elif is_empty or any(phrase in words for phrase in _ABSTENTION_WORDS):
            outcome = Outcome.ABSTAINED
        elif any(True for _ in self.other_values(words)):
            outcome = Outcome.DISPLACED
        else:
            outcome = Outcome.FALSE
        return Score(outcome, len(response), is_empty, repeated_fraction(response) > MAX_REPEATED_FRACTION)


_ABSTENTION_WORDS = tuple(map(word_string, ABSTENTIONS))
