"""The whole procedure: which answers are compared, what is measured, what is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from audit.errors import InputError
from audit.responses import Response, Split
from audit.sources import Message
from audit.verify.arms import AnswerFile, pair_answers, read_arms
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
        abstained_fraction=0.0,
        control_accuracy=1.0,
        mean_length_chars=30.0,
        empty_fraction=0.0,
        repetitive_fraction=0.0,
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


@pytest.mark.parametrize(("field", "value"), [("reference", ("Oldtown",)), ("split", Split.CONTROL), ("group", "other")])
def test_files_that_disagree_on_a_prompt_are_an_error(field: str, value: object) -> None:
    arms = five_runs(0.2, 0.6, split=lambda i: Split.HELD_OUT, group=lambda i: "one")
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
