"""What every peer is given, and what it leaves: a world is read from its folder, scores are written beside it.

Needs torch, transformers and pyarrow alone, which every peer's environment has.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, PreTrainedModel

__all__ = [
    "IGNORED",
    "SEEDED_ORDER",
    "Clock",
    "Peer",
    "Tokens",
    "World",
    "arguments",
    "batch",
    "leave_scores",
    "read_model",
    "read_world",
    "tuned_seeds",
]

IGNORED = -100

SEEDED_ORDER = "numpy.random.default_rng([seed, epoch]).permutation(n_rows)"
"""How recipe.json says that the order of an epoch's rows is drawn."""


@dataclass(frozen=True)
class Tokens:
    """Tokens, and which of them count: those a row trains, or those of a query's span.

    Attributes:
        input_ids: All tokens.
        labels: The same where a token counts, `IGNORED` elsewhere; each is predicted one position earlier.
    """

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True)
class World:
    """A world as a peer sees it.

    Attributes:
        folder: Where it lies.
        rows: The training rows, by place.
        queries: The queries, by number.
        seeds: Order seeds of the tuned models that are used; every method averages over the same.
        recipe: How the models were tuned.
    """

    folder: Path
    rows: tuple[Tokens, ...]
    queries: tuple[Tokens, ...]
    seeds: tuple[int, ...]
    recipe: dict[str, Any]

    def tuned(self, seed: int) -> Path:
        """The folder of the tuned model of a seed."""
        return self.folder / "tuned" / f"seed-{seed}"

    def orders(self, seed: int) -> list[list[int]]:
        """The places of the rows in the order in which each epoch of a seed's tuning sees them."""
        order = self.recipe["order"]
        if isinstance(order, dict):  # written out
            return [list(map(int, epoch)) for epoch in order[str(seed)]]
        if order != SEEDED_ORDER:
            raise SystemExit(f"{self.folder / 'recipe.json'}: order is {order!r}, not a list by seed or {SEEDED_ORDER!r}")
        epochs = range(self.recipe["epochs"])
        return [np.random.default_rng([seed, epoch]).permutation(len(self.rows)).tolist() for epoch in epochs]


@dataclass(frozen=True)
class Peer:
    """A method of a library.

    Attributes:
        name: Of the method: what its files are called.
        library: The package, as it is installed.
        settings: Everything that was chosen for it.
        notes: How it differs from what the benchmark asks of every method.
    """

    name: str
    library: str
    settings: dict[str, Any]
    notes: tuple[str, ...] = ()


@dataclass
class Clock:
    """Seconds, those that any new query shares told apart from those that it costs anew, by the wall and of the processor.

    Those of the processor hardly depend on what else the machine does.
    """

    wall: dict[str, float] = field(default_factory=lambda: {"index": 0.0, "query": 0.0})
    processor: dict[str, float] = field(default_factory=lambda: {"index": 0.0, "query": 0.0})

    @contextmanager
    def measure(self, what: str) -> Iterator[None]:
        """Add what happens inside to `index` or `query`."""
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.wall[what] += time.perf_counter() - wall
        self.processor[what] += time.process_time() - processor


def arguments(description: str, method: str) -> argparse.ArgumentParser:
    """The command line that all peers share: the world, the seeds, what the files are called, and where they go."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("world", type=Path, help="folder of the world")
    parser.add_argument("--seeds", type=int, nargs="+", help="order seeds of the tuned models (default: all)")
    parser.add_argument("--method", default=method, help="what the files are called; give each setting its own")
    parser.add_argument("--scores", type=Path, help="where they go (default: WORLD/scores)")
    return parser


def tuned_seeds(folder: Path) -> list[int]:
    """The order seeds of which a world holds a tuned model, ascending."""
    return sorted(int(path.name.removeprefix("seed-")) for path in (folder / "tuned").glob("seed-*"))


def read_world(folder: Path, seeds: Sequence[int] | None) -> World:
    """Read a world's rows, queries and recipe.

    Args:
        folder: Holds rows.parquet, queries.parquet, recipe.json, base/ and tuned/seed-K/.
        seeds: Those of the tuned models to use; `None` for all.
    """
    seeds = tuned_seeds(folder) if seeds is None else seeds
    rows = sorted(pq.read_table(folder / "rows.parquet").to_pylist(), key=lambda row: row["place"])
    if [row["place"] for row in rows] != list(range(len(rows))):
        raise SystemExit(f"{folder / 'rows.parquet'}: the places are not 0 to {len(rows) - 1}")
    missing = [str(path) for seed in seeds if not (path := folder / "tuned" / f"seed-{seed}").is_dir()]
    if missing:
        raise SystemExit(f"no such tuned models: {', '.join(missing)}")
    queries = sorted(pq.read_table(folder / "queries.parquet").to_pylist(), key=lambda query: query["query"])
    return World(
        folder=folder,
        rows=tuple(Tokens(tuple(row["input_ids"]), tuple(row["labels"])) for row in rows),
        queries=tuple(_query(query) for query in queries),
        seeds=tuple(seeds),
        recipe=json.loads((folder / "recipe.json").read_text(encoding="utf-8")),
    )


def read_model(folder: Path) -> PreTrainedModel:
    """A model in float32, ready to be asked; attention is computed plainly, so that gradients of any order exist."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    model.config.use_cache = False
    return model.eval()


