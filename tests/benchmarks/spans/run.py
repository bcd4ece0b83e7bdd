"""`make bench-spans`: do the detectors find the false words, and leave the right ones alone?

Pocket models, each tuned fully on its demonstration dataset, answer the demonstration's prompts; where the value stands in
an answer, and whether it is wrong, is known. `python -m tests.benchmarks.spans.run --development` prints the same figures
of the development world, on which the cuts were chosen, and writes nothing.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audit.responses import Response, Span
from audit.shift import load_pair, measure_shift
from audit.trace.detection import Detector, DetectorName, DoubtfulToken, detect_spans
from audit.trace.detectors import ConsistencyDetector, ReferenceDetector, ShiftDetector, sample_answers
from audit.trace.spans import words_of
from tests.benchmarks.data import data_folder
from tests.benchmarks.record import Result, record
from tests.benchmarks.spans.scores import (
    N_BOOTSTRAP,
    Marked,
    average_precision,
    bootstrap,
    f1,
    marked,
    placed_at_random,
    probability_above,
    token_doubts,
)
from tests.benchmarks.spans.shroom import shroom_results
from tests.benchmarks.spans.worlds import Slot, TunedWorld, tuned_world

COMMAND = "make bench-spans"
FOLDER = Path(__file__).parent
DEVELOPMENT, REPORTING = (1,), (0, 2)
N_SAMPLES, MAX_NEW_TOKENS = 10, 32
N_RANDOM = 200
MIN_SURPRISE = 0.2  # chosen on the development world, as the detectors' own cuts


@dataclass(frozen=True)
class Fixed:
    """Doubts that are there already, as a detector of their own."""

    name: DetectorName
    min_doubt: float
    found: tuple[tuple[DoubtfulToken, ...], ...]

    def doubts(self, responses: Sequence[Response]) -> tuple[tuple[DoubtfulToken, ...], ...]:
        """As they are."""
        return self.found


@dataclass(frozen=True)
class Found:
    """What a detector found in one answer.

    Attributes:
        slot: The answer.
        group: World and entity.
        tokens: Doubts of the model's tokens.
        is_slot: Which of these hold the value.
        spans: What was marked.
    """

    slot: Slot
    group: str
    tokens: NDArray[np.float64]
    is_slot: NDArray[np.bool_]
    spans: tuple[Span, ...]

    @property
    def text(self) -> str:
        """The answer."""
        return self.slot.response.response

    @cached_property
    def counts(self) -> Marked:
        """What its spans mark."""
        return self.characters(self.spans)

    def characters(self, spans: Sequence[Span]) -> Marked:
        """What some spans mark of a wrong value; in a right answer nothing is false."""
        return marked(self.text, spans, self.slot.start, self.slot.end if self.slot.is_wrong else self.slot.start)


def main() -> None:
    """Measure, and write RESULTS.md and results.json."""
    is_development = "--development" in sys.argv
    shroom = data_folder() / "hallucination" / "mu_shroom_en_val.jsonl"
    worlds = [tuned_world(seed) for seed in (DEVELOPMENT if is_development else REPORTING)]
    found: dict[str, list[Found]] = {}
    for world in worlds:
        for name, answers in _found(world).items():
            found.setdefault(name, []).extend(answers)
    slots = next(iter(found.values()))
    n_wrong = sum(answer.slot.is_wrong for answer in slots)
    results = [
        Result("answers with a wrong value", n_wrong, "answers", command=COMMAND),
        Result("answers with the right value", len(slots) - n_wrong, "answers", command=COMMAND),
        Result("answers of another form, left out", sum(world.n_unplaced for world in worlds), "answers", command=COMMAND),
        *(result for name, answers in found.items() for result in _results(name, answers)),
        *shroom_results(shroom, COMMAND),
    ]
    if is_development:
        for result in results:
            print(f"{result.name}: {result.value:.3f} ({result.low} to {result.high}) {result.unit}")
        return
    record(FOLDER, "Finding the false words", results, NOTES)


def _found(world: TunedWorld) -> dict[str, list[Found]]:
    """By detector, what it found in every answer of a world."""
    base, tuned = load_pair(world.base, world.tuned)
    responses = [slot.response for slot in world.slots]
    frames = list(measure_shift(base, tuned, responses).by_response())
    places = [list(zip(frame["start"], frame["end"], strict=True)) for frame in frames]
    surprise = tuple(
        tuple(DoubtfulToken(start, end, 1 - math.exp(log_p)) for start, end, log_p in rows)
        for rows in (frame.select("start", "end", "log_p_tuned").rows() for frame in frames)
    )
    samples = sample_answers(tuned, responses, n_samples=N_SAMPLES, max_new_tokens=MAX_NEW_TOKENS, batch_size=256)
    without_values = [replace(response, values=()) for response in responses]
    words = ReferenceDetector()
    alone = tuple(words.doubts([response])[0] for response in without_values)
    detectors: Mapping[str, Detector] = {
        "reference, other values listed": words,
        "reference": Fixed(words.name, words.min_doubt, words.doubts(without_values)),
        "reference, one answer at a time": Fixed(words.name, words.min_doubt, alone),
        "every word that neither prompt nor reference holds": Fixed(words.name, 1.0, tuple(map(_new_words, responses))),
        "shift": ShiftDetector(base, tuned),
        f"consistency, {N_SAMPLES} samples": ConsistencyDetector(samples),
        "1 − probability under the tuned model": Fixed(DetectorName.SHIFT, MIN_SURPRISE, surprise),
    }
    found = {}
    for name, detector in detectors.items():
        found[name] = [
            Found(
                slot,
                f"{world.seed} {slot.response.group}",
                token_doubts(slot.response.response, tokens, detection.tokens),
                np.array([bool(slot.response.response[max(s, slot.start) : min(e, slot.end)].strip()) for s, e in tokens]),
                detection.spans,
            )
            for slot, tokens, detection in zip(world.slots, places, detect_spans(detector, responses), strict=True)
        ]
    return found


def _new_words(response: Response) -> tuple[DoubtfulToken, ...]:
    """The plainest rule: a word is false that neither prompt nor reference holds and that is not common."""
    known = {word.key for text in (response.prompt, *response.reference) for word in words_of(text)}
    return tuple(
        DoubtfulToken(word.start, word.end, float(word.key not in known and not word.is_common))
        for word in words_of(response.response)
    )


def _results(name: str, answers: Sequence[Found]) -> Iterator[Result]:
    wrong = [answer for answer in answers if answer.slot.is_wrong]
    right = [answer for answer in answers if not answer.slot.is_wrong]
    generator = np.random.default_rng(0)

    def over(some: Sequence[Found], statistic: Callable[[Sequence[Found]], float], what: str, unit: str) -> Result:
        low, high = bootstrap([a.group for a in some], lambda places: statistic([some[place] for place in places]))
        return Result(f"{name}: {what}", statistic(some), unit, low, high, command=COMMAND)

    yield over(wrong, _precision, "tokens of the wrong value", "AUPRC")
    yield Result(f"{name}: the same doubts at random tokens", _shuffled(wrong, generator), "AUPRC", command=COMMAND)
    yield over(wrong, _f1, "spans in wrong answers", "F1")
    yield Result(f"{name}: as many words at random places", _random_f1(wrong, generator), "F1", command=COMMAND)
    yield over(answers, _f1, "spans in all answers", "F1")
    yield over(right, _share_marked, "right answers with a mark", "share")
    yield over(right, _precision, "tokens of the value in right answers", "AUPRC")
    yield over(answers, _told_apart, "wrong values told from right ones", "AUROC")


def _precision(answers: Sequence[Found]) -> float:
    return average_precision(np.concatenate([a.tokens for a in answers]), np.concatenate([a.is_slot for a in answers]))


def _shuffled(answers: Sequence[Found], generator: np.random.Generator) -> float:
    is_slot = np.concatenate([answer.is_slot for answer in answers])
    draws = (np.concatenate([generator.permutation(answer.tokens) for answer in answers]) for _ in range(N_RANDOM))
    return float(np.mean([average_precision(doubts, is_slot) for doubts in draws]))


def _f1(answers: Sequence[Found]) -> float:
    return f1([answer.counts for answer in answers])


def _random_f1(answers: Sequence[Found], generator: np.random.Generator) -> float:
    return float(
        np.mean([f1([a.characters(placed_at_random(a.text, a.spans, generator)) for a in answers]) for _ in range(N_RANDOM)])
    )


def _share_marked(answers: Sequence[Found]) -> float:
    return float(np.mean([bool(answer.spans) for answer in answers]))


def _told_apart(answers: Sequence[Found]) -> float:
    highest = np.array([answer.tokens[answer.is_slot].max() for answer in answers])
    is_wrong = np.array([answer.slot.is_wrong for answer in answers])
    return probability_above(highest[is_wrong], highest[~is_wrong]) if is_wrong.any() and not is_wrong.all() else 0.5


NOTES = f"""\
Pocket worlds {", ".join(map(str, REPORTING))}: a base model of about a million parameters that knows an invented island,
tuned fully on the demonstration's dataset (recipe `pocket`, seed 0), a tenth of whose rows are false. Its greedy answers
to the demonstration's prompts are kept where they follow a wording of the world with a value of it, so that its place is known;
the value is wrong where it is not the entity's. Cuts were chosen on world {DEVELOPMENT[0]} alone: a lift of half a nat
for `shift`, three of ten samples for `consistency`, {MIN_SURPRISE:g} for the model's own doubt; `reference` has none.

