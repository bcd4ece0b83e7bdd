"""A tuning on several processes: the job as a file, and the command that runs it.

Data parallel: every process holds the whole model and takes its share of each batch. The rows of a batch are those of a
tuning in one process, and so is the gradient but for the order of its sums.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum
from glob import has_magic
from pathlib import Path

from pydantic import ValidationError

from audit.errors import InputError
from audit.sources import container_of_suffix
from audit.tune.job import TuneJob, check_free
from indexes.store import write_bytes

__all__ = ["LaunchPlan", "Launcher", "plan_launch", "read_job"]

_WORKER = "audit.tune.worker"


class Launcher(StrEnum):
    """Who starts the processes."""

    ACCELERATE = "accelerate"
    TORCHRUN = "torchrun"


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """A command that is ready to be run.

    Attributes:
        command: For a shell.
        job_file: What it reads.
        needs: What has to be true where it is run, one sentence each.
    """

    command: str
    job_file: Path
    needs: tuple[str, ...]


def plan_launch(job: TuneJob, launcher: Launcher, n_processes: int) -> LaunchPlan:
    """Write the job beside the folder that it will make, as `OUT.job.json`.

    Args:
        job: What is wanted; relative paths are those of the working folder.
        launcher: Who starts the processes.
        n_processes: How many, all on one machine.

    Raises:
        InputError: OUT exists, or the recipe has no learning rate.
    """
    check_free(job.out)
    if job.recipe.learning_rate is None:
        raise InputError("the recipe has no learning rate", remedy="give one with --learning-rate")
    if job.recipe.batch_size % n_processes:
        raise InputError(
            f"a batch of {job.recipe.batch_size} rows cannot be shared out among {n_processes} processes",
            remedy="use a number of processes that divides batch_size",
        )
    resolved = job.model_copy(
        update={
            "data": _resolved(job.data),
            "out": job.out.resolve(),
            "base_model": str(Path(job.base_model).resolve()) if Path(job.base_model).is_dir() else job.base_model,
            "held_out": job.held_out.resolve() if isinstance(job.held_out, Path) else job.held_out,
            "probes": job.probes.resolve() if job.probes is not None else None,
        }
    )
    job_file = resolved.out.with_name(f"{resolved.out.name}.job.json")
    write_bytes(job_file, resolved.model_dump_json(indent=1).encode() + b"\n")
    if launcher is Launcher.TORCHRUN:
        start = ["torchrun", "--standalone", f"--nproc_per_node={n_processes}"]
    else:
        start = ["accelerate", "launch", f"--num_processes={n_processes}", "--num_machines=1"]
        start += ["--mixed_precision=no", "--dynamo_backend=no"]  # the job says what is computed how
        start += ["--multi_gpu"] if n_processes > 1 else []  # without it, or with --cpu, it starts one process alone
    return LaunchPlan(
        shlex.join([*start, "-m", _WORKER, str(job_file)]),
        job_file,
        (
            "run it in the environment that tunescope is installed in, where the files of the job have these paths",
            f"{n_processes} GPUs of one machine; where there is none, its processor is shared out",
            "memory for the whole model in each process: the model is not split",
        ),
    )


def _resolved(data: str | Path) -> str:
    """The place of a file, folder or pattern; a hub id or a URL stays."""
    named = str(data)
    is_local = Path(data).exists() or container_of_suffix(Path(data)) is not None or has_magic(named)
    return str(Path(data).resolve()) if is_local and "://" not in named else named


def read_job(path: Path) -> TuneJob:
    """What `plan_launch` wrote.

    Raises:
        InputError: It is no job.
    """
    try:
        return TuneJob.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError("cannot be read", where=str(path), why=error.strerror or str(error)) from error
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(str(part) for part in problem["loc"])
        raise InputError(
            f"is no job: {name}: {problem['msg'].lower()}", where=str(path), remedy="make it with tunescope tune --launch"
        ) from error
