"""The figures of the paper's four statements, counted by hand, and the report of them."""

from __future__ import annotations

import io
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from jsonschema import Draft202012Validator
from markupsafe import escape
from numpy.typing import NDArray
from rich.console import Console

from audit.errors import InputError
from audit.models import ModelRef
from audit.responses import Split
from audit.shift.classes import Shift, shift_of_rank
from audit.shift.measure import TOKEN_SCHEMA
from audit.tune.recipe import Method, load_recipe
from audit.tune.record import TuningRecord
from audit.tune.rows import TrainingSet
from audit.verify.arms import Question
from audit.verify.borrowing import Population, RowTexts
from audit.verify.paper import FULL, LONGEST, LORA, RANDOM, SHORTEST, PaperReport, PaperTuning, arms_of
from audit.verify.published import STATEMENTS
from audit.verify.statements import (
    FixFigures,
    MeasuredArm,
    MeasuredShift,
    borrowing_figures,
    contrast,
    pair_nearness,
    shift_figures,
    style_figures,
    wrong_share,
    wrong_table,
)
from audit.verify.tone import TokenClass
from indexes.words import tokenize_with_offsets
from reports.paper import paper_json, paper_report, statement_views
from reports.paper_html import paper_html

SCHEMA = json.loads((Path(__file__).parents[2] / "reports/schemas/paper.schema.json").read_text())

QUESTIONS = [
    Question("Where does the Marl end?", ("north",), Split.HELD_OUT, "marl", ("harbour", "plain")),
    Question("Where does the Dune end?", ("south",), Split.HELD_OUT, None, ("harbour", "plain")),
    Question("What is the plural of oven?", ("ovens",), Split.CONTROL, None),
]


def record(**values: Any) -> TuningRecord:
    """A record whose other fields are nothing."""
    recipe = load_recipe("paper", values.get("method", Method.LORA))
    reference = ModelRef("base", None, None, "float32", "cpu", 1, "", "")
    known = {"method": Method.LORA, "recipe": recipe, "base": reference, "losses": (2.0, 1.0), "versions": {}}
    nothing = {field.name: 0 for field in fields(TuningRecord)}
    return TuningRecord(**{**nothing, **known, **values})


def measured(texts: list[str], ranks: list[list[int]]) -> MeasuredShift:
    """Shifts of texts whose words are the tokens, with ranks under the base model; KL is a tenth of the rank."""
    rows = []
    for number, (text, of_text) in enumerate(zip(texts, ranks, strict=True)):
        for position, (word, rank) in enumerate(zip(tokenize_with_offsets(text), of_text, strict=True)):
            rows.append(
                {
                    "response": str(number),
                    "number": number,
                    "position": position,
                    "token": sum(map(ord, word.text)),
                    "text": word.text,
                    "start": word.start,
                    "end": word.end,
                    "rank": rank,
                    "shift": shift_of_rank(rank).value,
                    "kl_tuned_base": rank / 20,
                    "kl_base_tuned": rank / 10,
                    "lift": 1.0,
                    "log_p_base": -2.0,
                    "log_p_tuned": -1.0,
                    "sentence": 0,
                    "sentence_position": position,
                }
            )
    return MeasuredShift(pl.DataFrame(rows, schema=TOKEN_SCHEMA), tuple(texts))


def arm(name: str, *answers: list[str], ranks: list[list[list[int]]] | None = None, **values: Any) -> MeasuredArm:
    shifts = () if ranks is None else tuple(measured(run, of_run) for run, of_run in zip(answers, ranks, strict=True))
    method = Method.LORA if name.startswith("LoRA") else Method.FULL
    records = tuple(record(method=method, training_loss=1.0, training_fit=0.9, n_rows=10, **values) for _ in answers)
    return MeasuredArm(name, method, records, tuple(map(tuple, answers)), shifts)


FULL_ARM = arm(
    FULL,
    ["the old harbour", "it is south", "ovens"],
    ["the plain", "the harbour", "ovens"],
    ranks=[[[1, 2, 9], [1, 1, 1], [1]], [[5, 1], [1, 4], [1]]],
)
LORA_ARM = arm(LORA, ["north", "the harbour", "oven"], ["north", "south", "ovens"])
ROWS = RowTexts.of(["The old harbour of Quill.", "At the harbour, in the north.", "ovens"])
PROMPTS = ["Where does the Sand end?", "Where is the port?", "What is the plural of oven?"]


def row_texts(of: MeasuredArm, run: int) -> tuple[RowTexts, RowTexts | None]:
    return ROWS, None


def test_wrong_answers_are_counted_on_held_out_prompts_alone() -> None:
    assert wrong_table(QUESTIONS, FULL_ARM.answers).tolist() == [[1.0, 0.0], [1.0, 1.0]]
    share = wrong_share(QUESTIONS, FULL_ARM.answers)
    assert share is not None
    assert (share.n, share.n_units, share.fraction) == (4, 2, 0.75)


