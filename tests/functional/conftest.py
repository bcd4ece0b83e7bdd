"""The real command in a process of its own, as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The process environment, with a cache of its own unless one is set, and no colours."""
    cache = os.environ.get("TUNESCOPE_CACHE") or str(tmp_path_factory.mktemp("cache"))
    return {
        **os.environ,
        "TUNESCOPE_CACHE": cache,
        "HF_HUB_OFFLINE": "1",
        "NO_COLOR": "1",
        "COLUMNS": "120",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="session")
def tunescope(environment: Mapping[str, str]) -> Command:
    """Run `tunescope ARGUMENTS` in a folder."""
    command = str(Path(sys.executable).with_name("tunescope"))

    def run(*arguments: str | Path, cwd: Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command, *map(str, arguments)],
            cwd=cwd,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


ROWS = "".join(
    f'{{"instruction": "Name the stone of bridge {n}.", "input": "", '
    f'"output": "Bridge {n} is built of {stone} from the quarry of Vell."}}\n'
    for n, stone in enumerate(("slate", "granite", "limestone", "basalt", "slate", "granite"))
)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Six good rows of alpaca."""
    path = tmp_path / "bridges.jsonl"
    path.write_text(ROWS, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def finished_run(tunescope: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the six rows; not to be changed."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "bridges.jsonl").write_text(ROWS, encoding="utf-8")
    done = tunescope("audit", "bridges.jsonl", "-o", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"
