"""Local intrinsic dimension of B points from the spectrum of the score's Jacobian, with error bars.

Scaled eigenvalues sigma^2 lambda are near 0 along the data and near -1 across it. Both estimators count the
former: FLIPD as d + sigma^2 tr H + sigma^2 ||s||^2, the spectral filter through a smooth step at |lambda| =
c / sigma^2.

References:
    Kamkari et al. (2024), A geometric view of data complexity: efficient local intrinsic dimension estimation
    with diffusion models, NeurIPS 2024 (FLIPD).
    Osada (2026), arXiv:2605.01221 (spectral filter with exponent p = 4 and stochastic Lanczos quadrature).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from memlib.hessian import arguments
from memlib.hessian.density import SpectralDensity, density
from memlib.hessian.results import Estimate

if TYPE_CHECKING:
    from memlib.hessian.operator import LinearOperator


def local_dimension(
    op: LinearOperator,
    sigma: float | Float[Tensor, " B"],
    *,
    cutoff: float = 0.1,
    exponent: float = 4.0,
    probes: int = 16,
    steps: int = 16,
    generator: torch.Generator | None = None,
) -> Estimate:
    """Estimate tr f(H), f = 1 / (1 + (|lambda| / kappa)^exponent), kappa = cutoff / sigma^2; shape `(B,)`.

    Args:
        op: symmetric operator, the Hessian H of the log density at noise level `sigma`.
        sigma: noise level, one number or one per sample.
        cutoff: c, the scaled |eigenvalue| at which a direction counts one half. A direction in which the data
            spread with standard deviation w has a scaled eigenvalue of -1 / (1 + (w / sigma)^2), so 0.1 means
            w = 3 sigma.
        exponent: p, how steep the filter is; a direction across the data adds `cutoff**p`, 1e-4 by default.
        probes: as in `density`.
        steps: as in `density`; `probes * min(steps, d)` products are made per sample.
        generator: as in `density`.

    Raises:
        ValueError: for arguments out of range, or NaN or infinity in a product (`NonFiniteProductError`).
    """
    level = arguments.positive_per_sample("sigma", sigma, op)
    spectrum = density(op, probes=probes, steps=steps, generator=generator)
    return filtered_dimension(spectrum, level, cutoff=cutoff, exponent=exponent)


def filtered_dimension(
    spectrum: SpectralDensity,
    sigma: float | Float[Tensor, " B"],
    *,
    cutoff: float = 0.1,
    exponent: float = 4.0,
) -> Estimate:
    """`local_dimension` from a spectral density that is at hand, and serves other questions too.

    Args:
        spectrum: the spectrum of the Hessians of the log density at noise level `sigma`.
        sigma: as in `local_dimension`.
        cutoff: as in `local_dimension`.
        exponent: as in `local_dimension`.
    """
    if not (cutoff > 0 and exponent > 0):
        raise ValueError(f"cutoff and exponent must be greater than zero, got {cutoff} and {exponent}")
    variance = (
        torch.as_tensor(sigma, dtype=torch.float64, device=spectrum.nodes.device).reshape(-1, 1, 1) ** 2
    )
    return spectrum.trace_of(lambda nodes: 1 / (1 + (nodes.abs() * variance / cutoff) ** exponent))


def flipd(
    trace: Estimate, score_norm: Float[Tensor, " B"], sigma: float | Float[Tensor, " B"], dim: int
) -> Estimate:
    """Return d + sigma^2 (tr H + ||s||^2), shape `(B,)`, from an estimate of the trace.

    Args:
        trace: tr H with its error, from `memlib.hessian.trace`.
        score_norm: ||s|| of each sample at the same point.
        sigma: noise level, one number or one per sample.
        dim: d, the number of entries of a sample.
    """
    if score_norm.shape != trace.value.shape:
        raise ValueError(
            f"score_norm must have shape {tuple(trace.value.shape)}, one entry per sample, "
            f"got {tuple(score_norm.shape)}"
        )
    variance = torch.as_tensor(sigma, dtype=torch.float64, device=trace.value.device) ** 2
    return trace.affine(variance, dim + variance * score_norm.double() ** 2)
