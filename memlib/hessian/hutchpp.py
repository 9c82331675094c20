"""Hutch++: the trace of a low-rank part exactly, that of the remainder by Hutchinson.

A third of the products each for a sketch A S, for A Q on its orthonormal basis Q, and for Hutchinson's
estimator of (I - Q Q^T) A (I - Q Q^T). The error falls like 1 / products for a positive semidefinite A, and
for any A it is set by the Frobenius norm of what the sketch misses; it vanishes for an A of rank below a
third of the budget.

Given Q the probes are independent, so the standard error of the remainder is the standard error of the
whole.

Reference:
    Meyer, Musco, Musco and Woodruff (2021), Hutch++: Optimal stochastic trace estimation, SOSA 2021,
    algorithm 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from memlib.hessian import arguments, draw
from memlib.hessian.hutchinson import mean_with_error
from memlib.hessian.results import Estimate

if TYPE_CHECKING:
    from memlib.hessian.operator import LinearOperator


def hutchpp(op: LinearOperator, budget: int, generator: torch.Generator) -> Estimate:
    """Estimate tr A from `budget >= 4` products per sample; fewer are made if d is below a third."""
    spent = op.products
    rank = min(budget // 3, op.dim)
    probes = budget - 2 * (budget // 3)
    signs = draw.rademacher(op, rank + probes, generator)
    S, G = signs[:, :, :rank], signs[:, :, rank:]

    Q = torch.linalg.qr(arguments.matmat(op, S)).Q
    caught = (Q * arguments.matmat(op, Q, rank + 1)).sum(dim=(1, 2))
    G = G - Q @ (Q.mT @ G)
    missed = (G * arguments.matmat(op, G, 2 * rank + 1)).sum(dim=1)  # G is already projected: G^T A G
    return mean_with_error(missed, op.products - spent, "hutch++").affine(shift=caught.double())
