"""What the style room costs: the stage and the checks of an audit, and a look at outputs, as processes of their own."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from indexes.encoders import load_static
from tests.benchmarks.data import DATASETS, ProcessCost, run_process
from tests.benchmarks.record import Result
from tests.benchmarks.style.corpora import outputs_file

__all__ = ["measure_cost"]

_ROUNDS = 3
_CODES = ("STY001", "STY002", "STY003", "STY004")


def measure_cost(folder: Path) -> list[Result]:
    """Seconds after indexing, and peak memory; `folder` holds the real data."""
    load_static()  # distilled once per machine
    command = str(Path(sys.executable).with_name("tunescope"))
    with tempfile.TemporaryDirectory() as scratch:
        small = [_audit(command, folder, Path(scratch), "alpaca_21k", number) for number in range(_ROUNDS)]
        large = [_audit(command, folder, Path(scratch), "t0_55k", number) for number in range(2)]
        outputs = [
            run_process(
                [
                    command,
                    "style",
                    "alpaca_21k-0",
                    "--responses",
                    str(_responses(folder, Path(scratch), "alpaca-7b")),
                    "--null-responses",
                    str(_responses(folder, Path(scratch), "phi-2")),
                ],
                {},
                Path(scratch),
            )
            for _ in range(_ROUNDS)
        ]
    per_row = [seconds / 55_185 / (statistics.median(s for _, s in small) / 21_509) for _, seconds in large]
    return [
        _figure("style after indexing, alpaca_21k: stage and checks", [seconds for _, seconds in small], "s", "at most 20"),
        _figure("peak memory of the whole audit, alpaca_21k", _gib([cost for cost, _ in small]), "GiB", "at most 1.5"),
        _figure("style after indexing, t0_55k: stage and checks", [seconds for _, seconds in large], "s"),
        _figure("seconds per row, t0_55k / alpaca_21k", per_row, "ratio", "at most 1"),
        _figure("peak memory of the whole audit, t0_55k", _gib([cost for cost, _ in large]), "GiB"),
        _figure("tunescope style with 805 outputs and as many null outputs", [cost.seconds for cost in outputs], "s"),
        _figure("… peak memory", _gib(outputs), "GiB"),
    ]


def _audit(command: str, folder: Path, scratch: Path, name: str, number: int) -> tuple[ProcessCost, float]:
    """The whole process, and the seconds of its style stage and checks."""
    run = f"{name}-{number}"
    arguments = [command, "audit", str(folder / DATASETS[name].path), "-o", run, "--select", ",".join(_CODES), "--quiet"]
    reference = ["--style-reference", str(folder / DATASETS["dolly_3k"].path)]
    cost = run_process([*arguments, *reference], {}, scratch)
    stages = json.loads((scratch / run / "manifest.json").read_text("utf-8"))["stages"]
    return cost, sum(stage["seconds"] for stage in stages if stage["name"] in ("style", *_CODES))


def _responses(folder: Path, scratch: Path, author: str) -> Path:
    path = scratch / f"{author}.jsonl"
    rows = json.loads(outputs_file(folder, author).read_text("utf-8"))
    lines = (json.dumps({"prompt": row["instruction"], "response": row["output"]}) for row in rows)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def _gib(costs: Sequence[ProcessCost]) -> list[float]:
    return [cost.peak_mib / 1024 for cost in costs]


def _figure(name: str, values: Sequence[float], unit: str, goal: str = "") -> Result:
    return Result(name, statistics.median(values), unit, min(values), max(values), goal)
