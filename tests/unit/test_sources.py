"""Files to records, records to messages, and every way in which either fails."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.errors import InputError
from audit.export.writers import packed
from audit.sources import (
    Compression,
    Container,
    Format,
    Message,
    ParsedRow,
    Problem,
    Record,
    Status,
    compression_of_name,
    container_of_suffix,
    containers,
    decompressed,
    detect_container,
    expected_fields,
    parse_row,
    read_records,
    recognize_format,
    without_compression,
)

ROW = b'{"instruction": "a", "output": "b"}'
FIELDS = {"instruction": "a", "output": "b"}


def records(folder: Path, name: str, content: bytes) -> list[Record]:
    path = folder / name
    path.write_bytes(content)
    return list(read_records(path, detect_container(path)))


def unreadable(reason: str) -> Problem:
    return Problem(Status.UNREADABLE, reason)


def malformed(reason: str) -> Problem:
    return Problem(Status.MALFORMED, reason)


def parse(fields: Mapping[str, Any], format_: Format, **columns: str) -> ParsedRow | Problem:
    return parse_row(fields, format_, columns)


def packed_bytes(content: bytes, compression: Compression) -> bytes:
    buffer = io.BytesIO()
    with packed(buffer, compression) as file:
        file.write(content)
    return buffer.getvalue()


def user(content: str) -> Message:
    return Message("user", content, trained=False)


def assistant(content: str, trained: bool = True) -> Message:
    return Message("assistant", content, trained=trained)


# --- containers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "container"),
    [
        ("a.jsonl", ROW, Container.JSONL),
        ("a.ndjson", ROW, Container.JSONL),
        ("a.JSONL", b"[1]", Container.JSONL),
        ("a.json", ROW, Container.JSONL),
        ("a.json", b"\xef\xbb\xbf \n [", Container.JSON),
        ("a.json", b"[]", Container.JSON),
        ("a.csv", b"a,b\n", Container.CSV),
        ("a.parquet", b"PAR1", Container.PARQUET),
        ("a.pq", b"PAR1", Container.PARQUET),
        ("a.arrow", b"\xff\xff\xff\xff", Container.ARROW),
        ("a.jsonl.gz", gzip.compress(ROW, mtime=0), Container.JSONL),
        ("a.json.GZ", gzip.compress(b"[]", mtime=0), Container.JSON),
        ("a.json", gzip.compress(ROW, mtime=0), Container.JSONL),
        ("a.csv.gz", b"a,b\n", Container.CSV),
        ("a.jsonl.zst", packed_bytes(ROW, Compression.ZSTD), Container.JSONL),
    ],
)
def test_a_container_is_told_by_name_and_first_character(
    tmp_path: Path, name: str, content: bytes, container: Container
) -> None:
    (tmp_path / name).write_bytes(content)
    assert detect_container(tmp_path / name) is container


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"", "the file is empty"),
        ("a.txt", ROW, r"unknown kind of file '\.txt'"),
        ("a", ROW, "unknown kind of file 'without a suffix'"),
        ("a.txt.gz", gzip.compress(ROW, mtime=0), r"unknown kind of file '\.txt'"),
        ("a.jsonl.gz", gzip.compress(b"", mtime=0), "the file is empty"),
        ("a.jsonl.gz", gzip.compress(ROW, mtime=0)[:-9], "Truncated compressed stream"),
        ("a.parquet.gz", gzip.compress(b"PAR1", mtime=0), "parquet inside a compressed file is not read"),
        ("a.csv.gz", gzip.compress("a,b".encode("utf-16"), mtime=0), "UTF-16"),
        ("a.jsonl", ROW.decode().encode("utf-16"), "UTF-16.*iconv"),
        ("a.json", b"[%s]".replace(b"%s", ROW).decode().encode("utf-16-be").join([b"\xfe\xff", b""]), "UTF-16"),
        ("a.csv", "instruction,output\na,b\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_a_file_of_no_known_kind_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        detect_container(tmp_path / name)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.jsonl: no such file"):
        detect_container(tmp_path / "nowhere.jsonl")
    with pytest.raises(InputError, match="is a folder; name one"):
        detect_container(tmp_path)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(InputError, match="cannot be read"):
        detect_container(tmp_path / "file" / "below.jsonl")


def test_a_file_that_vanishes_while_it_is_read_is_an_input_error(tmp_path: Path) -> None:
    for container in Container:
        with pytest.raises(InputError, match=r"gone: cannot be read \(No such file"):
            list(read_records(tmp_path / "gone", container))


# --- JSON Lines -----------------------------------------------------------------------------------------------------


def test_spans_of_lines_reach_from_the_end_of_the_one_before(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf\r\n" + ROW + b"\r\n\n  \n" + ROW + b"\n" + ROW
    found = records(tmp_path, "a.jsonl", content)
    assert [(record.index, record.line) for record in found] == [(0, 2), (1, 5), (2, 6)]
    assert [record.fields for record in found] == [FIELDS] * 3
    assert found[0].start == 0
    assert [record.end for record in found[:-1]] == [record.start for record in found[1:]]
    assert found[-1].end == len(content)


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    assert records(tmp_path, "a.jsonl", b"\xef\xbb\xbf" + ROW)[0].fields == FIELDS


DEEP = b"[" * 10_000 + b"]" * 10_000


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"instruction": "a', "invalid JSON: Unterminated string"),
        (b"[1, 2]", "a JSON list where an object is expected"),
        (b'"text"', "a JSON string where an object is expected"),
        (b"null", "a JSON null where an object is expected"),
        (b'{"a": "\xff"}', "invalid UTF-8 at byte 7 of the row"),
        (b'{"a": "\xed\xa0\x80"}', "invalid UTF-8"),
        (b'{"a": "\x00"}', "a NUL byte in the row"),
        (rb'{"a": "\ud800"}', "no valid Unicode"),
        (rb'{"a\udfff": 1}', "no valid Unicode"),
        (DEEP, "nested more than 256 deep"),
        (b'{"instruction": "a", "output": "b", "x": ' + DEEP + b"}", "nested more than 256 deep"),
        (b'{"x": ' + b"9" * 5000 + b"}", "invalid JSON: Exceeds the limit"),
    ],
)
def test_a_damaged_line_is_a_row_with_a_problem_among_good_rows(tmp_path: Path, line: bytes, reason: str) -> None:
    first, damaged, last = records(tmp_path, "a.jsonl", ROW + b"\n" + line + b"\n" + ROW + b"\n")
    assert isinstance(damaged.fields, Problem)
    assert damaged.fields.status is Status.UNREADABLE
    assert reason in damaged.fields.reason
    assert (first.fields, last.fields, last.line) == (FIELDS, FIELDS, 3)
    assert damaged.end == len(ROW) + 1 + len(line) + 1


def test_the_allowed_depth_is_the_same_for_every_caller(tmp_path: Path) -> None:
    def nested(depth: int) -> bytes:
        return b'{"x": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}\n"

    wide = b'{"x": [' + b",".join([b"[]"] * 1000) + b"]}\n"

    def read(frames: int) -> list[bool]:
        if frames:
            return read(frames - 1)
        found = records(tmp_path, "a.jsonl", nested(256) + nested(257) + nested(990) + wide)
        return [isinstance(record.fields, Problem) for record in found]

    assert read(0) == read(400) == [False, True, True, False]


def test_a_row_over_the_limit_is_passed_over_without_being_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "MAX_RECORD_BYTES", 100)
    long = b'{"a": "' + b"x" * 350 + b'"}\n'
    found = records(tmp_path, "a.jsonl", ROW + b"\n" + long + ROW)
    assert [isinstance(record.fields, Problem) for record in found] == [False, True, False]
    assert found[1].fields == unreadable("the row is over 0 MiB")
    assert [(record.line, record.end) for record in found] == [
        (1, len(ROW) + 1),
        (2, len(ROW) + 1 + len(long)),
        (3, 2 * len(ROW) + 1 + len(long)),
    ]
    for size in (98, 99, 100, 101):
        line = b'{"a": "' + b"x" * (size - 9) + b'"}'
        assert len(line) == size
        (record,) = records(tmp_path, "b.jsonl", line)
        assert isinstance(record.fields, Problem) is (size > 100)


# --- JSON arrays ----------------------------------------------------------------------------------------------------


def test_elements_of_an_array_have_their_own_bytes_and_lines(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf [\n  {"a": "],[{\\"}"},\n\n {"a": [1, {"b": 2}]} , 7\n]\n'
    found = records(tmp_path, "a.json", content)
    assert [record.fields for record in found] == [
        {"a": '],[{"}'},
        {"a": [1, {"b": 2}]},
        unreadable("a JSON number where an object is expected"),
    ]
    assert [(record.index, record.line) for record in found] == [(0, 2), (1, 4), (2, 4)]
    assert [content[record.start : record.end] for record in found] == [
        b'{"a": "],[{\\"}"}',
        b'{"a": [1, {"b": 2}]}',
        b"7",
    ]


def test_an_empty_array_has_no_records(tmp_path: Path) -> None:
    assert records(tmp_path, "a.json", b"[ \n ]") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" + ROW + b",", "not closed after 1 rows"),
        (b"[" + ROW + b", {", "not closed after 1 rows"),
        (b"[" + ROW + b', {"a": "b]', "not closed after 1 rows"),
        (b"[" + ROW + b', {"a": "' + b'\\"' * 50_000, "not closed after 1 rows"),
        (b"[" + ROW + b"}", "not closed after 1 rows"),
        (b"[" + ROW + b"]" + ROW, "text after the JSON array"),
        (DEEP[:10_000], "not closed after 0 rows"),
    ],
)
def test_an_array_that_cannot_be_cut_into_rows_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        records(tmp_path, "a.json", content)


def test_a_damaged_element_does_not_hide_the_others(tmp_path: Path) -> None:
    found = records(tmp_path, "a.json", b"[" + ROW + b', {"a": nonsense}, {"b": "\xff"}, ' + DEEP + b"," + ROW + b"]")
    assert [isinstance(record.fields, Problem) for record in found] == [False, True, True, True, False]


# --- CSV ------------------------------------------------------------------------------------------------------------


def test_records_of_csv_keep_quotes_and_line_ends_inside_fields(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbfinstruction,output\r\n"a, ""x""","b\r\nc"\r\n\r\nd,\r\n'
    found = records(tmp_path, "a.csv", content)
    assert [record.fields for record in found] == [
        {"instruction": 'a, "x"', "output": "b\r\nc"},
        {"instruction": "d", "output": ""},
    ]
    assert [(record.index, record.line) for record in found] == [(0, 2), (1, 5)]
    assert [content[record.start : record.end] for record in found] == [b'"a, ""x""","b\r\nc"\r\n', b"\r\nd,\r\n"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"one", "1 fields where the header has 2"),
        (b"one,two,three", "3 fields where the header has 2"),
        (b"one,\xff", "no valid Unicode"),
        (b"one\rtwo,three", "no CSV record: new-line character seen in unquoted field"),
    ],
)
def test_a_damaged_csv_record_is_a_row_with_a_problem(tmp_path: Path, row: bytes, reason: str) -> None:
    found = records(tmp_path, "a.csv", b"instruction,output\n" + row + b"\na,b\n")
    assert isinstance(found[0].fields, Problem)
    assert reason in found[0].fields.reason
    assert found[1].fields == FIELDS


