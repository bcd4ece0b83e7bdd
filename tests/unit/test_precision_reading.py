"""Which findings are drawn to be read, and how verdicts are kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.precision import reading
from tests.benchmarks.precision.reading import Drawn, Verdicts, draw, merge, shares


@pytest.fixture
def verdicts(tmp_path: Path) -> Verdicts:
    path = tmp_path / "verdicts.json"
    path.write_text("[]")
    return Verdicts(path)


def _found(count: int, name: str = "key") -> list[tuple[int, str]]:
    return [(row, f"{name}{row}") for row in range(count)]


def test_shares_are_as_equal_as_can_be() -> None:
    assert shares({"a": 100, "b": 100, "c": 3}, 30) == {"a": 14, "b": 13, "c": 3}
    assert shares({"a": 2, "b": 1}, 30) == {"a": 2, "b": 1}
    assert shares({}, 30) == {}


def test_a_draw_is_the_same_whatever_else_is_there(verdicts: Verdicts) -> None:
    alone = draw({"a": _found(500)}, "TXT005", verdicts)
    assert len(alone) == len(set(alone)) == 30
    beside = [finding for finding in draw({"a": _found(500), "b": _found(90)}, "TXT005", verdicts) if finding.dataset == "a"]
    assert len(beside) == 15
    assert set(beside) < set(alone)
    gone = draw({"a": [row for row in _found(500) if row[0] != alone[0].row]}, "TXT005", verdicts)
    assert set(alone[1:]) < set(gone)
    assert set(draw({"a": _found(500)}, "TXT009", verdicts)) != set(alone)


def test_what_was_read_stays_until_the_code_is_drawn_anew(verdicts: Verdicts, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = draw({"a": _found(500)}, "TXT005", verdicts)
    other = next(Drawn("a", "TXT005", row, key) for row, key in _found(500) if Drawn("a", "TXT005", row, key) not in fresh)
    verdicts.add({"dataset": "a", "code": "TXT005", "key": other.key, "right": True}, "first")
    assert other in draw({"a": _found(500)}, "TXT005", verdicts)
    monkeypatch.setitem(reading.DRAWS, "TXT005", 2)
    anew = draw({"a": _found(500)}, "TXT005", verdicts)
    assert set(anew) != set(fresh)
    verdicts.add({"dataset": "a", "code": "TXT005", "key": anew[0].key, "right": False}, "first")
    assert verdicts.entries["a", "TXT005", anew[0].key]["draw"] == 2
    assert draw({"a": _found(500)}, "TXT005", verdicts) == anew


def test_verdicts_of_two_readers_are_merged(verdicts: Verdicts) -> None:
    place = {"dataset": "a", "code": "PII001", "row": 7, "key": "abc:0"}
    assert list(merge(verdicts, [json.dumps(place | {"right": True, "why": "an address"}), ""], "first")) == ["1 of 1 right"]
    said = list(merge(verdicts, [json.dumps(place | {"right": False, "why": "a made-up one"})], "second"))
    assert said == ["wrong: a PII001 abc:0 a made-up one", "0 of 1 right"]
    assert json.loads(verdicts.path.read_text()) == [place | {"first": True, "second": False}]
    assert Verdicts(verdicts.path).of(Drawn("a", "PII001", 7, "abc:0")) == {"first": True, "second": False}
    assert Verdicts(verdicts.path).of(Drawn("a", "PII001", 8, "abd:0")) == {}


def test_a_verdict_is_right_or_wrong_and_has_a_reader(verdicts: Verdicts) -> None:
    with pytest.raises(ValueError, match="first or second"):
        list(merge(verdicts, [], "third"))
    line = json.dumps({"dataset": "a", "code": "PII001", "key": "abc:0", "right": "yes"})
    with pytest.raises(ValueError, match="neither true nor false"):
        list(merge(verdicts, [line], "first"))
    assert json.loads(verdicts.path.read_text()) == []
