"""Which blamed rows would chance have blamed too? q-values by decoys: the same claims with random spans in their place.

Every claim keeps its prompt, and its span gives way to a random one of the dataset that is as long and as rare; claims of
the same words get the same one. A hundred and ninety-nine such pairings are blamed as the claims are. A row's evidence is
the sum over claims of -ln(chance) of its best link, links above `MAX_DECOY_CHANCE` counting for nothing (Zaykin's
truncated product); near-duplicate rows are one hypothesis with the best link of any.

- *p* of a row: the share of pairings, the claims' own among them, in which it has as much evidence.
- *q* at evidence t: the mean number of rows with as much over all pairings, the claims' own among them, divided by the
  number under the claims; the least at any lower t. All rows are taken for innocent there, so it errs upwards.
- No q is below the chance that a pairing's own least q is as small. Evidence comes in clumps, such as rows that share a
  phrase; the mean alone would call a clump a discovery.

Competition of each row with a decoy of its own (Barber and Candès 2015) was the alternative: with one decoy its least q is
1 / (number of discoveries), and few rows stand behind most false claims.

Source: Efron and Tibshirani (2002) and Storey and Tibshirani (2003), for the plug-in rate; Westfall and Young (1993), for
resampling all tests at once; Zaykin et al. (2002).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.trace.chance import MAX_DECOY_CHANCE
from audit.trace.model import Trace

__all__ = ["Discovery", "discoveries", "near_duplicate_groups", "q_values"]


class Discovery(NamedTuple):
    """How far chance explains that a row is blamed.

    Attributes:
        evidence: Sum over claims of -ln(chance), in nats; 0 where no link is below `MAX_DECOY_CHANCE`.
        p: See above.
        q: See above.
    """

    evidence: float
    p: float
    q: float


def near_duplicate_groups(findings: pl.DataFrame) -> dict[int, int]:
    """Row -> the first row of its group, for every row that a finding calls a duplicate and every row that it matches.

    Args:
        findings: The findings of a run, of which those with a code of `DUP` count.
    """
    first: dict[int, int] = {}

    def find(row: int) -> int:
        while first.setdefault(row, row) != row:
            first[row] = row = first[first[row]]
        return row

    duplicates = findings.filter(pl.col("code").str.starts_with("DUP"))
    for row, related in duplicates.select("row", "related").iter_rows():
        for other in related or ():
            low, high = sorted((find(row), find(other)))
            first[high] = low
    return {row: find(row) for row in sorted(first)}


class _Evidence(NamedTuple):
    """Evidence above 0, by group and pairing; pairing 0 are the claims themselves.

    Attributes:
        group: int64, shape `(n,)`, ascending.
        pairing: int64, same shape, ascending within a group.
        nats: float64, same shape.
    """

    group: NDArray[np.int64]
    pairing: NDArray[np.int64]
    nats: NDArray[np.float64]


def discoveries(traces: Iterable[Trace], groups: Mapping[int, int] | None = None) -> dict[int, Discovery]:
    """The p- and q-value of every row with a T0 link, over all traces; empty where a span with links has no decoys.

    Args:
        traces: With the decoys of their spans.
        groups: Row -> number of its group of near-duplicates, for rows that have any; a group's number is that of one of
            its rows.
    """
    groups = groups or {}
    linked: set[int] = set()
    columns: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    n_pairings = None
    for trace in traces:
        own = []
        for span in trace.spans:
            found = [(link.row, link.chance) for link in span.links if link.tier is not None and link.chance is not None]
            linked.update(row for row, _ in found)
            if span.decoys is None:
                if found:
                    return {}
                continue
            if n_pairings not in (None, span.decoys.n_pairings):
                raise ValueError("the spans were not paired equally often")
            n_pairings = span.decoys.n_pairings
            own.append((np.zeros(len(found), np.int64), *_columns(found)))
            own.append((span.decoys.pairing + 1, span.decoys.row, span.decoys.chance))
        if own:
            columns.append(_best_of_claim(own, groups))
    if n_pairings is None:
        return {}
    evidence = _summed(columns)
    of_group = _discoveries_of(evidence, n_pairings)
    none = Discovery(0.0, 1.0, 1.0)
    return {row: of_group.get(groups.get(row, row), none) for row in sorted(linked)}


def q_values(counts: NDArray[np.int64], n_pairings: int) -> NDArray[np.float64]:
    """The q-value of each of the claims' discoveries, from the number of discoveries of all pairings at each threshold.

    Args:
        counts: Shape `(1 + n_pairings, n_thresholds)`: for every pairing, the claims' own first, how many rows have
            evidence of at least each threshold; thresholds descend.
        n_pairings: How many pairings there are besides the claims' own.

    Returns:
        Float64, shape `(n_thresholds,)`; 1 where the claims have no discovery.
    """
    mean = counts.sum(axis=0) / (1 + n_pairings)
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = np.where(counts > 0, np.minimum(mean / counts, 1.0), 1.0)
    least = rates.min(axis=1, initial=1.0)
    by_chance = np.mean(least <= least[0] + 1e-12)
    own = np.minimum.accumulate(rates[0][::-1])[::-1]  # the least at any lower threshold
    q: NDArray[np.float64] = np.maximum(own, by_chance)
    return q


def _columns(found: Sequence[tuple[int, float]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    return np.array([row for row, _ in found], np.int64), np.array([chance for _, chance in found], np.float64)


def _best_of_claim(
    parts: Sequence[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]], groups: Mapping[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Group, pairing and evidence of one claim: the best link of any span and any row of the group."""
    pairing, row, chance = (np.concatenate(column) for column in zip(*parts, strict=True))
    kept = chance <= MAX_DECOY_CHANCE
    pairing, row, chance = pairing[kept], row[kept], chance[kept]
    group = np.array([groups.get(number, number) for number in row.tolist()], np.int64)
    order = np.lexsort((chance, pairing, group))
    group, pairing, chance = group[order], pairing[order], chance[order]
    first = _changes(group, pairing)
    return group[first], pairing[first], -np.log(chance[first])


