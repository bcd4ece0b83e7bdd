"""Which rows leave, and why."""

from __future__ import annotations

import polars as pl
import pytest

from audit.errors import InputError
from audit.export.keep_rules import KeepRule, parse_keep
from audit.export.selectors import Reason, Selection, parse_blame_q, parse_blame_size, select_rows
from audit.findings import Evidence, Finding, Severity, findings_frame
from audit.trace.model import BlamedRow

N_ROWS = 10
SIGNALS = pl.DataFrame(
    {"row": range(N_ROWS), "response_characters": [5, 50, 50, 7, 9, 100, 0, 1, 2, 3]},
    schema={"row": pl.UInt32, "response_characters": pl.UInt32},
)
CODES = ["DUP001", "DUP002", "TXT001", "FMT001"]


def finding(code: str, row: int, *related: int, turn: int | None = None) -> Finding:
    return Finding(code, row, turn, Severity.ERROR, f"{code} of {row}", Evidence("m", 1.0, 1.0, related))


def frame(*findings: Finding) -> pl.DataFrame:
    return findings_frame(findings, pl.Series([f"k{row}:0" for row in range(N_ROWS)]))


def reason(code: str, row: int, *related: int) -> Reason:
    return Reason(code, f"{code} of {row}", "m", 1.0, related)


def blamed(*rows: int) -> list[BlamedRow]:
    return [BlamedRow(row, 1.0, 2, 0.001, ("a", "b")) for row in rows]


def blame_reason(row: int, rank: int, total: int) -> Reason:
    message = f"Blamed by 2 claims, rank {rank} of {total}; least chance 0.001."
    return Reason("blame:t", message, "sum over claims of (1 - chance) / rank", 1.0)


def test_nothing_asked_for_drops_nothing() -> None:
    selection = select_rows(frame(finding("TXT001", 1)), SIGNALS, run_codes=CODES)
    assert selection == Selection(N_ROWS)
    assert (selection.dropped, selection.kept) == ([], list(range(N_ROWS)))


def test_findings_of_a_code_or_prefix_drop_their_rows_with_every_reason() -> None:
    findings = frame(finding("TXT001", 4, turn=1), finding("TXT001", 4, turn=3), finding("FMT001", 4), finding("FMT001", 2))
    assert select_rows(findings, SIGNALS, codes=["TXT"], run_codes=CODES).reasons == {
        4: (reason("TXT001", 4), reason("TXT001", 4))
    }
    assert select_rows(findings, SIGNALS, codes=["TXT001", "FMT"], run_codes=CODES).reasons == {
        2: (reason("FMT001", 2),),
        4: (reason("FMT001", 4), reason("TXT001", 4), reason("TXT001", 4)),
    }


@pytest.mark.parametrize(("code", "message"), [("TXT002", "did you mean 'TXT001'"), ("DUP003", "DUP00"), ("", "known: DUP001")])
def test_a_code_that_the_audit_did_not_run_is_refused(code: str, message: str) -> None:
    with pytest.raises(InputError, match=f"unknown check of this run '{code}'.*{message}"):
        select_rows(frame(), SIGNALS, codes=[code], run_codes=CODES)


def test_a_code_that_the_audit_left_out_is_no_unknown_one() -> None:
    with pytest.raises(InputError) as caught:
        select_rows(frame(), SIGNALS, codes=["TXT001", "STY"], run_codes=CODES, not_looked_for={"STY001": "not selected"})
    assert str(caught.value) == "STY was not looked for in this run (not selected); audit again with it, or leave it out here"


def test_a_duplicate_leaves_only_while_a_row_that_it_matches_stays() -> None:
    findings = frame(finding("TXT001", 0), finding("DUP002", 1, 0), finding("DUP002", 2, 0, 1), finding("DUP002", 3, 2))
    selection = select_rows(findings, SIGNALS, codes=["TXT", "DUP"], run_codes=CODES)
    assert selection.reasons == {
        0: (reason("TXT001", 0),),
        2: (reason("DUP002", 2, 0, 1),),  # because of 1
    }
    assert select_rows(findings, SIGNALS, codes=["DUP"], run_codes=CODES).dropped == [1, 2]


def test_of_equal_rows_one_stays_although_the_first_is_dropped() -> None:
    findings = frame(finding("DUP001", 3, 1), finding("DUP001", 5, 1, 3), finding("DUP001", 7, 1, 3, 5))
    selection = select_rows(findings, SIGNALS, codes=["DUP"], run_codes=CODES, blamed=[("t", 1, blamed(1))])
    assert selection.dropped == [1, 5, 7]


