"""A run that was interrupted, or found its vectors in the cache, is the run that was not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from audit.config import make_config
from audit.corpus import Corpus
from audit.pipeline import run_audit
from audit.pocket import demo_dataset
from audit.rundir import Run
from audit.style.build import Style
from audit.summary import Aside, AuditSummary
from indexes import encoders
from indexes.encoders import encode_cached, load_static
from indexes.store import read_array
from tests.conftest import jsonl, write_tiny_encoder

TEXTS = ["Which metal is it?", "", "a ferry", "Which metal is it?", "bread"]


class Killed(BaseException):
    """As a kill would, it ends the work without any handler."""


def render(
    summary: AuditSummary,
    corpus: Corpus,
    findings: pl.DataFrame,
    signals: pl.DataFrame,
    aside: Aside,
    style: Style | None,
) -> Mapping[str, bytes]:
    return {"report.json": f"{summary} {findings.height} {signals.height} {len(corpus)}".encode(), "report.html": b"<p>"}


def files_of(run: Run) -> dict[str, bytes]:
    """Every file but those that tell times."""
    paths = (path for path in run.path.rglob("*") if path.is_file())
    files = {path.relative_to(run.path).as_posix(): path.read_bytes() for path in paths}
    return {name: content for name, content in files.items() if not name.startswith(("manifest.json", "logs/"))}


def test_a_run_killed_after_any_stage_and_taken_up_is_the_run_that_was_not(tmp_path: Path, tiny_model: str) -> None:
    (tmp_path / "data.jsonl").write_bytes(jsonl(demo_dataset().lines[-60:]))
    config = make_config({"data": str(tmp_path / "data.jsonl"), "encoder": tiny_model})
    stages: list[str] = []
    fresh = run_audit(config, tmp_path / "fresh", render=render, progress=lambda name, *_: stages.append(name))
    expected = files_of(fresh)
    assert len(stages) > 10
    assert fresh.findings.height > 5
    for number, stage in enumerate(stages):

        def kill(name: str, *_: int, stage: str = stage) -> None:
            if name == stage:
                raise Killed

        out = tmp_path / f"killed-{number}"
        with pytest.raises(Killed):
            run_audit(config, out, render=render, progress=kill)
        resumed = run_audit(config, out, render=render)
        assert files_of(resumed) == expected, stage
        assert [done["resumed"] for done in resumed.manifest["stages"]] == [n < number for n in range(len(stages))]
        assert resumed.check() == fresh.check()


def test_an_audit_repeated_by_its_own_configuration_is_the_same(demo_run: Run, tmp_path: Path) -> None:
    again = run_audit(make_config(dict(demo_run.settings)), tmp_path / "again", render=lambda *_: {})
    assert files_of(again) == files_of(demo_run)
    assert again.manifest["files"].keys() == demo_run.manifest["files"].keys()


def test_vectors_from_the_cache_are_those_computed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: str
) -> None:
    monkeypatch.setattr(encoders, "_distill", lambda model, target: write_tiny_encoder(target))
    found = []
    for cache, orders in (("one", [TEXTS]), ("two", [TEXTS[3:], TEXTS[:2], TEXTS])):
        monkeypatch.setenv("TUNESCOPE_CACHE", str(tmp_path / cache))
        encoder = load_static(tiny_model)
        found += [encode_cached(encoder, order) for order in orders][-1:]
        found.append(encoder.encode(TEXTS).astype(found[0].dtype))
    for vectors in found[1:]:
        assert vectors.tobytes() == found[0].tobytes()


def test_the_vectors_of_a_run_do_not_depend_on_what_the_cache_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: str
) -> None:
    monkeypatch.setattr(encoders, "_distill", lambda model, target: write_tiny_encoder(target))
    lines = demo_dataset().lines[:80]
    vectors = []
    for number, before in enumerate(([], lines[40:60], lines)):
        monkeypatch.setenv("TUNESCOPE_CACHE", str(tmp_path / f"cache-{number}"))
        for part, name in ((before, "before"), (lines, "all")):
            data = tmp_path / f"{name}-{number}.jsonl"
            data.write_bytes(jsonl(part))
            if part:
                config = make_config({"data": str(data), "encoder": tiny_model, "select": ["TXT"]})
                run = run_audit(config, tmp_path / f"run-{name}-{number}", render=lambda *_: {})
        vectors.append(read_array(run.path / "indexes" / "prompts.vectors.npy").tobytes())
    assert vectors[0] == vectors[1] == vectors[2]
