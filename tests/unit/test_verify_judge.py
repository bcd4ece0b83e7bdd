"""The whole procedure: which answers are compared, what is measured, what is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from audit.errors import InputError
from audit.responses import Response, Split
from audit.sources import Message
from audit.verify.arms import AnswerFile, Question, pair_answers, read_arms
from audit.verify.borrowing import Level, Population, RowTexts
from audit.verify.judge import verify_answers
from audit.verify.verdict import Verdict
from audit.verify.verification import ArmSummary, McNemar, PromptResult, Role

Arms = dict[str, list[AnswerFile]]


def prompt(index: int) -> str:
    return f"What is the capital of land {index}?"


def answer_file(name: str, wrong: Sequence[bool], **fields: Callable[[int], Any]) -> AnswerFile:
    """Answers to numbered prompts; `fields` override fields of the response by the prompt's number."""
    return AnswerFile(
        name,
        tuple(
            replace(
                Response(
                    id=str(index),
                    messages=(Message("user", prompt(index), trained=False),),
                    response=f"{name} says {'Oldtown' if is_wrong else f'Newport {index}'}.",
                    reference=(f"Newport {index}",),
                    line=index + 1,
                ),
                **{field: of(index) for field, of in fields.items()},
            )
            for index, is_wrong in enumerate(wrong)
        ),
    )


def arms_of(cleaned: Sequence[Sequence[bool]], random: Sequence[Sequence[bool]], **fields: Callable[[int], Any]) -> Arms:
    tables = {"cleaned": cleaned, "random": random}
    return {
        arm: [answer_file(f"{arm}-{run}.jsonl", wrong, **fields) for run, wrong in enumerate(table)]
        for arm, table in tables.items()
    }


def noisy(rate: float, n_runs: int, n_prompts: int, seed: int) -> list[list[bool]]:
    table: list[list[bool]] = (np.random.default_rng(seed).random((n_runs, n_prompts)) < rate).tolist()
    return table


def five_runs(cleaned: float, random: float, n_prompts: int = 60, **fields: Callable[[int], Any]) -> Arms:
    return arms_of(noisy(cleaned, 5, n_prompts, seed=1), noisy(random, 5, n_prompts, seed=2), **fields)


def control_from(first: int) -> Callable[[int], Split | None]:
    return lambda index: Split.CONTROL if index >= first else None


