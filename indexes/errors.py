"""The one exception family of tunescope, at the bottom of the house so that every room can raise it.

An error carries facts (what, where, why, remedy) and builds its one-line sentence itself; the command line prints that
sentence and exits with code 2. Anything that is not a `TunescopeError` is a bug and exits with code 3.
"""

from __future__ import annotations

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


class TunescopeError(Exception):
    """A problem the user can mend: one line that says what, where, why and what to do.

    Args:
        what: What went wrong, in the user's words.
        where: The file, row or option concerned, such as `data.jsonl#17` (`#` counts rows from 0).
        why: The cause, where it is known and not obvious.
        remedy: What to do about it.
    """

    def __init__(self, what: str, *, where: str = "", why: str = "", remedy: str = "") -> None:
        self.what, self.where, self.why, self.remedy = what, where, why, remedy
        super().__init__(self.sentence())

    def sentence(self) -> str:
        """The whole message on one line, control characters replaced: text from a dataset may be quoted in it."""
        line = f"{self.where}: {self.what}" if self.where else self.what
        if self.why:
            line += f" ({self.why})"
        if self.remedy:
            line += f"; {self.remedy}"
        return "".join(c if c.isprintable() else " " for c in line)


class InputError(TunescopeError):
    """Data, options or configuration that cannot be used as given."""


class NothingToTraceError(InputError):
    """An answer in which nothing is marked false, or that does not differ from the right one."""


class DivergedError(InputError):
    """A tuning whose loss is no number any more: with these rows and this recipe it cannot go on."""


class CorruptFileError(TunescopeError):
    """A file of a run folder or of the cache does not have the bytes that were written."""


class StorageError(TunescopeError):
    """The disk is full, or a folder cannot be written."""


class VersionError(TunescopeError):
    """A run folder was written in a format that this version does not read."""


class MissingDependencyError(TunescopeError):
    """A package or model that this step needs is not installed."""
