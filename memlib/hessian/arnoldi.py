r"""Arnoldi for a batch of general operators: eigenvalues of Jacobians that need not be symmetric.

After m steps A Q_m = Q_m H_m + h q_{m+1} e_m^T with a real Hessenberg H_m; its eigenpairs (theta_i, y_i)
give Ritz values with residual |h e_m^T y_i|. All of the iteration is in real arithmetic; values and vectors
come out complex, conjugate pairs side by side. The basis is compressed by Krylov-Schur restarts (Stewart
2001): a real Schur form of H is reordered with the wanted values first (LAPACK trsen) and cut between
blocks, so that conjugate pairs stay together.

A small residual r means that theta is an eigenvalue of some A + E with ||E|| = r. For a strongly non-normal
A that can be far from every eigenvalue of A; `asymmetry` in the result tells how far from symmetric the
projected operator is.

The m x m eigenproblems are solved on the CPU, by LAPACK, once per restart and never within the iteration.

References:
    Arnoldi (1951), Q. Appl. Math. 9, 17.
    Stewart (2001), A Krylov-Schur algorithm for large eigenproblems, SIAM J. Matrix Anal. Appl. 23, 601.
    Saad (2011), Numerical Methods for Large Eigenvalue Problems, revised edition, SIAM, chapters 6 and 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from scipy.linalg import get_lapack_funcs, schur
from torch import Tensor

from memlib.hessian.krylov import KrylovSpace
from memlib.hessian.restart import ORDERS, TOLERANCE, Compression, RitzPairs, solve, sort_pairs
from memlib.hessian.results import EigenResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memlib.hessian.operator import LinearOperator


def arnoldi(
    op: LinearOperator,
    steps: int,
    *,
    k: int | None = None,
    which: str = "largest_modulus",
    max_basis: int | None = None,
    tol: float = TOLERANCE,
    vectors: bool = False,
    start: Float[Tensor, "B d"] | None = None,
    generator: torch.Generator | None = None,
) -> EigenResult:
    """Return complex Ritz values of B general operators from at most `steps` products per sample.

    Krylov-Schur restarts (Stewart 2001). Errors are those of `lanczos`. `"most_negative"` and `"largest"`
    order by the real part. A `k` that falls between the members of a conjugate pair returns the member with
    positive imaginary part only.

    Args:
        op: general operators of batch B and dimension d.
        steps: the largest number of products per sample.
        k: how many values are wanted; None takes all of the basis.
        which: as in `lanczos`; the real part orders.
        max_basis: as in `lanczos`.
        tol: as in `lanczos`.
        vectors: whether to return the Ritz vectors.
        start: as in `lanczos`.
        generator: as in `lanczos`.
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
        ritz=general_ritz,
        compression=_krylov_schur,
    )


def general_ritz(space: KrylovSpace, which: str) -> RitzPairs:
    """Return the Ritz pairs of the projected operator with their residuals."""
    H, b = space.projected[:, : space.size, : space.size], space.projected[:, space.size, : space.size]
    values, vectors = (part.to(H.device) for part in torch.linalg.eig(H.cpu()))
    residuals = (b[:, None].to(vectors.dtype) @ vectors)[:, 0].abs()
    return sort_pairs(values, vectors, residuals, which)


def _krylov_schur(space: KrylovSpace, _pairs: RitzPairs, which: str, keep: int) -> Compression:
    """Keep the `keep` wanted Schur vectors per sample, or one more where that would part a conjugate pair."""
    H = space.projected[:, : space.size, : space.size].cpu().numpy()
    parts = [_wanted_subspace(matrix, which, keep) for matrix in H]
    columns = [part.shape[1] for part in parts]
    weights = np.zeros((len(parts), space.size, max(columns)), dtype=H.dtype)
    for row, part in zip(weights, parts, strict=True):
        row[:, : part.shape[1]] = part
    device = space.basis.device
    return Compression(torch.from_numpy(weights).to(device), torch.tensor(columns, device=device))


def _wanted_subspace(H: NDArray[np.floating], which: str, keep: int) -> NDArray[np.floating]:
    """Return an orthonormal basis `(m, keep or keep + 1)` of the wanted invariant subspace of H."""
    T, Z = schur(H, output="real")
    values, blocks = _diagonal_blocks(T)
    keys = ORDERS[which](torch.from_numpy(values))[[first for first, _ in blocks]]
    select = np.zeros(len(H), dtype=np.int32)
    for index in keys.argsort(stable=True).tolist():
        first, last = blocks[index]
        select[first:last] = 1
        if select.sum() >= keep:
            break
    (trsen,) = get_lapack_funcs(("trsen",), (T,))
    reordered = trsen(select, T, Z, job=b"N")
    if reordered[-1] != 0:
        raise ArithmeticError(
            "the wanted eigenvalues are too close to the others to be separated at a restart; "
            "change k by one or two, or raise max_basis"
        )
    basis: NDArray[np.floating] = reordered[1][:, : int(select.sum())]
    return basis


def _diagonal_blocks(T: NDArray[np.floating]) -> tuple[NDArray[np.complexfloating], list[tuple[int, int]]]:
    """Return the eigenvalues of a real Schur form by position, and the ranges of its diagonal blocks."""
    values = np.diag(T).astype(np.complex128)
    blocks, i = [], 0
    while i < len(T):
        size = 2 if i + 1 < len(T) and T[i + 1, i] != 0 else 1
        if size == 2:  # LAPACK standardises: equal diagonal entries, off-diagonal entries of opposite sign
            imaginary = np.sqrt(complex(T[i, i + 1]) * complex(T[i + 1, i]))
            values[i : i + 2] += np.array([1, -1]) * imaginary
        blocks.append((i, i + size))
        i += size
    return values, blocks
