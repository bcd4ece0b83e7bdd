"""`make bench-tracing`: which rows lent the token, by every method, against retraining on seeds that no method saw.

What has been measured lies in `truth/WORLD` beside this file, so the table needs no model (`make bench-tracing-table`) and a
repeated run measures only what is missing. `SMALL=1` makes one world with two removal seeds, in about half an hour on two
cores; all of it takes hours. Peers take part where `make bench-tracing-peers` has set up their environments.

    WORLDS  worlds to report on, default 1 to 6; SHUFFLED for worlds with dealt-out values, as `7s`
    ORDERS  of the rows in which each is left out, default 8
    PARTS   of truth, scores, trace, peers, budget, removals, drops, publish, table; all by default
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tests.benchmarks.record import Result
from tests.benchmarks.tracing.budget import measured_ranking
from tests.benchmarks.tracing.build import SEEDS, BuiltWorld, build_world
from tests.benchmarks.tracing.drops import N_DROPS, linear_scores, measure_drops
from tests.benchmarks.tracing.methods import Scores, read_scores, score_world, write_scores
from tests.benchmarks.tracing.removal import HEADLINE_K, N_BANK, effects, exchanged, measure, top_rows
from tests.benchmarks.tracing.retrains import Removal, measure_removals, read_removals
from tests.benchmarks.tracing.table import METHODS, ceiling_scores, figures_of, interval, load_scores, write_table
from tests.benchmarks.tracing.tracer import trace_world
from tests.benchmarks.tracing.truth import read_truth, true_rows

__all__ = ["main", "run_worlds"]

FOLDER = Path(__file__).parent
WORK = FOLDER / ".work" / "worlds"
ENVIRONMENTS = FOLDER / ".work" / "envs"
PARTS = ("truth", "scores", "trace", "peers", "budget", "removals", "drops", "publish", "table")
KS = (1, 3, 5)
_ALL_ORDERS = "leave-one-out, all orders of the truth"
PEERS = {
    "ekfac": ("kronfluence", "ekfac", ("--damping-share", "0.01")),
    "trak": ("traker", "trak", ()),
    "trackstar": ("bergson", "trackstar", ()),
    "magic": ("bergson", "magic", ("--seeds", "300")),
}
"""Method -> environment, script and options; each chosen on development worlds, see peers/README.md."""
T2 = "tunescope-t2"
OF_ALL_MODELS = ("repsim", "grad-dot", "grad-cos", "less")
"""Methods of our own whose seconds are the sum over all tuned models."""


def main() -> None:
    """Run the parts that are asked for, on worlds of the benchmark's own making."""
    names = os.environ.get("WORLDS", "1" if os.environ.get("SMALL") else "1 2 3 4 5 6").split()

    def build(name: str) -> BuiltWorld:
        return build_world(WORK / name, int(name.removesuffix("s")), shuffled=name.endswith("s"))

    run_worlds(names, build, FOLDER, "make bench-tracing", ks=KS)


def run_worlds(
    names: Sequence[str],
    build: Callable[[str], BuiltWorld],
    out: Path,
    command: str,
    *,
    ks: tuple[int, ...] = (HEADLINE_K,),
    is_own: bool = True,
) -> None:
    """Measure worlds and write the table.

    Args:
        names: Of the worlds.
        build: Makes a world, or finds it made.
        out: Where truth/WORLD and the results go.
        command: What reproduces them.
        ks: How many of the rows that a method names first are removed.
        is_own: Whether the rows are the project's own; of others nothing but numbers is kept.
    """
    parts = os.environ.get("PARTS", "|".join(PARTS)).replace(",", "|").split("|")
    small = bool(os.environ.get("SMALL"))
    if small:
        ks = (HEADLINE_K,)
    n_seeds = 2 if small else int(os.environ.get("SEEDS", "2"))
    for name in names:
        if set(parts) & {*PARTS[:-1]}:
            _measure(build(name), parts, ks, n_seeds, out / "truth" / name, is_own=is_own)
    if "table" in parts:
        _table(names, ks, n_seeds, out, command)


def _measure(world: BuiltWorld, parts: list[str], ks: tuple[int, ...], n_seeds: int, published: Path, *, is_own: bool) -> None:
    folder = world.folder
    if "truth" in parts:
        n_orders = int(os.environ.get("ORDERS", str(len(SEEDS["truth"]))))
        seeds = (*SEEDS["truth"][:n_orders], SEEDS["methods"][0])
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
        if _has_truth(folder):
            write_scores(folder, "leave-one-out", read_truth(folder).this_run)
    if "removals" in parts:
        ceiling = ceiling_scores(read_truth(folder).effects) if _has_truth(folder) else {}
        measure(folder, _scores(folder) | ceiling, ks, n_seeds)
    if "drops" in parts:
        measure_drops(folder, n_seeds)
    if "publish" in parts:
        _publish(folder, published, is_own=is_own)


