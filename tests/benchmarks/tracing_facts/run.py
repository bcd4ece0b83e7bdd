"""`make bench-tracing-facts`: the tracing benchmark on real facts, with pararel's wordings and false values of our own.

As `tests/benchmarks/tracing`, with the data from the folder that TUNESCOPE_DATA names. Nothing of its text is kept here:
what is published are numbers of rows and queries, scores, and what retraining did.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.benchmarks.tracing.build import BuiltWorld, build_world
from tests.benchmarks.tracing.facts import FACTS_PRETRAINING, make_facts_world
from tests.benchmarks.tracing.run import WORK, run_worlds

FOLDER = Path(__file__).parent


def main() -> None:
    """Run the parts that PARTS names on the worlds that WORLDS names, as the benchmark of tracing does."""

    def build(name: str) -> BuiltWorld:
        return build_world(WORK.parent / "facts" / name, int(name), make=make_facts_world, pretraining=FACTS_PRETRAINING)

    run_worlds(os.environ.get("WORLDS", "2").split(), build, FOLDER, "make bench-tracing-facts", is_own=False)


if __name__ == "__main__":
    main()
