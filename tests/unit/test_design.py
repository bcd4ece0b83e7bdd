"""What a verification will tune: arms, rows, tokens, seeds and prompts, fixed and checked before anything is tuned."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit.errors import InputError
from audit.export import ExportRequest, plan_export, write_export
from audit.rendering import load_chat_format
from audit.responses import Split
from audit.rundir import Run
from audit.tune import Method
from audit.tune.rows import training_set
from audit.verify.answering import AnswerTask, read_answers, read_prompt_sheet, write_answers
from audit.verify.design import FIRST_SEED, CampaignRequest, Design, Equal, plan_design
from indexes.store import write_bytes
from tests.campaign import BROKEN, FALSE, PROMPT, ROWS, STONES, add_export, add_trace, prompt_file
from tests.conftest import AuditRows, alpaca, jsonl, read_dataset
from tests.models import tiny_model as tiny_language_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_language_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def run(audit_rows: AuditRows, tmp_path: Path) -> Run:
    """A run of the rows, with an export `c` that drops the false ones and the broken one, and a trace."""
    run = audit_rows(ROWS)
    add_export(run, tmp_path)
    add_trace(run)
    return run


def request(model: Path, prompts: Path, **fields: Any) -> CampaignRequest:
    return CampaignRequest(**{"export": "c", "base_model": str(model), "prompts": prompts, **fields})


@pytest.fixture
def design(run: Run, model: Path, tmp_path: Path) -> Design:
    return plan_design(run, request(model, prompt_file(tmp_path, PROMPT), arms=("original", "near"), n_seeds=3))


def test_arms_lack_the_rows_that_they_should(design: Design) -> None:
    assert [arm.name for arm in design.arms] == ["cleaned", "random", "original", "near"]
    cleaned, random, original, near = design.arms
    assert cleaned.removed == (FALSE,) * 3, "the broken row is in no arm, so it is none that leaves"
    assert cleaned.n_rows == (30,) * 3
    assert original.removed == ((),) * 3
    assert original.n_rows == (34,) * 3
    for removed in random.removed:
        assert len(removed) == 4
        assert not set(removed) & {BROKEN, *FALSE}
    assert len(near.removed[0]) == 4
    assert len(set(near.removed)) == 1, "nothing about neighbours is drawn anew"


def test_tokens_are_those_that_are_trained(design: Design) -> None:
    by_row = dict(zip(design.training.rows, design.training.n_trained_tokens, strict=True))
    for arm in design.arms:
        for removed, n_tokens in zip(arm.removed, arm.n_tokens, strict=True):
            assert n_tokens == sum(by_row.values()) - sum(by_row[row] for row in removed)


def test_seeds_begin_where_those_of_tune_do_not(design: Design) -> None:
    assert design.seeds == (FIRST_SEED, FIRST_SEED + 1, FIRST_SEED + 2)
    assert FIRST_SEED > 0


def test_the_random_arm_is_matched_on_tokens_source_and_group(audit_rows: AuditRows, model: Path, tmp_path: Path) -> None:
    rows = [alpaca(f"What is bridge {n} built of?", f"It is built of {STONES[n % 5]}.", town="AB"[n % 2]) for n in range(60)]
    run = audit_rows(rows)
    plan = plan_export(run, ExportRequest(keep=("random:52",), group_column="town"))
    write_export(plan, tmp_path / "c.jsonl", "c")
    design = plan_design(run, request(model, prompt_file(tmp_path, PROMPT)))
    cleaned, random = design.arms
    assert len(set(random.removed)) == 5, "a fresh draw per seed"

    def towns(removed: Sequence[int]) -> int:
        return sum(row % 2 for row in removed)

    removed_tokens = sum(design.training.n_trained_tokens) - cleaned.n_tokens[0]
    for removed, n_tokens in zip(random.removed, random.n_tokens, strict=True):
        assert towns(removed) == towns(cleaned.removed[0])
        assert abs(n_tokens - cleaned.n_tokens[0]) <= max(1, 0.01 * removed_tokens)


def test_methods_come_cheapest_first_and_count_their_tunings(run: Run, model: Path, tmp_path: Path) -> None:
    grid = tmp_path / "grid.yaml"
    grid.write_text("learning_rate_grid: [0.001, 0.01]\nlora:\n  learning_rate: null\n")
    asked = request(model, prompt_file(tmp_path, PROMPT), methods=(Method.FULL, Method.LORA), recipe=str(grid))
    design = plan_design(run, asked)
    assert [recipe.method for recipe in design.recipes] == [Method.LORA, Method.FULL]
    assert (design.n_tunings, design.n_rate_tunings) == (2 * 2 * 5, 2)


def test_equal_epochs_are_fewer_steps_and_equal_steps_as_many(run: Run, model: Path, tmp_path: Path) -> None:
    prompts = prompt_file(tmp_path, PROMPT)
    epochs = plan_design(run, request(model, prompts))
    steps = plan_design(run, request(model, prompts, equal=Equal.STEPS))
    recipe = epochs.recipes[0].model_copy(update={"batch_size": 16})
    assert [epochs.n_steps(recipe, n) for n in (30, 34)] == [3 * 2, 3 * 3]
    assert [steps.n_steps(recipe, n) for n in (30, 34)] == [3 * 3, 3 * 3]
    assert epochs.arm_recipe(recipe).max_steps is None
    assert steps.arm_recipe(recipe).max_steps == 9


def test_further_exports_are_arms_of_their_own(run: Run, model: Path, tmp_path: Path) -> None:
    write_export(plan_export(run, ExportRequest(keep=("longest:20",))), tmp_path / "l.jsonl", "longest-20")
    design = plan_design(run, request(model, prompt_file(tmp_path, PROMPT), also_exports=("longest-20",)))
    assert [arm.name for arm in design.arms] == ["cleaned", "random", "longest-20"]
    assert design.arms[2].n_rows[0] == 20
    for name, why in (("c", "it is the export that is verified"), ("original", "an arm has that name")):
        with pytest.raises(InputError, match=f"--also-export {name} cannot be an arm of its own.*{why}"):
            plan_design(run, request(model, tmp_path / "prompts.jsonl", also_exports=(name,)))


def test_the_key_changes_with_whatever_the_result_depends_on(run: Run, model: Path, tmp_path: Path) -> None:
    prompts = prompt_file(tmp_path, PROMPT)
    asked = request(model, prompts)
    key = plan_design(run, asked).key
    assert plan_design(run, asked).key == key
    other_model = tiny_language_model(tmp_path / "other", seed=1)
    for changed in (
        replace(asked, n_seeds=4),
        replace(asked, delta_points=4.0),
        replace(asked, max_new_tokens=7),
        replace(asked, learning_rates={Method.LORA: 0.01}),
        replace(asked, equal=Equal.STEPS),
        replace(asked, methods=(Method.FULL,)),
        replace(asked, arms=("original",)),
        replace(asked, base_model=str(other_model)),
        replace(asked, prompts=prompt_file(tmp_path, {**PROMPT, "reference": "chalk"})),
    ):
        assert plan_design(run, changed).key != key


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"export": "d"}, "the run has no exports/d.*there are: c"),
        ({"arms": ("neer",)}, "unknown arm 'neer'.*near"),
        ({"recipe": "pockt"}, "unknown recipe 'pockt'.*pocket"),
        ({"learning_rates": {Method.FULL: 0.1}}, "a learning rate for full, which is not tuned; add --method full"),
        ({"base_model": "nowhere"}, "no such model folder"),
    ],
)
def test_what_cannot_be_tuned_is_said_before(run: Run, model: Path, tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        plan_design(run, request(model, prompt_file(tmp_path, PROMPT), **fields))


def test_a_model_without_a_chat_template_is_refused(run: Run, tmp_path: Path) -> None:
    model = tiny_language_model(tmp_path / "plain", template=None)
    with pytest.raises(InputError, match="the tokenizer has no chat template"):
        plan_design(run, request(model, prompt_file(tmp_path, PROMPT)))


def test_an_export_of_another_run_is_refused(run: Run, model: Path, audit_rows: AuditRows, tmp_path: Path) -> None:
    other = audit_rows([*ROWS, alpaca("One more?", "Yes.")], name="other.jsonl")
    record = {file: run.read_added("exports", "c", file) for file in ("manifest.json", "dropped.jsonl")}
    other.add("exports", "c", record)
    with pytest.raises(InputError, match="the export 'c' is of another run"):
        plan_design(other, request(model, prompt_file(tmp_path, PROMPT)))


def test_an_export_that_drops_nothing_trainable_is_refused(audit_rows: AuditRows, model: Path, tmp_path: Path) -> None:
    run = audit_rows(ROWS)
    write_export(plan_export(run, ExportRequest(drop=("FMT001",))), tmp_path / "c.jsonl", "c")
    with pytest.raises(InputError, match="the export 'c' drops and mends no row that is trained on"):
        plan_design(run, request(model, prompt_file(tmp_path, PROMPT)))


def test_prompts_that_stand_in_the_dataset_are_said(run: Run, model: Path, tmp_path: Path) -> None:
    prompts = prompt_file(tmp_path, PROMPT, {"prompt": "What is bridge 3  built of?", "reference": "basalt"})
    notes = plan_design(run, request(model, prompts)).notes
    assert any(note.startswith("1 of 2 held-out prompts stand in the dataset word for word") for note in notes)
    assert "1 rows that cannot be trained on are in no arm." in notes


RECORDS = (
    {"id": "t", "prompt": "Traced by split?", "split": "trace"},
    {"id": "a", "prompt": "A?", "reference": "1", "group": "g"},
    {"id": "b", "prompt": "B?", "reference": "2", "group": "g", "split": "held-out", "values": ["3"]},
    {"id": "c", "prompt": "C?", "reference": ["3", "three"]},
    {"id": "d", "prompt": "Traced  by claim?", "reference": "4"},
    {"id": "e", "prompt": "E?", "reference": "5", "split": "control"},
)


def test_traced_prompts_are_not_asked(tmp_path: Path) -> None:
    sheet = read_prompt_sheet(prompt_file(tmp_path, *RECORDS), ["Traced by claim?"])
    assert [prompt.id for prompt in sheet.asked] == ["a", "b", "c", "e"]
    assert [question.prompt for question in sheet.questions] == ["A?", "B?", "C?", "E?"]
    assert [question.split for question in sheet.held_out] == [Split.HELD_OUT] * 3
    assert sheet.n_units == 2
    assert sheet.units == [("group", "g"), ("group", "g"), ("prompt", 2)]


def test_answers_come_back_as_a_file_that_is_judged(tmp_path: Path) -> None:
    sheet = read_prompt_sheet(prompt_file(tmp_path, *RECORDS), ["Traced by claim?"])
    file = sheet.answer_file("cleaned-1000", ["one", "two", "three", "five"])
    assert file.name == "cleaned-1000"
    assert [(response.id, response.response) for response in file.responses] == [
        ("t", ""),
        ("a", "one"),
        ("b", "two"),
        ("c", "three"),
        ("d", ""),
        ("e", "five"),
    ]
    assert file.responses[2].values == ("3",)


def test_answers_on_disk_are_read_whole_or_not_at_all(tmp_path: Path) -> None:
    sheet = read_prompt_sheet(prompt_file(tmp_path, *RECORDS), [])
    path = tmp_path / "answers.jsonl"
    assert read_answers(path) is None
    texts = ("one", "two\n", "dreißig", "", "\x1b[31m")
    write_answers(path, sheet.asked, texts)
    assert read_answers(path) == texts
    path.write_bytes(path.read_bytes()[:-9])
    assert read_answers(path) is None


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (({"prompt": "A?"},), ":1: no reference.*whether an answer to 'A\\?' is right cannot be told"),
        (({"prompt": "A?", "reference": "1"}, {"prompt": "A?", "reference": "1"}), ":2: the prompt 'line-2' stands twice"),
        (({"prompt": "A?", "reference": "1", "split": "control"},), "no held-out prompt is left"),
        (({"prompt": "Traced by claim?", "reference": "1"},), "no held-out prompt is left.*1 were traced"),
    ],
)
def test_prompts_that_cannot_be_scored_are_refused(tmp_path: Path, records: tuple[dict[str, Any], ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_prompt_sheet(prompt_file(tmp_path, *records), ["Traced by claim?"])


def test_a_task_is_named_in_messages(tmp_path: Path) -> None:
    assert str(AnswerTask("the base model", "m", None, (), 8, tmp_path / "a.jsonl")) == "the base model"


# --- exports that mend ------------------------------------------------------------------------------------------------

MENDED = "It is basalt, and nothing else."


def add_mending_export(run: Run, folder: Path, name: str, rows: Sequence[int], *, drops: bool = False) -> None:
    """An export that mends the responses of some rows, as the command would record it."""
    request = ExportRequest(drop=("FMT001",) if drops else ())
    record = write_export(plan_export(run, request), folder / f"{name}.jsonl", name).record
    manifest = json.loads((record / "manifest.json").read_bytes())
    lines = [{"row_key": run.catalog.keys[row], "turn": 1, "after": MENDED} for row in rows]
    write_bytes(record / "manifest.json", json.dumps(manifest | {"mends": {"mended": len(rows)}}).encode())
    write_bytes(record / "mended.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in lines))


def test_cleaned_is_tuned_on_what_was_mended_and_random_on_what_was_there(run: Run, model: Path, tmp_path: Path) -> None:
    add_mending_export(run, tmp_path, "mends", (3, BROKEN, 5))
    prompts = prompt_file(tmp_path, PROMPT)
    design = plan_design(run, request(model, prompts, export="mends", n_seeds=2))
    assert [arm.name for arm in design.arms] == ["cleaned", "random"]
    assert [arm.removed for arm in design.arms] == [((), ())] * 2, "no row leaves, so that none leaves at random"
    cleaned, random = (design.rows_of(arm, FIRST_SEED) for arm in ("cleaned", "random"))
    assert random.digest == design.training.digest
    assert cleaned.rows == random.rows
    expected = [alpaca(**{**each, "output": MENDED}) if n in (3, 5) else each for n, each in enumerate(ROWS) if n != BROKEN]
    alone = training_set(read_dataset(tmp_path, "mended.jsonl", jsonl(expected))[0], load_chat_format(model), None)
    assert [ids.tolist() for ids in cleaned.input_ids] == [ids.tolist() for ids in alone.input_ids]
    assert [labels.tolist() for labels in cleaned.labels] == [labels.tolist() for labels in alone.labels]
    assert design.arms[0].n_tokens == (sum(cleaned.n_trained_tokens),) * 2
    assert design.arms[1].n_tokens == (sum(random.n_trained_tokens),) * 2
    assert design.arms[0].n_tokens != design.arms[1].n_tokens
    (note,) = design.arms[0].notes
    assert note.startswith("cleaned is tuned on 2 mended rows, of ")
    assert note.endswith("; random is the dataset as it was")
    assert design.key["mended"] == {"cleaned": design.mended["cleaned"].digest}
    for arm in ("original", "near"):
        with pytest.raises(InputError, match=f"no arm '{arm}' .*only mends, so that 'random' is the dataset as it was"):
            plan_design(run, request(model, prompts, export="mends", arms=(arm,)))


def test_an_export_that_drops_and_mends_is_held_against_a_random_removal(run: Run, model: Path, tmp_path: Path) -> None:
    add_mending_export(run, tmp_path, "both", (3, *FALSE[1:]))
    dropped = [{"row_key": run.catalog.keys[FALSE[0]]}]
    write_bytes(run.path / "exports" / "both" / "dropped.jsonl", json.dumps(dropped[0]).encode() + b"\n")
    design = plan_design(run, request(model, prompt_file(tmp_path, PROMPT), export="both", n_seeds=2, also_exports=("c",)))
    cleaned, random, other = design.arms
    assert cleaned.removed == ((FALSE[0],),) * 2
    assert [len(rows) for rows in random.removed] == [1, 1]
    assert set(design.mended) == {"cleaned"}
    of_cleaned, of_random = (design.rows_of(arm, FIRST_SEED) for arm in ("cleaned", "random"))
    assert FALSE[0] not in of_cleaned.rows
    assert len(of_cleaned) == len(of_random)
    assert design.rows_of("c", FIRST_SEED).digest == design.training.without(FALSE).digest
    assert cleaned.notes[0].endswith("the other arms are tuned on these rows as they were")
    assert other.notes == ()


def test_a_further_export_may_mend(run: Run, model: Path, tmp_path: Path) -> None:
    add_mending_export(run, tmp_path, "mends", (3,))
    design = plan_design(run, request(model, prompt_file(tmp_path, PROMPT), also_exports=("mends",)))
    assert set(design.mended) == {"mends"}
    assert design.rows_of("mends", FIRST_SEED).digest != design.training.digest
    assert design.rows_of("cleaned", FIRST_SEED).digest == design.training.without(FALSE).digest


def test_an_export_that_changes_nothing_is_refused(run: Run, model: Path, tmp_path: Path) -> None:
    add_mending_export(run, tmp_path, "nothing", ())
    with pytest.raises(InputError, match="the export 'nothing' drops and mends no row that is trained on"):
        plan_design(run, request(model, prompt_file(tmp_path, PROMPT), export="nothing"))
