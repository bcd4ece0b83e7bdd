"""BM25 over token streams, with bm25s.

The index counts the terms that `indexes.words` makes of a stream, so nothing is tokenized twice: words, and in scripts
without spaces pairs of neighbouring signs; punctuation is left out. Scores are Lucene's variant (k1 1.5, b 0.75), rounded
for ties. They are counted here in columns, a fifth of bm25s's own time; a test compares the two to the last bit.

Source: Robertson and Zaragoza (2009); Lù (2024), arXiv 2407.03618.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import bm25s
import numpy as np
from numpy.typing import NDArray

from indexes.store import read_array, write_array
from indexes.words import WordStream

__all__ = ["BM25_DECIMALS", "Bm25Index"]

BM25_DECIMALS = 4
_K1, _B = 1.5, 0.75
_ARRAYS = ("data", "indices", "indptr")


class Bm25Index:
    """Scores of a bag of terms against many documents.

    Terms are numbered: words, and signs without a neighbour, as in the vocabulary; then the pairs of signs.
    """

    def __init__(
        self, scores: Mapping[str, NDArray[np.generic]], n_documents: int, pairs: NDArray[np.int32] | None = None
    ) -> None:
        self._model = bm25s.BM25(k1=_K1, b=_B)
        self._model.scores = {**scores, "num_docs": n_documents}
        self._model.nonoccurrence_array = None  # of variants of BM25 other than Lucene's
        self._pairs = np.empty((0, 2), np.int32) if pairs is None else pairs  # ascending, shape (n_pairs, 2)
        self.n_documents = n_documents

    @classmethod
    def build(cls, stream: WordStream) -> Bm25Index:
        """Index the terms of every text of a stream."""
        terms, n_vocabulary, n_documents = stream.terms(), len(stream.vocabulary), stream.n_texts
        is_pair = terms.second >= 0
        codes = terms.first[is_pair] * np.int64(n_vocabulary) + terms.second[is_pair]
        pairs = np.unique(codes)
        numbers = terms.first.astype(np.int64)
        numbers[is_pair] = n_vocabulary + np.searchsorted(pairs, codes)
        # One number per term and document sorts fast, and brings equal ones together.
        places = np.sort(numbers * n_documents + terms.text)
        begins = np.flatnonzero(np.diff(places, prepend=-1))
        term, document = np.divmod(places[begins], n_documents)
        frequency = np.diff(begins, append=len(places)).astype(np.float32)
        n_with = np.bincount(term, minlength=n_vocabulary + len(pairs))
        weight_of = {n: math.log(1 + (n_documents - n + 0.5) / (n + 0.5)) for n in np.unique(n_with).tolist()}
        weights = np.array([weight_of[n] for n in n_with.tolist()], np.float32)
        lengths = np.bincount(terms.text, minlength=n_documents)
        norms = _K1 * ((1 - _B) + _B * lengths / max(lengths.mean(), 1 / n_documents)) if n_documents else lengths
        data = (weights[term] * (frequency / (norms[document] + frequency))).astype(np.float32)
        indptr = np.concatenate([[0], np.cumsum(n_with)])
        scores = {"data": data, "indices": document.astype(np.int32), "indptr": indptr}
        return cls(scores, n_documents, np.stack(np.divmod(pairs, max(n_vocabulary, 1)), axis=1).astype(np.int32))

    def term_numbers(self, terms: Iterable[tuple[str, ...]], number_of: Mapping[str, int]) -> list[int]:
        """The numbers of terms as `indexes.words.terms_of` makes them, those left out that no document holds.

        Args:
            terms: Words and pairs of signs.
            number_of: Token -> its number in the vocabulary of the stream that was indexed.
        """
        n_words = len(self._model.scores["indptr"]) - 1 - len(self._pairs)
        numbers = []
        for term in terms:
            known = [number_of[token] for token in term if token in number_of]
            if len(known) < len(term):
                continue
            if len(term) == 1:
                numbers += known
                continue
            begin, end = np.searchsorted(self._pairs[:, 0], [known[0], known[0] + 1])
            place = begin + int(np.searchsorted(self._pairs[begin:end, 1], known[1]))
            if place < end and self._pairs[place, 1] == known[1]:
                numbers.append(n_words + int(place))
        return numbers

    def scores(self, terms: Iterable[int]) -> NDArray[np.float32]:
        """BM25 of every document for the terms of a query, by number; shape `(n_documents,)`."""
        known = [term for term in terms if term < len(self._model.scores["indptr"]) - 1]
        if not known:
            return np.zeros(self.n_documents, np.float32)
        scores: NDArray[np.float32] = self._model.get_scores_from_ids(known)
        return np.round(scores, BM25_DECIMALS)

    def save(self, folder: Path) -> list[str]:
        """Write the index; the file names."""
        for name in _ARRAYS:
            write_array(folder / f"bm25.{name}.npy", self._model.scores[name])
        write_array(folder / "bm25.pairs.npy", self._pairs)
        return [*(f"bm25.{name}.npy" for name in _ARRAYS), "bm25.pairs.npy"]

    @classmethod
    def load(cls, folder: Path, n_documents: int) -> Bm25Index:
        """What `save` wrote; without its file of pairs, as earlier versions left it, there are none."""
        scores = {name: read_array(folder / f"bm25.{name}.npy") for name in _ARRAYS}
        pairs = folder / "bm25.pairs.npy"
        return cls(scores, n_documents, read_array(pairs).astype(np.int32, copy=False) if pairs.exists() else None)
