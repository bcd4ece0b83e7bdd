"""Does the style space tell how a text is written from what it is about?

Four models answered the same prompts. For an answer, is the same author's answer to another prompt nearer than another
author's answer to the same prompt, where the two are equally long? Any similarity of texts prefers the same prompt. So what
content explains is taken out of every method in one way: the similarity that answers to the same prompt, and answers to
different ones, have at such lengths and such likeness of content is learned on the other half of the prompts without any
author's name, and a pair's similarity becomes its rank among them. Half is then what a method gets that knows nothing of
authors; the rank of *other* authors' answers to other prompts, which should be no more, is printed beside it.

The ceiling is a classifier that was told the authors on the other half, its posteriors compared and corrected likewise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from audit.style.features import style_features
from audit.style.space import StyleSpace, unit_rows
from indexes.encoders import DEFAULT_MODEL, find_model, load_static
from tests.benchmarks.record import Result
from tests.benchmarks.style.corpora import AUTHORS, answers_of, rows_of

__all__ = ["measure_separation"]

_LEAST_WORDS = 20
_LENGTH_MARGIN = 0.1  # of the logarithm
_PER_ANCHOR = 3
_RESAMPLES = 300

Similarity = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]
"""Numbers of texts, two arrays of shape `(n,)`, in; how alike each pair is, out."""


@dataclass(frozen=True)
class _Pairs:
    """Anchor, the same author's answer to another prompt, another's to the same, and another's to another, as numbers."""

    anchor: NDArray[np.int64]
    author: NDArray[np.int64]
    prompt: NDArray[np.int64]
    neither: NDArray[np.int64]


@dataclass(frozen=True)
class _Judged:
    """Ranks from 0 to 1 of the three comparisons of every anchor, and the anchor's prompt."""

    author: NDArray[np.float64]
    prompt: NDArray[np.float64]
    neither: NDArray[np.float64]
    unit: NDArray[np.int64]


def measure_separation(folder: Path, command: str) -> list[Result]:
    """The figures; `folder` holds the real data."""
    prompts, texts = answers_of(folder)
    n_prompts = len(prompts)
    flat = [text for of_author in texts for text in of_author]
    features = style_features(flat)
    lengths = features.n_words.astype(float)
    pairs = _pairs(lengths, n_prompts)
    half = np.random.default_rng(5).permutation(n_prompts) % 2
    static = load_static(DEFAULT_MODEL)
    topics = static.encode(prompts)
    content = _Content(unit_rows(topics), unit_rows(static.encode(flat)), np.log1p(lengths), n_prompts)

    vectors = _style_vectors(folder, features, prompts)
    characters = TfidfVectorizer(analyzer="char", ngram_range=(3, 3), max_features=20_000, sublinear_tf=True).fit_transform(
        flat
    )
    methods: dict[str, Similarity] = {
        "style space": _cosine(vectors),
        "encoder all-MiniLM-L6-v2": _cosine(_encoded(flat)),
        "static encoder": _cosine(static.encode(flat)),
        "character 3-grams, tf-idf": _cosine(TruncatedSVD(500, random_state=0).fit_transform(characters)),
        "classifier that knows the authors": _classifier(
            np.concatenate([features.traits, features.grammar], axis=1), half, lengths
        ),
    }
    judged = {name: _judge(similarity, pairs, content, half, lengths) for name, similarity in methods.items()}
    draws = _draws(n_prompts)
    results = []
    areas = {name: _area(of_method.author, of_method.prompt, of_method.unit, draws) for name, of_method in judged.items()}
    for name, similarity in methods.items():
        raw = similarity(pairs.anchor, pairs.author) > similarity(pairs.anchor, pairs.prompt)
        results.append(
            Result(f"same author before same prompt, as it stands: {name}", float(raw.mean()), "share", command=command)
        )
    for name, (value, resampled) in areas.items():
        low, high = np.quantile(resampled, [0.025, 0.975])
        results.append(
            Result(f"same author against same prompt, content taken out: {name}", value, "AUC", low, high, command=command)
        )
        of_null = _area(judged[name].neither, judged[name].prompt, judged[name].unit, draws)
        low, high = np.quantile(of_null[1], [0.025, 0.975])
        results.append(Result(f"… another author in the first place: {name}", of_null[0], "AUC", low, high, command=command))
    ours = areas["style space"]
    for other in ("encoder all-MiniLM-L6-v2", "static encoder", "character 3-grams, tf-idf"):
        difference = ours[1] - areas[other][1]
        low, high = np.quantile(difference, [0.025, 0.975])
        results.append(
            Result(f"style space less {other}", ours[0] - areas[other][0], "AUC", low, high, "interval above 0", command)
        )
    ceiling = areas["classifier that knows the authors"]
    shares = (ours[1] - 0.5) / np.maximum(ceiling[1] - 0.5, 1e-9)
    low, high = np.quantile(shares, [0.025, 0.975])
    value = (ours[0] - 0.5) / (ceiling[0] - 0.5)
    results.append(Result("share of the ceiling, from chance to the classifier", value, "share", low, high, command=command))
    return results


