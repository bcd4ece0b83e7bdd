"""A number per row, for charts, filters and selectors."""

from audit.signals.base_model import BaseModel, base_signals, build_base_model, open_base_model
from audit.signals.lengths import length_signals
from audit.signals.slick import build_slick, slick_signals
from audit.signals.trainer import Trainer, build_trainer, open_trainer, trainer_signals

__all__ = [
    "BaseModel",
    "Trainer",
    "base_signals",
    "build_base_model",
    "build_slick",
    "build_trainer",
    "length_signals",
    "open_base_model",
    "open_trainer",
    "slick_signals",
    "trainer_signals",
]
