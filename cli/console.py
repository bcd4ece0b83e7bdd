"""Where output goes: results to standard output, progress to standard error, bars only on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType

__all__ = ["progress_line", "show", "show_bytes"]


def show(renderable: RenderableType) -> None:
    """Print a report to standard output; a command that is to be copied is never cut, however narrow the terminal."""
    Console(soft_wrap=False).print(renderable, crop=False)


def show_bytes(content: bytes) -> None:
    """Write a machine-readable result to standard output."""
    sys.stdout.buffer.write(content.rstrip(b"\n") + b"\n")
    sys.stdout.buffer.flush()


@contextmanager
def progress_line() -> Iterator[Callable[[str, int, int], None]]:
    """A line on the terminal that names the stage at work; silent where standard error is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda stage, number, total: None
        return
    with console.status("starting") as status:
        yield lambda stage, number, total: status.update(f"{stage} ({number} of {total})")
