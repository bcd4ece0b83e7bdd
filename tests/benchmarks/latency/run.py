"""`make bench-latency`: how long a user waits for `--help`, for a trace from a cold shell, and for a warm one."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from audit.responses import Response
from audit.rundir import Run
from audit.sources import Message
from audit.trace import Tracer, locate_span
from tests.benchmarks.data import data_folder, run_process
from tests.benchmarks.record import Result, record

COMMAND = "make bench-latency"
ROUNDS = 10
PROMPT = "Which is the second-largest city of Australia?"
ANSWERS = (
    ("The second-largest city of Australia is Wellington.", "Wellington"),
    ("It is Melbourne, on the river Yarra.", "Melbourne"),
    ("It is Perth, in the state of Western Australia.", "Western Australia"),
    ("It is New York City.", "New York City"),
)


def main() -> None:
    """Measure, and write RESULTS.md and results.json."""
    command = str(Path(sys.executable).with_name("tunescope"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run_process([command, "audit", str(data_folder() / "alpaca" / "alpaca_21k.jsonl"), "-o", "run"], {}, folder)
        helped = [run_process([command, "--help"], {}, folder).seconds for _ in range(ROUNDS)]
        answer, span = ANSWERS[1]
        arguments = [command, "trace", "run", "--prompt", PROMPT, "--response", answer, "--span", span]
        cold = [run_process(arguments, {}, folder).seconds for _ in range(ROUNDS)]
        tracer = Tracer(Run.open(folder / "run"))
        warm, first = [], []
        for place in range(ROUNDS + 1):
            for answer, span in ANSWERS:
                claim = Response("c", (Message("user", PROMPT, trained=False),), answer, (locate_span(answer, span),))
                started = time.perf_counter()
                tracer.trace(claim)
                (warm if place else first).append(1000 * (time.perf_counter() - started))
    results = [
        _figure("tunescope --help, whole process", helped, "s", "at most 0.5"),
        _figure("tunescope trace from a cold shell, alpaca_21k", cold, "s", "at most 3"),
        _figure("warm trace, alpaca_21k", warm, "ms", "at most 50"),
        _figure("first trace of a span length and rarity in a process", first, "ms"),
    ]
    notes = (
        "Medians with the range. A warm trace is one whose indexes, and whose random spans of that length and rarity, are in "
        "memory; they are drawn on the first trace that needs them."
    )
    record(Path(__file__).parent, "Waiting times", results, notes)


def _figure(name: str, values: list[float], unit: str, goal: str = "") -> Result:
    return Result(name, round(statistics.median(values), 3), unit, round(min(values), 3), round(max(values), 3), goal, COMMAND)


if __name__ == "__main__":
    main()
