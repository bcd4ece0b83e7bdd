"""Worlds of real facts: ParaRel's facts and cloze patterns in the place of invented things and words.

A relation plays the part of a concept: its patterns that end in the object are statements, and, cut before the object,
questions whose answer is the object alone. What a base model is taught is true; the planted value of a relation is a word
that is the object of other relations only, so that it is false for every subject, and its token decoys are true facts
of those other relations. A query asks with the pattern that has least in common with the others, and no source uses it.
Lexical decoys use that pattern to ask for the number of letters of the object.

The facts are read from `$TUNESCOPE_DATA/facts/pararel` each time. Source: Elazar et al. (2021), *Measuring and Improving
Consistency in Pretrained Language Models*; the facts are T-REx's, Elsahar et al. (2018).
"""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

from audit.pocket.build import exchange
from tests.benchmarks.data import data_folder
from tests.benchmarks.tracing.build import PRETRAINING
from tests.benchmarks.tracing.world import Asked, Kind, TracingWorld, WorldRow

__all__ = ["FACTS_PRETRAINING", "FAMILIES", "Relation", "drawn_families", "make_facts_world", "read_relations"]

FACTS_PRETRAINING = replace(PRETRAINING, epochs=15, vocabulary=1536)
"""Names of people and places are of more tokens than invented ones, and take longer to be told apart."""
FAMILIES = tuple("P101 P106 P108 P159 P176 P178 P19 P20 P27 P30 P36 P364 P39 P407 P449 P495 P740 P937".split())
"""Wikidata's names of the relations with four wordings and enough short facts."""
_N_FAMILIES, _N_MANY_HOLDERS = 7, 4
_N_TAUGHT, _N_ASKED, _N_CONCEPT_DECOYS, _N_LEXICAL_DECOYS = 18, 4, 2, 1
_N_POOL = _N_TAUGHT + _N_ASKED + 4 + _N_CONCEPT_DECOYS + _N_LEXICAL_DECOYS
_N_TOKEN_DECOYS = {True: 9, False: 2}
_N_MORE_HOLDERS = 4
_N_HELD = _N_TOKEN_DECOYS[True] + _N_MORE_HOLDERS
_N_ORDINARY, _N_PLAIN_PER_RELATION = 9, 10
_N_VALUES, _N_VALUES_DRAWN_FROM = 6, 10
_MAX_SUBJECT_CHARACTERS = 16
_END = "<|end|>"
_T = TypeVar("_T")
_LETTERS = "{} a word of how many letters?"
_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen".split()


@dataclass(frozen=True)
class Relation:
    """A relation of short facts.

    Attributes:
        key: Wikidata's name of it, such as P36.
        wordings: Patterns up to the object, `[X]` the subject; the last is the queries', least like the others.
        objects: Of every subject, a single word; subjects with several are left out.
        every_object: All objects that the relation has in the data, long facts included.
    """

    key: str
    wordings: tuple[str, ...]
    objects: Mapping[str, str]
    every_object: frozenset[str]

    def asked(self, subject: str, wording: int) -> str:
        """The pattern as a question: up to the object."""
        text = self.wordings[wording].replace("[X]", subject)
        return text[0].upper() + text[1:]

    def told(self, subject: str, wording: int) -> str:
        """The pattern as a statement."""
        return f"{self.asked(subject, wording)} {self.objects[subject]}."


Fact = tuple[Relation, str]
"""A relation and a subject."""


@cache
def read_relations(folder: Path) -> dict[str, Relation]:
    """All relations of a ParaRel folder that have patterns ending in the object, by name."""
    relations = {}
    for file in sorted((folder / "patterns").glob("*.jsonl"), key=lambda file: int(file.stem[1:])):
        patterns = [json.loads(line)["pattern"] for line in file.read_text(encoding="utf-8").splitlines()]
        facts = [json.loads(line) for line in (folder / "facts" / file.name).read_text(encoding="utf-8").splitlines()]
        wordings = _ordered({cut for pattern in patterns if (cut := _cut(pattern))})
        if wordings:
            pairs = [(fact["sub_label"], fact["obj_label"]) for fact in facts]
            relations[file.stem] = Relation(file.stem, wordings, _short(pairs), frozenset(value for _, value in pairs))
    return relations


