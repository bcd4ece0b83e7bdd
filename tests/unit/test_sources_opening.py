"""Where bytes come from: names, patterns, folders, standard input, the hub and URLs; and audits and exports of them."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import http.server
import io
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pyarrow as pa
import pytest

import tunescope
from audit.corpus import Corpus, write_corpus
from audit.errors import InputError
from audit.export import ExportRequest, plan_export, write_export
from audit.rundir import Run
from audit.sources import Container, Data, open_source
from indexes.store import write_file
from tests.conftest import alpaca, chat, jsonl

ROWS = [alpaca(f"What is {n}?", f"It is {n}.") for n in range(6)]
Names = list[tuple[str, Container]]


def names(data: Data) -> Names:
    with open_source(data) as source:
        return [(file.name, file.container) for file in source.files]


def lay(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def read(folder: Path, data: Data, **options: Any) -> Corpus:
    rows = folder / "read.rows.parquet"
    write_file(rows, lambda file: write_corpus(data, file, **options))
    return Corpus.load(rows)


def ids(corpus: Corpus) -> list[str]:
    return [str(row.id) for row in corpus]


class Piped(io.TextIOWrapper):
    """Standard input with some bytes in it."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))


# --- names, patterns, folders ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "a b.jsonl",
        "*.jsonl",
        "a[1]?.jsonl",
        "a\nb.jsonl",
        "#1.jsonl",
        "é😀.jsonl",
        "-.jsonl",
        "org@x:y.jsonl",
        "100%.jsonl",
        "'\".jsonl",
    ],
)
def test_a_file_that_exists_is_meant_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    lay(tmp_path, {name: jsonl(ROWS[:1]), "other.jsonl": jsonl(ROWS[1:2])})
    assert names(str(tmp_path / name)) == [(name, Container.JSONL)]
    corpus = read(tmp_path, tmp_path / name)
    assert ids(corpus) == [f"{name}#0"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are no Unicode")
def test_a_name_that_is_no_unicode_can_be_stored(tmp_path: Path) -> None:
    name = os.fsdecode(b"a\xff.jsonl")
    lay(tmp_path, {name: jsonl(ROWS[:1])})
    assert ids(read(tmp_path, str(tmp_path / name))) == ["a\\xff.jsonl#0"]


def test_a_pattern_means_the_files_that_fit_it_in_order(tmp_path: Path) -> None:
    lay(tmp_path, {f"{name}.jsonl": jsonl(ROWS[:1]) for name in ("b", "a", "c10", "c2")})
    (tmp_path / "d.jsonl").mkdir()
    found = names(str(tmp_path / "*.jsonl"))
    assert [name for name, _ in found] == ["a.jsonl", "b.jsonl", "c10.jsonl", "c2.jsonl"]
    lay(tmp_path, {"deep/er/x.csv": b"instruction,output\na,b\n"})
    assert names(str(tmp_path / "**" / "*.csv")) == [("x.csv", Container.CSV)]


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("*.jsonl", r"\*\.jsonl: no file fits the pattern"),
        ("nowhere.jsonl", r"nowhere\.jsonl: no such file; check the path"),
        ("nowhere", "nowhere: no such file"),
        ("a/b/c", "a/b/c: no such file"),
        ("", "no dataset is named"),
        ("x" * 5000, "cannot be read"),
        ("README.md", r"unknown kind of file '\.md'"),
    ],
)
def test_what_is_nowhere_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, message: str) -> None:
    monkeypatch.chdir(lay(tmp_path, {"README.md": b"# x"}))
    with pytest.raises(InputError, match=message):
        names(named)
    with pytest.raises(InputError, match="no dataset is named"):
        names([])


