r"""Traces of B operators, each with a standard error: Hutchinson, Hutch++ and XTrace, and powers.

The shifted form exploits what score Hessians are. At noise level sigma an isolated point has H = -I /
sigma^2 and every direction along the data adds to it, so M = sigma^2 H + I is low rank plus small, and

    tr H = (tr M - d) / sigma^2,        tr H^p = (tr((M - I)^p - (-I)^p) + (-1)^p d) / sigma^(2p).

Hutch++ and XTrace gain from it; Hutchinson with sign vectors does not change.

Which one: the sketching methods win where M really is low rank, as for exact scores (a tenth of
Hutchinson's error, or nothing left to estimate). Sign vectors win where H is close to diagonal with a
slowly decaying rest, as for learned scores over pixels. The standard errors tell; the default makes no
assumption and needs little memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from memlib.hessian import arguments, draw
from memlib.hessian.algebra import AffineOperator, PowerOperator
from memlib.hessian.hutchinson import hutchinson, split_power
from memlib.hessian.hutchpp import hutchpp
from memlib.hessian.results import Estimate
from memlib.hessian.xtrace import xtrace

if TYPE_CHECKING:
    from memlib.hessian.operator import LinearOperator

Estimator = Callable[["LinearOperator", int, torch.Generator], Estimate]
# Each estimator and the fewest products it can give an error for.
METHODS: dict[str, tuple[Estimator, int]] = {
    "hutchinson": (hutchinson, 2),
    "hutch++": (hutchpp, 4),
    "xtrace": (xtrace, 4),
}


def trace(
    op: LinearOperator,
    budget: int,
    *,
    method: str = "hutchinson",
    sigma: float | Float[Tensor, " B"] | None = None,
    generator: torch.Generator | None = None,
) -> Estimate:
    """Estimate the trace of each operator, value and standard error `(B,)`.

    Args:
        op: operator of batch B and dimension d, symmetric or not.
        budget: products per sample at most; at least 4, or 2 for Hutchinson.
        method: `"hutchinson"`, `"hutch++"` or `"xtrace"`; the last two hold B d budget numbers.
        sigma: noise level, one or per sample, for the shifted form; the result is still tr A.
        generator: source of the probes; None is a new one with seed 0.

    Raises:
        ValueError: for arguments out of range, or NaN or infinity in a product (`NonFiniteProductError`).

    Example:
        >>> from memlib.hessian.operator import DenseOperator
        >>> op = DenseOperator(-4 * torch.eye(6).double()[None])
        >>> trace(op, 4, sigma=0.5).value.round(decimals=9).tolist()
        [-24.0]
    """
    return trace_power(op, 1, budget, method=method, sigma=sigma, generator=generator)


def trace_power(
    op: LinearOperator,
    power: int,
    budget: int,
    *,
    method: str = "hutchinson",
    sigma: float | Float[Tensor, " B"] | None = None,
    symmetric: bool = False,
    generator: torch.Generator | None = None,
) -> Estimate:
    """Estimate tr A^power, for example tr H^3, the second-order counterpart of -||H s||^2.

    Args:
        op: as in `trace`.
        power: positive exponent; a probe costs `power` products.
        budget: products with A per sample at most.
        method: as in `trace`.
        sigma: as in `trace`, applied to the scaled power (sigma^2 A)^power.
        symmetric: A is symmetric, so that Hutchinson may split the power, v^T A^3 v = (A v)^T A (A v), and
            spend only ceil(power / 2) products per probe. The other methods do not use it.
        generator: as in `trace`.
    """
    arguments.operator(op)
    arguments.at_least("power", power, 1)
    arguments.choice("method", method, METHODS)
    estimator, fewest = METHODS[method]
    source = draw.generator_for(op, generator)
    if method == "hutchinson" and symmetric and power > 1:
        arguments.at_least("budget", budget, fewest * ((power + 1) // 2))
        return split_power(op, power, budget, source)
    arguments.at_least("budget", budget, fewest * power)
    if sigma is None:
        return estimator(_power(op, power), budget // power, source)
    scale = arguments.positive_per_sample("sigma", sigma, op) ** 2
    shift = (-1) ** (power + 1)
    shifted = AffineOperator(_power(AffineOperator(op, scale), power), shift=shift)
    factor = scale.double() ** power
    return estimator(shifted, budget // power, source).affine(1 / factor, -shift * op.dim / factor)


def _power(op: LinearOperator, power: int) -> LinearOperator:
    return op if power == 1 else PowerOperator(op, power)
