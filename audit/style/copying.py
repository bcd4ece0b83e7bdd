"""Which outputs copy which style family of a dataset, how strongly, and how style moved from the base model to the tuned.

A model's outputs always fall into some families: what says anything is the difference to *null outputs*, those of models
that never saw the dataset, best to the same prompts, at the same length. Without null outputs the base model's stand in
their place; without either, shares are printed alone and called that.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.errors import InputError
from audit.languages import languages_of
from audit.materials import Materials
from audit.style.build import Style
from audit.style.families import Assigned
from audit.style.features import TRAITS, style_features
from audit.style.lexicon import StyleKind, closing_phrase, opening_phrase, word_kinds
from audit.style.marks import marks_of
from audit.style.mixture import Placed, Rate, jackknife, joined, mixture_weights
from audit.style.need import read_requests, words_called_for
from audit.summary import Skipped
from indexes.words import WordStream

__all__ = ["Copying", "Drawn", "FamilyCopied", "NearRow", "Output", "OutputCopied", "Rate", "TraitMoved", "measure_copying"]

_N_NEAREST = 3
_N_STRENGTH = 5  # rows whose mean cosine says how near an output lies to the dataset
_N_LIKE_LENGTH = 200  # null outputs of the nearest length that an output is held against
_N_BINS = 6
_N_RESAMPLES = 1_000
_MOST_ROWS = 5_000  # of the dataset, whose traits are printed beside
_SEED = 0
_Z = 1.96  # of 95 %
_MIN_ALIKE = 50
_MIN_BESIDE = 20  # outputs of a model that the tuned model's are held against
_SAME_MODEL = 0.9  # share of equal answers from which on two files are of one model
_MIN_DRAWN = 100  # outputs of every model, below which a part drawn from the dataset has no interval to speak of
_MIN_PAIRED = 0.5  # share of the prompts that base and tuned both answered, for a change prompt by prompt
_ENGLISH = ("en", "")


@dataclass(frozen=True, slots=True)
class Output:
    """An output of a model.

    Attributes:
        id: What its file calls it.
        prompt: The instruction.
        response: The text.
    """

    id: str
    prompt: str
    response: str


@dataclass(frozen=True, slots=True)
class FamilyCopied:
    """A family among outputs; shares are of the outputs that were looked at.

    Attributes:
        family: Its number; -1 for all families together.
        dataset: Its share of the dataset's responses.
        outputs: Its share of the outputs.
        n_outputs: How many these are.
        base: Its share of the base model's outputs; `None` without any.
        null: Its share of null outputs of the outputs' lengths; `None` without any.
        strength: log2 of the outputs' share over the null's, or else the base's, half an output added to both; `None` without
            either, or where no output is of the family.
    """

    family: int
    dataset: float
    outputs: Rate
    n_outputs: int
    base: Rate | None
    null: float | None
    strength: Rate | None


@dataclass(frozen=True, slots=True)
class NearRow:
    """A response of the dataset, and its cosine to an output in the style space."""

    response: int
    similarity: float


@dataclass(frozen=True, slots=True)
class OutputCopied:
    """One output.

    Attributes:
        output: It.
        family: The family that it belongs to, -1 for none.
        similarity: Cosine to the family's centre, or the nearest one.
        nearest: The dataset's responses that are nearest to it in form.
        p: Share of null outputs of like length that lie as near to the dataset, at least; (1 + b) / (1 + B). `None`
            without null outputs.
    """

    output: Output
    family: int
    similarity: float
    nearest: tuple[NearRow, ...]
    p: float | None


@dataclass(frozen=True, slots=True)
class TraitMoved:
    """A trait of style, from the base model's outputs to the tuned model's.

    Attributes:
        name: What it is.
        unit: `words`, `share`, `per 100 words` or `times`.
        dataset: Of the dataset's responses, the mean.
        base, outputs: Of outputs, the mean; the base's is `None` without any.
        change: From base to outputs, prompt by prompt where most prompts were answered by both; `None` without base outputs.
    """

    name: str
    unit: str
    dataset: float
    base: Rate | None
    outputs: Rate
    change: Rate | None


@dataclass(frozen=True, slots=True)
class Drawn:
    """How much of some outputs is as if drawn from the dataset's forms, at their lengths; see `audit.style.mixture`.

    Attributes:
        outputs: Of the tuned model's outputs, all the others being the null.
        base: Of the base model's, in the same way: the tuned model's are among its null. If no model copied, all would be
            alike. `None` without base outputs.
        null: Of each file of null outputs, in the same way, by its name.
        excess: `outputs` less the mean of the others.
    """

    outputs: Rate
    base: Rate | None
    null: Mapping[str, Rate]
    excess: Rate


@dataclass(frozen=True)
class Copying:
    """What was measured on outputs.

    Attributes:
        families: By the falling low end of their strength, or of their share where there is none.
        any_family: All families together; `None` without families.
        drawn: `None` without families, without null or base outputs, or with fewer than 100 of any model.
        outputs: In the order of their file, those that were looked at.
        shift: How style moved.
        n_outputs, n_base, n_null: How many were looked at.
        skipped: What was not looked at, and why.
    """

    families: tuple[FamilyCopied, ...]
    any_family: FamilyCopied | None
    drawn: Drawn | None
    outputs: tuple[OutputCopied, ...]
    shift: tuple[TraitMoved, ...]
    n_outputs: int
    n_base: int
    n_null: int
    skipped: tuple[Skipped, ...]


def measure_copying(
    style: Style,
    materials: Materials,
    outputs: Sequence[Output],
    base: Sequence[Output] | None = None,
    null: Mapping[str, Sequence[Output]] = MappingProxyType({}),
) -> Copying:
    """Hold a model's outputs against the style of a dataset.

    Args:
        style: Of the dataset.
        materials: Its rows.
        outputs: The tuned model's.
        base: The base model's; where they answer the same prompts, changes are taken prompt by prompt.
        null: Outputs of models that never saw the dataset, by the name of the file or the model; each model once.

    Raises:
        InputError: No output can be looked at, or null outputs are those of the tuned model, or of one another.
        MissingDependencyError: The encoder of the run is not on this machine.
    """
    skipped: list[Skipped] = []
    units: dict[str, int] = {}
    _check_models({"the outputs": outputs} | {f"the null outputs of {name}": of for name, of in null.items()})
    tuned = _Texts.of("output", outputs, units, skipped)
    if not tuned.outputs:
        why = "; ".join(f"{item.what}: {item.why}" for item in skipped) or "there are none"
        raise InputError("no output can be looked at", why=why, remedy="give answers in English that are not empty")
    untuned = None if base is None else _Texts.beside("base output", base, units, skipped)
    beside = {name: _Texts.beside(f"null output of {name}", of, units, skipped) for name, of in null.items()}
    named = {name: texts for name, texts in beside.items() if texts is not None}
    others = list(named.values())
    n_null = sum(len(texts.outputs) for texts in others)
    shift = _shift(style, materials, tuned, untuned)
    counts = (len(tuned.outputs), len(untuned.outputs) if untuned else 0, n_null)
    if style.centres is None:
        if style.too_few:
            skipped.append(Skipped("copied families", style.too_few))
        return Copying((), None, None, (), shift, *counts, tuple(skipped))
    if not others and untuned is None:
        none = "could be looked at" if null or base else "were given"
        why = f"neither base nor null outputs {none}, and any model's outputs fall into some families"
        skipped.append(Skipped("strength of copying", why))
    models = [tuned, *others, *([untuned] if untuned is not None else [])]
    vectors = {id(texts): style.vectors_of(texts.prompts, texts.texts, texts.features) for texts in models}
    assigned = {key: style.centres.assign(of_texts) for key, of_texts in vectors.items()}
    families = [
        _family_copied(number, style, tuned, assigned[id(tuned)], untuned, assigned, others, n_units=len(units))
        for number in (-1, *(family.number for family in style.families))
    ]
    if others and _n_alike(tuned, others) < _MIN_ALIKE:
        few = f"only about {_n_alike(tuned, others):.0f} of them are as long as the outputs"
        skipped.append(Skipped("null outputs of every length", f"{few}: shares of the null are rough"))
    ranked = sorted(
        families[1:],
        key=lambda copied: (copied.strength is None, -(copied.strength or copied.outputs).low, copied.family),
    )
    return Copying(
        tuple(ranked),
        families[0],
        _drawn(style, [texts.placed(assigned[id(texts)]) for texts in models], list(named)),
        _each(style, tuned, vectors, assigned[id(tuned)], others),
        shift,
        *counts,
        tuple(skipped),
    )


class _Texts:
    """Outputs in English that are not empty, with their features."""

    def __init__(self, outputs: Sequence[Output], units: dict[str, int]) -> None:
        self.outputs = list(outputs)
        self.prompts = [output.prompt for output in outputs]
        self.texts = [output.response for output in outputs]
        self.features = style_features(self.texts)
        self.unit = np.array([units.setdefault(prompt.strip(), len(units)) for prompt in self.prompts], np.int64)

    @classmethod
    def of(cls, name: str, outputs: Sequence[Output], units: dict[str, int], skipped: list[Skipped]) -> _Texts:
        """Those that can be looked at; the others are counted in `skipped`."""
        visible = [output for output in outputs if output.response.strip()]
        if n_empty := len(outputs) - len(visible):
            skipped.append(Skipped(_counted(n_empty, name), "empty"))
        told = [
            languages_of(pl.Series([getattr(output, field) for output in visible], dtype=pl.String))
            for field in ("prompt", "response")
        ]
        english = pl.DataFrame(dict(zip(("prompt", "response"), told, strict=True))).select(
            pl.all_horizontal(pl.all().is_in(_ENGLISH))
        )
        kept = [output for output, is_english in zip(visible, english.to_series(), strict=True) if is_english]
        if n_other := len(visible) - len(kept):
            skipped.append(Skipped(_counted(n_other, name), "made for English; of another language"))
        return cls(kept, units)

    @classmethod
    def beside(cls, name: str, outputs: Sequence[Output], units: dict[str, int], skipped: list[Skipped]) -> _Texts | None:
        """Those of another model; `None` where they are too few to hold anything against."""
        texts = cls.of(name, outputs, units, skipped)
        if len(texts.outputs) >= _MIN_BESIDE:
            return texts
        if texts.outputs:
            why = f"too few to compare with; there have to be {_MIN_BESIDE}"
            skipped.append(Skipped(_counted(len(texts.outputs), name), why))
        return None

    def placed(self, assigned: Assigned) -> Placed:
        """For `mixture_weights`."""
        return Placed(assigned.centre, self.features.n_words, self.unit)


def _check_models(models: Mapping[str, Sequence[Output]]) -> None:
    """What one model says in two files is no null of its own."""
    said = {name: {(output.prompt.strip(), output.response.strip()) for output in of} for name, of in models.items()}
    for (name, these), (other, those) in itertools.combinations(said.items(), 2):
        if len(these & those) > _SAME_MODEL * max(1, min(len(these), len(those))):
            raise InputError(
                f"{other} are {name}",
                why="at least nine in ten answers are the same",
                remedy="give answers of other models, those of each model once, in one file",
            )


def _counted(n: int, name: str) -> str:
    """So many outputs of some kind: `3 base outputs`."""
    return f"{n:,} {name if n == 1 else name.replace('output', 'outputs', 1)}"


def _n_alike(tuned: _Texts, others: Sequence[_Texts]) -> float:
    """How many equally weighted null outputs those of like length are worth (Kish 1965)."""
    given = np.concatenate([texts.features.n_words for texts in others])
    squares = float((_weights_of_lengths(tuned.features.n_words, given) ** 2).sum())
    return 1 / squares if squares else 0.0


def _family_copied(
    number: int,
    style: Style,
    tuned: _Texts,
    of_tuned: Assigned,
    untuned: _Texts | None,
    assigned: dict[int, Assigned],
    null: Sequence[_Texts],
    n_units: int,
) -> FamilyCopied:
    def belongs(of_texts: Assigned) -> NDArray[np.float64]:
        return ((of_texts.family >= 0) if number < 0 else (of_texts.family == number)).astype(float)

    inside = belongs(of_tuned)
    means = _resampled(inside, tuned.unit, n_units)
    base = null_share = strength = None
    beside: NDArray[np.float64] | None = None
    n_beside = 0.0
    if untuned is not None:
        of_base = belongs(assigned[id(untuned)])
        beside, n_beside = _resampled(of_base, untuned.unit, n_units), float(len(of_base))
        base = _share(of_base, beside)
    if null:
        belonging = np.concatenate([belongs(assigned[id(texts)]) for texts in null])
        weights = _weights_of_lengths(tuned.features.n_words, np.concatenate([texts.features.n_words for texts in null]))
        if not weights.any():
            weights = np.full(len(weights), 1 / len(weights))
        null_share = float(weights @ belonging)
        beside = _resampled(belonging, np.concatenate([texts.unit for texts in null]), n_units, weights)
        n_beside = 1 / float((weights**2).sum())
    if beside is not None and inside.any():
        half = 0.5 / len(inside)  # so that no share is nothing at all
        over = null_share if null_share is not None else (base.value if base else 0.0)
        if over == 0:  # resampling shows no spread: by what share could none of so many be (Jeffreys)
            beside = np.random.default_rng(_SEED).beta(0.5, n_beside + 0.5, _N_RESAMPLES)
        with np.errstate(invalid="ignore"):
            ratios = np.log2((means + half) / (beside + half))
        strength = _rate(float(np.log2((inside.mean() + half) / (over + half))), ratios)
    dataset = style.assigned.family[style.looked_at]
    share = float((dataset >= 0).mean() if number < 0 else (dataset == number).mean())
    return FamilyCopied(number, share, _share(inside, means), int(inside.sum()), base, null_share, strength)


def _share(inside: NDArray[np.float64], resampled: NDArray[np.float64]) -> Rate:
    """A share with its interval; of none and of all, where resampling shows no spread, by Wilson (1927)."""
    rate, n = _rate(float(inside.mean()), resampled), len(inside)
    spread = _Z**2 / (n + _Z**2)
    if rate.value == 0:
        return replace(rate, high=max(rate.high, spread))
    return replace(rate, low=min(rate.low, 1 - spread)) if rate.value == 1 else rate


def _weights_of_lengths(wanted: NDArray[np.int32], given: NDArray[np.int32]) -> NDArray[np.float64]:
    """Weights, together 1, under which given lengths are spread over the wanted ones' quantiles; shape `(n_given,)`.

    What no given length can stand for is shared out among the others; where none can stand for any, all are 0.
    """
    edges = np.unique(np.quantile(wanted, np.linspace(0, 1, _N_BINS + 1)[1:-1]))
    of_wanted, of_given = np.digitize(wanted, edges), np.digitize(given, edges)
    target = np.bincount(of_wanted, minlength=len(edges) + 1) / len(wanted)
    weights = target[of_given] / np.maximum(np.bincount(of_given, minlength=len(edges) + 1), 1)[of_given]
    return np.asarray(weights / max(weights.sum(), 1e-12))


def _resampled(
    values: NDArray[np.float64], unit: NDArray[np.int64], n_units: int, weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Weighted means of resampled prompts; the same draws whatever the values; shape `(_N_RESAMPLES,)`."""
    weights = np.ones(len(values)) if weights is None else weights
    draws = _draws(n_units)
    sums = draws @ np.bincount(unit, weights=weights * values, minlength=n_units)
    totals = draws @ np.bincount(unit, weights=weights, minlength=n_units)
    return np.asarray(sums / np.maximum(totals, 1e-12))


