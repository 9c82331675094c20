"""Gaussian mixtures: the exact diffused log density, score, Hessian and posterior at any time, in float64.

With p = sum_k w_k N(mu_k, S_k), r_k(x) the posterior of component k, and s_k = -S_k^-1 (x - mu_k):

    score    s(x) = sum_k r_k s_k
    Hessian  H(x) = sum_k r_k (s_k s_k^T - S_k^-1) - s s^T

Under x_t = alpha x_0 + sigma eps a mixture stays a mixture: means alpha mu_k, covariances alpha^2 S_k +
sigma^2 I. This is the ground truth of everything else in the package.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from memlib import checks


class GaussianMixture:
    """A mixture of K Gaussians in d dimensions.

    All numbers are kept, and all results returned, in float64.

    Args:
        weights: `(K,)`, positive, summing to 1 within 1e-6; what is left of the difference is divided out.
        means: `(K, d)`.
        covariances: `(K, d, d)` symmetric positive definite, or `(K, d)` diagonals, or `(K,)` variances.

    Raises:
        ValueError: for shapes that do not fit, numbers that are not finite, and naming the components whose
            covariance is not symmetric positive definite.

    Example:
        >>> means = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
        >>> pair = GaussianMixture(torch.tensor([0.5, 0.5]), means, torch.tensor([0.1, 0.1]))
        >>> pair.diffused(alpha=0.6, sigma=0.8).score(torch.zeros(1, 2)).tolist()
        [[0.0, 0.0]]
    """

    def __init__(self, weights: Tensor, means: Tensor, covariances: Tensor) -> None:
        checks.finite("weights", weights)
        checks.batched("means", means)
        checks.finite("covariances", covariances)
        components, dim = _components_and_dim(weights, means)
        self.weights, self.means = weights.double() / weights.double().sum(), means.double()
        self.covariances = _full_covariances(covariances.double(), components, dim)
        self._variances, self._axes = _eigen(self.covariances)

    @property
    def dim(self) -> int:
        """Dimension d."""
        return self.means.shape[1]

    def diffused(self, alpha: float | Tensor, sigma: float | Tensor) -> GaussianMixture:
        """The mixture of x_t = alpha x_0 + sigma eps.

        Args:
            alpha: the scale of x_0, finite.
            sigma: the scale of the noise, finite and not negative.

        Raises:
            ValueError: other scales.
        """
        alpha, sigma = float(alpha), float(sigma)
        if not (math.isfinite(alpha) and math.isfinite(sigma) and sigma >= 0):
            raise ValueError(
                f"alpha must be finite and sigma finite and >= 0, got alpha={alpha}, sigma={sigma}"
            )
        noise = sigma**2 * torch.eye(self.dim, dtype=torch.float64, device=self.means.device)
        return GaussianMixture(self.weights, alpha * self.means, alpha**2 * self.covariances + noise)

    def log_prob(self, x: Float[Tensor, "B d"]) -> Float64[Tensor, " B"]:
        """Log density at `x`."""
        return self._log_joint(self._whitened(x)).logsumexp(dim=1)

    def posterior(self, x: Float[Tensor, "B d"]) -> Float64[Tensor, "B K"]:
        """Probability of each component given `x`; rows sum to 1."""
        return self._log_joint(self._whitened(x)).softmax(dim=1)

    def score(self, x: Float[Tensor, "B d"]) -> Float64[Tensor, "B d"]:
        """Gradient of the log density at `x`."""
        z = self._whitened(x)
        posterior = self._log_joint(z).softmax(dim=1)
        return torch.einsum("bk,bkd->bd", posterior, self._component_scores(z))

    def hessian(self, x: Float[Tensor, "B d"]) -> Float64[Tensor, "B d d"]:
        """Hessian of the log density at `x`, exactly symmetric."""
        z = self._whitened(x)
        posterior = self._log_joint(z).softmax(dim=1)
        scores = self._component_scores(z)
        # Differences from the mean score: s_k s_k^T and s s^T would cancel where one component dominates.
        centred = scores - torch.einsum("bk,bkd->bd", posterior, scores)[:, None]
        between = torch.einsum("bk,bkd,bke->bde", posterior, centred, centred)
        precisions = torch.einsum("kde,ke,kfe->kdf", self._axes, 1 / self._variances, self._axes)
        hessian = between - torch.einsum("bk,kde->bde", posterior, precisions)
        return 0.5 * (hessian + hessian.mT)

    def sample(self, count: int, generator: torch.Generator | None = None) -> Float64[Tensor, "count d"]:
        """Independent draws.

        Args:
            count: the number of draws, at least 1.
            generator: draws on the CPU; None takes torch's global one.

        Raises:
            ValueError: fewer than one draw.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        component = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn(count, self.dim, dtype=torch.float64, generator=generator)
        scaled = noise * self._variances[component].sqrt()
        draws = self.means[component]
        for k, axes in enumerate(self._axes):  # axes for every draw would take (count, d, d)
            rows = component == k
            draws[rows] += scaled[rows] @ axes.mT
        return draws

    def _whitened(self, x: Tensor) -> Tensor:
        """Coordinates of x - mu_k along component k's axes, in standard deviations, `(B, K, d)`."""
        checks.batched("x", x, (self.dim,))
        centred = x.double()[:, None] - self.means
        return torch.einsum("bkd,kde->bke", centred, self._axes) / self._variances.sqrt()

    def _log_joint(self, z: Tensor) -> Tensor:
        normaliser = 0.5 * (self._variances.log().sum(1) + self.dim * math.log(2 * math.pi))
        return self.weights.log() - normaliser - 0.5 * z.square().sum(2)

    def _component_scores(self, z: Tensor) -> Tensor:
        return -torch.einsum("kde,bke->bkd", self._axes, z / self._variances.sqrt())


