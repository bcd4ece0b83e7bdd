"""A style family thinned out: of the rows cast from one mould only so many stay that they are a given share of the rest.

Which rows stay is drawn by a seed, the family's exemplars first. Shares are of what the export holds in the end, several
families at once: where one shrinks, the others' shares grow, so that all are solved for together.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from audit.errors import InputError
from audit.rundir import Run

__all__ = ["FamilyRows", "FamilyRule", "Surplus", "family_rows", "parse_family", "surplus"]


@dataclass(frozen=True, slots=True)
class FamilyRule:
    """Keep rows of a family only up to a share of all rows kept."""

    family: int
    share: float
    seed: int = 0

    def __str__(self) -> str:
        return f"family:{self.family}"


@dataclass(frozen=True)
class FamilyRows:
    """The rows of a family.

    Attributes:
        rule: What is asked of it.
        rows: Rows with a response of the family, ascending.
        exemplars: Those of them that show it best, best first.
    """

    rule: FamilyRule
    rows: tuple[int, ...]
    exemplars: tuple[int, ...] = ()


@dataclass(frozen=True)
class Surplus:
    """The rows of one family that leave.

    Attributes:
        rule: What is asked of the family.
        rows: Those that leave, ascending.
        n_before: Rows of the family that were left before.
        n_kept: Those that stay.
    """

    rule: FamilyRule
    rows: tuple[int, ...]
    n_before: int
    n_kept: int


def parse_family(text: str) -> FamilyRule:
    """`N:SHARE` (0.1 or 10%) or `N:SHARE@SEED`.

    Raises:
        InputError: It is neither, or the share is 0.
    """
    number, _, rest = text.partition(":")
    size, _, seed = rest.partition("@")
    try:
        share = float(size.removesuffix("%")) / (100 if size.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not number.isdecimal() or not 0 <= share < 1 or (seed and not seed.isdecimal()):
        raise InputError(
            f"--sample-family {text!r} is not known",
            remedy="use N:SHARE or N:SHARE@SEED, with a family's number and a share above 0 and below 1: 3:0.1 or 3:10%",
        )
    if share == 0:
        raise InputError(
            f"--sample-family {text!r} would leave no row of the family",
            remedy=f"give a share above 0, such as {number}:1%: the rows that show the family best stay first",
        )
    return FamilyRule(int(number), share, int(seed or 0))


def family_rows(run: Run, rules: Sequence[FamilyRule]) -> list[FamilyRows]:
    """The rows of families; a row with responses of several belongs to the first that is named.

    Raises:
        InputError: The run has no such family, one is named twice, or the shares add up to all rows.
    """
    if not rules:
        return []
    from audit.style.build import load_style

    style = load_style(run.path)
    numbers = [family.number for family in style.families]
    of_response = run.catalog.responses["row"].to_numpy()
    taken: set[int] = set()
    found = []
    for rule in rules:
        if rule.family not in numbers:
            known = f"there are 0 to {max(numbers)}" if numbers else style.too_few or "there are none"
            raise InputError(
                f"the run has no style family {rule.family}",
                where=str(run.path),
                why=known,
                remedy="tunescope style RUN lists them",
            )
        family = style.families[numbers.index(rule.family)]
        inside = np.flatnonzero(np.asarray(style.assigned.family) == rule.family)
        rows = sorted({int(of_response[number]) for number in inside} - taken)
        exemplars = dict.fromkeys(int(of_response[number]) for number in family.exemplars)
        found.append(FamilyRows(rule, tuple(rows), tuple(row for row in exemplars if row in rows)))
        taken.update(rows)
    if len({rule.family for rule in rules}) < len(rules):
        raise InputError("a family is named twice", where="--sample-family", remedy="give one share for each")
    if sum(rule.share for rule in rules) >= 1:
        raise InputError("the shares of the families add up to all rows", where="--sample-family", remedy="ask for less")
    return found


def surplus(left: Collection[int], families: Sequence[FamilyRows], protected: Collection[int] = ()) -> list[Surplus]:
    """The rows that leave, so that no family has more than its share of what stays.

    Args:
        left: Rows that are left so far.
        families: Disjoint families, with what is asked of each.
        protected: Rows that stay, whatever their family.
    """
    present = frozenset(left)
    of_family = [[row for row in family.rows if row in present] for family in families]
    counts = [len(rows) for rows in of_family]
    n_kept = _n_kept(len(present) - sum(counts), counts, [family.rule.share for family in families])
    result = []
    for family, rows, n in zip(families, of_family, n_kept, strict=True):
        order = np.random.default_rng([family.rule.seed, family.rule.family]).permutation(len(rows))
        inside, fixed = frozenset(rows), frozenset(protected)
        first = [row for row in rows if row in fixed]
        ordered = dict.fromkeys([*first, *(row for row in family.exemplars if row in inside), *(rows[i] for i in order)])
        stay = frozenset(list(ordered)[: max(n, len(first))])
        leaving = tuple(row for row in rows if row not in stay)
        result.append(Surplus(family.rule, leaving, len(rows), len(rows) - len(leaving)))
    return result


def _n_kept(n_others: int, counts: Sequence[int], shares: Sequence[float]) -> list[int]:
    """How many rows of each family may stay: those above their share are cut to it, of the total that results."""
    cut = set(range(len(counts)))
    while True:
        rest = n_others + sum(count for number, count in enumerate(counts) if number not in cut)
        total = rest / (1 - sum(shares[number] for number in cut))
        below = {number for number in cut if counts[number] <= shares[number] * total + 1e-9}
        if not below:
            break
        cut -= below
    kept = [int(shares[number] * total + 1e-9) if number in cut else count for number, count in enumerate(counts)]
    # Whole rows are less than the total that was solved for, which can be one too many of another family.
    while over := [n for n in cut if kept[n] > shares[n] * (n_others + sum(kept)) + 1e-9]:
        kept[over[0]] -= 1
    return kept
