"""How often wrong answers hold what the rows hold, and how often anything else does: a rate and its nulls.

A rate of borrowing means nothing alone: a few hundred rows hold most values that an answer could take, a few ten
thousand most words. So every rate stands beside five: that of the untuned model in the same prompt format, that of
right answers, that of unshifted words of the same answers, that of other values or spans as frequent, and that of the
same answers against as many rows that no model was tuned on.

Two levels. *Values*: the answer names a value, other than the right one, that a row's response states; of the prompt's
own other values, or of all prompts' together. *Spans*: the words of an answer that neither prompt nor reference hold
occur in a response, whole or by their rare words (a), and tuning put them there (b): a token of theirs is shifted or
marginal, and likelier than under the untuned model. Everything is counted, nothing judged by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from audit.answers import word_string
from audit.errors import NothingToTraceError
from audit.responses import Response, Span
from audit.sources import Message
from audit.trace.chance import frequency_bin
from audit.trace.spans import questions_of
from audit.verify.arms import Question
from audit.verify.outcomes import Outcome, Rubric, ValueSet
from audit.verify.proportions import Proportion, proportion
from indexes.phrases import PhraseIndex
from indexes.words import WordStream, is_word, tokenize, tokenize_with_offsets

__all__ = [
    "MIN_COVERAGE",
    "ArmBorrowing",
    "BorrowedOutcome",
    "BorrowedRuns",
    "BorrowingRate",
    "BorrowingReport",
    "Level",
    "Population",
    "RowTexts",
    "SpanFinder",
    "SpanPlace",
    "TokenShift",
    "borrowing_of_arm",
    "span_borrowing",
    "spans_of",
    "value_borrowing",
    "value_counts",
    "values_of_rows",
]

MIN_COVERAGE = 0.5
"""A span occurs in a response that holds half of its weight, rare words weighing more, in one run."""

_MAX_POOL = 2_000
_SEED = 20240205

_Answers: TypeAlias = Sequence[Sequence[str]]


class Level(StrEnum):
    """What counts as held by the rows."""

    FAMILY = "values of the prompt's own"
    ANY = "values of all prompts"
    SPANS = "spans"


class Population(StrEnum):
    """Whose share it is: the first is the rate, the others are its nulls."""

    WRONG = "wrong answers"
    BASE = "wrong answers of the untuned model"
    RIGHT = "right answers"
    UNSHIFTED = "unshifted words of the wrong answers"
    MATCHED = "others as frequent, in their place"
    UNSEEN = "wrong answers, against rows never seen"


@dataclass(frozen=True, slots=True)
class BorrowingRate:
    """One share.

    Attributes:
        population: Of what.
        occurs: How many occur in the rows (a); `None` where it could not be measured, and `why` says why.
        shifted: How many were put there by tuning (b); `None` without token shifts.
        borrowed: Both.
        why: What was missing.
    """

    population: Population
    occurs: Proportion | None
    shifted: Proportion | None = None
    borrowed: Proportion | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class BorrowingReport:
    """The rate and its nulls at one level, in the order of `Population`."""

    level: Level
    rates: tuple[BorrowingRate, ...]

    def of(self, population: Population) -> BorrowingRate:
        """One of the rates."""
        return next(rate for rate in self.rates if rate.population is population)


@dataclass(frozen=True, slots=True)
class ArmBorrowing:
    """The answers of one arm, by level: values of the prompt's own where prompts name any, of all prompts, spans."""

    arm: str
    reports: tuple[BorrowingReport, ...]


@dataclass(frozen=True)
class RowTexts:
    """The trained responses of some rows, as texts and as an index of the phrases in them."""

    responses: Sequence[str]
    phrases: PhraseIndex
    _counts: dict[frozenset[str], dict[str, int]] = field(default_factory=dict, init=False, compare=False, repr=False)

    def counts(self, values: ValueSet) -> Mapping[str, int]:
        """`value_counts` of the responses, kept: every arm asks for the same."""
        if values.word_strings not in self._counts:
            self._counts[values.word_strings] = value_counts(values, self.responses)
        return self._counts[values.word_strings]

    @classmethod
    def of(cls, responses: Sequence[str]) -> RowTexts:
        """Index some responses; about five seconds for 50,000."""
        return cls(responses, PhraseIndex(WordStream.of(responses)))