def _components_and_dim(weights: Tensor, means: Tensor) -> tuple[int, int]:
    if means.ndim != 2 or weights.shape != means.shape[:1]:
        raise ValueError(
            f"weights must be (K,) and means (K, d), got {tuple(weights.shape)} and {tuple(means.shape)}"
        )
    if (weights <= 0).any() or abs(weights.double().sum().item() - 1) > 1e-6:
        raise ValueError(
            f"weights must be positive and sum to 1, got {weights.tolist()}, "
            f"sum {weights.double().sum().item():.6g}; divide them by their sum"
        )
    return means.shape[0], means.shape[1]


def _full_covariances(covariances: Tensor, components: int, dim: int) -> Tensor:
    if covariances.shape == (components,):
        return torch.diag_embed(covariances[:, None].expand(-1, dim))
    if covariances.shape == (components, dim):
        return torch.diag_embed(covariances)
    if covariances.shape == (components, dim, dim):
        return covariances
    raise ValueError(
        f"covariances must have shape ({components},), ({components}, {dim}) "
        f"or ({components}, {dim}, {dim}), got {tuple(covariances.shape)}"
    )


def _eigen(covariances: Tensor) -> tuple[Tensor, Tensor]:
    """Variances `(K, d)` along the principal axes, the columns of `(K, d, d)`."""
    skew = (covariances - covariances.mT).abs().amax(dim=(1, 2))
    size = covariances.abs().amax(dim=(1, 2))
    if (skew > 1e-10 * size).any():
        bad = (skew > 1e-10 * size).nonzero().flatten().tolist()
        raise ValueError(
            f"covariances {bad} are not symmetric (largest difference {skew.max().item():.3g}); "
            "use 0.5 * (S + S.T)"
        )
    variances, axes = torch.linalg.eigh(0.5 * (covariances + covariances.mT))
    if (variances <= 0).any():
        bad = (variances <= 0).any(dim=1).nonzero().flatten().tolist()
        raise ValueError(
            f"covariances {bad} are not positive definite (smallest eigenvalue "
            f"{variances.min().item():.3g}); add a small multiple of the identity"
        )
    return variances, axes