def _draws(n_units: int) -> NDArray[np.float64]:
    """How often each prompt is drawn; shape `(_N_RESAMPLES, n_units)`."""
    return np.random.default_rng(_SEED).multinomial(n_units, np.full(n_units, 1 / n_units), _N_RESAMPLES).astype(float)


def _rate(value: float, resampled: NDArray[np.float64]) -> Rate:
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return Rate(value, float(low), float(high))


def _drawn(style: Style, models: Sequence[Placed], null: Sequence[str]) -> Drawn | None:
    """What part of outputs is as if drawn from the dataset; `None` with few outputs, or none of other models.

    Args:
        style: Of the dataset.
        models: The tuned model's outputs, those of every null file, and last the base model's, if any.
        null: The names of the null files.
    """
    if len(models) < 2 or style.centres is None or min(len(model.unit) for model in models) < _MIN_DRAWN:
        return None
    rows, n_centres = style.looked_at, len(style.centres.vectors)
    dataset = Placed(style.assigned.centre[rows], style.words[rows], rows)

    def measure(gone: NDArray[np.int64]) -> NDArray[np.float64]:
        left = [texts.without(gone) for texts in models]
        if not all(len(texts.unit) for texts in left):
            left = list(models)
        drawn = [
            mixture_weights(texts, joined([other for other in left if other is not texts]), [dataset], n_centres)[1]
            for texts in left
        ]
        return np.array([*drawn, drawn[0] - np.mean(drawn[1:])])

    *drawn, excess = jackknife(np.unique(models[0].unit), measure)
    ours, *others = (Rate(value, max(low, 0.0), min(high, 1.0)) for value, low, high in drawn)
    base = others.pop() if len(others) > len(null) else None
    return Drawn(ours, base, dict(zip(null, others, strict=True)), Rate(*excess))


