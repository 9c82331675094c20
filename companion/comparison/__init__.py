"""Mitigations compared where the copied images are known: copies, agreement with the prompt, the price."""

from companion.comparison.baselines import RandomMove, Redrawn
from companion.comparison.escapes import RATES, escape_lead, escape_rows, escapes, undecided
from companion.comparison.judge import FALSE_POSITIVE_RATE, SPACES, Judge, Judged
from companion.comparison.real import RealJudge
from companion.comparison.sail_as_printed import SailPrinted
from companion.comparison.sail_as_released import SailReleased
from companion.comparison.settings import Settings, objectives
from companion.comparison.summary import best_settings, lead, over_captions
from companion.comparison.training_images import TrainingImages, training_images
from companion.comparison.trials import Trials, joined

__all__ = [
    "FALSE_POSITIVE_RATE",
    "RATES",
    "SPACES",
    "Judge",
    "Judged",
    "RandomMove",
    "RealJudge",
    "Redrawn",
    "SailPrinted",
    "SailReleased",
    "Settings",
    "TrainingImages",
    "Trials",
    "best_settings",
    "escape_lead",
    "escape_rows",
    "escapes",
    "joined",
    "lead",
    "objectives",
    "over_captions",
    "training_images",
    "undecided",
]
