"""What a confirmation says of the links of a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from audit.trace import Tier, Trace
from audit.verify.confirmation.model import ConfirmationResult, Evidence

__all__ = ["with_measured_tiers"]


def with_measured_tiers(traces: Sequence[Trace], result: ConfirmationResult) -> tuple[Trace, ...]:
    """The traces, with links to rows of a smallest group that took the span away at tier T3.

    A group of which only the whole was measured raises no link: its source is among its rows, and nobody knows which.
    """
    measured = {
        (span.claim_id, span.span.start, span.span.end): frozenset(
            row for group in span.groups if group.evidence is Evidence.T3 and group.is_minimal for row in group.rows
        )
        for span in result.spans
    }
    return tuple(
        replace(
            trace,
            spans=tuple(
                replace(
                    span,
                    links=tuple(
                        replace(link, tier=Tier.T3)
                        if link.row in measured.get((trace.claim.id, span.start, span.end), frozenset())
                        else link
                        for link in span.links
                    ),
                )
                for span in trace.spans
            ),
            not_looked_at=tuple(skipped for skipped in trace.not_looked_at if "(tier T3)" not in skipped.what),
        )
        for trace in traces
    )
