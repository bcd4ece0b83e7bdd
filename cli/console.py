"""Where output goes: results to standard output, progress to standard error, bars only on a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console, RenderableType

__all__ = ["Progress", "Quiet", "progress_line", "show", "show_bytes"]

Progress = Callable[[str, int, int], None]
"""Called at the start of a stage with its name, its number from 1 and the number of stages."""

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing on standard error while at work.")]

SECONDS_BETWEEN_LINES = 10.0
"""A log names the stage at work this often at most, and not at all where everything is done sooner."""


def show(renderable: RenderableType) -> None:
    """Print a report to standard output; a command that is to be copied is never cut, however narrow the terminal."""
    Console(soft_wrap=False).print(renderable, crop=False)


def show_bytes(content: bytes) -> None:
    """Write a machine-readable result to standard output."""
    sys.stdout.buffer.write(content.rstrip(b"\n") + b"\n")
    sys.stdout.buffer.flush()


@contextmanager
def progress_line(quiet: bool = False) -> Iterator[Progress]:
    """A line on the terminal that names the stage at work; where standard error is none, a plain line now and then."""
    console = Console(stderr=True)
    if quiet:
        yield lambda stage, number, total: None
    elif console.is_terminal:
        with console.status("starting") as status:
            yield lambda stage, number, total: status.update(f"{stage} ({number} of {total})")
    else:
        with _log_lines() as progress:
            yield progress


@contextmanager
def _log_lines() -> Iterator[Progress]:
    at_work, said, done = "", "", threading.Event()

    def say_it() -> None:
        nonlocal said
        while not done.wait(SECONDS_BETWEEN_LINES):
            if at_work != said:
                said = at_work
                print(f"tunescope: {said}", file=sys.stderr, flush=True)  # noqa: T201 - the command's own output

    def progress(stage: str, number: int, total: int) -> None:
        nonlocal at_work
        at_work = f"{stage} ({number} of {total})"

    teller = threading.Thread(target=say_it, daemon=True)
    teller.start()
    try:
        yield progress
    finally:
        done.set()
        teller.join()
