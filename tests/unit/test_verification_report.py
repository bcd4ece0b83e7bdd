"""The verification as a page of the terminal and as JSON."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from audit.responses import Split
from audit.verify.arms import AnswerFile
from audit.verify.borrowing import ArmBorrowing, BorrowingRate, BorrowingReport, Level, Population, RowTexts
from audit.verify.judge import verify_answers
from audit.verify.proportions import Proportion
from audit.verify.statistics import Interval
from audit.verify.verdict import Verdict
from audit.verify.verification import (
    ArmSummary,
    BaseKnowledge,
    McNemar,
    PrimaryEffect,
    PromptResult,
    Role,
    SecondaryEffect,
    SubsetEffect,
    Verification,
)
from reports.verification import to_json, verification_report
from tests.benchmarks.verdict.simulation import Setting, answer_files, draw_wrong

SCHEMA = json.loads((Path(__file__).parents[2] / "reports/schemas/verification.schema.json").read_text())


def arm(name: str, role: Role, right: float) -> ArmSummary:
    return ArmSummary(name, role, 5, right, 0.74 - right, 0.2, 0.01, 0.05, 0.125, 0.9, 31.4, 0.0, 0.01, (1 - right,) * 5)


CONFIRMED = Verification(
    verdict=Verdict.CONFIRMED,
    reason="12.0 points fewer wrong answers …",
    smaller_than_delta=False,
    delta_points=5.0,
    n_runs=5,
    n_prompts=40,
    n_units=40,
    n_control=10,
    n_traced=3,
    effect=PrimaryEffect(-12.0, Interval(-19.5, -4.5), Interval(-18.0, -6.0), 3.1, 6.4, 10.25, None),
    secondary=(
        SecondaryEffect("abstained", "points", 5.0, 8.0, Interval(-6.0, 0.0), 0.04, 0.08, "crossed t"),
        SecondaryEffect("response length", "characters", 31.0, 30.0, None, 0.0004, 0.0004, "paired permutation"),
    ),
    arms=(arm("cleaned", Role.COMPARED, 0.7), arm("random", Role.COMPARED, 0.58), arm("near", Role.DESCRIPTIVE, 0.5)),
    prompts=(PromptResult("Q?", Split.HELD_OUT, None, (0.2, 0.4, 1.0)),),
    notes=("Prompts left out because claims were traced on them: 3.",),
)


def text_of(verification: Verification, width: int = 140) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(verification_report(verification))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_page_says_verdict_figures_and_notes() -> None:
    page = text_of(CONFIRMED)
    lines = page.splitlines()
    assert lines[0] == "Verdict: confirmed"
    assert lines[1] == "12.0 points fewer wrong answers …"
    for said in (
        "40 held-out prompts, 5 runs per arm",
        "Wrong answers, cleaned minus random: -12.0 points (95 % interval -19.5 to -4.5)",
        "90 % interval -18.0 to -6.0, against ±5 points that matter",
        "Smallest effect that this design could have seen: 10.2 points",
        "Tests: crossed t, paired permutation",
        "Note: Prompts left out because claims were traced on them: 3.",
    ):
        assert said in page
    cells = [re.split(r"  +", line.strip()) for line in lines]
    assert ["answers to held-out prompts", "cleaned", "random", "(descriptive)"] in cells
    assert ["wrong", "30.0 %", "42.0 %", "50.0 %"] in cells
    assert ["a traced span is back", "20.0 %", "20.0 %", "20.0 %"] in cells
    assert ["displaced by another value", "1.0 %", "1.0 %", "1.0 %"] in cells
    assert ["wrong where the base is right", "12.5 %", "12.5 %", "12.5 %"] in cells
    assert ["control prompts right", "90.0 %", "90.0 %", "90.0 %"] in cells
    assert ["abstained", "-3.0 points", "-6.0 to +0.0", "0.080"] in cells
    assert ["response length", "+1.0 characters", "–", "< 0.001"] in cells


BASE = BaseKnowledge(
    right_fraction=0.6,
    control_accuracy=None,
    known=SubsetEffect(24, 12, 0.25, 0.5, Interval(-40.0, -10.0)),
    unknown=SubsetEffect(16, 16, 0.375, 0.25, None),
)


def test_the_page_tells_prompts_apart_by_what_the_base_model_knows() -> None:
    page = text_of(replace(CONFIRMED, base=BASE))
    cells = [re.split(r"  +", line.strip()) for line in page.splitlines()]
    assert ["of prompts the base model answers alone", "prompts", "difference", "95 % interval"] in cells
    assert ["right", "24", "-25.0 points", "-40.0 to -10.0"] in cells
    assert ["wrong", "16", "+12.5 points", "–"] in cells
    assert "the base model answers alone" not in text_of(CONFIRMED)
    content = json.loads(json.dumps(to_json(replace(CONFIRMED, base=BASE))))
    assert content["base"]["known"]["difference_points"] == -25.0
    assert content["base"]["unknown"]["interval_95"] is None
    assert to_json(CONFIRMED)["base"] is None


SHARE = Proportion(120, 40, 0.434, Interval(0.31, 0.56))


def test_borrowing_stands_beside_its_nulls() -> None:
    def report(arm: str, level: Level) -> BorrowingReport:
        missing = {Population.MATCHED: "no unseen rows", Population.UNSEEN: "no unseen rows"}
        return BorrowingReport(
            level,
            tuple(
                BorrowingRate(population, None, why=missing[population])
                if population in missing
                else BorrowingRate(population, SHARE, SHARE, replace(SHARE, fraction=0.2, interval_95=None))
                for population in Population
            ),
        )

    arms = tuple(ArmBorrowing(name, (report(name, Level.FAMILY), report(name, Level.SPANS))) for name in ("cleaned", "[red]"))
    page = text_of(replace(CONFIRMED, borrowing=arms))
    cells = [re.split(r"  +", line.strip()) for line in page.splitlines()]
    assert ["borrowing beside its nulls", "cleaned", "[red]"] in cells
    assert ["wrong answers of the untuned model", *["43 % (31 to 56, n 120)"] * 2] in cells
    assert ["wrong, and put there by tuning", *["20 % (n 120)"] * 2] in cells
    assert "of any prompt" not in page
    assert str(Population.UNSEEN) not in page
    content = json.loads(json.dumps(to_json(replace(CONFIRMED, borrowing=arms))))
    assert [level["level"] for level in content["borrowing"][0]["levels"]] == ["values of the prompt's own", "spans"]
    rate = content["borrowing"][0]["levels"][0]["rates"][0]
    assert rate["occurs"] == {"n": 120, "n_units": 40, "fraction": 0.434, "interval_95": {"low": 0.31, "high": 0.56}}


def test_scores_of_a_judge_are_shown_to_the_hundredth() -> None:
    judged = SecondaryEffect("judged factuality", "score", 3.25, 3.0, Interval(0.05, 0.45), 0.02, 0.04, "crossed t")
    cells = [re.split(r"  +", line.strip()) for line in text_of(replace(CONFIRMED, secondary=(judged,))).splitlines()]
    assert ["judged factuality", "+0.25 score", "+0.05 to +0.45", "0.040"] in cells


def test_the_page_of_two_arms_fits_eighty_columns() -> None:
    two_arms = replace(CONFIRMED, arms=CONFIRMED.arms[:2], reason="Short.")
    narrow, wide = text_of(two_arms, width=80), text_of(two_arms, width=140)
    assert "…" not in narrow
    assert len(narrow.splitlines()) == len(wide.splitlines()) + 1  # only the line on power wraps


def test_one_run_is_headed_this_run_only() -> None:
    effect = PrimaryEffect(-12.0, None, None, None, None, None, McNemar(2, 14, 0.0042))
    page = text_of(replace(CONFIRMED, verdict=None, n_runs=1, effect=effect))
    assert page.startswith("This run only: no verdict about the dataset\n")
    assert "Exact McNemar, this run only: wrong in cleaned alone 2, in random alone 14, p: 0.004" in page
    assert "Verdict" not in page


def test_text_of_users_and_models_is_shown_and_not_obeyed() -> None:
    hostile = "[red]x[/red] [link=file:///]\x1b[31m\u202e"
    page = text_of(replace(CONFIRMED, reason=hostile, notes=(hostile,), arms=(arm(hostile, Role.BESIDE, 0.5),) * 3))
    assert page.count("[red]x[/red]") >= 3
    assert "\x1b" not in page
    assert "\u202e" not in page


def simulated(n_runs: int, n_prompts: int = 20) -> dict[str, list[AnswerFile]]:
    setting = Setting(n_runs, n_prompts, base_rate=0.4)
    return answer_files(setting, draw_wrong(setting, np.random.default_rng(4)))


@pytest.mark.parametrize(
    "verification",
    [
        pytest.param(CONFIRMED, id="by hand"),
        pytest.param(verify_answers(simulated(1), traced_spans=["Oldtown"]), id="one run"),
        pytest.param(verify_answers(simulated(1), values=["Oldtown"]), id="values"),
        pytest.param(verify_answers(simulated(3), base_answers=simulated(1)["random"][0]), id="base answers"),
        pytest.param(replace(CONFIRMED, base=BASE), id="by hand, with base answers"),
        pytest.param(
            verify_answers(simulated(3), rows=RowTexts.of(["Newport 3", "Oldtown"]), unseen=RowTexts.of(["Oldtown 2"])),
            id="rows",
        ),
        pytest.param(verify_answers(simulated(3)), id="three runs"),
        pytest.param(verify_answers(simulated(5, n_prompts=1)), id="one prompt"),
    ],
)
def test_the_json_follows_the_schema(verification: Verification) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    content = json.loads(json.dumps(to_json(verification), allow_nan=False))
    Draft202012Validator({**SCHEMA, "$ref": "#/$defs/verification", "required": [], "properties": {}}).validate(content)
    assert set(content) == set(SCHEMA["$defs"]["verification"]["required"])


def test_the_json_holds_the_figures() -> None:
    content = json.loads(json.dumps(to_json(CONFIRMED)))
    assert (content["verdict"], content["scope"]) == ("confirmed", "dataset")
    assert content["effect"]["interval_95"] == {"low": -19.5, "high": -4.5}
    assert content["counts"]["traced_prompts_left_out"] == 3
    assert content["prompts"][0]["wrong_fractions"] == {"cleaned": 0.2, "random": 0.4, "near": 1.0}
    assert content["arms"][0]["wrong_fraction"] == pytest.approx(0.3)
    assert content["secondary"][0]["difference"] == -3.0
    one_run = to_json(replace(CONFIRMED, verdict=None, n_runs=1))
    assert (one_run["verdict"], one_run["scope"]) == (None, "this run")
