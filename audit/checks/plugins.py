"""Checks of other distributions: found by their entry points in the group `tunescope.checks`.

An entry point names a `Check`, or a tuple of them. They are run, listed and explained like our own, and a run's key and
manifest name the distribution and version behind each, so that another version of a plug-in is another audit. One that
cannot be used stops the command in one line: an audit that silently lacks a check reads as clean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from audit.checks import CHECKS, Check
from audit.errors import InputError, TunescopeError
from audit.findings import Finding
from audit.materials import Materials

__all__ = ["GROUP", "Plugin", "all_checks", "installed_plugins", "load_plugins"]

GROUP = "tunescope.checks"
"""The group of entry points."""

_CODE = re.compile(r"[A-Z]{3}[0-9]{3}")  # a file of the run folder is called after it


@dataclass(frozen=True)
class Plugin:
    """The checks of another distribution."""

    distribution: str
    version: str
    checks: tuple[Check, ...]


def all_checks() -> tuple[Check, ...]:
    """Our own checks, then those of plug-ins.

    Raises:
        InputError: As `load_plugins`.
    """
    return (*CHECKS, *(check for plugin in installed_plugins() for check in plugin.checks))


@cache
def installed_plugins() -> tuple[Plugin, ...]:
    """The plug-ins in this environment.

    Raises:
        InputError: As `load_plugins`.
    """
    return load_plugins(entry_points(group=GROUP), [check.code for check in CHECKS])


def load_plugins(points: Iterable[EntryPoint], taken: Sequence[str]) -> tuple[Plugin, ...]:
    """The checks that entry points name, by distribution and name.

    Args:
        points: Of the group `GROUP`.
        taken: Codes of our own checks.

    Raises:
        InputError: One cannot be imported, names no check, or has a code that is no code or is taken.
    """
    owners = dict.fromkeys(taken, "tunescope itself")
    loaded: dict[tuple[str, str], list[Check]] = {}
    for point in sorted(points, key=lambda point: (_origin(point), point.name)):
        distribution, version = _origin(point)
        for check in _checks_of(point, distribution):
            if not _CODE.fullmatch(check.code):
                raise _unusable(point, distribution, f"{check.code!r} is no code: three capital letters and three digits")
            if check.code in owners:
                raise _unusable(point, distribution, f"its code {check.code} belongs to {owners[check.code]}")
            owners[check.code] = distribution
            guarded = replace(check, find=_guarded(check, f"{distribution} {version}"))
            loaded.setdefault((distribution, version), []).append(guarded)
    return tuple(Plugin(name, version, tuple(checks)) for (name, version), checks in loaded.items())


def _origin(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist is not None else ("unknown", "unknown")


def _checks_of(point: EntryPoint, distribution: str) -> tuple[Check, ...]:
    try:
        named = point.load()
    except Exception as error:
        raise _unusable(point, distribution, f"{type(error).__name__}: {error}") from error
    checks = named if isinstance(named, tuple) else (named,)
    for check in checks:
        if not isinstance(check, Check):
            raise _unusable(
                point, distribution, f"it names {type(check).__name__!r}, neither a tunescope.Check nor a tuple of them"
            )
    return checks


def _unusable(point: EntryPoint, distribution: str, why: str) -> InputError:
    return InputError(
        f"the plug-in {point.name!r} of {distribution} cannot be used",
        where=point.value,
        why=why,
        remedy=f"update it, or pip uninstall {distribution}",
    )


def _guarded(check: Check, origin: str) -> Callable[[Materials, Any], Iterable[Finding]]:
    """`check.find`, whose failures name the distribution that has to mend them."""

    def find(materials: Materials, options: Any) -> list[Finding]:
        try:
            found = list(check.find(materials, options))
        except TunescopeError:
            raise
        except Exception as error:
            raise _failed(check, origin, f"{type(error).__name__}: {error}") from error
        n_rows = len(materials.corpus)
        for finding in found:
            if not isinstance(finding, Finding) or finding.code != check.code:
                raise _failed(check, origin, f"it yields {finding!r:.80}, no finding of its code")
            if not all(0 <= row < n_rows for row in (finding.row, *finding.evidence.related)):
                raise _failed(check, origin, f"a finding names a row outside the {n_rows} of the dataset")
        return found

    return find


def _failed(check: Check, origin: str, why: str) -> InputError:
    return InputError(
        f"the check {check.code} of {origin} failed", why=why, remedy=f"leave it out with --ignore {check.code}, or update it"
    )
