"""Where independent tasks run: processes of this machine."""

from audit.engines.local import LocalPool, run_tasks

__all__ = ["LocalPool", "run_tasks"]
