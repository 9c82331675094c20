"""||H_Delta s_Delta||^2 at the first step (the paper, section 4.3)."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float64
from torch import Tensor

from memlib.hessian import Product
from memlib.latent import Generation, one_step


@dataclass(frozen=True)
class SharpnessGain:
    """The squared norm of the Jacobian of the score difference times the difference itself.

    Attributes:
        product: "jvp" is the paper's J s; "difference" the same without a graph; "vjp" is J^T s, which
            differs because a learned Jacobian is not symmetric.
    """

    product: Product = "difference"
    larger: bool = True
    visit: int = 1
    attention: bool = False

    def __call__(self, generation: Generation) -> Float64[Tensor, "P n"]:
        """The squared norm, in score units."""
        noise = generation.states[0, 0]  # all prompts share it
        found = one_step(
            generation.model,
            generation.prompts,
            noise,
            t=generation.times[0],
            product=self.product,
            rows=len(generation.prompts) * len(noise),
        )
        return found.curvature.square().cpu()