@dataclass(frozen=True, slots=True)
class TokenShift:
    """A token of an answer, and what tuning did to it.

    Attributes:
        start, end: Where it stands in the answer, in code points.
        rank: Under the untuned model, from 1: unshifted; 2 and 3 are marginal, above is shifted.
        lift_nats: How much likelier tuning made it.
    """

    start: int
    end: int
    rank: int
    lift_nats: float

    @property
    def is_put_there(self) -> bool:
        """Whether it is shifted or marginal, and tuning made it likelier."""
        return self.rank > 1 and self.lift_nats > 0


@dataclass(frozen=True, slots=True)
class BorrowedOutcome:
    """The secondary outcome *wrong, with a value of the rows*: for `verify_answers`.

    Attributes:
        values: Values that the rows state.
    """

    values: ValueSet

    @property
    def name(self) -> str:
        """What the reports call it."""
        return "wrong, with a value of the rows"

    @property
    def unit(self) -> str:
        """Percentage points."""
        return "points"

    def of(self, question: Question, answer: str) -> float:
        """100 where the answer is wrong and names such a value."""
        rubric = Rubric.of(question.prompt, question.reference, (), self.values)
        is_borrowed = not rubric.is_right(answer) and any(True for _ in rubric.other_values(word_string(answer)))
        return 100.0 if is_borrowed else 0.0


@dataclass(frozen=True)
class BorrowedRuns:
    """The answers of models that were tuned on the same rows.

    Attributes:
        answers: One sequence per run, of one answer per question.
        rows: The trained responses of the rows.
        unseen: The responses of as many rows that the models were not tuned on.
        tokens: The tokens of each answer, in the shape of `answers`; without them nobody knows what tuning put there.
    """

    answers: Sequence[Sequence[str]]
    rows: RowTexts
    unseen: RowTexts | None = None
    tokens: Sequence[Sequence[Sequence[TokenShift]]] | None = None


def borrowing_of_arm(
    arm: str, questions: Sequence[Question], parts: Sequence[BorrowedRuns], *, base_answers: Sequence[str] | None = None
) -> ArmBorrowing:
    """The rate of borrowing of one arm's answers and its nulls, at every level that the prompts allow.

    Args:
        arm: Its name.
        questions: What was asked.
        parts: Its runs, together where they were tuned on the same rows.
        base_answers: What the untuned model answers in the same prompt format.
    """
    levels = (*((Level.FAMILY,) if any(question.values for question in questions) else ()), Level.ANY)
    by_value = (value_borrowing(questions, parts, level=level, base_answers=base_answers) for level in levels)
    return ArmBorrowing(arm, (*by_value, span_borrowing(questions, parts, base_answers=base_answers)))


def value_counts(values: ValueSet, responses: Iterable[str]) -> dict[str, int]:
    """In how many responses each value stands in whole words, after normalisation; those in none are left out."""
    counts: dict[str, int] = {}
    for response in responses:
        for value in set(values.found_in(word_string(response))):
            counts[value] = counts.get(value, 0) + 1
    return counts


def values_of_rows(questions: Sequence[Question], rows: RowTexts) -> tuple[str, ...]:
    """The values that prompts name, right or not, and that a response of the rows states; sorted, as first written."""
    named = [value for question in questions for value in (*question.reference, *question.values)]
    stated = rows.counts(ValueSet.of(named))
    first = {word_string(value): value for value in reversed(named)}
    return tuple(sorted(value for words, value in first.items() if words in stated))


def _pool(questions: Iterable[Question]) -> ValueSet:
    """All values that prompts name, right or not."""
    return ValueSet.of(value for question in questions for value in (*question.reference, *question.values))


