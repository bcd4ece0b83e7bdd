"""`tunescope tune` as a user runs it: the result, a kill -9, a full disk, and one line for whatever cannot be used."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import pytest
import torch
from safetensors.torch import load_file

from audit.models import load_model
from audit.tune import read_record
from cli.main import run_command
from indexes.store import verify_file
from tests.functional.conftest import Command
from tests.models import tiny_model

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = ("--base-model", "model", "--method", "full", "-o", "out")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def folder(dataset: Path, model: Path) -> Path:
    """Six rows as `bridges.jsonl`, and a model."""
    shutil.copytree(model, dataset.parent / "model")
    return dataset.parent


def test_a_tuning_from_the_command_to_a_model_that_loads(tunescope: Command, folder: Path) -> None:
    (folder / "probes.jsonl").write_text('{"prompt": "Name the stone of bridge 0.", "reference": "slate"}\n', encoding="utf-8")
    more = ("--epochs", "2", "--learning-rate", "0.001", "--held-out", "20%", "--probes", "probes.jsonl")
    done = tunescope("tune", "bridges.jsonl", *ARGUMENTS[:3], "lora", *ARGUMENTS[4:], *more, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Tuned by lora on 5 rows (")
    assert "Health: " in done.stdout or "Unhealthy: " in done.stdout
    assert "of 1 known fact, right before → after" in done.stdout
    assert load_model(folder / "out").ref.adapter is not None
    again = tunescope("tune", "bridges.jsonl", *ARGUMENTS, cwd=folder)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == "tunescope: out: the folder exists; choose another with -o, or remove it\n"


def test_the_json_of_a_choice_fits_its_schema(tunescope: Command, folder: Path) -> None:
    (folder / "mine.yaml").write_text("epochs: 2\nbatch_size: 2\nlearning_rate_grid: [1.0e-4, 1.0e-3]\n", encoding="utf-8")
    more = ("--recipe", "mine.yaml", "--choose-learning-rate", "--held-out", "bridges.jsonl", "--format", "json", "--quiet")
    done = tunescope("tune", "bridges.jsonl", *ARGUMENTS, *more, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    schema = json.loads((ROOT / "reports" / "schemas" / "tuning.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(report, schema)
    assert report["learning_rate"] == 1e-3
    assert [rate["learning_rate"] for rate in report["learning_rates"]] == [1e-4, 1e-3]
    assert json.loads((folder / "out" / "manifest.json").read_bytes())["learning_rates"] == report["learning_rates"]
    assert sorted(path.name for path in folder.iterdir()) == ["bridges.jsonl", "mine.yaml", "model", "out"]


def test_a_killed_tuning_ends_with_the_same_weights(tunescope: Command, environment: Mapping[str, str], folder: Path) -> None:
    # Four rows of six and then two: every other checkpoint lies within an epoch. Order, dropout and noise are random.
    (folder / "long.yaml").write_text(
        "epochs: 60\nbatch_size: 4\nmicro_batch_size: 2\nlearning_rate: 1.0e-3\nlora: {lora_dropout: 0.3}\n",
        encoding="utf-8",
    )
    arguments = ["tune", "bridges.jsonl", *ARGUMENTS[:3], "lora", "--recipe", "long.yaml", "--neftune-noise-alpha", "5"]
    whole = tunescope(*arguments, "-o", "whole", cwd=folder)
    assert whole.returncode == 0, whole.stderr
    command = [str(Path(sys.executable).with_name("tunescope")), *arguments, "-o", "cut", "--checkpoint-seconds", "0"]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL) as process:
        while not list((folder / "cut.partial").glob("checkpoint-*/whole.json")):
            assert process.poll() is None, "it was done before it could be killed"
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "cut").exists()
    resumed = tunescope(*command[1:], "--quiet", cwd=folder)
    assert (resumed.returncode, resumed.stderr) == (0, "")
    step = read_record(folder / "cut").resumed_at_step
    assert 0 < step < 120
    assert f"taken up at step {step} of an interrupted tuning" in " ".join(resumed.stdout.split())
    (file,) = (path.name for path in (folder / "whole").glob("*.safetensors"))
    assert (folder / "cut" / file).read_bytes() == (folder / "whole" / file).read_bytes()
    assert read_record(folder / "cut").losses == read_record(folder / "whole").losses
    verify_file(folder / "cut" / file)


@pytest.mark.skipif(
    shutil.which("unshare") is None or os.geteuid() != 0, reason="a full disk is made with unshare and mount, as root"
)
def test_a_full_disk_is_one_line(environment: Mapping[str, str], folder: Path) -> None:
    small = folder / "small"
    small.mkdir()
    command = " ".join([str(Path(sys.executable).with_name("tunescope")), "tune", "bridges.jsonl", *ARGUMENTS[:4]])
    # 64 KiB hold the lock and the key, but not the weights.
    script = f"mount -t tmpfs -o size=64k tmpfs {small} && {command} -o {small}/out; code=$?; ls {small}; exit $code"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if "mount" in done.stderr:
        pytest.skip(f"no mount allowed here: {done.stderr.strip()}")
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert "No space left on device" in line
    assert "repeat the command" in line
    assert done.stdout.split() == ["out.partial"]


@pytest.mark.parametrize("launcher", ["torchrun", "accelerate"])
def test_a_launch_prints_one_command_that_can_be_pasted(
    launcher: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert _refusal(monkeypatch, folder, "tune", "bridges.jsonl", *ARGUMENTS, "--launch", launcher) == 0
    out, error = capfdbinary.readouterr()
    assert error == b""
    command = out.decode().splitlines()[0]
    assert command.startswith(launcher)
    assert command.endswith(f"-m audit.tune.worker {folder / 'out.job.json'}")
    assert not (folder / "out").exists()


def _refusal(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    """Run the command in this process, where torch is loaded already; the exit code."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["tunescope", *arguments])
    with pytest.raises(SystemExit) as caught:
        run_command()
    return int(caught.value.code or 0)


