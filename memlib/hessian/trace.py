"""Traces of B operators, each with a standard error: Hutchinson, Hutch++ and XTrace, and powers.

Which one: the sketching methods win where the operator is low rank (a tenth of Hutchinson's error, or nothing
left to estimate). Sign vectors win where it is close to diagonal with a slowly decaying rest. The standard
errors show which; the default makes no assumption and needs little memory.

A score Hessian is far from low rank, sigma^2 H + I is not: `memlib.sharpness.shifted_trace` makes use of
that.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import matmul
from typing import TYPE_CHECKING

import torch

from memlib.hessian import arguments, draw
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
    op: LinearOperator, budget: int, *, method: str = "hutchinson", generator: torch.Generator | None = None
) -> Estimate:
    """Estimate the trace of each operator, value and standard error `(B,)`.

    Args:
        op: operator of batch B and dimension d, symmetric or not.
        budget: products per sample at most; at least 4, or 2 for Hutchinson.
        method: `"hutchinson"`, `"hutch++"` (Meyer et al. 2021) or `"xtrace"` (Epperly et al. 2024); the last
            two hold B d budget numbers.
        generator: source of the probes; None is a new one with seed 0.

    Raises:
        ValueError: for arguments out of range, or NaN or infinity in a product (`NonFiniteProductError`).

    Example:
        >>> from memlib.hessian import DenseOperator
        >>> op = DenseOperator(-4 * torch.eye(6).double()[None])
        >>> trace(op, 4).value.round(decimals=9).tolist()
        [-24.0]
    """
    return trace_power(op, 1, budget, method=method, generator=generator)


def trace_power(
    op: LinearOperator,
    power: int,
    budget: int,
    *,
    method: str = "hutchinson",
    symmetric: bool = False,
    generator: torch.Generator | None = None,
) -> Estimate:
    """Estimate tr A^power, value and standard error `(B,)`; for example tr H^3 (the paper, lemma 4.3).

    Args:
        op: as in `trace`.
        power: positive exponent; a probe costs `power` products.
        budget: products with A per sample at most.
        method: as in `trace`.
        symmetric: A is symmetric, so that Hutchinson may split the power, v^T A^3 v = (A v)^T A (A v), and
            spend only ceil(power / 2) products per probe. The other methods do not use it.
        generator: as in `trace`.

    Raises:
        ValueError: as in `trace`, or a power below 1.
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
    return estimator(reduce(matmul, [op] * power), budget // power, source)
