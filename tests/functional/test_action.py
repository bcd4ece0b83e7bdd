"""The GitHub Action and the pre-commit hook: valid by their schemas, and run as GitHub and pre-commit would run them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
STEPS = ACTION["runs"]["steps"]
(HOOK,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))

# Stands in for Python where the action makes its environment: nothing is installed, and what would be is written down.
PYTHON = f"""#!{sys.executable}
import os, shutil, sys
from pathlib import Path
if sys.argv[1:3] == ["-m", "venv"]:
    bin = Path(sys.argv[3]) / "bin"
    bin.mkdir(parents=True)
    shutil.copy(sys.argv[0], bin / "python")
    (bin / "tunescope").symlink_to({str(Path(sys.executable).with_name("tunescope"))!r})
elif sys.argv[1:3] == ["-m", "pip"]:
    Path(os.environ["RUNNER_TEMP"], "installed").write_text(sys.argv[-1])
else:
    os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]])
"""


def test_the_action_is_valid_by_the_published_schema() -> None:
    command = [
        Path(sys.executable).with_name("check-jsonschema"),
        "--builtin-schema",
        "vendor.github-actions",
        ROOT / "action.yml",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_input_is_part_of_a_script() -> None:
    assert [step["name"] for step in STEPS if "${{" in step.get("run", "")] == []


class Job:
    """Runs the steps of the action that are scripts, with files and variables as a runner gives them."""

    def __init__(self, folder: Path, environment: Mapping[str, str], **inputs: str) -> None:
        self.workspace, self.temp = folder / "workspace", folder / "temp dir"
        for path in (self.workspace, self.temp, folder / "bin"):
            path.mkdir()
        (folder / "bin" / "python").write_text(PYTHON)
        (folder / "bin" / "python").chmod(0o755)
        self.summary = folder / "summary.md"
        self._outputs = folder / "output"
        self._environment = {
            **environment,
            "PATH": f"{folder / 'bin'}{os.pathsep}{environment['PATH']}",
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_OUTPUT": str(self._outputs),
        }
        self.values = {f"inputs.{name}": str(given.get("default", "")) for name, given in ACTION["inputs"].items()}
        self.values |= {f"inputs.{name.replace('_', '-')}": value for name, value in inputs.items()}
        self.values |= {"github.action_path": str(ROOT), "runner.temp": str(self.temp)}
        self.ran: list[str] = []
        self.printed = ""

    def run(self) -> int:
        """The exit code of the first step that fails; steps with `uses` are only noted."""
        for step in STEPS:
            condition = re.fullmatch(r"\$\{\{ (\S+) == '(\w+)' \}\}", step["if"]) if "if" in step else None
            if condition and self.values.get(condition[1]) != condition[2]:
                continue
            self.ran.append(step.get("name") or step["uses"])
            code = self._script(step) if "run" in step else 0
            if code:
                return code
        return 0

    def output(self, name: str) -> str:
        return self._filled(ACTION["outputs"][name]["value"])

    def _script(self, step: Mapping[str, Any]) -> int:
        self._outputs.write_text("")
        env = {name: self._filled(value) for name, value in step["env"].items()}
        script = self.temp / "script.sh"
        script.write_text(step["run"])
        # The command line that GitHub documents for `shell: bash`.
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
        done = subprocess.run(
            command, cwd=self.workspace, env={**self._environment, **env}, capture_output=True, text=True, check=False
        )
        self.printed += done.stdout + done.stderr
        for line in self._outputs.read_text().splitlines():
            name, _, value = line.partition("=")
            self.values[f"steps.{step['id']}.outputs.{name}"] = value
        return done.returncode

    def _filled(self, text: str) -> str:
        return re.sub(r"\$\{\{ (\S+) \}\}", lambda match: self.values.get(match[1], ""), text)


GOOD = '{"instruction": "Name a stone.", "output": "Slate is one."}\n'
BAD = '{"instruction": "Name a metal.", "output": ""}\n'


@pytest.fixture
def start(tmp_path, environment):
    """A job over a dataset of some lines."""

    def make(content: str, name: str = "data.jsonl", **inputs: str) -> Job:
        job = Job(tmp_path, environment, data=name, **inputs)
        (job.workspace / name).write_text(content, "utf-8")
        return job

    return make


def test_a_clean_dataset_passes_and_is_summed_up(start) -> None:
    job = start(GOOD)
    assert job.run() == 0, job.printed
    assert job.ran == ["actions/setup-python@v5", "Install tunescope", "Audit", "Report"]
    assert (job.temp / "installed").read_text() == f"{ROOT}[offline]"
    assert job.summary.read_text("utf-8").startswith("## tunescope: `data.jsonl`\n\n**Nothing found** in 1 row by ")
    assert (job.output("findings"), job.output("severe")) == ("0", "false")
    assert (Path(job.output("run")) / "report.html").exists()


def test_a_severe_finding_fails_after_it_was_reported_and_uploaded(start) -> None:
    job = start(GOOD + BAD, name="my data.jsonl", sarif="true", args="--select TXT001,DUP --limit 2")
    assert job.run() == 1
    assert job.ran[3:] == ["Report", "Upload to code scanning", "Verdict"]
    assert "::error title=tunescope::findings of severity error or above" in job.printed
    assert "| TXT001 | empty response | 🔴 error | 1 | 1 | 50.0 % |" in job.summary.read_text("utf-8")
    (result,) = json.loads(Path(job.output("sarif")).read_text("utf-8"))["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "my%20data.jsonl", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 2},
    }
    assert (job.output("findings"), job.output("severe")) == ("1", "true")


def test_a_baseline_and_no_severity_let_findings_pass(start, tmp_path, tunescope) -> None:
    job = start(GOOD + BAD, fail_on="")
    assert job.run() == 0, job.printed
    assert (job.output("findings"), job.output("severe")) == ("1", "false")
    job.values |= {"inputs.fail-on": "error", "inputs.baseline": str(Path(job.output("run")) / "report.json")}
    (job.temp / "tunescope-environment").rename(job.temp / "former")
    assert job.run() == 0, job.printed
    assert job.output("findings") == "0"


@pytest.mark.parametrize(
    "inputs",
    [
        {"data": "$(touch owned).jsonl"},
        {"data": '"; touch owned; ".jsonl'},
        {"args": "--select 'TXT; touch owned' $(touch owned) `touch owned`"},
        {"fail_on": "error; touch owned"},
        {"baseline": "$(touch owned)"},
    ],
)
def test_an_input_is_never_run_and_a_wrong_one_is_one_line(start, inputs) -> None:
    given = dict(inputs)
    job = start(BAD, name=given.pop("data", "data.jsonl"), **given)
    code = job.run()
    assert not any(path.name == "owned" for path in job.workspace.iterdir())
    assert code == (1 if "data" in inputs else 2)
    assert "Traceback" not in job.printed
    assert (job.ran[-1] == "Verdict") == ("data" in inputs)


def test_the_hook_is_valid_by_pre_commit() -> None:
    command = [Path(sys.executable).with_name("pre-commit"), "validate-manifest", ROOT / ".pre-commit-hooks.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_hook_takes_datasets_and_not_every_json_file() -> None:
    taken = ["data/a.jsonl", "a.ndjson.gz", "b.parquet", "c.arrow", "d.jsonl.zst"]
    left = ["package.json", "table.csv", "a.jsonl.txt", "jsonl", "a.py"]
    assert [name for name in taken + left if re.search(HOOK["files"], name)] == taken


def run_hook(folder: Path, environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The hook as pre-commit runs it: entry, args, then the names of changed files."""
    entry, *rest = shlex.split(HOOK["entry"])
    command = [str(Path(sys.executable).with_name(entry)), *rest, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_hook_names_severe_findings_by_file_and_line_and_leaves_nothing(tmp_path, environment) -> None:
    (tmp_path / "good.jsonl").write_text(GOOD, "utf-8")
    (tmp_path / "my data.jsonl").write_text(GOOD + BAD + '{"instruction": "Name a tree.", "output": "N/A"}\n', "utf-8")
    done = run_hook(tmp_path, environment, *HOOK["args"], "good.jsonl", "my data.jsonl")
    assert (done.returncode, done.stdout) == (1, "my data.jsonl:2: TXT001 The response is empty.\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.jsonl", "my data.jsonl"]
    done = run_hook(tmp_path, environment, *HOOK["args"], "good.jsonl")
    assert (done.returncode, done.stdout) == (0, "")
    done = run_hook(tmp_path, environment, "--fail-on", "warning", "my data.jsonl")
    assert done.stdout.splitlines()[1] == "my data.jsonl:3: TXT002 The response is a placeholder: N/A"


def test_the_hook_shows_some_of_many_and_says_what_it_cannot_read(tmp_path, environment) -> None:
    (tmp_path / "many.jsonl").write_text(GOOD + "".join(BAD.replace("metal", f"metal {n}") for n in range(23)), "utf-8")
    done = run_hook(tmp_path, environment, *HOOK["args"], "many.jsonl")
    lines = done.stdout.splitlines()
    assert (done.returncode, len(lines), lines[-1]) == (1, 21, "many.jsonl: 3 more findings")
    (tmp_path / "none.jsonl").write_text("[1]\n", "utf-8")
    done = run_hook(tmp_path, environment, *HOOK["args"], "none.jsonl")
    assert done.returncode == 2
    assert "none.jsonl: no row can be read" in done.stderr
