"""What goes with an exported file: a section of its dataset card, Croissant metadata, and, only when asked, the hub.

Everything that can be refused is refused by `check_publication`, before the export is written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from audit.errors import InputError
from audit.export import Exported
from reports.card import CARD_NAME, card_folder, card_section, read_card, update_card
from reports.croissant import croissant_json, exported_files
from reports.visible import one_line

__all__ = ["CROISSANT_NAME", "Publication", "Published", "check_publication", "publish"]

CROISSANT_NAME = "croissant.json"

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


@dataclass(frozen=True)
class Publication:
    """What is asked for beside the exported file.

    Attributes:
        card: Write or update its section in README.md.
        croissant: Write croissant.json.
        repository: `ORG/NAME` of a dataset on the Hugging Face hub to upload all of it to, card and metadata included.
        public: Make a new repository public; without it, it is private.
    """

    card: bool = False
    croissant: bool = False
    repository: str | None = None
    public: bool = False

    @property
    def with_card(self) -> bool:
        """Whether the card is written."""
        return self.card or self.repository is not None

    @property
    def with_croissant(self) -> bool:
        """Whether the metadata is written."""
        return self.croissant or self.repository is not None


@dataclass(frozen=True)
class Published:
    """What was written beside an export: files, and the address of the upload, where there was one."""

    files: tuple[Path, ...]
    url: str | None


def check_publication(asked: Publication, out: Path) -> None:
    """Refuse what cannot be done, before anything is written.

    Args:
        asked: What is asked for.
        out: The file that will be exported.

    Raises:
        InputError: The card cannot be updated, the metadata of something else lies there, or nothing can be uploaded.
    """
    folder = card_folder(out)
    if asked.with_card:
        read_card(folder)
    metadata = folder / CROISSANT_NAME
    if asked.with_croissant and metadata.exists() and b"mlcommons.org/croissant" not in _read(metadata):
        raise InputError(
            "is no Croissant metadata, and is not replaced", where=str(metadata), remedy="move it, or export elsewhere"
        )
    if asked.public and asked.repository is None:
        raise InputError("--public alone", remedy="give --push-to-hub ORG/NAME too")
    if asked.repository is not None:
        _check_hub(asked.repository)


def publish(exported: Exported, asked: Publication) -> Published:
    """Write what is asked for beside an export, and upload it where that is asked for.

    Raises:
        InputError: A file cannot be written, or the hub refuses; the export itself stays.
    """
    folder = card_folder(exported.cleaned)
    files: dict[str, bytes] = {}
    section, card = "", ""
    if asked.with_card:
        section = card_section(exported)
        card = update_card(read_card(folder), section, exported.cleaned)
        files[CARD_NAME] = card.encode()
    if asked.with_croissant:
        today = datetime.now(UTC).date()
        files[CROISSANT_NAME] = croissant_json(exported, today, card or read_card(folder))
    for name, content in files.items():
        _replace(folder / name, content)
    url = None if asked.repository is None else _upload(exported, asked.repository, asked.public, files, section)
    return Published(tuple(folder / name for name in files), url)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError("cannot be read", where=str(path), why=error.strerror or "") from error


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole, or leave it as it was."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError as error:
        raise InputError("cannot be written", where=str(path), why=error.strerror or str(error)) from error
    finally:
        with suppress(OSError):
            unfinished.unlink()


def _check_hub(repository: str) -> None:
    from huggingface_hub import get_token, is_offline_mode

    if not _REPOSITORY.fullmatch(repository):
        raise InputError(f"--push-to-hub {repository!r} is not ORG/NAME", remedy="name a dataset such as my-org/my-data")
    if is_offline_mode():
        raise InputError(
            "HF_HUB_OFFLINE is set, and an upload needs the network", remedy="unset it, or export without --push-to-hub"
        )
    if not get_token():
        raise InputError(
            "no token of the Hugging Face hub is known", remedy="hf auth login, or set HF_TOKEN to one with write access"
        )


def _upload(exported: Exported, repository: str, public: bool, written: Mapping[str, bytes], section: str) -> str:
    """Upload the export with its controls, card and metadata in one commit; a card there keeps all but our section."""
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

    api = HfApi()
    # The first are those of the HTTP client, which depends on the version.
    failures: Any = (*HfHubHTTPError.__bases__, ValueError)
    try:
        url = api.create_repo(repository, repo_type="dataset", private=not public, exist_ok=True)
        files: dict[str, Path | bytes] = {file.name: file.path for file in exported_files(exported)} | dict(written)
        with TemporaryDirectory() as folder, suppress(EntryNotFoundError):
            api.hf_hub_download(repository, CARD_NAME, repo_type="dataset", local_dir=folder)
            files[CARD_NAME] = update_card(read_card(Path(folder)), section, exported.cleaned).encode()
        api.create_commit(
            repository,
            [CommitOperationAdd(path_in_repo=name, path_or_fileobj=content) for name, content in files.items()],
            commit_message=f"Add {exported.cleaned.name}, cleaned with tunescope",
            repo_type="dataset",
        )
    except failures as error:
        raise InputError(
            "the upload failed; the files were written",
            where=repository,
            why=one_line(str(error), 300) or type(error).__name__,
            remedy="repeat it with hf upload, or export again under another name",
        ) from error
    return str(url)
