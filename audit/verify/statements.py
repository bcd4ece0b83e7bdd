"""The figures of the paper's four statements, from answers, token shifts and records: nothing is tuned or loaded here.

Every figure of tuned models is over all runs of an arm; shares of answers and spans have intervals that count prompts as
the unit, differences between arms count prompts and runs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.responses import Split
from audit.shift.classes import Shift, shift_of_rank
from audit.shift.profile import part, profile, top_shifted
from audit.tune.recipe import Method
from audit.tune.record import TuningRecord
from audit.verify.arms import Question
from audit.verify.borrowing import (
    ArmBorrowing,
    BorrowedRuns,
    RowTexts,
    SpanFinder,
    TokenShift,
    borrowing_of_arm,
    spans_of,
)
from audit.verify.outcomes import Rubric
from audit.verify.proportions import Proportion, proportion
from audit.verify.statistics import Interval, crossed_effect
from audit.verify.tone import DatasetStyle, StyleTraits, TokenClass, token_classes, traits_of
from indexes.words import is_word, tokenize, tokenize_with_offsets

__all__ = [
    "BorrowingFigures",
    "ClassShare",
    "Contrast",
    "FixFigures",
    "MeasuredArm",
    "MeasuredShift",
    "PairNearness",
    "ShiftFigures",
    "SpanTokens",
    "StyleFigures",
    "WordOccurrence",
    "borrowing_figures",
    "contrast",
    "pair_nearness",
    "shift_figures",
    "style_figures",
    "wrong_share",
    "wrong_table",
]

Floats = NDArray[np.float64]

_N_TOP_TOKENS = 12
_MAX_HOLDERS = 200
_SEED = 20240205


@dataclass(frozen=True)
class MeasuredShift:
    """Token shifts of one run's own answers.

    Attributes:
        tokens: A frame of `audit.shift.TOKEN_SCHEMA`.
        texts: The answers, one per prompt; `number` of the frame counts in them.
    """

    tokens: pl.DataFrame
    texts: tuple[str, ...]

    def token_shifts(self) -> list[list[TokenShift]]:
        """The tokens of every answer, in order; none for an empty one."""
        found: list[list[TokenShift]] = [[] for _ in self.texts]
        for number, start, end, rank, lift in self.tokens.select("number", "start", "end", "rank", "lift").iter_rows():
            found[number].append(TokenShift(start, end, rank, lift))
        return found


@dataclass(frozen=True)
class MeasuredArm:
    """What was measured of one arm.

    Attributes:
        name: The arm's name.
        method: How it was tuned.
        records: Of its tunings, one per run.
        answers: To every question, one tuple per run.
        shifts: One per run, where they were measured.
        rows: The rows that each run was tuned on; `None` where they are all rows.
    """

    name: str
    method: Method
    records: tuple[TuningRecord, ...]
    answers: tuple[tuple[str, ...], ...]
    shifts: tuple[MeasuredShift, ...] = ()
    rows: tuple[tuple[int, ...], ...] | None = None

    @property
    def n_rows(self) -> float:
        """Rows that it was tuned on."""
        return _mean([record.n_rows for record in self.records])

    @property
    def training_loss(self) -> float:
        """After the last step, nats per trained token, mean over runs."""
        return _mean([record.training_loss for record in self.records])

    @property
    def training_fit(self) -> float:
        """Share of trained tokens that are the greedy prediction, mean over runs."""
        return _mean([record.training_fit for record in self.records])


@dataclass(frozen=True, slots=True)
class ClassShare:
    """Tokens of one class: their share of the shifted ones, and of all."""

    token_class: TokenClass
    of_shifted: float
    of_all: float


@dataclass(frozen=True, slots=True)
class ShiftFigures:
    """Where one arm's shift lies; sentences of all its runs' answers together.

    Attributes:
        arm: The arm, and at which loss.
        n_runs: Runs.
        training_loss, training_fit: Means over them.
        n_tokens: Measured tokens.
        n_start, n_rest: Tokens of the first 5 % of sentences, and the others.
        kl_start, kl_rest: Mean KL(base‖tuned) over them in nats; `rest` is `None` where no sentence has more than its start.
        kl_start_reverse, kl_rest_reverse: Mean KL(tuned‖base).
        unshifted, marginal, shifted: Shares of the tokens.
        classes: What kinds of words are shifted.
        top_tokens: The most often shifted ones, as they read.
    """

    arm: str
    n_runs: int
    training_loss: float
    training_fit: float
    n_tokens: int
    n_start: int
    n_rest: int
    kl_start: float
    kl_rest: float | None
    kl_start_reverse: float
    kl_rest_reverse: float | None
    unshifted: float
    marginal: float
    shifted: float
    classes: tuple[ClassShare, ...]
    top_tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StyleFigures:
    """Style of the dataset or of a model's answers, and how many of the latter are wrong.

    Attributes:
        name: `dataset`, `base`, or an arm.
        traits: See `StyleTraits`.
        wrong: Wrong answers to held-out prompts; `None` of the dataset.
    """

    name: str
    traits: StyleTraits
    wrong: Proportion | None


@dataclass(frozen=True, slots=True)
class Contrast:
    """Wrong answers on held-out prompts, the first arm minus the second, in points.

    Attributes:
        interval_95: Prompts and runs both random; `None` where there is one of either.
    """

    first: str
    second: str
    difference_points: float
    interval_95: Interval | None


@dataclass(frozen=True, slots=True)
class SpanTokens:
    """Tokens of an arm's wrong spans that occur in the rows, and of all its answers.

    Attributes:
        n_borrowed, n_all: How many tokens.
        borrowed_fraction, all_fraction: How many of them are shifted or marginal; `None` where there are none.
    """

    arm: str
    n_borrowed: int
    borrowed_fraction: float | None
    n_all: int
    all_fraction: float | None


@dataclass(frozen=True, slots=True)
class WordOccurrence:
    """Words of an arm's answers by the class of the token that they begin with: how many occur in the rows' responses."""

    arm: str
    shift: Shift
    n: int
    occurring_fraction: float | None


@dataclass(frozen=True, slots=True)
class PairNearness:
    """How near questions stand to the rows that hold the wrong span of their answer.

    Attributes:
        arm: The arm.
        n_spans: Wrong spans that occur in a row.
        n_holders: Rows per span, mean.
        cosine: Of question and row's prompt, mean over the rows of a span and over spans; `None` without vectors.
        cosine_nearest: Of the nearest of the rows of each span.
        cosine_any: Of question and any row at all: what chance gives.
        overlap, overlap_any: The share of the question's distinct words and word pairs that stand in the row's prompt.
    """

    arm: str
    n_spans: int
    n_holders: float
    cosine: float | None
    cosine_nearest: float | None
    cosine_any: float | None
    overlap: float
    overlap_any: float


@dataclass(frozen=True)
class BorrowingFigures:
    """Borrowing of the arms that it was measured on."""

    arms: tuple[ArmBorrowing, ...]
    span_tokens: tuple[SpanTokens, ...]
    words: tuple[WordOccurrence, ...]
    pairs: tuple[PairNearness, ...]


@dataclass(frozen=True, slots=True)
class FixFigures:
    """One arm beside plain LoRA.

    Attributes:
        arm: The arm.
        n_rows: Rows that it was tuned on.
        wrong: Wrong answers to held-out prompts.
        minus_lora: The difference to plain LoRA; `None` of LoRA itself.
        mean_words: Length of its answers.
    """

    arm: str
    n_rows: float
    training_fit: float
    wrong: Proportion | None
    minus_lora: Contrast | None
    mean_words: float


def shift_figures(arm: MeasuredArm) -> ShiftFigures:
    """Where the shift of an arm lies; it has measured shifts."""
    frames = []
    offset, texts = 0, list[str]()
    for shift in arm.shifts:
        frames.append(shift.tokens.with_columns(pl.col("number") + offset))
        offset += len(shift.texts)
        texts += shift.texts
    tokens = pl.concat(frames)
    whole, by_sentence = part(tokens), profile(tokens, "sentence")
    rest = by_sentence.rest
    classes = token_classes(tokens, texts)
    is_shifted = (tokens["shift"] == Shift.SHIFTED.value).to_list()
    of_shifted = [kind for kind, hit in zip(classes, is_shifted, strict=True) if hit]
    top = (token.text.strip() or repr(token.text) for token in top_shifted(tokens)[:_N_TOP_TOKENS])
    return ShiftFigures(
        arm=arm.name,
        n_runs=len(arm.shifts),
        training_loss=arm.training_loss,
        training_fit=arm.training_fit,
        n_tokens=whole.n_tokens,
        n_start=by_sentence.start.n_tokens,
        n_rest=0 if rest is None else rest.n_tokens,
        kl_start=by_sentence.start.kl_base_tuned,
        kl_rest=None if rest is None else rest.kl_base_tuned,
        kl_start_reverse=by_sentence.start.kl_tuned_base,
        kl_rest_reverse=None if rest is None else rest.kl_tuned_base,
        unshifted=whole.unshifted,
        marginal=whole.marginal,
        shifted=whole.shifted,
        classes=tuple(
            ClassShare(kind, of_shifted.count(kind) / max(1, len(of_shifted)), classes.count(kind) / len(classes))
            for kind in TokenClass
        ),
        top_tokens=tuple(dict.fromkeys(top)),
    )


def style_figures(
    questions: Sequence[Question], responses: Sequence[str], base_answers: Sequence[str], arms: Sequence[MeasuredArm]
) -> tuple[StyleFigures, ...]:
    """The style of the dataset's responses, of the untuned model's answers, and of each arm's."""
    dataset = DatasetStyle.of(responses)
    return (
        StyleFigures("dataset", traits_of(responses, dataset), None),
        StyleFigures("base", traits_of(base_answers, dataset), wrong_share(questions, [base_answers])),
        *(
            StyleFigures(
                arm.name,
                traits_of([text for run in arm.answers for text in run], dataset),
                wrong_share(questions, arm.answers),
            )
            for arm in arms
        ),
    )


