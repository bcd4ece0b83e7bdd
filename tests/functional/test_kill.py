"""An audit that is killed goes on where it stopped, to the same bytes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.functional.conftest import Command

# The audit as the command runs it, in a process that kills itself when its N-th stage begins: kill -9 from inside.
_SUICIDE = """
import os, signal, sys
from pathlib import Path
from audit.config import make_config
from audit.pipeline import run_audit
from reports.render import render_audit

def progress(name, number, total):
    if number == int(sys.argv[1]):
        write = os.write
        os.kill(os.getpid(), signal.SIGKILL) if sys.argv[2] == "start" else patch()

def patch():
    import indexes.store as store
    seal = store._sidecar_of
    def dying(path):
        os.kill(os.getpid(), signal.SIGKILL)
    store._sidecar_of = dying

run_audit(make_config({"data": "merrow.jsonl"}), Path("run"), render=render_audit, progress=progress)
"""


def test_a_kill_in_any_stage_costs_only_that_stage(
    tunescope_process: Command, environment: Mapping[str, str], tmp_path: Path
) -> None:
    from audit.pocket import demo_dataset

    data = "".join(line + "\n" for line in demo_dataset().lines).encode()
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "merrow.jsonl").write_bytes(data)
    assert tunescope_process("audit", "merrow.jsonl", "-o", "run", cwd=whole).returncode == 0
    expected = (whole / "run" / "findings.parquet").read_bytes()
    stages = [stage["name"] for stage in json.loads((whole / "run" / "manifest.json").read_bytes())["stages"]]
    # A stage of each kind; tests/equivalence/test_runs.py ends a run after any of them.
    a_check = next(stage for stage in stages if re.fullmatch(r"[A-Z]{3}\d{3}", stage))
    for stage in (stages[0], "vectors", a_check, stages[-1]):
        number = stages.index(stage) + 1
        folder = tmp_path / stage
        folder.mkdir()
        (folder / "merrow.jsonl").write_bytes(data)
        # "write": killed in the middle of the stage, when its first file is written but not yet sealed.
        killed = subprocess.run(
            [sys.executable, "-c", _SUICIDE, str(number), "write"],
            cwd=folder,
            env=environment,
            capture_output=True,
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not (folder / "run").exists()
        done = tunescope_process("audit", "merrow.jsonl", "-o", "run", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert (folder / "run" / "findings.parquet").read_bytes() == expected
        resumed = [s["name"] for s in json.loads((folder / "run" / "manifest.json").read_bytes())["stages"] if s["resumed"]]
        assert resumed == stages[: number - 1]
        assert not list(folder.glob("run.partial"))


def test_without_a_name_the_same_command_finds_its_unfinished_run(
    tunescope_process: Command, environment: Mapping[str, str], dataset: Path
) -> None:
    script = _SUICIDE.replace('"merrow.jsonl"', '"bridges.jsonl"').replace('Path("run")', "None")
    # A relative path, as the command is given: the settings are part of what identifies an unfinished run.
    killed = subprocess.run(
        [sys.executable, "-c", script, "3", "start"],
        cwd=dataset.parent,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    runs = dataset.parent / "tunescope-runs"
    assert sorted(path.name for path in runs.iterdir()) == ["bridges-1.partial", "bridges-1.partial.lock"]
    assert tunescope_process("audit", "bridges.jsonl", cwd=dataset.parent).returncode == 0
    assert [folder.name for folder in runs.iterdir()] == ["bridges-1"]
    assert tunescope_process("audit", "bridges.jsonl", cwd=dataset.parent).returncode == 0
    assert sorted(folder.name for folder in runs.iterdir()) == ["bridges-1", "bridges-2"]


def test_two_processes_on_one_run_are_kept_apart(
    tunescope_process: Command, environment: Mapping[str, str], dataset: Path
) -> None:
    holder = "import sys, time; from pathlib import Path; from audit.rundir import RunBuilder\n"
    holder += "with RunBuilder.open(Path('run'), {}): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", holder], cwd=dataset.parent, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        done = tunescope_process("audit", dataset.name, "-o", "run", cwd=dataset.parent)
        process.kill()
    assert done.returncode == 2
    assert "another tunescope works on this run" in done.stderr
