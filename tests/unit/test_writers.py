"""Rows written back: byte for byte in their own container, converted in another; and exports with their record."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.errors import InputError
from audit.export import ExportRequest, plan_export, write_export
from audit.export.writers import SourceRows, container_of_name, packed, write_joined, write_rows
from audit.rundir import Run
from audit.sources import Compression, Container
from audit.trace.model import BlamedRow
from audit.trace.stored import store_traces
from tests.conftest import AuditRows, ReadFile, alpaca, chat, jsonl, read_dataset


@pytest.fixture
def written(read_file: ReadFile, tmp_path: Path) -> Callable[..., bytes]:
    """Some rows of a file, written to a container (its own, unless another is named)."""

    def write(name: str, content: bytes, kept: list[int], target: Container | None = None, **options: Any) -> bytes:
        corpus, summary = read_file(name, content, **options)
        container = Container(summary.container)
        buffer = io.BytesIO()
        write_rows(tmp_path / name, container, corpus.rows, kept, target or container, buffer)
        return buffer.getvalue()

    return write


A, B, C = (json.dumps(alpaca(name, name)).encode() for name in "abc")


@pytest.mark.parametrize(
    ("content", "kept", "expected"),
    [
        (A + b"\n" + B + b"\n" + C + b"\n", [0, 2], A + b"\n" + C + b"\n"),
        (A + b"\n" + B + b"\n" + C, [0, 2], A + b"\n" + C),
        (A + b"\n" + B + b"\n" + C, [0, 1], A + b"\n" + B + b"\n"),
        (A + b"\r\n\r\n" + B + b"\r\n", [1], b"\r\n" + B + b"\r\n"),
        (b"\n" + A + b"\nbroken \xff\x00\n" + B + b"\n\n", [1, 2], b"broken \xff\x00\n" + B + b"\n\n"),
    ],
)
def test_kept_lines_keep_their_bytes(written: Callable[..., bytes], content: bytes, kept: list[int], expected: bytes) -> None:
    assert written("data.jsonl", content, kept) == expected


def test_kept_elements_of_an_array_make_an_array(written: Callable[..., bytes]) -> None:
    content = b" [ " + A + b" ,\n\t" + B + b",\n" + C + b"\n]\n\n"
    assert written("data.json", content, [0, 2]) == b" [ " + A + b" ,\n\t" + C + b"\n]\n\n"
    assert written("data.json", content, [1]) == b" [ " + B + b"\n]\n\n"
    assert written("data.json", content, [0, 1, 2]) == content


def test_kept_records_of_csv_follow_the_header(written: Callable[..., bytes]) -> None:
    content = b'\xef\xbb\xbfinstruction,output\r\na,"b\r\n""x"""\r\n\r\nc,d\r\n"e",f'
    assert written("data.csv", content, [1]) == b"\xef\xbb\xbfinstruction,output\r\n\r\nc,d\r\n"
    assert written("data.csv", content, [0, 2]) == b'\xef\xbb\xbfinstruction,output\r\na,"b\r\n""x"""\r\n"e",f'


@pytest.mark.parametrize(
    ("name", "content", "whole"),
    [
        ("data.jsonl", A + b"\n" + B + b"\n" + C + b"\n", A + b"\n" + B + b"\n"),
        ("data.json", b"[" + A + b"," + B + b"," + C + b"]", b"[" + A + b"," + B + b"]\n"),
        ("data.csv", b"instruction,output\na,b\nc,d\ne,f\n", b"instruction,output\na,b\nc,d\n"),
    ],
)
def test_rows_past_the_limit_of_an_audit_are_not_exported(
    written: Callable[..., bytes], name: str, content: bytes, whole: bytes
) -> None:
    assert written(name, content, [0, 1], limit=2) == whole


def test_parquet_keeps_schema_metadata_and_values(read_file: ReadFile, tmp_path: Path) -> None:
    schema = pa.schema(
        [
            ("instruction", pa.large_string()),
            ("output", pa.string()),
            ("tags", pa.list_(pa.int8())),
            ("when", pa.timestamp("ms")),
        ],
        metadata={"made": "by hand"},
    )
    columns = {"instruction": list("abcd"), "output": list("efgh"), "tags": [[1], None, [], [2, 3]], "when": [0, 1, None, 3]}
    table = pa.table(columns, schema=schema)
    pq.write_table(table, tmp_path / "made.parquet", row_group_size=2)
    corpus, _ = read_file("data.parquet", (tmp_path / "made.parquet").read_bytes())
    buffer = io.BytesIO()
    write_rows(tmp_path / "data.parquet", Container.PARQUET, corpus.rows, [0, 3], Container.PARQUET, buffer)
    original = pq.read_table(tmp_path / "data.parquet")
    assert pq.read_table(buffer).equals(original.take([0, 3]), check_metadata=True)
    assert original.schema.metadata[b"made"] == b"by hand"


