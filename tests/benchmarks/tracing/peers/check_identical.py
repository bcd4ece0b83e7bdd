"""Does a method rank a row that is the query itself first? A sanity check that every peer is put to.

    python -m tests.benchmarks.tracing.peers.check_identical make WORLD COPY [--trained span|response]
    (the peers on COPY, as on any world)
    python -m tests.benchmarks.tracing.peers.check_identical report COPY

`make` copies a world and appends a row for every query: its prompt and response, of which either the query's span alone
is trained, or the whole response with the end of the turn, as in any row. `report` prints at which rank each query finds
its own row. No model is trained on these rows (MAGIC, which trains one itself, sees them at the end of every epoch). A
method that multiplies by the size of a row's gradient need not rank its own row first: a row that the model knows less
well can weigh more.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.tracing.peers.exchange import IGNORED, read_world


def make(world: Path, copy: Path, trained: str) -> None:
    """Write the copy; the models are links."""
    from transformers import AutoTokenizer

    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for name in ("base", "tuned"):
        (copy / name).symlink_to((world / name).resolve(), target_is_directory=True)
    shutil.copy(world / "queries.parquet", copy)
    tokenizer = AutoTokenizer.from_pretrained(world / "base")
    rows = pq.read_table(world / "rows.parquet").to_pylist()
    queries = pq.read_table(world / "queries.parquet").to_pylist()
    n_rows = len(rows)
    for query in sorted(queries, key=lambda query: query["query"]):
        ids, labels = _own_row(tokenizer, query, trained)
        own = dict.fromkeys(rows[0]) | {"prompt": query["prompt"], "response": query["response"]}
        rows.append(own | {"place": len(rows), "input_ids": ids, "labels": labels, "kind": "identical"})
    kept = ("place", "prompt", "response", "input_ids", "labels", "kind")
    pq.write_table(pa.Table.from_pylist([{name: row.get(name) for name in kept} for row in rows]), copy / "rows.parquet")
    own = list(range(n_rows, len(rows)))
    source = read_world(world, None)
    orders = {str(seed): [epoch + own for epoch in source.orders(seed)] for seed in source.seeds}
    recipe = source.recipe | {"order": orders}
    (copy / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8")


def report(copy: Path) -> dict[str, list[int]]:
    """The rank of each query's own row, from 1, by method; a tie counts against it."""
    rows = pq.read_table(copy / "rows.parquet", columns=["place", "kind"]).to_pylist()
    first = min(row["place"] for row in rows if row["kind"] == "identical")
    ranks = {}
    for path in sorted((copy / "scores").glob("*.parquet")):
        table = pq.read_table(path).to_pydict()
        if "seed" in table:
            continue
        scores = np.full((max(table["query"]) + 1, len(rows)), np.nan)
        scores[table["query"], table["place"]] = table["score"]
        ranks[path.stem] = [
            int((values >= values[first + query]).sum()) for query, values in enumerate(scores) if not np.isnan(values).all()
        ]
    return ranks


def main() -> None:
    """Run `make` or `report`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make")
    making.add_argument("world", type=Path)
    making.add_argument("copy", type=Path)
    making.add_argument("--trained", choices=("span", "response"), default="span")
    commands.add_parser("report").add_argument("copy", type=Path)
    options = parser.parse_args()
    if options.command == "make":
        make(options.world, options.copy, options.trained)
        return
    for method, ranks in report(options.copy).items():
        print(f"{method}: first for {ranks.count(1)} of {len(ranks)}, ranks {ranks}")


def _own_row(tokenizer: Any, query: dict[str, Any], trained: str) -> tuple[list[int], list[int]]:
    ids = list(query["input_ids"])
    if trained == "span":
        targets = frozenset(query["targets"])
        return ids, [token if place in targets else IGNORED for place, token in enumerate(ids)]
    messages = [{"role": "user", "content": query["prompt"]}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=True)["input_ids"]
    if ids[: len(prompt)] != list(prompt):
        raise SystemExit(f"query {query['query']} does not begin with its prompt as the template writes it")
    ids.append(tokenizer.eos_token_id)
    return ids, [IGNORED] * len(prompt) + ids[len(prompt) :]


if __name__ == "__main__":
    main()
