"""Where the benchmarks find real data, and how they time a whole process."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["DATASETS", "Dataset", "ProcessCost", "data_folder", "run_process"]


@dataclass(frozen=True)
class Dataset:
    """A real dataset: its place in the data folder, and odd columns by LLaMA-Factory's names."""

    path: str
    columns: Mapping[str, str] = field(default_factory=dict)


DATASETS: dict[str, Dataset] = {
    "alpaca_21k": Dataset("alpaca/alpaca_21k.jsonl"),
    "dolly_3k": Dataset("dolly/dolly_3k.json"),
    "code_alpaca_2k": Dataset("code/code_alpaca_2k.json"),
    "t0_55k": Dataset("t0/t0_55k.jsonl"),
    "answers of alpaca-7b": Dataset("outputs/alpaca_eval_alpaca-7b.json"),
    "answers of text_davinci_003": Dataset("outputs/alpaca_eval_text_davinci_003.json"),
    "answers of phi-2": Dataset("outputs/alpaca_eval_phi-2.json"),
    "answers of phi-2-sft": Dataset("outputs/alpaca_eval_phi-2-sft.json"),
    "halueval": Dataset("hallucination/halueval_general_half.jsonl", {"prompt": "user_query", "response": "chatgpt_response"}),
}
"""What the checks' precision is read on."""


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