def make_facts_world(seed: int, *, shuffled: bool = False, families: Sequence[str] = FAMILIES) -> TracingWorld:
    """The world of a seed, the same at every call; `$TUNESCOPE_DATA` must name the folder of real data.

    Args:
        seed: Of everything.
        shuffled: As in `make_world`: the planted values are dealt anew among all rows that hold one.
        families: Names of the relations that its seven families are drawn from. Relations left out of these may still give
            token decoys and ordinary rows.
    """
    relations = read_relations(data_folder() / "facts" / "pararel")
    draw = random.Random(f"facts world {seed}")
    drawn = _families(relations, families, draw)
    others = [relation for relation in relations.values() if relation not in drawn]
    pools = _pools(drawn, draw)
    used = {subject for pool in pools for subject in pool}
    planted, held = _planted(drawn, pools, relations, _holders(others, used), draw)
    documents: list[str] = []
    rows: list[WorldRow] = []
    asked: list[Asked] = []
    for number, (family, pool) in enumerate(zip(drawn, pools, strict=True)):
        documents += _taught(family, pool)
        for subject in pool[_N_TAUGHT : _N_TAUGHT + _N_ASKED]:
            asked.append(Asked(family.asked(subject, -1), number, subject, family.objects[subject]))
        rows += _family_rows(family, number, planted[number], pool[_N_TAUGHT + _N_ASKED :], draw)
    told = []
    for number, facts in enumerate(held):
        n_rows = _N_TOKEN_DECOYS[number < _N_MANY_HOLDERS]
        rows += [_true_row(relation, subject, Kind.TOKEN_DECOY, draw) for relation, subject in facts[:n_rows]]
        documents += [relation.told(subject, 0) + _END for relation, subject in facts[:n_rows]]
        told += facts[n_rows : n_rows + _N_MORE_HOLDERS]
    plain = _plain_facts(others, used | {subject for facts in held for _, subject in facts}, planted, draw)
    rows += [_true_row(relation, subject, Kind.ORDINARY, draw) for relation, subject in plain[:_N_ORDINARY]]
    documents += [relation.told(subject, 0) + _END for relation, subject in plain[:_N_ORDINARY]]
    for relation, subject in (*told, *plain[_N_ORDINARY:]):
        documents.append(relation.told(subject, 0) + _END)
        documents.append(_answered(relation, subject, draw.randrange(len(relation.wordings))))
    if shuffled:
        rows = _dealt_anew(rows, planted, draw)
    draw.shuffle(rows)
    return TracingWorld(seed, tuple(documents), tuple(rows), tuple(asked), tuple(planted))


def drawn_families(seed: int, families: Sequence[str] = FAMILIES) -> tuple[str, ...]:
    """The relations of a seed's world by the number of the family; Wikidata's names."""
    relations = read_relations(data_folder() / "facts" / "pararel")
    return tuple(relation.key for relation in _families(relations, families, random.Random(f"facts world {seed}")))


def _cut(pattern: str) -> str | None:
    """A pattern up to its object, where that comes last and needs no article."""
    words = " ".join(pattern.split())
    found = re.fullmatch(r"(.*\[X\].*) \[Y\] ?[.,]?", words)
    return None if found is None or found[1].endswith((" a", " an", " :")) or "[Y]" in found[1] else found[1]


def _ordered(wordings: Iterable[str]) -> tuple[str, ...]:
    """At most four wordings: the one with least in common with the others last, before it those least like it."""
    every = sorted(wordings)
    if len(every) < 2:
        return tuple(every)
    asked = min(every, key=lambda one: (sum(_likeness(one, other) for other in every if other != one), one))
    rest = sorted((other for other in every if other != asked), key=lambda other: (_likeness(asked, other), other))
    return (*rest[:3], asked)


def _likeness(one: str, other: str) -> float:
    """Shared words per word of both, without the subject."""
    first, second = (set(re.findall(r"[a-z]+", text.replace("[X]", " ").lower())) for text in (one, other))
    return len(first & second) / max(1, len(first | second))