def test_files_of_several_folders_are_known_below_the_common_one(tmp_path: Path) -> None:
    lay(tmp_path, {"a/x.jsonl": jsonl(ROWS[:2]), "b/c/x.jsonl": jsonl(ROWS[2:3])})
    given = [tmp_path / "a" / "x.jsonl", tmp_path / "b" / "c" / "x.jsonl", str(tmp_path / "a" / ".." / "a" / "x.jsonl")]
    assert [name for name, _ in names(given[:2])] == ["a/x.jsonl", "b/c/x.jsonl"]
    corpus = read(tmp_path, given[:2])
    assert ids(corpus) == ["a/x.jsonl#0", "a/x.jsonl#1", "b/c/x.jsonl#0"]
    assert corpus.rows["row"].to_list() == [0, 1, 2]


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    lay(tmp_path, {"a.jsonl": jsonl(ROWS[:1]), "b.jsonl": jsonl(ROWS[1:2])})
    assert [name for name, _ in names([tmp_path / "b.jsonl", str(tmp_path / "*.jsonl")])] == ["b.jsonl", "a.jsonl"]


def test_a_folder_means_its_files_of_rows_and_splits_keep_their_names(tmp_path: Path) -> None:
    folder = lay(
        tmp_path / "set",
        {
            "README.md": b"# x",
            "dataset_info.json": b"{}",
            ".cache/x.jsonl": jsonl(ROWS),
            "_old/x.jsonl": jsonl(ROWS),
            "train.jsonl": jsonl(ROWS[:2]),
            "test.jsonl.gz": gzip.compress(jsonl(ROWS[2:3]), mtime=0),
            "more/valid.json": json.dumps(ROWS[3:4]).encode(),
            "empty.jsonl": b"",
        },
    )
    assert names(folder) == [
        ("empty.jsonl", Container.JSONL),
        ("more/valid.json", Container.JSON),
        ("test.jsonl.gz", Container.JSONL),
        ("train.jsonl", Container.JSONL),
    ]
    assert ids(read(tmp_path, folder)) == ["more/valid.json#0", "test.jsonl.gz#0", "train.jsonl#0", "train.jsonl#1"]
    with open_source(folder) as source:
        assert (source.name, source.stem, source.container) == ("set", "set", "jsonl, json")
    with pytest.raises(InputError, match="the folder holds no file of rows"):
        names(lay(tmp_path / "none", {"README.md": b"# x"}))
    with pytest.raises(InputError, match="the file is empty"):
        names(folder / "empty.jsonl")


def test_a_folder_of_save_to_disk_is_read_split_by_split(tmp_path: Path) -> None:
    import datasets  # not above: it reads from the environment whether to stay offline

    datasets.disable_progress_bars()
    splits = {"train": datasets.Dataset.from_list(ROWS[:4]), "test": datasets.Dataset.from_list(ROWS[4:])}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved", num_shards={"train": 2, "test": 1})
    assert ids(read(tmp_path, tmp_path / "saved")) == [
        "train/data-00000-of-00002.arrow#0",
        "train/data-00000-of-00002.arrow#1",
        "train/data-00001-of-00002.arrow#0",
        "train/data-00001-of-00002.arrow#1",
        "test/data-00000-of-00001.arrow#0",
        "test/data-00000-of-00001.arrow#1",
    ]
    corpus = read(tmp_path, tmp_path / "saved" / "test")
    assert [row.messages[1].content for row in corpus] == ["It is 4.", "It is 5."]
    (tmp_path / "saved" / "test" / "state.json").write_text("{}")
    with pytest.raises(InputError, match="test: is no whole folder of save_to_disk"):
        names(tmp_path / "saved")


@pytest.mark.parametrize(
    ("given", "stem"),
    [
        ("data.jsonl", "data"),
        ("data.v2.jsonl.gz", "data.v2"),
        ("a b*.jsonl", "a-b"),
        ("*.jsonl", "data"),
        ("😀.jsonl", "data"),
    ],
)
def test_a_run_folder_is_called_after_the_data(tmp_path: Path, given: str, stem: str) -> None:
    lay(tmp_path, {given: jsonl(ROWS)})
    with open_source(tmp_path / given) as source:
        assert source.stem == stem


# --- several formats and descriptions -------------------------------------------------------------------------------


def test_files_of_one_dataset_may_differ_in_format_and_are_read_each_in_its_own(tmp_path: Path) -> None:
    files = {"a.jsonl": jsonl(ROWS[:2]), "b.jsonl": jsonl([chat(("user", "a"), ("assistant", "b"))]), "c.csv": b"text\nriver\n"}
    corpus = read(tmp_path, lay(tmp_path / "set", files))
    assert corpus.rows["format"].to_list() == ["alpaca", "alpaca", "messages", "text"]
    assert corpus.rows["status"].unique().to_list() == ["ok"]


