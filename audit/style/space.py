"""Vectors that say how a response is written, not what about: what its instruction explains is taken out.

A space is fitted on the responses of a dataset. The features of their form (`audit.style.features`) are standardised;
what the instruction's topic (its static vector), the way it asks, and the response's length explain of them is subtracted,
by ridge regression of the strength that predicts best for topics left out; what is left is turned to its principal axes.
So two responses are near each other where their forms are alike beyond what near instructions and equal lengths bring.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from audit.style.features import GRAMMAR, TRAITS, StyleFeatures

__all__ = ["ASKS", "StyleSpace", "instruction_features", "unit_rows"]

N_AXES = 96
_N_FORMS, _N_ENDS = 64, 32
_FIT_ROWS = 5_000
"""Responses that the hashed blocks' axes are found on; more change the third digit of a cosine and cost minutes."""
_RIDGES = (1e3, 3e3, 1e4, 3e4, 1e5)
_ROWS_PER_TOPIC_AXIS = 50  # fewer, and what is taken out are the rows themselves: it does not carry over to other prompts
_N_FOLDS = 10
_CLIP = 4.0
_BLOCK_WEIGHTS = (1.0, 0.5, 0.5, 0.5)  # traits, grammar, forms, ends

ASKS: tuple[tuple[str, str], ...] = (
    ("asks a question", r"\?"),
    ("what", r"\bwhat\b"), ("how", r"\bhow\b"), ("why", r"\bwhy\b"), ("who", r"\bwho\b"),
    ("when, where", r"\b(?:when|where)\b"),
    ("which", r"\bwhich\b"), ("yes or no", r"(?m)^\s*(?:is|are|was|were|do|does|did|can|could|should|would|will|has|have)\b"),
    ("explain", r"\b(?:explain|describe|discuss|elaborate|compare|analy[sz]e|outline)\b"),
    ("write", r"\b(?:write|compose|draft|create|generate|produce|design|develop)\b"),
    ("story, poem", r"\b(?:story|poem|haiku|song|lyrics|essay|speech|dialog(?:ue)?|conversation|joke|riddle)\b"),
    ("letter", r"\b(?:e-?mail|letter|tweet|post|blog|article|report|paragraph|script)\b"),
    ("sentence", r"\b(?:sentence|phrase|headline|title|slogan|caption|word|name)s?\b"),
    ("list", r"\b(?:list|name|give|suggest|provide|brainstorm|come up with)\b"),
    ("items", r"\b(?:ways|tips|ideas|examples|reasons|steps|items|advantages|benefits|things|questions|recipe|plan)\b"),
    ("edit", r"\b(?:rewrite|edit|rephrase|paraphrase|correct|fix|change|convert|translate|transform|reword|modify)\b"),
    ("classify", r"\b(?:classify|categori[sz]e|identify|determine|detect|label|sort|predict|select|choose|find|extract)\b"),
    ("shorten", r"\b(?:summari[sz]e|summary|shorten|condense|brief|briefly|short|concise)\b"),
    ("code", r"\b(?:code|function|program|python|java|javascript|html|css|sql|query|algorithm|script)\b|```"),
    ("calculate", r"\b(?:calculate|compute|solve|how many|how much|equation|sum|average)\b"),
    ("a number", r"\d"), ("several lines", r"\n"), ("a quotation", r"[\"“]"),
)  # fmt: skip
"""What an instruction asks for, as patterns; English, case folded."""


def instruction_features(prompts: pl.Series) -> NDArray[np.float64]:
    """How instructions ask; shape `(n, len(ASKS) + 3)`: matches of `ASKS`, and their length."""
    lower = prompts.str.to_lowercase()
    asks = [lower.str.contains(pattern).to_numpy().astype(float) for _, pattern in ASKS]
    length = np.log1p(lower.str.count_matches(r"\w+").to_numpy())
    return np.stack([*asks, length, length**2, length > np.log1p(50)], axis=1)


def unit_rows(matrix: NDArray[np.floating]) -> NDArray[np.floating]:
    """The rows at length one; rows of zeros stay."""
    return np.asarray(matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9))