@pytest.mark.parametrize("is_stream", [True, False])
def test_arrow_keeps_schema_values_and_its_kind(read_file: ReadFile, tmp_path: Path, is_stream: bool) -> None:
    schema = pa.schema(
        [("prompt", pa.large_string()), ("completion", pa.string()), ("n", pa.int8())], metadata={"made": "by hand"}
    )
    table = pa.table({"prompt": list("abcd"), "completion": list("efgh"), "n": [1, None, 3, 4]}, schema=schema)
    original = io.BytesIO()
    opened = pa.ipc.new_stream(original, schema) if is_stream else pa.ipc.new_file(original, schema)
    with opened as writer:
        writer.write_table(table, max_chunksize=3)
    corpus, _ = read_file("data.arrow", original.getvalue())
    buffer = io.BytesIO()
    write_rows(tmp_path / "data.arrow", Container.ARROW, corpus.rows, [1, 3], Container.ARROW, buffer)
    buffer.seek(0)
    again = pa.ipc.open_stream(buffer) if is_stream else pa.ipc.open_file(buffer)
    assert again.read_all().equals(table.take([1, 3]), check_metadata=True)
    buffer = io.BytesIO()
    write_rows(tmp_path / "data.arrow", Container.ARROW, corpus.rows, [1, 3], Container.PARQUET, buffer)
    assert pq.read_table(buffer).equals(table.take([1, 3]), check_metadata=True)


def test_rows_past_the_limit_of_an_audit_of_parquet_are_not_exported(read_file: ReadFile, tmp_path: Path) -> None:
    pl.DataFrame({"text": list("abc")}).write_parquet(tmp_path / "made.parquet")
    corpus, _ = read_file("data.parquet", (tmp_path / "made.parquet").read_bytes(), limit=2)
    buffer = io.BytesIO()
    write_rows(tmp_path / "data.parquet", Container.PARQUET, corpus.rows, [0, 1], Container.PARQUET, buffer)
    assert pq.read_table(buffer).to_pydict() == {"text": ["a", "b"]}


@pytest.mark.parametrize("compression", list(Compression))
def test_the_bytes_within_a_compressed_file_are_copied(
    written: Callable[..., bytes], compression: Compression, tmp_path: Path
) -> None:
    def packed_content(content: bytes) -> bytes:
        buffer = io.BytesIO()
        with packed(buffer, compression) as file:
            file.write(content)
        return buffer.getvalue()

    suffix = {"gzip": "gz", "zstd": "zst"}[compression]
    lines = b"\xef\xbb\xbf" + A + b"\r\nbroken \xff\r\n" + C
    assert written(f"data.jsonl.{suffix}", packed_content(lines), [1, 2]) == b"broken \xff\r\n" + C
    array = b" [ " + A + b" ,\n\t" + B + b"\n]\n"
    assert written(f"data.json.{suffix}", packed_content(array), [0, 1]) == array
    records = b'instruction,output\r\na,"b\r\n"\r\nc,d'
    assert written(f"data.csv.{suffix}", packed_content(records), [0, 1]) == records
    assert packed_content(lines) == packed_content(lines)
    assert not tmp_path.joinpath("plain").exists()


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("clean.jsonl.gz", gzip.decompress),
        ("clean.JSONL.zst", lambda content: pa.CompressedInputStream(pa.BufferReader(content), "zstd").read()),
    ],
)
def test_a_name_says_whether_an_export_is_compressed(
    run: Run, tmp_path: Path, name: str, read: Callable[[bytes], bytes]
) -> None:
    exported = export(run, tmp_path / name, control_seeds=(2,), drop=("DUP001",))
    assert read(exported.cleaned.read_bytes()) == b"".join(
        jsonl(ROWS).splitlines(keepends=True)[:12] + jsonl(ROWS[13:]).splitlines(keepends=True)
    )
    plain, suffix = name.split(".", 1)
    assert [path.name for path in exported.controls] == [f"{plain}.random-2.{suffix}"]
    with pytest.raises(InputError, match="parquet is not written compressed"):
        export(run, tmp_path / "clean.parquet.gz", drop=("FMT",))
    assert not (tmp_path / "clean.parquet.gz").exists()


