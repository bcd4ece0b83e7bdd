"""Faults planted into a copy of a dataset: what is planted, what the copy is, and what is counted."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from audit.config import make_config
from audit.errors import InputError
from audit.materials import Materials
from audit.pipeline import run_audit
from audit.pocket import demo_dataset
from audit.rundir import Run
from audit.sources import Status
from audit.verify.calibration import (
    BlamedInCopy,
    Calibration,
    Fault,
    FaultOutcome,
    Level,
    Method,
    NamedRow,
    Rarity,
    calibrate,
    measure,
    read_calibration,
    store_calibration,
)
from audit.verify.calibration.copies import make_copy
from audit.verify.calibration.faults import Ground, level_of, plan_faults
from audit.verify.calibration.model import LINKS_LOOKED_AT, chance_of_a_hit
from audit.verify.calibration.values import Kind, Value, exchange, find_values, is_content, make_value
from indexes.encoders import load_static
from indexes.phrases import PhraseIndex
from indexes.words import WordStream, tokenize
from reports.calibration import calibration_report, calibration_sentence
from reports.render import render_calibration
from tests.conftest import AuditRows, alpaca, jsonl, no_reports
from tests.hostile import SCRIPT

SCHEMA = json.loads((Path(__file__).parents[2] / "reports/schemas/calibration.schema.json").read_text("utf-8"))


def topical_rows(n_topics: int = 10, n_rows: int = 40) -> list[dict[str, Any]]:
    """Rows about some topics; responses hold words of the topic, and two words that a tenth of all responses hold."""
    spoken = dict.fromkeys(word for line in demo_dataset().lines for word in tokenize(line))
    words = [word for word in spoken if len(word) > 3 and word.isalpha() and is_content(word) and word not in _FIELDS]
    generator = np.random.default_rng(5)
    values = [(words.pop(), words.pop()) for _ in range(n_topics)]
    rows = []
    for number in range(n_topics * n_rows):
        topic = words[12 * (number % n_topics) :][:12]
        asked = " ".join(generator.choice(topic[:6], 4, replace=False))
        said = " ".join(generator.choice(topic[6:], 4, replace=False))
        value = " ".join(values[int(generator.integers(n_topics))])
        rows.append(alpaca(f"Which {asked}?", f"It is {said} with {value}."))
    return rows


_FIELDS = ("instruction", "input", "output")


@pytest.fixture(scope="module")
def topical_run(tmp_path_factory: pytest.TempPathFactory, tiny_model: str) -> Run:
    folder = tmp_path_factory.mktemp("topical")
    (folder / "topics.jsonl").write_bytes(jsonl(topical_rows()))
    config = make_config({"data": str(folder / "topics.jsonl"), "encoder": tiny_model})
    return run_audit(config, folder / "run", render=no_reports)


@pytest.fixture(scope="module")
def calibration(topical_run: Run) -> Calibration:
    return calibrate(topical_run, 2, seed=1)


def phrases_of(*texts: str) -> PhraseIndex:
    return PhraseIndex(WordStream.of(texts))


def test_the_chance_of_a_hit_is_that_of_draws_without_replacement() -> None:
    assert chance_of_a_hit(10, 1, 1) == pytest.approx(0.1)
    assert chance_of_a_hit(4, 2, 2) == pytest.approx(5 / 6)
    assert chance_of_a_hit(20, 3, 5) == pytest.approx(1 - (15 * 14 * 13) / (20 * 19 * 18))
    assert chance_of_a_hit(4, 2, 3) == 1.0


def test_levels_by_shared_words() -> None:
    assert [level_of(share) for share in (0, 0.3, 0.31, 0.59, 0.6, 1)] == [
        *(Level.HARD, Level.HARD),
        *(Level.MEDIUM, Level.MEDIUM),
        *(Level.EASY, Level.EASY),
    ]


def test_values_are_content_words_and_pairs_that_enough_responses_hold() -> None:
    texts = ["It is red granite."] * 25 + ["The slate, red."] * 24 + ["It is old."] * 151
    phrases = phrases_of(*texts)
    cells = {
        cell: {" ".join(phrases.stream.vocabulary[n] for n in numbers) for numbers in found.tolist()}
        for cell, found in find_values(phrases).items()
    }
    assert cells == {(1, Rarity.RARE): {"granite", "red"}, (2, Rarity.RARE): {"red granite"}}
    assert find_values(phrases_of("It is.", "")) == {}


def test_a_value_is_written_as_it_mostly_is_within_sentences() -> None:
    texts = ["Granite stands. By Granite", "the Granite", "the granite", "Slate. Slate"]
    phrases = phrases_of(*texts)
    number_of = phrases.stream.number_of
    assert make_value(phrases, [number_of["granite"]], texts) == Value("Granite", ("granite",), Kind.NAME, 3)
    assert make_value(phrases, [number_of["slate"]], texts) is None


@pytest.mark.parametrize(
    ("text", "value", "kept", "expected"),
    [
        ("Now the pier is made of granite.", Value("slate", ("slate",), Kind.WORD, 2), "", "Now the pier is made of slate."),
        (
            "Now the pier is made of granite.",
            Value("slate", ("slate",), Kind.WORD, 2),
            "granite made",
            "Now the slate is made of granite.",
        ),
        ("Pier granite granite", Value("slate", ("slate",), Kind.WORD, 2), "", None),
        ("Now the quay, the pier.", Value("slate", ("slate",), Kind.WORD, 5), "", "Now the quay, the slate."),
        ("Since 1830 in Vell", Value("1912", ("1912",), Kind.NUMBER, 9), "", "Since 1912 in Vell"),
        ("Since 1830 in Vell", Value("Port Ost", ("port", "ost"), Kind.NAME, 9), "", "Since 1830 in Port Ost"),
        ("Since 1830", Value("Ost", ("ost",), Kind.NAME, 9), "", None),
        ("", Value("slate", ("slate",), Kind.WORD, 2), "", None),
    ],
)
def test_a_word_of_the_same_kind_and_rarity_is_exchanged(text: str, value: Value, kept: str, expected: str | None) -> None:
    phrases = phrases_of("the pier of granite", "a pier and granite", "a pier", "a pier", "a pier", "made made")
    found = exchange(text, value, phrases, frozenset(kept.split()))
    assert (found and found[0]) == expected
    if found is not None:
        assert found[0][found[1] : found[2]] == value.text


def test_what_is_planned_keeps_its_promises(topical_run: Run) -> None:
    ground = Ground(Materials(topical_run.path, topical_run.corpus), load_static(topical_run.settings["encoder"]))
    wanted: dict[Level | None, int] = {Level.EASY: 3, Level.MEDIUM: 3, Level.HARD: 3, None: 2}
    spent: set[int] = set()
    planned = plan_faults(ground, wanted, np.random.default_rng(0), spent=spent, first_number=7)
    assert [planting.fault.number for planting in planned] == list(range(7, 7 + len(planned)))
    touched = [row for p in planned for row in (p.fault.probe, *p.fault.planted)]
    assert len(touched) == len(set(touched))
    assert spent == {p.fault.probe for p in planned}
    levels = [p.fault.level for p in planned]
    assert {level: levels.count(level) for level in wanted} == wanted
    for planting in planned:
        fault = planting.fault
        assert fault.answer[fault.start : fault.end] == fault.value
        assert fault.prompt == topical_run.corpus.row(fault.probe).messages[0].content
        assert fault.value not in topical_run.corpus.row(fault.probe).messages[1].content
        assert all(level_of(share) is fault.level for share in fault.overlaps)
        assert 1 <= len(fault.planted) <= 4 or fault.level is None
        for edit in planting.edits:
            before = topical_run.corpus.row(edit.row).messages[edit.turn].content
            assert fault.value in edit.text
            assert fault.value not in before
        assert tuple(edit.row for edit in planting.edits) == fault.planted


def test_a_copy_differs_from_the_run_only_in_what_was_planted(topical_run: Run, tmp_path: Path) -> None:
    materials = Materials(topical_run.path, topical_run.corpus)
    ground = Ground(materials, load_static(topical_run.settings["encoder"]))
    planned = plan_faults(ground, {Level.HARD: 2, None: 1}, np.random.default_rng(0), spent=set())
    copy = make_copy(topical_run, materials, planned, tmp_path)
    gone = {planting.fault.probe for planting in planned}
    edits = {edit.row: edit.text for planting in planned for edit in planting.edits}
    assert len(copy.corpus) == len(topical_run.corpus)
    for row in range(len(copy.corpus)):
        before, after = topical_run.corpus.row(row), copy.corpus.row(row)
        if row in gone:
            assert (after.status, after.messages) == (Status.MALFORMED, ())
        elif row in edits:
            assert [message.content for message in after.messages] == [before.messages[0].content, edits[row]]
            assert after.key != before.key
        else:
            assert after == before
    of_copy = Materials(copy.path, copy.corpus)
    assert of_copy.n_responses == materials.n_responses - len(gone)
    kept = [response for response, row in enumerate(materials.row_of_response.tolist()) if row not in gone]
    np.testing.assert_array_equal(of_copy.prompt_vectors, materials.prompt_vectors[kept])
    for planting in planned:
        rows = {of_copy.row_of_response[place.text] for place in of_copy.phrases.occurrences(planting.fault.value)}
        assert rows >= set(planting.fault.planted)
    topical_run.check()


def test_a_calibration_is_repeatable_and_harms_nothing(topical_run: Run, calibration: Calibration) -> None:
    before = sorted(path.name for path in topical_run.path.iterdir())
    told: list[tuple[int, int]] = []
    again = calibrate(topical_run, 2, seed=1, progress=lambda what, done, total: told.append((done, total)))
    assert again == calibration
    assert again != calibrate(topical_run, 2, seed=2)
    assert sorted(path.name for path in topical_run.path.iterdir()) == before
    assert told == [(done, 8) for done in range(8)]
    assert [len(calibration.of_level(level)) for level in Level] == [2, 2, 2]
    assert len(calibration.blanks) == 2
    assert all(outcome.n_others >= 20 for outcome in (*calibration.outcomes, *calibration.blanks))
    assert all(outcome.fault.planted == () for outcome in calibration.blanks)
    for outcome in calibration.outcomes:
        assert set(outcome.ranks) == set(Method) - {Method.RANDOM_HOLDER}
        assert all(rank is None or 1 <= rank <= LINKS_LOOKED_AT for rank in outcome.ranks[Method.TRACE])


def test_rows_of_easy_faults_are_found_and_stand_before_most_rows_by_each_baseline(calibration: Calibration) -> None:
    easy = calibration.of_level(Level.EASY)
    assert len(easy) == 2
    for outcome in easy:
        n_holders = outcome.n_others + len(outcome.fault.planted)
        last = {method: max(rank or calibration.n_rows for rank in ranks) for method, ranks in outcome.ranks.items()}
        assert last[Method.TRACE] <= 10
        assert last[Method.BM25] <= 10
        assert last[Method.ENCODER_HOLDERS] <= n_holders
        assert last[Method.ENCODER] <= 40, "as many rows are about the same topic"
        assert all(len(set(ranks)) == len(outcome.fault.planted) for ranks in outcome.ranks.values())
    assert calibration.recall(easy, Method.TRACE, 10).rows.fraction == 1.0


def test_a_row_ranks_by_the_best_of_its_responses(audit_rows: AuditRows) -> None:
    two_turns = alpaca("And?", "Tin.", history=[["Who?", "Ost."]])
    run = audit_rows([alpaca("Which?", "It is slate."), two_turns, alpaca("Why?", "No.")])
    orders = measure._Orders(Materials(run.path, run.corpus), load_static(run.settings["encoder"]))
    values = np.array([0.3, 0.2, 0.9, 0.5], np.float32)
    assert orders._ranks_by(values, (0, 1, 2)) == (3, 1, 2)
    assert len(set(orders._ranks_by(np.zeros(4, np.float32), (0, 1, 2)))) == 3, "ties are broken"


def test_what_could_not_be_planted_is_said(calibration: Calibration, topical_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [skipped.what for skipped in calibration.skipped] == [
        "values of one word that 100-999 responses hold",
        "values of two words that 100-999 responses hold",
    ]
    monkeypatch.setattr(measure, "_MOST_COPIES", 1)
    said = {skipped.what: skipped.why for skipped in calibrate(topical_run, 5).skipped}
    for kind in ("easy faults", "medium faults", "hard faults", "claims without a fault"):
        assert said[f"3 of 5 {kind}"] == "1 copies, each with a tenth of its rows changed, have no room for 3"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (topical_rows(1, 30), "too small to plant faults in (30 responses"),
        ([alpaca(f"Name three coins number {n}.", f"The {n} is slate.") for n in range(60)], "nothing could be planted"),
    ],
)
def test_a_dataset_that_does_not_serve_is_refused_in_one_line(
    audit_rows: AuditRows, rows: list[dict[str, Any]], says: str
) -> None:
    with pytest.raises(InputError) as error:
        calibrate(audit_rows(rows), 2)
    assert says in error.value.sentence()
    assert "\n" not in error.value.sentence()


def test_a_run_without_vectors_is_not_calibrated(audit_rows: AuditRows, no_encoder: str) -> None:
    run = audit_rows(topical_rows(2, 60), encoder=no_encoder)
    with pytest.raises(InputError, match="has no vectors"):
        calibrate(run, 2)


def fault(number: int, level: Level | None, *planted: int, prompt: str = "Who?") -> Fault:
    shares = (0.25,) * len(planted)
    return Fault(number, level, "slate", 1, Rarity.RARE, 20, prompt, "It is slate.", 6, 11, planted, shares, shares)


def outcome(fault_: Fault, ranks: tuple[int | None, ...], *named: tuple[int, float]) -> FaultOutcome:
    by_method = dict.fromkeys((Method.TRACE, Method.BM25, Method.ENCODER, Method.ENCODER_HOLDERS), ranks)
    return FaultOutcome(fault_, 20, by_method, tuple(NamedRow(row, chance) for row, chance in named))


HAND_MADE = Calibration(
    seed=0,
    n_per_level=2,
    n_rows=40,
    n_copies=1,
    encoder="e",
    outcomes=(
        outcome(fault(0, Level.HARD, 1, 2), (1, 12), (1, 0.01), (9, 0.04)),
        outcome(fault(1, Level.HARD, 3, prompt=f"Who? {SCRIPT} [bold] \x1b[31m"), (None,), (8, 0.03)),
        outcome(fault(2, Level.EASY, 4), (5,)),
    ),
    blanks=(outcome(fault(3, None), (), (7, 0.05)), outcome(fault(4, None), ())),
    blamed=(BlamedInCopy(0, 1, 0.04, True), BlamedInCopy(0, 9, 0.08, False)),
    skipped=(),
)


def share(proportion: Any) -> tuple[float, int]:
    return round(proportion.fraction, 4), proportion.n


def test_recall_counts_faults_and_rows() -> None:
    hard = HAND_MADE.of_level(Level.HARD)
    recall: Callable[[Method, int], Any] = lambda method, k: HAND_MADE.recall(hard, method, k)  # noqa: E731
    assert share(recall(Method.TRACE, 1).found) == (0.5, 2)
    assert share(recall(Method.TRACE, 10).rows) == (0.3333, 3)
    assert share(recall(Method.TRACE, 20).rows) == (0.6667, 3)
    expected = (chance_of_a_hit(22, 2, 5) + chance_of_a_hit(21, 1, 5)) / 2
    assert recall(Method.RANDOM_HOLDER, 5).found.fraction == pytest.approx(expected)
    assert recall(Method.RANDOM_HOLDER, 5).rows.fraction == pytest.approx((5 / 22 + 5 / 22 + 5 / 21) / 3)
    assert HAND_MADE.recall(HAND_MADE.of_level(Level.MEDIUM), Method.TRACE, 1).found is None
    assert (HAND_MADE.n_planted_rows, HAND_MADE.mean_cosine) == (4, 0.25)


def test_named_rows_that_nothing_was_planted_into_are_false() -> None:
    assert share(HAND_MADE.false_discoveries(0.01)) == (0.0, 1)
    assert share(HAND_MADE.false_discoveries(0.05)) == (0.75, 4)
    assert share(HAND_MADE.traces_naming(HAND_MADE.blanks, 0.05)) == (0.5, 2)
    assert share(HAND_MADE.traces_naming(HAND_MADE.outcomes, 0.01)) == (0.3333, 3)
    assert share(HAND_MADE.false_blame(0.05)) == (0.0, 1)
    assert share(HAND_MADE.false_blame(0.1)) == (0.5, 2)


def test_the_last_calibration_of_a_run_is_read_back_as_it_was(audit_rows: AuditRows, calibration: Calibration) -> None:
    run = audit_rows(topical_rows(1, 30))
    assert read_calibration(run) is None
    store_calibration(run, "b", calibration, render_calibration(HAND_MADE, run.corpus))
    store_calibration(run, "a", HAND_MADE, {})
    assert read_calibration(run) == HAND_MADE
    assert read_calibration(run, "b") == calibration
    with pytest.raises(InputError, match="exists in the run"):
        store_calibration(run, "a", HAND_MADE, {})
    with pytest.raises(InputError, match="has no calibrations/c"):
        read_calibration(run, "c")
    run.check()


def test_the_reports_say_the_same_and_cannot_be_harmed(topical_run: Run, calibration: Calibration) -> None:
    assert calibration_sentence(HAND_MADE) == (
        "On this dataset, tracing found 1 of 2 hard and 1 of 1 easy planted faults within the first 10 rows."
    )
    for shown in (HAND_MADE, calibration):
        console = Console(file=io.StringIO(), width=80)
        console.print(calibration_report(shown, topical_run.corpus))
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert "This measures retrieval" in text
        assert "\x1b" not in text
        assert max(map(len, text.splitlines())) <= 80
        files = render_calibration(shown, topical_run.corpus)
        assert files == render_calibration(shown, topical_run.corpus)
        content = json.loads(files["report.json"])
        Draft202012Validator(SCHEMA).validate(content)
        assert len(content["claims"]) == len(shown.outcomes) + len(shown.blanks)
        page = files["report.html"].decode()
        assert page.startswith("<!doctype html>")
        assert SCRIPT not in page
