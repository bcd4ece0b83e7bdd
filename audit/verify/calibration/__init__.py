"""How well does tracing find a known source in *this* dataset? False words planted into a copy of it, then traced.

`values` finds words that many rows hold, `faults` puts them where they are false, `copies` writes the dataset with them,
`measure` traces them, `model` says what came of it and `stored` keeps it in the run. It measures retrieval: whether the
rows that hold a planted falsehood are found. Whether a model would have borrowed it from them is another question, which
only tuning answers.
"""

from audit.verify.calibration.measure import calibrate
from audit.verify.calibration.model import (
    CUT_OFFS,
    RANKS,
    BlamedInCopy,
    Calibration,
    Fault,
    FaultOutcome,
    Level,
    Method,
    NamedRow,
    Rarity,
    Recall,
)
from audit.verify.calibration.stored import read_calibration, store_calibration

__all__ = [
    "CUT_OFFS",
    "RANKS",
    "BlamedInCopy",
    "Calibration",
    "Fault",
    "FaultOutcome",
    "Level",
    "Method",
    "NamedRow",
    "Rarity",
    "Recall",
    "calibrate",
    "read_calibration",
    "store_calibration",
]
