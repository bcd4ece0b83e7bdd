"""The run folder: whole or not there, taken up after a kill, and checked to the last byte."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from audit.errors import CorruptFileError, InputError, StorageError, VersionError
from audit.rundir import Run, RunBuilder, next_free_run, write_table
from indexes.store import seal, write_bytes
from tests.conftest import AuditRows, alpaca

KEY = {"config": {"data": "a"}, "source": "00"}


def build(run: Path, key: Mapping[str, Any] = KEY, made: list[str] | None = None, fail_at: str = "") -> Run:
    """A run of three stages, each of which writes a file with its name; the names of those that ran are added to `made`."""
    with RunBuilder.open(run, key) as builder:

        def make(name: str) -> Mapping[str, Any]:
            if name == fail_at:
                raise KeyboardInterrupt
            if made is not None:
                made.append(name)
            folder = builder.path / ("stages" if name == "two" else "")
            write_bytes(folder / f"{name}.txt", name.encode())
            return {"length": len(name)}

        for name in ("one", "two", "three"):
            builder.stage(name, lambda name=name: make(name), [f"{'stages/' if name == 'two' else ''}{name}.txt"])
        builder.finish({"tunescope": "0.1.0"})
    return Run.open(run)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def flip_last(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_a_finished_run_holds_its_files_and_nothing_of_its_making(tmp_path: Path) -> None:
    run = build(tmp_path / "run")
    files = ["logs/audit.jsonl", "manifest.json", "one.txt", "three.txt"]
    assert [name for name in names(tmp_path / "run") if not name.endswith(".sha256")] == files
    assert names(tmp_path / "run") == sorted(files + [f"{name}.sha256" for name in files])
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert run.manifest["format"] == 1
    assert sorted(run.manifest["files"]) == ["logs/audit.jsonl", "one.txt", "three.txt"]
    assert [(stage["name"], stage["resumed"], stage["facts"]) for stage in run.manifest["stages"]] == [
        ("one", False, {"length": 3}),
        ("two", False, {"length": 3}),
        ("three", False, {"length": 5}),
    ]
    assert run.check() == 4


def test_an_interrupted_run_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    made: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "run", made=made, fail_at="three")
    assert made == ["one", "two"]
    with pytest.raises(InputError, match=r"is no finished run.*its audit was interrupted.*repeat"):
        Run.open(tmp_path / "run")
    run = build(tmp_path / "run", made=made)
    assert made == ["one", "two", "three"]
    assert [(stage["name"], stage["resumed"]) for stage in run.manifest["stages"]] == [
        ("one", True),
        ("two", True),
        ("three", False),
    ]
    attempts = [json.loads(line) for line in (run.path / "logs" / "audit.jsonl").read_text().splitlines()]
    assert [(line["stage"], "found finished" in line) for line in attempts] == [
        ("one", False),
        ("two", False),
        ("one", True),
        ("two", True),
        ("three", False),
    ]


@pytest.mark.parametrize("damaged", ["one.txt", "one.txt.sha256", "stages/one.json", "stages/one.json.sha256"])
@pytest.mark.parametrize("damage", [flip_last, Path.unlink])
def test_a_stage_that_was_damaged_by_the_kill_is_made_again(
    tmp_path: Path, damaged: str, damage: Callable[[Path], None]
) -> None:
    made: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "run", made=made, fail_at="three")
    damage(tmp_path / "run.partial" / damaged)
    assert build(tmp_path / "run", made=made).check() == 4
    assert made == ["one", "two", "one", "three"]


def test_a_run_killed_between_manifest_and_name_is_finished_by_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(path: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", kill)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "run")
    monkeypatch.undo()
    assert (tmp_path / "run.partial" / "manifest.json").exists()
    made: list[str] = []
    build(tmp_path / "run", made=made).check()
    assert made == []


def test_an_existing_run_is_never_touched(tmp_path: Path) -> None:
    build(tmp_path / "run")
    before = {name: (tmp_path / "run" / name).read_bytes() for name in names(tmp_path / "run")}
    with pytest.raises(InputError, match=r"run: the run folder exists; choose another with -o"):
        build(tmp_path / "run")
    assert {name: (tmp_path / "run" / name).read_bytes() for name in names(tmp_path / "run")} == before


def test_the_unfinished_work_of_other_settings_is_not_touched(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "run", fail_at="three")
    with pytest.raises(InputError, match=r"run\.partial: an unfinished audit with other settings or data lies there"):
        build(tmp_path / "run", {**KEY, "source": "11"})
    made: list[str] = []
    build(tmp_path / "run", made=made)
    assert made == ["three"]


def test_data_that_cannot_be_used_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="of no use"), RunBuilder.open(tmp_path / "run", KEY):
        raise InputError("of no use")
    assert list(tmp_path.iterdir()) == []
    build(tmp_path / "run", {**KEY, "source": "11"})


def test_another_process_on_the_same_run_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "run.partial").mkdir()
    script = "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print('locked', flush=True); input()"
    command = [sys.executable, "-c", script, str(tmp_path / "run.partial.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(InputError, match="run: another tunescope works on this run; wait"):
            build(tmp_path / "run")
        other.stdin.write("\n")
    build(tmp_path / "run")


def test_a_folder_that_cannot_be_made_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="the run folder cannot be written"):
        build(tmp_path / "file" / "run")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: is no finished run \(no such folder\); make one"):
        Run.open(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"is no finished run \(no manifest\.json\)"):
        Run.open(tmp_path)


def test_a_run_of_another_version_is_refused_by_name(tmp_path: Path) -> None:
    build(tmp_path / "run")
    manifest = tmp_path / "run" / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"format": 1,', b'"format": 2,'))
    seal(manifest)
    with pytest.raises(VersionError, match=r"format 2, this version reads format 1 \(written by tunescope 0\.1\.0\)"):
        Run.open(tmp_path / "run")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_model: str) -> Path:
    """A real run with an added result; to be copied."""
    from audit.config import make_config
    from audit.pipeline import run_audit

    folder = tmp_path_factory.mktemp("finished")
    (folder / "data.jsonl").write_text("\n".join(json.dumps(alpaca(f"What is {n}?", f"It is {n}.")) for n in range(6)))
    config = make_config({"data": str(folder / "data.jsonl"), "encoder": tiny_model})
    reports = {"report.html": b"<p>", "report.json": b"{}"}
    run = run_audit(config, folder / "run", render=lambda *_: reports)
    run.add("traces", "mine", {"claims.json": b"[]"})
    return folder / "run"


RUN_FILES = [
    "config.yaml",
    "findings.parquet",
    "indexes/bm25.data.npy",
    "indexes/bm25.indices.npy",
    "indexes/bm25.indptr.npy",
    "indexes/bm25.pairs.npy",
    "indexes/prompts.ids.npy",
    "indexes/prompts.languages.npy",
    "indexes/prompts.offsets.npy",
    "indexes/prompts.vectors.npy",
    "indexes/responses.ids.npy",
    "indexes/responses.languages.npy",
    "indexes/responses.offsets.npy",
    "indexes/style.expected_words.npy",
    "indexes/style.json",
    "indexes/style.looked_at.npy",
    "indexes/style.words.npy",
    "indexes/words.txt",
    "logs/audit.jsonl",
    "manifest.json",
    "report.html",
    "report.json",
    "rows.parquet",
    "signals.parquet",
    "suppressed.parquet",
    "traces/mine/claims.json",
]


def test_a_run_has_these_files(finished: Path) -> None:
    assert [name for name in names(finished) if not name.endswith(".sha256")] == RUN_FILES
    assert Run.open(finished).check() == len(RUN_FILES)


@pytest.mark.parametrize("name", RUN_FILES)
@pytest.mark.parametrize("suffix", ["", ".sha256"])
def test_one_changed_byte_anywhere_is_found_by_the_check(finished: Path, tmp_path: Path, name: str, suffix: str) -> None:
    copy = shutil.copytree(finished, tmp_path / "copy")
    run = Run.open(copy)
    flip_last(copy / (name + suffix))
    with pytest.raises(CorruptFileError, match=name.rpartition("/")[2]):
        run.check()


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_file_that_is_gone_is_found_by_the_check(finished: Path, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(finished, tmp_path / "copy")
    run = Run.open(copy)
    (copy / name).unlink()
    with pytest.raises(CorruptFileError, match=f"{name}: is missing"):
        run.check()


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("manifest.json", lambda run: run),
        ("rows.parquet", lambda run: run.corpus),
        ("findings.parquet", lambda run: run.findings),
        ("signals.parquet", lambda run: run.signals),
        ("config.yaml", lambda run: run.settings),
        ("traces/mine/claims.json", lambda run: run.read_added("traces", "mine", "claims.json")),
    ],
)
def test_one_changed_byte_is_found_when_the_file_is_used(
    finished: Path, tmp_path: Path, name: str, use: Callable[[Run], object]
) -> None:
    copy = shutil.copytree(finished, tmp_path / "copy")
    use(Run.open(copy))
    flip_last(copy / name)
    with pytest.raises(CorruptFileError, match=name.rpartition("/")[2]):
        use(Run.open(copy))


def test_every_changed_index_is_found_when_a_trace_uses_it(finished: Path, tmp_path: Path) -> None:
    from audit.materials import Materials

    uses: dict[str, Callable[[Materials], object]] = {
        "bm25.data.npy": lambda materials: materials.bm25,
        "bm25.indices.npy": lambda materials: materials.bm25,
        "bm25.indptr.npy": lambda materials: materials.bm25,
        "bm25.pairs.npy": lambda materials: materials.bm25,
        "prompts.ids.npy": lambda materials: materials.prompt_words,
        "prompts.offsets.npy": lambda materials: materials.prompt_words,
        "prompts.vectors.npy": lambda materials: materials.prompt_vectors,
        "responses.ids.npy": lambda materials: materials.phrases,
        "responses.offsets.npy": lambda materials: materials.phrases,
        "words.txt": lambda materials: materials.phrases,
    }
    for name, use in uses.items():
        copy = shutil.copytree(finished, tmp_path / name)
        flip_last(copy / "indexes" / name)
        with pytest.raises(CorruptFileError, match=name):
            use(Materials(copy, Run.open(copy).corpus))


def test_a_file_replaced_together_with_its_checksum_is_found(finished: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(finished, tmp_path / "copy")
    write_bytes(copy / "report.json", b'{"all": "well"}')
    with pytest.raises(CorruptFileError, match=r"report\.json: was replaced after the run was finished"):
        Run.open(copy).check()


def test_what_a_killed_trace_left_behind_is_no_part_of_the_run(finished: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(finished, tmp_path / "copy")
    (copy / "traces" / "half.partial").mkdir()
    (copy / "traces" / "half.partial" / "claims.json.tmp").write_bytes(b"[")
    run = Run.open(copy)
    assert run.added("traces") == ["mine"]
    assert run.check() == len(RUN_FILES)
    run.add("traces", "half", {"claims.json": b"[]"})
    assert run.added("traces") == ["half", "mine"]
    assert run.check() == len(RUN_FILES) + 1


def test_results_are_added_once_and_read_back(tmp_path: Path) -> None:
    run = build(tmp_path / "run")
    assert (run.added("traces"), run.free_name("traces", "trace")) == ([], "trace-1")
    folder = run.add("traces", "trace-1", {"a.json": b"1", "b.json": b"2"})
    assert names(folder) == ["a.json", "a.json.sha256", "b.json", "b.json.sha256"]
    assert run.read_added("traces", "trace-1", "b.json") == b"2"
    assert run.free_name("traces", "trace") == "trace-2"
    with pytest.raises(InputError, match="traces/trace-1 exists in the run; choose another name"):
        run.add("traces", "trace-1", {})
    with pytest.raises(InputError, match="no traces/other; there are: trace-1"):
        run.read_added("traces", "other", "a.json")
    with pytest.raises(InputError, match="no exports/other; there are: none"):
        run.read_added("exports", "other", "a.json")


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "a/b", ".hidden", "a b", "x.partial", "nul\0"])
def test_a_result_needs_a_plain_name(tmp_path: Path, name: str) -> None:
    run = build(tmp_path / "run")
    with pytest.raises(InputError, match="is no plain name"):
        run.add("traces", name, {"a": b""})
    assert not (run.path / "traces").exists()


def test_a_full_disk_leaves_no_half_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = build(tmp_path / "run")

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("indexes.store._sidecar_of", full)
    with pytest.raises(StorageError, match="No space left"):
        run.add("traces", "mine", {"a.json": b"1"})
    monkeypatch.undo()
    assert run.added("traces") == []
    run.check()


def test_the_next_free_run_is_counted_or_taken_up(tmp_path: Path) -> None:
    parent = tmp_path / "runs"
    assert next_free_run(parent, "data", KEY) == parent / "data-1"
    (parent / "data-4").mkdir(parents=True)
    (parent / "data-x").mkdir()
    (parent / "data-²").mkdir()
    (parent / "dataset-9").mkdir()
    assert next_free_run(parent, "data", KEY) == parent / "data-5"
    with pytest.raises(KeyboardInterrupt):
        build(parent / "data-5", fail_at="two")
    assert next_free_run(parent, "data", KEY) == parent / "data-5"
    assert next_free_run(parent, "data", {**KEY, "source": "11"}) == parent / "data-6"


@pytest.mark.parametrize("stem", ["a[1]", "what*", "**", "q?", "."])
def test_odd_file_names_have_runs_too(tmp_path: Path, stem: str) -> None:
    (tmp_path / f"{stem}-3").mkdir()
    (tmp_path / "a1-7").mkdir()
    assert next_free_run(tmp_path, stem, KEY) == tmp_path / f"{stem}-4"


def test_a_table_survives_the_disk(tmp_path: Path) -> None:
    table = pl.DataFrame({"a": [1, None], "b": [["x"], []]})
    write_table(tmp_path / "run" / "t.parquet", table)
    assert Run(tmp_path / "run", {}).table("t.parquet").equals(table)


def test_two_audits_of_one_file_differ_in_times_and_logs_alone(audit_rows: AuditRows, tmp_path: Path) -> None:
    rows = [alpaca("What is tin?", "A metal."), alpaca("What is tin?", "A metal."), "{"]
    one, other = audit_rows(rows), audit_rows(rows)
    assert one.path != other.path
    for name in names(one.path):
        if not name.startswith(("manifest.json", "logs/")):
            assert (one.path / name).read_bytes() == (other.path / name).read_bytes(), name
    assert one.findings.height == 2