@dataclass(frozen=True)
class StyleSpace:
    """A fitted space; `n_features` are traits, grammar, axes of forms and of ends, one after the other.

    Attributes:
        mean, scale: Of the features; shape `(n_features,)`.
        idf_forms, idf_ends: Weights of the hashed runs; those in too few responses have none.
        axes_forms, axes_ends: Their axes; shape `(n, n_buckets)`.
        topic_axes: The axes of the instructions' vectors that the dataset is large enough for, shape `(dim, n_topic_axes)`;
            of no rows without vectors.
        covariate_mean, covariate_scale: Of what is taken out; shape `(n_covariates,)`.
        effects: What an instruction and a length bring with them; shape `(n_covariates, n_features)`.
        left: Standard deviation of the features after that; shape `(n_features,)`.
        axes: Principal axes; shape `(n_features, n_axes)`.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    idf_forms: NDArray[np.float64]
    idf_ends: NDArray[np.float64]
    axes_forms: NDArray[np.float64]
    axes_ends: NDArray[np.float64]
    topic_axes: NDArray[np.float64]
    covariate_mean: NDArray[np.float64]
    covariate_scale: NDArray[np.float64]
    effects: NDArray[np.float64]
    left: NDArray[np.float64]
    axes: NDArray[np.float64]

    @classmethod
    def fit(cls, features: StyleFeatures, prompts: pl.Series, prompt_vectors: NDArray[np.floating] | None) -> Self:
        """The space of some responses; the same for the same ones.

        Args:
            features: Of the responses.
            prompts: Their instructions.
            prompt_vectors: The instructions' vectors, shape `(n, dim)`; `None` takes only the way they ask out.
        """
        n = len(features.n_words)
        sample = np.sort(np.random.default_rng(0).choice(n, min(n, _FIT_ROWS), replace=False))
        idf_forms, axes_forms = _hashed_axes(features.forms[sample], _N_FORMS)
        idf_ends, axes_ends = _hashed_axes(features.ends[sample], _N_ENDS)
        raw = _joined(features, idf_forms, axes_forms, idf_ends, axes_ends)
        mean, scale = raw.mean(axis=0), raw.std(axis=0) + 1e-6
        standard = _standardised(raw, mean, scale)
        topic_axes = _topic_axes(prompt_vectors, n // _ROWS_PER_TOPIC_AXIS)
        covariates = _covariates(features, prompts, prompt_vectors, topic_axes)
        covariate_mean, covariate_scale = covariates.mean(axis=0), covariates.std(axis=0) + 1e-6
        known = (covariates - covariate_mean) / covariate_scale
        topics = None if prompt_vectors is None else prompt_vectors[sample]
        effects = _ridge(known, standard, _best_ridge(known[sample], standard[sample], topics))
        rest = standard - known @ effects
        left = rest.std(axis=0) + 1e-3
        weighted = _weighted(rest / left)
        values, vectors = np.linalg.eigh(weighted.T @ weighted / n)
        axes = vectors[:, np.argsort(-values)[:N_AXES]]
        axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
        return cls(
            mean,
            scale,
            idf_forms,
            idf_ends,
            axes_forms,
            axes_ends,
            topic_axes,
            covariate_mean,
            covariate_scale,
            effects,
            left,
            axes,
        )

    def vectors(
        self, features: StyleFeatures, prompts: pl.Series, prompt_vectors: NDArray[np.floating] | None
    ) -> NDArray[np.float32]:
        """Unit vectors of responses; shape `(n, n_axes)`. Arguments as for `fit`."""
        return self.place(self.residuals(features, prompts, prompt_vectors))

    def place(self, residuals: NDArray[np.float64]) -> NDArray[np.float32]:
        """Unit vectors of what is left unexplained, as `residuals` gives it; shape `(n, n_axes)`."""
        return unit_rows(_weighted(residuals) @ self.axes).astype(np.float32)

    def residuals(
        self, features: StyleFeatures, prompts: pl.Series, prompt_vectors: NDArray[np.floating] | None
    ) -> NDArray[np.float64]:
        """What instruction and length leave unexplained, in standard deviations; shape `(n, n_features)`."""
        raw = _joined(features, self.idf_forms, self.axes_forms, self.idf_ends, self.axes_ends)
        known = self._known(features, prompts, prompt_vectors)
        return (_standardised(raw, self.mean, self.scale) - known @ self.effects) / self.left

    def _known(
        self, features: StyleFeatures, prompts: pl.Series, prompt_vectors: NDArray[np.floating] | None
    ) -> NDArray[np.float64]:
        return (_covariates(features, prompts, prompt_vectors, self.topic_axes) - self.covariate_mean) / self.covariate_scale

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """By name, for the disk."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _topic_axes(prompt_vectors: NDArray[np.floating] | None, n_axes: int) -> NDArray[np.float64]:
    """The vectors' own axes, or so many principal ones where these are fewer; shape `(dim, n_axes)`."""
    if prompt_vectors is None:
        return np.zeros((0, 0))
    dim = prompt_vectors.shape[1]
    if n_axes >= dim:
        return np.eye(dim)
    values, vectors = np.linalg.eigh(np.cov(prompt_vectors.astype(np.float64), rowvar=False))
    return np.asarray(vectors[:, np.argsort(-values)[:n_axes]])


