"""What tuning moved, token by token: the tuned model's own answers under both models.

`responses` makes or takes the answers, `measure` passes them through both models, `profile` says where the shift lies,
`paper` has the published figures to set beside it. A model is loaded only by `load_pair`.
"""

from audit.shift.classes import Shift, shift_of_rank
from audit.shift.measure import TOKEN_SCHEMA, ShiftReport, load_pair, measure_shift
from audit.shift.profile import Part, Profile, ShiftedToken, WordCounts
from audit.shift.responses import AlignedResponse, align_responses, greedy_responses, read_questions
from audit.shift.stored import check_free, store_shift

__all__ = [
    "TOKEN_SCHEMA",
    "AlignedResponse",
    "Part",
    "Profile",
    "Shift",
    "ShiftReport",
    "ShiftedToken",
    "WordCounts",
    "align_responses",
    "check_free",
    "greedy_responses",
    "load_pair",
    "measure_shift",
    "read_questions",
    "shift_of_rank",
    "store_shift",
]
