"""What one step tells of each noise under a caption, the same of a network and of an exact mixture."""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from companion.measures import estimates
from memlib.hessian import JacobianOperator, lanczos, trace
from memlib.score import Score
from memlib.sharpness import norms

SIGNS = {"difference": 1, "gain": 1, "trace": -1, "smallest": -1, "count": -1}
"""The sign with which theory expects a noise that ends in the copy to have the larger statistic."""


def statistics(
    conditional: Score,
    unconditional: Score,
    x: Float[Tensor, "B ..."],
    *,
    probes: int,
    steps: int,
    generator: torch.Generator | None = None,
) -> dict[str, Float64[Tensor, " B"]]:
    """The statistics of `SIGNS` at points x, in units of sigma, on the CPU.

    H_Delta stands for the symmetric part of the Jacobian of the score difference s_Delta.

    Args:
        conditional: the score under the caption, at the noise level of `x`.
        unconditional: the score without a caption, at the same.
        x: points.
        probes: random directions behind the trace and behind the count, at least 2.
        steps: the number of Lanczos steps for the smallest eigenvalue, and from each direction for the count.
        generator: draws the directions; None takes seed 0.

    Returns:
        `difference`, sigma ||s_Delta||; `gain`, sigma^3 ||H_Delta s_Delta||; `trace`, sigma^2 tr H_Delta;
        `smallest`, sigma^2 times the smallest eigenvalue of H_Delta; `count`, an estimate of the number of
        eigenvalues of the conditional Hessian that are not negative.
    """
    sigma, difference = conditional.sigma, conditional - unconditional
    with JacobianOperator(difference, x, product="symmetric") as op:
        total = trace(op, probes, generator=generator).value
        smallest = lanczos(op, min(steps, op.dim), k=1, generator=generator).eigenvalues[:, 0]
    along = estimates(conditional, x, probes=probes, steps=min(steps, op.dim), generator=generator)
    found = {
        "trace": sigma**2 * total,
        "smallest": sigma**2 * smallest,
        "count": along.nonnegative_count,
    }
    return of_difference(conditional, unconditional, x) | _on_cpu(found)


def of_difference(
    conditional: Score, unconditional: Score, x: Float[Tensor, "B ..."]
) -> dict[str, Float64[Tensor, " B"]]:
    """The two of `statistics` that need no random direction and hardly cost anything: difference and gain."""
    sigma = conditional.sigma
    with JacobianOperator(conditional - unconditional, x, product="difference") as moved:
        s, product = moved.value, moved.matvec(moved.value)
    return _on_cpu({"difference": sigma * norms.of_score(s), "gain": sigma**3 * norms.of_product(product)})


def _on_cpu(found: dict[str, Tensor]) -> dict[str, Float64[Tensor, " B"]]:
    return {name: values.detach().double().cpu() for name, values in found.items()}