def wrong_table(questions: Sequence[Question], answers: Sequence[Sequence[str]]) -> Floats:
    """1 where the answer to a held-out prompt is wrong, shape `(n_runs, n_held_out)`."""
    rubrics = [(index, Rubric.of(q.prompt, q.reference)) for index, q in _held_out(questions)]
    return np.array([[not rubric.is_right(run[index]) for index, rubric in rubrics] for run in answers], dtype=np.float64)


def wrong_share(questions: Sequence[Question], answers: Sequence[Sequence[str]]) -> Proportion | None:
    """The share of wrong answers to held-out prompts."""
    units = [_unit(index, question) for index, question in _held_out(questions)]
    table = wrong_table(questions, answers)
    return proportion(table.ravel().tolist(), units * len(table))


def contrast(questions: Sequence[Question], first: MeasuredArm, second: MeasuredArm) -> Contrast:
    """Wrong answers of one arm minus those of another, run by run; both have as many runs."""
    tables = [100 * wrong_table(questions, arm.answers) for arm in (first, second)]
    units = [_unit(index, question) for index, question in _held_out(questions)]
    effect = crossed_effect(tables[0] - tables[1], units, largest_difference=100.0)
    interval = None
    if math.isfinite(effect.standard_error):
        ends = effect.interval(0.95)
        interval = Interval(max(-100.0, ends.low), min(100.0, ends.high))
    return Contrast(first.name, second.name, effect.mean, interval)


