"""One process of a distributed tuning: `torchrun … -m audit.tune.worker JOB.json`, as `tunescope tune --launch` prints."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from audit.errors import InputError, TunescopeError
from audit.tune.job import check_free, prepare_job
from audit.tune.launch import read_job
from audit.tune.training import train_in_process

__all__ = ["main"]

_SPLITTING = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_MEGATRON_LM")


def main(arguments: list[str]) -> int:
    """Run a job; the exit code: 0, or 2 after one line that says what is wrong."""
    try:
        if len(arguments) != 1:
            raise InputError("no job is named", remedy="python -m audit.tune.worker JOB.json")
        _work(Path(arguments[0]))
    except TunescopeError as error:
        sys.stderr.write(f"tunescope: {error.sentence()}\n")
        return 2
    return 0


def _work(job_file: Path) -> None:
    splitting = next((name for name in _SPLITTING if os.environ.get(name, "false").lower() in ("1", "true")), None)
    if splitting is not None:
        raise InputError(
            "a model that is split over processes cannot be tuned here",
            why=f"{splitting} is set",
            remedy="use plain data parallelism: accelerate launch without FSDP and DeepSpeed",
        )
    job = read_job(job_file)
    check_free(job.out)
    prepared = prepare_job(job)
    record = train_in_process(
        job.base_model,
        prepared.training,
        job.recipe,
        job.seed,
        job.out,
        held_out=prepared.held_out,
        probes=prepared.probes,
        checkpoint_seconds=job.checkpoint_seconds,
        keep_optimizer=job.keep_optimizer,
    )
    if record is not None:
        sys.stderr.write(f"tunescope: {job.out} is tuned\n")


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Taking the process group down races with its own threads in torch 2.13: now and then it aborts, or waits for ever.
    os._exit(code)
