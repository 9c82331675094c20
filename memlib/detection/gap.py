"""||H_c s_c - H_u s_u||^2, each Hessian with its own score; named in comparisons of 2026 without a paper."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float64
from torch import Tensor

from memlib.hessian import Product
from memlib.text_to_image import FirstStep, Generation


@dataclass(frozen=True)
class HessianScoreGap:
    """||H_c s_c - H_u s_u||^2 at the first step, where `SharpnessGain` has ||H_Delta s_Delta||^2.

    Attributes:
        product: which product with the Jacobians.
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
        conditional, unconditional = step.products(self.product)
        return (conditional - unconditional).square().sum(2).cpu()
