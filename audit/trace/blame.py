"""Rows ranked over many claims: which few rows stand behind most of the false statements?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from audit.trace.decoys import discoveries
from audit.trace.model import BlamedRow, Trace

__all__ = ["blame_rows"]


def blame_rows(traces: Iterable[Trace], groups: Mapping[int, int] | None = None) -> list[BlamedRow]:
    """Every row with a T0 link, most blamed first, ties by row.

    A claim gives a row (1 - chance) / rank, the best over the claim's spans; rank counts the row's place among the
    claim's T0 links, so that a claim with many possible sources blames each of them less. Spans that are right blame
    nobody.

    Args:
        traces: The claims; with the decoys of their spans, every row has a p- and a q-value (`audit.trace.decoys`).
        groups: Row -> number of its group of near-duplicates, which are one hypothesis for these.
    """
    traces = [_without_benign(trace) for trace in traces]
    given: dict[int, list[tuple[float, float, str]]] = defaultdict(list)
    for trace in traces:
        best: dict[int, tuple[float, float]] = {}
        for span in trace.spans:
            linked = [link for link in span.links if link.tier is not None and link.chance is not None]
            for rank, link in enumerate(linked, start=1):
                chance = link.chance or 0.0
                blame = (1 - chance) / rank
                if blame > best.get(link.row, (0.0, 1.0))[0]:
                    best[link.row] = (blame, chance)
        for row, (blame, chance) in best.items():
            given[row].append((blame, chance, trace.claim.id))
    found = discoveries(traces, groups)
    rows = [
        BlamedRow(
            row,
            round(sum(blame for blame, _, _ in parts), 6),
            len(parts),
            min(chance for _, chance, _ in parts),
            tuple(claim for _, _, claim in sorted(parts, key=lambda part: (-part[0], part[2]))),
            found[row].p if row in found else None,
            found[row].q if row in found else None,
        )
        for row, parts in given.items()
    ]
    return sorted(rows, key=lambda row: (-row.blame, row.row))


def _without_benign(trace: Trace) -> Trace:
    return replace(trace, spans=tuple(span for span in trace.spans if not span.benign))
