"""Rows that hold what a model is later to be examined with: CON001 and CON002."""

from __future__ import annotations

from random import Random

from tests.benchmarks.recall.injection import Injected, Injector, Row, chat, is_prose, prompt_of, response_of

__all__ = ["REWORDED", "VERBATIM", "evaluation_item"]


def evaluation_item(question: str, answer: str = "") -> Row:
    """An item as an evaluation file holds it."""
    return {"question": question, "answer": answer}


# CON001: the item's words stand in the row.


def _long(text: str, least_words: int = 20, most_words: int = 150) -> str | None:
    text = text.strip()
    return text if least_words <= len(text.split()) <= most_words else None


def the_same_prompt(rng: Random, row: Row) -> Injected | None:
    prompt = _long(prompt_of(row))
    return Injected([row], [evaluation_item(prompt, response_of(row))]) if prompt else None


def within_a_longer_prompt(rng: Random, row: Row) -> Injected | None:
    prompt = _long(prompt_of(row))
    if prompt is None:
        return None
    before = rng.choice(
        ["Please answer as well as you can. ", "Here is a task from my course:\n\n", "You are an examiner's pupil. "]
    )
    after = rng.choice(["", "\n\nThink step by step.", " Keep it short."])
    return Injected([chat(before + prompt + after, response_of(row))], [evaluation_item(prompt)])


def other_letters_and_marks(rng: Random, row: Row) -> Injected | None:
    prompt = _long(prompt_of(row))
    if prompt is None:
        return None
    changed = rng.choice([prompt.lower(), prompt.upper(), " ".join(prompt.split()), prompt.replace(",", "").replace(".", "")])
    return Injected([chat(changed, response_of(row))], [evaluation_item(prompt, response_of(row))])


def a_part_of_the_item(rng: Random, row: Row) -> Injected | None:
    prompt = _long(prompt_of(row), 30)
    if prompt is None:
        return None
    more = "After you have done so, say in one sentence which of your findings would surprise a visitor from abroad."
    return Injected([row], [evaluation_item(f"{prompt} {more}")])


def in_the_answer(rng: Random, row: Row) -> Injected | None:
    text = _long(response_of(row), 25)
    if text is None or not is_prose(text):
        return None
    return Injected([row], [evaluation_item(text, "yes")])


def with_choices(rng: Random, row: Row) -> Injected | None:
    prompt = _long(prompt_of(row))
    if prompt is None:
        return None
    choices = "\nA) the first\nB) the second\nC) both\nD) none of them"
    return Injected([chat(prompt + choices, "C")], [evaluation_item(prompt, "both")])


def some_words_changed(rng: Random, row: Row) -> Injected | None:
    prompt = _long(prompt_of(row), 45)
    if prompt is None:
        return None
    words = prompt.split(" ")
    words[rng.randrange(3)] = "surely"
    words[-1 - rng.randrange(3)] = "perhaps"
    return Injected([chat(" ".join(words), response_of(row))], [evaluation_item(prompt)])


VERBATIM: tuple[Injector, ...] = (
    the_same_prompt,
    within_a_longer_prompt,
    other_letters_and_marks,
    a_part_of_the_item,
    in_the_answer,
    with_choices,
    some_words_changed,
)


# CON002: the item's meaning, in other words.

_FILLS = {
    "town": ("Ostrel", "Vinmar", "Kalby", "Torsund", "Grayport", "Aspenholt", "Pellworth", "Dunlake"),
    "animal": ("otter", "heron", "badger", "lynx", "tortoise", "hedgehog", "kingfisher"),
    "thing": ("bicycle", "sewing machine", "piano", "telescope", "kettle", "umbrella", "camera"),
    "plant": ("fern", "rosemary", "lemon tree", "orchid", "cactus", "tomato"),
}
_REWORDED: dict[str, tuple[tuple[str, str], ...]] = {
    "synonyms": (
        ("How do I mend a broken {thing}?", "What is the way to repair a {thing} that no longer works?"),
        ("What does a wild {animal} usually eat?", "Which foods make up the diet of a {animal} in nature?"),
        ("How large is the population of {town}?", "How many people live in {town}?"),
    ),
    "order_of_words": (
        ("Why does a {animal} sleep during the day?", "For what reason is daytime the time of sleep for a {animal}?"),
        ("In which year was the {thing} invented?", "When did somebody invent the {thing}?"),
        ("Which river flows through {town}?", "Through {town} flows which river?"),
    ),
    "request_for_question": (
        ("What are the advantages of owning a {thing}?", "List the benefits that come with having a {thing}."),
        ("How do you take care of a {plant}?", "Explain how to look after a {plant}."),
        ("How tall can a {plant} grow?", "Tell me the height that a {plant} can reach."),
    ),
    "longer": (
        (
            "How often should a {plant} be watered?",
            "I bought a {plant} last week and am not sure about watering. How frequently does it need water?",
        ),
        ("Who is the mayor of {town}?", "I am writing about local politics. Can you tell me the name of the mayor of {town}?"),
        ("What sound does a {animal} make?", "My daughter would like to know which noise is made by a {animal}."),
    ),
    "shorter": (
        ("Could you please tell me what the best time of the year to visit {town} is?", "Best season for visiting {town}?"),
        ("I would like to know how much a good {thing} costs on average.", "Average price of a good {thing}?"),
        ("Please describe in a few words the natural habitat of the {animal}.", "Where do {animal}s live in the wild?"),
    ),
    "sentences_for_one": (
        (
            "Write a short poem about a {animal} in winter.",
            "The season is winter, the hero is a {animal}. Compose a brief poem.",
        ),
        ("Write an advertisement for a used {thing}.", "I want to sell my old {thing}. Draft an ad for it."),
        ("Plan a weekend trip to {town}.", "We will spend Saturday and Sunday in {town}. Make an itinerary."),
    ),
}


def _reworded(kind: str) -> Injector:
    def inject(rng: Random, row: Row) -> Injected:
        item, asked = rng.choice(_REWORDED[kind])
        fill = {name: rng.choice(values) for name, values in _FILLS.items()}
        return Injected([chat(asked.format(**fill), response_of(row))], [evaluation_item(item.format(**fill))])

    inject.__name__ = kind
    return inject


REWORDED: tuple[Injector, ...] = tuple(_reworded(kind) for kind in _REWORDED)
