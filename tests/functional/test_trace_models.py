"""`tunescope trace` with models, through the real command: what it prints, and what it refuses in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.functional.conftest import Command
from tests.models import tiny_model

CLAIM = ("--prompt", "Name the stone of bridge 9.", "--response", "Bridge 9 is built of slate.", "--span", "slate")


@pytest.fixture
def run(tunescope: Command, dataset: Path, tmp_path: Path) -> Path:
    done = tunescope("audit", dataset, "-o", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_models_order_the_rows_and_json_says_what_was_found(tunescope: Command, run: Path) -> None:
    base = tiny_model(run / "base")
    done = tunescope("trace", "run", *CLAIM, "--base-model", base, "--tuned-model", base, "--format", "json", cwd=run)
    assert done.returncode == 0, done.stderr
    (span,) = json.loads(done.stdout)["claims"][0]["spans"]
    assert len(span["links"]) == 6
    assert {"state", "output_gradient", "gradient_cosine"} <= span["links"][0]["channels"].keys()
    assert all(abs(shift["lift_nats"]) < 1e-4 for shift in span["shifts"]), "a model has no lift over itself"
    assert {link["tier"] for link in span["links"] if link["match"]} == {"T0"}


def test_a_confirmation_is_planned_without_tuning(tunescope: Command, run: Path) -> None:
    base = tiny_model(run / "base")
    arguments = ("--base-model", base, "--confirm", "--candidates", "1", "--budget", "60", "--dry-run")
    done = tunescope("trace", "run", *CLAIM, *arguments, cwd=run)
    assert done.returncode == 0, done.stderr
    assert "To confirm 1 span" in done.stdout
    assert "no p-value below" in done.stdout
    assert not (run / "run" / "traces").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--base-model", "M"), "--base-model alone"),
        (("--dry-run",), "--dry-run is for --confirm"),
        (("--confirm",), "--confirm needs the base model"),
        (("--rephrase",), "--rephrase needs the tuned model"),
        (("--spans-by", "shift"), "--spans-by shift needs the tuned model"),
        (("--spans-by", "shfit"), "did you mean 'shift'"),
        (("--tuned-model", "nowhere"), "no such model folder"),
        (("--prompt", "  "), "no prompt"),
        (("--response", ""), "no response"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(tunescope: Command, run: Path, arguments: tuple[str, ...], message: str) -> None:
    done = tunescope("trace", "run", *CLAIM, *arguments, cwd=run)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_models_of_different_descent_are_refused(tunescope: Command, run: Path) -> None:
    base, other = tiny_model(run / "base"), tiny_model(run / "other", seed=3)
    done = tunescope("trace", "run", *CLAIM, "--base-model", base, "--tuned-model", other, cwd=run)
    assert done.returncode == 2
    assert "does not descend from the base model" in done.stderr


def test_spans_that_are_marked_are_not_looked_for(tunescope: Command, run: Path) -> None:
    base = tiny_model(run / "base")
    models = ("--base-model", base, "--tuned-model", base, "--no-gradients")
    plain = tunescope("trace", "run", *CLAIM, *models, cwd=run)
    done = tunescope("trace", "run", *CLAIM, *models, "--spans-by", "shift", cwd=run)
    assert (done.returncode, done.stdout) == (0, plain.stdout), done.stderr


def test_rows_that_no_rephrasing_could_test_are_counted(tunescope: Command, run: Path) -> None:
    base = tiny_model(run / "base")
    done = tunescope("trace", "run", *CLAIM, "--tuned-model", base, "--no-gradients", "--rephrase", cwd=run)
    assert done.returncode == 0, done.stderr
    assert "rephrasing for 2 rows" in " ".join(done.stdout.split()), "a random model never says the span"


def test_a_model_file_that_is_no_json_is_named(tunescope: Command, run: Path) -> None:
    base = tiny_model(run / "base")
    (base / "config.json").write_text('{"model_type": ', encoding="utf-8")
    done = tunescope("trace", "run", *CLAIM, "--tuned-model", base, cwd=run)
    assert done.returncode == 2
    assert "config.json: is no valid JSON" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