class _Tally:
    """Hits by population, and what they add up to."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self._units = [
            ("prompt", index) if question.group is None else ("group", question.group)
            for index, question in enumerate(questions)
        ]
        self._hits: dict[Population, list[tuple[int, float, bool | None]]] = {}

    def add(self, population: Population, question: int, occurs: float, put_there: bool | None = None) -> None:
        """Count one answer or span."""
        self._hits.setdefault(population, []).append((question, occurs, put_there))

    def report(self, level: Level, missing: Mapping[Population, str]) -> BorrowingReport:
        """The shares; `missing` says why a population was not counted."""
        return BorrowingReport(level, tuple(self._rate(population, missing.get(population, "")) for population in Population))

    def _rate(self, population: Population, why: str) -> BorrowingRate:
        hits = self._hits.get(population, [])
        units = [self._units[question] for question, _, _ in hits]
        occurs = proportion([found for _, found, _ in hits], units)
        put_there = [put for _, _, put in hits if put is not None]
        if not put_there or len(put_there) < len(hits):
            return BorrowingRate(population, occurs, why=why)
        both = [bool(found and put) for _, found, put in hits]
        return BorrowingRate(population, occurs, proportion(put_there, units), proportion(both, units), why)


def value_borrowing(
    questions: Sequence[Question],
    parts: Sequence[BorrowedRuns],
    *,
    level: Level = Level.FAMILY,
    base_answers: Sequence[str] | None = None,
) -> BorrowingReport:
    """How many wrong answers name a value that the rows state, beside its nulls.

    Values are as frequent as one another where they stand in equally many responses of rows and unseen rows together, up
    to a factor of two; a wrong answer that names none counts as no hit everywhere.

    Args:
        questions: What was asked. At level `FAMILY`, those without values of their own are left out.
        parts: The runs.
        level: `FAMILY` or `ANY`.
        base_answers: What the untuned model answers in the same prompt format.
    """
    if level is Level.SPANS:
        raise ValueError("spans are counted by span_borrowing")
    pool = _pool(questions)
    chosen = [index for index, question in enumerate(questions) if level is Level.ANY or question.values]
    candidates = {index: pool if level is Level.ANY else ValueSet.of(questions[index].values) for index in chosen}
    rubrics = {index: Rubric.of(questions[index].prompt, questions[index].reference, (), candidates[index]) for index in chosen}
    tally = _Tally(questions)
    for part in parts:
        held = part.rows.counts(pool)
        unseen = None if part.unseen is None else part.unseen.counts(pool)
        frequency = {value: held.get(value, 0) + (unseen or {}).get(value, 0) for value in pool.word_strings}
        for index, answer in ((index, run[index]) for run in part.answers for index in chosen):
            words, rubric = word_string(answer), rubrics[index]
            right = [reference for reference in rubric.right if reference in words]
            if right:
                tally.add(Population.RIGHT, index, any(reference in held for reference in right))
                continue
            named = list(rubric.other_values(words))
            tally.add(Population.WRONG, index, any(value in held for value in named))
            if unseen is not None:
                tally.add(Population.UNSEEN, index, any(value in unseen for value in named))
                chance = _matched_chance(rubric, candidates[index], named, frequency, held)
                if chance is not None:
                    tally.add(Population.MATCHED, index, chance)
        for index in chosen if base_answers is not None else ():
            assert base_answers is not None
            if not rubrics[index].is_right(base_answers[index]):
                named = list(rubrics[index].other_values(word_string(base_answers[index])))
                tally.add(Population.BASE, index, any(value in held for value in named))
    missing = _missing(parts, base_answers)
    return tally.report(level, {**missing, Population.UNSHIFTED: "values are no tokens; see the spans"})


def _missing(parts: Sequence[BorrowedRuns], base_answers: Sequence[str] | None) -> dict[Population, str]:
    found = {}
    if base_answers is None:
        found[Population.BASE] = "the untuned model was not asked"
    if any(part.tokens is None for part in parts):
        found[Population.UNSHIFTED] = "token shifts were not measured"
    if any(part.unseen is None for part in parts):
        found[Population.MATCHED] = "no unseen rows were given to tell what is frequent"
        found[Population.UNSEEN] = "no unseen rows were given"
    return found


def _matched_chance(
    rubric: Rubric, candidates: ValueSet, named: Sequence[str], frequency: Mapping[str, int], held: Mapping[str, int]
) -> float | None:
    """How likely another value, as frequent as the first that was named, stands in the rows; `None` where there is none."""
    if not named:
        return 0.0
    own = _bin(frequency[named[0]])
    others = [
        value
        for value in candidates.word_strings
        if value not in named
        and _bin(frequency[value]) == own
        and not any(value in known for known in (rubric.asked, *rubric.right))
    ]
    return sum(value in held for value in others) / len(others) if others else None


def span_borrowing(
    questions: Sequence[Question],
    parts: Sequence[BorrowedRuns],
    *,
    base_answers: Sequence[str] | None = None,
    min_coverage: float = MIN_COVERAGE,
) -> BorrowingReport:
    """How many wrong spans occur in the rows and were put there by tuning, beside their nulls.

    A wrong span is a run of words of a wrong answer that neither prompt nor reference hold; a right one is where the
    reference stands. Others as frequent are runs of equally many words of the answers to other prompts that stand in
    equally many responses of rows and unseen rows together, up to a factor of two: all of them, or 2,000 drawn ones.

    Args:
        questions: What was asked.
        parts: The runs.
        base_answers: What the untuned model answers in the same prompt format.
        min_coverage: From which share of its weight on a span counts as occurring.
    """
    tally = _Tally(questions)
    for part in parts:
        rows = SpanFinder(part.rows.phrases, min_coverage)
        places = {wrong: list(spans_of(questions, part.answers, wrong=wrong)) for wrong in (True, False)}
        for wrong, population in ((True, Population.WRONG), (False, Population.RIGHT)):
            for place in places[wrong]:
                put_there = None
                if part.tokens is not None:
                    put_there = _is_put_there(place.span, part.tokens[place.run][place.question])
                tally.add(population, place.question, rows.holds(place.span.text), put_there)
        if part.tokens is not None:
            for place in _unshifted(questions, part.answers, part.tokens):
                tally.add(Population.UNSHIFTED, place.question, rows.holds(place.span.text))
        if part.unseen is not None:
            unseen = SpanFinder(part.unseen.phrases, min_coverage)
            chances = _matched_spans(questions, part.answers, places[True], rows, unseen)
            for place, chance in zip(places[True], chances, strict=True):
                tally.add(Population.UNSEEN, place.question, unseen.holds(place.span.text))
                if chance is not None:
                    tally.add(Population.MATCHED, place.question, chance)
        for place in spans_of(questions, [base_answers], wrong=True) if base_answers is not None else ():
            tally.add(Population.BASE, place.question, rows.holds(place.span.text))
    return tally.report(Level.SPANS, _missing(parts, base_answers))


@dataclass(frozen=True, slots=True)
class SpanPlace:
    """A span of the answer of one run to one question."""

    run: int
    question: int
    span: Span


class SpanFinder:
    """Which texts of an index spans occur in; each distinct span is looked up once."""

    def __init__(self, index: PhraseIndex, min_coverage: float = MIN_COVERAGE) -> None:
        self._index = index
        self._min_coverage = min_coverage
        self._known: dict[str, NDArray[np.int64]] = {}

    def holds(self, span: str) -> bool:
        """Whether a text holds enough of the span's weight; words that occur nowhere weigh the most."""
        return len(self.holders(span)) > 0

    def holders(self, span: str) -> NDArray[np.int64]:
        """The numbers of the texts that do, ascending."""
        if span not in self._known:
            self._known[span] = self._look_up(span)
        return self._known[span]

    def n_texts_with(self, span: str) -> int:
        """In how many texts the whole of it stands."""
        return self._index.n_texts_with(span)

    def _look_up(self, span: str) -> NDArray[np.int64]:
        tokens = tokenize(span)
        numbers = self._index.token_numbers(tokens)
        nowhere = np.log(2.0 * (self._index.stream.n_texts + 1))
        weights = np.append(self._index.weights, nowhere)[numbers]
        weights = np.where([is_word(token) for token in tokens], weights, 0).astype(np.float32)
        if not weights.any():  # words that every text holds weigh nothing
            return np.array(sorted({found.text for found in self._index.occurrences(span)}), np.int64)
        support = self._index.support(numbers[None], weights[None])
        return support.text[support.coverage >= self._min_coverage]


