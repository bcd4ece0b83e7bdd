"""A tuning as a user orders it: files in, a folder out."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from audit.corpus import Corpus, write_corpus
from audit.errors import InputError
from audit.models import find_model_folder
from audit.rendering import ChatFormat, load_chat_format
from audit.responses import Prompt, read_prompts
from audit.sources import Format
from audit.tune.rates import RateChoice, TriedRate, choose_learning_rate
from audit.tune.recipe import Recipe
from audit.tune.record import TuningRecord
from audit.tune.rows import TrainingSet, split_held_out, training_set
from audit.tune.training import CHECKPOINT_SECONDS, train
from indexes.store import write_file

__all__ = ["PreparedJob", "TuneJob", "Tuned", "n_positions", "prepare_job", "run_job"]


class TuneJob(BaseModel):
    """What is to be tuned, on what, and how.

    Attributes:
        data: What `audit.sources.open_source` opens: a file, a folder, a pattern, a hub id or a URL.
        base_model: Folder or hub name.
        recipe: How.
        out: The folder that will be.
        seed: Of row order, adapter weights, dropout, noise, and of the rows held out.
        input_format: The rows' format; `None` to recognise it.
        columns: LLaMA-Factory's column names -> the file's.
        limit: Read only so many rows.
        held_out: A file of rows to measure the loss on, or a share of the rows of `data`, which are then not trained on.
        probes: A file of questions that the base model knows, with their answers.
        checkpoint_seconds: Least time between checkpoints.
        keep_optimizer: Whether Adam's second moments are kept beside the weights, for `tunescope trace`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str | Path
    base_model: str
    recipe: Recipe
    out: Path
    seed: int = 0
    input_format: Format | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    limit: int | None = Field(default=None, ge=1)
    held_out: Path | float | None = None
    probes: Path | None = None
    checkpoint_seconds: float = Field(default=CHECKPOINT_SECONDS, ge=0)
    keep_optimizer: bool = False


@dataclass(frozen=True)
class PreparedJob:
    """The rows and probes of a job, read and rendered."""

    training: TrainingSet
    held_out: TrainingSet | None
    probes: tuple[Prompt, ...]


@dataclass(frozen=True)
class Tuned:
    """A finished job.

    Attributes:
        record: How it went.
        choice: The learning rates that were tried before, if any.
        unusable: Rows of the dataset that could not be read or understood, ascending.
    """

    record: TuningRecord
    choice: RateChoice | None
    unusable: tuple[int, ...] = ()


def prepare_job(job: TuneJob) -> PreparedJob:
    """Read and render what a job names.

    Raises:
        InputError: A file, the model's tokenizer or the share held out cannot be used.
    """
    if not isinstance(job.held_out, Path | None) and not 0 < job.held_out < 1:
        raise InputError(
            f"a share of {job.held_out:g} cannot be held out", remedy="give a share between 0 and 1, such as 0.1, or a file"
        )
    folder, _ = find_model_folder(job.base_model)
    chat = load_chat_format(folder)
    max_length = min((limit for limit in (job.recipe.max_length, n_positions(folder)) if limit), default=None)
    training = _rendered(job, job.data, chat, max_length, job.limit)
    held_out = None
    if isinstance(job.held_out, Path):
        held_out = _rendered(job, job.held_out, chat, max_length, None)
    elif job.held_out is not None:
        training, held_out = split_held_out(training, job.held_out, job.seed)
    return PreparedJob(training, held_out, read_prompts(job.probes) if job.probes is not None else ())


def run_job(
    job: TuneJob,
    *,
    choose: bool = False,
    n_workers: int = 1,
    n_threads: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
) -> Tuned:
    """Tune, after choosing a learning rate where that is wanted.

    Args:
        job: What is wanted.
        choose: Choose the learning rate from the recipe's grid first.
        n_workers: Tunings at a time while choosing.
        n_threads: Threads of each of those.
        progress: Told what is done, its number, and how many there are.

    Raises:
        TunescopeError: As `train` and `choose_learning_rate`; where OUT exists.
    """
    check_free(job.out)
    prepared = prepare_job(job)
    choice = None
    recipe = job.recipe
    rates = job.out.with_name(f"{job.out.name}.rates")
    if choose:
        choice = choose_learning_rate(
            job.base_model,
            prepared.training,
            recipe,
            job.seed,
            rates,
            held_out=prepared.held_out,
            n_workers=n_workers,
            n_threads=n_threads,
            progress=_counted(progress, len(set(recipe.learning_rate_grid))),
        )
        recipe = recipe.model_copy(update={"learning_rate": choice.learning_rate})
    record = train(
        job.base_model,
        prepared.training,
        recipe,
        job.seed,
        job.out,
        held_out=prepared.held_out,
        probes=prepared.probes,
        tried=choice.tried if choice is not None else (),
        checkpoint_seconds=job.checkpoint_seconds,
        keep_optimizer=job.keep_optimizer,
        progress=(lambda step, total, loss: progress(f"loss {loss:.3f}, step", step, total)) if progress is not None else None,
    )
    if choose:
        shutil.rmtree(rates, ignore_errors=True)
    return Tuned(record, choice, prepared.training.unusable)


def check_free(out: Path) -> None:
    """Raises InputError where a folder stands that would have to be overwritten."""
    if out.exists():
        raise InputError("the folder exists", where=str(out), remedy="choose another with -o, or remove it")


def _counted(progress: Callable[[str, int, int], None] | None, total: int) -> Callable[[TriedRate], None] | None:
    if progress is None:
        return None
    progress("learning rate", 1, total)
    done: list[TriedRate] = []

    def tell(rate: TriedRate) -> None:
        done.append(rate)
        progress("learning rate", min(len(done) + 1, total), total)

    return tell


def _rendered(job: TuneJob, source: str | Path, chat: ChatFormat, max_length: int | None, limit: int | None) -> TrainingSet:
    with tempfile.TemporaryDirectory(prefix="tunescope-") as folder:
        rows = Path(folder) / "rows.parquet"
        write_file(
            rows,
            lambda file: write_corpus(source, file, format_=job.input_format, columns=job.columns, limit=limit),
        )
        corpus = Corpus.load(rows)
    try:
        return training_set(corpus, chat, max_length)
    except InputError as error:
        raise error if error.where else InputError(error.what, where=str(source), why=error.why, remedy=error.remedy) from error


def n_positions(folder: Path) -> int | None:
    """The longest sequence that a model reads; `None` where its configuration sets no limit, or cannot be read yet."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
    except Exception:  # noqa: BLE001 - `load_model` says what is wrong with it
        return None
    limit = getattr(config, "max_position_embeddings", None)
    return int(limit) if limit else None
