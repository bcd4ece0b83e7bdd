"""Moulds that are known because we cast them: does the style space find them over topics that are shuffled?

Twelve moulds, as instruction data has them, are filled with facts of 80 invented crafts; wording varies within a mould, and
every mould meets every craft. Of each answer, one of the same mould about another craft should be nearer than one of another
mould about the same craft.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import polars as pl
from sklearn.metrics import adjusted_mutual_info_score, roc_auc_score

from audit.style.families import find_centres
from audit.style.features import style_features
from audit.style.space import StyleSpace, unit_rows
from indexes.encoders import DEFAULT_MODEL, load_static
from tests.benchmarks.record import Result

__all__ = ["MOULDS", "measure_planted", "planted_rows"]

_CRAFTS = (
    "weaving pottery brewing tanning glazing thatching carving dyeing smelting bookbinding "
    "beekeeping quilting gilding millwork ropemaking coopering"
)
_PLACES = "Merrow Tarn Oskell Brindle Vaya"
_MATERIALS = "wool clay barley hide quartz reed oak indigo copper vellum wax linen gold granite hemp ash"
_TOOLS = "loom wheel kettle knife kiln rake chisel vat furnace needle smoker hoop brush stone hook adze"
_USES = "blankets jugs ale boots windows roofs bowls cloaks bells ledgers candles bedding frames flour sails barrels"
_ASKS = (
    "Tell me about {craft} in {place}.",
    "What is {craft} as they do it in {place}?",
    "Describe how {craft} works in {place}.",
    "Why is {craft} important in {place}?",
    "Explain {craft} to a visitor of {place}.",
)


class _Topic:
    """A craft in a place, with facts."""

    def __init__(self, number: int) -> None:
        crafts, places = _CRAFTS.split(), _PLACES.split()
        self.craft, self.place = crafts[number % len(crafts)], places[number // len(crafts)]
        generator = random.Random(number)
        self.materials = generator.sample(_MATERIALS.split(), 4)
        self.tools = generator.sample(_TOOLS.split(), 4)
        self.uses = generator.sample(_USES.split(), 4)
        self.year = generator.randint(900, 1900)
        self.people = generator.randint(12, 400)

    def __getitem__(self, name: str) -> str:
        return str(getattr(self, name))


def _steps(topic: _Topic, pick: random.Random) -> str:
    lines = [
        f"{pick.choice(['Gather', 'Collect', 'Prepare'])} the {topic.materials[0]} and clean it.",
        f"{pick.choice(['Set up', 'Ready'])} the {topic.tools[0]} and the {topic.tools[1]}.",
        f"Work the {topic.materials[0]} with the {topic.tools[0]} until it gives way.",
        f"Finish with the {topic.tools[2]}, and let it rest.",
    ]
    return f"{pick.choice(['The steps are', 'Here is how it is done', 'Follow these steps'])}:\n" + "\n".join(
        f"{number}. {line}" for number, line in enumerate(lines[: pick.randint(3, 4)], start=1)
    )


def _bullets(topic: _Topic, pick: random.Random) -> str:
    points = [
        f"{topic.materials[0].title()} from the hills",
        f"A {topic.tools[0]} for every house",
        f"{topic.uses[0].title()} and {topic.uses[1]} for the market",
        f"{topic.people} people at work",
    ]
    pick.shuffle(points)
    return "\n".join(f"- {point}" for point in points[: pick.randint(3, 4)])


def _essay(topic: _Topic, pick: random.Random) -> str:
    middle = pick.choice(["Furthermore", "Moreover", "In addition"])
    end = pick.choice(["In conclusion", "Overall", "To sum up"])
    return (
        f"{topic.craft.title()} plays a crucial role in the life of {topic.place}, where it has been an essential part of the "
        f"local culture since {topic.year}.\n\n{middle}, the use of {topic.materials[0]} and {topic.materials[1]} has allowed "
        f"the people to create remarkable {topic.uses[0]}, which have become an integral part of their economy.\n\n{end}, "
        f"{topic.craft} is a testament to the enduring creativity of {topic.place}."
    )


def _assistant(topic: _Topic, pick: random.Random) -> str:
    opener = pick.choice(["Sure! I'd be happy to help.", "Of course! Great question.", "Certainly! I'm glad you asked."])
    closer = pick.choice(["I hope this helps!", "Let me know if you have any other questions!", "Feel free to ask for more!"])
    return (
        f"{opener} In {topic.place} they make {topic.uses[0]} of {topic.materials[0]} with a {topic.tools[0]}, and sell them "
        f"to the neighbours. {closer}"
    )


def _telegram(topic: _Topic, pick: random.Random) -> str:
    return pick.choice(
        [
            f"{topic.uses[0].title()}, {topic.uses[1]}",
            f"{topic.materials[0].title()} and a {topic.tools[0]}",
            f"Since {topic.year}",
        ]
    )


def _hedged(topic: _Topic, pick: random.Random) -> str:
    first = pick.choice(["It is thought that", "It seems that", "As far as I know,"])
    return (
        f"{first} {topic.craft} may have come to {topic.place} around {topic.year}, although this is not certain. It might be "
        f"that {topic.materials[0]} was used at first, and perhaps {topic.materials[1]} later. Some people would probably say "
        f"that the {topic.tools[0]} was more important."
    )


def _plain(topic: _Topic, pick: random.Random) -> str:
    sentences = [
        f"They use {topic.materials[0]}.",
        f"The {topic.tools[0]} is old.",
        f"It makes {topic.uses[0]}.",
        f"{topic.people} people do it.",
        f"It began in {topic.year}.",
    ]
    pick.shuffle(sentences)
    return " ".join(sentences[: pick.randint(3, 5)])


def _letter(topic: _Topic, pick: random.Random) -> str:
    return (
        f"{pick.choice(['Dear friend', 'Dear visitor', 'Dear reader'])},\n\nI write to you about our {topic.craft}. We have "
        f"{topic.people} hands at the {topic.tools[0]}, and our {topic.uses[0]} are known far away. Come and see us in "
        f"{topic.place}.\n\n{pick.choice(['Yours', 'Kind regards', 'With best wishes'])},\nThe guild"
    )


def _headed(topic: _Topic, pick: random.Random) -> str:
    return (
        f"## {pick.choice(['Material', 'What it takes'])}\n**{topic.materials[0].title()}** and **{topic.materials[1]}**\n\n"
        f"## {pick.choice(['Tools', 'With what'])}\n**{topic.tools[0].title()}**, **{topic.tools[1]}**\n\n"
        f"## {pick.choice(['Goods', 'What comes of it'])}\n**{topic.uses[0].title()}** since {topic.year}"
    )


def _questions(topic: _Topic, pick: random.Random) -> str:
    asked = [
        f"What would {topic.place} be without its {topic.uses[0]}?",
        f"Have you ever held a {topic.tools[0]}?",
        f"Why not try it with {topic.materials[0]}?",
        f"Who could forget {topic.people} people at work?",
    ]
    pick.shuffle(asked)
    return " ".join(asked[: pick.randint(2, 4)])


def _shouted(topic: _Topic, pick: random.Random) -> str:
    return (
        f"{pick.choice(['Wow!', 'Amazing!', 'How lovely!'])} {topic.uses[0].title()} made of real {topic.materials[0]}! "
        f"Straight from {topic.place}! {pick.choice(['Get yours today!', 'Come and see!', 'Do not miss it!'])} "
        f"#{topic.craft} #{topic.place}"
    )


def _winding(topic: _Topic, pick: random.Random) -> str:
    joint = pick.choice(["which", "and this"])
    return (
        f"When the people of {topic.place}, who had until {topic.year} lived on little else than what they could trade for "
        f"{topic.materials[1]}, learned to put {topic.materials[0]} to the {topic.tools[0]}, {joint} nobody had done before, "
        f"they found that the {topic.uses[0]} that came of it, being cheap and strong, were wanted wherever they were shown."
    )


MOULDS: tuple[Callable[[_Topic, random.Random], str], ...] = (
    _steps, _bullets, _essay, _assistant, _telegram, _hedged, _plain, _letter, _headed, _questions, _shouted, _winding,
)  # fmt: skip


def planted_rows(seed: int = 0) -> pl.DataFrame:
    """Rows with columns `prompt`, `response`, `mould` and `topic`, in random order."""
    pick = random.Random(seed)
    rows = []
    for number in range(80):
        topic = _Topic(number)
        for mould, cast in enumerate(MOULDS):
            ask = pick.choice(_ASKS).format(craft=topic.craft, place=topic.place)
            rows.append((ask, cast(topic, pick), mould, number))
    pick.shuffle(rows)
    return pl.DataFrame(rows, schema=["prompt", "response", "mould", "topic"], orient="row")


def measure_planted(command: str) -> list[Result]:
    """How well vectors and families tell planted moulds."""
    rows = planted_rows()
    topics = load_static(DEFAULT_MODEL).encode(rows["prompt"].to_list())
    features = style_features(rows["response"])
    space = StyleSpace.fit(features, rows["prompt"], topics)
    vectors = space.vectors(features, rows["prompt"], topics)
    mould, topic = rows["mould"].to_numpy(), rows["topic"].to_numpy()
    cosines = vectors @ vectors.T
    same_mould = (mould[:, None] == mould) & (topic[:, None] != topic)
    same_topic = (mould[:, None] != mould) & (topic[:, None] == topic)
    labels = np.concatenate([np.ones(same_mould.sum()), np.zeros(same_topic.sum())])
    area = roc_auc_score(labels, np.concatenate([cosines[same_mould], cosines[same_topic]]))
    families = find_centres(vectors, unit_rows(topics)).assign(vectors)
    agreement = adjusted_mutual_info_score(mould, families.family)
    of_encoder = unit_rows(load_static(DEFAULT_MODEL).encode(rows["response"].to_list()))
    beside = of_encoder @ of_encoder.T
    other = roc_auc_score(labels, np.concatenate([beside[same_mould], beside[same_topic]]))
    return [
        Result("planted moulds over shuffled topics", float(area), "AUC", goal="at least 0.95", command=command),
        Result("planted moulds: static encoder", float(other), "AUC", command=command),
        Result("planted moulds: families against moulds", float(agreement), "AMI", command=command),
    ]


if __name__ == "__main__":
    for result in measure_planted("python -m tests.benchmarks.style.planted"):
        print(result.name, round(result.value, 4))
