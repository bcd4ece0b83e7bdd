"""`make bench-docs`: every block of every document runs, those that tune models included."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.record import Result, record
from tests.functional.test_docs import DOCUMENTS, ROOT

COMMAND = "make bench-docs"


def main() -> None:
    """Run the documents, one after the other; the first block that fails ends it."""
    environment = {**os.environ, "TUNESCOPE_LONG_DOCS": "1"}
    results = []
    for path in DOCUMENTS:
        name = path.relative_to(ROOT).as_posix()
        test = f"tests/functional/test_docs.py::test_every_block_of_a_document_runs[{name}]"
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-m", "pytest", test], cwd=ROOT, env=environment, check=True)
        results.append(Result(name, time.perf_counter() - begin, "s", command=COMMAND))
    record(
        Path(__file__).parent,
        "The documents, run",
        results,
        "Every block ran and printed what its document says; the seconds include making an encoder's table in a new cache.",
    )


if __name__ == "__main__":
    main()
