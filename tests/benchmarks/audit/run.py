"""`make bench-audit`: a whole audit beside semhash's self-deduplication of the same rows, in turns, in one run.

Both start as fresh processes with the encoder distilled and no vectors cached. The audit does much more than semhash: it
runs every check, contamination against evaluation files included, builds the indexes of a trace and writes reports. Its
duplicate stages are also held against semhash alone. What each check took is kept in `audit/checks/costs.json`, from which
`tunescope checks` and the documents have it.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml

from audit.checks import CHECKS
from audit.checks.costs import COSTS_FILE
from indexes.encoders import cache_folder, load_static
from tests.benchmarks.data import DATASETS, ProcessCost, data_folder, run_process
from tests.benchmarks.evaluation import write_evaluation
from tests.benchmarks.record import Result, machine, record, today

ROUNDS = 5
COMMAND = "make bench-audit"
EVALUATION = ("alpaca_eval", "truthfulqa")
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
            "at most 4",
        ),
        _figure(
            "audit / semhash on whole rows",
            [a.seconds / b.seconds for a, b in zip(audits, whole, strict=True)],
            "ratio",
            "at most 4",
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
    n_rows = sum(1 for line in alpaca.open("rb") if line.strip())
    medians = {stage: statistics.median(seconds[stage] for seconds in stages) for stage in stages[0]}
    _keep_costs(medians, n_rows)
    notes = (
        f"{len(CHECKS)} checks. Contamination is looked for against the prompts and answers of {', '.join(EVALUATION)}; "
        "the style is held against dolly_3k. "
        f"Medians of {ROUNDS} rounds taken in turns (2 for t0_55k), with the range. Vectors are not cached between rounds; the "
        "static encoder is distilled beforehand and is the same for both.\n\n"
        f"Stages of the audit of alpaca_21k ({n_rows:,} rows); what is left of the whole process is start-up and the hash of "
        "the file. What several checks look at is made when the first of them asks, and is counted with that one"
        f":\n\n{_cost_table(medians, n_rows)}"
    )
    record(Path(__file__).parent, "Speed and memory of an audit", figures, notes)


def _cost_table(medians: Mapping[str, float], n_rows: int) -> str:
    """Stages from the dearest to the cheapest."""
    names = {check.code: check.name for check in CHECKS}
    total = sum(medians.values())
    rows = [
        f"| {stage} | {names.get(stage, '–')} | {seconds:.3f} | {seconds / total:.1%} | {seconds / n_rows * 1e6:.1f} |"
        for stage, seconds in sorted(medians.items(), key=lambda item: -item[1])
    ]
    return "\n".join(["| stage | check | s | share | µs per row |", "|---|---|---|---|---|", *rows])


def _keep_costs(medians: Mapping[str, float], n_rows: int) -> None:
    """Write the figures that `tunescope checks` shows; indexes are stages of their own and not in them."""
    costs = {
        "dataset": "alpaca_21k",
        "rows": n_rows,
        "machine": machine(),
        "date": today(),
        "seconds": {check.code: round(medians[check.code], 4) for check in CHECKS if check.code in medians},
    }
    COSTS_FILE.write_text(json.dumps(costs, indent=1) + "\n", encoding="utf-8")


def _audit(data: Path) -> tuple[ProcessCost, dict[str, float]]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copytree(cache_folder() / "encoders", folder / "cache" / "encoders")
        items = write_evaluation(data_folder(), folder)
        reference = data_folder() / DATASETS["dolly_3k"].path
        settings = {"evaluation": [items[name] for name in EVALUATION], "style_reference": [str(reference)]}
        (folder / "settings.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        program = str(Path(sys.executable).with_name("tunescope"))
        command = [program, "audit", str(data), "--config", "settings.yaml", "-o", "run"]
        cost = run_process(command, {"TUNESCOPE_CACHE": str(folder / "cache")}, folder)
        manifest = json.loads((folder / "run" / "manifest.json").read_bytes())
    return cost, {stage["name"]: stage["seconds"] for stage in manifest["stages"]}


def _semhash(data: Path, part: str) -> ProcessCost:
    root = Path(__file__).resolve().parents[3]
    return run_process([sys.executable, "-m", "tests.benchmarks.audit.semhash_peer", str(data), part], {}, root)


def _figure(name: str, values: list[float], unit: str, goal: str = "") -> Result:
    return Result(name, round(statistics.median(values), 4), unit, round(min(values), 4), round(max(values), 4), goal, COMMAND)


if __name__ == "__main__":
    main()
