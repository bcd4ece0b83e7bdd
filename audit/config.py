"""The one configuration of an audit: read from YAML and options, written into the run, and enough to repeat it."""

from __future__ import annotations

import difflib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from audit.errors import InputError
from audit.sources import Format

__all__ = [
    "AuditConfig",
    "LossOn",
    "Packing",
    "RowsAs",
    "SuppressRule",
    "Truncation",
    "load_config",
    "make_config",
    "member_of",
    "unknown_name",
]

_Member = TypeVar("_Member", bound=StrEnum)

_SETTING_OF_OPTION = {"option": "checks", "options": "checks", "from": "previous"}
_ONLY_OPTIONS = {"out": "--out", "fail_on": "--fail-on", "format": "--format", "quiet": "--quiet"}
_KINDS = {"tuple_type": "a list is expected, such as [DUP, TXT003]", "dict_type": "names and values are expected, NAME: VALUE"}


def _codes(value: object) -> object:
    """One code, or several with commas between, where a list is meant."""
    return tuple(part for part in map(str.strip, value.split(",")) if part) if isinstance(value, str) else value


def _names(value: object) -> object:
    """One name where a list is meant; the names of files and rows may hold commas."""
    return (value,) if isinstance(value, str) else value


Codes = Annotated[tuple[str, ...], BeforeValidator(_codes)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]


class LossOn(StrEnum):
    """Which tokens of a row a trainer takes the loss on."""

    COMPLETION = "completion"
    """What follows the prompt."""
    ASSISTANT = "assistant"
    """The assistant's turns, as the chat template marks them."""
    ALL = "all"


class Packing(StrEnum):
    """How a trainer lays rows into sequences; the names are TRL's."""

    NONE = "none"
    BFD = "bfd"
    BFD_SPLIT = "bfd_split"
    WRAPPED = "wrapped"


class Truncation(StrEnum):
    """Which tokens of a row that is too long are kept; the names are TRL's."""

    KEEP_START = "keep_start"
    KEEP_END = "keep_end"


class RowsAs(StrEnum):
    """In which form a trainer is given rows of a plain prompt and completion."""

    FILE = "file"
    """As the strings that stand in the file; no chat template is used."""
    CONVERSATION = "conversation"


