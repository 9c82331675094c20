"""The settings at which methods are compared: thresholds in multiples of what is ordinary for each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Float64
from torch import Tensor

from companion.comparison.sail_as_printed import SailPrinted
from companion.comparison.sail_as_released import SailReleased
from memlib.mitigation import (
    AttentionRescaling,
    Method,
    NoiseAdjustment,
    NoMitigation,
    PromptEmbedding,
    RandomAddition,
    Sail,
    objective,
)
from memlib.text_to_image import Prompts, TextToImage


def objectives(
    model: TextToImage, prompts: Prompts, noise: Float[Tensor, "n ..."], *, steps: int = 50, rows: int = 64
) -> dict[str, Float64[Tensor, "P n"]]:
    """What each method minimises, at noises as they come, without the penalty on their length.

    Args:
        model: the text-to-image model.
        prompts: P prompts.
        noise: n noises that all prompts share.
        steps: the number of steps of the sampling at whose first step this is taken.
        rows: prompts times noises at a time; bounds the memory.
    """
    methods: dict[str, Method] = {
        "score difference": NoiseAdjustment(math.inf),
        "SAIL printed": SailPrinted(math.inf, alpha=0.0),
        "SAIL with the difference": SailPrinted(math.inf, alpha=0.0, term="difference"),
        "SAIL released": SailReleased(math.inf, alpha=0.0, pool=len(noise)),
        "SAIL corrected": Sail(math.inf),
    }
    return {
        name: objective(model, method, prompts, noise, steps=steps, rows=rows)
        for name, method in methods.items()
    }


@dataclass(frozen=True)
class Settings:
    """Settings of every method, the same number for each.

    Attributes:
        ordinary: the level of each of `objectives` at ordinary captions, the unit of thresholds.
        dimension: d of the noise.
        multiples: thresholds in that unit; one of a squared quantity takes the square of a multiple.
        additions: random tokens or numbers added.
        factors: what the begin mark's logit is multiplied by.
        penalty: alpha sqrt(d) of SAIL in ordinary levels; about 6 in the paper.
        steps: gradient steps at most.
        learning_rate: the learning rate of all descents.
        candidates: starting noises per image of the corrected SAIL.
        pool: candidates of the released SAIL.
        rounds: the largest number of rounds of the released SAIL.
    """

    ordinary: dict[str, float]
    dimension: int
    multiples: Sequence[float] = (1.5, 2.0, 2.5, 3.0, 4.0)
    additions: Sequence[int] = (1, 2, 4, 6, 8)
    factors: Sequence[float] = (1.1, 1.2, 1.25, 1.3, 1.5)
    penalty: float = 6.0
    steps: int = 10
    learning_rate: float = 0.05
    candidates: int = 2
    pool: int = 8
    rounds: int = 3

    def methods(self) -> dict[str, dict[str, Method]]:
        """Name of a method -> its setting, as text -> the method; "none" has one setting."""
        return {
            "none": {"": NoMitigation()},
            "SAIL printed": {f"{m:g}": self.printed(m) for m in self.multiples},
            "SAIL released": {f"{m:g}": self.released(m) for m in self.multiples},
            "SAIL corrected": {f"{m:g}": self.corrected(m) for m in self.multiples},
            "noise adjustment": {f"{m:g}": NoiseAdjustment(**self._gap(m)) for m in self.multiples},
            "prompt embedding": {f"{m:g}": PromptEmbedding(**self._gap(m)) for m in self.multiples},
            "attention rescaling": {f"{c:g}": AttentionRescaling(c) for c in self.factors},
            "random tokens": {f"{k}": RandomAddition("token", k) for k in self.additions},
            "random numbers": {f"{k}": RandomAddition("number", k) for k in self.additions},
        }

    def printed(self, multiple: float, penalty: float | None = None) -> SailPrinted:
        """SAIL as printed; `penalty` in place of this comparison's."""
        return SailPrinted(**self._penalised("SAIL printed", multiple**2, penalty), **self._descent)

    def with_difference(self, multiple: float) -> SailPrinted:
        """SAIL as printed with ||s_Delta||^2 for its first term."""
        found = self._penalised("SAIL with the difference", multiple**2)
        return SailPrinted(**found, **self._descent, term="difference")

    def released(self, multiple: float) -> SailReleased:
        """SAIL as released."""
        rise = 0.1 * self.ordinary["SAIL released"]
        found = self._penalised("SAIL released", multiple)
        return SailReleased(**found, **self._descent, pool=self.pool, rounds=self.rounds, rise=rise)

    def corrected(self, multiple: float, **changes: Any) -> Sail:
        """The corrected SAIL; fields of it may be changed."""
        threshold = multiple**2 * self.ordinary["SAIL corrected"]
        return Sail(threshold, **self._descent | {"candidates": self.candidates} | changes)

    @property
    def _descent(self) -> dict[str, Any]:
        return {"steps": self.steps, "learning_rate": self.learning_rate}

    def _gap(self, multiple: float) -> dict[str, Any]:
        return {"threshold": multiple * self.ordinary["score difference"]} | self._descent

    def _penalised(self, name: str, multiple: float, penalty: float | None = None) -> dict[str, Any]:
        """Threshold and alpha; the threshold leaves `multiple` ordinary levels for the first term."""
        weight = (self.penalty if penalty is None else penalty) * self.ordinary[name]
        return {"threshold": multiple * self.ordinary[name] + weight, "alpha": weight / self.dimension**0.5}