def _each(
    style: Style, tuned: _Texts, vectors: dict[int, NDArray[np.float32]], assigned: Assigned, others: Sequence[_Texts]
) -> tuple[OutputCopied, ...]:
    """Every output with the rows that it resembles."""
    nearness, nearest, cosines = _nearest(vectors[id(tuned)], style.vectors)
    chance: list[float | None] = [None] * len(tuned.outputs)
    if others:
        of_null = np.concatenate([_nearest(vectors[id(texts)], style.vectors)[0] for texts in others])
        lengths = np.log1p(np.concatenate([texts.features.n_words for texts in others]))
        for place, (near, words) in enumerate(zip(nearness, np.log1p(tuned.features.n_words), strict=True)):
            alike = np.argsort(np.abs(lengths - words), kind="stable")[:_N_LIKE_LENGTH]
            chance[place] = float((1 + (of_null[alike] >= near).sum()) / (1 + len(alike)))
    return tuple(
        OutputCopied(
            output,
            int(assigned.family[place]),
            float(assigned.similarity[place]),
            tuple(
                NearRow(int(style.looked_at[row]), float(cosine))
                for row, cosine in zip(nearest[place], cosines[place], strict=True)
            ),
            chance[place],
        )
        for place, output in enumerate(tuned.outputs)
    )