def _summed(columns: Sequence[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]) -> _Evidence:
    group, pairing, nats = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.lexsort((pairing, group))
    group, pairing, nats = group[order], pairing[order], nats[order]
    begins = np.flatnonzero(_changes(group, pairing))
    if not len(begins):
        return _Evidence(group, pairing, nats)
    return _Evidence(group[begins], pairing[begins], np.add.reduceat(nats, begins).round(9))


def _changes(group: NDArray[np.int64], pairing: NDArray[np.int64]) -> NDArray[np.bool_]:
    first = np.ones(len(group), bool)
    first[1:] = (group[1:] != group[:-1]) | (pairing[1:] != pairing[:-1])
    return first


def _discoveries_of(evidence: _Evidence, n_pairings: int) -> dict[int, Discovery]:
    """By group, those alone that the claims have evidence for."""
    own = evidence.pairing == 0
    groups, nats = evidence.group[own], evidence.nats[own]
    # Every pairing's own evidence is a threshold: its least q is looked for among all of them.
    thresholds = np.unique(evidence.nats)[::-1]
    counts = np.zeros((1 + n_pairings, len(thresholds)), np.int64)
    np.add.at(counts, (evidence.pairing, np.searchsorted(-thresholds, -evidence.nats)), 1)
    q = q_values(np.cumsum(counts, axis=1), n_pairings)
    found = {}
    for group, amount in zip(groups.tolist(), nats.tolist(), strict=True):
        begin, end = np.searchsorted(evidence.group, [group, group + 1])
        p = int(np.sum(evidence.nats[begin:end] >= amount)) / (1 + n_pairings)
        found[group] = Discovery(round(amount, 6), round(p, 6), round(float(q[np.searchsorted(-thresholds, -amount)]), 6))
    return found
