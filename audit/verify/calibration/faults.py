"""Where false words are planted: pairs of rows about the same, whose questions share many, some or few words.

One row of a pair becomes the question, and leaves the copy; the others get the wrong value. Rows are about the same where
their *responses* are near, by static vectors. Tracing compares prompts, so pairs found by their prompts would be found
again by it; and answers that are near leave it open how the question was worded, which is what the levels grade.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.materials import Materials
from audit.verify.calibration.model import Fault, Level
from audit.verify.calibration.values import Value, ValueCell, exchange, find_values, is_content, make_value
from indexes.dense import SIMILARITY_DECIMALS
from indexes.encoders import Encoder
from indexes.words import tokenize

__all__ = ["Edit", "Ground", "Planting", "level_of", "plan_faults"]

MOST_PLANTED = 4
"""Rows of a fault."""
_LEAST_PROMPT_WORDS = 3  # of fewer, a share says little
_NEIGHBOURS = 50
_NEIGHBOUR_SHARE = 0.1
_LEAST_COSINE = 0.6  # of responses; below, even the nearest are about something else
_DRAWS = 12  # of a value, before a question is given up
_BLOCK = 256


class Edit(NamedTuple):
    """A response with the wrong value in it."""

    row: int
    turn: int
    text: str


@dataclass(frozen=True)
class Planting:
    """A fault and the changes that plant it."""

    fault: Fault
    edits: tuple[Edit, ...]


class Ground:
    """What faults are planted into: a run's responses, their vectors and the values that many of them hold."""

    def __init__(self, materials: Materials, encoder: Encoder) -> None:
        self.materials = materials
        self.encoder = encoder
        responses = materials.corpus.responses
        self.row = materials.row_of_response
        self.turn: list[int] = responses["turn"].to_list()
        self.prompts: list[str] = responses["prompt"].to_list()
        self.texts: list[str] = responses["text"].to_list()

    @cached_property
    def content(self) -> list[frozenset[str]]:
        """The content words of every prompt."""
        return [frozenset(filter(is_content, tokenize(prompt))) for prompt in self.prompts]

    @cached_property
    def usable(self) -> NDArray[np.int64]:
        """Responses whose prompt has enough content words and that have a vector, ascending."""
        n_words = np.fromiter(map(len, self.content), np.int64, len(self.content))
        return np.flatnonzero((n_words >= _LEAST_PROMPT_WORDS) & self.vectors.any(axis=1))

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """Static vectors of the responses, shape `(n_responses, dim)`."""
        return self.encoder.encode(self.texts)

    @cached_property
    def values(self) -> Mapping[ValueCell, NDArray[np.int64]]:
        """See `find_values`."""
        return find_values(self.materials.phrases)

    def words(self, response: int) -> set[str]:
        """The tokens of a response and of its prompt."""
        return {*tokenize(self.prompts[response]), *tokenize(self.texts[response])}

    def neighbours(self, probes: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """For each probe, the usable responses of other rows nearest by their text, nearest first."""
        n_near = int(min(_NEIGHBOURS, max(1, _NEIGHBOUR_SHARE * len(self.usable))))
        cosines = np.round(self.vectors[probes] @ self.vectors[self.usable].T, SIMILARITY_DECIMALS)
        cosines[self.row[probes][:, None] == self.row[self.usable][None]] = -1
        n_taken = min(n_near, len(self.usable))
        best = np.argpartition(-cosines, n_taken - 1, axis=1)[:, :n_taken]
        near = []
        for line, columns in zip(cosines, best, strict=True):
            columns = columns[line[columns] >= _LEAST_COSINE]
            near.append(self.usable[columns[np.lexsort((columns, -line[columns]))]])
        return near

    def overlap(self, probe: int, source: int) -> float:
        """The share of the probe prompt's content words that the source's prompt holds."""
        return len(self.content[probe] & self.content[source]) / len(self.content[probe])

    def prompt_cosine(self, probe: int, source: int) -> float:
        """Of the two prompts, static vectors."""
        vectors = self.materials.prompt_vectors
        return round(float(vectors[probe] @ vectors[source]), SIMILARITY_DECIMALS)


def level_of(overlap: float) -> Level:
    """The difficulty of a planted row whose prompt holds this share of the question's content words."""
    if overlap <= 0.3:
        return Level.HARD
    return Level.EASY if overlap >= 0.6 else Level.MEDIUM


def plan_faults(
    ground: Ground,
    wanted: Mapping[Level | None, int],
    generator: np.random.Generator,
    *,
    spent: set[int],
    first_number: int = 0,
) -> list[Planting]:
    """Faults for one copy, none of which touches a row of another.

    Args:
        ground: The dataset.
        wanted: How many of each level, and of blank claims (`None`); fewer are planned where pairs run out.
        generator: Of the order of the probes, the number of rows and the values.
        spent: Rows that no claim may be made of any more; those of the planned claims are added.
        first_number: Of the first fault.
    """
    left = dict(wanted)
    cells = _Cells(ground, generator)
    used: set[int] = set()
    planned: list[Planting] = []
    order = generator.permutation(ground.usable)
    for begin in range(0, len(order), _BLOCK):
        if not any(left.values()):
            break
        block = order[begin : begin + _BLOCK]
        for probe, near in zip(block.tolist(), ground.neighbours(block), strict=True):
            row = int(ground.row[probe])
            if row in used or row in spent:
                continue
            by_level = _by_level(ground, probe, near.tolist(), used)
            open_levels = [level for level in (*Level, None) if left.get(level) and (level is None or by_level[level])]
            if not open_levels:
                continue
            level = open_levels[int(generator.integers(len(open_levels)))]
            sources = by_level[level][: int(generator.integers(1, MOST_PLANTED + 1))] if level else []
            planting = _plant(ground, cells, probe, level, sources, first_number + len(planned))
            if planting is None:
                continue
            planned.append(planting)
            left[level] -= 1
            spent.add(row)
            used |= {row, *planting.fault.planted}
    return planned


class _Cells:
    """Draws values, from every cell in turn, so that each level has its share of each."""

    def __init__(self, ground: Ground, generator: np.random.Generator) -> None:
        self._ground = ground
        self._generator = generator
        self._turn: dict[Level | None, int] = {}

    def draw(self, level: Level | None, known: Set[str]) -> Iterator[tuple[ValueCell, Value]]:
        """Some values without a known word, of the cell whose turn it is: the cell after the one last used."""
        cells, phrases = list(self._ground.values), self._ground.materials.phrases
        cell = cells[self._turn.get(level, 0) % len(cells)]
        candidates = self._ground.values[cell]
        for number in self._generator.integers(len(candidates), size=_DRAWS).tolist():
            words = candidates[number].tolist()
            if known.isdisjoint(phrases.stream.vocabulary[word] for word in words):
                value = make_value(phrases, words, self._ground.texts)
                if value is not None:
                    yield cell, value

    def took(self, level: Level | None) -> None:
        """A value of the level's cell was used."""
        self._turn[level] = self._turn.get(level, 0) + 1


def _by_level(ground: Ground, probe: int, near: Sequence[int], used: set[int]) -> dict[Level, list[int]]:
    """The probe's free neighbours, nearest first, one response of a row; those that ask the very same are left out."""
    by_level: dict[Level, list[int]] = {level: [] for level in Level}
    rows: set[int] = set()
    for source in near:
        row = int(ground.row[source])
        if row in used or row in rows or ground.content[source] == ground.content[probe]:
            continue
        rows.add(row)
        by_level[level_of(ground.overlap(probe, source))].append(source)
    return by_level


def _plant(
    ground: Ground, cells: _Cells, probe: int, level: Level | None, sources: Sequence[int], number: int
) -> Planting | None:
    """A fault of the first drawn value that fits; `None` where none does."""
    phrases = ground.materials.phrases
    known = ground.words(probe).union(*(ground.words(source) for source in sources))
    for (n_words, rarity), value in cells.draw(level, known):
        claim = exchange(ground.texts[probe], value, phrases, frozenset(tokenize(ground.prompts[probe])))
        changed = [
            (source, exchange(ground.texts[source], value, phrases, frozenset(tokenize(ground.prompts[source]))))
            for source in sources
        ]
        planted = [(source, change[0]) for source, change in changed if change is not None]
        if claim is None or (level is not None and not planted):
            continue
        cells.took(level)
        answer, start, end = claim
        fault = Fault(
            number=number,
            level=level,
            value=value.text,
            n_words=n_words,
            rarity=rarity,
            probe=int(ground.row[probe]),
            prompt=ground.prompts[probe],
            answer=answer,
            start=start,
            end=end,
            planted=tuple(int(ground.row[source]) for source, _ in planted),
            overlaps=tuple(round(ground.overlap(probe, source), 4) for source, _ in planted),
            cosines=tuple(ground.prompt_cosine(probe, source) for source, _ in planted),
        )
        return Planting(fault, tuple(Edit(int(ground.row[source]), ground.turn[source], text) for source, text in planted))
    return None
