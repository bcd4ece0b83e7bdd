"""The checks: one file each, listed here and nowhere else.

To add one: a file with a `CHECK`, a line in `CHECKS`, a positive and a negative example in `tests/unit/test_checks.py`.
"""

from audit.checks import (
    empty_response,
    exact_duplicate,
    malformed_row,
    missing_prompt,
    near_duplicate,
    nothing_trained,
    placeholder_response,
    role_order,
    semantic_duplicate,
    unreadable_row,
)
from audit.checks.base import Check, options_of, select_checks

__all__ = ["CHECKS", "Check", "options_of", "select_checks"]

CHECKS: tuple[Check, ...] = (
    exact_duplicate.CHECK,
    near_duplicate.CHECK,
    semantic_duplicate.CHECK,
    unreadable_row.CHECK,
    malformed_row.CHECK,
    role_order.CHECK,
    missing_prompt.CHECK,
    nothing_trained.CHECK,
    empty_response.CHECK,
    placeholder_response.CHECK,
)
