"""The objective of supervised fine-tuning, computed for the trained tokens alone.

Only columns of a batch in which some row is trained pass through the output layer: in a batch of short answers to long
questions that is a fraction of them, and the output layer is a third of the work of a model of a million parameters.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch

from audit.rendering import IGNORED

__all__ = ["can_select_columns", "trained_logits"]


def trained_logits(model: Any, batch: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """What a model says at the places of the trained tokens.

    Args:
        model: A causal language model of transformers, wrapped or not, that `can_select_columns`.
        batch: `input_ids`, `attention_mask` and `labels`, each of shape `(n_rows, n_columns)`, padded on the right.

    Returns:
        Float32 logits of shape `(n_trained, vocabulary)`, and the tokens that stand there, shape `(n_trained,)`; row by
        row, in order.
    """
    following = batch["labels"][:, 1:]
    columns = (following != IGNORED).any(dim=0).nonzero().squeeze(1)
    logits = model(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False, logits_to_keep=columns
    ).logits
    targets = following[:, columns]
    trained = targets != IGNORED
    return logits[trained].float(), targets[trained]


def can_select_columns(model: Any) -> bool:
    """Whether the model's forward pass takes the columns that its output layer is wanted for."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "logits_to_keep" in inspect.signature(type(inner).forward).parameters