def borrowing_figures(
    questions: Sequence[Question],
    arms: Sequence[MeasuredArm],
    base_answers: Sequence[str],
    texts_of: Callable[[MeasuredArm, int], tuple[RowTexts, RowTexts | None]],
    nearness: Callable[[MeasuredArm], PairNearness],
) -> BorrowingFigures:
    """Borrowing of some arms on the held-out prompts.

    Args:
        questions: Everything that was asked.
        arms: With or without measured shifts.
        base_answers: What the untuned model answers.
        texts_of: The responses that a run of an arm was tuned on, and as many that it never saw, where there are any.
        nearness: How near questions stand to the rows that hold the wrong spans.
    """
    held_out = [index for index, _ in _held_out(questions)]
    asked = [questions[index] for index in held_out]
    borrowing, span_tokens, words = [], [], []
    for arm in arms:
        parts = []
        for run, answers in enumerate(arm.answers):
            rows, unseen = texts_of(arm, run)
            # The shift's own texts: its offsets are theirs.
            texts = arm.shifts[run].texts if arm.shifts else answers
            tokens = arm.shifts[run].token_shifts() if arm.shifts else None
            of_run = None if tokens is None else [[tokens[index] for index in held_out]]
            parts.append(BorrowedRuns([[texts[index] for index in held_out]], rows, unseen, of_run))
        borrowing.append(borrowing_of_arm(arm.name, asked, parts, base_answers=[base_answers[index] for index in held_out]))
        if arm.shifts:
            span_tokens.append(_span_tokens(arm.name, asked, parts))
            words += _word_occurrences(arm.name, parts)
    return BorrowingFigures(tuple(borrowing), tuple(span_tokens), tuple(words), tuple(nearness(arm) for arm in arms))


def _span_tokens(arm: str, questions: Sequence[Question], parts: Sequence[BorrowedRuns]) -> SpanTokens:
    """How many tokens of wrong spans that occur in the rows are shifted or marginal, and how many of all."""
    borrowed: list[bool] = []
    everything: list[bool] = []
    for of in parts:
        assert of.tokens is not None  # asked for arms with measured shifts alone
        everything += [token.rank > 1 for run in of.tokens for answer in run for token in answer]
        finder = SpanFinder(of.rows.phrases)
        for place in spans_of(questions, of.answers, wrong=True):
            if finder.holds(place.span.text):
                tokens = of.tokens[place.run][place.question]
                borrowed += [t.rank > 1 for t in tokens if t.start < place.span.end and place.span.start < t.end]
    return SpanTokens(arm, len(borrowed), _share(borrowed), len(everything), _share(everything))


