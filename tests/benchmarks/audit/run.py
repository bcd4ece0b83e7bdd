"""`make bench-audit`: a whole audit beside semhash's self-deduplication of the same rows, in turns, in one run.

Both start as fresh processes with the encoder distilled and no vectors cached. The audit does much more than semhash (it
reads, checks structure, builds the indexes of a trace and writes reports); its duplicate stages are also held against it
alone.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from indexes.encoders import cache_folder, load_static
from tests.benchmarks.data import ProcessCost, data_folder, run_process
from tests.benchmarks.record import Result, record

ROUNDS = 5
COMMAND = "make bench-audit"
DUPLICATE_STAGES = ("words", "vectors", "DUP001", "DUP002", "DUP003")


def main() -> None:
    """Measure, and write RESULTS.md and results.json."""
    load_static()
    data = data_folder()
    alpaca, t0 = data / "alpaca" / "alpaca_21k.jsonl", data / "t0" / "t0_55k.jsonl"
    audits, stages, prompts, whole = [], [], [], []
    for _ in range(ROUNDS):
        cost, seconds = _audit(alpaca)
        audits.append(cost)
        stages.append(seconds)
        prompts.append(_semhash(alpaca, "prompts"))
        whole.append(_semhash(alpaca, "rows"))
    large = [_audit(t0)[0] for _ in range(2)]
    version = json.loads(prompts[0].stdout)["version"]
    duplicates = [sum(seconds[stage] for stage in DUPLICATE_STAGES) for seconds in stages]
    per_character = [cost.seconds / t0.stat().st_size for cost in large]
    base = statistics.median(cost.seconds for cost in audits) / alpaca.stat().st_size
    figures = [
        _figure("audit of alpaca_21k, whole process", [c.seconds for c in audits], "s"),
        _figure("audit of alpaca_21k, peak memory", [c.peak_mib / 1024 for c in audits], "GiB", "at most 1.5"),
        _figure(f"semhash {version}, prompts, whole process", [c.seconds for c in prompts], "s"),
        _figure(f"semhash {version}, whole rows, whole process", [c.seconds for c in whole], "s"),
        _figure(
            "audit / semhash on prompts",
            [a.seconds / b.seconds for a, b in zip(audits, prompts, strict=True)],
            "ratio",
            "at most 2",
        ),
        _figure(
            "audit / semhash on whole rows",
            [a.seconds / b.seconds for a, b in zip(audits, whole, strict=True)],
            "ratio",
            "at most 2",
        ),
        _figure(
            "duplicate stages / semhash on prompts",
            [a / b.seconds for a, b in zip(duplicates, prompts, strict=True)],
            "ratio",
            "at most 1",
        ),
        _figure(
            "duplicate stages / semhash on prompts, its start-up and reading left out",
            [a / json.loads(b.stdout)["seconds"] for a, b in zip(duplicates, prompts, strict=True)],
            "ratio",
        ),
        _figure(f"semhash {version}, prompts, peak memory", [c.peak_mib / 1024 for c in prompts], "GiB"),
        _figure("audit of t0_55k, whole process", [c.seconds for c in large], "s"),
        _figure("audit of t0_55k, peak memory", [c.peak_mib / 1024 for c in large], "GiB"),
        _figure("seconds per byte, t0_55k / alpaca_21k", [p / base for p in per_character], "ratio", "at most 1"),
    ]
    table = "\n".join(f"| {stage} | {statistics.median(seconds[stage] for seconds in stages):.2f} |" for stage in stages[0])
    notes = (
        f"Medians of {ROUNDS} rounds taken in turns (2 for t0_55k), with the range. Vectors are not cached between rounds; the "
        "static encoder is distilled beforehand and is the same for both.\n\n"
        f"Seconds per stage of the audit of alpaca_21k:\n\n| stage | median s |\n|---|---|\n{table}"
    )
    record(Path(__file__).parent, "Speed and memory of an audit", figures, notes)


def _audit(data: Path) -> tuple[ProcessCost, dict[str, float]]:
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch) / "cache"
        shutil.copytree(cache_folder() / "encoders", cache / "encoders")
        command = [str(Path(sys.executable).with_name("tunescope")), "audit", str(data), "-o", "run"]
        cost = run_process(command, {"TUNESCOPE_CACHE": str(cache)}, Path(scratch))
        manifest = json.loads((Path(scratch) / "run" / "manifest.json").read_bytes())
    return cost, {stage["name"]: stage["seconds"] for stage in manifest["stages"]}


def _semhash(data: Path, part: str) -> ProcessCost:
    root = Path(__file__).resolve().parents[3]
    return run_process([sys.executable, "-m", "tests.benchmarks.audit.semhash_peer", str(data), part], {}, root)


def _figure(name: str, values: list[float], unit: str, goal: str = "") -> Result:
    return Result(name, round(statistics.median(values), 4), unit, round(min(values), 4), round(max(values), 4), goal, COMMAND)


if __name__ == "__main__":
    main()
