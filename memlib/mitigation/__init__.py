"""Mitigation: what can be done to the initial noise, the prompt or the attention so that no copy comes out.

One method a file, named after its authors; `apply` runs any of them and says what it did to every image.
`from_text` makes one of a name and settings as text.
"""

from memlib.mitigation.corrected import Sail
from memlib.mitigation.descent import NEVER
from memlib.mitigation.han import NoiseAdjustment
from memlib.mitigation.method import Method, UnreachedWarning, apply, objective, quietly
from memlib.mitigation.none import NoMitigation
from memlib.mitigation.record import Mitigated, Record, Task
from memlib.mitigation.ren import AttentionRescaling
from memlib.mitigation.settings import METHODS, Setting, from_text, settings_of
from memlib.mitigation.somepalli import RandomAddition
from memlib.mitigation.wen import PromptEmbedding

__all__ = [
    "METHODS",
    "NEVER",
    "AttentionRescaling",
    "Method",
    "Mitigated",
    "NoMitigation",
    "NoiseAdjustment",
    "PromptEmbedding",
    "RandomAddition",
    "Record",
    "Sail",
    "Setting",
    "Task",
    "UnreachedWarning",
    "apply",
    "from_text",
    "objective",
    "quietly",
    "settings_of",
]
