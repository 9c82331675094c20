"""The trace in the shifted form, in which a score Hessian is low rank plus small."""

from __future__ import annotations

from functools import reduce
from operator import matmul

import torch
from jaxtyping import Float
from torch import Tensor

from memlib import hessian
from memlib.hessian import Estimate, LinearOperator, arguments


def shifted_trace(
    op: LinearOperator,
    budget: int,
    sigma: float | Float[Tensor, " B"],
    *,
    power: int = 1,
    method: str = "xtrace",
    generator: torch.Generator | None = None,
) -> Estimate:
    """Estimate tr H^p of score Hessians at noise level sigma through M = sigma^2 H + I, `(B,)`.

    An isolated point has H = -I / sigma^2 and every direction along the data adds to it, so that M is low
    rank plus small, which "hutch++" and "xtrace" gain from; Hutchinson with sign vectors does not change.
    Then

        tr H = (tr M - d) / sigma^2,    tr H^p = (tr((M - I)^p - (-I)^p) + (-1)^p d) / sigma^(2p).

    Args:
        op: operator of batch B and dimension d.
        budget: products with H per sample at most.
        sigma: noise level, one or per sample.
        power: p; a probe costs as many products.
        method: as in `memlib.hessian.trace`.
        generator: as there.

    Raises:
        ValueError: for arguments out of range, or NaN or infinity in a product.

    Example:
        >>> from memlib.hessian import DenseOperator
        >>> H = DenseOperator(-4 * torch.eye(6).double()[None])
        >>> shifted_trace(H, 4, 0.5).value.round(decimals=9).tolist()
        [-24.0]
    """
    arguments.operator(op)
    arguments.at_least("power", power, 1)
    variance = arguments.positive_per_sample("sigma", sigma, op) ** 2
    shift, factor = (-1) ** (power + 1), variance.double() ** power
    shifted = reduce(matmul, [variance * op] * power) + shift
    estimate = hessian.trace(shifted, budget // power, method=method, generator=generator)
    return estimate.affine(1 / factor, -shift * op.dim / factor)
