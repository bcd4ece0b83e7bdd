"""Where the benchmarks find real data, and how they time a whole process."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ProcessCost", "data_folder", "run_process"]


@dataclass(frozen=True)
class ProcessCost:
    """What a process cost: wall-clock seconds from start to exit, and peak resident memory."""

    seconds: float
    peak_mib: float
    stdout: str


def data_folder() -> Path:
    """The folder that TUNESCOPE_DATA names; ends the benchmark with the reason where it is unset."""
    folder = os.environ.get("TUNESCOPE_DATA")
    if not folder:
        raise SystemExit("this benchmark measures on real data: set TUNESCOPE_DATA to its folder")
    return Path(folder)


def run_process(command: Sequence[str], environment: Mapping[str, str], cwd: Path) -> ProcessCost:
    """Run a command to its end; a failure ends the benchmark."""
    started = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, **environment}, cwd=cwd, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    stdout = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status != 0:
        raise SystemExit(f"{' '.join(command)} failed with status {status}")
    return ProcessCost(seconds, _peak_mib(usage), stdout)


def _peak_mib(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / 1024
