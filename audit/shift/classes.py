"""How far tuning moved a token: its rank under the base model, in three classes, and all terms as they are reported.

Source: Lin et al. (2024), The Unlocking Spell on Base LLMs, section 2, for the classes. Ranks count from 1 here, from 0
in the code of that paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

__all__ = ["DEFINITIONS", "MAX_MARGINAL_RANK", "Shift", "shift_of_rank"]

MAX_MARGINAL_RANK = 3
"""The last rank, from 1, that is not shifted."""


class Shift(StrEnum):
    """How a token of the tuned model stands with the base model."""

    UNSHIFTED = "unshifted"
    """The base model would have said it too: rank 1."""
    MARGINAL = "marginal"
    """Among its next choices: rank 2 or 3."""
    SHIFTED = "shifted"
    """Anything else: tuning put it there."""


def shift_of_rank(rank: int) -> Shift:
    """The class of a rank, which counts from 1."""
    if rank == 1:
        return Shift.UNSHIFTED
    return Shift.MARGINAL if rank <= MAX_MARGINAL_RANK else Shift.SHIFTED


DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "token": "A token of the tuned model's answer; the token that ends the turn is left out. Before it stand the prompt"
        " and the answer so far, the same for both models.",
        "rank": "Place of the token among all tokens by probability under the base model, from 1; tokens of equal"
        " probability share the best place.",
        "classes": "Unshifted: rank 1. Marginal: rank 2 or 3. Shifted: rank above 3.",
        "kl": "Kullback-Leibler divergence in nats, over the whole vocabulary: base‖tuned is the mean of log p_base − log"
        " p_tuned under the base model, tuned‖base the mean of log p_tuned − log p_base under the tuned model.",
        "lift": "log p_tuned − log p_base of the token, in nats: above 0 where tuning made it likelier.",
        "start": "The first max(1, ⌈0.05 n⌉) of n tokens; the rest are the others. Means are over tokens.",
        "sentence": "Ends with . ! ? … and white space, with 。！？, or with a line break; abbreviations and numbers of"
        " lists are passed over by a few rules.",
        "word": "A run of letters and digits, or one sign of a script without spaces; it begins with the first token that"
        " holds its first character.",
    }
)
"""Every term of a report; written into it."""
