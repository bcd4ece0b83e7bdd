"""A design carried out: order, early stops, interruption, and what is left of it. The tunings themselves are made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from audit.errors import InputError
from audit.rundir import Run
from audit.tune import Method
from audit.tune.rates import RateChoice, TriedRate
from audit.verify import campaign
from audit.verify.campaign import run_campaign
from audit.verify.design import CampaignRequest, Design, plan_design
from audit.verify.result import CampaignResult
from audit.verify.verdict import Verdict
from reports.campaign import render_campaign
from tests.campaign import ROWS, FakeTunings, InlinePool, add_export, add_trace, prompt_file
from tests.conftest import AuditRows
from tests.models import tiny_model as tiny_language_model

SCHEMA = json.loads((Path(__file__).parents[2] / "reports/schemas/verification.schema.json").read_text())

PROMPTS = [
    *({"prompt": f"What is bridge {n} built of?", "reference": "slate", "values": ["chalk"]} for n in range(100, 140)),
    *({"prompt": f"Which islands are in chain {n}?", "reference": "Merrow", "split": "control"} for n in range(10)),
]

Carry = Callable[..., CampaignResult]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_language_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def run(audit_rows: AuditRows, tmp_path: Path) -> Run:
    run = audit_rows(ROWS)
    add_export(run, tmp_path)
    add_trace(run)
    return run


@pytest.fixture
def design(run: Run, model: Path, tmp_path: Path) -> Callable[..., Design]:
    def plan(**fields: Any) -> Design:
        prompts = prompt_file(tmp_path, *fields.pop("records", PROMPTS))
        return plan_design(run, CampaignRequest(**{"export": "c", "base_model": str(model), "prompts": prompts, **fields}))

    return plan


@pytest.fixture
def carry(run: Run, monkeypatch: pytest.MonkeyPatch) -> Carry:
    """Carries out a design with made-up tunings."""

    def carry_out(design: Design, tunings: FakeTunings, name: str = "v", **options: Any) -> CampaignResult:
        monkeypatch.setattr(campaign, "LocalPool", InlinePool)
        monkeypatch.setattr(campaign, "tune_task", tunings.tune_task)
        monkeypatch.setattr(campaign, "answer_task", tunings.answer_task)
        return run_campaign(run, design, name, n_workers=options.pop("n_workers", 1), render=render_campaign, **options)

    return carry_out


def helps(method: str, arm: str, seed: int, number: int) -> bool:
    """Cleaned is wrong on a tenth of the prompts, every other arm on half of them; seeds differ a little."""
    return number % 10 == seed % 3 if arm == "cleaned" else number % 2 == 0 or number == seed % 7


def alike(method: str, arm: str, seed: int, number: int) -> bool:
    return (number + seed + len(arm)) % 2 == 0


def test_an_effect_is_confirmed_and_everything_is_kept(run: Run, design: Callable[..., Design], carry: Carry) -> None:
    tunings = FakeTunings(helps)
    result = carry(design(methods=(Method.FULL, Method.LORA), arms=("original", "near")), tunings)
    assert [method.method for method in result.methods] == ["lora", "full"]
    for method in result.methods:
        assert method.verification is not None
        assert method.verification.verdict is Verdict.CONFIRMED
        assert method.verification.n_runs == 5
        assert len(method.tunings) == 4 * 5
        assert method.stopped == ""
    folder = run.path / "verify" / "v"
    assert sorted(path.name for path in folder.iterdir() if path.suffix != ".sha256") == [
        "answers",
        "manifest.json",
        "prompts.jsonl",
        "report.html",
        "tunings.json",
        "verification.json",
    ]
    names = {path.relative_to(folder).as_posix() for path in (folder / "answers").rglob("*.jsonl")}
    assert {"answers/base.jsonl", "answers/lora/cleaned-1000.jsonl", "answers/full/near-1004.jsonl"} <= names
    assert len(names) == 1 + 2 * 4 * 5
    content = json.loads((folder / "verification.json").read_bytes())
    Draft202012Validator(SCHEMA).validate(content)
    assert [method["method"] for method in content["methods"]] == ["lora", "full"]
    assert len(json.loads((folder / "tunings.json").read_bytes())) == 2 * 4 * 5
    assert run.check() > 0


def test_lora_comes_before_full_tuning_and_one_seed_of_every_arm_before_the_next(
    design: Callable[..., Design], carry: Carry
) -> None:
    tunings = FakeTunings(helps)
    carry(design(methods=(Method.FULL, Method.LORA), arms=("original",), n_seeds=2), tunings)
    arms = ("cleaned", "random", "original")
    expected = [f"{method} {arm} seed {seed}" for method in ("lora", "full") for seed in (1000, 1001) for arm in arms]
    assert tunings.tuned == ["the base model", *expected]


def test_swapped_arms_are_never_confirmed(design: Callable[..., Design], carry: Carry) -> None:
    def swapped(method: str, arm: str, seed: int, number: int) -> bool:
        return helps(method, {"cleaned": "random", "random": "cleaned"}.get(arm, arm), seed, number)

    (method,) = carry(design(), FakeTunings(swapped)).methods
    assert method.verification is not None
    assert method.verification.verdict is Verdict.HARMFUL


@pytest.mark.parametrize(("is_wrong", "word"), [(lambda *_: False, "right"), (lambda *_: True, "wrong")])
def test_where_there_is_nothing_to_find_one_seed_is_enough(
    design: Callable[..., Design], carry: Carry, is_wrong: Callable[..., bool], word: str
) -> None:
    tunings = FakeTunings(is_wrong)
    (method,) = carry(design(), tunings).methods
    assert method.verification is not None
    assert method.verification.verdict is Verdict.INCONCLUSIVE
    assert method.verification.reason.startswith(f"Stopped after 1 of 5 seeds: every held-out answer of both arms is {word}")
    assert len(tunings.tuned) == 1 + 2


def test_a_hopeless_design_is_stopped_for_futility_and_never_confirmed(design: Callable[..., Design], carry: Carry) -> None:
    tunings = FakeTunings(alike)
    (method,) = carry(design(), tunings).methods
    assert method.verification is not None
    assert method.verification.verdict is Verdict.INCONCLUSIVE
    assert "the chance that 5 seeds end in any verdict is small" in method.stopped
    assert 2 <= method.verification.n_runs < 5
    assert any("a difference of 5 points takes" in note for note in method.verification.notes)


def test_one_prompt_is_too_few_and_it_is_said_how_many_are_needed(design: Callable[..., Design], carry: Carry) -> None:
    def by_seed(method: str, arm: str, seed: int, number: int) -> bool:
        return (seed % 2 == 0) == (arm == "cleaned")

    (method,) = carry(design(records=PROMPTS[:1]), FakeTunings(by_seed)).methods
    assert method.verification is not None
    assert method.verification.verdict is Verdict.INCONCLUSIVE
    assert method.verification.n_runs == 5
    needed = "By variances that are assumed, a difference of 5 points takes about "
    assert any(note.startswith(needed) for note in method.verification.notes)


def test_success_stops_nothing(design: Callable[..., Design], carry: Carry) -> None:
    tunings = FakeTunings(helps)
    (method,) = carry(design(n_seeds=7), tunings).methods
    assert method.verification is not None
    assert method.verification.n_runs == 7
    assert len(tunings.tuned) == 1 + 2 * 7


def test_fewer_than_five_seeds_are_tuned_though_no_verdict_can_come(design: Callable[..., Design], carry: Carry) -> None:
    (method,) = carry(design(n_seeds=3), FakeTunings(alike)).methods
    assert method.verification is not None
    assert (method.verification.n_runs, method.verification.verdict) == (3, Verdict.INCONCLUSIVE)
    assert method.verification.reason.startswith("3 runs per arm are too few for a verdict")


@pytest.mark.parametrize(
    ("fields", "said", "reason"),
    [
        ({"training_loss": 9.0}, "", "lora cleaned seed 1000: the training loss did not fall"),
        ({}, "a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a", "repeat themselves"),
        ({}, " ", "are empty"),
    ],
)
def test_ill_health_after_the_first_seed_ends_a_method(
    design: Callable[..., Design], carry: Carry, fields: dict[str, Any], said: str, reason: str
) -> None:
    tunings = FakeTunings(helps, lambda method, arm, seed: fields if (method, arm) == ("lora", "cleaned") else {})
    if said:
        tunings.is_wrong, tunings.said = (lambda method, arm, seed, number: method == "lora"), said
    result = carry(design(methods=(Method.LORA, Method.FULL)), tunings)
    lora, full = result.methods
    assert lora.verification is not None
    assert full.verification is not None
    assert lora.verification.verdict is Verdict.UNHEALTHY
    assert lora.verification.reason.startswith("Stopped after 1 of 5 seeds: a run is broken.")
    assert reason in lora.verification.reason
    assert full.verification.verdict is not Verdict.UNHEALTHY, "the other method goes on"


def test_a_diverged_tuning_ends_its_method_and_no_other(design: Callable[..., Design], carry: Carry, run: Run) -> None:
    def diverged(method: str, arm: str, seed: int) -> dict[str, Any] | str:
        return "lora random seed 1000: the training loss is nan" if (method, arm) == ("lora", "random") else {}

    result = carry(design(methods=(Method.LORA, Method.FULL)), FakeTunings(helps, diverged))
    lora, full = result.methods
    assert lora.verification is None
    assert lora.problem == "lora random seed 1000: the training loss is nan"
    assert full.verification is not None
    content = json.loads((run.path / "verify" / "v" / "verification.json").read_bytes())
    Draft202012Validator(SCHEMA).validate(content)
    assert content["methods"][0]["problem"] == lora.problem
    with pytest.raises(InputError, match=r"no method could be tuned.*the training loss is nan.*lower learning rates"):
        carry(design(), FakeTunings(helps, diverged), "w")


def test_an_interrupted_campaign_goes_on_to_the_same_bytes(design: Callable[..., Design], carry: Carry, run: Run) -> None:
    carry(design(), FakeTunings(helps), "whole")
    tunings, dying = FakeTunings(helps), FakeTunings(helps)
    n_done = 0

    class KilledError(Exception):
        pass

    def dies(task: Any) -> str | None:
        nonlocal n_done
        n_done += 1
        if n_done == 6:
            raise KilledError
        return FakeTunings.tune_task(dying, task)

    dying.tune_task = dies  # type: ignore[method-assign]
    with pytest.raises(KilledError):
        carry(design(), dying)
    partial = run.path / "verify" / "v.partial"
    assert partial.exists()
    assert not (run.path / "verify" / "v").exists()
    damaged = partial / "answers" / "lora" / "random-1000.jsonl"
    damaged.write_bytes(damaged.read_bytes()[:-5])
    carry(design(), tunings)
    assert tunings.tuned[0] == "lora random seed 1000", "what is damaged is done again, and the base model is not asked twice"
    assert len(tunings.tuned) == 10 - 5 + 1
    for file in ("verification.json", "report.html", "prompts.jsonl", "answers/lora/cleaned-1004.jsonl"):
        assert (run.path / "verify" / "v" / file).read_bytes() == (run.path / "verify" / "whole" / file).read_bytes()
    assert not partial.exists()


def test_another_design_does_not_touch_an_unfinished_one(design: Callable[..., Design], carry: Carry, run: Run) -> None:
    def interrupted(method: str, arm: str, seed: int) -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry(design(), FakeTunings(helps, interrupted))
    with pytest.raises(InputError, match="an unfinished verification with other settings or data lies there"):
        carry(design(delta_points=3.0), FakeTunings(helps))
    carry(design(), FakeTunings(helps), n_workers=2)
    with pytest.raises(InputError, match="verify/v exists in the run"):
        carry(design(), FakeTunings(helps))


def test_an_error_before_anything_was_tuned_leaves_no_folder(design: Callable[..., Design], carry: Carry, run: Run) -> None:
    tunings = FakeTunings()

    def unanswerable(task: Any) -> None:
        raise InputError("the prompt is too long")

    tunings.answer_task = unanswerable  # type: ignore[method-assign]
    with pytest.raises(InputError, match="the prompt is too long"):
        carry(design(), tunings)
    assert not (run.path / "verify" / "v.partial").exists()


def test_models_are_kept_where_asked_for(design: Callable[..., Design], carry: Carry, run: Run) -> None:
    carry(design(n_seeds=1), FakeTunings(helps), keep_models=True)
    models = sorted(path.name for path in (run.path / "verify" / "v" / "models" / "lora").iterdir())
    assert models == ["cleaned-1000", "random-1000"]
    assert run.check() > 0


def test_methods_that_fit_unequally_well_are_not_compared(design: Callable[..., Design], carry: Carry) -> None:
    def unequal(method: str, arm: str, seed: int) -> dict[str, Any]:
        return {"training_fit": 0.95 if method == "full" else 0.8}

    both = design(methods=(Method.LORA, Method.FULL), n_seeds=1)
    (note,) = carry(both, FakeTunings(helps, unequal)).notes
    assert note.startswith("Training fit differs by over 10% (lora 80.0%, full 95.0%)")
    assert "nothing is claimed of one against the other" in note
    (note,) = carry(both, FakeTunings(helps), "w").notes
    assert note == "Training fit is alike within 10% (lora 80.0%, full 80.0%)."


def test_a_rate_is_chosen_where_the_recipe_has_none(
    design: Callable[..., Design], carry: Carry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "grid.yaml"
    recipe.write_text("learning_rate_grid: [0.001, 0.01]\nlora:\n  learning_rate: null\n")
    tried = tuple(TriedRate(rate, loss, 1.0, 0.5) for rate, loss in ((0.001, 2.0), (0.01, 1.5)))
    monkeypatch.setattr(campaign, "choose_learning_rate", lambda *args, **options: RateChoice(0.01, tried))
    (method,) = carry(design(recipe=str(recipe), n_seeds=1), FakeTunings(helps)).methods
    assert method.recipe is not None
    assert method.recipe.learning_rate == 0.01
    assert method.verification is not None
    said = "learning rate of 0.01 (of least held-out loss among 2, the end of the grid: a better one may lie beyond)"
    assert any(said in note for note in method.verification.notes)


def test_the_report_says_what_the_base_model_knows_and_what_was_dropped(design: Callable[..., Design], carry: Carry) -> None:
    records = [{"prompt": "What is bridge 77 built of?", "reference": "slate"}, *PROMPTS]
    (method,) = carry(design(records=records, n_seeds=2), FakeTunings(helps)).methods
    assert method.verification is not None
    notes = "\n".join(method.verification.notes)
    assert "The base model alone answers 40 of 40 held-out prompts right" in notes
    assert "Prompts left out because claims were traced on them: 1." in notes
    assert "The cleaning dropped 14% of the rows" in notes
    assert "Training fit, the share of trained tokens that the tuned models predict: cleaned 80.0%, random 80.0%." in notes


def test_progress_counts_tunings_that_were_found_finished(design: Callable[..., Design], carry: Carry) -> None:
    told: list[tuple[str, int, int]] = []
    carry(design(n_seeds=2), FakeTunings(helps), progress=lambda *what: told.append(what))
    assert told[0] == ("asking the base model", 0, 4)
    assert told[-1] == ("lora random seed 1001", 4, 4)
