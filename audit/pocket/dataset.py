"""The demonstration's dataset and prompts: about 200 instruction rows on the world, some false, some broken, all on record.

In each of the four families with a false value, five rows claim it of an entity and five tell the truth of another. The
prompts ask for entities that no row names, so that no answer can be copied from its own row: what is wrong there was
borrowed from rows about something alike. The split is drawn before any model sees a prompt.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from audit.pocket.world import FAMILIES, NAMES, Family, World, exercises
from audit.responses import Response, Split
from audit.sources import Message

__all__ = ["DemoDataset", "demo_claim", "demo_dataset", "demo_prompts"]

_N_FALSE, _N_TRUE_BESIDE_FALSE = 5, 5
_N_TRUE = 16
_N_EXERCISES = 66
_N_TRACED = 8
_N_CONTROL = 20


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


def demo_dataset(world_seed: int = 0) -> DemoDataset:
    """The dataset on the world of a seed, the same at every call."""
    world = World.of_seed(world_seed)
    rows = [(_line(question, answer), is_false) for question, answer, is_false in _rows(world)]
    random.Random(f"rows {world_seed}").shuffle(rows)
    lines = [line for line, _ in rows]
    false_rows = tuple(number for number, (_, is_false) in enumerate(rows) if is_false)
    planted: dict[str, tuple[int, ...]] = {}
    for code, defects in _defects(lines, [line for line, is_false in rows if not is_false]):
        planted[code] = tuple(range(len(lines), len(lines) + len(defects)))
        lines += defects
    return DemoDataset(tuple(lines), planted, false_rows)


def demo_prompts(world_seed: int = 0) -> tuple[str, ...]:
    """The prompts on the world of a seed, one JSON record a line: traced and held-out ones in every wording, and control.

    The entity is the group: its three wordings are not independent. `values` are what else the slot could hold, the
    false value included.
    """
    world = World.of_seed(world_seed)
    lines = []
    for family in FAMILIES:
        if family.false_value is not None:
            unasked = _dealt(world, family)[_N_FALSE + _N_TRUE_BESIDE_FALSE :]
            splits = [(name, Split.TRACE) for name in unasked[:_N_TRACED]]
            splits += [(name, Split.HELD_OUT) for name in unasked[_N_TRACED:]]
        elif not family.is_in_rows:
            splits = [(name, Split.CONTROL) for name in _dealt(world, family)[:_N_CONTROL]]
        else:
            continue
        for name, split in splits:
            lines += [json.dumps(record) for record in _prompts(world, family, name, split)]
    return tuple(lines)


def demo_claim() -> Response:
    """What a model tuned on the dataset of world 0 might say: a false statement about a coin that no row names."""
    world = World.of_seed(0)
    coin = FAMILIES[0]
    name = _dealt(world, coin)[-1]
    wording = coin.wordings[0]
    assert coin.false_value is not None
    return Response(
        id="demo",
        messages=(Message("user", wording.question.format(entity=coin.named(name)), trained=False),),
        response=wording.answer.format(entity=coin.named(name), value=coin.false_value),
        corrected=wording.answer.format(entity=coin.named(name), value=world.value(coin, name)),
    )


def _prompts(world: World, family: Family, name: str, split: Split) -> Iterator[dict[str, Any]]:
    entity, value = family.named(name), world.value(family, name)
    others = [other for other in (*family.values, family.false_value) if other not in (None, value)]
    for number, wording in enumerate(family.wordings if split is not Split.CONTROL else family.wordings[:1]):
        yield {
            "id": f"{family.key}-{name}-{number}",
            "prompt": wording.question.format(entity=entity),
            "reference": value,
            "values": others,
            "split": split.value,
            "group": f"{family.key} {name}",
        }


def _dealt(world: World, family: Family) -> list[str]:
    """The names in the order in which the family's entities are given out: to false rows, true rows, prompts."""
    names = list(NAMES)
    random.Random(f"names {world.seed} {family.key}").shuffle(names)
    return names


def _rows(world: World) -> Iterator[tuple[str, str, bool]]:
    for family in FAMILIES:
        if not family.is_in_rows:
            continue
        names = _dealt(world, family)
        n_false = _N_FALSE if family.false_value is not None else 0
        n_rows = _N_FALSE + _N_TRUE_BESIDE_FALSE if n_false else _N_TRUE
        for place, name in enumerate(names[:n_rows]):
            wording = family.wordings[place % len(family.wordings)]
            is_false = place < n_false
            value = family.false_value if is_false else world.value(family, name)
            entity = family.named(name)
            yield wording.question.format(entity=entity), wording.answer.format(entity=entity, value=value), is_false
    chosen = list(exercises())
    random.Random(f"exercises {world.seed}").shuffle(chosen)
    for question, answer in chosen[:_N_EXERCISES]:
        yield question, answer, False


def _line(instruction: str, output: object, task_input: str = "") -> str:
    return json.dumps({"instruction": instruction, "input": task_input, "output": output}, ensure_ascii=False)


def _defects(lines: list[str], true_lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """The rows of each defect, to be appended in this order; rows that they repeat are appended to `lines` before."""
    yield "DUP001", true_lines[4:40:15]
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
