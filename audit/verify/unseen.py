"""The responses of a dataset that no model was tuned on: what answers hold by chance."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from audit.corpus import Corpus, write_corpus
from indexes.store import write_file

__all__ = ["unseen_responses"]


def unseen_responses(path: Path, n_most: int) -> tuple[str, ...]:
    """The responses of a file of rows, a fixed draw of `n_most` where it has more.

    Raises:
        InputError: The file cannot be read as a dataset.
    """
    with tempfile.TemporaryDirectory(prefix="tunescope-") as folder:
        rows = Path(folder) / "rows.parquet"
        write_file(rows, lambda file: write_corpus(path, file))
        responses = Corpus.load(rows).responses["text"].to_list()
    if len(responses) > n_most:
        drawn = np.random.default_rng(n_most).choice(len(responses), n_most, replace=False)
        responses = [responses[number] for number in np.sort(drawn)]
    return tuple(responses)
