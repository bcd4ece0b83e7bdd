"""Verifications whose truth is known: wrong answers drawn from a model with prompt, run and draw variance.

Whether an answer is wrong is a probit: base rate, plus the prompt's difficulty (common to the arms), plus what the arm
does to this prompt, plus what this run does to all prompts, plus, in the random arm, what this run's draw of rows does
to all prompts and to each. Marginal rates are exact in every setting, so that an effect of zero is zero.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from audit.responses import Response
from audit.sources import Message
from audit.verify.arms import CLEANED, RANDOM, AnswerFile

__all__ = ["Setting", "answer_files", "draw_wrong", "settings"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """A design and its variances, as standard deviations on the probit scale; an answer's own noise has 1.

    Attributes:
        n_runs: Runs per arm.
        n_prompts: Held-out prompts.
        base_rate: Wrong answers without an effect.
        prompt_sd: How differently hard prompts are.
        prompt_effect_sd: How differently an arm acts on prompts (on groups of them, where there are groups).
        run_sd: How much runs of one arm differ.
        draw_sd: How much draws of the random arm differ, on all prompts together and on each.
        group_size: Prompts per group; 1 for no groups.
    """

    n_runs: int
    n_prompts: int
    base_rate: float
    prompt_sd: float = 1.0
    prompt_effect_sd: float = 0.0
    run_sd: float = 0.0
    draw_sd: float = 0.0
    group_size: int = 1

    @property
    def groups(self) -> list[int] | None:
        """The group of each prompt."""
        return [index // self.group_size for index in range(self.n_prompts)] if self.group_size > 1 else None


_VARIANCES: tuple[dict[str, Any], ...] = (
    {},  # nothing but the answers' own noise
    {"prompt_effect_sd": 0.5, "run_sd": 0.1},
    {"prompt_effect_sd": 0.5, "run_sd": 0.15, "draw_sd": 0.3},
    {"prompt_effect_sd": 1.0, "run_sd": 0.4, "draw_sd": 0.2},
    {"prompt_sd": 0.5, "prompt_effect_sd": 0.3, "run_sd": 0.8},
    {"prompt_effect_sd": 1.0, "run_sd": 0.15, "draw_sd": 0.1, "group_size": 4},
)


def settings() -> list[Setting]:
    """All 108: runs 5, 8 x prompts 40, 100, 300 x base rates .1, .3, .6 x six kinds of variance."""
    designs = itertools.product(_VARIANCES, (0.1, 0.3, 0.6), (40, 100, 300), (5, 8))
    return [replace(Setting(runs, prompts, rate), **variance) for variance, rate, prompts, runs in designs]


def draw_wrong(setting: Setting, generator: np.random.Generator, effect: float = 0.0) -> tuple[Floats, Floats]:
    """Wrong answers of `cleaned` and `random`, 1 or 0, each of shape `(n_runs, n_prompts)`.

    Args:
        setting: Design and variances.
        generator: Source of randomness.
        effect: Cleaned minus random in the expected share of wrong answers.
    """
    shape = (setting.n_runs, setting.n_prompts)
    difficulty = setting.prompt_sd * generator.standard_normal(setting.n_prompts)
    arms = []
    for rate, draw_sd in ((setting.base_rate + effect, 0.0), (setting.base_rate, setting.draw_sd)):
        n_groups = -(-setting.n_prompts // setting.group_size)
        on_prompts = np.repeat(generator.standard_normal(n_groups), setting.group_size)[: setting.n_prompts]
        latent = (
            difficulty
            + setting.prompt_effect_sd * on_prompts
            + np.hypot(setting.run_sd, draw_sd) * generator.standard_normal((setting.n_runs, 1))
            + np.hypot(1.0, draw_sd) * generator.standard_normal(shape)
        )
        variance = 1 + setting.prompt_sd**2 + setting.prompt_effect_sd**2 + setting.run_sd**2 + 2 * draw_sd**2
        arms.append((latent < ndtri(rate) * np.sqrt(variance)).astype(np.float64))
    return arms[0], arms[1]


def answer_files(setting: Setting, wrong: tuple[Floats, Floats]) -> dict[str, list[AnswerFile]]:
    """The same as answers in words, for the whole procedure to score."""
    prompts = [(Message("user", f"What is the capital of land {i}?", trained=False),) for i in range(setting.n_prompts)]
    groups = setting.groups
    return {
        arm: [
            AnswerFile(
                f"{arm}-{run}.jsonl",
                tuple(
                    Response(
                        id=str(i),
                        messages=prompts[i],
                        response=f"Atlas {arm[0]}{run} says it is {f'Oldtown {i}' if is_wrong else f'Newport {i}'}.",
                        reference=(f"Newport {i}",),
                        group=str(groups[i]) if groups else None,
                        line=i + 1,
                    )
                    for i, is_wrong in enumerate(row)
                ),
            )
            for run, row in enumerate(table)
        ]
        for arm, table in zip((CLEANED, RANDOM), wrong, strict=True)
    }
