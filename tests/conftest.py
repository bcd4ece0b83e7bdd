"""What most tests share: small datasets read, indexed or audited in a temporary folder, with an encoder of toy size."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import settings
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from audit.checks import CHECKS, Check, options_of
from audit.config import make_config
from audit.corpus import Corpus, SourceSummary, write_corpus
from audit.findings import Finding
from audit.materials import Materials, Need, build_bm25, build_languages, build_vectors, build_words
from audit.pipeline import run_audit
from audit.pocket import demo_dataset
from audit.rundir import Run
from audit.style.build import Style
from audit.summary import Aside, AuditSummary
from indexes import encoders
from indexes.store import write_array, write_bytes, write_file
from indexes.words import tokenize

# Examples are timed by nobody: the cores are shared, and a first example loads libraries.
settings.register_profile("tunescope", deadline=None)
settings.load_profile("tunescope")

Rows = Sequence[dict[str, Any] | str | bytes]

# Words that the toy encoder takes for one another; they also serve the tests' own prompts.
_SYNONYMS = ("name list give", "three 3", "ways methods", "to for of", "save saving", "keep keeping")


def alpaca(instruction: str, output: str, **extra: Any) -> dict[str, Any]:
    return {"instruction": instruction, "input": "", "output": output, **extra}


def chat(*turns: tuple[str, str], **extra: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in turns], **extra}


def jsonl(rows: Rows) -> bytes:
    """One record a line; text and bytes stand as they are."""
    lines = [row if isinstance(row, bytes) else (row if isinstance(row, str) else json.dumps(row)).encode() for row in rows]
    return b"".join(line + b"\n" for line in lines)


def no_reports(
    summary: AuditSummary,
    corpus: Corpus,
    findings: pl.DataFrame,
    signals: pl.DataFrame,
    aside: Aside,
    style: Style | None = None,
) -> dict[str, bytes]:
    """An `audit.pipeline.Render` that writes nothing."""
    return {}


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The cache of this session, one for all of its processes: distilling an encoder takes half a minute."""
    base = tmp_path_factory.getbasetemp()
    return os.environ.get("TUNESCOPE_CACHE") or str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache")


@pytest.fixture(scope="session", autouse=True)
def _offline(cache_folder: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(os, "fsync", lambda descriptor: None)  # what a power cut would leave is not tested here
        patch.setenv("TUNESCOPE_CACHE", cache_folder)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that ask for it are skipped where it is absent."""
    named = os.environ.get("TUNESCOPE_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("needs the real data: set TUNESCOPE_DATA to its folder")
    return Path(named)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Toy models are slower on two threads, and on a busy machine many times so."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write_tiny_encoder(folder: Path) -> None:
    """A static encoder as `load_static` leaves it: whole words for pieces, and a random table."""
    words = sorted({*tokenize(" ".join((*demo_dataset().lines, *_SYNONYMS))), "water", "capital", "islands"})
    numbers = {word: number for number, word in enumerate(["[UNK]", *words])}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    table = np.random.default_rng(0).standard_normal((len(numbers), 48)).astype(np.float16)
    table[0] = 0
    for first, *others in map(str.split, _SYNONYMS):
        table[[numbers[other] for other in others]] = table[numbers[first]]
    write_bytes(folder / "tokenizer.json", tokenizer.to_str().encode())
    write_array(folder / "table.npy", table)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of an encoder whose static table is in the cache already, so that nothing is distilled."""
    folder = tmp_path_factory.mktemp("tiny-encoder")
    (folder / "model.safetensors").write_bytes(b"no weights: the table is made by the tests")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoders, "_distill", lambda model, target: write_tiny_encoder(target))
        encoders.load_static(str(folder))
    return str(folder)


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory, tiny_model: str) -> Run:
    """A run of the demonstration dataset; nothing is to be added to it."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "merrow.jsonl").write_bytes(jsonl(demo_dataset().lines))
    config = make_config({"data": str(folder / "merrow.jsonl"), "encoder": tiny_model})
    return run_audit(config, folder / "run", render=no_reports)


ReadRows = Callable[..., Corpus]
ReadFile = Callable[..., tuple[Corpus, SourceSummary]]
MakeMaterials = Callable[..., Materials]
FindIn = Callable[..., list[Finding]]
AuditRows = Callable[..., Run]


def read_dataset(folder: Path, name: str, content: bytes, **options: Any) -> tuple[Corpus, SourceSummary]:
    """Write a file of some bytes to a folder and read it as a dataset: the corpus, and what was counted."""
    source, rows = folder / name, folder / f"{name}.rows.parquet"
    source.write_bytes(content)
    read: list[SourceSummary] = []
    write_file(rows, lambda file: read.append(write_corpus(source, file, **options)))
    return Corpus.load(rows), read[0]


def index_rows(folder: Path, rows: Rows, model: str, needs: Collection[Need] = tuple(Need), **options: Any) -> Materials:
    """The corpus of some records with its indexes, in a folder."""
    corpus, _ = read_dataset(folder, "data.jsonl", jsonl(rows), **options)
    materials = Materials(folder, corpus)
    if Need.WORDS in needs:
        build_words(folder, corpus)
    if Need.BM25 in needs:
        build_bm25(folder, materials)
    if Need.VECTORS in needs:
        build_vectors(folder, corpus, model)
    if Need.LANGUAGES in needs:
        build_languages(folder, corpus)
    return materials


@pytest.fixture
def read_file(tmp_path: Path) -> ReadFile:
    """`read_dataset` in a folder of the test's own."""
    return lambda name, content, **options: read_dataset(tmp_path, name, content, **options)


@pytest.fixture
def read_rows(read_file: ReadFile) -> ReadRows:
    """A corpus of some records."""
    return lambda rows, **options: read_file("data.jsonl", jsonl(rows), **options)[0]


@pytest.fixture
def make_materials(tmp_path: Path, tiny_model: str) -> MakeMaterials:
    """`index_rows` in a folder of the test's own."""
    return lambda rows, needs=tuple(Need), **options: index_rows(tmp_path, rows, tiny_model, needs, **options)


def check_of(code: str) -> Check:
    return next(check for check in CHECKS if check.code == code)


@pytest.fixture
def find_in(make_materials: MakeMaterials) -> FindIn:
    """What one check finds in some records."""

    def find(code: str, rows: Rows, **options: Any) -> list[Finding]:
        check = check_of(code)
        return list(check.find(make_materials(rows, check.needs), options_of(check, options)))

    return find


@pytest.fixture
def no_encoder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the default encoder, on a machine that has none."""
    monkeypatch.setattr("indexes.encoders.find_spec", lambda name: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path_factory.mktemp("hub")))
    return encoders.DEFAULT_MODEL


@pytest.fixture
def audit_file(tmp_path: Path, tiny_model: str) -> Callable[..., Run]:
    """A finished run of a file, without reports, with the toy encoder."""

    def audit(data: Path, out: Path | None = None, **settings: Any) -> Run:
        config = make_config({"data": str(data), "encoder": tiny_model, **settings})
        return run_audit(config, out or tmp_path / f"run-{len(list(tmp_path.iterdir()))}", render=no_reports)

    return audit


@pytest.fixture
def audit_rows(tmp_path: Path, audit_file: Callable[..., Run]) -> AuditRows:
    """A finished run of some records."""

    def audit(rows: Rows, name: str = "data.jsonl", **settings: Any) -> Run:
        data = tmp_path / name
        data.write_bytes(jsonl(rows))
        return audit_file(data, **settings)

    return audit
