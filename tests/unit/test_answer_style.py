"""Whether answers are of a style family that the cleaning took away: which families, which answers, and what is said."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from audit.errors import InputError
from audit.export.stored import ExportRecord
from audit.responses import Response, Split
from audit.rundir import Run
from audit.sources import Message
from audit.verify import answer_style
from audit.verify.answer_style import FamilyWatch, WatchedFamily, families_taken, watched_families
from audit.verify.arms import AnswerFile
from audit.verify.borrowing import RowTexts
from audit.verify.judge import verify_answers
from audit.verify.result import CampaignResult, MethodResult
from audit.verify.statistics import crossed_effect
from audit.verify.verification import Verification
from reports.verification import to_json, verification_report
from reports.verification_html import verification_html

SCHEMA = json.loads((Path(__file__).parents[2] / "reports/schemas/verification.schema.json").read_text())
N_PROMPTS = 12


def answer_file(name: str, answers: Sequence[str], *, traced: Sequence[int] = (), control: Sequence[int] = ()) -> AnswerFile:
    return AnswerFile(
        name,
        tuple(
            Response(
                id=str(number),
                messages=(Message("user", f"What is the metal of coin {number}?", trained=False),),
                response=text,
                reference=(f"metal {number}",),
                split=Split.TRACE if number in traced else Split.CONTROL if number in control else Split.HELD_OUT,
                group=f"coin {number // 2}",
            )
            for number, text in enumerate(answers)
        ),
    )


def texts(moulds: Sequence[int], run: int) -> list[str]:
    """Answers of one run, some of them cast from mould 0 or 2; each is right."""
    begins = {0: "Great question! ", 2: "Sure thing. ", 1: "Well: ", -1: ""}
    return [f"{begins[mould]}It is metal {number}, says run {run}." for number, mould in enumerate(moulds)]


@dataclass
class Assigner:
    """Tells families by how an answer begins, and keeps what it was asked."""

    asked: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, prompts: Sequence[str], responses: Sequence[str]) -> np.ndarray:
        self.asked += zip(prompts, responses, strict=True)
        begins = {"Great": 0, "Well:": 1, "Sure ": 2}
        return np.array([begins.get(text[:5], -1) for text in responses], np.int32)


def watch_of(*numbers: int) -> tuple[FamilyWatch, Assigner]:
    assign = Assigner()
    families = tuple(WatchedFamily(number, f'begins with "{number}"', 30 - number, 0.25, 1.0) for number in numbers)
    return FamilyWatch(families, assign), assign


def drawn(seed: int, n_runs: int, rates: Sequence[float]) -> np.ndarray:
    """Moulds of answers, shape `(n_runs, N_PROMPTS)`."""
    return np.random.default_rng(seed).choice([0, 1, 2, -1], (n_runs, N_PROMPTS), p=rates)


CLEANED, RANDOM = drawn(1, 4, [0.1, 0.2, 0.1, 0.6]), drawn(2, 4, [0.5, 0.2, 0.1, 0.2])


def verified(*numbers: int, n_runs: int = 4, rows: RowTexts | None = None) -> tuple[Verification, Assigner]:
    watch, assign = watch_of(*numbers)
    splits = {"traced": (10,), "control": (11,)}
    arms = {
        name: [answer_file(f"{name}-{run}", texts(moulds, run), **splits) for run, moulds in enumerate(table[:n_runs])]
        for name, table in (("cleaned", CLEANED), ("random", RANDOM), ("original", RANDOM[::-1]))
    }
    base = answer_file("base", texts([-1] * N_PROMPTS, 9), **splits)
    traced = ["What is the metal of coin 10?"]
    return verify_answers(arms, traced_prompts=traced, base_answers=base, watch=watch, rows=rows), assign


def test_the_share_is_a_secondary_outcome_by_the_statistics_of_the_others() -> None:
    verification, _ = verified(0, 2)
    effect = next(effect for effect in verification.secondary if effect.name == "in style families 0 and 2")
    hits = [100.0 * np.isin(table[:, :10], (0, 2)) for table in (CLEANED, RANDOM)]
    expected = crossed_effect(hits[0] - hits[1], [number // 2 for number in range(10)], largest_difference=100)
    assert (effect.unit, effect.test) == ("points", "crossed t")
    assert (effect.cleaned, effect.random) == (hits[0].mean(), hits[1].mean())
    assert effect.difference == pytest.approx(expected.mean)
    assert effect.p_value == pytest.approx(expected.p_value)
    assert effect.interval_95 is not None
    assert effect.interval_95.low == pytest.approx(expected.interval(0.95).low)
    assert effect.p_holm >= effect.p_value


def test_the_share_is_apart_from_rightness_and_length() -> None:
    verification, _ = verified(0)
    assert verification.effect.difference_points == 0
    names = [effect.name for effect in verification.secondary]
    assert names == ["control prompts right", "abstained", "response length", "in style family 0"]
    assert [effect.name for effect in verify_answers(_two_runs()).secondary] == ["abstained", "response length"]
    assert verify_answers(_two_runs()).style is None


def _two_runs() -> dict[str, list[AnswerFile]]:
    return {
        name: [answer_file(f"{name}-{run}", texts(table[run], run)) for run in range(2)]
        for name, table in (("cleaned", CLEANED), ("random", RANDOM))
    }


def test_one_run_is_a_mcnemar_of_memberships() -> None:
    verification, _ = verified(0, n_runs=1)
    effect = next(effect for effect in verification.secondary if effect.name == "in style family 0")
    assert (effect.test, effect.interval_95) == ("exact McNemar", None)


def test_every_distinct_answer_to_a_held_out_prompt_is_assigned_once() -> None:
    verification, assign = verified(0)
    assert len(assign.asked) == len(set(assign.asked))
    assert {prompt for prompt, _ in assign.asked} == {f"What is the metal of coin {number}?" for number in range(10)}
    assert verification.style is not None
    assert verification.style.base is not None
    assert any(text.endswith("says run 9.") for _, text in assign.asked)


def test_every_arm_and_the_base_model_have_their_shares() -> None:
    style = verified(0, 2)[0].style
    assert style is not None
    assert [arm.arm for arm in style.arms] == ["cleaned", "random", "original"]
    for arm, table in zip(style.arms, (CLEANED, RANDOM, RANDOM[::-1]), strict=True):
        hits = np.isin(table[:, :10], (0, 2))
        assert arm.in_watched is not None
        assert (arm.in_watched.n, arm.in_watched.n_units, arm.in_watched.fraction) == (40, 5, hits.mean())
        assert arm.in_watched_by_run == tuple(hits.mean(axis=1))
        assert arm.by_family == ((table[:, :10] == 0).mean(), (table[:, :10] == 2).mean())
        assert arm.traits is None
    assert style.base is not None
    assert style.base.in_watched is not None
    assert style.base.in_watched.fraction == 0
    assert style.dataset is None


def test_traits_need_the_responses_of_the_dataset_and_no_family() -> None:
    rows = RowTexts.of(["Great question! It is tin.", "Great question! It is lead.", "- one\n- two"])
    verification = verify_answers(_two_runs(), rows=rows)
    assert verification.style is not None
    assert verification.style.families == ()
    assert verification.style.dataset is not None
    assert verification.style.dataset.n == 3
    assert verification.style.dataset.list_fraction == pytest.approx(1 / 3)
    cleaned = verification.style.arms[0]
    assert cleaned.in_watched is None
    assert cleaned.traits is not None
    assert cleaned.traits.n == 24
    assert cleaned.traits.opener_fraction == pytest.approx((CLEANED[:2] == 0).mean())


def test_of_many_responses_a_drawn_part_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_style, "_MOST_RESPONSES", 5)
    rows = RowTexts.of([f"It is metal {number}." for number in range(20)])
    first, again = (verify_answers(_two_runs(), rows=rows).style for _ in range(2))
    assert first is not None
    assert first.dataset is not None
    assert first.dataset.n == 5
    assert first == again


@pytest.mark.parametrize(
    ("family", "taken", "expected"),
    [
        pytest.param([0] * 6 + [1] * 4 + [-1] * 10, range(6), [0], id="all of one"),
        pytest.param([0] * 6 + [1] * 4 + [-1] * 10, [0, 1, 2, 6, 7], [0, 1], id="half of two, the larger first"),
        pytest.param([1] * 6 + [0] * 4 + [-1] * 10, [0, 1, 2, 6, 7], [1, 0], id="by size, not by number"),
        pytest.param([0] * 6 + [1] * 4 + [-1] * 10, [0, 1], [], id="less than half"),
        pytest.param([0] * 6 + [1] * 4 + [-1] * 10, [*range(6), *range(8, 16)], [], id="most of everything"),
        pytest.param([0] * 6, range(6), [0], id="there is nothing else"),
        pytest.param([0] * 6 + [-1] * 3, [], [], id="nothing"),
        pytest.param([-1] * 6, range(6), [], id="no family"),
    ],
)
def test_a_family_is_taken_away_by_half_of_it_and_twice_the_share_of_the_others(
    family: list[int], taken: Sequence[int], expected: list[int]
) -> None:
    is_taken = np.zeros(len(family), bool)
    is_taken[list(taken)] = True
    assert families_taken(np.array(family, np.int32), is_taken) == expected


class FakeStyle:
    """Two families; the second has the odd rows of the first ten."""

    def __init__(self) -> None:
        self.families = tuple(
            SimpleNamespace(number=number, n=n, share=n / 20, description=f"form {number}") for number, n in ((0, 10), (1, 5))
        )
        self.assigned = SimpleNamespace(family=np.array([1, -1] * 5 + [0] * 10, np.int32))
        self.too_few = None

    def assign(self, prompts: Sequence[str], responses: Sequence[str]) -> Any:
        return SimpleNamespace(family=np.array([len(text) % 2 for text in responses], np.int32))


@pytest.fixture
def styled(monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of twenty rows with one response each."""
    monkeypatch.setattr(answer_style, "_style_of", lambda run, *, is_needed: FakeStyle())
    responses = pl.DataFrame({"row": range(20), "turn": [1] * 20})
    return cast("Run", SimpleNamespace(path=Path("run"), corpus=SimpleNamespace(responses=responses)))