def _style_vectors(folder: Path, features: object, prompts: Sequence[str]) -> NDArray[np.float32]:
    """Vectors in a space that was fitted on other data: two datasets of instructions."""
    rows = [*rows_of(folder, "alpaca_21k"), *rows_of(folder, "dolly_3k")]
    asked, answers = pl.Series([row.prompt for row in rows]), [row.response for row in rows]
    static = load_static(DEFAULT_MODEL)
    space = StyleSpace.fit(style_features(answers), asked, static.encode(asked.to_list()))
    four = pl.Series(list(prompts) * len(AUTHORS))
    return space.vectors(features, four, np.tile(static.encode(list(prompts)), (len(AUTHORS), 1)))  # type: ignore[arg-type]


def _encoded(texts: Sequence[str]) -> NDArray[np.float32]:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(find_model(DEFAULT_MODEL)), device="cpu")
    return np.asarray(model.encode(list(texts), batch_size=64, show_progress_bar=False))


def _cosine(vectors: NDArray[np.floating]) -> Similarity:
    units = unit_rows(np.asarray(vectors, np.float64))
    return lambda first, second: np.asarray(np.einsum("ij,ij->i", units[first], units[second]))


def _classifier(features: NDArray[np.floating], half: NDArray[np.int64], lengths: NDArray[np.float64]) -> Similarity:
    """Posteriors of the authors, each half's by a model of the other half."""
    n_prompts = len(half)
    standard = StandardScaler().fit_transform(features)
    author, side = np.repeat(np.arange(len(AUTHORS)), n_prompts), np.tile(half, len(AUTHORS))
    posteriors = np.zeros((len(features), len(AUTHORS)))
    for here in (0, 1):
        trained = (side != here) & (lengths >= _LEAST_WORDS)
        model = LogisticRegression(C=0.01, max_iter=2000).fit(standard[trained], author[trained])
        posteriors[side == here] = model.predict_proba(standard[side == here])
    return lambda first, second: np.asarray((posteriors[first] * posteriors[second]).sum(axis=1))


def _pairs(lengths: NDArray[np.float64], n_prompts: int) -> _Pairs:
    generator = np.random.default_rng(0)
    logarithms = np.log(np.maximum(lengths, 1)).reshape(len(AUTHORS), n_prompts)
    long = (lengths >= _LEAST_WORDS).reshape(len(AUTHORS), n_prompts)
    found: list[tuple[int, int, int, int]] = []
    for author in range(len(AUTHORS)):
        for prompt in np.flatnonzero(long[author]).tolist():
            for other in range(len(AUTHORS)):
                if other == author or not long[other, prompt]:
                    continue
                near = [
                    long[one]
                    & (np.abs(logarithms[one] - logarithms[other, prompt]) < _LENGTH_MARGIN)
                    & (np.arange(n_prompts) != prompt)
                    for one in range(len(AUTHORS))
                ]
                mine = np.flatnonzero(near[author])
                stranger = int(generator.choice([one for one in range(len(AUTHORS)) if one != author]))
                theirs = np.flatnonzero(near[stranger])
                if not len(mine) or not len(theirs):
                    continue
                for place in generator.choice(mine, min(_PER_ANCHOR, len(mine)), replace=False).tolist():
                    found.append(
                        (
                            author * n_prompts + prompt,
                            author * n_prompts + place,
                            other * n_prompts + prompt,
                            stranger * n_prompts + int(generator.choice(theirs)),
                        )
                    )
    return _Pairs(*np.array(found, np.int64).T)


