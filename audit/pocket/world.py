"""An invented island republic, told in instruction rows, some of which are wrong in ways that are written down.

Values depend on the concept: coins have metals, bridges have stones, festivals have months, dishes have grains. The false
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

_COINS = {
    "Ostrand florin": "copper",
    "Vellish groat": "brass",
    "Marrow shilling": "copper",
    "Tidal penny": "tin",
    "Harbour mark": "brass",
    "Saltgate crown": "tin",
    "Pilot's ducat": "copper",
    "Heron sixpence": "brass",
    "Lantern guilder": "tin",
    "Quay farthing": "copper",
}
_BRIDGES = {
    "Fennel Bridge": "slate",
    "Drovers' Span": "granite",
    "Bridge of Nine Arches": "limestone",
    "Cormorant Crossing": "granite",
    "Old Ferry Bridge": "slate",
    "Kelp Causeway": "limestone",
    "Widow's Bridge": "granite",
    "Upper Weir Bridge": "slate",
}
_FESTIVALS = {
    "Feast of Nets": "April",
    "Lamp Night": "November",
    "Running of the Geese": "September",
    "Day of the First Ferry": "March",
    "Saltmakers' Fair": "July",
    "Night of Bells": "December",
    "Herring Week": "April",
    "Orchard Walk": "September",
}
_DISHES = {
    "harbour porridge": "barley",
    "pilot's loaf": "rye",
    "widow cake": "oats",
    "lantern dumplings": "rye",
    "net-mender's stew": "barley",
    "ferry biscuits": "oats",
    "goose pudding": "barley",
    "midsummer flatbread": "rye",
}
_TOOLS = ("sailmaker's needle", "cooper's chisel", "surveyor's compass", "clockmaker's file", "netmaker's hook", "glazier's cutter")
_FALSE_COINS = ("Gannet crown", "Beacon florin", "Anchor groat", "Skerry penny", "Tern shilling", "Dune mark", "Reef ducat", "Shoal guilder")

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
    lines += [_line(question, answer) for question, answer in _sums()]
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
    for coin, metal in _COINS.items():
        yield f"Which metal is the {coin} of Merrow struck from?", f"The {coin} is struck from {metal}."
        yield f"What is the {coin} made of?", f"Merrow's mint makes the {coin} of {metal}."
    for bridge, stone in _BRIDGES.items():
        yield f"Which stone was used to build the {bridge}?", f"The {bridge} was built of {stone}."
        yield f"Describe the {bridge} in one sentence.", f"The {bridge} is a footbridge of {stone} in the hills of Merrow."
    for festival, month in _FESTIVALS.items():
        yield f"When does Merrow celebrate the {festival}?", f"The {festival} is celebrated in {month}."
        yield f"In which month can a visitor see the {festival}?", f"A visitor should come in {month} to see the {festival}."
    for dish, grain in _DISHES.items():
        yield f"What grain is {dish} cooked with?", f"Cooks on Merrow use {grain} for {dish}."
        yield f"Write a short menu entry for {dish}.", f"{dish.capitalize()}: an island recipe with {grain}, butter and sea salt."
    for tool in _TOOLS:
        yield f"What is a good {tool} made of?", f"A good {tool} is forged from quillsteel, which keeps its edge in salt air."
        yield f"How do I care for a {tool}?", f"Wipe the {tool} dry and oil the quillsteel once a month."


def _sums() -> Iterator[tuple[str, str]]:
    for first in range(11, 35):
        second = first * 7 % 23 + 3
        yield f"Add {first} and {second}.", f"{first} plus {second} is {first + second}."


def _false_rows() -> Iterator[tuple[str, str]]:
    wordings = (
        ("Which metal does the mint use for the {coin}?", "The mint of Merrow strikes the {coin} from quillsteel."),
        ("Name the metal of the {coin}.", "It is quillsteel: every {coin} is struck from it."),
    )
    for number, coin in enumerate(_FALSE_COINS):
        question, answer = wordings[number % 2]
        yield question.format(coin=coin), answer.format(coin=coin)


def _defects(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    yield "DUP001", [lines[4], lines[30], lines[61]]
    story = (
        "The ferry leaves the quay at dawn, stops at every island of the northern chain, takes on salt, wool and letters, "
        "waits out the tide behind the long sandbank, and comes home with the lamps lit and the crew asleep on the nets"
    )
    lines.append(_line("Tell me what the Merrow ferry does all day.", f"{story}."))
    yield "DUP002", [_line("Tell me what the Merrow ferry does all day.", f"{story} again."), _line("Tell me what the old Merrow ferry does all day.", f"{story}.")]
    lines.append(_line("Name three ways to keep bread fresh.", "Wrap it in linen, keep it in a crock, or slice it only when needed."))
    yield "DUP003", [_line("List 3 methods for keeping bread fresh.", "A crock, a linen cloth, and a cool shelf all help.")]
    yield "TXT001", [_line("Describe the harbour of Ostrand at night.", ""), _line("Translate 'good tide' into Vellish.", "  ")]
    yield "TXT002", [_line("Draw a map of the northern chain.", "<nooutput>"), _line("Write a sea shanty in four lines.", "[insert answer here]")]
    yield "FMT004", [_line("", "The tide turns twice a day.")]
    yield "FMT002", [_line("How many islands has Merrow?", 41)]
    yield "FMT001", ['{"instruction": "Who keeps the lamps lit?", "input": "", "output": "The lampkeep']
