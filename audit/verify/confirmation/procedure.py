"""The order of a confirmation, and its judgement; it knows no model, only what tunings say of spans.

1. Tuned again with nothing removed, does the model say the span? At fewer than half of the seeds: nothing is tested.
2. All candidates of a span are removed together, and so are random rows in their place. One p-value per span;
   Benjamini–Hochberg over the spans of the call.
3. Where q is at most .05, the smallest sets that carry at least half of the effect are searched on *other* seeds.
4. Each set is removed on the seeds of step 2, and compared with random rows. Benjamini–Hochberg over all sets of the
   call; the q of a set is at least that of its whole group, so that no set is claimed where the group is not.

Tier T3 also needs that the answers change: without the rows the model no longer says the span at more than half of the
seeds at which it otherwise does, and more often than without random rows.

The price of step 2 coming first: a source that is not among the candidates is never found, and one weak source among many
candidates that do nothing has to stand out from as many random rows.

Sources: Benjamini and Hochberg (1995); the order of steps 2 and 4 is a gatekeeping test (Dmitrienko et al. 2003).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from audit.answers import word_string
from audit.errors import NothingToTraceError
from audit.responses import Response
from audit.sources import Message
from audit.trace.spans import questions_of
from audit.verify.confirmation.bank import Bank, RowPool, draw_bank, empirical_p
from audit.verify.confirmation.model import (
    ConfirmationResult,
    ConfirmedGroup,
    ConfirmedSpan,
    Evidence,
    Measure,
    Removal,
    SpanMeasurement,
    SpanUnderTest,
)
from audit.verify.confirmation.plan import ALPHA, MAX_SETS, MIN_RANDOM, ConfirmationPlan, size_class
from audit.verify.confirmation.search import Search, minimal_sets
from audit.verify.outcomes import Outcome, Rubric, ValueSet

__all__ = ["MIN_SHARE_OF_EFFECT", "MIN_SHARE_SAID", "confirm_spans", "outcome_of"]

MIN_SHARE_OF_EFFECT = 0.5
"""A set carries the effect that makes the span fall by half of what the whole group does."""
MIN_SHARE_SAID = 0.5
"""At so many of the seeds the model has to say the span when nothing is removed."""

_LONGEST_QUOTE = 80

Places: TypeAlias = tuple[int, ...]
Held: TypeAlias = Callable[[str], bool]
_Key = TypeVar("_Key")


def confirm_spans(
    spans: Sequence[SpanUnderTest],
    pool: RowPool,
    plan: ConfirmationPlan,
    measure: Measure,
    *,
    row_numbers: Sequence[int] | None = None,
    held: Held | None = None,
) -> ConfirmationResult:
    """Measure what removing their candidate rows does to spans.

    Args:
        spans: Each with at least one candidate.
        pool: What random rows are drawn from; its candidates are those of the spans.
        plan: How much may be retrained.
        measure: Does the tunings.
        row_numbers: By place, the number of the row in the dataset; without it, places are the numbers.
        held: Whether the rows hold some words, to tell another value of the rows from any other words.

    Raises:
        InputError: There are not enough other rows to draw from, or a tuning fails.
    """
    work = _Work(spans, pool, plan, measure, held)
    said = work.said_spans()
    wholes = {number: spans[number].candidates for number in said}
    work.remove(wholes.values(), plan.seeds)
    work.fill_banks({size_class(len(places)) for places in wholes.values()}, plan.n_random)
    p_of_whole = {number: work.p_value(number, places) for number, places in wholes.items()}
    q_of_whole = _q_values(p_of_whole)
    searches = _searches(work, {number: wholes[number] for number, q in q_of_whole.items() if q <= ALPHA})
    sets = {(number, places): number for number, search in searches.items() for places in search.sets}
    work.remove((places for _, places in sets), plan.seeds)
    work.fill_second_banks({size_class(len(places)) for _, places in sets})
    p_of_set = {key: work.p_value(number, key[1]) for key, number in sets.items()}
    q_of_set = {key: max(q, q_of_whole[key[0]]) for key, q in _q_values(p_of_set).items()}

    confirmed = []
    for number, span in enumerate(spans):
        groups: list[ConfirmedGroup] = []
        search = searches.get(number, _Search())
        if number in wholes:
            whole = wholes[number]
            groups.append(work.judged(number, whole, p_of_whole[number], q_of_whole[number], is_minimal=search.is_whole))
            groups += [work.judged(number, s, p_of_set[number, s], q_of_set[number, s], is_minimal=True) for s in search.sets]
        note = search.note if number in wholes else work.not_said_note(number)
        confirmed.append(work.confirmed(number, span, groups, note))
    numbers = row_numbers if row_numbers is not None else range(len(pool.n_trained_tokens))
    n_drawn = sum(bank.size * len(bank.groups) for bank in work.banks.values())
    return ConfirmationResult(
        plan=plan,
        spans=tuple(_in_rows(span, numbers) for span in confirmed),
        n_retrainings=work.n_used,
        bank={size: len(bank.groups) for size, bank in sorted(work.banks.items())},
        loosely_matched_fraction=sum(bank.n_loose for bank in work.banks.values()) / max(n_drawn, 1),
    )


def outcome_of(span: SpanUnderTest, measured: SpanMeasurement, held: Held | None = None) -> Outcome:
    """What an answer is.

    A span that the prompt itself holds cannot be told from a repetition of the question in an answer; there the model says
    the span if its tokens are the most likely ones in their place.
    """
    rubric = Rubric.of(span.prompt, span.right, [word_string(span.span.text)], ValueSet.of(span.values))
    outcome = rubric.score(measured.answer).outcome
    if not rubric.traced and measured.is_greedy and outcome is not Outcome.RIGHT:
        return Outcome.TRACED_BACK
    if outcome is Outcome.FALSE and held is not None:
        words = _new_words(span, measured.answer)
        return Outcome.DISPLACED if words and all(map(held, words)) else outcome
    return outcome


@dataclass
class _Search:
    """What the search in one group came to.

    Attributes:
        sets: Smaller than the group.
        is_whole: The group is minimal itself.
        note: Why there is no set.
    """

    sets: tuple[Places, ...] = ()
    is_whole: bool = False
    note: str = ""


@dataclass
class _Work:
    """The tunings that were done, and what they say."""

    spans: Sequence[SpanUnderTest]
    pool: RowPool
    plan: ConfirmationPlan
    measure: Measure
    held: Held | None
    banks: dict[int, Bank] = field(default_factory=dict)
    _done: dict[Removal, tuple[SpanMeasurement, ...]] = field(default_factory=dict)

    @property
    def n_used(self) -> int:
        return len(self._done)

    @property
    def n_left(self) -> int:
        return self.plan.budget - self.n_used

    def n_new(self, groups: Iterable[Places], seeds: Sequence[int]) -> int:
        """Retrainings that removing groups would take, those with nothing removed included."""
        wanted = {Removal(seed, tuple(sorted(places))) for places in (*groups, ()) for seed in seeds}
        return len(wanted - self._done.keys())

    def remove(self, groups: Iterable[Places], seeds: Sequence[int]) -> None:
        """Retrain without each group, and with nothing removed, on each seed."""
        wanted = dict.fromkeys(Removal(seed, tuple(sorted(places))) for places in ((), *groups) for seed in seeds)
        missing = [removal for removal in wanted if removal not in self._done]
        if missing:
            self._done.update(zip(missing, self.measure(missing), strict=True))

    def measured(self, number: int, places: Places, seeds: Sequence[int]) -> list[SpanMeasurement]:
        """What tunings make of a span, by seed."""
        return [self._done[Removal(seed, tuple(sorted(places)))][number] for seed in seeds]

    def falls(self, number: int, places: Places, seeds: Sequence[int]) -> NDArray[np.float64]:
        """Fall of log p of a span without a group, by seed, in nats."""
        with_them, without = self.measured(number, (), seeds), self.measured(number, places, seeds)
        return np.array([before.log_prob - after.log_prob for before, after in zip(with_them, without, strict=True)])

    def says(self, number: int, places: Places) -> list[bool]:
        """Whether the model says a span by itself without a group, by seed."""
        span = self.spans[number]
        return [
            outcome_of(span, measured) is Outcome.TRACED_BACK for measured in self.measured(number, places, self.plan.seeds)
        ]

    def said_spans(self) -> list[int]:
        """The spans that tunings with nothing removed say."""
        self.remove([], self.plan.seeds)
        return [n for n in range(len(self.spans)) if sum(self.says(n, ())) >= MIN_SHARE_SAID * len(self.plan.seeds)]

    def not_said_note(self, number: int) -> str:
        """Why a span was not tested."""
        measured = self.measured(number, (), self.plan.seeds)
        nats = np.mean([found.log_prob for found in measured])
        return (
            f"the recipe does not reproduce the false answer: tuned again with nothing removed, the model says it at "
            f"{sum(self.says(number, ()))} of {len(measured)} seeds (log p {nats:.2f}); it says {measured[0].answer!r:.120}"
        )

    def fill_banks(self, sizes: Iterable[int], n_groups: int, *, least: int = 0) -> None:
        """Draw and retrain random groups of each size, unless the rows do not allow `least` different ones."""
        drawn = {size: draw_bank(self.pool, size, n_groups) for size in sorted(sizes)}
        self.banks |= {size: bank for size, bank in drawn.items() if len(bank.groups) >= least}
        self.remove((group for bank in self.banks.values() for group in bank.groups), self.plan.seeds)

    def fill_second_banks(self, sizes: Iterable[int]) -> None:
        """Random groups of further sizes, where budget and rows allow enough of them; the larger serve the others."""
        new = sorted(set(sizes) - self.banks.keys())
        while new and self.n_left // (len(self.plan.seeds) * len(new)) < MIN_RANDOM:
            new = new[1:]
        if new:
            n_groups = min(self.plan.n_random, self.n_left // (len(self.plan.seeds) * len(new)))
            self.fill_banks(new, n_groups, least=MIN_RANDOM)

    def bank_for(self, places: Places) -> Bank:
        """The random groups of a group's size, or of the next size that there are."""
        return self.banks[min(size for size in self.banks if size >= size_class(len(places)))]

    def p_value(self, number: int, places: Places) -> float:
        """Of a group's mean fall among those of random groups."""
        return empirical_p(float(self.falls(number, places, self.plan.seeds).mean()), self._random_falls(number, places))

    def _random_falls(self, number: int, places: Places) -> NDArray[np.float64]:
        return np.array([self.falls(number, group, self.plan.seeds).mean() for group in self.bank_for(places).groups])

    def judged(self, number: int, places: Places, p: float, q: float, *, is_minimal: bool) -> ConfirmedGroup:
        """A group with all that was measured of it."""
        seeds, bank, span = self.plan.seeds, self.bank_for(places), self.spans[number]
        falls, answers = self.falls(number, places, seeds), self.measured(number, places, seeds)
        said = np.array(self.says(number, ()))
        gone = said & ~np.array(self.says(number, places))
        random_gone = np.array([said & ~np.array(self.says(number, group)) for group in bank.groups])
        random_gone_fraction = float(random_gone.sum() / (said.sum() * len(bank.groups)))
        evidence = Evidence.NONE
        if q <= ALPHA and falls.mean() > 0:
            goes = gone.sum() > said.sum() / 2 and gone.sum() / said.sum() > random_gone_fraction
            evidence = Evidence.T3 if goes else Evidence.WEAKENED
        outcomes = Counter(outcome_of(span, measured, self.held) for measured in answers)
        instead = Counter(
            ", ".join(_new_words(span, measured.answer)) or measured.answer[:_LONGEST_QUOTE]
            for measured in answers
            if outcome_of(span, measured) is not Outcome.TRACED_BACK
        )
        note = f"compared with random groups of {bank.size} rows" if bank.size != len(places) else ""
        if 1 / (1 + len(bank.groups)) > ALPHA:
            note = "; ".join(filter(None, (note, f"only {len(bank.groups)} different random groups can be drawn")))
        return ConfirmedGroup(
            rows=places,
            effect_nats=round(float(falls.mean()), 4),
            low_nats=round(float(falls.min()), 4),
            high_nats=round(float(falls.max()), 4),
            p=round(p, 6),
            q=round(q, 6),
            n_random=len(bank.groups),
            random_size=bank.size,
            random_effect_nats=round(float(self._random_falls(number, places).mean()), 4),
            random_gone_fraction=round(random_gone_fraction, 4),
            n_said=int(said.sum()),
            n_gone=int(gone.sum()),
            outcomes={outcome: outcomes[outcome] for outcome in Outcome if outcomes[outcome]},
            instead=tuple(sorted(instead.items(), key=lambda item: (-item[1], item[0]))),
            is_minimal=is_minimal,
            evidence=evidence,
            note=note,
        )

    def confirmed(self, number: int, span: SpanUnderTest, groups: Sequence[ConfirmedGroup], note: str) -> ConfirmedSpan:
        """A span with its groups."""
        measured = self.measured(number, (), self.plan.seeds)
        return ConfirmedSpan(
            claim_id=span.claim_id,
            prompt=span.prompt,
            response=span.response,
            span=span.span,
            candidates=span.candidates,
            log_probs=tuple(round(found.log_prob, 4) for found in measured),
            n_said=sum(self.says(number, ())),
            groups=tuple(groups),
            note=note,
        )


