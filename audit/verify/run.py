"""A verification against a run: what was traced there is left out, and what the export dropped is said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from audit.export.stored import ExportRecord, read_export
from audit.responses import Split
from audit.rundir import Run
from audit.trace.stored import traced_prompts, traced_spans
from audit.verify.answer_style import FamilyWatch, watched_families
from audit.verify.arms import AnswerFile, read_arms
from audit.verify.borrowing import RowTexts
from audit.verify.campaign import AspectJudge, rows_of
from audit.verify.judge import verify_answers
from audit.verify.stopping import held_out_differences, needed_sentence
from audit.verify.unseen import unseen_responses
from audit.verify.verification import Verification

__all__ = ["judge_answer_files", "unseen_of", "verify_run"]


def verify_run(
    run: Run,
    files: Iterable[tuple[str, Path]],
    *,
    export: str | None = None,
    delta_points: float = 5.0,
    unseen: Path | None = None,
    judge: AspectJudge | None = None,
    style_families: Sequence[int] = (),
) -> Verification:
    """Judge the answers of models that were tuned on a cleaned set and on matched random removals.

    Args:
        run: The run that the cleaning came from.
        files: Arm and answer file, one per tuned model; those of one arm are its runs, in the order given.
        export: Which export the cleaned arm was tuned on.
        delta_points: The smallest difference that matters, in percentage points.
        unseen: A dataset that no model was tuned on, a null of borrowing.
        judge: Measures further aspects of the answers.
        style_families: Whose share of the answers is measured, by number; by default those that the export dropped.

    Raises:
        InputError: The run has no such export or family, or the files cannot be compared.
    """
    record = read_export(run, export) if export is not None else None
    return judge_answer_files(
        read_arms(files),
        traced_prompts=traced_prompts(run),
        traced_spans=traced_spans(run),
        export=record,
        delta_points=delta_points,
        rows=rows_of(run),
        unseen=unseen_of(unseen, run),
        judge=judge,
        watch=watched_families(run, record, style_families),
    )


def unseen_of(path: Path | None, run: Run) -> RowTexts | None:
    """The responses of a dataset that no model was tuned on, at most as many as the run's dataset has.

    Raises:
        InputError: The file cannot be read as a dataset.
    """
    return None if path is None else RowTexts.of(unseen_responses(path, run.corpus.responses.height))


def judge_answer_files(
    arms: Mapping[str, Sequence[AnswerFile]],
    *,
    traced_prompts: frozenset[str],
    traced_spans: Sequence[str],
    export: ExportRecord | None,
    delta_points: float,
    rows: RowTexts | None = None,
    unseen: RowTexts | None = None,
    base_answers: AnswerFile | None = None,
    judge: AspectJudge | None = None,
    watch: FamilyWatch | None = None,
) -> Verification:
    """`verify_answers` of models that were tuned elsewhere, with what it would take to see an effect where none was seen.

    Raises:
        InputError: The files cannot be compared.
    """
    aspects = judge(arms, traced_prompts) if judge is not None else None
    verification = verify_answers(
        arms,
        traced_prompts=traced_prompts,
        traced_spans=traced_spans,
        delta_points=delta_points,
        dropped_fraction=export.dropped_share if export is not None else None,
        base_answers=base_answers,
        rows=rows,
        unseen=unseen,
        measures=aspects.measures if aspects is not None else (),
        watch=watch,
        notes=(*(aspects.notes if aspects is not None else ()), *_notes_on_mends(export)),
    )
    held_out = [result for result in verification.prompts if result.split is Split.HELD_OUT]
    units = [("prompt", number) if result.group is None else ("group", result.group) for number, result in enumerate(held_out)]
    needed = needed_sentence(verification, held_out_differences(arms, traced_prompts), units)
    return replace(verification, notes=(*verification.notes, needed)) if needed else verification


def _notes_on_mends(export: ExportRecord | None) -> Iterable[str]:
    if export is not None and export.mended:
        n_rows = len({row for row, _ in export.mended})
        yield f"The export mended {n_rows} rows: cleaned has to be tuned on them as they are now, random as they were."
