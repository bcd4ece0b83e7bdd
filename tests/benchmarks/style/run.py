"""`make bench-style`: what the style room can tell, and what it costs; about 50 minutes on two cores.

Its parts can be measured alone, `python -m tests.benchmarks.style.run PART…`; the figures of the others then stay as they are.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.data import data_folder
from tests.benchmarks.record import Result, record
from tests.benchmarks.style import base_model, cost, family_outcome, planted, separation, skeletons, sources

COMMAND = "python -m tests.benchmarks.style.run"
FOLDER = Path(__file__).parent


def _collected(measure: Callable[[Callable[[Result], None]], None]) -> list[Result]:
    results: list[Result] = []
    measure(results.append)
    return results


PARTS: dict[str, Callable[[], Sequence[Result]]] = {
    "separation": lambda: separation.measure_separation(data_folder(), ""),
    "planted": lambda: planted.measure_planted(""),
    "skeletons": lambda: skeletons.measure_skeletons(data_folder(), ""),
    "sources": lambda: sources.measure_sources(data_folder(), ""),
    "family_outcome": lambda: _collected(family_outcome.measure),
    "base_model": lambda: _collected(base_model.measure),
    "cost": lambda: cost.measure_cost(data_folder()),
}
NOTES = """
*Separation.* Similarities of every method go through one correction for content, learned on the other half of the prompts
without authors' names; see `separation.py`. As texts stand, any method puts the same prompt first.

*Skeletons.* Settings were chosen on one half of the templates; the method itself was worked out with all of them in sight.
drain3 was also given only the first and last eight words, which helps it.

*Sources.* A part "as if drawn from alpaca_21k" is an estimate under the other three models as null, and is held against what
these get in the same way. The interval of a weight is its range over five draws of rows. The number of centres (128) was
chosen among 64, 128 and 256 with these outputs in sight; with 256 the interval of alpaca-7b less phi-2 touches 0.

*Family outcome.* `random` is verify's own control, drawn in equal length from the rows that stay; where half of the rows
leave it loses most of the plain ones, and so has *more* of the mould than the whole. `uniform` is as many rows drawn from
all.

*Base model.* Planted rows under small models; no model that knows the facts of the real datasets was at hand.
"""


def main() -> None:
    """Measure the parts named, or all, and write RESULTS.md and results.json."""
    chosen = sys.argv[1:] or list(PARTS)
    if unknown := sorted(set(chosen) - set(PARTS)):
        raise SystemExit(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    kept = FOLDER / "results.json"
    known = [Result(**line) for line in json.loads(kept.read_text("utf-8"))] if kept.exists() else []
    by_part = {part: [result for result in known if result.command == f"{COMMAND} {part}"] for part in PARTS}
    for part in chosen:
        by_part[part] = [replace(result, command=f"{COMMAND} {part}") for result in PARTS[part]()]
        record(FOLDER, "Style: families, copying, skeletons", [result for part in PARTS for result in by_part[part]], NOTES)


if __name__ == "__main__":
    main()
