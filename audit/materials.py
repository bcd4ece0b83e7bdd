"""What checks and traces look at: the corpus and the indexes over its responses, each loaded when it is first needed.

Everything is numbered by *response*: response `i` is line `i` of `Corpus.responses`, and text `i` of every index.
"""

from __future__ import annotations

import json
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
from audit.evaluation import EVALUATION_FILE, Evaluation, write_items
from audit.languages import languages_of
from indexes.encoders import encode_cached, load_static
from indexes.lexical import Bm25Index
from indexes.phrases import PhraseIndex
from indexes.store import read_array, read_bytes, write_array
from indexes.words import WordStream, is_sign, load_vocabulary, save_vocabulary, terms_of, tokenize

__all__ = [
    "BASE_FILES",
    "BM25_FILES",
    "EVALUATION_FILES",
    "LANGUAGE_FILES",
    "RISK_FILES",
    "SLICK_FILES",
    "TRAINER_FILES",
    "VECTOR_FILES",
    "WORD_FILES",
    "Materials",
    "Need",
    "build_bm25",
    "build_evaluation",
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
BM25_FILES = tuple(f"{_INDEXES}/bm25.{name}.npy" for name in ("data", "indices", "indptr", "pairs"))
VECTOR_FILES = (f"{_INDEXES}/prompts.vectors.npy",)
EVALUATION_FILES = (EVALUATION_FILE, f"{_INDEXES}/evaluation.vectors.npy")
TRAINER_FILES = ("signals/trainer.parquet", "signals/trainer.json")
"""What `audit.signals.trainer` made of every row, and of all together."""
BASE_FILES = ("signals/base.tokens.parquet", "signals/base.responses.parquet", "signals/base.json")
"""What `audit.signals.base_model` measured: tokens, responses, and with which model."""
RISK_FILES = ("signals/borrow_risk.parquet", "signals/borrow_risk.json")
"""What `audit.borrow_risk` measured, and how."""
SLICK_FILES = ("signals/slick.parquet", "signals/slick.json")
"""What `audit.signals.slick` asked the base model, and how."""
LANGUAGE_FILES = tuple(f"{_INDEXES}/{name}.languages.npy" for name in ("prompts", "responses"))

_ENGLISH = ("en", "")


class Need(StrEnum):
    """What a check needs besides the rows; the pipeline builds what the chosen checks need."""

    WORDS = "words"
    BM25 = "bm25"
    VECTORS = "vectors"
    LANGUAGES = "languages"
    EVALUATION = "evaluation"
    """Files of evaluation prompts; without them, checks that need this are left out."""
    STYLE = "style"
    STYLE_REFERENCE = "style reference"
    """Answers to hold the style against; without them, checks that need this are left out."""
    TRAINER = "trainer"
    """A tokenizer, with its chat template; without it, checks that need this are left out."""
    BASE_MODEL = "base model"
    """The model that is to be tuned; without it, checks that need this are left out."""
    SLICK = "slick"
    """What the base model answers to the rows' questions; without it, checks that need this are left out."""
    BORROW_RISK = "borrow risk"
    """Measured wherever there is a base model."""

    @property
    def is_given(self) -> bool:
        """Whether a user has to name it, so that an audit may be without."""
        return self in (Need.EVALUATION, Need.STYLE_REFERENCE, Need.TRAINER, Need.BASE_MODEL, Need.SLICK)


class Materials:
    """The corpus and its indexes in a run folder, finished or in the making."""

    def __init__(self, folder: Path, corpus: Corpus) -> None:
        self.folder = folder
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
    def has_english_prompt(self) -> NDArray[np.bool_]:
        """Whether a response's prompt is not known to be of another language than English; shape `(n_responses,)`."""
        return self.responses["prompt_language"].is_in(_ENGLISH).to_numpy()

    @cached_property
    def row_of_response(self) -> NDArray[np.int64]:
        """The row of every response; shape `(n_responses,)`."""
        return self.corpus.responses["row"].to_numpy().astype(np.int64)

    @cached_property
    def prompt_words(self) -> WordStream:
        """The tokens of every response's prompt."""
        return self._made_again[0] if self._is_outdated else WordStream.load(self._folder, "prompts", self._vocabulary)

    @cached_property
    def response_words(self) -> WordStream:
        """The tokens of every response."""
        return self._made_again[1] if self._is_outdated else WordStream.load(self._folder, "responses", self._vocabulary)

    @property
    def whole_words(self) -> WordStream:
        """The tokens of every prompt and its response, laid end to end."""
        return self.prompt_words.joined(self.response_words, np.arange(self.n_responses), self.n_responses)

    @cached_property
    def phrases(self) -> PhraseIndex:
        """Where spans occur in responses."""
        return PhraseIndex(self.response_words)

    @cached_property
    def bm25(self) -> Bm25Index:
        """BM25 over prompt and response together."""
        return Bm25Index.build(self.whole_words) if self._is_outdated else Bm25Index.load(self._folder, self.n_responses)

    def bm25_scores(self, *texts: str) -> NDArray[np.float32]:
        """BM25 of every response for the distinct terms of some texts; shape `(n_responses,)`."""
        terms = sorted({term for text in texts for term in terms_of(tokenize(text))})
        return self.bm25.scores(self.bm25.term_numbers(terms, self.response_words.number_of))

    @property
    def has_vectors(self) -> bool:
        """Whether the run holds prompt vectors; without an encoder on the machine it does not."""
        return (self._folder / "prompts.vectors.npy").exists()

    @cached_property
    def prompt_vectors(self) -> NDArray[np.float32]:
        """Unit vectors of the prompts, static encoder; shape `(n_responses, dim)`."""
        return read_array(self._folder / "prompts.vectors.npy").astype(np.float32)

    @cached_property
    def evaluation(self) -> pl.DataFrame:
        """The items that the data must not hold, `audit.evaluation.EVALUATION_SCHEMA`."""
        return pl.read_parquet(read_bytes(self._folder.parent / EVALUATION_FILE))

    @cached_property
    def evaluation_words(self) -> WordStream:
        """The tokens of every item's prompt; its vocabulary goes on from that of the responses."""
        return WordStream.of(self.evaluation["prompt"].to_list(), self.response_words.vocabulary)

    @cached_property
    def evaluation_vectors(self) -> NDArray[np.float32]:
        """Unit vectors of the items' prompts, static encoder; shape `(n_items, dim)`."""
        return read_array(self._folder / "evaluation.vectors.npy").astype(np.float32)

    @cached_property
    def trainer_rows(self) -> pl.DataFrame:
        """Every row as a trainer prepares it, `audit.signals.trainer.TRAINER_SCHEMA`."""
        return pl.read_parquet(read_bytes(self._folder.parent / TRAINER_FILES[0]))

    @cached_property
    def base_tokens(self) -> pl.DataFrame:
        """Every token of every response under the base model, `audit.signals.base_model.TOKEN_SCHEMA`."""
        return pl.read_parquet(read_bytes(self._folder.parent / BASE_FILES[0]))

    @cached_property
    def base_responses(self) -> pl.DataFrame:
        """Every response under the base model, `audit.signals.base_model.RESPONSE_SCHEMA`."""
        return pl.read_parquet(read_bytes(self._folder.parent / BASE_FILES[1]))

    @cached_property
    def borrow_risks(self) -> pl.DataFrame:
        """The riskiest value of every response that has one, `audit.borrow_risk.RISK_SCHEMA`."""
        return pl.read_parquet(read_bytes(self._folder.parent / RISK_FILES[0]))

    @cached_property
    def slick(self) -> pl.DataFrame:
        """Every row as SliCK has it, `audit.signals.slick.SLICK_SCHEMA`."""
        return pl.read_parquet(read_bytes(self._folder.parent / SLICK_FILES[0]))

    @cached_property
    def unexpected_fraction(self) -> float:
        """Share of the words that could be borrowed that the base model would hardly have said; 0 without any."""
        facts = json.loads(read_bytes(self._folder.parent / RISK_FILES[1]))
        return facts["values"] / facts["words"] if facts.get("words") else 0.0

    @cached_property
    def base_pieces(self) -> Mapping[int, str]:
        """The text of every token that the base model would rather have said, by its number."""
        pieces = json.loads(read_bytes(self._folder.parent / BASE_FILES[2]))["pieces"]
        return {int(number): text for number, text in pieces.items()}

    @cached_property
    def _vocabulary(self) -> list[str]:
        return load_vocabulary(self._folder / _VOCABULARY)

    @cached_property
    def _is_outdated(self) -> bool:
        """Whether an earlier version, to which letters and marks of unspaced scripts were tokens, indexed such a text."""
        of_earlier = (self._folder / "bm25.data.npy").exists() and not (self._folder / "bm25.pairs.npy").exists()
        return of_earlier and any(map(is_sign, self._vocabulary))

    @cached_property
    def _made_again(self) -> tuple[WordStream, WordStream]:
        """Prompts and responses as words of today, in memory: a finished run is not changed."""
        return _words_of(self.corpus)


def build_words(folder: Path, corpus: Corpus) -> Mapping[str, Any]:
    """Tokenize prompts and responses."""
    prompts, responses = _words_of(corpus)
    prompts.save(folder / _INDEXES, "prompts")
    responses.save(folder / _INDEXES, "responses")
    save_vocabulary(folder / _INDEXES / _VOCABULARY, responses.vocabulary)
    return {"prompt_tokens": len(prompts.ids), "response_tokens": len(responses.ids), "vocabulary": len(responses.vocabulary)}


def _words_of(corpus: Corpus) -> tuple[WordStream, WordStream]:
    prompts = WordStream.of(corpus.responses["prompt"].to_list())
    return prompts, WordStream.of(corpus.responses["text"].to_list(), prompts.vocabulary)


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
    Bm25Index.build(materials.whole_words).save(folder / _INDEXES)
    return {"documents": materials.n_responses}


def build_vectors(folder: Path, corpus: Corpus, encoder_name: str, *, cached: bool = True) -> Mapping[str, Any]:
    """Encode the prompts; where no encoder is on the machine, say so in the facts and build nothing.

    Args:
        folder: The run folder.
        corpus: The rows.
        encoder_name: Folder or name of the model.
        cached: Whether the machine's cache may keep the vectors for other runs.
    """
    try:
        encoder = load_static(encoder_name)
    except MissingDependencyError as error:
        return {"skipped": error.sentence()}
    prompts = corpus.responses["prompt"].to_list()
    vectors = encode_cached(encoder, prompts) if cached else encoder.encode(prompts).astype(np.float16)
    write_array(folder / _INDEXES / "prompts.vectors.npy", vectors)
    return {"encoder": encoder_name, "digest": encoder.digest, "dim": encoder.dim}


def build_evaluation(
    folder: Path, evaluation: Evaluation, encoder_name: str | None, *, cached: bool = True
) -> Mapping[str, Any]:
    """Write the items of evaluation files and encode their prompts.

    Args:
        folder: The run folder.
        evaluation: The files, read.
        encoder_name: Of the prompts' vectors; `None` where there are none.
        cached: As in `build_vectors`.
    """
    write_items(folder / EVALUATION_FILE, evaluation.items)
    if encoder_name is not None:
        encoder, prompts = load_static(encoder_name), [item.prompt for item in evaluation.items]
        vectors = encode_cached(encoder, prompts) if cached else encoder.encode(prompts).astype(np.float16)
        write_array(folder / _INDEXES / "evaluation.vectors.npy", vectors)
    return {"items": len(evaluation.items), "files": list(evaluation.files), "sha256": list(evaluation.sha256)}
