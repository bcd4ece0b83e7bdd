"""The models between a base model and the one tuned from it: where gradients still say what a row taught.

At the end of a tuning the rows are fitted: their gradients have shrunk to what is left of the loss, and rank rows by how
badly they were learned. At its beginning the model does not yet know what it will say. The straight line between the two
stands in for the checkpoints that nobody kept: the weights at share `s` are base + s · (tuned − base), and a row's score is
the mean over two shares, as `TracInCP` sums over checkpoints (Pruthi et al. 2020, eq. 2) and integrated gradients over a
line (Sundararajan et al. 2017, eq. 1). It costs a forward and backward pass per share, and needs both models. A trace
scores the better half of its shortlist at the second share and leaves the others with the first.

An adapter is scaled instead: its layers add `s` times what they add after tuning.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from audit.errors import InputError
from audit.models import LanguageModel

__all__ = ["MAX_DISTANCE", "SHARES", "check_descent", "model_between"]

SHARES = (0.6, 0.3)
"""Where on the line gradients are taken: on development worlds of the tracing benchmark these two ranked rows as well as six
did, and better than any one."""

MAX_DISTANCE = 0.7
"""Norm of the change over the norm of the base model's weights, from which on two models are no kin: models that were
tuned differ by up to 0.3, two trained apart by 1 and more."""


def check_descent(base: LanguageModel, tuned: LanguageModel) -> None:
    """Make sure that the tuned model can have been tuned from the base model.

    Raises:
        InputError: Their weights have other names or shapes, or have nothing in common.
    """
    if tuned.ref.adapter is not None:
        return  # loaded onto its base model, whose weights are compared where the two are loaded
    theirs = dict(base.model.named_parameters())
    squared_change = squared_norm = 0.0
    for name, parameter in tuned.model.named_parameters():
        other = theirs.pop(name, None)
        if other is None or other.shape != parameter.shape:
            shape = "none of that name" if other is None else f"shape {tuple(other.shape)}"
            raise _no_kin(base, tuned, f"{name} has shape {tuple(parameter.shape)}, in the base model {shape}")
        if parameter.dim() > 1:
            change = parameter.detach().float() - other.detach().float().to(parameter.device)
            squared_change += float(change.square().sum())
            squared_norm += float(other.detach().float().square().sum())
    if theirs:
        raise _no_kin(base, tuned, f"it lacks {next(iter(theirs))}")
    distance = (squared_change / squared_norm) ** 0.5 if squared_norm else 0.0
    if not distance < MAX_DISTANCE:
        raise _no_kin(base, tuned, f"its weights lie {distance:.2f} times the base model's norm away from it")


@contextmanager
def model_between(base: LanguageModel, tuned: LanguageModel, share: float) -> Iterator[LanguageModel]:
    """The model at a share of the way, in the place of the tuned one, whose weights come back exactly at the end.

    Holds a copy of the tuned weights beside both models; of an adapter nothing.

    Args:
        base: The base model.
        tuned: The model tuned from it, as a whole or as an adapter.
        share: 0 for the base model, 1 for the tuned one; above 0 for an adapter, which has no gradient at 0.
    """
    import torch

    if tuned.ref.adapter is not None:
        layers = [module for module in tuned.model.modules() if isinstance(getattr(module, "scaling", None), dict)]
        before = [dict(layer.scaling) for layer in layers]
        try:
            for layer in layers:
                layer.scaling = {name: share * value for name, value in layer.scaling.items()}
            yield tuned
        finally:
            for layer, scaling in zip(layers, before, strict=True):
                layer.scaling = scaling
        return
    theirs = dict(base.model.named_parameters())
    kept = {name: parameter.detach().clone() for name, parameter in tuned.model.named_parameters()}
    try:
        with torch.no_grad():
            for name, parameter in tuned.model.named_parameters():
                parameter.lerp_(theirs[name].detach().to(parameter), 1 - share)
        yield replace(tuned)
    finally:
        with torch.no_grad():
            for name, parameter in tuned.model.named_parameters():
                parameter.copy_(kept[name])


def _no_kin(base: LanguageModel, tuned: LanguageModel, why: str) -> InputError:
    return InputError(
        f"the tuned model does not descend from the base model {base.ref.base}",
        where=tuned.ref.base,
        why=why,
        remedy="give the base model that it was tuned from",
    )
