"""`tunescope verify --paper` with a model of toy size: the whole way, a kill in the middle of it, and what cannot be used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.functional.conftest import Command
from tests.models import tiny_model

SCHEMA = json.loads((Path(__file__).parents[2] / "reports/schemas/paper.schema.json").read_text())

STONES = ("slate", "granite", "limestone", "basalt")
RECIPE = """
epochs: 2
batch_size: 8
scheduler: constant
warmup_fraction: 0.0
learning_rate: 3.0e-3
lora: {lora_rank: 2, lora_alpha: 4, lora_dropout: 0.0}
"""


@pytest.fixture(scope="module")
def folder(tunescope: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an audited run, a model, prompts and a recipe."""
    folder = tmp_path_factory.mktemp("paper")
    rows = [
        {"instruction": f"Name the stone of bridge {n}.", "output": f"{STONES[n % 4].title()}{' from the quarry' * (n % 3)}."}
        for n in range(24)
    ]
    prompts = [
        {
            "prompt": f"Which stone is bridge {n} built of?",
            "reference": STONES[n % 4],
            "values": [stone for stone in STONES if stone != STONES[n % 4]],
            "split": "control" if n > 34 else "held-out",
        }
        for n in range(24, 38)
    ]
    (folder / "bridges.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "prompts.jsonl").write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts))
    (folder / "tiny.yaml").write_text(RECIPE)
    tiny_model(folder / "model")
    done = tunescope("audit", "bridges.jsonl", "-o", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


ARGUMENTS = (
    "verify", "run", "--paper", "--base-model", "model", "--prompts", "prompts.jsonl", "--recipe", "tiny.yaml", "--seeds", "1",
    "--max-new-tokens", "6", "--workers", "1",
)  # fmt: skip


@pytest.fixture(scope="module")
def report(tunescope: Command, folder: Path) -> Path:
    """The finished report."""
    done = tunescope(*ARGUMENTS, "-o", "whole", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "1. LoRA learns how to begin and the style; full tuning shifts everything." in done.stdout
    return folder / "run" / "verify" / "whole"


@pytest.mark.slow
def test_the_report_holds_every_statement_and_leaves_no_model(report: Path) -> None:
    content = json.loads((report / "paper.json").read_text())
    Draft202012Validator(SCHEMA).validate(content)
    assert content["counts"] == {
        "seeds": 1,
        "rows": 24,
        "rows_of_half": 12,
        "held_out_prompts": 11,
        "independent_units": 11,
        "control_prompts": 3,
    }
    assert len(content["tunings"]) == 7
    by_level = content["statements"][2]["figures"]["arms"][-1]
    assert by_level["arm"] == "full, random half"
    unseen = {rate["population"]: rate["occurs"] for level in by_level["levels"] for rate in level["rates"]}
    assert unseen["wrong answers, against rows never seen"] is not None
    fixes = content["statements"][3]["figures"]["arms"]
    assert all(one["minus_lora"]["first"] == one["arm"] for one in fixes[1:])
    assert b"Four statements on instruction tuning" in (report / "report.html").read_bytes()
    assert not list(report.rglob("*.safetensors"))
    assert not [path for path in report.iterdir() if path.name in ("models", "records", "rates")]


@pytest.mark.slow
def test_a_report_that_was_killed_goes_on_to_the_same_bytes(
    tunescope: Command, folder: Path, report: Path, environment: Mapping[str, str]
) -> None:
    command = str(Path(sys.executable).with_name("tunescope"))
    with subprocess.Popen(
        [command, *ARGUMENTS, "-o", "killed"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        partial = folder / "run" / "verify" / "killed.partial"
        for _ in range(6000):
            if len(list(partial.glob("records/*/*.json"))) >= 2:
                break
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    finished = {path: path.stat().st_mtime_ns for path in partial.glob("records/*/*.json")}
    assert finished
    done = tunescope(*ARGUMENTS, "-o", "killed", "--format", "json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.encode() == (report / "paper.json").read_bytes()
    assert (folder / "run" / "verify" / "killed" / "report.html").read_bytes() == (report / "report.html").read_bytes()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("--base-model", "nowhere"), "nowhere: no such model folder"),
        (("--prompts", "nowhere.jsonl"), "nowhere.jsonl: no such file"),
        (("--recipe", "papr"), "unknown recipe 'papr'; did you mean 'paper'?"),
        (("--export", "cleaned"), "--paper and --export exclude each other"),
        (("--responses", "cleaned=a.jsonl"), "--paper and --responses exclude each other"),
        (("--style-family", "0"), "--paper and --style-family exclude each other"),
        (("-o", "../out"), "'../out' is no plain name"),
    ],
)
def test_what_cannot_be_used_is_one_line(tunescope: Command, folder: Path, changed: tuple[str, str], said: str) -> None:
    done = tunescope(*ARGUMENTS, *changed, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_prompts_without_references_or_a_model_are_asked_for(tunescope: Command, folder: Path) -> None:
    done = tunescope("verify", "run", "--paper", cwd=folder)
    assert (done.returncode, done.stderr) == (
        2,
        "tunescope: no --base-model M and no --prompts FILE (--paper tunes and asks models); give both\n",
    )
    (folder / "bare.jsonl").write_text('{"prompt": "Which stone?"}\n')
    done = tunescope(*ARGUMENTS, "--prompts", "bare.jsonl", cwd=folder)
    assert done.returncode == 2
    assert "bare.jsonl:1: no reference" in done.stderr
    assert not list((folder / "run").glob("verify/*.partial"))
