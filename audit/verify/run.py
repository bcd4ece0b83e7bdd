"""A verification against a run: what was traced there is left out, and what the export dropped is said."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from audit.rundir import Run
from audit.trace.stored import traced_prompts, traced_spans
from audit.verify.arms import read_arms
from audit.verify.judge import verify_answers
from audit.verify.verification import Verification

__all__ = ["verify_run"]


def verify_run(
    run: Run, files: Iterable[tuple[str, Path]], *, export: str | None = None, delta_points: float = 5.0
) -> Verification:
    """Judge the answers of models that were tuned on a cleaned set and on matched random removals.

    Args:
        run: The run that the cleaning came from.
        files: Arm and answer file, one per tuned model; those of one arm are its runs, in the order given.
        export: Which export the cleaned arm was tuned on.
        delta_points: The smallest difference that matters, in percentage points.

    Raises:
        InputError: The run has no such export, or the files cannot be compared.
    """
    record = json.loads(run.read_added("exports", export, "manifest.json")) if export is not None else {}
    return verify_answers(
        read_arms(files),
        traced_prompts=traced_prompts(run),
        traced_spans=traced_spans(run),
        delta_points=delta_points,
        dropped_fraction=record.get("dropped_share"),
    )
