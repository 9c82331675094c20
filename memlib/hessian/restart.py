"""Restarted Krylov eigensolver for a batch: the loop shared by `lanczos` and `arnoldi`.

Expand the space to its capacity, read the Ritz pairs, stop or compress to the wanted ones and go on. For a
symmetric operator this is thick-restart Lanczos (Wu and Simon 2000), for a general one Krylov-Schur
(Stewart 2001); both are the implicitly restarted method of ARPACK in a form that needs no shifts. Memory is
bounded by the capacity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Bool, Float, Inexact, Int
from torch import Tensor, nn

from memlib.hessian import arguments
from memlib.hessian.krylov import KrylovSpace
from memlib.hessian.results import EigenResult, rounding_margin

if TYPE_CHECKING:
    from memlib.hessian.operator import LinearOperator

# Sort keys, smallest first.
ORDERS: dict[str, Callable[[Tensor], Tensor]] = {
    "most_negative": lambda values: values.real,
    "largest": lambda values: -values.real,
    "largest_modulus": lambda values: -values.abs(),
}


TOLERANCE = 1e-5  # above the rounding of a float32 network; if A is symmetric, errors are quadratic in it


class RitzPairs(NamedTuple):
    """Ritz values, their unit vectors in the Krylov basis, and residual norms; wanted first."""

    values: Inexact[Tensor, "B m"]
    vectors: Inexact[Tensor, "B m m"]
    residuals: Float[Tensor, "B m"]


class Compression(NamedTuple):
    """Orthonormal weights of an invariant subspace of H and how many columns count for each sample."""

    weights: Float[Tensor, "B m p"]
    columns: Int[Tensor, " B"]


RitzRule = Callable[[KrylovSpace, str], RitzPairs]
CompressionRule = Callable[[KrylovSpace, RitzPairs, str, int], Compression]


def sort_pairs(values: Tensor, vectors: Tensor, residuals: Tensor, which: str) -> RitzPairs:
    """Return the pairs in the order of `which`; stable, so that conjugate pairs stay together."""
    order = ORDERS[which](values).argsort(dim=1, stable=True)
    return RitzPairs(
        values.gather(1, order),
        vectors.gather(2, order[:, None].expand_as(vectors)),
        residuals.gather(1, order),
    )


def is_accurate(pairs: RitzPairs, tol: float) -> Bool[Tensor, "B m"]:
    """Whether each residual is at most `tol` times the largest modulus among the sample's Ritz values."""
    return pairs.residuals <= tol * pairs.values.abs().amax(dim=1, keepdim=True)


def in_place(pairs: RitzPairs, space: KrylovSpace, which: str, tol: float) -> Bool[Tensor, "B m"]:
    """Whether nothing contradicts a value's place in the order; see `EigenResult.converged`.

    Copies of one eigenvalue prove that there are repeated ones. They come with a breakdown or, by rounding,
    without one, as neighbours whose residual intervals overlap; the places behind the first copies are then
    open.
    """
    if space.size == space.op.dim:
        return torch.ones_like(pairs.residuals, dtype=torch.bool)
    accurate = is_accurate(pairs, tol)
    reach = pairs.residuals + rounding_margin(pairs.values, space.op.dim)[:, None] / 2
    close = pairs.values.diff(dim=1).abs() <= reach[:, 1:] + reach[:, :-1]
    copies = close & accurate[:, 1:] & accurate[:, :-1]
    behind_copies = ~copies & (copies.cumsum(dim=1) > 0)
    open_places = nn.functional.pad(behind_copies.cumsum(dim=1) > 0, (1, 0))
    keys = ORDERS[which](pairs.values)
    first = keys - keys[:, :1] <= tol * pairs.values.abs().amax(dim=1, keepdim=True)
    return torch.where((space.breakdowns > 0)[:, None], first, ~open_places)


def solve(
    op: LinearOperator,
    steps: int,
    *,
    k: int | None,
    which: str,
    max_basis: int | None,
    tol: float,
    vectors: bool,
    start: Float[Tensor, "B d"] | None,
    generator: torch.Generator | None,
    ritz: RitzRule,
    compression: CompressionRule,
) -> EigenResult:
    """Run the restarted iteration; arguments as in `lanczos`, and the rules that make it one or the other."""
    arguments.operator(op)
    capacity, limit = _plan(op.dim, steps=steps, k=k, which=which, max_basis=max_basis, tol=tol)
    spent, restarts = op.products, 0
    space = KrylovSpace(op, capacity, start=start, generator=generator)
    asymmetry = torch.zeros(op.batch, dtype=op.dtype, device=op.device)
    while True:
        space.expand(space.size + limit - space.steps)
        asymmetry = torch.maximum(asymmetry, _asymmetry(space))
        pairs = ritz(space, which)
        accurate = is_accurate(pairs, tol)
        if k is None or space.steps >= limit or space.size == op.dim or bool(accurate[:, :k].all()):
            break
        keep = min(k + (space.size - k) // 2, space.size - 2)
        space.compress(*compression(space, pairs, which, keep))
        restarts += 1
    converged = accurate & in_place(pairs, space, which, tol)
    count = space.size if k is None else k
    return EigenResult(
        eigenvalues=pairs.values[:, :count],
        residuals=pairs.residuals[:, :count],
        accurate=accurate[:, :count],
        converged=converged[:, :count],
        eigenvectors=_lift(space, pairs.vectors[:, :, :count]) if vectors else None,
        steps=space.steps,
        breakdowns=space.breakdowns,
        asymmetry=asymmetry,
        restarts=restarts,
        basis_size=space.basis.shape[1],
        products=op.products - spent,
        dim=op.dim,
        which=which,
        complete=count == space.size,
    )


def _plan(
    dim: int, *, steps: int, k: int | None, which: str, max_basis: int | None, tol: float
) -> tuple[int, int]:
    """Check the arguments; return the capacity of the basis and the largest number of steps."""
    arguments.at_least("steps", steps, 1)
    arguments.choice("which", which, ORDERS)
    if not 0 < tol < 1:
        raise ValueError(f"tol must lie between 0 and 1, got {tol}; it is relative to the largest Ritz value")
    if k is not None:
        arguments.at_least("k", k, 1)
        if k > dim:
            raise ValueError(
                f"k = {k} eigenvalues were asked for, but the operator has dimension {dim}; lower k"
            )
        if k > steps:
            raise ValueError(f"k = {k} eigenvalues need at least k steps, got steps = {steps}; raise steps")
    full = min(steps, dim)
    if max_basis is None or max_basis >= full:
        return full, full
    if k is None:
        raise ValueError(
            f"max_basis = {max_basis} is less than the {full} vectors of an unrestarted run, so the basis is "
            "compressed to the wanted end: say how many eigenvalues to keep with k"
        )
    arguments.at_least("max_basis", max_basis, k + 2)
    return max_basis, steps


def _asymmetry(space: KrylovSpace) -> Float[Tensor, " B"]:
    H = space.projected[:, : space.size, : space.size]
    size = torch.linalg.matrix_norm(H)
    ratio: Tensor = torch.linalg.matrix_norm(H - H.mT) / torch.where(size > 0, size, 1)
    return ratio


def _lift(space: KrylovSpace, weights: Inexact[Tensor, "B m k"]) -> Inexact[Tensor, "B d k"]:
    return space.basis[:, : space.size].mT.to(weights.dtype) @ weights
