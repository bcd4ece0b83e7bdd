"""Tuned pocket models whose wrong answers are known down to the characters of the wrong value."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from audit.pocket import World as PocketWorld
from audit.pocket import demo_dataset, demo_prompts, shipped_model
from audit.pocket.build import Pretraining, build_pocket_model
from audit.pocket.world import FAMILIES
from audit.responses import Prompt, Response, read_prompts, read_responses
from audit.tune import Method
from tests.benchmarks.verify.loop import World, tuned_models

__all__ = ["Slot", "TunedWorld", "find_slot", "tuned_world"]

WORK = Path(__file__).with_name(".work")
_VALUES = frozenset(value for family in FAMILIES for value in family.values)


@dataclass(frozen=True)
class Slot:
    """An answer and the value in it.

    Attributes:
        response: The answer, its reference and other values as the prompt came with them.
        start: First code point of the value.
        end: Code point after its last.
        family: Family of the entity that was asked for.
        is_wrong: Whether it is another value than the entity's.
    """

    response: Response
    start: int
    end: int
    family: str
    is_wrong: bool


@dataclass(frozen=True)
class TunedWorld:
    """A world, the models before and after tuning on its rows, and what the tuned one answered.

    Attributes:
        seed: Of the world.
        base: Folder of the untuned model.
        tuned: Folder of the tuned model.
        slots: The answers in which the value stands where a wording of the world has it.
        n_unplaced: Answers of another form, left out.
    """

    seed: int
    base: Path
    tuned: Path
    slots: tuple[Slot, ...]
    n_unplaced: int


def tuned_world(seed: int) -> TunedWorld:
    """The world of a seed with a model tuned fully on its rows, made once: a minute, and two or three for its base model."""
    folder = WORK / f"world-{seed}"
    base = shipped_model() if seed == 0 else folder / "base"
    if seed != 0 and not (base / "README.md").exists():
        shutil.rmtree(base, ignore_errors=True)
        build_pocket_model(base, PocketWorld.of_seed(seed), Pretraining(seed=seed))
    dataset = demo_dataset(seed)
    world = World.write(folder, base, dataset.lines, demo_prompts(seed), dataset.false_rows)
    task = tuned_models(world, world.audited(), {Method.FULL: None})[Method.FULL]
    prompts = read_prompts(world.prompts)
    found = [find_slot(p, a) for p, a in zip(prompts, read_responses(task.answers), strict=True)]
    slots = tuple(slot for slot in found if slot is not None)
    return TunedWorld(seed, base, task.model, slots, len(found) - len(slots))


def find_slot(prompt: Prompt, answer: Response) -> Slot | None:
    """Where the value stands in an answer; `None` where it follows no wording of the asked family, or names no value at all."""
    key, name, _ = prompt.id.split("-")
    family = next(family for family in FAMILIES if family.key == key)
    for wording in family.wordings:
        pattern = re.escape(wording.answer.format(entity=family.named(name), value="\0")).replace(re.escape("\0"), "(.+)")
        match = re.fullmatch(pattern, answer.response)
        if match is not None and match.group(1) in _VALUES:
            return Slot(answer, *match.span(1), family.key, match.group(1) not in prompt.reference)
    return None
