"""`tunescope calibrate` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from audit.rundir import Run
from audit.verify.calibration import read_calibration
from tests.conftest import jsonl
from tests.functional.conftest import Command
from tests.unit.test_calibrate import topical_rows

SCHEMA = json.loads((Path(__file__).parents[2] / "reports/schemas/calibration.schema.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def topical_run(tunescope: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("topics")
    (folder / "topics.jsonl").write_bytes(jsonl(topical_rows()))
    done = tunescope("audit", "topics.jsonl", "-o", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def test_a_calibration_is_printed_and_kept(tunescope: Command, topical_run: Path) -> None:
    done = tunescope("calibrate", "run", "-n", "2", "-o", "first", cwd=topical_run.parent)
    assert (done.returncode, done.stderr) == (0, "Kept in run/calibrations/first: report.html, report.json\n")
    assert "On this dataset, tracing found" in " ".join(done.stdout.split())
    again = tunescope("calibrate", "run", "-n", "2", "--format", "json", cwd=topical_run.parent)
    assert (again.returncode, again.stderr) == (0, "Kept in run/calibrations/calibration-1: report.html, report.json\n")
    jsonschema.validate(json.loads(again.stdout), SCHEMA)
    assert again.stdout.encode() == (topical_run / "calibrations" / "first" / "report.json").read_bytes()
    kept = read_calibration(Run.open(topical_run))
    assert kept is not None
    assert kept.n_per_level == 2
    assert tunescope("check-run", "run", cwd=topical_run.parent).returncode == 0


def test_what_is_wrong_is_said_in_one_line(tunescope: Command, finished_run: Path, topical_run: Path, tmp_path: Path) -> None:
    for arguments, says in (
        ((finished_run,), f"tunescope: {finished_run}: the dataset is too small to plant faults in (6 responses"),
        ((tmp_path / "nowhere",), f"tunescope: {tmp_path / 'nowhere'}: is no finished run"),
        ((topical_run, "-o", "a/b"), "tunescope: 'a/b' is no plain name"),
    ):
        done = tunescope("calibrate", *arguments, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(says), done.stderr
        assert done.stderr.count("\n") == 1