class SuppressRule(BaseModel):
    """Findings that somebody has looked at and accepts; a finding must meet everything that the rule names.

    Attributes:
        codes: Codes or prefixes; empty means all.
        rows: Rows, as `FILE#INDEX` or as row keys.
        fingerprints: Single findings.
        where: Fields of the row besides its messages, and the value that each must have.
        reason: Why, for the reports.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    codes: Codes = ()
    rows: Names = ()
    fingerprints: Names = ()
    where: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    reason: str = ""

    @model_validator(mode="after")
    def _names_something(self) -> SuppressRule:
        if not (self.rows or self.fingerprints or self.where):
            raise ValueError("names no rows, fingerprints or where; to leave a check out altogether use ignore")
        return self


class AuditConfig(BaseModel):
    """What to audit, and how.

    Attributes:
        data: The dataset: a file, a folder, a pattern, `-`, a hub id or a URL, or several of them.
        input_format: The rows' format; `None` to recognise it.
        columns: LLaMA-Factory's column names -> the file's.
        limit: Read only so many rows.
        select: Codes or prefixes of the checks to run; empty means all.
        ignore: Codes or prefixes of checks not to run; wins over `select`.
        checks: Options of checks by code, such as `{DUP002: {min_jaccard: 0.9}}`.
        encoder: Folder or name of the sentence-transformers model that the static vectors are distilled from.
        group_column: A column whose values a matched control must keep in proportion.
        suppress: Findings that are accepted: kept aside, counted, and no reason to fail.
        baseline: A run folder or its report.json: findings known there are accepted as well.
        previous: An earlier run of the same data: the reports say what changed since, and its decisions go on.
        redact: Keep hashes in place of the dataset's text.
        evaluation: Files of prompts that the tuned model is to be measured with, and that the data must not hold.
        style_reference: Datasets to hold the answers' style against: those of people, or the base model's own answers.
        base_model: Folder or hub name of the model that is to be tuned; responses are passed through it.
        base_model_stands_for: The model that is to be tuned, where the base model is a smaller one in its place.
        tokenizer: Folder or hub name of the tokenizer that the rows are told to the trainer with; that of the base model
            where none is named.
        chat_template: A named chat template, or a .jinja file; `None` for the tokenizer's own.
        max_length: Tokens that a trainer keeps of a row, or of a packed sequence; `None` for all.
        loss_on: `completion`, `assistant` or `all`; `None` for what TRL does with rows of their form.
        packing: `none`, `bfd`, `bfd_split` or `wrapped`.
        truncation: `keep_start` or `keep_end`.
        rows_as: `file` or `conversation`: how rows of a plain prompt and completion are given to the trainer.
        slick: Whether the base model is asked the rows' questions, for SliCK's classes.
        slick_prompts: Sets of few-shot exemplars for each question.
        slick_samples: Sampled answers for each set, besides the greedy one.
        device: Where it runs, as torch names it, or `auto`.
        dtype: Its number format, `float32`, `bfloat16`, `float16` or `auto`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str | tuple[str, ...]
    input_format: Format | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    limit: int | None = Field(default=None, ge=1)
    select: Codes = ()
    ignore: Codes = ()
    checks: dict[str, dict[str, Any]] = Field(default_factory=dict)
    encoder: str = "all-MiniLM-L6-v2"
    group_column: str | None = None
    suppress: tuple[SuppressRule, ...] = ()
    baseline: str | None = None
    previous: str | None = None
    redact: bool = False
    evaluation: Names = ()
    style_reference: Names = ()
    base_model: str | None = None
    base_model_stands_for: str | None = None
    tokenizer: str | None = None
    chat_template: str | None = None
    max_length: int | None = Field(default=1024, ge=2)
    loss_on: LossOn | None = None
    packing: Packing = Packing.NONE
    truncation: Truncation = Truncation.KEEP_START
    rows_as: RowsAs = RowsAs.FILE
    slick: bool = False
    slick_prompts: int = Field(default=10, ge=1, le=100)
    slick_samples: int = Field(default=16, ge=1, le=1000)
    device: str = "auto"
    dtype: str = "auto"

    def to_yaml(self) -> bytes:
        """As `config.yaml`, which `load_config` reads."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True).encode()


def load_config(path: Path) -> dict[str, Any]:
    """The settings of a YAML file.

    Raises:
        InputError: It is missing, no YAML, or no mapping.
    """
    try:
        settings = yaml.safe_load(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError("no such file", where=str(path), remedy="check the path given with --config") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise InputError("is no readable YAML", where=where, why=getattr(error, "problem", "") or "") from error
    except OSError as error:
        raise InputError("cannot be read", where=str(path), why=error.strerror or "") from error
    if not isinstance(settings, dict):
        raise InputError("holds no settings", where=str(path), remedy="write lines such as `select: [DUP]`")
    return {str(name): value for name, value in settings.items()}


def make_config(settings: dict[str, Any], where: str = "") -> AuditConfig:
    """A checked configuration.

    Args:
        settings: By name, as in `AuditConfig`.
        where: The file they came from, for messages.

    Raises:
        InputError: A setting is unknown (the nearest one is named) or has a value of the wrong kind.
    """
    try:
        return AuditConfig.model_validate(settings)
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(str(part) for part in problem["loc"])
        name = "data" if name.startswith("data.") else name  # of the kinds that it may have, pydantic names one
        if problem["type"] == "extra_forbidden":
            raise _unknown_setting(problem["loc"], where) from error
        what = _KINDS.get(problem["type"], problem["msg"].lower())
        raise InputError(f"setting {name!r}: {what}", where=where, remedy="see tunescope audit --help") from error


def _unknown_setting(loc: tuple[str | int, ...], where: str) -> InputError:
    name = str(loc[-1])
    if loc[0] == "suppress":
        return unknown_name("setting", name, list(SuppressRule.model_fields), where)
    if name in _ONLY_OPTIONS:
        return InputError(f"{name!r} is no setting", where=where, remedy=f"give {_ONLY_OPTIONS[name]} on the command line")
    if name in _SETTING_OF_OPTION:
        return InputError(f"unknown setting {name!r}", where=where, remedy=f"it is called {_SETTING_OF_OPTION[name]!r}")
    return unknown_name("setting", name, list(AuditConfig.model_fields), where)


def member_of(kind: type[_Member], what: str, given: str) -> _Member:
    """The member of an enumeration that a user named.

    Raises:
        InputError: There is none of that name; the nearest is suggested.
    """
    if given not in list(kind):
        raise unknown_name(what, given, [str(member) for member in kind])
    return kind(given)


def unknown_name(kind: str, name: str, known: list[str], where: str = "") -> InputError:
    """The error for a name that does not exist, suggesting the nearest that does."""
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    remedy = f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(known) or 'none'}"
    return InputError(f"unknown {kind} {name!r}", where=where, remedy=remedy)
