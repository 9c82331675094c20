"""The methods by name."""

from __future__ import annotations

from collections.abc import Callable

from memlib.mitigation.corrected import Sail
from memlib.mitigation.han import NoiseAdjustment
from memlib.mitigation.method import Method
from memlib.mitigation.none import NoMitigation
from memlib.mitigation.ren import AttentionRescaling
from memlib.mitigation.somepalli import RandomAddition
from memlib.mitigation.wen import PromptEmbedding

METHODS: dict[str, Callable[..., Method]] = {
    "none": NoMitigation,
    "sail": Sail,
    "noise-adjustment": NoiseAdjustment,
    "prompt-embedding": PromptEmbedding,
    "random-addition": RandomAddition,
    "attention-rescaling": AttentionRescaling,
}
"""A name for each, to be chosen by; called with its settings."""
