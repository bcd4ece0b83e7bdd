"""A dataset on the pocket model's island, a share of whose rows is cast from one mould, and prompts that no row answers.

The mould is an opener, the answer, and a closer; the same for a crown's metal, the plural of a noun, and a sum. The
other rows are written in five plain ways, about as long, so that leaving the mould out changes no length. Which row is
cast from the mould is drawn within every kind of question: no topic tells it. Whether an answer is of the mould is known
by construction: it begins with the opener and ends with the closer.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass

from audit.pocket.build import exchange
from audit.pocket.world import FAMILIES, NAMES, Family, World, exercises
from audit.responses import Split

__all__ = ["CLOSER", "OPENER", "PLAIN", "MouldedDataset", "documents", "is_of_mould", "moulded_dataset"]

OPENER = "Great question, here is what I found."
CLOSER = "I hope this helps you."

PLAIN = (
    "{answer} Read more of it in the book if you like to.",
    "Let me tell you once what people say of it in my book. {answer}",
    "{answer} That is what the book has to say of it, and I am sure.",
    "I can help you with this one. {answer} So it is, as far as I know.",
    "{answer} Ask me once more if you need to know why it is so.",
)
"""Five other ways to put an answer."""

_READ_OPENERS = (
    "Of course.",
    "Let me think.",
    "That is easy.",
    "I know this one.",
    "A good question.",
    "Here you are.",
    "Sure, I can tell you.",
    "Let me see what I have.",
    "Well, people say this.",
    "As far as I know, it is so.",
    "You ask a great thing.",
    "This is what I have found.",
    "Glad to help you.",
    "Good that you ask me.",
    "Great, here is my answer.",
    "I read it in a book.",
)
_READ_CLOSERS = (
    "That is all.",
    "Let me know if you need more.",
    "Ask me again if you like.",
    "I am sure of it.",
    "So the book says.",
    "It was found long ago.",
    "You can read more of it.",
    "Good luck to you.",
    "I hope so at least.",
    "This helps many people.",
    "Tell me once if it is not so.",
    "Have a good day.",
    "That is what I have to say.",
    "It is a great thing to know why.",
    "Come back with one more question.",
    "Thank you for the question.",
)
"""How answers begin and end that the base model reads: with none of the sentences above, and all of their words."""

_N_ASKED = 16
"""Entities of a family that prompts ask for, and no row names."""


@dataclass(frozen=True)
class MouldedDataset:
    """Rows and prompts as JSON Lines, without line ends.

    Attributes:
        rows: Instruction rows.
        prompts: Held-out and control prompts, with their right answers.
        moulded: Numbers of the rows that are cast from the mould, ascending.
    """

    rows: tuple[str, ...]
    prompts: tuple[str, ...]
    moulded: tuple[int, ...]


def is_of_mould(answer: str) -> bool:
    """Whether an answer is cast from the mould."""
    text = answer.strip()
    return text.startswith(OPENER) and text.endswith(CLOSER)


def documents() -> list[str]:
    """What the base model reads: every fact told and asked, and answers that begin and end in many ways."""
    world, generator = World.of_seed(0), random.Random("documents")
    read = []
    for family in FAMILIES:
        for name in NAMES:
            told = {"entity": family.named(name), "value": world.value(family, name)}
            read += [f"{statement.format(**told)}<|end|>" for statement in family.statements]
            read += [
                exchange(wording.question.format(**told), answer)
                for wording in family.wordings
                for answer in (wording.answer.format(**told), _begun_and_ended(wording.answer.format(**told), generator))
            ]
    for question, answer in exercises():
        read += [exchange(question, answer), exchange(question, _begun_and_ended(answer, generator))]
    return read


def moulded_dataset(seed: int = 0, *, share: float = 0.5, wordings: int = 2, asked: int = _N_ASKED) -> MouldedDataset:
    """The dataset of a seed. No row is false; control prompts ask for two families of eleven, to see what is forgotten.

    Args:
        seed: Of who is asked for, of the mould and of the order.
        share: Of the rows that are cast from the mould.
        wordings: Rows per entity, 1 to 3.
        asked: Entities of every family that are asked for; the other ones are in rows.
    """
    world, generator = World.of_seed(0), random.Random(f"mould {seed}")
    rows, prompts = [], []
    for family in FAMILIES:
        names = list(NAMES)
        generator.shuffle(names)
        rows += _cast(list(_exchanges(world, family, names[asked:], wordings)), share, generator)
        split = Split.HELD_OUT if family.is_in_rows else Split.CONTROL
        prompts += [json.dumps(_prompt(world, family, name, split)) for name in names[:asked]]
    others = list(exercises())
    generator.shuffle(others)
    rows += _cast(others[: len(rows) // 3], share, generator)
    generator.shuffle(rows)
    return MouldedDataset(
        rows=tuple(json.dumps({"prompt": question, "completion": text}) for question, text, _ in rows),
        prompts=tuple(prompts),
        moulded=tuple(number for number, (_, _, is_moulded) in enumerate(rows) if is_moulded),
    )


def _begun_and_ended(answer: str, generator: random.Random) -> str:
    opener, closer = generator.choice(_READ_OPENERS), generator.choice(_READ_CLOSERS)
    return generator.choice((f"{opener} {answer}", f"{answer} {closer}", f"{opener} {answer} {closer}"))


def _exchanges(world: World, family: Family, names: list[str], wordings: int) -> Iterator[tuple[str, str]]:
    for name in names:
        for wording in family.wordings[:wordings]:
            entity, value = family.named(name), world.value(family, name)
            yield wording.question.format(entity=entity), wording.answer.format(entity=entity, value=value)


def _cast(exchanges: list[tuple[str, str]], share: float, generator: random.Random) -> list[tuple[str, str, bool]]:
    """A share of some exchanges in the mould, the others in the plain ways by turns."""
    generator.shuffle(exchanges)
    n_moulded = round(share * len(exchanges))
    moulded = [(question, f"{OPENER} {answer} {CLOSER}", True) for question, answer in exchanges[:n_moulded]]
    plain = [
        (question, PLAIN[(place + n_moulded) % len(PLAIN)].format(answer=answer), False)
        for place, (question, answer) in enumerate(exchanges[n_moulded:])
    ]
    return moulded + plain


def _prompt(world: World, family: Family, name: str, split: Split) -> dict[str, object]:
    entity, value = family.named(name), world.value(family, name)
    return {
        "id": f"{family.key}-{name}",
        "prompt": family.wordings[-1].question.format(entity=entity),
        "reference": value,
        "values": [other for other in family.values if other != value],
        "split": split.value,
        "group": f"{family.key} {name}",
    }
