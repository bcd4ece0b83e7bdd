"""An export in which nothing is dropped is the source; one in which rows are dropped keeps the bytes of the others."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from audit.corpus import Corpus
from audit.errors import InputError
from audit.export.control import MATCH_TOLERANCE, draw_control
from audit.export.writers import SourceRows, packed, write_joined, write_rows
from audit.sources import Compression, Container, detect_container
from tests.conftest import alpaca, read_dataset
from tests.texts import TEXTS

GOOD = json.dumps(alpaca("a", "b")).encode()
BOM = b"\xef\xbb\xbf"
Kept = Callable[[int], Sequence[int]]


def exported(name: str, content: bytes, kept: Kept, **options: Any) -> tuple[bytes, Corpus]:
    with TemporaryDirectory() as folder:
        corpus, _ = read_dataset(Path(folder), name, content, **options)
        source = Path(folder) / name
        container = detect_container(source)
        buffer = io.BytesIO()
        write_rows(source, container, corpus.rows, kept(len(corpus)), container, buffer)
        return buffer.getvalue(), corpus


def compressed(content: bytes, compression: Compression | None) -> bytes:
    buffer = io.BytesIO()
    with packed(buffer, compression) as file:
        file.write(content)
    return buffer.getvalue()


def everything(n_rows: int) -> range:
    return range(n_rows)


ROWS = st.builds(
    lambda a, b, n: json.dumps(alpaca(a, b, n=n), ensure_ascii=n % 2 == 0).encode(), TEXTS, TEXTS, st.integers(0, 9)
)
LINES = st.one_of(
    ROWS,
    ROWS,
    st.sampled_from([b"", b" \t", b"\x0c", b"nonsense", b"[]", b'{"a": "\xff\xfe"}', b"{\x00}", b'{"a"' + b"[" * 300]),
)
LINE_ENDS = st.sampled_from([b"\n", b"\n", b"\r\n", b"\n\n", b"\r\r\n"])


@st.composite
def json_lines(draw: st.DrawFn) -> bytes:
    lines = [draw(LINES) + draw(LINE_ENDS) for _ in range(draw(st.integers(0, 6)))]
    lines.insert(draw(st.integers(0, len(lines))), GOOD + draw(LINE_ENDS))
    content = draw(st.sampled_from([b"", BOM])) + b"".join(lines)
    return content.removesuffix(b"\n") if draw(st.booleans()) else content


SPACE = st.text(" \t\r\n", max_size=3).map(str.encode)


@st.composite
def json_arrays(draw: st.DrawFn) -> bytes:
    elements = st.one_of(ROWS, st.sampled_from([b"7", b'"],["', b"null", b'{"a": [[{}]]}', b"{nonsense}", b'{"x": "\\"\\\\"}']))
    rows = [draw(elements) for _ in range(draw(st.integers(0, 5)))]
    rows.insert(draw(st.integers(0, len(rows))), GOOD)
    indented = [json.dumps(json.loads(row), indent=2).encode() if row == GOOD and draw(st.booleans()) else row for row in rows]
    body = b",".join(draw(SPACE) + row + draw(SPACE) for row in indented)
    comma = draw(st.sampled_from([b"", b"", b","]))
    return draw(st.sampled_from([b"", BOM])) + draw(SPACE) + b"[" + body + comma + draw(SPACE) + b"]" + draw(SPACE)


@st.composite
def csv_files(draw: st.DrawFn) -> bytes:
    end = draw(st.sampled_from(["\n", "\r\n"]))
    text = io.StringIO(newline="")
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    writer = csv.writer(text, lineterminator=end, quoting=quoting)
    writer.writerow(["instruction", "output", "n"])
    cells = TEXTS.map(lambda cell: cell.replace("\r", " "))  # a lone CR must be quoted, which QUOTE_MINIMAL with LF does not
    rows = draw(st.lists(st.tuples(cells, cells, st.just("1")), max_size=5))
    for row in [("a", "b", "2"), *rows]:
        writer.writerow(row)
        if draw(st.integers(0, 4)) == 0:
            text.write(draw(st.sampled_from([end, f"only one{end}", f"a,b,c,d{end}"])))
    content = draw(st.sampled_from([b"", BOM])) + text.getvalue().encode()
    return content.removesuffix(end.encode()) if draw(st.booleans()) else content


FILES = st.one_of(
    st.tuples(st.just("data.jsonl"), json_lines()),
    st.tuples(st.just("data.json"), json_arrays()),
    st.tuples(st.just("data.csv"), csv_files()),
)


@settings(max_examples=200)
@given(FILES, st.sampled_from([None, None, *Compression]))
@example(("data.jsonl", BOM + b"\n" + GOOD + b"\r\n\r\nnonsense"), None)
@example(("data.json", b"[" + GOOD + b"\n,\n]"), Compression.GZIP)
@example(("data.csv", b'instruction,output\n"a\n""b""",c\n\nd,"unclosed\n'), None)
@example(("data.csv", b"instruction,output\na\rb,c\nd,e\n"), Compression.ZSTD)
def test_nothing_dropped_is_nothing_changed(file: tuple[str, bytes], compression: Compression | None) -> None:
    name, content = file
    written, corpus = exported(name, compressed(content, compression), everything)
    assert written == content
    if compression is not None:
        plain = exported(name, content, everything)[1]
        assert plain.rows.equals(corpus.rows)
        assert plain.turns.equals(corpus.turns)