def test_the_most_blamed_leave_and_a_short_list_is_noted() -> None:
    selection = select_rows(frame(), SIGNALS, run_codes=CODES, blamed=[("t", 2, blamed(8, 3, 5))])
    assert selection.reasons == {3: (blame_reason(3, 2, 3),), 8: (blame_reason(8, 1, 3),)}
    assert selection.notes == ()
    selection = select_rows(frame(), SIGNALS, run_codes=CODES, blamed=[("t", 5, blamed(8))])
    assert selection.notes == ("t blames 1 rows, fewer than the 5 asked for",)


def test_the_longest_are_kept_and_ties_go_to_the_earlier_row() -> None:
    selection = select_rows(frame(), SIGNALS, keep=[KeepRule("longest", 2)])
    assert selection.kept == [1, 5]
    assert selection.reasons[0] == (Reason("longest:2", "Not among the 2 longest rows kept.", "response characters", 5.0),)


def test_random_rows_are_kept_by_seed() -> None:
    kept = [select_rows(frame(), SIGNALS, keep=[KeepRule("random", 4, seed)]).kept for seed in (0, 0, 1, 2, 3)]
    assert kept[0] == kept[1]
    assert all(len(rows) == 4 for rows in kept)
    assert len({tuple(rows) for rows in kept}) > 1


def test_keep_rules_apply_to_what_is_left_one_after_the_other() -> None:
    rules = [KeepRule("longest", 4), KeepRule("longest", 1)]
    selection = select_rows(frame(finding("TXT001", 5)), SIGNALS, codes=["TXT"], run_codes=CODES, keep=rules)
    assert selection.kept == [1]
    assert [r.code for r in selection.reasons[5]] == ["TXT001"]
    assert [r.code for r in selection.reasons[2]] == ["longest:1"]
    assert [r.code for r in selection.reasons[7]] == ["longest:4"]


def test_a_rule_that_keeps_all_is_noted() -> None:
    selection = select_rows(frame(), SIGNALS, keep=[KeepRule("random", 11)])
    assert (selection.dropped, selection.notes) == ([], ("random:11 keeps all 10 rows that are left",))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("longest:1000", KeepRule("longest", 1000)),
        ("random:5", KeepRule("random", 5, 0)),
        ("random:5@17", KeepRule("random", 5, 17)),
    ],
)
def test_keep_rules_are_read(text: str, rule: KeepRule) -> None:
    assert parse_keep(text) == rule


@pytest.mark.parametrize(
    "text",
    ["", "longest", "longest:", "longest:0", "longest:-1", "longest:1.5", "longest:x", "shortest:3", "random:3@x", "longest:²"],
)
def test_other_keep_rules_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not known; use longest:K"):
        parse_keep(text)


@pytest.mark.parametrize(
    ("text", "n_rows", "expected"),
    [
        ("trace-1:20", 100, ("trace-1", 20)),
        ("a:b:3", 100, ("a:b", 3)),
        ("t:5%", 200, ("t", 10)),
        ("t:0.05", 200, ("t", 10)),
        ("t:10%", 30, ("t", 3)),
        ("t:5.6%", 125, ("t", 7)),
        ("t:1%", 20, ("t", 1)),
        ("t:1", 5, ("t", 1)),
    ],
)
def test_sizes_of_blame_are_read_as_number_or_share(text: str, n_rows: int, expected: tuple[str, int]) -> None:
    assert parse_blame_size(text, n_rows) == expected


@pytest.mark.parametrize(
    "text",
    ["", "t", ":5", "t:", "t:0", "t:-1", "t:x", "t:1.5", "t:150%", "t:100%", "t:nan", "t:inf", "t:-inf", "t:nan%", "t:%"],
)
def test_other_sizes_of_blame_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not known; use NAME:K, NAME:SHARE or NAME:qQ"):
        parse_blame_size(text, 100)


def test_blame_by_q_names_the_trace_and_the_largest_q() -> None:
    assert parse_blame_q("a:b:q0.05") == ("a:b", 0.05)
    assert parse_blame_q("t:5%") is None
    assert parse_blame_q("t:20") is None


@pytest.mark.parametrize("text", ["t:q", "t:q0", "t:q1", "t:qx", "t:q-0.1", "t:qnan"])
def test_other_q_values_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="use NAME:qQ with Q between 0 and 1"):
        parse_blame_q(text)


@pytest.mark.parametrize("text", ["t:11%", "t:0.5", "t:99%"])
def test_a_share_that_would_hurt_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="would drop over 10% of the rows"):
        parse_blame_size(text, 100)