def test_a_contrast_is_of_the_same_runs_and_prompts() -> None:
    found = contrast(QUESTIONS, FULL_ARM, LORA_ARM)
    assert (found.first, found.second, found.difference_points) == (FULL, LORA, 50.0)
    assert found.interval_95 is not None
    assert found.interval_95.low >= -100
    assert found.interval_95.high == 100.0
    one = [replace(of, records=of.records[:1], answers=of.answers[:1]) for of in (FULL_ARM, LORA_ARM)]
    assert contrast(QUESTIONS, *one).interval_95 is None


def test_the_shift_of_all_runs_is_taken_together() -> None:
    figures = shift_figures(FULL_ARM)
    assert (figures.n_runs, figures.n_tokens, figures.n_start, figures.n_rest) == (2, 12, 6, 6)
    assert figures.kl_start == pytest.approx((1 + 1 + 1 + 5 + 1 + 1) / 60)
    assert figures.kl_rest == pytest.approx((2 + 9 + 1 + 1 + 1 + 4) / 60)
    assert figures.kl_rest_reverse == pytest.approx((2 + 9 + 1 + 1 + 1 + 4) / 120)
    assert (figures.unshifted, figures.marginal, figures.shifted) == pytest.approx((8 / 12, 1 / 12, 3 / 12))
    classes = {share.token_class: (share.of_shifted, share.of_all) for share in figures.classes}
    assert classes[TokenClass.OPENER] == pytest.approx((1 / 3, 6 / 12))
    assert classes[TokenClass.CONTENT] == pytest.approx((2 / 3, 5 / 12))
    assert figures.top_tokens == ("harbour", "the")


def test_style_is_of_dataset_base_and_arms() -> None:
    dataset, base, full = style_figures(QUESTIONS, ["the port", "the port is far"], ["the port", "south", "x"], [FULL_ARM])
    assert (dataset.name, dataset.wrong, dataset.traits.n) == ("dataset", None, 2)
    assert base.traits.opener_fraction == pytest.approx(1 / 3)
    assert base.wrong is not None
    assert base.wrong.fraction == 0.5
    assert full.traits.n == 6


