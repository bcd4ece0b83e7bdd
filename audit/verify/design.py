"""What a verification will tune, fixed before anything is: arms and the rows each lacks, methods, seeds, prompts.

Every arm is the dataset without some rows. *cleaned* lacks those that the export dropped; *random* as many others, drawn
anew for every seed and matched on trained tokens, so that the draw is part of what varies; *original* nothing; *near*
neighbours of the dropped rows that lack the traced values. Rows that nobody can train on are in none of them. What an
export mended its own arm holds mended, and every other arm as it was: the contrast is of dropping and mending together,
and for an export that only mends *random* is the dataset as it was.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.config import unknown_name
from audit.errors import InputError
from audit.export.control import draw_token_control
from audit.export.stored import ExportRecord, read_export
from audit.materials import Materials
from audit.models import find_model_folder, weights_digest
from audit.rendering import load_chat_format
from audit.rundir import Run
from audit.trace.stored import traced_prompts, traced_spans
from audit.tune.job import n_positions
from audit.tune.recipe import Method, Recipe, load_recipe
from audit.tune.rows import TrainingSet, training_set, with_responses
from audit.verify.answer_style import FamilyWatch, watched_families
from audit.verify.answering import PromptSheet, n_threads_for, prompt_lines, read_prompt_sheet
from audit.verify.arms import CLEANED, RANDOM
from audit.verify.near import draw_near
from audit.verify.unseen import unseen_responses

__all__ = ["FIRST_SEED", "ArmDesign", "CampaignRequest", "Design", "Equal", "plan_design"]

Integers = NDArray[np.int64]

FIRST_SEED = 1000
"""Seeds begin here: those of `tunescope tune` begin at 0, and no arm is scored on a seed whose model made the claims."""

ORIGINAL = "original"
NEAR = "near"

_VERSIONS = ("tunescope", "torch", "transformers", "trl", "peft", "tokenizers")


class Equal(StrEnum):
    """What arms of different size have in common."""

    EPOCHS = "epochs"
    """Every row is seen as often; fewer rows are fewer steps."""
    STEPS = "steps"
    """As many optimizer steps as on all rows, in every arm."""


@dataclass(frozen=True)
class CampaignRequest:
    """What a user asks for.

    Attributes:
        export: The export whose dropped rows *cleaned* lacks, and whose mended rows it holds.
        base_model: Folder or hub name of the model to tune.
        prompts: File of prompts, split before anything was traced.
        methods: Ways to tune.
        recipe: A packaged recipe, or a file.
        learning_rates: In place of the recipe's.
        n_seeds: Tunings of every arm by every method.
        arms: `original` and `near`, if wanted.
        also_exports: Further exports, as arms side by side.
        delta_points: The smallest difference that matters.
        max_new_tokens: The longest answer.
        equal: What arms of different size have in common.
        unseen: A dataset that no model was tuned on, a null of borrowing.
        style_families: Whose share of the answers is measured, by number; by default those that the export dropped.
    """

    export: str
    base_model: str
    prompts: Path
    methods: tuple[Method, ...] = (Method.LORA,)
    recipe: str = "default"
    learning_rates: Mapping[Method, float] = field(default_factory=dict)
    n_seeds: int = 5
    arms: tuple[str, ...] = ()
    also_exports: tuple[str, ...] = ()
    delta_points: float = 5.0
    max_new_tokens: int = 128
    equal: Equal = Equal.EPOCHS
    unseen: Path | None = None
    style_families: tuple[int, ...] = ()


@dataclass(frozen=True)
class ArmDesign:
    """One arm.

    Attributes:
        name: Its name in files and reports.
        removed: For every seed the rows that it lacks, ascending; untrainable ones are not counted.
        n_rows: For every seed the rows that it is tuned on.
        n_tokens: For every seed their trained tokens, in one epoch.
        notes: What a reader has to know of it.
    """

    name: str
    removed: tuple[tuple[int, ...], ...]
    n_rows: tuple[int, ...]
    n_tokens: tuple[int, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Design:
    """A verification before it is begun.

    Attributes:
        request: What was asked for.
        export: What the cleaning dropped and mended.
        sheet: The prompts.
        traced_spans: Texts of the spans that were traced.
        training: All rows that can be trained on.
        recipes: One per method, LoRA first because it is the cheaper; without a learning rate where it is still to be
            chosen from the grid.
        seeds: Of the tunings.
        arms: `cleaned` and `random` first.
        base_folder: Where the base model lies.
        base_digest: SHA-256 of its weights.
        unseen: Responses that no model was tuned on, at most as many as the dataset has.
        n_threads: Of every tuning. It decides the last bits of the sums, so it depends on model and machine alone.
        notes: What a reader has to know.
        watch: The style families whose share of the answers is measured; `None` where none are.
        mended: All rows that can be trained on as an arm holds them, by arm, where its export mended some.
    """

    request: CampaignRequest
    export: ExportRecord
    sheet: PromptSheet
    traced_spans: tuple[str, ...]
    training: TrainingSet
    recipes: tuple[Recipe, ...]
    seeds: tuple[int, ...]
    arms: tuple[ArmDesign, ...]
    base_folder: Path
    base_digest: str
    unseen: tuple[str, ...] | None
    n_threads: int
    notes: tuple[str, ...]
    watch: FamilyWatch | None = None
    mended: Mapping[str, TrainingSet] = field(default_factory=dict)

    def rows_of(self, arm: str, seed: int) -> TrainingSet:
        """What an arm is tuned on with a seed."""
        of_arm = next(one for one in self.arms if one.name == arm)
        return self.mended.get(arm, self.training).without(of_arm.removed[self.seeds.index(seed)])

    @property
    def n_tunings(self) -> int:
        """Of the arms, if no method is stopped."""
        return len(self.recipes) * len(self.arms) * len(self.seeds)

    @property
    def n_rate_tunings(self) -> int:
        """Before them, to choose learning rates."""
        return sum(len(recipe.learning_rate_grid) for recipe in self.recipes if recipe.learning_rate is None)

    def n_steps(self, recipe: Recipe, n_rows: int) -> int:
        """Optimizer steps of one tuning on so many rows."""
        n_rows = len(self.training) if self.request.equal is Equal.STEPS else n_rows
        return recipe.max_steps or recipe.epochs * math.ceil(n_rows / recipe.batch_size)

    def arm_recipe(self, recipe: Recipe) -> Recipe:
        """The recipe that the arms are tuned by: with the number of steps fixed, where that is what they share."""
        if self.request.equal is Equal.EPOCHS:
            return recipe
        return recipe.model_copy(update={"max_steps": self.n_steps(recipe, len(self.training))})

    @cached_property
    def key(self) -> Mapping[str, Any]:
        """Everything that the result depends on, as JSON values."""
        return {
            "export": self.request.export,
            "arms": [[arm.name, list(map(list, arm.removed))] for arm in self.arms],
            "rows": self.training.digest,
            "base": self.base_digest,
            "template": self.training.template_digest,
            "prompts": hashlib.sha256(prompt_lines(self.sheet.prompts)).hexdigest(),
            "traced": [sorted(self.sheet.traced), list(self.traced_spans)],
            "recipes": [recipe.model_dump(mode="json") for recipe in self.recipes],
            "seeds": list(self.seeds),
            "delta_points": self.request.delta_points,
            "max_new_tokens": self.request.max_new_tokens,
            "equal": self.request.equal,
            "unseen": None if self.unseen is None else hashlib.sha256(json.dumps(self.unseen).encode()).hexdigest(),
            "style_families": None if self.watch is None else list(self.watch.numbers),
            "versions": {name: version(name) for name in _VERSIONS},
            **({"mended": {arm: rows.digest for arm, rows in self.mended.items()}} if self.mended else {}),
        }


def plan_design(run: Run, request: CampaignRequest) -> Design:
    """Read everything, draw every arm, and find everything that could go wrong before hours of tuning.

    Raises:
        InputError: An export, model, recipe or file of prompts cannot be used, or an arm cannot be drawn.
    """
    export = read_export(run, request.export)
    recipes = _recipes(request)
    sheet = read_prompt_sheet(request.prompts, traced_prompts(run))
    folder, _ = find_model_folder(request.base_model)
    base_digest = weights_digest(request.base_model)
    chat, max_length = load_chat_format(folder), common_max_length(recipes, folder)
    training = training_set(run.corpus, chat, max_length)
    seeds = tuple(range(FIRST_SEED, FIRST_SEED + request.n_seeds))
    spans = traced_spans(run)
    known = frozenset(run.added("exports")) - {export.name}  # what else is named, drawing the arms refuses
    also = [read_export(run, name) for name in dict.fromkeys(request.also_exports) if name in known]
    mended = {
        CLEANED if record is export else record.name: with_responses(training, run.corpus, chat, max_length, record.mended)
        for record in (export, *also)
        if any(row in frozenset(training.rows) for row, _ in record.mended)
    }
    return Design(
        request=request,
        export=export,
        sheet=sheet,
        traced_spans=spans,
        training=training,
        recipes=recipes,
        seeds=seeds,
        arms=tuple(_Draws(run, request, export, training, mended, spans, seeds).arms()),
        base_folder=folder,
        base_digest=base_digest,
        unseen=unseen_responses(request.unseen, run.corpus.responses.height) if request.unseen is not None else None,
        n_threads=n_threads_for(request.base_model),
        notes=tuple(_notes(run, sheet, training)),
        watch=watched_families(run, export, request.style_families),
        mended=mended,
    )


class _Draws:
    """Which rows every arm lacks."""

    def __init__(
        self,
        run: Run,
        request: CampaignRequest,
        export: ExportRecord,
        training: TrainingSet,
        mended: Mapping[str, TrainingSet],
        spans: Sequence[str],
        seeds: Sequence[int],
    ) -> None:
        self._run, self._request, self._export = run, request, export
        self._training, self._mended, self._spans, self._seeds = training, mended, spans, seeds
        self._n_tokens = self._tokens_of(training)

    def _tokens_of(self, training: TrainingSet) -> Integers:
        """Trained tokens of every row of the dataset, 0 where it is not in the set."""
        n_tokens = np.zeros(len(self._run.corpus), np.int64)
        n_tokens[list(training.rows)] = training.n_trained_tokens
        return n_tokens

    def arms(self) -> list[ArmDesign]:
        cleaned = self._same(CLEANED, self._export.dropped, self._notes_on_mends(CLEANED, self._export))
        only_mends = not cleaned.removed[0]
        if only_mends and CLEANED not in self._mended:
            raise InputError(
                f"the export {self._export.name!r} drops and mends no row that is trained on",
                why="cleaned, random and original would be the same dataset",
                remedy="name an export that drops or mends rows",
            )
        if cleaned.n_rows[0] == 0:
            raise InputError(f"the export {self._export.name!r} leaves no row to train on", remedy="drop fewer rows")
        arms = [cleaned, self._random()]
        for name in dict.fromkeys(self._request.arms):
            if only_mends and name in (ORIGINAL, NEAR):
                raise InputError(
                    f"no arm {name!r}",
                    why=f"the export {self._export.name!r} only mends, so that 'random' is the dataset as it was",
                    remedy=f"leave out --arm {name}",
                )
            if name == ORIGINAL:
                arms.append(self._same(ORIGINAL, ()))
            elif name == NEAR:
                near = draw_near(Materials(self._run.path, self._run.corpus), self._n_tokens, self._export.dropped, self._spans)
                arms.append(self._same(NEAR, near.removed, (f"near {near.note}",) if near.note else ()))
            elif name not in (CLEANED, RANDOM):
                raise unknown_name("arm", name, [ORIGINAL, NEAR])
        for name in dict.fromkeys(self._request.also_exports):
            if name in {arm.name for arm in arms} | {ORIGINAL, NEAR} or name == self._export.name:
                raise InputError(
                    f"--also-export {name} cannot be an arm of its own",
                    why="it is the export that is verified" if name == self._export.name else "an arm has that name",
                    remedy="name another export",
                )
            record = read_export(self._run, name)
            arms.append(self._same(name, record.dropped, self._notes_on_mends(name, record)))
        return arms

    def _notes_on_mends(self, arm: str, record: ExportRecord) -> tuple[str, ...]:
        if arm not in self._mended:
            return ()
        changed = {row for row, _ in record.mended} & frozenset(self._training.rows)
        before, after = (
            sum(n for row, n in zip(rows.rows, rows.n_trained_tokens, strict=True) if row in changed)
            for rows in (self._training, self._mended[arm])
        )
        others = "the other arms are tuned on these rows as they were"
        if arm == CLEANED and not record.dropped:
            others = "random is the dataset as it was"
        return (f"{arm} is tuned on {len(changed)} mended rows, of {after} trained tokens instead of {before}; {others}",)

    def _same(self, name: str, removed: Sequence[int], notes: tuple[str, ...] = ()) -> ArmDesign:
        """An arm that lacks the same rows at every seed."""
        return self._arm(name, [removed] * len(self._seeds), notes)

    def _random(self) -> ArmDesign:
        draws = [
            draw_token_control(self._run.corpus.rows, self._n_tokens, self._export.dropped, seed, self._export.group_column)
            for seed in self._seeds
        ]
        notes = tuple(f"random of seed {draw.seed} {draw.note}" for draw in draws if draw.note)
        return self._arm(RANDOM, [draw.removed for draw in draws], notes)

    def _arm(self, name: str, removed: Sequence[Sequence[int]], notes: tuple[str, ...]) -> ArmDesign:
        trained = tuple(tuple(sorted(row for row in rows if self._n_tokens[row])) for rows in removed)
        n_tokens = self._tokens_of(self._mended[name]) if name in self._mended else self._n_tokens
        n_all = int(n_tokens.sum())
        return ArmDesign(
            name=name,
            removed=trained,
            n_rows=tuple(len(self._training) - len(rows) for rows in trained),
            n_tokens=tuple(n_all - int(n_tokens[list(rows)].sum()) for rows in trained),
            notes=notes,
        )


def _recipes(request: CampaignRequest) -> tuple[Recipe, ...]:
    if request.n_seeds < 1:
        raise InputError(f"{request.n_seeds} seeds are none", remedy="give --seeds 5 for a verdict")
    for method in request.learning_rates:
        if method not in request.methods:
            raise InputError(f"a learning rate for {method}, which is not tuned", remedy=f"add --method {method}")
    return tuple(
        load_recipe(request.recipe, method, learning_rate=request.learning_rates.get(method))
        for method in Method  # LoRA comes first there
        if method in request.methods
    )


def common_max_length(recipes: Sequence[Recipe], folder: Path) -> int | None:
    """Where rows are cut; the control is matched on what is left, so that it must be the same for all methods."""
    lengths = {recipe.max_length for recipe in recipes}
    if len(lengths) > 1:
        said = " and ".join(f"{recipe.max_length} for {recipe.method}" for recipe in recipes)
        raise InputError(f"the recipe cuts rows at {said}", remedy="give one max_length for both")
    length = lengths.pop()
    return length if length is not None else n_positions(folder)


def _notes(run: Run, sheet: PromptSheet, training: TrainingSet) -> list[str]:
    notes = []
    asked = {" ".join(text.split()) for text in run.corpus.responses["prompt"]}
    n_verbatim = sum(" ".join(question.prompt.split()) in asked for question in sheet.held_out)
    if n_verbatim:
        notes.append(
            f"{n_verbatim} of {len(sheet.held_out)} held-out prompts stand in the dataset word for word: what is measured on"
            " them is memory of these rows, not what they do to other questions."
        )
    left_out = len(training.untrainable) + len(training.unusable)
    if left_out:
        notes.append(f"{left_out} rows that cannot be trained on are in no arm.")
    if training.cut:
        notes.append(f"{len(training.cut)} rows were longer than max_length and lost their ends, in every arm alike.")
    return notes
