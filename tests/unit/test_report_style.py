"""Style on the terminal, as JSON and as a page: the same facts, harmless, valid and reproducible."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from audit.corpus import Corpus
from audit.style.build import Style
from audit.style.copying import Copying, Drawn, FamilyCopied, NearRow, Output, OutputCopied, TraitMoved
from audit.style.families import Assigned, Family
from audit.style.lexicon import StyleKind
from audit.style.measured import MeasuredStyle
from audit.style.mixture import Rate
from audit.style.templates import Template, Templated, Templates
from audit.summary import Skipped
from reports.families import families_sentence, length_view, lift_words, map_view
from reports.html import audit_html
from reports.page import MAX_PAGE_BYTES
from reports.render import render_style
from reports.scatter import N_MARKS, draw_groups, mark_path, place_linear
from reports.style import (
    STYLE_SCHEMA,
    change_words,
    copied_first,
    figure_words,
    sentence_of_copying,
    strength_words,
    style_json,
    style_report,
)
from reports.style_html import _styled, style_html
from tests.hostile import ATTACKS, OWNED, SCRIPT, hostile_audit

SCHEMA = json.loads((Path(__file__).parents[2] / "reports/schemas/style.schema.json").read_text("utf-8"))


def made_style(n: int, n_families: int, text: str = 'begins with "Here are"; numbered list', **changes) -> Style:
    """Families over `n` responses, each half as large as the one before it; the rest is of none."""
    family = np.full(n, -1, np.int32)
    start, families = 0, []
    for number in range(n_families):
        size = max(1, n // 2 ** (number + 2))
        family[start : start + size] = number
        exemplars = tuple(range(start, start + min(5, size)))
        families.append(Family(number, size, size / n, exemplars, text, f"{text} <…>", 40.0 + number))
        start += size
    spread = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    words = np.arange(1, n + 1, dtype=np.int32)
    made = Style(
        families=tuple(families),
        assigned=Assigned(family, np.where(family >= 0, 0.9, 0.2).astype(np.float32), np.maximum(family, 0)),
        looked_at=np.arange(n),
        vectors=np.zeros((n, 2), np.float32),
        map=spread + family[:, None],
        words=words,
        expected_words=np.full(n, max(1.0, n / 2), np.float32),
        too_few=None,
        n_other_language=0,
        reference=None,
        n_reference=0,
        skipped=(),
        space=None,
        centres=None,
        encoder=None,
    )
    return replace(made, **changes)


def made_copying(style: Style, texts: list[str], *, base: bool = True, null: bool = True) -> Copying:
    """Outputs of the families in turn, every third one of none."""
    outputs = []
    for number, text in enumerate(texts):
        family = -1 if number % 3 == 2 or not style.families else number % len(style.families)
        nearest = (NearRow(0, 0.91), NearRow(1, 0.9)) if family >= 0 else ()
        p = (0.001 + number / 1000) if null else None
        outputs.append(OutputCopied(Output(f"{number} {SCRIPT}", f"Who? {SCRIPT}", text), family, 0.9, nearest, p))
    n_of = [sum(output.family == family.number for output in outputs) for family in style.families]
    before, after = Rate(0.05, 0.03, 0.08), Rate(0.4, 0.35, 0.45)
    of_null = {"one.jsonl": Rate(0.01, 0, 0.04), "<b>two</b>": Rate(0.02, 0, 0.05)} if null else {}
    n_base, n_null = len(texts) if base else 0, 99 if null else 0

    def copied(number: int, n: int, share: float) -> FamilyCopied:
        strength = Rate(1.678, 0.85, 2.485) if base or null else None
        return FamilyCopied(number, share, after, n, before if base else None, 0.06 if null else None, strength)

    traits = (
        TraitMoved("words in an answer", "words", 61.5, Rate(30, 28, 33), Rate(60, 55, 66), Rate(30, 25, 35)),
        TraitMoved("answers with a list", "share", 0.3, before, after, Rate(-0.35, -0.4, -0.3)),
        TraitMoved("discourse markers", "per 100 words", 1.25, Rate(1, 0.9, 1.1), Rate(1.2, 1, 1.4), Rate(0.2, -0.1, 0.5)),
    )
    return Copying(
        families=tuple(copied(f.number, n, f.share) for f, n in zip(style.families, n_of, strict=True)),
        outputs=tuple(outputs),
        shift=traits if base else tuple(replace(trait, base=None, change=None) for trait in traits),
        drawn=Drawn(after, before if null else None, of_null, Rate(0.38, -0.01, 0.5)) if base or null else None,
        any_family=copied(-1, sum(n_of), sum(f.share for f in style.families)) if style.families else None,
        n_outputs=len(texts),
        n_base=n_base,
        n_null=n_null,
        skipped=(),
    )


def made_templates(pattern: str = "Here are three things to know of <…>", n: int = 3) -> Templates:
    """Templates of the prompts, and one of the responses."""
    of_prompts = tuple(Template(f"{pattern} {number}", 9 - number, (9 - number) / 40, (0, 2)) for number in range(n))
    return Templates(Templated(of_prompts, 24, 40), Templated((Template(pattern, 4, 0.1, (1,)),) if n else (), 4 * bool(n), 40))


def measured(style: Style, copying: Copying | None = None, templates: Templates | None = None) -> MeasuredStyle:
    return MeasuredStyle(style, templates or made_templates(), copying)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    return hostile_audit(tmp_path_factory.mktemp("hostile")).corpus


@pytest.fixture
def style(corpus) -> Style:
    return made_style(corpus.responses.height, 3)


def printed(renderable, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()


def test_families_on_the_terminal(style, corpus) -> None:
    text = printed(style_report(measured(replace(style, reference="human.jsonl", looked_at=np.arange(100))), corpus))
    assert text.splitlines()[0] == "3 families hold 38.0 % of the 100 responses that were looked at."
    assert re.search(r'0 +25 % +– +40 +begins with "Here are"; numbered list', text)
    assert "<…>" in text
    assert "such as hostile" in text


def test_lift_is_shown_only_with_a_reference(style, corpus) -> None:
    lifted = replace(style.families[0], reference_share=0.01, lift=25.4)
    with_reference = replace(style, families=(lifted, *style.families[1:]), reference="human.jsonl")
    assert "25×" in printed(style_report(measured(with_reference), corpus))
    assert "Lift" not in printed(style_report(measured(style), corpus))
    assert [lift_words(replace(lifted, lift=lift)) for lift in (None, 0.051, 4.14, 12.6, 2000.0)] == [
        "–",
        "0.051×",
        "4.1×",
        "13×",
        "over 100×",
    ]


def test_why_there_is_no_family(style) -> None:
    none = replace(style, families=())
    assert families_sentence(replace(none, looked_at=np.arange(10), too_few="10 responses, of 200 that it takes")) == (
        "No families: 10 responses, of 200 that it takes."
    )
    assert families_sentence(replace(none, looked_at=np.arange(1))) == (
        "No form is shared by enough of the 1 response that was looked at to be a family."
    )


def test_copying_on_the_terminal(style, corpus) -> None:
    copying = made_copying(style, ["Here are three.", "One.", "Two.", "Here are four."])
    text = printed(style_report(measured(style, copying), corpus))
    assert "40 % (35 to 45) of 4 outputs are of a family; 5 % of the base model's and 6 % of null outputs." in text
    assert re.search(r"0 +25 % +40 % \(35 to 45\) +5 % +6 % +3\.2× \(1\.8 to 5\.6\)", text)
    assert (
        "40 % (35 to 45) of the outputs are as if drawn from the dataset's forms; of the base model's 5 % (3 to 8); "
        "of one.jsonl 1 % (0 to 4), of <b>two</b> 2 % (0 to 5): 38 points (−1 to 50) above the mean of these."
    ) in " ".join(text.split())
    assert re.search(r"words in an answer +61\.5 +30 +60 +\+30 \(\+25 to \+35\)", text)
    assert re.search(r"discourse markers, per 100 words +1\.25 +1 +1\.2 +\+0\.2 \(−0\.1 to \+0\.5\)", text)
    assert "The 3 outputs nearest to the rows" in text


def test_without_base_and_null_their_columns_are_left_out(style, corpus) -> None:
    copying = made_copying(style, ["Here are three.", "One."], base=False, null=False)
    text = printed(style_report(measured(style, copying), corpus))
    assert "of 2 outputs are of a family." in text
    assert "Base" not in text
    assert "Null" not in text
    assert "Change" not in text
    page = style_html(measured(style, copying), corpus).decode()
    assert "Base model</th>" not in page
    assert "By chance</th>" not in page
    assert "--base-responses" in page


def test_outputs_of_a_dataset_without_families(style, corpus) -> None:
    none = replace(made_style(corpus.responses.height, 0), too_few="too few rows")
    copying = made_copying(none, ["One."])
    assert sentence_of_copying(copying) == "1 output was looked at; there is no family to compare with."
    assert "No families: too few rows." in printed(style_report(measured(none, copying), corpus))
    page = style_html(measured(none, copying), corpus).decode()
    assert "No families: too few rows." in page
    assert 'id="copied"' not in page
    assert 'id="moved"' in page


def test_what_was_not_looked_at_is_told_once(style, corpus) -> None:
    skipped = Skipped("responses of other languages", "4 are not English")
    copying = replace(made_copying(style, ["One."]), skipped=(skipped,))
    told = replace(style, skipped=(skipped,), n_other_language=4)
    assert printed(style_report(measured(told, copying), corpus)).count("4 are not English") == 1
    page = style_html(measured(told, copying), corpus).decode()
    assert page.count("4 are not English") == 1
    assert "4 of other languages were not" in page


def test_words_for_figures() -> None:
    assert strength_words(None) == "–"
    assert strength_words(Rate(0, -1, 5)) == "1× (0.5 to 32)"
    assert figure_words(0.123, "share") == "12 %"
    assert figure_words(-0.123, "share", signed=True) == "-12.3 points"
    assert figure_words(61.54, "words") == "61.5"
    assert (figure_words(1.84, "times"), figure_words(-0.5, "times", signed=True)) == ("1.8×", "-0.5×")
    assert (figure_words(0.2718, "words"), figure_words(1.2718, "words", signed=True)) == ("0.27", "+1.27")
    times = TraitMoved("length", "times", 1.0, Rate(1, 0, 1), Rate(2, 0, 1), Rate(-1.1, -1.5, -0.76))
    assert change_words(times) == "−1.1× (−1.5 to −0.76)"
    share = TraitMoved("lists", "share", 0.1, Rate(0.1, 0, 1), Rate(0.2, 0, 1), Rate(0.1, -0.05, 0.25))
    assert change_words(share) == "+10.0 points (−5.0 to +25.0)"
    assert change_words(replace(share, change=None)) == "–"


def test_the_least_likely_outputs_come_first() -> None:
    output = Output("a", "Ask.", "Answer.")
    listed = [
        OutputCopied(output, 0, 0.7, (), 0.5),
        OutputCopied(output, 1, 0.8, (), 0.01),
        OutputCopied(output, -1, 0.1, (), None),
        OutputCopied(output, 2, 0.9, (), 0.5),
    ]
    copying = Copying((), None, None, tuple(listed), (), 4, 0, 0, ())
    assert [copied.family for copied in copied_first(copying)] == [1, 2, 0]
    rate = Rate(0.5, 0.4, 0.6)
    families = tuple(FamilyCopied(n, 0.1, rate, 1, rate, None, Rate(1, low, 2)) for n, low in ((0, 0.1), (1, -0.1), (2, 0.2)))
    assert [copied.family for copied in copied_first(replace(copying, families=families))] == [2, 0, 1]


def test_terminal_shows_no_control_character(corpus) -> None:
    style = made_style(corpus.responses.height, 2, text="\x1b[31mred \u202egnp.exe [bold]")
    text = printed(style_report(measured(style, made_copying(style, list(ATTACKS))), corpus))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert "⟨ESC⟩[31m" in text
    assert "[bold]" in text


def test_json_by_its_schema_and_the_same_again(style, corpus) -> None:
    assert SCHEMA["$id"] == STYLE_SCHEMA
    copying = made_copying(style, list(ATTACKS))
    made = style_json(measured(style, copying), corpus)
    assert made == style_json(measured(style, made_copying(style, list(ATTACKS))), corpus)
    content = json.loads(made)
    Draft202012Validator(SCHEMA).validate(content)
    assert [output["response"] for output in content["outputs"]] == list(ATTACKS)
    assert content["outputs"][2]["family"] is None
    first = corpus.responses["row"][0]
    assert content["families"][0]["exemplars"][0]["row"]["index"] == corpus.id(first).index
    assert content["outputs"][0]["nearest"][0]["row_key"] == corpus.keys[first]
    assert content["any_family"]["family"] is None
    Draft202012Validator(SCHEMA).validate(json.loads(style_json(measured(style), corpus)))


def test_a_figure_that_is_no_number_is_null(style, corpus) -> None:
    copying = made_copying(style, ["One."])
    trait = replace(copying.shift[0], dataset=float("nan"), outputs=Rate(1.0, float("-inf"), float("inf")))
    content = json.loads(style_json(measured(style, replace(copying, shift=(trait,))), corpus))
    Draft202012Validator(SCHEMA).validate(content)
    assert content["shift"][0]["dataset"] is None
    assert content["shift"][0]["outputs"] == {"value": 1.0, "low": None, "high": None}


def test_the_schema_refuses_what_is_none(style, corpus) -> None:
    content = json.loads(style_json(measured(style, made_copying(style, ["One."])), corpus))
    for change in ({"schema": "tunescope/style-2"}, {"families": [{}]}, {"outputs": [{}]}, {"dataset": {}}):
        assert not Draft202012Validator(SCHEMA).is_valid(content | change)
    del content["copied"]
    assert not Draft202012Validator(SCHEMA).is_valid(content)


@pytest.mark.parametrize("attack", ATTACKS)
def test_text_cannot_act_on_the_page(corpus, attack) -> None:
    style = made_style(corpus.responses.height, 3, text=attack, reference=attack or None)
    copying = made_copying(style, [attack or "x"] * 4)
    page = style_html(measured(style, replace(copying, skipped=(Skipped(attack, attack),))), corpus, attack).decode()
    assert page.count("<script>") == 1
    assert f"<script>{OWNED}" not in page
    assert "<img" not in page
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page)
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)


def test_the_page_is_the_same_again(style, corpus) -> None:
    rendered = render_style(measured(style, made_copying(style, list(ATTACKS))), corpus, "hostile.jsonl")
    assert sorted(rendered) == ["report.html", "report.json"]
    assert rendered == render_style(measured(style, made_copying(style, list(ATTACKS))), corpus, "hostile.jsonl")


def test_a_page_of_many_long_outputs_stays_small(corpus) -> None:
    style = made_style(corpus.responses.height, 5, text="so " * 50)
    page = style_html(measured(style, made_copying(style, ["However, it may be so. " * 2000] * 300)), corpus)
    assert len(page) <= MAX_PAGE_BYTES
    assert re.search(r"\d+ of 200 outputs of a family", page.decode())
    assert re.search(r"[\d,]+ characters not shown", page.decode())


def test_the_report_of_an_audit_shows_families_unless_it_is_redacted(tmp_path) -> None:
    audited = hostile_audit(tmp_path)
    style = made_style(audited.corpus.responses.height, 12, text=SCRIPT)
    page = audit_html(*audited, style).decode()
    assert 'id="style"' in page
    assert "The 8 largest are listed." in page
    assert f"<script>{OWNED}" not in page
    assert 'id="style"' not in audit_html(*audited).decode()
    redacted = audited._replace(summary=replace(audited.summary, redacted=True))
    assert 'id="style"' not in audit_html(*redacted, style).decode()
    few = replace(style, families=(), too_few="too few rows")
    assert "No families: too few rows." in audit_html(*audited, few).decode()


def test_words_of_style_are_told_from_content() -> None:
    text = "Sure! However, it may rain in Vell.\n\nI hope this helps!"
    styled = _styled(text, 1000)
    assert "".join(piece.text for piece in styled.pieces) == text
    kinds = {piece.text: piece.kind for piece in styled.pieces}
    assert kinds["Sure!"] == "opener"
    assert kinds["However"] == "marker"
    assert kinds["may"] == "hedge"
    assert kinds["rain"] == kinds["Vell"] == "content"
    assert kinds["I hope this helps!"] == "closer"
    assert _styled("word " * 10, 12).n_after == 38
    assert _styled("", 5).pieces == ()


def test_every_kind_of_word_has_a_style_and_a_name_in_the_legend(style, corpus) -> None:
    page = style_html(measured(style), corpus).decode()
    for kind in StyleKind:
        if kind is not StyleKind.CONTENT:
            assert f'<span class="w {kind.name.lower()}">{kind.value}</span>' in page
            assert f".w.{kind.name.lower()}" in page


def test_marks_differ_in_shape() -> None:
    marks = [mark_path(number) for number in range(N_MARKS)]
    assert len(set(marks)) == N_MARKS
    assert mark_path(N_MARKS) not in marks


def test_points_drawn_keep_the_shares_of_their_groups() -> None:
    groups = np.repeat(np.array([0, 1, 5, -1], np.int32), [600, 300, 50, 50])
    points = np.random.default_rng(0).normal(size=(1000, 2)).astype(np.float32)
    drawn = {group.number: group for group in draw_groups(place_linear(points, 100, 100), groups, [0, 1], 100)}
    assert {number: group.n for number, group in drawn.items()} == {-1: 100, 0: 600, 1: 300}
    assert {number: group.n_drawn for number, group in drawn.items()} == {-1: 10, 0: 60, 1: 30}
    assert drawn[0].path.count("M") == 60


def test_places_lie_within_the_drawing() -> None:
    points = np.array([[0, 0], [1, 1], [1000, -1000], [np.nan, 0]], np.float32)
    placed = place_linear(points, 100, 50, margin=5)
    assert np.isnan(placed.x[3])
    assert ((placed.x[:3] >= 5) & (placed.x[:3] <= 95) & (placed.y[:3] >= 5) & (placed.y[:3] <= 45)).all()
    assert placed.y[2] > placed.y[1]  # downwards
    alike = place_linear(np.ones((3, 2), np.float32), 100, 50)
    assert alike.x.tolist() == [50, 50, 50]


def test_a_map_of_no_place_is_none(style) -> None:
    assert map_view(replace(style, map=np.full_like(style.map, np.nan)), 10) is None
    assert length_view(replace(style, expected_words=np.full_like(style.expected_words, np.nan)), 10) is None


def test_length_against_need() -> None:
    style = made_style(6, 1, words=np.array([1, 7, 10, 15, 30, 80], np.int32), expected_words=np.full(6, 10, np.float32))
    lengths = length_view(style, 100)
    assert [n for _, n in lengths.ratios] == [1, 1, 1, 1, 1, 1]
    assert (lengths.n_double, [line.family for line in lengths.by_family]) == (2, [-1, 0])
    assert (lengths.by_family[0].median, lengths.by_family[0].median_at) == (1.25, 55.4)
    assert lengths.ticks[0][0] == 1
    assert lengths.n == lengths.n_drawn == 6
    silent = length_view(replace(style, words=np.zeros(6, np.int32)), 100)
    assert silent is None


def test_templates_are_listed_with_the_wording_that_they_share(style, corpus) -> None:
    report = printed(style_report(measured(style, templates=made_templates(n=5)), corpus))
    assert "5 templates make 60.0 % of the 40 prompts; 1 template makes 10.0 % of the 40 responses." in report
    assert re.search(r"prompts +22 % +Here are three things to know of <…> 0 +such as", report)
    assert "and 2 more" in report
    content = json.loads(style_json(measured(style, templates=made_templates(n=5)), corpus))
    Draft202012Validator(SCHEMA).validate(content)
    assert [template["texts"] for template in content["templates"]["prompts"]["templates"]] == [9, 8, 7, 6, 5]
    assert content["templates"]["responses"]["of_a_template"] == 4
    page = style_html(measured(style, templates=made_templates(n=25)), corpus).decode()
    assert "the 20 largest of 25" in page


def test_templates_of_hostile_texts_are_harmless(style, corpus) -> None:
    for attack in ATTACKS:
        found = measured(style, templates=made_templates(attack))
        page = style_html(found, corpus).decode()
        assert f"<script>{OWNED}" not in page
        assert "<img src=x" not in page
        assert "\x1b" not in printed(style_report(found, corpus))


def test_a_dataset_without_templates_says_so(style, corpus) -> None:
    found = measured(style, templates=made_templates(n=0))
    assert "No template was found" in printed(style_report(found, corpus))
    assert "No template was found" in style_html(found, corpus).decode()
