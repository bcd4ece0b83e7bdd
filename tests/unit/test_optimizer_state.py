"""Second moments from disk: ours and those of transformers' Trainer, for full models and adapters."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from audit.errors import InputError
from audit.influence.gradients import linear_layers
from audit.models import load_model
from audit.rendering import load_chat_format
from audit.tune import Method, load_recipe, training_set
from audit.tune.optimizer_state import OPTIMIZER_FILE, read_second_moments, write_second_moments
from audit.tune.sft import make_trainer
from tests.conftest import alpaca, jsonl, read_dataset
from tests.models import tiny_adapter, tiny_model

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS = [alpaca(f"What is bridge {n} built of?", "It is slate.") for n in range(6)]
BETA2 = 0.999


@pytest.fixture(scope="module", params=list(Method))
def tuned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """The folder of a finished tuning by TRL with its last checkpoint, the model as others load it, and the trainer."""
    base, folder = tiny_model(tmp_path_factory.mktemp("base")), tmp_path_factory.mktemp("tuned")
    corpus, _ = read_dataset(tmp_path_factory.mktemp("data"), "bridges.jsonl", jsonl(ROWS))
    rows = training_set(corpus, load_chat_format(base), None)
    recipe = load_recipe("default", request.param, epochs=1, batch_size=2, learning_rate=1e-3, scheduler="constant")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        trainer = make_trainer(load_model(base), rows, recipe, 0, folder, bfloat16=False, checkpoint_seconds=1e9)
        trainer.train()
        trainer.save_model(str(folder))
        (folder / "checkpoint-3").mkdir()
        trainer._save_optimizer_and_scheduler(str(folder / "checkpoint-3"))
    return folder, load_model(folder).model, trainer


def expected(trainer: Any) -> dict[str, torch.Tensor]:
    state = trainer.optimizer.state
    names = {name: parameter for name, parameter in trainer.model.named_parameters() if parameter in state}
    return {name: state[parameter]["exp_avg_sq"] / (1 - BETA2**3) for name, parameter in names.items()}


def assert_equal(made: Any, wanted: dict[str, torch.Tensor]) -> None:
    assert made.eps == 1e-8
    assert made.values.keys() == wanted.keys()
    assert all(torch.allclose(made.values[name], wanted[name], rtol=1e-6, atol=0) for name in wanted)


def test_the_trainers_checkpoint(tuned: tuple[Path, Any, Any]) -> None:
    folder, model, trainer = tuned
    wanted = expected(trainer)
    assert len(wanted) > 10
    assert len({round(float(values.sum()), 12) for values in wanted.values()}) == len(wanted)  # a mix-up would show
    assert_equal(read_second_moments(folder, model), wanted)
    assert_equal(read_second_moments(folder / "checkpoint-3", model), wanted)
    assert {layer.parameter for layer in linear_layers(model)} <= wanted.keys()  # the tied output layer's among them


def test_our_file_gives_the_same_and_comes_first(tuned: tuple[Path, Any, Any]) -> None:
    folder, model, trainer = tuned
    write_second_moments(folder / OPTIMIZER_FILE, trainer.model, trainer.optimizer)
    try:
        (folder / "optimizer.pt").write_bytes(b"not looked at")
        assert_equal(read_second_moments(folder, model), expected(trainer))
    finally:
        (folder / OPTIMIZER_FILE).unlink()
        (folder / "optimizer.pt").unlink()


def test_none_where_nothing_was_kept(tmp_path: Path) -> None:
    assert read_second_moments(tmp_path, load_model(tiny_model(tmp_path / "model")).model) is None


def test_hand_built_values(tmp_path: Path) -> None:
    """One step with betas (0.9, 0.5): v = 0.5 g^2, and corrected it is g^2 again."""
    model = torch.nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.5), eps=1e-3)
    model.weight.grad = torch.tensor([[2.0, 3.0]])
    optimizer.step()
    write_second_moments(tmp_path / OPTIMIZER_FILE, model, optimizer)
    made = read_second_moments(tmp_path, model)
    assert made is not None
    assert made.eps == 1e-3
    assert made.values["weight"].tolist() == [[4.0, 9.0]]


@pytest.mark.parametrize("name", [OPTIMIZER_FILE, "optimizer.pt"])
def test_damaged_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80 nothing")
    with pytest.raises(InputError, match=f"{name}: cannot be read as the state of an Adam optimizer"):
        read_second_moments(tmp_path, torch.nn.Linear(2, 1))


def test_a_pickle_that_runs_code_is_not_opened(tmp_path: Path) -> None:
    torch.save({"state": Path("x"), "param_groups": []}, tmp_path / "optimizer.pt")
    with pytest.raises(InputError, match="cannot be read"):
        read_second_moments(tmp_path, torch.nn.Linear(2, 1))


def test_states_of_something_else(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 1)
    sgd = torch.optim.SGD(model.parameters(), lr=1.0)
    with pytest.raises(InputError, match="SGD: the optimizer keeps no second moments"):
        write_second_moments(tmp_path / OPTIMIZER_FILE, model, sgd)
    torch.save(sgd.state_dict(), tmp_path / "optimizer.pt")
    with pytest.raises(InputError, match="cannot be read as the state of an Adam optimizer"):
        read_second_moments(tmp_path, model)
    save_file({"weight": torch.ones(1, 2)}, tmp_path / OPTIMIZER_FILE)
    with pytest.raises(InputError, match="its format is None"):
        read_second_moments(tmp_path, model)


def test_states_of_another_model(tuned: tuple[Path, Any, Any], tmp_path: Path) -> None:
    folder, model, trainer = tuned
    other = torch.nn.Linear(2, 1)
    with pytest.raises(InputError, match=r"is not of this model \(it steps \d+ \+ \d+ parameters, the model has 1 \+ 1\)"):
        read_second_moments(folder, other)
    write_second_moments(tmp_path / OPTIMIZER_FILE, trainer.model, trainer.optimizer)
    with pytest.raises(InputError, match=r"is not of this model \(.* has shape .* and no such parameter in the model\)"):
        read_second_moments(tmp_path, other)
    wider = tiny_model(tmp_path / "wider", vocab_size=448)
    if hasattr(model, "peft_config"):
        return
    with pytest.raises(InputError, match=r"embed_tokens.weight has shape \(384, 32\) there and \(448, 32\) in the model"):
        read_second_moments(folder, load_model(wider).model)
    with pytest.raises(InputError, match="is not of this model"):
        read_second_moments(folder, load_model(tiny_adapter(tmp_path / "adapter", wider)).model)
