"""Records of tunings: health, keys, JSON, learning rates, and what is printed of them."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from rich.console import Console, RenderableType

from audit.errors import CorruptFileError, InputError, VersionError
from audit.models import ModelRef
from audit.rendering import IGNORED
from audit.responses import Prompt
from audit.sources import Message
from audit.tune import Method, TrainingSet, TuningRecord, load_recipe, read_record, tuning_key, tuning_problems
from audit.tune.job import Tuned, TuneJob
from audit.tune.launch import Launcher, plan_launch, read_job
from audit.tune.rates import RateChoice, TriedRate, pick_learning_rate
from indexes.store import write_bytes
from reports.json_report import encode_report
from reports.tune import health_line, launch_report, to_json, tuning_report

SCHEMA = Path(__file__).resolve().parents[2] / "reports" / "schemas" / "tuning.schema.json"

RECORD = TuningRecord(
    method=Method.LORA,
    recipe=load_recipe("pocket", Method.LORA, learning_rate=0.01),
    seed=3,
    base=ModelRef("models/base", None, None, "float32", "cpu", 33_000, "template", "weights"),
    n_source_rows=100,
    n_rows=95,
    n_unusable=1,
    n_untrainable=4,
    n_cut_rows=2,
    n_trained_tokens=1_234,
    n_steps=20,
    losses=tuple(4.0 - 0.1 * step for step in range(20)),
    training_loss_before=4.1,
    training_loss=1.9,
    training_fit=0.75,
    n_fit_rows=95,
    held_out_loss=2.5,
    n_held_out_rows=10,
    repetitive_fraction=0.1,
    n_answers=10,
    known_fact_accuracy=0.4,
    known_fact_accuracy_before=0.8,
    n_probes=20,
    n_parameters=34_000,
    n_trained_parameters=1_000,
    device="cpu",
    precision="float32",
    n_processes=1,
    n_threads=1,
    seconds_load=1.0,
    seconds_train=30.0,
    seconds_health=0.5,
    resumed_at_step=5,
    peak_memory_bytes=1 << 30,
    template_digest="template",
    data_digest="rows",
    weights_digest="tuned",
    key="key",
    versions={"torch": "2.13.0"},
)


def test_a_record_is_kept_in_json() -> None:
    assert TuningRecord.from_json(json.loads(json.dumps(RECORD.to_json()))) == RECORD
    with pytest.raises(ValueError, match="no tuning record: seed"):
        TuningRecord.from_json({name: value for name, value in RECORD.to_json().items() if name != "seed"})


def test_losses_are_summed_up_by_tenths() -> None:
    assert RECORD.first_train_loss == pytest.approx((4.0 + 3.9) / 2)
    assert RECORD.final_train_loss == pytest.approx((2.2 + 2.1) / 2)
    assert replace(RECORD, losses=(3.0, 2.0)).first_train_loss == 3.0
    assert RECORD.seconds_per_step == 2.0


def test_a_healthy_tuning_has_no_problem() -> None:
    assert tuning_problems(RECORD) == ()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"training_loss": 61.4}, "the training loss did not fall (4.1 before tuning, 61.4 after)"),
        ({"repetitive_fraction": 0.3}, "30% of 10 answers repeat themselves (limit 20%)"),
        ({"known_fact_accuracy": 0.15}, "15% of 20 known facts answered right, 80% before tuning"),
    ],
)
def test_a_broken_tuning_says_why_in_one_clause(changes: dict[str, object], problem: str) -> None:
    assert replace(RECORD, **changes).problems() == (problem,)


@pytest.mark.parametrize(
    "changes",
    [
        {"losses": (2.0,), "n_steps": 1},
        {"repetitive_fraction": None, "n_answers": 0},
        {"known_fact_accuracy": None, "known_fact_accuracy_before": None, "n_probes": 0},
        {"known_fact_accuracy": 0.0, "known_fact_accuracy_before": 0.35},  # 7 facts known before say little
    ],
)
def test_what_was_not_measured_is_no_problem(changes: dict[str, object]) -> None:
    assert replace(RECORD, **changes).problems() == ()


ROWS = TrainingSet((0, 1), 2, (np.array([0, 1], np.int32),) * 2, (np.array([IGNORED, 1], np.int32),) * 2, "template")


def test_a_key_changes_with_everything_that_decides_the_record() -> None:
    recipe = RECORD.recipe
    probe = Prompt("a", (Message("user", "Who?", trained=False),), ("Rome",))
    keys = {
        tuning_key("m", ROWS, recipe, 0, base_digest="weights"),
        tuning_key("m", ROWS, recipe, 0, base_digest="others"),
        tuning_key("m", ROWS, recipe, 1, base_digest="weights"),
        tuning_key("m", ROWS.without([0]), recipe, 0, base_digest="weights"),
        tuning_key("m", ROWS, recipe.model_copy(update={"epochs": 2}), 0, base_digest="weights"),
        tuning_key("m", ROWS, recipe, 0, held_out=ROWS, base_digest="weights"),
        tuning_key("m", ROWS, recipe, 0, probes=[probe], base_digest="weights"),
        tuning_key("m", ROWS, recipe, 0, probes=[replace(probe, reference=("Paris",))], base_digest="weights"),
    }
    assert len(keys) == 8
    other_grid = recipe.model_copy(update={"learning_rate_grid": (0.5,)})
    assert tuning_key("moved", ROWS, other_grid, 0, base_digest="weights") in keys


def test_a_record_is_read_from_its_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no finished tuning"):
        read_record(tmp_path)
    write_bytes(tmp_path / "manifest.json", json.dumps({"format": 1, "record": RECORD.to_json()}).encode())
    assert read_record(tmp_path) == RECORD
    write_bytes(tmp_path / "manifest.json", json.dumps({"format": 9, "record": {}}).encode())
    with pytest.raises(VersionError, match="format 9"):
        read_record(tmp_path)
    write_bytes(tmp_path / "manifest.json", b'{"format": 1, "record": {"seed": 0}}')
    with pytest.raises(CorruptFileError, match="no readable manifest"):
        read_record(tmp_path)
    (tmp_path / "cut.partial").mkdir()
    with pytest.raises(InputError, match=r"cut: is no finished tuning \(it was interrupted\); repeat the command"):
        read_record(tmp_path / "cut")


def tried(rate: float, held_out_loss: float | None, *problems: str) -> TriedRate:
    return TriedRate(rate, held_out_loss, 1.0, 0.5, problems)


def test_the_healthy_rate_of_least_held_out_loss_is_picked() -> None:
    rates = [tried(0.1, 1.0, "it repeats itself"), tried(0.03, 2.0), tried(0.01, 2.0), tried(0.003, 3.0), tried(1e-3, None)]
    choice = pick_learning_rate(rates)
    assert choice == RateChoice(0.01, tuple(sorted(rates, key=lambda rate: rate.learning_rate)))
    assert not choice.at_edge
    assert pick_learning_rate([tried(0.1, 1.0), tried(0.2, 2.0)]).at_edge
    assert not pick_learning_rate([tried(0.1, 1.0)]).at_edge


def test_no_rate_is_picked_where_all_are_out_of_the_question() -> None:
    with pytest.raises(InputError, match=r"none of 2 learning rates can be chosen \(0.1: it repeats itself\)"):
        pick_learning_rate([tried(0.1, 1.0, "it repeats itself"), tried(0.2, float("nan"))])
    with pytest.raises(InputError, match="nothing was held out"):
        pick_learning_rate([tried(0.1, None)])


def printed(renderable: RenderableType) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(renderable)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def test_a_report_of_a_tuning() -> None:
    choice = RateChoice(0.02, (tried(0.01, 2.6), tried(0.02, 2.5), TriedRate(0.05, None, None, None, ("it diverged",))))
    assert printed(tuning_report(Tuned(RECORD, choice), Path("out"))) == (
        """\
