"""Local intrinsic dimension of B points from the spectrum of the score's Jacobian.

Scaled eigenvalues sigma^2 lambda are near 0 along the data and near -1 across it. Both estimators count the
former: FLIPD as d + sigma^2 tr H + sigma^2 ||s||^2, the spectral filter through a smooth step at |lambda| =
c / sigma^2.

References:
    Kamkari et al. (2024), A geometric view of data complexity: efficient local intrinsic dimension estimation
    with diffusion models, NeurIPS 2024 (FLIPD).
    Osada (2026), arXiv:2605.01221 (spectral filter with exponent p = 4 and stochastic Lanczos quadrature).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from memlib import hessian
from memlib.hessian import Estimate, JacobianOperator, SpectralDensity
from memlib.score import Score
from memlib.sharpness import norms
from memlib.sharpness.spectrum import scaled


def local_dimension(
    eigenvalues: Float[Tensor, "B d"], sigma: float, *, cutoff: float = 0.1, exponent: float = 4.0
) -> Float64[Tensor, " B"]:
    """Number of directions along the data, by the spectral filter of Osada (2026) over a whole spectrum.

    The sum over eigenvalues of 1 / (1 + (sigma^2 |lambda| / c)^p).

    Args:
        eigenvalues: `(B, d)`, finite, of the Hessians of the log density at noise level `sigma`.
        sigma: noise level.
        cutoff: c, the scaled |eigenvalue| at which a direction counts one half. A direction in which the data
            spread with standard deviation w has a scaled eigenvalue of -1 / (1 + (w / sigma)^2), so 0.1 means
            w = 3 sigma.
        exponent: p, how steep the filter is; a direction across the data adds `cutoff**p`, 1e-4 by default.

    Raises:
        ValueError: another shape, values that are not finite, a `cutoff` or `exponent` that is not positive.
    """
    return _along(scaled(eigenvalues, sigma).double().abs(), cutoff, exponent).sum(dim=1)


def estimated_dimension(
    spectrum: SpectralDensity,
    sigma: float | Float[Tensor, " B"],
    *,
    cutoff: float = 0.1,
    exponent: float = 4.0,
) -> Estimate:
    """`local_dimension` with a standard error, from `memlib.hessian.density` where d is large.

    Args:
        spectrum: the spectrum of the Hessians of the log density at noise level `sigma`.
        sigma: noise level, one number or one per sample.
        cutoff: as in `local_dimension`.
        exponent: as in `local_dimension`.

    Raises:
        ValueError: a number that is not positive.
    """
    level = torch.as_tensor(sigma, dtype=torch.float64, device=spectrum.nodes.device).reshape(-1, 1, 1)
    if not bool((level > 0).all()):
        raise ValueError(f"sigma must be greater than zero, got {sigma}")
    variance = level**2
    return spectrum.trace_of(lambda nodes: _along(nodes.abs() * variance, cutoff, exponent))


def flipd(
    score: Score, x: Float[Tensor, "B ..."], *, probes: int, generator: torch.Generator | None = None
) -> Estimate:
    """FLIPD (Kamkari et al. 2024), d + sigma^2 (tr H + ||s||^2), `(B,)`, from `probes` random directions.

    Args:
        score: the score at one noise level.
        x: points, `(B, *sample_shape)`, finite; FLIPD is defined at points without noise, alpha x_0.
        probes: the number of random directions, at least 2.
        generator: draws them; None takes seed 0.

    Raises:
        ValueError: fewer probes, or points or a score that `JacobianOperator` refuses.
    """
    with JacobianOperator(score, x) as jacobian:
        trace = hessian.trace(jacobian, probes, generator=generator)
        return flipd_from_trace(trace, norms.of_score(jacobian.value), score.sigma, jacobian.dim)


def flipd_from_trace(
    trace: Estimate, score_norm: Float[Tensor, " B"], sigma: float | Float[Tensor, " B"], dim: int
) -> Estimate:
    """FLIPD, d + sigma^2 (tr H + ||s||^2), shape `(B,)`, from an estimate of the trace.

    Args:
        trace: tr H with its error, from `memlib.hessian.trace`.
        score_norm: ||s|| of each sample at the same point.
        sigma: noise level, one number or one per sample.
        dim: d, the number of entries of a sample.

    Raises:
        ValueError: norms of another shape than the trace.
    """
    if score_norm.shape != trace.value.shape:
        raise ValueError(
            f"score_norm must have shape {tuple(trace.value.shape)}, one entry per sample, "
            f"got {tuple(score_norm.shape)}"
        )
    variance = torch.as_tensor(sigma, dtype=torch.float64, device=trace.value.device) ** 2
    return trace.affine(variance, dim + variance * score_norm.double() ** 2)


def _along(size: Tensor, cutoff: float, exponent: float) -> Tensor:
    """How far a direction counts as along the data, from 0 to 1, by its scaled |eigenvalue|."""
    if not (cutoff > 0 and exponent > 0):
        raise ValueError(f"cutoff and exponent must be greater than zero, got {cutoff} and {exponent}")
    return 1 / (1 + (size / cutoff) ** exponent)
