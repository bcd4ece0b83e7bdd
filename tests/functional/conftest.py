"""The command as a user runs it: mostly within this process, and in one of its own where that is what is tested."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tunescope import main

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def environment(cache_folder: str) -> Mapping[str, str]:
    """The process environment, with a cache of its own unless one is set, and no colours."""
    return {
        **os.environ,
        "TUNESCOPE_CACHE": cache_folder,
        "HF_HUB_OFFLINE": "1",
        "NO_COLOR": "1",
        "COLUMNS": "120",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="session")
def tunescope_process(environment: Mapping[str, str]) -> Command:
    """Run `tunescope ARGUMENTS` in a folder, in a process of its own."""
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


@pytest.fixture(scope="session")
def tunescope(environment: Mapping[str, str]) -> Command:
    """Run `tunescope ARGUMENTS` in a folder, in this process: the libraries are loaded once for all tests."""

    def run(*arguments: str | Path, cwd: Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        argv = ["tunescope", *map(str, arguments)]
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        with pytest.MonkeyPatch.context() as patch, contextlib.chdir(cwd):
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", argv)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((stdin or "").encode()), encoding="utf-8"))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            with pytest.raises(SystemExit) as end:
                main()
        texts = (stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err))
        assert isinstance(end.value.code, int)
        return subprocess.CompletedProcess(argv, end.value.code, *texts)

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
