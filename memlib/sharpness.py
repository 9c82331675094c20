"""Statistics of a point's sharpness, one definition each, for batches of points.

H is the Hessian of the log density (the Jacobian of the score), d the dimension of a sample, sigma the noise
scale. Where a statistic multiplies a Jacobian with a vector it takes the product ("jvp", "vjp", "symmetric",
"difference") as an argument, because a learned Jacobian is not symmetric and the products differ.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from memlib import checks
from memlib.hessian import JacobianOperator, Product
from memlib.score import Score, ScoreDifference, score_norm

__all__ = [
    "curvature_gain",
    "difference_norm",
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


def _spectrum(eigenvalues: Tensor) -> Tensor:
    """The same eigenvalues once they are finite and `(B, d)`: a NaN would count as negative, as sharp."""
    if checks.batched("eigenvalues", eigenvalues).ndim != 2:
        raise ValueError(f"eigenvalues must have shape (B, d), got {tuple(eigenvalues.shape)}")
    return eigenvalues
