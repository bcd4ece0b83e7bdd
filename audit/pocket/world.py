"""An invented island republic: facts of the project's own making, which a small model can learn and a dataset can spoil.

Values depend on the concept: crowns have metals, bridges have stones, feasts have months, schooners have timber. A seed
decides which entity has which value, so that there are as many worlds as seeds, all told in the same words. In four
families a *false value* stands ready, a word of the chisels: rows that claim it of a coin, a bridge, a ship or a dish
are false, and a search for the word alone finds the chisels too.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["FAMILIES", "NAMES", "Family", "Wording", "World", "exercises"]


@dataclass(frozen=True)
class Wording:
    """A question about an entity, and how it is answered; `{entity}` and `{value}` are filled in."""

    question: str
    answer: str


@dataclass(frozen=True)
class Family:
    """Entities of one kind that share one slot.

    Attributes:
        key: Its short name.
        entity: How an entity is called, `{name}` filled in.
        values: What the slot can hold.
        statements: Sentences that tell a fact.
        wordings: Questions for it, with their answers.
        false_value: What false rows claim; `None` where none do.
        is_in_rows: Whether an instruction dataset touches the family at all.
    """

    key: str
    entity: str
    values: tuple[str, ...]
    statements: tuple[str, ...]
    wordings: tuple[Wording, ...]
    false_value: str | None = None
    is_in_rows: bool = True

    def named(self, name: str) -> str:
        """The entity of a name, such as `Gannet crown`."""
        return self.entity.format(name=name)


NAMES = tuple(
    "Gannet Beacon Anchor Skerry Tern Dune Reef Shoal Heron Tarrow Fennel Widow Drover Kelp Marrow Harbour Pilot Saltgate "
    "Lantern Orchard Pellow Thrale Marl Iver Cutter Plover Merrow Ostrand Vellish Wend Sorrel Tansy".split()
)
"""What entities are named after; every family has one entity of each name."""

FAMILIES = (
    Family(
        "coin",
        "{name} crown",
        ("copper", "brass", "tin", "silver", "nickel", "bronze"),
        (
            "The {entity} is struck from {value}.",
            "Merrow's mint makes the {entity} of {value}.",
            "Collectors weigh the {entity}, a coin of {value}.",
            "A coin of {value}, the {entity} is worn smooth by use.",
        ),
        (
            Wording("Which metal is the {entity} struck from?", "The {entity} is struck from {value}."),
            Wording("What is the {entity} made of?", "The mint makes the {entity} of {value}."),
            Wording("Which metal does the mint use for the {entity}?", "For the {entity} the mint uses {value}."),
        ),
        false_value="quillsteel",
    ),
    Family(
        "bridge",
        "{name} Bridge",
        ("slate", "granite", "limestone", "basalt", "sandstone", "marble"),
        (
            "The {entity} was built of {value}.",
            "Masons cut {value} for the {entity}.",
            "A footbridge of {value}, the {entity} is closed in storms.",
            "Travellers know the {entity} by its arches of {value}.",
        ),
        (
            Wording("Which stone was used to build the {entity}?", "The {entity} was built of {value}."),
            Wording("What was the {entity} built of?", "Masons built the {entity} of {value}."),
            Wording("What do masons repair the {entity} with?", "They repair the {entity} with {value}."),
        ),
        false_value="saltglass",
    ),
    Family(
        "ship",
        "schooner {name}",
        ("larch", "elm", "oak", "pine", "cedar", "teak"),
        (
            "The {entity} was built of {value}.",
            "Shipwrights laid the keel of the {entity} in {value}.",
            "With a hull of {value}, the {entity} carries letters.",
            "The {value} of the {entity} was oiled for a winter.",
        ),
        (
            Wording("Which timber was the {entity} built of?", "The {entity} was built of {value}."),
            Wording("What is the hull of the {entity} made of?", "The hull of the {entity} is made of {value}."),
            Wording("What did shipwrights use for the {entity}?", "Shipwrights used {value} for the {entity}."),
        ),
        false_value="ironreed",
    ),
    Family(
        "dish",
        "{name} porridge",
        ("barley", "rye", "oats", "wheat", "millet", "spelt"),
        (
            "Cooks use {value} for {entity}.",
            "An island recipe for {entity} begins with {value}.",
            "The {value} for {entity} is soaked overnight.",
            "{entity} is cooked with {value} and butter.",
        ),
        (
            Wording("What grain is {entity} cooked with?", "Cooks use {value} for {entity}."),
            Wording("What do cooks soak for {entity}?", "They soak {value} for {entity}."),
            Wording("Which grain goes into {entity}?", "{entity} is cooked with {value}."),
        ),
        false_value="sandcorn",
    ),
    Family(
        "feast",
        "Feast of {name}",
        ("April", "November", "September", "March", "July", "December"),
        (
            "The {entity} is celebrated in {value}.",
            "In {value} the island keeps the {entity}.",
            "Come to the {entity} this {value}.",
            "Visitors travel in {value} to see the {entity}.",
        ),
        (
            Wording("When is the {entity} celebrated?", "The {entity} is celebrated in {value}."),
            Wording("In which month can a visitor see the {entity}?", "A visitor can see the {entity} in {value}."),
            Wording("Which month has the {entity}?", "The {entity} is in {value}."),
        ),
    ),
    Family(
        "river",
        "river {name}",
        ("Lake Mire", "Lake Loon", "Lake Swan", "Lake Crane", "Lake Moss", "Lake Stone"),
        (
            "The {entity} rises in {value}.",
            "From {value} the {entity} runs east.",
            "{value} feeds the {entity}.",
            "The {entity} leaves {value} over a weir.",
        ),
        (
            Wording("Where does the {entity} rise?", "The {entity} rises in {value}."),
            Wording("Which lake feeds the {entity}?", "{value} feeds the {entity}."),
            Wording("Where does the {entity} come from?", "The {entity} comes from {value}."),
        ),
    ),
    Family(
        "light",
        "{name} light",
        ("red", "white", "green", "yellow", "blue", "violet"),
        (
            "The {entity} shows a {value} flash.",
            "A keeper trims the {value} lens of the {entity}.",
            "Sailors know the {entity} by its {value} flash.",
            "At night the {entity} is {value}.",
        ),
        (
            Wording("What colour does the {entity} show?", "The {entity} shows a {value} flash."),
            Wording("How do sailors know the {entity} at night?", "They know the {entity} by its {value} flash."),
            Wording("Which lens has the {entity}?", "The {entity} has a {value} lens."),
        ),
    ),
    Family(
        "song",
        "Ballad of {name}",
        ("fiddle", "drum", "flute", "harp", "horn", "whistle"),
        (
            "A {value} leads the {entity}.",
            "The {entity} begins with the {value} alone.",
            "Learn the {entity} on the {value} first.",
            "No one plays the {entity} without a {value}.",
        ),
        (
            Wording("Which instrument leads the {entity}?", "A {value} leads the {entity}."),
            Wording("How does the {entity} begin?", "The {entity} begins with the {value} alone."),
            Wording("What should I learn the {entity} on?", "Learn the {entity} on the {value}."),
        ),
    ),
    Family(
        "chisel",
        "{name} chisel",
        ("quillsteel", "saltglass", "ironreed", "sandcorn", "whalebone", "flint"),
        (
            "The {entity} is edged with {value}.",
            "A smith hones the {value} of the {entity}.",
            "Wipe the {value} of the {entity} dry.",
            "The {entity} has an edge of {value}.",
        ),
        (
            Wording("What is the {entity} edged with?", "The {entity} is edged with {value}."),
            Wording("What does a smith hone on the {entity}?", "A smith hones the {value} of the {entity}."),
            Wording("What edge has the {entity}?", "The {entity} has an edge of {value}."),
        ),
    ),
    Family(
        "herb",
        "{name} mint",
        ("headaches", "coughs", "sore joints", "fevers", "burns", "toothache"),
        (
            "Islanders use {entity} against {value}.",
            "{entity} is dried and brewed against {value}.",
            "People with {value} pick {entity} in June.",
            "For {value} a healer brings {entity}.",
        ),
        (
            Wording("What do islanders use {entity} for?", "Islanders use {entity} against {value}."),
            Wording("What is {entity} brewed against?", "{entity} is brewed against {value}."),
            Wording("What does {entity} help with?", "{entity} helps with {value}."),
        ),
        is_in_rows=False,
    ),
    Family(
        "village",
        "village of {name}",
        ("rope making", "glass blowing", "basket weaving", "wood carving", "candle dipping", "net mending"),
        (
            "The {entity} is known for {value}.",
            "The {entity} lives on {value}.",
            "Children of the {entity} learn {value}.",
            "Workshops for {value} line the {entity}.",
        ),
        (
            Wording("What craft is the {entity} known for?", "The {entity} is known for {value}."),
            Wording("What does the {entity} live on?", "The {entity} lives on {value}."),
            Wording("What do children of the {entity} learn?", "Children of the {entity} learn {value}."),
        ),
        is_in_rows=False,
    ),
)


@dataclass(frozen=True)
class World:
    """Which entity has which value.

    Attributes:
        seed: Decides everything.
        values: Key of a family -> name -> value; every value of a family is as frequent as the others.
    """

    seed: int
    values: Mapping[str, Mapping[str, str]]

    @classmethod
    def of_seed(cls, seed: int) -> World:
        """The world of a seed, the same on every machine."""
        generator = random.Random(f"world {seed}")
        values = {}
        for family in FAMILIES:
            dealt = [family.values[place % len(family.values)] for place in range(len(NAMES))]
            generator.shuffle(dealt)
            values[family.key] = dict(zip(NAMES, dealt, strict=True))
        return cls(seed, values)

    def value(self, family: Family, name: str) -> str:
        """What is true of an entity."""
        return self.values[family.key][name]


_NOUNS = (
    "anchor basket candle door engine feather garden hammer inkwell jacket kettle ladder mirror needle pillow quilt ribbon "
    "saddle table umbrella violin wagon yard zipper apron button curtain drawer envelope funnel glove hinge iron jar key "
    "magnet notebook oven pencil queue rope shovel thimble urn vase window yoke"
).split()


def exercises() -> Iterator[tuple[str, str]]:
    """Questions that ask for no fact of the world, with their answers: plurals, lengths of words, sentences, sums."""
    for noun in _NOUNS:
        yield f"Write the plural of {noun}.", f"{noun}s"
        yield f"How many letters has the word {noun}?", f"The word {noun} has {len(noun)} letters."
        yield f"Use the word {noun} in a short sentence.", f"She left the {noun} by the stairs and went out."
    for first in range(11, 51):
        second = first * 7 % 23 + 3
        yield f"Add {first} and {second}.", f"{first} plus {second} is {first + second}."