def test_json_is_an_array_unless_the_source_was_lines_under_that_name(audit_file: Callable[..., Run], tmp_path: Path) -> None:
    for name in ("lines.jsonl", "lines.json"):
        (tmp_path / name).write_bytes(A + b"\n" + B + b"\n")
    out = export(audit_file(tmp_path / "lines.jsonl"), tmp_path / "a.json").cleaned
    assert json.loads(out.read_bytes()) == [json.loads(A), json.loads(B)]
    assert export(audit_file(tmp_path / "lines.json"), tmp_path / "b.json").cleaned.read_bytes() == A + b"\n" + B + b"\n"


def test_one_file_goes_into_a_folder_under_its_own_name(run: Run, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for folder in ("there", "new"):
        exported = export(run, tmp_path / folder, folder)
        assert (exported.cleaned / "data.jsonl").read_bytes() == jsonl(ROWS)
        record = json.loads(run.read_added("exports", folder, "manifest.json"))
        digest = hashlib.sha256(jsonl(ROWS)).hexdigest()
        assert record["cleaned"]["files"] == [{"file": "data.jsonl", "sha256": digest}]
    with pytest.raises(InputError, match=r"data\.jsonl: the file exists"):
        export(run, tmp_path)


def test_a_field_that_the_first_row_lacks_is_not_lost(written: Callable[..., bytes]) -> None:
    content = written("data.jsonl", jsonl([alpaca("a", "b"), alpaca("c", "d", late=1)]), [0, 1], Container.PARQUET)
    assert pl.read_parquet(io.BytesIO(content))["late"].to_list() == [None, 1]


def parts(folder: Path, files: dict[str, tuple[bytes, list[int]]]) -> list[SourceRows]:
    found = []
    for name, (content, kept) in files.items():
        corpus, summary = read_dataset(folder, name, content)
        found.append(SourceRows(name, folder / name, Container(summary.container), corpus.rows, kept))
    return found


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Container.JSONL, A + b"\n" + B + b"\r\n" + C),
        (Container.JSON, b"[\n" + A + b",\n" + B + b",\n" + C + b"\n]\n"),
        (Container.CSV, b"instruction,input,output\r\na,,a\r\nb,,b\r\nc,,c\r\n"),
    ],
)
def test_lines_of_several_files_are_joined_to_one(tmp_path: Path, target: Container, expected: bytes) -> None:
    files = {
        "x.jsonl": (b"\xef\xbb\xbf" + A, [0]),
        "none.jsonl": (A, []),
        "y.jsonl": (b"\xef\xbb\xbf" + B + b"\r\n" + A + b"\n" + C, [0, 2]),
    }
    buffer = io.BytesIO()
    write_joined(parts(tmp_path, files), target, buffer)
    assert buffer.getvalue() == expected


