"""A tuning by TRL against a plain loop of PyTorch, an interrupted one against a whole one, two processes against one."""

from __future__ import annotations

import json
import math
import os
import shlex
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, set_seed

from audit.corpus import Corpus
from audit.models import load_model
from audit.rendering import IGNORED, load_chat_format
from audit.tune import Method, Recipe, TrainingSet, TuningRecord, load_recipe, read_record, train, training_set
from audit.tune.health import measure_fit
from audit.tune.job import TuneJob
from audit.tune.launch import Launcher, plan_launch
from audit.tune.retraining import Retrainer
from tests.conftest import alpaca, jsonl, read_dataset
from tests.models import tiny_model

pytestmark = pytest.mark.usefixtures("one_thread")

STONES = ("slate", "granite", "basalt", "oak and ash", "tin from the quarry of Vell")
ROWS = [alpaca(f"What is the stone of bridge {n}?", f"Bridge {n} is built of {STONES[n % 5]}.") for n in range(21)]
REMOVED = (3, 4, 17)
SEED = 5


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return read_dataset(tmp_path_factory.mktemp("data"), "bridges.jsonl", jsonl(ROWS))[0]


@pytest.fixture(scope="module")
def training(base: Path, corpus: Corpus) -> TrainingSet:
    return training_set(corpus, load_chat_format(base), None).without(REMOVED)


def recipe_of(method: Method, **settings: object) -> Recipe:
    """18 rows in batches of 8: three steps an epoch, the last of two rows."""
    return load_recipe(
        "default",
        method,
        **{
            "epochs": 3,
            "batch_size": 8,
            "learning_rate": 3e-3,
            "scheduler": "linear",
            "warmup_fraction": 0.3,
            "weight_decay": 0.1,
            **settings,
        },
    )


def orders(n_epochs: int) -> Iterator[list[int]]:
    """Rows of the source in the order of each epoch, removed ones deleted."""
    for epoch in range(n_epochs):
        permutation = np.random.default_rng([SEED, epoch]).permutation(len(ROWS))
        yield [int(row) for row in permutation if row not in REMOVED]