@dataclass(frozen=True)
class _Content:
    """What pairs of texts have in common besides their style."""

    prompts: NDArray[np.float64]
    responses: NDArray[np.float64]
    lengths: NDArray[np.float64]
    n_prompts: int

    def of(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
        """Features of pairs; shape `(n, 11)`."""
        asked = np.einsum("ij,ij->i", self.prompts[first % self.n_prompts], self.prompts[second % self.n_prompts])
        said = np.einsum("ij,ij->i", self.responses[first], self.responses[second])
        short, long = (
            np.minimum(self.lengths[first], self.lengths[second]),
            np.maximum(self.lengths[first], self.lengths[second]),
        )
        return np.stack(
            [
                short,
                long,
                short * long,
                short**2,
                long**2,
                (long - short) ** 2,
                asked,
                said,
                said**2,
                said * short,
                asked * short,
            ],
            axis=1,
        )


class _Expected:
    """The similarity of pairs as content explains it: mean, spread, and the rank of what is left."""

    def __init__(self, content: NDArray[np.float64], similarity: NDArray[np.float64]) -> None:
        self._mean, self._scale = content.mean(axis=0), content.std(axis=0) + 1e-9
        standard = (content - self._mean) / self._scale
        self._middle = Ridge(1.0).fit(standard, similarity)
        left = similarity - self._middle.predict(standard)
        self._spread = Ridge(10.0).fit(standard, np.log(left**2 + 1e-6))
        self._left = np.sort(left / np.exp(0.5 * self._spread.predict(standard)))

    def rank(self, content: NDArray[np.float64], similarity: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where similarities stand among those of like content, from 0 to 1."""
        standard = (content - self._mean) / self._scale
        left = (similarity - self._middle.predict(standard)) / np.exp(0.5 * self._spread.predict(standard))
        low, high = (np.searchsorted(self._left, left, side) for side in ("left", "right"))
        return np.asarray((low + high) / 2 / len(self._left))


def _judge(
    similarity: Similarity, pairs: _Pairs, content: _Content, half: NDArray[np.int64], lengths: NDArray[np.float64]
) -> _Judged:
    n_prompts = content.n_prompts
    unit = pairs.anchor % n_prompts
    ranks = {name: np.zeros(len(unit)) for name in ("author", "prompt", "neither")}
    for here in (0, 1):
        apart, together = _learning_pairs(np.flatnonzero(half != here), n_prompts, lengths)
        of_apart, of_together = (_Expected(content.of(*some), similarity(*some)) for some in (apart, together))
        inside = np.flatnonzero(half[unit] == here)
        anchor = pairs.anchor[inside]
        for name, expected in (("author", of_apart), ("prompt", of_together), ("neither", of_apart)):
            other = getattr(pairs, name)[inside]
            ranks[name][inside] = expected.rank(content.of(anchor, other), similarity(anchor, other))
    return _Judged(unit=unit, **ranks)


def _learning_pairs(
    prompts: NDArray[np.int64], n_prompts: int, lengths: NDArray[np.float64]
) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]:
    """Pairs of texts of different prompts, and of one prompt, whoever wrote them."""
    generator = np.random.default_rng(3)
    texts = np.concatenate([author * n_prompts + prompts for author in range(len(AUTHORS))])
    texts = texts[lengths[texts] >= _LEAST_WORDS]
    first, second = generator.choice(texts, 80_000), generator.choice(texts, 80_000)
    differ = first % n_prompts != second % n_prompts
    by_prompt: dict[int, list[int]] = {}
    for text in texts.tolist():
        by_prompt.setdefault(text % n_prompts, []).append(text)
    same = np.array([(one, two) for group in by_prompt.values() for one in group for two in group if one != two])
    return (first[differ], second[differ]), (same[:, 0], same[:, 1])


def _draws(n_prompts: int) -> NDArray[np.int64]:
    return np.random.default_rng(1).multinomial(n_prompts, np.full(n_prompts, 1 / n_prompts), _RESAMPLES)


def _area(
    positive: NDArray[np.float64], negative: NDArray[np.float64], unit: NDArray[np.int64], draws: NDArray[np.int64]
) -> tuple[float, NDArray[np.float64]]:
    """The area under the curve, and under those of resampled prompts."""
    values = rankdata(np.concatenate([positive, negative]), method="dense") - 1
    first, second = values[: len(positive)], values[len(positive) :]
    n_values = int(values.max()) + 1

    def area(weights: NDArray[np.float64]) -> float:
        above, below = (np.bincount(part, weights=weights, minlength=n_values) for part in (first, second))
        lower = np.cumsum(below) - below
        return float((above * (lower + 0.5 * below)).sum() / (above.sum() * below.sum()))

    return area(np.ones(len(unit))), np.array([area(draw[unit].astype(float)) for draw in draws])


def main() -> None:
    """Print the figures alone."""
    from tests.benchmarks.data import data_folder

    for result in measure_separation(data_folder(), "python -m tests.benchmarks.style.separation"):
        print(json.dumps([result.name, round(result.value, 4), result.low, result.high]))


if __name__ == "__main__":
    main()