def test_a_quote_that_is_never_closed_is_a_problem_of_its_row(tmp_path: Path) -> None:
    first, last = records(tmp_path, "a.csv", b'instruction,output\na,b\nc,"d\ne,f\n')
    assert first.fields == FIELDS
    assert last.fields == unreadable("a quoted field is not closed before the end of the file")
    (closed,) = records(tmp_path, "b.csv", b'instruction,output\nc,"d\ne,f"')
    assert closed.fields == {"instruction": "c", "output": "d\ne,f"}


def test_a_csv_record_over_the_limit_is_passed_over_without_being_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "MAX_RECORD_BYTES", 60)
    header = b"instruction,output\n"
    for long in (b"x" * 70 + b",y\n", b'"' + b"line\n" * 20 + b'""",y\n', b'x,"' + b"y" * 200 + b'"\n'):
        found = records(tmp_path, "a.csv", header + b"a,b\n" + long + b"a,b\n")
        assert [record.fields for record in found] == [FIELDS, unreadable("the row is over 0 MiB"), FIELDS]
        begin = len(header) + 4
        assert [(record.start, record.end) for record in found] == [
            (len(header), begin),
            (begin, begin + len(long)),
            (begin + len(long), begin + len(long) + 4),
        ]
        assert found[2].line == 3 + long.count(b"\n")
    (rest,) = records(tmp_path, "a.csv", header + b'a,"b\n' + b"a,b\n" * 20)
    assert (rest.fields, rest.end) == (unreadable("the row is over 0 MiB"), len(header) + 5 + 80)
    with pytest.raises(InputError, match="the first line is over 0 MiB"):
        records(tmp_path, "a.csv", b"x" * 100)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n", "no header of distinct column names"),
        (b"a,a\n1,2\n", "no header of distinct column names"),
        (b"a,b\rc,d\r", "no readable CSV"),
    ],
)
def test_csv_that_cannot_be_framed_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        records(tmp_path, "a.csv", content)


