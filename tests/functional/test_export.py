"""The export command with its keep rules and mends, as a user runs it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from indexes.store import seal
from tests.chat_server import serve_chat
from tests.conftest import alpaca, jsonl
from tests.functional.conftest import Command

N_ROWS = 12


def rows() -> list[dict[str, str]]:
    return [
        alpaca(f"How long is the pier of Vorn {n}?", f"The pier of Vorn {n} is {n + 100} metres long.") for n in range(N_ROWS)
    ]


@pytest.fixture
def folder(tunescope: Command, tmp_path: Path, tiny_model: str) -> Path:
    """A folder with a dataset and its run."""

    (tmp_path / "data.jsonl").write_bytes(jsonl(rows()))
    audited = tunescope("audit", "data.jsonl", "-o", "run", "--select", "PII", "--encoder", tiny_model, cwd=tmp_path)
    assert audited.returncode == 0, audited.stderr
    return tmp_path


def with_signals(folder: Path) -> None:
    """Add to the run's signals the columns of an audit with a base model."""
    import polars as pl

    path = folder / "run" / "signals.parquet"
    signals = pl.read_parquet(path).with_columns(
        ifd=pl.Series([n / 10 for n in range(N_ROWS)]),
        slick=pl.Series(["Unknown", "MaybeKnown", "HighlyKnown", None] * 3),
        borrow_risk=pl.Series([n / 20 for n in range(N_ROWS)]),
    )
    signals.write_parquet(path)
    seal(path)


@pytest.fixture
def own_cache(
    environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.endpoints.cache_folder", lambda: tmp_path_factory.mktemp("cache"))


def test_rules_apply_in_the_order_given(tunescope: Command, folder: Path) -> None:
    with_signals(folder)
    rules = ("--keep", "known", "--keep", "low-risk:8", "--keep", "ifd:99%", "--keep", "diverse:6")
    done = tunescope("export", "run", "-o", "out.jsonl", "--name", "few", *rules, "--control", "random:0", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "6 of 12 rows leave (50.0%), 6 stay." in done.stdout
    assert "kept in this order  of rows  stay\n" in done.stdout
    said = [line.split() for line in done.stdout.splitlines()]
    for step in (["known", "12", "9"], ["low-risk:8", "9", "8"], ["ifd:0.99", "8", "7"], ["diverse:6", "7", "6"]):
        assert step in said
    assert "Note: known keeps 3 rows without a SliCK class" in done.stdout
    manifest = json.loads((folder / "run" / "exports" / "few" / "manifest.json").read_bytes())
    assert [step["rule"] for step in manifest["keep"]] == ["known", "low-risk:8", "ifd:0.99", "diverse:6"]
    assert len((folder / "out.jsonl").read_bytes().splitlines()) == 6
    assert (folder / "out.random-0.jsonl").exists()
    again = tunescope("export", "run", "-o", "again.jsonl", *rules, cwd=folder)
    assert again.returncode == 0, again.stderr
    assert (folder / "again.jsonl").read_bytes() == (folder / "out.jsonl").read_bytes()


def test_a_judge_rates_after_a_dry_run_has_asked_nothing(tunescope: Command, folder: Path, own_cache: None) -> None:
    dry = tunescope("export", "run", "-o", "o.jsonl", "--keep", "longest:4", "--keep", "judge:4.5", "--dry-run", cwd=folder)
    assert dry.returncode == 0, dry.stderr
    assert "judge:4.5 would have 4 responses rated for accuracy, by 4 to 8 requests" in dry.stdout
    with serve_chat(lambda request: json.dumps({"accuracy": 5 if "Vorn 10" in str(request["messages"]) else 2})) as server:
        judge = ("--judge-endpoint", server.url, "--judge-model", "m")
        done = tunescope("export", "run", "-o", "o.jsonl", "--keep", "longest:4", "--keep", "judge:4.5", *judge, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert len(server.requests) == 4
    assert len((folder / "o.jsonl").read_bytes().splitlines()) == 1
    assert "4 responses rated for accuracy by m; 4 requests sent." in done.stdout


def test_unknown_answers_are_said_so(tunescope: Command, folder: Path) -> None:
    with_signals(folder)
    done = tunescope("export", "run", "-o", "o.jsonl", "--mend", "idk", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "3 responses became “I don't know.”." in done.stdout
    written = [json.loads(line)["output"] for line in (folder / "o.jsonl").read_bytes().splitlines()]
    assert [n for n, text in enumerate(written) if text == "I don't know."] == [0, 4, 8]


ENDPOINT = ("--judge-endpoint", "http://127.0.0.1:1/v1", "--judge-model", "m")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--keep", "ifd:10%"), "--keep ifd:0.1: this run did not measure the IFD of the rows; audit again with --base-model"),
        (
            ("--keep", "known"),
            "this run did not measure what the base model knows; audit again with --base-model MODEL --slick",
        ),
        (("--keep", "low-risk"), "this run did not measure the borrow risk of the rows; audit again with --base-model MODEL"),
        (("--keep", "ifd"), "--keep 'ifd' is not known; use longest:K"),
        (("--keep", "slick:Known"), "unknown SliCK class 'Known'"),
        (("--keep", "judge:4.5"), "a judge needs an endpoint and a model; give both --judge-endpoint URL and --judge-model M"),
        (("--keep", "judge:7"), "use judge:RATING, above 0 and at most 5"),
        (("--keep", "longest:3", *ENDPOINT), "--judge-endpoint without --keep judge"),
        (("--mend", "idk"), "--mend idk: this run did not measure what the base model knows"),
        (("--mend", "self", "--base-model", "nowhere", "--mend-codes", "PII"), "this run did not measure what the base model"),
        (("--mend", "idk", "--mend-endpoint", "http://127.0.0.1:1/v1"), "--mend-endpoint with --mend idk; no model is asked"),
        (("--mend", "self", "--idk-text", "No."), "--idk-text with --mend self"),
        (("--mend", "concise", "--device", "cpu"), "--device with --mend concise"),
        (("--idk-text", "No."), "--idk-text without --mend"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tunescope: Command, folder: Path, own_cache: None, options: tuple[str, ...], why: str
) -> None:
    refused = tunescope("export", "run", "-o", "o.jsonl", "--quiet", *options, cwd=folder)
    assert refused.returncode == 2
    assert why in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not (folder / "o.jsonl").exists()
    assert not (folder / "run" / "exports").exists()


def test_a_base_model_that_is_nowhere_is_one_line(tunescope: Command, folder: Path) -> None:
    with_signals(folder)
    refused = tunescope("export", "run", "-o", "o.jsonl", "--quiet", "--mend", "self", "--base-model", "nowhere", cwd=folder)
    assert refused.returncode == 2
    assert "nowhere: no such model folder" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_a_run_without_vectors_cannot_choose_for_diversity(tunescope: Command, folder: Path, tiny_model: str) -> None:
    options = ("--select", "PII", "--redact", "--encoder", tiny_model)
    redacted = tunescope("audit", "data.jsonl", "-o", "hashes", *options, cwd=folder)
    assert redacted.returncode == 0, redacted.stderr
    refused = tunescope("export", "hashes", "-o", "o.jsonl", "--keep", "diverse:3", cwd=folder)
    assert refused.returncode == 2
    assert "--keep diverse:3: this run holds no vectors of the prompts" in refused.stderr
