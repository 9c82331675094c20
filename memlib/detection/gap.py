"""||H_c s_c - H_u s_u||^2, each Hessian with its own score; named in comparisons of 2026 without a paper."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Float64
from torch import Tensor

from memlib.hessian import JacobianOperator, Product
from memlib.score import Score
from memlib.text_to_image import Generation, check_product, remembering


@dataclass(frozen=True)
class HessianScoreGap:
    """The difference of the two products H s at the first step, where `SharpnessGain` multiplies differences.

    Attributes:
        product: which product with the Jacobians.
    """

    product: Product = "difference"
    larger: bool = True
    visit: int = 1
    attention: bool = False

    def __call__(self, generation: Generation) -> Float64[Tensor, "P n"]:
        """The squared norm, in score units."""
        model, t, prompts = generation.model, generation.times[0], generation.prompts
        check_product(model, self.product)
        noise = generation.states[0, 0]  # all prompts share it
        conditional = self._product(
            model.score(t, prompts), prompts.tiled(noise), generation.conditional[0].flatten(0, 1)
        )
        unconditional = self._product(model.score(t), noise, generation.unconditional[0, 0])
        gap = prompts.grouped(conditional) - unconditional
        return gap.square().sum(2).cpu()

    def _product(self, score: Score, x: Float[Tensor, "B ..."], value: Tensor) -> Float64[Tensor, "B d"]:
        with JacobianOperator(remembering(score, x, value), x, product=self.product, check=False) as op:
            return op.matvec(op.value)