# --- Parquet --------------------------------------------------------------------------------------------------------


def test_rows_of_parquet_have_fields_and_no_bytes(tmp_path: Path) -> None:
    turns = [[{"from": "human", "value": "a"}], None]
    pl.DataFrame({"n": [1, 2], "conversations": turns}).write_parquet(tmp_path / "a.parquet")
    assert list(read_records(tmp_path / "a.parquet", Container.PARQUET)) == [
        Record(0, None, None, None, {"n": 1, "conversations": turns[0]}),
        Record(1, None, None, None, {"n": 2, "conversations": None}),
    ]


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.99])
def test_half_a_parquet_file_is_refused(tmp_path: Path, cut: float) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"a": [str(n) * 9 for n in range(500)]}).write_parquet(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * cut)])
    with pytest.raises(InputError, match="no whole Parquet file"):
        list(read_records(path, Container.PARQUET))


def test_parquet_with_a_damaged_middle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"a": [f"{n} {n * n}" for n in range(5000)]}).write_parquet(path, compression="zstd")
    content = bytearray(path.read_bytes())
    content[200:400] = bytes(200)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.parquet"):
        list(read_records(path, Container.PARQUET))


def odd_table() -> pa.Table:
    """A column of which Python has no value in the middle row, for each way in which that can be."""
    far = pa.array([0, 4 * 10**11, 0], pa.int64())
    texts = pa.array([b"b", b"b", b"b"], pa.binary())
    return pa.table(
        {
            "instruction": ["a", "a", "a"],
            "output": texts.cast(pa.string()),
            "day": pa.array([0, 9_000_000, 0], pa.int32()).cast(pa.date32()),
            "time": far.cast(pa.timestamp("s")),
            "nanoseconds": pa.array([0, 1, 0], pa.int64()).cast(pa.timestamp("ns")),
            "zone": pa.array([0, 0, 0], pa.int64()).cast(pa.timestamp("s", tz="Nowhere/City")),
            "long": far.cast(pa.duration("s")),
            "nested": pa.array([[0], [9_000_000], []], pa.list_(pa.int32())).cast(pa.list_(pa.date32())),
        }
    )


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_cell_that_python_has_no_value_for_is_kept_as_text(tmp_path: Path, suffix: str) -> None:
    path = write_table(odd_table(), tmp_path / f"a.{suffix}")
    found = list(read_records(path, detect_container(path)))
    assert [isinstance(record.fields, Problem) for record in found] == [False, False, False]
    rows = [parse(record.fields, Format.ALPACA) for record in found]  # type: ignore[arg-type]
    assert all(isinstance(row, ParsedRow) and row.messages == (user("a"), assistant("b")) for row in rows)
    fields = found[1].fields
    assert isinstance(fields, Mapping)
    assert (fields["day"], fields["time"][:5], fields["nested"][:6]) == ("26611-03-02", "14645", "<list<")
    assert fields["zone"].endswith("s, tz=Nowhere/City]>")
    assert all(json.dumps(record.fields, default=repr) for record in found)


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_bytes_that_are_no_text_are_a_problem_of_their_row(tmp_path: Path, suffix: str) -> None:
    texts = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.py_buffer(np.array([0, 1, 2, 3], np.int32).tobytes()), pa.py_buffer(b"a\xffc")]
    )
    path = write_table(pa.table({"instruction": texts, "output": ["x", "y", "z"]}), tmp_path / f"a.{suffix}")
    assert [record.fields for record in read_records(path, detect_container(path))] == [
        {"instruction": "a", "output": "x"},
        unreadable("invalid UTF-8 at byte 0 of field 'instruction'"),
        {"instruction": "c", "output": "z"},
    ]


