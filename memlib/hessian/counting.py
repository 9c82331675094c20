"""How many eigenvalues lie at or above a threshold: Lanczos from scratch until the answer is settled.

The question of the paper's figure 3: the number of non-negative eigenvalues, or of those above -1 / (2
sigma^2), is a degree of freedom of the sample. The basis grows by a quarter of its size at a time and stops
once every sample's count is settled, so that the small eigenproblems stay a small part of the work. For
bounds and what "settled" means see `CountInterval`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from memlib.hessian import arguments
from memlib.hessian.krylov import KrylovSpace
from memlib.hessian.lanczos import symmetric_ritz
from memlib.hessian.restart import TOLERANCE, is_accurate
from memlib.hessian.results import CountInterval, RitzValues

if TYPE_CHECKING:
    from memlib.hessian.operator import LinearOperator

FIRST_LOOK = 16  # steps before the first look at the Ritz values


def count_above(
    op: LinearOperator,
    threshold: float | Float[Tensor, " B"] = 0.0,
    *,
    steps: int,
    generator: torch.Generator | None = None,
) -> CountInterval:
    """Count the eigenvalues of each symmetric operator at or above `threshold` with at most `steps` products.

    Args:
        op: symmetric operator of batch B and dimension d.
        threshold: one number, or one per sample.
        steps: products per sample at most; d of them give an exact count. The basis holds B d steps numbers.
        generator: source of the start vectors; None is a new one with seed 0.

    Raises:
        ValueError: for arguments out of range, or NaN or infinity in a product (`NonFiniteProductError`).
    """
    arguments.at_least("steps", steps, 1)
    arguments.operator(op)
    tau = arguments.per_sample("threshold", threshold, op)
    spent = op.products
    space = KrylovSpace(op, steps, generator=generator)
    while True:
        space.expand(max(FIRST_LOOK, space.size + space.size // 4))
        pairs = symmetric_ritz(space, "largest")
        ritz = RitzValues(
            pairs.values,
            pairs.residuals,
            is_accurate(pairs, TOLERANCE),
            space.breakdowns,
            (True, True),
            op.dim,
        )
        count = ritz.count_above(tau, steps=space.steps, products=op.products - spent)
        if space.size == space.capacity or bool(count.settled.all()):
            return count