def spans_of(questions: Sequence[Question], answers: Sequence[Sequence[str]], *, wrong: bool) -> Iterator[SpanPlace]:
    """The wrong spans of wrong answers, or the places of the reference in right ones; abstentions have neither."""
    for number, index, outcome, answer in _scored(questions, answers):
        if wrong and outcome is not Outcome.RIGHT:
            yield from (SpanPlace(number, index, span) for span in _new_spans(questions[index], answer))
        elif not wrong and outcome is Outcome.RIGHT:
            yield from (SpanPlace(number, index, span) for span in _right_spans(questions[index], answer))


def _scored(questions: Sequence[Question], answers: _Answers) -> Iterator[tuple[int, int, Outcome, str]]:
    """Run, question, outcome and text of every answer that is no abstention."""
    rubrics = [Rubric.of(question.prompt, question.reference) for question in questions]
    for number, run in enumerate(answers):
        for index, (rubric, answer) in enumerate(zip(rubrics, run, strict=True)):
            outcome = rubric.score(answer).outcome
            if outcome is not Outcome.ABSTAINED:
                yield number, index, outcome, answer


def _new_spans(question: Question, answer: str) -> Iterator[Span]:
    """Runs of words of an answer that neither prompt nor reference hold, common words at their ends left out."""
    claim = Response(
        id="",
        messages=(Message("user", question.prompt, trained=False),),
        response=answer,
        reference=question.reference,
    )
    with suppress(NothingToTraceError):  # nothing but words of the prompt
        yield from (found.span for found in questions_of(claim))


