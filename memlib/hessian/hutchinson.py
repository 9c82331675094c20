"""Hutchinson's estimator of the trace: the mean of v^T A v over random sign vectors v.

Its error falls like 1 / sqrt(probes) whatever the spectrum: the variance of one probe is 2 ||A -
diag(A)||_F^2 for a symmetric A. Signs have the least variance among independent entries, and a multiple of
the identity contributes none, so that a shift changes nothing here. The standard error is that of a mean of
independent numbers.

References:
    Hutchinson (1990), Commun. Stat. Simul. Comput. 19, 433.
    Girard (1989), Numer. Math. 56, 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from memlib.hessian import arguments, draw
from memlib.hessian.results import Estimate

if TYPE_CHECKING:
    from memlib.hessian.operator import LinearOperator

BLOCK = 32  # probes held at a time


def hutchinson(op: LinearOperator, budget: int, generator: torch.Generator) -> Estimate:
    """Estimate tr A from `budget >= 2` products per sample."""
    return mean_over_probes(
        op, budget, generator, lambda V, step: (V * arguments.matmat(op, V, step)).sum(dim=1)
    )


def split_power(op: LinearOperator, power: int, budget: int, generator: torch.Generator) -> Estimate:
    """Estimate tr A^power of a symmetric A as the mean of (A^i v)^T (A^j v), i + j = power, j - i = 0 or 1.

    Costs ceil(power / 2) products per probe, where `A @ A @ ...` takes `power`.
    """
    half = (power + 1) // 2

    def quadratic(V: Tensor, step: int) -> Tensor:
        before = V
        for i in range(half):
            before, V = V, arguments.matmat(op, V, (step - 1) * half + i + 1)
        return ((V if power % 2 == 0 else before) * V).sum(dim=1)

    return mean_over_probes(op, budget // half, generator, quadratic)


def mean_over_probes(
    op: LinearOperator,
    count: int,
    generator: torch.Generator,
    quadratic: Callable[[Float[Tensor, "B d K"], int], Float[Tensor, "B K"]],
) -> Estimate:
    """Average `quadratic(signs, number of the first probe)` over `count` sign vectors per sample."""
    spent = op.products
    blocks = []
    for first in range(0, count, BLOCK):
        signs = draw.rademacher(op, min(BLOCK, count - first), generator)
        blocks.append(quadratic(signs, first + 1))
    return mean_with_error(torch.cat(blocks, dim=1), op.products - spent, "hutchinson")


def mean_with_error(samples: Float[Tensor, "B *n K"], products: int, method: str) -> Estimate:
    """Return mean and standard error over the last axis, reduced in float64."""
    samples = samples.double()
    stderr = samples.std(dim=-1) / samples.shape[-1] ** 0.5
    return Estimate(samples.mean(dim=-1), stderr, samples.shape[-1], products, method)
