"""A text put in place within the bytes of a record: read again, it is the record with that text, and nothing else moved."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from audit.export.families import FamilyRows, FamilyRule, surplus
from audit.export.places import Change, changed_csv, changed_fields, changed_json
from tests.texts import TEXTS

KEYS = st.sampled_from(["output", "messages", "a", 'ke"y', "ü", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=4)


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, str):
        return [path]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, each in inner for found in paths_of(each, (*path, key))]


@given(RECORDS, st.data(), st.booleans(), st.sampled_from([None, 1, "\t"]), TEXTS)
def test_json_with_another_text_reads_so(
    record: dict[str, Any], data: st.DataObject, ascii: bool, indent: Any, new: str
) -> None:
    paths = paths_of(record)
    chosen = data.draw(st.lists(st.sampled_from(paths), max_size=2, unique=True)) if paths else []
    changes = [Change(path, f"{new}{number}") for number, path in enumerate(chosen)]
    content = b"\n " + json.dumps(record, ensure_ascii=ascii, indent=indent).encode() + b" \r\n"
    changed = changed_json(content, changes)
    assert json.loads(changed) == changed_fields(record, changes)
    if not changes:
        assert changed == content
    if content.isascii():
        assert changed.isascii()


def test_of_a_key_that_comes_twice_the_last_is_changed() -> None:
    content = b'{"output": "a", "x": [1.50, {"output": "b"}], "output":"c"}'
    assert changed_json(content, [Change(("output",), 'd"')]) == content.replace(b'"c"', b'"d\\""')
    assert changed_json(content, [Change(("x", 1, "output"), "d")]) == content.replace(b'"b"', b'"d"')


@given(st.lists(TEXTS.filter(lambda text: "\0" not in text), min_size=2, max_size=4), st.data(), TEXTS, st.booleans())
@example(['a "b" c', ""], None, "", False)
def test_csv_with_another_cell_reads_so(cells: list[str], data: st.DataObject | None, new: str, quoted: bool) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL).writerow(cells)
    number = data.draw(st.integers(0, len(cells) - 1)) if data is not None else 0
    new = new.replace("\0", "")
    content = b"\r\n" + buffer.getvalue().encode()
    changed = changed_csv(content, [str(i) for i in range(len(cells))], [Change((str(number),), new)])
    expected = [*cells[:number], new, *cells[number + 1 :]]
    assert list(csv.reader(io.StringIO(changed.decode(), newline="")))[1:] == [expected]
    same = changed_csv(content, [str(i) for i in range(len(cells))], [])
    assert same == content


SHARES = st.sampled_from([0.0, 0.05, 0.1, 0.25, 0.4])


@given(st.integers(0, 40), st.lists(st.tuples(st.integers(0, 30), SHARES), min_size=1, max_size=2), st.integers(0, 3))
def test_no_family_has_more_than_its_share_and_none_could_have_more(
    n_others: int, families: list[tuple[int, float]], seed: int
) -> None:
    made, n_rows = [], n_others
    for number, (count, share) in enumerate(families):
        made.append(FamilyRows(FamilyRule(number, share, seed), tuple(range(n_rows, n_rows + count))))
        n_rows += count
    result = surplus(range(n_rows), made)
    n_left = n_rows - sum(len(one.rows) for one in result)
    for one, (count, share) in zip(result, families, strict=True):
        assert one.n_before == count
        assert one.n_kept == count - len(one.rows)
        assert one.n_kept <= share * n_left + 1e-9 or not one.rows
        # Two more of this family would be too many, whatever rounding took from the others.
        assert not one.rows or one.n_kept + 2 > share * (n_left + 2)
