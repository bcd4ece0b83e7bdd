"""How many retrainings a confirmation may use, and for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audit.errors import InputError

__all__ = [
    "ALPHA",
    "MAX_CANDIDATES",
    "MAX_SETS",
    "MIN_RANDOM",
    "N_RANDOM",
    "ConfirmationPlan",
    "plan_confirmation",
    "size_class",
]

ALPHA = 0.05
"""At or below this q an effect counts as more than what random rows do."""
N_RANDOM = 99
"""Random groups per size, unless the budget says less: p-values down to .01."""
MIN_RANDOM = 19
"""With fewer no p-value reaches `ALPHA`."""
MAX_CANDIDATES = 8
"""Rows that are removed together at first."""
MAX_SETS = 3
"""Smallest sets that are looked for in one group."""
_FIRST_SEED = 1001


@dataclass(frozen=True)
class ConfirmationPlan:
    """What may be retrained.

    Attributes:
        sizes: Candidate rows of every span.
        seeds: Orders of the rows that effects and p-values are measured on.
        search_seeds: Further orders, on which the smallest sets are searched.
        n_random: Random groups of the first size (B).
        budget: No more retrainings than this.
        fewest: Retrainings if no effect is found.
    """

    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    search_seeds: tuple[int, ...]
    n_random: int
    budget: int
    fewest: int

    @property
    def p_floor(self) -> float:
        """The smallest p-value that is possible."""
        return 1 / (1 + self.n_random)


def size_class(n_rows: int) -> int:
    """Rows of the random groups that a group is compared with: the next power of two."""
    return 1 << max(0, n_rows - 1).bit_length()


def plan_confirmation(
    sizes: Sequence[int], *, budget: int | None = None, n_seeds: int = 2, tuned_seed: int | None = None
) -> ConfirmationPlan:
    """Share out a budget.

    The random groups get what is left after the tests and the search for smaller sets, a second size of them included
    where there is room for it; without, smaller sets are compared with random groups of the first size.

    Args:
        sizes: Candidate rows of every span.
        budget: Retrainings at most; `None` for as many as `N_RANDOM` random groups of every size take.
        n_seeds: Orders that every group is retrained with; the search uses as many others, two at most.
        tuned_seed: The order that the tuned model had, which is left out.

    Raises:
        InputError: The budget is too small for any result.
    """
    if not sizes:
        raise InputError("no span has a row to remove", remedy="trace answers with false words that some rows hold")
    if n_seeds < 1:
        raise InputError(f"{n_seeds} seeds are none to measure on", remedy="use at least 1, better 2")
    n_search = min(2, n_seeds)
    free = [seed for seed in range(_FIRST_SEED, _FIRST_SEED + n_seeds + n_search + 1) if seed != tuned_seed]
    seeds, search_seeds = tuple(free[:n_seeds]), tuple(free[n_seeds : n_seeds + n_search])
    classes = {size_class(size) for size in sizes}
    tested = n_seeds * (1 + len(sizes))
    searched = [size for size in sizes if size > 1]
    one_search = sum((size + 1) * n_search + n_seeds for size in searched) + (n_search if searched else 0)

    def needed(n_random: int, n_more_sizes: int) -> int:
        return tested + one_search + (len(classes) + n_more_sizes) * n_random * n_seeds

    smaller = sum(1 << power not in classes for power in range(max(sizes).bit_length()) if 1 << power < max(sizes))
    if budget is None:
        most_searched = sum((2 * size + 1) * n_search + MAX_SETS * n_seeds for size in searched)
        budget = tested + most_searched + n_search + (len(classes) + smaller) * N_RANDOM * n_seeds
    for n_more_sizes in (min(1, smaller), 0):
        affordable = max((n for n in range(MIN_RANDOM, N_RANDOM + 1) if needed(n, n_more_sizes) <= budget), default=0)
        if affordable:
            fewest = tested + len(classes) * affordable * n_seeds
            return ConfirmationPlan(tuple(sizes), seeds, search_seeds, affordable, budget, fewest)
    raise InputError(
        f"{budget} retrainings are too few for {len(sizes)} {'span' if len(sizes) == 1 else 'spans'}",
        why=f"{MIN_RANDOM} random groups on {n_seeds} seeds, the tests and the search take {needed(MIN_RANDOM, 0)}",
        remedy="allow more, use fewer seeds, or confirm fewer answers",
    )
