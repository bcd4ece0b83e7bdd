"""A verification as one HTML page: the verdict, the difference with its intervals, and everything that it rests on.

Plots are drawn here as shares of a width, and by the template as inline SVG; every figure that is drawn also stands in a
table. The page shows the prompts that differ most where there are many, and says so; all are in `verification.json`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from audit.responses import Split
from audit.tune.recipe import Method
from audit.verify.result import CampaignResult, MethodResult, Tuning
from audit.verify.statistics import Interval
from audit.verify.verdict import Verdict
from audit.verify.verification import ArmSummary, PromptResult, Verification
from reports.answer_style import family_sentences, style_headings, style_lines
from reports.borrowing import with_interval
from reports.page import MAX_PAGE_BYTES, render_page

__all__ = ["METHOD_NAMES", "OUTCOME_NAMES", "verification_html"]

METHOD_NAMES = {Method.LORA: "LoRA", Method.FULL: "full tuning", None: "answers made elsewhere"}

OUTCOME_NAMES = {
    "right": "right",
    "traced-back": "a traced span is back",
    "displaced": "another value of the rows",
    "false": "otherwise wrong",
    "abstained": "abstained",
}
"""Class in the style sheet -> what a reader calls it."""

# Prompts shown of each split: the first number whose page fits is taken.
_DETAIL = (400, 150, 50, 10)
_PROMPT_CHARACTERS = 220
_CURVE_POINTS = 48
_TICKS = 4

_STYLES = {
    Verdict.CONFIRMED: "confirmed",
    Verdict.HARMFUL: "harmful",
    Verdict.NO_EFFECT: "no-effect",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.UNHEALTHY: "inconclusive",
}


@dataclass(frozen=True, slots=True)
class _Scale:
    """From values to per cent of a plot's width; `ticks` are values."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> str:
        """Where a value lies, as an SVG length."""
        place = 100 * (value - self.low) / (self.high - self.low)
        return f"{min(100.0, max(0.0, place)):.2f}%"

    def width(self, low: float, high: float) -> str:
        """How wide a stretch is, as an SVG length."""
        ends = (min(self.high, max(self.low, end)) for end in (low, high))
        start, end = ends
        return f"{100 * (end - start) / (self.high - self.low):.2f}%"


@dataclass(frozen=True, slots=True)
class _Difference:
    """A line of the plot of differences, in points; `detail` marks those that no verdict rests on."""

    label: str
    note: str
    mean: float
    interval_95: Interval | None
    interval_90: Interval | None
    detail: bool


@dataclass(frozen=True, slots=True)
class _Health:
    """A tuning in a line of a table; `curve` holds the points of its loss for a polyline in a box of 100 by 20."""

    tuning: Tuning
    curve: str
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Method:
    """All that the page shows of one method."""

    key: str
    name: str
    result: MethodResult
    verification: Verification | None
    verdict: str
    style: str
    differences: tuple[_Difference, ...]
    rates: _Scale
    prompts: tuple[PromptResult, ...]
    n_prompts: int
    control: tuple[PromptResult, ...]
    n_control: int
    health: tuple[_Health, ...]


def verification_html(result: CampaignResult) -> bytes:
    """The page, as UTF-8; the same result gives the same bytes."""
    page = b""
    for n_prompts in _DETAIL:
        methods = tuple(_method(method, n_prompts) for method in result.methods)
        page = render_page(
            "verification.html.j2",
            result=result,
            methods=methods,
            points=_points_scale(methods, result),
            delta=next((m.verification.delta_points for m in methods if m.verification is not None), 5.0),
            outcome_names=OUTCOME_NAMES,
            outcomes_of=_outcomes_of,
            with_interval=with_interval,
            style_headings=style_headings,
            style_lines=style_lines,
            family_sentences=family_sentences,
            prompt_characters=_PROMPT_CHARACTERS,
        )
        if len(page) <= MAX_PAGE_BYTES:
            break
    return page


