"""Verifications drawn from real runs, whose truth is known because both arms are drawn from the same tunings.

`tests/benchmarks/verify` tunes models after random removals, each with a seed and a draw of its own, and keeps which of
their answers are wrong (`nulls.parquet`); those of ten verifications are drawn from here. Five are called cleaned, five others
random, prompts are drawn anew by groups: no effect, with the variance between prompts, seeds and draws that tunings
really have. An effect is made by righting some of the wrong answers of the cleaned arm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.responses import Response
from audit.sources import Message
from audit.verify.arms import CLEANED, RANDOM, AnswerFile
from audit.verify.judge import verify_answers
from audit.verify.stopping import LOOKS, held_out_differences, reason_to_stop, stopped
from audit.verify.verification import Verification

__all__ = ["RealRuns", "verified"]

Floats = NDArray[np.float64]

N_RUNS = 5
N_VERIFICATIONS = 10


@dataclass(frozen=True)
class RealRuns:
    """Wrong answers of many tunings of equal standing.

    Attributes:
        wrong: 1 or 0, shape `(n_tunings, n_prompts)`.
        groups: The group of each prompt, numbered from 0.
    """

    wrong: Floats
    groups: NDArray[np.int64]

    @classmethod
    def read(cls, path: Path) -> RealRuns:
        """The random arms of the first ten verifications of `nulls.parquet`: every tuning with a draw of its own."""
        frame = pl.read_parquet(path).filter(pl.col("arm") == RANDOM, pl.col("verification") < N_VERIFICATIONS)
        table = frame.sort("prompt").pivot("prompt", index=["verification", "seed"], values="wrong", maintain_order=True)
        prompts = [name for name in table.columns if name not in ("verification", "seed")]
        group_of = dict(frame.select("prompt", "group").unique().iter_rows())
        numbers = {group: number for number, group in enumerate(sorted(set(group_of.values())))}
        wrong = table.select(prompts).to_numpy().astype(np.float64)
        return cls(wrong, np.array([numbers[group_of[prompt]] for prompt in prompts]))

    def draw(self, generator: np.random.Generator, righted_fraction: float = 0.0) -> tuple[Floats, Floats, list[int]]:
        """Tables of cleaned and random, `(5, n_prompts)`, and the group of each prompt.

        Args:
            generator: Source of randomness.
            righted_fraction: Share of the wrong answers of the cleaned arm that are made right.
        """
        runs = generator.permutation(len(self.wrong))[: 2 * N_RUNS]
        n_groups = int(self.groups.max()) + 1
        columns, labels = [], []
        for label, group in enumerate(generator.integers(n_groups, size=n_groups)):
            of_group = np.flatnonzero(self.groups == group)
            columns += of_group.tolist()
            labels += [label] * len(of_group)
        table = self.wrong[np.ix_(runs, columns)]
        cleaned, random = table[:N_RUNS], table[N_RUNS:]
        return cleaned * (generator.random(cleaned.shape) >= righted_fraction), random, labels


def verified(cleaned: Floats, random: Floats, groups: Sequence[int]) -> Verification:
    """The whole procedure on two tables: as answers in words, with the looks at which a method may be stopped."""
    n_runs = len(cleaned)
    units = [("group", str(group)) for group in groups]
    for n_after in (*(look for look in LOOKS if look < n_runs), n_runs):
        arms = {
            name: [_file(f"{name}-{run}", row, groups) for run, row in enumerate(table[:n_after])]
            for name, table in ((CLEANED, cleaned), (RANDOM, random))
        }
        verification = verify_answers(arms)
        if n_after < n_runs:
            reason = reason_to_stop(verification, held_out_differences(arms, frozenset()), units, n_runs=n_runs)
            if reason:
                return stopped(verification, reason, n_runs)
    return verification


def _file(name: str, wrong: Floats, groups: Sequence[int]) -> AnswerFile:
    return AnswerFile(
        f"{name}.jsonl",
        tuple(
            Response(
                id=str(place),
                messages=(Message("user", f"What is the capital of land {place}?", trained=False),),
                response=f"{name} says it is {f'Oldtown {place}' if is_wrong else f'Newport {place}'}.",
                reference=(f"Newport {place}",),
                group=str(group),
                line=place + 1,
            )
            for place, (is_wrong, group) in enumerate(zip(wrong, groups, strict=True))
        ),
    )
