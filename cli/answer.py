"""`tunescope answer`: what a model says to prompts, as a file that trace, shift and verify read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import Quiet

__all__ = ["answer"]


def answer(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A folder, a PEFT adapter, or org/name of the hub.")],
    prompts: Annotated[Path, typer.Option(help="A JSONL file with prompt or messages.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The JSONL file of answers, made new.")],
    base_model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The base model of an adapter, where it has moved.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only prompts of this split: trace, held-out or control.")] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Where an answer is cut.")] = 256,
    batch_size: Annotated[int, typer.Option(min=1, help="Answers at once.")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    quiet: Quiet = False,
) -> None:
    """Ask a model, greedily. Interrupted? Repeat the command; it goes on."""
    from audit.config import member_of
    from audit.responses import Split, read_prompts
    from audit.verify.answering import ask
    from cli.console import progress_line
    from reports.wording import count

    asked = read_prompts(prompts)
    if split is not None:
        chosen = member_of(Split, "split", split)
        asked = tuple(prompt for prompt in asked if prompt.split is chosen)
    with progress_line(quiet) as progress:
        ask(
            model,
            asked,
            out,
            base=base_model,
            max_new_tokens=max_new_tokens,
            batch_size=batch_size,
            device=device,
            dtype=dtype,
            progress=progress,
        )
    typer.echo(f"{count(len(asked), 'answer')}: {out}", err=True)
