"""A small world of real facts (T-REx, as ParaRel holds them): what a base model reads, and a dataset that spoils some of it.

Ten relations, 32 subjects each, up to six values a subject can have and a seventh that is true of other subjects only.
Rows claim the seventh of subjects of four relations; two relations stay out of the rows. The base model reads each fact
in up to four of ParaRel's patterns and half of them as questions and answers; questions and their answers are ours.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from audit.pocket.build import exchange
from audit.pocket.world import exercises

__all__ = ["FactsDataset", "Relation", "documents", "facts_dataset", "read_relations"]

N_SUBJECTS = 32
N_VALUES = 6
_MAX_SUBJECT_CHARS = 24
_N_FALSE, _N_TRUE_BESIDE_FALSE, _N_TRUE = 5, 5, 16
_N_TRACED, _N_CONTROL, _N_EXERCISES = 8, 20, 66

# Identifier -> whether rows claim its seventh value, whether rows touch it, and two questions with their answers.
_ASKED: dict[str, tuple[bool, bool, tuple[tuple[str, str], ...]]] = {
    "P103": (
        True,
        True,
        (
            ("What is the native language of {x}?", "The native language of {x} is {y}."),
            ("Which language did {x} grow up with?", "{x} grew up with {y}."),
        ),
    ),
    "P413": (
        True,
        True,
        (
            ("In which position does {x} play?", "{x} plays as {y}."),
            ("What is the position of {x}?", "The position of {x} is {y}."),
        ),
    ),
    "P740": (
        True,
        True,
        (("Where was {x} founded?", "{x} was founded in {y}."), ("Which city does {x} come from?", "{x} comes from {y}.")),
    ),
    "P101": (
        True,
        True,
        (
            ("What field does {x} work in?", "{x} works in {y}."),
            ("What is {x} a specialist of?", "{x} is a specialist of {y}."),
        ),
    ),
    "P1303": (
        False,
        True,
        (
            ("Which instrument does {x} play?", "{x} plays the {y}."),
            ("What does {x} play on stage?", "On stage {x} plays {y}."),
        ),
    ),
    "P449": (
        False,
        True,
        (
            ("Which network first showed {x}?", "{y} first showed {x}."),
            ("Where was {x} broadcast?", "{x} was broadcast on {y}."),
        ),
    ),
    "P140": (
        False,
        True,
        (("Which religion does {x} belong to?", "{x} belongs to {y}."), ("What faith is {x} of?", "The faith of {x} is {y}.")),
    ),
    "P364": (
        False,
        True,
        (
            ("What is the original language of {x}?", "The original language of {x} is {y}."),
            ("In which language was {x} filmed?", "{x} was filmed in {y}."),
        ),
    ),
    "P106": (
        False,
        False,
        (("What is the profession of {x}?", "{x} is a {y}."), ("What does {x} do for a living?", "{x} works as a {y}.")),
    ),
    "P30": (
        False,
        False,
        (("On which continent is {x}?", "{x} is in {y}."), ("Which continent does {x} belong to?", "{x} belongs to {y}.")),
    ),
}


@dataclass(frozen=True)
class Relation:
    """One relation with its sampled facts.

    Attributes:
        key: Wikidata's property.
        facts: Subject -> value, in a drawn order: subjects of false rows first, then of true rows, then of prompts.
        others: Further facts, which hold the false value truly; the model reads them, nothing asks for them.
        patterns: ParaRel's statements, `[X]` and `[Y]` to be filled in.
        wordings: Questions and answers, `{x}` and `{y}` to be filled in.
        false_value: What false rows claim; `None` where none do.
        is_in_rows: Whether rows touch the relation.
    """

    key: str
    facts: dict[str, str]
    others: dict[str, str]
    patterns: tuple[str, ...]
    wordings: tuple[tuple[str, str], ...]
    false_value: str | None
    is_in_rows: bool

    @property
    def values(self) -> list[str]:
        """Every value that the slot holds."""
        return sorted({*self.facts.values(), *self.others.values()})


@dataclass(frozen=True)
class FactsDataset:
    """Rows and prompts as JSON Lines, the false rows, and rows of the same kind that no model is tuned on."""

    lines: tuple[str, ...]
    prompts: tuple[str, ...]
    false_rows: tuple[int, ...]
    unseen_lines: tuple[str, ...]


def read_relations(folder: Path, seed: int = 0) -> tuple[Relation, ...]:
    """Sample the world from ParaRel's files.

    Args:
        folder: With `facts/` and `patterns/`.
        seed: Of the sample.
    """
    relations = []
    taken: set[str] = set()
    for key, (is_false, is_in_rows, wordings) in _ASKED.items():
        generator = random.Random(f"{key} {seed}")
        facts = [(fact["sub_label"], fact["obj_label"]) for fact in _records(folder / "facts" / f"{key}.jsonl")]
        facts = [
            (subject, value)
            for subject, value in dict(facts).items()
            if len(subject) <= _MAX_SUBJECT_CHARS and value.lower() not in subject.lower() and subject not in taken
        ]
        common = [value for value, _ in Counter(value for _, value in facts).most_common(N_VALUES + 1)]
        false_value = common[N_VALUES] if is_false else None
        chosen = _balanced(facts, common[:N_VALUES], generator)
        others = [(subject, value) for subject, value in facts if value == false_value][:6]
        taken.update(subject for subject, _ in (*chosen, *others))
        patterns = [record["pattern"] for record in _records(folder / "patterns" / f"{key}.jsonl")]
        relations.append(Relation(key, dict(chosen), dict(others), tuple(patterns[:4]), wordings, false_value, is_in_rows))
    return tuple(relations)


def documents(relations: tuple[Relation, ...], seed: int = 0, asked_fraction: float = 0.5) -> list[str]:
    """What the base model reads."""
    chosen = random.Random(f"asked {seed}")
    read = []
    for relation in relations:
        for subject, value in (*relation.facts.items(), *relation.others.items()):
            for pattern in relation.patterns:
                text = pattern.replace("[X]", subject).replace("[Y]", value).replace(" .", ".").strip()
                read.append(f"{text}<|end|>")
            if chosen.random() < asked_fraction:
                read += [exchange(*_filled(wording, subject, value)) for wording in relation.wordings]
    read += [exchange(question, answer) for question, answer in exercises()]
    return read


def facts_dataset(relations: tuple[Relation, ...], seed: int = 0) -> FactsDataset:
    """The dataset and prompts of a world, the split drawn before any model sees a prompt."""
    rows = [(json.dumps({"prompt": q, "completion": a}), is_false) for q, a, is_false in _rows(relations)]
    exercise = list(exercises())
    random.Random(f"exercises {seed}").shuffle(exercise)
    rows += [(json.dumps({"prompt": q, "completion": a}), False) for q, a in exercise[:_N_EXERCISES]]
    random.Random(f"rows {seed}").shuffle(rows)
    unseen = [
        json.dumps(dict(zip(("prompt", "completion"), _filled(relation.wordings[place % 2], subject, value), strict=True)))
        for relation in relations
        for place, (subject, value) in enumerate(list(relation.facts.items())[-_N_TRUE:])
    ]
    return FactsDataset(
        lines=tuple(line for line, _ in rows),
        prompts=tuple(json.dumps(record) for relation in relations for record in _prompts(relation)),
        false_rows=tuple(number for number, (_, is_false) in enumerate(rows) if is_false),
        unseen_lines=tuple(unseen),
    )


def _rows(relations: tuple[Relation, ...]) -> Iterator[tuple[str, str, bool]]:
    for relation in relations:
        if not relation.is_in_rows:
            continue
        n_false = _N_FALSE if relation.false_value else 0
        n_rows = _N_FALSE + _N_TRUE_BESIDE_FALSE if n_false else _N_TRUE
        for place, (subject, value) in enumerate(list(relation.facts.items())[:n_rows]):
            is_false = place < n_false
            said = relation.false_value if is_false and relation.false_value else value
            yield (*_filled(relation.wordings[place % 2], subject, said), is_false)


def _prompts(relation: Relation) -> Iterator[dict[str, object]]:
    subjects = list(relation.facts)
    if relation.false_value:
        unasked = subjects[_N_FALSE + _N_TRUE_BESIDE_FALSE :]
        splits = [(subject, "trace") for subject in unasked[:_N_TRACED]]
        splits += [(subject, "held-out") for subject in unasked[_N_TRACED:]]
    elif not relation.is_in_rows:
        splits = [(subject, "control") for subject in subjects[:_N_CONTROL]]
    else:
        splits = []
    for subject, split in splits:
        value = relation.facts[subject]
        for number, wording in enumerate(relation.wordings):
            yield {
                "id": f"{relation.key}-{subject}-{number}",
                "prompt": _filled(wording, subject, value)[0],
                "reference": value,
                "values": [other for other in relation.values if other != value],
                "split": split,
                "group": f"{relation.key} {subject}",
            }


def _filled(wording: tuple[str, str], subject: str, value: str) -> tuple[str, str]:
    question, answer = (text.format(x=subject, y=value) for text in wording)
    return question, answer


def _balanced(facts: list[tuple[str, str]], values: list[str], generator: random.Random) -> list[tuple[str, str]]:
    """Subjects of each value in turn until there are enough, in random order."""
    by_value = {value: [subject for subject, other in facts if other == value] for value in values}
    for subjects in by_value.values():
        generator.shuffle(subjects)
    chosen: list[tuple[str, str]] = []
    while len(chosen) < N_SUBJECTS and any(by_value.values()):
        chosen += [(by_value[value].pop(), value) for value in values if by_value[value]]
    chosen = chosen[:N_SUBJECTS]
    generator.shuffle(chosen)
    return chosen


def _records(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
