"""Where the shift lies: at the start or throughout, in which words, at the beginning of how many words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from audit.shift.classes import Shift
from audit.shift.responses import AlignedResponse
from indexes.words import is_word, tokenize_with_offsets

__all__ = ["Part", "Profile", "ShiftedToken", "WordCounts", "count_words", "profile", "start_length", "top_shifted"]


@dataclass(frozen=True, slots=True)
class Part:
    """Some tokens of all answers together.

    Attributes:
        n_tokens: How many.
        kl_base_tuned: Mean KL(base‖tuned) in nats.
        kl_tuned_base: Mean KL(tuned‖base) in nats.
        lift: Mean lift in nats.
        unshifted: Share of unshifted tokens.
        marginal: Share of marginal tokens.
        shifted: Share of shifted tokens.
    """

    n_tokens: int
    kl_base_tuned: float
    kl_tuned_base: float
    lift: float
    unshifted: float
    marginal: float
    shifted: float


@dataclass(frozen=True, slots=True)
class Profile:
    """The first 5 % of the tokens of each unit against the others.

    Attributes:
        unit: `response` or `sentence`.
        n_units: Units that hold a token.
        start: The first max(1, ⌈0.05 n⌉) tokens of each.
        rest: The others; `None` where no unit has more than its start.
    """

    unit: str
    n_units: int
    start: Part
    rest: Part | None


@dataclass(frozen=True, slots=True)
class ShiftedToken:
    """A token that is shifted at least once.

    Attributes:
        token: Its number in the vocabulary.
        text: What it reads like where it first stands.
        n_shifted: How often it is shifted.
        n: How often it stands in the answers.
        lift: Mean lift where it is shifted, in nats.
    """

    token: int
    text: str
    n_shifted: int
    n: int
    lift: float


@dataclass(frozen=True, slots=True)
class WordCounts:
    """Words by the class of the token that they begin with."""

    unshifted: int
    marginal: int
    shifted: int

    @property
    def total(self) -> int:
        """All words."""
        return self.unshifted + self.marginal + self.shifted


def start_length(n_tokens: int) -> int:
    """How many tokens the first 5 % of a unit are: max(1, ⌈0.05 n⌉)."""
    # In whole numbers: 0.05 × 20 is above 1 in floating point on some machines.
    return max(1, math.ceil(5 * n_tokens / 100))


def profile(tokens: pl.DataFrame, unit: str) -> Profile:
    """Start against rest of each unit.

    Args:
        tokens: A frame of `TOKEN_SCHEMA`, not empty.
        unit: `response` or `sentence`.
    """
    keys = ["number"] if unit == "response" else ["number", "sentence"]
    place = "position" if unit == "response" else "sentence_position"
    sizes = tokens.group_by(keys).agg(pl.len().alias("n"))
    starts = sizes.with_columns(pl.col("n").map_elements(start_length, return_dtype=pl.Int64).alias("n_start"))
    marked = tokens.join(starts, on=keys, maintain_order="left")
    is_start = pl.col(place) < pl.col("n_start")
    rest = marked.filter(~is_start)
    return Profile(unit, sizes.height, part(marked.filter(is_start)), part(rest) if rest.height else None)


def part(tokens: pl.DataFrame) -> Part:
    """The means of some tokens; the frame is not empty."""
    means = tokens.select(
        *(pl.col(name).mean() for name in ("kl_base_tuned", "kl_tuned_base", "lift")),
        *((pl.col("shift") == shift.value).mean().alias(shift.value) for shift in Shift),
    ).row(0, named=True)
    return Part(n_tokens=tokens.height, **means)


def top_shifted(tokens: pl.DataFrame) -> tuple[ShiftedToken, ...]:
    """Every token that is shifted somewhere, the most often shifted first; ties by number."""
    is_shifted = pl.col("shift") == Shift.SHIFTED.value
    counted = (
        tokens.group_by("token")
        .agg(
            pl.col("text").first(),
            is_shifted.sum().alias("n_shifted"),
            pl.len().alias("n"),
            pl.col("lift").filter(is_shifted).mean().alias("lift"),
        )
        .filter(pl.col("n_shifted") > 0)
        .sort(["n_shifted", "token"], descending=[True, False])
    )
    return tuple(ShiftedToken(**row) for row in counted.iter_rows(named=True))


def count_words(responses: Sequence[AlignedResponse], shifts: Sequence[Sequence[Shift]]) -> WordCounts:
    """Words of all answers by the class of their first token.

    Args:
        responses: The answers.
        shifts: For each answer the class of each token.
    """
    counts = dict.fromkeys(Shift, 0)
    for response, of_response in zip(responses, shifts, strict=True):
        spans = iter(zip(response.spans, of_response, strict=True))
        (start, end), shift = (0, 0), Shift.UNSHIFTED
        for word in tokenize_with_offsets(response.text):
            if not is_word(word.text):
                continue
            while end <= word.start:
                following = next(spans, None)
                if following is None:
                    break
                (start, end), shift = following
            if start <= word.start < end:
                counts[shift] += 1
    return WordCounts(counts[Shift.UNSHIFTED], counts[Shift.MARGINAL], counts[Shift.SHIFTED])