def _covariates(
    features: StyleFeatures,
    prompts: pl.Series,
    prompt_vectors: NDArray[np.floating] | None,
    topic_axes: NDArray[np.float64],
) -> NDArray[np.float64]:
    """What is taken out: topic, way of asking, and last the length; shape `(n, n_covariates)`."""
    length = np.log1p(features.n_words)
    topic = [] if prompt_vectors is None else [prompt_vectors @ topic_axes]
    return np.column_stack([*topic, instruction_features(prompts), length, length**2]).astype(np.float64)


def _joined(
    features: StyleFeatures,
    idf_forms: NDArray[np.float64],
    axes_forms: NDArray[np.float64],
    idf_ends: NDArray[np.float64],
    axes_ends: NDArray[np.float64],
) -> NDArray[np.float64]:
    forms = _tf_idf(features.forms, idf_forms) @ axes_forms.T
    ends = _tf_idf(features.ends, idf_ends) @ axes_ends.T
    return np.concatenate([features.traits, features.grammar, forms, ends], axis=1, dtype=np.float64)


def _tf_idf(counts: sparse.csr_array, idf: NDArray[np.float64]) -> sparse.csr_array:
    weighted = counts.astype(np.float64)
    weighted.data *= idf[weighted.indices]
    lengths = np.sqrt(np.bincount(_rows_of(weighted), weights=weighted.data**2, minlength=weighted.shape[0]))
    weighted.data /= np.maximum(lengths, 1e-9)[_rows_of(weighted)]
    return weighted


def _rows_of(matrix: sparse.csr_array) -> NDArray[np.intp]:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def _hashed_axes(counts: sparse.csr_array, n_axes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from sklearn.decomposition import TruncatedSVD  # a second to import, which small datasets need not wait for

    n, n_buckets = counts.shape
    frequency = np.bincount(counts.indices, minlength=n_buckets)
    idf = np.where(frequency >= max(3, n // 2000), np.log((1 + n) / (1 + frequency)), 0.0)
    svd = TruncatedSVD(min(n_axes, max(n - 1, 1)), n_iter=3, random_state=0).fit(_tf_idf(counts, idf))
    axes = np.zeros((n_axes, n_buckets))
    axes[: len(svd.components_)] = svd.components_
    return idf, axes


def _standardised(raw: NDArray[np.float64], mean: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip((raw - mean) / scale, -_CLIP, _CLIP)


def _weighted(residuals: NDArray[np.float64]) -> NDArray[np.float64]:
    """The blocks at lengths that do not depend on how many features they have."""
    bounds = np.cumsum([0, len(TRAITS), len(GRAMMAR), _N_FORMS, _N_ENDS])
    blocks = [residuals[:, start:end] for start, end in pairwise(bounds)]
    return np.concatenate(
        [weight * unit_rows(np.clip(block, -_CLIP, _CLIP)) for weight, block in zip(_BLOCK_WEIGHTS, blocks, strict=True)],
        axis=1,
    )


def _ridge(known: NDArray[np.float64], wanted: NDArray[np.float64], strength: float) -> NDArray[np.float64]:
    return np.asarray(np.linalg.solve(known.T @ known + strength * np.eye(known.shape[1]), known.T @ wanted))


def _best_ridge(known: NDArray[np.float64], wanted: NDArray[np.float64], topics: NDArray[np.floating] | None) -> float:
    """The strength that predicts best for topics that it has not seen, as other prompts will be: least squared error."""
    n = len(known)
    if n < 2 * _N_FOLDS:
        return _RIDGES[-1]
    if topics is None:
        fold = np.arange(n) % _N_FOLDS
    else:
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            fold = KMeans(_N_FOLDS, n_init=1, max_iter=20, random_state=0).fit_predict(np.round(topics, 4).astype(np.float32))
    errors = np.zeros(len(_RIDGES))
    whole, whole_onto = known.T @ known, known.T @ wanted
    for left_out in np.unique(fold):
        inside = fold == left_out
        values, vectors = np.linalg.eigh(whole - known[inside].T @ known[inside])
        onto = vectors.T @ (whole_onto - known[inside].T @ wanted[inside])
        turned = known[inside] @ vectors
        for place, strength in enumerate(_RIDGES):
            predicted = turned @ (onto / (np.maximum(values, 0) + strength)[:, None])
            errors[place] += ((wanted[inside] - predicted) ** 2).sum()
    return _RIDGES[int(np.argmin(errors))]
