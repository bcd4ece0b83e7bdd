"""The trainer's view alone, in a process of its own: what `tunescope audit --tokenizer` adds to an audit."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from transformers import AutoTokenizer

from audit.config import AuditConfig
from audit.corpus import Corpus, write_corpus
from audit.signals import build_trainer, open_trainer
from audit.sources import open_source
from indexes.store import write_file


def main() -> None:
    """Prepare FILE with the tokenizer of MODEL, FOLDER for what is written; print the seconds as JSON."""
    file, model, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    AutoTokenizer.from_pretrained(model)  # what it imports is not counted
    folder.mkdir(exist_ok=True)
    began, began_working = time.monotonic(), time.process_time()
    with open_source(file) as source:
        write_file(folder / "rows.parquet", lambda rows: write_corpus(source, rows))
        config = AuditConfig(data=file, tokenizer=model)
        trainer = open_trainer(config, source)
        assert trainer is not None  # one is named
        build_trainer(folder, Corpus.load(folder / "rows.parquet"), trainer, config, source)
    seconds, working = time.monotonic() - began, time.process_time() - began_working
    print(json.dumps({"seconds": seconds, "processor_seconds": working}))


if __name__ == "__main__":
    main()