def _nearest(
    queries: NDArray[np.float32], rows: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """How near each query lies to the rows, and its nearest rows with their cosines, exactly."""
    near, found, values = [], [], []
    for start in range(0, len(queries), 512):
        cosines = np.round(queries[start : start + 512] @ rows.T, 5)
        top = np.argsort(-cosines, axis=1, kind="stable")[:, : max(_N_STRENGTH, _N_NEAREST)]
        held = np.take_along_axis(cosines, top, axis=1)
        near.append(held[:, :_N_STRENGTH].mean(axis=1))
        found.append(top[:, :_N_NEAREST])
        values.append(held[:, :_N_NEAREST])
    return np.concatenate(near), np.concatenate(found), np.concatenate(values)


_TRAIT_UNITS = {
    "words in an answer": "words",
    "words of a sentence": "words",
    "words over what the instruction calls for": "times",
    "answers with a list": "share",
    "answers of several paragraphs": "share",
    "answers that open with a phrase": "share",
    "answers that close with a phrase": "share",
    "discourse markers": "per 100 words",
    "hedges": "per 100 words",
}


def _trait_values(prompts: Sequence[str], texts: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """The traits of `_TRAIT_UNITS` of every text."""
    series = pl.Series(list(texts), dtype=pl.String)
    features = style_features(series)
    marks = marks_of(series, features)
    stream = WordStream.of(texts)
    kinds, of_text = word_kinds(stream), stream.text_of_position()
    order = list(StyleKind)
    least = np.maximum(features.n_words, 1)

    def rate(kind: StyleKind) -> NDArray[np.float64]:
        return np.asarray(100 * np.bincount(of_text[kinds == order.index(kind)], minlength=len(texts)) / least)

    return {
        "words in an answer": features.n_words.astype(float),
        "words of a sentence": np.expm1(features.traits[:, TRAITS.index("words of a sentence")].astype(float)),
        "words over what the instruction calls for": features.n_words
        / words_called_for(read_requests(list(prompts)), features.n_words),
        "answers with a list": (marks["a numbered list"] | marks["a bulleted list"]).astype(float),
        "answers of several paragraphs": (features.traits[:, TRAITS.index("paragraph breaks per line")] > 0).astype(float),
        "answers that open with a phrase": np.array([opening_phrase(text) is not None for text in texts], float),
        "answers that close with a phrase": np.array([closing_phrase(text) is not None for text in texts], float),
        "discourse markers": rate(StyleKind.MARKER),
        "hedges": rate(StyleKind.HEDGE),
    }


def _shift(style: Style, materials: Materials, tuned: _Texts, untuned: _Texts | None) -> tuple[TraitMoved, ...]:
    if not tuned.outputs or not style.n_looked_at:
        return ()
    rows = style.looked_at
    if len(rows) > _MOST_ROWS:
        rows = np.sort(np.random.default_rng(_SEED).choice(rows, _MOST_ROWS, replace=False))
    shown = materials.corpus.responses[rows.tolist()]
    of_dataset = _trait_values(shown["prompt"].to_list(), shown["text"].to_list())
    of_tuned = _trait_values(tuned.prompts, tuned.texts)
    of_base = None if untuned is None else _trait_values(untuned.prompts, untuned.texts)
    n_units = int(max(tuned.unit.max(), 0 if untuned is None else untuned.unit.max(initial=0))) + 1
    moved = []
    for name, unit in _TRAIT_UNITS.items():
        means = _resampled(of_tuned[name], tuned.unit, n_units)
        base = change = None
        if of_base is not None and untuned is not None:
            before = _resampled(of_base[name], untuned.unit, n_units)
            base = _rate(float(of_base[name].mean()), before)
            change = _change(of_tuned[name], tuned.unit, of_base[name], untuned.unit, means - before, n_units)
        moved.append(
            TraitMoved(name, unit, float(of_dataset[name].mean()), base, _rate(float(of_tuned[name].mean()), means), change)
        )
    return tuple(moved)


def _change(
    after: NDArray[np.float64],
    unit_after: NDArray[np.int64],
    before: NDArray[np.float64],
    unit_before: NDArray[np.int64],
    unpaired: NDArray[np.float64],
    n_units: int,
) -> Rate:
    """From base to tuned: over the prompts that both answered, or of the means where these are few."""
    n_after, n_before = (np.bincount(unit, minlength=n_units) for unit in (unit_after, unit_before))
    both = np.flatnonzero((n_after > 0) & (n_before > 0))
    if len(both) < _MIN_PAIRED * max((n_after > 0).sum(), (n_before > 0).sum()):
        return _rate(float(after.mean() - before.mean()), unpaired)
    differences = (
        np.bincount(unit_after, weights=after, minlength=n_units)[both] / n_after[both]
        - np.bincount(unit_before, weights=before, minlength=n_units)[both] / n_before[both]
    )
    return _rate(float(differences.mean()), _resampled(differences, np.arange(len(both)), len(both)))
