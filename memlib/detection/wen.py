"""The norm of the score difference (Wen, Liu, Chen & Lyu 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from memlib.detection import statistic
from memlib.text_to_image import Generation


@dataclass(frozen=True)
class ScoreDifferenceNorm:
    """Mean over the first steps of ||eps(x_t, c) - eps(x_t)||, a by-product of guided sampling.

    Attributes:
        steps: 1, 5 or 50 in the paper's table 1.
    """

    steps: int = 1
    larger: bool = True
    attention: bool = False

    @property
    def visit(self) -> int:
        """As many steps as are averaged."""
        return self.steps

    def __call__(self, generation: Generation) -> Float64[Tensor, "P n"]:
        """The mean norm, in units of the noise prediction."""
        gaps = statistic.noise_predictions(generation, self.steps)
        norms: Tensor = torch.linalg.vector_norm(gaps.flatten(3), dim=3)
        return norms.mean(0)
