r"""XTrace: Hutch++ in which every test vector serves both for the sketch and, left out, for the remainder.

With k test vectors Omega and the basis Q R = A Omega, let Q_i be a basis of the sketch without its column
i. The estimate is the mean over i of

    tr(Q_i^T A Q_i) + (omega_i^T (I - Q_i Q_i^T)) A ((I - Q_i Q_i^T) omega_i).

Leaving one column out is a rank-one change, Q_i Q_i^T = Q (I - s_i s_i^T) Q^T, where s_i is column i of
R^{-T} scaled to length one: it is orthogonal to all columns of R but its own. So 2k products give all k
estimates, in O(d k^2) work. The projected test vector is rescaled to length sqrt(d - k + 1), what a vector
uniform on the sphere of its subspace would have; this leaves the mean and lowers the variance where the
remainder is close to a multiple of the identity.

The standard error treats the k estimates as independent. They are weakly dependent, so it comes out
somewhat low.

Reference:
    Epperly, Tropp and Webber (2024), XTrace: Making the most of every sample in stochastic trace estimation,
    SIAM J. Matrix Anal. Appl. 45, 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from memlib.hessian import arguments, draw
from memlib.hessian.hutchinson import mean_with_error
from memlib.hessian.results import Estimate

if TYPE_CHECKING:
    from memlib.hessian.operator import LinearOperator


class Sketch(NamedTuple):
    """What 2k products give.

    Q: basis of the sketch, Q R = A Omega.
    Z: A Q.
    S: column i is the direction s_i in the coordinates of Q.
    X: column i holds the coordinates in Q of the projection of omega_i on the sketch without column i.
    remainder: column i is A (I - Q_i Q_i^T) omega_i.
    """

    Q: Float[Tensor, "B d k"]
    Z: Float[Tensor, "B d k"]
    S: Float[Tensor, "B k k"]
    X: Float[Tensor, "B k k"]
    remainder: Float[Tensor, "B d k"]


def leave_one_out_sketch(op: LinearOperator, omega: Float[Tensor, "B d k"]) -> Sketch:
    """Sketch the operator with the test vectors `omega` at the price of 2k products."""
    Y = arguments.matmat(op, omega)
    Q, R = torch.linalg.qr(Y)
    Z = arguments.matmat(op, Q, omega.shape[2] + 1)
    S = _left_out_directions(R)
    W = Q.mT @ omega
    X = W - S * (S * W).sum(dim=1, keepdim=True)
    return Sketch(Q, Z, S, X, Y - Z @ X)


def xtrace(op: LinearOperator, budget: int, generator: torch.Generator) -> Estimate:
    """Estimate tr A from `budget >= 4` products per sample (an even number is made, and at most 2 d)."""
    spent = op.products
    k = min(budget // 2, op.dim)
    omega = draw.sphere(op, k, generator)
    estimates = leave_one_out_traces(op, omega)
    if k == 1:  # d = 1: the one estimate is exact
        estimates = estimates.expand(-1, 2)
    return mean_with_error(estimates, op.products - spent, "xtrace")


def leave_one_out_traces(op: LinearOperator, omega: Float[Tensor, "B d k"]) -> Float[Tensor, "B k"]:
    """Return the k leave-one-out estimates of tr A; algebra in the module."""
    d, k = omega.shape[1:]
    sketch = leave_one_out_sketch(op, omega)
    Q, Z, S = sketch.Q, sketch.Z, sketch.S
    H = Q.mT @ Z
    caught = H.diagonal(dim1=1, dim2=2).sum(dim=1, keepdim=True) - (S * (H @ S)).sum(dim=1)
    V = omega - Q @ sketch.X
    missed = (V * sketch.remainder).sum(dim=1) / V.square().sum(dim=1)
    return caught + (d - k + 1) * missed


def _left_out_directions(R: Float[Tensor, "B k k"]) -> Float[Tensor, "B k k"]:
    """Return the columns of R^{-T} with length one.

    Where A has rank below k the trailing diagonal of R vanishes. It is lifted to rounding level: the
    directions then lie in what Q has beyond the range of A, which is their limit.
    """
    k = R.shape[1]
    diagonal = R.diagonal(dim1=1, dim2=2)
    largest = diagonal.abs().amax(dim=1, keepdim=True)
    floor = torch.finfo(R.dtype).eps * torch.where(largest > 0, largest, 1)
    lift = torch.where(diagonal.abs() < floor, floor - diagonal, 0)
    eye = torch.eye(k, dtype=R.dtype, device=R.device).expand_as(R)
    inverse = torch.linalg.solve_triangular((R + torch.diag_embed(lift)).mT, eye, upper=False)
    directions: Tensor = inverse / torch.linalg.vector_norm(inverse, dim=1, keepdim=True)
    return directions