def _has_truth(folder: Path) -> bool:
    """Whether rows were left out one by one; of worlds with dealt-out values only removals are measured."""
    removals = read_removals(folder)
    return removals.filter(pl.col("seed") == SEEDS["truth"][0], pl.col("places").list.len() == 1).height > 0


def best_peer(folder: Path) -> str:
    """The gradient peer to give retrains to: of those that a world has, the best by mean nDCG@10 on the development worlds."""
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


def _publish(folder: Path, out: Path, *, is_own: bool) -> None:
    """Everything that the table is made of, without models."""
    out.mkdir(parents=True, exist_ok=True)
    rows, queries = (pl.read_parquet(folder / f"{file}.parquet") for file in ("rows", "queries"))
    facts = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    del facts["order"]  # numpy.random.default_rng([seed, epoch]).permutation(n_rows): for peers, which lack our code
    if not is_own:
        rows, facts = rows.select("place", "family", "kind"), {**facts, "planted": []}
        queries = queries.select(
            "query",
            "family",
            "targets",
            "n_same",
            "lift_nats",
            pl.struct("input_ids", "targets").map_elements(_only_targets, return_dtype=pl.List(pl.Int64)).alias("input_ids"),
            pl.col("wrong").rank("dense").cast(pl.String).alias("wrong"),
        )
    rows.write_parquet(out / "rows.parquet", compression="zstd")
    queries.write_parquet(out / "queries.parquet", compression="zstd")
    (out / "recipe.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
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


def _only_targets(query: dict[str, list[int]]) -> list[int]:
    """A query's token ids, but of the false words alone."""
    targets = frozenset(query["targets"])
    return [token if place in targets else 0 for place, token in enumerate(query["input_ids"])]


def _table(names: Sequence[str], ks: tuple[int, ...], n_seeds: int, out: Path, command: str) -> None:
    truth = out / "truth"
    worlds = {name: figures_of(truth / name, ks, n_seeds) for name in names}
    n_queries = sum(len(world.families) for world in worlds.values())
    wrong = {
        (name, word) if out != FOLDER else word
        for name in names
        for word in pl.read_parquet(truth / name / "queries.parquet")["wrong"].to_list()
    }
    more = [
        Result("queries", n_queries, "", goal="at least 40", command=command),
        Result("distinct false words", len(wrong), "", goal="at least 30", command=command),
        *_tiers(names, truth, command),
        *_linear(names, truth, n_seeds, command),
        *_exchanged(names, truth, n_seeds, command),
        *_dealt_out(truth, n_seeds, command),
        Result("p-floor of a random bank", 1 / (1 + N_BANK), "", command=command),
        *_costs(names, truth, command),
    ]
    write_table(worlds, ks, more, (out / "NOTES.md").read_text(encoding="utf-8"), out, command)


def _linear(names: Sequence[str], truth: Path, n_seeds: int, command: str) -> list[Result]:
    """How well the scores foretell what random drops of a tenth of the rows do; nothing where that was not measured."""
    families = [pl.read_parquet(truth / name / "queries.parquet")["family"].to_list() for name in names]
    found = []
    for name in names:
        scores = {method: values for method, values in load_scores(truth / name).items() if method in METHODS}
        try:
            found.append(linear_scores(truth / name, {_ALL_ORDERS: read_truth(truth / name).dataset} | scores, n_seeds))
        except KeyError:
            return []
    results = []
    for method, called in {_ALL_ORDERS: _ALL_ORDERS, **METHODS}.items():
        if all(method in of_world for of_world in found):
            mean, low, high = interval([of_world[method] for of_world in found], families)
            what = f"linear datamodelling score, {N_DROPS} drops of a tenth of the rows: {called}"
            results.append(Result(what, mean, "rank correlation", low, high, command=command))
    return results


def _exchanged(names: Sequence[str], truth: Path, n_seeds: int, command: str) -> list[Result]:
    """False words exchanged between kinds: every method is at chance if it finds what lent *these* words, and nothing else."""
    gains: dict[str, list[Scores]] = {}
    families = [pl.read_parquet(truth / name / "queries.parquet")["family"].to_list() for name in names]
    for name, of_world in zip(names, families, strict=True):
        scores = {method: values for method, values in load_scores(truth / name).items() if method in METHODS}
        random = effects(truth / name, {}, HEADLINE_K, n_seeds).random_falls.mean(axis=1)
        for method, falls in exchanged(truth / name, scores, HEADLINE_K, n_seeds, of_world).items():
            gains.setdefault(method, []).append(falls - random)
    results = []
    for method, values in gains.items():
        if len(values) == len(names):
            mean, low, high = interval(values, families)
            what = f"false words exchanged, fall of log p, top {HEADLINE_K} removed, minus random: {METHODS[method]}"
            results.append(Result(what, mean, "nats", low, high, "chance: 0", command))
    return results


def _dealt_out(truth: Path, n_seeds: int, command: str) -> list[Result]:
    """Removals in worlds whose planted values were dealt out anew among the rows before tuning."""
    folders = sorted(folder for folder in truth.glob("*s") if (folder / "scores.parquet").exists())
    gains: dict[str, list[Scores]] = {}
    for folder in folders:
        scores = {name: values for name, values in load_scores(folder).items() if name in METHODS}
        found = effects(folder, scores, HEADLINE_K, n_seeds)
        for name in scores:
            gains.setdefault(name, []).append(found.falls[name].mean(axis=1) - found.random_falls.mean(axis=1))
    families = [pl.read_parquet(folder / "queries.parquet")["family"].to_list() for folder in folders]
    results = []
    for name, values in gains.items():
        mean, low, high = interval(values, families)
        what = f"values dealt out anew, fall of log p, top {HEADLINE_K} removed, minus random: {METHODS[name]}"
        results.append(Result(what, mean, "nats", low, high, "", command))
    return results


def _tiers(names: Sequence[str], truth: Path, command: str) -> list[Result]:
    """How many of the rows of tier T2 have a measured effect, beside as many rows per query that other rankings put first."""
    hits = named = true = holders = held_true = n_pairs = 0
    controls = dict.fromkeys(
        ("tunescope", "tunescope-forward", "ekfac", "tracin-cp", "tunescope-static", "encoder", "bm25"), 0.0
    )
    for name in names:
        is_true = true_rows(read_truth(truth / name).effects)
        scores = load_scores(truth / name)
        is_named, is_holder = scores[T2] > 0, scores["holders"] > 0
        hits, named, true = hits + int((is_true & is_named).sum()), named + int(is_named.sum()), true + int(is_true.sum())
        holders, held_true = holders + int(is_holder.sum()), held_true + int((is_true & is_holder).sum())
        n_pairs += is_true.size
        for method in controls:
            for query, n_named in enumerate(is_named.sum(axis=1).tolist()):
                controls[method] += is_true[query][list(top_rows(scores[method][query], n_named, 0))].sum()
    what = "have a measured effect"
    as_many = "as many rows per query as reach T2"
    return [
        Result("rows of tier T2", named, "rows", command=command),
        Result(f"rows of tier T2 that {what}", hits / max(named, 1), "share", command=command),
        *(
            Result(f"{as_many}, first by {METHODS[method]}, that {what}", count / max(named, 1), "share", command=command)
            for method, count in controls.items()
        ),
        Result(f"rows that hold the word that {what}", held_true / holders, "share", command=command),
        Result(f"rows that {what}", true / n_pairs, "share", command=command),
        Result("rows with a measured effect that reach tier T2", hits / max(true, 1), "share", command=command),
    ]


def _costs(names: Sequence[str], truth: Path, command: str) -> list[Result]:
    """Seconds and bytes of every method for one tuned model; each was timed once in every world, by the wall."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name in names:
        for cost in json.loads((truth / name / "costs.json").read_text(encoding="utf-8")):
            found.setdefault(cost["method"], []).append(cost)
    results = []
    for method, costs in found.items():
        n_models = len(costs[0].get("seeds", SEEDS["methods"] if method in OF_ALL_MODELS else (0,)))
        for field, unit, factor in (
            ("seconds_per_query", "ms", 1000.0),
            ("processor_seconds_per_query", "ms", 1000.0),
            ("seconds_index", "s", 1.0),
            ("bytes_per_row", "bytes", 1.0),
        ):
            if all(field in cost for cost in costs):
                value = float(np.mean([cost[field] for cost in costs])) * factor / n_models
                what = f"{field.replace('_', ' ')}, one tuned model: {METHODS[method]}"
                results.append(Result(what, value, unit, command=command))
    return results


if __name__ == "__main__":
    main()
