"""bergson: TrackStar, the cosine of gradients after whitening by the autocorrelation of the rows' gradients.

Chang et al. (2024), "Scalable influence and fact tracing for large language model pretraining". Gradients of every
linear layer but the output's are scaled by Adam's second moments and projected at random on both sides.

    python -m tests.benchmarks.tracing.peers.trackstar WORLD [--dimensions 16] [--damping 0.1]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import warnings
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from bergson.cli.commands import Hessian
from bergson.cli.trackstar import trackstar
from bergson.config.config import (
    DataConfig,
    HessianConfig,
    InversionConfig,
    PreprocessConfig,
    QuerySetConfig,
    TrackstarConfig,
    TrackstarIndexConfig,
)
from bergson.config.config_io import save_run_config
from bergson.data import load_scores
from bergson.hessians.hessian_approximations import approximate_hessians
from datasets import Dataset, disable_progress_bars
from safetensors.torch import load_file

from tests.benchmarks.tracing.peers.exchange import Clock, Peer, Tokens, arguments, leave_scores, read_model, read_world


def main() -> None:
    """Score every row for every query, averaged over the tuned models."""
    options = _options()
    disable_progress_bars()
    warnings.filterwarnings("ignore")
    world = read_world(options.world, options.seeds)
    clock, per_seed = Clock(), {}
    bytes_fixed = 0
    for seed in world.seeds:
        with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
            folder = Path(scratch)
            rows, queries = _dataset(world.rows, folder / "rows"), _dataset(world.queries, folder / "queries")
            model = read_model(world.tuned(seed))
            index = TrackstarIndexConfig(
                run_path=str(folder / "run"),
                model=str(world.tuned(seed)),
                precision="fp32",
                data=DataConfig(dataset=str(rows)),
                projection_dim=options.dimensions,
                token_batch_size=model.config.max_position_embeddings,
                optimizer_state=_optimizer_state(world.tuned(seed), folder) if options.second_moments else "",
            )
            how = TrackstarConfig(
                query=QuerySetConfig(dataset=str(queries)),
                preprocess_cfg=PreprocessConfig(
                    unit_normalize=not options.dot, inversion_cfg=InversionConfig(damping_factor=options.damping)
                ),
                mix_hessians=options.mix > 0,
                target_downweight_components=options.mix,
                stats_sample_size=None,
                resume=True,
            )
            with clock.measure("index"):
                _fit(index)
            with clock.measure("query"):
                trackstar(index, how)
            scores = np.asarray(load_scores(folder / "run" / "scores")[:], np.float64)
            per_seed[seed] = scores.reshape(len(world.rows), len(world.queries)).T
            bytes_fixed += sum(path.stat().st_size for path in (folder / "run" / "value_hessian").rglob("*.pth"))
    settings = {
        "projection of each layer": f"{options.dimensions} x {options.dimensions}",
        "damping, share of the mean eigenvalue": options.damping,
        "mixed with the queries' autocorrelation down to component": options.mix or None,
        "normalised": not options.dot,
        "scaled by Adam's second moments": options.second_moments,
    }
    notes = (
        "linear layers without the output layer",
        "the pass over the rows' gradients is repeated for every set of queries, none is kept",
    )
    leave_scores(
        world,
        Peer(options.method, "bergson", settings, notes),
        np.mean(list(per_seed.values()), axis=0),
        clock,
        bytes_per_row=0,
        bytes_fixed=bytes_fixed,
        folder=options.scores,
        per_seed=per_seed,
    )


def _dataset(sequences: tuple[Tokens, ...], folder: Path) -> Path:
    Dataset.from_dict(
        {
            "input_ids": [list(sequence.input_ids) for sequence in sequences],
            "labels": [list(sequence.labels) for sequence in sequences],
            "length": [len(sequence.input_ids) for sequence in sequences],
        }
    ).save_to_disk(str(folder))
    return folder


def _optimizer_state(tuned: Path, folder: Path) -> str:
    """Adam's second moments of a tuned model, written as a file of torch's optimizer, of which bergson reads these alone."""
    moments = load_file(tuned / "second_moments.safetensors")
    state = {number: {"exp_avg_sq": value, "param_name": name} for number, (name, value) in enumerate(moments.items())}
    path = folder / "optimizer.pt"
    torch.save({"state": state, "param_groups": [{"params": list(state)}]}, path)
    return str(path)


def _fit(index: TrackstarIndexConfig) -> None:
    """The first step of `trackstar`, which then finds its result and goes on from there."""
    own = deepcopy(index)
    own.run_path = f"{index.run_path}/value_hessian"
    how = HessianConfig(method="autocorrelation")
    save_run_config(Hessian(hessian_cfg=how, index_cfg=own), own.partial_run_path)
    approximate_hessians(own, how)


def _options() -> argparse.Namespace:
    parser = arguments("bergson: TrackStar", "bergson-trackstar")
    parser.add_argument("--dimensions", type=int, default=16, help="of the projection, on each side of a layer")
    parser.add_argument("--damping", type=float, default=0.1, help="share of the mean eigenvalue added to each")
    parser.add_argument("--mix", type=int, default=0, help="mix in the queries' own down to this component; 0 for not at all")
    parser.add_argument(
        "--no-second-moments", dest="second_moments", action="store_false", help="do not scale gradients as Adam would"
    )
    parser.add_argument("--dot", action="store_true", help="do not normalise")
    return parser.parse_args()


if __name__ == "__main__":
    main()
