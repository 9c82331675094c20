r"""The diagonal of B operators with a standard error per entry: curvature per pixel, for localisation maps.

Hutchinson's form averages v * (A v) over sign vectors (Bekas, Kokiopoulou and Saad 2007): unbiased, with
variance the sum of the squared off-diagonal entries of the row. XDiag removes what a sketch catches first:
with the leave-one-out projections P_i of `xtrace`, the estimate is the mean over i of

    diag(A P_i) + omega_i * A (I - P_i) omega_i.

Epperly, Tropp and Webber (2024) put the projection on the left, P_i A, which needs products with A^T. On
the right it needs A alone and is unbiased for every A; for a symmetric A the two are transposes of one
another and have the same total variance.

References:
    Bekas, Kokiopoulou and Saad (2007), An estimator for the diagonal of a matrix, Appl. Numer. Math. 57,
    1214. Epperly, Tropp and Webber (2024), SIAM J. Matrix Anal. Appl. 45, 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from memlib.hessian import arguments, draw
from memlib.hessian.hutchinson import BLOCK, mean_with_error
from memlib.hessian.results import Estimate
from memlib.hessian.xtrace import leave_one_out_sketch

if TYPE_CHECKING:
    from memlib.hessian.operator import LinearOperator


def diagonal(
    op: LinearOperator, budget: int, *, method: str = "hutchinson", generator: torch.Generator | None = None
) -> Estimate:
    """Estimate the diagonal of each operator, value and standard error `(B, d)`.

    Args:
        op: operator of batch B and dimension d. To use the shifted form of a score Hessian pass
            `sigma**2 * op + 1` and undo it with `.affine(1 / sigma**2, -1 / sigma**2)`.
        budget: products per sample at most; at least 4, or 2 for Hutchinson.
        method: `"hutchinson"` (Bekas et al. 2007; memory for 32 probes) or `"xdiag"` (Epperly et al. 2024;
            holds B d budget numbers, several times). From d products on "xdiag" multiplies with the d unit
            vectors instead: exact, with an error of 0.
        generator: source of the probes; None is a new one with seed 0.

    Raises:
        ValueError: for arguments out of range, or NaN or infinity in a product (`NonFiniteProductError`).
    """
    arguments.operator(op)
    arguments.choice("method", method, ("hutchinson", "xdiag"))
    source = draw.generator_for(op, generator)
    return (_hutchinson if method == "hutchinson" else _xdiag)(op, budget, source)


def _hutchinson(op: LinearOperator, budget: int, generator: torch.Generator) -> Estimate:
    arguments.at_least("budget", budget, 2)
    spent = op.products
    mean = torch.zeros(op.batch, op.dim, dtype=torch.float64, device=op.device)
    scatter = torch.zeros_like(mean)
    for first in range(0, budget, BLOCK):
        signs = draw.rademacher(op, min(BLOCK, budget - first), generator)
        block = (signs * arguments.matmat(op, signs, first + 1)).double()
        # Chan, Golub and LeVeque (1983): merge means and sums of squared deviations without cancellation.
        n, total = block.shape[2], first + block.shape[2]
        shift = block.mean(dim=2) - mean
        scatter += (block - block.mean(dim=2, keepdim=True)).square().sum(dim=2)
        scatter += shift.square() * (first * n / total)
        mean += shift * (n / total)
    stderr = (scatter / (budget * (budget - 1))).sqrt()
    return Estimate(mean, stderr, budget, op.products - spent, "hutchinson")


def _xdiag(op: LinearOperator, budget: int, generator: torch.Generator) -> Estimate:
    arguments.at_least("budget", budget, 4)
    spent = op.products
    if budget >= op.dim:
        blocks = (
            torch.eye(op.dim, dtype=op.dtype, device=op.device).expand(op.batch, -1, -1).split(BLOCK, dim=2)
        )
        parts = [(V * arguments.matmat(op, V, i * BLOCK + 1)).sum(dim=2) for i, V in enumerate(blocks)]
        estimates = torch.stack(parts).sum(dim=0)[:, :, None].expand(-1, -1, 2)  # one value twice: no spread
    else:
        estimates = leave_one_out_diagonals(op, draw.rademacher(op, budget // 2, generator))
    return mean_with_error(estimates, op.products - spent, "xdiag")


def leave_one_out_diagonals(op: LinearOperator, omega: Tensor) -> Tensor:
    """Return the k leave-one-out estimates of diag A, `(B, d, k)`, for sign vectors `omega (B, d, k)`."""
    Q, Z, S, _, remainder = leave_one_out_sketch(op, omega)
    caught = (Z * Q).sum(dim=2, keepdim=True) - (Z @ S) * (Q @ S)  # diag(Z (I - s_i s_i^T) Q^T)
    return caught + omega * remainder