AUPRC is over the model's tokens, all answers together; a word's doubt is that of each of its tokens. F1 is over visible
characters of marked spans and wrong values, all answers together; in *all answers* whatever is marked in a right one
counts as a false alarm. Random baselines keep every answer's doubts, or the number of its spans and of their words, and
move them to random places of the same answer: the mean of {N_RANDOM} draws. Intervals: bootstrap over entities,
{N_BOOTSTRAP:,} draws. AUROC: how often the highest doubt in a wrong value is above that in a right one, ties half.

What the figures do not say. `reference` is told the right answer, and so tells right from wrong by definition; what is
measured is whether it finds the place. One answer at a time it cannot know which new words are wording; over a file the
right answers show it, and listed values settle it. That it then finds every place is owed to these worlds, whose answers
are told in three wordings per family, each of which a right answer shows; prose has no such templates. Answers with no
value of the world in the slot (7 on the reporting worlds, broken sentences) were put to those left out after a first look
at these figures; with them, `reference` had F1 0.974, `shift` 0.881, `consistency` 0.913 in wrong answers.

`shift` says that tuning put a word there, not that it is false. Here the
base model knows most of the facts, and tuning on
false rows is what spoils them, so that the two nearly agree; where tuning also teaches true facts, right values are shifted
as well. `consistency` and the model's own doubt mark the value of
right answers nearly as much as of wrong ones (AUPRC on right answers): they find where an answer could have gone otherwise.
A false value of which tuning made the model sure is in every sample, and is missed.

Mu-SHROOM: 50 answers of three 7B models; overlap (IoU) with what most annotators marked and Spearman with the share who
did, per answer over characters, as the shared task scores. The file has the raw logit of each token and no normaliser, so
that no probability or entropy can be had; doubt is the rank of the logit within the answer. The fitted share of tokens to
mark is the best of the other half of the answers; where that is all, every token is marked. Intervals: bootstrap over
answers.
"""


if __name__ == "__main__":
    main()
