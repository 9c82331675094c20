"""||H_Delta s_Delta||^2 at the first step (the paper, section 4.3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from memlib.hessian import JacobianOperator, Product
from memlib.text_to_image import Generation, check_product, remembering


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
        model, t, prompts = generation.model, generation.times[0], generation.prompts
        check_product(model, self.product)
        x = prompts.tiled(generation.states[0, 0])  # all prompts share the noise
        value = (generation.conditional[0] - generation.unconditional[0]).flatten(0, 1)
        gap = remembering(model.difference(t, prompts), x, value)
        with JacobianOperator(gap, x, product=self.product, check=False) as op:
            norms = torch.linalg.vector_norm(op.matvec(op.value), dim=1)
        return prompts.grouped(norms).square().cpu()
