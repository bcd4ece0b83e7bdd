"""Findings that somebody has accepted: set aside by the configuration, by a field of the row, or by a baseline.

What is set aside is never lost: it stays in RUN/suppressed.parquet with by what and why, and every report counts it. A
rule that fits nothing any more is said in a note, so that lists of exceptions do not outlive what they were made for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from audit.config import SuppressRule
from audit.corpus import Corpus
from audit.errors import InputError
from audit.findings import SUPPRESSED_SCHEMA
from audit.rundir import Run
from audit.summary import SuppressedCount

__all__ = ["IGNORE_FIELD", "Suppression", "count_suppressed", "read_baseline", "suppress"]

IGNORE_FIELD = "tunescope_ignore"
"""A row's own field: `true`, or codes as a list or separated by commas."""

_BY_CONFIG, _BY_ROW, _BY_BASELINE = "config", "row", "baseline"


@dataclass(frozen=True)
class Suppression:
    """Findings in two parts.

    Attributes:
        findings: Those that stay, `FINDING_SCHEMA`.
        suppressed: Those set aside, `SUPPRESSED_SCHEMA`.
        notes: Rules, codes and rows that fit nothing.
    """

    findings: pl.DataFrame
    suppressed: pl.DataFrame
    notes: tuple[str, ...]


def suppress(
    findings: pl.DataFrame,
    corpus: Corpus,
    rules: Sequence[SuppressRule],
    baseline: frozenset[str],
    known_codes: Sequence[str],
) -> Suppression:
    """Set findings aside; of several reasons the first counts: the configuration's rules, the row's field, the baseline.

    Args:
        findings: A frame of `FINDING_SCHEMA`.
        corpus: The rows.
        rules: Of the configuration.
        baseline: Fingerprints of findings that are known.
        known_codes: All codes there are, to tell a misspelt one.
    """
    rows = _Rows(findings, corpus)
    notes: list[str] = []
    reasons: list[tuple[pl.Expr, str, str]] = []
    for number, rule in enumerate(rules, start=1):
        notes += _misfits(number, rule, findings, rows, known_codes)
        reasons.append((_fits(rule, rows), _BY_CONFIG, rule.reason))
    own, unknown = _of_rows(corpus, known_codes)
    notes += unknown
    for codes, numbers in own.items():
        reasons.append((_has_code(codes) & pl.col("row").is_in(numbers), _BY_ROW, f"field {IGNORE_FIELD}"))
    reasons.append((pl.col("fingerprint").is_in(list(baseline)), _BY_BASELINE, "known in the baseline"))
    judged = findings.with_columns(
        by=pl.coalesce(*(pl.when(fits).then(pl.lit(by)) for fits, by, _ in reasons)),
        reason=pl.coalesce(*(pl.when(fits).then(pl.lit(why)) for fits, _, why in reasons)),
    )
    return Suppression(
        findings=judged.filter(pl.col("by").is_null()).drop("by", "reason"),
        suppressed=judged.filter(pl.col("by").is_not_null()).select(list(SUPPRESSED_SCHEMA)).cast(pl.Schema(SUPPRESSED_SCHEMA)),
        notes=tuple(notes),
    )


def count_suppressed(suppressed: pl.DataFrame) -> tuple[SuppressedCount, ...]:
    """How many findings were set aside, by what and why, the most numerous first."""
    counts = suppressed.group_by("by", "reason").len().sort("len", "by", "reason", descending=[True, False, False])
    return tuple(SuppressedCount(by, reason, n) for by, reason, n in counts.iter_rows())


def read_baseline(path: Path) -> frozenset[str]:
    """The fingerprints that a run folder or a JSON report of an audit knows, those set aside there included.

    Raises:
        InputError: It is neither.
    """
    if path.is_dir():
        run = Run.open(path)
        return frozenset(run.findings["fingerprint"]) | frozenset(run.suppressed["fingerprint"])
    try:
        report = json.loads(path.read_bytes())
        listed = [*report["findings"], *report.get("suppressed", ())]
        return frozenset(str(finding["fingerprint"]) for finding in listed)
    except FileNotFoundError as error:
        raise InputError("no such baseline", where=str(path), remedy="name a run folder or its report.json") from error
    except OSError as error:
        raise InputError("cannot be read", where=str(path), why=error.strerror or "") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            "is no report of an audit", where=str(path), remedy="name a run folder, or what --format json printed"
        ) from error


