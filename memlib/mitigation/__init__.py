"""Mitigation: what can be done to the initial noise, the prompt or the attention so that no copy comes out.

One method a file, named after its authors; `apply` runs any of them and says what it did to every image.
"""

from collections.abc import Callable

from memlib.mitigation.corrected import Sail
from memlib.mitigation.descent import NEVER
from memlib.mitigation.han import NoiseAdjustment
from memlib.mitigation.method import Method, apply
from memlib.mitigation.none import NoMitigation
from memlib.mitigation.printed import SailPrinted
from memlib.mitigation.record import Mitigated, Record, Task
from memlib.mitigation.released import SailReleased
from memlib.mitigation.ren import AttentionRescaling
from memlib.mitigation.somepalli import RandomAddition
from memlib.mitigation.wen import PromptEmbedding

METHODS: dict[str, Callable[..., Method]] = {
    "none": NoMitigation,
    "sail": Sail,
    "sail-printed": SailPrinted,
    "sail-released": SailReleased,
    "noise-adjustment": NoiseAdjustment,
    "prompt-embedding": PromptEmbedding,
    "random-addition": RandomAddition,
    "attention-rescaling": AttentionRescaling,
}
"""A name for each, to be chosen by; called with its settings."""

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
    "SailPrinted",
    "SailReleased",
    "Task",
    "apply",
]
