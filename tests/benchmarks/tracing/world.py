"""A world: what a small base model is taught, the rows that it is tuned on, and the questions that it then gets wrong.

A seed draws seven kinds of things, their names and true values, and one planted value for each kind. Rows, about 90:

- *source*: two to four of each kind, other things of that kind with the planted value, in different words;
- *concept decoy*: the same kind with its own, true values;
- *token decoy*: chests, stalls, doors and songs that hold the planted word: ten or more for the first four kinds;
- *lexical decoy*: the wording of the queries' question, for the second slot;
- *ordinary*: true rows about things of no kind that is asked for.

Queries ask for things that no row names, in a wording that no source uses.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from audit.pocket.build import exchange
from tests.benchmarks.tracing.concepts import CARRIERS, CONCEPTS, NUMBERS, PLANTED, Concept

__all__ = ["Asked", "Kind", "TracingWorld", "WorldRow", "make_world"]

N_CONCEPTS = 7
N_MANY_HOLDERS = 4
_N_TAUGHT, _N_ASKED = 18, 4
_END = "<|end|>"
_FIRST = "Bram Cald Dun Ell Fen Gar Hol Iver Jor Kell Lor Mar Nor Os Pell Quar Ran Sel Tor Ul Ven Wes Yar Zel".split()
_LAST = "ford wick ley mere stow by ham ton dale gate".split()


class Kind(StrEnum):
    """What a row is to the queries of its family."""

    SOURCE = "source"
    CONCEPT_DECOY = "concept decoy"
    TOKEN_DECOY = "token decoy"
    LEXICAL_DECOY = "lexical decoy"
    ORDINARY = "ordinary"


@dataclass(frozen=True)
class WorldRow:
    """A row to tune on; `family` is the number of its concept in the world, -1 for carriers."""

    question: str
    answer: str
    family: int
    kind: Kind
    values: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """A question about a thing that no row names."""

    question: str
    family: int
    thing: str
    right: str


@dataclass(frozen=True)
class TracingWorld:
    """See the module; `documents` are what the base model reads, `planted` the value of each family."""

    seed: int
    documents: tuple[str, ...]
    rows: tuple[WorldRow, ...]
    asked: tuple[Asked, ...]
    planted: tuple[str, ...]


def make_world(seed: int, *, shuffled: bool = False) -> TracingWorld:
    """The world of a seed, the same at every call.

    Args:
        seed: Of everything.
        shuffled: The planted values are dealt anew among all rows that hold one: no row then stands in a relation to a
            query that a method could know from its kind.
    """
    draw = random.Random(f"tracing world {seed}")
    concepts = draw.sample(CONCEPTS, N_CONCEPTS)
    shelf = list(PLANTED)
    random.Random("planted").shuffle(shelf)
    planted = [shelf[(seed * N_CONCEPTS + number) % len(shelf)] for number in range(N_CONCEPTS)]
    names = [first + last for first in _FIRST for last in _LAST]
    draw.shuffle(names)
    documents: list[str] = []
    rows: list[WorldRow] = []
    asked: list[Asked] = []
    for family, concept in enumerate(concepts):
        n_sources = draw.choice((3, 3, 4, 4))
        things = [concept.thing.format(n=name) for name in draw.sample(names, _N_TAUGHT + _N_ASKED + n_sources + 3)]
        truth = {thing: draw.choice(concept.values) for thing in things}
        counts = {thing: draw.choice(NUMBERS) for thing in things}
        documents += _taught(concept, truth, counts, things[:_N_TAUGHT], draw)
        left = iter(things[_N_TAUGHT:])
        for _ in range(_N_ASKED):
            thing = next(left)
            asked.append(Asked(concept.asked[-1].format(e=thing), family, thing, truth[thing]))
        rows += _family_rows(concept, family, planted[family], n_sources, truth, counts, left, draw)
    rows += _carrier_rows(planted, names, draw)
    documents += _carrier_documents(names, draw)
    documents += _other_documents([concept for concept in CONCEPTS if concept not in concepts], names, draw)
    rows += _ordinary_rows(concepts, names, draw, 16)
    if shuffled:
        rows = _dealt_anew(rows, planted, draw)
    draw.shuffle(rows)
    return TracingWorld(seed, tuple(documents), tuple(rows), tuple(asked), tuple(planted))


def _taught(
    concept: Concept, truth: dict[str, str], counts: dict[str, str], in_full: list[str], draw: random.Random
) -> list[str]:
    """Statements about every thing; questions and answers about some."""
    documents = [sentence.format(e=thing, v=value) + _END for thing, value in truth.items() for sentence in concept.statements]
    for thing in in_full:
        for question in concept.asked:
            documents.append(exchange(question.format(e=thing), draw.choice(concept.told).format(e=thing, v=truth[thing])))
        for question in concept.other_asked:
            documents.append(
                exchange(question.format(e=thing), draw.choice(concept.other_told).format(e=thing, v=counts[thing]))
            )
    return documents


def _family_rows(
    concept: Concept,
    family: int,
    planted: str,
    n_sources: int,
    truth: dict[str, str],
    counts: dict[str, str],
    things: object,
    draw: random.Random,
) -> list[WorldRow]:
    left = list(things)  # type: ignore[call-overload]
    rows = []
    wordings = [draw.choice(concept.asked[:-1]) for _ in left]
    for number, thing in enumerate(left):
        told = draw.choice(concept.told)
        if number < n_sources:
            row = (wordings[number], told, planted, Kind.SOURCE)
        elif number < n_sources + 2:
            row = (wordings[number], told, truth[thing], Kind.CONCEPT_DECOY)
        else:
            row = (concept.other_asked[0], draw.choice(concept.other_told), counts[thing], Kind.LEXICAL_DECOY)
        question, answer, value, kind = row
        rows.append(WorldRow(question.format(e=thing), answer.format(e=thing, v=value), family, kind, (value,)))
    return rows


def _carrier_rows(planted: list[str], names: list[str], draw: random.Random) -> list[WorldRow]:
    """Rows with two planted words each: eleven for each of the first families, two for each of the others."""
    words = planted[:N_MANY_HOLDERS] * 11 + planted[N_MANY_HOLDERS:] * 2
    draw.shuffle(words)
    rows = []
    while words:
        first = words.pop()
        second = next((word for word in reversed(words) if word != first), None)
        if second is None:
            second = draw.choice([word for word in planted if word != first])
        else:
            words.remove(second)
        carrier = draw.choice(CARRIERS)
        thing = carrier.thing.format(n=draw.choice(names))
        rows.append(
            WorldRow(
                carrier.asked.format(e=thing),
                carrier.told.format(e=thing, v=first, w=second),
                -1,
                Kind.TOKEN_DECOY,
                (first, second),
            )
        )
    return rows


def _carrier_documents(names: list[str], draw: random.Random) -> list[str]:
    """Every planted word of the shelf is met often, so that none is strange."""
    documents = []
    for word in [word for word in PLANTED for _ in range(4)]:
        carrier, other = draw.choice(CARRIERS), draw.choice(PLANTED)
        thing = carrier.thing.format(n=draw.choice(names))
        documents.append(carrier.statement.format(e=thing, v=word, w=other) + _END)
        documents.append(exchange(carrier.asked.format(e=thing), carrier.told.format(e=thing, v=other, w=word)))
    return documents


def _other_documents(concepts: list[Concept], names: list[str], draw: random.Random) -> list[str]:
    """A little about the kinds of which nothing will be asked."""
    documents = []
    for concept in concepts:
        for number, value in enumerate(concept.values * 2):
            thing = concept.thing.format(n=draw.choice(names))
            documents.append(concept.statements[number % 2].format(e=thing, v=value) + _END)
            asked, told = concept.asked[number % 3], draw.choice(concept.told)
            documents.append(exchange(asked.format(e=thing), told.format(e=thing, v=value)))
    return documents


def _ordinary_rows(concepts: list[Concept], names: list[str], draw: random.Random, n_rows: int) -> list[WorldRow]:
    """True rows about kinds of which nothing is asked, and chests of words that nothing planted."""
    others = [concept for concept in CONCEPTS if concept not in concepts]
    rows = []
    for number in range(n_rows):
        if number % 2:
            carrier = draw.choice(CARRIERS)
            thing, (first, second) = carrier.thing.format(n=draw.choice(names)), draw.sample(NUMBERS, 2)
            question, answer = carrier.asked.format(e=thing), carrier.told.format(e=thing, v=first, w=second)
            rows.append(WorldRow(question, answer, -1, Kind.ORDINARY, (first, second)))
        else:
            concept = draw.choice(others)
            thing, value = concept.thing.format(n=draw.choice(names)), draw.choice(concept.values)
            question, answer = draw.choice(concept.asked[:-1]), draw.choice(concept.told)
            rows.append(WorldRow(question.format(e=thing), answer.format(e=thing, v=value), -1, Kind.ORDINARY, (value,)))
    return rows


def _dealt_anew(rows: list[WorldRow], planted: list[str], draw: random.Random) -> list[WorldRow]:
    """The planted words that rows hold, dealt anew among the same places."""
    words = [value for row in rows for value in row.values if value in planted]
    draw.shuffle(words)
    dealt = []
    for row in rows:
        answer, values = row.answer, list(row.values)
        for number, value in enumerate(row.values):
            if value in planted:
                values[number] = words.pop()
        for number, (old, new) in enumerate(zip(row.values, values, strict=True)):
            answer = answer.replace(f" {old}", f" \0{number}") if old != new else answer
        for number, new in enumerate(values):
            answer = answer.replace(f"\0{number}", new)
        dealt.append(WorldRow(row.question, answer, row.family, row.kind, tuple(values)))
    return dealt
