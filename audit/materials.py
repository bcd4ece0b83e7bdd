"""What checks and traces look at: the corpus and the indexes over its responses, each loaded when it is first needed.

Everything is numbered by *response*: response `i` is line `i` of `Corpus.responses`, and text `i` of every index.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.corpus import Corpus
from audit.errors import MissingDependencyError
from audit.languages import languages_of
from indexes.encoders import encode_cached, load_static
from indexes.lexical import Bm25Index
from indexes.phrases import PhraseIndex
from indexes.store import read_array, write_array
from indexes.words import WordStream, load_vocabulary, save_vocabulary

__all__ = [
    "BM25_FILES",
    "LANGUAGE_FILES",
    "VECTOR_FILES",
    "WORD_FILES",
    "Materials",
    "Need",
    "build_bm25",
    "build_languages",
    "build_vectors",
    "build_words",
]

_INDEXES = "indexes"
_VOCABULARY = "words.txt"
WORD_FILES = tuple(
    f"{_INDEXES}/{name}"
    for name in (_VOCABULARY, "prompts.ids.npy", "prompts.offsets.npy", "responses.ids.npy", "responses.offsets.npy")
)
BM25_FILES = tuple(f"{_INDEXES}/bm25.{name}.npy" for name in ("data", "indices", "indptr"))
VECTOR_FILES = (f"{_INDEXES}/prompts.vectors.npy",)
LANGUAGE_FILES = tuple(f"{_INDEXES}/{name}.languages.npy" for name in ("prompts", "responses"))

_ENGLISH = ("en", "")


class Need(StrEnum):
    """What a check needs besides the rows; the pipeline builds what the chosen checks need."""

    WORDS = "words"
    BM25 = "bm25"
    VECTORS = "vectors"
    LANGUAGES = "languages"


class Materials:
    """The corpus and its indexes in a run folder, finished or in the making."""

    def __init__(self, folder: Path, corpus: Corpus) -> None:
        self._folder = folder / _INDEXES
        self.corpus = corpus

    @property
    def n_responses(self) -> int:
        """How many responses there are."""
        return self.corpus.responses.height

    @cached_property
    def responses(self) -> pl.DataFrame:
        """Every response with what checks ask of it.

        Columns: `response` (its number), `row`, `turn`, `prompt`, `text` (the content as it stands), `reasoning` (that of
        the turn, or a leading <think> block; null without), `answer_start` (code point of `text` where the answer begins)
        and, as ISO 639-1 or "" where it cannot be told, `language` and `prompt_language`.
        """
        prompts, responses = (read_array(self._folder / f"{name}.languages.npy") for name in ("prompts", "responses"))
        thought = pl.col("text").str.extract_groups(r"(?s)^(?<before>\s*<think>(?<inside>.*?)</think>\s*)")
        return (
            self.corpus.responses.with_row_index("response")
            .join(self.corpus.turns.select("row", "turn", "reasoning"), on=["row", "turn"], how="left", maintain_order="left")
            .with_columns(
                reasoning=pl.coalesce("reasoning", thought.struct.field("inside")),
                answer_start=thought.struct.field("before").str.len_chars().fill_null(0),
                language=pl.Series(responses.tolist(), dtype=pl.String),
                prompt_language=pl.Series(prompts.tolist(), dtype=pl.String),
            )
        )

    @cached_property
    def english_responses(self) -> pl.DataFrame:
        """The responses of which neither the text nor the prompt is known to be of another language than English."""
        return self.responses.filter(pl.col("language").is_in(_ENGLISH) & pl.col("prompt_language").is_in(_ENGLISH))

    @cached_property
    def row_of_response(self) -> NDArray[np.int64]:
        """The row of every response; shape `(n_responses,)`."""
        return self.corpus.responses["row"].to_numpy().astype(np.int64)

    @cached_property
    def prompt_words(self) -> WordStream:
        """The tokens of every response's prompt."""
        return WordStream.load(self._folder, "prompts", self._vocabulary)

    @cached_property
    def response_words(self) -> WordStream:
        """The tokens of every response."""
        return WordStream.load(self._folder, "responses", self._vocabulary)

    @cached_property
    def phrases(self) -> PhraseIndex:
        """Where spans occur in responses."""
        return PhraseIndex(self.response_words)

    @cached_property
    def bm25(self) -> Bm25Index:
        """BM25 over prompt and response together."""
        return Bm25Index.load(self._folder, self.n_responses)

    @property
    def has_vectors(self) -> bool:
        """Whether the run holds prompt vectors; without an encoder on the machine it does not."""
        return (self._folder / "prompts.vectors.npy").exists()

    @cached_property
    def prompt_vectors(self) -> NDArray[np.float32]:
        """Unit vectors of the prompts, static encoder; shape `(n_responses, dim)`."""
        return read_array(self._folder / "prompts.vectors.npy").astype(np.float32)

    @cached_property
    def _vocabulary(self) -> list[str]:
        return load_vocabulary(self._folder / _VOCABULARY)


def build_words(folder: Path, corpus: Corpus) -> Mapping[str, Any]:
    """Tokenize prompts and responses."""
    prompts = WordStream.of(corpus.responses["prompt"].to_list())
    responses = WordStream.of(corpus.responses["text"].to_list(), prompts.vocabulary)
    prompts.save(folder / _INDEXES, "prompts")
    responses.save(folder / _INDEXES, "responses")
    save_vocabulary(folder / _INDEXES / _VOCABULARY, responses.vocabulary)
    return {"prompt_tokens": len(prompts.ids), "response_tokens": len(responses.ids), "vocabulary": len(responses.vocabulary)}


def build_languages(folder: Path, corpus: Corpus) -> Mapping[str, Any]:
    """Tell the languages of prompts and responses."""
    told = {name: languages_of(corpus.responses[column]) for name, column in (("prompts", "prompt"), ("responses", "text"))}
    for name, languages in told.items():
        write_array(folder / _INDEXES / f"{name}.languages.npy", languages.to_numpy().astype("U2"))
    foreign = pl.DataFrame(told).select(pl.any_horizontal(~pl.all().is_in(_ENGLISH)))
    counts = told["responses"].value_counts(sort=True)
    return {
        "not_english": int(foreign.to_series().sum()),
        "languages": {language or "unknown": number for language, number in counts.iter_rows()},
    }


def build_bm25(folder: Path, materials: Materials) -> Mapping[str, Any]:
    """Index the words of prompt and response together."""
    n_responses = materials.n_responses
    whole = materials.prompt_words.joined(materials.response_words, np.arange(n_responses), n_responses)
    Bm25Index.build(whole).save(folder / _INDEXES)
    return {"documents": n_responses}


def build_vectors(folder: Path, corpus: Corpus, encoder_name: str) -> Mapping[str, Any]:
    """Encode the prompts; where no encoder is on the machine, say so in the facts and build nothing."""
    try:
        encoder = load_static(encoder_name)
    except MissingDependencyError as error:
        return {"skipped": error.sentence()}
    vectors = encode_cached(encoder, corpus.responses["prompt"].to_list())
    write_array(folder / _INDEXES / "prompts.vectors.npy", vectors)
    return {"encoder": encoder_name, "digest": encoder.digest, "dim": encoder.dim}
