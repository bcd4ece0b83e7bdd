"""What a check is: a code, what it needs, its options, and a function that yields findings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from audit.config import unknown_name
from audit.errors import InputError
from audit.findings import Finding, Severity
from audit.materials import Materials, Need

__all__ = ["Check", "NoOptions", "bounded", "options_of", "select_checks", "shorten"]


@dataclass(frozen=True)
class NoOptions:
    """The options of a check that has none."""


def bounded(default: float, low: float, high: float) -> Any:
    """A field of a check's options that must lie from `low` to `high`; whole, where the default is."""
    return field(default=default, metadata={"range": (low, high)})


@dataclass(frozen=True)
class Check:
    """One defect that can be looked for.

    Attributes:
        code: Stable, a prefix of three letters and a number; never given to another check.
        name: For people, in the singular.
        severity: Of its findings.
        advice: What to do about a finding, in one sentence.
        explanation: The page that `tunescope explain CODE` shows: what is measured, why it matters, an example and
            the fix.
        find: Yields the findings, in any order.
        options: A frozen dataclass, every field with a default; numbers are `bounded`.
        needs: What the pipeline must have built.
        english: Whether it is made for English; it then looks at `Materials.english_responses` alone.
    """

    code: str
    name: str
    severity: Severity
    advice: str
    explanation: str
    find: Callable[[Materials, Any], Iterable[Finding]]
    options: type = NoOptions
    needs: frozenset[Need] = frozenset()
    english: bool = False

    @property
    def page(self) -> str:
        """The explanation, its indentation removed."""
        return inspect.cleandoc(self.explanation)


def select_checks(checks: Sequence[Check], select: Sequence[str], ignore: Sequence[str]) -> list[Check]:
    """The checks whose code begins with one of `select` (empty: all) and with none of `ignore`.

    Raises:
        InputError: An entry fits no check, or none is left.
    """
    for prefix in (*select, *ignore):
        if not any(check.code.startswith(prefix) for check in checks):
            raise unknown_name("check", prefix, [check.code for check in checks])
    chosen = [
        check
        for check in checks
        if (not select or check.code.startswith(tuple(select))) and not check.code.startswith(tuple(ignore) or ("\0",))
    ]
    if not chosen:
        raise InputError("no check is left to run", remedy="--ignore covers all that --select names")
    return chosen


def options_of(check: Check, values: Mapping[str, Any]) -> Any:
    """A check's options with the user's values.

    Raises:
        InputError: An option is unknown (the nearest is named), of another kind than its default, or out of range.
    """
    known = {field.name: field for field in fields(check.options)}
    for name, value in values.items():
        if name not in known:
            raise unknown_name(f"option of {check.code}", name, list(known))
        default, limits = known[name].default, known[name].metadata.get("range")
        kinds = (int, float) if isinstance(default, float) else (type(default),)
        if type(value) not in kinds or (limits and not limits[0] <= value <= limits[1]):
            between = " from {} to {}".format(*limits) if limits else ""
            raise InputError(
                f"option {name!r} of {check.code} is {value!r}", remedy=f"give a value{between}, such as {default!r}"
            )
    return check.options(**values)


def shorten(text: str, characters: int = 120) -> str:
    """The beginning of a text, for a quote."""
    return text if len(text) <= characters else text[: characters - 1] + "…"
