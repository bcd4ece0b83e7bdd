"""What was decided about rows, as a list."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from audit.corpus import Corpus
from audit.export.decisions import Choice, Decision
from reports.json_report import encode_report
from reports.visible import one_line
from reports.wording import address, count

__all__ = ["decisions_json", "decisions_report"]


def decisions_report(decisions: Mapping[int, Decision], corpus: Corpus) -> RenderableType:
    """For the terminal: a line per row, in file order.

    Args:
        decisions: By the row's number.
        corpus: The rows.
    """
    if not decisions:
        return Text("Nothing is decided.")
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_header=False)
    for row, decision in decisions.items():
        table.add_row(Text(str(decision.choice)), Text(address(corpus.id(row))), Text(one_line(decision.reason, 200), "dim"))
    n_dropped = sum(decision.choice is Choice.DROP for decision in decisions.values())
    return Group(Text(f"{count(n_dropped, 'row')} to drop, {len(decisions) - n_dropped:,} to keep."), table)


def decisions_json(decisions: Mapping[int, Decision], corpus: Corpus) -> bytes:
    """For machines, a line per row."""
    listed = [{"row": corpus.id(row)._asdict(), **vars(decision)} for row, decision in decisions.items()]
    return encode_report({"decisions": listed})
