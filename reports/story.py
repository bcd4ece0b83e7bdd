"""The whole loop on one page: what was audited, what the models said, where it came from, what left, and whether it helped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from audit.corpus import Row
from audit.export import ExportPlan
from audit.responses import Response, Split
from audit.rundir import Run
from audit.shift import ShiftReport
from audit.trace import BlamedRow, Link, SpanTrace, Trace
from audit.tune import Method, TuningRecord
from audit.verify.outcomes import Outcome, Rubric, ValueSet
from audit.verify.result import CampaignResult, MethodResult
from audit.verify.verification import Verification
from reports.campaign import METHOD_NAMES
from reports.page import render_page

__all__ = ["Story", "story_html"]

_EXAMPLES = 6
_LINKS = 5


@dataclass(frozen=True)
class Story:
    """What the loop left, step by step.

    Attributes:
        run: The audit.
        false_rows: The rows that are known to be false; empty where nobody knows.
        base_answers: What the untuned model answers to all prompts.
        answers: What the models answer that were tuned on all rows, by method.
        records: Their tunings.
        traces: Of the wrong answers.
        blame: The rows over all traces.
        plan: What was left out.
        result: The verification.
        shifts: What tuning on all rows moved, by method.
    """

    run: Run
    false_rows: frozenset[int]
    base_answers: Sequence[Response]
    answers: Mapping[Method, Sequence[Response]]
    records: Mapping[Method, TuningRecord]
    traces: Sequence[Trace]
    blame: Sequence[BlamedRow]
    plan: ExportPlan
    result: CampaignResult
    shifts: Mapping[Method, ShiftReport]


def story_html(story: Story) -> bytes:
    """The page, as UTF-8; the same story gives the same bytes."""
    dropped = set(story.plan.selection.dropped)
    named = {"untuned": story.base_answers, **{METHOD_NAMES[method]: given for method, given in story.answers.items()}}
    return render_page(
        "story.html.j2",
        story=story,
        summary=story.run.summary,
        findings=[result for result in story.run.summary.checks if result.n_findings],
        models=[_model(name, answers) for name, answers in named.items()],
        examples=list(_examples(story)),
        n_traced=len(story.traces),
        traced=_traced(story),
        n_dropped=len(dropped),
        n_false_dropped=len(dropped & story.false_rows),
        blamed=[(row, story.run.corpus.row(row.row), row.row in story.false_rows) for row in story.blame[: len(dropped)]],
        verdicts=[_verdict(method) for method in story.result.methods],
        scale=_scale(story.result),
        shifts=[(METHOD_NAMES[method], report, story.records[method]) for method, report in story.shifts.items()],
        outcomes=[outcome.value for outcome in Outcome],
    )


@dataclass(frozen=True, slots=True)
class _Model:
    """A model's answers to the held-out prompts: the share of each outcome, and of right answers to control prompts."""

    name: str
    n: int
    shares: Mapping[str, float]
    control_accuracy: float | None


def _model(name: str, answers: Sequence[Response]) -> _Model:
    held_out = [_outcome(answer) for answer in answers if answer.split is Split.HELD_OUT]
    control = [_outcome(answer) is Outcome.RIGHT for answer in answers if answer.split is Split.CONTROL]
    return _Model(
        name,
        len(held_out),
        {outcome.value: held_out.count(outcome) / max(len(held_out), 1) for outcome in Outcome},
        sum(control) / len(control) if control else None,
    )


def _outcome(answer: Response) -> Outcome:
    return Rubric.of(answer.prompt, answer.reference, (), ValueSet.of(answer.values)).score(answer.response).outcome


@dataclass(frozen=True, slots=True)
class _Example:
    """A prompt that the untuned model answers rightly and a tuned one wrongly."""

    prompt: str
    reference: str
    answers: tuple[tuple[str, str, bool], ...]


def _examples(story: Story) -> Iterator[_Example]:
    """Prompts that full tuning spoiled, the first of each group, a few."""
    by_model = {"untuned": story.base_answers, **{METHOD_NAMES[m]: given for m, given in story.answers.items()}}
    spoiled = story.answers[Method.FULL] if Method.FULL in story.answers else next(iter(story.answers.values()))
    groups: set[str] = set()
    for number, (base, tuned) in enumerate(zip(story.base_answers, spoiled, strict=True)):
        family = (base.group or base.id).split()[0]
        is_spoiled = _outcome(base) is Outcome.RIGHT and _outcome(tuned) is not Outcome.RIGHT
        if base.split is Split.TRACE and is_spoiled and family not in groups:
            groups.add(family)
            said = tuple(
                (name, given[number].response, _outcome(given[number]) is Outcome.RIGHT) for name, given in by_model.items()
            )
            yield _Example(base.prompt, base.reference[0], said)
        if len(groups) == _EXAMPLES:
            return


@dataclass(frozen=True, slots=True)
class _Traced:
    """One trace that is shown: its first span and that span's rows."""

    trace: Trace
    span: SpanTrace
    links: tuple[tuple[Link, Row, bool], ...]


def _traced(story: Story) -> _Traced | None:
    """The first trace with a link."""
    for trace in story.traces:
        for span in trace.spans:
            if span.links:
                links = ((link, story.run.corpus.row(link.row), link.row in story.false_rows) for link in span.links[:_LINKS])
                return _Traced(trace, span, tuple(links))
    return None


@dataclass(frozen=True, slots=True)
class _Verdict:
    """A method's verdict, in the words of its report."""

    name: str
    verification: Verification | None
    problem: str
    fit: float | None


def _verdict(method: MethodResult) -> _Verdict:
    return _Verdict(METHOD_NAMES[method.method], method.verification, method.problem, method.training_fit("cleaned", "random"))


def _scale(result: CampaignResult) -> float:
    """Percentage points at either end of the plots of differences: the same for all methods."""
    ends = [10.0]
    for method in result.methods:
        if method.verification is not None:
            ends.append(2 * method.verification.delta_points)
            interval = method.verification.effect.interval_95
            ends += [abs(interval.low), abs(interval.high)] if interval is not None else []
    return 5 * (1 + max(ends) // 5)
