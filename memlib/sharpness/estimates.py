"""Several statistics of each point from the same few products, and the trace in the shifted form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import matmul

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from memlib import hessian
from memlib.hessian import Estimate, JacobianOperator, LinearOperator, arguments
from memlib.score import Score
from memlib.sharpness import norms
from memlib.sharpness.dimension import estimated_dimension, flipd_from_trace


def shifted_trace(
    op: LinearOperator,
    budget: int,
    sigma: float | Float[Tensor, " B"],
    *,
    power: int = 1,
    method: str = "xtrace",
    generator: torch.Generator | None = None,
) -> Estimate:
    """Estimate tr H^p of score Hessians at noise level sigma through M = sigma^2 H + I, `(B,)`.

    An isolated point has H = -I / sigma^2 and every direction along the data adds to it, so that M is low
    rank plus small, which "hutch++" and "xtrace" gain from; Hutchinson with sign vectors does not change.
    Then

        tr H = (tr M - d) / sigma^2,    tr H^p = (tr((M - I)^p - (-I)^p) + (-1)^p d) / sigma^(2p).

    Args:
        op: operator of batch B and dimension d.
        budget: products with H per sample at most.
        sigma: noise level, one or per sample.
        power: p; a probe costs as many products.
        method: as in `memlib.hessian.trace`.
        generator: as there.

    Raises:
        ValueError: for arguments out of range, or NaN or infinity in a product.

    Example:
        >>> from memlib.hessian import DenseOperator
        >>> H = DenseOperator(-4 * torch.eye(6).double()[None])
        >>> shifted_trace(H, 4, 0.5).value.round(decimals=9).tolist()
        [-24.0]
    """
    arguments.operator(op)
    arguments.at_least("power", power, 1)
    variance = arguments.positive_per_sample("sigma", sigma, op) ** 2
    shift, factor = (-1) ** (power + 1), variance.double() ** power
    shifted = reduce(matmul, [variance * op] * power) + shift
    estimate = hessian.trace(shifted, budget // power, method=method, generator=generator)
    return estimate.affine(1 / factor, -shift * op.dim / factor)


@dataclass(frozen=True, eq=False)
class Estimates:
    """Statistics of B points from the same few products, in units of sigma; each `(B,)` float64.

    Attributes:
        score_norm: sigma ||s||.
        sharpness: -sigma^2 tr H; d at an isolated point.
        nonnegative_count: number of eigenvalues that are not negative. A few Lanczos steps rank points; they
            do not give the exact number.
        local_dimension: by the spectral filter of Osada (2026).
        flipd: FLIPD of Kamkari et al. (2024), made for points without noise.
        hessian_score_norm: sigma^3 ||H s||.
    """

    score_norm: Float64[Tensor, " B"]
    sharpness: Float64[Tensor, " B"]
    nonnegative_count: Float64[Tensor, " B"]
    local_dimension: Float64[Tensor, " B"]
    flipd: Float64[Tensor, " B"]
    hessian_score_norm: Float64[Tensor, " B"]


def estimates(
    score: Score,
    x: Float[Tensor, "B ..."],
    *,
    probes: int,
    steps: int,
    generator: torch.Generator | None = None,
) -> Estimates:
    """Every statistic at once, from `probes * steps + 1` products with the transpose at each point.

    Args:
        score: at the noise level of `x`.
        x: points, `(B, *sample_shape)`, finite.
        probes: random directions of `memlib.hessian.density`.
        steps: the number of Lanczos steps from each direction.
        generator: draws the directions; None takes seed 0.
    """
    sigma = score.sigma
    with JacobianOperator(score, x) as op:
        spectrum = hessian.density(op, probes=probes, steps=steps, generator=generator)
        s, product = op.value, op.matvec(op.value)
    trace, norm = spectrum.trace_of(lambda values: values), norms.of_score(s)
    return Estimates(
        score_norm=norm * sigma,
        sharpness=-trace.value * sigma**2,
        nonnegative_count=spectrum.count_above(0.0).value,
        local_dimension=estimated_dimension(spectrum, sigma).value,
        flipd=flipd_from_trace(trace, norm, sigma, op.dim).value,
        hessian_score_norm=norms.of_product(product) * sigma**3,
    )
