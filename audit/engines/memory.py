"""How much memory a process has used at most."""

from __future__ import annotations

import sys

__all__ = ["peak_memory_bytes"]


def peak_memory_bytes() -> int:
    """The largest resident memory of this process so far, as its system counts it."""
    try:
        import resource
    except ImportError:  # Windows has no such module
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