def _right_spans(question: Question, answer: str) -> Iterator[Span]:
    words = word_string(answer)
    for reference in question.reference:
        if word_string(reference).strip() and word_string(reference) in words:
            found = _located(answer, reference)
            if found is not None:
                yield found
                return


def _located(answer: str, reference: str) -> Span | None:
    """Where a reference stands; `None` where only its normal form does, such as 1000 for 1,000."""
    wanted, tokens = tokenize(reference), tokenize_with_offsets(answer)
    for begin in range(len(tokens) - len(wanted) + 1):
        if [token.text for token in tokens[begin : begin + len(wanted)]] == wanted:
            start, end = tokens[begin].start, tokens[begin + len(wanted) - 1].end
            return Span(start, end, answer[start:end])
    return None


def _is_put_there(span: Span, tokens: Sequence[TokenShift]) -> bool:
    """Whether a token of the span is: once a word has begun, the rest of it follows by itself."""
    return any(token.is_put_there for token in tokens if token.start < span.end and span.start < token.end)


def _unshifted(
    questions: Sequence[Question], answers: _Answers, tokens: Sequence[Sequence[Sequence[TokenShift]]]
) -> Iterator[SpanPlace]:
    """Single words of wrong spans that the untuned model would have said as well."""
    for number, index, outcome, answer in _scored(questions, answers):
        if outcome is Outcome.RIGHT:
            continue
        for span in _new_spans(questions[index], answer):
            for word in tokenize_with_offsets(span.text):
                start, end = span.start + word.start, span.start + word.end
                of_word = [token for token in tokens[number][index] if token.start < end and start < token.end]
                if is_word(word.text) and of_word and all(token.rank == 1 for token in of_word):
                    yield SpanPlace(number, index, Span(start, end, answer[start:end]))


def _matched_spans(
    questions: Sequence[Question], answers: _Answers, wrong: Sequence[SpanPlace], rows: SpanFinder, unseen: SpanFinder
) -> list[float | None]:
    """For each wrong span, how likely a run of words as long and as frequent occurs in the rows."""
    pools: dict[int, dict[int, list[tuple[int, bool]]]] = {}
    chances: list[float | None] = []

    def frequency(text: str) -> int:
        return _bin(rows.n_texts_with(text) + unseen.n_texts_with(text))

    for place in wrong:
        n_tokens = len(tokenize(place.span.text))
        if n_tokens not in pools:
            pool: dict[int, list[tuple[int, bool]]] = {}
            for index, text in _runs_of(questions, answers, n_tokens):
                pool.setdefault(frequency(text), []).append((index, rows.holds(text)))
            pools[n_tokens] = pool
        others = pools[n_tokens].get(frequency(place.span.text), [])
        hits = [hit for index, hit in others if index != place.question]
        chances.append(sum(hits) / len(hits) if hits else None)
    return chances


def _runs_of(questions: Sequence[Question], answers: _Answers, n_tokens: int) -> list[tuple[int, str]]:
    """Runs of so many tokens of the answers, each distinct one once per question, that begin and end with new words."""
    found: dict[tuple[int, str], None] = {}
    for run in answers:
        for index, (question, answer) in enumerate(zip(questions, run, strict=True)):
            asked, words = set(tokenize(question.prompt)), tokenize_with_offsets(answer)
            for begin in range(len(words) - n_tokens + 1):
                first, last = words[begin], words[begin + n_tokens - 1]
                if all(is_word(word.text) and word.text not in asked for word in (first, last)):
                    found[index, answer[first.start : last.end]] = None
    runs = list(found)
    if len(runs) > _MAX_POOL:
        drawn = np.random.default_rng([_SEED, n_tokens]).choice(len(runs), _MAX_POOL, replace=False)
        runs = [runs[number] for number in np.sort(drawn)]
    return runs


def _bin(n_texts: int) -> int:
    return int(frequency_bin(np.array([n_texts]))[0])