def test_tables_of_one_schema_keep_it_when_they_are_joined(tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": ["a", "b"], "n": [1, 2]}, schema_overrides={"n": pl.Int8})
    contents = []
    for part in (frame, frame.with_columns(pl.col("n") + 2)):
        buffer = io.BytesIO()
        part.write_parquet(buffer)
        contents.append(buffer.getvalue())
    buffer = io.BytesIO()
    write_joined(
        parts(tmp_path, {"x.parquet": (contents[0], [1]), "y.parquet": (contents[1], [0, 1])}), Container.PARQUET, buffer
    )
    joined = pq.read_table(buffer)
    assert (joined["n"].to_pylist(), joined.schema.field("n").type) == ([2, 3, 4], pa.int8())
    mixed = {"x.parquet": (contents[0], [1]), "y.csv": (b"text,n\r\nc,5\r\n", [0])}
    buffer = io.BytesIO()
    write_joined(parts(tmp_path, mixed), Container.JSONL, buffer)
    assert [json.loads(line) for line in buffer.getvalue().splitlines()] == [{"text": "b", "n": 2}, {"text": "c", "n": "5"}]


@pytest.mark.parametrize(("target", "content"), [(Container.JSON, b"[]\n"), (Container.JSONL, b""), (Container.CSV, b"\r\n")])
def test_a_split_of_which_every_row_leaves_is_an_empty_file(
    written: Callable[..., bytes], target: Container, content: bytes
) -> None:
    assert written("data.jsonl", A, [], None if target is Container.JSONL else target) == content
    assert written("data.json", b"[" + A + b"]", []) == b"[]"
    assert written("data.csv", b"instruction,output\na,b\n", []) == b"instruction,output\n"


ODD = [alpaca('a,\r"b"\n', "é\rü", n=1.5), alpaca("'", "", n=None), alpaca("日本", " x ", n=2)]


@pytest.mark.parametrize("target", list(Container))
def test_rows_are_converted_to_any_container(written: Callable[..., bytes], read_file: ReadFile, target: Container) -> None:
    content = written("data.jsonl", jsonl(ODD), [0, 2], None if target is Container.JSONL else target)
    corpus, summary = read_file(f"out.{target}", content)
    assert summary.n_rows == 2
    for row, original in zip(corpus, (ODD[0], ODD[2]), strict=True):
        assert [message.content for message in row.messages] == [original["instruction"], original["output"]]
        assert float(row.extra["n"]) == original["n"]


def test_csv_becomes_json(written: Callable[..., bytes]) -> None:
    content = written("data.csv", b'instruction,output\n"a\nb",c\nd,e\n', [0], Container.JSON)
    assert json.loads(content) == [{"instruction": "a\nb", "output": "c"}]


def test_dates_of_parquet_become_text_that_can_be_read(written: Callable[..., bytes], tmp_path: Path) -> None:
    frame = pl.DataFrame({"instruction": ["a"], "output": ["b"], "when": ["2024-02-05"]}).with_columns(
        pl.col("when").str.to_date()
    )
    frame.write_parquet(tmp_path / "made.parquet")
    content = written("data.parquet", (tmp_path / "made.parquet").read_bytes(), [0], Container.JSONL)
    assert json.loads(content) == {"instruction": "a", "output": "b", "when": "2024-02-05"}


def test_what_does_not_fit_the_other_container_is_refused(written: Callable[..., bytes]) -> None:
    conversation = jsonl([chat(("user", "a"), ("assistant", "b"))])
    with pytest.raises(InputError, match=r"field 'messages' is nested and does not fit CSV; write \.jsonl or \.parquet"):
        written("data.jsonl", conversation, [0], Container.CSV)
    with pytest.raises(InputError, match=r"data\.jsonl#1: an unreadable row cannot be converted \(invalid JSON.*--drop FMT001"):
        written("data.jsonl", A + b"\nbroken\n", [0, 1], Container.JSON)
    with pytest.raises(InputError, match="no common parquet schema"):
        written("data.jsonl", jsonl([alpaca("a", "b", n=1), alpaca("a", "b", n={"x": 1})]), [0, 1], Container.PARQUET)


@pytest.mark.parametrize(
    ("name", "source", "target"),
    [
        ("x.jsonl", Container.CSV, Container.JSONL),
        ("x.ndjson", Container.JSON, Container.JSONL),
        ("x.json", Container.JSONL, Container.JSON),
        ("x.jsonl.gz", Container.CSV, Container.JSONL),
        ("x.json.ZST", Container.JSONL, Container.JSON),
        ("x.arrow", Container.PARQUET, Container.ARROW),
        ("x.json", Container.JSON, Container.JSON),
        ("x.json", Container.CSV, Container.JSON),
        ("x.CSV", Container.JSONL, Container.CSV),
        ("x.parquet", Container.JSONL, Container.PARQUET),
    ],
)
def test_the_name_of_the_output_tells_the_container(name: str, source: Container, target: Container) -> None:
    assert container_of_name(Path(name), source) is target


def test_an_output_of_no_known_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"unknown kind of file '\.txt'"):
        container_of_name(Path("x.txt"), Container.JSONL)


# --- exports --------------------------------------------------------------------------------------------------------

ROWS = [alpaca(f"What is {n}?", f"It is {n}.") for n in range(12)] + [
    alpaca("What is 3?", "It is 3."),
    '{"broken',
    alpaca("Go.", ""),
]