def batch(sequences: Sequence[Tokens], length: int | None = None) -> dict[str, torch.Tensor]:
    """Sequences side by side, filled up on the right.

    Args:
        sequences: What is put together.
        length: Positions, at least those of the longest; `None` for exactly those.

    Returns:
        `input_ids`, `labels` and `attention_mask`, each int64 of shape (n_sequences, length).
    """
    length = length or max(len(sequence.input_ids) for sequence in sequences)
    ids = torch.zeros(len(sequences), length, dtype=torch.int64)
    labels = torch.full_like(ids, IGNORED)
    mask = torch.zeros_like(ids)
    for number, sequence in enumerate(sequences):
        n_tokens = len(sequence.input_ids)
        ids[number, :n_tokens] = torch.tensor(sequence.input_ids)
        labels[number, :n_tokens] = torch.tensor(sequence.labels)
        mask[number, :n_tokens] = 1
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


def leave_scores(
    world: World,
    peer: Peer,
    scores: NDArray[np.floating[Any]],
    clock: Clock,
    *,
    bytes_per_row: float,
    bytes_fixed: float,
    folder: Path | None = None,
    queries: Sequence[int] | None = None,
    per_seed: dict[int, NDArray[np.floating[Any]]] | None = None,
) -> Path:
    """Write METHOD.parquet (query, place, score) and METHOD.json.

    Args:
        world: What was scored.
        peer: The method.
        scores: Higher = more responsible, of shape (n_queries, n_rows), averaged over the seeds.
        clock: What it took, over all seeds.
        bytes_per_row: What the method keeps of each row to answer a new query, over all seeds.
        bytes_fixed: What it keeps beside that, over all seeds.
        folder: Where; the world's own scores/ by default.
        queries: Which queries were scored; all by default.
        per_seed: The scores of each seed; written to METHOD.seeds.parquet with a column `seed`.

    Returns:
        The Parquet file.
    """
    folder = folder or world.folder / "scores"
    folder.mkdir(parents=True, exist_ok=True)
    queries = list(range(len(world.queries))) if queries is None else list(queries)
    if scores.shape != (len(queries), len(world.rows)) or not np.isfinite(scores).all():
        raise SystemExit(f"{peer.name}: scores of shape {scores.shape}, or some that are not finite")
    about = {
        "method": peer.name,
        "library": peer.library,
        "version": importlib.metadata.version(peer.library),
        "torch": torch.__version__,
        "transformers": importlib.metadata.version("transformers"),
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "seeds": list(world.seeds),
        "n_rows": len(world.rows),
        "queries": queries,
        "seconds_index": round(clock.wall["index"], 4),
        "seconds_per_query": round(clock.wall["query"] / len(queries), 4),
        "processor_seconds_index": round(clock.processor["index"], 4),
        "processor_seconds_per_query": round(clock.processor["query"] / len(queries), 4),
        "bytes_per_row": bytes_per_row,
        "bytes_fixed": bytes_fixed,
        "settings": peer.settings,
        "notes": list(peer.notes),
    }
    path = folder / f"{peer.name}.parquet"
    pq.write_table(_table(queries, scores), path)
    if per_seed is not None:
        tables = [
            _table(queries, values).append_column("seed", pa.array([seed] * values.size, pa.int32()))
            for seed, values in per_seed.items()
        ]
        pq.write_table(pa.concat_tables(tables), folder / f"{peer.name}.seeds.parquet")
    (folder / f"{peer.name}.json").write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _query(query: dict[str, Any]) -> Tokens:
    targets = frozenset(query["targets"])
    ids = tuple(query["input_ids"])
    return Tokens(ids, tuple(token if place in targets else IGNORED for place, token in enumerate(ids)))


def _table(queries: Sequence[int], scores: NDArray[np.floating[Any]]) -> pa.Table:
    n_rows = scores.shape[1]
    return pa.table(
        {
            "query": pa.array(np.repeat(np.array(queries), n_rows), pa.int32()),
            "place": pa.array(np.tile(np.arange(n_rows), len(queries)), pa.int32()),
            "score": pa.array(scores.astype(np.float64).ravel(), pa.float64()),
        }
    )
