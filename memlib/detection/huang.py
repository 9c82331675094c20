"""How far latents move in each step, against prompts known to be harmless (Huang et al. 2026, 2605.22050)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from memlib.detection import statistic
from memlib.text_to_image import Generation


@dataclass(frozen=True, eq=False)
class UpdateNorms:
    """Mean over the first steps of the z-scores of ||z_t - z_{t+1}||, from `UpdateNorms.calibrate`.

    Huang et al. (2026). Their paper judges step by step; the mean gives one number.

    Attributes:
        mean: `(steps,)` of the norms at each step over the calibration prompts.
        deviation: `(steps,)` their standard deviation.
    """

    mean: Float64[Tensor, " steps"]
    deviation: Float64[Tensor, " steps"]
    higher_is_memorized: bool = True
    attention: bool = False

    @property
    def first_steps(self) -> int:
        """As many steps as were calibrated."""
        return len(self.mean)

    def __call__(self, generation: Generation) -> Float64[Tensor, "P n"]:
        """The mean z-score."""
        return self.z(generation).mean(0)

    def z(self, generation: Generation) -> Float64[Tensor, "steps P n"]:
        """The z-score at every calibrated step."""
        norms = update_norms(generation)[statistic.first(generation, len(self.mean))]
        return (norms - self.mean[:, None, None]) / self.deviation[:, None, None]

    @classmethod
    def calibrate(cls, generation: Generation) -> UpdateNorms:
        """Mean and deviation over prompts and seeds of a generation of prompts that are not memorized.

        Raises:
            ValueError: a single sample, or norms that do not vary.
        """
        norms = update_norms(generation).flatten(1)
        if norms.shape[1] < 2 or not (norms.std(1) > 0).all():
            raise ValueError(
                f"a calibration needs samples that differ, got {norms.shape[1]}; use more prompts or seeds"
            )
        return cls(norms.mean(1), norms.std(1))


def update_norms(generation: Generation) -> Float64[Tensor, "S P n"]:
    """||z_t - z_{t+1}|| at every step, on the CPU."""
    moves = generation.states.double().diff(dim=0).cpu()
    norms: Tensor = torch.linalg.vector_norm(moves.flatten(3), dim=3)
    return norms
