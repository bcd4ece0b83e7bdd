"""Adam's second moments at the end of a tuning: what the optimizer divides a weight's gradient by, squared.

Two files hold them. `optimizer.safetensors` is ours: the raw running means `exp_avg_sq` of the trained parameters by
name, float32, and the text fields `format`, `step`, `beta2` and `eps`; a third of a whole optimizer's bytes.
`optimizer.pt` is that of the checkpoints of transformers' Trainer, which knows parameters by number only: those that
decay first, then the others, both in the order of `model.named_parameters()`. It is a pickle, and is opened for tensors
and plain values alone. Sharded states (FSDP, DeepSpeed) and 8-bit optimizers are not read.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from audit.errors import InputError
from indexes.store import write_bytes

__all__ = ["OPTIMIZER_FILE", "SecondMoments", "read_second_moments", "write_second_moments"]

OPTIMIZER_FILE = "optimizer.safetensors"
_FORMAT = "tunescope second moments 1"
_TRAINER_FILE = "optimizer.pt"
_SAVE_AGAIN = "name the folder of the tuning that this model came from"


@dataclass(frozen=True, eq=False)
class SecondMoments:
    """Adam's second moments.

    Attributes:
        values: Name of a parameter, as in `model.named_parameters()` -> its second moments, corrected for their start at
            zero (Kingma and Ba 2015, algorithm 1), float32 in the parameter's shape, on the processor.
        eps: What the optimizer adds to their root.
    """

    values: Mapping[str, torch.Tensor]
    eps: float


def read_second_moments(folder: Path, model: Any) -> SecondMoments | None:
    """The second moments that a tuning left beside its weights.

    Looked for in this order: `optimizer.safetensors`, `optimizer.pt`, and that of the last `checkpoint-*`.

    Args:
        folder: Of the tuning, or of a checkpoint.
        model: The tuned model as transformers or PEFT load it.

    Returns:
        `None` where there is no such file.

    Raises:
        InputError: The file is damaged, of another optimizer, or does not fit the model.
    """
    checkpoints = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdecimal()]
    last = max(checkpoints, key=lambda path: int(path.name.removeprefix("checkpoint-")), default=folder)
    for path in (folder / OPTIMIZER_FILE, folder / _TRAINER_FILE, last / OPTIMIZER_FILE, last / _TRAINER_FILE):
        if path.is_file():
            return _read_ours(path, model) if path.name == OPTIMIZER_FILE else _read_trainers(path, model)
    return None


def write_second_moments(path: Path, model: Any, optimizer: Any) -> None:
    """Write an Adam optimizer's second moments to a file.

    Args:
        path: The file; `OPTIMIZER_FILE` in the folder of the tuning is where it is looked for.
        model: The model whose parameters it steps.
        optimizer: Of torch, with `param_groups` and `state`, or accelerate's wrapping of one.

    Raises:
        InputError: It keeps no second moments.
        StorageError: The disk is full, or the folder cannot be written.
    """
    from safetensors.torch import save

    values, steps = {}, set()
    for name, parameter in model.named_parameters():
        state = optimizer.state.get(parameter, {})
        if "exp_avg_sq" in state:
            values[name] = state["exp_avg_sq"].detach().to("cpu", torch.float32).contiguous()
            steps.add(int(state["step"]))
    if not values:
        raise InputError("the optimizer keeps no second moments", where=type(optimizer).__name__, remedy="tune with AdamW")
    group = optimizer.param_groups[0]
    fields = {"format": _FORMAT, "step": max(steps), "beta2": group["betas"][1], "eps": group["eps"]}
    write_bytes(path, save(values, {name: str(value) for name, value in fields.items()}))


def _read_ours(path: Path, model: Any) -> SecondMoments:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            fields = file.metadata() or {}
            raw = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
        if fields.get("format") != _FORMAT:
            raise ValueError(f"its format is {fields.get('format')!r}, not {_FORMAT!r}")
        step, beta2, eps = int(fields["step"]), float(fields["beta2"]), float(fields["eps"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise _unreadable(path, error) from error
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    for name, values in raw.items():
        if shapes.get(name) != values.shape:
            has = tuple(shapes[name]) if name in shapes else "no such parameter"
            raise _misfit(path, f"{name} has shape {tuple(values.shape)} there and {has} in the model")
    return SecondMoments({name: _corrected(values, step, beta2) for name, values in raw.items()}, eps)


def _read_trainers(path: Path, model: Any) -> SecondMoments:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch thinks of a damaged file, the error says
            content = torch.load(path, map_location="cpu", weights_only=True)
        numbers = [list(group["params"]) for group in content["param_groups"]]
        beta2, eps = float(content["param_groups"][0]["betas"][1]), float(content["param_groups"][0]["eps"])
        found = {number: (int(kept["step"]), kept["exp_avg_sq"]) for number, kept in content["state"].items()}
    except Exception as error:  # damaged files end in whatever the parser of the day raises
        raise _unreadable(path, error) from error
    names = _trainer_order(model)
    if [len(group) for group in numbers] != [len(group) for group in names]:
        counts = " + ".join(str(len(group)) for group in names)
        raise _misfit(path, f"it steps {' + '.join(str(len(group)) for group in numbers)} parameters, the model has {counts}")
    values = {}
    for name, number in zip(chain(*names), chain(*numbers), strict=True):
        if number not in found:
            continue  # a parameter that no loss reached
        step, raw = found[number]
        shape = model.get_parameter(name).shape
        if raw.shape != shape:
            raise _misfit(path, f"{name} has shape {tuple(raw.shape)} there and {tuple(shape)} in the model")
        values[name] = _corrected(raw, step, beta2)
    return SecondMoments(values, eps)


def _trainer_order(model: Any) -> list[list[str]]:
    """Names of the trained parameters as `transformers.Trainer.create_optimizer` groups them: decaying, not decaying.

    An adapter is loaded frozen, so what was trained is told by its names.
    """
    from transformers import Trainer

    decaying = set(Trainer.get_decay_parameter_names(None, model))
    names = [name for name, _ in model.named_parameters()]
    if hasattr(model, "peft_config"):
        names = [name for name in names if ".lora_" in name or ".modules_to_save." in name]
    return [[name for name in names if name in decaying], [name for name in names if name not in decaying]]


def _corrected(raw: torch.Tensor, step: int, beta2: float) -> torch.Tensor:
    return raw.float() / (1 - beta2**step)


def _unreadable(path: Path, error: Exception) -> InputError:
    why = next(iter(str(error).splitlines()), "") or type(error).__name__
    return InputError("cannot be read as the state of an Adam optimizer", where=str(path), why=why[:200], remedy=_SAVE_AGAIN)


def _misfit(path: Path, why: str) -> InputError:
    return InputError("the optimizer's state is not of this model", where=str(path), why=why, remedy=_SAVE_AGAIN)
