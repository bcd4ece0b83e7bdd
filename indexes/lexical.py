"""BM25 over token streams, with bm25s.

The index takes the tokens that `indexes.words` has made, punctuation left out, so nothing is tokenized twice. Scores
are Lucene's variant (k1 1.5, b 0.75), rounded for ties.

Source: Robertson and Zaragoza (2009); Lù (2024), arXiv 2407.03618.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import bm25s
import numpy as np
from bm25s.tokenization import Tokenized
from numpy.typing import NDArray

from indexes.store import read_array, write_array
from indexes.words import WordStream

__all__ = ["BM25_DECIMALS", "Bm25Index"]

BM25_DECIMALS = 4
_ARRAYS = ("data", "indices", "indptr")


class Bm25Index:
    """Scores of a bag of tokens against many documents."""

    def __init__(self, scores: dict[str, NDArray[np.generic]], n_documents: int) -> None:
        self._model = bm25s.BM25()
        self._model.scores = {**scores, "num_docs": n_documents}
        self._model.nonoccurrence_array = None  # of variants of BM25 other than Lucene's
        self.n_documents = n_documents

    @classmethod
    def build(cls, stream: WordStream) -> Bm25Index:
        """Index the words of every text of a stream."""
        is_word = stream.words[stream.ids]
        if not is_word.any():  # documents of no length have no mean length to be measured by
            none = {"data": np.empty(0, np.float32), "indices": np.empty(0, np.int32)}
            return cls({**none, "indptr": np.zeros(len(stream.vocabulary) + 1, np.int64)}, stream.n_texts)
        ends = np.cumsum(is_word)[stream.offsets[1:] - 1]
        ends[np.diff(stream.offsets) == 0] = 0  # an empty text ends where the one before it does
        documents = [part.tolist() for part in np.split(stream.ids[is_word], np.maximum.accumulate(ends)[:-1])]
        model = bm25s.BM25()
        # Queries come as numbers, so the vocabulary's own text is not needed.
        vocabulary = {str(number): number for number in range(len(stream.vocabulary))}
        model.index(Tokenized(ids=documents, vocab=vocabulary), create_empty_token=False, show_progress=False)
        return cls({name: model.scores[name] for name in _ARRAYS}, len(documents))

    def scores(self, token_ids: Iterable[int]) -> NDArray[np.float32]:
        """BM25 of every document for the tokens of a query; shape `(n_documents,)`."""
        known = [token for token in token_ids if token < len(self._model.scores["indptr"]) - 1]
        if not known:
            return np.zeros(self.n_documents, np.float32)
        scores: NDArray[np.float32] = self._model.get_scores_from_ids(known)
        return np.round(scores, BM25_DECIMALS)

    def save(self, folder: Path) -> list[str]:
        """Write the index; the file names."""
        for name in _ARRAYS:
            write_array(folder / f"bm25.{name}.npy", self._model.scores[name])
        return [f"bm25.{name}.npy" for name in _ARRAYS]

    @classmethod
    def load(cls, folder: Path, n_documents: int) -> Bm25Index:
        """What `save` wrote."""
        return cls({name: read_array(folder / f"bm25.{name}.npy") for name in _ARRAYS}, n_documents)
