"""What an audit found, in one object: the input of every report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audit.findings import Severity

__all__ = ["AuditSummary", "CheckResult", "Skipped"]


@dataclass(frozen=True)
class CheckResult:
    """A check that was run, and how many findings it has."""

    code: str
    name: str
    severity: Severity
    advice: str
    explanation: str
    n_findings: int


@dataclass(frozen=True)
class Skipped:
    """Something that was not looked at, and why."""

    what: str
    why: str


@dataclass(frozen=True)
class AuditSummary:
    """An audit at a glance.

    Attributes:
        name: The source file's name.
        container, format: How its rows are kept and what their fields mean.
        n_rows: Rows of the file, the unreadable and malformed ones included.
        n_unreadable, n_malformed: Rows that did not become messages.
        n_responses: Trained responses.
        limit: Where only the first rows were read, how many.
        checks: What was run, in the order of the codes' tuple.
        skipped: What was not looked at.
        encoder: Name of the encoder behind the static vectors; `None` where there was none.
        tunescope: The version.
    """

    name: str
    container: str
    format: str
    n_rows: int
    n_unreadable: int
    n_malformed: int
    n_responses: int
    limit: int | None
    checks: tuple[CheckResult, ...]
    skipped: tuple[Skipped, ...]
    encoder: str | None
    tunescope: str

    @classmethod
    def from_manifest(cls, content: Mapping[str, Any]) -> AuditSummary:
        """What `dataclasses.asdict` made of a summary, after a round trip through JSON."""
        checks = tuple(CheckResult(**{**check, "severity": Severity(check["severity"])}) for check in content["checks"])
        skipped = tuple(Skipped(**skipped) for skipped in content["skipped"])
        return cls(**{**content, "checks": checks, "skipped": skipped})
