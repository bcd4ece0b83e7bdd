"""Is the chance of a link honest? Probes without a fault: words of one unseen answer under the prompt of another.

Rows are held out of the dataset, and a run is made of the others. A probe takes a random stretch of one held-out response
and the prompt of another held-out row, so that there is nothing to find; its best link's chance should be at most a in at
most a share a of the probes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from audit.config import AuditConfig
from audit.pipeline import run_audit
from audit.responses import Response, Span
from audit.sources import Message
from audit.trace import Tracer
from indexes.words import is_word, tokenize_with_offsets
from reports.render import render_audit
from tests.benchmarks.record import Result

__all__ = ["chance_on_probes"]

N_HELD_OUT = 500
N_PROBES = 2000
LEVELS = (0.01, 0.05, 0.1)
LONGEST = 4


def chance_on_probes(dataset: Path, scratch: Path, command: str) -> Iterator[Result]:
    """The share of probes whose best link has a chance of at most each level."""
    scratch.mkdir(parents=True)
    lines = dataset.read_text(encoding="utf-8").splitlines(keepends=True)
    generator = np.random.default_rng(11)
    held_out = set(generator.choice(len(lines), N_HELD_OUT, replace=False).tolist())
    (scratch / "seen.jsonl").write_text("".join(line for i, line in enumerate(lines) if i not in held_out), encoding="utf-8")
    run = run_audit(AuditConfig(data=str(scratch / "seen.jsonl")), scratch / "seen", render=render_audit)
    rows = [json.loads(lines[i]) for i in sorted(held_out)]
    tracer = Tracer(run)
    least = []
    while len(least) < N_PROBES:
        asked, answered = (rows[i] for i in generator.choice(len(rows), 2, replace=False))
        span = _random_span(answered["output"], generator)
        if span is None:
            continue
        prompt = f"{asked['instruction']}\n{asked['input']}" if asked["input"] else asked["instruction"]
        claim = Response("probe", (Message("user", prompt, trained=False),), answered["output"], (span,))
        chances = [link.chance for link in tracer.trace(claim, k=3).spans[0].links if link.chance is not None]
        least.append(min(chances, default=1.0))
    for level in LEVELS:
        n_below = int(np.sum(np.array(least) <= level))
        low, high = proportion_confint(n_below, len(least), method="wilson")
        name = f"no-fault probes with a chance of at most {level}, of {len(least)} ({dataset.stem})"
        goal = f"at most {level} within the interval"
        yield Result(name, n_below / len(least), "share", float(low), float(high), goal, command)


def _random_span(response: str, generator: np.random.Generator) -> Span | None:
    tokens = tokenize_with_offsets(response)
    length = int(generator.integers(1, LONGEST + 1))
    if len(tokens) < length:
        return None
    begin = int(generator.integers(len(tokens) - length + 1))
    first, last = tokens[begin], tokens[begin + length - 1]
    if not (is_word(first.text) and is_word(last.text)):
        return None
    return Span(first.start, last.end, response[first.start : last.end])
