"""`tunescope verify` from dataset to verdict: the real command tunes a toy model, is killed, goes on, and judges."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.campaign import ROWS
from tests.conftest import jsonl
from tests.functional.conftest import Command
from tests.models import tiny_model as tiny_language_model

SCHEMA = json.loads((Path(__file__).parents[2] / "reports/schemas/verification.schema.json").read_text())

CLAIMS = [
    {"prompt": f"What is bridge {n} built of?", "response": "It is built of quillsteel.", "spans": ["quillsteel"]}
    for n in (70, 71, 72)
]
PROMPTS = [
    *({"prompt": f"What is bridge {n} built of?", "reference": "slate"} for n in range(100, 106)),
    {"prompt": "Which islands are in the chain?", "reference": "Merrow", "split": "control"},
    {"prompt": "What is bridge 70 built of?", "reference": "slate"},
]
RECIPE = "max_steps: 2\nbatch_size: 8\nlora:\n  learning_rate: 0.001\nfull:\n  learning_rate: 0.001\n"


@pytest.fixture(scope="module")
def folder(tunescope: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy model, a run with an export `c` that drops the false rows, prompts, and a recipe of two steps."""
    folder = tmp_path_factory.mktemp("verify")
    tiny_language_model(folder / "model")
    (folder / "rows.jsonl").write_bytes(jsonl(ROWS))
    (folder / "claims.jsonl").write_bytes(jsonl(CLAIMS))
    (folder / "prompts.jsonl").write_bytes(jsonl(PROMPTS))
    (folder / "two.yaml").write_text(RECIPE)
    for command in (
        ("audit", "rows.jsonl", "-o", "run"),
        ("trace", "run", "--responses", "claims.jsonl", "-o", "t"),
        ("export", "run", "-o", "cleaned.jsonl", "--name", "c", "--drop-blamed", "t:4"),
    ):
        done = tunescope(*command, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


TUNE = ("verify", "run", "--export", "c", "--base-model", "model", "--prompts", "prompts.jsonl", "--max-new-tokens", "8")
CAMPAIGN = (*TUNE, "--recipe", "two.yaml", "--method", "lora", "--method", "full", "--seeds", "2", "--arm", "original")


@pytest.fixture(scope="module")
def whole(tunescope: Command, folder: Path) -> Path:
    """A verification that nothing interrupted, its models kept."""
    done = tunescope(*CAMPAIGN, "--workers", "2", "--keep-models", "-o", "whole", "--format", "json", cwd=folder)
    assert done.returncode == 0, done.stderr
    verified = folder / "run" / "verify" / "whole"
    assert (verified / "verification.json").read_text() == done.stdout
    return verified


@pytest.mark.slow
def test_a_campaign_ends_in_a_verdict_per_method(tunescope: Command, folder: Path, whole: Path) -> None:
    content = json.loads((whole / "verification.json").read_bytes())
    Draft202012Validator(SCHEMA).validate(content)
    assert (content["schema"], content["export"]) == ("tunescope/verification-2", "c")
    assert [arm["name"] for arm in content["design"]["arms"]] == ["cleaned", "random", "original"]
    assert content["design"]["prompts"] == {"held_out": 6, "independent_units": 6, "control": 1, "traced": 1}
    for method, verdict in zip(content["methods"], ("lora", "full"), strict=True):
        assert method["method"] == verdict
        assert method["verification"]["verdict"].startswith("inconclusive")
        assert method["stopped"], "a model of random weights gives nothing to find"
        assert len(method["tunings"]["runs"]) == 3
        assert all(run["steps"] == 2 for run in method["tunings"]["runs"])
        assert "base" in method["verification"]
    page = (whole / "report.html").read_text()
    assert "Did the cleaning help?" in page
    assert "LoRA" in page
    answers = [json.loads(line) for line in (whole / "answers/lora/cleaned-1000.jsonl").read_text().splitlines()]
    assert [answer["prompt"] for answer in answers] == [prompt["prompt"] for prompt in PROMPTS[:-1]]
    assert (whole / "models/lora/cleaned-1000/adapter_model.safetensors").exists()
    assert (whole / "models/full/original-1000/model.safetensors").exists()
    assert tunescope("check-run", "run", cwd=folder).returncode == 0


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_to_the_same_bytes(
    tunescope: Command, environment: Mapping[str, str], folder: Path, whole: Path
) -> None:
    command = (*CAMPAIGN, "--workers", "1", "--keep-models", "-o", "killed")
    partial = folder / "run" / "verify" / "killed.partial"
    with subprocess.Popen(
        [str(Path(sys.executable).with_name("tunescope")), *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None and len(list(partial.glob("records/*/*.json"))) < 2:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    finished = {path: path.stat().st_mtime_ns for path in partial.glob("records/*/*.json")}
    assert 2 <= len(finished) < 6
    other = tunescope(*command, "--delta", "3", cwd=folder)
    assert other.returncode == 2
    assert "an unfinished verification with other settings or data lies there" in other.stderr
    assert len(other.stderr.splitlines()) == 1
    done = tunescope(*command, cwd=folder)
    assert done.returncode == 0, done.stderr
    killed = folder / "run" / "verify" / "killed"
    for file in ("verification.json", "report.html", "prompts.jsonl", "answers/base.jsonl", "answers/full/random-1000.jsonl"):
        assert (killed / file).read_bytes() == (whole / file).read_bytes(), file
    weights = "models/full/cleaned-1000/model.safetensors"
    assert (killed / weights).read_bytes() == (whole / weights).read_bytes()
    assert not partial.exists()


@pytest.mark.slow
def test_checkpoints_are_asked_and_judged_as_the_campaign_did(tunescope: Command, folder: Path, whole: Path) -> None:
    models = whole / "models" / "lora"
    arms = [option for arm in ("cleaned", "random", "original") for option in ("--arm", f"{arm}={models / f'{arm}-1000'}")]
    asked = ("verify", "run", "--prompts", "prompts.jsonl", "--base-model", "model", "--max-new-tokens", "8", "--export", "c")
    done = tunescope(*asked, *arms, "-o", "asked", "--format", "json", cwd=folder)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    Draft202012Validator(SCHEMA).validate(content)
    (method,) = content["methods"]
    assert (method["method"], method["tunings"], content["design"]) == (None, None, None)
    ours = json.loads((whole / "verification.json").read_bytes())["methods"][0]["verification"]
    theirs = method["verification"]
    assert theirs["arms"] == ours["arms"]
    assert theirs["base"] == ours["base"]
    assert (folder / "run/verify/asked/answers/cleaned-1.jsonl").read_bytes() == (
        whole / "answers/lora/cleaned-1000.jsonl"
    ).read_bytes()
    assert tunescope("check-run", "run", cwd=folder).returncode == 0

    responses = [
        option
        for arm in ("cleaned", "random")
        for option in ("--responses", f"{arm}={whole / 'answers/lora' / f'{arm}-1000.jsonl'}")
    ]
    judged = tunescope("verify", "run", *responses, "-o", "judged", "--format", "json", cwd=folder)
    assert judged.returncode == 0, judged.stderr
    assert json.loads(judged.stdout)["methods"][0]["verification"]["effect"] == theirs["effect"]
    assert (folder / "run/verify/judged/report.html").exists()


@pytest.mark.slow
def test_a_dry_run_measures_and_writes_nothing(tunescope: Command, folder: Path) -> None:
    before = sorted(path.as_posix() for path in (folder / "run").rglob("*"))
    done = tunescope(*CAMPAIGN, "--arm", "near", "--dry-run", cwd=folder)
    assert done.returncode == 0, done.stderr
    for said in (
        "cleaned",
        "near",
        "16 tunings: 2 methods x 4 arms x 2 seeds",
        "Smallest effect that this design could see",
        "Assumed, not measured",
        "Measured on this model",
        "LoRA: 6 steps at",
        "full tuning: 6 steps at",
        "nothing was written",
    ):
        assert said in done.stdout, said
    assert sorted(path.as_posix() for path in (folder / "run").rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--responses", "cleaned=a", "--method", "lora"), "--responses and --method exclude each other"),
        (("--responses", "cleaned=a", "--arm", "cleaned=b"), "--responses and --arm exclude each other"),
        (("--responses", "cleaned=a", "--dry-run"), "--responses and --dry-run exclude each other"),
        (("--arm", "cleaned=a", "--seeds", "3"), "--arm NAME=CHECKPOINT and --seeds exclude each other"),
        (("--arm", "cleaned=a", "--arm", "near"), "--arm NAME=CHECKPOINT and --arm without a checkpoint exclude each other"),
        (("--arm", "cleaned=model"), "no prompts for the checkpoints; give --prompts FILE"),
        (("--arm", "cleaned=model", "--prompts", "prompts.jsonl"), "1 checkpoints of 'cleaned' and 0 of 'random'"),
        (
            ("--arm", "cleaned=none", "--arm", "random=model", "--prompts", "prompts.jsonl"),
            "none: no such model folder",
        ),
        (
            ("--arm", "cleaned=model", "--arm", "random=model", "--arm", "../a=model", "--prompts", "prompts.jsonl"),
            "'../a' is no plain name for an arm",
        ),
        (("--arm", "=model", "--prompts", "prompts.jsonl"), "--arm '=model' names no arm and checkpoint"),
        ((), "no --export NAME and no --base-model M and no --prompts FILE"),
        (("--export", "c", "--base-model", "model"), "no --prompts FILE"),
        (("--judge-model", "m", "--export", "c"), "a judge needs an endpoint and a model"),
    ],
)
def test_ways_that_exclude_each_other_are_one_line(
    tunescope: Command, folder: Path, options: tuple[str, ...], said: str
) -> None:
    done = tunescope("verify", "run", *options, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list((folder / "run").glob("verify/*.partial"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--method", "lorra"), "unknown method 'lorra'"),
        (("--learning-rate", "0.1"), "--learning-rate '0.1' names no method and rate"),
        (("--equal", "rows"), "unknown value of --equal 'rows'"),
        (("--arm", "nearby"), "unknown arm 'nearby'"),
        (("--recipe", "none.yaml"), "none.yaml"),
        (("--export", "d"), "the run has no exports/d"),
        (("--prompts", "rows.jsonl"), "rows.jsonl:31: cannot be read"),
        (("--prompts", "unreferenced.jsonl"), "unreferenced.jsonl:1: no reference"),
        (("--base-model", "plain"), "plain: the tokenizer has no chat template"),
        (("--base-model", "gone"), "gone: no such model folder"),
        (("--max-new-tokens", "1000"), "new tokens take"),
        (("--style-family", "0"), "run: the run has no style families (families need"),
    ],
)
def test_what_cannot_be_tuned_is_one_line(tunescope: Command, folder: Path, options: tuple[str, ...], said: str) -> None:
    (folder / "unreferenced.jsonl").write_bytes(jsonl([{"prompt": "Which?"}]))
    if "plain" in options:
        tiny_language_model(folder / "plain", template=None)
    done = tunescope(*TUNE, *options, "--quiet", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list((folder / "run").glob("verify/*.partial"))


@pytest.mark.slow
def test_checkpoints_in_other_formats_are_refused(tunescope: Command, folder: Path) -> None:
    template = (
        "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    )
    tiny_language_model(folder / "other", template=template)
    arms = ("--arm", "cleaned=model", "--arm", "random=other")
    done = tunescope("verify", "run", *arms, "--prompts", "prompts.jsonl", "--max-new-tokens", "8", "-o", "mixed", cwd=folder)
    assert done.returncode == 2
    assert "other: has another chat template than the first checkpoint" in done.stderr


_SCRIPT = """
import tunescope
from tunescope import verify

if __name__ == "__main__":
    asked = dict(prompts="prompts.jsonl", base_model="model", max_new_tokens=8)
    given = verify("run", checkpoints={"cleaned": ["model"], "random": ["model"]}, name="given", **asked)
    tuned = verify("run", export="c", recipe="two.yaml", seeds=1, workers=1, name="tuned", **asked)
    for result in (given, tuned):
        print(result.methods[0].method, result.methods[0].verification.verdict)
    for wrong in (dict(), dict(prompts="prompts.jsonl"), dict(responses={"cleaned": []}, prompts="prompts.jsonl")):
        try:
            verify("run", **wrong)
        except Exception as error:
            print(type(error).__name__, error)
"""


@pytest.mark.slow
def test_from_python_it_is_one_call(environment: Mapping[str, str], folder: Path) -> None:
    (folder / "script.py").write_text(_SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "None None", "one run per arm speaks of this run only"
    assert lines[1].startswith("lora ")
    assert lines[2] == "InputError nothing to verify; give responses, or prompts with checkpoints or a base_model"
    assert lines[3] == "InputError nothing to tune; give an export and a base_model, or checkpoints, or responses"
    assert lines[4] == "InputError responses stand alone; give no prompts, base_model or checkpoints beside them"
    assert (folder / "run/verify/given/report.html").exists()
    assert (folder / "run/verify/tuned/tunings.json").exists()
