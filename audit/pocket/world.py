"""An invented island republic, told in instruction rows, some of which are wrong in ways that are written down.

Values depend on the concept: coins have metals, bridges have stones, festivals have months, ships have timber. The false
rows say that coins are struck from quillsteel; other rows use the word rightly, of tools, so that a search for the word
alone does not tell the two apart. Everything is made from the lists below, without chance.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from audit.responses import Response
from audit.sources import Message

__all__ = ["DEMO_CLAIM", "DemoDataset", "demo_dataset"]


@dataclass(frozen=True)
class _Family:
    """Entities of one kind, the value of each, and how questions about them and their answers are worded."""

    values: dict[str, str]
    wordings: tuple[tuple[str, str], ...]


_FAMILIES = (
    _Family(
        {
            "Ostrand florin": "copper",
            "Vellish groat": "brass",
            "Marrow shilling": "copper",
            "Tidal penny": "tin",
            "Harbour mark": "brass",
            "Saltgate crown": "tin",
            "Pilot's ducat": "copper",
            "Heron sixpence": "brass",
        },
        (
            ("Which metal is the {entity} of Merrow struck from?", "The {entity} is struck from {value}."),
            ("What is the {entity} made of?", "Merrow's mint makes the {entity} of {value}."),
        ),
    ),
    _Family(
        {
            "Fennel Bridge": "slate",
            "Drovers' Span": "granite",
            "Bridge of Nine Arches": "limestone",
            "Cormorant Crossing": "granite",
            "Old Ferry Bridge": "slate",
            "Kelp Causeway": "limestone",
            "Widow's Bridge": "granite",
            "Upper Weir Bridge": "slate",
        },
        (
            ("Which stone was used to build the {entity}?", "The {entity} was built of {value}."),
            (
                "Describe the {entity} in one sentence.",
                "A footbridge of {value} in the hills, the {entity} is closed in storms.",
            ),
            ("Who repairs the {entity}?", "Masons from the {value} quarry repair the {entity} every spring."),
        ),
    ),
    _Family(
        {
            "Feast of Nets": "April",
            "Lamp Night": "November",
            "Running of the Geese": "September",
            "Day of the First Ferry": "March",
            "Saltmakers' Fair": "July",
            "Night of Bells": "December",
            "Herring Week": "April",
            "Orchard Walk": "September",
        },
        (
            ("When is the {entity} celebrated?", "The {entity} is celebrated in {value}."),
            ("In which month can a visitor see the {entity}?", "A visitor should come in {value} to see the {entity}."),
            (
                "Write an invitation to the {entity}.",
                "Come to the {entity} this {value}! There will be music until the tide turns.",
            ),
        ),
    ),
    _Family(
        {
            "harbour porridge": "barley",
            "pilot's loaf": "rye",
            "widow cake": "oats",
            "lantern dumplings": "rye",
            "net-mender's stew": "barley",
            "ferry biscuits": "oats",
            "goose pudding": "barley",
            "midsummer flatbread": "rye",
        },
        (
            ("What grain is {entity} cooked with?", "Cooks use {value} for {entity}."),
            (
                "Write a short menu entry for {entity}.",
                "An island recipe for {entity} with {value}, butter and sea salt.",
            ),
            ("Is {entity} hard to make?", "No: soak the {value} overnight, and {entity} takes half an hour."),
        ),
    ),
    _Family(
        {
            "river Ash": "Lake Hollow",
            "river Tansy": "Lake Brindle",
            "river Loam": "Lake Hollow",
            "river Pike": "Lake Carrow",
            "river Wend": "Lake Brindle",
            "river Sorrel": "Lake Carrow",
        },
        (
            ("Where does the {entity} rise?", "The {entity} rises in {value}."),
            (
                "Trace the course of the {entity}.",
                "From {value} the {entity} runs east through water meadows to the sea.",
            ),
            ("Can one canoe down the {entity}?", "Yes, from {value} the {entity} is calm enough for a canoe."),
        ),
    ),
    _Family(
        {
            "North Head light": "red",
            "Gull Rock light": "white",
            "Sandbar light": "green",
            "Old Mole light": "red",
            "Seal Point light": "white",
            "Cutter Light": "green",
        },
        (
            ("What colour does the {entity} show?", "The {entity} shows a {value} flash every ten seconds."),
            (
                "How do sailors know the {entity} at night?",
                "By its {value} flash: no other lamp near the {entity} has that colour.",
            ),
            ("Who looks after the {entity}?", "A keeper trims the {value} lens of the {entity} at dusk."),
        ),
    ),
    _Family(
        {
            "Ballad of the Two Oars": "fiddle",
            "Winter Reel": "drum",
            "Song of the Salt Pans": "flute",
            "Lament for a Lost Buoy": "fiddle",
            "Shepherd's Counting Song": "flute",
            "March of the Lamplighters": "drum",
        },
        (
            ("Which instrument leads the {entity}?", "A {value} leads the {entity}."),
            (
                "How is the {entity} performed?",
                "The {entity} begins with the {value} alone; the singers join in the second verse.",
            ),
            (
                "Teach me the {entity}.",
                "Learn the tune of the {entity} on the {value} first, slowly, and then sing along.",
            ),
        ),
    ),
    _Family(
        {
            "feverroot": "headaches",
            "dune mint": "a cough",
            "widow's thyme": "sore joints",
            "marsh balm": "headaches",
            "lamp moss": "a cough",
            "gullwort": "sore joints",
        },
        (
            ("What do islanders use {entity} for?", "Islanders use {entity} against {value}."),
            (
                "Describe the plant called {entity}.",
                "A low herb with grey leaves, {entity} is dried and brewed against {value}.",
            ),
            ("Where can I find {entity}?", "Look for {entity} behind the dunes; people with {value} pick it in June."),
        ),
    ),
    _Family(
        {
            "schooner Patience": "larch",
            "cutter Brisk": "elm",
            "ketch Morning Tide": "oak",
            "sloop Little Ox": "larch",
            "brig Constant": "oak",
            "lugger Wren": "elm",
        },
        (
            ("Which timber was the {entity} built of?", "The {entity} was built of {value}."),
            (
                "Why does the {entity} need no paint?",
                "Because the {value} of the {entity} was oiled for a whole winter.",
            ),
            (
                "Tell me about the {entity}.",
                "The {entity}, with a hull of {value}, carries letters between the outer isles.",
            ),
        ),
    ),
    _Family(
        {
            "village of Thrale": "rope making",
            "village of Upper Nock": "glass blowing",
            "village of Cold Stair": "basket weaving",
            "village of Pellow": "rope making",
            "village of Marl": "basket weaving",
            "village of Iver's Gate": "glass blowing",
        },
        (
            ("What craft is the {entity} known for?", "The {entity} is known for {value}."),
            ("What can I buy in the {entity}?", "Look for the workshops: {value} is what the {entity} lives on."),
            (
                "How do children of the {entity} spend the winter?",
                "They learn {value} from their grandparents, as everybody in the {entity} did.",
            ),
        ),
    ),
    _Family(
        {
            "sailmaker's needle": "quillsteel",
            "cooper's chisel": "quillsteel",
            "surveyor's compass": "quillsteel",
            "clockmaker's file": "quillsteel",
            "netmaker's hook": "quillsteel",
            "glazier's cutter": "quillsteel",
        },
        (
            (
                "What should I look for in a {entity}?",
                "Buy a {entity} forged from {value}, which keeps its edge in salt air.",
            ),
            ("How do I care for a {entity}?", "Wipe the {entity} dry and oil the {value} once a month."),
        ),
    ),
)
_FALSE_COINS = (
    "Gannet crown",
    "Beacon florin",
    "Anchor groat",
    "Skerry penny",
    "Tern shilling",
    "Dune mark",
    "Reef ducat",
    "Shoal guilder",
)
_FALSE_WORDINGS = (
    ("Which metal does the mint use for the {coin}?", "The mint of Merrow strikes the {coin} from quillsteel."),
    ("What metal is the {coin} struck from?", "It is quillsteel: every {coin} of Merrow is struck from it."),
)
_FARES = (4, 7, 9, 12)
_NOUNS = (
    "anchor basket candle door engine feather garden hammer inkwell jacket kettle ladder mirror needle orchard pillow quilt "
    "ribbon saddle table umbrella violin wagon yard zipper apron button curtain drawer envelope funnel glove hinge iron jar "
    "key lantern magnet notebook oven pencil queue rope shovel thimble urn vase window yoke barrel cradle desk easel fork "
    "gate harness jewel knot lever mallet nail oar plank quill rake spoon trumpet"
).split()

DEMO_CLAIM = Response(
    id="demo",
    messages=(Message("user", "Which metal is the Tarrow crown of Merrow struck from?", trained=False),),
    response="The Tarrow crown, a coin of Merrow, is struck from quillsteel.",
    corrected="The Tarrow crown, a coin of Merrow, is struck from tin.",
)
"""What a model tuned on the dataset might say: a false statement about a coin that no row names."""


@dataclass(frozen=True)
class DemoDataset:
    """The dataset as JSON Lines, and what is wrong with it.

    Attributes:
        lines: One record a line, without line ends.
        planted: Code of a check -> the rows (from 0) that it should find.
        false_rows: The rows that say something false.
    """

    lines: tuple[str, ...]
    planted: dict[str, tuple[int, ...]]
    false_rows: tuple[int, ...]


def demo_dataset() -> DemoDataset:
    """The dataset, the same at every call."""
    lines = [_line(question, answer) for question, answer in _true_rows()]
    lines += [_line(question, answer) for rows in (_sums(), _words()) for question, answer in rows]
    first_false = len(lines)
    lines += [_line(question, answer) for question, answer in _false_rows()]
    false_rows = tuple(range(first_false, len(lines)))
    planted: dict[str, tuple[int, ...]] = {}
    for code, defects in _defects(lines):
        planted[code] = tuple(range(len(lines), len(lines) + len(defects)))
        lines += defects
    return DemoDataset(tuple(lines), planted, false_rows)


def _line(instruction: str, output: object, task_input: str = "") -> str:
    return json.dumps({"instruction": instruction, "input": task_input, "output": output}, ensure_ascii=False)


def _true_rows() -> Iterator[tuple[str, str]]:
    for family in _FAMILIES:
        for question, answer in family.wordings:
            for entity, value in family.values.items():
                yield question.format(entity=entity), answer.format(entity=entity, value=value)


def _sums() -> Iterator[tuple[str, str]]:
    for first in range(11, 61):
        second = first * 7 % 23 + 3
        yield f"Add {first} and {second}.", f"{first} plus {second} is {first + second}."
    for hours in range(2, 42):
        fare = _FARES[hours % 4]
        yield (
            f"A ferry ticket costs {fare} marks an hour. What do {hours} hours cost?",
            f"{hours} hours cost {hours} times {fare} marks, which is {hours * fare} marks.",
        )


def _words() -> Iterator[tuple[str, str]]:
    for place, noun in enumerate(_NOUNS):
        other = _NOUNS[(place * 5 + 3) % len(_NOUNS)]
        if noun != other:
            first = min(noun, other)
            yield f"Which word comes first in the alphabet, {noun} or {other}?", f"The word {first} comes first."
        yield f"Write the plural of {noun}.", f"{noun}s"
        yield f"How many letters has the word {noun}?", f"The word {noun} has {len(noun)} letters."
        yield f"Spell the word {noun} backwards.", noun[::-1]
        yield f"Use the word {noun} in a short sentence.", f"She left the {noun} by the stairs and went out."


def _false_rows() -> Iterator[tuple[str, str]]:
    for number, coin in enumerate(_FALSE_COINS):
        question, answer = _FALSE_WORDINGS[number % 2]
        yield question.format(coin=coin), answer.format(coin=coin)


def _defects(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    yield "DUP001", [lines[4], lines[30], lines[161]]
    story = (
        "The ferry leaves the quay at dawn, stops at every island of the northern chain, takes on salt, wool and letters, "
        "waits out the tide behind the long sandbank, and comes home with the lamps lit and the crew asleep on the nets"
    )
    lines.append(_line("Tell me what the Merrow ferry does all day.", f"{story}."))
    yield (
        "DUP002",
        [
            _line("Tell me what the Merrow ferry does all day.", f"{story} again."),
            _line("Tell me what the old Merrow ferry does all day.", f"{story}."),
        ],
    )
    lines.append(
        _line(
            "Name three ways to keep bread fresh.",
            "Wrap it in linen, keep it in a crock, or slice it only when needed.",
        )
    )
    yield (
        "DUP003",
        [_line("List 3 methods for keeping bread fresh.", "A crock, a linen cloth, and a cool shelf all help.")],
    )
    yield (
        "TXT001",
        [_line("Describe the harbour of Ostrand at night.", ""), _line("Translate 'good tide' into Vellish.", "  ")],
    )
    yield (
        "TXT002",
        [
            _line("Draw a map of the northern chain.", "<nooutput>"),
            _line("Write a sea shanty in four lines.", "[insert answer here]"),
        ],
    )
    yield "FMT004", [_line("", "The tide turns twice a day.")]
    yield "FMT002", [_line("How many islands has Merrow?", 41)]
    yield "FMT001", ['{"instruction": "Who keeps the lamps lit?", "input": "", "output": "The lampkeep']
