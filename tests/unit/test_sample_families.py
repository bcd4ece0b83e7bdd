"""Style families thinned out: how many rows stay, which, and what is recorded of the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from audit.errors import InputError
from audit.export import ExportRequest, plan_export, write_export
from audit.export.decisions import Choice, decide
from audit.export.families import FamilyRows, FamilyRule, parse_family, surplus
from audit.export.keep_rules import KeepRule
from audit.export.selectors import select_rows
from audit.findings import FINDING_SCHEMA
from tests.conftest import AuditRows, alpaca


@dataclass(frozen=True)
class _Family:
    number: int
    exemplars: tuple[int, ...]


@dataclass(frozen=True)
class _Assigned:
    family: np.ndarray


@dataclass(frozen=True)
class _Style:
    families: tuple[_Family, ...]
    assigned: _Assigned
    too_few: str | None = None


def of_style(monkeypatch: pytest.MonkeyPatch, families: Sequence[int], *exemplars: Sequence[int], why: str = "") -> None:
    """A run's style: the family of every response, and the exemplars of every family."""
    listed = tuple(_Family(number, tuple(of_family)) for number, of_family in enumerate(exemplars))
    style = _Style(listed, _Assigned(np.array(families, np.int32)), why or None)
    monkeypatch.setattr("audit.style.build.load_style", lambda folder: style)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("3:0.1", FamilyRule(3, 0.1)),
        ("0:10%", FamilyRule(0, 0.1)),
        ("2:0.25@7", FamilyRule(2, 0.25, 7)),
    ],
)
def test_a_rule_is_read(text: str, rule: FamilyRule) -> None:
    assert parse_family(text) == rule


@pytest.mark.parametrize("text", ["3", "3:", "a:0.1", "3:1", "3:100%", "3:-0.1", "3:nan", "3:0.1@x", "-1:0.1"])
def test_another_rule_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"--sample-family {text!r} is not known"):
        parse_family(text)


@pytest.mark.parametrize("text", ["4:0", "4:0%", "4:0.0@3"])
def test_no_row_of_a_family_is_no_share(text: str) -> None:
    with pytest.raises(InputError, match=f"--sample-family {text!r} would leave no row of the family; give a share above 0"):
        parse_family(text)


def test_a_family_is_cut_to_its_share_of_what_stays() -> None:
    (of_family,) = surplus(range(100), [FamilyRows(FamilyRule(0, 0.2), tuple(range(60)))])
    assert (of_family.n_before, of_family.n_kept) == (60, 10), "10 of 50 are a fifth"
    assert len(of_family.rows) == 50


def test_shares_of_several_hold_at_once() -> None:
    first, second = surplus(
        range(100), [FamilyRows(FamilyRule(0, 0.2), tuple(range(40))), FamilyRows(FamilyRule(1, 0.3), tuple(range(40, 80)))]
    )
    assert (first.n_kept, second.n_kept) == (8, 12)
    assert 20 + 8 + 12 == 40


def test_a_family_below_its_share_stays_whole() -> None:
    first, second = surplus(
        range(100), [FamilyRows(FamilyRule(0, 0.5), (0, 1)), FamilyRows(FamilyRule(1, 0.1), tuple(range(2, 92)))]
    )
    assert (first.rows, first.n_kept) == ((), 2)
    assert second.n_kept == 1


def test_exemplars_stay_first_and_the_rest_is_drawn() -> None:
    def left(seed: int) -> set[int]:
        (of_family,) = surplus(range(100), [FamilyRows(FamilyRule(0, 0.2, seed), tuple(range(60)), (59, 3))])
        return set(range(60)) - set(of_family.rows)

    assert left(0) == left(0)
    assert left(0) != left(1)
    assert {59, 3} <= left(0) & left(1)


def test_protected_rows_stay_even_above_the_share() -> None:
    (of_family,) = surplus(range(10), [FamilyRows(FamilyRule(0, 0.0), (1, 2, 3), (3,))], protected={1, 9})
    assert of_family.rows == (2, 3)


def test_it_comes_after_every_other_rule_and_says_why() -> None:
    signals = pl.DataFrame({"row": range(10), "response_characters": [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]})
    selection = select_rows(
        pl.DataFrame(schema=FINDING_SCHEMA),
        signals,
        keep=[KeepRule("longest", 5)],
        families=[FamilyRows(FamilyRule(4, 0.25), (0, 2, 4, 6, 8), (4,)), FamilyRows(FamilyRule(5, 0.5), (9,))],
    )
    assert selection.kept == [1, 3]
    (why,) = selection.reasons[0]
    assert (why.code, why.measure, why.value) == ("family:4", "the family's share of the rows before", 0.6)
    assert why.message == "Not among the 0 of 3 rows of style family 4 that stay."
    assert selection.reasons[9][0].code == "longest:5"
    assert selection.notes == ("style family 5 has 0 of the rows left, no more than its share",)


def test_an_export_thins_a_family(audit_rows: AuditRows, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [alpaca(f"Question {n}?", f"Here is answer {n:03}.") for n in range(30)]
    two = alpaca("B?", "Here is an answer.", history=[["A?", "Plain."]])
    run = audit_rows([two, *rows])
    decide(run, [5], Choice.KEEP)
    of_style(monkeypatch, [-1, 0, *(0 if n < 20 else -1 for n in range(30))], [3])
    plan = plan_export(run, ExportRequest(sample_families=("0:0.2@1",)))
    assert len(plan.selection.kept) == 12, "10 others, and 2 of 12 are a sixth"
    assert {2, 5} <= set(plan.selection.kept), "the exemplar is response 3, which is row 2; row 5 was decided about"
    assert plan.counts == {"family:0": 19}


def test_the_record_names_the_rule_and_the_control_is_matched(
    audit_rows: AuditRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = audit_rows([alpaca(f"Question {n}?", f"Here is answer {n:03}.") for n in range(30)])
    of_style(monkeypatch, [0] * 10 + [-1] * 20, [3])
    exported = write_export(
        plan_export(run, ExportRequest(sample_families=("0:20%",), control_seeds=(0,))), tmp_path / "out.jsonl"
    )
    manifest = json.loads((exported.record / "manifest.json").read_bytes())
    assert manifest["request"]["sample_families"] == ["0:20%"]
    assert manifest["counts"] == {"family:0": 5}
    (control,) = manifest["controls"]
    assert len(control["removed_rows"]) == 5
    assert control["removed_characters"] == control["cleaned_removed_characters"]


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        (("7:0.1",), "no style family 7 .there are 0 to 1.; tunescope style RUN lists them"),
        (("0:0.1", "0:0.2"), "a family is named twice"),
        (("0:0.5", "1:0.5"), "add up to all rows"),
    ],
)
def test_what_cannot_be_is_one_line(
    audit_rows: AuditRows, monkeypatch: pytest.MonkeyPatch, rules: tuple[str, ...], why: str
) -> None:
    run = audit_rows([alpaca("Question?", "Here is an answer."), alpaca("Why?", "So.")])
    of_style(monkeypatch, [0, 1], [0], [1])
    with pytest.raises(InputError, match=why):
        plan_export(run, ExportRequest(sample_families=rules))


def test_a_run_without_families_says_why(audit_rows: AuditRows, monkeypatch: pytest.MonkeyPatch) -> None:
    run = audit_rows([alpaca("Question?", "Here is an answer.")])
    of_style(monkeypatch, [-1], why="1 response is too few to find families among")
    with pytest.raises(InputError, match=r"no style family 0 .1 response is too few"):
        plan_export(run, ExportRequest(sample_families=("0:0.1",)))