# --- Arrow and compressed files -------------------------------------------------------------------------------------


def write_table(table: pa.Table, path: Path, *, is_stream: bool = True) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(table, path)
        return path
    with path.open("wb") as file:
        opened = pa.ipc.new_stream(file, table.schema) if is_stream else pa.ipc.new_file(file, table.schema)
        with opened as writer:
            writer.write_table(table, max_chunksize=1500)
    return path


@pytest.mark.parametrize("is_stream", [True, False])
def test_rows_of_arrow_have_fields_and_no_bytes(tmp_path: Path, is_stream: bool) -> None:
    table = pa.table({"prompt": [str(n) for n in range(4000)], "completion": ["x"] * 4000})
    found = list(read_records(write_table(table, tmp_path / "a.arrow", is_stream=is_stream), Container.ARROW))
    assert found[0] == Record(0, None, None, None, {"prompt": "0", "completion": "x"})
    assert [(record.index, record.fields) for record in found] == list(enumerate(table.to_pylist()))


@pytest.mark.parametrize("is_stream", [True, False])
def test_half_an_arrow_file_is_refused(tmp_path: Path, is_stream: bool) -> None:
    table = pa.table({"a": [str(n) * 9 for n in range(5000)]})
    path = write_table(table, tmp_path / "a.arrow", is_stream=is_stream)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(InputError, match=r"a\.arrow"):
        list(read_records(path, Container.ARROW))
    path.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="no whole Arrow file"):
        list(read_records(path, Container.ARROW))


