"""What a user would otherwise run: semhash's self-deduplication of the same prompts with the same static encoder.

Prints one JSON line: seconds of encoding, indexing and deduplication alone, how many duplicates, and semhash's version.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path


class PeerEncoder:
    """Our static encoder behind semhash's `encode`."""

    def __init__(self) -> None:
        from indexes.encoders import load_static

        self._encoder = load_static()

    def encode(self, inputs, **_):  # type: ignore[no-untyped-def]
        return self._encoder.encode(list(inputs))


def main() -> None:
    from semhash import SemHash

    path, part = sys.argv[1:3]
    with Path(path).open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    prompts = [f"{row['instruction']}\n{row['input']}" if row["input"] else row["instruction"] for row in rows]
    texts = prompts if part == "prompts" else [f"{prompt}\n{row['output']}" for prompt, row in zip(prompts, rows, strict=True)]
    encoder = PeerEncoder()
    started = time.perf_counter()
    index = SemHash.from_records(records=texts, model=encoder)
    result = index.self_deduplicate(threshold=0.9)
    seconds = time.perf_counter() - started
    found = {"seconds": seconds, "found": len(texts) - len(result.selected), "version": version("semhash")}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
