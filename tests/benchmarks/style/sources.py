"""Who copies what: outputs of four models, one of them tuned on Alpaca, against four datasets of which it is one.

*Copying.* What part of a model's outputs is as if drawn from alpaca_21k's forms at their lengths, the other three models'
outputs to the same prompts being the null. alpaca-7b was tuned on these rows; phi-2 and phi-2-sft were not.

*Source.* Four datasets of equal size are mixed with the null. A dataset's *excess* is its weight in a model's outputs less its
mean weight in the others'; the dataset of the largest excess is the source if that is above a cut, else there is none. The
cut lies midway between the excess of alpaca-7b's source and the largest excess that any dataset has which is no source, of
alpaca-7b and phi-2-sft. phi-2 has no part in it. text_davinci_003 has none either:
it *wrote* Alpaca's answers and was not tuned on them, so that both answers would be right; its weights are printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.style.families import Centres, find_centres
from audit.style.features import StyleFeatures, style_features
from audit.style.mixture import Placed, jackknife, joined, mixture_weights
from audit.style.space import StyleSpace, unit_rows
from indexes.encoders import DEFAULT_MODEL, load_static
from tests.benchmarks.record import Result
from tests.benchmarks.style.corpora import AUTHORS, Row, answers_of, rows_of

__all__ = ["measure_sources"]

_DATASETS = ("alpaca_21k", "dolly_3k", "code_alpaca_2k", "t0_55k")
_SIZE = 2_000
_DRAWS = 5
_TUNED, _TUNED_ON_OTHERS, _JUDGED = "alpaca-7b", "phi-2-sft", "phi-2"


def measure_sources(folder: Path, command: str) -> list[Result]:
    """The figures; `folder` holds the real data."""
    prompts, texts = answers_of(folder)
    flat = [text for of_author in texts for text in of_author]
    outputs = _Outputs(style_features(flat), prompts)
    return [*_copying(folder, outputs, command), *_sources(folder, outputs, command)]


class _Outputs:
    """The answers of the four models, to be placed in any space."""

    def __init__(self, features: StyleFeatures, prompts: Sequence[str]) -> None:
        self._features = features
        self._prompts = pl.Series(list(prompts) * len(AUTHORS))
        self._topics = np.tile(load_static(DEFAULT_MODEL).encode(list(prompts)), (len(AUTHORS), 1))
        self.n_prompts = len(prompts)

    def placed(self, space: StyleSpace, centres: Centres) -> list[Placed]:
        """By author; empty answers are left out."""
        assigned = centres.assign(space.vectors(self._features, self._prompts, self._topics))
        parts = []
        for author in range(len(AUTHORS)):
            inside = np.arange(author * self.n_prompts, (author + 1) * self.n_prompts)
            inside = inside[self._features.n_words[inside] > 0]
            parts.append(Placed(assigned.centre[inside], self._features.n_words[inside], inside % self.n_prompts))
        return parts


def _fitted(rows: Sequence[Row]) -> tuple[StyleSpace, Centres, NDArray[np.int32], NDArray[np.int32]]:
    """A space and its centres, the rows' centres and their lengths."""
    asked = pl.Series([row.prompt for row in rows])
    topics, features = load_static(DEFAULT_MODEL).encode(asked.to_list()), style_features([row.response for row in rows])
    space = StyleSpace.fit(features, asked, topics)
    vectors = space.vectors(features, asked, topics)
    centres = find_centres(vectors, unit_rows(topics))
    return space, centres, centres.assign(vectors).centre, features.n_words


def _copying(folder: Path, outputs: _Outputs, command: str) -> list[Result]:
    space, centres, of_rows, words = _fitted(rows_of(folder, "alpaca_21k"))
    dataset = Placed(of_rows, words, np.arange(len(words)))
    models, n_centres = outputs.placed(space, centres), len(centres.vectors)
    first = AUTHORS.index(_TUNED)

    def measure(gone: NDArray[np.int64]) -> NDArray[np.float64]:
        left = [model.without(gone) for model in models]
        drawn = [
            mixture_weights(model, joined([other for other in left if other is not model]), [dataset], n_centres)[1]
            for model in left
        ]
        return np.array([*drawn, *(drawn[first] - other for place, other in enumerate(drawn) if place != first)])

    figures = jackknife(np.arange(outputs.n_prompts), measure)
    others = [author for author in AUTHORS if author != _TUNED]
    names = [
        *(f"as if drawn from alpaca_21k, at like length: {author}" for author in AUTHORS),
        *(f"… {_TUNED} less {author}" for author in others),
    ]
    goals = {f"… {_TUNED} less {author}": "interval above 0" for author in (_JUDGED, _TUNED_ON_OTHERS)}
    return [
        Result(name, value, "share", low, high, goals.get(name, ""), command)
        for name, (value, low, high) in zip(names, figures, strict=True)
    ]


def _sources(folder: Path, outputs: _Outputs, command: str) -> list[Result]:
    by_draw = []
    for draw in range(_DRAWS):
        generator = np.random.default_rng(draw)
        rows: list[Row] = []
        for name in _DATASETS:
            known = rows_of(folder, name)
            rows += [known[place] for place in generator.permutation(len(known))[:_SIZE].tolist()]
        space, centres, of_rows, words = _fitted(rows)
        parts = [
            Placed(of_rows[start : start + _SIZE], words[start : start + _SIZE], np.arange(_SIZE))
            for start in range(0, len(rows), _SIZE)
        ]
        models = outputs.placed(space, centres)
        by_draw.append(
            [
                mixture_weights(model, joined([other for other in models if other is not model]), parts, len(centres.vectors))[
                    1:
                ]
                for model in models
            ]
        )
    weights = np.array(by_draw)  # draws, authors, datasets
    excess = weights - (weights.sum(axis=1, keepdims=True) - weights) / (len(AUTHORS) - 1)
    tuned, elsewhere, judged = (AUTHORS.index(author) for author in (_TUNED, _TUNED_ON_OTHERS, _JUDGED))
    results = []
    for author, name in enumerate(AUTHORS):
        for dataset, of in enumerate(_DATASETS):
            of_draws = weights[:, author, dataset]
            results.append(
                Result(f"weight of {of} in {name}", of_draws.mean(), "share", of_draws.min(), of_draws.max(), command=command)
            )
        largest = excess[:, author].max(axis=1)
        results.append(
            Result(f"largest excess in {name}", largest.mean(), "share", largest.min(), largest.max(), command=command)
        )
    no_source = np.concatenate([excess[:, tuned, 1:], excess[:, elsewhere]], axis=1).max(axis=1)
    cuts = (excess[:, tuned, 0] + no_source) / 2
    cut = float(cuts.mean())
    found = [_DATASETS[of_draw.argmax()] == "alpaca_21k" and of_draw.max() > cut for of_draw in excess[:, tuned]]
    none = excess[:, judged].max(axis=1) < cut
    results += [
        Result("cut for a source, set without phi-2", cut, "share", cuts.min(), cuts.max(), command=command),
        Result(
            "alpaca-7b: alpaca_21k is found to be the source, of 5 draws of rows",
            float(sum(found)),
            "draws",
            goal="5",
            command=command,
        ),
        Result("phi-2: no source is found, of 5 draws of rows", float(none.sum()), "draws", goal="5", command=command),
    ]
    return results


if __name__ == "__main__":
    from tests.benchmarks.data import data_folder

    for result in measure_sources(data_folder(), "python -m tests.benchmarks.style.sources"):
        print(result.name, round(result.value, 4), result.low, result.high, flush=True)