@pytest.fixture
def run(audit_rows: AuditRows) -> Run:
    return audit_rows(ROWS)


def export(run: Run, out: Path, name: str | None = None, **request: Any) -> Any:
    return write_export(plan_export(run, ExportRequest(**request)), out, name)


def test_an_export_is_the_source_without_the_dropped_lines(run: Run, tmp_path: Path) -> None:
    exported = export(run, tmp_path / "clean.jsonl", drop=("DUP001", "FMT"), control_seeds=(0, 7))
    lines = jsonl(ROWS).splitlines(keepends=True)
    assert exported.cleaned.read_bytes() == b"".join([*lines[:12], lines[14]])
    assert [path.name for path in exported.controls] == ["clean.random-0.jsonl", "clean.random-7.jsonl"]
    for control, path in zip(exported.plan.controls, exported.controls, strict=True):
        assert path.read_bytes() == b"".join(line for row, line in enumerate(lines) if row not in control.removed)
        assert len(control.removed) == 2
        assert 13 in control.removed
    assert exported.plan.counts == {"DUP001": 1, "FMT001": 1}
    assert exported.plan.notes[0] == "13.3% of the rows leave: more than 10 %, so the control loses many good rows too"
    assert not list(tmp_path.glob("*.tmp"))


def test_the_record_of_an_export_says_what_left_and_why(run: Run, tmp_path: Path) -> None:
    exported = export(run, tmp_path / "clean.jsonl", "mine", drop=("DUP001", "FMT001"), control_seeds=(3,))
    manifest = json.loads(run.read_added("exports", "mine", "manifest.json"))
    assert manifest["rows"] == {"total": 15, "kept": 13, "dropped": 2}
    assert manifest["counts"] == {"DUP001": 1, "FMT001": 1}
    assert manifest["cleaned"] == {"file": "clean.jsonl", "sha256": hashlib.sha256(exported.cleaned.read_bytes()).hexdigest()}
    (control,) = manifest["controls"]
    assert (control["seed"], control["file"]) == (3, "clean.random-3.jsonl")
    assert control["sha256"] == hashlib.sha256(exported.controls[0].read_bytes()).hexdigest()
    assert control["removed_rows"] == list(exported.plan.controls[0].removed)
    dropped = [json.loads(line) for line in run.read_added("exports", "mine", "dropped.jsonl").splitlines()]
    assert [(line["index"], line["line"], [reason["code"] for reason in line["reasons"]]) for line in dropped] == [
        (12, 13, ["DUP001"]),
        (13, 14, ["FMT001"]),
    ]
    assert dropped[0]["raw"] == json.dumps(ROWS[12])
    assert dropped[0]["reasons"][0]["related"] == ["data.jsonl#3"]
    assert dropped[0]["row_key"] == str(run.corpus.row(12).key)
    assert dropped[1]["raw"] == '{"broken'


def test_bytes_that_are_no_text_are_recorded_whole(audit_rows: AuditRows, tmp_path: Path) -> None:
    run = audit_rows([*ROWS[:12], b'{"a": "\xff"}'])
    export(run, tmp_path / "clean.jsonl", "mine", drop=("FMT",))
    (line,) = [json.loads(line) for line in run.read_added("exports", "mine", "dropped.jsonl").splitlines()]
    assert base64.b64decode(line["raw_base64"]) == b'{"a": "\xff"}'


def test_a_row_with_two_findings_of_one_code_counts_once(audit_rows: AuditRows, tmp_path: Path) -> None:
    run = audit_rows(
        [chat(("user", "a"), ("assistant", ""), ("user", "b"), ("assistant", "")), *[chat(("user", "c"), ("assistant", "d"))]]
    )
    plan = plan_export(run, ExportRequest(drop=("TXT",)))
    assert plan.counts == {"TXT001": 1}
    assert len(plan.selection.reasons[0]) == 2


def test_the_most_blamed_rows_of_a_stored_trace_are_dropped(run: Run, tmp_path: Path) -> None:
    store_traces(run, "t", [], [BlamedRow(row, 1.0, 1, 0.01, ("c",)) for row in (5, 2, 9)], {})
    exported = export(run, tmp_path / "clean.jsonl", drop_blamed=("t:2",))
    assert exported.plan.selection.dropped == [2, 5]
    with pytest.raises(InputError, match="no traces/other; there are: t"):
        plan_export(run, ExportRequest(drop_blamed=("other:2",)))


