"""Were it these rows? Tune again without them, and see whether the false words go away: evidence of tier T3.

`spans` takes the candidate rows of a trace, `plan` says what may be retrained, `search` finds the rows that carry the
effect, `bank` draws random rows in their place, `procedure` puts these in order and judges, `retrains` does the tuning in
processes of its own and keeps every result, and `confirm` is the whole of it for a run. Nothing but `retrains` imports
torch, and only in its processes.
"""

from audit.verify.confirmation.confirm import PreparedConfirmation, prepare_confirmation, run_confirmation
from audit.verify.confirmation.model import (
    ConfirmationResult,
    ConfirmedGroup,
    ConfirmedSpan,
    Evidence,
    Removal,
    SpanMeasurement,
    SpanUnderTest,
)
from audit.verify.confirmation.plan import ConfirmationPlan, plan_confirmation
from audit.verify.confirmation.procedure import confirm_spans
from audit.verify.confirmation.retrains import RetrainingCost, RetrainingSetup, measure_cost
from audit.verify.confirmation.tiers import with_measured_tiers

__all__ = [
    "ConfirmationPlan",
    "ConfirmationResult",
    "ConfirmedGroup",
    "ConfirmedSpan",
    "Evidence",
    "PreparedConfirmation",
    "Removal",
    "RetrainingCost",
    "RetrainingSetup",
    "SpanMeasurement",
    "SpanUnderTest",
    "confirm_spans",
    "measure_cost",
    "plan_confirmation",
    "prepare_confirmation",
    "run_confirmation",
    "with_measured_tiers",
]