def _searches(work: _Work, wholes: Mapping[int, Places]) -> dict[int, _Search]:
    """Search all groups side by side, so that the retrainings of a round can be done at the same time."""
    plan = work.plan
    ended = {number: _Search(is_whole=True) for number, whole in wholes.items() if len(whole) == 1}
    open_groups = {number: whole for number, whole in wholes.items() if number not in ended}
    running: dict[int, tuple[Search, list[Places]]] = {}
    reserved = len(open_groups) * len(plan.seeds)  # to measure a set of each
    asked: dict[int, Places] = {}
    if open_groups and work.n_new(open_groups.values(), plan.search_seeds) + reserved <= work.n_left:
        work.remove(open_groups.values(), plan.search_seeds)
        for number, whole in open_groups.items():
            fall = work.falls(number, whole, plan.search_seeds).mean()
            if fall < MIN_SHARE_OF_EFFECT * work.falls(number, whole, plan.seeds).mean():
                ended[number] = _Search(note="no smaller set: on the seeds of the search the effect is under half")
                continue
            found: list[Places] = []
            running[number] = minimal_sets(whole, found, MAX_SETS), found
            asked[number] = next(running[number][0])
    while asked and work.n_new(asked.values(), plan.search_seeds) + reserved <= work.n_left:
        work.remove(asked.values(), plan.search_seeds)
        for number, places in list(asked.items()):
            falls = [work.falls(number, group, plan.search_seeds).mean() for group in (places, open_groups[number])]
            search, found = running[number]
            try:
                asked[number] = search.send(bool(falls[0] >= MIN_SHARE_OF_EFFECT * falls[1]))
            except StopIteration:
                del asked[number]
                ended[number] = _finished(found, open_groups[number])
    for number in open_groups.keys() - ended.keys():
        _, found = running.get(number, (None, []))
        ended[number] = _finished(found, open_groups[number]) if found else _Search()
        ended[number].note = "the budget ended the search for smaller sets"
    return ended