def test_a_limit_counts_the_rows_of_all_files(tmp_path: Path) -> None:
    folder = lay(tmp_path / "set", {"a.jsonl": jsonl(ROWS[:2]), "b.jsonl": jsonl(ROWS[2:5])})
    assert ids(read(tmp_path, folder, limit=3)) == ["a.jsonl#0", "a.jsonl#1", "b.jsonl#0"]


def test_a_dataset_without_any_readable_row_names_the_first_of_them(tmp_path: Path) -> None:
    folder = lay(tmp_path / "set", {"a.jsonl": b"\n{broken\n", "b.jsonl": b'{"title": 1}\n'})
    with pytest.raises(InputError, match=r"set: no row can be read \(a\.jsonl, line 2: invalid JSON"):
        read(tmp_path, folder)
    with pytest.raises(InputError, match="the files hold no row"):
        read(tmp_path, lay(tmp_path / "none", {"a.csv": b"instruction,output\n", "b.jsonl": b"\n"}))


def test_a_description_beside_a_file_maps_its_columns(tmp_path: Path) -> None:
    info = {"mine": {"file_name": "a.jsonl", "columns": {"prompt": "q", "response": "a"}}}
    rows = jsonl([{"q": "x", "a": "y", "messages": [{"role": "user", "content": "other"}]}])
    folder = lay(
        tmp_path / "set", {"dataset_info.json": json.dumps(info).encode(), "a.jsonl": rows, "b.jsonl": jsonl(ROWS[:1])}
    )
    corpus = read(tmp_path, folder)
    assert [[message.content for message in row.messages] for row in corpus] == [["x", "y"], ["What is 0?", "It is 0."]]
    assert read(tmp_path, folder / "a.jsonl", columns={"messages": "messages"}).row(0).messages[0].content == "other"


# --- standard input, URLs, the hub ----------------------------------------------------------------------------------


ARROW = pa.BufferOutputStream()
with pa.ipc.new_stream(ARROW, pa.Table.from_pylist(ROWS).schema) as writer:
    writer.write_table(pa.Table.from_pylist(ROWS))
PARQUET = io.BytesIO()
pl.DataFrame(ROWS).write_parquet(PARQUET)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (jsonl(ROWS), "stdin.jsonl"),
        (b"\xef\xbb\xbf\n " + jsonl(ROWS), "stdin.jsonl"),
        (json.dumps(ROWS).encode(), "stdin.json"),
        (pl.DataFrame(ROWS).write_csv().encode(), "stdin.csv"),
        (gzip.compress(jsonl(ROWS), mtime=0), "stdin.jsonl.gz"),
        (ARROW.getvalue().to_pybytes(), "stdin.arrow"),
        (PARQUET.getvalue(), "stdin.parquet"),
    ],
)
def test_standard_input_is_told_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, name: str
) -> None:
    monkeypatch.setattr(sys, "stdin", Piped(content))
    corpus = read(tmp_path, "-")
    assert ids(corpus) == [f"{name}#{n}" for n in range(6)]
    assert corpus.row(5).messages[1].content == "It is 5."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "-: there are no bytes"),
        (jsonl(ROWS).decode().encode("utf-16"), "-: the text is UTF-16"),
        (b"instruction,instruction\na,b\n", "-: the first line is no header"),
        (b"\n{broken\n", r"-: no row can be read \(line 2"),
        (b"[", "-: the JSON array is not closed"),
        (gzip.compress(jsonl(ROWS), mtime=0)[:-5], "-: .*Truncated compressed stream"),
    ],
)
def test_standard_input_that_cannot_be_read_is_refused_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    monkeypatch.setattr(sys, "stdin", Piped(content))
    with pytest.raises(InputError, match=message):
        read(tmp_path, "-")


def test_a_terminal_gives_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Piped(b"")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    with pytest.raises(InputError, match="standard input is a terminal"):
        names("-")


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/", recursive=True)


