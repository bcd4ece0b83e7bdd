"""Plants faults into copies of a run's dataset, traces them, and keeps where the planted rows came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.materials import Materials
from audit.responses import Response, Span
from audit.rundir import Run
from audit.sources import Message
from audit.summary import Skipped
from audit.trace import SpanTrace, Trace, Tracer, blame_rows
from audit.verify.calibration.copies import make_copy
from audit.verify.calibration.faults import Ground, Planting, plan_faults
from audit.verify.calibration.model import (
    CUT_OFFS,
    LINKS_LOOKED_AT,
    Q_CUT_OFFS,
    BlamedInCopy,
    Calibration,
    Fault,
    FaultOutcome,
    Level,
    Method,
    NamedRow,
    Rarity,
)
from audit.verify.calibration.values import LEAST_HOLDERS
from indexes.dense import similarities
from indexes.encoders import Encoder, load_static

__all__ = ["calibrate"]

LEAST_USABLE = 50
"""Responses; fewer hold no value 20 times over."""
# A copy that is changed beyond this is another dataset; further faults go into further copies.
_MOST_CHANGED = 0.1
_ROWS_OF_A_FAULT = 4  # about: the question's row, and one to four planted ones
_MOST_COPIES = 20
_NO_PAIRS = "no more rows with like responses have questions that share so many words and a word to exchange"
_WORDS = {1: "one word", 2: "two words"}

Progress = Callable[[str, int, int], None]
"""What is at work, how much of it is done, and of how much."""


def calibrate(run: Run, n_per_level: int = 100, seed: int = 0, *, progress: Progress | None = None) -> Calibration:
    """Plant faults into copies of a run's dataset and trace them.

    Args:
        run: A finished run with vectors; nothing of it changes.
        n_per_level: Faults of each level, and claims without a fault.
        seed: Of everything random; the same run, number and seed give the same result.
        progress: Told how many faults were traced.

    Raises:
        InputError: The run has no vectors, or nothing could be planted.
    """
    if n_per_level < 1:
        raise InputError(f"{n_per_level} faults are none", remedy="give -n 1 or more")
    encoder = _encoder(run)
    ground = Ground(Materials(run.path, run.corpus), encoder)
    _check_size(run, ground)
    generator = np.random.default_rng(seed)
    left: dict[Level | None, int] = dict.fromkeys((*Level, None), n_per_level)
    spent: set[int] = set()
    outcomes: list[FaultOutcome] = []
    blamed: list[BlamedInCopy] = []
    n_copies = n_numbers = 0
    most_of_a_kind = max(1, int(_MOST_CHANGED * len(run.corpus)) // (_ROWS_OF_A_FAULT * len(left)))
    while any(left.values()) and n_copies < _MOST_COPIES:
        quota = {level: min(number, most_of_a_kind) for level, number in left.items()}
        plantings = plan_faults(ground, quota, generator, spent=spent, first_number=n_numbers)
        if not plantings:
            break
        n_numbers += len(plantings)
        planned = Counter(planting.fault.level for planting in plantings)
        for level in left:  # where a copy got fewer than it may hold, there are no more pairs
            left[level] = left[level] - planned[level] if planned[level] == quota[level] else 0
        with TemporaryDirectory(prefix="tunescope-calibrate-") as folder:
            copy = make_copy(run, ground.materials, plantings, Path(folder))
            found, rows = _trace_copy(copy, n_copies, plantings, encoder, len(outcomes), sum(left.values()), progress)
        outcomes += found
        blamed += rows
        n_copies += 1
    kept = [outcome for outcome in outcomes if outcome.n_others >= LEAST_HOLDERS]
    faults = tuple(outcome for outcome in kept if outcome.fault.level is not None)
    if not faults:
        raise InputError(
            "nothing could be planted", where=str(run.path), why=_NO_PAIRS, remedy="audit more rows, or more varied ones"
        )
    lost = Counter(outcome.fault.level for outcome in outcomes if outcome.n_others < LEAST_HOLDERS)
    skipped = tuple(_skipped(ground, Counter(outcome.fault.level for outcome in kept), n_per_level, lost, left))
    return Calibration(
        seed=seed,
        n_per_level=n_per_level,
        n_rows=len(run.corpus),
        n_copies=n_copies,
        encoder=str(run.manifest["encoder"]["encoder"]),
        outcomes=faults,
        blanks=tuple(outcome for outcome in kept if outcome.fault.level is None),
        blamed=tuple(blamed),
        skipped=skipped,
    )


def _encoder(run: Run) -> Encoder:
    facts = run.manifest["encoder"]
    if "encoder" not in facts or not Materials(run.path, run.corpus).has_vectors:
        raise InputError(
            "the run has no vectors, which calibration finds rows about the same by",
            where=str(run.path),
            why=str(facts.get("skipped", "no encoder was on the machine")),
            remedy="audit the data again with one",
        )
    encoder = load_static(facts["encoder"])
    if encoder.digest != facts["digest"]:
        raise InputError(
            f"the encoder {facts['encoder']!r} is not the one that the run was made with",
            where=str(run.path),
            remedy="audit the data again, or put the encoder of that time in its place",
        )
    return encoder


def _check_size(run: Run, ground: Ground) -> None:
    n_usable = len(ground.usable)
    if n_usable < LEAST_USABLE:
        raise InputError(
            "the dataset is too small to plant faults in",
            where=str(run.path),
            why=f"{n_usable} responses have a prompt of three or more content words; {LEAST_USABLE} are needed",
            remedy="audit more rows",
        )
    if not ground.values:
        raise InputError(
            "nothing could be planted",
            where=str(run.path),
            why=f"no content word is held by {LEAST_HOLDERS} or more responses, with a margin, and by at most a quarter of all",
            remedy="audit more rows",
        )


def _trace_copy(
    copy: Run,
    number: int,
    plantings: Sequence[Planting],
    encoder: Encoder,
    n_before: int,
    n_after: int,
    progress: Progress | None,
) -> tuple[list[FaultOutcome], list[BlamedInCopy]]:
    tracer = Tracer(copy)
    orders = _Orders(Materials(copy.path, copy.corpus), encoder)
    outcomes: list[FaultOutcome] = []
    traces: list[Trace] = []
    for done, planting in enumerate(plantings):
        if progress is not None:
            progress("tracing planted faults", n_before + done, n_before + len(plantings) + n_after)
        fault = planting.fault
        trace = tracer.trace(claim_of(fault), LINKS_LOOKED_AT)
        traces.append(trace)
        (span,) = trace.spans
        outcomes.append(
            FaultOutcome(
                fault=fault,
                n_others=span.n_holders - len(fault.planted),
                ranks={Method.TRACE: _ranks_in_trace(span, fault.planted), **orders.ranks(fault)},
                named=tuple(_named(span)),
            )
        )
    planted = {row for planting in plantings for row in planting.fault.planted}
    blamed = [
        BlamedInCopy(number, row.row, round(q, 6), row.row in planted)
        for row in blame_rows(traces)
        if (q := getattr(row, "q", None)) is not None and q <= max(Q_CUT_OFFS)
    ]
    return outcomes, blamed


def claim_of(fault: Fault) -> Response:
    """The false statement, with its false words marked."""
    return Response(
        id=f"fault-{fault.number}",
        messages=(Message("user", fault.prompt, trained=False),),
        response=fault.answer,
        spans=(Span(fault.start, fault.end, fault.value),),
    )


def _ranks_in_trace(span: SpanTrace, rows: Sequence[int]) -> tuple[int | None, ...]:
    first: dict[int, int] = {}
    for rank, link in enumerate(span.links, start=1):
        first.setdefault(link.row, rank)
    return tuple(first.get(row) for row in rows)


def _named(span: SpanTrace) -> Iterator[NamedRow]:
    for link in span.links:
        if link.tier is not None and link.chance is not None and link.chance <= max(CUT_OFFS):
            yield NamedRow(link.row, link.chance)


class _Orders:
    """The baselines' orders of a copy's rows."""

    def __init__(self, materials: Materials, encoder: Encoder) -> None:
        self._materials = materials
        self._encoder = encoder
        # Ties stand in an order that has nothing to do with the rows' own.
        self._tie = np.random.default_rng(0).permutation(materials.n_responses)

    def ranks(self, fault: Fault) -> Mapping[Method, tuple[int, ...]]:
        """The rank of every planted row by each baseline."""
        holders = np.zeros(self._materials.n_responses, bool)
        holders[[place.text for place in self._materials.phrases.occurrences(fault.value)]] = True
        cosines = similarities(self._encoder.encode([fault.prompt])[0], self._materials.prompt_vectors)
        bm25 = self._materials.bm25_scores(fault.prompt, fault.value)
        return {
            Method.BM25: self._ranks_by(bm25, fault.planted),
            Method.ENCODER: self._ranks_by(cosines, fault.planted),
            Method.ENCODER_HOLDERS: self._ranks_by(np.where(holders, cosines, -2.0).astype(np.float32), fault.planted),
        }

    def _ranks_by(self, values: NDArray[np.float32], rows: Sequence[int]) -> tuple[int, ...]:
        ranks = []
        for row in rows:
            of_row = np.flatnonzero(self._materials.row_of_response == row)
            best = of_row[np.lexsort((self._tie[of_row], -values[of_row]))[0]]
            before = (values > values[best]) | ((values == values[best]) & (self._tie < self._tie[best]))
            ranks.append(1 + int(before.sum()))
        return tuple(ranks)


def _skipped(
    ground: Ground,
    kept: Mapping[Level | None, int],
    n_per_level: int,
    lost: Mapping[Level | None, int],
    left: Mapping[Level | None, int],
) -> Iterator[Skipped]:
    """What was asked for and is not there, each with its reason."""
    for level in (*Level, None):
        missing = n_per_level - kept.get(level, 0)
        if not missing:
            continue
        reasons = []
        if lost.get(level):
            reasons.append(f"of {lost[level]:,} the value was held by fewer than {LEAST_HOLDERS} other responses of the copy")
        if left[level]:
            reasons.append(f"{_MOST_COPIES} copies, each with a tenth of its rows changed, have no room for {left[level]:,}")
        if missing > lost.get(level, 0) + left[level]:
            reasons.append(_NO_PAIRS)
        what = "claims without a fault" if level is None else f"{level} faults"
        yield Skipped(f"{missing:,} of {n_per_level:,} {what}", "; ".join(reasons))
    for n_words, name in _WORDS.items():
        for rarity in Rarity:
            if (n_words, rarity) not in ground.values:
                yield Skipped(f"values of {name} that {rarity} responses hold", "the dataset has none")
