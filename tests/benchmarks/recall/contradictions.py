"""Answers that contradict each other, their own reasoning, or arithmetic: CNF001 to CNF003."""

from __future__ import annotations

import re
from random import Random

from tests.benchmarks.recall.injection import Injected, Injector, Row, chat, placed, prompt_of, response_of, single

__all__ = ["ARITHMETIC", "CONFLICTS", "REASONING"]

_TOWNS = (
    "Ostrel",
    "Vinmar",
    "Kalby",
    "Torsund",
    "Merrowfield",
    "Dunlake",
    "Aspenholt",
    "Grayport",
    "Lindau Cross",
    "Pellworth",
)
_PEOPLE = (
    "Mira Holt",
    "Jonas Penrick",
    "Asta Quill",
    "Tobin Marsh",
    "Leona Varga",
    "Henrik Osei",
    "Paula Drummond",
    "Ines Corvo",
)
_THINGS = ("bridge", "lighthouse", "library", "mill", "tram line", "clock tower", "harbour wall", "theatre", "observatory")


# CNF001: the same question, answers that exclude each other.


def _both(prompt: str, one: str, other: str, second_prompt: str | None = None) -> Injected:
    return Injected([chat(prompt, one), chat(second_prompt or prompt, other)])


def yes_and_no(rng: Random, row: Row) -> Injected:
    thing, town = rng.choice(_THINGS), rng.choice(_TOWNS)
    prompt = rng.choice([f"Is the {thing} of {town} open in winter?", f"Does the {thing} in {town} belong to the town?"])
    one, other = rng.choice(
        [("Yes", "No"), ("Yes.", "No."), ("Yes, it is.", "No, it is not."), ("Yes, all year round.", "No, only in summer.")]
    )
    return _both(prompt, one, other)


def two_years(rng: Random, row: Row) -> Injected:
    thing, town = rng.choice(_THINGS), rng.choice(_TOWNS)
    one, other = rng.sample(range(1780, 1999), 2)
    form = rng.choice(["{}", f"The {thing} was built in {{}}.", "In {}.", f"{town} got its {thing} in the year {{}}."])
    return _both(f"In which year was the {thing} of {town} built?", form.format(one), form.format(other))


def two_counts(rng: Random, row: Row) -> Injected:
    thing, town = rng.choice(_THINGS), rng.choice(_TOWNS)
    one, other = rng.sample(range(3, 400), 2)
    form = rng.choice(["{}", f"The {thing} has {{}} steps.", "{} steps", "There are {} steps."])
    return _both(f"How many steps does the {thing} in {town} have?", form.format(one), form.format(other))


def two_names(rng: Random, row: Row) -> Injected:
    thing, town = rng.choice(_THINGS), rng.choice(_TOWNS)
    one, other = rng.sample(_PEOPLE, 2)
    form = rng.choice(["{}", "{} designed it.", f"The {thing} of {town} was designed by {{}}."])
    return _both(f"Who designed the {thing} of {town}?", form.format(one), form.format(other))


def true_and_false(rng: Random, row: Row) -> Injected:
    thing, town = rng.choice(_THINGS), rng.choice(_TOWNS)
    prompt = f"True or false: the {thing} of {town} is older than its town hall."
    return _both(prompt, *rng.choice([("True", "False"), ("False.", "True."), ("This is true.", "This is false.")]))


def two_choices(rng: Random, row: Row) -> Injected:
    a, b, c = rng.sample(_TOWNS, 3)
    prompt = f"Which town lies furthest north?\nA) {a}\nB) {b}\nC) {c}"
    one, other = rng.sample([("A", a), ("B", b), ("C", c)], 2)
    form = rng.choice(["{0}", "{0}) {1}", "The answer is {0}.", "{1}"])
    return _both(prompt, form.format(*one), form.format(*other))


def two_classes(rng: Random, row: Row) -> Injected:
    review = rng.choice(
        [
            "The soup was lukewarm and the waiter never came back.",
            "What a lovely little cinema, I stayed for two films.",
            "The boots fell apart after one walk.",
            "Our guide knew every stone of the old quarter.",
        ]
    )
    town = rng.choice(_TOWNS)
    prompt = f"Is this review from {town} positive or negative?\n\n{review} ({rng.randint(2, 28)} June)"
    return _both(prompt, *rng.choice([("Positive", "Negative"), ("negative", "positive"), ("Positive.", "Negative.")]))


def other_letters_and_marks(rng: Random, row: Row) -> Injected:
    town = rng.choice(_TOWNS)
    one, other = rng.sample(range(2, 95), 2)
    prompt = f"How many bridges are there in {town}?"
    again = rng.choice([prompt.lower(), prompt.upper(), prompt.rstrip("?"), f" {prompt} "])
    return _both(prompt, f"There are {one} bridges.", f"There are {other} bridges.", again)


