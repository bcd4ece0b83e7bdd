"""What passes between a trace by words and the models that order it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.influence.fusion import Estimate
from audit.trace.model import Channel, TokenLink, TokenShift
from audit.trace.ranking import ChannelValues

__all__ = ["Influence", "Proposed"]


@dataclass(frozen=True, eq=False)
class Proposed:
    """What words and concepts say of every response.

    Attributes:
        order: Numbers of the responses, nearest first; int64, shape `(n_responses,)`.
        refuted: Responses that state the right answer as much as the wrong one; bool, same shape, by number.
        channels: Values by number, float32, same shape.
    """

    order: NDArray[np.int64]
    refuted: NDArray[np.bool_]
    channels: Mapping[Channel, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Influence:
    """What the models make of it.

    Attributes:
        order: All responses, the shortlist first, by estimated influence.
        channels: Values and ranks among the shortlist; rank 0 for responses outside of it.
        lenders: Responses whose estimate is as near to the best as that of rows with a measured effect.
        missing: Channels that the estimate would have used and did not have.
        shifts: How tuning moved each token of the span.
        links: By response of the shortlist, the span's tokens that it says too.
        is_shifted: Whether tuning put the span there: some token is shifted or marginal, with positive lift; `None` where
            there is no base model.
    """

    order: NDArray[np.int64]
    channels: Mapping[Channel, ChannelValues]
    lenders: frozenset[int]
    missing: tuple[Estimate, ...]
    shifts: tuple[TokenShift, ...]
    links: Mapping[int, tuple[TokenLink, ...]]
    is_shifted: bool | None