PLAIN = {
    "a.jsonl": b"\xef\xbb\xbf\r\n" + ROW + b"\r\n\r\nnonsense\n" + ROW,
    "a.json": b" [ " + ROW + b",\n nonsense, " + ROW + b" ]\n",
    "a.csv": b'instruction,output\r\na,b\r\n"x\r\ny",\r\na\r\n',
}


@pytest.mark.parametrize("compression", list(Compression))
@pytest.mark.parametrize("name", PLAIN)
def test_a_compressed_file_is_read_as_what_it_holds(tmp_path: Path, name: str, compression: Compression) -> None:
    content = PLAIN[name]
    expected = records(tmp_path, name, content)
    suffix = {"gzip": "gz", "zstd": "zst"}[compression]
    assert records(tmp_path, f"{name}.{suffix}", packed_bytes(content, compression)) == expected
    # Parts that were compressed one after the other, as logs are, are one file.
    parts = packed_bytes(content[:20], compression) + packed_bytes(content[20:], compression)
    assert records(tmp_path, f"{name}.{suffix}", parts) == expected
    with decompressed(tmp_path / f"{name}.{suffix}") as plain:
        assert plain.read_bytes() == content
    assert not plain.exists()


@pytest.mark.parametrize("compression", list(Compression))
def test_a_compressed_file_that_is_cut_off_or_damaged_is_refused(tmp_path: Path, compression: Compression) -> None:
    lines = b"".join(b'{"instruction": "%d", "output": "%d"}\n' % (n, n * n) for n in range(20_000))
    whole = packed_bytes(lines, compression)
    damaged = whole[: len(whole) // 2] + bytes(64) + whole[len(whole) // 2 + 64 :]
    for content in (whole[: len(whole) // 2], whole[:-3], damaged):
        (tmp_path / "a.jsonl.x").write_bytes(content)
        with pytest.raises(InputError, match=r"a\.jsonl\.x: cannot be read"):
            list(read_records(tmp_path / "a.jsonl.x", Container.JSONL))


def test_names_say_what_a_file_holds_and_how_it_is_packed() -> None:
    names = ["a.jsonl", "a.JSON.GZ", "a.csv.zst", "a.b.pq", "a.gz", "a", "a.txt"]
    assert [container_of_suffix(Path(name)) for name in names] == [
        Container.JSONL,
        Container.JSON,
        Container.CSV,
        Container.PARQUET,
        None,
        None,
        None,
    ]
    assert [compression_of_name(Path(name)) for name in names[:3]] == [None, Compression.GZIP, Compression.ZSTD]
    assert without_compression(Path("d/a.jsonl.gz")) == Path("d/a.jsonl")


# --- formats --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "format_"),
    [
        ({"instruction": "", "output": ""}, Format.ALPACA),
        ({"instruction": "", "context": "", "response": ""}, Format.ALPACA),
        ({"prompt": "", "completion": ""}, Format.PROMPT_COMPLETION),
        ({"prompt": "", "response": ""}, Format.PROMPT_COMPLETION),
        ({"messages": [{"role": "user", "content": ""}]}, Format.MESSAGES),
        ({"conversations": [{"role": "user", "content": ""}]}, Format.MESSAGES),
        ({"conversations": [{"from": "human", "value": ""}]}, Format.SHAREGPT),
        ({"messages": [{"from": "human", "value": ""}]}, Format.SHAREGPT),
        ({"conversation": ["text"]}, Format.SHAREGPT),
        ({"messages": [], "instruction": "", "output": ""}, Format.ALPACA),
        ({"messages": []}, None),
        ({"instruction": ""}, None),
        ({"text": ""}, Format.TEXT),
        ({"text": "", "instruction": "", "output": ""}, Format.ALPACA),
        ({"chosen": "", "rejected": ""}, Format.PREFERENCE),
        ({"prompt": "", "chosen": [], "rejected": [], "messages": [{"role": "user", "content": ""}]}, Format.PREFERENCE),
        ({"prompt": [{"role": "user", "content": ""}], "completion": []}, Format.PROMPT_COMPLETION),
        ({"messages": [{"role": "user", "from": None, "content": ""}]}, Format.MESSAGES),
        ({}, None),
    ],
)
def test_a_format_is_recognised_by_its_fields(fields: dict[str, Any], format_: Format | None) -> None:
    assert recognize_format(fields) is format_


def test_the_fields_of_every_format_are_named_for_messages() -> None:
    assert expected_fields() == (
        "alpaca (instruction, output), messages (messages), sharegpt (conversations), prompt-completion (prompt, completion), "
        "preference (chosen), text (text)"
    )


def test_an_alpaca_row_joins_instruction_and_input() -> None:
    fields = {"instruction": "Add.", "input": "1 2", "output": "3", "system": "Be brief.", "id": 7}
    assert parse(fields, Format.ALPACA) == ParsedRow(
        (Message("system", "Be brief.", trained=False), user("Add.\n1 2"), assistant("3")), None, {"id": 7}
    )


def test_the_history_of_an_alpaca_row_comes_first_and_is_trained() -> None:
    fields = {"instruction": "c", "input": "", "output": "d", "history": [["a", "b"]]}
    assert parse(fields, Format.ALPACA) == ParsedRow((user("a"), assistant("b"), user("c"), assistant("d")), None, {})
    assert parse({**fields, "history": None}, Format.ALPACA) == ParsedRow((user("c"), assistant("d")), None, {})


@pytest.mark.parametrize("history", [5, True, "text", {"a": "b"}, [["a"]], [["a", "b", "c"]], ["ab"]])
def test_a_history_of_another_kind_is_malformed(history: object) -> None:
    fields = {"instruction": "c", "output": "d", "history": history}
    assert parse(fields, Format.ALPACA) == malformed("field 'history' is no list of [question, answer]")


def test_null_text_is_empty_text() -> None:
    assert parse({"prompt": None, "completion": "b"}, Format.PROMPT_COMPLETION) == ParsedRow(
        (user(""), assistant("b")), None, {}
    )


@pytest.mark.parametrize(
    ("fields", "format_", "reason"),
    [
        ({"instruction": "a"}, Format.ALPACA, "no field 'output', which alpaca rows need"),
        ({"instruction": 3, "output": "b"}, Format.ALPACA, "field 'instruction' is a JSON number, not text"),
        ({"instruction": "a", "output": ["b"]}, Format.ALPACA, "field 'output' is a JSON list, not text"),
        ({"instruction": "a", "output": {"b": 1}}, Format.ALPACA, "field 'output' is a JSON object, not text"),
        ({"instruction": "a", "output": True}, Format.ALPACA, "field 'output' is a JSON boolean, not text"),
        ({"prompt": "a"}, Format.PROMPT_COMPLETION, "no field 'completion', which prompt-completion rows need"),
        ({}, Format.MESSAGES, "no field 'messages', which messages rows need"),
        ({"messages": "a"}, Format.MESSAGES, "the conversation is a JSON string, not a list"),
        ({"messages": []}, Format.MESSAGES, "the conversation has no turns"),
        ({"messages": ["a"]}, Format.MESSAGES, "turn 0 is a JSON string, not an object"),
        ({"messages": [{"content": "a"}]}, Format.MESSAGES, "turn 0 has no role"),
        (
            {"messages": [{"role": "user", "content": 1}]},
            Format.MESSAGES,
            "field 'content of turn 0' is a JSON number, not text",
        ),
        (
            {"messages": [{"role": "user", "content": [{"image": "a.png"}]}]},
            Format.MESSAGES,
            "turn 0 has content that is not text",
        ),
        (
            {"messages": [{"role": "user", "content": "a", "name": 1}]},
            Format.MESSAGES,
            "field 'name of turn 0' is a JSON number, not text",
        ),
    ],
)
def test_fields_of_the_wrong_kind_are_named(fields: dict[str, Any], format_: Format, reason: str) -> None:
    assert parse(fields, format_) == malformed(reason)


def test_messages_keep_every_field_that_a_template_may_use() -> None:
    call = [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]
    fields = {
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "Ann"},
            {"role": "assistant", "content": None, "tool_calls": call, "reasoning_content": "hm"},
            {"role": "tool", "content": "7", "tool_call_id": "1"},
            {"role": "assistant", "content": "c", "weight": 0},
            {"role": "assistant", "content": "d", "train": False},
            {"role": "assistant", "content": "e", "weight": 1},
        ],
        "tools": [{"name": "f", "a": 1}],
        "source": "x",
    }
    assert parse(fields, Format.MESSAGES) == ParsedRow(
        (
            Message("system", "s", trained=False),
            Message("user", "ab", trained=False, name="Ann"),
            Message(
                "assistant",
                "",
                trained=True,
                reasoning="hm",
                tool_calls='[{"function":{"arguments":"{}","name":"f"},"id":"1"}]',
            ),
            Message("tool", "7", trained=False, tool_call_id="1"),
            assistant("c", trained=False),
            assistant("d", trained=False),
            assistant("e"),
        ),
        '[{"a":1,"name":"f"}]',
        {"source": "x"},
    )


