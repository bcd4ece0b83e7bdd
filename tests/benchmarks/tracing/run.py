"""`make bench-tracing`: which rows lent the token, by every method, against retraining on seeds that no method saw.

What has been measured lies in `truth/WORLD` beside this file, so the table needs no model (`make bench-tracing-table`) and a
repeated run measures only what is missing. `SMALL=1` makes one world with two removal seeds, in about half an hour on two
cores; all of it takes hours. Peers take part where `make bench-tracing-peers` has set up their environments.

    WORLDS  worlds to report on, default 1 to 6; SHUFFLED for worlds with dealt-out values, as `7s`
    PARTS   of truth, scores, trace, peers, budget, removals, publish, table; all by default
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl

from tests.benchmarks.record import Result
from tests.benchmarks.tracing.budget import measured_ranking
from tests.benchmarks.tracing.build import SEEDS, BuiltWorld, build_world
from tests.benchmarks.tracing.methods import Scores, read_scores, score_world, write_scores
from tests.benchmarks.tracing.removal import HEADLINE_K, N_BANK, measure
from tests.benchmarks.tracing.retrains import Removal, measure_removals, read_removals
from tests.benchmarks.tracing.table import METHODS, ceiling_scores, figures_of, load_scores, write_table
from tests.benchmarks.tracing.tracer import trace_world
from tests.benchmarks.tracing.truth import read_truth, true_rows

__all__ = ["main"]

FOLDER = Path(__file__).parent
WORK = FOLDER / ".work" / "worlds"
TRUTH = FOLDER / "truth"
ENVIRONMENTS = FOLDER / ".work" / "envs"
PARTS = ("truth", "scores", "trace", "peers", "budget", "removals", "publish", "table")
PEERS = {
    "ekfac": ("kronfluence", "ekfac", ("--damping-share", "0.01")),
    "trak": ("traker", "trak", ()),
    "trackstar": ("bergson", "trackstar", ()),
    "magic": ("bergson", "magic", ("--seeds", "300")),
}
"""Method -> environment, script and options; each chosen on development worlds, see peers/README.md."""
T2 = "tunescope-t2"
GRADIENT_PEERS = ("grad-dot", "grad-cos", "tracin-cp", "less", "ekfac", "trackstar", "trak")


def main() -> None:
    """Run the parts that are asked for."""
    parts = os.environ.get("PARTS", "|".join(PARTS)).replace(",", "|").split("|")
    small = bool(os.environ.get("SMALL"))
    names = os.environ.get("WORLDS", "1" if small else "1 2 3 4 5 6").split()
    ks = (HEADLINE_K,) if small else tuple(int(k) for k in os.environ.get("KS", "1 3 5").split())
    n_seeds = 2 if small else int(os.environ.get("SEEDS", str(len(SEEDS["removal"]))))
    for name in names:
        if set(parts) & {*PARTS[:7]}:
            world = build_world(WORK / name, int(name.removesuffix("s")), shuffled=name.endswith("s"))
            _measure(world, name, parts, ks, n_seeds)
    if "table" in parts:
        _table(names, ks, n_seeds)


def _measure(world: BuiltWorld, name: str, parts: list[str], ks: tuple[int, ...], n_seeds: int) -> None:
    folder = world.folder
    if "truth" in parts:
        seeds = (*SEEDS["truth"], SEEDS["methods"][0])
        rows = [(), *((place,) for place in range(len(world.rows)))]
        measure_removals(folder, [Removal(seed, places) for seed in seeds for places in rows])
    if "scores" in parts:
        score_world(world)
    if "trace" in parts:
        trace_world(world)
    if "peers" in parts:
        _run_peers(folder)
    if "budget" in parts:
        for prior in ("tunescope", "bm25", best_peer(folder)):
            called = prior if prior in ("tunescope", "bm25") else "best-peer"
            write_scores(folder, f"{called}+retrains", measured_ranking(folder, read_scores(folder, prior)))
        write_scores(folder, "leave-one-out", read_truth(folder).this_run)
    if "removals" in parts:
        measure(folder, _scores(folder) | ceiling_scores(read_truth(folder).effects), ks, n_seeds)
    if "publish" in parts:
        _publish(folder, TRUTH / name)


def best_peer(folder: Path) -> str:
    """The gradient peer to give retrains to: the one with the best mean nDCG@10 on the development worlds."""
    order = ("ekfac", "tracin-cp", "trak", "less", "grad-cos", "trackstar", "grad-dot")
    return next(name for name in order if (folder / "scores" / f"{name}.parquet").exists())


def _run_peers(folder: Path) -> None:
    for method, (environment, script, options) in PEERS.items():
        python = ENVIRONMENTS / environment / "bin" / "python"
        if (folder / "scores" / f"{method}.parquet").exists():
            continue
        if not python.exists():
            sys.stderr.write(f"no environment for {environment}: `make bench-tracing-peers` makes it; {method} is left out\n")
            continue
        command = [str(python), "-m", f"tests.benchmarks.tracing.peers.{script}", str(folder), "--method", method, *options]
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def _scores(folder: Path) -> dict[str, Scores]:
    """The scores of every method that the table knows and the world has."""
    return {name: read_scores(folder, name) for name in METHODS if (folder / "scores" / f"{name}.parquet").exists()}


def _publish(folder: Path, out: Path) -> None:
    """Everything that the table is made of, without models."""
    out.mkdir(parents=True, exist_ok=True)
    for file in ("rows.parquet", "queries.parquet"):
        pl.read_parquet(folder / file).write_parquet(out / file, compression="zstd")
    (out / "recipe.json").write_bytes((folder / "recipe.json").read_bytes())
    read_removals(folder).write_parquet(out / "retrains.parquet", compression="zstd")
    frames, costs = [], []
    for name in (*METHODS, T2):
        path = folder / "scores" / f"{name}.parquet"
        if path.exists():
            frame = pl.read_parquet(path).select("query", "place", "score")
            frames.append(
                frame.select(
                    pl.lit(name).alias("method"), pl.col("query").cast(pl.Int32), pl.col("place").cast(pl.Int32), "score"
                )
            )
        if path.with_suffix(".json").exists():
            costs.append({**json.loads(path.with_suffix(".json").read_text(encoding="utf-8")), "method": name})
    pl.concat(frames).write_parquet(out / "scores.parquet", compression="zstd")
    (out / "costs.json").write_text(json.dumps(costs, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _table(names: list[str], ks: tuple[int, ...], n_seeds: int) -> None:
    worlds = {name: figures_of(TRUTH / name, ks, n_seeds) for name in names}
    n_queries = sum(len(world.families) for world in worlds.values())
    wrong = [pl.read_parquet(TRUTH / name / "queries.parquet")["wrong"].to_list() for name in names]
    more = [
        Result("queries", n_queries, "", goal="at least 40", command="make bench-tracing"),
        Result(
            "distinct false words",
            len({word for of in wrong for word in of}),
            "",
            goal="at least 30",
            command="make bench-tracing",
        ),
        *_tiers(names),
        Result("p-floor of a random bank", 1 / (1 + N_BANK), "", command="make bench-tracing"),
        *_costs(names),
    ]
    write_table(worlds, ks, more, (FOLDER / "NOTES.md").read_text(encoding="utf-8"))


def _tiers(names: list[str]) -> list[Result]:
    """How many of the rows of tier T2 have a measured effect, and how many of those with one it names."""
    hits = named = true = 0
    for name in names:
        is_true = true_rows(read_truth(TRUTH / name).effects)
        is_named = load_scores(TRUTH / name)[T2] > 0
        hits, named, true = hits + int((is_true & is_named).sum()), named + int(is_named.sum()), true + int(is_true.sum())
    command = "make bench-tracing"
    return [
        Result("rows of tier T2", named, "rows", command=command),
        Result("rows of tier T2 that have a measured effect", hits / max(named, 1), "share", command=command),
        Result("rows with a measured effect that reach tier T2", hits / max(true, 1), "share", command=command),
    ]


def _costs(names: list[str]) -> list[Result]:
    found: dict[str, list[dict[str, float]]] = {}
    for name in names:
        for cost in json.loads((TRUTH / name / "costs.json").read_text(encoding="utf-8")):
            found.setdefault(cost["method"], []).append(cost)
    results = []
    for method, costs in found.items():
        for field, unit, factor in (
            ("seconds_per_query", "ms", 1000.0),
            ("seconds_index", "s", 1.0),
            ("bytes_per_row", "bytes", 1.0),
        ):
            value = float(np.mean([cost.get(field, 0.0) for cost in costs])) * factor
            if value:
                results.append(
                    Result(f"{field.replace('_', ' ')}: {METHODS[method]}", value, unit, command="make bench-tracing")
                )
    return results


if __name__ == "__main__":
    main()
