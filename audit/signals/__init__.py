"""A number per row, for charts, filters and selectors."""

from audit.signals.lengths import length_signals

__all__ = ["length_signals"]