def _finished(found: Sequence[Places], whole: Places) -> _Search:
    is_whole = len(found[0]) == len(whole)
    note = "no row of the group can be spared: with any one of them the effect is under half" if is_whole else ""
    return _Search(() if is_whole else tuple(found), is_whole, note)


def _q_values(p_values: Mapping[_Key, float]) -> dict[_Key, float]:
    """Benjamini–Hochberg, by the same keys."""
    from scipy.stats import false_discovery_control

    adjusted = false_discovery_control(list(p_values.values())) if p_values else ()
    return {key: float(q) for key, q in zip(p_values, adjusted, strict=True)}


def _new_words(span: SpanUnderTest, answer: str) -> tuple[str, ...]:
    """What an answer says in the place of what was said; nothing where it is worded otherwise."""
    asked = (Message("user", span.prompt, trained=False),)
    try:
        found = questions_of(Response(span.claim_id, asked, answer, corrected=span.response))
    except NothingToTraceError:
        return ()
    return tuple(question.span.text for question in found)


def _in_rows(span: ConfirmedSpan, numbers: Sequence[int]) -> ConfirmedSpan:
    """With row numbers in the place of places."""

    def rows(places: Places) -> tuple[int, ...]:
        return tuple(int(numbers[place]) for place in places)

    groups = tuple(replace(group, rows=rows(group.rows)) for group in span.groups)
    return replace(span, candidates=rows(span.candidates), groups=groups)