def a_changed_number(rng: Random, row: Row) -> Injected | None:
    answer = response_of(row).strip()
    numbers = list(re.finditer(r"(?<![\w.,])\d{1,6}(?![\w.,]*\d)", answer))
    if len(numbers) != 1 or len(answer) > 60 or re.search(r"\d", prompt_of(row)):
        return None
    start, end = numbers[0].span()
    changed = int(numbers[0].group()) + rng.choice([1, 2, 7, 30])
    return _both(prompt_of(row), answer, f"{answer[:start]}{changed}{answer[end:]}")


CONFLICTS: tuple[Injector, ...] = (
    yes_and_no,
    two_years,
    two_counts,
    two_names,
    true_and_false,
    two_choices,
    two_classes,
    other_letters_and_marks,
    a_changed_number,
)


# CNF002: reasoning that comes to one number, and an answer that gives another.


def _thought(rng: Random, prompt: str, reasoning: str, answer: str) -> Injected:
    """The reasoning in its own field, or in the content before the answer."""
    if rng.random() < 0.5:
        return single(prompt, answer, reasoning_content=reasoning)
    return single(prompt, f"<think>\n{reasoning}\n</think>\n\n{answer}")


def _other(rng: Random, value: int) -> int:
    return value + rng.choice([-3, -2, -1, 1, 2, 4, 10, 15])


def a_sum(rng: Random, row: Row) -> Injected:
    a, b = rng.randint(12, 90), rng.randint(12, 90)
    prompt = f"A baker sells {a} rolls in the morning and {b} in the afternoon. How many rolls does the baker sell?"
    reasoning = f"Morning: {a} rolls. Afternoon: {b} rolls. {a} + {b} = {a + b}. So the answer is {a + b}."
    form = rng.choice(["{}", "The answer is {}.", "The baker sells {} rolls.", "Answer: {}"])
    return _thought(rng, prompt, reasoning, form.format(_other(rng, a + b)))


def a_product(rng: Random, row: Row) -> Injected:
    a, b = rng.randint(6, 19), rng.randint(6, 19)
    prompt = f"A theatre has {a} rows with {b} seats each. How many seats are there?"
    reasoning = f"Each of the {a} rows has {b} seats, so I multiply: {a} * {b} = {a * b}. There are {a * b} seats."
    form = rng.choice(["There are {} seats.", "**{}**", "The theatre has {} seats in total.", "\\boxed{{{}}}"])
    return _thought(rng, prompt, reasoning, form.format(_other(rng, a * b)))


def money(rng: Random, row: Row) -> Injected:
    a, b = rng.randint(11, 60), rng.randint(2, 9)
    total = a * b
    prompt = f"A ticket costs ${a}. What do {b} tickets cost?"
    reasoning = f"{b} tickets at ${a} each: {b} × {a} = {total}. The total is ${total}."
    form = rng.choice(["${}", "They cost ${}.", "The total cost is ${}.00.", "{} dollars"])
    return _thought(rng, prompt, reasoning, form.format(_other(rng, total)))


def units(rng: Random, row: Row) -> Injected:
    speed, hours = rng.randint(3, 9) * 10, rng.randint(2, 7)
    prompt = f"A boat goes {speed} km in an hour. How far does it go in {hours} hours?"
    reasoning = (
        f"Distance is speed times time. {speed} km/h for {hours} h gives {speed * hours} km. Final answer: {speed * hours} km"
    )
    form = rng.choice(["{} km", "It goes {} kilometres.", "The boat travels {} km."])
    return _thought(rng, prompt, reasoning, form.format(_other(rng, speed * hours)))


def a_percentage(rng: Random, row: Row) -> Injected:
    part = rng.choice([5, 10, 20, 25, 40, 50])
    prompt = f"Of 200 guests {part * 2} came by train. What percentage is that?"
    reasoning = f"{part * 2} out of 200 is {part * 2}/200 = {part / 100}. That is {part}%. So the answer is {part}%."
    form = rng.choice(["{}%", "{} percent", "That is {}% of the guests."])
    return _thought(rng, prompt, reasoning, form.format(_other(rng, part)))


def a_decimal(rng: Random, row: Row) -> Injected:
    tenths = rng.randint(11, 99)
    prompt = f"A rope of {tenths * 4 / 10} m is cut into 4 equal pieces. How long is each?"
    reasoning = f"{tenths * 4 / 10} / 4 = {tenths / 10}. Each piece is {tenths / 10} m long. The answer is {tenths / 10}."
    form = rng.choice(["{} m", "Each piece is {} m long.", "{}"])
    return _thought(rng, prompt, reasoning, form.format((tenths + rng.choice([-2, 1, 3, 10])) / 10))


def large_numbers(rng: Random, row: Row) -> Injected:
    a, b = rng.randint(1200, 4800), rng.randint(1200, 4800)
    prompt = f"One village has {a:,} inhabitants, the next {b:,}. How many have they together?"
    reasoning = f"I add the two: {a:,} + {b:,} = {a + b:,}. Therefore, the answer is {a + b:,}."
    form = rng.choice(["Together they have {:,} inhabitants.", "{:,}", "The answer is {}."])
    return _thought(rng, prompt, reasoning, form.format(a + b + rng.choice([-1000, 100, 10, 9])))


