"""Did the cleaned dataset help? Arms of answers in; an effect with its interval, and a verdict, out.

`run` reads what belongs to a run folder, `arms` pairs the answers, `outcomes` scores one, `statistics` measures the
difference, `verdict` decides, and `judge` is the whole procedure. Nothing here trains or loads a model.
"""

from audit.verify.run import verify_run
from audit.verify.verification import Verification

__all__ = ["Verification", "verify_run"]
