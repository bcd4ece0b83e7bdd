"""Calibrations in a run folder: RUN/calibrations/NAME, read by the reports of later traces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from audit.rundir import Run
from audit.verify.calibration.model import Calibration

__all__ = ["KIND", "read_calibration", "store_calibration"]

KIND = "calibrations"
_CONTENT = "calibration.json"
_MANIFEST = "manifest.json"


def store_calibration(run: Run, name: str, calibration: Calibration, reports: Mapping[str, bytes]) -> Path:
    """Add a calibration to a run; the folder. The time is in its manifest alone, so that equal ones have equal bytes.

    Raises:
        InputError: The name is taken, or no plain folder name.
    """
    manifest = {"finished": datetime.now(UTC).isoformat(timespec="microseconds"), "seed": calibration.seed}
    content = TypeAdapter(Calibration).dump_json(calibration)
    return run.add(KIND, name, {_CONTENT: content, _MANIFEST: json.dumps(manifest).encode(), **reports})


def read_calibration(run: Run, name: str | None = None) -> Calibration | None:
    """A calibration of a run, by default the one that was finished last; `None` where there is none.

    Raises:
        InputError: The run has no calibration of that name.
        CorruptFileError: It is not what was written.
    """
    if name is None:
        finished = {taken: json.loads(run.read_added(KIND, taken, _MANIFEST))["finished"] for taken in run.added(KIND)}
        if not finished:
            return None
        name = max(finished, key=lambda taken: (finished[taken], taken))
    return TypeAdapter(Calibration).validate_json(run.read_added(KIND, name, _CONTENT))