def test_rows_that_are_surely_blamed_leave_by_their_q(run: Run) -> None:
    blame = [BlamedRow(row, 1.0, 1, 0.01, ("c",), p=0.01, q=q) for row, q in ((5, 0.2), (2, 0.04), (9, 0.05))]
    store_traces(run, "t", [], [*blame, BlamedRow(7, 1.0, 1, 0.01, ("c",))], {})
    plan = plan_export(run, ExportRequest(drop_blamed=("t:q0.05",)))
    assert sorted(plan.selection.dropped) == [2, 9]


def test_an_export_without_any_drop_is_the_source(run: Run, tmp_path: Path) -> None:
    exported = export(run, tmp_path / "same.jsonl")
    assert exported.cleaned.read_bytes() == jsonl(ROWS)
    assert exported.name == "export-1"
    assert export(run, tmp_path / "same2.jsonl").name == "export-2"


def test_a_source_that_changed_or_went_away_is_refused_and_may_have_moved(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "data.jsonl"
    moved = source.rename(tmp_path / "moved.jsonl")
    with pytest.raises(InputError, match=r"the audited file cannot be read.*--data"):
        plan_export(run, ExportRequest())
    assert plan_export(run, ExportRequest(data=moved)).files[0].path == moved
    source.write_bytes(moved.read_bytes() + b"\n")
    with pytest.raises(InputError, match="the file has changed since the audit"):
        plan_export(run, ExportRequest())


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"drop": ("XYZ",)}, "unknown check of this run 'XYZ'"),
        ({"keep": ("best:3",)}, "--keep 'best:3' is not known"),
        ({"drop_blamed": ("t:x",)}, "--drop-blamed 't:x' is not known"),
        ({"drop": ("DUP", "FMT", "TXT"), "drop_blamed": ("all:13",)}, "no row would be left"),
        ({"control_seeds": (0,), "group_column": "topic", "drop": ("DUP001",)}, "no row has a field 'topic'"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(run: Run, request_: dict[str, Any], message: str) -> None:
    store_traces(run, "all", [], [BlamedRow(row, 1.0, 1, 0.01, ()) for row in range(13)], {})
    with pytest.raises(InputError, match=message):
        plan_export(run, ExportRequest(**request_))


def test_what_cannot_be_written_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    plan = plan_export(run, ExportRequest(drop=("DUP",), control_seeds=(0,)))
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(InputError, match="an unreadable row cannot be converted"):
        write_export(plan, tmp_path / "x.json".replace(".json", ".csv"))
    with pytest.raises(InputError, match="is no plain name"):
        write_export(plan, tmp_path / "x.jsonl", "a/b")
    with pytest.raises(InputError, match="cannot be written"):
        write_export(plan, tmp_path / "data.jsonl" / "below.jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert run.added("exports") == []


def test_existing_files_and_names_are_never_overwritten(run: Run, tmp_path: Path) -> None:
    plan = plan_export(run, ExportRequest(drop=("DUP",), control_seeds=(0, 0)))
    (tmp_path / "x.random-0.jsonl").write_bytes(b"precious")
    with pytest.raises(InputError, match=r"x\.random-0\.jsonl: the file exists"):
        write_export(plan, tmp_path / "x.jsonl")
    assert not (tmp_path / "x.jsonl").exists()
    assert len(write_export(plan, tmp_path / "y.jsonl", "mine").controls) == 1
    with pytest.raises(InputError, match="the run has an export 'mine'"):
        write_export(plan, tmp_path / "z.jsonl", "mine")


def test_rows_are_kept_by_length(run: Run, tmp_path: Path) -> None:
    exported = export(run, tmp_path / "clean.jsonl", keep=("longest:2",))
    assert exported.plan.selection.kept == [10, 11]


def test_an_export_of_csv_can_be_audited_again(audit_file: Callable[..., Run], tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    with data.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([["instruction", "output"], ["a", "b\nc"], ["a", "b\nc"], ["d", 'e"'], ["x", ""]])
    exported = export(audit_file(data), tmp_path / "clean.csv", drop=("DUP", "TXT"))
    again = audit_file(exported.cleaned)
    assert [row.messages[1].content for row in again.corpus] == ["b\nc", 'e"']
    assert again.findings.height == 0
