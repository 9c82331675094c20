"""Mitigations compared on the model organism: what each does to copies, to agreement, and at what price."""

from memlib.comparison.judge import SPACES, Judge, Judged
from memlib.comparison.settings import Settings, objectives
from memlib.comparison.summary import best_settings, dominated, lead, over_captions
from memlib.comparison.trials import Trials, joined

__all__ = [
    "SPACES",
    "Judge",
    "Judged",
    "Settings",
    "Trials",
    "best_settings",
    "dominated",
    "joined",
    "lead",
    "objectives",
    "over_captions",
]