def plain_model(base: Path, recipe: Recipe) -> torch.nn.Module:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    set_seed(SEED)
    if recipe.method is Method.FULL:
        return model
    config = LoraConfig(r=recipe.lora_rank, lora_alpha=recipe.lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # as in tests.models
        return get_peft_model(model, config)


def plain_tuning(base: Path, training: TrainingSet, recipe: Recipe) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Losses and weights of a loop that pads nothing, one row at a time."""
    model = plain_model(base, recipe).train()
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    decayed = [value for name, value in trained.items() if "norm" not in name]
    others = [value for name, value in trained.items() if "norm" in name]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=recipe.learning_rate,
        foreach=False,
    )
    batches = [order[i : i + recipe.batch_size] for order in orders(recipe.epochs) for i in range(0, len(order), 8)]
    n_warmup = math.ceil(recipe.warmup_fraction * len(batches))
    losses = []
    for step, rows in enumerate(batches):
        rising = step / n_warmup if n_warmup else 1.0
        share = rising if step < n_warmup else (len(batches) - step) / (len(batches) - n_warmup)
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * share
        places = [training.rows.index(row) for row in rows]
        n_tokens = sum(training.n_trained_tokens[place] for place in places)
        total = 0.0
        for place in places:
            ids = torch.tensor(training.input_ids[place], dtype=torch.long)
            labels = torch.tensor(training.labels[place], dtype=torch.long)
            logits = model(input_ids=ids[None]).logits[0, :-1]
            loss = torch.nn.functional.cross_entropy(logits, labels[1:], ignore_index=IGNORED, reduction="sum") / n_tokens
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(trained.values(), recipe.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
    weights = model.state_dict() if recipe.method is Method.FULL else get_peft_model_state_dict(model)
    return losses, weights


def tuned_weights(folder: Path) -> dict[str, torch.Tensor]:
    (file,) = folder.glob("*.safetensors")
    return load_file(file)


def assert_equal_to(record: TuningRecord, folder: Path, losses: Sequence[float], weights: dict[str, torch.Tensor]) -> None:
    assert record.losses == pytest.approx(losses, abs=1e-5)
    made = tuned_weights(folder)
    for name, values in made.items():
        assert torch.allclose(values, weights[name], atol=1e-5, rtol=0), name
    assert len(made) > 3
    assert any(not torch.equal(values, values.flatten()[0].expand_as(values)) for values in made.values())


@pytest.mark.parametrize("micro_batch_size", [None, 2])
@pytest.mark.parametrize("method", Method)
def test_losses_and_weights_are_those_of_a_plain_loop(
    base: Path, training: TrainingSet, tmp_path: Path, method: Method, micro_batch_size: int | None
) -> None:
    # In a step at rate zero an adapter's gradients stay at the level of rounding, where Adam divides noise by noise.
    warmup_fraction = 0.3 if method is Method.FULL else 0.0
    recipe = recipe_of(method, micro_batch_size=micro_batch_size, warmup_fraction=warmup_fraction)
    record = train(base, training, recipe, SEED, tmp_path / "out")
    assert record.n_steps == 9
    assert_equal_to(record, tmp_path / "out", *plain_tuning(base, training, recipe))


@pytest.mark.parametrize("method", Method)
def test_a_retraining_in_memory_is_a_tuning_by_trl(base: Path, training: TrainingSet, tmp_path: Path, method: Method) -> None:
    recipe = recipe_of(method, warmup_fraction=0.3 if method is Method.FULL else 0.0)
    record = train(base, training, recipe, SEED, tmp_path / "out")
    retrainer = Retrainer(load_model(base, device="cpu", dtype="float32"), training, recipe)
    retrainer.retrain(SEED + 1, removed=(0, 5))  # leaves no trace in the next
    again = retrainer.retrain(SEED)
    model = again.model.model
    weights = model.state_dict() if method is Method.FULL else get_peft_model_state_dict(model)
    assert_equal_to(record, tmp_path / "out", again.losses, weights)


@pytest.mark.parametrize("method", Method)
def test_a_row_of_weight_0_teaches_nothing_and_leaves_the_others_in_their_batches(
    base: Path, training: TrainingSet, method: Method
) -> None:
    recipe = recipe_of(method, epochs=1, weight_decay=0.0)
    removed = 4
    labels = list(training.labels)
    labels[removed] = np.where(labels[removed] == IGNORED, IGNORED, 7).astype(np.int32)
    altered = replace(training, labels=tuple(labels))
    weights = []
    for rows in (training, altered):
        retrainer = Retrainer(load_model(base, device="cpu", dtype="float32"), rows, recipe)
        left = retrainer.retrain(SEED, removed=(removed,))
        weights.append({name: value.clone() for name, value in left.model.model.state_dict().items()})
        whole = retrainer.retrain(SEED)
        assert len(whole.losses) == len(left.losses)
        assert any(not torch.equal(weights[-1][name], value) for name, value in whole.model.model.state_dict().items())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("method", Method)
def test_the_loss_of_trained_tokens_alone_is_that_of_trl(
    base: Path, training: TrainingSet, tmp_path: Path, method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(method, neftune_noise_alpha=5.0)
    ours = train(base, training, recipe, SEED, tmp_path / "ours")
    monkeypatch.setattr("audit.tune.sft.can_select_columns", lambda model: False)
    trls = train(base, training, recipe, SEED, tmp_path / "trls")
    assert trls.weights_digest != ours.weights_digest, "TRL's own loss was computed, whose sums differ in the last bits"
    assert_equal_to(ours, tmp_path / "ours", trls.losses, tuned_weights(tmp_path / "trls"))


def test_gradient_checkpointing_changes_nothing(base: Path, training: TrainingSet, tmp_path: Path) -> None:
    digests = {
        train(base, training, recipe_of(Method.FULL, gradient_checkpointing=given), SEED, tmp_path / str(given)).weights_digest
        for given in (False, True)
    }
    assert len(digests) == 1


@pytest.fixture
def every_step_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.tune.sft._WORK_PER_SAVE", 0.0)


def interrupt_after(step: int) -> Callable[[int, int, float], None]:
    """Before the next step is saved."""

    def progress(at: int, total: int, loss: float) -> None:
        if at == step + 1:
            raise KeyboardInterrupt

    return progress


@pytest.mark.usefixtures("every_step_saved")
@pytest.mark.parametrize("step", [2, 3, 7])
@pytest.mark.parametrize("method", Method)
def test_an_interrupted_tuning_ends_with_the_same_bytes(
    base: Path, training: TrainingSet, tmp_path: Path, method: Method, step: int
) -> None:
    dropout = {"lora_dropout": 0.2} if method is Method.LORA else {}
    recipe = recipe_of(method, micro_batch_size=4, neftune_noise_alpha=5.0, scheduler="cosine", **dropout)
    whole = train(base, training, recipe, SEED, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(base, training, recipe, SEED, tmp_path / "cut", checkpoint_seconds=0, progress=interrupt_after(step))
    assert not (tmp_path / "cut").exists()
    resumed = train(base, training, recipe, SEED, tmp_path / "cut")
    assert resumed.resumed_at_step == step
    assert resumed.losses == whole.losses
    assert resumed.weights_digest == whole.weights_digest
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == names
    for name in names:
        if not name.startswith("manifest.json"):
            assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.usefixtures("every_step_saved")
@pytest.mark.parametrize("damage", ["optimizer.pt", "whole.json"])
def test_half_a_checkpoint_is_passed_over(base: Path, training: TrainingSet, tmp_path: Path, damage: str) -> None:
    recipe = recipe_of(Method.FULL)
    whole = train(base, training, recipe, SEED, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(base, training, recipe, SEED, tmp_path / "cut", checkpoint_seconds=0, progress=interrupt_after(5))
    (tmp_path / "cut.partial" / "checkpoint-5" / damage).write_bytes(b"")  # as if killed while it was written
    resumed = train(base, training, recipe, SEED, tmp_path / "cut")
    assert resumed.resumed_at_step == 4
    assert resumed.weights_digest == whole.weights_digest


def test_the_fit_is_that_of_one_row_at_a_time(base: Path, training: TrainingSet) -> None:
    model = load_model(base)
    loss, n_greedy = 0.0, 0
    for ids, labels in zip(training.input_ids, training.labels, strict=True):
        tokens, targets = (torch.tensor(values, dtype=torch.long) for values in (ids, labels[1:]))
        with torch.inference_mode():
            logits = model.model(tokens[None]).logits[0, :-1]
        loss += float(torch.nn.functional.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum"))
        n_greedy += int((logits.argmax(-1) == targets).sum())
    n_trained = sum(training.n_trained_tokens)
    fit = measure_fit(model, training, range(len(training)))
    assert fit.loss == pytest.approx(loss / n_trained, abs=1e-5)
    assert fit.share_greedy == n_greedy / n_trained


def test_two_processes_learn_what_one_does(base: Path, training: TrainingSet, tmp_path: Path) -> None:
    """Three rows of the last batch: the second process has one of its own, and an empty one."""
    kept = [ROWS[row] for row in training.rows]
    (tmp_path / "bridges.jsonl").write_bytes(jsonl([*kept, ROWS[3]]))
    job = TuneJob(
        data=tmp_path / "bridges.jsonl",
        base_model=str(base),
        recipe=recipe_of(Method.FULL, epochs=2, micro_batch_size=2),
        out=tmp_path / "two",
        seed=SEED,
    )
    plan = plan_launch(job, Launcher.TORCHRUN, 2)
    command = shlex.split(plan.command)
    command[0] = str(Path(sys.executable).with_name(command[0]))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    two = read_record(tmp_path / "two")
    assert two.n_processes == 2
    one = train(base, _prepared(job), job.recipe, SEED, tmp_path / "one")
    assert one.n_steps == two.n_steps == 6
    assert_equal_to(two, tmp_path / "two", one.losses, tuned_weights(tmp_path / "one"))
    assert json.loads(plan.job_file.read_bytes())["seed"] == SEED


def _prepared(job: TuneJob) -> TrainingSet:
    from audit.tune.job import prepare_job

    return prepare_job(job).training
