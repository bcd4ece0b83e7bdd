"""How a model is tuned: everything that decides the weights besides the base model, the rows and the seed.

A recipe file is YAML. Its keys are those of `Recipe` and hold for both methods; a section `lora` or `full` holds for one
and wins. What a file leaves out is as in the packaged recipe `default`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from audit.config import load_config, unknown_name
from audit.errors import InputError

__all__ = ["PACKAGED_RECIPES", "Method", "Precision", "Recipe", "Scheduler", "load_recipe"]

_FOLDER = Path(__file__).with_name("recipes")

PACKAGED_RECIPES = ("default", "paper", "pocket")
"""The recipes that come with tunescope, by name."""


class Method(StrEnum):
    """Which weights are trained."""

    LORA = "lora"
    """Low-rank adapters beside all linear layers but the output's (Hu et al. 2021)."""
    FULL = "full"
    """Every parameter."""


class Scheduler(StrEnum):
    """How the learning rate goes on after the warm-up."""

    CONSTANT = "constant"
    LINEAR = "linear"
    COSINE = "cosine"


class Precision(StrEnum):
    """The arithmetic of the forward and backward passes; trained weights and the optimizer are float32 in both."""

    AUTO = "auto"
    """`bfloat16` on a GPU that computes it, else `float32`."""
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


_Rate = Annotated[float, Field(gt=0, lt=1)]


class Recipe(BaseModel):
    """One way to tune.

    Attributes:
        method: Which weights are trained.
        learning_rate: The highest rate of the schedule; `None` until one is chosen from the grid.
        learning_rate_grid: What a rate is chosen from.
        epochs: Passes over the rows.
        max_steps: So many optimizer steps in place of `epochs`.
        batch_size: Rows per optimizer step; the last batch of an epoch may have fewer.
        micro_batch_size: Rows per forward pass, a divisor of `batch_size`; `None` for the whole batch.
        max_length: Tokens after which a row is cut; `None` for as many as the model has positions.
        scheduler: How the rate goes on after the warm-up.
        warmup_fraction: Share of the steps in which the rate rises from zero.
        weight_decay: AdamW's; biases and norms are left out.
        max_grad_norm: Gradients are scaled down to this norm; 0 for never.
        lora_rank, lora_alpha, lora_dropout: Of the adapters; `None` where all weights are trained.
        lora_targets: `all-linear`, or the names of the layers that get an adapter.
        neftune_noise_alpha: Strength of the noise on the embeddings (Jain et al. 2023); `None` for none.
        precision: The arithmetic.
        gradient_checkpointing: Compute activations twice to hold fewer of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Method
    learning_rate: _Rate | None
    learning_rate_grid: tuple[_Rate, ...] = Field(min_length=1)
    epochs: int = Field(ge=1, le=100_000)
    max_steps: int | None = Field(ge=1, le=1_000_000_000)
    batch_size: int = Field(ge=1)
    micro_batch_size: int | None = Field(ge=1)
    max_length: int | None = Field(ge=2)
    scheduler: Scheduler
    warmup_fraction: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0, allow_inf_nan=False)
    max_grad_norm: float = Field(ge=0, allow_inf_nan=False)
    lora_rank: int | None = Field(default=None, ge=1, le=4096)
    lora_alpha: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    lora_dropout: float | None = Field(default=None, ge=0, lt=1)
    lora_targets: Literal["all-linear"] | tuple[str, ...] | None = None
    neftune_noise_alpha: float | None = Field(gt=0, le=1000, allow_inf_nan=False)
    precision: Precision
    gradient_checkpointing: bool

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.micro_batch_size is not None and self.batch_size % self.micro_batch_size:
            raise ValueError(f"micro_batch_size {self.micro_batch_size} does not divide batch_size {self.batch_size}")
        given = [name for name in _LORA_FIELDS if getattr(self, name) is not None]
        if self.method is Method.FULL and given:
            raise ValueError(f"{given[0]} is for method lora only; write it under `lora:`")
        if self.method is Method.LORA and len(given) < len(_LORA_FIELDS):
            missing = next(name for name in _LORA_FIELDS if name not in given)
            raise ValueError(f"{missing} is needed for method lora")
        if self.lora_targets is not None and not self.lora_targets:
            raise ValueError("lora_targets names no layer")
        return self


_LORA_FIELDS = ("lora_rank", "lora_alpha", "lora_dropout", "lora_targets")
_CHOSEN_ELSEWHERE = ("method",)
_KEYS = [name for name in Recipe.model_fields if name not in _CHOSEN_ELSEWHERE]


def load_recipe(name_or_file: str | Path, method: Method, **overrides: Any) -> Recipe:
    """A packaged recipe, or one of a YAML file.

    Args:
        name_or_file: `default`, `paper`, `pocket`, or a file; what has a suffix or a folder is a file.
        method: Whose section is read.
        **overrides: Fields that win over the file; `None` leaves the file's.

    Raises:
        InputError: There is no such recipe, or the file is no YAML, has an unknown key (the nearest is named) or a value
            of the wrong kind.
    """
    settings = _sections(_FOLDER / "default.yaml", method)
    where = ""
    if str(name_or_file) != "default":
        path = _recipe_file(name_or_file)
        settings |= _sections(path, method)
        where = str(path) if path.parent != _FOLDER else f"recipe {name_or_file}"
    given = {name: value for name, value in overrides.items() if value is not None}
    for name in given:
        if name not in _KEYS:
            raise unknown_name("setting", name, _KEYS)
    try:
        return Recipe.model_validate({**settings, **given, "method": method})
    except ValidationError as error:
        problem = error.errors()[0]
        key = str(problem["loc"][0]) if problem["loc"] else ""
        what = problem["msg"].removeprefix("Value error, ")
        raise InputError(
            f"{key}: {what.lower()}" if key else what,
            where="" if key in given else where,
            why=f"it is {problem['input']!r}" if key else "",
        ) from error


def _recipe_file(name_or_file: str | Path) -> Path:
    path = Path(name_or_file)
    if str(name_or_file) in PACKAGED_RECIPES:
        return _FOLDER / f"{name_or_file}.yaml"
    if not path.suffix and len(path.parts) == 1 and not path.is_file():
        raise unknown_name("recipe", str(name_or_file), list(PACKAGED_RECIPES))
    return path


def _sections(path: Path, method: Method) -> dict[str, Any]:
    """The keys of a recipe file that hold for a method; every key is checked, also those of the other method."""
    try:
        content = load_config(path)
    except InputError as error:  # that reader's remedies are for the settings of an audit
        remedy = "check the path" if not path.exists() else "write lines such as `epochs: 3`"
        raise InputError(error.what, where=error.where, why=error.why, remedy=remedy) from error
    settings: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    for key, value in content.items():
        if key in tuple(Method):
            sections[key] = _section(path, key, value)
        elif key in _KEYS:
            settings[key] = value
        else:
            raise unknown_name("key", key, [*_KEYS, *Method], str(path))
    return settings | sections.get(method, {})


def _section(path: Path, name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{name}: is no section", where=str(path), why=f"it is {value!r}", remedy="indent its keys below it")
    for key in value:
        if key not in _KEYS:
            raise unknown_name("key", f"{name}.{key}", [f"{name}.{known}" for known in _KEYS], str(path))
    return dict(value)
