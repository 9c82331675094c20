"""Expectations of sharpness statistics under Gaussians, in closed form, beside the statistics themselves.

A conditional Gaussian N(mu_c, S_c) stands beside an unconditional one N(mu, S); points are drawn from the
former. With P = S^-1, P_c = S_c^-1 the scores are s = -P (x - mu), s_c = -P_c (x - mu_c), their Hessians
H = -P, H_c = -P_c, and

    s_Delta = s_c - s = (P - P_c) (x - mu_c) + P (mu_c - mu),     H_Delta = H_c - H = P - P_c.

Every expectation below is that of a quadratic form in x. `IDENTITIES` pairs each with the statistic of
`memlib.sharpness` whose mean it is. All in float64. Numbers of lemmas and appendices are
the paper's.

Example:
    >>> from companion.gaussians import random_pair
    >>> generator = torch.Generator().manual_seed(0)
    >>> pair = random_pair(10, generator, commuting=False, equal_means=True)
    >>> lemma = IDENTITIES["difference"]
    >>> ratio = lemma.statistic(pair, pair.sample(4000, generator)).mean().item() / lemma.closed(pair)
    >>> abs(ratio - 1) < 0.1
    True
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from companion.gaussians import Pair
from memlib import sharpness
from memlib.mixture import GaussianMixture


def score_energy(pair: Pair) -> float:
    """E||s_c||^2 = -tr H_c = tr P_c (lemma 4.1)."""
    return float(torch.linalg.inv(pair.covariance_c).trace())


def hessian_score_energy(pair: Pair) -> float:
    """E||H_c s_c||^2 = -tr H_c^3 = tr P_c^3 (lemma 4.3)."""
    return float(torch.linalg.inv(pair.covariance_c).matrix_power(3).trace())


def difference_energy(pair: Pair) -> float:
    """E||s_Delta||^2 = ||H (mu - mu_c)||^2 + tr[(P - P_c)^2 S_c] (lemma 4.2, with the sign of its proof)."""
    shift, curvature = _shift_and_curvature(pair)
    return shift + curvature


def difference_energy_printed(pair: Pair) -> float:
    """Lemma 4.2 as printed: ||H (mu - mu_c)||^2 + tr[(H - H_c)^2 H_c^-1], where H_c^-1 is -S_c."""
    shift, curvature = _shift_and_curvature(pair)
    return shift - curvature


def _shift_and_curvature(pair: Pair) -> tuple[float, float]:
    precision = torch.linalg.inv(pair.covariance)
    difference = precision - torch.linalg.inv(pair.covariance_c)
    shift = (precision @ (pair.mean - pair.mean_c)).square().sum()
    return float(shift), float((difference @ difference @ pair.covariance_c).trace())


def curvature_gain_energy(pair: Pair) -> float:
    """E||H_Delta s_Delta||^2 = ||H_Delta H (mu - mu_c)||^2 + tr(H_Delta^4 S_c)."""
    precision = torch.linalg.inv(pair.covariance)
    difference = precision - torch.linalg.inv(pair.covariance_c)
    shift = (difference @ precision @ (pair.mean - pair.mean_c)).square().sum()
    return float(shift + (difference.matrix_power(4) @ pair.covariance_c).trace())


@dataclass(frozen=True)
class Identity:
    """An expectation: where the paper has it, its closed form, and the statistic `(B,)` whose mean it is."""

    where: str
    closed: Callable[[Pair], float]
    statistic: Callable[[Pair, Tensor], Tensor]


IDENTITIES: dict[str, Identity] = {
    "score": Identity(
        "Lemma 4.1", score_energy, lambda pair, x: sharpness.score_norm(pair.conditional, x).square()
    ),
    "hessian_score": Identity(
        "Lemma 4.3",
        hessian_score_energy,
        lambda pair, x: sharpness.hessian_score_norm(pair.conditional, x).square(),
    ),
    "difference": Identity(
        "Lemma 4.2",
        difference_energy,
        lambda pair, x: sharpness.difference_norm(pair.difference, x).square(),
    ),
    "gain": Identity(
        "Section 4.3",
        curvature_gain_energy,
        lambda pair, x: sharpness.curvature_gain(pair.difference, x).square(),
    ),
}
"""The paper's expectations over points of the conditional Gaussian."""


def generalized_eigenvalues(
    covariance: Float64[Tensor, "d d"], covariance_c: Float64[Tensor, "d d"]
) -> tuple[Float64[Tensor, " d"], Float64[Tensor, "d d"]]:
    """Eigenvalues `(d,)`, ascending, and columns v `(d, d)` of P v = lambda P_c v (appendix A.3).

    Where lambda < 1 the conditional density is the sharper one along v. Columns satisfy V^T P_c V = I.
    """
    root = _power(covariance_c, 0.5)
    values, vectors = torch.linalg.eigh(_symmetric(root @ torch.linalg.inv(covariance) @ root))
    return values, root @ vectors


def commuting_energy(pair: Pair) -> float:
    """Sum_i (lambda_i - lambda_ic)^2 / |lambda_ic| over sorted eigenvalues of H and H_c.

    Equal to tr[(P - P_c)^2 S_c] if H and H_c have common axes in the same order, and not otherwise.
    """
    values = torch.linalg.eigvalsh(torch.linalg.inv(pair.covariance))
    values_c = torch.linalg.eigvalsh(torch.linalg.inv(pair.covariance_c))
    return float(((values - values_c).square() / values_c).sum())


def generalized_energy(pair: Pair) -> float:
    """tr[(P - P_c)^2 S_c] as sum_k (lambda_k - 1)^2 w_k, w_k = v_k^T P_c^2 v_k (appendix A.3)."""
    values, vectors = generalized_eigenvalues(pair.covariance, pair.covariance_c)
    weights = (torch.linalg.inv(pair.covariance_c) @ vectors).square().sum(0)
    return float(((values - 1).square() * weights).sum())


def fisher_rao_squared(pair: Pair) -> float:
    """||log(S_c^-1/2 S S_c^-1/2)||_F^2, the affine-invariant distance of appendix A.4, squared."""
    values, _ = generalized_eigenvalues(pair.covariance, pair.covariance_c)
    return float(values.log().square().sum())


def whitened_energy(pair: Pair) -> float:
    """E[s_Delta^T S_c s_Delta] at equal means, ||S_c^1/2 P S_c^1/2 - I||_F^2: invariant like the distance."""
    values, _ = generalized_eigenvalues(pair.covariance, pair.covariance_c)
    return float((values - 1).square().sum())


def effective_dimension(form: Float64[Tensor, "d d"]) -> float:
    """(tr A)^2 / tr A^2 for the matrix A = M S of a quadratic form x^T M x, x ~ N(0, S).

    The relative spread of the form over single draws is sqrt(2 / effective dimension): d for A = I, and the
    fewer directions dominate the smaller.
    """
    return float(form.trace() ** 2 / (form * form.mT).sum())


def exact_flipd(mixture: GaussianMixture, x: Float64[Tensor, "B d"], sigma: float) -> Float64[Tensor, " B"]:
    """FLIPD, d + sigma^2 (tr H + ||s||^2), of a mixture diffused to `sigma` (Kamkari et al. 2024)."""
    trace: Tensor = mixture.hessian(x).diagonal(dim1=1, dim2=2).sum(1)
    return (trace + mixture.score(x).square().sum(1)) * sigma**2 + mixture.dim


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    power: Tensor = vectors @ (values**exponent).diag() @ vectors.mT
    return power


def _symmetric(matrix: Tensor) -> Tensor:
    return 0.5 * (matrix + matrix.mT)
