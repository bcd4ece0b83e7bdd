"""The stage of an audit that finds style families, and what it leaves in the run folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.errors import InputError
from audit.materials import Materials
from audit.style.families import (
    MIN_RESPONSES,
    Assigned,
    Centres,
    Family,
    alikeness,
    draw_map,
    exemplars_of,
    find_centres,
    held_against,
    mean_cosine,
)
from audit.style.features import TRAITS, StyleFeatures, style_features
from audit.style.marks import describe, marks_of, opener_of
from audit.style.need import Kind, Request, read_requests, words_called_for
from audit.style.reference import Reference
from audit.style.skeletons import mine
from audit.style.space import StyleSpace, unit_rows
from audit.summary import Skipped
from indexes.encoders import load_static
from indexes.store import read_array, read_bytes, write_array, write_bytes

__all__ = ["STYLE_FILES", "Style", "build_style", "load_style"]

_INDEXES = "indexes"
_FACTS = "style.json"
_OF_RESPONSES = ("looked_at", "vectors", "family", "similarity", "centre", "map", "words", "expected_words")
_OF_SPACE = tuple(field.name for field in fields(StyleSpace))
_OF_CENTRES = tuple(field.name for field in fields(Centres))
STYLE_FILES = (
    f"{_INDEXES}/{_FACTS}",
    *(f"{_INDEXES}/style.{name}.npy" for name in _OF_RESPONSES),
    *(f"{_INDEXES}/style.space.{name}.npy" for name in _OF_SPACE),
    *(f"{_INDEXES}/style.centres.{name}.npy" for name in _OF_CENTRES),
)
_WORDING = 0.3  # share of a family that has a skeleton which is called the family's
_KINDS = tuple(Kind)


@dataclass(frozen=True)
class Style:
    """The style of a dataset's responses; `n` is their number, those not looked at included.

    Attributes:
        families: By falling share.
        assigned: Of every response; those not looked at belong to no family.
        looked_at: int64, shape `(n_looked_at,)`: the responses in English that are not empty.
        vectors: float32, shape `(n_looked_at, n_axes)`: theirs.
        map: float32, shape `(n, 2)`: where a response lies on a map of forms, not a number where it was not looked at.
        words: int32, shape `(n,)`: words given.
        expected_words: float32, shape `(n,)`: words that the instruction calls for, not a number where not looked at.
        too_few: Why there are no families; `None` where they were looked for.
        n_other_language: Responses left out, being of another language.
        reference: What the families were held against; `None` without one.
        n_reference: How many responses it has.
        skipped: What was not looked at, and why.
    """

    families: tuple[Family, ...]
    assigned: Assigned
    looked_at: NDArray[np.int64]
    vectors: NDArray[np.float32]
    map: NDArray[np.float32]
    words: NDArray[np.int32]
    expected_words: NDArray[np.float32]
    too_few: str | None
    n_other_language: int
    reference: str | None
    n_reference: int
    skipped: tuple[Skipped, ...]
    space: StyleSpace | None
    centres: Centres | None
    encoder: str | None

    @property
    def n_looked_at(self) -> int:
        """How many responses were looked at."""
        return len(self.looked_at)

    def vectors_of(
        self, prompts: Sequence[str], responses: Sequence[str], features: StyleFeatures | None = None
    ) -> NDArray[np.float32]:
        """Vectors of other responses in the same space; unit rows, shape `(n, n_axes)`.

        Args:
            prompts: Their instructions.
            responses: The texts.
            features: Theirs, where they are known already.

        Raises:
            InputError: The dataset has too few responses for a space.
            MissingDependencyError: The encoder of the run is not on this machine.
        """
        if self.space is None:
            raise InputError("the run has no style families", why=self.too_few or "")
        features = style_features(responses) if features is None else features
        topics = _topics(self.encoder, prompts)
        return self.space.vectors(features, pl.Series(list(prompts), dtype=pl.String), topics)

    def assign(self, prompts: Sequence[str], responses: Sequence[str]) -> Assigned:
        """The families that other responses would belong to; empty ones belong to none. Raises as `vectors_of`."""
        vectors = self.vectors_of(prompts, responses)
        assert self.centres is not None
        assigned = self.centres.assign(vectors)
        visible = np.array([bool(text.strip()) for text in responses], bool)
        return replace(assigned, family=np.where(visible, assigned.family, -1).astype(np.int32))


def build_style(folder: Path, materials: Materials, encoder: str | None, reference: Reference | None) -> Mapping[str, Any]:
    """Find the style families of a dataset.

    Args:
        folder: The run folder.
        materials: Its rows, with languages told.
        encoder: Of the prompts' vectors; `None` where there are none.
        reference: Answers to hold the families against.
    """
    english = materials.english_responses
    shown = english.filter(pl.col("text").str.strip_chars() != "").select("response", "prompt", "text")
    n_other = materials.n_responses - english.height
    looked_at, prompts, texts = shown["response"].to_numpy().astype(np.int64), shown["prompt"], shown["text"]
    features, requests = style_features(texts), read_requests(prompts.to_list())
    words, expected = np.zeros(materials.n_responses, np.int32), np.full(materials.n_responses, np.nan, np.float32)
    words[looked_at] = features.n_words
    expected[looked_at] = words_called_for(requests, features.n_words)
    for name, array in (("looked_at", looked_at), ("words", words), ("expected_words", expected)):
        _write(folder, f"style.{name}", array)
    facts: dict[str, Any] = {
        "n_other_language": n_other,
        "encoder": encoder,
        "reference": None if reference is None else reference.name,
        "n_reference": 0 if reference is None else len(reference.responses),
        "too_few": None,
        "families": [],
    }
    if len(looked_at) < MIN_RESPONSES:
        seen = f"{len(looked_at):,} response{'' if len(looked_at) == 1 else 's'} in English"
        facts["too_few"] = (
            f"families need {MIN_RESPONSES} responses in English; there {'is' if len(looked_at) == 1 else 'are'} {seen}"
        )
    else:
        topics = None if encoder is None else materials.prompt_vectors[looked_at]
        facts["families"] = [
            asdict(family)
            for family in _find(
                folder, materials.n_responses, looked_at, prompts, texts, features, requests, topics, reference, encoder
            )
        ]
    write_bytes(folder / _INDEXES / _FACTS, json.dumps(facts, ensure_ascii=False, indent=1).encode())
    return {"families": len(facts["families"]), "looked_at": len(looked_at), "too_few": facts["too_few"]}


def _find(
    folder: Path,
    n_responses: int,
    looked_at: NDArray[np.int64],
    prompts: pl.Series,
    texts: pl.Series,
    features: StyleFeatures,
    requests: Sequence[Request],
    topics: NDArray[np.float32] | None,
    reference: Reference | None,
    encoder: str | None,
) -> Sequence[Family]:
    """Fit the space, find the families, and write both."""
    space = StyleSpace.fit(features, prompts, topics)
    for name, array in space.arrays().items():
        _write(folder, f"style.space.{name}", array)
    unexplained = space.residuals(features, prompts, topics)
    # What is kept on disk is what families are made of, so that they are the same from cold and warm.
    vectors = space.place(unexplained).astype(np.float16)
    unit_topics = None if topics is None else unit_rows(topics)
    centres = find_centres(vectors, unit_topics)
    for name in _OF_CENTRES:
        _write(folder, f"style.centres.{name}", getattr(centres, name))
    assigned = centres.assign(vectors)
    families = _described(looked_at, texts, features, requests, unit_topics, unexplained, assigned)
    if reference is not None:
        kinds, of_reference = (_kind_numbers(asked) for asked in (requests, read_requests(reference.prompts)))
        answered = style_features(reference.responses)
        placed = space.vectors(answered, pl.Series(reference.prompts), _topics(encoder, reference.prompts))
        families = held_against(families, kinds, centres.assign(placed.astype(np.float16)), of_reference)
    whole: dict[str, NDArray[Any]] = {
        "vectors": vectors,
        "family": _spread(assigned.family, looked_at, n_responses, -1),
        "similarity": _spread(assigned.similarity, looked_at, n_responses, np.nan),
        "centre": _spread(assigned.centre, looked_at, n_responses, -1),
        "map": _spread(draw_map(centres, vectors, assigned), looked_at, n_responses, np.nan),
    }
    for name, array in whole.items():
        _write(folder, f"style.{name}", array)
    return families


def _described(
    looked_at: NDArray[np.int64],
    texts: pl.Series,
    features: StyleFeatures,
    requests: Sequence[Request],
    topics: NDArray[np.floating] | None,
    unexplained: NDArray[np.float64],
    assigned: Assigned,
) -> tuple[Family, ...]:
    marks, openers, skeletons = marks_of(texts, features), opener_of(texts), mine(texts.to_list())
    over_need = features.n_words / words_called_for(requests, features.n_words)
    usual = 0.0 if topics is None else mean_cosine(topics)
    is_usual = np.median(features.traits[:, : len(TRAITS)], axis=0) > 0
    families = []
    for number in range(int(assigned.family.max(initial=-1)) + 1):
        members = np.flatnonzero(assigned.family == number)
        description, named = describe(
            members, marks, openers, unexplained[:, : len(TRAITS)], is_usual, float(np.median(over_need[members]))
        )
        numbers, counts = np.unique(skeletons.of_text[members], return_counts=True)
        common = [
            (count, -skeleton)
            for skeleton, count in zip(numbers.tolist(), counts.tolist(), strict=True)
            if skeleton >= 0 and count >= _WORDING * len(members)
        ]
        chosen = exemplars_of(members, assigned.similarity, topics)
        families.append(
            Family(
                number,
                n=len(members),
                share=len(members) / len(looked_at),
                exemplars=tuple(looked_at[list(chosen)].tolist()),
                description=description,
                pattern=skeletons.skeletons[-max(common)[1]].pattern if common else "",
                median_words=float(np.median(features.n_words[members])),
                marks=named,
                alikeness=None if topics is None else round(alikeness(topics[members], usual), 4),
            )
        )
    return tuple(families)


def load_style(folder: Path) -> Style:
    """What `build_style` left in a run folder.

    Raises:
        InputError: The run has none, being of an earlier version, or redacted.
        CorruptFileError: A file was changed.
    """
    place = folder / _INDEXES
    if not (place / _FACTS).exists():
        raise InputError(
            "the run has no style families",
            where=str(folder),
            why="it was made by an earlier version, or with --redact",
            remedy="audit the data again",
        )
    facts = json.loads(read_bytes(place / _FACTS))
    families = tuple(
        Family(**{**family, "exemplars": tuple(family["exemplars"]), "marks": tuple(family["marks"])})
        for family in facts["families"]
    )
    looked_at, words, expected = (read_array(place / f"style.{name}.npy") for name in ("looked_at", "words", "expected_words"))
    n = len(words)
    skipped = []
    if n_other := facts["n_other_language"]:
        skipped.append(Skipped("style", f"made for English; {n_other:,} responses are of another language"))
    if facts["too_few"]:
        skipped.append(Skipped("style families", facts["too_few"]))
    elif facts["encoder"] is None:
        skipped.append(
            Skipped(
                "topics in style families", "the run has no vectors of prompts, so families of one topic are not told apart"
            )
        )
    if facts["reference"] is None and not facts["too_few"]:
        skipped.append(Skipped("lift of families", "no --style-reference was given"))
    if facts["too_few"]:
        space, centres = None, None
        assigned = Assigned(np.full(n, -1, np.int32), np.full(n, np.nan, np.float32), np.full(n, -1, np.int32))
        vectors, drawn = np.zeros((len(looked_at), 0), np.float32), np.full((n, 2), np.nan, np.float32)
    else:
        arrays = {
            name: read_array(place / f"style.{name}.npy") for name in ("family", "similarity", "centre", "vectors", "map")
        }
        assigned = Assigned(arrays["family"], arrays["similarity"], arrays["centre"])  # type: ignore[arg-type]
        vectors, drawn = arrays["vectors"].astype(np.float32), arrays["map"].astype(np.float32)
        space = StyleSpace(**{name: read_array(place / f"style.space.{name}.npy") for name in _OF_SPACE})  # type: ignore[arg-type]
        centres = Centres(**{name: read_array(place / f"style.centres.{name}.npy") for name in _OF_CENTRES})  # type: ignore[arg-type]
    return Style(
        families,
        assigned,
        looked_at.astype(np.int64),
        vectors,
        drawn,
        words.astype(np.int32),
        expected.astype(np.float32),
        facts["too_few"],
        n_other,
        facts["reference"],
        facts["n_reference"],
        tuple(skipped),
        space,
        centres,
        facts["encoder"],
    )


def _write(folder: Path, name: str, array: NDArray[np.generic]) -> None:
    write_array(folder / _INDEXES / f"{name}.npy", array)


def _spread(values: NDArray[np.generic], places: NDArray[np.int64], n: int, elsewhere: float) -> NDArray[np.generic]:
    """Values of some responses among those of all."""
    whole = np.full((n, *values.shape[1:]), elsewhere, values.dtype)
    whole[places] = values
    return whole


def _kind_numbers(requests: Sequence[Request]) -> NDArray[np.int64]:
    number = {kind: place for place, kind in enumerate(_KINDS)}
    return np.fromiter((number[request.kind] for request in requests), np.int64, len(requests))


def _topics(encoder: str | None, prompts: Sequence[str]) -> NDArray[np.floating] | None:
    """The vectors of prompts, as an audit makes them."""
    return None if encoder is None else load_static(encoder).encode(list(prompts)).astype(np.float16).astype(np.float32)
