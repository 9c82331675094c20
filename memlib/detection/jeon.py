"""||H_Delta s_Delta||^2 at the first step (the paper, section 4.3)."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float64
from torch import Tensor

from memlib.hessian import Product
from memlib.text_to_image import FirstStep, Generation


@dataclass(frozen=True)
class SharpnessGain:
    """||H_Delta s_Delta||^2 at the first step (the paper, section 4.3), H_Delta the Jacobian of s_Delta.

    Attributes:
        product: "jvp" is the paper's J s; "difference" the same without a graph; "vjp" is J^T s, which
            differs because a learned Jacobian is not symmetric.
    """

    product: Product = "difference"
    higher_is_memorized: bool = True
    first_steps: int = 1
    attention: bool = False

    def __call__(self, generation: Generation) -> Float64[Tensor, "P n"]:
        """The squared norm, in score units."""
        return self.of_first_step(FirstStep.of(generation))

    def of_first_step(self, step: FirstStep) -> Float64[Tensor, "P n"]:
        """The statistic from scores of the first step alone, without sampling."""
        return step.curvature_gain(self.product).square().cpu()
