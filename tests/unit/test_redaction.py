"""A redacted run: nowhere in its folder is a text of the dataset, and what it cannot do any more it says in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import tunescope
from audit.config import make_config
from audit.errors import InputError
from audit.export import ExportRequest, plan_export, write_export
from audit.pipeline import run_audit
from audit.redaction import load_hashing
from audit.rundir import Run
from audit.trace import Tracer
from indexes import encoders
from reports.render import render_audit
from tests.conftest import chat, jsonl, write_tiny_encoder

SECRETS = [
    "Wanda Quillfeather",
    "quillfeather@post.example",
    "TODO wandering",
    "Velltown",
    "grey heron",
    "odd role",
    "look_up_wanda",
    "thinking of Wanda",
    "private note",
    "half a broken",
]


def rows() -> list[Any]:
    call = [{"id": "c1", "type": "function", "function": {"name": "look_up_wanda", "arguments": "{}"}}]
    talk: dict[str, Any] = chat(("user", "Who is Wanda Quillfeather?"), ("assistant", "The mayor of Velltown."))
    talk["messages"][1]["reasoning_content"] = "thinking of Wanda Quillfeather"
    talk["messages"].insert(1, {"role": "assistant", "content": "", "tool_calls": call})
    talk["messages"].insert(2, {"role": "tool", "content": "grey heron", "tool_call_id": "c1", "name": "look_up_wanda"})
    return [
        talk,
        chat(("user", "What is her address?"), ("assistant", "It is quillfeather@post.example."), note="private note"),
        chat(("user", "What is her address?"), ("assistant", "It is quillfeather@post.example."), note="private note"),
        chat(("user", "Name a bird of Velltown."), ("assistant", "TODO")),
        chat(("odd role", "Name a bird."), ("assistant", "A grey heron is a bird.")),
        '{"messages": "half a broken row of Velltown"}',
        b'{"messages": [{"role": "user", "content": "half a broken',
    ]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNESCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(encoders, "_distill", lambda model, target: write_tiny_encoder(target))
    return tmp_path / "cache"


@pytest.fixture
def redacted(tmp_path: Path, tiny_model: str, cache: Path) -> Run:
    data = tmp_path / "data.jsonl"
    data.write_bytes(jsonl(rows()))
    config = make_config({"data": str(data), "encoder": tiny_model, "redact": True})
    return run_audit(config, tmp_path / "run", render=render_audit)


def texts_in(folder: Path) -> Iterator[tuple[str, str]]:
    """Every file of a folder as text; of Parquet files every value."""
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".parquet":
            yield path.name, json.dumps(pl.read_parquet(path).rows(named=True), default=lambda value: value.decode())
        elif path.is_file():
            yield path.name, path.read_bytes().decode("utf-8", "replace")


def test_no_file_of_the_run_holds_a_text_of_the_dataset(redacted: Run, tmp_path: Path) -> None:
    assert redacted.findings.height > 4
    for name, text in texts_in(redacted.path):
        assert [secret for secret in SECRETS if secret.lower() in text.lower()] == [], name
    kept = sorted(path.name for path in redacted.path.iterdir() if path.suffix != ".sha256")
    assert kept == [
        "config.yaml",
        "findings.parquet",
        "logs",
        "manifest.json",
        "report.html",
        "report.json",
        "rows.parquet",
        "signals.parquet",
        "suppressed.parquet",
    ]
    assert redacted.check() == 9
    assert not (tmp_path / "run.partial").exists()


def test_the_test_would_see_the_texts(tmp_path: Path, tiny_model: str) -> None:
    (tmp_path / "data.jsonl").write_bytes(jsonl(rows()))
    config = make_config({"data": str(tmp_path / "data.jsonl"), "encoder": tiny_model})
    whole = run_audit(config, tmp_path / "run", render=render_audit)
    seen = {secret for _, text in texts_in(whole.path) for secret in SECRETS if secret.lower() in text.lower()}
    assert seen >= set(SECRETS) - {"TODO wandering", "half a broken"}


def test_the_cache_gets_no_vector_of_it(redacted: Run, cache: Path) -> None:
    assert not list(cache.glob("vectors/**/*.npy"))
    assert any(stage["name"] == "vectors" and "dim" in stage["facts"] for stage in redacted.manifest["stages"])


def test_it_finds_what_a_whole_run_finds(redacted: Run, tmp_path: Path, tiny_model: str) -> None:
    config = make_config({"data": str(tmp_path / "data.jsonl"), "encoder": tiny_model})
    whole = run_audit(config, tmp_path / "whole", render=render_audit)
    same = ["code", "row", "turn", "severity", "value", "limit", "related", "span_start", "span_end", "fingerprint"]
    assert redacted.findings.select(same).equals(whole.findings.select(same))
    assert redacted.catalog.keys.equals(whole.corpus.keys)
    assert redacted.signals.equals(whole.signals)
    names = {check.code: check.name for check in redacted.summary.checks}
    assert redacted.findings["message"].to_list() == [f"{names[code]}." for code in redacted.findings["code"]]


def test_equal_texts_stay_equal_and_another_run_has_other_hashes(redacted: Run, tmp_path: Path) -> None:
    first, second, third = (redacted.catalog.row(number) for number in (1, 2, 3))
    assert first.messages == second.messages
    assert first.extra == second.extra
    assert first.messages[0].role == "user"
    assert len({first.messages[0].content, first.messages[1].content, third.messages[0].content}) == 3
    config = make_config(dict(redacted.settings))
    again = run_audit(config, tmp_path / "again", render=render_audit)
    assert again.catalog.row(1).messages[0].content != first.messages[0].content
    assert again.catalog.keys.equals(redacted.catalog.keys)


def test_a_hash_depends_on_a_key_that_is_drawn_once(tmp_path: Path) -> None:
    hashing = load_hashing(tmp_path / "one.key")
    assert hashing("a") == load_hashing(tmp_path / "one.key")("a") == hashing(b"a")
    assert hashing("a") != load_hashing(tmp_path / "two.key")("a")
    assert len(hashing("")) == 64


def test_an_export_reads_the_source_and_keeps_no_text_in_its_record(redacted: Run, tmp_path: Path) -> None:
    exported = write_export(plan_export(redacted, ExportRequest(drop=("DUP001", "TXT002"))), tmp_path / "cleaned.jsonl")
    lines = (tmp_path / "data.jsonl").read_bytes().splitlines(keepends=True)
    assert (tmp_path / "cleaned.jsonl").read_bytes() == b"".join([*lines[:2], *lines[4:]])
    for name, text in texts_in(exported.record):
        assert [secret for secret in SECRETS if secret.lower() in text.lower()] == [], name
    dropped = [json.loads(line) for line in (exported.record / "dropped.jsonl").read_bytes().splitlines()]
    assert [(line["index"], line["reasons"][0]["code"]) for line in dropped] == [(2, "DUP001"), (3, "TXT002")]


def test_what_needs_the_text_says_so(redacted: Run) -> None:
    for use in (
        lambda: Tracer(redacted),
        lambda: tunescope.calibrate(redacted),
        lambda: redacted.corpus,
    ):
        with pytest.raises(InputError, match=r"holds no text of the dataset.*made with --redact.*audit the data again"):
            use()


def test_a_redacted_run_is_compared_with_a_whole_one_and_takes_nothing_of_it(
    redacted: Run, tmp_path: Path, tiny_model: str
) -> None:
    config = make_config({"data": str(tmp_path / "data.jsonl"), "encoder": tiny_model})
    whole = run_audit(config, tmp_path / "whole", render=render_audit)
    (tmp_path / "edited.jsonl").write_bytes(jsonl(rows()[:2]))
    settings = {"data": str(tmp_path / "edited.jsonl"), "encoder": tiny_model, "redact": True, "previous": str(whole.path)}
    run = run_audit(make_config(settings), tmp_path / "later", render=render_audit)
    assert run.summary.changes is not None
    assert run.summary.changes.rows_gone == 5
    assert run.table("changes.parquet").height > 3
    for name, text in texts_in(run.path):
        assert [secret for secret in SECRETS if secret.lower() in text.lower()] == [], name
