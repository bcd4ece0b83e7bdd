"""Style families on planted moulds: found, described, held against a reference, and told from topics."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from audit.config import make_config
from audit.errors import InputError
from audit.materials import Materials
from audit.pipeline import run_audit
from audit.rundir import Run
from audit.style.build import STYLE_FILES, Style, load_style
from audit.style.copying import Copying, Output, measure_copying
from audit.style.families import Assigned, Centres, Family, alikeness, exemplars_of, held_against, mean_cosine
from audit.style.features import TRAITS
from audit.style.marks import describe
from audit.style.measured import measure_style
from audit.style.mixture import Placed, jackknife, mixture_weights
from tests.benchmarks.style.planted import MOULDS, planted_rows
from tests.conftest import jsonl, no_reports

ROWS = planted_rows()
NAMES = [mould.__name__.strip("_") for mould in MOULDS]


def _run(folder: Path, rows: list[dict[str, str]], **settings: object) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data.jsonl").write_bytes(jsonl(rows))
    config = make_config({"data": str(folder / "data.jsonl"), "select": "TXT001", **settings})
    return run_audit(config, folder / "run", render=no_reports)


def _rows(moulds: list[str] | None = None) -> list[dict[str, str]]:
    kept = ROWS if moulds is None else ROWS.filter(ROWS["mould"].is_in([NAMES.index(name) for name in moulds]))
    return kept.select("prompt", "response").to_dicts()


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return _run(tmp_path_factory.mktemp("planted"), _rows())


@pytest.fixture(scope="module")
def style(planted: Run) -> Style:
    return load_style(planted.path)


def _family_of(style: Style, mould: str) -> tuple[Family, float]:
    """The family that most rows of a mould belong to, and their share of it."""
    inside = ROWS["mould"].to_numpy() == NAMES.index(mould)
    number, _ = Counter(style.assigned.family[inside].tolist()).most_common(1)[0]
    assert number >= 0, f"{mould} is of no family"
    return style.families[number], float(inside[style.assigned.family == number].mean())


@pytest.mark.parametrize(
    ("mould", "mark"),
    [
        ("steps", "a numbered list"),
        ("bullets", "a bulleted list"),
        ("headed", "headings"),
        ("letter", "a salutation"),
        ("questions", "a question"),
        ("shouted", "hashtags"),
    ],
)
def test_a_planted_mould_is_a_family_that_is_described_by_its_mark(style: Style, mould: str, mark: str) -> None:
    family, purity = _family_of(style, mould)
    assert purity > 0.9
    assert mark in family.marks
    assert mark in family.description


def test_families_are_numbered_by_falling_share_and_their_figures_agree(style: Style) -> None:
    shares = [family.share for family in style.families]
    assert [family.number for family in style.families] == list(range(len(shares)))
    assert shares == sorted(shares, reverse=True)
    for family in style.families:
        members = np.flatnonzero(style.assigned.family == family.number)
        assert family.n == len(members)
        assert family.share == pytest.approx(len(members) / style.n_looked_at)
        assert set(family.exemplars) <= set(members.tolist())
        assert family.median_words == pytest.approx(float(np.median(style.words[members])))


def test_exemplars_are_of_different_instructions(style: Style) -> None:
    prompts = ROWS["prompt"].to_list()
    for family in style.families:
        assert len({prompts[number] for number in family.exemplars}) == len(family.exemplars)


def test_the_datasets_own_responses_are_assigned_again_as_they_were(style: Style) -> None:
    again = style.assign(ROWS["prompt"].to_list(), ROWS["response"].to_list())
    assert (again.family == style.assigned.family).mean() > 0.98  # vectors on disk have 11 bits
    assert style.assign(["Say nothing."], [" \n "]).family.tolist() == [-1]


def test_the_same_data_gives_the_same_bytes(planted: Run, tmp_path: Path) -> None:
    again = _run(tmp_path, _rows())
    for name in STYLE_FILES:
        assert (again.path / name).read_bytes() == (planted.path / name).read_bytes(), name


def test_the_map_puts_a_mould_together(style: Style) -> None:
    places = style.map[ROWS["mould"].to_numpy() == NAMES.index("steps")]
    spread = np.linalg.norm(places - places.mean(axis=0), axis=1).mean()
    assert np.isfinite(style.map).all()
    assert np.abs(style.map).max() <= 1
    assert spread < 0.5 * np.linalg.norm(style.map - style.map.mean(axis=0), axis=1).mean()


def test_too_few_responses_have_no_families_and_say_so(tmp_path: Path) -> None:
    style = load_style(_run(tmp_path, _rows()[:120]).path)
    assert style.families == ()
    assert style.too_few == "families need 200 responses in English; there are 120 responses in English"
    assert (style.assigned.family == -1).all()
    assert any(skipped.why == style.too_few for skipped in style.skipped)
    with pytest.raises(InputError, match="no style families"):
        style.assign(["What?"], ["That."])


def test_other_languages_are_left_out_and_counted(tmp_path: Path) -> None:
    foreign = [
        {
            "prompt": f"第{number}条河在哪里？请简单介绍一下这条河。",
            "response": f"这条河在北方，全长{number}公里，流经三个省，最后进入大海。",
        }
        for number in range(300)
    ]
    style = load_style(_run(tmp_path, [*foreign, *_rows()]).path)
    assert style.n_other_language == 300
    assert style.n_looked_at == ROWS.height
    assert (style.assigned.family[:300] == -1).all()
    assert np.isnan(style.map[:300]).all()
    assert any("300 responses are of another language" in skipped.why for skipped in style.skipped)


def test_one_task_is_no_family(tmp_path: Path) -> None:
    """Sixty answers of one form to one task: their instructions are as alike as their answers."""
    task = [
        {
            "prompt": f"Classify the sentiment of the review number {number} as positive or negative.",
            "response": f"({number % 2}) :: ok",
        }
        for number in range(60)
    ]
    style = load_style(_run(tmp_path, [*task, *_rows()]).path)
    numbers = [family.number for family in style.families]
    inside = Counter(style.assigned.family[:60].tolist())
    assert max((inside[number] for number in numbers), default=0) < 10


def test_a_redacted_run_keeps_no_families(tmp_path: Path) -> None:
    run = _run(tmp_path, _rows(), redact=True)
    with pytest.raises(InputError, match="no style families"):
        load_style(run.path)
    assert not list(run.path.glob("indexes/style*"))


def test_lift_is_taken_at_the_same_mix_of_instructions() -> None:
    """The reference has the form for lists alone; the dataset asks for few of them."""
    family = Family(0, 30, 0.3, (), "a list", "", 10.0)
    kinds = np.array([0] * 90 + [1] * 10)
    reference = Assigned(np.array([-1] * 100 + [0] * 100, np.int32), np.ones(200, np.float32), np.zeros(200, np.int32))
    of_reference = np.array([0] * 100 + [1] * 100)
    (held,) = held_against([family], kinds, reference, of_reference)
    none, all_of_them = 5 * (100.5 / 201) / 105, (100 + 5 * (100.5 / 201)) / 105
    assert held.reference_share == pytest.approx(0.9 * none + 0.1 * all_of_them)
    assert held.lift == pytest.approx(0.3 / held.reference_share)


def test_an_over_represented_mould_is_a_finding_unless_it_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "reference.jsonl").write_bytes(jsonl(_rows(["plain", "winding", "telegram"])))
    asked = [
        {"prompt": f"List {number} steps of glazing.", "response": _rows(["steps"])[number]["response"]}
        for number in range(3, 23)
    ]
    rows = [*_rows(["plain", "winding", "steps"]), *asked]
    run = _run(tmp_path, rows, select="STY001", style_reference=str(tmp_path / "reference.jsonl"))
    found = run.findings
    texts = [rows[row]["response"] for row in found["row"].to_list()]
    assert len(texts) > 60
    assert all("\n2. " in text for text in texts)
    assert found["row"].max() < len(rows) - len(asked)
    assert (found["value"] > 2).all()


def test_without_a_reference_there_is_no_lift_and_no_finding(planted: Run, style: Style) -> None:
    assert all(family.lift is None for family in style.families)
    assert any("--style-reference" in skipped.why for skipped in style.skipped)
    skipped = json.loads((planted.path / "manifest.json").read_text())
    assert skipped


# --- copying -----------------------------------------------------------------------------------------------------------------


def _outputs(mould: str, seed: int, n: int = 80) -> list[Output]:
    rows = planted_rows(seed).filter(planted_rows(seed)["mould"] == NAMES.index(mould)).sort("topic").head(n)
    return [
        Output(str(number), prompt, text) for number, (prompt, text) in enumerate(rows.select("prompt", "response").iter_rows())
    ]


def _measured(planted: Run, style: Style, outputs: list[Output], **others: object) -> Copying:
    return measure_copying(style, Materials(planted.path, planted.corpus), outputs, **others)  # type: ignore[arg-type]


def test_outputs_that_copy_a_mould_are_of_its_family(planted: Run, style: Style) -> None:
    family, _ = _family_of(style, "steps")
    others = {"one": _outputs("plain", 8) + _outputs("hedged", 8), "two": _outputs("winding", 9) + _outputs("letter", 9)}
    copied = _measured(planted, style, _outputs("steps", 7) + _outputs("steps", 17), null=others)
    first = copied.families[0]
    assert first.family == family.number
    assert first.outputs.value > 0.8
    assert first.null is not None
    assert first.null < 0.1
    assert first.strength is not None
    assert first.strength.low > 0
    near = ROWS["mould"].to_numpy()[[output.nearest[0].response for output in copied.outputs]]
    assert (near == NAMES.index("steps")).mean() > 0.9
    assert copied.drawn is not None
    assert list(copied.drawn.null) == ["one", "two"]
    assert copied.drawn.outputs.value > max(rate.value for rate in copied.drawn.null.values()) - 1e-9


def test_without_other_models_shares_stand_alone(planted: Run, style: Style) -> None:
    copied = _measured(planted, style, _outputs("steps", 7))
    assert copied.drawn is None
    assert all(family.strength is None and family.null is None for family in copied.families)
    assert all(output.p is None for output in copied.outputs)
    assert any("neither base nor null" in skipped.why for skipped in copied.skipped)


def test_style_moves_from_base_to_tuned_prompt_by_prompt(planted: Run, style: Style) -> None:
    base = _outputs("plain", 8)
    tuned = [replace(output, response=one.response) for output, one in zip(base, _outputs("assistant", 7), strict=True)]
    moved = {trait.name: trait for trait in _measured(planted, style, tuned, base=base).shift}
    opened = moved["answers that open with a phrase"]
    assert opened.base is not None
    assert opened.change is not None
    assert (opened.base.value, opened.outputs.value, opened.change.value) == (0.0, 1.0, 1.0)
    words = moved["words in an answer"]
    assert words.change is not None
    assert words.change.low > 0
    assert words.change.value == pytest.approx(words.outputs.value - words.base.value)  # type: ignore[union-attr]


def test_empty_and_foreign_outputs_are_counted_not_dropped_in_silence(planted: Run, style: Style) -> None:
    foreign = Output("f", "这条河在哪里？请简单介绍一下这条河。", "这条河在北方，全长很长，流经三个省，最后进入大海。")
    copied = _measured(planted, style, [*_outputs("steps", 7, 5), Output("e", "What is it?", " "), foreign])
    assert copied.n_outputs == 5
    assert {skipped.what for skipped in copied.skipped} >= {"1 output"}
    assert {skipped.why for skipped in copied.skipped} >= {
        "empty",
        "made for English; of another language",
    }


def test_outputs_of_which_none_can_be_looked_at_are_refused(planted: Run, style: Style) -> None:
    with pytest.raises(InputError, match=r"no output can be looked at.*2 outputs: empty"):
        _measured(planted, style, [Output("a", "What is it?", " "), Output("b", "Why?", "")])


def test_one_model_in_two_files_is_no_null(planted: Run, style: Style) -> None:
    steps, plain = _outputs("steps", 7), _outputs("plain", 8)
    with pytest.raises(InputError, match="the null outputs of a are the outputs"):
        _measured(planted, style, steps, null={"a": steps})
    with pytest.raises(InputError, match="the null outputs of b are the null outputs of a"):
        _measured(planted, style, steps, null={"a": plain, "b": [*plain[1:], plain[0]]})


def test_few_outputs_of_another_model_are_counted_and_compared_with_nothing(planted: Run, style: Style) -> None:
    copied = _measured(planted, style, _outputs("steps", 7), base=_outputs("plain", 8, 1), null={"a": _outputs("plain", 9, 19)})
    assert all(family.strength is None for family in copied.families)
    assert all(trait.change is None for trait in copied.shift)
    what = {skipped.what for skipped in copied.skipped if "too few" in skipped.why}
    assert what == {"1 base output", "19 null outputs of a"}
    assert any("could be looked at" in skipped.why for skipped in copied.skipped)


def test_a_family_without_an_output_has_an_interval_and_no_strength(planted: Run, style: Style) -> None:
    steps, _ = _family_of(style, "steps")
    copied = _measured(planted, style, _outputs("plain", 7, 30), null={"a": _outputs("hedged", 8)})
    (none,) = (family for family in copied.families if family.family == steps.number)
    assert none.n_outputs == 0
    assert none.strength is None
    assert none.outputs.low == 0
    assert 0.08 < none.outputs.high < 0.15  # Wilson, 0 of 30: 0.114
    assert copied.families[-1].n_outputs == 0


def test_a_family_that_no_null_output_has_is_not_sure_to_be_rare(planted: Run, style: Style) -> None:
    steps, _ = _family_of(style, "steps")
    copied = _measured(planted, style, _outputs("steps", 7), null={"a": _outputs("plain", 8, 40)})
    (found,) = (family for family in copied.families if family.family == steps.number)
    assert found.null == 0
    assert found.strength is not None
    assert found.strength.low > 0
    assert found.strength.high - found.strength.low > 1.5  # a factor of three, in which the null's share of 0 may lie


def test_the_jackknife_gives_the_error_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(size=2_000)

    def measure(gone: np.ndarray) -> np.ndarray:
        return np.array([np.delete(values, gone).mean()])

    ((value, low, high),) = jackknife(np.arange(2_000), measure)
    assert value == pytest.approx(values.mean())
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / np.sqrt(2_000), rel=0.4)


def test_a_mixture_of_nothing_but_the_null_has_no_weight() -> None:
    generator = np.random.default_rng(0)

    def placed(rates: list[float], n: int) -> Placed:
        return Placed(
            generator.choice(3, n, p=rates).astype(np.int32), generator.integers(5, 80, n).astype(np.int32), np.arange(n)
        )

    null, source = placed([0.5, 0.4, 0.1], 3_000), placed([0.1, 0.2, 0.7], 3_000)
    assert mixture_weights(placed([0.5, 0.4, 0.1], 1_000), null, [source], 3)[1] < 0.06
    assert mixture_weights(placed([0.1, 0.2, 0.7], 1_000), null, [source], 3)[1] > 0.9


def test_assignment_is_the_nearest_centre_by_an_exact_search() -> None:
    generator = np.random.default_rng(0)
    vectors, centres = (generator.normal(size=(n, 8)) for n in (9_000, 12))
    vectors, centres = (array / np.linalg.norm(array, axis=1, keepdims=True) for array in (vectors, centres))
    cut = np.full(12, 0.3, np.float32)
    assigned = Centres(centres.astype(np.float32), np.arange(12, dtype=np.int32) - 1, cut).assign(vectors.astype(np.float32))
    for place in range(0, 9_000, 97):
        cosines = [round(float(vectors[place] @ centre), 4) for centre in centres]
        assert cosines[assigned.centre[place]] == pytest.approx(max(cosines), abs=2e-4)
        belongs = assigned.similarity[place] >= 0.3
        assert assigned.family[place] == (assigned.centre[place] - 1 if belongs else -1)


def test_alikeness_runs_from_chance_to_sameness() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(2_000, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[:50] = vectors[0]
    assert alikeness(vectors[:50], mean_cosine(vectors)) == pytest.approx(1)
    assert alikeness(vectors[100:700], mean_cosine(vectors)) == pytest.approx(0, abs=0.01)


def test_exemplars_without_vectors_are_the_nearest() -> None:
    similarity = np.array([0.1, 0.9, 0.8, 0.8, 0.2])
    assert exemplars_of(np.arange(5), similarity, None) == (1, 2, 3, 4, 0)


def test_few_of_what_no_response_has_is_no_description() -> None:
    unexplained = np.zeros((40, len(TRAITS)))
    unexplained[:20, TRAITS.index("= per word")] = -2
    unexplained[:20, TRAITS.index("words of a sentence")] = -1
    usual = np.array([trait == "words of a sentence" for trait in TRAITS])
    openers = pl.Series([f"word {number}" for number in range(40)])
    assert describe(np.arange(20), {}, openers, unexplained, usual, 1.0) == ("fewer words in a sentence than others", ())
    assert "equals signs" in describe(np.arange(20), {}, openers, -unexplained, usual, 1.0)[0]


def test_templates_of_prompts_and_responses_are_found_with_their_rows(tmp_path: Path) -> None:
    things = [
        f"{first}{last}"
        for first in "Sker Hol Tar Qui Vel Bir Mer Ans Thra Dun".split()
        for last in "ry m row ll n den wick ham ton by ness ford".split()
    ]
    rows = [
        {
            "prompt": f"Tell me the opening hours of the old harbour office at {thing} please."
            if number % 2
            else f"{thing}: {'why ' * (number % 7)}does number {number * 37 % 101} of the {number * 53 % 89} boats leave?",
            "response": f"It is {number * 91 % 97} o'clock, or {number * 17 % 83}." if number else "",
        }
        for number, thing in enumerate(things)
    ]
    run = _run(tmp_path, rows)
    found = measure_style(run).templates
    first = found.prompts.templates[0]
    assert "opening hours of the old harbour office at <…>" in first.pattern
    assert first.n == 60
    assert first.share == 0.5
    assert len(first.examples) == 3
    assert {number % 2 for number in first.examples} == {1}
    assert found.prompts.n_templated == sum(template.n for template in found.prompts.templates)
    assert found.responses.n_texts == 119
    assert all(0 not in template.examples for template in found.responses.templates)