def test_urls_are_files_patterns_and_folders(tmp_path: Path, memory: Any) -> None:
    for name, rows in {"set/b.jsonl": ROWS[:2], "set/a.jsonl": ROWS[2:3], "set/rows": ROWS[3:4]}.items():
        memory.pipe(f"/{name}", jsonl(rows))
    memory.pipe("/set/README.md", b"# x")
    assert ids(read(tmp_path, "memory://set/b.jsonl")) == ["b.jsonl#0", "b.jsonl#1"]
    assert (
        names("memory://set/*.jsonl") == names("memory://set") == [("a.jsonl", Container.JSONL), ("b.jsonl", Container.JSONL)]
    )
    assert names("memory://set/rows") == [("rows.jsonl", Container.JSONL)]
    lay(tmp_path, {"local.csv": b"instruction,output\na,b\n", "a.jsonl": jsonl(ROWS[:1])})
    assert names(f"file://{tmp_path}/local.csv") == [("local.csv", Container.CSV)]
    both = [str(tmp_path / "a.jsonl"), "memory://set/a.jsonl"]
    assert [name for name, _ in names(both)] == ["file/a.jsonl", "memory/a.jsonl"]
    with open_source("memory://set/*.jsonl") as source:
        assert [file.location for file in source.files] == ["memory:///set/a.jsonl", "memory:///set/b.jsonl"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://nothing/a.jsonl", r"memory://nothing/a\.jsonl: cannot be fetched \(FileNotFoundError"),
        ("memory://nothing/*.jsonl", "no file is there"),
        ("nosuch://a/b.jsonl", r"cannot be fetched \(ValueError: Protocol not known: nosuch"),
        ("http://127.0.0.1:9/a.jsonl", r"cannot be fetched"),
    ],
)
def test_a_url_without_a_file_is_refused(memory: Any, url: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        names(url)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    class Silent(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_file_of_the_web_is_read_and_its_query_is_no_pattern(tmp_path: Path) -> None:
    lay(tmp_path / "web", {"my rows.jsonl.gz": gzip.compress(jsonl(ROWS), mtime=0)})
    with served(tmp_path / "web") as address:
        corpus = read(tmp_path, f"{address}/my%20rows.jsonl.gz?download=true")
        with pytest.raises(InputError, match="cannot be fetched"):
            names(f"{address}/other.jsonl")
    assert ids(corpus)[-1] == "my rows.jsonl.gz#5"


Asked = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """`load_dataset` finds `org/name` where to us no such folder exists; what it is asked for."""
    import datasets

    place = tmp_path / "hub"
    datasets.disable_progress_bars()
    for split, rows in {"train": ROWS[:4], "test": ROWS[4:]}.items():
        (place / "org" / "name" / "data").mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_list(rows).to_parquet(place / "org" / "name" / "data" / f"{split}-00000-of-00001.parquet")
    load = datasets.load_dataset
    asked: Asked = []

    def load_here(name: str, **options: Any) -> Any:
        asked.append((name, options))
        return load(str(place / name), cache_dir=str(tmp_path / "cache"), **{**options, "revision": None})

    monkeypatch.setattr(datasets, "load_dataset", load_here)
    monkeypatch.chdir(tmp_path)
    return asked


@pytest.mark.parametrize(
    ("given", "asked", "rows"),
    [
        ("org/name", {"revision": None, "split": None}, {"train.parquet": 4, "test.parquet": 2}),
        ("org/name:test", {"revision": None, "split": "test"}, {"test.parquet": 2}),
        ("org/name@refs/pr/1", {"revision": "refs/pr/1", "split": None}, {"train.parquet": 4, "test.parquet": 2}),
        ("org/name@v1.0:train[:3]", {"revision": "v1.0", "split": "train[:3]"}, {"train_3_.parquet": 3}),
    ],
)
def test_a_dataset_of_the_hub_is_read_split_by_split(
    hub: Asked, tmp_path: Path, given: str, asked: dict[str, Any], rows: dict[str, int]
) -> None:
    corpus = read(tmp_path, given)
    assert ids(corpus) == [f"{name}#{n}" for name, count in rows.items() for n in range(count)]
    assert hub == [("org/name", asked)]
    with open_source(given) as source:
        assert (source.name, source.stem) == (given, re.sub(r"[^\w.-]+", "-", given).strip("-."))


def test_a_folder_of_the_same_name_wins_over_the_hub(hub: Asked, tmp_path: Path) -> None:
    lay(tmp_path, {"org/name/mine.jsonl": jsonl(ROWS[:1])})
    assert names("org/name") == [("mine.jsonl", Container.JSONL)]
    assert hub == []


@pytest.mark.parametrize("given", ["org/nmae", "./name", "../name"])
def test_a_mistyped_path_is_not_sent_to_the_hub(
    hub: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    lay(tmp_path, {"org/name/mine.jsonl": jsonl(ROWS[:1])})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        names(given)
    assert hub == []


def test_a_dataset_that_the_hub_does_not_give_is_refused_with_the_reason(hub: Asked) -> None:
    with pytest.raises(InputError, match=r"org/other: there is no such file, and no dataset of this name can be loaded"):
        names("org/other")
    with pytest.raises(InputError, match=r"org/name:valid: .*ValueError: Unknown split"):
        names("org/name:valid")


def test_without_the_network_a_hub_id_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    import huggingface_hub

    for settings in (datasets.config, huggingface_hub.constants):
        monkeypatch.setattr(settings, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"org/name: there is no such file, .*\(ConnectionError.*check the name"):
        names("org/name")


# --- audits and exports ---------------------------------------------------------------------------------------------

DOUBLE = [*ROWS, ROWS[0]]


def export(run: Run, out: Path, **request: Any) -> Any:
    return write_export(plan_export(run, ExportRequest(**request)), out)


def test_the_manifest_of_one_file_says_of_it_what_it_always_did(audit_file: Callable[..., Run], tmp_path: Path) -> None:
    lay(tmp_path, {"data.jsonl": jsonl(ROWS)})
    digest = hashlib.sha256(jsonl(ROWS)).hexdigest()
    entry = {"name": "data.jsonl", "path": str(tmp_path / "data.jsonl"), "sha256": digest, "container": "jsonl"}
    run = audit_file(tmp_path / "data.jsonl")
    assert run.manifest["source"] == {**entry, "files": [entry]}
    old = Run(run.path, {**run.manifest, "source": entry})
    assert export(old, tmp_path / "out.jsonl").cleaned.read_bytes() == jsonl(ROWS)


def test_an_audit_of_several_files_is_exported_file_by_file_or_joined(audit_file: Callable[..., Run], tmp_path: Path) -> None:
    files = {
        "train.jsonl": jsonl(ROWS[:3])[:-1],
        "test/x.jsonl.gz": gzip.compress(b"\xef\xbb\xbf" + jsonl([ROWS[0], *ROWS[3:]]), mtime=0),
        "empty.jsonl": b"",
    }
    folder = lay(tmp_path / "set", files)
    run = audit_file(folder)
    source = run.manifest["source"]
    assert (source["name"], source["path"], source["container"]) == ("set", str(folder), "jsonl")
    assert [entry["name"] for entry in source["files"]] == ["empty.jsonl", "test/x.jsonl.gz", "train.jsonl"]
    same = export(run, tmp_path / "same")
    assert {path.relative_to(same.cleaned).as_posix() for path in same.cleaned.rglob("*.*")} == files.keys()
    assert (same.cleaned / "train.jsonl").read_bytes() == files["train.jsonl"]
    assert gzip.decompress((same.cleaned / "test" / "x.jsonl.gz").read_bytes()) == gzip.decompress(files["test/x.jsonl.gz"])
    assert export(run, tmp_path / "one.jsonl").cleaned.read_bytes() == jsonl([ROWS[0], *ROWS[3:], *ROWS[:3]])[:-1]
    assert json.loads(export(run, tmp_path / "one.json").cleaned.read_bytes()) == [ROWS[0], *ROWS[3:], *ROWS[:3]]
    cleaned = export(run, tmp_path / "clean", drop=("DUP001",), control_seeds=(1,))
    assert (cleaned.cleaned / "train.jsonl").read_bytes() == jsonl(ROWS[1:3])[:-1]
    (control,) = cleaned.controls
    assert control == tmp_path / "clean.random-1"
    record = json.loads(run.read_added("exports", "export-4", "manifest.json"))
    assert [entry["file"] for entry in record["cleaned"]["files"]] == ["empty.jsonl", "test/x.jsonl.gz", "train.jsonl"]
    assert record["controls"][0]["file"] == "clean.random-1"
    (dropped,) = map(json.loads, run.read_added("exports", "export-4", "dropped.jsonl").splitlines())
    assert (dropped["file"], dropped["index"], dropped["raw"]) == ("train.jsonl", 0, json.dumps(ROWS[0]))
    assert dropped["reasons"][0]["related"] == ["test/x.jsonl.gz#0"]
    with pytest.raises(InputError, match=r"same/empty\.jsonl: the file exists"):
        export(run, tmp_path / "same")


def test_a_folder_that_moved_is_found_again(audit_file: Callable[..., Run], tmp_path: Path) -> None:
    folder = lay(tmp_path / "set", {"a.jsonl": jsonl(ROWS[:3]), "b/a.jsonl": jsonl(ROWS[3:])})
    run = audit_file(folder)
    moved = folder.rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"set/a\.jsonl: the audited file cannot be read"):
        plan_export(run, ExportRequest())
    assert [file.path for file in plan_export(run, ExportRequest(data=moved)).files] == [
        moved / "a.jsonl",
        moved / "b" / "a.jsonl",
    ]
    lay(moved, {"b/a.jsonl": jsonl(ROWS)})
    with pytest.raises(InputError, match="the file has changed since the audit"):
        plan_export(run, ExportRequest(data=moved))


def test_what_cannot_be_read_again_is_kept_in_the_run(
    audit_file: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = gzip.compress(jsonl(DOUBLE), mtime=0)
    monkeypatch.setattr(sys, "stdin", Piped(content))
    run = audit_file(Path("-"))
    assert run.manifest["source"]["files"] == [
        {
            "name": "stdin.jsonl.gz",
            "path": "-",
            "sha256": hashlib.sha256(content).hexdigest(),
            "container": "jsonl",
            "stored": "source/stdin.jsonl.gz",
        }
    ]
    assert "source/stdin.jsonl.gz" in run.manifest["files"]
    run.check()
    assert export(run, tmp_path / "clean.jsonl", drop=("DUP001",)).cleaned.read_bytes() == jsonl(ROWS)
    assert (run.path / "source" / "stdin.jsonl.gz").read_bytes() == content


def test_a_redacted_run_keeps_no_copy(audit_file: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Piped(jsonl(DOUBLE)))
    run = audit_file(Path("-"), redact=True)
    assert not (run.path / "source").exists()
    assert "stored" not in run.manifest["source"]["files"][0]
    with pytest.raises(InputError, match=r"the audited file cannot be read.*--data"):
        plan_export(run, ExportRequest())
    lay(tmp_path, {"again.jsonl": jsonl(DOUBLE)})
    exported = export(run, tmp_path / "clean.jsonl", drop=("DUP001",), data=tmp_path / "again.jsonl")
    assert exported.cleaned.read_bytes() == jsonl(ROWS)


def test_hub_rows_and_urls_are_kept_in_the_run(audit_file: Callable[..., Run], hub: Asked, tmp_path: Path, memory: Any) -> None:
    run = audit_file(Path("org/name"))
    assert [entry["stored"] for entry in run.manifest["source"]["files"]] == ["source/train.parquet", "source/test.parquet"]
    exported = export(run, tmp_path / "out.jsonl")
    assert exported.cleaned.read_bytes() == b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)
    memory.pipe("/set/a.csv", b"instruction,output\r\na,b\r\n")
    named = tunescope.audit(["memory://set/a.csv"], tmp_path / "named", encoder=run.settings["encoder"])
    assert (named.path / "source" / "a.csv").read_bytes() == b"instruction,output\r\na,b\r\n"


def test_python_takes_a_list_of_paths(tiny_model: str, tmp_path: Path) -> None:
    lay(tmp_path, {"a.jsonl": jsonl(ROWS[:3]), "b.jsonl": jsonl(ROWS[3:])})
    run = tunescope.audit([tmp_path / "a.jsonl", str(tmp_path / "b.jsonl")], tmp_path / "run", encoder=tiny_model)
    assert run.settings["data"] == [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]
    assert (run.summary.name, run.summary.n_rows, run.summary.container) == ("a.jsonl and 1 more", 6, "jsonl")
