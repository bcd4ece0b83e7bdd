"""What an audit found, in one object: the input of every report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from audit.findings import SUPPRESSED_SCHEMA, Severity

__all__ = [
    "NOTHING_ASIDE",
    "Aside",
    "AuditSummary",
    "Changes",
    "CheckResult",
    "CodeChange",
    "Quartiles",
    "Skipped",
    "SuppressedCount",
    "UnderBase",
]


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
class SuppressedCount:
    """Findings that were set aside for one reason.

    Attributes:
        by: `config`, `row` or `baseline`.
        reason: What was given for it, may be empty.
        n_findings: How many.
    """

    by: str
    reason: str
    n_findings: int


@dataclass(frozen=True)
class CodeChange:
    """How the findings of a code changed since the previous run."""

    code: str
    n_new: int
    n_gone: int
    n_still: int


@dataclass(frozen=True)
class Changes:
    """What changed since the previous run.

    Attributes:
        previous: Name of its folder.
        rows_new, rows_gone, rows_same: Rows by their keys: only here, only there, in both.
        codes: Codes with findings in either, in order; suppressed findings are not new, and not gone.
        decisions_carried: Decisions on rows of the previous run that hold here.
        decisions_left: Decisions on rows that are gone.
    """

    previous: str
    rows_new: int
    rows_gone: int
    rows_same: int
    codes: tuple[CodeChange, ...]
    decisions_carried: int
    decisions_left: int

    @classmethod
    def from_manifest(cls, content: Mapping[str, Any]) -> Changes:
        """What `dataclasses.asdict` made of it, after a round trip through JSON."""
        return cls(**{**content, "codes": tuple(CodeChange(**code) for code in content["codes"])})


@dataclass(frozen=True)
class Aside:
    """What stands beside the findings.

    Attributes:
        suppressed: Findings set aside, `audit.findings.SUPPRESSED_SCHEMA`.
        changed: Findings that are new or gone since the previous run, `audit.comparison.CHANGED_SCHEMA`; `None` without
            one.
    """

    suppressed: pl.DataFrame
    changed: pl.DataFrame | None = None


NOTHING_ASIDE = Aside(pl.DataFrame(schema=SUPPRESSED_SCHEMA))
"""No finding was suppressed, and there is no previous run."""


@dataclass(frozen=True)
class Quartiles:
    """How a measure is spread over the rows that have it.

    Attributes:
        n_rows: How many have it.
        least, low, median, high, most: The ends and the quartiles.
        lowest, highest: Rows at the ends with their values, the outermost first, short responses left out.
    """

    n_rows: int
    least: float
    low: float
    median: float
    high: float
    most: float
    lowest: tuple[tuple[int, float], ...] = ()
    highest: tuple[tuple[int, float], ...] = ()

    @classmethod
    def from_manifest(cls, content: Mapping[str, Any]) -> Quartiles:
        """What `dataclasses.asdict` made of it, after a round trip through JSON."""
        ends = {end: tuple((row, value) for row, value in content[end]) for end in ("lowest", "highest")}
        return cls(**{**content, **ends})


@dataclass(frozen=True)
class UnderBase:
    """What the base model makes of the responses.

    Attributes:
        model: Folder or hub name, as it was given.
        stands_for: The model that is to be tuned, where this one was measured in its place.
        n_parameters: Its parameters.
        device, dtype: Where it ran, and its number format.
        plain_format: Whether it has no chat template of its own, so that prompts stood under plain headings.
        template: The name or file of the chat template that was named in place of its own.
        template_digest: Of the prompt format.
        n_passed, seconds: Distinct texts that this audit's pass measured, and what it took; the others were in the cache.
        n_responses: Responses that were measured.
        n_tokens: Their tokens.
        n_cut: How many of them are longer than what the model reads, and were measured as far as it does.
        not_measured: Why others were not, and how many.
        loss: Mean loss, in nats per token.
        shifted: Share of the tokens that are not among the model's three likeliest.
        ifd: Loss given the prompt over loss without it.
        n_not_helped: Rows whose response the prompt makes no likelier, at an IFD of 1 or more.
        slick: Rows by class of what the model knows of their answer, where that was asked.
    """

    model: str
    stands_for: str | None
    n_parameters: int
    device: str
    dtype: str
    plain_format: bool
    template: str | None
    template_digest: str
    n_passed: int
    seconds: float
    n_responses: int
    n_tokens: int
    n_cut: int
    not_measured: tuple[tuple[str, int], ...]
    loss: Quartiles | None
    shifted: Quartiles | None
    ifd: Quartiles | None
    n_not_helped: int
    slick: tuple[tuple[str, int], ...] = ()

    @classmethod
    def from_manifest(cls, content: Mapping[str, Any]) -> UnderBase:
        """What `dataclasses.asdict` made of it, after a round trip through JSON."""
        spreads = {name: content[name] and Quartiles.from_manifest(content[name]) for name in ("loss", "shifted", "ifd")}
        counts = {name: tuple((what, n) for what, n in content[name]) for name in ("not_measured", "slick")}
        return cls(**{**content, **spreads, **counts})


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
        suppressed: How many findings were set aside, by what and why; the findings of `checks` are without them.
        notes: What a reader should know, such as a rule that fits nothing.
        changes: Against the previous run, where there is one.
        redacted: Whether hashes stand in place of the dataset's text.
        trainer: What a trainer makes of the rows, `audit.signals.trainer.build_trainer`; `None` without a tokenizer.
        under_base: What the base model makes of the responses, where one was given.
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
    suppressed: tuple[SuppressedCount, ...] = ()
    notes: tuple[str, ...] = ()
    changes: Changes | None = None
    redacted: bool = False
    trainer: Mapping[str, Any] | None = None
    under_base: UnderBase | None = None

    @classmethod
    def from_manifest(cls, content: Mapping[str, Any]) -> AuditSummary:
        """What `dataclasses.asdict` made of a summary, after a round trip through JSON."""
        checks = tuple(CheckResult(**{**check, "severity": Severity(check["severity"])}) for check in content["checks"])
        skipped = tuple(Skipped(**skipped) for skipped in content["skipped"])
        suppressed = tuple(SuppressedCount(**count) for count in content.get("suppressed", ()))
        changes, under_base = content.get("changes"), content.get("under_base")
        return cls(
            **{
                **content,
                "checks": checks,
                "skipped": skipped,
                "suppressed": suppressed,
                "notes": tuple(content.get("notes", ())),
                "changes": None if changes is None else Changes.from_manifest(changes),
                "under_base": None if under_base is None else UnderBase.from_manifest(under_base),
            }
        )