Tuned by lora on 95 rows (1,234 trained tokens): 20 steps at learning rate 0.01, seed 3, in 30.0 s
Health: no problem found

training loss, first and last steps            3.950 → 2.150
loss on 95 training rows, before → after       4.100 → 1.900
trained tokens that are the greedy prediction          75.0%
loss on 10 held-out rows                               2.500
of 10 answers, repeat themselves                       10.0%
of 20 known facts, right before → after        80.0% → 40.0%

learning rate  held-out loss  training loss   fit
0.01                   2.600          1.000  50 %
0.02                   2.500          1.000  50 %  chosen
0.05                       –              –     –  it diverged

Note: 1 row could not be read or understood, and was left out: tunescope audit names it
Note: 4 rows hold no token that is trained, and were left out
Note: 2 rows were cut at the end, being longer than the model or the recipe allows
Note: taken up at step 5 of an interrupted tuning
Adapter: out"""
    )


def test_an_unhealthy_tuning_is_said_first() -> None:
    broken = replace(RECORD, repetitive_fraction=0.5, training_loss=5.2, held_out_loss=None)
    assert printed(health_line(broken)) == (
        "Unhealthy: the training loss did not fall (4.1 before tuning, 5.2 after); 50% of 10 answers repeat themselves"
        " (limit\n20%)"
    )
    report = printed(tuning_report(Tuned(broken, RateChoice(0.1, (tried(0.1, 1.0), tried(0.2, 2.0)))), Path("out")))
    assert "edge of the grid" in report
    assert "no rows were held out" in report


@pytest.mark.parametrize("choice", [None, RateChoice(0.01, (tried(0.01, 1.0), TriedRate(0.1, None, None, None, ("no",))))])
def test_the_json_of_a_tuning_fits_its_schema(choice: RateChoice | None) -> None:
    content = json.loads(encode_report(to_json(Tuned(RECORD, choice), Path("out"))))
    jsonschema.validate(content, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert content["healthy"]
    assert content["recipe"]["learning_rate"] == content["learning_rate"] == 0.01
    assert [rate["learning_rate"] for rate in content["learning_rates"]] == ([0.01, 0.1] if choice else [])


@pytest.fixture
def job(tmp_path: Path) -> TuneJob:
    return TuneJob(
        data=Path("data.jsonl"),
        base_model="org/name",
        recipe=load_recipe("default", Method.FULL),
        out=tmp_path / "out",
        held_out=0.1,
        probes=Path("probes.jsonl"),
    )


@pytest.mark.parametrize(
    ("rows", "note"),
    [
        ((3,), "Note: 1 row could not be read or understood, and was left out: #3, counted from 0 Note:"),
        (
            (3, 17, 20, 21, 90),
            "Note: 5 rows could not be read or understood, and were left out: #3, #17, #20 and 2 more, which tunescope audit"
            " names, counted from 0 Note:",
        ),
    ],
)
def test_the_first_rows_that_could_not_be_read_are_named(rows: tuple[int, ...], note: str) -> None:
    text = printed(tuning_report(Tuned(replace(RECORD, n_unusable=len(rows)), None, rows), Path("out")))
    assert note in " ".join(text.split())


@pytest.mark.parametrize(
    ("launcher", "beginning"),
    [
        (Launcher.TORCHRUN, "torchrun --standalone --nproc_per_node=4 -m audit.tune.worker "),
        (
            Launcher.ACCELERATE,
            "accelerate launch --num_processes=4 --num_machines=1 --mixed_precision=no --dynamo_backend=no --multi_gpu"
            " -m audit.tune.worker ",
        ),
    ],
)
def test_a_launch_is_a_command_and_a_job_file(job: TuneJob, launcher: Launcher, beginning: str) -> None:
    plan = plan_launch(job, launcher, 4)
    assert plan.command == f"{beginning}{plan.job_file}"
    assert plan.job_file == job.out.with_name("out.job.json")
    read = read_job(plan.job_file)
    assert read.data == str(Path("data.jsonl").resolve()), "it works from any folder"
    assert read.model_copy(update={"data": job.data, "probes": job.probes}) == job
    assert "Needs: 4 GPUs" in printed(launch_report(plan))


@pytest.mark.parametrize("data", ["org/rows:train", "s3://bucket/*.jsonl", "https://example.org/rows.jsonl"])
def test_what_lies_in_no_folder_keeps_its_name_in_a_job(job: TuneJob, data: str) -> None:
    plan = plan_launch(job.model_copy(update={"data": data}), Launcher.TORCHRUN, 2)
    assert read_job(plan.job_file).data == data


def test_a_launch_that_cannot_work_is_refused(job: TuneJob, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="32 rows cannot be shared out among 3 processes"):
        plan_launch(job, Launcher.TORCHRUN, 3)
    without_rate = job.model_copy(update={"recipe": job.recipe.model_copy(update={"learning_rate": None})})
    with pytest.raises(InputError, match="no learning rate"):
        plan_launch(without_rate, Launcher.TORCHRUN, 2)
    job.out.mkdir()
    with pytest.raises(InputError, match="the folder exists"):
        plan_launch(job, Launcher.TORCHRUN, 2)
    (tmp_path / "other.json").write_text('{"data": "x"}', encoding="utf-8")
    with pytest.raises(InputError, match=r"other.json: is no job: base_model"):
        read_job(tmp_path / "other.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_job(tmp_path / "nowhere.json")