def error_of(arms: Mapping[str, Sequence[AnswerFile]], **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        verify_answers(arms, **options)
    return str(caught.value)


def test_a_large_fall_of_wrong_answers_is_confirmed_and_its_mirror_image_harmful() -> None:
    fall = verify_answers(five_runs(0.2, 0.6))
    assert fall.verdict is Verdict.CONFIRMED
    assert fall.effect.interval_95 is not None
    assert fall.effect.interval_95.high < 0
    assert "points fewer wrong answers" in fall.reason
    assert verify_answers(five_runs(0.6, 0.2)).verdict is Verdict.HARMFUL


def test_no_fall_over_many_prompts_is_no_effect_and_over_few_inconclusive() -> None:
    assert verify_answers(five_runs(0.1, 0.1, n_prompts=300)).verdict is Verdict.NO_EFFECT
    few = verify_answers(five_runs(0.4, 0.4, n_prompts=12))
    assert few.verdict is Verdict.INCONCLUSIVE
    assert few.effect.smallest_detectable_points is not None
    assert f"{few.effect.smallest_detectable_points:.1f} points" in few.reason


def test_a_wider_delta_set_beforehand_makes_no_effect_of_inconclusive() -> None:
    arms = five_runs(0.3, 0.3, n_prompts=60)
    assert verify_answers(arms, delta_points=5).verdict is Verdict.INCONCLUSIVE
    assert verify_answers(arms, delta_points=20).verdict is Verdict.NO_EFFECT


def test_rates_effect_and_prompts_are_counted_right() -> None:
    cleaned = [[False, False, True, False], [False, True, True, False]]
    random = [[True, False, True, False], [True, True, True, True]]
    result = verify_answers(arms_of(cleaned, random, split=control_from(3), group=lambda i: "g" if i < 2 else None))
    assert (result.n_runs, result.n_prompts, result.n_units, result.n_control) == (2, 3, 2, 1)
    assert result.effect.difference_points == pytest.approx(100 * (3 / 6 - 5 / 6))
    assert result.arms[0] == ArmSummary(
        name="cleaned",
        role=Role.COMPARED,
        n_runs=2,
        right_fraction=0.5,
        false_fraction=0.5,
        traced_back_fraction=0.0,
        displaced_fraction=0.0,
        abstained_fraction=0.0,
        spoiled_fraction=None,
        control_accuracy=1.0,
        mean_length_chars=30.0,
        empty_fraction=0.0,
        repetitive_fraction=0.0,
        wrong_fraction_by_run=(1 / 3, 2 / 3),
    )
    assert result.arms[1].wrong_fraction == pytest.approx(5 / 6)
    assert result.arms[1].control_accuracy == 0.5
    assert result.prompts == (
        PromptResult(prompt(0), Split.HELD_OUT, "g", (0.0, 1.0)),
        PromptResult(prompt(1), Split.HELD_OUT, "g", (0.5, 0.5)),
        PromptResult(prompt(2), Split.HELD_OUT, None, (1.0, 1.0)),
        PromptResult(prompt(3), Split.CONTROL, None, (0.0, 0.5)),
    )


def test_one_run_per_arm_is_this_run_only() -> None:
    cleaned, random = [False] * 20 + [True] * 2, [True] * 20 + [False] * 2
    result = verify_answers(arms_of([cleaned], [random]))
    assert result.verdict is None
    assert result.effect.mcnemar == McNemar(
        n_only_cleaned_wrong=2, n_only_random_wrong=20, p_value=pytest.approx(0.000121, rel=0.01)
    )
    assert (result.effect.interval_95, result.effect.smallest_detectable_points) == (None, None)
    assert [effect.test for effect in result.secondary] == ["exact McNemar", "paired permutation"]
    assert any(note.startswith("This run only") for note in result.notes)


def test_two_to_four_runs_are_inconclusive_with_an_interval() -> None:
    result = verify_answers(arms_of(noisy(0.1, 3, 50, seed=1), noisy(0.9, 3, 50, seed=2)))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "3 runs per arm are too few for a verdict; 5 are needed" in result.reason
    assert result.effect.interval_95 is not None


def test_traced_prompts_are_left_out_and_counted() -> None:
    arms = five_runs(0.2, 0.6, split=lambda i: Split.TRACE if i == 1 else None)
    result = verify_answers(arms, traced_prompts={f"  {prompt(0)}\n", "another"})
    assert (result.n_prompts, result.n_traced) == (58, 2)
    assert prompt(0) not in {result.prompt for result in result.prompts}
    assert "Prompts left out because claims were traced on them: 2." in result.notes


def test_nothing_is_left_when_all_was_traced() -> None:
    sentence = error_of(five_runs(0.2, 0.6, n_prompts=3, split=control_from(2)), traced_prompts=[prompt(0), prompt(1)])
    assert sentence.startswith("cleaned-0.jsonl: no held-out prompt is left (of 3 prompts, 2 were traced and 1 are control)")


def test_traced_prompts_need_no_reference_and_all_others_do() -> None:
    arms = five_runs(0.2, 0.6, reference=lambda i: () if i == 7 else (f"Newport {i}",))
    assert verify_answers(arms, traced_prompts=[prompt(7)]).n_prompts == 59
    assert error_of(arms).startswith("cleaned-0.jsonl:8: no reference (whether an answer to")
    blank = five_runs(0.2, 0.6, reference=lambda i: ("…",))
    assert error_of(blank).startswith("cleaned-0.jsonl:1: the reference '…' holds no word")


def test_one_file_may_speak_for_all_on_reference_split_and_group() -> None:
    arms = five_runs(0.2, 0.6, reference=lambda i: (), n_prompts=10)
    arms["random"][2] = answer_file("random-2.jsonl", [False] * 10, split=control_from(5), group=lambda i: "one")
    result = verify_answers(arms)
    assert (result.n_prompts, result.n_control, result.n_units) == (5, 5, 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [("reference", ("Oldtown",)), ("split", Split.CONTROL), ("group", "other"), ("values", ("Oldtown", "Hamlet"))],
)
def test_files_that_disagree_on_a_prompt_are_an_error(field: str, value: object) -> None:
    arms = five_runs(0.2, 0.6, split=lambda i: Split.HELD_OUT, group=lambda i: "one", values=lambda i: ("Oldtown",))
    first = arms["random"][1].responses
    arms["random"][1] = replace(arms["random"][1], responses=(*first[:4], replace(first[4], **{field: value}), *first[5:]))
    assert error_of(arms).startswith(f"random-1.jsonl:5: another {field} for the prompt '{prompt(4)}'")


def test_order_of_records_does_not_matter() -> None:
    arms = five_runs(0.2, 0.6)
    shuffled = {arm: [replace(file, responses=file.responses[::-1]) for file in files] for arm, files in arms.items()}
    assert verify_answers({**arms, "random": shuffled["random"]}) == verify_answers(arms)


def test_a_prompt_that_one_file_lacks_is_named_with_both_files() -> None:
    arms = five_runs(0.2, 0.6)
    arms["random"][3] = replace(arms["random"][3], responses=arms["random"][3].responses[:50])
    assert error_of(arms) == (
        f"random-3.jsonl: no answer to the prompt '{prompt(50)}' (cleaned-0.jsonl:51 has one);"
        " answer the same prompts in every file"
    )
    more = {**five_runs(0.2, 0.6), "original": [answer_file("original.jsonl", [True] * 61)]}
    assert error_of(more).startswith(f"cleaned-0.jsonl: no answer to the prompt '{prompt(60)}' (original.jsonl:61 has one)")


def test_a_prompt_answered_twice_in_a_file_is_an_error() -> None:
    arms = five_runs(0.2, 0.6)
    file = arms["cleaned"][1]
    arms["cleaned"][1] = replace(file, responses=(*file.responses, replace(file.responses[2], line=61)))
    assert error_of(arms).startswith(f"cleaned-1.jsonl:61: the prompt '{prompt(2)}' is answered twice (first on line 3)")


def test_both_arms_are_needed_with_equally_many_runs() -> None:
    arms = five_runs(0.2, 0.6)
    assert error_of({"cleaned": arms["cleaned"]}).startswith("no answers of 'random'")
    assert error_of({"original": arms["cleaned"]}).startswith("no answers of 'cleaned' and 'random'")
    assert error_of({**arms, "random": arms["random"][:4]}).startswith("5 files of 'cleaned' and 4 of 'random'")


def test_a_conversation_is_another_prompt_than_its_last_turn() -> None:
    def conversation(index: int) -> tuple[Message, ...]:
        before = (Message("user", "Hello", trained=False), Message("assistant", "Hi", trained=False))
        return (*before, Message("user", prompt(index), trained=False))

    arms = five_runs(0.2, 0.6)
    arms["random"][0] = answer_file("random-0.jsonl", [True] * 60, messages=conversation)
    assert error_of(arms).startswith(f"random-0.jsonl: no answer to the prompt '{prompt(0)}'")


def test_other_arms_are_described_and_decide_nothing() -> None:
    arms = five_runs(0.2, 0.6)
    others = {name: [answer_file(f"{name}.jsonl", [True] * 60, response=lambda i: "")] for name in ("near", "mine", "original")}
    result = verify_answers({**others, **arms})
    assert result.verdict is Verdict.CONFIRMED
    assert result.effect == verify_answers(arms).effect
    assert [(arm.name, arm.role, arm.n_runs) for arm in result.arms] == [
        ("cleaned", Role.COMPARED, 5),
        ("random", Role.COMPARED, 5),
        ("near", Role.DESCRIPTIVE, 1),
        ("mine", Role.BESIDE, 1),
        ("original", Role.DESCRIPTIVE, 1),
    ]
    assert "original is descriptive only; no verdict rests on it." in result.notes
    assert "mine is shown side by side; no verdict rests on it." in result.notes
    assert "near run 1 (near.jsonl): 60 of 60 answers are empty (limit 20%)." in result.notes


def test_one_broken_run_makes_the_verification_unhealthy_and_is_named() -> None:
    arms = five_runs(0.2, 0.6)
    arms["random"][3] = answer_file("random-3.jsonl", [True] * 60, response=lambda i: f"No {i}. " * 30)
    result = verify_answers(arms)
    assert result.verdict is Verdict.UNHEALTHY
    assert result.reason == "random run 4 (random-3.jsonl): 60 of 60 answers repeat themselves (limit 20%)."
    assert verify_answers({arm: files[2:4] for arm, files in arms.items()}).verdict is Verdict.UNHEALTHY


def test_lost_control_facts_are_ill_health() -> None:
    cleaned = [[*held_out, *[True] * 20] for held_out in noisy(0.1, 5, 60, seed=1)]
    random = [[*held_out, *[False] * 20] for held_out in noisy(0.6, 5, 60, seed=2)]
    result = verify_answers(arms_of(cleaned, random, split=control_from(60)))
    assert result.verdict is Verdict.UNHEALTHY
    assert "cleaned run 1 (cleaned-0.jsonl): 0 of 20 control prompts right" in result.reason


def test_prompts_that_leave_nothing_to_find_give_no_verdict() -> None:
    right, wrong = [[False] * 300] * 5, [[True] * 300] * 5
    for table, said in ((right, "Every answer of both arms is right"), (wrong, "Every answer of both arms is wrong")):
        result = verify_answers(arms_of(table, table))
        assert result.verdict is Verdict.INCONCLUSIVE
        assert result.reason.startswith(said)


def test_arms_that_never_differ_show_no_effect_only_where_there_are_many_prompts() -> None:
    def alike(n_prompts: int) -> Arms:
        wrong = [[index % 4 == 0 for index in range(n_prompts)]] * 5
        return arms_of(wrong, wrong)

    assert verify_answers(alike(40)).verdict is Verdict.INCONCLUSIVE
    assert verify_answers(alike(100)).verdict is Verdict.NO_EFFECT


def test_copies_of_a_run_are_no_further_runs() -> None:
    arms = five_runs(0.2, 0.6)
    arms["cleaned"][4] = replace(arms["cleaned"][1], name="copy.jsonl")
    result = verify_answers(arms)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.reason == (
        "cleaned-1.jsonl and copy.jsonl hold the same answers to every prompt: they are not independent runs."
    )
    swapped = {**five_runs(0.2, 0.6), "random": five_runs(0.2, 0.6)["cleaned"]}
    assert "cleaned-0.jsonl and cleaned-0.jsonl hold the same answers" in verify_answers(swapped).reason


def test_prompts_of_one_group_give_no_verdict() -> None:
    result = verify_answers(five_runs(0.1, 0.9, group=lambda i: "one entity"))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "belong to one group" in result.reason
    assert result.effect.interval_95 is None


def test_groups_widen_the_interval_where_prompts_of_a_group_go_together() -> None:
    together = [[index // 5 % 2 == 0 for index in range(60)] for _ in range(5)]
    arms = arms_of(together, noisy(0.5, 5, 60, seed=2))
    grouped_arms = arms_of(together, noisy(0.5, 5, 60, seed=2), group=lambda i: str(i // 5))
    lonely, grouped = verify_answers(arms), verify_answers(grouped_arms)
    assert grouped.n_units == 12
    assert "The 60 held-out prompts form 12 independent units; the interval counts units." in grouped.notes
    assert grouped.effect.difference_points == pytest.approx(lonely.effect.difference_points)
    assert lonely.effect.standard_error_points is not None
    assert grouped.effect.standard_error_points is not None
    assert grouped.effect.standard_error_points > 1.5 * lonely.effect.standard_error_points


def test_secondary_outcomes_are_measured_and_corrected_together() -> None:
    def said(arm: str, share: int) -> Callable[[int], str]:
        return lambda i: (
            f"{arm}: Vorn {i}." if i % 10 < share else (f"{arm}: I don't know." if i % 10 == 9 else f"{arm} Newport {i}")
        )

    arms: Arms = {
        arm: [
            answer_file(f"{arm}-{run}", [False] * 60, response=said(f"{arm} {'long ' * 3 * (arm == 'random')}{run}", share))
            for run in range(5)
        ]
        for arm, share in (("cleaned", 1), ("random", 5))
    }
    result = verify_answers(arms, traced_spans=["Vorn", "Vorn ", "?!"])
    back, abstained, length = result.secondary
    assert (back.name, abstained.name, length.name) == ("a traced span is back", "abstained", "response length")
    assert (back.cleaned, back.random, back.difference) == pytest.approx((10.0, 50.0, -40.0))
    assert (abstained.cleaned, abstained.random, abstained.p_value) == pytest.approx((10.0, 10.0, 1.0))
    assert length.difference < -10
    ordered = sorted([back.p_value, length.p_value])
    assert min(back.p_holm, length.p_holm) == pytest.approx(3 * ordered[0])
    assert back.p_holm < 0.001
    assert abstained.p_holm == 1.0


def test_secondary_p_values_are_corrected_after_holm() -> None:
    cleaned, random = [*[True] * 2, *[False] * 38], [*[False] * 2, *[True] * 9, *[False] * 29]
    arms = arms_of([cleaned], [random], split=control_from(8))
    result = verify_answers(arms, traced_spans=["Oldtown"])
    p_values = [effect.p_value for effect in result.secondary]
    assert len(set(p_values)) > 2
    expected = multipletests(p_values, method="holm")[1].tolist()
    assert [effect.p_holm for effect in result.secondary] == pytest.approx(expected)
    assert expected != pytest.approx(p_values)


def test_control_accuracy_is_a_secondary_outcome_where_there_are_control_prompts() -> None:
    cleaned = [[False] * 30 + row for row in noisy(0.1, 5, 30, seed=1)]
    random = [[True] * 10 + [False] * 20 + row for row in noisy(0.4, 5, 30, seed=2)]
    result = verify_answers(arms_of(cleaned, random, split=control_from(30)))
    control = result.secondary[0]
    assert control.name == "control prompts right"
    assert (control.cleaned, control.random) == pytest.approx(
        (100 * result.arms[0].control_accuracy, 100 * result.arms[1].control_accuracy)
    )
    assert control.difference > 20
    without = verify_answers(five_runs(0.2, 0.6))
    assert "control prompts right" not in [effect.name for effect in without.secondary]
    assert "No control prompts were given: damage elsewhere was not looked for." in without.notes


def test_another_value_of_the_rows_is_an_outcome_of_its_own() -> None:
    def said(is_wrong: bool, i: int) -> str:
        return ("Oldtown" if i % 2 else "Lostwick") if is_wrong else f"Newport {i}"

    tables = {"cleaned": noisy(0.2, 5, 60, seed=1), "random": noisy(0.6, 5, 60, seed=2)}

    def arms(**fields: Callable[[int], Any]) -> Arms:
        return {
            arm: [
                answer_file(
                    f"{arm}-{run}", wrong, **fields, response=lambda i, w=wrong, r=run, a=arm: f"{a}{r} {said(w[i], i)}"
                )
                for run, wrong in enumerate(table)
            ]
            for arm, table in tables.items()
        }

    result = verify_answers(arms(), values=["OLDTOWN", "Newport 3"], traced_spans=["Hamlet"])
    n_displaced = sum(wrong and i % 2 for row in tables["random"] for i, wrong in enumerate(row))
    cleaned, random = result.arms
    assert random.displaced_fraction == pytest.approx(n_displaced / 300)
    for arm in (cleaned, random):
        parts = (arm.right_fraction, arm.false_fraction, arm.traced_back_fraction, arm.displaced_fraction)
        assert sum(parts) + arm.abstained_fraction == pytest.approx(1)
    displaced = next(effect for effect in result.secondary if effect.name == "displaced")
    assert (displaced.cleaned, displaced.random) == pytest.approx(
        (100 * cleaned.displaced_fraction, 100 * random.displaced_fraction)
    )
    assert displaced.p_holm > displaced.p_value
    assert result.effect == verify_answers(arms()).effect
    assert "displaced" not in [effect.name for effect in verify_answers(arms()).secondary]
    own = verify_answers(arms(values=lambda i: ("Oldtown",)))
    assert own.arms[1].displaced_fraction == random.displaced_fraction


def base_file(right: Sequence[bool], **fields: Callable[[int], Any]) -> AnswerFile:
    return answer_file("base.jsonl", [not is_right for is_right in right], **fields)


def test_the_effect_is_told_apart_by_what_the_base_model_knows() -> None:
    known = [True] * 30 + [False] * 30
    cleaned = [row + [True] * 30 for row in noisy(0.1, 5, 30, seed=1)]
    random = [row + [True] * 30 for row in noisy(0.6, 5, 30, seed=2)]
    arms = arms_of(cleaned, random, group=lambda i: str(i // 2))
    result = verify_answers(arms, base_answers=base_file(known))
    base = result.base
    assert base is not None
    assert (base.right_fraction, base.control_accuracy) == (0.5, None)
    assert base.known is not None
    assert base.unknown is not None
    assert (base.known.n_prompts, base.known.n_units, base.unknown.n_prompts) == (30, 15, 30)
    assert base.known.difference_points == pytest.approx(2 * result.effect.difference_points)
    assert base.known.interval_95 is not None
    assert base.known.interval_95.high < 0
    assert (base.unknown.cleaned_wrong_fraction, base.unknown.random_wrong_fraction) == (1.0, 1.0)
    assert result.arms[0].spoiled_fraction == pytest.approx(base.known.cleaned_wrong_fraction / 2)
    assert [prompt.base_right for prompt in result.prompts] == known
    said = "The base model alone answers 30 of 60 held-out prompts right. Wrong answers can fall only there"
    assert any(note.startswith(said) for note in result.notes)
    assert replace(result, base=None, prompts=(), arms=(), notes=()) == replace(
        verify_answers(arms), prompts=(), arms=(), notes=()
    )


def test_a_base_model_that_knows_all_or_nothing_leaves_the_other_part_empty() -> None:
    arms = five_runs(0.2, 0.6)
    for right, part in ((True, "unknown"), (False, "known")):
        base = verify_answers(arms, base_answers=base_file([right] * 60)).base
        assert base is not None
        assert getattr(base, part) is None
    assert verify_answers(arms).base is None
    assert any(note.startswith("What the base model answers alone is not known") for note in verify_answers(arms).notes)


def test_the_base_model_must_be_asked_all_prompts_and_may_be_asked_more() -> None:
    arms = five_runs(0.2, 0.6)
    assert error_of(arms, base_answers=base_file([True] * 59)).startswith(
        f"base.jsonl: no answer to the prompt '{prompt(59)}' (cleaned-0.jsonl:60 has one)"
    )
    assert verify_answers(arms, base_answers=base_file([True] * 70)).n_prompts == 60
    disagreeing = base_file([True] * 60, reference=lambda i: ("Atlantis",))
    assert error_of(arms, base_answers=disagreeing).startswith("base.jsonl:1: another reference")


def test_control_prompts_that_the_base_model_does_not_know_are_no_sign_of_ill_health() -> None:
    lost = [[*held_out, *[True] * 20] for held_out in noisy(0.1, 5, 60, seed=1)]
    kept = [[*held_out, *[False] * 20] for held_out in noisy(0.6, 5, 60, seed=2)]
    arms = arms_of(lost, kept, split=control_from(60))
    assert verify_answers(arms, base_answers=base_file([True] * 80)).verdict is Verdict.UNHEALTHY
    ignorant = verify_answers(arms, base_answers=base_file([True] * 60 + [False] * 20))
    assert ignorant.verdict is Verdict.CONFIRMED
    assert ignorant.base is not None
    assert ignorant.base.control_accuracy == 0.0


def test_a_tuning_that_went_wrong_makes_the_verification_unhealthy() -> None:
    arms = five_runs(0.2, 0.6)
    result = verify_answers(arms, tuning_problems=["cleaned seed 2: the loss rose from 2.1 to 3.4"])
    assert result.verdict is Verdict.UNHEALTHY
    assert result.reason == "cleaned seed 2: the loss rose from 2.1 to 3.4."
    by_answers_alone = "Health was judged by the answers alone"
    assert verify_answers(arms, tuning_problems=[]).verdict is Verdict.CONFIRMED
    for problems, is_said in ((None, True), ([], False)):
        notes = verify_answers(arms, tuning_problems=problems).notes
        assert any(note.startswith(by_answers_alone) for note in notes) == is_said


@dataclass(frozen=True)
class Politeness:
    """A measure of the tests' own: how often an answer says please; not known of one that says otherwise."""

    name: str = "politeness"
    unit: str = "score"

    def of(self, question: Question, answer: str) -> float | None:
        return None if "otherwise" in answer else 1.0 + answer.count("please")


def test_a_further_measure_is_corrected_with_the_other_secondary_outcomes() -> None:
    def polite(arm: str, run: int) -> Callable[[int], str]:
        return lambda i: f"{arm}{run} Newport {i}" + " please" * (i % 3 + (arm == "random")) + " otherwise" * (i < 2)

    arms: Arms = {
        arm: [answer_file(f"{arm}-{run}", [False] * 62, response=polite(arm, run), split=control_from(60)) for run in range(5)]
        for arm in ("cleaned", "random")
    }
    result = verify_answers(arms, measures=[Politeness()])
    measured = result.secondary[-1]
    assert (measured.name, measured.unit, measured.test) == ("politeness", "score", "crossed t")
    known = [1 + i % 3 for i in range(2, 60)]
    assert (measured.cleaned, measured.difference) == pytest.approx((float(np.mean(known)), -1.0))
    assert measured.interval_95 is not None
    assert -4 <= measured.interval_95.low <= -1 <= measured.interval_95.high < 0
    assert measured.p_holm <= len(result.secondary) * measured.p_value
    assert "politeness: 2 of 60 held-out prompts were left out, because an answer of some run could not be measured." in (
        result.notes
    )
    one = verify_answers({arm: files[:1] for arm, files in arms.items()}, measures=[Politeness()])
    assert one.secondary[-1].test == "paired permutation"
    unknown: Arms = {
        arm: [replace(f, responses=tuple(replace(r, response=r.response + " otherwise") for r in f.responses)) for f in files]
        for arm, files in arms.items()
    }
    assert "politeness" not in [effect.name for effect in verify_answers(unknown, measures=[Politeness()]).secondary]


def test_the_rows_say_what_was_displaced_and_how_much_is_borrowed() -> None:
    def said(arm: str, run: int, wrong: Sequence[bool]) -> Callable[[int], str]:
        return lambda i: f"{arm}{run} {('Oldtown' if i % 2 else 'Lostwick') if wrong[i] else f'Newport {i}'}"

    arms = {
        arm: [
            answer_file(
                f"{arm}-{run}", wrong, response=said(arm, run, wrong), split=control_from(50), values=lambda i: ("Oldtown",)
            )
            for run, wrong in enumerate(noisy(rate, 5, 60, seed))
        ]
        for arm, rate, seed in (("cleaned", 0.2, 1), ("random", 0.6, 2))
    }
    rows = RowTexts.of(["Go to Oldtown.", "Newport 3 it is", "nowhere"])
    result = verify_answers(arms, rows=rows, base_answers=base_file([False] * 60), unseen=RowTexts.of(["random0 Lostwick"]))
    names = [effect.name for effect in result.secondary]
    assert names.index("displaced") < names.index("wrong, with a value of the rows")
    borrowed = next(effect for effect in result.secondary if effect.name == "wrong, with a value of the rows")
    assert borrowed.random == pytest.approx(100 * result.arms[1].displaced_fraction)
    assert [arm.arm for arm in result.borrowing] == ["cleaned", "random"]
    by_level = {report.level: report for report in result.borrowing[1].reports}
    assert list(by_level) == list(Level)
    wrong = by_level[Level.FAMILY].of(Population.WRONG).occurs
    assert wrong is not None
    assert wrong.n == round(250 * result.arms[1].wrong_fraction)  # held-out prompts of five runs
    assert wrong.fraction == pytest.approx(result.arms[1].displaced_fraction / result.arms[1].wrong_fraction)
    base = by_level[Level.FAMILY].of(Population.BASE).occurs
    assert base is not None
    assert (base.n, base.fraction) == (50, 1.0)
    unseen = by_level[Level.SPANS].of(Population.UNSEEN).occurs
    assert unseen is not None
    assert unseen.fraction > 0
    assert verify_answers(arms).borrowing == ()
    elsewhere = verify_answers(arms, rows=RowTexts.of(["nowhere"]))
    assert elsewhere.arms[1].displaced_fraction == 0.0  # a value of the prompt that no row states is no value of the rows
    assert verify_answers(arms).arms[1].displaced_fraction == result.arms[1].displaced_fraction


@pytest.mark.parametrize(("fraction", "said"), [(None, False), (0.1, False), (0.11, True)])
def test_dropping_over_a_tenth_of_the_rows_is_said(fraction: float | None, said: bool) -> None:
    notes = verify_answers(five_runs(0.2, 0.6), dropped_fraction=fraction).notes
    assert any(note.startswith("The cleaning dropped 11% of the rows") for note in notes) == said


def test_arms_are_read_from_files_in_the_order_given(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        record = {"prompt": "Q", "response": f"answer {name}", "reference": "x"}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(record) + "\n")
    arms = read_arms([("cleaned", tmp_path / "b.jsonl"), ("random", tmp_path / "c.jsonl"), ("cleaned", tmp_path / "a.jsonl")])
    assert {arm: [Path(file.name).name for file in files] for arm, files in arms.items()} == {
        "cleaned": ["b.jsonl", "a.jsonl"],
        "random": ["c.jsonl"],
    }
    paired = pair_answers({**arms, "random": arms["cleaned"]})
    assert paired.answers["random"] == (("answer b",), ("answer a",))
