"""Rows as columns: what is stored, by what a row is known, and which files are refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from audit.corpus import Corpus, Row, RowId, RowKey, SourceSummary, row_key
from audit.errors import CorruptFileError, InputError
from audit.signals import length_signals
from audit.sources import Format, Message, Status
from tests.conftest import ReadFile, ReadRows, alpaca, chat, jsonl

QUESTION = Message("user", "Name a river.", trained=False)
ANSWER = Message("assistant", "The Oder.", trained=True)


def test_a_row_comes_back_as_it_was_read(read_file: ReadFile) -> None:
    corpus, summary = read_file("data.jsonl", jsonl([alpaca("Name a river.", "The Oder.", id=7, tags=["é"])]))
    assert summary == SourceSummary("jsonl", "alpaca", n_rows=1, n_unreadable=0, n_malformed=0)
    assert list(corpus) == [
        Row(
            id=RowId("data.jsonl", 0),
            key=RowKey(row_key((QUESTION, ANSWER), None), 0),
            line=1,
            format="alpaca",
            messages=(QUESTION, ANSWER),
            tools=None,
            extra={"id": 7, "tags": ["é"]},
            status=Status.OK,
            reason="",
        )
    ]
    assert (str(corpus.id(0)), len(corpus)) == ("data.jsonl#0", 1)


def test_every_field_of_a_message_is_kept(read_rows: ReadRows) -> None:
    call = [{"id": "1", "function": {"name": "f"}}]
    turns = [
        {"role": "user", "content": "a", "name": "Ann"},
        {"role": "assistant", "content": None, "tool_calls": call, "reasoning_content": "hm"},
        {"role": "tool", "content": "7", "tool_call_id": "1"},
        {"role": "assistant", "content": "b", "weight": 0},
    ]
    row = read_rows([{"messages": turns, "tools": [{"name": "f"}]}]).row(0)
    assert row.messages == (
        Message("user", "a", trained=False, name="Ann"),
        Message("assistant", "", trained=True, reasoning="hm", tool_calls='[{"function":{"name":"f"},"id":"1"}]'),
        Message("tool", "7", trained=False, tool_call_id="1"),
        Message("assistant", "b", trained=False),
    )
    assert row.tools == '[{"name":"f"}]'


def test_damaged_rows_stand_among_the_others(read_file: ReadFile) -> None:
    rows = [alpaca("a", "b"), '{"instruction": "a', {"instruction": "a", "output": 7}, alpaca("c", "d")]
    corpus, summary = read_file("data.jsonl", jsonl(rows))
    assert summary == SourceSummary("jsonl", "alpaca", n_rows=4, n_unreadable=1, n_malformed=1)
    assert corpus.rows["status"].to_list() == ["ok", "unreadable", "malformed", "ok"]
    assert corpus.row(1).reason.startswith("invalid JSON: Unterminated string")
    assert corpus.row(2).reason == "field 'output' is a JSON number, not text"
    assert corpus.row(2).messages == ()
    assert corpus.row(3).messages[0].content == "c"
    assert corpus.responses["row"].to_list() == [0, 3]


def test_a_response_has_the_turns_since_the_last_answer_as_its_prompt(read_rows: ReadRows) -> None:
    row = chat(
        ("system", "s"), ("user", "a"), ("user", "b"), ("assistant", "c"), ("tool", "d"), ("assistant", "e"), ("assistant", "f")
    )
    row["messages"][5]["weight"] = 0
    corpus = read_rows([row, chat(("user", "only a question"))])
    assert corpus.responses.rows() == [(0, 3, "a\nb", "c"), (0, 6, "", "f")]


def test_multi_turn_rows_keep_their_turns_apart(read_rows: ReadRows) -> None:
    rows = [chat(("user", f"q{n}"), ("assistant", f"a{n}"), ("user", f"r{n}"), ("assistant", f"b{n}")) for n in range(3)]
    assert read_rows(rows).responses.rows() == [
        (n, turn, prompt + str(n), text + str(n)) for n in range(3) for turn, prompt, text in [(1, "q", "a"), (3, "r", "b")]
    ]


def test_equal_rows_share_a_digest_and_are_numbered(read_rows: ReadRows) -> None:
    corpus = read_rows([alpaca("a", "b", n=1), alpaca("x", "y"), alpaca("a", "b", n=2), "{", "{", alpaca("a", "b")])
    keys = [corpus.row(number).key for number in range(6)]
    assert [key.ordinal for key in keys] == [0, 0, 1, 0, 1, 2]
    assert keys[0].digest == keys[2].digest == keys[5].digest != keys[1].digest
    assert corpus.keys.to_list() == [str(key) for key in keys]
    assert corpus.keys[2] == f"{keys[0].digest}:1"


def test_a_row_key_does_not_change_between_versions() -> None:
    turns = (
        '{"content":"Name a river.","role":"user","trained":false},{"content":"The Oder.","role":"assistant","trained":true}'
    )
    expected = hashlib.sha256(f'{{"messages":[{turns}]}}'.encode()).hexdigest()
    assert row_key((QUESTION, ANSWER), None) == expected


def test_blank_lines_around_a_broken_row_are_no_part_of_its_key(read_file: ReadFile) -> None:
    good = jsonl([alpaca("a", "b")])
    keys = {
        read_file("data.jsonl", good + content + good)[0].keys[1]
        for content in (b"{broken\n", b"\n\n{broken\n", b"\r\n{broken\r\n")
    }
    assert len(keys) == 1
    assert read_file("data.jsonl", good + b"{broke\n")[0].keys[1] not in keys


def test_only_so_many_rows_are_read(read_file: ReadFile) -> None:
    content = jsonl([alpaca("a", "b")] * 3 + ['{"messages": [{"role": "user", "content": "x"}]}'])
    corpus, summary = read_file("data.jsonl", content, limit=2)
    assert (len(corpus), summary.n_rows) == (2, 2)
    assert len(read_file("data.json", b"[" + content[:-1].replace(b"\n", b",")[: len(content) // 2], limit=1)[0]) == 1


def test_rows_of_csv_and_parquet_are_rows_like_others(read_file: ReadFile, tmp_path: Path) -> None:
    corpus, summary = read_file("data.csv", b"instruction,output,n\na,b,1\n")
    assert (summary.container, corpus.row(0).extra) == ("csv", {"n": "1"})
    pl.DataFrame({"prompt": ["a"], "completion": ["b"], "n": [1]}).write_parquet(tmp_path / "made.parquet")
    corpus, summary = read_file("data.parquet", (tmp_path / "made.parquet").read_bytes())
    assert summary == SourceSummary("parquet", "prompt-completion", 1, 0, 0)
    row = corpus.row(0)
    assert (row.line, row.extra, row.messages[1].content) == (None, {"n": 1}, "b")


@pytest.mark.parametrize(
    ("columns", "format_"),
    [({"prompt": "q", "response": "a"}, "alpaca"), ({"messages": "dialog"}, "messages"), ({"system": "rules"}, "messages")],
)
def test_columns_that_are_named_tell_the_format(read_file: ReadFile, columns: dict[str, str], format_: str) -> None:
    turns = chat(("user", "x"), ("assistant", "y"))["messages"]
    row = {"q": "x", "a": "y", "dialog": turns} if "system" not in columns else {"messages": turns, "rules": "s"}
    corpus, summary = read_file("data.jsonl", jsonl([row]), columns=columns)
    assert summary.format == format_
    assert [m.content for m in corpus.row(0).messages][-2:] == ["x", "y"]


def test_an_unknown_column_name_suggests_the_nearest(read_file: ReadFile) -> None:
    with pytest.raises(InputError, match="unknown column name 'promt'; did you mean 'prompt'"):
        read_file("data.jsonl", jsonl([alpaca("a", "b")]), columns={"promt": "instruction"})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"\n \n", "the file holds no row"),
        ("a.json", b"[]", "the file holds no row"),
        ("a.csv", b"instruction,output\n", "the file holds no row"),
        ("a.jsonl", b'{"title": "a"}\n', r"no row can be read \(line 1: fields of no known format.*'title'.*--columns"),
        ("a.jsonl", b"\n\nnonsense\n", r"no row can be read \(line 3: invalid JSON"),
        ("a.jsonl", b"[" * 10_000 + b"]" * 10_000, "nested more than 256 deep"),
        ("a.json", b"[" * 10_000 + b"]" * 10_000, "nested more than 256 deep"),
        ("a.csv", b"title,body\na,b\n", r"line 2: fields of no known format.*'title', 'body'"),
        ("a.csv", b'instruction,output\na,"b\n', "a quoted field is not closed"),
        ("a.jsonl", b'{"messages": []}\n', "or an empty conversation: 'messages'"),
    ],
)
def test_a_file_without_a_readable_row_is_refused(read_file: ReadFile, name: str, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_file(name, content)


def test_a_row_of_another_format_than_most_is_malformed(read_file: ReadFile) -> None:
    content = jsonl(["{broken", chat(("user", "a"), ("assistant", "b")), alpaca("a", "b"), alpaca("a", "b")])
    corpus, summary = read_file("data.jsonl", content)
    assert summary == SourceSummary("jsonl", "alpaca", n_rows=4, n_unreadable=1, n_malformed=1)
    assert corpus.row(1).reason == "the row is messages, the file's other rows are alpaca"
    corpus, summary = read_file("data.jsonl", content, format_=Format.ALPACA)
    assert (summary.n_malformed, corpus.row(1).reason) == (1, "no field 'instruction', which alpaca rows need")


def test_of_two_formats_as_frequent_the_first_is_the_files(read_file: ReadFile) -> None:
    corpus, summary = read_file("data.jsonl", jsonl([chat(("user", "a"), ("assistant", "b")), alpaca("a", "b")]))
    assert (summary.format, corpus.rows["status"].to_list()) == ("messages", ["ok", "malformed"])


def test_the_first_rows_tell_the_format_of_the_others(read_file: ReadFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.corpus._ROWS_OF_FORMAT", 2)
    rows = [{"title": "x"}, {"title": "x"}, alpaca("a", "b"), chat(("user", "a"), ("assistant", "b"))]
    corpus, summary = read_file("data.jsonl", jsonl(rows))
    assert (summary.format, corpus.rows["status"].to_list()) == ("alpaca", ["malformed", "malformed", "ok", "malformed"])


def test_an_empty_conversation_belongs_to_no_format_and_disturbs_none(read_file: ReadFile) -> None:
    conversation = {"conversations": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    corpus, summary = read_file("data.jsonl", jsonl([{"conversations": []}, conversation]))
    assert (summary.format, summary.n_malformed) == ("messages", 1)
    assert corpus.responses["row"].to_list() == [1]


def test_a_changed_byte_of_the_stored_rows_is_noticed(tmp_path: Path, read_rows: ReadRows) -> None:
    read_rows([alpaca("a", "b")])
    path = tmp_path / "data.jsonl.rows.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"rows\.parquet"):
        Corpus.load(path)


def test_a_corpus_is_the_same_whatever_the_size_of_its_row_groups(
    tmp_path: Path, read_rows: ReadRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Any] = [alpaca(str(n), "x" * n) for n in range(10)]
    whole = read_rows(rows)
    monkeypatch.setattr("audit.corpus._ROWS_PER_GROUP", 3)
    parts = read_rows(rows)
    assert parts.rows.equals(whole.rows)
    assert parts.turns.equals(whole.turns)


def test_there_is_no_row_past_the_last(read_rows: ReadRows) -> None:
    with pytest.raises(IndexError):
        read_rows([alpaca("a", "b")]).row(1)


def test_lengths_count_what_is_trained_and_what_it_answers(read_rows: ReadRows) -> None:
    row = chat(("system", "sss"), ("user", "éé b"), ("assistant", "one  two"), ("user", "c"), ("assistant", "three"))
    corpus = read_rows([row, "{broken", chat(("user", "unanswered"))])
    assert length_signals(corpus).rows(named=True) == [
        {"row": 0, "turns": 5, "responses": 2, "prompt_characters": 5, "response_characters": 13, "response_words": 3},
        {"row": 1, "turns": 0, "responses": 0, "prompt_characters": 0, "response_characters": 0, "response_words": 0},
        {"row": 2, "turns": 1, "responses": 0, "prompt_characters": 0, "response_characters": 0, "response_words": 0},
    ]


def test_a_corpus_without_a_single_trained_turn_has_no_responses(read_rows: ReadRows) -> None:
    corpus = read_rows([chat(("user", "a"))])
    assert corpus.responses.height == 0
    assert length_signals(corpus)["responses"].to_list() == [0]
