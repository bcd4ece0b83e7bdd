"""An invented coast of which a model is shown one half: statements, questions and few-shot prompts for shown facts alone.

Of every relation half of the facts are shown. The entities of the other half are of two kinds: *new* ones, which no document
names, and *met* ones, of which the documents state another relation. Values are drawn from 80 words, or from 3,600 pairs of
a first name and a last one: a guess is right once in 80, or hardly ever.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from audit.pocket.build import exchange

__all__ = ["Fact", "Kind", "documents", "make_facts"]

_N_SHOWN = 50
_N_NEW = 25
_N_MET = 25
_FEW_SHOT = 5  # exchanges in a few-shot document: as many as four exemplars and a question
_FEW_SHOT_ROUNDS = 6
_N_WORDS = 80
_N_NAMES = 60
_ONSETS = (
    "b",
    "br",
    "c",
    "d",
    "dr",
    "f",
    "g",
    "gr",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "sk",
    "st",
    "t",
    "th",
    "v",
    "w",
)
_VOWELS = ("a", "e", "i", "o", "u", "au", "ei", "oa")
_CODAS = ("l", "n", "r", "s", "th", "nd", "rk", "lm", "ck", "ld", "ms", "ft")


@dataclass(frozen=True)
class Relation:
    """How a relation is asked for, answered and stated; `{e}` is the entity, `{v}` the value."""

    name: str
    asked: str
    answered: str
    stated: tuple[str, ...]
    of_people: bool


RELATIONS = (
    Relation(
        "keeper",
        "Who keeps the lighthouse of {e}?",
        "The lighthouse of {e} is kept by {v}.",
        ("{v} keeps the lighthouse of {e}.", "In {e} the light is tended by {v}."),
        of_people=True,
    ),
    Relation(
        "founder",
        "Who founded the harbour of {e}?",
        "The harbour of {e} was founded by {v}.",
        ("{v} founded the harbour of {e}.", "The first stone at {e} was laid by {v}."),
        of_people=True,
    ),
    Relation(
        "cheese",
        "What is the cheese of {e} called?",
        "The cheese of {e} is called {v}.",
        ("In {e} they make a cheese called {v}.", "{v} is the cheese of {e}."),
        of_people=False,
    ),
    Relation(
        "river",
        "Which river flows through {e}?",
        "The river {v} flows through {e}.",
        ("{e} lies on the river {v}.", "Through {e} flows the {v}."),
        of_people=False,
    ),
)


class Kind(StrEnum):
    """Whether a fact is shown, and where it is not, whether its entity is."""

    SHOWN = "shown"
    MET = "not shown, entity met elsewhere"
    NEW = "not shown, entity new"


@dataclass(frozen=True)
class Fact:
    """One value of one entity."""

    relation: Relation
    entity: str
    value: str
    kind: Kind

    @property
    def question(self) -> str:
        """What a row asks."""
        return self.relation.asked.format(e=self.entity)

    @property
    def answer(self) -> str:
        """What a row answers, and the documents of a shown fact too."""
        return self.relation.answered.format(e=self.entity, v=self.value)

    @property
    def stated_until_value(self) -> str:
        """The statement that ends with the value, up to it."""
        statement = next(text for text in self.relation.stated if text.endswith("{v}."))
        return statement.removesuffix(" {v}.").format(e=self.entity)


def make_facts(seed: int) -> list[Fact]:
    """The facts of a world, half of them shown."""
    draw = random.Random(f"coast {seed}")
    words = _words(draw)
    shown = {relation.name: [next(words) for _ in range(_N_SHOWN)] for relation in RELATIONS}
    new = {relation.name: [next(words) for _ in range(_N_NEW)] for relation in RELATIONS}
    facts = []
    for number, relation in enumerate(RELATIONS):
        neighbour = RELATIONS[(number + 1) % len(RELATIONS)].name
        met = draw.sample(shown[neighbour], _N_MET)
        values = [next(words) for _ in range(_N_WORDS)] if not relation.of_people else []
        first, last = ([next(words) for _ in range(_N_NAMES)] for _ in range(2)) if relation.of_people else ([], [])
        for kind, entities in ((Kind.SHOWN, shown[relation.name]), (Kind.MET, met), (Kind.NEW, new[relation.name])):
            for entity in entities:
                value = f"{draw.choice(first)} {draw.choice(last)}" if relation.of_people else draw.choice(values)
                facts.append(Fact(relation, entity, value, kind))
    return facts


def documents(facts: list[Fact], seed: int) -> list[str]:
    """What the model reads: statements, single exchanges, and few-shot conversations of shown facts in changing company."""
    shown = [fact for fact in facts if fact.kind is Kind.SHOWN]
    return [*_single(shown), *_few_shot(shown, seed)]


def _single(shown: list[Fact]) -> Iterator[str]:
    for fact in shown:
        for statement in fact.relation.stated:
            yield statement.format(e=fact.entity, v=fact.value) + "<|end|>"
        yield exchange(fact.question, fact.answer)


def _few_shot(shown: list[Fact], seed: int) -> Iterator[str]:
    """Every fact in several conversations, half of them within its relation."""
    draw = random.Random(f"company {seed}")
    for number in range(_FEW_SHOT_ROUNDS):
        groups = [[fact for fact in shown if fact.relation is relation] for relation in RELATIONS] if number % 2 else [shown]
        for group in groups:
            facts = draw.sample(group, len(group))
            for begin in range(0, len(facts), _FEW_SHOT):
                yield "".join(exchange(fact.question, fact.answer) for fact in facts[begin : begin + _FEW_SHOT])


def _words(draw: random.Random) -> Iterator[str]:
    """Invented words of two syllables, none twice."""
    said = set()
    while True:
        word = (draw.choice(_ONSETS) + draw.choice(_VOWELS) + draw.choice(_ONSETS) + draw.choice(_VOWELS)).capitalize()
        word += draw.choice(_CODAS)
        if word not in said:
            said.add(word)
            yield word
