"""Rows mended instead of dropped: said in fewer words, said not to be known, or said as the base model would."""

from audit.export.mends.mending import carry_out, plan_mends
from audit.export.mends.model import (
    IDK_TEXT,
    MEND_CODES,
    UNKNOWN,
    Mend,
    Mended,
    MendPlan,
    MendRequest,
    Mends,
    Target,
    Unmended,
    mend_request,
)

__all__ = [
    "IDK_TEXT",
    "MEND_CODES",
    "UNKNOWN",
    "Mend",
    "MendPlan",
    "MendRequest",
    "Mended",
    "Mends",
    "Target",
    "Unmended",
    "carry_out",
    "mend_request",
    "plan_mends",
]
