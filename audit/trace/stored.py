"""Traces in a run folder: written once, read by export (blame) and verify (which prompts were traced)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from audit.rundir import Run
from audit.trace.model import BlamedRow, Trace

__all__ = ["read_blame", "store_traces", "traced_prompts", "traced_spans"]

_KIND = "traces"


def store_traces(run: Run, name: str, traces: Sequence[Trace], blame: Sequence[BlamedRow], reports: dict[str, bytes]) -> Path:
    """Add traces to a run as RUN/traces/NAME: the claims, the blamed rows, and reports made of them."""
    claims = [
        {
            "id": trace.claim.id,
            "prompt": trace.claim.prompt,
            "response": trace.claim.response,
            "spans": [s.text for s in trace.spans],
        }
        for trace in traces
    ]
    files = {
        "claims.json": json.dumps(claims, ensure_ascii=False).encode(),
        "blame.json": json.dumps([asdict(row) for row in blame], ensure_ascii=False).encode(),
        **reports,
    }
    return run.add(_KIND, name, files)


def read_blame(run: Run, name: str) -> list[BlamedRow]:
    """The blamed rows of a trace, most blamed first.

    Raises:
        InputError: The run has no trace of that name.
    """
    rows = json.loads(run.read_added(_KIND, name, "blame.json"))
    return [BlamedRow(**{**row, "claims": tuple(row["claims"])}) for row in rows]


def traced_prompts(run: Run) -> frozenset[str]:
    """The prompts of every claim that was traced over a run: no effect may be measured on them."""
    return frozenset(claim["prompt"] for name in run.added(_KIND) for claim in _claims(run, name))


def traced_spans(run: Run) -> tuple[str, ...]:
    """The texts of every span that was traced over a run, sorted."""
    return tuple(sorted({span for name in run.added(_KIND) for claim in _claims(run, name) for span in claim["spans"]}))


def _claims(run: Run, name: str) -> list[dict[str, Any]]:
    claims: list[dict[str, Any]] = json.loads(run.read_added(_KIND, name, "claims.json"))
    return claims