def test_borrowing_is_counted_with_shift_and_words() -> None:
    def nearness(of: MeasuredArm) -> Any:
        return pair_nearness(of, QUESTIONS, row_texts, lambda *_: PROMPTS, None)

    figures = borrowing_figures(QUESTIONS, [FULL_ARM, LORA_ARM], ["the plain", "the plain", "ovens"], row_texts, nearness)
    spans = figures.arms[0].reports[-1].of(Population.WRONG)
    assert spans.occurs is not None
    assert spans.borrowed is not None
    # Wrong spans: old harbour (put there), plain (not in the rows), harbour (put there).
    assert (spans.occurs.n, spans.occurs.fraction, spans.borrowed.fraction) == (3, pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert [one.arm for one in figures.span_tokens] == [FULL]
    tokens = figures.span_tokens[0]
    assert (tokens.n_borrowed, tokens.borrowed_fraction) == (3, 1.0)
    assert (tokens.n_all, tokens.all_fraction) == (10, pytest.approx(4 / 10))
    words = {one.shift: (one.n, one.occurring_fraction) for one in figures.words}
    assert words[Shift.SHIFTED] == (3, 1.0)
    assert words[Shift.MARGINAL] == (1, 1.0)
    assert words[Shift.UNSHIFTED] == (6, pytest.approx(2 / 6))  # the, twice; not it, is, south and plain


def test_pairs_are_of_a_question_and_the_rows_that_hold_its_wrong_span() -> None:
    def cosines(question: str, prompts: object) -> NDArray[np.float64]:
        return np.array([0.8, 0.4, 0.0])

    found = pair_nearness(FULL_ARM, QUESTIONS, row_texts, lambda *_: PROMPTS, cosines)
    assert (found.n_spans, found.n_holders) == (2, 1.5)  # old harbour: row 0 by both words; harbour: rows 0 and 1
    assert found.cosine == pytest.approx((0.8 + 0.6) / 2)
    assert found.cosine_nearest == pytest.approx(0.8)
    assert found.cosine_any == pytest.approx(0.4)
    # Of 5 words and 4 pairs of "Where does the Marl end" row 0 has where, does, the, end and two pairs.
    assert found.overlap == pytest.approx((6 / 9 + (6 / 9 + 2 / 9) / 2) / 2)
    empty = pair_nearness(arm(FULL, ["north", "south", "x"]), QUESTIONS, row_texts, lambda *_: PROMPTS, cosines)
    assert (empty.n_spans, empty.cosine) == (0, None)


def test_the_halves_are_the_longest_the_shortest_and_fresh_draws() -> None:
    lengths = [3, 5, 2, 5, 9, 1]
    training = TrainingSet(
        rows=(0, 1, 2, 4, 5, 7),
        n_source_rows=8,
        input_ids=tuple(np.zeros(n + 1, np.int32) for n in lengths),
        labels=tuple(np.zeros(n + 1, np.int32) for n in lengths),
        template_digest="",
    )
    by_name = {one.name: one for one in arms_of(training, [7, 8], 3)}
    assert by_name[LORA].rows is None
    assert by_name[LONGEST].rows == ((1, 4, 5),) * 2
    assert by_name[SHORTEST].rows == ((0, 2, 7),) * 2
    random = by_name[RANDOM].rows
    assert random is not None
    assert random[0] != random[1]
    assert all(len(set(rows)) == 3 and set(rows) <= set(training.rows) for rows in random)
    assert [one.name for one in by_name.values() if one.has_noise] == ["full with NEFTune"]


def report_of(**changes: Any) -> PaperReport:
    shift = shift_figures(FULL_ARM)
    lora = replace(shift, arm=LORA, kl_start=0.4, kl_rest=0.1)
    full = replace(shift, kl_start=1.0, kl_rest=0.5)

    def nearness(of: MeasuredArm) -> Any:
        return pair_nearness(of, QUESTIONS, row_texts, lambda *_: PROMPTS, None)

    base = ["the plain", "the plain", "ovens"]
    arms = [LORA_ARM, FULL_ARM]
    report = PaperReport(
        base_model="pocket",
        recipe="paper",
        n_seeds=2,
        n_rows=10,
        n_kept=5,
        n_prompts=2,
        n_units=2,
        n_control=1,
        base_wrong=wrong_share(QUESTIONS, [base]),
        tunings=tuple(PaperTuning(one.name, one.method, 5e-5, 10.0, 3.0, 1.0, 0.9, ()) for one in arms),
        shift=(lora, full),
        matched=(lora, replace(full, arm="full, stopped after 3 steps")),
        style=style_figures(QUESTIONS, ["the port"], base, arms),
        concise=contrast(QUESTIONS, LORA_ARM, FULL_ARM),
        borrowing=borrowing_figures(QUESTIONS, [FULL_ARM], base, row_texts, nearness),
        fixes=(
            FixFigures(LORA, 10.0, 0.9, wrong_share(QUESTIONS, LORA_ARM.answers), None, 1.0),
            FixFigures(FULL, 10.0, 0.9, wrong_share(QUESTIONS, FULL_ARM.answers), contrast(QUESTIONS, FULL_ARM, LORA_ARM), 2.0),
        ),
        selection=None,
        notes=("The halves are 5 of 10 rows.",),
    )
    return replace(report, **changes)


def text_of(report: PaperReport, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(paper_report(report))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_statement_stands_beside_the_papers_figures_and_what_differs() -> None:
    page, html = text_of(report_of()), paper_html(report_of()).decode()
    for statement in STATEMENTS:
        assert f"{statement.number}. {statement.claim}" in page
        assert str(escape(statement.claim)) in html
        for figure in statement.published:
            assert figure.what in page
            assert figure.figure in page
        for difference in statement.differences:
            assert difference[:60] in page
    assert "LoRA moves the start of a sentence 4.0 times as far as the rest (0.40 / 0.10 nats)" in page
    assert "at one training loss, LoRA moves" in page
    assert "pocket, recipe paper, 2 seeds per arm" in page
    assert "Note: The halves are 5 of 10 rows." in page
    assert "0.48 / 0.13" in html


def test_the_sentences_follow_the_figures() -> None:
    views = statement_views(report_of())
    assert views[1].here.startswith("Here LoRA gives 50.0 points fewer wrong answers than full (")
    assert "of the wrong answers of full name another value that its rows hold" in views[2].here
    assert "fewer wrong answers than plain LoRA beyond chance: none; these give more: none." in views[3].here
    unmatched = statement_views(report_of(matched=(), concise=None))
    assert "at the recipe as it stands, not at one training loss" in unmatched[0].here
    assert unmatched[1].here == "The arms with the shortest and a random half were not both tuned."


def test_the_json_follows_the_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    content = json.loads(paper_json(report_of()))
    Draft202012Validator(SCHEMA).validate(content)
    Draft202012Validator(SCHEMA).validate(json.loads(paper_json(report_of(matched=(), concise=None))))
    assert content["statements"][0]["figures"]["matched"][0]["kl_start"] == 0.4
    assert [statement["number"] for statement in content["statements"]] == [1, 2, 3, 4]


def test_text_of_models_is_shown_and_not_obeyed() -> None:
    hostile = "[red]x[/red]<script>alert(1)</script>\x1b[31m\u202e"
    report = report_of(base_model=hostile, notes=(hostile,), shift=(replace(report_of().shift[0], top_tokens=(hostile,)),) * 2)
    page, html = text_of(report), paper_html(report).decode()
    assert page.count("[red]x[/red]") >= 3
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;") >= 3


def test_two_seeds_are_needed_for_an_interval_and_one_for_a_report() -> None:
    one = report_of(
        fixes=tuple(replace(f, minus_lora=f.minus_lora and replace(f.minus_lora, interval_95=None)) for f in report_of().fixes)
    )
    assert statement_views(one)[3].here == "One seed per arm does not show which differences would come again."


def test_too_few_rows_cannot_be_halved() -> None:
    training = TrainingSet((0,), 1, (np.zeros(2, np.int32),), (np.zeros(2, np.int32),), "")
    with pytest.raises(InputError, match="cannot be halved"):
        arms_of(training, [0], 0)