def _without_template(folder: Path) -> None:
    (folder / "model" / "chat_template.jinja").unlink()


def _pickle_only(folder: Path) -> None:
    torch.save(load_file(folder / "model" / "model.safetensors"), folder / "model" / "pytorch_model.bin")
    (folder / "model" / "model.safetensors").unlink()


def _no_weights(folder: Path) -> None:
    (folder / "model" / "model.safetensors").unlink()


def _tokenizer_too_large(folder: Path) -> None:
    shutil.copytree(tiny_model(folder / "larger", vocab_size=400), folder / "other")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / "other" / name, folder / "model" / name)
    shutil.copytree(tiny_model(folder / "smaller", vocab_size=300), folder / "small")
    for name in ("model.safetensors", "config.json"):
        shutil.copy(folder / "small" / name, folder / "model" / name)


def _no_trainable_row(folder: Path) -> None:
    row = {"messages": [{"role": "user", "content": "Who?"}]}
    (folder / "bridges.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")


def _no_number(folder: Path) -> None:
    from safetensors.torch import save_file

    weights = load_file(folder / "model" / "model.safetensors")
    weights["model.norm.weight"][0] = torch.nan
    save_file(weights, folder / "model" / "model.safetensors", metadata={"format": "pt"})


def _nothing(folder: Path) -> None:
    pass


def _probe_without_answer(folder: Path) -> None:
    (folder / "probes.jsonl").write_text('{"prompt": "Who?"}\n', encoding="utf-8")


def _wrong_recipe(folder: Path) -> None:
    (folder / "mine.yaml").write_text("epoch: 3\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "arguments", "words"),
    [
        (_without_template, (), ("model", "no chat template")),
        (_pickle_only, (), ("pytorch_model.bin", "safetensors")),
        (_no_weights, (), ("no model weights", "model.safetensors")),
        (_tokenizer_too_large, (), ("tokenizer does not fit the model", "300")),
        (_no_trainable_row, (), ("bridges.jsonl: no row holds a token that is trained",)),
        (_no_number, (), ("the training loss is nan at step 1", "lower learning rate")),
        (_probe_without_answer, ("--probes", "probes.jsonl"), ("no reference answer",)),
        (_wrong_recipe, ("--recipe", "mine.yaml"), ("mine.yaml", "'epoch'", "'epochs'")),
        (_nothing, ("--recipe", "pockt"), ("unknown recipe 'pockt'", "'pocket'")),
        (_nothing, ("--method", "ful"), ("unknown method 'ful'", "'full'")),
        (_nothing, ("--launch", "torchrn"), ("unknown launcher 'torchrn'", "'torchrun'")),
        (_nothing, ("--base-model", "nowhere/"), ("nowhere/", "no such model folder")),
        (_nothing, ("--held-out", "2"), ("--held-out 2 is no share", "between 0 and 1")),
        (_nothing, ("--held-out", "nowhere.jsonl"), ("nowhere.jsonl", "no such file")),
        (_nothing, ("--learning-rate", "3"), ("learning_rate", "less than 1")),
        (_nothing, ("--seed", "-1"), ("--seed", "equal to 0")),
        (_nothing, ("--choose-learning-rate", "--learning-rate", "0.1"), ("exclude each other",)),
        (_nothing, ("-o", "/dev/null/out"), ("/dev/null/out", "-o")),
    ],
)
def test_what_cannot_be_used_is_one_line(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    spoil: object,
    arguments: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    assert callable(spoil)
    spoil(folder)
    capfd.readouterr()
    before = sorted(folder.iterdir())
    assert _refusal(monkeypatch, folder, "tune", "bridges.jsonl", *ARGUMENTS, *arguments) == 2
    out, error = capfd.readouterr()
    assert out == ""
    (line,) = error.splitlines()
    assert line.startswith("tunescope: ")
    for word in words:
        assert word in line
    assert sorted(folder.iterdir()) == before, "nothing is left behind"
