"""Statistics of a point's sharpness, one definition each, for batches of points.

H is the Hessian of the log density (the Jacobian of the score), d the dimension of a sample, sigma the noise
scale. Where a statistic multiplies a Jacobian with a vector it takes the product ("jvp", "vjp", "symmetric",
"difference") as an argument, because a learned Jacobian is not symmetric and the products differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from memlib import checks, hessian
from memlib.hessian import JacobianOperator, Product
from memlib.score import Score, ScoreDifference, score_norm

__all__ = [
    "ConditionalEstimates",
    "Estimates",
    "conditional_estimates",
    "curvature_gain",
    "difference_norm",
    "estimates",
    "flipd",
    "hessian_score_norm",
    "local_dimension",
    "nonnegative_count",
    "positive_fraction",
    "scaled",
    "score_norm",
    "trace",
]


def scaled(eigenvalues: Float[Tensor, "B d"], sigma: float) -> Float[Tensor, "B d"]:
    """Eigenvalues times sigma^2, which have one scale at every t: an isolated point has all values -1."""
    return _spectrum(eigenvalues) * sigma**2


def nonnegative_count(eigenvalues: Float[Tensor, "B d"]) -> Int64[Tensor, " B"]:
    """Number of eigenvalues >= 0; fewer means more strongly memorized (the paper, figure 3)."""
    return (_spectrum(eigenvalues) >= 0).sum(dim=1)


def positive_fraction(eigenvalues: Float[Tensor, "B d"]) -> Float64[Tensor, " B"]:
    """`nonnegative_count` divided by d."""
    return nonnegative_count(eigenvalues).double() / eigenvalues.shape[1]


def trace(eigenvalues: Float[Tensor, "B d"], power: int = 1) -> Float64[Tensor, " B"]:
    """The trace of H^power; -tr H is the sharpness of lemma 4.1, -tr H^3 goes with ||H s||^2 (lemma 4.3)."""
    return _spectrum(eigenvalues).double().pow(power).sum(dim=1)


def local_dimension(
    eigenvalues: Float[Tensor, "B d"], sigma: float, *, cutoff: float = 0.1, exponent: float = 4.0
) -> Float64[Tensor, " B"]:
    """Number of directions along the data, by the spectral filter of Osada (2026) over a whole spectrum.

    The sum of 1 / (1 + |sigma^2 lambda / cutoff|^exponent), which `memlib.hessian.local_dimension` estimates
    from products where the spectrum is out of reach.
    """
    if not (cutoff > 0 and exponent > 0):
        raise ValueError(f"cutoff and exponent must be greater than zero, got {cutoff} and {exponent}")
    return (1 / (1 + (scaled(eigenvalues, sigma).double().abs() / cutoff) ** exponent)).sum(dim=1)


def hessian_score_norm(
    score: Score, x: Float[Tensor, "B ..."], product: Product = "jvp"
) -> Float64[Tensor, " B"]:
    """||H s|| at x (lemma 4.3: the mean of its square is -tr H^3 for a Gaussian)."""
    with JacobianOperator(score, x, product=product) as op:
        norms: Tensor = torch.linalg.vector_norm(op.matvec(op.value), dim=1)
    return norms


def difference_norm(difference: ScoreDifference, x: Float[Tensor, "B ..."]) -> Float64[Tensor, " B"]:
    """||s_Delta|| at x, in score units (Wen et al. 2024 measure sigma times this)."""
    return score_norm(difference, x)


def curvature_gain(
    difference: ScoreDifference, x: Float[Tensor, "B ..."], product: Product = "jvp"
) -> Float64[Tensor, " B"]:
    """||H_Delta s_Delta||, H_Delta the Jacobian of s_Delta; the paper takes its square (section 4.3)."""
    return hessian_score_norm(difference, x, product)


@dataclass(frozen=True, eq=False)
class Estimates:
    """Statistics of B points from the same few products, in units of sigma; each `(B,)` float64.

    Attributes:
        score_norm: sigma ||s||.
        sharpness: -sigma^2 tr H; d at an isolated point.
        nonnegative_count: number of eigenvalues >= 0. A few steps rank points by it and do not count.
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
        x: points.
        probes: random directions of `memlib.hessian.density`.
        steps: the number of Lanczos steps from each direction.
        generator: draws the directions; None takes seed 0.
    """
    sigma = score.sigma
    with JacobianOperator(score, x) as op:
        spectrum = hessian.density(op, probes=probes, steps=steps, generator=generator)
        s, product = op.value, op.matvec(op.value)
    trace, norm = spectrum.trace_of(lambda values: values), s.norm(dim=1)
    return Estimates(
        score_norm=norm * sigma,
        sharpness=-trace.value * sigma**2,
        nonnegative_count=spectrum.count_above(0.0).value,
        local_dimension=hessian.filtered_dimension(spectrum, sigma).value,
        flipd=hessian.flipd(trace, norm, sigma, op.dim).value,
        hessian_score_norm=product.norm(dim=1) * sigma**3,
    )


@dataclass(frozen=True, eq=False)
class ConditionalEstimates:
    """Statistics of B points under a condition, in units of sigma; each `(B,)` float64.

    Attributes:
        sharpness: -sigma^2 tr H / d of the conditional score; 1 at an isolated point.
        difference_norm: sigma ||s_Delta||.
        curvature_gain: sigma^3 ||H_Delta s_Delta||.
    """

    sharpness: Float64[Tensor, " B"]
    difference_norm: Float64[Tensor, " B"]
    curvature_gain: Float64[Tensor, " B"]


def conditional_estimates(
    conditional: Score,
    unconditional: Score,
    x: Float[Tensor, "B ..."],
    *,
    probes: int,
    generator: torch.Generator | None = None,
) -> ConditionalEstimates:
    """Sharpness by Hutchinson's estimator, and both norms of the difference by a forward difference.

    Args:
        conditional: at the noise level of `x`.
        unconditional: at the same.
        x: points.
        probes: random directions of the trace, products with the transpose.
        generator: draws the directions; None takes seed 0.
    """
    sigma = conditional.sigma
    with JacobianOperator(conditional - unconditional, x, product="difference") as difference:
        s, product = difference.value, difference.matvec(difference.value)
    with JacobianOperator(conditional, x) as jacobian:
        trace = hessian.trace(jacobian, probes, generator=generator)
    return ConditionalEstimates(
        sharpness=-(sigma**2) * trace.value / jacobian.dim,
        difference_norm=sigma * s.norm(dim=1),
        curvature_gain=sigma**3 * product.norm(dim=1),
    )


def flipd(
    score: Score, x: Float[Tensor, "B ..."], *, probes: int, generator: torch.Generator | None = None
) -> Float64[Tensor, " B"]:
    """FLIPD (Kamkari et al. 2024) at points without noise, alpha x_0, from `probes` random directions."""
    with JacobianOperator(score, x) as jacobian:
        trace = hessian.trace(jacobian, probes, generator=generator)
        return hessian.flipd(trace, jacobian.value.norm(dim=1), score.sigma, jacobian.dim).value


def _spectrum(eigenvalues: Tensor) -> Tensor:
    """The same eigenvalues once they are finite and `(B, d)`: a NaN would count as negative, as sharp."""
    if checks.batched("eigenvalues", eigenvalues).ndim != 2:
        raise ValueError(f"eigenvalues must have shape (B, d), got {tuple(eigenvalues.shape)}")
    return eigenvalues
