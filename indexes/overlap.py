"""How much of a text stands in other texts, word for word: runs of words that both have.

Every run of `size` words of an item is looked for in every text; punctuation, letter case and white space do not count. An
item of fewer words is looked for as a whole. The runs are compared as 64-bit hashes, so that one pass over the texts
serves any number of items; `overlaps_plain`, the twin of the tests, compares the words.

Source: Brown et al. (2020), *Language Models are Few-Shot Learners*, appendix C: 13-grams of words, those that occur in
more than ten documents left out. Touvron et al. (2023), *Llama 2*, appendix A.6, and Singh et al. (2024), *Evaluation data
contamination in LLMs*, measure the share of an item that is covered, as is done here.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from indexes.words import WordStream, is_word

__all__ = ["Overlaps", "overlaps", "overlaps_plain"]

_COMMON = 10
"""Runs in more texts, or in more items, than so many say nothing of one item: they are left out where others remain."""

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


class Overlaps(NamedTuple):
    """Pairs of a text and an item that share a run, ordered by both.

    Attributes:
        text: int64, numbers of texts.
        item: int64, numbers of items.
        share: float64, of the item's runs that count, those that stand in the text; above 0.
    """

    text: NDArray[np.int64]
    item: NDArray[np.int64]
    share: NDArray[np.float64]


def overlaps(texts: WordStream, items: WordStream, size: int) -> Overlaps:
    """Which items stand in which texts, and how much of them.

    Args:
        texts: Where to look.
        items: What to look for; its vocabulary begins with that of `texts`.
        size: Words per run.
    """
    ids, text = _words(texts)
    item_ids, item = _words(items)
    run_of_item = np.minimum(np.bincount(item, minlength=items.n_texts), size)
    parts = []
    for run in np.unique(run_of_item[run_of_item > 0]).tolist():
        chosen = run_of_item[item] == run
        parts.append(
            _shares(_runs(ids, text, item_ids[chosen], run), _runs(item_ids[chosen], item[chosen], item_ids[chosen], run))
        )
    return _in_order(parts)


def overlaps_plain(texts: WordStream, items: WordStream, size: int) -> Overlaps:
    """The twin of `overlaps` for tests: the words themselves, one text and one item after the other."""
    in_texts, in_items = _lists_of_words(texts), _lists_of_words(items)
    parts = []
    for run in range(1, size + 1):
        chosen = {i: _plain_runs(words, run) for i, words in enumerate(in_items) if min(len(words), size) == run}
        found = {t: _plain_runs(words, run) & set().union(*chosen.values()) for t, words in enumerate(in_texts)}
        n_texts = Counter(one for runs in found.values() for one in runs)
        n_items = Counter(one for runs in chosen.values() for one in runs)
        for item, runs in chosen.items():
            counted = {one for one in runs if n_texts[one] <= _COMMON and n_items[one] <= _COMMON} or runs
            for text, in_text in found.items():
                if shared := len(counted & in_text):
                    parts.append(pl.DataFrame({"text": [text], "item": [item], "share": [shared / len(counted)]}))
    return _in_order(parts)


def _words(stream: WordStream) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The words of a stream without its punctuation, and the text of each; both of shape `(n_words,)`."""
    is_word = stream.words[stream.ids]
    return stream.ids[is_word], stream.text_of_position()[is_word]


def _runs(ids: NDArray[np.int32], text: NDArray[np.int32], sought: NDArray[np.int32], length: int) -> pl.DataFrame:
    """The distinct runs of `length` words of every text, those left out that hold a word which is not sought.

    Returns:
        Columns `text` and `run`, a hash.
    """
    known = np.zeros(int(max(ids.max(initial=0), sought.max(initial=0))) + 1, bool)
    known[sought] = True
    unknown = np.concatenate([[0], np.cumsum(~known[ids])])
    n_runs = max(len(ids) - length + 1, 0)
    whole = (unknown[length : length + n_runs] == unknown[:n_runs]) & (text[length - 1 :][:n_runs] == text[:n_runs])
    begins = np.flatnonzero(whole)
    hashes = np.zeros(len(begins), np.uint64)
    for step in range(length):
        hashes = _mix(hashes ^ ((ids[begins + step].astype(np.uint64) + np.uint64(1)) * _MULTIPLIER))
    return pl.DataFrame({"text": text[begins].astype(np.int64), "run": hashes}).unique()


def _shares(in_texts: pl.DataFrame, in_items: pl.DataFrame) -> pl.DataFrame:
    """Columns `text`, `item` and `share`, from the runs of texts and of items."""
    n_texts = in_texts.group_by("run").agg(n_texts=pl.len())
    counted = (
        in_items.rename({"text": "item"})
        .with_columns(n_items=pl.len().over("run"))
        .join(n_texts, on="run", how="left")
        .with_columns(common=(pl.col("n_items") > _COMMON) | (pl.col("n_texts").fill_null(0) > _COMMON))
        .filter(~pl.col("common") | pl.col("common").all().over("item"))
        .with_columns(n_counted=pl.len().over("item"))
    )
    return (
        in_texts.join(counted.select("item", "run", "n_counted"), on="run")
        .group_by("text", "item")
        .agg(share=pl.len() / pl.col("n_counted").first())
    )


def _in_order(parts: list[pl.DataFrame]) -> Overlaps:
    if not parts:
        return Overlaps(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    frame = pl.concat(parts).sort("text", "item")
    return Overlaps(*(frame[name].to_numpy() for name in ("text", "item", "share")))


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of splitmix64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _lists_of_words(stream: WordStream) -> list[list[str]]:
    tokens = [stream.vocabulary[number] for number in stream.ids.tolist()]
    bounds = stream.offsets.tolist()
    return [[t for t in tokens[a:b] if is_word(t)] for a, b in pairwise(bounds)]


def _plain_runs(words: list[str], length: int) -> set[tuple[str, ...]]:
    return {tuple(words[begin : begin + length]) for begin in range(len(words) - length + 1)}
