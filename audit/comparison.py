"""What changed between an earlier run and this one: rows by their keys, findings by their fingerprints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from audit.corpus import Corpus
from audit.findings import FINDING_SCHEMA
from audit.rundir import Run
from audit.summary import Changes, CodeChange

__all__ = ["CHANGED_SCHEMA", "Comparison", "compare_runs", "settings_from"]

_NEW, _GONE = "new", "gone"

CHANGED_SCHEMA: dict[str, pl.DataType] = {
    "change": pl.String(),
    "row_key": pl.String(),
    "file": pl.String(),
    "index": pl.UInt32(),
    **{name: FINDING_SCHEMA[name] for name in ("code", "turn", "severity", "message", "fingerprint")},
}
"""A line per finding that is `new` or `gone`; the address of one that is gone is that of the previous run."""


@dataclass(frozen=True)
class Comparison:
    """The counts, and the findings behind them, `CHANGED_SCHEMA`."""

    changes: Changes
    changed: pl.DataFrame


def settings_from(previous: Run, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an earlier run, those given anew in their place; what it was itself compared with is not taken."""
    return {name: value for name, value in previous.settings.items() if name != "previous"} | dict(given)


def compare_runs(
    previous: Run,
    corpus: Corpus,
    findings: pl.DataFrame,
    suppressed: pl.DataFrame,
    decisions_carried: int = 0,
    decisions_left: int = 0,
) -> Comparison:
    """Compare with an earlier run.

    A finding that was set aside in either run counts as known there, so that accepting one makes none gone or new.

    Args:
        previous: The earlier run.
        corpus: The rows now.
        findings: The findings now, without those set aside.
        suppressed: Those set aside.
        decisions_carried: For the record.
        decisions_left: For the record.
    """
    old_keys, keys = set(previous.catalog.keys), set(corpus.keys)
    old = previous.findings
    known_before = pl.concat([old["fingerprint"], previous.suppressed["fingerprint"]])
    known_now = pl.concat([findings["fingerprint"], suppressed["fingerprint"]])
    new = findings.filter(~pl.col("fingerprint").is_in(known_before.implode()))
    gone = old.filter(~pl.col("fingerprint").is_in(known_now.implode()))
    n_new, n_gone, n_now = (dict(frame.group_by("code").len().iter_rows()) for frame in (new, gone, findings))
    codes = tuple(
        CodeChange(code, n_new.get(code, 0), n_gone.get(code, 0), n_now.get(code, 0) - n_new.get(code, 0))
        for code in sorted(n_now.keys() | n_gone.keys())
    )
    changes = Changes(
        previous=previous.path.name,
        rows_new=len(keys - old_keys),
        rows_gone=len(old_keys - keys),
        rows_same=len(keys & old_keys),
        codes=codes,
        decisions_carried=decisions_carried,
        decisions_left=decisions_left,
    )
    return Comparison(changes, pl.concat([_addressed(_NEW, new, corpus), _addressed(_GONE, gone, previous.catalog)]))


def _addressed(change: str, findings: pl.DataFrame, corpus: Corpus) -> pl.DataFrame:
    places = corpus.rows.select("row", "file", "index", row_key=pl.format("{}:{}", "key", "ordinal"))
    placed = findings.join(places, on="row", how="left", maintain_order="left").with_columns(change=pl.lit(change))
    return placed.select(list(CHANGED_SCHEMA)).cast(pl.Schema(CHANGED_SCHEMA))