class _Rows:
    """What rules ask of rows; only rows with findings are opened."""

    def __init__(self, findings: pl.DataFrame, corpus: Corpus) -> None:
        self._findings = findings
        self._rows = corpus.rows

    @cached_property
    def addresses(self) -> Mapping[str, int]:
        """`FILE#INDEX`, and row keys, of every row."""
        numbers = self._rows["row"].to_list()
        places = self._rows.select(pl.format("{}#{}", "file", "index")).to_series().to_list()
        keys = self._rows.select(pl.format("{}:{}", "key", "ordinal")).to_series().to_list()
        return {**dict(zip(places, numbers, strict=True)), **dict(zip(keys, numbers, strict=True))}

    @cached_property
    def _extras(self) -> list[tuple[int, Mapping[str, Any]]]:
        found = self._findings["row"].unique().sort()
        extras = self._rows.filter(pl.col("row").is_in(found.implode()) & pl.col("extra").is_not_null())
        return [(row, json.loads(extra)) for row, extra in extras.select("row", "extra").iter_rows()]

    def where(self, wanted: Mapping[str, Any]) -> list[int]:
        """Rows with findings whose fields have these values."""
        return [row for row, extra in self._extras if all(_is(extra.get(name, _ABSENT), wanted[name]) for name in wanted)]


_ABSENT = object()


def _is(value: object, wanted: object) -> bool:
    """Equal, a truth value being no number."""
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)


def _fits(rule: SuppressRule, rows: _Rows) -> pl.Expr:
    fits = _has_code(rule.codes)
    if rule.rows:
        fits &= pl.col("row").is_in([rows.addresses[row] for row in rule.rows if row in rows.addresses])
    if rule.fingerprints:
        fits &= pl.col("fingerprint").is_in(list(rule.fingerprints))
    if rule.where:
        fits &= pl.col("row").is_in(rows.where(rule.where))
    return fits


def _has_code(codes: Sequence[str]) -> pl.Expr:
    if not codes:
        return pl.lit(True)
    return pl.any_horizontal(*(pl.col("code").str.starts_with(code) for code in codes))


def _misfits(number: int, rule: SuppressRule, findings: pl.DataFrame, rows: _Rows, known_codes: Sequence[str]) -> Iterator[str]:
    name = f"suppress rule {number}" + (f" ({rule.reason})" if rule.reason else "")
    for code in _unknown(rule.codes, known_codes):
        yield f"{name}: no check is called {code!r}"
    missing = [row for row in rule.rows if row not in rows.addresses]
    if missing:
        yield f"{name}: no row is {_some(missing)}"
    unmatched = sorted(set(rule.fingerprints).difference(findings["fingerprint"]))
    if unmatched:
        yield f"{name}: no finding has the fingerprint {_some(unmatched)}"
    if not missing and not unmatched and findings.filter(_fits(rule, rows)).is_empty():
        yield f"{name}: fits no finding"


def _some(names: Sequence[str], shown: int = 3) -> str:
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(repr(name) for name in names[:shown]) + more


def _unknown(codes: Sequence[str], known_codes: Sequence[str]) -> list[str]:
    return [code for code in codes if not code or not any(known.startswith(code) for known in known_codes)]


def _of_rows(corpus: Corpus, known_codes: Sequence[str]) -> tuple[Mapping[tuple[str, ...], list[int]], list[str]]:
    """Codes -> rows whose own field names them, no codes meaning all; and a note on fields that cannot be followed."""
    marked = corpus.rows.filter(pl.col("extra").str.contains(f'"{IGNORE_FIELD}"', literal=True))
    found: dict[tuple[str, ...], list[int]] = {}
    notes = []
    for row, extra in marked.select("row", "extra").iter_rows():
        given = json.loads(extra).get(IGNORE_FIELD)
        if given is None or given is False:
            continue
        if isinstance(given, str):
            given = [code.strip() for code in given.split(",") if code.strip()]
        codes = () if given is True else tuple(given) if isinstance(given, list) else None
        if codes is None or not all(isinstance(code, str) for code in codes) or (given is not True and not codes):
            notes.append(f"{corpus.id(row)}: {IGNORE_FIELD} is neither true nor codes")
            continue
        if unknown := _unknown(codes, known_codes):  # not quoted: a redacted run may not hold what stands in a field
            notes.append(f"{corpus.id(row)}: {IGNORE_FIELD} names no check: {len(unknown)} of its {len(codes)} codes")
        known = tuple(code for code in codes if code not in unknown)
        if known or given is True:
            found.setdefault(known, []).append(row)
    if len(notes) > _MOST_NOTES:
        notes = [*notes[:_MOST_NOTES], f"{len(notes) - _MOST_NOTES:,} more fields {IGNORE_FIELD} cannot be followed"]
    return found, notes


_MOST_NOTES = 5
