"""The norm of the score difference (Wen, Liu, Chen & Lyu 2024)."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float64
from torch import Tensor

from memlib.detection import statistic
from memlib.sharpness import norms
from memlib.text_to_image import FirstStep, Generation


@dataclass(frozen=True)
class ScoreDifferenceNorm:
    """Mean over the first steps of ||eps(x_t, c) - eps(x_t)|| (Wen et al. 2024), a by-product of guidance.

    Attributes:
        steps: 1, 5 or 50 in the paper's table 1.
    """

    steps: int = 1
    higher_is_memorized: bool = True
    attention: bool = False

    @property
    def first_steps(self) -> int:
        """As many steps as are averaged."""
        return self.steps

    def __call__(self, generation: Generation) -> Float64[Tensor, "P n"]:
        """The mean norm, in units of the noise prediction."""
        differences = statistic.noise_predictions(generation, self.steps)
        lengths: Tensor = norms.of_score(differences.flatten(0, 2)).unflatten(0, differences.shape[:3])
        return lengths.mean(0)

    def of_first_step(self, step: FirstStep) -> Float64[Tensor, "P n"]:
        """The statistic from scores of the first step alone, without sampling.

        Raises:
            ValueError: more than one step is averaged.
        """
        if self.steps != 1:
            raise ValueError(f"a mean over {self.steps} steps needs samples; one step was given")
        return step.noise_difference_norm.cpu()
