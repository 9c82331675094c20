r"""Lanczos for a batch of symmetric operators: extreme eigenvalues, or whole spectra after d steps.

After m steps A Q_m = Q_m T_m + beta_m q_{m+1} e_m^T with a tridiagonal T_m; its eigenpairs (theta_i, s_i)
give Ritz values theta_i with residual ||A Q s_i - theta_i Q s_i|| = beta_m |e_m^T s_i|, and an eigenvalue
of A lies within that distance of theta_i (Parlett 1998, section 4.5 and chapter 13). The basis is kept
orthonormal by two full passes (see `krylov`). The basis is compressed by thick restart (Wu and Simon 2000)
once it is full, so that memory is bounded.

An operator that is not symmetric to rounding is not refused, because products in the network's dtype are
never exactly symmetric: T is the symmetric part of the projected operator, which is the projection of (A +
A^T) / 2 exactly; what that leaves out enters the residuals, and `asymmetry` says how much it was.

References:
    Lanczos (1950), J. Res. Natl. Bur. Stand. 45, 255.
    Parlett (1998), The Symmetric Eigenvalue Problem, SIAM.
    Wu and Simon (2000), Thick-restart Lanczos method for large symmetric eigenvalue problems,
    SIAM J. Matrix Anal. Appl. 22, 602.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from memlib.hessian.krylov import KrylovSpace
from memlib.hessian.restart import TOLERANCE, Compression, RitzPairs, solve, sort_pairs
from memlib.hessian.results import EigenResult

if TYPE_CHECKING:
    from memlib.hessian.operator import LinearOperator


def lanczos(
    op: LinearOperator,
    steps: int,
    *,
    k: int | None = None,
    which: str = "most_negative",
    max_basis: int | None = None,
    tol: float = TOLERANCE,
    vectors: bool = False,
    start: Float[Tensor, "B d"] | None = None,
    generator: torch.Generator | None = None,
) -> EigenResult:
    """Return Ritz values of B symmetric operators from at most `steps` products per sample.

    Two orthogonalisation passes in every step, thick restarts (Wu and Simon 2000).

    Args:
        op: symmetric operator of batch B and dimension d, for example `JacobianOperator(...,
            product="symmetric")`.
        steps: products per sample at most; without a restart, d of them give all d eigenvalues and no more
            are made.
        k: how many eigenvalues to return; None returns every Ritz value of the final basis.
        which: `"most_negative"`, `"largest"` or `"largest_modulus"`: the end that comes first and survives
            restarts.
        max_basis: basis vectors kept before a restart, at least k + 2 (2k + 10 is a fair choice); None never
            restarts. With restarts the run stops as soon as k values have converged for every sample.
        tol: a value has converged when its residual is at most `tol` times the sample's largest |Ritz value|
            (for its place in the order see `EigenResult.converged`).
            The default lies above the rounding of a float32 network; for separated eigenvalues the error is
            quadratic in the residual.
        vectors: also return the Ritz vectors, `(B, d, k)`.
        start: start vectors; None draws them from `generator`.
        generator: source of start vectors and of fresh directions at breakdowns; None is a new one with seed
            0.

    Raises:
        ValueError: for arguments out of range, a zero or ill-shaped start, or NaN or infinity in a product
            (`NonFiniteProductError`, which names the samples and the step).

    Example:
        >>> from memlib.hessian import DenseOperator
        >>> op = DenseOperator(torch.diag(torch.tensor([-3.0, 1.0, 2.0]))[None].double())
        >>> lanczos(op, 3).eigenvalues.round(decimals=9).tolist()
        [[-3.0, 1.0, 2.0]]
    """
    return solve(
        op,
        steps,
        k=k,
        which=which,
        max_basis=max_basis,
        tol=tol,
        vectors=vectors,
        start=start,
        generator=generator,
        ritz=symmetric_ritz,
        compression=_thick_restart,
    )


def symmetric_ritz(space: KrylovSpace, which: str) -> RitzPairs:
    """Return the Ritz pairs of the symmetric part of the projected operator, with their residuals in A."""
    H, b = space.projected[:, : space.size, : space.size], space.projected[:, space.size, : space.size]
    T = (H + H.mT) / 2
    values, vectors = torch.linalg.eigh(T)
    outside = (b[:, None] @ vectors)[:, 0]
    inside = torch.linalg.vector_norm((H - T) @ vectors, dim=1)
    return sort_pairs(values, vectors, torch.hypot(outside, inside), which)


def _thick_restart(space: KrylovSpace, pairs: RitzPairs, _which: str, keep: int) -> Compression:
    """Keep the `keep` wanted Ritz vectors, the same number for every sample."""
    return Compression(pairs.vectors[:, :, :keep], torch.full_like(space.breakdowns, keep))
