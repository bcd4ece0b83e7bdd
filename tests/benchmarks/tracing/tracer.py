"""tunescope itself as a method: the ranking that `tunescope trace` gives, through the same calls as the command."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

import tunescope
from audit.responses import Response, Span
from audit.sources import Message
from audit.trace import Tier, Tracer
from audit.trace.influence import ModelEvidence
from audit.tune.optimizer_state import SecondMoments
from tests.benchmarks.tracing.build import SEEDS, BuiltWorld
from tests.benchmarks.tracing.methods import Costs, Scores, moments_of, write_scores

__all__ = ["trace_world"]


def trace_world(world: BuiltWorld) -> None:
    """Write the scores of tunescope with words and concepts alone, with forward passes, and with gradients.

    A row's score is minus its rank among the links, averaged over the tuned models.
    """
    costs = Costs()
    claims = list(_claims(world))
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "rows.jsonl"
        records = world.row_facts.select("prompt", "response").iter_rows()
        data.write_text("".join(json.dumps({"instruction": p, "output": r}) + "\n" for p, r in records), encoding="utf-8")
        tunescope.audit(str(data), out=Path(scratch) / "run")
        run = tunescope.open_run(Path(scratch) / "run")
        with costs.asking("tunescope-static"):
            write_scores(world.folder, "tunescope-static", _ranks(world, Tracer(run), claims), None)
        base = world.model()
        sums: dict[str, Scores] = {}
        for seed in SEEDS["methods"]:
            tuned = world.model(f"tuned/seed-{seed}")
            moments: SecondMoments = moments_of(world.folder / "tuned" / f"seed-{seed}")
            for name, gradients in (("tunescope-forward", False), ("tunescope", True)):
                models = ModelEvidence(run, tuned, base, second_moments=moments, gradients=gradients)
                with costs.indexing(name):
                    shutil.rmtree(models.index_folder, ignore_errors=True)
                    index = models.index
                costs.bytes_per_row[name] = index.n_bytes / index.n_rows
                began = time.perf_counter()
                tracer = Tracer(run, models=models)
                ranks = _ranks(world, tracer, claims)
                costs.query[name] = costs.query.get(name, 0.0) + time.perf_counter() - began
                sums[name] = sums.get(name, np.zeros_like(ranks)) + ranks / len(SEEDS["methods"])
                if gradients and seed == SEEDS["methods"][0]:
                    write_scores(world.folder, "tunescope-t2", _lenders(world, tracer, claims))
    for name, values in sums.items():
        costs.query[name] /= len(SEEDS["methods"])
        costs.index[name] /= len(SEEDS["methods"])
        write_scores(world.folder, name, values, costs)


def _ranks(world: BuiltWorld, tracer: Tracer, claims: list[Response]) -> Scores:
    ranks = np.full((len(claims), len(world.rows)), -float(len(world.rows) + 1))
    for number, claim in enumerate(claims):
        links = tracer.trace(claim, k=None).spans[0].links
        for rank, link in enumerate(links, start=1):
            ranks[number, link.row] = -rank
    return ranks


def _lenders(world: BuiltWorld, tracer: Tracer, claims: list[Response]) -> Scores:
    """1 for rows whose link reaches tier T2, 0 for others."""
    named = np.zeros((len(claims), len(world.rows)))
    for number, claim in enumerate(claims):
        for link in tracer.trace(claim, k=None).spans[0].links:
            named[number, link.row] = float(link.tier is Tier.T2)
    return named


def _claims(world: BuiltWorld) -> list[Response]:
    claims = []
    for number, prompt, response, wrong in world.queries.select("query", "prompt", "response", "wrong").iter_rows():
        start = response.index(wrong)
        message = Message("user", prompt, trained=False)
        span = Span(start, start + len(wrong), wrong)
        claims.append(Response(f"query-{number}", (message,), response, (span,)))
    return claims