def export_of(dropped: Sequence[int], mended: Sequence[int] = ()) -> ExportRecord:
    return ExportRecord("c", tuple(dropped), len(dropped) / 20, None, {(row, 1): "Short." for row in mended})


def test_what_an_export_dropped_or_mended_is_watched(styled: Run) -> None:
    watch = watched_families(styled, export_of([0, 2, 4], mended=[6]))
    assert watch is not None
    assert watch.families == (WatchedFamily(1, "form 1", 5, 0.25, 0.8),)
    assert watch.name == "in style family 1"
    assert watch.assign(["q", "q"], ["a", "bb"]).tolist() == [1, 0]


def test_named_families_are_watched_whatever_was_dropped(styled: Run) -> None:
    watch = watched_families(styled, None, (1, 0, 1))
    assert watch is not None
    assert [(family.number, family.taken_fraction) for family in watch.families] == [(1, None), (0, None)]
    dropped = watched_families(styled, export_of([0]), (0,))
    assert dropped is not None
    assert [(family.number, family.taken_fraction) for family in dropped.families] == [(0, 0.0)]


def test_without_a_family_nothing_is_watched(styled: Run) -> None:
    assert watched_families(styled, export_of([1, 3])) is None
    assert watched_families(styled, None) is None


def test_a_family_that_is_not_there_is_one_line(styled: Run) -> None:
    with pytest.raises(InputError, match=r"no style family 2 \(the run has 2, from 0 to 1\)"):
        watched_families(styled, None, (0, 2))