def _method(result: MethodResult, n_prompts: int) -> _Method:
    verification = result.verification
    verdict = Verdict.UNHEALTHY if verification is None else verification.verdict
    prompts = () if verification is None else verification.prompts
    held_out = sorted((prompt for prompt in prompts if prompt.split is Split.HELD_OUT), key=_by_difference)
    # Of control prompts only those are of interest that some run got wrong.
    control = [prompt for prompt in prompts if prompt.split is Split.CONTROL and any(prompt.wrong_fractions)]
    control.sort(key=lambda prompt: (-max(prompt.wrong_fractions), prompt.prompt))
    name = METHOD_NAMES[result.method]
    return _Method(
        key=result.method or "given",
        name=name[:1].upper() + name[1:],
        result=result,
        verification=verification,
        verdict="This run only" if verdict is None else str(verdict),
        style="inconclusive" if verdict is None else _STYLES[verdict],
        differences=() if verification is None else tuple(_differences(name[:1].upper() + name[1:], verification)),
        rates=_rates_scale(verification),
        prompts=tuple(held_out[:n_prompts]),
        n_prompts=len(held_out),
        control=tuple(control[:n_prompts]),
        n_control=len(control),
        health=tuple(_Health(tuning, _curve(tuning.record.losses), tuning.record.problems()) for tuning in result.tunings),
    )


def _differences(name: str, verification: Verification) -> Iterator[_Difference]:
    effect, base = verification.effect, verification.base
    yield _Difference(
        name,
        f"{verification.n_prompts} prompts",
        effect.difference_points,
        effect.interval_95,
        effect.interval_90,
        detail=False,
    )
    if base is not None:
        for label, subset in (("where the base model is right", base.known), ("where it is wrong", base.unknown)):
            if subset is not None:
                yield _Difference(
                    label, f"{subset.n_prompts} prompts", subset.difference_points, subset.interval_95, None, detail=True
                )


def _by_difference(prompt: PromptResult) -> tuple[float, float, str]:
    """Those first that cleaning changed most."""
    cleaned, random = prompt.wrong_fractions[:2]
    return -abs(cleaned - random), cleaned - random, prompt.prompt


def _outcomes_of(arm: ArmSummary) -> list[tuple[str, float]]:
    """The shares of an arm's answers by class of the style sheet; they add up to 1."""
    return [
        ("right", arm.right_fraction),
        ("traced-back", arm.traced_back_fraction),
        ("displaced", arm.displaced_fraction),
        ("false", arm.false_fraction),
        ("abstained", arm.abstained_fraction),
    ]


def _points_scale(methods: Sequence[_Method], result: CampaignResult) -> _Scale:
    """Symmetric about no difference, the same for all methods."""
    reach = [5.0]
    for method in methods:
        reach += [1.5 * method.verification.delta_points] if method.verification is not None else []
        for difference in method.differences:
            reach.append(abs(difference.mean))
            if difference.interval_95 is not None:
                reach += [abs(difference.interval_95.low), abs(difference.interval_95.high)]
    step = _step(max(reach) / 3)
    end = step * -(-max(reach) // step)
    n_steps = round(end / step)
    return _Scale(-end, end, tuple(step * number for number in range(-n_steps, n_steps + 1)))


def _rates_scale(verification: Verification | None) -> _Scale:
    """From no wrong answers to a little more than the most, in per cent."""
    most = 0.01
    if verification is not None:
        most = max(most, *(rate for arm in verification.arms for rate in arm.wrong_fraction_by_run))
        most = max(most, 1 - verification.base.right_fraction) if verification.base is not None else most
    step = _step(100 * most / _TICKS)
    n_steps = max(1, int(-(-100 * most // step)))
    return _Scale(0.0, step * n_steps, tuple(step * number for number in range(n_steps + 1)))


def _step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20, 50 that is at least as large."""
    return next((float(step) for step in (1, 2, 5, 10, 20) if step >= least), 50.0)


def _curve(losses: Sequence[float]) -> str:
    """The course of a loss as points in a box of 100 by 20: means of stretches, so that many steps fit."""
    n_points = min(len(losses), _CURVE_POINTS)
    if n_points < 2:
        return ""
    edges = [round(number * len(losses) / n_points) for number in range(n_points + 1)]
    means = [sum(losses[low:high]) / (high - low) for low, high in itertools.pairwise(edges)]
    top = max(means) or 1.0
    return " ".join(f"{100 * number / (n_points - 1):.1f},{20 - 19 * mean / top:.1f}" for number, mean in enumerate(means))
