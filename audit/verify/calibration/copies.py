"""A copy of a run's dataset with planted faults and without the rows that the questions were made of, indexed for tracing.

Row numbers are those of the run: a row that leaves stays as a row without messages. The run itself is only read.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audit.corpus import Corpus, read_table, row_key
from audit.materials import VECTOR_FILES, Materials, build_bm25, build_words
from audit.rundir import Run
from audit.sources import Message, Status
from audit.verify.calibration.faults import Planting
from indexes.store import write_array, write_file

__all__ = ["make_copy"]


def make_copy(run: Run, materials: Materials, plantings: Sequence[Planting], folder: Path) -> Run:
    """Write the copy: rows, words, BM25, and the run's own prompt vectors, since no prompt changes.

    Args:
        run: The run; only read.
        materials: Its indexes.
        plantings: What is planted, no row twice.
        folder: Where the copy is written; it holds nothing.
    """
    gone = {planting.fault.probe for planting in plantings}
    edits = {edit.row: edit for planting in plantings for edit in planting.edits}
    table = read_table(run.path / "rows.parquet")
    changed = np.array(sorted({*gone, *edits}), np.int64)
    rows: dict[int, dict[str, Any]] = dict(zip(changed.tolist(), table.take(changed).to_pylist(), strict=True))
    for row, record in rows.items():
        if row in gone:
            record |= {"status": Status.MALFORMED, "reason": "a calibration's question was made of it", "messages": []}
        else:
            edit = edits[row]
            record["messages"][edit.turn]["content"] = edit.text
            record["key"] = row_key(tuple(Message(**turn) for turn in record["messages"]), record["tools"])
    write_file(folder / "rows.parquet", lambda file: _write(table, rows, file))
    corpus = Corpus.load(folder / "rows.parquet")
    build_words(folder, corpus)
    build_bm25(folder, Materials(folder, corpus))
    kept = ~np.isin(materials.row_of_response, sorted(gone))
    write_array(folder / VECTOR_FILES[0], materials.prompt_vectors[kept].astype(np.float16))
    return Run(folder, run.manifest)


def _write(table: pa.Table, rows: dict[int, dict[str, Any]], file: Any) -> None:
    """The table with some of its rows replaced, in row groups as they are."""
    begins = sorted({0, table.num_rows, *rows, *(row + 1 for row in rows)})
    parts = [
        pa.Table.from_pylist([rows[begin]], schema=table.schema) if begin in rows else table.slice(begin, end - begin)
        for begin, end in pairwise(begins)
    ]
    pq.write_table(pa.concat_tables(parts).combine_chunks(), file, compression="zstd")