def test_sharegpt_names_become_roles() -> None:
    turns = [{"from": name, "value": name} for name in ("human", "gpt", "function_call", "observation", "critic", "developer")]
    assert parse({"conversations": turns, "system": "s"}, Format.SHAREGPT) == ParsedRow(
        (
            Message("system", "s", trained=False),
            user("human"),
            assistant("gpt"),
            assistant("function_call"),
            Message("tool", "observation", trained=False),
            Message("critic", "critic", trained=False),
            Message("system", "developer", trained=False),
        ),
        None,
        {},
    )


def test_columns_given_by_the_user_win_over_the_formats_own() -> None:
    fields = {"question": "a", "answer": "b", "instruction": "other"}
    assert parse(fields, Format.ALPACA, prompt="question", response="answer") == ParsedRow(
        (user("a"), assistant("b")), None, {"instruction": "other"}
    )
    assert parse(fields, Format.ALPACA, prompt="question", response="reply") == malformed(
        "no field 'reply', which alpaca rows need"
    )


@pytest.mark.parametrize("value", [float("nan"), 10**400, 1e308])
def test_odd_numbers_in_other_fields_do_no_harm(tmp_path: Path, value: float) -> None:
    (record,) = records(tmp_path, "a.jsonl", json.dumps({**FIELDS, "x": value}).encode())
    assert not isinstance(record.fields, Problem)
    assert isinstance(parse(record.fields, Format.ALPACA), ParsedRow)
