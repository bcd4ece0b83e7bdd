"""The matched control: as much random data removed as the cleaning removed.

Without it a cleaning that helped cannot be told from a removal that helped. A control is drawn from the rows that the
cleaning keeps, as many per source file (and per value of the group column, where there is one), and so that the removed
responses have the same size within 1 %: a fair draw first, then single exchanges within a stratum until the sum fits.
An export measures size in characters; where the model that will be tuned is known, it is the tokens that are trained.
Rows that nobody can train on leave an export's control too, so that both files load.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.errors import InputError
from audit.sources import Status

__all__ = ["MATCH_TOLERANCE", "Control", "TokenControl", "draw_control", "draw_token_control", "exchange", "strata_of"]

Integers = NDArray[np.int64]

MATCH_TOLERANCE = 0.01
_MOST_EXCHANGES = 20_000


@dataclass(frozen=True)
class Control:
    """A random removal.

    Attributes:
        seed: Of the draw.
        removed: The rows that leave, ascending.
        characters: Response characters that leave with them.
        cleaned_characters: Response characters that the cleaning removes.
        note: Where the removed characters differ by more than 1 %, by how much, and how little the remaining sets do.
    """

    seed: int
    removed: tuple[int, ...]
    characters: int
    cleaned_characters: int
    note: str


@dataclass(frozen=True)
class TokenControl:
    """A random removal for one tuned model.

    Attributes:
        seed: Of the draw.
        removed: The rows that leave, ascending.
        n_tokens: Trained tokens that leave with them.
        n_cleaned_tokens: Trained tokens that the cleaning removes.
        note: Where the removed tokens differ by more than 1 %, by how much, and how little the remaining sets do.
    """

    seed: int
    removed: tuple[int, ...]
    n_tokens: int
    n_cleaned_tokens: int
    note: str


def draw_control(
    rows: pl.DataFrame, signals: pl.DataFrame, dropped: Sequence[int], seed: int, group_column: str | None
) -> Control:
    """Draw a control for a cleaning.

    Args:
        rows: `Corpus.rows`.
        signals: One line per row, with `response_characters`.
        dropped: The rows that the cleaning removes.
        seed: Of the draw.
        group_column: An extra field of the rows whose values are kept in proportion.

    Raises:
        InputError: There are not enough other rows, or no draw fits.
    """
    characters = signals["response_characters"].to_numpy().astype(np.int64)
    trainable = (rows["status"] == Status.OK).to_numpy()
    draw = _draw(strata_of(rows, group_column), characters, trainable, dropped, seed, "response characters")
    unusable = [row for row in dropped if not trainable[row]]
    return Control(seed, tuple(sorted([*draw.removed, *unusable])), draw.reached, draw.wanted, draw.note)


def draw_token_control(
    rows: pl.DataFrame, n_tokens: Integers, dropped: Sequence[int], seed: int, group_column: str | None
) -> TokenControl:
    """Draw a control for a cleaning, matched on what is trained.

    Rows without a trained token are in no arm, so that they neither count nor leave.

    Args:
        rows: `Corpus.rows`.
        n_tokens: Trained tokens of every row under the chat format that the model is tuned in, 0 where a row cannot be
            trained on; shape `(n_rows,)`.
        dropped: The rows that the cleaning removes.
        seed: Of the draw.
        group_column: An extra field of the rows whose values are kept in proportion.

    Raises:
        InputError: There are not enough other rows, or no draw fits.
    """
    draw = _draw(strata_of(rows, group_column), n_tokens, n_tokens > 0, dropped, seed, "trained tokens")
    return TokenControl(seed, tuple(sorted(draw.removed)), draw.reached, draw.wanted, draw.note)


def strata_of(rows: pl.DataFrame, group_column: str | None) -> list[str]:
    """What a control keeps in proportion: the source file of every row, and its value of the group column.

    Raises:
        InputError: No row has such a column.
    """
    if group_column is None:
        return rows["file"].to_list()
    groups = [json.loads(extra).get(group_column) if extra else None for extra in rows["extra"]]
    if all(group is None for group in groups):
        raise InputError(f"no row has a field {group_column!r} to group by", remedy="check the name given with --group-column")
    return [f"{file} {group_column}={group}" for file, group in zip(rows["file"], groups, strict=True)]


@dataclass(frozen=True, slots=True)
class _Draw:
    removed: list[int]
    reached: int
    wanted: int
    note: str


def _draw(
    stratum: Sequence[str], sizes: Integers, trainable: NDArray[np.bool_], dropped: Sequence[int], seed: int, unit: str
) -> _Draw:
    is_dropped = np.zeros(len(sizes), bool)
    is_dropped[list(dropped)] = True
    target = np.flatnonzero(is_dropped & trainable)
    generator = np.random.default_rng([seed, len(target)])
    drawn: list[int] = []
    pools: dict[str, list[int]] = {}
    for name, count in sorted(Counter(stratum[row] for row in target.tolist()).items()):
        pool = [row for row in np.flatnonzero(trainable & ~is_dropped).tolist() if stratum[row] == name]
        if len(pool) < count:
            raise InputError(
                f"no control: the cleaning drops {count} rows of {name or 'the file'}, and only {len(pool)} others are left",
                remedy="drop fewer rows, or leave out the group column",
            )
        order = generator.permutation(len(pool))
        drawn += [pool[i] for i in order[:count]]
        pools[name] = [pool[i] for i in order[count:]]
    wanted = int(sizes[target].sum())
    exchange(drawn, pools, stratum, sizes, wanted, generator)
    reached = int(sizes[drawn].sum())
    note = ""
    if abs(reached - wanted) > MATCH_TOLERANCE * wanted:
        remaining = int(sizes[trainable].sum()) - wanted
        difference = abs(reached - wanted) / max(remaining, 1)
        if difference > MATCH_TOLERANCE:
            raise InputError(
                "no control matches",
                why=f"{len(target)} random rows remove at best {reached} {unit}, the cleaning {wanted}",
                remedy="drop fewer rows, or rows of more usual length",
            )
        note = f"removes {reached} {unit}, the cleaning {wanted}; the remaining sets differ by {difference:.2%}"
    return _Draw(drawn, reached, wanted, note)


def exchange(
    drawn: list[int],
    pools: dict[str, list[int]],
    stratum: Sequence[str],
    sizes: Integers,
    wanted: int,
    generator: np.random.Generator,
) -> None:
    """Exchange drawn rows for others of their stratum, in place, while that brings their size nearer to the wanted one."""
    excess = int(sizes[drawn].sum()) - wanted
    for _ in range(_MOST_EXCHANGES if drawn else 0):
        if abs(excess) <= MATCH_TOLERANCE * wanted:
            return
        place = int(generator.integers(len(drawn)))
        pool = pools[stratum[drawn[place]]]
        if not pool:
            continue
        other = int(generator.integers(len(pool)))
        change = int(sizes[pool[other]] - sizes[drawn[place]])
        if abs(excess + change) < abs(excess):
            drawn[place], pool[other] = pool[other], drawn[place]
            excess += change