@settings(max_examples=60)
@given(st.lists(FILES, min_size=1, max_size=3), st.sampled_from([Container.JSONL, Container.JSON]))
def test_joined_files_hold_the_readable_rows_of_all_in_order(files: list[tuple[str, bytes]], target: Container) -> None:
    parts, keys = [], []
    with TemporaryDirectory() as folder:
        for number, (name, content) in enumerate(files):
            place = Path(folder) / str(number)
            place.mkdir()
            corpus, summary = read_dataset(place, name, content)
            good = corpus.rows.filter(pl.col("status") == "ok")["row"].to_list()
            parts.append(SourceRows(name, place / name, Container(summary.container), corpus.rows, good))
            keys += corpus.rows["key"].gather(good).to_list()
        buffer = io.BytesIO()
        write_joined(parts, target, buffer)
        again, _ = read_dataset(Path(folder), f"joined.{target}", buffer.getvalue())
    assert again.rows["key"].to_list() == keys


@settings(max_examples=150)
@given(FILES, st.data())
def test_the_rows_that_are_kept_keep_their_bytes_and_their_order(file: tuple[str, bytes], data: st.DataObject) -> None:
    name, content = file
    with TemporaryDirectory() as folder:
        corpus, _ = read_dataset(Path(folder), name, content)
    n_rows = len(corpus)
    good = corpus.rows.filter(pl.col("status") == "ok")["row"].to_list()
    kept = sorted({data.draw(st.sampled_from(good)), *data.draw(st.sets(st.integers(0, n_rows - 1)))})
    cleaned, _ = exported(name, content, lambda _: kept)
    spans = corpus.rows.select("start", "end").rows()
    position = 0
    for row in kept:
        start, end = spans[row]
        found = cleaned.find(content[start:end], position)
        assert found >= 0
        position = found + end - start
    with TemporaryDirectory() as folder:
        again, _ = read_dataset(Path(folder), name, cleaned)
    assert again.rows["key"].to_list() == [corpus.rows["key"][row] for row in kept]


@settings(max_examples=60)
@given(FILES, st.integers(1, 4))
def test_an_export_of_a_limited_audit_holds_so_many_rows(file: tuple[str, bytes], limit: int) -> None:
    name, content = file
    try:
        cleaned, corpus = exported(name, content, everything, limit=limit)
    except InputError as error:
        assume("no row can be read" not in str(error))  # the damaged rows came first
        raise
    with TemporaryDirectory() as folder:
        again, _ = read_dataset(Path(folder), name, cleaned)
    assert again.rows["key"].to_list() == corpus.rows["key"].to_list()
    assert len(corpus) <= limit


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 3000), min_size=20, max_size=200),
    st.integers(0, 2**32),
    st.sampled_from([0.02, 0.05, 0.1, 0.3]),
    st.sampled_from([None, "topic"]),
)
def test_a_control_removes_as_much_as_the_cleaning_or_says_so(
    characters: list[int], seed: int, share: float, group_column: str | None
) -> None:
    n_rows = len(characters)
    generator = np.random.default_rng(seed)
    status = np.where(generator.random(n_rows) < 0.05, "unreadable", "ok")
    lengths = np.where(status == "ok", characters, 0)
    topics = generator.choice(["x", "y"], n_rows)
    dropped = sorted(generator.choice(n_rows, max(1, int(share * n_rows)), replace=False).tolist())
    rows = pl.DataFrame(
        {
            "file": ["data.jsonl"] * n_rows,
            "status": status.tolist(),
            "extra": [json.dumps({"topic": str(topic)}) for topic in topics],
        }
    )
    signals = pl.DataFrame({"response_characters": lengths})
    try:
        control = draw_control(rows, signals, dropped, seed, group_column)
    except InputError as error:
        assume(not str(error).startswith(("no control:", "no control matches")))  # it is refused, with the reason
        raise
    removed = list(control.removed)
    trainable = status == "ok"
    assert len(removed) == len(set(removed)) == len(dropped)
    assert not {row for row in removed if trainable[row]} & set(dropped)
    assert {row for row in removed if not trainable[row]} == {row for row in dropped if not trainable[row]}
    wanted, reached = int(lengths[dropped].sum()), int(lengths[removed].sum())
    assert (control.cleaned_characters, control.characters) == (wanted, reached)
    assert (control.note == "") == (abs(reached - wanted) <= MATCH_TOLERANCE * wanted)
    if control.note:
        assert abs(reached - wanted) <= MATCH_TOLERANCE * (int(lengths[trainable].sum()) - wanted)
    if group_column:
        assert sorted(topics[removed][trainable[removed]]) == sorted(topics[dropped][trainable[dropped]])


@settings(max_examples=40)
@given(
    st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5),
    st.sampled_from(list(Container)),
    st.sampled_from(list(Container)),
)
def test_converted_rows_say_the_same(rows: list[tuple[str, str]], source: Container, target: Container) -> None:
    records = [{"instruction": question, "output": answer} for question, answer in rows]

    def messages(corpus: Corpus) -> list[list[str]]:
        return [[message.content for message in row.messages] for row in corpus]

    def converted(content: bytes, name: str, container: Container, target: Container) -> bytes:
        with TemporaryDirectory() as folder:
            corpus, _ = read_dataset(Path(folder), name, content)
            buffer = io.BytesIO()
            write_rows(Path(folder) / name, container, corpus.rows, range(len(corpus)), target, buffer)
        return buffer.getvalue()

    content = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    first = converted(content, "a.jsonl", Container.JSONL, source)
    second = converted(first, f"b.{source}", source, target)
    with TemporaryDirectory() as folder:
        corpus, _ = read_dataset(Path(folder), f"c.{target}", second)
    assert messages(corpus) == [[question, answer] for question, answer in rows]
