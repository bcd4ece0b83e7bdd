"""A number per row, for charts, filters and selectors."""

from audit.signals.base_model import BaseModel, base_signals, build_base_model, open_base_model
from audit.signals.lengths import length_signals

__all__ = ["BaseModel", "base_signals", "build_base_model", "length_signals", "open_base_model"]