def _word_occurrences(arm: str, parts: Sequence[BorrowedRuns]) -> list[WordOccurrence]:
    hits: dict[Shift, list[bool]] = {shift: [] for shift in Shift}
    for of in parts:
        assert of.tokens is not None
        index = of.rows.phrases
        for texts, tokens in zip(of.answers, of.tokens, strict=True):
            for text, of_text in zip(texts, tokens, strict=True):
                for word, shift in _words_with_shift(text, of_text):
                    number = index.stream.number_of.get(word, -1)
                    hits[shift].append(number >= 0 and bool(index.document_frequency[number]))
    return [WordOccurrence(arm, shift, len(found), _share(found)) for shift, found in hits.items()]


def _words_with_shift(text: str, tokens: Sequence[TokenShift]) -> Iterator[tuple[str, Shift]]:
    """Every word with the class of the first token that holds its first character."""
    place = 0
    for word in tokenize_with_offsets(text):
        while place < len(tokens) and tokens[place].end <= word.start:
            place += 1
        if is_word(word.text) and place < len(tokens) and tokens[place].start <= word.start:
            yield word.text, shift_of_rank(tokens[place].rank)


def pair_nearness(
    arm: MeasuredArm,
    questions: Sequence[Question],
    texts_of: Callable[[MeasuredArm, int], tuple[RowTexts, RowTexts | None]],
    prompts_of: Callable[[MeasuredArm, int], Sequence[str]],
    cosines: Callable[[str, Sequence[str]], Floats] | None,
) -> PairNearness:
    """How near questions stand to the rows that hold the wrong spans of an arm's answers.

    Args:
        arm: The arm.
        questions: Everything that was asked; held-out ones count.
        texts_of: The responses that a run was tuned on.
        prompts_of: Their prompts, in the same order.
        cosines: The cosine of a question with each of some prompts; `None` without an encoder.
    """
    held_out = _held_out(questions)
    asked = [question for _, question in held_out]
    generator = np.random.default_rng(_SEED)
    near: list[float] = []
    nearest: list[float] = []
    anywhere: list[float] = []
    overlaps: list[float] = []
    overlaps_any: list[float] = []
    n_holders: list[int] = []
    known: dict[tuple[int, str], Floats] = {}
    for run, answers in enumerate(arm.answers):
        rows, _ = texts_of(arm, run)
        prompts = prompts_of(arm, run)
        grams = [_grams(prompt) for prompt in prompts]
        finder = SpanFinder(rows.phrases)
        for place in spans_of(asked, [[answers[index] for index, _ in held_out]], wrong=True):
            holders = finder.holders(place.span.text)
            if not len(holders):
                continue
            question = asked[place.question].prompt
            n_holders.append(len(holders))
            chosen = holders if len(holders) <= _MAX_HOLDERS else generator.choice(holders, _MAX_HOLDERS, replace=False)
            own = _grams(question)
            overlaps.append(_mean([_overlap(own, grams[row]) for row in chosen.tolist()]))
            drawn = generator.choice(len(prompts), min(_MAX_HOLDERS, len(prompts)), replace=False)
            overlaps_any.append(_mean([_overlap(own, grams[row]) for row in drawn.tolist()]))
            if cosines is not None:
                if (run, question) not in known:
                    known[run, question] = cosines(question, prompts)
                of_question = known[run, question]
                near.append(float(of_question[holders].mean()))
                nearest.append(float(of_question[holders].max()))
                anywhere.append(float(of_question.mean()))
    return PairNearness(
        arm=arm.name,
        n_spans=len(n_holders),
        n_holders=_mean(n_holders),
        cosine=_mean(near) if near else None,
        cosine_nearest=_mean(nearest) if nearest else None,
        cosine_any=_mean(anywhere) if anywhere else None,
        overlap=_mean(overlaps),
        overlap_any=_mean(overlaps_any),
    )


def _grams(text: str) -> frozenset[tuple[str, ...]]:
    """The distinct words and word pairs of a text."""
    words = [token for token in tokenize(text) if is_word(token)]
    return frozenset([(word,) for word in words] + list(itertools.pairwise(words)))


def _overlap(own: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    return len(own & other) / max(1, len(own))


def _held_out(questions: Sequence[Question]) -> list[tuple[int, Question]]:
    return [(index, question) for index, question in enumerate(questions) if question.split is Split.HELD_OUT]


def _unit(index: int, question: Question) -> tuple[str, str | int]:
    return ("prompt", index) if question.group is None else ("group", question.group)


def _share(hits: Sequence[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