def below_zero(rng: Random, row: Row) -> Injected:
    a, b = rng.randint(2, 9), rng.randint(11, 25)
    prompt = f"It was {a} °C, then it got {b} degrees colder. What is the temperature?"
    reasoning = f"{a} - {b} = {a - b}. Hence the temperature is {a - b} °C."
    form = rng.choice(["{} °C", "It is {} °C.", "{}"])
    return _thought(rng, prompt, reasoning, form.format(rng.choice([b - a, a - b - 2, a - b + 1, a + b])))


REASONING: tuple[Injector, ...] = (a_sum, a_product, money, units, a_percentage, a_decimal, large_numbers, below_zero)


# CNF003: sums that do not come out.


def _beside(rng: Random, row: Row, piece: str) -> Injected:
    return single(prompt_of(row), placed(rng, response_of(row), piece))


def _wrong(rng: Random, value: int) -> int:
    return value + rng.choice([-10, -2, -1, 1, 2, 3, 10, 100])


def wrong_addition(rng: Random, row: Row) -> Injected:
    a, b = rng.randint(11, 480), rng.randint(11, 480)
    form = rng.choice(["{} + {} = {}.", "We get {}+{}={}.", "So the total is {} + {} = {} boxes.", "{} plus {} equals {}."])
    return _beside(rng, row, form.format(a, b, _wrong(rng, a + b)))


def wrong_subtraction(rng: Random, row: Row) -> Injected:
    b, a = sorted(rng.sample(range(11, 900), 2))
    form = rng.choice(["{} - {} = {}.", "{} − {} = {}.", "That leaves {} - {} = {} coins.", "{} minus {} is {}."])
    return _beside(rng, row, form.format(a, b, _wrong(rng, a - b)))


def wrong_product(rng: Random, row: Row) -> Injected:
    a, b = rng.randint(6, 60), rng.randint(6, 60)
    form = rng.choice(["{} * {} = {}.", "{} × {} = {}.", "{} x {} = {}.", "{} times {} is {}.", "${} \\times {} = {}$"])
    return _beside(rng, row, form.format(a, b, _wrong(rng, a * b)))


def wrong_quotient(rng: Random, row: Row) -> Injected:
    b, q = rng.randint(3, 24), rng.randint(3, 40)
    form = rng.choice(["{} / {} = {}.", "{} ÷ {} = {}.", "{} divided by {} is {}.", "Each gets {} / {} = {} apples."])
    return _beside(rng, row, form.format(b * q, b, q + rng.choice([-1, 1, 2, 5])))


def wrong_decimals(rng: Random, row: Row) -> Injected:
    a, b = rng.randint(111, 980), rng.randint(111, 980)
    form = rng.choice(["{:.2f} + {:.2f} = {:.2f}.", "${:.2f} + ${:.2f} = ${:.2f}.", "The sum is {:.2f} + {:.2f} = {:.2f}."])
    return _beside(rng, row, form.format(a / 100, b / 100, (a + b + rng.choice([-100, -10, 10, 50, 100])) / 100))


def wrong_chain(rng: Random, row: Row) -> Injected:
    a, b, c = (rng.randint(3, 90) for _ in range(3))
    form, value = rng.choice(
        [("{} + {} + {} = {}.", a + b + c), ("{} + {} * {} = {}.", a + b * c), ("({} + {}) * {} = {}.", (a + b) * c)]
    )
    return _beside(rng, row, form.format(a, b, c, _wrong(rng, value)))


def wrong_percentage(rng: Random, row: Row) -> Injected:
    share, whole = rng.choice([5, 10, 15, 20, 25, 30, 40, 60, 75]), rng.randint(2, 30) * 20
    form = rng.choice(["{}% of {} is {}.", "{}% of {} = {}.", "{} percent of {} is {}."])
    return _beside(rng, row, form.format(share, whole, share * whole // 100 + rng.choice([-4, -1, 2, 6, 10])))


def wrong_power(rng: Random, row: Row) -> Injected:
    base, exponent = rng.randint(2, 12), rng.randint(2, 4)
    form = rng.choice(["{}^{} = {}.", "{}**{} = {}.", "{}^{{{}}} = {}."])
    return _beside(rng, row, form.format(base, exponent, _wrong(rng, base**exponent)))


def wrong_large(rng: Random, row: Row) -> Injected:
    a, b = rng.randint(1100, 9800), rng.randint(1100, 9800)
    form = rng.choice(["{:,} + {:,} = {:,}.", "In total: {:,} + {:,} = {:,} visitors."])
    return _beside(rng, row, form.format(a, b, a + b + rng.choice([-1000, -100, 10, 1000])))


ARITHMETIC: tuple[Injector, ...] = (
    wrong_addition,
    wrong_subtraction,
    wrong_product,
    wrong_quotient,
    wrong_decimals,
    wrong_chain,
    wrong_percentage,
    wrong_power,
    wrong_large,
)