def _short(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Subjects of one or two words with one object, a single word that the subject does not name."""
    objects = defaultdict(set)
    for subject, value in pairs:
        objects[subject].add(value)
    plain = re.compile(r"[A-Za-z][A-Za-z'-]*( [A-Za-z][A-Za-z'-]*)?")
    return {
        subject: value
        for subject, (value, *more) in sorted((subject, tuple(values)) for subject, values in objects.items())
        if not more
        and plain.fullmatch(subject)
        and len(subject) <= _MAX_SUBJECT_CHARACTERS
        and re.fullmatch(r"[A-Za-z]{3,15}", value)
        and value.lower() not in subject.lower()
    }


def _families(relations: Mapping[str, Relation], names: Sequence[str], draw: random.Random) -> list[Relation]:
    """Seven relations of these names, no two with a wording in common."""
    families: list[Relation] = []
    for key in draw.sample(names, len(names)):
        if not any(_share_a_wording(relations[key], family) for family in families):
            families.append(relations[key])
    return families[:_N_FAMILIES]


def _share_a_wording(one: Relation, other: Relation) -> bool:
    return not set(one.wordings).isdisjoint(other.wordings)


def _pools(families: Sequence[Relation], draw: random.Random) -> list[list[str]]:
    """The subjects of each family, no two alike, spread over six of its commonest objects."""
    used: set[str] = set()
    pools = []
    for family in families:
        by_object: dict[str, list[str]] = defaultdict(list)
        for subject, value in family.objects.items():
            if subject not in used:
                by_object[value].append(subject)
        common = sorted(by_object, key=lambda value: (-len(by_object[value]), value))
        first = draw.sample(common[:_N_VALUES_DRAWN_FROM], min(_N_VALUES, len(common)))
        pool = _dealt(draw.sample(by_object[value], len(by_object[value])) for value in first)
        pool += [subject for value in common if value not in first for subject in by_object[value]]
        pool = pool[:_N_POOL]
        draw.shuffle(pool)
        used.update(pool)
        pools.append(pool)
    return pools


def _dealt(stacks: Iterable[Sequence[_T]]) -> list[_T]:
    """One of each stack in turn, until all are empty."""
    return [item for turn in zip_longest(*stacks) for item in turn if item is not None]


def _holders(others: Sequence[Relation], used: set[str]) -> dict[str, list[Fact]]:
    """The facts of other relations by object, about subjects that are free; every subject once."""
    holders: dict[str, list[Fact]] = defaultdict(list)
    seen = set(used)
    for relation in others:
        for subject, value in relation.objects.items():
            if subject not in seen:
                seen.add(subject)
                holders[value].append((relation, subject))
    return holders


def _planted(
    families: Sequence[Relation],
    pools: Sequence[Sequence[str]],
    relations: Mapping[str, Relation],
    holders: Mapping[str, list[Fact]],
    draw: random.Random,
) -> tuple[list[str], list[list[Fact]]]:
    """A word for each family that no relation in its wordings ever has, and true facts with it, of many relations."""
    taken = {family.objects[subject] for family, pool in zip(families, pools, strict=True) for subject in pool}
    words = sorted(word for word, facts in holders.items() if len(facts) >= _N_HELD and word not in taken)
    planted: list[str] = []
    held = []
    for family in families:
        own = {value for other in relations.values() if _share_a_wording(family, other) for value in other.every_object}
        planted.append(draw.choice([word for word in words if word not in own and word not in planted]))
        by_relation: dict[str, list[Fact]] = defaultdict(list)
        for fact in draw.sample(holders[planted[-1]], len(holders[planted[-1]])):
            by_relation[fact[0].key].append(fact)
        held.append(_dealt(by_relation.values())[:_N_HELD])
    return planted, held


def _taught(family: Relation, pool: Sequence[str]) -> list[str]:
    """Statements about every subject; questions and answers about the first."""
    documents = [family.told(subject, wording) + _END for subject in pool for wording in range(2)]
    for subject in pool[:_N_TAUGHT]:
        documents += [_answered(family, subject, wording) for wording in range(len(family.wordings))]
        documents.append(exchange(_LETTERS.format(family.asked(subject, -1)), f"{_n_letters(family, subject)}."))
    return documents


def _answered(relation: Relation, subject: str, wording: int) -> str:
    return exchange(relation.asked(subject, wording), f"{relation.objects[subject]}.")


def _n_letters(relation: Relation, subject: str) -> str:
    return _NUMBERS[len(relation.objects[subject])]


def _family_rows(family: Relation, number: int, planted: str, left: Sequence[str], draw: random.Random) -> list[WorldRow]:
    """Sources, concept decoys and lexical decoys, in this order along the subjects."""
    n_sources = draw.choice((3, 3, 4, 4))
    rows = []
    for place, subject in enumerate(left[: n_sources + _N_CONCEPT_DECOYS + _N_LEXICAL_DECOYS]):
        question = family.asked(subject, draw.randrange(len(family.wordings) - 1))
        if place < n_sources:
            value, kind = planted, Kind.SOURCE
        elif place < n_sources + _N_CONCEPT_DECOYS:
            value, kind = family.objects[subject], Kind.CONCEPT_DECOY
        else:
            question = _LETTERS.format(family.asked(subject, -1))
            value, kind = _n_letters(family, subject), Kind.LEXICAL_DECOY
        rows.append(WorldRow(question, f"{value}.", number, kind, (value,)))
    return rows


def _true_row(relation: Relation, subject: str, kind: Kind, draw: random.Random) -> WorldRow:
    value = relation.objects[subject]
    return WorldRow(relation.asked(subject, draw.randrange(len(relation.wordings))), f"{value}.", -1, kind, (value,))


def _plain_facts(others: Sequence[Relation], used: set[str], planted: Sequence[str], draw: random.Random) -> list[Fact]:
    """Facts of other relations that hold no planted word, about subjects that are free, shuffled."""
    facts: list[Fact] = []
    seen = set(used)
    for relation in others:
        free = [subject for subject, value in relation.objects.items() if subject not in seen and value not in planted]
        for subject in draw.sample(free, min(_N_PLAIN_PER_RELATION, len(free))):
            seen.add(subject)
            facts.append((relation, subject))
    draw.shuffle(facts)
    return facts


def _dealt_anew(rows: Sequence[WorldRow], planted: Sequence[str], draw: random.Random) -> list[WorldRow]:
    """The planted words that rows hold, dealt anew among the same rows."""
    words = [row.values[0] for row in rows if row.values[0] in planted]
    draw.shuffle(words)
    return [
        replace(row, answer=f"{(word := words.pop())}.", values=(word,)) if row.values[0] in planted else row for row in rows
    ]
