"""The paper's Algorithm 1 as it is printed, for comparison only: use `memlib.hessian.arnoldi` for work.

It orthogonalises once, so that converged eigenvalues come back as ghosts; `03_hessian_routines` and the
benchmarks show what that does to a count.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Inexact
from torch import Tensor


def algorithm_1(
    product: Callable[[Tensor], Tensor], start: Inexact[Tensor, " d"], steps: int, tolerance: float = 1e-12
) -> Inexact[Tensor, "m m"]:
    """Return H_m of the Arnoldi iteration with one pass of modified Gram-Schmidt, for one operator.

    Args:
        product: v `(d,)` -> J v `(d,)`, in the dtype of `start` (the released code takes complex128).
        start: b, not zero.
        steps: m, Krylov steps.
        tolerance: stop early, with a smaller matrix, once the new vector is no longer than this.

    Source: arXiv:2412.04140, appendix A.2, Algorithm 1. Its eigenvalues are the Ritz values.
    """
    basis = [start / start.norm()]
    H = torch.zeros(steps + 1, steps, dtype=start.dtype, device=start.device)
    for k in range(steps):
        v = product(basis[k])
        for j in range(k + 1):
            H[j, k] = torch.vdot(basis[j], v)
            v = v - H[j, k] * basis[j]
        length = v.norm()
        H[k + 1, k] = length
        if length <= tolerance:
            return H[: k + 1, : k + 1]
        basis.append(v / length)
    return H[:steps, :steps]
