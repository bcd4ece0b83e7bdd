"""The errors that the domain raises; see `indexes.errors` for the family."""

from __future__ import annotations

from indexes.errors import (
    CorruptFileError,
    DivergedError,
    InputError,
    MissingDependencyError,
    NothingToTraceError,
    StorageError,
    TunescopeError,
    VersionError,
)

__all__ = [
    "CorruptFileError",
    "DivergedError",
    "InputError",
    "MissingDependencyError",
    "NothingToTraceError",
    "StorageError",
    "TunescopeError",
    "VersionError",
]
