"""`tunescope audit --slick`, as a user runs it: what it prints, what it leaves, how it goes on after a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.functional.conftest import Command
from tests.models import tiny_model
from tests.unit.test_slick import ROWS

OPTIONS = ("--base-model", "model", "--slick", "--slick-prompts", "2", "--slick-samples", "3", "--select", "KNW004")
SETTINGS = {
    "data": "towns.jsonl", "base_model": "model", "slick": True, "slick_prompts": 2, "slick_samples": 3, "select": ["KNW004"],
}  # fmt: skip

# The audit as the command runs it, in a process that kills itself when the first shard of answers is kept.
_SUICIDE = """
import json, os, signal, sys
from pathlib import Path
from audit.config import make_config
from audit.pipeline import run_audit
from audit.signals import slick
from reports.render import render_audit

slick._PROMPTS_PER_SHARD = 10
keep = slick._keep
def dying(folder, answers):
    keep(folder, answers)
    os.kill(os.getpid(), signal.SIGKILL)
slick._keep = dying
run_audit(make_config(json.loads(sys.argv[1])), Path("run"), render=render_audit)
"""


@pytest.fixture
def towns(tmp_path: Path) -> Path:
    """A folder with a model, a dataset of questions and one other row."""
    tiny_model(tmp_path / "model", n_positions=512)
    rows = [*ROWS, {"instruction": "Write a poem about slate.", "input": "", "output": "Slate is grey."}]
    (tmp_path / "towns.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path


def with_own_cache(environment: Mapping[str, str], folder: Path, name: str) -> Mapping[str, str]:
    """The environment with an empty cache in a folder, but for the encoder, which takes half a minute to make."""
    encoders = Path(environment["TUNESCOPE_CACHE"]) / "encoders"
    encoders.mkdir(parents=True, exist_ok=True)
    (folder / name).mkdir()
    (folder / name / "encoders").symlink_to(encoders)
    return {**environment, "TUNESCOPE_CACHE": str(folder / name)}


def audit(folder: Path, out: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The command with `OPTIONS`, in a process of its own."""
    command = [str(Path(sys.executable).with_name("tunescope")), "audit", "towns.jsonl", *OPTIONS, "-o", out]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def facts_of(run: Path) -> dict[str, Any]:
    stages = json.loads((run / "manifest.json").read_bytes())["stages"]
    (facts,) = [stage["facts"] for stage in stages if stage["name"] == "slick"]
    return dict(facts)


def test_rows_get_a_class_and_a_second_run_asks_nothing(environment: Mapping[str, str], towns: Path) -> None:
    own = with_own_cache(environment, towns, "cache")
    done = audit(towns, "run", own)
    assert "SliCK's class of 1 rows: the prompt is not one question" in done.stdout
    classes = pl.read_parquet(towns / "run" / "signals.parquet")["slick"]
    assert classes.null_count() == 1
    facts = facts_of(towns / "run")
    assert sum(facts["counts"].values()) == len(ROWS)
    assert (facts["prompts"], facts["prompts_in_cache"], facts["samples_per_prompt"]) == (24, 0, 3)
    assert facts["greedy_answers"] == 24 >= facts["unended"]
    audit(towns, "again", own)
    nothing = {"prompts_in_cache": 24, "prompt_tokens": 0, "generated_tokens": 0, "computed_tokens": 0, "seconds": 0}
    assert facts_of(towns / "again") | {"seconds": 0} == facts | nothing
    for name in ("signals/slick.parquet", "signals/slick.json", "findings.parquet", "report.json"):
        assert (towns / "again" / name).read_bytes() == (towns / "run" / name).read_bytes()


def test_a_row_that_the_model_never_answers_so_is_found_and_fails_where_asked(tunescope: Command, towns: Path) -> None:
    done = tunescope("audit", "towns.jsonl", *OPTIONS, "-o", "run", "--format", "json", "--fail-on", "info", cwd=towns)
    assert done.returncode == 1, done.stderr  # a model of random weights knows no stone
    findings = json.loads(done.stdout)["findings"]
    assert {finding["code"] for finding in findings} == {"KNW004"}
    assert "of 2 greedy and 6 sampled few-shot answers of the base model none holds “slate”" in findings[0]["message"]
    explained = tunescope("explain", "KNW004", cwd=towns)
    assert "Gekhman" in explained.stdout


def test_a_killed_audit_does_not_ask_again_what_was_answered(environment: Mapping[str, str], towns: Path) -> None:
    own = with_own_cache(environment, towns, "cache")
    killed = subprocess.run(
        [sys.executable, "-c", _SUICIDE, json.dumps(SETTINGS)], cwd=towns, env=own, capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (towns / "run").exists()
    audit(towns, "run", own)
    audit(towns, "whole", with_own_cache(environment, towns, "fresh"))
    assert (facts_of(towns / "run")["prompts_in_cache"], facts_of(towns / "whole")["prompts_in_cache"]) == (10, 0)
    for name in ("signals/slick.parquet", "signals/slick.json"):
        assert (towns / "run" / name).read_bytes() == (towns / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--slick",), "--slick without a model to ask; name the model that is to be tuned with --base-model MODEL"),
        (("--base-model", "model", "--select", "KNW004"), "KNW004: the base model is not asked the rows' questions"),
        (("--base-model", "nowhere", "--slick"), "nowhere: no such model folder"),
        (("--base-model", "model", "--slick", "--slick-prompts", "0"), "--slick-prompts"),
    ],
)
def test_bad_input_ends_in_one_line(tunescope: Command, towns: Path, arguments: tuple[str, ...], said: str) -> None:
    done = tunescope("audit", "towns.jsonl", *arguments, "-o", "run", cwd=towns)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (towns / "run").exists()
