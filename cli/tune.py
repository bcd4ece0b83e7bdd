"""`tunescope tune`: tune a model on a dataset, by LoRA or whole, and look at what became of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.audit import OutputFormat
from cli.console import Quiet

__all__ = ["tune"]


def tune(
    data: Annotated[str, typer.Argument(help="A file, folder, 'PATTERN', hub id or URL, as for tunescope audit.")],
    base_model: Annotated[str, typer.Option(help="Folder or hub name of the model that is tuned.")],
    method: Annotated[str, typer.Option(help="lora or full.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the tuned model; must not exist.")],
    recipe: Annotated[str, typer.Option(help="default, paper, pocket, or a YAML file.")] = "default",
    learning_rate: Annotated[float | None, typer.Option(help="In place of the recipe's.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of row order, adapter weights, dropout, noise and rows held out.")] = 0,
    epochs: Annotated[int | None, typer.Option(help="In place of the recipe's.")] = None,
    neftune_noise_alpha: Annotated[float | None, typer.Option(help="Noise on the embeddings, 5 for example.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Read only the first N rows.")] = None,
    input_format: Annotated[
        str | None, typer.Option(help="alpaca, messages, sharegpt, prompt-completion or preference; default: found.")
    ] = None,
    columns: Annotated[str | None, typer.Option(help="Odd column names: prompt=NAME,query=NAME,response=NAME,…")] = None,
    held_out: Annotated[
        str | None, typer.Option(metavar="FILE|SHARE", help="Rows to measure the loss on; a share of DATA is not trained on.")
    ] = None,
    probes: Annotated[Path | None, typer.Option(help="Prompts with references that the base model knows.")] = None,
    choose_learning_rate: Annotated[
        bool, typer.Option("--choose-learning-rate", help="Choose from the recipe's grid by held-out loss first.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Tunings at a time while choosing.")] = 1,
    checkpoint_seconds: Annotated[float, typer.Option(min=0, help="Least time between checkpoints.")] = 60.0,
    keep_optimizer: Annotated[
        bool, typer.Option("--keep-optimizer", help="Keep Adam's second moments, for traces without a base model.")
    ] = False,
    launch: Annotated[
        str | None,
        typer.Option(metavar="accelerate|torchrun", help="Print the command for several processes, and do not tune."),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Processes for --launch.")] = 2,
    format: Annotated[OutputFormat, typer.Option(help="What to print.")] = OutputFormat.TEXT,
    quiet: Quiet = False,
) -> None:
    """Tune a model with TRL; an interrupted tuning goes on where it stopped."""
    import os

    from audit.config import unknown_name
    from audit.errors import InputError
    from audit.sources import Format
    from audit.tune.job import TuneJob, run_job
    from audit.tune.launch import Launcher, plan_launch
    from audit.tune.recipe import Method, load_recipe
    from cli.audit import _columns
    from cli.console import progress_line, show, show_bytes
    from reports.json_report import encode_report
    from reports.tune import launch_report, to_json, tuning_report

    for given, known, kind in (
        (method, Method, "method"),
        (launch, Launcher, "launcher"),
        (input_format, Format, "format"),
    ):
        if given is not None and given not in tuple(known):
            raise unknown_name(kind, given, [str(name) for name in known])
    if choose_learning_rate and (learning_rate is not None or launch is not None):
        other = "--learning-rate" if learning_rate is not None else "--launch"
        raise InputError(f"--choose-learning-rate and {other} exclude each other", remedy="choose first, then give the rate")
    job = TuneJob(
        data=data,
        base_model=base_model,
        recipe=load_recipe(
            recipe,
            Method(method),
            learning_rate=learning_rate,
            epochs=epochs,
            neftune_noise_alpha=neftune_noise_alpha,
        ),
        out=out,
        seed=seed,
        input_format=Format(input_format) if input_format is not None else None,
        columns=_columns(columns) or {},
        limit=limit,
        held_out=_file_or_share(held_out),
        probes=probes,
        checkpoint_seconds=checkpoint_seconds,
        keep_optimizer=keep_optimizer,
    )
    if launch is not None:
        plan = plan_launch(job, Launcher(launch), processes)
        if format is OutputFormat.JSON:
            show_bytes(encode_report({"command": plan.command, "job": str(plan.job_file), "needs": list(plan.needs)}))
        else:
            show_bytes(plan.command.encode())  # on one line, however narrow the terminal
            show(launch_report(plan))
        return
    with progress_line(quiet) as progress:
        tuned = run_job(
            job,
            choose=choose_learning_rate,
            n_workers=workers,
            n_threads=max(1, (os.cpu_count() or 1) // workers),
            progress=progress,
        )
    if format is OutputFormat.JSON:
        show_bytes(encode_report(to_json(tuned, out)))
    else:
        show(tuning_report(tuned, out))


def _file_or_share(given: str | None) -> Path | float | None:
    if given is None:
        return None
    from audit.errors import InputError

    number, scale = (given[:-1], 100) if given.endswith("%") else (given, 1)
    try:
        share = float(number) / scale
        if not 0 < share < 1:
            raise InputError(
                f"--held-out {given} is no share", remedy="give one between 0 and 1, such as 0.1 or 10%, or a file"
            )
        return share
    except ValueError:
        if not Path(given).exists():
            raise InputError("no such file", where=given, remedy="give a file of rows, or a share such as 10%") from None
        return Path(given)