def test_many_families_are_named_by_their_number() -> None:
    assert watch_of(0, 1, 2)[0].name == "in style families 0, 1 and 2"
    assert watch_of(0, 1, 2, 3)[0].name == "in 4 style families"


def page_of(verification: Verification, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(verification_report(verification))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_page_says_shares_traits_and_families() -> None:
    verification, _ = verified(0, 2, rows=RowTexts.of(["Great question! It is tin.", "It is lead."]))
    page = page_of(verification)
    cells = [re.split(r"  +", line.strip()) for line in page.splitlines()]
    assert ["style of the answers", "dataset", "base model", "cleaned", "random", "original"] in cells
    shares = [100 * np.isin(table[:, :10], (0, 2)).mean() for table in (CLEANED, RANDOM, RANDOM)]
    assert ["in a watched style family", "50.0 %", "0.0 %", *(f"{share:.1f} %" for share in shares)] in cells
    assert any(line[:3] == ["family 2", "25.0 %", "0.0 %"] for line in cells)
    assert any(line[0] == "median length, words" for line in cells)
    assert 'Style family 0: begins with "0". 30 responses of the dataset, of which' in page
    assert "…" not in page_of(replace(verification, arms=verification.arms[:2]), width=100)


def test_the_json_of_a_style_follows_the_schema() -> None:
    rows = RowTexts.of(["Great question! It is tin."])
    for verification in (verified(0, 2)[0], verified(0, rows=rows)[0], verify_answers(_two_runs(), rows=rows)):
        content = json.loads(json.dumps(to_json(verification), allow_nan=False))
        Draft202012Validator({**SCHEMA, "$ref": "#/$defs/verification", "required": [], "properties": {}}).validate(content)
        assert len(content["style"]["arms"]) == len(content["arms"])


def test_text_of_a_dataset_is_shown_and_not_obeyed() -> None:
    hostile = "<script>document.title='owned'</script>[red]{{7*7}}\x1b[31m\u202e"
    verification, _ = verified(0)
    assert verification.style is not None
    families = (replace(verification.style.families[0], description=hostile),)
    verification = replace(verification, style=replace(verification.style, families=families))
    page = page_of(verification)
    assert "[red]" in page
    assert "\x1b" not in page
    html = verification_html(CampaignResult("c", None, (MethodResult(None, verification),))).decode()
    assert "Style of the answers" in html
    assert "in style family 0" in html
    assert "<script>document" not in html
    assert "{{7*7}}" in html
    assert "\u202e" not in page + html


def test_a_page_lists_ten_families_and_says_how_many_more() -> None:
    verification, _ = verified(*range(12))
    page = page_of(verification)
    assert "Style family 9:" in page
    assert "Style family 10:" not in page
    assert "2 further families in verification.json." in page
