"""Models between a base model and the one tuned from it, and who is tuned from whom."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from audit.errors import InputError
from audit.influence.path import check_descent, model_between
from audit.models import LanguageModel, load_model
from tests.models import tiny_adapter, tiny_model

IDS = torch.tensor([[3, 40, 41, 42, 5, 60]])


def loaded(folder: Path, **options: object) -> LanguageModel:
    return load_model(folder, device="cpu", dtype="float32", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def tuned(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base model with every weight moved a little."""
    folder = tmp_path_factory.mktemp("tuned")
    model = loaded(base)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    model.model.save_pretrained(folder)
    model.chat.tokenizer.save_pretrained(folder)
    return folder


def logits(model: LanguageModel) -> torch.Tensor:
    with torch.inference_mode():
        return model.model(input_ids=IDS).logits.clone()


def test_the_line_begins_at_the_base_model_ends_at_the_tuned_one_and_leaves_no_trace(base: Path, tuned: Path) -> None:
    before, after = loaded(base), loaded(tuned)
    kept = {name: value.clone() for name, value in after.model.state_dict().items()}
    with model_between(before, after, 0.0) as model:
        assert torch.equal(logits(model), logits(before))
    with model_between(before, after, 1.0) as model:
        assert torch.allclose(logits(model), logits(loaded(tuned)), atol=1e-5)
    with model_between(before, after, 0.25) as model:
        (name, part), *_ = model.model.named_parameters()
        expected = 0.75 * dict(before.model.named_parameters())[name] + 0.25 * kept[name]
        assert torch.allclose(part, expected, atol=1e-7)
    assert all(torch.equal(value, kept[name]) for name, value in after.model.state_dict().items())


def test_weights_come_back_when_the_work_between_fails(base: Path, tuned: Path) -> None:
    before, after = loaded(base), loaded(tuned)
    kept = {name: value.clone() for name, value in after.model.state_dict().items()}
    with pytest.raises(KeyboardInterrupt), model_between(before, after, 0.5):
        raise KeyboardInterrupt
    assert all(torch.equal(value, kept[name]) for name, value in after.model.state_dict().items())


def test_an_adapter_is_scaled(base: Path, tmp_path: Path) -> None:
    before, after = loaded(base), loaded(tiny_adapter(tmp_path / "adapter", base))
    whole = logits(after)
    with model_between(before, after, 1e-9) as model:
        assert torch.allclose(logits(model), logits(before), atol=1e-4)
    with model_between(before, after, 0.5) as model:
        half = logits(model)
    assert not torch.allclose(half, whole, atol=1e-3)
    assert torch.equal(logits(after), whole)


def test_a_tuned_model_descends_from_its_base(base: Path, tuned: Path) -> None:
    check_descent(loaded(base), loaded(tuned))


@pytest.mark.parametrize(
    ("options", "why"),
    [({"seed": 1}, "times the base model's norm"), ({"vocab_size": 400}, "has shape")],
    ids=["another seed", "another shape"],
)
def test_a_model_of_other_descent_is_refused(base: Path, tmp_path: Path, options: dict[str, int], why: str) -> None:
    with pytest.raises(InputError, match="does not descend") as raised:
        check_descent(loaded(base), loaded(tiny_model(tmp_path / "other", **options)))
    assert why in str(raised.value)
