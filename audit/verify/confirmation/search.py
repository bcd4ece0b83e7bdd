"""The smallest sets of rows whose removal does what the removal of all candidates does.

Rows that say the same mask each other: without any one of them the answer stays, without all of them it goes. So rows are
never looked at one by one; the group is halved, and a half is dropped only where the others still carry the effect by
themselves. The set that remains is minimal: with any row of it back, the effect is under half. About log2(n) retrainings
where one row carries it, and up to 2 s log2(n / s) + 2 s where s rows do.

Source: Junker (2004), QuickXplain, with "the effect is carried" for "inconsistent"; it takes for granted that removing
more rows removes no less of the effect.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeAlias

__all__ = ["Search", "minimal_sets"]

Places: TypeAlias = tuple[int, ...]
Search: TypeAlias = Generator[Places, bool, None]
"""Yields groups of rows; is sent whether removing just these carries the effect."""


def minimal_sets(rows: Sequence[int], found: list[Places], max_sets: int) -> Search:
    """Search a group that carries the effect as a whole.

    Where the rows outside of a set carry the effect as well, there is another one among them: then either set is enough.

    Args:
        rows: The group, best candidate first; of sets that are equally small, those of better rows are preferred.
        found: Sets are added to it as they are found, each in the order of `rows`.
        max_sets: How many are looked for.
    """
    left = tuple(rows)
    while left and len(found) < max_sets:
        if found and not (yield left):
            return
        carriers = yield from _minimal((), False, left)
        found.append(tuple(row for row in rows if row in carriers))
        left = tuple(row for row in left if row not in carriers)


def _minimal(kept: Places, is_new: bool, rows: Places) -> Generator[Places, bool, Places]:
    """The rows of a minimal set that lie in `rows`, which together with `kept` carry the effect.

    Args:
        kept: Rows that are removed in any case.
        is_new: Whether some of them were added since `kept` was last found not to be enough.
        rows: Those in question.
    """
    if is_new and (yield kept):
        return ()
    if len(rows) == 1:
        return rows
    better, worse = rows[: (len(rows) + 1) // 2], rows[(len(rows) + 1) // 2 :]
    from_worse = yield from _minimal((*kept, *better), True, worse)
    from_better = yield from _minimal((*kept, *from_worse), bool(from_worse), better)
    return (*from_better, *from_worse)
