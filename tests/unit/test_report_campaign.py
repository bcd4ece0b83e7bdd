"""Verifications of several methods on the terminal, as JSON and as a page; and what is said before any is begun."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from rich.console import Console, RenderableType

from audit.responses import Split
from audit.tune import Method, load_recipe
from audit.tune.rates import RateChoice, TriedRate
from audit.verify.result import CampaignResult, MethodResult, Tuning
from audit.verify.statistics import Interval
from audit.verify.verdict import Verdict
from audit.verify.verification import BaseKnowledge, McNemar, PrimaryEffect, PromptResult, SubsetEffect, Verification
from reports.campaign import campaign_report, render_campaign, verification_json
from reports.page import MAX_PAGE_BYTES
from reports.verification_html import verification_html
from tests.campaign import tuning_record
from tests.hostile import ATTACKS
from tests.unit.test_verification_report import CONFIRMED, arm

SCHEMA = json.loads((Path(__file__).parents[2] / "reports/schemas/verification.schema.json").read_text())

LORA = load_recipe("pocket", Method.LORA, learning_rate=0.01)
FULL = load_recipe("pocket", Method.FULL, learning_rate=0.002)
TRIED = (TriedRate(0.002, 1.25, 0.5, 0.9), TriedRate(0.2, None, None, None, ("the training loss is nan",)))
BASE = BaseKnowledge(0.75, 0.9, SubsetEffect(30, 30, 0.2, 0.4, Interval(-30.0, -10.0)), SubsetEffect(10, 10, 0.9, 0.9, None))
PROMPTS = (
    PromptResult("Unchanged?", Split.HELD_OUT, None, (0.4, 0.4, 0.4), True),
    PromptResult("Mended?", Split.HELD_OUT, "g", (0.0, 0.8, 1.0), True),
    PromptResult("Spoiled?", Split.HELD_OUT, None, (0.6, 0.4, 0.4), False),
    PromptResult("Never wrong?", Split.CONTROL, None, (0.0, 0.0, 0.0), True),
    PromptResult("Once wrong?", Split.CONTROL, None, (0.0, 0.2, 0.0), True),
)
VERIFICATION = replace(CONFIRMED, base=BASE, prompts=PROMPTS)


def tunings(recipe: object, **fields: object) -> tuple[Tuning, ...]:
    assert recipe in (LORA, FULL)
    return tuple(
        Tuning(name, seed, tuning_record(recipe, seed, **fields))  # type: ignore[arg-type]
        for seed in (1000, 1001)
        for name in ("cleaned", "random")
    )


RESULT = CampaignResult(
    "c1",
    None,
    (
        MethodResult(Method.LORA, VERIFICATION, recipe=LORA, tunings=tunings(LORA)),
        MethodResult(
            Method.FULL,
            replace(VERIFICATION, verdict=Verdict.NO_EFFECT, reason="Within ±5."),
            recipe=FULL,
            rates=RateChoice(0.002, TRIED),
            tunings=tunings(FULL, training_loss=4.5),
        ),
    ),
    ("Training fit is alike within 10%.",),
)
DIVERGED = MethodResult(Method.FULL, None, "full random seed 1000: the training loss is nan", recipe=FULL)
ONE_RUN = replace(
    VERIFICATION,
    verdict=None,
    n_runs=1,
    base=None,
    effect=PrimaryEffect(-12.0, None, None, None, None, None, McNemar(2, 9, 0.07)),
)
ELSEWHERE = CampaignResult(None, None, (MethodResult(None, ONE_RUN),))


def text_of(report: RenderableType, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(report)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_verdicts_come_first_and_each_with_what_it_rests_on() -> None:
    page = text_of(campaign_report(RESULT))
    lines = page.splitlines()
    assert lines[:2] == ["LoRA: confirmed", "Full tuning: no effect"]
    assert page.index("Verdict: confirmed") < page.index("Verdict: no effect") < page.index("Training fit is alike")
    cells = [re.split(r"  +", line.strip()) for line in lines]
    assert ["training fit", "80.0 %", "80.0 %"] in cells
    assert ["loss after the last step", "0.900", "0.900"] in cells
    assert ["seeds", "2", "2"] in cells


def test_one_method_needs_no_table_of_verdicts() -> None:
    assert text_of(campaign_report(ELSEWHERE)).startswith("This run only: no verdict about the dataset\n")


def test_a_diverged_method_has_a_verdict_and_its_reason() -> None:
    page = text_of(campaign_report(replace(RESULT, methods=(RESULT.methods[0], DIVERGED))))
    assert "Full tuning: inconclusive (unhealthy)" in page
    assert "full random seed 1000: the training loss is nan." in page


@pytest.mark.parametrize(
    "result", [RESULT, ELSEWHERE, replace(RESULT, methods=(RESULT.methods[0], DIVERGED))], ids=["both", "elsewhere", "diverged"]
)
def test_the_json_follows_the_schema(result: CampaignResult) -> None:
    content = json.loads(verification_json(result))
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(content)
    assert set(content) == set(SCHEMA["required"])
    assert verification_json(result) == verification_json(result)


def test_the_json_has_no_time_and_no_place_in_it() -> None:
    slow = tuple(
        replace(
            t,
            record=replace(
                t.record,
                seconds_train=99.0,
                resumed_at_step=2,
                peak_memory_bytes=7,
                base=replace(t.record.base, base="/home/x"),
            ),
        )
        for t in RESULT.methods[0].tunings
    )
    later = replace(RESULT, methods=(replace(RESULT.methods[0], tunings=slow), RESULT.methods[1]))
    assert render_campaign(later) == render_campaign(RESULT)


def test_the_json_tells_of_tunings_and_rates() -> None:
    lora, full = json.loads(verification_json(RESULT))["methods"]
    assert lora["tunings"]["recipe"]["learning_rate"] == 0.01
    assert lora["tunings"]["learning_rates"] is None
    assert [rate["held_out_loss"] for rate in full["tunings"]["learning_rates"]] == [1.25, None]
    assert full["tunings"]["runs"][0]["problems"] == ["the training loss did not fall (3 before tuning, 4.5 after)"]


def page_of(result: CampaignResult) -> str:
    return verification_html(result).decode()


def test_the_page_draws_what_the_tables_say() -> None:
    page = page_of(RESULT)
    assert page.count('<p class="verdict">') == 2
    assert 'aria-label="LoRA: −12.0 points, 95 % interval −19.5 to −4.5"' in page
    assert 'aria-label="where the base model is right: −20.0 points, 95 % interval −30.0 to −10.0"' in page
    # From -30 to 30 points: 5 points of delta are 8.33 % to each side of the middle.
    assert '<rect class="band" x="41.67%" y="0" width="16.67%" height="100%"/>' in page
    assert '<circle class="mean-dot" cx="30.00%" cy="50%" r="7"/>' in page
    assert '<line class="ninety" x1="20.00%" x2="40.00%"' in page
    assert page.count('<circle class="seed"') == 2 * 3 * 5
    assert 'aria-label="cleaned: right 70.0 %, a traced span is back 20.0 %' in page
    assert "as it should be" in page
    assert "the training loss did not fall" in page
    assert "0.002 (chosen)" in page


def test_prompts_that_changed_come_first_and_control_prompts_only_where_wrong() -> None:
    page = page_of(RESULT)
    assert page.index("Mended?") < page.index("Spoiled?") < page.index("Unchanged?")
    assert "Once wrong?" in page
    assert "Never wrong?" not in page


def test_a_page_of_one_run_and_of_a_failure_is_whole() -> None:
    page = page_of(ELSEWHERE)
    assert "This run only" in page
    assert "wrong in cleaned alone 2, in random alone 9" in page
    assert "the training loss is nan" in page_of(replace(RESULT, methods=(RESULT.methods[0], DIVERGED)))


def test_many_prompts_are_cut_and_counted() -> None:
    many = tuple(PromptResult(f"{n} " + "long " * 60, Split.HELD_OUT, None, (0.0, n / 9000, 0.0), True) for n in range(9000))
    content = verification_html(
        replace(RESULT, methods=(replace(RESULT.methods[0], verification=replace(VERIFICATION, prompts=many)),))
    )
    assert len(content) <= MAX_PAGE_BYTES
    assert "of 9,000 shown; all are in <code>verification.json</code>" in content.decode()


def hostile() -> CampaignResult:
    """A result in which every text attacks the page."""
    arms = tuple(
        arm(attack[:60] or "x", one.role, one.right_fraction) for attack, one in zip(ATTACKS, VERIFICATION.arms, strict=False)
    )
    prompts = tuple(PromptResult(attack, Split.HELD_OUT, attack, (0.0, 0.5, 1.0), True) for attack in ATTACKS)
    verification: Verification = replace(VERIFICATION, reason=" ".join(ATTACKS[:8]), notes=ATTACKS, arms=arms, prompts=prompts)
    method = replace(
        RESULT.methods[0],
        verification=verification,
        tunings=tuple(replace(tuning, arm=attack) for tuning, attack in zip(RESULT.methods[0].tunings, ATTACKS, strict=False)),
    )
    return CampaignResult(ATTACKS[0], None, (method, replace(DIVERGED, problem=" ".join(ATTACKS[:8]))), ATTACKS)


def test_hostile_text_is_shown_and_not_obeyed() -> None:
    page = page_of(hostile())
    assert page.count("<script>") == 1
    assert "<img" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    terminal = text_of(campaign_report(hostile()))
    assert "\x1b" not in terminal
    assert "\u202e" not in terminal
