"""A measured shift as a folder: the tokens as Parquet, and what is rendered of it; whole, or not there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from audit.errors import InputError
from audit.rundir import write_table
from audit.shift.measure import ShiftReport
from indexes.store import sync_folder, write_bytes

__all__ = ["check_free", "store_shift"]


def check_free(out: Path) -> None:
    """Whether a folder can be made, before hours go into what it is to hold.

    Raises:
        InputError: It exists.
    """
    if out.exists():
        raise InputError("the folder exists", where=str(out), remedy="choose another with -o, or remove it")


def store_shift(out: Path, report: ShiftReport, rendered: Mapping[str, bytes]) -> Path:
    """Write `tokens.parquet` (see `TOKEN_SCHEMA`) and what was rendered; the folder.

    Args:
        out: The folder, made new.
        report: What was measured.
        rendered: Name -> content of further files.

    Raises:
        InputError: The folder exists.
        StorageError: The disk is full, or the folder cannot be written.
    """
    check_free(out)
    unfinished = out.with_name(out.name + ".partial")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    write_table(unfinished / "tokens.parquet", report.tokens)
    for name, content in rendered.items():
        write_bytes(unfinished / name, content)
    unfinished.rename(out)
    sync_folder(out.parent)
    return out
