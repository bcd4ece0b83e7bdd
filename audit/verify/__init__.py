"""Did the cleaned dataset help? Arms of answers in; an effect with its interval, and a verdict, out.

On answers: `arms` pairs them, `outcomes` scores one, `statistics` measures the difference, `verdict` decides, `judge` is
the whole procedure, and `run` reads what belongs to a run folder. On models: `design` fixes what is tuned, `campaign`
tunes and asks, `stopping` ends what is broken or futile, `checkpoints` asks models that were tuned elsewhere, and
`power` and `pilot` say beforehand what a design could see and what it would cost.
"""

from audit.verify.result import CampaignResult
from audit.verify.run import verify_run
from audit.verify.verification import Verification

__all__ = ["CampaignResult", "Verification", "verify_run"]
