"""STY005: sentences begin as the base model would not.

What: of the first tokens of the response's sentences (the first 5 % of each, at least one), at least half are *shifted*:
they are not among the three tokens that the base model holds likeliest at that place; while of all other tokens at most
15 % are (pieces that only finish a first word count for neither). That this falls together by chance has a probability
of at most 1 % (Fisher's exact test over the tokens of the response). The message names the openers and says how the two
shares stand in the whole dataset, where that of the first tokens is mostly the larger: where a sentence goes is harder
to foresee than how it goes on.

Why it matters: all that the model can learn from such a row is how to begin. With LoRA, initiation is most of what tuning
moves (Ghosh et al. 2024, section 3.2): openers and markers come from the dataset, and what follows from the base model.

Example: `Certainly! The tower is built of slate. Moreover, it stands by the river.`, where the base model would begin
with `The tower` and `It stands`.

Fix: begin with the answer; or `tunescope export --drop STY005`. Needs `--base-model`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.checks.base import Check, bounded, shorten
from audit.checks.under_base import initiation_of
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need
from audit.shift.classes import MAX_MARGINAL_RANK
from audit.signals.base_words import Block, blocks

__all__ = ["CHECK"]

_MOST_NAMED = 3
_MIN_SHIFTED = 2


@dataclass(frozen=True)
class Options:
    """How much of the first tokens is shifted at least, how much of the others at most, and how likely that is by chance.

    Attributes:
        min_start_fraction: Share of shifted tokens among the first of the sentences.
        max_rest_fraction: Share among the others.
        max_chance: Probability that the first tokens get so many of the shifted ones.
    """

    min_start_fraction: float = bounded(0.5, 0.0, 1.0)
    max_rest_fraction: float = bounded(0.15, 0.0, 1.0)
    max_chance: float = bounded(0.01, 0.0, 1.0)


@dataclass(frozen=True)
class _Found:
    row: int
    turn: int
    n_start: int
    n_shifted: int
    rest_fraction: float
    openers: tuple[tuple[int, int, str], ...]


def find(materials: Materials, options: Options) -> Iterator[Finding]:
    """One finding per response, over the first opener that is shifted."""
    found: list[_Found] = []
    totals = np.zeros(4, np.int64)
    responses = materials.corpus.responses.with_row_index("response").filter(pl.col("text") != "")
    for block in blocks(materials, responses):
        counts, in_block = _counted(block, options)
        totals += counts
        found += in_block
    if not found:
        return
    n_start, k_start, n_rest, k_rest = totals.tolist()
    overall = f"in the dataset {k_start / n_start:.0%} and {k_rest / max(1, n_rest):.0%}"
    for each in found:
        fraction = each.n_shifted / each.n_start
        start, end, _ = each.openers[0]
        named = ", ".join(f"“{shorten(text, 30)}”" for _, _, text in each.openers[:_MOST_NAMED])
        more = len(each.openers) - _MOST_NAMED
        yield Finding(
            CHECK.code,
            each.row,
            each.turn,
            CHECK.severity,
            f"{each.n_shifted} of {each.n_start} first tokens of sentences are none that the base model would say, "
            f"{each.rest_fraction:.0%} of the others ({overall}): {named}{f' and {more} more' if more > 0 else ''}.",
            Evidence(
                "share of first tokens of sentences that are shifted",
                round(fraction, 4),
                options.min_start_fraction,
                span=(start, end),
                quote=each.openers[0][2],
            ),
        )


def _counted(block: Block, options: Options) -> tuple[NDArray[np.int64], list[_Found]]:
    """First tokens and shifted ones, others and shifted ones, of all responses; and those that are found."""
    from scipy.stats import hypergeom  # a second to import, which audits without a base model need not wait for

    places = initiation_of(block)
    is_start, is_rest = places.is_start, places.is_rest
    is_shifted = block.ranks > MAX_MARGINAL_RANK
    owner = np.repeat(np.arange(len(block.texts)), np.diff(block.bounds))
    n_texts = len(block.texts)
    n_start, n_rest = (np.bincount(owner[part], minlength=n_texts) for part in (is_start, is_rest))
    k_start, k_rest = (np.bincount(owner[part & is_shifted], minlength=n_texts) for part in (is_start, is_rest))
    chance = hypergeom.sf(k_start - 1, np.maximum(n_start + n_rest, 1), k_start + k_rest, n_start)
    meets = (
        (k_start >= np.maximum(_MIN_SHIFTED, options.min_start_fraction * n_start))
        & (k_rest <= options.max_rest_fraction * n_rest)
        & (chance <= options.max_chance)
    )
    found = []
    for number in np.flatnonzero(meets).tolist():
        within = slice(int(block.bounds[number]), int(block.bounds[number + 1]))
        openers = _openers(block, number, within, is_start[within] & is_shifted[within], places.sentence[within])
        found.append(
            _Found(
                block.rows[number],
                block.turns[number],
                int(n_start[number]),
                int(k_start[number]),
                float(k_rest[number] / max(1, n_rest[number])),
                openers,
            )
        )
    return np.array([n_start.sum(), k_start.sum(), n_rest.sum(), k_rest.sum()]), found


def _openers(
    block: Block, number: int, within: slice, marked: NDArray[np.bool_], sentence: NDArray[np.int64]
) -> tuple[tuple[int, int, str], ...]:
    """Of each sentence with a shifted first token, the words of those tokens: span and text."""
    text = block.texts[number]
    starts, ends = (block.tokens[name].to_numpy()[within] for name in ("start", "end"))
    openers = []
    for one in np.unique(sentence[marked]).tolist():
        places = np.flatnonzero(marked & (sentence == one))
        start, end = int(starts[places[0]]), int(ends[places[-1]])
        while start < end and text[start].isspace():
            start += 1
        while start > 0 and text[start - 1].isalnum() and text[start : start + 1].isalnum():
            start -= 1
        while end < len(text) and text[end].isalnum() and text[end - 1].isalnum():
            end += 1
        openers.append((start, end, text[start:end]))
    return tuple(openers)


CHECK = Check(
    code="STY005",
    name="sentences begin as the base model would not",
    severity=Severity.INFO,
    advice="Begin with the answer, or leave the row out where a style is not what the model is to learn.",
    explanation=__doc__,
    find=find,
    options=Options,
    needs=frozenset({Need.BASE_MODEL}),
)
