"""What an epoch costs, from its tokens and a model's parameters.

Forward and backward of full tuning take about six floating-point operations per parameter and token: two forward, two for
the gradients of activations and two for those of weights. LoRA needs none of the last but for its own few weights, which
leaves four. Attention over the context comes on top, and is small while a row is short beside the width of the model.

Source: Kaplan et al. (2020), Scaling Laws for Neural Language Models (arXiv 2001.08361), section 2.1 and table 1 (C ≈ 6ND);
Hu et al. (2021), LoRA (arXiv 2106.09685), section 4.2, for what is not computed.
"""

from __future__ import annotations

import math
from pathlib import Path

__all__ = ["EPOCHS", "FLOP_PER_PARAMETER_AND_TOKEN", "USUAL_SIZES", "count_parameters", "tuning_flop"]

EPOCHS = 3
"""Passes over the rows: those of Ghosh et al. (2024)."""

FLOP_PER_PARAMETER_AND_TOKEN = {"full": 6, "lora": 4}
"""By the way of tuning."""

USUAL_SIZES = {"1B": 1_000_000_000, "7B": 7_000_000_000, "13B": 13_000_000_000}
"""Model sizes to compare with."""


def tuning_flop(n_parameters: int, n_tokens: int, method: str, n_epochs: int = 1) -> float:
    """Floating-point operations of tuning a model on so many tokens an epoch.

    Args:
        n_parameters: Of the model.
        n_tokens: Tokens that are fed in one epoch, trained or not.
        method: `full` or `lora`.
        n_epochs: How often.
    """
    return float(FLOP_PER_PARAMETER_AND_TOKEN[method]) * n_parameters * n_tokens * n_epochs


def count_parameters(folder: Path) -> int | None:
    """The parameters of a model folder's safetensors files, from their headers; `None` where it holds none."""
    from safetensors import SafetensorError, safe_open

    files = sorted(folder.glob("model*.safetensors"))
    try:
        total = 0
        for file in files:
            with safe_open(file, framework="numpy") as weights:
                total += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    except (SafetensorError, OSError):
        return None  # loading the model says what is wrong with it
    return total or None
