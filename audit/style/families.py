"""Style families: groups of responses of one form on dissimilar instructions.

The vectors of `audit.style.space` are split finely by k-means, and centres that are near each other are joined by average
linkage, so that the cost is linear in responses. A group that is small, or whose instructions are near each other, is no
family: it is a topic or a task. What is far from every centre belongs to none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from audit.style.space import unit_rows

__all__ = [
    "MIN_RESPONSES",
    "Assigned",
    "Centres",
    "Family",
    "alikeness",
    "draw_map",
    "exemplars_of",
    "find_centres",
    "held_against",
    "mean_cosine",
]

MIN_RESPONSES = 200
"""Fewer responses have no families: a group of them would be a handful."""

_ROWS_PER_CENTRE, _MOST_CENTRES = 40, 128
_FIT_ROWS = 20_000
_JOINED_BELOW = 0.4  # cosine distance of centres
_MIN_MEMBERS, _MIN_SHARE = 20, 0.005
_OUTLYING = 0.1  # share of a centre's responses, the farthest, that belong to no family
_MOST_ALIKE = 0.4  # of instructions, from 0 for as alike as any two of the dataset to 1 for all the same
_N_EXEMPLARS = 5
_CHUNK = 8_192
_PRIOR = 5.0  # responses of the reference that are taken to be spread as all of it


@dataclass(frozen=True)
class Family:
    """Responses of one form.

    Attributes:
        number: From 0, by falling share.
        n: How many responses of the dataset belong to it.
        share: Of the responses that were looked at.
        exemplars: Numbers of up to five responses near its middle, of instructions that differ most.
        description: How they are written, one line of plain English; may quote the dataset.
        pattern: Their wording with slots, as far as they share one; text of the dataset; may be empty.
        median_words: Their length.
        marks: What most of them have and others seldom, by the names of `audit.style.marks`.
        alikeness: How alike their instructions are, from 0 for as alike as any two of the dataset to 1 for all the same;
            `None` without vectors.
        reference_share: Their share among the reference's responses, at the dataset's mix of kinds of instruction; `None`
            without a reference.
        lift: `share` over `reference_share`.
    """

    number: int
    n: int
    share: float
    exemplars: tuple[int, ...]
    description: str
    pattern: str
    median_words: float
    marks: tuple[str, ...] = ()
    alikeness: float | None = None
    reference_share: float | None = None
    lift: float | None = None


@dataclass(frozen=True)
class Assigned:
    """Which families responses belong to.

    Attributes:
        family: int32, shape `(n,)`: numbers of families, -1 for none.
        similarity: float32, shape `(n,)`: cosine to the nearest centre, of a family or not.
        centre: int32, shape `(n,)`: that centre.
    """

    family: NDArray[np.int32]
    similarity: NDArray[np.float32]
    centre: NDArray[np.int32]


@dataclass(frozen=True)
class Centres:
    """The centres that families consist of.

    Attributes:
        vectors: Unit rows, shape `(n_centres, n_axes)`.
        family: int32, shape `(n_centres,)`: the family of each, -1 for none.
        cut: float32, shape `(n_centres,)`: the cosine from which on a response belongs to it.
    """

    vectors: NDArray[np.float32]
    family: NDArray[np.int32]
    cut: NDArray[np.float32]

    def assign(self, vectors: NDArray[np.floating]) -> Assigned:
        """The family of each vector, exactly; unit rows, shape `(n, n_axes)`."""
        centre, similarity = np.zeros(len(vectors), np.int32), np.zeros(len(vectors), np.float32)
        for start in range(0, len(vectors), _CHUNK):
            cosines = np.round(vectors[start : start + _CHUNK].astype(np.float32) @ self.vectors.T, 5)
            centre[start : start + _CHUNK] = cosines.argmax(axis=1)
            similarity[start : start + _CHUNK] = cosines.max(axis=1)
        family = np.where(similarity >= self.cut[centre], self.family[centre], -1).astype(np.int32)
        return Assigned(family, similarity, centre)


def find_centres(vectors: NDArray[np.floating], prompt_vectors: NDArray[np.floating] | None) -> Centres:
    """The centres of a dataset's families, the same for the same vectors; families numbered by falling size.

    Args:
        vectors: Of the responses, unit rows, shape `(n, n_axes)`; `n` is `MIN_RESPONSES` at least.
        prompt_vectors: Of their instructions, unit rows, shape `(n, dim)`; `None` lets groups of one topic pass.
    """
    from sklearn.cluster import AgglomerativeClustering, KMeans  # a second to import, which small datasets need not wait for
    from threadpoolctl import threadpool_limits

    n = len(vectors)
    sample = np.sort(np.random.default_rng(0).choice(n, min(n, _FIT_ROWS), replace=False))
    n_centres = max(2, min(_MOST_CENTRES, n // _ROWS_PER_CENTRE))
    with threadpool_limits(1):  # sums in one order, so that a run can be repeated
        means = (
            KMeans(n_centres, n_init=1, max_iter=30, random_state=0).fit(vectors[sample].astype(np.float32)).cluster_centers_
        )
        centres = unit_rows(np.round(means, 5)).astype(np.float32)
        distances = np.clip(1 - centres @ centres.T, 0, None).astype(np.float64)
        np.fill_diagonal(distances, 0)
        group = AgglomerativeClustering(
            None, metric="precomputed", linkage="average", distance_threshold=_JOINED_BELOW
        ).fit_predict(distances)
        loose = Centres(centres, group.astype(np.int32), np.full(n_centres, -1, np.float32)).assign(vectors)
    cut = np.ones(n_centres, np.float32)
    for centre in np.unique(loose.centre):
        cut[centre] = np.quantile(loose.similarity[loose.centre == centre], _OUTLYING)
    assigned = Centres(centres, group.astype(np.int32), cut).assign(vectors).family
    usual = 0.0 if prompt_vectors is None else mean_cosine(prompt_vectors)
    sizes = np.bincount(assigned[assigned >= 0], minlength=group.max() + 1)
    kept = [
        number
        for number in np.argsort(-sizes, kind="stable").tolist()
        if sizes[number] >= max(_MIN_MEMBERS, _MIN_SHARE * n)
        and (prompt_vectors is None or alikeness(prompt_vectors[assigned == number], usual) <= _MOST_ALIKE)
    ]
    renumbered = np.full(len(sizes), -1, np.int32)
    renumbered[kept] = np.arange(len(kept))
    return Centres(centres, renumbered[group], cut)


def alikeness(instructions: NDArray[np.floating], usual: float) -> float:
    """How alike some instructions are: their mean cosine, from 0 for that of any two of the dataset to 1.

    Args:
        instructions: Unit rows, two or more, shape `(n, dim)`.
        usual: The `mean_cosine` of the dataset's.
    """
    return (mean_cosine(instructions) - usual) / max(1 - usual, 1e-9)


def mean_cosine(vectors: NDArray[np.floating]) -> float:
    """The mean cosine of any two of some unit rows; shape `(n, dim)`."""
    n = len(vectors)
    total = vectors.sum(axis=0, dtype=np.float64)
    return float((total @ total - n) / max(n * (n - 1), 1))


def exemplars_of(
    members: NDArray[np.integer], similarity: NDArray[np.floating], prompt_vectors: NDArray[np.floating] | None
) -> tuple[int, ...]:
    """Some responses near the middle of a family whose instructions differ most.

    Args:
        members: The family's responses.
        similarity: Of every response, shape `(n,)`.
        prompt_vectors: As in `find_centres`.
    """
    nearest = members[np.lexsort((members, -similarity[members]))][: 10 * _N_EXEMPLARS]
    chosen = [int(nearest[0])]
    while len(chosen) < min(_N_EXEMPLARS, len(nearest)):
        left = np.array([number for number in nearest if number not in chosen])
        if prompt_vectors is None:
            chosen.append(int(left[0]))
        else:
            cosines = np.round(prompt_vectors[left].astype(np.float32) @ prompt_vectors[chosen].T.astype(np.float32), 5)
            chosen.append(int(left[cosines.max(axis=1).argmin()]))
    return tuple(chosen)


def held_against(
    families: Sequence[Family], kinds: NDArray[np.integer], reference: Assigned, reference_kinds: NDArray[np.integer]
) -> tuple[Family, ...]:
    """Families with their share in a reference, at the dataset's mix of kinds of instruction.

    Where the reference has few responses to a kind of instruction, their families are taken to be those of all of it.

    Args:
        families: Of the dataset.
        kinds: The kind of every instruction that was looked at, shape `(n,)`.
        reference: The families of the reference's responses.
        reference_kinds: As `kinds`, of the reference.
    """
    n_kinds = int(max(kinds.max(initial=0), reference_kinds.max(initial=0))) + 1
    mix = np.bincount(kinds, minlength=n_kinds) / max(len(kinds), 1)
    of_kind = np.bincount(reference_kinds, minlength=n_kinds)
    held = []
    for family in families:
        inside = reference.family == family.number
        overall = (inside.sum() + 0.5) / (len(inside) + 1)
        counts = np.bincount(reference_kinds[inside], minlength=n_kinds)
        share = float(mix @ ((counts + _PRIOR * overall) / (of_kind + _PRIOR)))
        held.append(replace(family, reference_share=share, lift=family.share / share))
    return tuple(held)


def draw_map(centres: Centres, vectors: NDArray[np.floating], assigned: Assigned) -> NDArray[np.float32]:
    """Places of responses on a plane where like forms lie near each other; shape `(n, 2)`, within -1 to 1.

    The centres are placed by t-SNE (van der Maaten and Hinton 2008); a response lies among the three nearest to it, so
    distances far apart mean nothing.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    n_centres = len(centres.vectors)
    with threadpool_limits(1):
        placed = TSNE(2, perplexity=min(15.0, (n_centres - 1) / 3), metric="cosine", init="pca", random_state=0).fit_transform(
            centres.vectors
        )
    placed = placed / max(float(np.abs(placed).max()), 1e-9)
    n_near = min(3, n_centres)
    places = np.zeros((len(vectors), 2), np.float32)
    for start in range(0, len(vectors), _CHUNK):
        cosines = vectors[start : start + _CHUNK].astype(np.float32) @ centres.vectors.T
        near = np.argpartition(-cosines, n_near - 1, axis=1)[:, :n_near]
        weights = np.exp(8 * np.take_along_axis(cosines, near, axis=1))
        places[start : start + _CHUNK] = (placed[near] * weights[..., None]).sum(axis=1) / weights.sum(axis=1, keepdims=True)
    return places
