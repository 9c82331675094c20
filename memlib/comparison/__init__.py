"""Mitigations compared where the copied images are known: copies, agreement with the prompt, the price."""

from memlib.comparison.judge import SPACES, Judge, Judged
from memlib.comparison.real import RealJudge
from memlib.comparison.settings import Settings, objectives
from memlib.comparison.summary import best_settings, dominated, lead, over_captions
from memlib.comparison.training_images import TrainingImages, training_images
from memlib.comparison.trials import Trials, joined

__all__ = [
    "SPACES",
    "Judge",
    "Judged",
    "RealJudge",
    "Settings",
    "TrainingImages",
    "Trials",
    "best_settings",
    "dominated",
    "joined",
    "lead",
    "objectives",
    "over_captions",
    "training_images",
]
