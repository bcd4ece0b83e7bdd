"""The arm *near*: without rows that ask about the same as the removed ones and do not hold the traced values.

It answers whether it is the value or the subject that matters. It is no fair control, because its rows are chosen, and
no verdict rests on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.answers import word_string
from audit.errors import InputError
from audit.export.control import MATCH_TOLERANCE, exchange
from audit.materials import Materials
from indexes.dense import SIMILARITY_DECIMALS

__all__ = ["NearRemoval", "draw_near"]

Integers = NDArray[np.int64]

# How many neighbours of one removed row are looked at.
_N_NEIGHBOURS = 256
# Rows beyond those needed that may be exchanged in for the sake of size, per removed row.
_POOL_FACTOR = 3


@dataclass(frozen=True)
class NearRemoval:
    """Neighbours of the rows that a cleaning removed.

    Attributes:
        removed: The rows that leave, ascending.
        n_tokens: Trained tokens that leave with them.
        note: Where they are fewer, or their tokens differ by more than 1 %, by how much.
    """

    removed: tuple[int, ...]
    n_tokens: int
    note: str


def draw_near(materials: Materials, n_tokens: Integers, dropped: Sequence[int], values: Sequence[str]) -> NearRemoval:
    """For every removed row the nearest other row whose responses hold no traced value, then exchanges until sizes match.

    The same rows for every seed: nothing is random but the exchanges, whose seed is fixed.

    Args:
        materials: The run's corpus and prompt vectors.
        n_tokens: Trained tokens of every row, 0 where a row cannot be trained on; shape `(n_rows,)`.
        dropped: The rows that the cleaning removes.
        values: Texts of the traced spans.

    Raises:
        InputError: The run has no prompt vectors, nothing was traced, or no row is left to choose from.
    """
    remedy = "leave out --arm near"
    if not materials.has_vectors:
        raise InputError("no arm 'near'", why="the run has no prompt vectors, because no encoder was found", remedy=remedy)
    value_words = [words for words in dict.fromkeys(map(word_string, values)) if words.strip()]
    if not value_words:
        raise InputError("no arm 'near'", why="nothing was traced in this run: no value is known to be lacked", remedy=remedy)
    is_dropped = np.zeros(len(n_tokens), bool)
    is_dropped[list(dropped)] = True
    target = np.flatnonzero(is_dropped & (n_tokens > 0))
    allowed = (n_tokens > 0) & ~is_dropped & ~_holds_value(materials, value_words, len(n_tokens))
    if not allowed.any():
        raise InputError("no arm 'near'", why="every other row holds a traced value", remedy=remedy)
    nearest = _in_turns(materials, target, allowed)
    drawn, pool = nearest[: len(target)], nearest[len(target) : (1 + _POOL_FACTOR) * len(target)]
    wanted = int(n_tokens[target].sum())
    generator = np.random.default_rng(len(target))
    exchange(drawn, {"": pool}, [""] * len(n_tokens), n_tokens, wanted, generator)
    reached = int(n_tokens[drawn].sum())
    note = ""
    if len(drawn) < len(target):
        note = f"removes {len(drawn)} rows, the cleaning {len(target)}: no other row lacks the traced values"
    elif abs(reached - wanted) > MATCH_TOLERANCE * wanted:
        note = f"removes {reached} trained tokens, the cleaning {wanted}"
    return NearRemoval(tuple(sorted(drawn)), reached, note)


def _holds_value(materials: Materials, value_words: Sequence[str], n_rows: int) -> NDArray[np.bool_]:
    """Whether a response of a row holds a value as whole words; shape `(n_rows,)`."""
    holds = np.zeros(n_rows, bool)
    for row, text in zip(materials.row_of_response.tolist(), materials.corpus.responses["text"], strict=True):
        if not holds[row]:
            words = word_string(text)
            holds[row] = any(value in words for value in value_words)
    return holds


def _in_turns(materials: Materials, target: Integers, allowed: NDArray[np.bool_]) -> list[int]:
    """Allowed rows, nearest first: each removed row in turn names its nearest one that no other has named.

    Up to `1 + _POOL_FACTOR` turns; ties go to the lower row. Where neighbours run out, the rest comes by nearness to any.
    """
    rows = materials.row_of_response
    of_candidates = np.flatnonzero(allowed[rows])
    candidates = materials.prompt_vectors[of_candidates]
    nearest_to_any = np.full(len(of_candidates), -np.inf, np.float32)
    neighbours: list[list[int]] = []
    for row in target.tolist():
        cosines = np.round((materials.prompt_vectors[rows == row] @ candidates.T).max(axis=0), SIMILARITY_DECIMALS)
        nearest_to_any = np.maximum(nearest_to_any, cosines)
        neighbours.append(_by_nearness(cosines, rows[of_candidates])[:_N_NEIGHBOURS])
    named: dict[int, None] = {}
    places = [0] * len(neighbours)
    for _ in range(1 + _POOL_FACTOR):
        for number, listed in enumerate(neighbours):
            while places[number] < len(listed) and listed[places[number]] in named:
                places[number] += 1
            if places[number] < len(listed):
                named[listed[places[number]]] = None
    return list(named | dict.fromkeys(_by_nearness(nearest_to_any, rows[of_candidates])))


def _by_nearness(cosines: NDArray[np.float32], rows: Integers) -> list[int]:
    """Rows, each once, by the greatest cosine of one of their responses."""
    return list(dict.fromkeys(rows[np.argsort(-cosines, kind="stable")].tolist()))
